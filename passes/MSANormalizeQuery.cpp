// SPDX-License-Identifier: Apache-2.0
//===- MSANormalizeQuery.cpp - a route's normalize becomes tensor algebra -===//
//
//   msa.route %q mask %m in %bank["rk"] ... normalize scale 1.0
//
// becomes
//
//   %n = linalg: %q / max(|%q|, epsilon), per head vector, in f32
//   msa.route %n mask %m in %bank["rk"] ... scale 1.0
//
// so that kernels never normalise, and the fold passes see a plain query. Also of `msa.score`.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/QueryAlgebra.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSANORMALIZEQUERY
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

template <typename OpTy>
struct NormalizeFirst : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    if (!op.getNormalize())
      return rewriter.notifyMatchFailure(op, "does not normalise");
    Value query = msa::normalizeHeads(rewriter, op.getLoc(), op.getQuery(), op.getEpsilon().convertToDouble());
    rewriter.modifyOpInPlace(op, [&] {
      op.getQueryMutable().assign(query);
      op.setNormalize(false);
    });
    return success();
  }
};

struct MSANormalizeQuery : msa::impl::MSANormalizeQueryBase<MSANormalizeQuery> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<NormalizeFirst<msa::RouteOp>, NormalizeFirst<msa::ScoreOp>>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

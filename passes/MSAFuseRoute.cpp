// SPDX-License-Identifier: Apache-2.0
//===- MSAFuseRoute.cpp - scores and their top-k become one route ---------===//
//
//   %scores = msa.score %q mask %m in %bank["rk"] heads mean query max scale 1.0
//   %documents, %best, %chunks = msa.topk %scores in %bank top 16 chunks max
//
// becomes
//
//   %documents, %best, %chunks = msa.route %q mask %m in %bank["rk"] top 16 heads mean query max chunks max scale 1.0
//
// so that the scores of all chunks are never stored.
//
// Not done when the scores have another user, or belong to another bank. test/passes/msa-fuse-route.mlir.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAFUSEROUTE
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

struct FuseScores : OpRewritePattern<msa::TopkOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(msa::TopkOp op, PatternRewriter &rewriter) const override {
    auto score = op.getScores().getDefiningOp<msa::ScoreOp>();
    if (!score)
      return rewriter.notifyMatchFailure(op, "its scores are not those of 'msa.score'");
    if (!score->hasOneUse())
      return rewriter.notifyMatchFailure(op, "its scores have another user");
    if (score.getBank() != op.getBank())
      return rewriter.notifyMatchFailure(op, "its scores are those of another bank");
    // A write between the two would be seen by one and not by the other.
    for (Operation *between = score->getNextNode(); between && between != op; between = between->getNextNode())
      if (isa<msa::WriteOp, msa::EraseOp>(between))
        return rewriter.notifyMatchFailure(op, "the bank changes after it was scored");
    rewriter.replaceOpWithNewOp<msa::RouteOp>(op, op->getResultTypes(), score.getQuery(), score.getMask(), score.getBank(), score.getFieldAttr(),
                                              op.getKAttr(), score.getHeadReduceAttr(), score.getQueryReduceAttr(), op.getChunkReduceAttr(),
                                              score.getNormalizeAttr(), score.getScaleAttr(), score.getEpsilonAttr());
    rewriter.eraseOp(score);
    return success();
  }
};

struct MSAFuseRoute : msa::impl::MSAFuseRouteBase<MSAFuseRoute> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseScores>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

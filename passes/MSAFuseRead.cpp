// SPDX-License-Identifier: Apache-2.0
//===- MSAFuseRead.cpp - gather and attention become one read -------------===//
//
//   %mk = msa.gather %bank["k"] at %chunks          %mv = msa.gather %bank["v"] at %chunks
//   %ck = tensor.concat dim(0) %prefix_k, %mk, %k   %cv = tensor.concat dim(0) %prefix_v, %mv, %v
//   %y  = msa.attention %q, %ck, %cv causal scale s
//
// becomes
//
//   %y, %ck, %cv = msa.read %q, %k, %v prefix %prefix_k, %prefix_v in %bank at %chunks scale s
//
// so that rows go from the bank straight to their place in the context. The context may have other users: it is a result. Causal is right because
// its mask is aligned to the last key, so that only local tokens are hidden.
//
// Not done when keys and values come from different chunks or banks, or the attention is masked. test/passes/msa-fuse-read.mlir.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAFUSEREAD
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

/// [prefix ; gathered ; local] on axis 0.
struct Context {
  tensor::ConcatOp concat;
  msa::GatherOp gather;
};

FailureOr<Context> contextOf(Value value, StringRef field) {
  auto concat = value.getDefiningOp<tensor::ConcatOp>();
  if (!concat || concat.getDim() != 0 || concat.getInputs().size() != 3)
    return failure();
  auto gather = concat.getInputs()[1].getDefiningOp<msa::GatherOp>();
  if (!gather || gather.getField() != field || !gather->hasOneUse())
    return failure();
  return Context{concat, gather};
}

struct FuseGather : OpRewritePattern<msa::AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(msa::AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getCausal() || op.getMask() || op.getDocuments())
      return rewriter.notifyMatchFailure(op, "is masked in another way than causally");
    FailureOr<Context> key = contextOf(op.getKey(), "k"), value = contextOf(op.getValue(), "v");
    if (failed(key) || failed(value))
      return rewriter.notifyMatchFailure(op, "does not attend over prefix, gathered rows and local tokens");
    if (key->gather.getBank() != value->gather.getBank() || key->gather.getChunks() != value->gather.getChunks())
      return rewriter.notifyMatchFailure(op, "reads keys and values of different chunks");
    Value local = key->concat.getInputs()[2];
    auto queryType = cast<RankedTensorType>(op.getQuery().getType()), localType = cast<RankedTensorType>(local.getType());
    if (queryType.getDimSize(0) != localType.getDimSize(0))
      return rewriter.notifyMatchFailure(op, "has another number of queries than of local tokens");
    rewriter.setInsertionPoint(op);
    auto read = msa::ReadOp::create(rewriter, op.getLoc(), TypeRange{op.getType(), key->concat.getType(), value->concat.getType()}, op.getQuery(), local,
                                    value->concat.getInputs()[2], key->concat.getInputs()[0], value->concat.getInputs()[0], key->gather.getBank(),
                                    key->gather.getChunks(), op.getScaleAttr());
    // What used the context before the attention keeps the concatenation.
    auto later = [&](OpOperand &use) { return use.getOwner()->getBlock() == read->getBlock() && read->isBeforeInBlock(use.getOwner()); };
    rewriter.replaceUsesWithIf(key->concat.getResult(), read.getContextKey(), later);
    rewriter.replaceUsesWithIf(value->concat.getResult(), read.getContextValue(), later);
    rewriter.replaceOp(op, read.getOutput());
    return success();
  }
};

struct MSAFuseRead : msa::impl::MSAFuseReadBase<MSAFuseRead> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseGather>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

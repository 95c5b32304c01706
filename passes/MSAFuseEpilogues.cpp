// SPDX-License-Identifier: Apache-2.0
//===- MSAFuseEpilogues.cpp - elementwise consumers move into a product ---===//
//
//   %p = msa.matmul %x, %w { yield %acc }
//   %y = linalg.generic (d0, d1): gelu(%p + %bias(d1))
//
// becomes
//
//   %y = msa.matmul %x, %w extras(%bias) { yield gelu(%acc + %bias) }
//
// so that a bias, an activation, a gate or a residual costs no pass over memory. A product on collapsed rows whose result is expanded again
// takes the rows as they are first.
//
// Not done when the product has another user, or when an operand of the consumer is neither of the result's shape nor one value per
// column. test/passes/msa-fuse-epilogues.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAFUSEEPILOGUES
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

/// expand(matmul(collapse(x))) of leading dims: the product of x as it is.
struct RowsAsTheyAre : OpRewritePattern<msa::MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(msa::MatmulOp op, PatternRewriter &rewriter) const override {
    auto collapse = op.getLhs().getDefiningOp<tensor::CollapseShapeOp>();
    if (!collapse || !op->hasOneUse() || !op.getExtras().empty())
      return failure();
    auto expand = dyn_cast<tensor::ExpandShapeOp>(*op->user_begin());
    if (!expand)
      return failure();
    auto leading = [](ArrayRef<ReassociationIndices> groups) { return groups.size() == 2 && groups[1].size() == 1; };
    SmallVector<ReassociationIndices> in = collapse.getReassociationIndices(), out = expand.getReassociationIndices();
    auto source = cast<RankedTensorType>(collapse.getSrc().getType()), result = cast<RankedTensorType>(expand.getType());
    if (!leading(in) || !leading(out) || in != out)
      return rewriter.notifyMatchFailure(op, "collapses or expands something else than its rows");
    // The same leading dims: static ones by type; dynamic ones by value, one unknown being what is left over.
    unsigned unknown = 0;
    SmallVector<OpFoldResult> sizes = expand.getMixedOutputShape();
    for (int64_t axis = 0; axis + 1 < source.getRank(); ++axis) {
      if (!source.isDynamicDim(axis) && source.getDimSize(axis) == result.getDimSize(axis))
        continue;
      auto size = dyn_cast<Value>(sizes[axis]);
      auto dim = size ? size.getDefiningOp<tensor::DimOp>() : tensor::DimOp();
      if (!dim || dim.getSource() != collapse.getSrc() || dim.getConstantIndex() != axis)
        ++unknown;
    }
    if (unknown > 1)
      return rewriter.notifyMatchFailure(op, "expands to other dims than those that were collapsed");
    auto product = msa::MatmulOp::create(rewriter, op.getLoc(), result, collapse.getSrc(), op.getRhs(), ValueRange{});
    rewriter.inlineRegionBefore(op.getEpilogue(), product.getEpilogue(), product.getEpilogue().begin());
    rewriter.replaceOp(expand, product.getResult());
    rewriter.eraseOp(op);
    return success();
  }
};

struct FuseConsumer : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics() || op.getNumResults() != 1 || op.getNumParallelLoops() != op.getNumLoops() || op.hasIndexSemantics())
      return failure();
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    unsigned rank = op.getNumLoops();
    if (!op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity() || op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)))
      return failure();
    AffineMap column = AffineMap::get(rank, 0, {rewriter.getAffineDimExpr(rank - 1)}, getContext());

    msa::MatmulOp product;
    OpOperand *fused = nullptr;
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto candidate = input->get().getDefiningOp<msa::MatmulOp>();
      if (!candidate || !candidate->hasOneUse() || !op.getMatchingIndexingMap(input).isIdentity())
        continue;
      // Of two candidates the later one: its fusion keeps the other available as an operand.
      if (!product || product->isBeforeInBlock(candidate)) {
        product = candidate;
        fused = input;
      }
    }
    if (!product)
      return rewriter.notifyMatchFailure(op, "has no product of its own among its operands");
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      auto operandType = dyn_cast<RankedTensorType>(input->get().getType());
      if (!operandType)
        return failure();
      bool whole = map.isIdentity() && operandType.getRank() == type.getRank();
      if (!whole && map != column)
        return rewriter.notifyMatchFailure(op, "reads an operand that is neither of the result's shape nor one value per column");
    }
    bool clean = true;
    op.getRegion().walk([&](Operation *inner) {
      clean &= isa<linalg::YieldOp>(inner) || OpTrait::hasElementwiseMappableTraits(inner) || inner->hasTrait<OpTrait::ConstantLike>();
    });
    if (!clean)
      return rewriter.notifyMatchFailure(op, "its body is not elementwise");

    SmallVector<Value> extras = product.getExtras();
    SmallVector<unsigned> position(op.getNumDpsInputs(), ~0u); // of each input among the extras
    for (OpOperand *input : op.getDpsInputOperands()) {
      if (input == fused || input->get() == product.getResult())
        continue;
      position[input->getOperandNumber()] = extras.size();
      extras.push_back(input->get());
    }
    rewriter.setInsertionPoint(op);
    auto combined = msa::MatmulOp::create(rewriter, op.getLoc(), type, product.getLhs(), product.getRhs(), extras);
    IRMapping mapping;
    product.getEpilogue().cloneInto(&combined.getEpilogue(), mapping);
    Block &body = combined.getEpilogue().front();
    for (Value extra : ArrayRef(extras).drop_front(product.getExtras().size()))
      body.addArgument(cast<RankedTensorType>(extra.getType()).getElementType(), extra.getLoc());
    auto yield = cast<msa::YieldOp>(body.getTerminator());
    Value value = yield.getValues()[0];
    rewriter.setInsertionPoint(yield);
    IRMapping bodyMapping;
    for (OpOperand *input : op.getDpsInputOperands()) {
      unsigned at = position[input->getOperandNumber()];
      bodyMapping.map(op.getMatchingBlockArgument(input), at == ~0u ? value : Value(body.getArgument(1 + at)));
    }
    for (Operation &inner : op.getBlock()->without_terminator())
      rewriter.clone(inner, bodyMapping);
    Value result = bodyMapping.lookupOrDefault(op.getBlock()->getTerminator()->getOperand(0));
    rewriter.modifyOpInPlace(yield, [&] { yield.getValuesMutable().assign(result); });
    rewriter.replaceOp(op, combined.getResult());
    rewriter.eraseOp(product);
    return success();
  }
};

struct MSAFuseEpilogues : msa::impl::MSAFuseEpiloguesBase<MSAFuseEpilogues> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RowsAsTheyAre, FuseConsumer>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

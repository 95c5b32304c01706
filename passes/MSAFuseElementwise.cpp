// SPDX-License-Identifier: Apache-2.0
//===- MSAFuseElementwise.cpp - elementwise chains become one op ----------===//
//
// Fuses a `linalg.generic` into its elementwise consumer when both run over the same space in the same order, so that nothing is
// computed twice:
//
//   %a = linalg.generic (d0, d1): %x * %w
//   %b = linalg.generic (d0, d1): %a + %r        becomes   %b = linalg.generic: %x * %w + %r
//
// Splat constants move into bodies. Not done across a broadcast: a value per row stays a value per row, which the row kernels of
// convert-msa-to-exec keep in a register. test/passes/msa-fuse-elementwise.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAFUSEELEMENTWISE
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

/// A scalar constant operand (rank 0, or a splat) moves into the body.
struct SplatIntoBody : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    for (OpOperand *input : op.getDpsInputOperands()) {
      DenseElementsAttr value;
      if (!isa<RankedTensorType>(input->get().getType()) || !matchPattern(input->get(), m_Constant(&value)) || !value.isSplat())
        continue;
      unsigned dropped = input->getOperandNumber();
      SmallVector<Value> inputs = op.getInputs();
      SmallVector<AffineMap> maps = op.getIndexingMapsArray();
      inputs.erase(inputs.begin() + dropped);
      maps.erase(maps.begin() + dropped);
      // The maps that are left must still bound every loop.
      AffineMap all = concatAffineMaps(maps, op.getContext());
      if (!inversePermutation(all))
        continue;
      auto fused = linalg::GenericOp::create(rewriter, op.getLoc(), op->getResultTypes(), inputs, op.getOutputs(),
                                             rewriter.getAffineMapArrayAttr(maps), op.getIteratorTypes(), op.getDocAttr(), op.getLibraryCallAttr());
      rewriter.inlineRegionBefore(op.getRegion(), fused.getRegion(), fused.getRegion().begin());
      Block &body = fused.getRegion().front();
      rewriter.setInsertionPointToStart(&body);
      Value scalar = arith::ConstantOp::create(rewriter, op.getLoc(), cast<TypedAttr>(value.getSplatValue<Attribute>()));
      rewriter.replaceAllUsesWith(body.getArgument(dropped), scalar);
      body.eraseArgument(dropped);
      rewriter.replaceOp(op, fused.getResults());
      return success();
    }
    return failure();
  }
};

struct MSAFuseElementwise : msa::impl::MSAFuseElementwiseBase<MSAFuseElementwise> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplatIntoBody>(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(patterns, [](OpOperand *operand) {
      auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
      auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
      if (!producer || !consumer)
        return false;
      // The same space, in the same order: both maps are the identity.
      if (!consumer.getMatchingIndexingMap(operand).isIdentity() ||
          !producer.getIndexingMapMatchingResult(cast<OpResult>(operand->get())).isIdentity())
        return false;
      return producer->hasOneUse();
    });
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument(), /*missed=*/false)))
      signalPassFailure();
  }
};

} // namespace

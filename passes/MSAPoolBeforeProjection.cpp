// SPDX-License-Identifier: Apache-2.0
//===- MSAPoolBeforeProjection.cpp - the mean of a product, P times cheaper ===//
//
//   %k = linalg.matmul %x, %w                     tokens x hidden times hidden x (heads * dim)
//   %rows = msa.pool (split %k) starts %starts mean normalize
//
// becomes
//
//   %p = msa.pool (%x as one head) starts %starts mean
//   %rows = linalg.matmul %p, %w, split, and normalised in linalg
//
// Proof: the mean over the tokens of a chunk is linear: mean_t (x_t W) = (mean_t x_t) W. The product is done once a chunk instead of once
// a token. Routing keys are projected so: no rotation and no norm stands between the projection and the pool.
//
// Not done for `max`, when the projection has another user, its weight is no constant, or anything stands between the two but a split into
// heads. test/passes/msa-pool-before-projection.mlir.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/QueryAlgebra.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAPOOLBEFOREPROJECTION
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

struct PoolFirst : OpRewritePattern<msa::PoolOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(msa::PoolOp op, PatternRewriter &rewriter) const override {
    if (op.getReduce() != msa::Reduce::mean)
      return rewriter.notifyMatchFailure(op, "does not take the mean");
    auto split = op.getX().getDefiningOp<tensor::ExpandShapeOp>();
    auto projection = split ? split.getSrc().getDefiningOp<linalg::MatmulOp>() : linalg::MatmulOp();
    if (!projection || !split->hasOneUse() || !projection->hasOneUse() || !projection.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "does not pool a projection of its own");
    if (split.getReassociationIndices() != SmallVector<ReassociationIndices>{{0}, {1, 2}})
      return rewriter.notifyMatchFailure(op, "pools something else than heads of a projection");
    ElementsAttr weight;
    if (!matchPattern(projection.getInputs()[1], m_Constant(&weight)))
      return rewriter.notifyMatchFailure(op, "the projection's weight is not a constant");
    auto fill = projection.getOutputs()[0].getDefiningOp<linalg::FillOp>();
    if (!fill || !matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
      return rewriter.notifyMatchFailure(op, "the projection adds to something");
    Value x = projection.getInputs()[0];
    auto xType = cast<RankedTensorType>(x.getType());
    auto rowsType = cast<RankedTensorType>(op.getRows().getType());
    AffineExpr m, n, k;
    bindDims(op.getContext(), m, n, k);
    if (projection.getIndexingMapsArray()[0] != AffineMap::get(3, 0, {m, k}, op.getContext()) || xType.isDynamicDim(1) || !xType.getElementType().isF32())
      return rewriter.notifyMatchFailure(op, "the projection reads transposed tokens, of unknown width or not in f32");

    Location loc = op.getLoc();
    OpFoldResult one = rewriter.getIndexAttr(1), hidden = rewriter.getIndexAttr(xType.getDimSize(1));
    auto asHead = RankedTensorType::get({xType.getDimSize(0), 1, xType.getDimSize(1)}, xType.getElementType());
    Value head = tensor::ExpandShapeOp::create(rewriter, loc, asHead, x, ArrayRef<ReassociationIndices>{{0}, {1, 2}},
                                               SmallVector<OpFoldResult>{tensor::getMixedSize(rewriter, loc, x, 0), one, hidden});
    auto pooledType = RankedTensorType::get({rowsType.getDimSize(0), 1, xType.getDimSize(1)}, xType.getElementType());
    Value pooled = msa::PoolOp::create(rewriter, loc, pooledType, head, op.getStarts(), op.getReduceAttr(), UnitAttr(), op.getEpsilonAttr());
    Value flat = tensor::CollapseShapeOp::create(rewriter, loc, pooled, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
    OpFoldResult chunks = tensor::getMixedSize(rewriter, loc, flat, 0);
    int64_t width = cast<RankedTensorType>(projection.getResult(0).getType()).getDimSize(1);
    Value init = msa::zeros(rewriter, loc, {chunks, rewriter.getIndexAttr(width)});
    auto product = linalg::MatmulOp::create(rewriter, loc, TypeRange{init.getType()}, ValueRange{flat, projection.getInputs()[1]}, ValueRange{init});
    product.setIndexingMapsAttr(projection.getIndexingMaps());
    Value rows = tensor::ExpandShapeOp::create(rewriter, loc, rowsType, product.getResult(0), ArrayRef<ReassociationIndices>{{0}, {1, 2}},
                                               SmallVector<OpFoldResult>{chunks, rewriter.getIndexAttr(rowsType.getDimSize(1)),
                                                                         rewriter.getIndexAttr(rowsType.getDimSize(2))});
    if (op.getNormalize())
      rows = msa::normalizeHeads(rewriter, loc, rows, op.getEpsilon().convertToDouble());
    rewriter.replaceOp(op, rows);
    return success();
  }
};

struct MSAPoolBeforeProjection : msa::impl::MSAPoolBeforeProjectionBase<MSAPoolBeforeProjection> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<PoolFirst>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

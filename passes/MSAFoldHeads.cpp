// SPDX-License-Identifier: Apache-2.0
//===- MSAFoldHeads.cpp - the mean over heads becomes one product ---------===//
//
//   msa.route %q : tensor<MxHxD> ... in %bank["rk"] (rows of Hk x D) heads mean
//
// becomes
//
//   %folded[t, 0, g * D + d] = 1/H * sum over h in group g of %q[t, h, d]
//   msa.route %folded : tensor<Mx1x(Hk*D)> ...
//
// Proof: a[t,c] = 1/H sum_h <q[t,h], key[c, h / (H/Hk)]> = sum_g <1/H sum_{h in g} q[t,h], key[c,g]>, the inner product of the
// concatenated groups with the key row as it lies in the bank. H/Hk times fewer multiplications, and a row is read once.
//
// Not done for `heads max` (a maximum is not linear) nor while the route still normalises (run msa-normalize-query first), nor
// where there is one head already. test/passes/msa-fold-heads.mlir.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/QueryAlgebra.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAFOLDHEADS
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

template <typename OpTy>
struct FoldHeads : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getQuery().getType());
    int64_t heads = type.getDimSize(1), dim = type.getDimSize(2);
    if (op.getHeadReduce() != msa::Reduce::mean)
      return rewriter.notifyMatchFailure(op, "heads are not reduced by their mean");
    if (op.getNormalize())
      return rewriter.notifyMatchFailure(op, "normalises its query");
    if (heads == 1 || ShapedType::isDynamic(heads) || ShapedType::isDynamic(dim))
      return rewriter.notifyMatchFailure(op, "has one head, or an unknown number");
    const msa::BankField *field = cast<msa::BankType>(op.getBank().getType()).getField(op.getField());
    if (!field || field->heads * field->dim % dim)
      return rewriter.notifyMatchFailure(op, "has no such field");
    int64_t groups = field->heads * field->dim / dim;
    Location loc = op.getLoc();
    MLIRContext *context = op.getContext();

    // [M, H, D] -> [M, Hk, H/Hk, D] -> mean over H, per group -> [M, Hk, D] -> [M, 1, Hk * D]
    Value query = op.getQuery();
    OpFoldResult tokens = tensor::getMixedSize(rewriter, loc, query, 0);
    auto split = RankedTensorType::get({type.getDimSize(0), groups, heads / groups, dim}, type.getElementType());
    SmallVector<OpFoldResult> splitSizes{tokens, rewriter.getIndexAttr(groups), rewriter.getIndexAttr(heads / groups), rewriter.getIndexAttr(dim)};
    Value grouped = tensor::ExpandShapeOp::create(rewriter, loc, split, query, ArrayRef<ReassociationIndices>{{0}, {1, 2}, {3}}, splitSizes);
    AffineExpr t, g, h, d;
    bindDims(context, t, g, h, d);
    Value init = msa::zeros(rewriter, loc, {tokens, rewriter.getIndexAttr(groups), rewriter.getIndexAttr(dim)});
    auto parallel = utils::IteratorType::parallel;
    Value sum = linalg::GenericOp::create(
                    rewriter, loc, init.getType(), ValueRange{grouped}, ValueRange{init},
                    ArrayRef{rewriter.getMultiDimIdentityMap(4), AffineMap::get(4, 0, {t, g, d}, context)},
                    ArrayRef{parallel, parallel, utils::IteratorType::reduction, parallel},
                    [&](OpBuilder &b, Location loc, ValueRange args) {
                      Value x = args[0];
                      if (!x.getType().isF32())
                        x = arith::ExtFOp::create(b, loc, b.getF32Type(), x);
                      Value share = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1.0 / heads));
                      Value part = arith::MulFOp::create(b, loc, x, share);
                      linalg::YieldOp::create(b, loc, arith::AddFOp::create(b, loc, args[1], part).getResult());
                    })
                    .getResult(0);
    Value flat = tensor::CollapseShapeOp::create(rewriter, loc, sum, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
    auto folded = RankedTensorType::get({type.getDimSize(0), 1, groups * dim}, rewriter.getF32Type());
    Value result = tensor::ExpandShapeOp::create(rewriter, loc, folded, flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}},
                                                 SmallVector<OpFoldResult>{tokens, rewriter.getIndexAttr(1), rewriter.getIndexAttr(groups * dim)});
    rewriter.modifyOpInPlace(op, [&] { op.getQueryMutable().assign(result); });
    return success();
  }
};

struct MSAFoldHeads : msa::impl::MSAFoldHeadsBase<MSAFoldHeads> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldHeads<msa::RouteOp>, FoldHeads<msa::ScoreOp>>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

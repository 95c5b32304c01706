// SPDX-License-Identifier: Apache-2.0
//===- MSAFoldQueryTokens.cpp - the mean over tokens becomes one query ----===//
//
//   msa.route %q : tensor<Mx1xD> mask %m ... query mean
//
// becomes
//
//   %mean[0, 0, d] = sum over t with %m[t] of %q[t, 0, d] / number of such t
//   msa.route %mean : tensor<1x1xD> mask [true] ... query mean
//
// Proof: with one head, b[c] = mean_t <q[t], key[c]> = <mean_t q[t], key[c]>. Every M then costs what M = 1 costs.
//
// Not done with more than one head (fold those first; a maximum over heads does not fold), while the route normalises, or where
// M is 1 already. test/passes/msa-fold-query-tokens.mlir.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/QueryAlgebra.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAFOLDQUERYTOKENS
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

template <typename OpTy>
struct FoldTokens : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getQuery().getType());
    if (op.getQueryReduce() != msa::Reduce::mean)
      return rewriter.notifyMatchFailure(op, "tokens are not reduced by their mean");
    if (op.getNormalize() || type.getDimSize(1) != 1)
      return rewriter.notifyMatchFailure(op, "normalises its query or has several heads");
    if (type.getDimSize(0) == 1)
      return rewriter.notifyMatchFailure(op, "has one token");
    Location loc = op.getLoc();
    MLIRContext *context = op.getContext();
    OpFoldResult one = rewriter.getIndexAttr(1);
    OpFoldResult dim = tensor::getMixedSize(rewriter, loc, op.getQuery(), 2);
    AffineExpr h, t, d; // tokens before dims: the inner loop runs over contiguous elements
    bindDims(context, h, t, d);
    AffineMap out = AffineMap::get(3, 0, {h, d}, context), in = AffineMap::get(3, 0, {t, h, d}, context), mask = AffineMap::get(3, 0, {t}, context);
    auto parallel = utils::IteratorType::parallel, reduction = utils::IteratorType::reduction;
    auto weight = [](OpBuilder &b, Location loc, Value flag) { return arith::UIToFPOp::create(b, loc, b.getF32Type(), flag).getResult(); };
    Value total = msa::zeros(rewriter, loc, {one, dim});
    Value sum = linalg::GenericOp::create(rewriter, loc, total.getType(), ValueRange{op.getQuery(), op.getMask()}, ValueRange{total},
                                          ArrayRef{in, mask, out}, ArrayRef{parallel, reduction, parallel},
                                          [&](OpBuilder &b, Location loc, ValueRange args) {
                                            Value x = args[0];
                                            if (!x.getType().isF32())
                                              x = arith::ExtFOp::create(b, loc, b.getF32Type(), x);
                                            Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
                                            Value part = arith::SelectOp::create(b, loc, args[1], x, zero);
                                            linalg::YieldOp::create(b, loc, arith::AddFOp::create(b, loc, args[2], part).getResult());
                                          })
                    .getResult(0);
    AffineExpr u, v;
    bindDims(context, u, v);
    Value none = msa::zeros(rewriter, loc, {one});
    Value count = linalg::GenericOp::create(rewriter, loc, none.getType(), ValueRange{op.getMask()}, ValueRange{none},
                                            ArrayRef{AffineMap::get(2, 0, {v}, context), AffineMap::get(2, 0, {u}, context)},
                                            ArrayRef{parallel, reduction},
                                            [&](OpBuilder &b, Location loc, ValueRange args) {
                                              linalg::YieldOp::create(b, loc, arith::AddFOp::create(b, loc, args[1], weight(b, loc, args[0])).getResult());
                                            })
                      .getResult(0);
    Value empty = tensor::EmptyOp::create(rewriter, loc, SmallVector<OpFoldResult>{one, dim}, rewriter.getF32Type());
    Value mean = linalg::GenericOp::create(rewriter, loc, empty.getType(), ValueRange{sum, count}, ValueRange{empty},
                                           ArrayRef{rewriter.getMultiDimIdentityMap(2), AffineMap::get(2, 0, {u}, context), rewriter.getMultiDimIdentityMap(2)},
                                           ArrayRef{parallel, parallel},
                                           [&](OpBuilder &b, Location loc, ValueRange args) {
                                             linalg::YieldOp::create(b, loc, arith::DivFOp::create(b, loc, args[0], args[1]).getResult());
                                           })
                     .getResult(0);
    auto folded = RankedTensorType::get({1, 1, type.getDimSize(2)}, rewriter.getF32Type());
    Value query = tensor::ExpandShapeOp::create(rewriter, loc, folded, mean, ArrayRef<ReassociationIndices>{{0, 1}, {2}}, SmallVector<OpFoldResult>{one, one, dim});
    Value flag = arith::ConstantOp::create(rewriter, loc, DenseElementsAttr::get(RankedTensorType::get({1}, rewriter.getI1Type()), true));
    rewriter.modifyOpInPlace(op, [&] {
      op.getQueryMutable().assign(query);
      op.getMaskMutable().assign(flag);
    });
    return success();
  }
};

struct MSAFoldQueryTokens : msa::impl::MSAFoldQueryTokensBase<MSAFoldQueryTokens> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldTokens<msa::RouteOp>, FoldTokens<msa::ScoreOp>>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

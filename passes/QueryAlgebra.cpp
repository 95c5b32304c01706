// SPDX-License-Identifier: Apache-2.0

#include "passes/QueryAlgebra.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

Value msa::zeros(OpBuilder &builder, Location loc, ArrayRef<OpFoldResult> sizes) {
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  Value zero = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0));
  return linalg::FillOp::create(builder, loc, ValueRange{zero}, ValueRange{empty}).getResult(0);
}

Value msa::normalizeHeads(OpBuilder &builder, Location loc, Value query, double epsilon) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, query);
  MLIRContext *context = builder.getContext();
  AffineExpr t, h, d;
  bindDims(context, t, h, d);
  AffineMap row = AffineMap::get(3, 0, {t, h}, context), all = builder.getMultiDimIdentityMap(3);
  auto parallel = utils::IteratorType::parallel;
  auto inF32 = [](OpBuilder &b, Location loc, Value value) -> Value {
    return value.getType().isF32() ? value : arith::ExtFOp::create(b, loc, b.getF32Type(), value).getResult();
  };
  Value squares = linalg::GenericOp::create(
                      builder, loc, zeros(builder, loc, ArrayRef(sizes).take_front(2)).getType(), ValueRange{query},
                      ValueRange{zeros(builder, loc, ArrayRef(sizes).take_front(2))}, ArrayRef{all, row},
                      ArrayRef{parallel, parallel, utils::IteratorType::reduction},
                      [&](OpBuilder &b, Location loc, ValueRange args) {
                        Value x = inF32(b, loc, args[0]);
                        Value square = arith::MulFOp::create(b, loc, x, x);
                        linalg::YieldOp::create(b, loc, arith::AddFOp::create(b, loc, args[1], square).getResult());
                      })
                      .getResult(0);
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  return linalg::GenericOp::create(builder, loc, empty.getType(), ValueRange{query, squares}, ValueRange{empty}, ArrayRef{all, row, all},
                                   ArrayRef{parallel, parallel, parallel},
                                   [&](OpBuilder &b, Location loc, ValueRange args) {
                                     Value norm = math::SqrtOp::create(b, loc, args[1]);
                                     Value least = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(epsilon));
                                     Value by = arith::MaximumFOp::create(b, loc, norm, least);
                                     linalg::YieldOp::create(b, loc, arith::DivFOp::create(b, loc, inF32(b, loc, args[0]), by).getResult());
                                   })
      .getResult(0);
}

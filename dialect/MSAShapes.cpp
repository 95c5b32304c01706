// SPDX-License-Identifier: Apache-2.0
//
// The dims of results in terms of those of operands, so that `tensor.dim` of a result leads back to the entry's arguments.
// Results whose length depends on data have none.

#include "dialect/MSAOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"

using namespace mlir;
using namespace msa;

/// The dims of the first result: a static one as an attribute, else what `dynamic` gives for its axis.
static LogicalResult reify(OpBuilder &builder, Operation *op, ReifiedRankedShapedTypeDims &shapes,
                           function_ref<OpFoldResult(int64_t axis)> dynamic) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  SmallVector<OpFoldResult> &dims = shapes.emplace_back();
  for (auto [axis, size] : llvm::enumerate(type.getShape()))
    dims.push_back(ShapedType::isDynamic(size) ? dynamic(axis) : OpFoldResult(builder.getIndexAttr(size)));
  return success();
}

static OpFoldResult dimOf(OpBuilder &builder, Location loc, Value tensor, int64_t axis) {
  return tensor::getMixedSize(builder, loc, tensor, axis);
}

static OpFoldResult sum(OpBuilder &builder, Location loc, OpFoldResult a, OpFoldResult b) {
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return builder.getIndexAttr(*x + *y);
  Value left = getValueOrCreateConstantIndexOp(builder, loc, a), right = getValueOrCreateConstantIndexOp(builder, loc, b);
  return builder.createOrFold<arith::AddIOp>(loc, left, right);
}

LogicalResult PoolOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  return reify(builder, *this, shapes, [&](int64_t axis) -> OpFoldResult {
    if (axis > 0)
      return dimOf(builder, getLoc(), getX(), axis);
    return sum(builder, getLoc(), dimOf(builder, getLoc(), getStarts(), 0), builder.getIndexAttr(-1));
  });
}

LogicalResult QuantizeOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  for (Type type : getResultTypes()) {
    SmallVector<OpFoldResult> &dims = shapes.emplace_back();
    for (auto [axis, size] : llvm::enumerate(cast<RankedTensorType>(type).getShape()))
      dims.push_back(ShapedType::isDynamic(size) ? dimOf(builder, getLoc(), getX(), axis) : OpFoldResult(builder.getIndexAttr(size)));
  }
  return success();
}

LogicalResult GatherOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  const BankField *field = getBank().getType().getField(getField());
  return reify(builder, *this, shapes, [&](int64_t axis) -> OpFoldResult {
    return axis == 0 ? dimOf(builder, getLoc(), getChunks(), 0) : builder.getIndexAttr(axis == 1 ? field->heads : field->dim);
  });
}

LogicalResult AttentionOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  int64_t last = getType().getRank() - 1;
  return reify(builder, *this, shapes,
               [&](int64_t axis) { return dimOf(builder, getLoc(), axis == last ? getValue() : getQuery(), axis); });
}

LogicalResult AppendOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  return reify(builder, *this, shapes, [&](int64_t axis) -> OpFoldResult {
    OpFoldResult before = dimOf(builder, getLoc(), getPast(), axis);
    return axis == static_cast<int64_t>(getAxis()) ? sum(builder, getLoc(), before, dimOf(builder, getLoc(), getRows(), axis)) : before;
  });
}

LogicalResult RopeOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  return reify(builder, *this, shapes, [&](int64_t axis) { return dimOf(builder, getLoc(), getX(), axis); });
}

LogicalResult MatmulOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  // A packed right-hand side does not tell N.
  if (getType().isDynamicDim(getType().getRank() - 1))
    return failure();
  return reify(builder, *this, shapes, [&](int64_t axis) { return dimOf(builder, getLoc(), getLhs(), axis); });
}

LogicalResult TakeOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  int64_t leading = getIndices().getType().getRank();
  return reify(builder, *this, shapes, [&](int64_t axis) {
    return axis < leading ? dimOf(builder, getLoc(), getIndices(), axis) : dimOf(builder, getLoc(), getTable(), axis - leading + 1);
  });
}

// SPDX-License-Identifier: Apache-2.0
//===- DenseOps.cpp - products, attention, rotations, lookups -------------===//

#include "passes/exec/EntryLowering.h"
#include "dialect/kernel/TileSizes.h"
#include "mlir/IR/IRMapping.h"
#include <limits>

using namespace mlir;
using namespace msa;
using namespace msa::exec;

std::optional<LogicalResult> EntryLowering::lowerDenseOp(Operation *op) {
  if (auto matmul = dyn_cast<MatmulOp>(op))
    return lowerMatmul(matmul);
  if (auto attention = dyn_cast<AttentionOp>(op))
    return lowerAttention(attention);
  if (auto take = dyn_cast<TakeOp>(op))
    return lowerTake(take);
  if (auto rope = dyn_cast<RopeOp>(op))
    return lowerRope(rope);
  return std::nullopt;
}

LogicalResult EntryLowering::lowerMatmul(MatmulOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> lhs = getContiguous(op.getLhs()), rhs = getContiguous(op.getRhs());
  if (failed(lhs) || failed(rhs))
    return failure();
  Extent m = product(loc, ArrayRef(lhs->dims).drop_back());
  int64_t k = op.getRhs().getType().getDimSize(1), n = op.getResult().getType().getShape().back();
  SmallVector<Binding, 2> extras;
  for (Value extra : op.getExtras()) {
    FailureOr<Binding> binding = getContiguous(extra);
    if (failed(binding))
      return failure();
    extras.push_back(binding->dims.size() == 1 && lhs->dims.size() != 1 ? *binding : reshape(*binding, {m, constant(n)}));
  }
  SmallVector<Extent> dims(lhs->dims.begin(), lhs->dims.end() - 1);
  dims.push_back(constant(n));
  Binding result = allocate(op.getResult(), dims);

  kernel::MatmulTile tile = kernel::chooseMatmulTile(k, n);
  Dispatch dispatch(*this, loc, "matmul_" + std::to_string(k) + "x" + std::to_string(n));
  Value x = dispatch.read(reshape(*lhs, {m, constant(k)})), w = dispatch.read(*rhs);
  SmallVector<Value> extraViews;
  for (const Binding &extra : extras)
    extraViews.push_back(dispatch.read(extra));
  Value y = dispatch.write(reshape(result, {m, constant(n)}));
  Value scratch = dispatch.scratch(kernel::matmulScratchBytes(k, tile));
  auto product = kernel::MatmulOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), x, w, extraViews, y, scratch,
                                          builder.getI64IntegerAttr(tile.rows), builder.getI64IntegerAttr(tile.columns));
  IRMapping mapping;
  op.getEpilogue().cloneInto(&product.getEpilogue(), mapping);
  Operation *yield = product.getEpilogue().front().getTerminator();
  OpBuilder inner(yield);
  kernel::YieldOp::create(inner, loc, yield->getOperands());
  yield->erase();
  if (failed(bringInside(dispatch, product.getEpilogue(), product)))
    return failure();
  dispatch.finish(mul(loc, ceilDiv(loc, m, constant(tile.rows)), constant(llvm::divideCeil(n, tile.columns))));
  bind(op.getResult(), result);
  return success();
}

/// All bindings of rank 4, `[B, tokens, heads, dim]`.
void EntryLowering::attend(Location loc, Binding query, Binding key, Binding value, std::optional<Binding> documents,
                           std::optional<Binding> mask, Binding result, bool causal, FloatAttr scale) {
  auto batched = [&](Binding &binding) {
    if (binding.dims.size() == 3)
      binding.dims.insert(binding.dims.begin(), constant(1));
  };
  for (Binding *binding : {&query, &key, &value, &result})
    batched(*binding);
  int64_t heads = *getConstantIntValue(query.dims[2]), kvHeads = *getConstantIntValue(key.dims[2]);
  int64_t dim = *getConstantIntValue(query.dims[3]), valueDim = *getConstantIntValue(value.dims[3]);
  int64_t rows = kernel::attentionRows(heads, kvHeads);
  Dispatch dispatch(*this, loc, "attention_" + std::to_string(heads) + "x" + std::to_string(kvHeads) + "x" + std::to_string(dim));
  Value q = dispatch.read(query), k = dispatch.read(key), v = dispatch.read(value);
  Value d = documents ? dispatch.read(*documents) : Value(), m = mask ? dispatch.read(*mask) : Value();
  Value y = dispatch.write(result);
  Value scratch = dispatch.scratch(kernel::attentionScratchBytes(heads, kvHeads, dim, valueDim, rows));
  kernel::AttentionOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), q, k, v, d, m, y, scratch,
                              causal ? builder.getUnitAttr() : UnitAttr(), scale, builder.getI64IntegerAttr(rows));
  dispatch.finish(mul(loc, mul(loc, query.dims[0], constant(kvHeads)), ceilDiv(loc, query.dims[1], constant(rows))));
}

LogicalResult EntryLowering::lowerAttention(AttentionOp op) {
  // The kernel reads through a permutation of tokens and heads; another view is copied.
  auto operand = [&](Value tensor) -> FailureOr<Binding> {
    FailureOr<Binding> binding = get(tensor);
    if (failed(binding) || binding->isContiguous() || !binding->view->order.empty())
      return binding;
    return getContiguous(tensor);
  };
  FailureOr<Binding> query = operand(op.getQuery()), key = operand(op.getKey()), value = operand(op.getValue());
  if (failed(query) || failed(key) || failed(value))
    return failure();
  std::optional<Binding> documents, mask;
  if (op.getDocuments()) {
    FailureOr<Binding> binding = getContiguous(op.getDocuments());
    if (failed(binding))
      return failure();
    documents = *binding;
  }
  if (op.getMask()) {
    FailureOr<Binding> binding = getContiguous(op.getMask());
    if (failed(binding))
      return failure();
    mask = *binding;
  }
  SmallVector<Extent> dims = query->dims;
  dims.back() = value->dims.back();
  Binding result = allocate(op.getOutput(), dims);
  attend(op.getLoc(), *query, *key, *value, documents, mask, result, op.getCausal(), op.getScaleAttr());
  bind(op.getOutput(), result);
  return success();
}

LogicalResult EntryLowering::lowerTake(TakeOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> table = getContiguous(op.getTable()), indices = getContiguous(op.getIndices());
  if (failed(table) || failed(indices))
    return failure();
  ArrayRef<Extent> rowDims = ArrayRef(table->dims).drop_front();
  SmallVector<Extent> dims = indices->dims;
  dims.append(rowDims.begin(), rowDims.end());
  Binding result = allocate(op.getResult(), dims);
  Extent row = product(loc, rowDims), count = product(loc, indices->dims);
  constexpr int64_t none = std::numeric_limits<int64_t>::min();
  Binding fault = allocateTemporary(loc, {constant(1)}, builder.getI64Type());
  StoreOp::create(builder, loc, materialize(loc, constant(none)), fault.slot, builder.getI64IntegerAttr(0));
  constexpr int64_t block = 16;
  Dispatch dispatch(*this, loc, "take");
  Value t = dispatch.read(reshape(*table, {table->dims[0], row})), i = dispatch.read(reshape(*indices, {count}));
  Value r = dispatch.write(reshape(result, {count, row})), f = dispatch.update(fault);
  kernel::TakeOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), t, i, r, f, block);
  dispatch.finish(ceilDiv(loc, count, constant(block)));
  Value value = LoadOp::create(builder, loc, builder.getIndexType(), fault.slot, builder.getI64IntegerAttr(0));
  Value fine = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, value, materialize(loc, constant(none)));
  Value rows = materialize(loc, table->dims[0]);
  std::string name;
  if (auto named = dyn_cast<NameLoc>(loc))
    name = " '" + named.getName().str() + "'";
  AssertOp::create(builder, loc, fine, "expected every index of the lookup" + name + " to be inside its table: index, rows of the table =", ValueRange{value, rows});
  bind(op.getResult(), result);
  return success();
}

LogicalResult EntryLowering::lowerRope(RopeOp op) {
  Location loc = op.getLoc();
  if (op.getInterleaved())
    return op.emitError("rotates interleaved pairs, which has no kernel yet");
  FailureOr<Binding> x = getContiguous(op.getX()), cos = getContiguous(op.getCos()), sin = getContiguous(op.getSin());
  if (failed(x) || failed(cos) || failed(sin))
    return failure();
  int64_t dim = *getConstantIntValue(x->dims.back());
  int64_t half = *getConstantIntValue(cos->dims.back());
  Binding result = allocate(op.getResult(), x->dims);
  Dispatch dispatch(*this, loc, "rope_" + std::to_string(dim));
  Value xs = dispatch.read(*x), cs = dispatch.read(*cos), ss = dispatch.read(*sin), ys = dispatch.write(result);
  OpBuilder &b = dispatch.body();
  SmallVector<Value> sizes;
  Extent rows = constant(1);
  for (Extent extent : ArrayRef(x->dims).drop_back()) {
    sizes.push_back(dispatch.index(extent));
    rows = mul(loc, rows, extent);
  }
  constexpr int64_t block = 32;
  auto loop = kernel::RowsOp::create(b, loc, dispatch.lo(), dispatch.hi(), sizes, b.getI64IntegerAttr(block));
  Block *body = b.createBlock(&loop.getBody(), {}, SmallVector<Type>(sizes.size(), b.getIndexType()), SmallVector<Location>(sizes.size(), loc));
  auto part = [&](Value memref, ArrayRef<Value> indices, int64_t offset, int64_t size) -> Value {
    SmallVector<OpFoldResult> offsets(indices.begin(), indices.end());
    offsets.push_back(b.getIndexAttr(offset));
    SmallVector<OpFoldResult> extents(indices.size(), b.getIndexAttr(1));
    extents.push_back(b.getIndexAttr(size));
    SmallVector<OpFoldResult> strides(indices.size() + 1, b.getIndexAttr(1));
    auto type = memref::SubViewOp::inferRankReducedResultType({size}, cast<MemRefType>(memref.getType()), offsets, extents, strides);
    return memref::SubViewOp::create(b, loc, cast<MemRefType>(type), memref, offsets, extents, strides);
  };
  SmallVector<Value> at(body->getArguments().begin(), body->getArguments().end());
  // cos and sin have no head axis; where their leading dims are 1 they serve every batch.
  SmallVector<Value> angle;
  for (int64_t axis = 0; axis + 1 < static_cast<int64_t>(cos->dims.size()); ++axis)
    angle.push_back(isConstantIntValue(cos->dims[axis], 1) && !isConstantIntValue(x->dims[axis], 1)
                        ? arith::ConstantIndexOp::create(b, loc, 0).getResult()
                        : at[axis]);
  Value x1 = part(xs, at, 0, half), x2 = part(xs, at, half, half), y1 = part(ys, at, 0, half), y2 = part(ys, at, half, half);
  Value c = part(cs, angle, 0, half), s = part(ss, angle, 0, half);
  AffineMap map = b.getMultiDimIdentityMap(1);
  linalg::GenericOp::create(
      b, loc, TypeRange{}, ValueRange{x1, x2, c, s}, ValueRange{y1, y2}, SmallVector<AffineMap>(6, map),
      SmallVector<utils::IteratorType>{utils::IteratorType::parallel}, [](OpBuilder &b, Location loc, ValueRange args) {
        Value first = arith::SubFOp::create(b, loc, arith::MulFOp::create(b, loc, args[0], args[2]), arith::MulFOp::create(b, loc, args[1], args[3]));
        Value second = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, args[1], args[2]), arith::MulFOp::create(b, loc, args[0], args[3]));
        linalg::YieldOp::create(b, loc, ValueRange{first, second});
      });
  if (2 * half < dim)
    linalg::CopyOp::create(b, loc, ValueRange{part(xs, at, 2 * half, dim - 2 * half)}, ValueRange{part(ys, at, 2 * half, dim - 2 * half)});
  kernel::YieldOp::create(b, loc, ValueRange{});
  b.setInsertionPointAfter(loop);
  dispatch.finish(ceilDiv(loc, rows, constant(block)));
  bind(op.getResult(), result);
  return success();
}

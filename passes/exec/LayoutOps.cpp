// SPDX-License-Identifier: Apache-2.0
//===- LayoutOps.cpp - ops that move or look at data ----------------------===//
//
// Reshapes cost nothing, slices are views, concatenations copy into parts of the result: whole ranges of bytes where they are
// contiguous, by a kernel where they are not.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/exec/EntryLowering.h"

using namespace mlir;
using namespace msa;
using namespace msa::exec;

/// Extents of mixed sizes or offsets of a tensor op.
static FailureOr<SmallVector<Extent>> extents(EntryLowering &entry, ArrayRef<OpFoldResult> values) {
  SmallVector<Extent> result;
  for (OpFoldResult value : values) {
    if (std::optional<int64_t> number = getConstantIntValue(value)) {
      result.push_back(entry.constant(*number));
      continue;
    }
    FailureOr<Extent> extent = entry.scalar(cast<Value>(value));
    if (failed(extent))
      return failure();
    result.push_back(*extent);
  }
  return result;
}

/// The row-wise copy of `source` to `target` as a kernel: rows of the last dim.
void EntryLowering::copyByKernel(Location loc, const Binding &source, const Binding &target) {
  Dispatch dispatch(*this, loc, "copy");
  Value from = dispatch.read(source), to = dispatch.write(target);
  OpBuilder &b = dispatch.body();
  int64_t rank = source.dims.size();
  SmallVector<Value> sizes;
  Extent rows = constant(1);
  for (Extent dim : ArrayRef(source.dims).drop_back(rank ? 1 : 0)) {
    sizes.push_back(dispatch.index(dim));
    rows = mul(loc, rows, dim);
  }
  constexpr int64_t block = 16;
  auto op = kernel::RowsOp::create(b, loc, dispatch.lo(), dispatch.hi(), sizes, b.getI64IntegerAttr(block));
  Block *body = b.createBlock(&op.getBody(), {}, SmallVector<Type>(sizes.size(), b.getIndexType()), SmallVector<Location>(sizes.size(), loc));
  auto row = [&](Value memref) -> Value {
    if (rank == 0)
      return memref;
    SmallVector<OpFoldResult> offsets(body->getArguments().begin(), body->getArguments().end());
    offsets.push_back(b.getIndexAttr(0));
    SmallVector<OpFoldResult> extent(rank - 1, b.getIndexAttr(1));
    std::optional<int64_t> last = getConstantIntValue(source.dims.back());
    extent.push_back(last ? OpFoldResult(b.getIndexAttr(*last)) : OpFoldResult(dispatch.index(source.dims.back())));
    SmallVector<OpFoldResult> strides(rank, b.getIndexAttr(1));
    auto type = memref::SubViewOp::inferRankReducedResultType({last.value_or(ShapedType::kDynamic)}, cast<MemRefType>(memref.getType()),
                                                              offsets, extent, strides);
    return memref::SubViewOp::create(b, loc, cast<MemRefType>(type), memref, offsets, extent, strides);
  };
  Value fromRow = row(from), toRow = row(to);
  linalg::CopyOp::create(b, loc, ValueRange{fromRow}, ValueRange{toRow});
  kernel::YieldOp::create(b, loc, ValueRange{});
  b.setInsertionPointAfter(op);
  dispatch.finish(ceilDiv(loc, rows, constant(block)));
}

/// Whether dims `axis + 1 ..` of the part are those of the whole and all dims before `axis` are 1: the part is one range of bytes.
static bool isRange(ArrayRef<Extent> dims, int64_t axis) {
  return llvm::all_of(dims.take_front(axis), [](Extent dim) { return isConstantIntValue(dim, 1); });
}

std::optional<LogicalResult> EntryLowering::lowerLayoutOp(Operation *op) {
  Location loc = op->getLoc();

  if (isa<tensor::EmptyOp>(op)) {
    fills[op->getResult(0)] = Value();
    return success();
  }
  if (auto castOp = dyn_cast<tensor::CastOp>(op)) {
    FailureOr<Binding> source = get(castOp.getSource());
    if (failed(source))
      return failure();
    // A static dim of the result is more than the register knows.
    for (auto [axis, dim] : llvm::enumerate(cast<RankedTensorType>(castOp.getType()).getShape()))
      if (!ShapedType::isDynamic(dim))
        source->dims[axis] = constant(dim);
    bind(castOp, *source);
    return success();
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    FailureOr<Binding> source = getContiguous(collapse.getSrc());
    if (failed(source))
      return failure();
    SmallVector<Extent> dims;
    for (const ReassociationIndices &group : collapse.getReassociationIndices()) {
      Extent dim = constant(1);
      for (int64_t axis : group)
        dim = mul(loc, dim, source->dims[axis]);
      dims.push_back(dim);
    }
    bind(collapse, reshape(*source, dims));
    return success();
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    FailureOr<Binding> source = getContiguous(expand.getSrc());
    FailureOr<SmallVector<Extent>> dims = extents(*this, expand.getMixedOutputShape());
    if (failed(source) || failed(dims))
      return failure();
    bind(expand, reshape(*source, *dims));
    return success();
  }
  if (auto reshapeOp = dyn_cast<tensor::ReshapeOp>(op)) {
    // The shape must be known as registers.
    FailureOr<Binding> source = getContiguous(reshapeOp.getSource());
    auto elements = reshapeOp.getShape().getDefiningOp<tensor::FromElementsOp>();
    if (failed(source))
      return failure();
    if (!elements)
      return op->emitError("reshapes to a shape that commands do not know");
    FailureOr<SmallVector<Extent>> dims = extents(*this, getAsOpFoldResult(elements.getElements()));
    if (failed(dims))
      return failure();
    bind(reshapeOp, reshape(*source, *dims));
    return success();
  }
  if (auto extract = dyn_cast<tensor::ExtractSliceOp>(op)) {
    FailureOr<Binding> source = getContiguous(extract.getSource());
    FailureOr<SmallVector<Extent>> offsets = extents(*this, extract.getMixedOffsets());
    FailureOr<SmallVector<Extent>> sizes = extents(*this, extract.getMixedSizes());
    if (failed(source) || failed(offsets) || failed(sizes))
      return failure();
    SmallVector<int64_t> strides;
    for (OpFoldResult stride : extract.getMixedStrides()) {
      std::optional<int64_t> value = getConstantIntValue(stride);
      if (!value)
        return op->emitError("expected constant strides");
      strides.push_back(*value);
    }
    llvm::SmallBitVector dropped = extract.getDroppedDims();
    Binding result = *source;
    result.dims.clear();
    for (auto [axis, size] : llvm::enumerate(*sizes))
      if (!dropped[axis])
        result.dims.push_back(size);
    // The axes that are cut; a cut of the leading non-unit axis alone is a range of bytes.
    SmallVector<int64_t> cut;
    for (auto [axis, size] : llvm::enumerate(*sizes))
      if (size != source->dims[axis] || !isConstantIntValue((*offsets)[axis], 0) || strides[axis] != 1)
        cut.push_back(axis);
    if (cut.empty()) {
      bind(extract, result);
      return success();
    }
    if (cut.size() == 1 && strides[cut[0]] == 1 && isRange(*sizes, cut[0])) {
      Extent inner = product(loc, ArrayRef(source->dims).drop_front(cut[0] + 1));
      result.offset = add(loc, source->offset, mul(loc, mul(loc, (*offsets)[cut[0]], inner), constant(elementBytes(source->element))));
      bind(extract, result);
      return success();
    }
    StridedView view;
    view.parentDims = source->dims;
    view.offsets = *offsets;
    view.strides = strides;
    for (size_t axis = 0; axis < sizes->size(); ++axis)
      view.dropped.push_back(dropped[axis]);
    result.view = view;
    bind(extract, result);
    return success();
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    int64_t axis = concat.getDim();
    SmallVector<Binding, 2> parts;
    Extent total = constant(0);
    for (Value input : concat.getInputs()) {
      FailureOr<Binding> part = get(input);
      if (failed(part))
        return failure();
      parts.push_back(*part);
      total = add(loc, total, part->dims[axis]);
    }
    SmallVector<Extent> dims = parts.front().dims;
    dims[axis] = total;
    Binding result = allocate(concat, dims);
    Extent at = constant(0);
    for (Binding &part : parts) {
      Binding target = slice(loc, result, axis, at, part.dims[axis]);
      if (part.isContiguous() && target.isContiguous())
        copy(loc, part, target.slot, target.offset);
      else
        copyByKernel(loc, part, target);
      at = add(loc, at, part.dims[axis]);
    }
    bind(concat, result);
    return success();
  }
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    FailureOr<Binding> source = get(insert.getSource());
    FailureOr<SmallVector<Extent>> offsets = extents(*this, insert.getMixedOffsets());
    FailureOr<SmallVector<Extent>> sizes = extents(*this, insert.getMixedSizes());
    if (failed(source) || failed(offsets) || failed(sizes))
      return failure();
    FailureOr<Binding> dest = getContiguous(insert.getDest());
    if (failed(dest))
      return failure();
    Binding result = allocate(insert, dest->dims);
    copy(loc, *dest, result.slot, constant(0));
    Binding target = result;
    target.dims = source->dims;
    StridedView view;
    view.parentDims = result.dims;
    view.offsets = *offsets;
    for (OpFoldResult stride : insert.getMixedStrides()) {
      std::optional<int64_t> value = getConstantIntValue(stride);
      if (!value)
        return op->emitError("expected constant strides");
      view.strides.push_back(*value);
    }
    llvm::SmallBitVector dropped = insert.getDroppedDims();
    for (size_t i = 0; i < sizes->size(); ++i)
      view.dropped.push_back(dropped[i]);
    target.view = view;
    copyByKernel(loc, *source, target);
    bind(insert, result);
    return success();
  }
  if (auto elements = dyn_cast<tensor::FromElementsOp>(op)) {
    // Shape values that are data after all.
    auto type = cast<RankedTensorType>(elements.getType());
    if (!type.getElementType().isInteger(64) && !type.getElementType().isIndex())
      return op->emitError("makes a tensor of host scalars of type ") << type.getElementType() << ": only i64 can be stored";
    SmallVector<Extent> dims;
    for (int64_t dim : type.getShape())
      dims.push_back(constant(dim));
    FailureOr<SmallVector<Extent>> values = extents(*this, getAsOpFoldResult(elements.getElements()));
    if (failed(values))
      return failure();
    Binding result = allocate(elements, dims);
    for (auto [i, value] : llvm::enumerate(*values))
      StoreOp::create(builder, loc, materialize(loc, value), result.slot, builder.getI64IntegerAttr(8 * i));
    bind(elements, result);
    return success();
  }
  return std::nullopt;
}

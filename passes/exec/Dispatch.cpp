// SPDX-License-Identifier: Apache-2.0

#include "passes/exec/EntryLowering.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::exec;

/// A one-line name of the place: the innermost names of a location.
static std::string describe(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : llvm::reverse(fused.getLocations()))
      if (std::string text = describe(part); !text.empty())
        return text;
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return describe(call.getCallee());
  return "";
}

Dispatch::Dispatch(EntryLowering &entry, Location loc, StringRef hint)
    : entry(entry), loc(loc), hint(hint), bodyBuilder(entry.getContext()) {
  OpBuilder detached(entry.getContext());
  auto index = detached.getIndexType();
  Type bytes = MemRefType::get({ShapedType::kDynamic}, detached.getI8Type());
  auto type = detached.getFunctionType({bytes, index, index}, {});
  kernel = KernelOp::create(detached, detached.getUnknownLoc(), "", type, ArrayRef<int32_t>{}, 0, ArrayAttr(), ArrayAttr());
  block = detached.createBlock(&kernel.getBody(), {}, {bytes, index, index}, SmallVector<Location>(3, detached.getUnknownLoc()));
  bodyBuilder.setInsertionPointToStart(block);
}

Dispatch::~Dispatch() {
  if (kernel) // Given up on the way, with an error.
    kernel->destroy();
}

Value Dispatch::buffer(Value slot, int32_t kind, Type type) {
  for (auto [i, known] : llvm::enumerate(buffers))
    if (known == slot && block->getArgument(i).getType() == type) {
      if (kinds[i] != kind)
        kinds[i] = 2; // read here and written there: an update
      return block->getArgument(i);
    }
  buffers.push_back(slot);
  kinds.push_back(kind);
  return block->insertArgument(buffers.size() - 1, type, bodyBuilder.getUnknownLoc());
}

Value Dispatch::spanList(const Binding &binding) {
  return buffer(binding.slot, /*SPANS=*/3, LLVM::LLVMPointerType::get(entry.getContext()));
}

Value Dispatch::index(Extent extent) {
  auto constant = [&](int64_t value) -> Value {
    // At the start of the body, so that one constant serves every use; CSE joins them.
    return arith::ConstantIndexOp::create(bodyBuilder, loc, value);
  };
  if (auto attr = dyn_cast<Attribute>(extent))
    return constant(*getConstantIntValue(attr));
  Value value = cast<Value>(extent);
  if (std::optional<int64_t> known = getConstantIntValue(value))
    return constant(*known);
  Value &argument = indices[value];
  if (!argument) {
    scalars.push_back(value);
    argument = block->insertArgument(buffers.size() + scalars.size() - 1, bodyBuilder.getIndexType(), bodyBuilder.getUnknownLoc());
  }
  return argument;
}

Value Dispatch::scratch(int64_t bytes) {
  scratchBytes = std::max(scratchBytes, bytes);
  return block->getArgument(block->getNumArguments() - 3);
}

Value Dispatch::view(const Binding &binding, int32_t kind) {
  OpBuilder &b = bodyBuilder;
  Value bytes = buffer(binding.slot, kind, MemRefType::get({ShapedType::kDynamic}, b.getI8Type()));
  ArrayRef<Extent> whole = binding.view ? ArrayRef(binding.view->parentDims) : ArrayRef(binding.dims);
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  for (Extent dim : whole) {
    std::optional<int64_t> size = getConstantIntValue(dim);
    shape.push_back(size.value_or(ShapedType::kDynamic));
    if (!size)
      dynamic.push_back(index(dim));
  }
  Value offset = index(binding.offset);
  Value result = memref::ViewOp::create(b, loc, MemRefType::get(shape, binding.element), bytes, offset, dynamic);
  if (!binding.view)
    return result;
  auto mixed = [&](Extent extent) -> OpFoldResult {
    if (std::optional<int64_t> value = getConstantIntValue(extent))
      return b.getIndexAttr(*value);
    return index(extent);
  };
  ArrayRef<unsigned> order = binding.view->order;
  SmallVector<Extent> inParentOrder(binding.dims.begin(), binding.dims.end());
  for (auto [i, from] : llvm::enumerate(order))
    inParentOrder[from] = binding.dims[i];
  SmallVector<OpFoldResult> offsets, sizes, strides;
  SmallVector<int64_t> kept;
  size_t next = 0;
  for (auto [axis, dropped] : llvm::enumerate(binding.view->dropped)) {
    offsets.push_back(mixed(binding.view->offsets[axis]));
    strides.push_back(b.getIndexAttr(binding.view->strides[axis]));
    if (dropped) {
      sizes.push_back(b.getIndexAttr(1));
      continue;
    }
    Extent size = inParentOrder[next++];
    sizes.push_back(mixed(size));
    kept.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  }
  auto type = memref::SubViewOp::inferRankReducedResultType(kept, cast<MemRefType>(result.getType()), offsets, sizes, strides);
  result = memref::SubViewOp::create(b, loc, cast<MemRefType>(type), result, offsets, sizes, strides);
  if (order.empty())
    return result;
  return memref::TransposeOp::create(b, loc, result, AffineMapAttr::get(AffineMap::getPermutationMap(order, b.getContext())));
}

void Dispatch::finish(Extent tiles) {
  EndOp::create(bodyBuilder, bodyBuilder.getUnknownLoc());
  kernel.setFunctionType(bodyBuilder.getFunctionType(block->getArgumentTypes(), {}));
  kernel.setParameters(kinds);
  kernel.setScratchBytes(scratchBytes);
  KernelOp shared = entry.getKernels().intern(kernel, hint);
  kernel = nullptr;
  OpBuilder &builder = entry.getBuilder();
  std::string place = describe(loc);
  Location where = place.empty() ? loc : NameLoc::get(builder.getStringAttr(place));
  DispatchOp::create(builder, where, shared.getSymName(), entry.materialize(loc, tiles), buffers, scalars);
}

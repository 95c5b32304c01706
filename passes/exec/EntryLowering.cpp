// SPDX-License-Identifier: Apache-2.0

#include "passes/exec/EntryLowering.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace msa;
using namespace msa::exec;

EntryLowering::EntryLowering(func::FuncOp function, KernelTable &kernels)
    : function(function), kernels(kernels), builder(function) {}

//===----------------------------------------------------------------------===//
// Registers
//===----------------------------------------------------------------------===//

Value EntryLowering::materialize(Location loc, Extent extent) {
  if (auto value = dyn_cast<Value>(extent))
    return value;
  return arith::ConstantIndexOp::create(builder, loc, *getConstantIntValue(extent));
}

template <typename OpTy>
static Extent binary(EntryLowering &entry, Location loc, Extent lhs, Extent rhs) {
  Value a = entry.materialize(loc, lhs), b = entry.materialize(loc, rhs);
  OpBuilder &builder = entry.getBuilder();
  Value result = builder.createOrFold<OpTy>(loc, a, b);
  for (Value operand : {a, b}) // Constants that folding left without users.
    if (operand != result && operand.use_empty() && operand.getDefiningOp<arith::ConstantOp>())
      operand.getDefiningOp()->erase();
  if (std::optional<int64_t> value = getConstantIntValue(result)) {
    if (result.use_empty())
      result.getDefiningOp()->erase();
    return builder.getIndexAttr(*value);
  }
  return result;
}

Extent EntryLowering::add(Location loc, Extent lhs, Extent rhs) { return binary<arith::AddIOp>(*this, loc, lhs, rhs); }
Extent EntryLowering::sub(Location loc, Extent lhs, Extent rhs) { return binary<arith::SubIOp>(*this, loc, lhs, rhs); }
Extent EntryLowering::mul(Location loc, Extent lhs, Extent rhs) { return binary<arith::MulIOp>(*this, loc, lhs, rhs); }
Extent EntryLowering::min(Location loc, Extent lhs, Extent rhs) { return binary<arith::MinSIOp>(*this, loc, lhs, rhs); }
Extent EntryLowering::ceilDiv(Location loc, Extent lhs, Extent rhs) {
  if (isConstantIntValue(rhs, 1))
    return lhs;
  return binary<arith::CeilDivSIOp>(*this, loc, lhs, rhs);
}
Extent EntryLowering::product(Location loc, ArrayRef<Extent> extents) {
  Extent result = constant(1);
  for (Extent extent : extents)
    result = mul(loc, result, extent);
  return result;
}

FailureOr<Extent> EntryLowering::scalar(Value value) {
  if (auto it = scalars.find(value); it != scalars.end())
    return it->second;
  APInt number;
  if (matchPattern(value, m_ConstantInt(&number)))
    return Extent(constant(number.getSExtValue()));
  return emitError(value.getLoc(), "has no register: expected an index, integer or boolean that commands can compute");
}

//===----------------------------------------------------------------------===//
// Slots
//===----------------------------------------------------------------------===//

int64_t EntryLowering::elementBytes(Type element) {
  return element.isIndex() ? 8 : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

Extent EntryLowering::bytes(Location loc, ArrayRef<Extent> dims, Type element) {
  return mul(loc, product(loc, dims), constant(elementBytes(element)));
}

FailureOr<Binding> EntryLowering::get(Value tensor) {
  if (auto it = bindings.find(tensor); it != bindings.end())
    return it->second;
  Location loc = tensor.getLoc();
  ElementsAttr value;
  if (auto op = tensor.getDefiningOp<arith::ConstantOp>())
    value = dyn_cast<ElementsAttr>(op.getValue());
  if (value) {
    Binding binding;
    ConstantOp constantOp = kernels.intern(value, loc);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&entry.getBody().front());
    binding.slot = GetConstantOp::create(builder, loc, BufferType::get(getContext()), constantOp.getSymName());
    binding.offset = constant(0);
    for (int64_t dim : value.getShapedType().getShape())
      binding.dims.push_back(constant(dim));
    binding.element = value.getElementType();
    bindings[tensor] = binding;
    return binding;
  }
  // A fill that something other than a linalg init reads.
  if (auto it = fills.find(tensor); it != fills.end()) {
    if (!it->second)
      return emitError(loc, "reads a tensor that nothing has written");
    SmallVector<Extent> dims;
    Value source = tensor;
    while (auto fill = source.getDefiningOp<linalg::FillOp>())
      source = fill.getOutputs()[0];
    auto empty = source.getDefiningOp<tensor::EmptyOp>();
    if (!empty)
      return emitError(loc, "expected a fill of a tensor.empty");
    for (OpFoldResult dim : empty.getMixedSizes()) {
      FailureOr<Extent> extent = isa<Value>(dim) ? scalar(cast<Value>(dim)) : FailureOr<Extent>(constant(*getConstantIntValue(dim)));
      if (failed(extent))
        return failure();
      dims.push_back(*extent);
    }
    Binding binding = allocate(tensor, dims);
    Attribute fillValue;
    if (!matchPattern(it->second, m_Constant(&fillValue)))
      return emitError(loc, "expected a constant fill");
    Dispatch dispatch(*this, loc, "fill");
    // Flattened: chunks of 4096 elements.
    Binding flat = binding;
    Extent count = product(loc, dims);
    flat.dims = {count};
    Value target = dispatch.write(flat);
    OpBuilder &b = dispatch.body();
    Value total = dispatch.index(count);
    Value chunk = arith::ConstantIndexOp::create(b, loc, 4096);
    auto rows = kernel::RowsOp::create(b, loc, dispatch.lo(), dispatch.hi(), ValueRange{dispatch.index(ceilDiv(loc, count, constant(4096)))}, b.getI64IntegerAttr(1));
    Block *block = b.createBlock(&rows.getBody(), {}, {b.getIndexType()}, {loc});
    Value start = arith::MulIOp::create(b, loc, block->getArgument(0), chunk);
    Value size = arith::MinSIOp::create(b, loc, arith::SubIOp::create(b, loc, total, start), chunk);
    Value part = memref::SubViewOp::create(b, loc, target, ArrayRef<OpFoldResult>{start}, ArrayRef<OpFoldResult>{size},
                                           ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
    Value fillScalar = arith::ConstantOp::create(b, loc, cast<TypedAttr>(fillValue));
    linalg::FillOp::create(b, loc, ValueRange{fillScalar}, ValueRange{part});
    kernel::YieldOp::create(b, loc, ValueRange{});
    b.setInsertionPointAfter(rows);
    dispatch.finish(ceilDiv(loc, count, constant(4096)));
    bindings[tensor] = binding;
    return binding;
  }
  return emitError(loc, "has no buffer: its producer was not lowered");
}

FailureOr<Binding> EntryLowering::getContiguous(Value tensor) {
  FailureOr<Binding> binding = get(tensor);
  if (failed(binding) || binding->isContiguous())
    return binding;
  Binding copied = allocateTemporary(tensor.getLoc(), binding->dims, binding->element);
  copyByKernel(tensor.getLoc(), *binding, copied);
  bindings[tensor] = copied;
  return copied;
}

Binding EntryLowering::allocate(Value tensor, ArrayRef<Extent> dims, std::optional<Extent> size) {
  Location loc = tensor.getLoc();
  Binding binding;
  binding.offset = constant(0);
  binding.dims.assign(dims.begin(), dims.end());
  binding.element = cast<RankedTensorType>(tensor.getType()).getElementType();
  IntegerAttr output;
  if (auto it = outputOf.find(tensor); it != outputOf.end() && !outputDone[it->second]) {
    output = builder.getI64IntegerAttr(it->second);
    outputDone[it->second] = true;
  }
  Value bytesValue = materialize(loc, size ? *size : bytes(loc, dims, binding.element));
  binding.slot = AllocOp::create(builder, loc, BufferType::get(getContext()), bytesValue, output);
  return binding;
}

Binding EntryLowering::allocateTemporary(Location loc, ArrayRef<Extent> dims, Type element) {
  Binding binding;
  binding.offset = constant(0);
  binding.dims.assign(dims.begin(), dims.end());
  binding.element = element;
  binding.slot = AllocOp::create(builder, loc, BufferType::get(getContext()), materialize(loc, bytes(loc, dims, element)), IntegerAttr());
  return binding;
}

void EntryLowering::copy(Location loc, const Binding &source, Value targetSlot, Extent targetOffset) {
  assert(source.isContiguous());
  CopyOp::create(builder, loc, source.slot, materialize(loc, source.offset), targetSlot, materialize(loc, targetOffset),
                 materialize(loc, bytes(loc, source.dims, source.element)));
}

Binding EntryLowering::reshape(const Binding &binding, ArrayRef<Extent> dims) {
  assert(binding.isContiguous());
  Binding result = binding;
  result.dims.assign(dims.begin(), dims.end());
  return result;
}

Binding EntryLowering::slice(Location loc, const Binding &whole, int64_t axis, Extent offset, Extent size) {
  assert(whole.isContiguous());
  Binding result = whole;
  result.dims[axis] = size;
  bool leading = llvm::all_of(ArrayRef(whole.dims).take_front(axis), [](Extent dim) { return isConstantIntValue(dim, 1); });
  if (leading) {
    Extent inner = product(loc, ArrayRef(whole.dims).drop_front(axis + 1));
    Extent skipped = mul(loc, mul(loc, offset, inner), constant(elementBytes(whole.element)));
    result.offset = add(loc, whole.offset, skipped);
    return result;
  }
  StridedView view;
  view.parentDims = whole.dims;
  view.offsets.assign(whole.dims.size(), constant(0));
  view.offsets[axis] = offset;
  view.strides.assign(whole.dims.size(), 1);
  view.dropped.assign(whole.dims.size(), false);
  result.view = view;
  return result;
}

//===----------------------------------------------------------------------===//
// The entry
//===----------------------------------------------------------------------===//

/// The value whose memory `value` is, through ops that only look at it differently.
static Value storageOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

static ArrayAttr dimNames(OpBuilder &builder, Attribute attr, Type type) {
  if (auto names = dyn_cast_or_null<ArrayAttr>(attr))
    return names;
  return builder.getStrArrayAttr(SmallVector<StringRef>(cast<RankedTensorType>(type).getRank(), ""));
}

LogicalResult EntryLowering::run() {
  Location loc = function.getLoc();
  SmallVector<Attribute> inputNames, inputTypes, inputDims, outputNames, outputTypes, outputDims;
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    if (!isa<RankedTensorType>(argument.getType()))
      return function.emitError("expected argument ") << i << " to be a ranked tensor, but got " << argument.getType();
    auto name = function.getArgAttrOfType<StringAttr>(i, "onnx.name");
    inputNames.push_back(name ? name : builder.getStringAttr("in" + std::to_string(i)));
    inputTypes.push_back(TypeAttr::get(argument.getType()));
    inputDims.push_back(dimNames(builder, function.getArgAttr(i, "onnx.dims"), argument.getType()));
    // Rows of a bank may lie in several places.
    spans.push_back(llvm::any_of(argument.getUses(), [](OpOperand &use) {
      auto bind = dyn_cast<BindOp>(use.getOwner());
      return bind && use.getOperandNumber() < bind.getRows().size();
    }));
  }
  auto returnOp = cast<func::ReturnOp>(function.front().getTerminator());
  aliases.assign(returnOp.getNumOperands(), -1);
  outputDone.assign(returnOp.getNumOperands(), false);
  for (auto [i, value] : llvm::enumerate(returnOp.getOperands())) {
    if (!isa<RankedTensorType>(value.getType()))
      return function.emitError("expected result ") << i << " to be a ranked tensor, but got " << value.getType();
    auto name = function.getResultAttrOfType<StringAttr>(i, "onnx.name");
    outputNames.push_back(name ? name : builder.getStringAttr("out" + std::to_string(i)));
    outputTypes.push_back(TypeAttr::get(value.getType()));
    outputDims.push_back(dimNames(builder, function.getResultAttr(i, "onnx.dims"), value.getType()));
    Value storage = storageOf(value);
    outputOf.try_emplace(storage, i);
    if (auto append = storage.getDefiningOp<AppendOp>(); append && append.getAxis() == 0)
      if (auto argument = dyn_cast<BlockArgument>(append.getPast()))
        aliases[i] = argument.getArgNumber();
  }
  // One input can share memory with one output only.
  llvm::SmallDenseMap<int64_t, unsigned> aliasUses;
  for (int64_t alias : aliases)
    if (alias >= 0)
      ++aliasUses[alias];
  for (int64_t &alias : aliases)
    if (alias >= 0 && (aliasUses[alias] > 1 || !function.getArgument(alias).hasOneUse()))
      alias = -1;

  builder.setInsertionPoint(function);
  entry = EntryOp::create(builder, loc, function.getSymName(), builder.getArrayAttr(inputNames), builder.getArrayAttr(inputTypes),
                          builder.getArrayAttr(inputDims), builder.getDenseBoolArrayAttr(spans), builder.getArrayAttr(outputNames),
                          builder.getArrayAttr(outputTypes), builder.getArrayAttr(outputDims), builder.getDenseI64ArrayAttr(aliases));
  Block *body = builder.createBlock(&entry.getBody());
  for (BlockArgument argument : function.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    Binding binding;
    binding.slot = body->addArgument(BufferType::get(getContext()), argument.getLoc());
    binding.offset = constant(0);
    binding.element = type.getElementType();
    for (int64_t dim : type.getShape())
      binding.dims.push_back(constant(dim));
    bindings[argument] = binding;
  }
  // Dims with one name are one register: that of the first input that has it.
  builder.setInsertionPointToStart(body);
  llvm::StringMap<Value> named;
  for (BlockArgument argument : function.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    Binding &binding = bindings[argument];
    auto names = cast<ArrayAttr>(inputDims[argument.getArgNumber()]);
    for (int64_t axis = 0; axis < type.getRank(); ++axis) {
      if (!type.isDynamicDim(axis))
        continue;
      StringRef name = cast<StringAttr>(names[axis]).getValue();
      Value known = name.empty() ? Value() : named.lookup(name);
      if (!known) {
        known = DimOp::create(builder, loc, builder.getIndexType(), binding.slot, builder.getI64IntegerAttr(axis));
        if (!name.empty())
          named[name] = known;
      }
      binding.dims[axis] = known;
    }
  }

  formGroups();
  LogicalResult result = success();
  for (Operation &op : function.front().without_terminator())
    if (failed(lower(&op)))
      result = failure(); // Go on: every op that cannot be lowered is reported in one run.
  if (failed(result) || failed(lowerReturn(returnOp)))
    return failure();
  insertFrees();
  return success();
}

LogicalResult EntryLowering::lower(Operation *op) {
  for (auto lowering : {&EntryLowering::lowerScalarOp, &EntryLowering::lowerLayoutOp, &EntryLowering::lowerLinalgOp,
                        &EntryLowering::lowerMemoryOp, &EntryLowering::lowerDenseOp})
    if (std::optional<LogicalResult> result = (this->*lowering)(op))
      return *result;
  return op->emitError() << "'" << op->getName() << "' cannot be turned into commands or a kernel";
}

std::optional<LogicalResult> EntryLowering::lowerScalarOp(Operation *op) {
  Location loc = op->getLoc();
  if (auto constantOp = dyn_cast<arith::ConstantOp>(op)) {
    // Tensors are bound where they are used; floats live in kernels.
    if (auto number = dyn_cast<IntegerAttr>(constantOp.getValue()))
      scalars[constantOp] = constant(number.getValue().isSingleWord() && number.getType().isInteger(1)
                                         ? static_cast<int64_t>(number.getValue().getZExtValue())
                                         : number.getInt());
    return success();
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    std::optional<int64_t> axis = dim.getConstantIndex();
    if (!axis)
      return op->emitError("expected a constant axis");
    if (fills.count(dim.getSource())) {
      auto empty = dim.getSource().getDefiningOp<tensor::EmptyOp>();
      if (!empty)
        return op->emitError("is the dim of a fill: run canonicalization first");
      Extent size = empty.getMixedSizes()[*axis];
      FailureOr<Extent> extent = isa<Value>(size) ? scalar(cast<Value>(size)) : FailureOr<Extent>(constant(*getConstantIntValue(size)));
      if (failed(extent))
        return failure();
      scalars[dim] = *extent;
      return success();
    }
    FailureOr<Binding> source = get(dim.getSource());
    if (failed(source))
      return failure();
    scalars[dim] = source->dims[*axis];
    return success();
  }
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    if (!extract.getType().isInteger(64))
      return op->emitError("reads a single ") << extract.getType() << " on the host: only i64 can become a register";
    FailureOr<Binding> source = getContiguous(extract.getTensor());
    if (failed(source))
      return failure();
    int64_t position = 0;
    for (auto [index, dim] : llvm::zip(extract.getIndices(), source->dims)) {
      FailureOr<Extent> at = scalar(index);
      if (failed(at))
        return failure();
      std::optional<int64_t> i = getConstantIntValue(*at), n = getConstantIntValue(dim);
      if (!i || (!n && position != 0))
        return op->emitError("expected constant indices of a tensor that a register is read from");
      position = position * n.value_or(1) + *i;
    }
    std::optional<int64_t> offset = getConstantIntValue(source->offset);
    if (!offset)
      return op->emitError("expected a register to be read from a constant offset");
    scalars[extract] = LoadOp::create(builder, loc, builder.getIndexType(), source->slot, builder.getI64IntegerAttr(*offset + position * 8)).getResult();
    return success();
  }
  if (auto assertOp = dyn_cast<cf::AssertOp>(op)) {
    FailureOr<Extent> condition = scalar(assertOp.getArg());
    if (failed(condition))
      return failure();
    if (isConstantIntValue(*condition, 1))
      return success();
    Value flag = isa<Value>(*condition) ? cast<Value>(*condition)
                                        : arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false)).getResult();
    AssertOp::create(builder, loc, flag, assertOp.getMsg(), ValueRange{});
    return success();
  }
  // Casts between index and integers, and widenings, change nothing: a register has 64 bits.
  if (isa<arith::IndexCastOp, arith::ExtSIOp, arith::IndexCastUIOp>(op) && !op->getOperand(0).getType().isInteger(1)) {
    if (isa<ShapedType>(op->getResult(0).getType()))
      return std::nullopt;
    FailureOr<Extent> operand = scalar(op->getOperand(0));
    if (failed(operand))
      return failure();
    scalars[op->getResult(0)] = *operand;
    return success();
  }
  if (isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::FloorDivSIOp, arith::CeilDivSIOp, arith::RemSIOp, arith::DivSIOp, arith::MinSIOp,
          arith::MaxSIOp, arith::CmpIOp, arith::AndIOp, arith::OrIOp, arith::SelectOp>(op)) {
    if (isa<ShapedType>(op->getResult(0).getType()) || isa<FloatType>(op->getResult(0).getType()))
      return std::nullopt;
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      FailureOr<Extent> extent = scalar(operand);
      if (failed(extent))
        return failure();
      if (operand.getType().isInteger(1) && isa<Attribute>(*extent))
        operands.push_back(arith::ConstantOp::create(builder, loc, builder.getBoolAttr(*getConstantIntValue(*extent) != 0)));
      else
        operands.push_back(materialize(loc, *extent));
    }
    Type type = op->getResult(0).getType().isInteger(1) ? Type(builder.getI1Type()) : Type(builder.getIndexType());
    Operation *clone = builder.create(loc, op->getName().getIdentifier(), operands, {type}, op->getAttrs());
    scalars[op->getResult(0)] = clone->getResult(0);
    return success();
  }
  return std::nullopt;
}

LogicalResult EntryLowering::lowerReturn(func::ReturnOp op) {
  Location loc = op.getLoc();
  SmallVector<Value> dims;
  for (auto [i, value] : llvm::enumerate(op.getOperands())) {
    FailureOr<Binding> binding = getContiguous(value);
    if (failed(binding))
      return failure();
    auto alloc = binding->slot.getDefiningOp<AllocOp>();
    bool inPlace = alloc && alloc.getOutput() && static_cast<size_t>(*alloc.getOutput()) == i && isConstantIntValue(binding->offset, 0);
    if (!inPlace) {
      // An argument, a constant, a value that is returned twice: the output gets a copy.
      Value size = materialize(loc, bytes(loc, binding->dims, binding->element));
      Value slot = AllocOp::create(builder, loc, BufferType::get(getContext()), size, builder.getI64IntegerAttr(i));
      copy(loc, *binding, slot, constant(0));
    }
    for (auto [axis, dim] : llvm::enumerate(binding->dims))
      if (cast<RankedTensorType>(value.getType()).isDynamicDim(axis))
        dims.push_back(materialize(loc, dim));
  }
  ReturnOp::create(builder, loc, dims);
  return success();
}

void EntryLowering::insertFrees() {
  Block &body = entry.getBody().front();
  for (AllocOp alloc : llvm::make_early_inc_range(body.getOps<AllocOp>())) {
    if (alloc.getOutput())
      continue;
    Operation *last = alloc;
    for (Operation *user : alloc->getUsers())
      if (last->isBeforeInBlock(user))
        last = user;
    builder.setInsertionPointAfter(last);
    FreeOp::create(builder, alloc.getLoc(), alloc.getBuffer());
  }
}

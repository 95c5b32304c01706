// SPDX-License-Identifier: Apache-2.0

#include "codegen/artifact/EntryProgram.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace msa;

namespace {

llvm::Expected<schema::ElementType> elementType(Type type) {
  if (type.isF32())
    return schema::ElementType::F32;
  if (type.isF16())
    return schema::ElementType::F16;
  if (type.isBF16())
    return schema::ElementType::BF16;
  if (type.isF64())
    return schema::ElementType::F64;
  if (isa<Float8E4M3FNType>(type))
    return schema::ElementType::F8E4M3FN;
  if (auto integer = dyn_cast<IntegerType>(type)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1:
      return schema::ElementType::BOOL;
    case 8:
      return isUnsigned ? schema::ElementType::U8 : schema::ElementType::I8;
    case 16:
      return isUnsigned ? schema::ElementType::U16 : schema::ElementType::I16;
    case 32:
      return isUnsigned ? schema::ElementType::U32 : schema::ElementType::I32;
    case 64:
      return isUnsigned ? schema::ElementType::U64 : schema::ElementType::I64;
    }
  }
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return llvm::createStringError("element type " + text + " has no place in an artifact");
}

/// One entry's tables under construction.
class EntryBuilder {
public:
  EntryBuilder(flatbuffers::FlatBufferBuilder &builder, exec::EntryOp entry, const ProgramTables &tables,
               const llvm::StringMap<uint32_t> &kernelIndex)
      : builder(builder), entry(entry), tables(tables), kernelIndex(kernelIndex) {}

  llvm::Expected<flatbuffers::Offset<schema::Entry>> build();

private:
  uint32_t define(Value value) { return registers.try_emplace(value, registerCount).second ? registerCount++ : registers.lookup(value); }
  /// Constants are registers too, each set once, where it is first used.
  uint32_t use(Value value);
  void push(schema::Command kind, flatbuffers::Offset<void> command) {
    commands.push_back(schema::CreateCommandHolder(builder, kind, command));
  }
  uint32_t slot(Value value) { return slots.lookup(value); }
  uint32_t addSlot(schema::SlotKind kind, uint32_t index) {
    slotTable.push_back(schema::Slot(kind, index));
    return slotTable.size() - 1;
  }
  flatbuffers::Offset<schema::Dim> dim(int64_t value, std::optional<uint32_t> reg, StringRef name) {
    auto text = builder.CreateString(name.str());
    schema::DimBuilder dim(builder);
    dim.add_value(value);
    if (reg)
      dim.add_register_(*reg);
    dim.add_name(text);
    return dim.Finish();
  }
  llvm::Error command(Operation *op);
  llvm::Error binary(Operation *op, schema::BinaryKind kind);

  flatbuffers::FlatBufferBuilder &builder;
  exec::EntryOp entry;
  const ProgramTables &tables;
  const llvm::StringMap<uint32_t> &kernelIndex;
  DenseMap<Value, uint32_t> registers;
  uint32_t registerCount = 0;
  DenseMap<Value, uint32_t> slots;
  std::vector<schema::Slot> slotTable;
  std::vector<flatbuffers::Offset<schema::CommandHolder>> commands;
};

uint32_t EntryBuilder::use(Value value) {
  auto it = registers.find(value);
  if (it != registers.end())
    return it->second;
  APInt number;
  bool isConstant = matchPattern(value, m_ConstantInt(&number));
  assert(isConstant && "a register is used before its command");
  (void)isConstant;
  uint32_t reg = define(value);
  int64_t word = value.getType().isInteger(1) ? number.getZExtValue() : number.getSExtValue();
  push(schema::Command::Const, schema::CreateConst(builder, reg, word).Union());
  return reg;
}

llvm::Error EntryBuilder::binary(Operation *op, schema::BinaryKind kind) {
  uint32_t lhs = use(op->getOperand(0)), rhs = use(op->getOperand(1));
  push(schema::Command::Binary, schema::CreateBinary(builder, define(op->getResult(0)), kind, lhs, rhs).Union());
  return llvm::Error::success();
}

llvm::Error EntryBuilder::command(Operation *op) {
  using Kind = schema::BinaryKind;
  if (isa<arith::ConstantOp>(op) || isa<exec::DimOp>(op) || isa<exec::ReturnOp>(op))
    return llvm::Error::success(); // constants where they are used; dims with the inputs; the return with the outputs
  if (isa<arith::AddIOp>(op))
    return binary(op, Kind::ADD);
  if (isa<arith::SubIOp>(op))
    return binary(op, Kind::SUB);
  if (isa<arith::MulIOp>(op))
    return binary(op, Kind::MUL);
  if (isa<arith::FloorDivSIOp, arith::DivSIOp>(op))
    return binary(op, Kind::FLOOR_DIV); // of lengths, which are not negative: truncation is the floor
  if (isa<arith::CeilDivSIOp>(op))
    return binary(op, Kind::CEIL_DIV);
  if (isa<arith::RemSIOp>(op))
    return binary(op, Kind::MOD);
  if (isa<arith::MinSIOp>(op))
    return binary(op, Kind::MINIMUM);
  if (isa<arith::MaxSIOp>(op))
    return binary(op, Kind::MAXIMUM);
  if (isa<arith::AndIOp>(op))
    return binary(op, Kind::AND);
  if (isa<arith::OrIOp>(op))
    return binary(op, Kind::OR);
  if (auto compare = dyn_cast<arith::CmpIOp>(op)) {
    Value lhs = compare.getLhs(), rhs = compare.getRhs();
    Kind kind;
    switch (compare.getPredicate()) {
    case arith::CmpIPredicate::eq:
      kind = Kind::EQ;
      break;
    case arith::CmpIPredicate::ne:
      kind = Kind::NE;
      break;
    case arith::CmpIPredicate::sgt:
    case arith::CmpIPredicate::ugt:
      std::swap(lhs, rhs);
      [[fallthrough]];
    case arith::CmpIPredicate::slt:
    case arith::CmpIPredicate::ult:
      kind = Kind::LT;
      break;
    case arith::CmpIPredicate::sge:
    case arith::CmpIPredicate::uge:
      std::swap(lhs, rhs);
      [[fallthrough]];
    case arith::CmpIPredicate::sle:
    case arith::CmpIPredicate::ule:
      kind = Kind::LE;
      break;
    }
    uint32_t l = use(lhs), r = use(rhs);
    push(schema::Command::Binary, schema::CreateBinary(builder, define(compare), kind, l, r).Union());
    return llvm::Error::success();
  }
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    uint32_t condition = use(select.getCondition()), yes = use(select.getTrueValue()), no = use(select.getFalseValue());
    push(schema::Command::Select, schema::CreateSelect(builder, define(select), condition, yes, no).Union());
    return llvm::Error::success();
  }
  if (auto constant = dyn_cast<exec::GetConstantOp>(op)) {
    slots[constant] = addSlot(schema::SlotKind::CONSTANT, tables.constantIndex.lookup(constant.getConstant()));
    return llvm::Error::success();
  }
  if (auto alloc = dyn_cast<exec::AllocOp>(op)) {
    uint32_t index = alloc.getOutput() ? addSlot(schema::SlotKind::OUTPUT, *alloc.getOutput()) : addSlot(schema::SlotKind::ARENA, 0);
    slots[alloc] = index;
    uint32_t size = use(alloc.getSize());
    push(schema::Command::Alloc, schema::CreateAlloc(builder, index, size).Union());
    return llvm::Error::success();
  }
  if (auto free = dyn_cast<exec::FreeOp>(op)) {
    push(schema::Command::Free, schema::CreateFree(builder, slot(free.getBuffer())).Union());
    return llvm::Error::success();
  }
  if (auto copy = dyn_cast<exec::CopyOp>(op)) {
    uint32_t to = use(copy.getTargetOffset()), from = use(copy.getSourceOffset()), size = use(copy.getSize());
    push(schema::Command::Copy, schema::CreateCopy(builder, slot(copy.getTarget()), to, slot(copy.getSource()), from, size).Union());
    return llvm::Error::success();
  }
  if (auto load = dyn_cast<exec::LoadOp>(op)) {
    push(schema::Command::Load, schema::CreateLoad(builder, define(load), slot(load.getBuffer()), load.getOffset()).Union());
    return llvm::Error::success();
  }
  if (auto store = dyn_cast<exec::StoreOp>(op)) {
    uint32_t value = use(store.getValue());
    push(schema::Command::Store, schema::CreateStore(builder, slot(store.getBuffer()), store.getOffset(), value).Union());
    return llvm::Error::success();
  }
  if (auto assertOp = dyn_cast<exec::AssertOp>(op)) {
    uint32_t condition = use(assertOp.getCondition());
    std::vector<uint32_t> values;
    for (Value value : assertOp.getValues())
      values.push_back(use(value));
    auto message = builder.CreateString(assertOp.getMessage().str());
    auto list = builder.CreateVector(values);
    push(schema::Command::Assert, schema::CreateAssert(builder, condition, message, list).Union());
    return llvm::Error::success();
  }
  if (auto dispatch = dyn_cast<exec::DispatchOp>(op)) {
    uint32_t tiles = use(dispatch.getTiles());
    std::vector<uint32_t> buffers, scalars;
    for (Value buffer : dispatch.getBuffers())
      buffers.push_back(slot(buffer));
    for (Value scalar : dispatch.getScalars())
      scalars.push_back(use(scalar));
    std::string place;
    if (auto name = dyn_cast<NameLoc>(dispatch.getLoc()))
      place = name.getName().str();
    auto bufferList = builder.CreateVector(buffers);
    auto scalarList = builder.CreateVector(scalars);
    auto location = builder.CreateString(place);
    push(schema::Command::Dispatch,
         schema::CreateDispatch(builder, kernelIndex.lookup(dispatch.getKernel()), tiles, bufferList, scalarList, location).Union());
    return llvm::Error::success();
  }
  return llvm::createStringError("entry '" + entry.getSymName() + "': op '" + op->getName().getStringRef() + "' has no command");
}

llvm::Expected<flatbuffers::Offset<schema::Entry>> EntryBuilder::build() {
  Block &body = entry.getBody().front();

  // Inputs, and the registers that their shapes define: one for each exec.dim, shared by the dims of its name.
  llvm::StringMap<uint32_t> named;
  DenseMap<std::pair<Value, int64_t>, uint32_t> dims;
  for (auto op : body.getOps<exec::DimOp>()) {
    auto argument = dyn_cast<BlockArgument>(op.getInput());
    if (!argument)
      return llvm::createStringError("entry '" + entry.getSymName() + "': 'exec.dim' of something that is not an input");
    uint32_t reg;
    if (auto it = dims.find({argument, op.getAxis()}); it != dims.end()) {
      reg = it->second;
      registers[op] = reg;
    } else {
      reg = define(op);
      dims[{argument, static_cast<int64_t>(op.getAxis())}] = reg;
    }
    StringRef name = cast<StringAttr>(cast<ArrayAttr>(entry.getInputDims()[argument.getArgNumber()])[op.getAxis()]).getValue();
    if (!name.empty())
      named.try_emplace(name, reg);
  }
  std::vector<flatbuffers::Offset<schema::Input>> inputs;
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    slots[argument] = addSlot(schema::SlotKind::INPUT, i);
    auto type = cast<RankedTensorType>(cast<TypeAttr>(entry.getInputTypes()[i]).getValue());
    auto names = cast<ArrayAttr>(entry.getInputDims()[i]);
    std::vector<flatbuffers::Offset<schema::Dim>> shape;
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      StringRef name = cast<StringAttr>(names[axis]).getValue();
      if (!ShapedType::isDynamic(size)) {
        shape.push_back(dim(size, std::nullopt, name));
        continue;
      }
      uint32_t reg;
      if (auto it = dims.find({argument, static_cast<int64_t>(axis)}); it != dims.end())
        reg = it->second;
      else if (auto it = named.find(name); !name.empty() && it != named.end())
        reg = it->second;
      else {
        reg = registerCount++; // A dim that nothing reads still has a register: the shape is checked against it.
        if (!name.empty())
          named.try_emplace(name, reg);
      }
      shape.push_back(dim(0, reg, name));
    }
    llvm::Expected<schema::ElementType> element = elementType(type.getElementType());
    if (!element)
      return element.takeError();
    auto name = builder.CreateString(cast<StringAttr>(entry.getInputNames()[i]).str());
    auto shapeVector = builder.CreateVector(shape);
    inputs.push_back(schema::CreateInput(builder, name, *element, shapeVector, entry.getSpans()[i]));
  }

  for (Operation &op : body)
    if (llvm::Error error = command(&op))
      return std::move(error);

  auto returnOp = cast<exec::ReturnOp>(body.getTerminator());
  size_t next = 0;
  std::vector<flatbuffers::Offset<schema::Output>> outputs;
  for (size_t i = 0; i < entry.getOutputTypes().size(); ++i) {
    auto type = cast<RankedTensorType>(cast<TypeAttr>(entry.getOutputTypes()[i]).getValue());
    auto names = cast<ArrayAttr>(entry.getOutputDims()[i]);
    std::vector<flatbuffers::Offset<schema::Dim>> shape;
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      StringRef name = cast<StringAttr>(names[axis]).getValue();
      shape.push_back(ShapedType::isDynamic(size) ? dim(0, use(returnOp.getDims()[next++]), name) : dim(size, std::nullopt, name));
    }
    llvm::Expected<schema::ElementType> element = elementType(type.getElementType());
    if (!element)
      return element.takeError();
    auto name = builder.CreateString(cast<StringAttr>(entry.getOutputNames()[i]).str());
    auto shapeVector = builder.CreateVector(shape);
    schema::OutputBuilder output(builder);
    output.add_name(name);
    output.add_type(*element);
    output.add_dims(shapeVector);
    if (entry.getAliases()[i] >= 0)
      output.add_alias_input(entry.getAliases()[i]);
    outputs.push_back(output.Finish());
  }

  auto name = builder.CreateString(entry.getSymName().str());
  auto inputVector = builder.CreateVector(inputs);
  auto outputVector = builder.CreateVector(outputs);
  auto slotVector = builder.CreateVectorOfStructs(slotTable);
  auto commandVector = builder.CreateVector(commands);
  return schema::CreateEntry(builder, name, inputVector, outputVector, registerCount, slotVector, commandVector);
}

} // namespace

llvm::Expected<ProgramOffsets> msa::buildProgram(flatbuffers::FlatBufferBuilder &builder, ModuleOp module, const ProgramTables &tables) {
  ProgramOffsets result;
  llvm::StringMap<uint32_t> kernelIndex;
  std::vector<flatbuffers::Offset<schema::Kernel>> kernels;
  for (auto kernel : module.getOps<exec::KernelOp>()) {
    kernelIndex[kernel.getSymName()] = kernels.size();
    std::vector<uint8_t> parameters(kernel.getParameters().begin(), kernel.getParameters().end());
    auto symbol = builder.CreateString(kernel.getSymName().str());
    auto parameterVector = builder.CreateVector(reinterpret_cast<const schema::ParameterKind *>(parameters.data()), parameters.size());
    kernels.push_back(schema::CreateKernel(builder, symbol, parameterVector, kernel.getScalarCount(), kernel.getScratchBytes()));
  }
  result.kernels = builder.CreateVector(kernels);

  std::vector<flatbuffers::Offset<schema::Constant>> constants;
  for (const ProgramTables::Constant &constant : tables.constants) {
    auto name = builder.CreateString(constant.name);
    constants.push_back(schema::CreateConstant(builder, constant.segment, constant.offset, constant.size, name));
  }
  result.constants = builder.CreateVector(constants);

  std::vector<flatbuffers::Offset<schema::Entry>> entries;
  for (auto entry : module.getOps<exec::EntryOp>()) {
    llvm::Expected<flatbuffers::Offset<schema::Entry>> offset = EntryBuilder(builder, entry, tables, kernelIndex).build();
    if (!offset)
      return offset.takeError();
    entries.push_back(*offset);
  }
  result.entries = builder.CreateVector(entries);
  return result;
}

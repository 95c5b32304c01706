// SPDX-License-Identifier: Apache-2.0

#include "Decode.h"
#include <algorithm>
#include <bit>

namespace ptxemu {

//===--------------------------------------------------------------------===//
// CodeBuilder
//===--------------------------------------------------------------------===//

static constexpr uint32_t registerLimit = 256u << 20, localLimit = 1u << 19, sharedLimit = 1u << 20;

int32_t CodeBuilder::allocateRegister(Type type) {
  int32_t slot = int32_t(code.registerBytes);
  code.registerBytes += registerBytes(type);
  if (code.registerBytes > registerLimit)
    throw Error("too many registers");
  return slot;
}

int32_t CodeBuilder::constant(Constant::Kind kind, uint64_t value, uint32_t variable, bool wide) {
  auto [entry, isNew] = constants.try_emplace(Key{value, uint32_t(kind) * 2 + wide, variable}, 0);
  if (isNew) {
    entry->second = allocateRegister(wide ? Type::B64 : Type::B32);
    code.constants.push_back({entry->second, wide, kind, value, variable});
  }
  return entry->second;
}

int32_t CodeBuilder::constant(uint64_t value, bool wide) {
  return constant(Constant::Kind::Value, wide ? value : uint32_t(value), 0, wide);
}

int32_t CodeBuilder::symbolAddress(const Symbol &symbol, uint64_t addend, bool wide) {
  switch (symbol.kind) {
  case Symbol::Kind::Variable:
    return constant(Constant::Kind::Variable, addend, uint32_t(symbol.address), wide);
  case Symbol::Kind::DynamicShared:
    return constant(Constant::Kind::DynamicShared, addend, 0, wide);
  default:
    return constant(symbol.address + addend, wide);
  }
}

int32_t CodeBuilder::special(SpecialRegister which, bool wide) {
  auto [entry, isNew] = specials.try_emplace(which, 0);
  if (isNew) {
    entry->second = allocateRegister(wide ? Type::B64 : Type::B32);
    code.specials.push_back({entry->second, which});
  }
  return entry->second;
}

int32_t CodeBuilder::carryFlag() {
  if (carrySlot == noSlot)
    carrySlot = allocateRegister(Type::Pred);
  return carrySlot;
}

static uint32_t place(uint32_t &used, uint64_t bytes, uint32_t alignment, uint32_t limit, const char *what, int line) {
  uint64_t begin = (uint64_t(used) + alignment - 1) / alignment * alignment;
  if (bytes > limit || begin + bytes > limit)
    throw Error(std::string("more than ") + std::to_string(limit) + " bytes of " + what, line);
  used = uint32_t(begin + bytes);
  return uint32_t(begin);
}

uint32_t CodeBuilder::allocateLocal(uint64_t bytes, uint32_t alignment, int line) {
  return place(code.localBytes, bytes, alignment, localLimit, "local memory", line);
}

uint32_t CodeBuilder::allocateShared(uint64_t bytes, uint32_t alignment, int line) {
  return sharedBase + place(code.staticShared, bytes, alignment, sharedLimit, "shared memory", line);
}

List CodeBuilder::addList(const std::vector<int32_t> &slots) {
  List list{uint32_t(code.lists.size()), uint32_t(slots.size())};
  code.lists.insert(code.lists.end(), slots.begin(), slots.end());
  return list;
}

//===--------------------------------------------------------------------===//
// Decoding: modifiers
//===--------------------------------------------------------------------===//

Decoding::Decoding(CodeBuilder &builder, std::vector<std::string_view> parts, std::vector<Operand> operands, int line, bool inFunction)
    : builder(builder), parts(std::move(parts)), operands(std::move(operands)), line(line), inFunction(inFunction),
      taken(this->parts.size(), false) {
  taken[0] = true;
  info.line = line;
  info.kind = this->parts[0];
}

void Decoding::fail(const std::string &what) const { throw Error("'" + std::string(parts[0]) + "': " + what, line); }

bool Decoding::take(std::string_view modifier) {
  for (size_t i = 1; i < parts.size(); ++i)
    if (!taken[i] && parts[i] == modifier) {
      taken[i] = true;
      return true;
    }
  return false;
}

int Decoding::takeOneOf(std::initializer_list<std::string_view> choices) {
  int index = 0;
  for (std::string_view choice : choices) {
    if (take(choice))
      return index;
    ++index;
  }
  return -1;
}

Type Decoding::takeTypeIfAny() {
  for (size_t i = 1; i < parts.size(); ++i)
    if (!taken[i])
      if (Type type = typeNamed(parts[i]); type != Type::None) {
        taken[i] = true;
        return type;
      }
  return Type::None;
}

Type Decoding::takeType() {
  Type type = takeTypeIfAny();
  if (type == Type::None)
    fail("expected a type");
  return type;
}

std::string_view Decoding::peekModifier() const {
  for (size_t i = 1; i < parts.size(); ++i)
    if (!taken[i])
      return parts[i];
  return {};
}

std::string_view Decoding::takeAny(const char *what) {
  for (size_t i = 1; i < parts.size(); ++i)
    if (!taken[i]) {
      taken[i] = true;
      return parts[i];
    }
  fail(std::string("expected ") + what);
}

bool Decoding::has(std::string_view modifier) const {
  for (size_t i = 1; i < parts.size(); ++i)
    if (parts[i] == modifier)
      return true;
  return false;
}

void Decoding::finish() {
  for (size_t i = 1; i < parts.size(); ++i)
    if (!taken[i])
      fail("modifier '." + std::string(parts[i]) + "' is unknown or not supported here");
}

//===--------------------------------------------------------------------===//
// Decoding: operands
//===--------------------------------------------------------------------===//

void Decoding::expectOperands(size_t least, size_t most) {
  if (operands.size() < least || operands.size() > most)
    fail("has " + std::to_string(operands.size()) + " operands: expected " +
         (least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most)));
}

uint64_t Decoding::immediateBits(const Operand &operand, Type type) const {
  uint64_t bits = operand.bits;
  if (operand.kind == Operand::Kind::Integer) {
    if (type == Type::Pred)
      return bits ? 0xffffffff : 0;
  } else {
    double value = operand.kind == Operand::Kind::Single ? double(std::bit_cast<float>(uint32_t(bits))) : std::bit_cast<double>(bits);
    if (type == Type::F64)
      bits = std::bit_cast<uint64_t>(value);
    else if (type == Type::F32 || (operand.kind == Operand::Kind::Double && typeBytes(type) == 4))
      bits = operand.kind == Operand::Kind::Single ? bits : std::bit_cast<uint32_t>(float(value));
  }
  uint32_t bytes = typeBytes(type);
  return bytes == 8 ? bits : bits & ((uint64_t(1) << (8 * bytes)) - 1);
}

static int32_t widthBits(Type type) { return typeBytes(type) == 8 ? wideSlot : typeBytes(type) <= 2 ? narrowSlot : 0; }

static std::string describe(const Operand &operand) { return operand.name.empty() ? "operand" : "'" + operand.name + "'"; }

int32_t Decoding::read(const Operand &operand, Type type) {
  bool wide = typeBytes(type) == 8;
  switch (operand.kind) {
  case Operand::Kind::Register:
    if ((operand.type == Type::Pred) != (type == Type::Pred) || (type != Type::Pred && typeBytes(operand.type) != typeBytes(type)))
      fail(describe(operand) + " is ." + std::string(typeName(operand.type)) + ": expected the width of ." + std::string(typeName(type)));
    if (operand.negated)
      fail("'!' is not supported before " + describe(operand));
    info.reads.push_back(operand.slot);
    return operand.slot;
  case Operand::Kind::Integer:
  case Operand::Kind::Single:
  case Operand::Kind::Double:
    return builder.constant(immediateBits(operand, type), wide);
  case Operand::Kind::Name:
    if (!operand.hasSymbol)
      fail("unknown name '" + operand.name + "'");
    if (operand.symbol.kind == Symbol::Kind::Function)
      fail("addresses of functions are not supported: '" + operand.name + "'");
    if (typeBytes(type) < 4)
      fail("the address of '" + operand.name + "' needs 32 or 64 bits");
    return builder.symbolAddress(operand.symbol, operand.bits, wide);
  default:
    fail("expected a register or a number, found " + describe(operand));
  }
}

int32_t Decoding::write(const Operand &operand, Type type) {
  if (operand.kind == Operand::Kind::Discard)
    return noSlot;
  if (operand.kind != Operand::Kind::Register)
    fail("expected a register as destination");
  if ((operand.type == Type::Pred) != (type == Type::Pred) || (type != Type::Pred && typeBytes(operand.type) != typeBytes(type)))
    fail(describe(operand) + " is ." + std::string(typeName(operand.type)) + ": expected the width of ." + std::string(typeName(type)));
  info.writes.push_back(operand.slot);
  return operand.slot;
}

int32_t Decoding::readLoose(const Operand &operand, Type type) {
  if (operand.kind != Operand::Kind::Register)
    return read(operand, type) | (typeBytes(type) == 8 ? wideSlot : 0);
  if (operand.type == Type::Pred || typeBytes(operand.type) < typeBytes(type))
    fail(describe(operand) + " is ." + std::string(typeName(operand.type)) + ": too narrow for ." + std::string(typeName(type)));
  info.reads.push_back(operand.slot);
  return operand.slot | widthBits(operand.type);
}

int32_t Decoding::writeLoose(const Operand &operand, Type type) {
  if (operand.kind == Operand::Kind::Discard)
    return noSlot;
  if (operand.kind != Operand::Kind::Register || operand.type == Type::Pred || typeBytes(operand.type) < typeBytes(type))
    fail(describe(operand) + ": expected a register of at least the width of ." + std::string(typeName(type)));
  info.writes.push_back(operand.slot);
  return operand.slot | widthBits(operand.type);
}

int32_t Decoding::readPredicate(const Operand &operand, bool &negated) {
  negated = operand.negated;
  Operand plain = operand;
  plain.negated = false;
  return read(plain, Type::Pred);
}

int32_t Decoding::writePredicate(const Operand &operand) { return write(operand, Type::Pred); }

int32_t Decoding::address(const Operand &operand, int64_t &offset) {
  if (operand.kind != Operand::Kind::Address)
    fail("expected an address in brackets");
  if (operand.hasSymbol) {
    offset = 0;
    return builder.symbolAddress(operand.symbol, operand.bits, true) | wideSlot;
  }
  offset = int64_t(operand.bits);
  if (operand.slot == noSlot)
    return builder.constant(0, true) | wideSlot;
  if (operand.type == Type::Pred || typeBytes(operand.type) < 4)
    fail("the base of an address must have 32 or 64 bits");
  info.reads.push_back(operand.slot);
  return operand.slot | widthBits(operand.type);
}

bool Decoding::isImmediate(size_t index) const { return operands[index].kind == Operand::Kind::Integer; }

uint64_t Decoding::immediate(size_t index) {
  if (!isImmediate(index))
    fail("operand " + std::to_string(index + 1) + " must be an immediate number");
  return operands[index].bits;
}

bool isCacheHint(std::string_view m) {
  for (std::string_view known : {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "L2::cache_hint"})
    if (m == known)
      return true;
  return m.starts_with("L1::") || m.starts_with("L2::");
}

const DecoderTable &decoderTable() {
  static const DecoderTable table = [] {
    DecoderTable made;
    for (auto add : {addIntegerDecoders, addBitFieldDecoders, addFloatDecoders, addConvertDecoders, addCompareDecoders, addMoveDecoders, addMemoryDecoders,
                     addAtomicDecoders, addControlDecoders, addExchangeDecoders, addBarrierDecoders, addMbarrierDecoders, addCopyDecoders,
                     addMatrixDecoders, addWgmmaDecoders})
      add(made);
    return made;
  }();
  return table;
}

} // namespace ptxemu

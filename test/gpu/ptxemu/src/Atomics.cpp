// SPDX-License-Identifier: Apache-2.0
//
// atom and red.

#include "DecodeAccess.h"
#include "FloatMath.h"
#include "Lanes.h"
#include "Reduction.h"

namespace ptxemu {

uint64_t reduceValues(Reduction operation, Type type, uint64_t old, uint64_t value, uint64_t second) {
  auto integer = [&]<typename T>(T) -> uint64_t {
    using U = std::make_unsigned_t<T>;
    T a = T(old), b = T(value);
    switch (operation) {
    case Reduction::Add: return U(U(a) + U(b));
    case Reduction::Min: return U(std::min(a, b));
    case Reduction::Max: return U(std::max(a, b));
    case Reduction::And: return U(a & b);
    case Reduction::Or: return U(a | b);
    case Reduction::Xor: return U(a ^ b);
    case Reduction::Exchange: return U(b);
    case Reduction::CompareAndSwap: return U(a) == U(b) ? U(second) : U(a);
    case Reduction::Increment: return U(a) >= U(b) ? 0 : U(U(a) + 1);
    case Reduction::Decrement: return U(a) == 0 || U(a) > U(b) ? U(b) : U(U(a) - 1);
    }
    return 0;
  };
  auto floating = [&](auto a, auto b) {
    return operation == Reduction::Min ? minimum(a, b) : operation == Reduction::Max ? maximum(a, b) : a + b;
  };
  auto small = [&](uint64_t a, uint64_t b, bool half) -> uint64_t {
    return half ? floatToFloat16(floating(float16ToFloat(uint16_t(a)), float16ToFloat(uint16_t(b))))
                : floatToBfloat16(floating(bfloat16ToFloat(uint16_t(a)), bfloat16ToFloat(uint16_t(b))));
  };
  bool arithmetic = operation <= Reduction::Max;
  switch (type) {
  case Type::F32:
    if (arithmetic)
      return std::bit_cast<uint32_t>(floating(std::bit_cast<float>(uint32_t(old)), std::bit_cast<float>(uint32_t(value))));
    break;
  case Type::F64:
    if (arithmetic)
      return std::bit_cast<uint64_t>(floating(std::bit_cast<double>(old), std::bit_cast<double>(value)));
    break;
  case Type::F16: case Type::BF16:
    if (arithmetic)
      return small(old, value, type == Type::F16);
    break;
  case Type::F16x2: case Type::BF16x2:
    if (arithmetic)
      return small(old >> 16, value >> 16, type == Type::F16x2) << 16 | small(old & 0xffff, value & 0xffff, type == Type::F16x2);
    break;
  case Type::S32: return integer(int32_t());
  case Type::S64: return integer(int64_t());
  default: break;
  }
  switch (typeBytes(type)) {
  case 1: return integer(uint8_t());
  case 2: return integer(uint16_t());
  case 8: return integer(uint64_t());
  default: return integer(uint32_t());
  }
}

bool reductionSupports(Reduction operation, Type type) {
  switch (operation) {
  case Reduction::Add:
    return type == Type::U32 || type == Type::S32 || type == Type::U64 || type == Type::S64 || type == Type::F32 || type == Type::F64 ||
           type == Type::F16 || type == Type::BF16 || type == Type::F16x2 || type == Type::BF16x2;
  case Reduction::Min: case Reduction::Max:
    return type == Type::U32 || type == Type::S32 || type == Type::U64 || type == Type::S64 || type == Type::F16 || type == Type::BF16 ||
           type == Type::F16x2 || type == Type::BF16x2 || type == Type::F32;
  case Reduction::And: case Reduction::Or: case Reduction::Xor:
    return type == Type::B32 || type == Type::B64;
  case Reduction::Exchange: return type == Type::B32 || type == Type::B64;
  case Reduction::CompareAndSwap: return type == Type::B16 || type == Type::B32 || type == Type::B64;
  case Reduction::Increment: case Reduction::Decrement: return type == Type::U32;
  }
  return false;
}

namespace {

/// a: Space; b: Reduction; c: Order; d: Scope; slots[0]: old value; slots[1], immediate: address; list 0: values; list 1: second values
/// (of cas); list 2: further old values of vectors.
Step atomic(Warp &warp, const Insn &insn, uint32_t mask) {
  const int32_t *values = warp.code->list(insn, 0), *seconds = warp.code->list(insn, 1), *olds = warp.code->list(insn, 2);
  uint32_t count = insn.lists[0].count, size = typeBytes(insn.type);
  WarpAccess access;
  access.bytes = size * count;
  access.space = Space(insn.a);
  access.mask = mask;
  access.kind = AccessKind::Atomic;
  access.strong = true;
  access.what = "atomic";
  computeAddresses(warp, insn.slots[1], insn.immediate, access.address);
  uint32_t valid = resolve(warp, access);
  if (valid) {
    auto order = Order(insn.c);
    auto scope = Scope(insn.d);
    // red makes no acquire pattern: it returns nothing.
    if (insn.lists[2].count)
      observeWords(warp, access, valid, order, scope);
    publishWords(warp, access, valid, order, scope, true);
  }
  uint64_t old[32][8];
  for (uint32_t lanes = valid; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    for (uint32_t e = 0; e < count; ++e) {
      uint64_t before = 0;
      std::memcpy(&before, access.host[l] + e * size, size);
      uint64_t second = insn.lists[1].count ? warp.value(seconds[e], l) : 0;
      uint64_t after = reduceValues(Reduction(insn.b), insn.type, before, warp.value(values[e], l), second);
      std::memcpy(access.host[l] + e * size, &after, size);
      if (after != before)
        ++warp.grid->progress;
      old[l][e] = before;
    }
  }
  for (uint32_t e = 0; e < insn.lists[2].count; ++e)
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
      uint32_t l = uint32_t(lowestLane(lanes));
      warp.setValue(olds[e], l, valid & (1u << l) ? old[l][e] : ~uint64_t(0));
    }
  return Step::Next;
}

void decodeAtomic(Decoding &d, bool returns) {
  d.insn.c = uint8_t(takeOrder(d, Order::Relaxed));
  d.insn.d = uint8_t(takeScope(d, Scope::Gpu));
  d.insn.a = uint8_t(takeSpace(d));
  if (d.insn.a == uint8_t(Space::Local) || d.insn.a == uint8_t(Space::Parameter))
    d.fail("atomics need global or shared memory");
  Reduction operation = takeReduction(d);
  if (!returns && (operation == Reduction::Exchange || operation == Reduction::CompareAndSwap))
    d.fail("red has no such operation");
  d.insn.b = uint8_t(operation);
  bool policy = takeCacheHints(d);
  d.take("noftz");
  int vector = d.takeOneOf({"v2", "v4", "v8"});
  size_t count = vector < 0 ? 1 : size_t(2) << vector;
  Type type = d.takeType();
  bool smallFloat = type == Type::F16 || type == Type::BF16 || type == Type::F16x2 || type == Type::BF16x2;
  bool packedMinMax = type == Type::F32 && operation != Reduction::Add;
  if (!reductionSupports(operation, type) || packedMinMax || (vector >= 0 && !smallFloat && type != Type::F32))
    d.fail("this operation on ." + std::string(typeName(type)) + " is unknown");
  if (count * typeBytes(type) > 16)
    d.fail("more than 16 bytes in one access");
  d.insn.type = type;
  size_t first = returns ? 1 : 0, least = first + 2 + (operation == Reduction::CompareAndSwap);
  d.expectOperands(least + policy, least + policy);
  takePolicyOperand(d, policy, least);
  d.insn.slots[1] = d.address(d.operand(first), d.insn.immediate);
  auto registers = [&](const Operand &operand, bool isWrite) {
    std::vector<int32_t> slots;
    auto one = [&](const Operand &o) { slots.push_back(isWrite ? d.writeLoose(o, type) : d.readLoose(o, type)); };
    if (vector < 0)
      one(operand);
    else if (operand.kind != Operand::Kind::Vector || operand.elements.size() != count)
      d.fail("expected a vector of " + std::to_string(count) + " registers");
    else
      for (const Operand &element : operand.elements)
        one(element);
    return d.builder.addList(slots);
  };
  d.insn.lists[0] = registers(d.operand(first + 1), false);
  if (operation == Reduction::CompareAndSwap)
    d.insn.lists[1] = registers(d.operand(first + 2), false);
  if (returns)
    d.insn.lists[2] = registers(d.operand(0), true);
  d.insn.handler = atomic;
}

} // namespace

Reduction takeReduction(Decoding &d) {
  int operation = d.takeOneOf({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  if (operation < 0)
    d.fail("expected an operation");
  return Reduction(operation);
}

Type reductionType(TensorMapType type) {
  switch (type) {
  case TensorMapType::Uint32: return Type::U32;
  case TensorMapType::Int32: return Type::S32;
  case TensorMapType::Uint64: return Type::U64;
  case TensorMapType::Int64: return Type::S64;
  case TensorMapType::Float16: return Type::F16;
  case TensorMapType::Bfloat16: return Type::BF16;
  case TensorMapType::Float64: return Type::F64;
  case TensorMapType::Uint8: return Type::B8;
  case TensorMapType::Uint16: return Type::B16;
  default: return Type::F32;
  }
}

void addAtomicDecoders(DecoderTable &table) {
  table["atom"] = [](Decoding &d) { decodeAtomic(d, true); };
  table["red"] = [](Decoding &d) {
    if (d.has("async"))
      return decodeStoreAsync(d);
    decodeAtomic(d, false);
  };
}

} // namespace ptxemu

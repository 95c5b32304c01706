// SPDX-License-Identifier: Apache-2.0
//
// ld, ldu, st, and what only advises caches.

#include "DecodeAccess.h"
#include "Handlers.h"
#include "Lanes.h"

namespace ptxemu {

//===--------------------------------------------------------------------===//
// Modifiers that ld, st, atom, red share
//===--------------------------------------------------------------------===//

Space takeSpace(Decoding &d) {
  static constexpr std::pair<std::string_view, Space> spaces[] = {
      {"global", Space::Global}, {"const", Space::Global}, {"shared", Space::Shared}, {"shared::cta", Space::Shared},
      {"shared::cluster", Space::Shared}, {"local", Space::Local}, {"param", Space::Parameter}, {"param::entry", Space::Parameter},
      {"param::func", Space::Parameter}};
  for (auto [name, space] : spaces)
    if (d.take(name)) {
      d.info.kind += "." + std::string(name.substr(0, name.find(':')));
      return space;
    }
  return Space::Generic;
}

Order takeOrder(Decoding &d, Order otherwise) {
  switch (d.takeOneOf({"weak", "relaxed", "acquire", "release", "acq_rel", "volatile", "mmio"})) {
  case 0: return Order::Weak;
  case 1: return Order::Relaxed;
  case 2: return Order::Acquire;
  case 3: return Order::Release;
  case 4: return Order::AcquireRelease;
  case 5: case 6: return Order::Relaxed;
  default: return otherwise;
  }
}

Scope takeScope(Decoding &d, Scope otherwise) {
  int scope = d.takeOneOf({"cta", "cluster", "gpu", "sys"});
  return scope < 0 ? otherwise : Scope(scope);
}

bool takeCacheHints(Decoding &d) {
  bool policy = false;
  for (size_t i = 1; i < d.parts.size(); ++i)
    if (isCacheHint(d.parts[i])) {
      policy |= d.parts[i] == "L2::cache_hint";
      d.take(d.parts[i]);
    }
  return policy;
}

void takePolicyOperand(Decoding &d, bool policy, size_t index) {
  if (policy)
    d.read(index, Type::B64);
}

/// Local storage that is declared as .param is reached through ld.param and st.param.
static void fixParameterSpace(Decoding &d, const Operand &address) {
  bool storage = address.hasSymbol && address.symbol.kind == Symbol::Kind::LocalStorage;
  if (d.insn.a == uint8_t(Space::Parameter) && (storage || (d.inFunction && !address.hasSymbol)))
    d.insn.a = uint8_t(Space::Local);
  if (address.hasSymbol) {
    // Naming a variable of another space is a plain mistake.
    Symbol::Kind kind = address.symbol.kind;
    bool shared = kind == Symbol::Kind::Shared || kind == Symbol::Kind::DynamicShared;
    auto space = Space(d.insn.a);
    bool fits = shared                                     ? space == Space::Shared
                : kind == Symbol::Kind::LocalStorage       ? space == Space::Local
                : kind == Symbol::Kind::KernelParameter    ? space == Space::Parameter
                : kind == Symbol::Kind::Variable           ? space == Space::Global || space == Space::Generic
                                                           : false;
    if (!fits)
      d.fail("'" + address.name + "' does not lie in the state space of the instruction");
  }
}

namespace {

//===--------------------------------------------------------------------===//
// Handlers. a: Space; b: elements; c: Order; d: Scope; slots[1], immediate: address; list 0: registers.
//===--------------------------------------------------------------------===//

template <typename T> void loadElement(Warp &warp, int32_t slot, const WarpAccess &access, uint32_t mask, uint32_t offset) {
  if (slot == noSlot)
    return;
  if (slot & (wideSlot | narrowSlot) || mask != ~0u) {
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
      uint32_t l = uint32_t(lowestLane(lanes));
      T value;
      std::memcpy(&value, access.host[l] + offset, sizeof(T));
      warp.setValue(slot, l, uint64_t(int64_t(value)));
    }
    return;
  }
  uint32_t *to = warp.u32(slot);
  for (uint32_t l = 0; l < 32; ++l) {
    T value;
    std::memcpy(&value, access.host[l] + offset, sizeof(T));
    to[l] = uint32_t(value);
  }
}

Step load(Warp &warp, const Insn &insn, uint32_t mask) {
  WarpAccess access;
  access.bytes = typeBytes(insn.type) * insn.b;
  access.space = Space(insn.a);
  access.mask = mask;
  access.what = "load";
  auto order = Order(insn.c);
  access.strong = order != Order::Weak;
  computeAddresses(warp, insn.slots[1], insn.immediate, access.address);
  uint32_t valid = resolve(warp, access);
  if (access.strong && valid)
    observeWords(warp, access, valid, order, Scope(insn.d));
  const int32_t *registers = warp.code->list(insn, 0);
  uint32_t size = typeBytes(insn.type);
  for (uint32_t e = 0; e < insn.b; ++e) {
    int32_t slot = registers[e];
    uint32_t offset = e * size;
    switch (insn.type) {
    case Type::S8: loadElement<int8_t>(warp, slot, access, valid, offset); break;
    case Type::S16: loadElement<int16_t>(warp, slot, access, valid, offset); break;
    case Type::S32: loadElement<int32_t>(warp, slot, access, valid, offset); break;
    default:
      size == 1   ? loadElement<uint8_t>(warp, slot, access, valid, offset)
      : size == 2 ? loadElement<uint16_t>(warp, slot, access, valid, offset)
      : size == 4 ? loadElement<uint32_t>(warp, slot, access, valid, offset)
                  : loadElement<uint64_t>(warp, slot, access, valid, offset);
    }
    for (uint32_t lanes = mask & ~valid; lanes; lanes &= lanes - 1)
      warp.setValue(slot, uint32_t(lowestLane(lanes)), ~uint64_t(0));
  }
  return Step::Next;
}

/// ld.param of a kernel's parameter by name: one value for all lanes. immediate: its offset, checked when decoded.
Step loadParameter(Warp &warp, const Insn &insn, uint32_t mask) {
  const int32_t *registers = warp.code->list(insn, 0);
  uint32_t size = typeBytes(insn.type);
  for (uint32_t e = 0; e < insn.b; ++e) {
    if (registers[e] == noSlot)
      continue;
    uint64_t value = 0;
    std::memcpy(&value, warp.grid->parameters.data() + insn.immediate + e * size, size);
    if (isSigned(insn.type) && size < 8)
      value = uint64_t(int64_t(value << (64 - 8 * size)) >> (64 - 8 * size));
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
      warp.setValue(registers[e], uint32_t(lowestLane(lanes)), value);
  }
  return Step::Next;
}

Step storeValues(Warp &warp, const Insn &insn, uint32_t mask) {
  WarpAccess access;
  access.bytes = typeBytes(insn.type) * insn.b;
  access.space = Space(insn.a);
  access.mask = mask;
  access.kind = AccessKind::Store;
  access.what = "store";
  auto order = Order(insn.c);
  access.strong = order != Order::Weak;
  computeAddresses(warp, insn.slots[1], insn.immediate, access.address);
  uint32_t valid = resolve(warp, access);
  if (!valid)
    return Step::Next;
  if (access.strong)
    publishWords(warp, access, valid, order, Scope(insn.d), false);
  const int32_t *registers = warp.code->list(insn, 0);
  uint32_t size = typeBytes(insn.type);
  if (!access.strong)
    checkSameStores(warp, access, valid, [&](uint32_t a, uint32_t b) {
      for (uint32_t e = 0; e < insn.b; ++e)
        if ((warp.value(registers[e], a) ^ warp.value(registers[e], b)) << (64 - 8 * size))
          return false;
      return true;
    });
  for (uint32_t e = 0; e < insn.b; ++e)
    for (uint32_t lanes = valid; lanes; lanes &= lanes - 1) {
      uint32_t l = uint32_t(lowestLane(lanes));
      uint64_t value = warp.value(registers[e], l);
      uint8_t *to = access.host[l] + e * size;
      size == 4 ? std::memcpy(to, &value, 4) : size == 8 ? std::memcpy(to, &value, 8) : std::memcpy(to, &value, size);
    }
  ++warp.grid->progress;
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Decoding
//===--------------------------------------------------------------------===//

void decodeLoadStore(Decoding &d, bool isStore) {
  bool isConstant = d.has("const");
  d.insn.c = uint8_t(takeOrder(d, Order::Weak));
  d.insn.d = uint8_t(takeScope(d, Scope::System));
  d.insn.a = uint8_t(takeSpace(d));
  if (isConstant && isStore)
    d.fail("constant memory may not be written");
  bool policy = takeCacheHints(d);
  d.take("unified");
  int vector = d.takeOneOf({"v2", "v4", "v8"});
  d.insn.b = uint8_t(vector < 0 ? 1 : 2 << vector);
  Type type = d.takeType();
  if (type == Type::Pred || type == Type::B128 || (!isInteger(type) && !isFloat(type)))
    d.fail("type ." + std::string(typeName(type)) + " is not supported");
  if (typeBytes(type) * d.insn.b > 32)
    d.fail("more than 32 bytes in one access");
  d.insn.type = type;
  d.expectOperands(policy ? 3 : 2, policy ? 3 : 2);
  takePolicyOperand(d, policy, 2);
  const Operand &address = d.operand(isStore ? 0 : 1), &data = d.operand(isStore ? 1 : 0);
  fixParameterSpace(d, address);
  std::vector<int32_t> registers;
  auto add = [&](const Operand &operand) {
    if (isStore && operand.kind == Operand::Kind::Discard)
      d.fail("'_' cannot be stored");
    registers.push_back(isStore ? d.readLoose(operand, type) : d.writeLoose(operand, type));
  };
  if (vector < 0 && data.kind != Operand::Kind::Vector) {
    add(data);
  } else {
    if (data.kind != Operand::Kind::Vector || data.elements.size() != d.insn.b)
      d.fail("expected a vector of " + std::to_string(d.insn.b) + " registers");
    for (const Operand &element : data.elements)
      add(element);
  }
  d.insn.lists[0] = d.builder.addList(registers);
  if (!isStore && address.hasSymbol && address.symbol.kind == Symbol::Kind::KernelParameter) {
    uint64_t bytes = typeBytes(type) * d.insn.b, offset = address.bits;
    if (offset + bytes > address.symbol.bytes || (address.symbol.address + offset) % bytes)
      d.fail(std::to_string(bytes) + " bytes at offset " + std::to_string(int64_t(offset)) + " of parameter '" + address.name + "' of " +
             std::to_string(address.symbol.bytes) + " bytes: out of bounds or misaligned");
    d.insn.immediate = int64_t(address.symbol.address + offset);
    d.insn.handler = loadParameter;
    return;
  }
  d.insn.slots[1] = d.address(address, d.insn.immediate);
  d.insn.handler = isStore ? storeValues : load;
}

/// prefetch, discard, applypriority: an address and nothing to see. immediate and slots[1]: address, so that register checks see it.
void decodeAdvice(Decoding &d, bool hasSize) {
  takeSpace(d);
  takeCacheHints(d);
  d.take("tensormap");
  for (std::string_view level : {"L1", "L2"})
    d.take(level);
  d.expectOperands(hasSize ? 2 : 1, hasSize ? 2 : 1);
  int64_t offset;
  d.address(d.operand(0), offset);
  if (hasSize)
    d.immediate(1);
  d.insn.handler = nothing;
}

/// createpolicy: the policy is a number that nobody looks at.
Step createPolicy(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    warp.setValue(insn.slots[0], uint32_t(lowestLane(lanes)), uint64_t(insn.immediate));
  return Step::Next;
}

void decodeCreatePolicy(Decoding &d) {
  int kind = d.takeOneOf({"fractional", "range", "cvt"});
  if (kind < 0)
    d.fail("expected .fractional, .range or .cvt");
  d.take("global");
  takeCacheHints(d);
  d.take("L2");
  if (d.takeType() != Type::B64)
    d.fail("expected .b64");
  d.expectOperands(1, 4);
  for (size_t i = 1; i < d.operands.size(); ++i)
    if (d.operand(i).kind == Operand::Kind::Address) {
      int64_t offset;
      d.address(d.operand(i), offset);
    } else {
      const Operand &operand = d.operand(i);
      d.readLoose(operand, operand.kind == Operand::Kind::Register ? operand.type : operand.kind == Operand::Kind::Single ? Type::F32 : Type::B64);
    }
  d.insn.slots[0] = d.write(0, Type::B64) | wideSlot;
  d.insn.immediate = 0x12f0000000000000;
  d.insn.handler = createPolicy;
}

} // namespace

Step nothing(Warp &, const Insn &, uint32_t) { return Step::Next; }

Step copyLocal(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint8_t *local = warp.localOf(uint32_t(lowestLane(lanes)));
    std::memmove(local + insn.immediate, local + insn.target, size_t(insn.slots[0]));
  }
  return Step::Next;
}

void addMemoryDecoders(DecoderTable &table) {
  table["ld"] = [](Decoding &d) { decodeLoadStore(d, false); };
  table["ldu"] = table["ld"];
  table["st"] = [](Decoding &d) {
    if (d.has("async"))
      return decodeStoreAsync(d);
    decodeLoadStore(d, true);
  };
  table["prefetch"] = [](Decoding &d) { decodeAdvice(d, false); };
  table["prefetchu"] = table["prefetch"];
  table["discard"] = [](Decoding &d) { decodeAdvice(d, true); };
  table["applypriority"] = table["discard"];
  table["createpolicy"] = decodeCreatePolicy;
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// mov, addresses of spaces (cvta, isspacep) and of the cluster (mapa, getctarank).

#include "Handlers.h"
#include "IntegerDecoders.h"
#include "Lanes.h"

namespace ptxemu {

Step moveRegister32(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t t[32];
  std::memcpy(t, warp.u32(insn.slots[1]), sizeof(t));
  store(warp.u32(insn.slots[0]), t, mask);
  return Step::Next;
}
Step moveRegister64(Warp &warp, const Insn &insn, uint32_t mask) {
  uint64_t t[32];
  std::memcpy(t, warp.u64(insn.slots[1]), sizeof(t));
  store(warp.u64(insn.slots[0]), t, mask);
  return Step::Next;
}

namespace {

/// list 0 into slots[0]; a: bits of a part. D: storage of the whole.
template <typename D> Step packVector(Warp &warp, const Insn &insn, uint32_t mask) {
  D t[32] = {};
  const int32_t *parts = warp.code->list(insn, 0);
  uint32_t bits = insn.a;
  uint32_t keep = bits >= 32 ? ~0u : (1u << bits) - 1;
  for (uint32_t i = 0; i < insn.lists[0].count; ++i) {
    const uint32_t *part = warp.u32(parts[i]);
    for (uint32_t l = 0; l < 32; ++l)
      t[l] |= D(part[l] & keep) << (i * bits);
  }
  store(warp.lanes<D>(insn.slots[0]), t, mask);
  return Step::Next;
}
/// slots[1] into list 0.
template <typename S> Step unpackVector(Warp &warp, const Insn &insn, uint32_t mask) {
  S source[32];
  std::memcpy(source, warp.lanes<S>(insn.slots[1]), sizeof(source));
  const int32_t *parts = warp.code->list(insn, 0);
  uint32_t bits = insn.a;
  uint32_t keep = bits >= 32 ? ~0u : (1u << bits) - 1;
  for (uint32_t i = 0; i < insn.lists[0].count; ++i) {
    if (parts[i] == noSlot)
      continue;
    uint32_t t[32];
    for (uint32_t l = 0; l < 32; ++l)
      t[l] = uint32_t(source[l] >> (i * bits)) & keep;
    store(warp.u32(parts[i]), t, mask);
  }
  return Step::Next;
}

/// a: which clock. Time is counted in warp instructions of the grid.
Step readClock(Warp &warp, const Insn &insn, uint32_t mask) {
  uint64_t now = warp.grid->executed;
  auto which = SpecialRegister(insn.a);
  if (which == SpecialRegister::ClockHi || which == SpecialRegister::GlobalTimerHi)
    now >>= 32;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    warp.setValue(insn.slots[0], uint32_t(lowestLane(lanes)), now);
  return Step::Next;
}

Type partType(uint32_t bits) { return bits == 32 ? Type::B32 : bits == 16 ? Type::B16 : Type::B8; }

void decodeMov(Decoding &d) {
  Type type = d.takeType();
  d.expectOperands(2, 2);
  const Operand &to = d.operand(0), &from = d.operand(1);
  if (type == Type::Pred)
    return decodePredicateLogic(d, 4);
  if (type == Type::B128)
    d.fail("type .b128 is not supported");
  bool wide = typeBytes(type) == 8;
  if (to.kind == Operand::Kind::Vector || from.kind == Operand::Kind::Vector) {
    const Operand &vector = from.kind == Operand::Kind::Vector ? from : to;
    size_t count = vector.elements.size();
    if (count != 2 && count != 4)
      d.fail("expected 2 or 4 parts");
    uint32_t bits = 8 * typeBytes(type) / uint32_t(count);
    if (bits < 8)
      d.fail("the parts are too narrow");
    d.insn.a = uint8_t(bits);
    std::vector<int32_t> parts;
    // Parts of 8 bits lie in registers of 16 bits.
    for (const Operand &element : vector.elements)
      parts.push_back(&vector == &from ? d.readLoose(element, partType(bits)) : d.writeLoose(element, partType(bits)));
    for (int32_t &part : parts) {
      if (part != noSlot && (part & wideSlot))
        d.fail("the parts are too wide");
      part = part == noSlot ? noSlot : part & ~3;
    }
    d.insn.lists[0] = d.builder.addList(parts);
    if (&vector == &from) {
      d.insn.slots[0] = d.write(0, type);
      d.insn.handler = wide ? packVector<uint64_t> : packVector<uint32_t>;
    } else {
      d.insn.slots[1] = d.read(1, type);
      d.insn.handler = wide ? unpackVector<uint64_t> : unpackVector<uint32_t>;
    }
    return;
  }
  if (from.kind == Operand::Kind::Register && from.bits >= uint64_t(SpecialRegister::Clock)) {
    d.insn.a = uint8_t(from.bits);
    d.insn.slots[0] = d.writeLoose(to, type);
    d.insn.handler = readClock;
    return;
  }
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[0] = d.write(0, type);
  d.insn.handler = wide ? moveRegister64 : moveRegister32;
}

//===--------------------------------------------------------------------===//
// Spaces
//===--------------------------------------------------------------------===//

/// immediate: what is added; slots[1] has its width bit.
Step toGeneric(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    warp.u64(insn.slots[0])[l] = warp.value(insn.slots[1], l) + uint64_t(insn.immediate);
  }
  return Step::Next;
}

/// immediate: the window; addresses outside of it stay as they are and will be found out of bounds.
Step fromGeneric(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t address = warp.value(insn.slots[1], l), window = uint64_t(insn.immediate);
    warp.u64(insn.slots[0])[l] = window && inWindow(address, window) ? address - window : address;
  }
  return Step::Next;
}

/// The window of a space, 0 for global and const; -1 if `space` is none.
int64_t windowOf(std::string_view space) {
  if (space == "global" || space == "const")
    return 0;
  if (space.starts_with("shared"))
    return int64_t(sharedWindow);
  if (space == "local")
    return int64_t(localWindow);
  if (space.starts_with("param"))
    return int64_t(parameterWindow);
  return -1;
}

void decodeCvta(Decoding &d) {
  bool to = d.take("to");
  std::string_view space = d.takeAny("a state space");
  int64_t window = windowOf(space);
  if (window < 0)
    d.fail("state space '." + std::string(space) + "' is unknown");
  Type type = d.takeType();
  d.expectOperands(2, 2);
  if (typeBytes(type) != 8)
    d.fail("expected 64-bit addresses");
  // In a function .param variables are storage of the lane.
  if (space.starts_with("param") && d.operand(1).hasSymbol && d.operand(1).symbol.kind == Symbol::Kind::LocalStorage)
    window = int64_t(localWindow);
  d.insn.immediate = window;
  d.insn.slots[1] = d.readLoose(d.operand(1), d.operand(1).kind == Operand::Kind::Register && typeBytes(d.operand(1).type) == 4 ? Type::B32 : Type::B64);
  d.insn.slots[0] = d.write(0, Type::B64);
  bool same = window == 0 && (d.insn.slots[1] & wideSlot);
  if (same)
    d.insn.slots[1] &= ~3;
  d.insn.handler = same ? moveRegister64 : to ? fromGeneric : toGeneric;
}

/// a: 0 global, 1 const, 2 shared::cta, 3 shared::cluster, 4 local, 5 param.
Step isSpace(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t bits = 0;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t address = warp.value(insn.slots[1], l);
    bool shared = inWindow(address, sharedWindow), local = inWindow(address, localWindow), parameter = inWindow(address, parameterWindow);
    uint32_t rank = uint32_t(address >> rankShift) & 255;
    bool yes = insn.a == 2   ? shared && (rank == 0 || rank - 1 == warp.cta->rank)
               : insn.a == 3 ? shared
               : insn.a == 4 ? local
               : insn.a == 5 ? parameter
                             : !shared && !local && !parameter;
    if (insn.a <= 1 && yes) {
      LaunchRange *range = warp.grid->rangeOf(address);
      bool isConstant = range && range->label->starts_with("const variable ");
      yes = insn.a == 1 ? isConstant : !isConstant;
    }
    bits |= uint32_t(yes) << l;
  }
  uint32_t &p = warp.predicate(insn.slots[0]);
  p = (p & ~mask) | bits;
  return Step::Next;
}

void decodeIsspacep(Decoding &d) {
  static constexpr std::pair<std::string_view, int> spaces[] = {{"global", 0}, {"const", 1}, {"shared", 2}, {"shared::cta", 2},
                                                               {"shared::cluster", 3}, {"local", 4}, {"param", 5}, {"param::entry", 5}};
  std::string_view space = d.takeAny("a state space");
  int found = -1;
  for (auto [name, index] : spaces)
    if (name == space)
      found = index;
  if (found < 0)
    d.fail("state space '." + std::string(space) + "' is unknown");
  d.expectOperands(2, 2);
  d.insn.a = uint8_t(found);
  d.insn.slots[1] = d.readLoose(d.operand(1), Type::B64);
  d.insn.slots[0] = d.writePredicate(d.operand(0));
  d.insn.handler = isSpace;
}

//===--------------------------------------------------------------------===//
// Clusters
//===--------------------------------------------------------------------===//

/// The same shared variable in another CTA. slots[2]: its rank.
Step mapAddress(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t address = warp.value(insn.slots[1], l);
    uint32_t rank = warp.u32(insn.slots[2])[l];
    if (rank >= warp.grid->ctasPerCluster)
      warp.grid->report(ReportKind::OutOfBounds, Grid::placeOf(warp, int(l)),
                        "mapa to CTA " + std::to_string(rank) + " of a cluster of " + std::to_string(warp.grid->ctasPerCluster));
    uint64_t rest = address & ~(uint64_t(255) << rankShift);
    warp.setValue(insn.slots[0], l, rest | uint64_t((rank & 127) + 1) << rankShift);
  }
  return Step::Next;
}

Step rankOfAddress(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint32_t rank = uint32_t(warp.value(insn.slots[1], l) >> rankShift) & 255;
    warp.u32(insn.slots[0])[l] = rank ? rank - 1 : warp.cta->rank;
  }
  return Step::Next;
}

} // namespace

void addMoveDecoders(DecoderTable &table) {
  table["mov"] = decodeMov;
  table["cvta"] = decodeCvta;
  table["isspacep"] = decodeIsspacep;
  table["mapa"] = [](Decoding &d) {
    d.take("shared::cluster");
    Type type = d.takeType();
    if (typeBytes(type) < 4)
      d.fail("expected .u32 or .u64");
    d.expectOperands(3, 3);
    d.insn.slots[1] = d.readLoose(d.operand(1), type);
    d.insn.slots[2] = d.read(2, Type::B32);
    d.insn.slots[0] = d.writeLoose(d.operand(0), type);
    d.insn.handler = mapAddress;
  };
  table["getctarank"] = [](Decoding &d) {
    d.take("shared::cluster");
    Type type = d.takeType();
    d.expectOperands(2, 2);
    d.insn.slots[1] = d.readLoose(d.operand(1), type);
    d.insn.slots[0] = d.write(0, Type::B32);
    d.insn.handler = rankOfAddress;
  };
}

} // namespace ptxemu

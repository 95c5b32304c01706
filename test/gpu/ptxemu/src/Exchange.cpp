// SPDX-License-Identifier: Apache-2.0
//
// Exchanges between the lanes of a warp: shfl, vote, match, redux, elect, activemask.

#include "Decode.h"
#include "FloatMath.h"
#include "Lanes.h"

namespace ptxemu {

namespace {

/// True if the lanes of the member mask in slots[4] are here. `mask` must lie in it.
bool gathered(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t wanted = warp.u32(insn.slots[4])[lowestLane(mask)];
  if (!warp.converged(wanted))
    return false;
  if (mask & ~wanted)
    warp.grid->report(ReportKind::Lanes, Grid::placeOf(warp, lowestLane(mask & ~wanted)), "the executing lane is not in the member mask");
  if (wanted & warp.live & ~mask)
    warp.grid->report(ReportKind::Lanes, Grid::placeOf(warp, lowestLane(wanted & warp.live & ~mask)),
                      "a lane of the member mask is switched off by the guard");
  return true;
}

enum ShuffleMode : uint8_t { Up, Down, Butterfly, Index };

/// a: mode; slots: 0 value, 1 source, 2 lane or distance, 3 clamp and segment, 4 members; target: slot of the predicate + 1, or 0.
Step shuffle(Warp &warp, const Insn &insn, uint32_t mask) {
  if (!gathered(warp, insn, mask))
    return Step::Block;
  const uint32_t *source = warp.u32(insn.slots[1]), *b = warp.u32(insn.slots[2]), *c = warp.u32(insn.slots[3]);
  uint32_t t[32] = {}, inRange = 0;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    int lane = lowestLane(lanes);
    int distance = int(b[lane] & 31), clamp = int(c[lane] & 31), segment = int(c[lane] >> 8 & 31);
    int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    int from = insn.a == Up          ? lane - distance
               : insn.a == Down      ? lane + distance
               : insn.a == Butterfly ? lane ^ distance
                                     : first | (distance & ~segment);
    bool good = insn.a == Up ? from >= last : from <= last;
    if (!good)
      from = lane;
    if (!(mask >> from & 1))
      warp.grid->report(ReportKind::Lanes, Grid::placeOf(warp, lane), "reads lane " + std::to_string(from) + ", which does not take part");
    t[lane] = source[from];
    inRange |= uint32_t(good) << lane;
  }
  if (insn.slots[0] != noSlot)
    store(warp.u32(insn.slots[0]), t, mask);
  if (insn.target) {
    uint32_t &p = warp.predicate(int32_t(insn.target - 1));
    p = (p & ~mask) | (inRange & mask);
  }
  return Step::Next;
}

void decodeShuffle(Decoding &d) {
  if (!d.take("sync"))
    d.fail("expected .sync");
  int mode = d.takeOneOf({"up", "down", "bfly", "idx"});
  if (mode < 0 || typeBytes(d.takeType()) != 4)
    d.fail("expected a mode and .b32");
  d.expectOperands(5, 5);
  d.insn.a = uint8_t(mode);
  for (size_t i = 1; i < 5; ++i)
    d.insn.slots[i] = d.read(i, Type::B32);
  if (d.operand(0).kind == Operand::Kind::Pair) {
    d.insn.slots[0] = d.write(d.operand(0).elements[0], Type::B32);
    int32_t predicate = d.writePredicate(d.operand(0).elements[1]);
    d.insn.target = predicate == noSlot ? 0 : uint32_t(predicate) + 1;
  } else {
    d.insn.slots[0] = d.write(0, Type::B32);
  }
  d.insn.handler = shuffle;
}

/// a: 0 all, 1 any, 2 uni, 3 ballot; slots[1]: predicate (negated if b).
Step vote(Warp &warp, const Insn &insn, uint32_t mask) {
  if (!gathered(warp, insn, mask))
    return Step::Block;
  uint32_t votes = (warp.predicate(insn.slots[1]) ^ (insn.b ? ~0u : 0)) & mask;
  if (insn.slots[0] == noSlot)
    return Step::Next;
  if (insn.a == 3) {
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
      warp.u32(insn.slots[0])[lowestLane(lanes)] = votes;
    return Step::Next;
  }
  bool yes = insn.a == 0 ? votes == mask : insn.a == 1 ? votes != 0 : votes == 0 || votes == mask;
  uint32_t &p = warp.predicate(insn.slots[0]);
  p = yes ? p | mask : p & ~mask;
  return Step::Next;
}

void decodeVote(Decoding &d) {
  if (!d.take("sync"))
    d.fail("expected .sync");
  int mode = d.takeOneOf({"all", "any", "uni", "ballot"});
  Type type = d.takeType();
  if (mode < 0 || type != (mode == 3 ? Type::B32 : Type::Pred))
    d.fail("expected .all.pred, .any.pred, .uni.pred or .ballot.b32");
  d.expectOperands(3, 3);
  d.insn.a = uint8_t(mode);
  bool negated = false;
  d.insn.slots[1] = d.readPredicate(d.operand(1), negated);
  d.insn.b = negated;
  d.insn.slots[4] = d.read(2, Type::B32);
  d.insn.slots[0] = d.write(0, type);
  d.insn.handler = vote;
}

/// a: 0 any, 1 all; slots[1] with its width bit; target: slot of the predicate + 1, or 0.
Step match(Warp &warp, const Insn &insn, uint32_t mask) {
  if (!gathered(warp, insn, mask))
    return Step::Block;
  uint64_t first = warp.value(insn.slots[1], uint32_t(lowestLane(mask)));
  uint32_t t[32] = {};
  bool all = true;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t value = warp.value(insn.slots[1], l);
    all &= value == first;
    for (uint32_t others = mask; others; others &= others - 1)
      t[l] |= uint32_t(warp.value(insn.slots[1], uint32_t(lowestLane(others))) == value) << lowestLane(others);
  }
  if (insn.a)
    for (uint32_t l = 0; l < 32; ++l)
      t[l] = all ? mask : 0;
  if (insn.slots[0] != noSlot)
    store(warp.u32(insn.slots[0]), t, mask);
  if (insn.target) {
    uint32_t &p = warp.predicate(int32_t(insn.target - 1));
    p = all ? p | mask : p & ~mask;
  }
  return Step::Next;
}

void decodeMatch(Decoding &d) {
  int mode = d.takeOneOf({"any", "all"});
  bool sync = d.take("sync");
  Type type = d.takeType();
  if (mode < 0 || !sync || (type != Type::B32 && type != Type::B64))
    d.fail("expected .any or .all, .sync and .b32 or .b64");
  d.expectOperands(3, 3);
  d.insn.a = uint8_t(mode);
  d.insn.slots[1] = d.read(1, type) | (type == Type::B64 ? wideSlot : 0);
  d.insn.slots[4] = d.read(2, Type::B32);
  if (d.operand(0).kind == Operand::Kind::Pair) {
    d.insn.slots[0] = d.write(d.operand(0).elements[0], Type::B32);
    int32_t predicate = d.writePredicate(d.operand(0).elements[1]);
    d.insn.target = predicate == noSlot ? 0 : uint32_t(predicate) + 1;
  } else {
    d.insn.slots[0] = d.write(0, Type::B32);
  }
  d.insn.handler = match;
}

/// a: operation; b: of magnitudes; c: NaN wins.
Step reduce(Warp &warp, const Insn &insn, uint32_t mask) {
  if (!gathered(warp, insn, mask))
    return Step::Block;
  const uint32_t *source = warp.u32(insn.slots[1]);
  bool isSignedType = insn.type == Type::S32, floating = insn.type == Type::F32;
  auto magnitude = [&](uint32_t bits) { return insn.b ? bits & 0x7fffffff : bits; };
  uint32_t result = magnitude(source[lowestLane(mask)]);
  bool nan = floating && std::isnan(std::bit_cast<float>(result));
  for (uint32_t lanes = mask & (mask - 1); lanes; lanes &= lanes - 1) {
    uint32_t value = magnitude(source[lowestLane(lanes)]);
    if (floating) {
      float a = std::bit_cast<float>(result), b = std::bit_cast<float>(value);
      nan |= std::isnan(b);
      result = std::bit_cast<uint32_t>(insn.a == 1 ? minimum(a, b) : maximum(a, b));
      continue;
    }
    bool less = isSignedType ? int32_t(value) < int32_t(result) : value < result;
    switch (insn.a) {
    case 0: result += value; break;
    case 1: result = less ? value : result; break;
    case 2: result = less ? result : value; break;
    case 3: result &= value; break;
    case 4: result |= value; break;
    default: result ^= value; break;
    }
  }
  if (nan && insn.c)
    result = 0x7fffffff;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    warp.setValue(insn.slots[0], uint32_t(lowestLane(lanes)), result);
  return Step::Next;
}

void decodeReduce(Decoding &d) {
  if (!d.take("sync"))
    d.fail("expected .sync");
  int operation = d.takeOneOf({"add", "min", "max", "and", "or", "xor"});
  d.insn.b = d.take("abs");
  d.insn.c = d.take("NaN");
  Type type = d.takeType();
  bool floating = type == Type::F32;
  if (operation < 0 || typeBytes(type) != 4 || (floating ? operation != 1 && operation != 2 : d.insn.b || d.insn.c))
    d.fail("this reduction is unknown");
  d.expectOperands(3, 3);
  d.insn.a = uint8_t(operation);
  d.insn.type = type;
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[4] = d.read(2, Type::B32);
  d.insn.slots[0] = d.write(0, type);
  d.insn.handler = reduce;
}

/// slots[0]: the leader's lane; slots[2]: predicate of the leader. The lowest lane leads.
Step elect(Warp &warp, const Insn &insn, uint32_t mask) {
  if (!gathered(warp, insn, mask))
    return Step::Block;
  uint32_t leader = uint32_t(lowestLane(mask));
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    warp.setValue(insn.slots[0], uint32_t(lowestLane(lanes)), leader);
  if (insn.slots[2] != noSlot) {
    uint32_t &p = warp.predicate(insn.slots[2]);
    p = (p & ~mask) | 1u << leader;
  }
  return Step::Next;
}

void decodeElect(Decoding &d) {
  if (!d.take("sync"))
    d.fail("expected .sync");
  d.expectOperands(2, 2);
  if (d.operand(0).kind != Operand::Kind::Pair)
    d.fail("expected lane|predicate");
  d.insn.slots[4] = d.read(1, Type::B32);
  d.insn.slots[0] = d.write(d.operand(0).elements[0], Type::B32);
  d.insn.slots[2] = d.writePredicate(d.operand(0).elements[1]);
  d.insn.handler = elect;
}

Step activeMask(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    warp.u32(insn.slots[0])[lowestLane(lanes)] = mask;
  return Step::Next;
}

} // namespace

void addExchangeDecoders(DecoderTable &table) {
  table["shfl"] = decodeShuffle;
  table["vote"] = decodeVote;
  table["match"] = decodeMatch;
  table["redux"] = decodeReduce;
  table["elect"] = decodeElect;
  table["activemask"] = [](Decoding &d) {
    if (d.takeType() != Type::B32)
      d.fail("expected .b32");
    d.expectOperands(1, 1);
    d.insn.slots[0] = d.write(0, Type::B32);
    if (d.insn.slots[0] == noSlot)
      d.fail("expected a register");
    d.insn.handler = activeMask;
  };
}

} // namespace ptxemu

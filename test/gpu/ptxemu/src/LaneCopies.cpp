// SPDX-License-Identifier: Apache-2.0
//
// cp.async: copies of 4, 8 or 16 bytes by lanes, in groups.

#include "LaneCopies.h"
#include "DecodeAccess.h"
#include "Mbarriers.h"
#include <cstring>

namespace ptxemu {

static uint64_t addressOf(Warp &warp, int32_t slot, int32_t offset, uint32_t lane) {
  uint64_t address = warp.value(slot, lane) + uint64_t(int64_t(offset));
  return slot & wideSlot ? address : uint32_t(address);
}

static void land(Warp &warp, const LaneCopy &copy, const Accessor &who) {
  Grid &grid = *warp.grid;
  Cta &cta = warp.cluster->ctas[copy.rank];
  uint8_t *to = cta.memory.data() + copy.offset;
  std::memset(to, 0, copy.bytes);
  if (copy.sourceBytes) {
    Grid::Place place{warp.cta, int(warp.indexInCta), copy.lane, int64_t(copy.pc), -1};
    if (uint8_t *from = grid.global(copy.source, copy.sourceBytes, 1, false, place, "cp.async"))
      std::memcpy(to, from, copy.sourceBytes);
  }
  countInFlight(cta, -int64_t(copy.bytes));
  if (grid.options.races)
    settleWrite(cta.shadow[copy.offset / lineBytes], byteMask(copy.offset % lineBytes, copy.offset % lineBytes + copy.bytes),
                Grid::laneCopyAgents + warp.index, who, copy.lane, true);
}


/// a: bytes; slots[0], slots[1]: destination and source, with offsets in list 0; slots[2]: source bytes or none; slots[3]: predicate of
/// ignoring the source (negated if b), or none.
static Step copyLanes(Warp &warp, const Insn &insn, uint32_t mask) {
  Grid &grid = *warp.grid;
  const int32_t *offsets = warp.code->list(insn, 0);
  uint32_t ignored = insn.slots[3] == noSlot ? 0 : warp.predicate(insn.slots[3]) ^ (insn.b ? ~0u : 0);
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    Grid::Place where = Grid::placeOf(warp, int(l));
    auto to = sharedPlace(warp, addressOf(warp, insn.slots[0], offsets[0], l), insn.a, insn.a, int(l), "cp.async");
    uint64_t from = addressOf(warp, insn.slots[1], offsets[1], l);
    uint32_t sourceBytes = insn.slots[2] == noSlot ? insn.a : warp.u32(insn.slots[2])[l];
    if (ignored & (1u << l))
      sourceBytes = 0;
    if (sourceBytes > insn.a) {
      grid.report(ReportKind::Copy, where, std::to_string(sourceBytes) + " source bytes of a copy of " + std::to_string(insn.a));
      sourceBytes = insn.a;
    }
    if (!to || (sourceBytes && !grid.global(from, sourceBytes, insn.a, false, where, "cp.async")))
      continue;
    Accessor who = ordinaryAccess(warp);
    if (sourceBytes)
      grid.recordGlobal(from, sourceBytes, false, who, where);
    who.agent = Grid::laneCopyAgents + warp.index;
    who.clock = inFlight;
    recordShared(*warp.cluster, *to, insn.a, true, who, where);
    std::memset(to->bytes(*warp.cluster), 0xff, insn.a);
    warp.copies.push_back({to->rank, to->offset, insn.a, sourceBytes, from, uint8_t(l), warp.copyGroups[l], warp.pc()});
    grid.result.stats.cpAsyncBytes += sourceBytes;
    countInFlight(warp.cluster->ctas[to->rank], insn.a);
    // At once, as far as the data go; nobody may rely on it before the wait.
    if (grid.options.asynchrony == Asynchrony::Earliest && sourceBytes) {
      if (uint8_t *data = grid.global(from, sourceBytes, 1, false, where, "cp.async")) {
        std::memset(to->bytes(*warp.cluster), 0, insn.a);
        std::memcpy(to->bytes(*warp.cluster), data, sourceBytes);
      }
    }
  }
  return Step::Next;
}

static Step commitLanes(Warp &warp, const Insn &, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    ++warp.copyGroups[size_t(lowestLane(lanes))];
  return Step::Next;
}

/// a: all, committed or not; immediate: groups that may stay under way.
static Step waitLanes(Warp &warp, const Insn &insn, uint32_t mask) {
  if (warp.copies.empty())
    return Step::Next;
  Accessor who = ordinaryAccess(warp);
  size_t kept = 0;
  for (const LaneCopy &copy : warp.copies) {
    uint32_t groups = warp.copyGroups[copy.lane];
    bool done = mask >> copy.lane & 1 && (insn.a || uint64_t(copy.group) + uint64_t(insn.immediate) < groups);
    if (done)
      land(warp, copy, who);
    else
      warp.copies[kept++] = copy;
  }
  warp.copies.resize(kept);
  return Step::Next;
}

/// slots[1], immediate: mbarrier; a: without .noinc.
static Step arriveAfterLanes(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    int index = findMbarrier(warp, addressOf(warp, insn.slots[1], int32_t(insn.immediate), l), l);
    if (index < 0)
      continue;
    if (insn.a)
      ++warp.cluster->mbarriers[size_t(index)].pending;
    PendingCopy copy;
    copy.kind = PendingCopy::Kind::LaneArrival;
    copy.mbarrier = index;
    copy.warp = warp.index;
    copy.lane = uint8_t(l);
    copy.pc = warp.pc();
    // What was issued so far is one group more of this lane.
    copy.group = ++warp.copyGroups[l];
    copy.sequence = warp.ownClock();
    enqueue(*warp.cluster, std::move(copy));
  }
  warp.tick();
  return Step::Next;
}

void performLaneArrival(Cluster &cluster, const PendingCopy &copy) {
  Warp &warp = cluster.warps[copy.warp];
  Mbarrier &mbarrier = cluster.mbarriers[size_t(copy.mbarrier)];
  Accessor who;
  who.agent = warp.index;
  who.clock = copy.sequence;
  size_t kept = 0;
  for (const LaneCopy &pending : warp.copies) {
    if (pending.lane == copy.lane && pending.group < copy.group)
      land(warp, pending, who);
    else
      warp.copies[kept++] = pending;
  }
  warp.copies.resize(kept);
  if (mbarrier.pending == 0) {
    cluster.grid->report(ReportKind::Mbarrier, {warp.cta, int(warp.indexInCta), int(copy.lane), int64_t(copy.pc), -1},
                         "more arrivals than the mbarrier expects in this phase");
    return;
  }
  Clock knowledge;
  knowledge.seen.raise(warp.index, copy.sequence);
  arrive(cluster, mbarrier, 1, knowledge);
}

//===--------------------------------------------------------------------===//
// Decoding
//===--------------------------------------------------------------------===//

void decodeLaneCopy(Decoding &d) {
  int level = d.takeOneOf({"ca", "cg"});
  if (level < 0)
    d.fail("expected .ca or .cg");
  d.takeOneOf({"shared", "shared::cta"});
  if (!d.take("global"))
    d.fail("expected .global");
  bool policy = takeCacheHints(d);
  d.expectOperands(3 + size_t(policy), 4 + size_t(policy));
  uint64_t bytes = d.immediate(2);
  if (bytes != 16 && (level == 1 || (bytes != 4 && bytes != 8)))
    d.fail(std::to_string(bytes) + " bytes: expected " + (level == 1 ? "16" : "4, 8 or 16"));
  d.insn.a = uint8_t(bytes);
  int64_t to, from;
  d.insn.slots[0] = d.address(d.operand(0), to);
  d.insn.slots[1] = d.address(d.operand(1), from);
  d.insn.lists[0] = d.builder.addList({int32_t(to), int32_t(from)});
  if (d.operands.size() == 4 + size_t(policy)) {
    const Operand &extra = d.operand(3);
    if (extra.kind == Operand::Kind::Register && extra.type == Type::Pred) {
      bool negated = false;
      d.insn.slots[3] = d.readPredicate(extra, negated);
      d.insn.b = negated;
    } else {
      d.insn.slots[2] = d.read(3, Type::B32);
    }
  }
  takePolicyOperand(d, policy, d.operands.size() - 1);
  d.insn.handler = copyLanes;
}

void decodeLaneCommit(Decoding &d) {
  d.expectOperands(0, 0);
  d.insn.handler = commitLanes;
}

void decodeLaneWait(Decoding &d, bool all) {
  d.expectOperands(all ? 0 : 1, all ? 0 : 1);
  d.insn.a = all;
  if (!all)
    d.insn.immediate = int64_t(d.immediate(0));
  if (d.insn.immediate < 0 || d.insn.immediate > (1 << 20))
    d.fail("number of groups is out of range");
  d.insn.handler = waitLanes;
}

void decodeLaneArrival(Decoding &d) {
  d.insn.a = !d.take("noinc");
  takeSpace(d);
  d.take("b64");
  d.expectOperands(1, 1);
  d.insn.slots[1] = d.address(d.operand(0), d.insn.immediate);
  d.insn.handler = arriveAfterLanes;
}

} // namespace ptxemu

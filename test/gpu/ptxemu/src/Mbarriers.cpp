// SPDX-License-Identifier: Apache-2.0
//
// mbarrier.*: arrivals and transactions of a phase, waits with acquire and release.

#include "Mbarriers.h"
#include "DecodeAccess.h"

namespace ptxemu {

static constexpr int64_t transactionLimit = (1 << 20) - 1;

int findMbarrier(Warp &warp, SharedPlace place, uint32_t lane) {
  Cluster &cluster = *warp.cluster;
  auto found = cluster.mbarrierAt.find(place.key());
  if (found == cluster.mbarrierAt.end() || !cluster.mbarriers[size_t(found->second)].valid) {
    warp.grid->report(ReportKind::Mbarrier, Grid::placeOf(warp, int(lane)),
                      "there is no mbarrier at shared offset " + std::to_string(place.offset) + " of CTA " + std::to_string(place.rank));
    return -1;
  }
  return found->second;
}

int findMbarrier(Warp &warp, uint64_t address, uint32_t lane) {
  auto place = sharedPlace(warp, address, 8, 8, int(lane), "mbarrier");
  if (!place)
    return -1;
  int index = findMbarrier(warp, *place, lane);
  if (index >= 0 && warp.grid->options.races) {
    Accessor who = ordinaryAccess(warp);
    who.strong = true;
    recordShared(*warp.cluster, *place, 8, false, who, Grid::placeOf(warp, int(lane)));
  }
  return index;
}

void finishPhase(Cluster &cluster, Mbarrier &mbarrier) {
  if (mbarrier.pending || mbarrier.transactions)
    return;
  ++mbarrier.phase;
  mbarrier.pending = mbarrier.expected;
  mbarrier.released.join(mbarrier.gathering);
  mbarrier.released.seen.raise(mbarrier.agent, mbarrier.phase);
  mbarrier.gathering = {};
  ++cluster.grid->progress;
}

void completeTransactions(Cluster &cluster, int index, uint32_t bytes) {
  Mbarrier &mbarrier = cluster.mbarriers[size_t(index)];
  mbarrier.transactions -= bytes;
  ++cluster.grid->progress;
  finishPhase(cluster, mbarrier);
}

void arrive(Cluster &cluster, Mbarrier &mbarrier, uint32_t count, const Clock &knowledge) {
  mbarrier.pending -= count;
  mbarrier.gathering.join(knowledge);
  ++cluster.grid->progress;
  finishPhase(cluster, mbarrier);
}

void requireFenced(Warp &warp, const Mbarrier &mbarrier, uint32_t lane) {
  if (!mbarrier.fenced)
    warp.grid->report(ReportKind::Proxy, Grid::placeOf(warp, int(lane)),
                      "the mbarrier at shared offset " + std::to_string(mbarrier.offset) +
                          " is used by a copy, but its initialisation was not followed by fence.mbarrier_init or fence.proxy.async");
}

namespace {

/// Address of lane l: slots[1] plus immediate.
uint64_t barrierAddress(Warp &warp, const Insn &insn, uint32_t lane) {
  uint64_t address = warp.value(insn.slots[1], lane) + uint64_t(insn.immediate);
  return insn.slots[1] & wideSlot ? address : uint32_t(address);
}

/// slots[2]: count.
Step initialize(Warp &warp, const Insn &insn, uint32_t mask) {
  Cluster &cluster = *warp.cluster;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    auto place = sharedPlace(warp, barrierAddress(warp, insn, l), 8, 8, int(l), "mbarrier.init");
    if (!place)
      continue;
    Grid::Place where = Grid::placeOf(warp, int(l));
    uint32_t count = warp.u32(insn.slots[2])[l];
    if (count == 0 || count > (1u << 20) - 1) {
      warp.grid->report(ReportKind::Mbarrier, where, "arrival count " + std::to_string(count) + " must be 1 to 2^20 - 1");
      continue;
    }
    recordShared(cluster, *place, 8, true, ordinaryAccess(warp), where);
    auto [entry, isNew] = cluster.mbarrierAt.try_emplace(place->key(), int(cluster.mbarriers.size()));
    if (isNew) {
      Mbarrier &made = cluster.mbarriers.emplace_back();
      made.rank = place->rank;
      made.offset = place->offset;
      made.agent = warp.grid->firstMbarrierAgent() + uint32_t(entry->second);
    }
    Mbarrier &mbarrier = cluster.mbarriers[size_t(entry->second)];
    if (!isNew && mbarrier.valid)
      warp.grid->report(ReportKind::Mbarrier, where, "an mbarrier is initialised again without mbarrier.inval");
    mbarrier.valid = true;
    mbarrier.fenced = false;
    mbarrier.initializer = warp.index;
    mbarrier.expected = mbarrier.pending = count;
    mbarrier.transactions = 0;
    mbarrier.firstPhase = mbarrier.phase;
    mbarrier.gathering = {};
    mbarrier.released = {};
  }
  ++warp.grid->progress;
  return Step::Next;
}

Step invalidate(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    int index = findMbarrier(warp, barrierAddress(warp, insn, l), l);
    if (index < 0)
      continue;
    Mbarrier &mbarrier = warp.cluster->mbarriers[size_t(index)];
    if (mbarrier.transactions)
      warp.grid->report(ReportKind::Mbarrier, Grid::placeOf(warp, int(l)), "an mbarrier with copies under way is invalidated");
    mbarrier.valid = false;
    recordShared(*warp.cluster, {mbarrier.rank, mbarrier.offset}, 8, true, ordinaryAccess(warp), Grid::placeOf(warp, int(l)));
  }
  return Step::Next;
}

enum ArriveForm : uint8_t { Arrive, ArriveExpect, Expect, Complete, ArriveDrop, ArriveNoComplete };

void expectBytes(Warp &warp, Mbarrier &mbarrier, uint32_t bytes, uint32_t lane) {
  mbarrier.transactions += bytes;
  if (mbarrier.transactions > transactionLimit)
    warp.grid->report(ReportKind::Mbarrier, Grid::placeOf(warp, int(lane)),
                      std::to_string(mbarrier.transactions) + " bytes are expected: more than 2^20 - 1");
}

/// a: form; b: relaxed; slots[0]: state with its width bit; slots[2]: count or bytes, or none; slots[3]: bytes of arrive_drop.expect_tx.
Step arriveOrExpect(Warp &warp, const Insn &insn, uint32_t mask) {
  Cluster &cluster = *warp.cluster;
  Clock relaxed;
  if (insn.b) {
    relaxed.seen = warp.clock.narrow;
    relaxed.wide = warp.clock.wide;
    relaxed.narrow = warp.clock.narrow;
  }
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    int index = findMbarrier(warp, barrierAddress(warp, insn, l), l);
    if (index < 0)
      continue;
    Mbarrier &mbarrier = cluster.mbarriers[size_t(index)];
    uint32_t value = insn.slots[2] == noSlot ? 1 : warp.u32(insn.slots[2])[l];
    warp.setValue(insn.slots[0], l, uint64_t(mbarrier.phase) << 32 | mbarrier.pending);
    if (insn.a == ArriveExpect || insn.a == Expect)
      expectBytes(warp, mbarrier, value, l);
    if (insn.a == Expect) {
      ++warp.grid->progress;
      continue;
    }
    if (insn.a == Complete) {
      completeTransactions(cluster, index, value);
      continue;
    }
    uint32_t count = insn.a == ArriveExpect ? 1 : value;
    if (count == 0 || count > mbarrier.pending) {
      warp.grid->report(ReportKind::Mbarrier, Grid::placeOf(warp, int(l)),
                        std::to_string(count) + " arrivals where " + std::to_string(mbarrier.pending) + " are pending in this phase");
      continue;
    }
    if (insn.a == ArriveNoComplete && count == mbarrier.pending)
      warp.grid->report(ReportKind::Mbarrier, Grid::placeOf(warp, int(l)), "arrive.noComplete completes the phase");
    if (insn.a == ArriveDrop)
      mbarrier.expected -= count;
    arrive(cluster, mbarrier, count, insn.b ? relaxed : warp.clock);
  }
  warp.tick();
  return Step::Next;
}

/// a: try_wait, which waits; b: parity; c: relaxed; slots[0]: predicate; slots[2]: state with its width bit, or parity.
Step testPhase(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t done = 0;
  uint64_t waitedFor = 0;
  // Mostly all lanes wait for one phase: it is looked up once.
  uint32_t leader = uint32_t(lowestLane(mask));
  bool uniform = true;
  for (uint32_t lanes = mask & (mask - 1); lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uniform &= warp.value(insn.slots[1], l) == warp.value(insn.slots[1], leader) && warp.value(insn.slots[2], l) == warp.value(insn.slots[2], leader);
  }
  for (uint32_t lanes = uniform ? 1u << leader : mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    auto place = sharedPlace(warp, barrierAddress(warp, insn, l), 8, 8, int(l), "mbarrier");
    auto found = place ? warp.cluster->mbarrierAt.find(place->key()) : warp.cluster->mbarrierAt.end();
    if (found == warp.cluster->mbarrierAt.end() || !warp.cluster->mbarriers[size_t(found->second)].valid)
      warp.grid->stop(ReportKind::Mbarrier, Grid::placeOf(warp, int(l)), "waits for something that is not an mbarrier");
    const Mbarrier &mbarrier = warp.cluster->mbarriers[size_t(found->second)];
    uint64_t token = warp.value(insn.slots[2], l);
    bool complete = insn.b ? mbarrier.parity() != (token & 1) : mbarrier.phase != uint32_t(token >> 32);
    done |= uint32_t(complete) << l;
    if (complete && uniform)
      done = mask;
    if (!complete)
      waitedFor = (uint64_t(found->second) + 1) << 32 | mbarrier.phase;
  }
  // try_wait may give up: it does so once for each phase, so that a missing loop shows; then it waits.
  if (insn.a && !done) {
    uint64_t &last = warp.failedWaits[warp.pc()];
    if (last == waitedFor)
      return Step::Block;
    last = waitedFor;
  }
  for (uint32_t lanes = done; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    int index = findMbarrier(warp, barrierAddress(warp, insn, l), l);
    if (index < 0)
      continue;
    Mbarrier &mbarrier = warp.cluster->mbarriers[size_t(index)];
    mbarrier.observedPhase = mbarrier.phase;
    if (!insn.c)
      warp.clock.join(mbarrier.released);
    // Lanes that wait for the same mbarrier learn nothing new.
    while (lanes & (lanes - 1) &&
           barrierAddress(warp, insn, uint32_t(lowestLane(lanes & (lanes - 1)))) == barrierAddress(warp, insn, l))
      lanes &= lanes - 1;
  }
  if (done)
    ++warp.grid->result.stats.mbarrierWaits;
  else
    warp.spinning = true;
  uint32_t &p = warp.predicate(insn.slots[0]);
  p = (p & ~mask) | done;
  return Step::Next;
}

Step pendingCount(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    warp.setValue(insn.slots[0], l, uint32_t(warp.value(insn.slots[1], l)));
  }
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Decoding
//===--------------------------------------------------------------------===//

void decodeArrive(Decoding &d, ArriveForm form) {
  bool expect = form == ArriveDrop ? false : d.take("expect_tx");
  if (form == Arrive && expect)
    form = ArriveExpect;
  if (form == ArriveDrop && d.take("expect_tx"))
    d.fail("arrive_drop.expect_tx is not supported");
  if (form == Arrive && d.take("noComplete"))
    form = ArriveNoComplete;
  bool remoteOnly = form == Expect || form == Complete;
  size_t first = remoteOnly || d.operand(0).kind == Operand::Kind::Address ? 0 : 1;
  d.insn.a = form;
  bool needsValue = form != Arrive && form != ArriveDrop;
  d.expectOperands(first + 1 + needsValue, first + 2);
  d.insn.slots[1] = d.address(d.operand(first), d.insn.immediate);
  if (d.operands.size() > first + 1)
    d.insn.slots[2] = d.read(first + 1, Type::B32);
  if (first && d.operand(0).kind != Operand::Kind::Discard)
    d.insn.slots[0] = d.write(0, Type::B64) | wideSlot;
  d.insn.handler = arriveOrExpect;
}

void decodeWait(Decoding &d, bool tries) {
  d.insn.a = tries;
  d.insn.b = d.take("parity");
  d.expectOperands(3, tries ? 4 : 3);
  d.insn.slots[0] = d.writePredicate(d.operand(0));
  if (d.insn.slots[0] == noSlot)
    d.fail("expected a predicate");
  d.insn.slots[1] = d.address(d.operand(1), d.insn.immediate);
  d.insn.slots[2] = d.insn.b ? d.read(2, Type::B32) : d.read(2, Type::B64) | wideSlot;
  if (d.operands.size() == 4)
    d.read(3, Type::B32);
  d.insn.handler = testPhase;
}

void decodeMbarrier(Decoding &d) {
  std::string_view operation = d.takeAny("an operation");
  d.info.kind += "." + std::string(operation);
  Order order = takeOrder(d, Order::Release);
  takeScope(d, Scope::Cta);
  takeSpace(d);
  d.info.kind = "mbarrier." + std::string(operation);
  if (d.operands.empty())
    d.fail("has no operands");
  if (operation == "init" || operation == "inval") {
    d.take("b64");
    bool init = operation == "init";
    d.expectOperands(init ? 2 : 1, init ? 2 : 1);
    d.insn.slots[1] = d.address(d.operand(0), d.insn.immediate);
    if (init)
      d.insn.slots[2] = d.read(1, Type::B32);
    d.insn.handler = init ? initialize : invalidate;
  } else if (operation == "pending_count") {
    d.take("b64");
    d.expectOperands(2, 2);
    d.insn.slots[1] = d.read(1, Type::B64) | wideSlot;
    d.insn.slots[0] = d.write(0, Type::B32);
    d.insn.handler = pendingCount;
  } else if (operation == "test_wait" || operation == "try_wait") {
    d.insn.c = order == Order::Relaxed;
    d.take("b64");
    decodeWait(d, operation == "try_wait");
  } else {
    d.insn.b = order == Order::Relaxed;
    d.take("b64");
    if (operation == "arrive")
      decodeArrive(d, Arrive);
    else if (operation == "arrive_drop")
      decodeArrive(d, ArriveDrop);
    else if (operation == "expect_tx")
      decodeArrive(d, Expect);
    else if (operation == "complete_tx")
      decodeArrive(d, Complete);
    else
      d.fail("operation '." + std::string(operation) + "' is unknown or not supported");
  }
}

} // namespace

void addMbarrierDecoders(DecoderTable &table) { table["mbarrier"] = decodeMbarrier; }

} // namespace ptxemu

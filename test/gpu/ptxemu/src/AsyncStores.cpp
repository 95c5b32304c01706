// SPDX-License-Identifier: Apache-2.0
//
// st.async and red.async: stores to another CTA of the cluster that an mbarrier there counts.

#include "DecodeAccess.h"
#include "Mbarriers.h"
#include "Reduction.h"
#include <cstring>

namespace ptxemu {

/// slots[1], slots[2]: address and mbarrier with their offsets in list 1; list 0: values; b: Reduction + 1.
static Step storeAsync(Warp &warp, const Insn &insn, uint32_t mask) {
  Grid &grid = *warp.grid;
  const int32_t *values = warp.code->list(insn, 0), *offsets = warp.code->list(insn, 1);
  uint32_t size = typeBytes(insn.type), bytes = size * insn.lists[0].count;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    Grid::Place where = Grid::placeOf(warp, int(l));
    auto addressOf = [&](size_t which) {
      uint64_t address = warp.value(insn.slots[which], l) + uint64_t(int64_t(offsets[which - 1]));
      return insn.slots[which] & wideSlot ? address : uint32_t(address);
    };
    auto place = sharedPlace(warp, addressOf(1), bytes, bytes, int(l), "asynchronous store");
    int index = findMbarrier(warp, addressOf(2), l);
    if (!place || index < 0)
      continue;
    const Mbarrier &mbarrier = warp.cluster->mbarriers[size_t(index)];
    if (mbarrier.rank != place->rank)
      grid.report(ReportKind::Mbarrier, where, "the mbarrier and the destination belong to different CTAs");
    PendingCopy copy;
    copy.kind = PendingCopy::Kind::SharedCopy;
    copy.rank = place->rank;
    copy.offset = place->offset;
    copy.bytes = bytes;
    copy.mbarrier = index;
    copy.warp = warp.index;
    copy.lane = uint8_t(l);
    copy.pc = warp.pc();
    copy.reduction = int(insn.b) - 1;
    copy.type = insn.type;
    copy.data.resize(bytes);
    for (uint32_t e = 0; e < insn.lists[0].count; ++e) {
      uint64_t value = warp.value(values[e], l);
      std::memcpy(copy.data.data() + e * size, &value, size);
    }
    Accessor who = ordinaryAccess(warp);
    who.warp = -1;
    who.agent = mbarrier.agent;
    who.clock = inFlight;
    who.strong = insn.b != 0;
    recordShared(*warp.cluster, *place, bytes, true, who, where);
    if (!insn.b)
      std::memset(place->bytes(*warp.cluster), 0xff, bytes);
    countInFlight(warp.cluster->ctas[place->rank], bytes);
    enqueue(*warp.cluster, std::move(copy));
  }
  warp.tick();
  return Step::Next;
}

void decodeStoreAsync(Decoding &d) {
  bool reduces = d.parts[0] == "red";
  d.take("async");
  takeOrder(d, Order::Weak);
  takeScope(d, Scope::Cluster);
  takeSpace(d);
  if (!d.take("mbarrier::complete_tx::bytes"))
    d.fail("expected .mbarrier::complete_tx::bytes");
  if (reduces)
    d.insn.b = uint8_t(uint32_t(takeReduction(d)) + 1);
  int vector = d.takeOneOf({"v2", "v4"});
  Type type = d.takeType();
  d.insn.type = type;
  if (typeBytes(type) < 4)
    d.fail("expected 32 or 64 bits");
  d.expectOperands(3, 3);
  int64_t to, barrier;
  d.insn.slots[1] = d.address(d.operand(0), to);
  d.insn.slots[2] = d.address(d.operand(2), barrier);
  d.insn.lists[1] = d.builder.addList({int32_t(to), int32_t(barrier)});
  std::vector<int32_t> values;
  size_t count = vector < 0 ? 1 : size_t(2) << vector;
  if (count == 1)
    values.push_back(d.readLoose(d.operand(1), type));
  else if (d.operand(1).kind != Operand::Kind::Vector || d.operand(1).elements.size() != count)
    d.fail("expected a vector of " + std::to_string(count) + " registers");
  else
    for (const Operand &element : d.operand(1).elements)
      values.push_back(d.readLoose(element, type));
  d.insn.lists[0] = d.builder.addList(values);
  d.insn.handler = storeAsync;
}

} // namespace ptxemu

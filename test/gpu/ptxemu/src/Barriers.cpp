// SPDX-License-Identifier: Apache-2.0
//
// Barriers of CTAs, clusters and warps; fences.

#include "Barriers.h"
#include "DecodeAccess.h"
#include "Handlers.h"

namespace ptxemu {

namespace {

uint32_t liveLanes(const Cta &cta) {
  uint32_t lanes = 0;
  for (uint32_t w = 0; w < cta.cluster->grid->warpsPerCta; ++w)
    lanes += uint32_t(std::popcount(cta.cluster->warps[cta.firstWarp + w].live));
  return lanes;
}

void complete(Grid &grid, HardwareBarrier &barrier) {
  barrier.released = std::move(barrier.gathering);
  barrier.gathering = {};
  barrier.lastAnd = barrier.reduceAnd;
  barrier.lastOr = barrier.reduceOr;
  barrier.lastCount = barrier.reduceCount;
  barrier.reduceAnd = true;
  barrier.reduceOr = false;
  barrier.reduceCount = 0;
  barrier.arrived = 0;
  barrier.needed = 0;
  ++barrier.generation;
  ++grid.progress;
}

/// `needed` is 0 for a barrier of the whole CTA, which `arrived` counts in lanes; else both are in threads of full warps.
constexpr uint32_t wholeCta = 0;

void completeIfReady(Cta &cta, HardwareBarrier &barrier) {
  if (barrier.arrived && barrier.arrived >= (barrier.needed == wholeCta ? liveLanes(cta) : barrier.needed))
    complete(*cta.cluster->grid, barrier);
}

void completeClusterIfReady(Cluster &cluster) {
  uint32_t lanes = 0;
  for (const Cta &cta : cluster.ctas)
    lanes += liveLanes(cta);
  if (cluster.barrier.arrived && cluster.barrier.arrived >= lanes)
    complete(*cluster.grid, cluster.barrier);
}

//===--------------------------------------------------------------------===//
// bar
//===--------------------------------------------------------------------===//

enum BarrierForm : uint8_t { Sync, Arrive, RedPopc, RedAnd, RedOr };

/// a: form; b: aligned; slots[1]: barrier; slots[2]: thread count or none; slots[3]: predicate of a reduction (negated if c); slots[0]:
/// its result.
Step ctaBarrier(Warp &warp, const Insn &insn, uint32_t mask) {
  Grid &grid = *warp.grid;
  Split &split = *warp.split;
  if (insn.b && !warp.converged(~0u))
    return Step::Block;
  uint32_t lane = uint32_t(lowestLane(mask)), id = warp.u32(insn.slots[1])[lane];
  if (id >= 16)
    grid.stop(ReportKind::Barrier, Grid::placeOf(warp), "barrier " + std::to_string(id) + " does not exist: there are 16");
  HardwareBarrier &barrier = warp.cta->barriers[id];
  if (!split.entered) {
    uint32_t count = insn.slots[2] == noSlot ? wholeCta : warp.u32(insn.slots[2])[lane];
    if (insn.slots[2] != noSlot && (count % 32 || count == 0))
      grid.stop(ReportKind::Barrier, Grid::placeOf(warp),
                "thread count " + std::to_string(count) + " of barrier " + std::to_string(id) + " must be a positive multiple of 32");
    if (barrier.arrived && barrier.needed != count)
      grid.report(ReportKind::Barrier, Grid::placeOf(warp),
                  "barrier " + std::to_string(id) + " is used with " + std::to_string(count) + " threads (0: all) while others wait for " +
                      std::to_string(barrier.needed));
    if (count > grid.warpsPerCta * 32)
      grid.report(ReportKind::Barrier, Grid::placeOf(warp),
                  "barrier " + std::to_string(id) + " for " + std::to_string(count) + " threads in a CTA of " + std::to_string(grid.warpsPerCta * 32));
    barrier.needed = count;
    // With a count, a warp that comes whole counts as 32 even if it is the ragged last one.
    barrier.arrived += uint32_t(count == wholeCta ? std::popcount(mask) : warp.converged(~0u) ? 32 : std::popcount(mask));
    barrier.gathering.join(warp.clock);
    warp.synchronizeLanes();
    ++grid.progress;
    ++grid.result.stats.barriers;
    if (insn.a >= RedPopc) {
      uint32_t votes = (warp.predicate(insn.slots[3]) ^ (insn.c ? ~0u : 0)) & mask;
      barrier.reduceCount += uint32_t(std::popcount(votes));
      barrier.reduceAnd &= votes == mask;
      barrier.reduceOr |= votes != 0;
    }
    split.ticket = barrier.generation;
    split.entered = true;
    completeIfReady(*warp.cta, barrier);
    if (insn.a == Arrive) {
      split.entered = false;
      return Step::Next;
    }
  }
  if (barrier.generation == split.ticket)
    return Step::Block;
  split.entered = false;
  warp.clock.join(barrier.released);
  if (insn.a == RedPopc) {
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
      warp.setValue(insn.slots[0], uint32_t(lowestLane(lanes)), barrier.lastCount);
  } else if (insn.a >= RedAnd && insn.slots[0] != noSlot) {
    uint32_t &p = warp.predicate(insn.slots[0]);
    bool yes = insn.a == RedAnd ? barrier.lastAnd : barrier.lastOr;
    p = yes ? p | mask : p & ~mask;
  }
  return Step::Next;
}

void decodeBarrier(Decoding &d, bool aligned) {
  d.take("cta");
  aligned |= d.take("aligned");
  int form = d.takeOneOf({"sync", "arrive", "red"});
  if (form < 0)
    d.fail("expected .sync, .arrive or .red");
  size_t first = 0;
  if (form == 2) {
    int operation = d.takeOneOf({"popc", "and", "or"});
    if (operation < 0)
      d.fail("expected .popc, .and or .or");
    if (d.takeType() != (operation == 0 ? Type::U32 : Type::Pred))
      d.fail("wrong type of the result");
    form = RedPopc + operation;
    d.expectOperands(3, 4);
    first = 1;
    d.insn.slots[0] = operation == 0 ? d.write(0, Type::U32) : d.writePredicate(d.operand(0));
    bool negated = false;
    d.insn.slots[3] = d.readPredicate(d.operand(d.operands.size() - 1), negated);
    d.insn.c = negated;
    if (d.operands.size() == 4)
      d.insn.slots[2] = d.read(2, Type::U32);
  } else {
    d.expectOperands(form == Arrive ? 2 : 1, 2);
    if (d.operands.size() == 2)
      d.insn.slots[2] = d.read(1, Type::U32);
  }
  d.insn.a = uint8_t(form);
  d.insn.b = aligned;
  d.insn.slots[1] = d.read(first, Type::U32);
  d.insn.handler = ctaBarrier;
}

//===--------------------------------------------------------------------===//
// barrier.cluster
//===--------------------------------------------------------------------===//

/// a: relaxed; b: aligned.
Step clusterArrive(Warp &warp, const Insn &insn, uint32_t mask) {
  if (insn.b && !warp.converged(~0u))
    return Step::Block;
  HardwareBarrier &barrier = warp.cluster->barrier;
  if (warp.clusterTicket > barrier.generation && warp.converged(~0u))
    warp.grid->report(ReportKind::Barrier, Grid::placeOf(warp), "second arrival at the cluster's barrier without a wait");
  if (insn.a) {
    barrier.gathering.seen.join(warp.clock.narrow);
    barrier.gathering.wide.join(warp.clock.wide);
    barrier.gathering.narrow.join(warp.clock.narrow);
  } else {
    barrier.gathering.join(warp.clock);
  }
  warp.synchronizeLanes();
  ++warp.grid->progress;
  ++warp.grid->result.stats.barriers;
  warp.clusterTicket = barrier.generation + 1;
  barrier.arrived += uint32_t(std::popcount(mask));
  completeClusterIfReady(*warp.cluster);
  return Step::Next;
}

Step clusterWait(Warp &warp, const Insn &insn, uint32_t) {
  if (insn.b && !warp.converged(~0u))
    return Step::Block;
  HardwareBarrier &barrier = warp.cluster->barrier;
  if (warp.clusterTicket == 0)
    warp.grid->stop(ReportKind::Barrier, Grid::placeOf(warp), "wait at the cluster's barrier without an arrival");
  if (barrier.generation < warp.clusterTicket)
    return Step::Block;
  warp.clock.join(barrier.released);
  warp.synchronizeLanes();
  return Step::Next;
}

void decodeClusterBarrier(Decoding &d) {
  d.take("cluster");
  int form = d.takeOneOf({"arrive", "wait"});
  if (form < 0)
    d.fail("expected .arrive or .wait");
  int order = form == 0 ? d.takeOneOf({"release", "relaxed"}) : d.takeOneOf({"acquire"});
  d.insn.a = form == 0 && order == 1;
  d.insn.b = d.take("aligned");
  d.expectOperands(0, 0);
  d.insn.handler = form == 0 ? clusterArrive : clusterWait;
}

//===--------------------------------------------------------------------===//
// bar.warp
//===--------------------------------------------------------------------===//

Step warpBarrier(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t wanted = warp.u32(insn.slots[1])[lowestLane(mask)];
  if (mask & ~wanted)
    warp.grid->report(ReportKind::Lanes, Grid::placeOf(warp, lowestLane(mask & ~wanted)), "the executing lane is not in the mask");
  if (warp.split->entered) { // another bar.warp.sync has let it go
    warp.split->entered = false;
    return Step::Next;
  }
  if (!warp.converged(wanted)) {
    // Lanes may meet at different instructions: all that are wanted must stand at some bar.warp.sync.
    uint32_t standing = 0;
    for (const Split &split : warp.splits) {
      const Insn &there = warp.code->insns[split.pc];
      if (there.handler == warpBarrier && !split.entered)
        standing |= split.mask & warp.live;
    }
    if (wanted & warp.live & ~standing)
      return Step::Block;
    for (Split &split : warp.splits)
      if (&split != warp.split && (split.mask & wanted))
        split.entered = true;
  }
  warp.synchronizeLanes();
  ++warp.grid->progress;
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Fences
//===--------------------------------------------------------------------===//

/// a: Scope.
Step fence(Warp &warp, const Insn &insn, uint32_t) {
  fenceThreads(warp, Scope(insn.a));
  return Step::Next;
}

/// What the warp knows of ordinary writes is visible to asynchronous accesses from here on.
Step fenceProxy(Warp &warp, const Insn &, uint32_t) {
  for (Mbarrier &mbarrier : warp.cluster->mbarriers)
    if (mbarrier.initializer == warp.index)
      mbarrier.fenced = true;
  uint32_t warps = warp.grid->warpsPerCluster;
  auto copyUp = [&](ClockVector &vector) {
    for (uint32_t w = 0; w < warps && w < vector.size(); ++w)
      vector[warps + w] = std::max(vector[warps + w], vector[w]);
  };
  if (warp.clock.seen.own.size() < 2 * size_t(warps))
    warp.clock.seen.own.resize(2 * size_t(warps), 0);
  copyUp(warp.clock.seen.own);
  if (warp.clock.seen.foreign) {
    auto raised = std::make_shared<Foreign>(*warp.clock.seen.foreign);
    for (auto &[cluster, vector] : *raised) {
      auto copy = std::make_shared<ClockVector>(*vector);
      if (copy->size() < 2 * size_t(warps))
        copy->resize(2 * size_t(warps), 0);
      copyUp(*copy);
      vector = std::move(copy);
    }
    warp.clock.seen.foreign = std::move(raised);
  }
  warp.tick();
  return Step::Next;
}

Step fenceMbarrierInit(Warp &warp, const Insn &, uint32_t) {
  for (Mbarrier &mbarrier : warp.cluster->mbarriers)
    if (mbarrier.initializer == warp.index)
      mbarrier.fenced = true;
  fenceThreads(warp, Scope::Cluster);
  return Step::Next;
}

void decodeFence(Decoding &d) {
  if (d.take("proxy")) {
    // Aliases and tensor maps lie in no cache here.
    if (d.take("alias") || d.take("tensormap::generic")) {
      d.take("acquire");
      d.take("release");
      takeScope(d, Scope::System);
      d.expectOperands(0, 2);
      for (size_t i = 0; i < d.operands.size(); ++i) {
        int64_t offset;
        if (d.operand(i).kind == Operand::Kind::Address)
          d.address(d.operand(i), offset);
      }
      d.insn.handler = nothing;
      return;
    }
    if (d.takeOneOf({"async", "async::generic"}) < 0)
      d.fail("expected .async, .alias or .tensormap::generic");
    d.takeOneOf({"global", "shared::cta", "shared::cluster"});
    for (std::string_view word : {"acquire", "release", "sync_restrict::shared::cta", "sync_restrict::shared::cluster", "cluster"})
      d.take(word);
    d.expectOperands(0, 0);
    d.insn.handler = fenceProxy;
    return;
  }
  if (d.take("mbarrier_init")) {
    d.take("release");
    takeScope(d, Scope::Cluster);
    d.expectOperands(0, 0);
    d.insn.handler = fenceMbarrierInit;
    return;
  }
  d.takeOneOf({"sc", "acq_rel", "acquire", "release"});
  for (std::string_view word : {"sync_restrict::shared::cta", "sync_restrict::shared::cluster"})
    d.take(word);
  d.insn.a = uint8_t(takeScope(d, Scope::System));
  d.expectOperands(0, 0);
  d.insn.handler = fence;
}

/// Changes nothing here, but all lanes must come.
Step setRegisters(Warp &warp, const Insn &, uint32_t) { return warp.converged(~0u) ? Step::Next : Step::Block; }

} // namespace

void recheckBarriers(Warp &warp) {
  for (HardwareBarrier &barrier : warp.cta->barriers)
    if (barrier.arrived && barrier.needed == wholeCta)
      completeIfReady(*warp.cta, barrier);
  if (warp.cluster->barrier.arrived)
    completeClusterIfReady(*warp.cluster);
}

void addBarrierDecoders(DecoderTable &table) {
  table["bar"] = [](Decoding &d) {
    if (!d.take("warp"))
      return decodeBarrier(d, true);
    d.take("sync");
    d.expectOperands(1, 1);
    d.insn.slots[1] = d.read(0, Type::B32);
    d.insn.handler = warpBarrier;
  };
  table["barrier"] = [](Decoding &d) { d.has("cluster") ? decodeClusterBarrier(d) : decodeBarrier(d, false); };
  table["membar"] = [](Decoding &d) {
    int level = d.takeOneOf({"cta", "gl", "sys"});
    if (d.take("proxy"))
      d.fail("membar.proxy is not supported");
    if (level < 0)
      d.fail("expected .cta, .gl or .sys");
    d.expectOperands(0, 0);
    d.insn.a = uint8_t(level == 0 ? Scope::Cta : level == 1 ? Scope::Gpu : Scope::System);
    d.insn.handler = fence;
  };
  table["fence"] = decodeFence;
  table["setmaxnreg"] = [](Decoding &d) {
    if (d.takeOneOf({"inc", "dec"}) < 0 || !d.take("sync") || !d.take("aligned") || d.takeType() != Type::U32)
      d.fail("expected .inc or .dec, .sync.aligned.u32");
    d.expectOperands(1, 1);
    uint64_t count = d.immediate(0);
    if (count < 24 || count > 256 || count % 8)
      d.fail("register count " + std::to_string(count) + " must be a multiple of 8 from 24 to 256");
    d.insn.handler = setRegisters;
  };
}

} // namespace ptxemu

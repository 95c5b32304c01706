// SPDX-License-Identifier: Apache-2.0
//
// Asynchronous copies take place.

#include "LaneCopies.h"
#include "Mbarriers.h"
#include "Reduction.h"
#include "TensorBox.h"
#include <cstring>

namespace ptxemu {

void countInFlight(Cta &cta, int64_t bytes) {
  cta.bytesInFlight += uint64_t(bytes);
  uint64_t &peak = cta.cluster->grid->result.stats.peakBytesInFlight;
  peak = std::max(peak, cta.bytesInFlight);
}

/// What was written while in flight has arrived, with the phase of its mbarrier.
static void settle(Cluster &cluster, const PendingCopy &copy) {
  Grid &grid = *cluster.grid;
  Cta &cta = cluster.ctas[copy.rank];
  countInFlight(cta, -int64_t(copy.bytes));
  if (!grid.options.races || copy.mbarrier < 0)
    return;
  Mbarrier &mbarrier = cluster.mbarriers[size_t(copy.mbarrier)];
  mbarrier.loadedPhase = mbarrier.phase + 1;
  mbarrier.loadPc = copy.pc;
  Accessor who;
  who.agent = mbarrier.agent;
  who.clock = mbarrier.phase + 1;
  for (uint32_t at = copy.offset, end = copy.offset + copy.bytes; at < end;) {
    uint32_t lineEnd = std::min(end, at / lineBytes * lineBytes + lineBytes);
    settleWrite(cta.shadow[at / lineBytes], byteMask(at % lineBytes, at % lineBytes + (lineEnd - at)), mbarrier.agent, who, noLane, false);
    at = lineEnd;
  }
}

/// Combines or overwrites `bytes` of memory.
static void writeBytes(uint8_t *to, const uint8_t *from, uint64_t bytes, int reduction, Type type) {
  if (reduction < 0) {
    std::memcpy(to, from, bytes);
    return;
  }
  uint32_t size = typeBytes(type);
  for (uint64_t at = 0; at + size <= bytes; at += size) {
    uint64_t old = 0, value = 0;
    std::memcpy(&old, to + at, size);
    std::memcpy(&value, from + at, size);
    uint64_t result = reduceValues(Reduction(reduction), type, old, value);
    std::memcpy(to + at, &result, size);
  }
}

static Grid::Place placeOf(Cluster &cluster, const PendingCopy &copy) {
  const Warp &warp = cluster.warps[copy.warp];
  return {warp.cta, int(warp.indexInCta), int(copy.lane), int64_t(copy.pc), -1};
}

static void landBulkLoad(Cluster &cluster, const PendingCopy &copy) {
  uint8_t *from = cluster.grid->global(copy.global, copy.bytes, 1, false, placeOf(cluster, copy), "bulk load");
  if (from)
    std::memcpy(cluster.ctas[copy.rank].memory.data() + copy.offset, from, copy.bytes);
  if (copy.counted)
    cluster.grid->result.stats.bulkLoadBytes += copy.bytes;
}

static void landTensorLoad(Cluster &cluster, const PendingCopy &copy) {
  Grid &grid = *cluster.grid;
  uint8_t *memory = cluster.ctas[copy.rank].memory.data();
  TensorBox box(copy.map, copy.coordinates);
  // Elements outside of the tensor: zero, or NaN where the map says so.
  uint8_t fill[8] = {};
  if (copy.map.oobFill)
    box.nanFill(fill);
  std::vector<uint8_t> row(box.rowBytes);
  box.forEachRow([&](uint32_t sharedRow, bool inside, uint64_t address, uint32_t begin, uint32_t end) {
    for (uint32_t at = 0; at < box.rowBytes; ++at)
      row[at] = fill[at % box.elementSize];
    if (inside && begin < end) {
      if (uint8_t *from = grid.global(address, end - begin, 1, false, placeOf(cluster, copy), "tensor load"))
        std::memcpy(row.data() + begin, from, end - begin);
      if (copy.counted)
        grid.result.stats.bulkLoadBytes += end - begin;
    }
    box.scatterRow(memory, copy.offset, sharedRow, row.data());
  });
}

/// A store's first half: after it shared memory may be written again.
static void readStore(Cluster &cluster, PendingCopy &copy) {
  const uint8_t *from = cluster.ctas[copy.rank].memory.data() + copy.offset;
  if (copy.kind == PendingCopy::Kind::BulkStore) {
    copy.data.assign(from, from + copy.bytes);
  } else {
    TensorBox box(copy.map, copy.coordinates);
    copy.data.resize(copy.bytes);
    for (uint32_t row = 0; row < box.rows; ++row)
      box.gatherRow(cluster.ctas[copy.rank].memory.data(), copy.offset, row, copy.data.data() + size_t(row) * box.rowBytes);
  }
  copy.read = true;
}

static void writeStore(Cluster &cluster, const PendingCopy &copy) {
  Grid &grid = *cluster.grid;
  Grid::Place place = placeOf(cluster, copy);
  if (copy.kind == PendingCopy::Kind::BulkStore) {
    if (uint8_t *to = grid.global(copy.global, copy.bytes, 1, true, place, "bulk store"))
      writeBytes(to, copy.data.data(), copy.bytes, copy.reduction, copy.type);
    grid.result.stats.bulkStoreBytes += copy.bytes;
    return;
  }
  TensorBox box(copy.map, copy.coordinates);
  box.forEachRow([&](uint32_t sharedRow, bool inside, uint64_t address, uint32_t begin, uint32_t end) {
    if (!inside || begin >= end)
      return;
    if (uint8_t *to = grid.global(address, end - begin, 1, true, place, "tensor store"))
      writeBytes(to, copy.data.data() + size_t(sharedRow) * box.rowBytes + begin, end - begin, copy.reduction, copy.type);
    grid.result.stats.bulkStoreBytes += end - begin;
  });
}

void perform(Cluster &cluster, PendingCopy &copy) {
  ++cluster.grid->progress;
  switch (copy.kind) {
  case PendingCopy::Kind::BulkLoad:
  case PendingCopy::Kind::TensorLoad:
    if (copy.kind == PendingCopy::Kind::BulkLoad)
      landBulkLoad(cluster, copy);
    else
      landTensorLoad(cluster, copy);
    settle(cluster, copy);
    completeTransactions(cluster, copy.mbarrier, copy.bytes);
    break;
  case PendingCopy::Kind::SharedCopy: {
    uint8_t *to = cluster.ctas[copy.rank].memory.data() + copy.offset;
    if (copy.data.empty()) {
      const uint8_t *from = cluster.ctas[copy.sourceRank].memory.data() + copy.sourceOffset;
      copy.data.assign(from, from + copy.bytes);
    }
    writeBytes(to, copy.data.data(), copy.bytes, copy.reduction, copy.type);
    settle(cluster, copy);
    completeTransactions(cluster, copy.mbarrier, copy.bytes);
    break;
  }
  case PendingCopy::Kind::BulkStore:
  case PendingCopy::Kind::TensorStore:
    if (!copy.read)
      readStore(cluster, copy);
    writeStore(cluster, copy);
    break;
  case PendingCopy::Kind::LaneArrival:
    performLaneArrival(cluster, copy);
    break;
  }
}

void deliver(Cluster &cluster, size_t index) {
  PendingCopy copy = std::move(cluster.pending[index]);
  cluster.pending.erase(cluster.pending.begin() + ptrdiff_t(index));
  perform(cluster, copy);
}

void enqueue(Cluster &cluster, PendingCopy copy) {
  ++cluster.grid->progress;
  if (cluster.grid->options.asynchrony == Asynchrony::Earliest)
    perform(cluster, copy);
  else
    cluster.pending.push_back(std::move(copy));
}

void finishStores(Warp &warp, uint32_t lane, uint32_t groups, bool readOnly) {
  Cluster &cluster = *warp.cluster;
  for (size_t i = 0; i < cluster.pending.size();) {
    PendingCopy &copy = cluster.pending[i];
    bool isStore = copy.kind == PendingCopy::Kind::BulkStore || copy.kind == PendingCopy::Kind::TensorStore;
    if (!isStore || copy.warp != warp.index || copy.lane != lane || copy.group >= groups) {
      ++i;
      continue;
    }
    if (!readOnly) {
      deliver(cluster, i);
      continue;
    }
    if (!copy.read)
      readStore(cluster, copy);
    ++i;
  }
  // Everything up to the oldest store that is still under way is known to be done.
  uint32_t readUpTo = warp.bulkSequence, writtenUpTo = warp.bulkSequence;
  for (const PendingCopy &copy : cluster.pending) {
    bool isStore = copy.kind == PendingCopy::Kind::BulkStore || copy.kind == PendingCopy::Kind::TensorStore;
    if (!isStore || copy.warp != warp.index)
      continue;
    writtenUpTo = std::min(writtenUpTo, copy.sequence - 1);
    if (!copy.read)
      readUpTo = std::min(readUpTo, copy.sequence - 1);
  }
  // A schedule in which stores run early must not make a missing wait look right: only waited-for groups count.
  uint32_t waited = 0;
  for (const auto &[sequence, owner] : warp.bulkIssued)
    if (owner.first == lane && owner.second < groups)
      waited = std::max(waited, sequence);
  warp.clock.seen.raise(warp.grid->bulkReadAgent(warp.index), std::min(readUpTo, waited));
  if (!readOnly)
    warp.clock.seen.raise(warp.grid->bulkWriteAgent(warp.index), std::min(writtenUpTo, waited));
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// cp.async.bulk and cp.async.bulk.tensor are issued: operands are checked and recorded, destinations are poisoned.

#include "DecodeAccess.h"
#include "LaneCopies.h"
#include "Mbarriers.h"
#include "Reduction.h"
#include "TensorBox.h"

namespace ptxemu {

namespace {

/// Addresses: slots[0] shared (of a load: destination; of a store: source), slots[1] global address or tensor map, slots[2] mbarrier;
/// their offsets are list 0. list 1: coordinates. a: rank of the tensor, 0 for bytes; b: Reduction + 1; slots[3]: bytes, or none;
/// slots[4]: mask of a multicast, or none; type: of a reduction. d: source is shared memory of the own CTA (copies between CTAs).
uint64_t addressOf(Warp &warp, const Insn &insn, size_t which, uint32_t lane) {
  int32_t slot = insn.slots[which];
  uint64_t address = warp.value(slot, lane) + uint64_t(int64_t(warp.code->list(insn, 0)[which]));
  return slot & wideSlot ? address : uint32_t(address);
}

/// The tensor map at an address, checked.
bool readTensorMap(Warp &warp, const Insn &insn, uint32_t lane, TensorMap &map) {
  Grid &grid = *warp.grid;
  Grid::Place where = Grid::placeOf(warp, int(lane));
  uint64_t address = addressOf(warp, insn, 1, lane);
  const uint8_t *from = nullptr;
  bool inParameters = inWindow(address, parameterWindow) || address < (uint64_t(1) << 16);
  if (inParameters) {
    uint64_t offset = inWindow(address, parameterWindow) ? address - parameterWindow : address;
    if (offset % 64 == 0 && offset + sizeof(TensorMap) <= grid.parameters.size())
      from = grid.parameters.data() + offset;
    else
      grid.report(ReportKind::Copy, where, "the tensor map is not at a multiple of 64 bytes inside of the parameters");
  } else {
    from = grid.global(address, sizeof(TensorMap), 64, false, where, "read of a tensor map");
  }
  if (!from)
    return false;
  std::memcpy(&map, from, sizeof(map));
  if (map.magic != tensorMapMagic) {
    grid.report(ReportKind::Copy, where, "the operand is not a tensor map");
    return false;
  }
  if (map.rank != insn.a) {
    grid.report(ReportKind::Copy, where,
                "a copy of rank " + std::to_string(insn.a) + " with a tensor map of rank " + std::to_string(map.rank));
    return false;
  }
  if (map.swizzle && map.box[0] * elementBytes(TensorMapType(map.type)) != 16u << map.swizzle)
    grid.report(ReportKind::Copy, where, "the inner box is smaller than the swizzle's span; how rows lie then is not documented: taken as packed",
                true);
  return true;
}

void fillTensor(Warp &warp, const Insn &insn, uint32_t lane, PendingCopy &copy) {
  const int32_t *coordinates = warp.code->list(insn, 1);
  for (uint32_t d = 0; d < insn.a; ++d)
    copy.coordinates[d] = int32_t(warp.u32(coordinates[d])[lane]);
  copy.bytes = TensorBox(copy.map, copy.coordinates).bytes();
}

/// Race checks of the global side.
void recordGlobalSide(Warp &warp, const PendingCopy &copy, const Accessor &who, bool isWrite, const Grid::Place &where) {
  Grid &grid = *warp.grid;
  if (!grid.options.races)
    return;
  if (copy.kind == PendingCopy::Kind::BulkLoad || copy.kind == PendingCopy::Kind::BulkStore) {
    grid.recordGlobal(copy.global, copy.bytes, isWrite, who, where);
    return;
  }
  TensorBox box(copy.map, copy.coordinates);
  box.forEachRow([&](uint32_t, bool inside, uint64_t address, uint32_t begin, uint32_t end) {
    if (inside && begin < end)
      grid.recordGlobal(address, end - begin, isWrite, who, where);
  });
}

void checkTensorPlace(Warp &warp, const PendingCopy &copy, uint32_t lane) {
  uint32_t pattern = 128u << copy.map.swizzle;
  if (copy.map.swizzle && copy.offset % pattern)
    warp.grid->report(ReportKind::Copy, Grid::placeOf(warp, int(lane)),
                      "shared offset " + std::to_string(copy.offset) + " is not a multiple of the swizzle's pattern of " +
                          std::to_string(pattern) + " bytes: readers must take the XOR from the address",
                      true);
}

/// Every condition on 1-D bulk copies.
bool checkBytes(Warp &warp, uint64_t bytes, uint32_t lane) {
  if (bytes == 0 || bytes % 16) {
    warp.grid->report(ReportKind::Misaligned, Grid::placeOf(warp, int(lane)),
                      std::to_string(bytes) + " bytes in a bulk copy: expected a positive multiple of 16");
    return false;
  }
  return true;
}

//===--------------------------------------------------------------------===//
// Into shared memory
//===--------------------------------------------------------------------===//

void issueTo(Warp &warp, PendingCopy copy, SharedPlace place, int mbarrier, const Grid::Place &where, bool isFirst) {
  Grid &grid = *warp.grid;
  Cluster &cluster = *warp.cluster;
  copy.rank = place.rank;
  copy.mbarrier = mbarrier;
  copy.counted = isFirst;
  const Mbarrier &signalled = cluster.mbarriers[size_t(mbarrier)];
  requireFenced(warp, signalled, uint32_t(where.lane));
  Accessor who = ordinaryAccess(warp);
  who.warp = -1;
  who.asynchronous = true;
  who.agent = signalled.agent;
  who.clock = signalled.phase + 1;
  if (copy.kind == PendingCopy::Kind::SharedCopy)
    recordShared(cluster, {copy.sourceRank, copy.sourceOffset}, copy.bytes, false, who, where);
  else
    recordGlobalSide(warp, copy, who, false, where);
  who.clock = inFlight;
  recordShared(cluster, place, copy.bytes, true, who, where);
  std::memset(place.bytes(cluster), 0xff, copy.bytes);
  ++grid.result.stats.bulkCopies;
  countInFlight(cluster.ctas[place.rank], copy.bytes);
  enqueue(cluster, std::move(copy));
}

Step load(Warp &warp, const Insn &insn, uint32_t mask) {
  Grid &grid = *warp.grid;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    Grid::Place where = Grid::placeOf(warp, int(l));
    PendingCopy copy;
    copy.kind = insn.a ? PendingCopy::Kind::TensorLoad : insn.d ? PendingCopy::Kind::SharedCopy : PendingCopy::Kind::BulkLoad;
    copy.warp = warp.index;
    copy.lane = uint8_t(l);
    copy.pc = warp.pc();
    copy.reduction = int(insn.b) - 1;
    copy.type = insn.type;
    if (insn.a) {
      if (!readTensorMap(warp, insn, l, copy.map))
        continue;
      fillTensor(warp, insn, l, copy);
    } else {
      copy.bytes = warp.u32(insn.slots[3])[l];
      if (!checkBytes(warp, copy.bytes, l))
        continue;
      uint64_t source = addressOf(warp, insn, 1, l);
      if (insn.d) {
        auto from = sharedPlace(warp, source, copy.bytes, 16, int(l), "source of a bulk copy");
        if (!from)
          continue;
        copy.sourceRank = from->rank;
        copy.sourceOffset = from->offset;
      } else {
        copy.global = source;
        if (!grid.global(source, copy.bytes, 16, false, where, "bulk load"))
          continue;
      }
    }
    auto place = sharedPlace(warp, addressOf(warp, insn, 0, l), copy.bytes, insn.a ? 128 : 16, int(l), "destination of a bulk copy");
    int mbarrier = findMbarrier(warp, addressOf(warp, insn, 2, l), l);
    if (!place || mbarrier < 0)
      continue;
    copy.offset = place->offset;
    if (insn.a)
      checkTensorPlace(warp, copy, l);
    if (insn.slots[4] == noSlot) {
      issueTo(warp, std::move(copy), *place, mbarrier, where, true);
      continue;
    }
    // A multicast goes to the same offsets in every CTA of the mask.
    uint32_t ranks = warp.u32(insn.slots[4])[l] & 0xffff;
    if (ranks == 0 || ranks >> grid.ctasPerCluster)
      grid.report(ReportKind::Copy, where, "the multicast's mask names CTAs outside of the cluster of " + std::to_string(grid.ctasPerCluster));
    uint32_t offset = warp.cluster->mbarriers[size_t(mbarrier)].offset;
    bool isFirst = true;
    for (uint32_t rank = 0; rank < grid.ctasPerCluster; ++rank) {
      if (!(ranks >> rank & 1))
        continue;
      if (rank != warp.cta->rank && warp.cluster->ctas[rank].liveWarps == 0) {
        grid.report(ReportKind::OutOfBounds, where, "multicast to CTA " + std::to_string(rank) + " of the cluster, which has exited");
        continue;
      }
      int signalled = findMbarrier(warp, SharedPlace{rank, offset}, l);
      if (signalled >= 0)
        issueTo(warp, copy, {rank, place->offset}, signalled, where, isFirst);
      isFirst = false;
    }
  }
  warp.tick();
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Out of shared memory
//===--------------------------------------------------------------------===//

Step storeOut(Warp &warp, const Insn &insn, uint32_t mask) {
  Grid &grid = *warp.grid;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    Grid::Place where = Grid::placeOf(warp, int(l));
    PendingCopy copy;
    copy.kind = insn.a ? PendingCopy::Kind::TensorStore : PendingCopy::Kind::BulkStore;
    copy.warp = warp.index;
    copy.lane = uint8_t(l);
    copy.pc = warp.pc();
    copy.reduction = int(insn.b) - 1;
    copy.type = insn.type;
    if (insn.a) {
      if (!readTensorMap(warp, insn, l, copy.map))
        continue;
      fillTensor(warp, insn, l, copy);
      if (insn.b) {
        copy.type = reductionType(TensorMapType(copy.map.type));
        if (!reductionSupports(Reduction(insn.b - 1), copy.type)) {
          grid.report(ReportKind::Copy, where, "this reduction does not exist for the tensor's element type");
          continue;
        }
      }
    } else {
      copy.bytes = warp.u32(insn.slots[3])[l];
      copy.global = addressOf(warp, insn, 1, l);
      if (!checkBytes(warp, copy.bytes, l) || !grid.global(copy.global, copy.bytes, 16, true, where, "bulk store"))
        continue;
    }
    auto place = sharedPlace(warp, addressOf(warp, insn, 0, l), copy.bytes, insn.a ? 128 : 16, int(l), "source of a bulk copy");
    if (!place)
      continue;
    copy.rank = place->rank;
    copy.offset = place->offset;
    if (insn.a)
      checkTensorPlace(warp, copy, l);
    copy.group = warp.bulkGroups[l];
    copy.sequence = ++warp.bulkSequence;
    warp.bulkIssued.push_back({copy.sequence, {l, copy.group}});
    if (warp.bulkIssued.size() > 4096)
      warp.bulkIssued.pop_front();
    Accessor who = ordinaryAccess(warp);
    who.warp = -1;
    who.asynchronous = true;
    who.agent = grid.bulkReadAgent(warp.index);
    who.clock = copy.sequence;
    recordShared(*warp.cluster, *place, copy.bytes, false, who, where);
    who.agent = grid.bulkWriteAgent(warp.index);
    who.strong = insn.b != 0;
    recordGlobalSide(warp, copy, who, true, where);
    ++grid.result.stats.bulkCopies;
    enqueue(*warp.cluster, std::move(copy));
  }
  warp.tick();
  return Step::Next;
}

Step commit(Warp &warp, const Insn &, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1)
    ++warp.bulkGroups[size_t(lowestLane(lanes))];
  return Step::Next;
}

/// a: reads alone; immediate: groups that may stay under way.
Step waitGroups(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes)), made = warp.bulkGroups[l];
    uint32_t groups = uint64_t(made) > uint64_t(insn.immediate) ? made - uint32_t(insn.immediate) : 0;
    if (groups)
      finishStores(warp, l, groups, insn.a);
  }
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Decoding
//===--------------------------------------------------------------------===//

enum class Side { Global, SharedCta, SharedCluster };

Side takeSide(Decoding &d) {
  std::string_view space = d.takeAny("a state space");
  if (space == "global")
    return Side::Global;
  if (space == "shared::cta")
    return Side::SharedCta;
  if (space == "shared::cluster")
    return Side::SharedCluster;
  d.fail("state space '." + std::string(space) + "' is unknown here");
}

/// `[map, {c0, c1}]` into slots[1] and list 1.
int64_t tensorOperand(Decoding &d, const Operand &operand) {
  if (operand.kind != Operand::Kind::Address || operand.elements.empty() || operand.elements[0].kind != Operand::Kind::Vector)
    d.fail("expected [map, {coordinates}]");
  if (operand.elements.size() > 1)
    d.fail("im2col offsets are not supported");
  if (operand.elements[0].elements.size() != d.insn.a)
    d.fail("expected " + std::to_string(d.insn.a) + " coordinates");
  std::vector<int32_t> coordinates;
  for (const Operand &element : operand.elements[0].elements)
    coordinates.push_back(d.read(element, Type::S32));
  d.insn.lists[1] = d.builder.addList(coordinates);
  int64_t offset;
  d.insn.slots[1] = d.address(operand, offset);
  return offset;
}

/// .Nd of a tensor copy, 0 if there is none.
uint8_t takeRank(Decoding &d) {
  if (!d.take("tensor"))
    return 0;
  int rank = d.takeOneOf({"1d", "2d", "3d", "4d", "5d"});
  if (rank < 0)
    d.fail("expected .1d to .5d");
  return uint8_t(rank + 1);
}

void decodePrefetch(Decoding &d) {
  d.insn.a = takeRank(d);
  d.take("L2");
  d.take("global");
  d.take("tile");
  bool policy = takeCacheHints(d);
  size_t plain = d.insn.a ? 1 : 2;
  d.expectOperands(plain + policy, plain + policy);
  if (d.insn.a) {
    tensorOperand(d, d.operand(0));
  } else {
    int64_t offset;
    d.address(d.operand(0), offset);
    d.read(1, Type::B32);
  }
  takePolicyOperand(d, policy, plain);
  d.insn.handler = [](Warp &, const Insn &, uint32_t) { return Step::Next; };
}

void decodeBulk(Decoding &d, bool reduces) {
  if (d.take("commit_group")) {
    d.expectOperands(0, 0);
    d.insn.handler = commit;
    return;
  }
  if (d.take("wait_group")) {
    d.insn.a = d.take("read");
    d.expectOperands(1, 1);
    d.insn.immediate = int64_t(d.immediate(0));
    if (d.insn.immediate < 0 || d.insn.immediate > (1 << 20))
      d.fail("number of groups is out of range");
    d.insn.handler = waitGroups;
    return;
  }
  if (d.take("prefetch"))
    return decodePrefetch(d);
  d.insn.a = takeRank(d);
  d.info.kind = std::string(reduces ? "cp.reduce.async.bulk" : "cp.async.bulk") + (d.insn.a ? ".tensor" : "");
  // `.L2::cache_hint` must not be taken for a state space.
  bool policy = takeCacheHints(d);
  Side to = takeSide(d), from = takeSide(d);
  d.take("tile");
  bool multicast = d.take("multicast::cluster");
  if (d.has("cta_group::1") || d.has("cta_group::2"))
    d.fail(".cta_group is not supported");
  if (d.has("im2col") || d.has("im2col_no_offs") || d.has("tile::gather4") || d.has("tile::scatter4"))
    d.fail("only the tile mode is supported");
  bool intoShared = to != Side::Global;
  if (intoShared ? !d.take("mbarrier::complete_tx::bytes") : !d.take("bulk_group"))
    d.fail(intoShared ? "expected .mbarrier::complete_tx::bytes" : "expected .bulk_group");
  if (reduces) {
    d.insn.b = uint8_t(uint32_t(takeReduction(d)) + 1);
    d.take("noftz");
    if (!d.insn.a) {
      d.insn.type = d.takeType();
      if (!reductionSupports(Reduction(d.insn.b - 1), d.insn.type) && !isUntyped(d.insn.type))
        d.fail("this reduction of ." + std::string(typeName(d.insn.type)) + " is unknown");
    }
  }
  if (intoShared && from == Side::SharedCluster)
    d.fail("the source must be .global or .shared::cta");
  if (!intoShared && from != Side::SharedCta)
    d.fail("the source must be .shared::cta");
  if (reduces && intoShared && from == Side::Global)
    d.fail("reductions read shared memory");
  d.insn.d = intoShared && from == Side::SharedCta;

  size_t plain = d.insn.a ? (intoShared ? 3 : 2) : (intoShared ? 4 : 3), count = plain + multicast + policy;
  d.expectOperands(count, count);
  int64_t shared = 0, global = 0, barrier = 0;
  size_t sharedAt = intoShared ? 0 : 1, globalAt = intoShared ? 1 : 0;
  d.insn.slots[0] = d.address(d.operand(sharedAt), shared);
  if (d.insn.a)
    global = tensorOperand(d, d.operand(globalAt));
  else
    d.insn.slots[1] = d.address(d.operand(globalAt), global);
  if (!d.insn.a)
    d.insn.slots[3] = d.read(2, Type::B32);
  if (intoShared)
    d.insn.slots[2] = d.address(d.operand(plain - 1), barrier);
  if (multicast) {
    d.insn.slots[4] = d.read(plain, Type::B16);
    if (!intoShared || from != Side::Global)
      d.fail("a multicast needs a load from global memory");
  }
  takePolicyOperand(d, policy, count - 1);
  d.insn.lists[0] = d.builder.addList({int32_t(shared), int32_t(global), int32_t(barrier)});
  d.insn.handler = intoShared ? load : storeOut;
}

void decodeCp(Decoding &d) {
  bool reduces = d.take("reduce");
  if (!d.take("async"))
    d.fail("expected .async");
  if (d.take("bulk"))
    return decodeBulk(d, reduces);
  if (reduces)
    d.fail("expected .bulk");
  d.info.kind = "cp.async";
  if (d.take("commit_group"))
    return decodeLaneCommit(d);
  if (d.take("wait_group"))
    return decodeLaneWait(d, false);
  if (d.take("wait_all"))
    return decodeLaneWait(d, true);
  if (d.take("mbarrier")) {
    if (!d.take("arrive"))
      d.fail("expected .mbarrier.arrive");
    return decodeLaneArrival(d);
  }
  decodeLaneCopy(d);
}

} // namespace

void addCopyDecoders(DecoderTable &table) { table["cp"] = decodeCp; }

} // namespace ptxemu

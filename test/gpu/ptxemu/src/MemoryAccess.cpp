// SPDX-License-Identifier: Apache-2.0

#include "MemoryAccess.h"

namespace ptxemu {

namespace {

/// Words that lanes access in one line.
struct LineGroup {
  uint64_t line;
  uint32_t mask;  ///< Words.
  ByteMask bytes;
  uint8_t lanes[32]; ///< Of the words.
};

/// Accesses sorted by line.
struct LineGroups {
  LineGroup groups[32];
  uint32_t count = 0, last = 0;
  bool overlap = false;

  /// `bytes` do not cross a line.
  void add(uint64_t address, uint32_t bytes, uint8_t lane) {
    uint64_t line = address / lineBytes;
    uint32_t begin = uint32_t(address % lineBytes);
    uint32_t mask = wordMask(begin, begin + bytes);
    if (count == 0 || groups[last].line != line) {
      for (last = 0; last < count && groups[last].line != line;)
        ++last;
      if (last == count) {
        groups[count].line = line;
        groups[count].mask = 0;
        groups[count].bytes = 0;
        ++count;
      }
    }
    LineGroup &group = groups[last];
    uint32_t both = group.mask & mask;
    overlap |= both != 0;
    for (uint32_t word = begin / 4, end = (begin + bytes + 3) / 4; word < end; ++word)
      group.lanes[word] = both & (1u << word) ? manyLanes : lane;
    group.mask |= mask;
    group.bytes |= byteMask(begin, begin + bytes);
  }
};

uint32_t sectorsOf(uint32_t mask) { return uint32_t(bool(mask & 0xff)) + bool(mask & 0xff00) + bool(mask & 0xff0000) + bool(mask & 0xff000000); }

} // namespace

/// Passes of the shared memory's 32 banks; a line's words are the banks.
static void countWavefronts(Stats &stats, const LineGroups &groups) {
  uint32_t left[32];
  for (uint32_t i = 0; i < groups.count; ++i)
    left[i] = groups.groups[i].mask;
  bool more = true;
  while (more) {
    more = false;
    uint32_t used = 0;
    for (uint32_t i = 0; i < groups.count; ++i) {
      uint32_t now = left[i] & ~used;
      used |= now;
      left[i] &= ~now;
      more |= left[i] != 0;
    }
    ++stats.sharedWavefronts;
  }
  ++stats.sharedWavefrontsIdeal;
}

static void recordSharedGroups(Warp &warp, WarpAccess &access, const LineGroups &groups, Cta &cta) {
  Grid &grid = *warp.grid;
  if (grid.options.traffic)
    countWavefronts(grid.result.stats, groups);
  if (!grid.options.races)
    return;
  Accessor who = ordinaryAccess(warp);
  who.strong = access.strong;
  for (uint32_t i = 0; i < groups.count; ++i) {
    const LineGroup &group = groups.groups[i];
    Line &line = cta.shadow[group.line];
    uint32_t &written = cta.initialized[group.line];
    if (access.kind != AccessKind::Store && (group.mask & ~written)) {
      uint32_t word = uint32_t(std::countr_zero(group.mask & ~written));
      grid.report(ReportKind::Uninitialized, Grid::placeOf(warp, group.lanes[word] < 32 ? group.lanes[word] : -1),
                  "read of shared offset " + std::to_string(group.line * lineBytes + word * 4) + " of CTA " + std::to_string(cta.rank) +
                      " that nobody wrote");
    }
    Conflict conflict;
    if (access.kind == AccessKind::Load) {
      conflict = recordRead(line, group.bytes, who, group.lanes, ~size_t(0));
    } else {
      conflict = recordWrite(line, group.bytes, who, group.lanes);
      written |= group.mask;
    }
    if (conflict.kind != Conflict::Kind::None)
      grid.reportConflict(conflict, Grid::placeOf(warp, group.lanes[conflict.word] < 32 ? group.lanes[conflict.word] : -1), "shared",
                          group.line * lineBytes + conflict.word * 4, who);
  }
}

static uint32_t resolveShared(Warp &warp, WarpAccess &access, uint32_t mask) {
  Cluster &cluster = *warp.cluster;
  Grid &grid = *warp.grid;
  uint32_t valid = 0;
  uint8_t ranks[32];
  uint32_t offsets[32];
  bool own = true;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t address = access.address[l];
    if (inWindow(address, sharedWindow))
      address -= sharedWindow;
    uint32_t offset = uint32_t(address) - sharedBase;
    // The common case: the CTA's own memory.
    if (address < (1u << rankShift) && uint64_t(offset) + access.bytes <= grid.sharedBytes && offset < (1u << rankShift) &&
        address % access.bytes == 0) {
      ranks[l] = uint8_t(warp.cta->rank);
    } else {
      auto place = sharedPlace(warp, access.address[l], access.bytes, access.bytes, int(l), access.what);
      if (!place)
        continue;
      ranks[l] = uint8_t(place->rank);
      offset = place->offset;
      own &= place->rank == warp.cta->rank;
    }
    offsets[l] = offset;
    access.host[l] = cluster.ctas[ranks[l]].memory.data() + offset;
    valid |= 1u << l;
  }
  access.inShared |= valid;
  if (!grid.options.races && !grid.options.traffic)
    return valid;
  // The hardware serves 128 bytes at a time: 32, 16 or 8 lanes.
  uint32_t perPhase = access.bytes <= 4 ? 32 : access.bytes == 8 ? 16 : access.bytes == 16 ? 8 : 4;
  for (uint32_t begin = 0; begin < 32; begin += perPhase) {
    uint32_t phase = valid & (perPhase == 32 ? ~0u : ((1u << perPhase) - 1) << begin);
    for (uint32_t rank = 0; phase; ++rank) {
      LineGroups groups;
      uint32_t here = own ? phase : 0;
      if (own)
        rank = warp.cta->rank;
      else
        for (uint32_t lanes = phase; lanes; lanes &= lanes - 1)
          if (ranks[lowestLane(lanes)] == rank)
            here |= lanes & -lanes;
      phase &= ~here;
      for (uint32_t lanes = here; lanes; lanes &= lanes - 1) {
        uint32_t l = uint32_t(lowestLane(lanes));
        groups.add(offsets[l], access.bytes, uint8_t(l));
      }
      if (groups.count)
        recordSharedGroups(warp, access, groups, cluster.ctas[rank]);
      access.sharedLanes |= groups.overlap;
    }
  }
  return valid;
}

static uint32_t resolveGlobal(Warp &warp, WarpAccess &access, uint32_t mask) {
  Grid &grid = *warp.grid;
  bool isWrite = access.kind != AccessKind::Load;
  uint32_t valid = 0;
  LaunchRange *first = nullptr;
  bool oneRange = true;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t address = access.address[l];
    LaunchRange *range = first;
    if (!range || address < range->begin || address + access.bytes > range->end || address % access.bytes || !range->live ||
        (isWrite && range->access == Access::Read)) {
      if (!grid.global(address, access.bytes, access.bytes, isWrite, Grid::placeOf(warp, int(l)), access.what))
        continue;
      range = grid.rangeOf(address);
      oneRange &= first == nullptr;
      if (!first)
        first = range;
    }
    access.host[l] = range->host + (address - range->begin);
    valid |= 1u << l;
  }
  if (!valid)
    return 0;
  bool races = grid.options.races && (!oneRange || first->access == Access::ReadWrite);
  if (!races && !grid.options.traffic)
    return valid;
  LineGroups groups;
  for (uint32_t lanes = valid; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    groups.add(access.address[l], access.bytes, uint8_t(l));
  }
  access.sharedLanes |= groups.overlap;
  if (grid.options.traffic) {
    Stats &stats = grid.result.stats;
    Traffic &traffic = access.kind == AccessKind::Load ? stats.globalLoads : access.kind == AccessKind::Store ? stats.globalStores : stats.globalAtomics;
    ++traffic.requests;
    traffic.bytes += uint64_t(access.bytes) * uint64_t(std::popcount(valid));
    for (uint32_t i = 0; i < groups.count; ++i)
      traffic.sectors += sectorsOf(groups.groups[i].mask);
  }
  if (!races)
    return valid;
  Accessor who = ordinaryAccess(warp);
  who.strong = access.strong;
  for (uint32_t i = 0; i < groups.count; ++i) {
    const LineGroup &group = groups.groups[i];
    LaunchRange *range = oneRange ? first : grid.rangeOf(group.line * lineBytes + uint64_t(std::countr_zero(group.mask)) * 4);
    if (!range)
      range = grid.rangeOf(group.line * lineBytes + uint64_t(std::countr_zero(group.mask)) * 4 + 3);
    if (!range || range->access == Access::Read)
      continue;
    if (!range->shadow)
      range->shadow = std::make_unique<GlobalShadow>(range->end - range->begin + lineBytes);
    Line &line = range->shadow->line(group.line * lineBytes - (range->begin & ~uint64_t(lineBytes - 1)));
    Conflict conflict = isWrite ? recordWrite(line, group.bytes, who, group.lanes) : recordRead(line, group.bytes, who, group.lanes, 8);
    if (conflict.kind != Conflict::Kind::None)
      grid.reportConflict(conflict, Grid::placeOf(warp, group.lanes[conflict.word] < 32 ? group.lanes[conflict.word] : -1), "global",
                          group.line * lineBytes + conflict.word * 4, who);
  }
  return valid;
}

static uint32_t resolveLocal(Warp &warp, WarpAccess &access, uint32_t mask) {
  uint32_t valid = 0;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t offset = access.address[l];
    if (inWindow(offset, localWindow))
      offset -= localWindow;
    if (offset + access.bytes > warp.code->localBytes || offset + access.bytes < offset) {
      warp.grid->report(ReportKind::OutOfBounds, Grid::placeOf(warp, int(l)),
                        std::string(access.what) + " of " + std::to_string(access.bytes) + " bytes at local offset " + std::to_string(offset) +
                            " of " + std::to_string(warp.code->localBytes));
    } else if (offset % access.bytes) {
      warp.grid->report(ReportKind::Misaligned, Grid::placeOf(warp, int(l)),
                        std::string(access.what) + " at local offset " + std::to_string(offset) + " needs an alignment of " +
                            std::to_string(access.bytes));
    } else {
      access.host[l] = warp.localOf(l) + offset;
      valid |= 1u << l;
    }
  }
  return valid;
}

static uint32_t resolveParameter(Warp &warp, WarpAccess &access, uint32_t mask) {
  uint32_t valid = 0;
  Grid &grid = *warp.grid;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t offset = access.address[l];
    if (inWindow(offset, parameterWindow))
      offset -= parameterWindow;
    Grid::Place place = Grid::placeOf(warp, int(l));
    if (access.kind != AccessKind::Load)
      grid.report(ReportKind::ReadOnly, place, "kernel parameters may not be written");
    else if (offset + access.bytes > grid.parameters.size() || offset + access.bytes < offset)
      grid.report(ReportKind::OutOfBounds, place,
                  std::string(access.what) + " of " + std::to_string(access.bytes) + " bytes at parameter offset " + std::to_string(offset) +
                      " of " + std::to_string(grid.parameters.size()));
    else if (offset % access.bytes)
      grid.report(ReportKind::Misaligned, place, std::string(access.what) + " at parameter offset " + std::to_string(offset));
    else {
      access.host[l] = grid.parameters.data() + offset;
      valid |= 1u << l;
    }
  }
  return valid;
}

uint32_t resolve(Warp &warp, WarpAccess &access) {
  switch (access.space) {
  case Space::Global:
    return resolveGlobal(warp, access, access.mask);
  case Space::Shared:
    return resolveShared(warp, access, access.mask);
  case Space::Local:
    return resolveLocal(warp, access, access.mask);
  case Space::Parameter:
    return resolveParameter(warp, access, access.mask);
  case Space::Generic:
    break;
  }
  uint32_t shared = 0, local = 0, parameter = 0;
  for (uint32_t lanes = access.mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t address = access.address[l];
    if (inWindow(address, sharedWindow))
      shared |= 1u << l;
    else if (inWindow(address, localWindow))
      local |= 1u << l;
    else if (inWindow(address, parameterWindow))
      parameter |= 1u << l;
  }
  uint32_t global = access.mask & ~(shared | local | parameter);
  uint32_t valid = 0;
  if (global)
    valid |= resolveGlobal(warp, access, global);
  if (shared)
    valid |= resolveShared(warp, access, shared);
  if (local)
    valid |= resolveLocal(warp, access, local);
  if (parameter)
    valid |= resolveParameter(warp, access, parameter);
  return valid;
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Shared memory of a cluster: places, races, initialisation.

#include "Machine.h"

namespace ptxemu {

std::optional<SharedPlace> sharedPlace(Warp &warp, uint64_t address, uint32_t bytes, uint32_t alignment, int lane, const char *what) {
  Grid &grid = *warp.grid;
  auto fail = [&](ReportKind kind, const std::string &message) {
    grid.report(kind, Grid::placeOf(warp, lane), std::string(what) + " of " + std::to_string(bytes) + " bytes" + message);
    return std::nullopt;
  };
  if (inWindow(address, sharedWindow))
    address -= sharedWindow;
  if (address >> 32)
    return fail(ReportKind::OutOfBounds, ": the address is not in shared memory");
  uint32_t rank = uint32_t(address >> rankShift) & 255;
  rank = rank ? rank - 1 : warp.cta->rank;
  int64_t offset = int64_t(address & ((1u << rankShift) - 1)) - sharedBase;
  if (rank >= grid.ctasPerCluster)
    return fail(ReportKind::OutOfBounds, ": the address belongs to CTA " + std::to_string(rank) + " of a cluster of " + std::to_string(grid.ctasPerCluster));
  if (rank != warp.cta->rank && warp.cluster->ctas[rank].liveWarps == 0)
    return fail(ReportKind::OutOfBounds, ": CTA " + std::to_string(rank) + " of the cluster has exited");
  if (offset < 0 || offset + int64_t(bytes) > int64_t(grid.sharedBytes))
    return fail(ReportKind::OutOfBounds, " at shared offset " + std::to_string(offset) + " of " + std::to_string(grid.sharedBytes));
  // The base is a multiple of 1024, so offsets and addresses are aligned alike.
  if (alignment > 1 && offset % alignment)
    return fail(ReportKind::Misaligned, " at shared offset " + std::to_string(offset) + " needs an alignment of " + std::to_string(alignment));
  return SharedPlace{rank, uint32_t(offset)};
}

void markInitialized(Cta &cta, uint32_t offset, uint32_t bytes) {
  for (uint32_t at = offset, end = offset + bytes; at < end;) {
    uint32_t lineEnd = std::min(end, at / lineBytes * lineBytes + lineBytes);
    cta.initialized[at / lineBytes] |= wordMask(at % lineBytes, at % lineBytes + (lineEnd - at));
    at = lineEnd;
  }
}

void checkInitialized(Cluster &cluster, SharedPlace place, uint32_t bytes, const Grid::Place &where) {
  if (!cluster.grid->options.races)
    return;
  Cta &cta = cluster.ctas[place.rank];
  for (uint32_t at = place.offset, end = place.offset + bytes; at < end;) {
    uint32_t lineEnd = std::min(end, at / lineBytes * lineBytes + lineBytes);
    uint32_t missing = wordMask(at % lineBytes, at % lineBytes + (lineEnd - at)) & ~cta.initialized[at / lineBytes];
    if (missing) {
      cluster.grid->report(ReportKind::Uninitialized, where,
                           "read of shared offset " + std::to_string(at / lineBytes * lineBytes + 4 * uint32_t(std::countr_zero(missing))) +
                               " of CTA " + std::to_string(place.rank) + " that nobody wrote");
      return;
    }
    at = lineEnd;
  }
}

void recordShared(Cluster &cluster, SharedPlace place, uint32_t bytes, bool isWrite, const Accessor &who, const Grid::Place &where) {
  Grid &grid = *cluster.grid;
  Cta &cta = cluster.ctas[place.rank];
  if (!grid.options.races)
    return;
  if (isWrite)
    markInitialized(cta, place.offset, bytes);
  else
    checkInitialized(cluster, place, bytes, where);
  for (uint32_t at = place.offset, end = place.offset + bytes; at < end;) {
    uint32_t lineEnd = std::min(end, at / lineBytes * lineBytes + lineBytes);
    ByteMask mask = byteMask(at % lineBytes, at % lineBytes + (lineEnd - at));
    Line &line = cta.shadow[at / lineBytes];
    Conflict conflict = isWrite ? recordWrite(line, mask, who, nullptr) : recordRead(line, mask, who, nullptr, ~size_t(0));
    if (conflict.kind != Conflict::Kind::None)
      grid.reportConflict(conflict, where, "shared", at / lineBytes * lineBytes + conflict.word * 4, who);
    at = lineEnd;
  }
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Accesses of the lanes of a warp: addresses to host memory, with all checks and counts on the way.

#pragma once

#include "Machine.h"

namespace ptxemu {

enum class Space : uint8_t { Generic, Global, Shared, Local, Parameter };

/// Meaning of an access between threads, and between whom.
enum class Order : uint8_t { Weak, Relaxed, Acquire, Release, AcquireRelease };
enum class Scope : uint8_t { Cta, Cluster, Gpu, System };

enum class AccessKind : uint8_t { Load, Store, Atomic };

/// An access of up to 32 lanes, each to `bytes` bytes aligned to that.
struct WarpAccess {
  uint64_t address[32]; ///< Of the lanes of `mask`.
  uint8_t *host[32];    ///< Set by resolve().
  uint32_t mask = 0;
  uint32_t bytes = 0;
  AccessKind kind = AccessKind::Load;
  Space space = Space::Generic;
  bool strong = false;
  bool sharedLanes = false; ///< Set by resolve(): some lanes store to the same word.
  uint32_t inShared = 0;    ///< Set by resolve(): lanes whose address is in shared memory.
  const char *what = "";
};

/// Base register slots[slot] plus the offset.
inline void computeAddresses(Warp &warp, int32_t slot, int64_t offset, uint64_t *address) {
  if (slot & wideSlot) {
    const uint64_t *base = warp.u64(slot & ~3);
    for (uint32_t l = 0; l < 32; ++l)
      address[l] = base[l] + uint64_t(offset);
  } else {
    const uint32_t *base = warp.u32(slot & ~3);
    for (uint32_t l = 0; l < 32; ++l)
      address[l] = uint32_t(base[l] + uint32_t(offset));
  }
}

/// Finds the host memory of every lane, checks bounds, alignment, initialisation and races, and counts traffic. Returns the lanes that
/// may go on; the others have been reported.
uint32_t resolve(Warp &warp, WarpAccess &access);

/// Reports lanes that store different values to one place. `equal(a, b)` compares the values of two lanes.
template <typename Equal> void checkSameStores(Warp &warp, const WarpAccess &access, uint32_t mask, Equal equal) {
  if (!access.sharedLanes || !warp.grid->options.races)
    return;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t a = uint32_t(lowestLane(rest));
    for (uint32_t others = rest & (rest - 1); others; others &= others - 1) {
      uint32_t b = uint32_t(lowestLane(others));
      if (access.address[a] == access.address[b] && !equal(a, b)) {
        warp.grid->report(ReportKind::IntraWarpRace, Grid::placeOf(warp, int(b)),
                          "lanes " + std::to_string(a) + " and " + std::to_string(b) + " store different values to one place");
        return;
      }
    }
  }
}

/// Ordering by strong operations on the words that lanes access (SyncWords.cpp).
void observeWords(Warp &warp, const WarpAccess &access, uint32_t mask, Order order, Scope scope);
void publishWords(Warp &warp, const WarpAccess &access, uint32_t mask, Order order, Scope scope, bool isExchange);
void fenceThreads(Warp &warp, Scope scope);

} // namespace ptxemu

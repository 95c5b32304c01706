// SPDX-License-Identifier: Apache-2.0
//
// Order between threads that memory operations make: a release, or a fence before a relaxed write, publishes what its thread knows at the
// word; an acquire, or a relaxed read before a fence, learns it. Relaxed writes also pass on what other threads had fenced before a
// barrier brought it here, and fences behind a barrier those that another thread's read saw:
// hardware fences are cumulative.

#include "MemoryAccess.h"

namespace ptxemu {

namespace {
using Words = std::unordered_map<uint64_t, SyncWord>;

/// The map and key of a lane's word.
std::pair<Words *, uint64_t> wordOf(Warp &warp, const WarpAccess &access, uint32_t lane) {
  uint64_t address = access.address[lane];
  if (access.inShared & (1u << lane)) {
    uint64_t low = inWindow(address, sharedWindow) ? address - sharedWindow : address;
    uint32_t rank = uint32_t(low >> rankShift) & 255;
    rank = rank ? rank - 1 : warp.cta->rank;
    return {&warp.cluster->syncWords, uint64_t(rank) << 32 | (low & ((1u << rankShift) - 1))};
  }
  return {&warp.grid->syncWords, address};
}

bool isWide(Scope scope) { return scope >= Scope::Gpu; }
} // namespace

void observeWords(Warp &warp, const WarpAccess &access, uint32_t mask, Order order, Scope scope) {
  if (!warp.grid->options.races || (warp.grid->syncWords.empty() && warp.cluster->syncWords.empty()))
    return;
  bool acquires = order == Order::Acquire || order == Order::AcquireRelease;
  uint32_t cluster = warp.cluster->index;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    auto [words, key] = wordOf(warp, access, uint32_t(lowestLane(lanes)));
    auto found = words->find(key);
    if (found == words->end())
      continue;
    const SyncWord &word = found->second;
    bool near = word.narrowCluster == cluster;
    if (acquires) {
      if (isWide(scope))
        warp.clock.seen.acquire(word.wide, cluster);
      if (near)
        warp.clock.seen.join(word.narrow);
    } else {
      warp.clock.pendingWide.acquire(word.wide, cluster);
      if (near)
        warp.clock.pendingNarrow.join(word.narrow);
    }
  }
}

void publishWords(Warp &warp, const WarpAccess &access, uint32_t mask, Order order, Scope scope, bool isExchange) {
  if (!warp.grid->options.races)
    return;
  bool releases = order == Order::Release || order == Order::AcquireRelease;
  uint32_t cluster = warp.cluster->index;
  const Knowledge *wide = releases ? (isWide(scope) ? &warp.clock.seen : nullptr) : warp.clock.wide.empty() ? nullptr : &warp.clock.wide;
  const Knowledge *narrow = releases ? &warp.clock.seen : warp.clock.narrow.empty() ? nullptr : &warp.clock.narrow;
  bool nothing = !wide && !narrow;
  if (nothing && (isExchange || (warp.grid->syncWords.empty() && warp.cluster->syncWords.empty())))
    return; // an exchange hands on what is there
  std::shared_ptr<const Foreign> published;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    auto [words, key] = wordOf(warp, access, uint32_t(lowestLane(lanes)));
    if (nothing) {
      words->erase(key);
      continue;
    }
    SyncWord &word = (*words)[key];
    if (!isExchange)
      word = {};
    if (wide) {
      if (!published)
        published = wide->published(cluster);
      word.wide = Knowledge::joined(word.wide, published);
    }
    if (narrow) {
      if (word.narrowCluster != cluster)
        word.narrow = {};
      word.narrowCluster = cluster;
      word.narrow.join(*narrow);
    }
  }
  if (releases)
    warp.tick();
}

void fenceThreads(Warp &warp, Scope scope) {
  if (!warp.grid->options.races)
    return;
  warp.clock.seen.join(warp.clock.pendingNarrow);
  warp.clock.pendingNarrow.clear();
  if (isWide(scope)) {
    warp.clock.seen.join(warp.clock.pendingWide);
    warp.clock.pendingWide.clear();
    warp.clock.wide = warp.clock.seen;
  }
  warp.clock.narrow = warp.clock.seen;
  warp.tick();
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Vector clocks. Agents are what can access memory by itself: warps, and the asynchronous engines that work for them. An access is an
// epoch (cluster, agent, clock); another access is ordered after it if the accessor's knowledge reaches that clock.
//
// Agents of a cluster of W warps and G warpgroups:
//   0..W-1     warps
//   W..2W-1    what each warp wrote before a proxy fence, as far as it is known
//   2W..3W-1   reads of shared memory by bulk stores of each warp (the clock counts the stores)
//   3W..4W-1   their writes of global memory
//   4W..4W+G-1 wgmma of each warpgroup (the clock counts commit groups)
//   after that mbarriers in the order of their initialisation (the clock counts phases)

#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace ptxemu {

using ClockVector = std::vector<uint32_t>;

/// Clock of an access that is still in flight: nobody is ordered after it.
inline constexpr uint32_t inFlight = ~0u;

inline void joinInto(ClockVector &into, const ClockVector &other) {
  if (into.size() < other.size())
    into.resize(other.size(), 0);
  uint32_t *a = into.data();
  const uint32_t *b = other.data();
  for (size_t i = 0, n = other.size(); i < n; ++i)
    a[i] = std::max(a[i], b[i]);
}

/// What is known of other clusters; shared between those who know the same.
using Foreign = std::map<uint32_t, std::shared_ptr<const ClockVector>>;

struct Knowledge {
  ClockVector own; ///< Of the own cluster.
  std::shared_ptr<const Foreign> foreign;

  void clear() {
    own.clear();
    foreign.reset();
  }
  bool empty() const { return own.empty() && !foreign; }
  uint32_t at(uint32_t agent) const { return agent < own.size() ? own[agent] : 0; }
  void raise(uint32_t agent, uint32_t clock) {
    if (agent >= own.size())
      own.resize(agent + 1, 0);
    own[agent] = std::max(own[agent], clock);
  }
  bool knows(uint32_t cluster, uint32_t ownCluster, uint32_t agent, uint32_t clock) const {
    if (cluster == ownCluster)
      return at(agent) >= clock;
    if (!foreign)
      return false;
    auto found = foreign->find(cluster);
    return found != foreign->end() && agent < found->second->size() && (*found->second)[agent] >= clock;
  }
  void join(const Knowledge &other) {
    joinInto(own, other.own);
    foreign = joined(foreign, other.foreign);
  }
  /// The union of two maps; one of them itself when the other adds nothing.
  static std::shared_ptr<const Foreign> joined(const std::shared_ptr<const Foreign> &a, const std::shared_ptr<const Foreign> &b);
  /// All of it as a map, the own cluster included.
  std::shared_ptr<const Foreign> published(uint32_t ownCluster) const;
  /// Joins a map that may mention the own cluster.
  void acquire(const std::shared_ptr<const Foreign> &map, uint32_t ownCluster);
};

/// The knowledge of a warp, and of it what stood before fences: that much a relaxed operation behind the fence passes on.
struct Clock {
  Knowledge seen;
  Knowledge wide;   ///< Before fences of gpu or system scope.
  Knowledge narrow; ///< Before fences of any scope: passed on within the cluster.
  Knowledge pendingWide, pendingNarrow; ///< What relaxed reads saw: known from the next fence on.
  void join(const Clock &other) {
    seen.join(other.seen);
    if (!other.wide.empty())
      wide.join(other.wide);
    if (!other.narrow.empty())
      narrow.join(other.narrow);
    if (!other.pendingWide.empty())
      pendingWide.join(other.pendingWide);
    if (!other.pendingNarrow.empty())
      pendingNarrow.join(other.pendingNarrow);
  }
};

/// What an acquire of a word learns.
struct SyncWord {
  std::shared_ptr<const Foreign> wide;
  Knowledge narrow;
  uint32_t narrowCluster = ~0u;
};

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// The state of a running grid: clusters of CTAs of warps. What instructions do to it is in the files of their families.

#pragma once

#include "Clock.h"
#include "Program.h"
#include "Shadow.h"
#include <bit>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>
#include <unordered_set>

namespace ptxemu {

struct Grid;
struct Cluster;
struct Cta;

/// Ends a launch; the reason has been reported.
struct Stop {};

/// Lanes of a warp that are at the same pc.
struct Split {
  uint32_t pc = 0, mask = 0;
  bool entered = false;  ///< Has arrived at the barrier that it waits at.
  uint64_t ticket = 0;   ///< What it waits for there.
};

/// cp.async of a lane that has not landed.
struct LaneCopy {
  uint32_t rank, offset, bytes, sourceBytes;
  uint64_t source;
  uint8_t lane;
  uint32_t group; ///< Commit group of the lane, counted from 0.
  uint32_t pc;
};

/// A wgmma that was issued and not yet executed.
struct WgmmaOperation {
  const Insn *insn;
  uint64_t descriptorA, descriptorB;
  bool scaleD;
};

struct WarpgroupState {
  std::vector<WgmmaOperation> operations;
  std::vector<uint32_t> groupEnds; ///< operations.size() at each commit_group.
  uint32_t done = 0;               ///< Operations executed.
  uint32_t issued = 0;
  Knowledge seenAtIssue;
  bool fenced = false;
};

struct Warp {
  uint8_t *registers = nullptr;
  Cta *cta = nullptr;
  Cluster *cluster = nullptr;
  Grid *grid = nullptr;
  const Code *code = nullptr;
  Split *split = nullptr; ///< The one that executes.
  uint32_t index = 0;     ///< In the cluster: its agent.
  uint32_t indexInCta = 0;
  uint32_t live = 0;      ///< Lanes that have not exited.
  std::vector<Split> splits;
  std::vector<uint8_t> local; ///< localBytes per lane.
  std::unique_ptr<uint8_t[]> registerStorage;

  Clock clock;
  uint32_t sync = 1;          ///< Own clock at the last synchronisation of the lanes.

  std::vector<LaneCopy> copies; ///< cp.async under way.
  std::array<uint32_t, 32> copyGroups{};  ///< Commit groups that each lane has made.
  std::array<uint32_t, 32> bulkGroups{};  ///< The same of bulk_group.
  uint32_t bulkSequence = 0;  ///< Bulk stores issued.
  std::deque<std::pair<uint32_t, std::pair<uint32_t, uint32_t>>> bulkIssued; ///< Sequence, lane and group of the latest ones.
  std::unordered_map<uint32_t, uint64_t> failedWaits; ///< Of each try_wait (by pc): the mbarrier and phase that it last gave up on.
  bool spinning = false;      ///< Has just looked for something in vain: its turn is over.
  uint64_t clusterTicket = 0; ///< Generation of the cluster barrier that was arrived at.

  std::vector<uint8_t> flags; ///< Of registers that wgmma uses, by slot / 128; see Wgmma.cpp.
  uint32_t wgmmaInFlight = 0;
  WarpgroupState wgmma;

  uint32_t pc() const { return split->pc; }
  uint32_t *u32(int32_t slot) { return reinterpret_cast<uint32_t *>(registers + slot); }
  uint64_t *u64(int32_t slot) { return reinterpret_cast<uint64_t *>(registers + slot); }
  template <typename T> T *lanes(int32_t slot) { return reinterpret_cast<T *>(registers + slot); }
  uint32_t &predicate(int32_t slot) { return *u32(slot); }
  uint32_t ownClock() const { return clock.seen.own[index]; }
  /// A new epoch: what others learned does not include what comes now.
  void tick() { ++clock.seen.own[index]; }
  void synchronizeLanes() {
    tick();
    sync = ownClock();
  }
  /// Value of a slot with its width bit, zero-extended.
  uint64_t value(int32_t slot, uint32_t lane) {
    return slot & wideSlot ? u64(slot & ~3)[lane] : u32(slot & ~3)[lane];
  }
  void setValue(int32_t slot, uint32_t lane, uint64_t value) {
    if (slot == noSlot)
      return;
    if (slot & wideSlot)
      u64(slot & ~3)[lane] = value;
    else
      u32(slot & ~3)[lane] = slot & narrowSlot ? uint32_t(value) & 0xffff : uint32_t(value);
  }
  /// True if every live lane of `wanted` executes together.
  bool converged(uint32_t wanted) const { return (wanted & live & ~split->mask) == 0; }
  uint8_t *localOf(uint32_t lane) { return local.data() + size_t(lane) * code->localBytes; }
};

/// bar.sync and barrier.cluster.
struct HardwareBarrier {
  uint32_t arrived = 0, needed = 0; ///< Threads; warps for the cluster barrier.
  uint64_t generation = 0;
  Clock gathering, released;
  bool reduceAnd = true, reduceOr = false; ///< bar.red
  uint32_t reduceCount = 0;
  bool lastAnd = true, lastOr = false;
  uint32_t lastCount = 0;
};

struct Mbarrier {
  uint32_t rank = 0, offset = 0; ///< Where it is.
  uint32_t expected = 0, pending = 0;
  int64_t transactions = 0;
  uint32_t phase = 0;
  uint32_t agent = 0;
  uint32_t initializer = 0; ///< Warp.
  bool fenced = false;      ///< Visible to the asynchronous proxy.
  bool valid = true;
  uint32_t loadedPhase = 0, loadPc = 0; ///< The last phase that a copy has landed in, and who issued it.
  uint32_t observedPhase = 0; ///< The last phase that a wait has seen complete.
  uint32_t firstPhase = 0;  ///< Phases go on counting when the place is initialised anew.
  Clock gathering, released;
  uint32_t parity() const { return (phase - firstPhase) & 1; }
};

struct Cta {
  Cluster *cluster = nullptr;
  uint32_t rank = 0; ///< In the cluster.
  Dim3 id;
  uint32_t firstWarp = 0;
  std::vector<uint8_t> memory;       ///< Shared memory; byte 0 is address sharedBase.
  std::vector<uint32_t> initialized; ///< A bit per word of it, 32 to an entry.
  std::vector<Line> shadow;
  std::array<HardwareBarrier, 16> barriers;
  uint32_t liveWarps = 0;
  uint64_t bytesInFlight = 0; ///< Of copies into this memory that have not landed.
};

/// Asynchronous work other than wgmma and cp.async.
struct PendingCopy {
  /// SharedCopy: between CTAs, or st.async with `data` at hand. LaneArrival: an mbarrier arrival behind a lane's cp.async.
  enum class Kind : uint8_t { BulkLoad, TensorLoad, BulkStore, TensorStore, SharedCopy, LaneArrival } kind = Kind::BulkLoad;
  uint32_t rank = 0, offset = 0, bytes = 0; ///< Shared side: the destination of loads, the source of stores.
  uint32_t sourceRank = 0, sourceOffset = 0; ///< Of a SharedCopy without data.
  uint64_t global = 0;                      ///< Global side.
  int mbarrier = -1;
  uint32_t count = 0;                       ///< Of a LaneArrival: copies of the lane that it waits for.
  TensorMap map;
  int32_t coordinates[5] = {};
  uint32_t warp = 0;
  uint8_t lane = 0;
  bool counted = true;              ///< Of a load: its global bytes are to be counted (once for a multicast).
  uint32_t group = 0, sequence = 0; ///< Of a store: the lane's bulk group, the warp's count.
  bool read = false;                ///< Of a store: the source has been read.
  std::vector<uint8_t> data;        ///< Of a store that was read.
  int reduction = -1;               ///< Operation of cp.reduce.
  Type type = Type::None;
  uint32_t pc = 0;
};

/// Shared memory that the operations of a wgmma group read, checked when the group is committed.
struct WarpgroupChecks {
  std::vector<uint32_t> masks; ///< By line.
  std::vector<uint32_t> lines; ///< Those with a mask.
  Knowledge seen;              ///< By all four warps.
  uint32_t pc = 0;
};

struct Cluster {
  Grid *grid = nullptr;
  uint32_t index = 0;    ///< In the grid.
  Dim3 id;
  std::vector<Cta> ctas;
  std::deque<Warp> warps;
  std::vector<Mbarrier> mbarriers;
  std::unordered_map<uint64_t, int> mbarrierAt; ///< By rank << 32 | offset.
  std::vector<PendingCopy> pending;
  HardwareBarrier barrier;
  std::unordered_map<uint32_t, WarpgroupChecks> wgmmaChecks; ///< By agent.
  std::unordered_map<uint64_t, SyncWord> syncWords; ///< Of shared memory, by rank << 32 | offset.
  uint32_t liveWarps = 0;
};

/// A range of global memory during a launch.
struct LaunchRange {
  uint64_t begin = 0, end = 0;
  uint8_t *host = nullptr;
  const std::string *label = nullptr;
  Access access = Access::ReadWrite;
  bool live = true;
  std::shared_ptr<const void> keep;
  std::unique_ptr<GlobalShadow> shadow;
};

struct Grid {
  const ModuleImpl &module;
  const Code &code;
  const Kernel &kernel;
  const Launch &launch;
  const Options &options;
  Result &result;
  std::vector<uint8_t> parameters;
  std::vector<LaunchRange> ranges;
  std::vector<uint64_t> variableAddresses;
  Dim3 clusterShape;
  uint32_t ctasPerCluster = 1, warpsPerCta = 0, warpsPerCluster = 0, groupsPerCta = 0, sharedBytes = 0, dynamicShared = 0;
  uint64_t clusterCount = 0, nextCluster = 0;
  std::vector<std::unique_ptr<Cluster>> resident;
  std::mt19937_64 random;
  uint64_t progress = 0;         ///< Counts whatever can let others go on.
  uint64_t executed = 0;         ///< Warp instructions.
  std::vector<uint64_t> executions, executedLanes; ///< By pc.
  std::unordered_map<uint64_t, SyncWord> syncWords; ///< Of global memory, by address.
  size_t lastRange = 0;
  std::unordered_set<std::string> reported;
  std::vector<uint8_t> imageTemplate; ///< Registers of a warp before the kernel starts: constants are in place.

  Grid(const ModuleImpl &module, const Code &code, const Kernel &kernel, const Launch &launch, const Options &options, Result &result)
      : module(module), code(code), kernel(kernel), launch(launch), options(options), result(result), random(options.seed) {}

  std::vector<std::unique_ptr<uint8_t[]>> spareRegisters; ///< Of clusters that have ended.
  uint32_t residency = 1;
  uint64_t retired = 0;

  // Reports (Report.cpp).
  struct Place {
    const Cta *cta = nullptr;
    int warp = -1, lane = -1;
    int64_t pc = -1, otherPc = -1;
  };
  static Place placeOf(const Warp &warp, int lane = -1) {
    return {warp.cta, int(warp.indexInCta), lane, warp.split ? int64_t(warp.split->pc) : -1, -1};
  }
  void report(ReportKind kind, const Place &place, const std::string &message, bool isWarning = false);
  [[noreturn]] void stop(ReportKind kind, const Place &place, const std::string &message) {
    report(kind, place, message);
    throw Stop{};
  }
  void reportConflict(const Conflict &conflict, const Place &place, const char *space, uint64_t address, const Accessor &who);
  std::string agentName(uint32_t cluster, uint32_t agent, uint32_t clock) const;

  // Global memory (GlobalMemory.cpp).
  uint8_t *global(uint64_t address, uint64_t bytes, uint32_t alignment, bool isWrite, const Place &place, const char *what);
  LaunchRange *rangeOf(uint64_t address);
  /// Race checks of a span; reports.
  void recordGlobal(uint64_t address, uint64_t bytes, bool isWrite, const Accessor &who, const Place &place);

  // Agents.
  uint32_t fencedAgent(uint32_t warp) const { return warpsPerCluster + warp; }
  uint32_t bulkReadAgent(uint32_t warp) const { return 2 * warpsPerCluster + warp; }
  uint32_t bulkWriteAgent(uint32_t warp) const { return 3 * warpsPerCluster + warp; }
  uint32_t wgmmaAgent(uint32_t warp) const {
    return 4 * warpsPerCluster + warp / warpsPerCta * groupsPerCta + warp % warpsPerCta / 4;
  }
  uint32_t firstMbarrierAgent() const { return 4 * warpsPerCluster + groupsPerCta * ctasPerCluster; }
  static constexpr uint32_t laneCopyAgents = 1u << 30;

  // The scheduler (Scheduler.cpp).
  void run();
  void admit();
};

/// Runs up to `quantum` instructions of a warp. Returns how many ran.
uint32_t runWarp(Warp &warp, uint32_t quantum);

/// Accessor of an ordinary access of a warp.
inline Accessor ordinaryAccess(Warp &warp) {
  Accessor who;
  who.seen = &warp.clock.seen;
  who.cluster = warp.cluster->index;
  who.agent = warp.index;
  who.clock = warp.ownClock();
  who.pc = warp.pc();
  who.warps = warp.grid->warpsPerCluster;
  who.warp = int(warp.index);
  who.sync = warp.sync;
  return who;
}

// Shared memory (SharedMemory.cpp).

/// A place in the shared memory of a cluster: byte `offset` of CTA `rank`, counted from sharedBase.
struct SharedPlace {
  uint32_t rank = 0, offset = 0;
  uint8_t *bytes(Cluster &cluster) const { return cluster.ctas[rank].memory.data() + offset; }
  uint64_t key() const { return uint64_t(rank) << 32 | offset; }
};

/// Bits 24 and up of a shared::cluster address are rank + 1; 0 there is the own CTA.
inline constexpr uint32_t rankShift = 24;

/// The place of a shared or generic address, if all of it may be accessed; else reports and gives nothing.
std::optional<SharedPlace> sharedPlace(Warp &warp, uint64_t address, uint32_t bytes, uint32_t alignment, int lane, const char *what);
/// Race checks of a span within a CTA; reports.
void recordShared(Cluster &cluster, SharedPlace place, uint32_t bytes, bool isWrite, const Accessor &who, const Grid::Place &where);
/// Reports reads of words that nobody wrote.
void checkInitialized(Cluster &cluster, SharedPlace place, uint32_t bytes, const Grid::Place &where);
void markInitialized(Cta &cta, uint32_t offset, uint32_t bytes);

// Asynchronous copies (Delivery.cpp).
/// Lets one piece of work of the cluster happen.
void deliver(Cluster &cluster, size_t index);
/// Puts work into the queue, or does it at once in the mode Earliest.
void enqueue(Cluster &cluster, PendingCopy copy);
/// Finishes the bulk stores of a lane's first `groups` groups, or their reads alone.
void finishStores(Warp &warp, uint32_t lane, uint32_t groups, bool readOnly);
/// Copies into a CTA's memory have been issued (positive) or have landed.
void countInFlight(Cta &cta, int64_t bytes);

// wgmma (Wgmma.cpp).
void checkWgmmaRegisters(Warp &warp, const InsnInfo &info);
void markWgmmaWrites(Warp &warp, const InsnInfo &info);
void executeWgmma(Warp &first, uint32_t upTo);

inline int lowestLane(uint32_t mask) { return std::countr_zero(mask); }

} // namespace ptxemu

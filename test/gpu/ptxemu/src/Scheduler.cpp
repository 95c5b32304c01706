// SPDX-License-Identifier: Apache-2.0
//
// Which warp runs when. Warps take turns in random order and of random length; one at a time is starved. Within a warp the lanes at the
// lowest pc go first and join those they reach. Asynchronous work lands when Options::asynchrony says so, at the latest when nobody can
// go on without it.

#include "Machine.h"
#include <cstring>

namespace ptxemu {

//===--------------------------------------------------------------------===//
// Warps
//===--------------------------------------------------------------------===//

/// Sorts the splits by pc and merges those that meet.
static void mergeSplits(Warp &warp) {
  std::vector<Split> &splits = warp.splits;
  for (Split &split : splits)
    split.mask &= warp.live;
  std::erase_if(splits, [](const Split &split) { return split.mask == 0; });
  if (splits.size() < 2)
    return;
  std::sort(splits.begin(), splits.end(), [](const Split &a, const Split &b) { return a.pc < b.pc; });
  size_t kept = 0;
  for (size_t i = 1; i < splits.size(); ++i) {
    if (splits[i].pc == splits[kept].pc && !splits[i].entered && !splits[kept].entered)
      splits[kept].mask |= splits[i].mask;
    else
      splits[++kept] = splits[i];
  }
  splits.resize(kept + 1);
}

/// Runs warp.split until it has run `budget` instructions, is blocked, changes the splits or reaches `limit`.
static uint32_t runSplit(Warp &warp, uint32_t budget, uint32_t limit) {
  Grid &grid = *warp.grid;
  const Insn *insns = grid.code.insns.data();
  uint64_t *executions = grid.executions.data(), *lanes = grid.executedLanes.data();
  const size_t splits = warp.splits.size();
  uint32_t ran = 0;
  while (ran < budget) {
    Split &split = *warp.split;
    uint32_t pc = split.pc, mask = split.mask;
    const Insn &insn = insns[pc];
    if (insn.guard >= 0) {
      uint32_t predicate = warp.predicate(insn.guard);
      mask &= insn.guardNegated ? ~predicate : predicate;
      if (!mask) {
        ++split.pc;
        ++ran;
        if (split.pc >= limit)
          break;
        continue;
      }
    }
    if (insn.touchesWgmma && warp.wgmmaInFlight)
      checkWgmmaRegisters(warp, grid.code.infos[pc]);
    Step step = insn.handler(warp, insn, mask);
    if (step == Step::Block)
      break;
    ++ran;
    ++executions[pc];
    lanes[pc] += uint64_t(std::popcount(mask));
    if (insn.touchesWgmma)
      markWgmmaWrites(warp, grid.code.infos[pc]);
    if (step == Step::Next) {
      ++warp.split->pc;
      if (warp.spinning)
        break;
    } else if (warp.splits.size() != splits || warp.split->mask == 0)
      break;
    if (warp.split->pc >= limit)
      break;
  }
  return ran;
}

uint32_t runWarp(Warp &warp, uint32_t quantum) {
  uint32_t ran = 0;
  std::mt19937_64 &random = warp.grid->random;
  bool yields = false; // the lanes that ran last seem to wait for others of the warp
  while (ran < quantum && warp.live) {
    if (warp.splits.size() > 1 || warp.splits[0].mask != (warp.splits[0].mask & warp.live))
      mergeSplits(warp);
    size_t count = warp.splits.size();
    uint32_t moved = 0;
    if (count == 1) {
      warp.split = warp.splits.data();
      moved = runSplit(warp, quantum - ran, ~0u);
    } else {
      // Now and then others than the lowest go first: lanes may wait for each other.
      size_t first = yields || random() % 64 == 0 ? size_t(random() % count) : 0;
      uint64_t before = warp.grid->progress;
      for (size_t i = 0; i < count && !moved; ++i) {
        size_t at = (first + i) % count;
        warp.split = &warp.splits[at];
        uint32_t limit = at + 1 < count ? warp.splits[at + 1].pc : ~0u;
        if (limit == warp.split->pc)
          limit = ~0u; // one of them has entered a barrier there
        moved = runSplit(warp, std::min(quantum - ran, at == 0 ? 256u : 16u), limit);
      }
      yields = !yields && moved >= 128 && warp.grid->progress == before;
    }
    ran += moved;
    if (!moved || warp.spinning)
      break;
  }
  warp.split = nullptr;
  return ran;
}

//===--------------------------------------------------------------------===//
// Clusters
//===--------------------------------------------------------------------===//

static uint64_t specialValue(const Grid &grid, const Cluster &cluster, const Cta &cta, uint32_t warp, uint32_t lane, SpecialRegister which) {
  const Dim3 &block = grid.launch.block, &launched = grid.launch.grid, &shape = grid.clusterShape;
  uint32_t thread = warp * 32 + lane;
  using S = SpecialRegister;
  switch (which) {
  case S::TidX: return thread % block.x;
  case S::TidY: return thread / block.x % block.y;
  case S::TidZ: return thread / block.x / block.y;
  case S::NtidX: return block.x;
  case S::NtidY: return block.y;
  case S::NtidZ: return block.z;
  case S::CtaidX: return cta.id.x;
  case S::CtaidY: return cta.id.y;
  case S::CtaidZ: return cta.id.z;
  case S::NctaidX: return launched.x;
  case S::NctaidY: return launched.y;
  case S::NctaidZ: return launched.z;
  case S::LaneId: return lane;
  case S::WarpId: return warp;
  case S::NwarpId: return grid.warpsPerCta;
  case S::SmId: return (cluster.index * grid.ctasPerCluster + cta.rank) % 132;
  case S::NsmId: return 132;
  case S::LanemaskEq: return 1u << lane;
  case S::LanemaskLt: return (1u << lane) - 1;
  case S::LanemaskLe: return (2ull << lane) - 1;
  case S::LanemaskGe: return uint32_t(~((1u << lane) - 1));
  case S::LanemaskGt: return uint32_t(~((2ull << lane) - 1));
  case S::ClusterIdX: return cluster.id.x;
  case S::ClusterIdY: return cluster.id.y;
  case S::ClusterIdZ: return cluster.id.z;
  case S::NclusterIdX: return launched.x / shape.x;
  case S::NclusterIdY: return launched.y / shape.y;
  case S::NclusterIdZ: return launched.z / shape.z;
  case S::ClusterCtaidX: return cta.rank % shape.x;
  case S::ClusterCtaidY: return cta.rank / shape.x % shape.y;
  case S::ClusterCtaidZ: return cta.rank / shape.x / shape.y;
  case S::ClusterNctaidX: return shape.x;
  case S::ClusterNctaidY: return shape.y;
  case S::ClusterNctaidZ: return shape.z;
  case S::ClusterCtarank: return cta.rank;
  case S::ClusterNctarank: return grid.ctasPerCluster;
  case S::IsExplicitCluster: return grid.ctasPerCluster > 1;
  case S::DynamicSmemSize: return grid.dynamicShared;
  case S::TotalSmemSize: case S::AggrSmemSize: return grid.sharedBytes;
  default: return 0;
  }
}

static std::unique_ptr<Cluster> makeCluster(Grid &grid, uint32_t index) {
  auto cluster = std::make_unique<Cluster>();
  cluster->grid = &grid;
  cluster->index = index;
  const Dim3 &shape = grid.clusterShape;
  uint32_t acrossX = grid.launch.grid.x / shape.x, acrossY = grid.launch.grid.y / shape.y;
  cluster->id = {index % acrossX, index / acrossX % acrossY, index / acrossX / acrossY};
  cluster->ctas.resize(grid.ctasPerCluster);
  cluster->liveWarps = grid.warpsPerCluster;
  uint32_t threads = uint32_t(grid.launch.block.count());
  uint32_t lines = (grid.sharedBytes + lineBytes - 1) / lineBytes + 1;
  for (uint32_t rank = 0; rank < grid.ctasPerCluster; ++rank) {
    Cta &cta = cluster->ctas[rank];
    cta.cluster = cluster.get();
    cta.rank = rank;
    cta.id = {cluster->id.x * shape.x + rank % shape.x, cluster->id.y * shape.y + rank / shape.x % shape.y,
              cluster->id.z * shape.z + rank / shape.x / shape.y};
    cta.firstWarp = rank * grid.warpsPerCta;
    cta.liveWarps = grid.warpsPerCta;
    cta.memory.assign(size_t(lines) * lineBytes, 0xff);
    cta.initialized.assign(lines, 0);
    if (grid.options.races)
      cta.shadow.resize(lines);
    for (uint32_t w = 0; w < grid.warpsPerCta; ++w) {
      Warp &warp = cluster->warps.emplace_back();
      warp.cta = &cta;
      warp.cluster = cluster.get();
      warp.grid = &grid;
      warp.code = &grid.code;
      warp.index = cta.firstWarp + w;
      warp.indexInCta = w;
      uint32_t lanes = std::min(32u, threads - w * 32);
      warp.live = lanes == 32 ? ~0u : (1u << lanes) - 1;
      Split split;
      split.pc = grid.code.entry;
      split.mask = warp.live;
      warp.splits.push_back(split);
      size_t bytes = grid.imageTemplate.size();
      if (!grid.spareRegisters.empty()) {
        warp.registerStorage = std::move(grid.spareRegisters.back());
        grid.spareRegisters.pop_back();
      } else {
        warp.registerStorage = std::make_unique_for_overwrite<uint8_t[]>(bytes + 64);
      }
      uint64_t address = reinterpret_cast<uint64_t>(warp.registerStorage.get());
      warp.registers = warp.registerStorage.get() + (64 - address % 64) % 64;
      std::memcpy(warp.registers, grid.imageTemplate.data(), bytes);
      for (auto [slot, which] : grid.code.specials)
        for (uint32_t l = 0; l < 32; ++l) {
          uint64_t value = specialValue(grid, *cluster, cta, w, l, which);
          if (which == SpecialRegister::GridId)
            warp.u64(slot)[l] = value;
          else if (which < SpecialRegister::Clock)
            warp.u32(slot)[l] = uint32_t(value);
        }
      warp.local.assign(size_t(grid.code.localBytes) * 32, 0xff);
      warp.clock.seen.own.assign(grid.firstMbarrierAgent(), 0);
      warp.clock.seen.own[warp.index] = 1;
      if (grid.code.usesWgmma)
        warp.flags.assign(grid.code.registerBytes / 128 + 2, 0);
    }
  }
  return cluster;
}

void Grid::admit() {
  while (nextCluster < clusterCount && resident.size() < std::max(1u, residency)) {
    resident.push_back(makeCluster(*this, uint32_t(nextCluster)));
    ++nextCluster;
  }
}

/// A cluster has ended: what is still under way would write into memory of nobody.
static void retire(Grid &grid, Cluster &cluster) {
  for (const PendingCopy &copy : cluster.pending) {
    Grid::Place place{&cluster.ctas[cluster.warps[copy.warp].cta->rank], int(cluster.warps[copy.warp].indexInCta), -1, int64_t(copy.pc), -1};
    bool isStore = copy.kind == PendingCopy::Kind::BulkStore || copy.kind == PendingCopy::Kind::TensorStore;
    if (copy.kind == PendingCopy::Kind::LaneArrival || copy.read)
      continue;
    grid.report(ReportKind::Exit, place,
                isStore ? "the CTA exits before cp.async.bulk.wait_group has shown that its store has read shared memory"
                        : "the CTA exits with a bulk copy under way",
                isStore);
  }
  while (!cluster.pending.empty())
    deliver(cluster, 0);
  // Copies that happened to land although nobody waited for them.
  for (const Mbarrier &mbarrier : cluster.mbarriers)
    if (mbarrier.valid && mbarrier.loadedPhase > mbarrier.observedPhase)
      grid.report(ReportKind::Exit, {&cluster.ctas[mbarrier.rank], 0, -1, int64_t(mbarrier.loadPc), -1},
                  "the CTA exits with a bulk copy under way: nobody has waited for its phase of the mbarrier");
  for (Warp &warp : cluster.warps) {
    if (warp.wgmma.done < warp.wgmma.operations.size())
      grid.report(ReportKind::Exit, {warp.cta, int(warp.indexInCta), -1, int64_t(warp.wgmma.operations.back().insn - grid.code.insns.data()), -1},
                  "the CTA exits with wgmma under way");
    if (!warp.copies.empty())
      grid.report(ReportKind::Exit, {warp.cta, int(warp.indexInCta), warp.copies[0].lane, int64_t(warp.copies[0].pc), -1},
                  "the CTA exits with cp.async under way", true);
    grid.spareRegisters.push_back(std::move(warp.registerStorage));
  }
  ++grid.retired;
}

//===--------------------------------------------------------------------===//
// Deadlocks
//===--------------------------------------------------------------------===//

/// Where every warp stands, and what every mbarrier waits for.
static std::string situation(Grid &grid) {
  std::string text;
  int lines = 0;
  for (const auto &cluster : grid.resident) {
    for (const Warp &warp : cluster->warps)
      for (const Split &split : warp.splits) {
        if (!(split.mask & warp.live) || ++lines > 64)
          continue;
        const InsnInfo &info = grid.code.infos[split.pc];
        text += "\n    CTA " + std::to_string(warp.cta->id.x) + "," + std::to_string(warp.cta->id.y) + "," + std::to_string(warp.cta->id.z) +
                " warp " + std::to_string(warp.indexInCta) + ", " + std::to_string(std::popcount(split.mask & warp.live)) + " of " +
                std::to_string(std::popcount(warp.live)) + " live lanes at line " + std::to_string(info.line) + " `" + info.source + "`";
      }
    for (const Mbarrier &mbarrier : cluster->mbarriers)
      if (mbarrier.valid && ++lines < 128)
        text += "\n    mbarrier at shared offset " + std::to_string(mbarrier.offset) + " of CTA " + std::to_string(mbarrier.rank) + " of cluster " +
                std::to_string(cluster->index) + ": phase " + std::to_string(mbarrier.phase) + ", pending " + std::to_string(mbarrier.pending) +
                " of " + std::to_string(mbarrier.expected) + " arrivals, " + std::to_string(mbarrier.transactions) + " bytes";
    for (const Cta &cta : cluster->ctas)
      for (size_t id = 0; id < cta.barriers.size(); ++id)
        if (cta.barriers[id].arrived && ++lines < 96)
          text += "\n    barrier " + std::to_string(id) + " of CTA rank " + std::to_string(cta.rank) + ": " +
                  std::to_string(cta.barriers[id].arrived) + " of " +
                  (cta.barriers[id].needed ? std::to_string(cta.barriers[id].needed) : std::string("all")) + " threads have arrived";
  }
  if (grid.nextCluster < grid.clusterCount)
    text += "\n    " + std::to_string(grid.clusterCount - grid.nextCluster) + " clusters wait for room: only " +
            std::to_string(grid.residency) + " are resident";
  return text;
}

/// Place of a warp that waits, for the report's line.
static Grid::Place waitingPlace(Grid &grid) {
  for (const auto &cluster : grid.resident)
    for (const Warp &warp : cluster->warps)
      if (warp.live)
        for (const Split &split : warp.splits)
          if (split.mask & warp.live)
            return {warp.cta, int(warp.indexInCta), -1, int64_t(split.pc), -1};
  return {};
}

//===--------------------------------------------------------------------===//
// The main loop
//===--------------------------------------------------------------------===//

/// Lets one piece of asynchronous work happen. False if there is none.
static bool deliverOne(Grid &grid) {
  std::vector<Cluster *> having;
  for (const auto &cluster : grid.resident)
    if (!cluster->pending.empty())
      having.push_back(cluster.get());
  if (having.empty())
    return false;
  Cluster &cluster = *having[grid.random() % having.size()];
  deliver(cluster, grid.random() % cluster.pending.size());
  return true;
}

void Grid::run() {
  // Rounds without progress after which spinning counts as waiting, and instructions after which it counts as a deadlock.
  constexpr uint64_t patience = 20'000, surrender = 60'000'000;
  residency = std::max(1u, options.concurrentClusters);
  const uint32_t mostResident = std::max(residency, 264u / ctasPerCluster);
  admit();
  std::vector<Warp *> order;
  Warp *starved = nullptr;
  int starvedFor = 0;
  uint64_t lastProgress = progress, executedAtProgress = 0, nudgedAt = 0;
  while (!resident.empty()) {
    order.clear();
    for (const auto &cluster : resident)
      for (Warp &warp : cluster->warps)
        if (warp.live)
          order.push_back(&warp);
    std::shuffle(order.begin(), order.end(), random);
    if (--starvedFor <= 0) {
      starved = random() % 2 ? order[random() % order.size()] : nullptr;
      starvedFor = int(random() % 32) + 1;
    }
    bool moved = false, spun = false;
    auto turn = [&](Warp *warp, uint32_t quantum) {
      uint32_t ran = runWarp(*warp, quantum);
      executed += ran;
      moved |= ran > 0 && !warp->spinning;
      spun |= warp->spinning;
      warp->spinning = false;
    };
    for (Warp *warp : order)
      if (warp != starved && warp->live)
        turn(warp, 16u << (random() % 8));
    if (!moved && starved && starved->live) {
      turn(starved, 256);
      starved = nullptr;
    }
    if (options.asynchrony == Asynchrony::Random && random() % 2)
      deliverOne(*this);
    if (executed > options.instructionLimit)
      stop(ReportKind::InstructionLimit, waitingPlace(*this),
           std::to_string(options.instructionLimit) + " warp instructions and no end" + situation(*this));
    bool retiredAny = false;
    for (size_t i = 0; i < resident.size();) {
      if (resident[i]->liveWarps == 0) {
        retire(*this, *resident[i]);
        resident.erase(resident.begin() + ptrdiff_t(i));
        starved = nullptr;
        retiredAny = true;
      } else {
        ++i;
      }
    }
    if (retiredAny) {
      admit();
      ++progress;
      continue;
    }
    bool progressed = progress != lastProgress;
    if (progressed) {
      lastProgress = progress;
      executedAtProgress = nudgedAt = executed;
    }
    bool stuck = !moved && !progressed;
    bool spinning = executed - nudgedAt > patience;
    if (!stuck && !spinning)
      continue;
    nudgedAt = executed;
    // The latest moment: nobody goes on without it.
    if (deliverOne(*this))
      continue;
    if (nextCluster < clusterCount && residency < mostResident) {
      ++residency;
      admit();
      continue;
    }
    if (stuck && !spun)
      stop(ReportKind::Deadlock, waitingPlace(*this), "nobody can go on" + situation(*this));
    if (executed - executedAtProgress > surrender)
      stop(ReportKind::Deadlock, waitingPlace(*this),
           "nothing has changed for " + std::to_string(surrender) + " warp instructions: a loop waits for what does not come" + situation(*this));
  }
}

} // namespace ptxemu

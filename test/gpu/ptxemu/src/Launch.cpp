// SPDX-License-Identifier: Apache-2.0
//
// Modules and launches as users see them.

#include "Machine.h"
#include "MemoryImpl.h"
#include "Parser.h"
#include <chrono>
#include <cstring>

namespace ptxemu {

//===--------------------------------------------------------------------===//
// Modules
//===--------------------------------------------------------------------===//

Module::Module(std::unique_ptr<ModuleImpl> impl) : pimpl(std::move(impl)) {}
Module::~Module() = default;

std::shared_ptr<const Module> Module::parse(std::string_view text) {
#if defined(__x86_64__) && defined(__AVX2__)
#error "this file must run everywhere: only files of lane loops are built for AVX2"
#endif
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    throw Error("the emulator needs a CPU with AVX2 and FMA");
#endif
  if (text.size() > (size_t(1) << 30))
    throw Error("text is larger than 1 GiB");
  return std::shared_ptr<const Module>(new Module(ModuleParser(text).parse()));
}

const std::vector<Kernel> &Module::kernels() const { return pimpl->kernels; }
const Kernel *Module::find(std::string_view name) const {
  for (const Kernel &kernel : pimpl->kernels)
    if (kernel.name == name)
      return &kernel;
  return nullptr;
}
const std::vector<Variable> &Module::variables() const { return pimpl->variables; }
const std::string &Module::target() const { return pimpl->target; }
int Module::computeCapability() const { return pimpl->computeCapability; }

static uint32_t sharedLimitOf(int capability) {
  // Largest opt-in size of a CTA, from the table of compute capabilities.
  constexpr uint32_t kib = 1024;
  if (capability >= 120)
    return 99 * kib;
  if (capability >= 90)
    return 227 * kib;
  switch (capability) {
  case 80: case 87: return 163 * kib;
  case 86: case 89: return 99 * kib;
  case 75: return 64 * kib;
  case 70: case 72: return 96 * kib;
  default: return 48 * kib;
  }
}
uint32_t Module::sharedBytesLimit() const { return sharedLimitOf(pimpl->computeCapability); }

std::vector<std::byte> Kernel::packPointers(std::span<const void *const> arguments) const {
  if (arguments.size() != parameters.size())
    throw Error("kernel '" + name + "' has " + std::to_string(parameters.size()) + " parameters: got " + std::to_string(arguments.size()));
  std::vector<std::byte> block(parameterBytes);
  for (size_t i = 0; i < parameters.size(); ++i)
    std::memcpy(block.data() + parameters[i].offset, arguments[i], parameters[i].size);
  return block;
}

void Kernel::checkSizes(std::span<const size_t> sizes) const {
  for (size_t i = 0; i < sizes.size() && i < parameters.size(); ++i)
    if (sizes[i] != parameters[i].size)
      throw Error("parameter '" + parameters[i].name + "' has " + std::to_string(parameters[i].size) + " bytes: got " +
                  std::to_string(sizes[i]));
}

//===--------------------------------------------------------------------===//
// Launches
//===--------------------------------------------------------------------===//

static std::string show(const Dim3 &d) { return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z); }

/// What the driver would refuse; "" if nothing.
static std::string refusal(const Module &module, const Kernel &kernel, const Launch &what, const Dim3 &cluster, uint64_t shared) {
  uint64_t threads = what.block.count();
  if (what.grid.count() == 0 || threads == 0)
    return "grid " + show(what.grid) + " of blocks of " + show(what.block) + " threads is empty";
  if (what.grid.x > 0x7fffffff || what.grid.y > 65535 || what.grid.z > 65535)
    return "grid " + show(what.grid) + " exceeds 2147483647x65535x65535";
  if (threads > 1024 || what.block.x > 1024 || what.block.y > 1024 || what.block.z > 64)
    return "blocks of " + show(what.block) + " threads exceed 1024 in all or 1024x1024x64";
  const Dim3 &required = kernel.requiredThreads;
  if (required.x && !(required == what.block))
    return "blocks of " + show(what.block) + " threads, but the kernel requires " + show(required);
  if (kernel.maximumThreads.x && threads > kernel.maximumThreads.count())
    return "blocks of " + std::to_string(threads) + " threads, but the kernel allows " + std::to_string(kernel.maximumThreads.count());
  if (kernel.requiredCluster.x && !(kernel.requiredCluster == cluster))
    return "clusters of " + show(cluster) + " CTAs, but the kernel requires " + show(kernel.requiredCluster);
  if (cluster.count() > 16 || cluster.count() == 0)
    return "clusters of " + show(cluster) + " CTAs: expected 1 to 16";
  if (cluster.count() > 1 && module.computeCapability() < 90)
    return "clusters need sm_90";
  if (what.grid.x % cluster.x || what.grid.y % cluster.y || what.grid.z % cluster.z)
    return "grid " + show(what.grid) + " is not a multiple of clusters of " + show(cluster);
  if (shared > module.sharedBytesLimit())
    return std::to_string(shared) + " bytes of shared memory, but " + module.target() + " has " + std::to_string(module.sharedBytesLimit()) +
           " for a CTA";
  if (what.parameters.size() != kernel.parameterBytes)
    return std::to_string(what.parameters.size()) + " bytes of parameters, but the kernel takes " + std::to_string(kernel.parameterBytes);
  return "";
}

static void fillStats(Grid &grid) {
  Stats &stats = grid.result.stats;
  stats.ctas = grid.retired * grid.ctasPerCluster;
  for (size_t pc = 0; pc < grid.code.infos.size(); ++pc) {
    const InsnInfo &info = grid.code.infos[pc];
    uint64_t warps = grid.executions[pc], threads = grid.executedLanes[pc];
    stats.warpInstructions += warps;
    stats.threadInstructions += threads;
    if (warps)
      stats.byClass[info.kind] += warps;
    stats.instructions.push_back({info.line, info.source, warps, threads});
  }
}

static void prepare(Grid &grid, Memory &memory, const Launch &what) {
  MemoryImpl &space = memory.impl();
  grid.variableAddresses = space.load(grid.module);
  {
    std::lock_guard lock(space.mutex);
    for (const auto &[begin, range] : space.ranges) {
      LaunchRange &made = grid.ranges.emplace_back();
      made.begin = range->begin;
      made.end = range->end;
      made.host = range->host;
      made.label = &range->label;
      made.access = range->access;
      made.live = range->live;
      made.keep = range;
    }
  }
  grid.parameters.resize(what.parameters.size());
  std::memcpy(grid.parameters.data(), what.parameters.data(), what.parameters.size());
  const Code &code = grid.code;
  grid.executions.assign(code.insns.size(), 0);
  grid.executedLanes.assign(code.insns.size(), 0);
  // Registers that nobody wrote hold nonsense.
  grid.imageTemplate.assign(code.registerBytes, 0xff);
  uint32_t alignment = std::max(code.dynamicAlignment, 16u);
  uint32_t dynamicBegin = (code.staticShared + alignment - 1) / alignment * alignment + sharedBase;
  for (const Constant &constant : code.constants) {
    uint64_t value = constant.value;
    if (constant.kind == Constant::Kind::Variable)
      value += grid.variableAddresses[constant.variable];
    else if (constant.kind == Constant::Kind::DynamicShared)
      value += dynamicBegin;
    for (uint32_t l = 0; l < 32; ++l) {
      uint32_t low = uint32_t(value);
      if (constant.wide)
        std::memcpy(grid.imageTemplate.data() + constant.slot + 8 * l, &value, 8);
      else
        std::memcpy(grid.imageTemplate.data() + constant.slot + 4 * l, &low, 4);
    }
  }
}

Result launch(const Module &module, Memory &memory, const Launch &what, const Options &options) {
  Result result;
  auto begun = std::chrono::steady_clock::now();
  auto refuse = [&](const std::string &message) {
    Report report;
    report.kind = ReportKind::Launch;
    report.message = message;
    result.errors.push_back(report);
    return result;
  };
  const ModuleImpl &impl = module.impl();
  size_t index = 0;
  while (index < impl.kernels.size() && impl.kernels[index].name != what.kernel)
    ++index;
  if (index == impl.kernels.size())
    return refuse("the module has no kernel '" + what.kernel + "'");
  const Kernel &kernel = impl.kernels[index];
  const Code &code = *impl.codes[index];
  Dim3 cluster = what.cluster.x ? what.cluster : kernel.requiredCluster.x ? kernel.requiredCluster : Dim3{1, 1, 1};
  uint32_t alignment = std::max(code.dynamicAlignment, 16u);
  uint64_t shared = code.staticShared;
  if (what.dynamicSharedBytes)
    shared = (shared + alignment - 1) / alignment * alignment + what.dynamicSharedBytes;
  if (std::string message = refusal(module, kernel, what, cluster, shared); !message.empty())
    return refuse("kernel '" + kernel.name + "': " + message);

  Grid grid(impl, code, kernel, what, options, result);
  grid.clusterShape = cluster;
  grid.ctasPerCluster = uint32_t(cluster.count());
  grid.warpsPerCta = uint32_t((what.block.count() + 31) / 32);
  grid.warpsPerCluster = grid.warpsPerCta * grid.ctasPerCluster;
  grid.groupsPerCta = (grid.warpsPerCta + 3) / 4;
  grid.clusterCount = what.grid.count() / cluster.count();
  grid.sharedBytes = uint32_t(shared);
  grid.dynamicShared = what.dynamicSharedBytes;
  prepare(grid, memory, what);
  try {
    grid.run();
  } catch (const Stop &) {
  }
  fillStats(grid);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return result;
}

} // namespace ptxemu

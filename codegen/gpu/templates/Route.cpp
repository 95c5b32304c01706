// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/Route.h"
#include "codegen/gpu/templates/RouteQuery.h"

using namespace mlir;
using namespace msa::gpu;

/// The longest list of a tile that is kept in shared memory.
static constexpr int64_t longestList = 512;

static llvm::Error notServed(const llvm::Twine &why) { return llvm::createStringError(llvm::inconvertibleErrorCode(), why); }

static bool isE4M3(Type type) { return isa<Float8E4M3FNType>(type); }

std::string RouteInstance::name() const {
  std::string size = std::to_string(tokens) + (form == Form::Hopper ? "x" + std::to_string(chunks) : "");
  return (form == Form::Direct ? "direct_" : "hopper_") + size + (resident ? "" : "_stream") + "_s" + std::to_string(stages);
}

//===--- Which instances. ---===//

/// Loads that a lane keeps in flight: a divisor of the steps of a key, so that they run on over rows' ends.
static unsigned directStages(const RouteProblem &problem, unsigned tokens) {
  int64_t steps = problem.row / (isE4M3(problem.element) ? 64 : 32);
  unsigned most = tokens <= 8 ? 6 : 4; // 96 or 64 KiB on a multiprocessor
  for (unsigned stages = most; stages > 1; --stages)
    if (steps % stages == 0)
      return stages;
  return 1;
}

/// A Hopper instance with the stages that shared memory has place for, beside the query and the lists; maybe none.
static RouteInstance hopperInstance(const RouteProblem &problem, unsigned tokens, bool resident) {
  QueryLayout layout = routeHopperLayout(problem, tokens);
  int64_t slab = layout.imageBytes * layout.pieceElements() * 8 / layout.depth;
  // Of a query that comes with the keys there shall be less than of them, as far as registers go: keys of 8 bits take twice as many.
  unsigned most = isE4M3(problem.element) ? 128 : 256;
  unsigned chunks = resident || tokens >= most ? 128 : tokens > 64 || most == 128 ? 256 : 384;
  int64_t room = 227 * 1024 - 4096 - chunks * 8 - problem.keep * 20 - (resident ? layout.imageBytes : 0);
  auto stages = static_cast<unsigned>(std::clamp<int64_t>(room / (chunks * 128 + (resident ? 0 : slab)), 0, 8));
  return {RouteInstance::Form::Hopper, tokens, resident, stages, chunks};
}

llvm::Expected<std::vector<RouteChoice>> msa::gpu::pickRoute(const RouteProblem &problem, const GPUTarget &target) {
  int64_t step = isE4M3(problem.element) ? 64 : 32;
  if (!problem.element.isBF16() && !problem.element.isF16() && !isE4M3(problem.element))
    return notServed("tensor cores take keys of bf16, f16 and f8E4M3FN alone");
  if (isE4M3(problem.element) && target.sm < 90)
    return notServed("keys of f8E4M3FN need sm_90");
  if (problem.row % step != 0)
    return notServed("a key of " + llvm::Twine(problem.row) + " elements is not a multiple of " + llvm::Twine(step));
  if (problem.keep > longestList)
    return notServed("a list of " + llvm::Twine(problem.keep) + " documents is longer than " + llvm::Twine(longestList));
  if (isE4M3(problem.element) != problem.keyScales.has_value())
    return notServed("keys of f8E4M3FN have a scale for each row, and others none");

  std::vector<RouteChoice> choices;
  auto direct = [&](unsigned tokens, bool resident) {
    return RouteInstance{RouteInstance::Form::Direct, tokens, resident, directStages(problem, tokens)};
  };
  int64_t limit = (target.sm >= 90 ? 227 : 99) * 1024 - 4096 - problem.keep * 20;
  auto add = [&](unsigned tokens, RouteInstance instance) { choices.push_back({int64_t(tokens) + 1, instance}); };
  bool last = problem.tokenReduce == Reduce::last;
  for (unsigned tokens : {8, 16, 32}) {
    if (target.sm >= 90 && tokens >= (isE4M3(problem.element) ? 16 : 32))
      break;
    if (routeDirectLayout(problem, tokens).imageBytes > limit)
      break;
    add(tokens, direct(tokens, true));
    if (last)
      break;
  }
  if (last) {
    if (choices.empty())
      return notServed("a query of " + llvm::Twine(problem.row) + " elements does not fit shared memory");
    choices.back().below = 0; // one token, however many there are
    return choices;
  }
  if (target.sm >= 90)
    for (unsigned tokens : {32, 64, 128, 256}) {
      if (tokens == 256 && isE4M3(problem.element))
        break; // registers
      RouteInstance instance = hopperInstance(problem, tokens, tokens <= 64);
      if (instance.stages < 4) // too little in flight
        instance = hopperInstance(problem, tokens, false);
      if (instance.stages >= 2)
        add(tokens, instance);
    }
  else
    add(32, direct(32, false));
  // Any number, in groups.
  RouteInstance &any = choices.back().instance;
  if (any.form == RouteInstance::Form::Hopper)
    any = hopperInstance(problem, any.tokens, false);
  any.resident = false;
  choices.back().below = 0;
  return choices;
}

llvm::Expected<std::vector<Launch>> msa::gpu::emitRoute(ModuleOp module, StringRef symbol, const RouteProblem &problem,
                                                        const RouteInstance &instance, const GPUTarget &target) {
  bool direct = instance.form == RouteInstance::Form::Direct;
  std::vector<Launch> launches;
  if (!instance.resident) {
    QueryLayout layout = direct ? routeDirectLayout(problem, instance.tokens) : routeHopperLayout(problem, instance.tokens);
    llvm::Expected<Launch> query = emitRouteQuery(module, (symbol + "_query").str(), problem, layout, target);
    if (!query)
      return query.takeError();
    launches.push_back(std::move(*query));
    Term workspace = problem.tokens;
    workspace.divisor *= instance.tokens;
    workspace.multiplier = layout.groupBytes();
    launches.back().workspace = workspace;
  }
  llvm::Expected<Launch> scan = direct ? emitRouteDirect(module, symbol, problem, instance, target)
                                       : emitRouteHopper(module, symbol, problem, instance, target);
  if (!scan)
    return scan.takeError();
  if (!launches.empty())
    scan->workspace = launches.front().workspace;
  launches.push_back(std::move(*scan));
  return launches;
}

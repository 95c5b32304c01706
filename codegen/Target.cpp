// SPDX-License-Identifier: Apache-2.0

#include "codegen/Target.h"
#include "codegen/gpu/Passes.h"

using namespace msa;

std::optional<Target> Target::get(llvm::StringRef name) {
  if (std::optional<gpu::GPUTarget> target = gpu::getGPUTarget(name))
    return Target{*target};
  if (std::optional<cpu::CPUTarget> target = cpu::CPUTarget::get(name))
    return Target{*target};
  return std::nullopt;
}

std::vector<std::string> Target::names() {
  std::vector<std::string> all;
  for (llvm::StringRef name : gpu::gpuTargetNames())
    all.push_back(name.str());
  for (llvm::StringRef name : cpu::CPUTarget::names())
    all.push_back(name.str());
  return all;
}

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_TARGET_H
#define MSA_CODEGEN_TARGET_H

#include "codegen/cpu/CPUTarget.h"
#include "codegen/gpu/EmitPTX.h"
#include <variant>

namespace msa {

/// A processor level or GPU that kernels are generated for: one variant of an artifact.
struct Target {
  std::variant<cpu::CPUTarget, gpu::GPUTarget> device;

  const cpu::CPUTarget *getCPU() const { return std::get_if<cpu::CPUTarget>(&device); }
  const gpu::GPUTarget *getGPU() const { return std::get_if<gpu::GPUTarget>(&device); }
  /// Of the variant, as in the artifact.
  std::string name() const { return getCPU() ? getCPU()->name : getGPU()->name(); }

  /// "x86-64-v4", "cuda:sm_90" and so on; nothing for a name that is not known.
  static std::optional<Target> get(llvm::StringRef name);
  /// The names that `get` knows.
  static std::vector<std::string> names();
};

} // namespace msa

#endif // MSA_CODEGEN_TARGET_H

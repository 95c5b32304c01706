// SPDX-License-Identifier: Apache-2.0
//
// One dispatch on a device: which case of the kernel it takes, how much workspace, and its launches with their grids and tensor maps.

#ifndef MSA_RUNTIME_CUDA_LAUNCH_H
#define MSA_RUNTIME_CUDA_LAUNCH_H

#include "runtime/cuda/context_state.h"

namespace msa::rt::cuda {

struct LaunchArguments {
  uint64_t *words; // buffers, scalars, tiles, workspace
  uint32_t wordCount;
  void **pointers; // room for wordCount and the tensor maps
  CachedMap *maps; // of all launches of the case
  const int64_t *scalars;
  void *const *dataAddresses; // of the buffers; of one taken as spans, its rows
};

class KernelLaunch {
public:
  KernelLaunch(ContextState &state, const GpuTables &gpu, const GpuKernel &kernel, const LaunchArguments &arguments)
      : state(state), gpu(gpu), kernel(kernel), arguments(arguments) {}

  /// Takes the case that the scalars ask for and fills in what is below. Returns what is wrong, or null.
  const char *choose();
  uint32_t count() const { return gpu.cases[caseIndex].launchCount; }
  /// Enqueues launch |number| of the case. Sets |problem| when terms leave what a device can do, else |call| names the driver's call.
  CUresult run(uint32_t number, const char **problem, const char **call);

  uint32_t caseIndex = 0; // in GpuTables::cases
  /// All launches of a case share one workspace.
  uint64_t workspaceBytes = 0, zeroedBytes = 0;

private:
  bool term(uint32_t index, int64_t *value) const {
    return evaluateTerm(gpu.terms[index], gpu.scalars.data(), arguments.scalars, value);
  }
  const char *grid(const GpuLaunch &launch, uint32_t dims[kGridTerms]) const;
  CUresult encode(const GpuTensorMap &map, CachedMap *cached, const char **problem) const;

  ContextState &state;
  const GpuTables &gpu;
  const GpuKernel &kernel;
  const LaunchArguments &arguments;
};

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_LAUNCH_H

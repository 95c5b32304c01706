// SPDX-License-Identifier: Apache-2.0
//
// NVIDIA's driver, opened at run time.

#ifndef MSA_RUNTIME_CUDA_DRIVER_H
#define MSA_RUNTIME_CUDA_DRIVER_H

#include "runtime/cuda/driver_api.h"
#include "runtime/status.h"

namespace msa::rt::cuda {

struct Driver {
#define MSA_CUDA_MEMBER(name, symbol, arguments) CUresult(*name) arguments = nullptr;
  MSA_CUDA_FUNCTIONS(MSA_CUDA_MEMBER)
  MSA_CUDA_NEWER_FUNCTIONS(MSA_CUDA_MEMBER)
#undef MSA_CUDA_MEMBER
  int version = 0; // 12040 for 12.4

  /// Opens libcuda.so.1 as the system's loader finds it, and starts it. Codes: MSA_UNSUPPORTED (no driver, one that is too old, or
  /// one that does not start). The library is never closed: it has threads of its own.
  Status open();

  /// Success, or a failure that says which |call| failed and how: MSA_OUT_OF_MEMORY or MSA_DEVICE_FAILED.
  Status check(CUresult result, const char *call) const;
  /// "CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)"
  void describe(CUresult result, char *text, size_t size) const;
};

/// Returns from the enclosing function with a failure unless a call of the driver succeeds.
#define MSA_CUDA_TRY(driver, name, ...) MSA_TRY((driver).check((driver).name(__VA_ARGS__), #name))

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_DRIVER_H

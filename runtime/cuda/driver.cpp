// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/driver.h"

#include <cstdio>
#include <dlfcn.h>

namespace msa::rt::cuda {

namespace {

constexpr int kOldestVersion = 11000;
constexpr const char *kLibrary = "libcuda.so.1";

} // namespace

Status Driver::open() {
  void *library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return failure(MSA_UNSUPPORTED, "expected NVIDIA's driver, found none: %s", dlerror());
#define MSA_CUDA_LOAD(name, symbol, arguments) name = reinterpret_cast<CUresult(*) arguments>(dlsym(library, symbol));
  MSA_CUDA_FUNCTIONS(MSA_CUDA_LOAD)
  MSA_CUDA_NEWER_FUNCTIONS(MSA_CUDA_LOAD)
#undef MSA_CUDA_LOAD
#define MSA_CUDA_DEMAND(name, symbol, arguments)                                                                       \
  if (!name)                                                                                                           \
    return failure(MSA_UNSUPPORTED, "%s has no function " symbol "; expected a driver for CUDA %d.%d or newer", kLibrary, \
                   kOldestVersion / 1000, kOldestVersion % 1000 / 10);
  MSA_CUDA_FUNCTIONS(MSA_CUDA_DEMAND)
#undef MSA_CUDA_DEMAND
  if (CUresult result = init(0)) {
    char text[160];
    describe(result, text, sizeof(text));
    return failure(MSA_UNSUPPORTED, "NVIDIA's driver does not start: %s", text);
  }
  if (driverGetVersion(&version) != CUDA_SUCCESS || version < kOldestVersion)
    return failure(MSA_UNSUPPORTED, "the driver is for CUDA %d.%d; expected %d.%d or newer", version / 1000, version % 1000 / 10,
                   kOldestVersion / 1000, kOldestVersion % 1000 / 10);
  return {};
}

void Driver::describe(CUresult result, char *text, size_t size) const {
  const char *name = nullptr, *words = nullptr;
  if (getErrorName(result, &name) != CUDA_SUCCESS || !name)
    name = "an unknown error";
  if (getErrorString(result, &words) != CUDA_SUCCESS || !words)
    words = "no description";
  std::snprintf(text, size, "%s (%d, %s)", name, result, words);
}

Status Driver::check(CUresult result, const char *call) const {
  if (result == CUDA_SUCCESS)
    return {};
  char text[160];
  describe(result, text, sizeof(text));
  return failure(result == CUDA_ERROR_OUT_OF_MEMORY ? MSA_OUT_OF_MEMORY : MSA_DEVICE_FAILED, "the driver's %s failed: %s", call, text);
}

} // namespace msa::rt::cuda

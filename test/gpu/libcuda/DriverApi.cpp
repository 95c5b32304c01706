// SPDX-License-Identifier: Apache-2.0
//
// The driver as a whole: starting it, devices, the primary context, names of errors; and what tests ask of the stand-in.

#include "Stream.h"

#include <cstdio>

using namespace standin;

namespace {

constexpr int kDriverVersion = 12080;
constexpr int kSharedPerBlock = 232448;

struct ErrorName {
  CUresult result;
  const char *name, *text;
};

constexpr ErrorName kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE",
     "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update"},
};

const ErrorName *find(CUresult result) {
  for (const ErrorName &error : kErrors)
    if (error.result == result)
      return &error;
  return nullptr;
}

} // namespace

STANDIN_EXPORT CUresult cuInit(unsigned flags) {
  std::lock_guard lock(driver().mutex);
  if (flags)
    return CUDA_ERROR_INVALID_VALUE;
  if (!driver().device)
    driver().device = std::make_unique<Device>();
  return driver().device->configuration.deviceCount ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

STANDIN_EXPORT CUresult cuDriverGetVersion(int *version) {
  *version = kDriverVersion;
  return CUDA_SUCCESS;
}

STANDIN_EXPORT CUresult cuGetErrorName(CUresult result, const char **name) {
  const ErrorName *error = find(result);
  *name = error ? error->name : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

STANDIN_EXPORT CUresult cuGetErrorString(CUresult result, const char **text) {
  const ErrorName *error = find(result);
  *text = error ? error->text : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

STANDIN_EXPORT CUresult cuDeviceGetCount(int *count) {
  return call("cuDeviceGetCount", false, [&](Device &device) {
    *count = device.configuration.deviceCount;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuDeviceGet(CUdevice *handle, int ordinal) {
  return call("cuDeviceGet", false, [&](Device &device) -> CUresult {
    if (ordinal < 0 || ordinal >= device.configuration.deviceCount)
      return CUDA_ERROR_INVALID_DEVICE;
    *handle = ordinal;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuDeviceGetName(char *name, int size, CUdevice) {
  return call("cuDeviceGetName", false, [&](Device &device) {
    std::snprintf(name, size_t(size), "PTX emulator, sm_%d%d", device.configuration.major, device.configuration.minor);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
  return call("cuDeviceGetAttribute", false, [&](Device &device) -> CUresult {
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = device.configuration.multiprocessors;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = device.configuration.major;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = device.configuration.minor;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = device.configuration.major == 8 ? 166912 : kSharedPerBlock;
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  return call("cuDevicePrimaryCtxRetain", false, [&](Device &device) {
    ++device.contexts;
    *context = reinterpret_cast<CUcontext>(&device);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  return call("cuDevicePrimaryCtxRelease", false, [&](Device &device) -> CUresult {
    if (device.contexts == 0)
      return CUDA_ERROR_INVALID_CONTEXT;
    --device.contexts;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return call("cuCtxPushCurrent", false, [&](Device &device) -> CUresult {
    if (context != reinterpret_cast<CUcontext>(&device) || device.contexts == 0)
      return CUDA_ERROR_INVALID_CONTEXT;
    ++currentContexts();
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  return call("cuCtxPopCurrent", false, [&](Device &device) -> CUresult {
    if (currentContexts() == 0)
      return CUDA_ERROR_INVALID_CONTEXT;
    --currentContexts();
    *context = reinterpret_cast<CUcontext>(&device);
    return CUDA_SUCCESS;
  });
}

//===----------------------------------------------------------------------===//
// For tests: not in any driver
//===----------------------------------------------------------------------===//

/// Whether any memory of the device, live or freed since, or pinned memory holds these bytes. Freed memory is only looked at when
/// MSA_PTXEMU_KEEP_FREED is 1.
STANDIN_EXPORT int msaStandinContains(const void *pattern, size_t bytes) {
  std::lock_guard lock(driver().mutex);
  return driver().device && driver().device->contains(pattern, bytes);
}

/// 0: live device allocations; 1: device allocations ever made; 2: launches; 3: launches of graphs; 4: retained contexts; 5: live pinned
/// allocations.
STANDIN_EXPORT uint64_t msaStandinCount(int what) {
  std::lock_guard lock(driver().mutex);
  if (!driver().device)
    return 0;
  const Device &device = *driver().device;
  switch (what) {
  case 0:
    return device.allocations.size();
  case 1:
    return device.allocationCount;
  case 2:
    return device.launchCount;
  case 3:
    return device.graphLaunchCount;
  case 4:
    return uint64_t(device.contexts);
  case 5:
    return device.pinned.size();
  }
  return 0;
}

/// Ends a failed device and reads the environment again, as a new process would. Everything made before is gone.
STANDIN_EXPORT void msaStandinRestart() {
  std::lock_guard lock(driver().mutex);
  driver().device = nullptr;
}

// SPDX-License-Identifier: Apache-2.0
//
// The part of the CUDA driver API that the runtime calls: types, values and signatures as NVIDIA documents them for 64-bit systems.
// Written out here so that no toolkit is needed to build; the driver's own library is opened at run time (driver.h).

#ifndef MSA_RUNTIME_CUDA_DRIVER_API_H
#define MSA_RUNTIME_CUDA_DRIVER_API_H

#include <cstddef>
#include <cstdint>

namespace msa::rt::cuda {

// NOLINTBEGIN: names are the driver's.
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUstream = struct CUstream_st *;
using CUevent = struct CUevent_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphExec = struct CUgraphExec_st *;
using CUgraphNode = struct CUgraphNode_st *;

enum : CUresult {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
  CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
  CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE = 910,
};

enum CUdevice_attribute : int {
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
};

enum CUfunction_attribute : int {
  CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
};

enum CUjit_option : int {
  CU_JIT_INFO_LOG_BUFFER = 3,
  CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES = 4,
  CU_JIT_ERROR_LOG_BUFFER = 5,
  CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
};

enum : unsigned {
  CU_MEMHOSTALLOC_PORTABLE = 1,
  CU_MEMHOSTALLOC_DEVICEMAP = 2,
  CU_STREAM_NON_BLOCKING = 1,
  CU_EVENT_DEFAULT = 0,
};

enum CUstreamCaptureMode : int { CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1 };

enum CUlaunchAttributeID : int { CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION = 4 };

struct CUlaunchAttribute {
  CUlaunchAttributeID id;
  char pad[8 - sizeof(int)];
  union {
    char pad[64];
    struct {
      unsigned x, y, z;
    } clusterDim;
  } value;
};

struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ;
  unsigned blockDimX, blockDimY, blockDimZ;
  unsigned sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
};

struct alignas(64) CUtensorMap {
  uint64_t opaque[16];
};

enum CUtensorMapDataType : int {
  CU_TENSOR_MAP_DATA_TYPE_UINT8 = 0,
  CU_TENSOR_MAP_DATA_TYPE_FLOAT16 = 6,
  CU_TENSOR_MAP_DATA_TYPE_FLOAT32 = 7,
  CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9,
};
enum CUtensorMapInterleave : int { CU_TENSOR_MAP_INTERLEAVE_NONE = 0 };
enum CUtensorMapSwizzle : int {
  CU_TENSOR_MAP_SWIZZLE_NONE = 0,
  CU_TENSOR_MAP_SWIZZLE_32B = 1,
  CU_TENSOR_MAP_SWIZZLE_64B = 2,
  CU_TENSOR_MAP_SWIZZLE_128B = 3,
};
enum CUtensorMapL2promotion : int { CU_TENSOR_MAP_L2_PROMOTION_L2_128B = 2 };
enum CUtensorMapFloatOOBfill : int { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0 };

struct CUgraphExecUpdateResultInfo {
  int result;
  CUgraphNode errorNode;
  CUgraphNode errorFromNode;
};

/// X(member of Driver, symbol of libcuda.so.1, arguments). Every driver that runs sm_80 code has these.
#define MSA_CUDA_FUNCTIONS(X)                                                                                          \
  X(init, "cuInit", (unsigned))                                                                                        \
  X(driverGetVersion, "cuDriverGetVersion", (int *))                                                                   \
  X(getErrorName, "cuGetErrorName", (CUresult, const char **))                                                         \
  X(getErrorString, "cuGetErrorString", (CUresult, const char **))                                                     \
  X(deviceGetCount, "cuDeviceGetCount", (int *))                                                                       \
  X(deviceGet, "cuDeviceGet", (CUdevice *, int))                                                                       \
  X(deviceGetName, "cuDeviceGetName", (char *, int, CUdevice))                                                         \
  X(deviceGetAttribute, "cuDeviceGetAttribute", (int *, CUdevice_attribute, CUdevice))                                 \
  X(devicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext *, CUdevice))                                       \
  X(devicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                                               \
  X(ctxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext))                                                                \
  X(ctxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext *))                                                                \
  X(memAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t))                                                                \
  X(memFree, "cuMemFree_v2", (CUdeviceptr))                                                                            \
  X(memHostAlloc, "cuMemHostAlloc", (void **, size_t, unsigned))                                                       \
  X(memFreeHost, "cuMemFreeHost", (void *))                                                                            \
  X(memHostGetDevicePointer, "cuMemHostGetDevicePointer_v2", (CUdeviceptr *, void *, unsigned))                        \
  X(memcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (CUdeviceptr, const void *, size_t, CUstream))                            \
  X(memcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void *, CUdeviceptr, size_t, CUstream))                                  \
  X(memcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", (CUdeviceptr, CUdeviceptr, size_t, CUstream))                             \
  X(memsetD8Async, "cuMemsetD8Async", (CUdeviceptr, unsigned char, size_t, CUstream))                                  \
  X(memsetD32Async, "cuMemsetD32Async", (CUdeviceptr, unsigned, size_t, CUstream))                                     \
  X(streamCreate, "cuStreamCreate", (CUstream *, unsigned))                                                            \
  X(streamDestroy, "cuStreamDestroy_v2", (CUstream))                                                                   \
  X(streamSynchronize, "cuStreamSynchronize", (CUstream))                                                              \
  X(streamBeginCapture, "cuStreamBeginCapture_v2", (CUstream, CUstreamCaptureMode))                                    \
  X(streamEndCapture, "cuStreamEndCapture", (CUstream, CUgraph *))                                                     \
  X(eventCreate, "cuEventCreate", (CUevent *, unsigned))                                                               \
  X(eventDestroy, "cuEventDestroy_v2", (CUevent))                                                                      \
  X(eventRecord, "cuEventRecord", (CUevent, CUstream))                                                                 \
  X(eventElapsedTime, "cuEventElapsedTime", (float *, CUevent, CUevent))                                               \
  X(moduleLoadDataEx, "cuModuleLoadDataEx", (CUmodule *, const void *, unsigned, CUjit_option *, void **))             \
  X(moduleUnload, "cuModuleUnload", (CUmodule))                                                                        \
  X(moduleGetFunction, "cuModuleGetFunction", (CUfunction *, CUmodule, const char *))                                  \
  X(funcGetAttribute, "cuFuncGetAttribute", (int *, CUfunction_attribute, CUfunction))                                 \
  X(funcSetAttribute, "cuFuncSetAttribute", (CUfunction, CUfunction_attribute, int))                                   \
  X(launchKernel, "cuLaunchKernel",                                                                                    \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **))    \
  X(graphDestroy, "cuGraphDestroy", (CUgraph))                                                                         \
  X(graphExecDestroy, "cuGraphExecDestroy", (CUgraphExec))                                                             \
  X(graphLaunch, "cuGraphLaunch", (CUgraphExec, CUstream))

/// The same for what came with driver 12.0 or before it with 11.x: null where the driver is older.
#define MSA_CUDA_NEWER_FUNCTIONS(X)                                                                                    \
  X(launchKernelEx, "cuLaunchKernelEx", (const CUlaunchConfig *, CUfunction, void **, void **))                        \
  X(tensorMapEncodeTiled, "cuTensorMapEncodeTiled",                                                                    \
    (CUtensorMap *, CUtensorMapDataType, uint32_t, void *, const uint64_t *, const uint64_t *, const uint32_t *,       \
     const uint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill))    \
  X(graphInstantiateWithFlags, "cuGraphInstantiateWithFlags", (CUgraphExec *, CUgraph, unsigned long long))            \
  X(graphExecUpdate, "cuGraphExecUpdate_v2", (CUgraphExec, CUgraph, CUgraphExecUpdateResultInfo *))
// NOLINTEND

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_DRIVER_API_H

// SPDX-License-Identifier: Apache-2.0
//
// runtime/cuda/driver_api.h against NVIDIA's own header, where there is one: every value, every layout, every signature. Nothing to run:
// it compiles or it does not.

#include <cuda.h>

// Macros there, values here.
constexpr unsigned kPortable = CU_MEMHOSTALLOC_PORTABLE, kDeviceMap = CU_MEMHOSTALLOC_DEVICEMAP;
#undef CU_MEMHOSTALLOC_PORTABLE
#undef CU_MEMHOSTALLOC_DEVICEMAP

#include "runtime/cuda/driver_api.h"

#include <cstddef>
#include <type_traits>

namespace {

namespace ours = msa::rt::cuda;

#define SAME_VALUE(name) static_assert(int(ours::name) == int(::name), #name)
SAME_VALUE(CUDA_SUCCESS);
SAME_VALUE(CUDA_ERROR_INVALID_VALUE);
SAME_VALUE(CUDA_ERROR_OUT_OF_MEMORY);
SAME_VALUE(CUDA_ERROR_NOT_INITIALIZED);
SAME_VALUE(CUDA_ERROR_NO_DEVICE);
SAME_VALUE(CUDA_ERROR_INVALID_DEVICE);
SAME_VALUE(CUDA_ERROR_INVALID_CONTEXT);
SAME_VALUE(CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME_VALUE(CUDA_ERROR_INVALID_PTX);
SAME_VALUE(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME_VALUE(CUDA_ERROR_NOT_FOUND);
SAME_VALUE(CUDA_ERROR_NOT_READY);
SAME_VALUE(CUDA_ERROR_ILLEGAL_ADDRESS);
SAME_VALUE(CUDA_ERROR_LAUNCH_FAILED);
SAME_VALUE(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
SAME_VALUE(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
SAME_VALUE(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME_VALUE(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME_VALUE(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
SAME_VALUE(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME_VALUE(CU_JIT_INFO_LOG_BUFFER);
SAME_VALUE(CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
SAME_VALUE(CU_JIT_ERROR_LOG_BUFFER);
SAME_VALUE(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
static_assert(ours::CU_MEMHOSTALLOC_PORTABLE == kPortable && ours::CU_MEMHOSTALLOC_DEVICEMAP == kDeviceMap);
SAME_VALUE(CU_STREAM_NON_BLOCKING);
SAME_VALUE(CU_EVENT_DEFAULT);
SAME_VALUE(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME_VALUE(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
SAME_VALUE(CU_TENSOR_MAP_DATA_TYPE_UINT8);
SAME_VALUE(CU_TENSOR_MAP_DATA_TYPE_FLOAT16);
SAME_VALUE(CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
SAME_VALUE(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
SAME_VALUE(CU_TENSOR_MAP_INTERLEAVE_NONE);
SAME_VALUE(CU_TENSOR_MAP_SWIZZLE_NONE);
SAME_VALUE(CU_TENSOR_MAP_SWIZZLE_32B);
SAME_VALUE(CU_TENSOR_MAP_SWIZZLE_64B);
SAME_VALUE(CU_TENSOR_MAP_SWIZZLE_128B);
SAME_VALUE(CU_TENSOR_MAP_L2_PROMOTION_L2_128B);
SAME_VALUE(CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);

#define SAME_PLACE(type, member)                                                                                       \
  static_assert(offsetof(ours::type, member) == offsetof(::type, member) && sizeof(ours::type::member) == sizeof(::type::member))
SAME_PLACE(CUlaunchConfig, gridDimX);
SAME_PLACE(CUlaunchConfig, gridDimZ);
SAME_PLACE(CUlaunchConfig, blockDimX);
SAME_PLACE(CUlaunchConfig, blockDimZ);
SAME_PLACE(CUlaunchConfig, sharedMemBytes);
SAME_PLACE(CUlaunchConfig, hStream);
SAME_PLACE(CUlaunchConfig, attrs);
SAME_PLACE(CUlaunchConfig, numAttrs);
static_assert(sizeof(ours::CUlaunchConfig) == sizeof(::CUlaunchConfig));
SAME_PLACE(CUlaunchAttribute, id);
SAME_PLACE(CUlaunchAttribute, value);
SAME_PLACE(CUlaunchAttribute, value.clusterDim);
static_assert(sizeof(ours::CUlaunchAttribute) == sizeof(::CUlaunchAttribute));
static_assert(sizeof(ours::CUtensorMap) == sizeof(::CUtensorMap) && alignof(ours::CUtensorMap) == alignof(::CUtensorMap));
SAME_PLACE(CUgraphExecUpdateResultInfo, result);
SAME_PLACE(CUgraphExecUpdateResultInfo, errorNode);
SAME_PLACE(CUgraphExecUpdateResultInfo, errorFromNode);
static_assert(sizeof(ours::CUgraphExecUpdateResultInfo) == sizeof(::CUgraphExecUpdateResultInfo));

/// Equal as the machine passes them: both pointers, or whole numbers of one size.
template <typename A, typename B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
                       std::is_floating_point_v<A> == std::is_floating_point_v<B>;

template <typename A, typename B> struct SameSignature : std::false_type {};
template <typename R, typename... A, typename S, typename... B> struct SameSignature<R (*)(A...), S (*)(B...)> {
  static constexpr bool check() {
    if constexpr (sizeof...(A) == sizeof...(B))
      return alike<R, S> && (alike<A, B> && ...);
    return false;
  }
  static constexpr bool value = check();
};

// The symbol that the header gives a name must be the one that the runtime looks up.
#define TEXT_OF(name) #name
#define SYMBOL_OF(name) TEXT_OF(name)
constexpr bool equal(const char *a, const char *b) {
  while (*a && *a == *b)
    ++a, ++b;
  return *a == *b;
}
#define NAME_ONLY(name, symbol, arguments)                                                                             \
  inline constexpr const char *symbol_##name = symbol;                                                                        \
  using type_##name = ours::CUresult(*) arguments;
} // namespace

namespace msa::rt::cuda::abi {
MSA_CUDA_FUNCTIONS(NAME_ONLY)
MSA_CUDA_NEWER_FUNCTIONS(NAME_ONLY)
} // namespace msa::rt::cuda::abi

#define SAME_FUNCTION(name, theirs)                                                                                    \
  static_assert(equal(msa::rt::cuda::abi::symbol_##name, SYMBOL_OF(theirs)), #name);                                   \
  static_assert(SameSignature<msa::rt::cuda::abi::type_##name, decltype(&::theirs)>::value, #name)
SAME_FUNCTION(init, cuInit);
SAME_FUNCTION(driverGetVersion, cuDriverGetVersion);
SAME_FUNCTION(getErrorName, cuGetErrorName);
SAME_FUNCTION(getErrorString, cuGetErrorString);
SAME_FUNCTION(deviceGetCount, cuDeviceGetCount);
SAME_FUNCTION(deviceGet, cuDeviceGet);
SAME_FUNCTION(deviceGetName, cuDeviceGetName);
SAME_FUNCTION(deviceGetAttribute, cuDeviceGetAttribute);
SAME_FUNCTION(devicePrimaryCtxRetain, cuDevicePrimaryCtxRetain);
SAME_FUNCTION(devicePrimaryCtxRelease, cuDevicePrimaryCtxRelease);
SAME_FUNCTION(ctxPushCurrent, cuCtxPushCurrent);
SAME_FUNCTION(ctxPopCurrent, cuCtxPopCurrent);
SAME_FUNCTION(memAlloc, cuMemAlloc);
SAME_FUNCTION(memFree, cuMemFree);
SAME_FUNCTION(memHostAlloc, cuMemHostAlloc);
SAME_FUNCTION(memFreeHost, cuMemFreeHost);
SAME_FUNCTION(memHostGetDevicePointer, cuMemHostGetDevicePointer);
SAME_FUNCTION(memcpyHtoDAsync, cuMemcpyHtoDAsync);
SAME_FUNCTION(memcpyDtoHAsync, cuMemcpyDtoHAsync);
SAME_FUNCTION(memcpyDtoDAsync, cuMemcpyDtoDAsync);
SAME_FUNCTION(memsetD8Async, cuMemsetD8Async);
SAME_FUNCTION(memsetD32Async, cuMemsetD32Async);
SAME_FUNCTION(streamCreate, cuStreamCreate);
SAME_FUNCTION(streamDestroy, cuStreamDestroy);
SAME_FUNCTION(streamSynchronize, cuStreamSynchronize);
SAME_FUNCTION(streamBeginCapture, cuStreamBeginCapture);
SAME_FUNCTION(streamEndCapture, cuStreamEndCapture);
SAME_FUNCTION(eventCreate, cuEventCreate);
SAME_FUNCTION(eventDestroy, cuEventDestroy);
SAME_FUNCTION(eventRecord, cuEventRecord);
SAME_FUNCTION(moduleLoadDataEx, cuModuleLoadDataEx);
SAME_FUNCTION(moduleUnload, cuModuleUnload);
SAME_FUNCTION(moduleGetFunction, cuModuleGetFunction);
SAME_FUNCTION(funcGetAttribute, cuFuncGetAttribute);
SAME_FUNCTION(funcSetAttribute, cuFuncSetAttribute);
SAME_FUNCTION(launchKernel, cuLaunchKernel);
SAME_FUNCTION(graphDestroy, cuGraphDestroy);
SAME_FUNCTION(graphExecDestroy, cuGraphExecDestroy);
SAME_FUNCTION(graphLaunch, cuGraphLaunch);
SAME_FUNCTION(launchKernelEx, cuLaunchKernelEx);
SAME_FUNCTION(tensorMapEncodeTiled, cuTensorMapEncodeTiled);
SAME_FUNCTION(graphInstantiateWithFlags, cuGraphInstantiateWithFlags);
SAME_FUNCTION(graphExecUpdate, cuGraphExecUpdate);

// Headers of CUDA 13 give this one another symbol, with the same signature; drivers keep the old one.
static_assert(SameSignature<msa::rt::cuda::abi::type_eventElapsedTime, decltype(&::cuEventElapsedTime)>::value);

// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/launch.h"

#include <algorithm>

namespace msa::rt::cuda {

namespace {

constexpr int64_t kMaxGridX = INT32_MAX;
constexpr int64_t kMaxGridYZ = 65535;
constexpr int64_t kMaxWorkspace = int64_t(1) << 46;
constexpr int64_t kMaxMapDim = int64_t(1) << 32;
constexpr int64_t kMaxMapStride = (int64_t(1) << 40) - 1;
constexpr int64_t kMapStrideAlignment = 16;

CUtensorMapDataType mapType(msa_element_type type) {
  switch (type) {
  case MSA_F32:
    return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  case MSA_F16:
    return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  case MSA_BF16:
    return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  default:
    return CU_TENSOR_MAP_DATA_TYPE_UINT8;
  }
}

CUtensorMapSwizzle mapSwizzle(uint32_t bytes) {
  return bytes == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
         : bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
         : bytes == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                       : CU_TENSOR_MAP_SWIZZLE_NONE;
}

} // namespace

const char *KernelLaunch::choose() {
  for (caseIndex = kernel.firstCase;; ++caseIndex) {
    const GpuCase &candidate = gpu.cases[caseIndex];
    // The decoder has seen to it that the last one is always taken.
    if (candidate.scalar == kNone || arguments.scalars[candidate.scalar] < candidate.below)
      break;
  }
  const GpuCase &chosen = gpu.cases[caseIndex];
  for (uint32_t i = 0; i < chosen.launchCount; ++i) {
    const GpuLaunch &launch = gpu.launches[chosen.firstLaunch + i];
    int64_t bytes = 0, zeroed = 0;
    if (launch.workspaceTerm != kNone && (!term(launch.workspaceTerm, &bytes) || bytes > kMaxWorkspace))
      return "its workspace overflows";
    if (launch.workspaceZeroedTerm != kNone && (!term(launch.workspaceZeroedTerm, &zeroed) || zeroed > bytes))
      return "its zeroed workspace is larger than its workspace";
    workspaceBytes = std::max(workspaceBytes, uint64_t(bytes));
    zeroedBytes = std::max(zeroedBytes, uint64_t(zeroed));
  }
  return nullptr;
}

const char *KernelLaunch::grid(const GpuLaunch &launch, uint32_t dims[kGridTerms]) const {
  for (uint32_t i = 0; i < kGridTerms; ++i) {
    int64_t value = 0;
    if (!term(launch.firstGridTerm + i, &value))
      return "its grid overflows or depends on a negative scalar";
    if (i == 0 && launch.persistent) {
      int64_t most = int64_t(launch.persistent) * state.device.multiprocessors;
      most = std::max(most / launch.cluster * launch.cluster, int64_t(launch.cluster));
      value = std::min((value + launch.cluster - 1) / launch.cluster * launch.cluster, most);
    }
    if (value > (i == 0 ? kMaxGridX : kMaxGridYZ))
      return "its grid is larger than a device allows";
    dims[i] = uint32_t(value);
  }
  if (dims[0] % launch.cluster)
    return "its grid is no multiple of its clusters";
  return nullptr;
}

CUresult KernelLaunch::run(uint32_t number, const char **problem, const char **call) {
  const GpuCase &chosen = gpu.cases[caseIndex];
  uint32_t index = chosen.firstLaunch + number;
  const GpuLaunch &launch = gpu.launches[index];
  uint32_t dims[kGridTerms];
  if ((*problem = grid(launch, dims)))
    return CUDA_SUCCESS;
  if (dims[0] == 0 || dims[1] == 0 || dims[2] == 0)
    return CUDA_SUCCESS;
  for (uint32_t i = 0; i < arguments.wordCount; ++i)
    arguments.pointers[i] = &arguments.words[i];
  CachedMap *maps = arguments.maps;
  for (uint32_t i = 0; i < number; ++i)
    maps += gpu.launches[chosen.firstLaunch + i].mapCount;
  for (uint32_t i = 0; i < launch.mapCount; ++i) {
    *call = "tensorMapEncodeTiled";
    if (CUresult result = encode(gpu.maps[launch.firstMap + i], &maps[i], problem); result != CUDA_SUCCESS || *problem)
      return result;
    arguments.pointers[arguments.wordCount + i] = &maps[i].map;
  }
  const Driver &driver = state.device.driver;
  CUfunction function = state.program.functions[index];
  if (launch.cluster == 1) {
    *call = "launchKernel";
    return driver.launchKernel(function, dims[0], dims[1], dims[2], launch.block, 1, 1, launch.dynamicShared, state.stream,
                               arguments.pointers, nullptr);
  }
  CUlaunchAttribute cluster = {};
  cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  cluster.value.clusterDim = {launch.cluster, 1, 1};
  CUlaunchConfig config = {dims[0], dims[1], dims[2], launch.block, 1, 1, launch.dynamicShared, state.stream, &cluster, 1};
  *call = "launchKernelEx";
  return driver.launchKernelEx(&config, function, arguments.pointers, nullptr);
}

CUresult KernelLaunch::encode(const GpuTensorMap &map, CachedMap *cached, const char **problem) const {
  CachedMap wanted = {};
  wanted.address = reinterpret_cast<uint64_t>(arguments.dataAddresses[map.buffer]);
  bool empty = false;
  for (uint32_t i = 0; i < map.rank; ++i) {
    int64_t value = 0;
    if (!term(map.firstTerm + i, &value) || value > kMaxMapDim) {
      *problem = "a dim of a tensor map overflows, depends on a negative scalar or exceeds 2^32";
      return CUDA_SUCCESS;
    }
    empty |= value == 0;
    wanted.dims[i] = uint64_t(value);
  }
  for (uint32_t i = 0; i + 1 < map.rank; ++i) {
    int64_t value = 0;
    if (!term(map.firstTerm + map.rank + i, &value) || value > kMaxMapStride || value % kMapStrideAlignment) {
      *problem = "a stride of a tensor map overflows, depends on a negative scalar, exceeds 2^40 or is no multiple of 16";
      return CUDA_SUCCESS;
    }
    wanted.strides[i] = uint64_t(value);
  }
  if (empty) {
    // The driver refuses a map without elements. One element that is zero reads the same as none: outside is zero as well.
    wanted.address = state.device.zeros;
    std::fill_n(wanted.dims, map.rank, uint64_t(1));
    std::fill_n(wanted.strides, map.rank - 1, uint64_t(kMapStrideAlignment));
  }
  if (cached->address == wanted.address && std::memcmp(cached->dims, wanted.dims, sizeof(wanted.dims)) == 0 &&
      std::memcmp(cached->strides, wanted.strides, sizeof(wanted.strides)) == 0)
    return CUDA_SUCCESS;
  uint32_t steps[kMaxTensorMapRank] = {1, 1, 1, 1, 1};
  CUresult result = state.device.driver.tensorMapEncodeTiled(
      &wanted.map, mapType(map.type), map.rank, reinterpret_cast<void *>(wanted.address), wanted.dims, wanted.strides, map.box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, mapSwizzle(map.swizzle), CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result == CUDA_SUCCESS)
    *cached = wanted;
  return result;
}

} // namespace msa::rt::cuda

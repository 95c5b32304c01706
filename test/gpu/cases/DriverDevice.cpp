// SPDX-License-Identifier: Apache-2.0

#include "DriverDevice.h"

#include <algorithm>

namespace cases {

using namespace msa::rt::cuda;

Driver::Driver() {
  msa::rt::Status status = api.open();
  if (!status.ok())
    throw Error(status.message());
  int count = 0;
  check(api.deviceGetCount(&count), "cuDeviceGetCount");
  if (count == 0)
    throw Error("expected a CUDA device, found none");
  check(api.deviceGet(&handle, 0), "cuDeviceGet");
  char text[96] = "";
  check(api.deviceGetName(text, sizeof(text), handle), "cuDeviceGetName");
  name = text;
  check(api.deviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle), "cuDeviceGetAttribute");
  check(api.deviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle), "cuDeviceGetAttribute");
  check(api.deviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, handle), "cuDeviceGetAttribute");
  CUcontext context = nullptr;
  check(api.devicePrimaryCtxRetain(&context, handle), "cuDevicePrimaryCtxRetain");
  check(api.ctxPushCurrent(context), "cuCtxPushCurrent");
}

Driver::~Driver() {
  CUcontext popped;
  (void)api.ctxPopCurrent(&popped);
  (void)api.devicePrimaryCtxRelease(handle);
}

void Driver::check(CUresult result, const char *call) const {
  msa::rt::Status status = api.check(result, call);
  if (!status.ok())
    throw Error(status.message());
}

DriverDevice::DriverDevice(const Driver &driver, const std::string &ptx) : driver(driver) {
  std::vector<char> log(8192);
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  CUresult result = driver.api.moduleLoadDataEx(&module, ptx.c_str(), 2, options, values);
  if (result != CUDA_SUCCESS && log[0])
    throw Error("the driver refuses the PTX: " + std::string(log.data()));
  driver.check(result, "cuModuleLoadDataEx");
}

DriverDevice::~DriverDevice() {
  (void)driver.api.streamSynchronize(nullptr);
  for (uint64_t block : blocks)
    (void)driver.api.memFree(block);
  if (module)
    (void)driver.api.moduleUnload(module);
}

uint64_t DriverDevice::allocate(uint64_t bytes, const std::string &, bool) {
  CUdeviceptr address = 0;
  driver.check(driver.api.memAlloc(&address, bytes), "cuMemAlloc");
  blocks.push_back(address);
  return address;
}

void DriverDevice::synchronize() { driver.check(driver.api.streamSynchronize(nullptr), "cuStreamSynchronize"); }

void DriverDevice::write(uint64_t address, const void *from, uint64_t bytes) {
  driver.check(driver.api.memcpyHtoDAsync(address, from, bytes, nullptr), "cuMemcpyHtoDAsync");
  synchronize();
}

void DriverDevice::read(void *to, uint64_t address, uint64_t bytes) {
  driver.check(driver.api.memcpyDtoHAsync(to, address, bytes, nullptr), "cuMemcpyDtoHAsync");
  synchronize();
}

void DriverDevice::fill(uint64_t address, int byte, uint64_t bytes) {
  if (!bytes)
    return;
  driver.check(driver.api.memsetD8Async(address, static_cast<unsigned char>(byte), bytes, nullptr), "cuMemsetD8Async");
  synchronize();
}

std::vector<std::byte> DriverDevice::encode(const TensorMap &map, std::span<const int64_t> scalars, uint64_t address) {
  if (!driver.api.tensorMapEncodeTiled)
    throw Error("the driver has no tensor maps: expected one for CUDA 12.0 or newer");
  CUtensorMapDataType type = map.type == "f32"    ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                             : map.type == "f16"  ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                             : map.type == "bf16" ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                             : map.type == "u8"   ? CU_TENSOR_MAP_DATA_TYPE_UINT8
                                                  : throw Error("no tensor map has elements of type '" + map.type + "'");
  CUtensorMapSwizzle swizzle = map.swizzle == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                               : map.swizzle == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                               : map.swizzle == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                                   : CU_TENSOR_MAP_SWIZZLE_NONE;
  MapSizes sizes = evaluate(map, scalars);
  std::vector<uint32_t> ones(sizes.dims.size(), 1);
  CUtensorMap image;
  driver.check(driver.api.tensorMapEncodeTiled(&image, type, static_cast<uint32_t>(sizes.dims.size()), reinterpret_cast<void *>(address), sizes.dims.data(),
                                               sizes.strides.data(), map.box.data(), ones.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                                               CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
               "cuTensorMapEncodeTiled");
  std::vector<std::byte> bytes(sizeof(image));
  std::memcpy(bytes.data(), &image, sizeof(image));
  return bytes;
}

void DriverDevice::launch(const Call &call) {
  CUfunction &function = functions[call.symbol];
  if (!function)
    driver.check(driver.api.moduleGetFunction(&function, module, call.symbol.c_str()), "cuModuleGetFunction");
  if (call.dynamicShared > 48 * 1024) // more must be asked for
    driver.check(driver.api.funcSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(call.dynamicShared)), "cuFuncSetAttribute");
  // The driver takes parameters by pointers of its alignment.
  std::vector<void *> pointers;
  std::vector<CUtensorMap> maps(call.arguments.size());
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    std::memcpy(&maps[i], call.arguments[i].data(), std::min(call.arguments[i].size(), sizeof(CUtensorMap)));
    pointers.push_back(&maps[i]);
  }
  if (call.cluster <= 1) {
    driver.check(driver.api.launchKernel(function, call.grid[0], call.grid[1], call.grid[2], call.block, 1, 1, call.dynamicShared, nullptr, pointers.data(), nullptr),
                 "cuLaunchKernel");
    return;
  }
  if (!driver.api.launchKernelEx)
    throw Error("the driver has no clusters: expected one for CUDA 11.8 or newer");
  CUlaunchAttribute cluster{};
  cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  cluster.value.clusterDim.x = call.cluster;
  cluster.value.clusterDim.y = cluster.value.clusterDim.z = 1;
  CUlaunchConfig config{call.grid[0], call.grid[1], call.grid[2], call.block, 1, 1, call.dynamicShared, nullptr, &cluster, 1};
  driver.check(driver.api.launchKernelEx(&config, function, pointers.data(), nullptr), "cuLaunchKernelEx");
}

std::string DriverDevice::run(std::span<const Call> calls) {
  try {
    for (const Call &call : calls)
      launch(call);
    synchronize();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

double DriverDevice::time(std::span<const Call> calls, int rounds) {
  CUevent begin = nullptr, end = nullptr;
  driver.check(driver.api.eventCreate(&begin, CU_EVENT_DEFAULT), "cuEventCreate");
  driver.check(driver.api.eventCreate(&end, CU_EVENT_DEFAULT), "cuEventCreate");
  std::vector<float> times;
  for (int round = -2; round < rounds; ++round) { // two to warm up
    driver.check(driver.api.eventRecord(begin, nullptr), "cuEventRecord");
    for (const Call &call : calls)
      launch(call);
    driver.check(driver.api.eventRecord(end, nullptr), "cuEventRecord");
    synchronize();
    float milliseconds = 0;
    driver.check(driver.api.eventElapsedTime(&milliseconds, begin, end), "cuEventElapsedTime");
    if (round >= 0)
      times.push_back(milliseconds);
  }
  (void)driver.api.eventDestroy(begin);
  (void)driver.api.eventDestroy(end);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] * 1e-3;
}

} // namespace cases

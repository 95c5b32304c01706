// SPDX-License-Identifier: Apache-2.0
//
// Device memory, pinned memory, copies and fills. Copies that a driver may carry out later are carried out later, and read their source
// then: also from ordinary memory, which a driver only "might" copy at once.

#include "Stream.h"

#include <cstdlib>

using namespace standin;

namespace {

constexpr size_t kPage = 4096;
constexpr int kPoison = 0xFF;

/// A copy between places that are looked up when it runs: what was freed meanwhile is found out.
Operation copyToDevice(CUdeviceptr to, const void *from, size_t bytes) {
  return {Operation::Kind::Copy, nullptr, [=](Device &device) {
            std::memcpy(device.at(to, bytes), from, bytes);
            return CUDA_SUCCESS;
          }};
}

Operation copyToHost(void *to, CUdeviceptr from, size_t bytes) {
  return {Operation::Kind::Copy, nullptr, [=](Device &device) {
            std::memcpy(to, device.at(from, bytes), bytes);
            return CUDA_SUCCESS;
          }};
}

Operation copyOnDevice(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return {Operation::Kind::Copy, nullptr, [=](Device &device) {
            if (to < from + bytes && from < to + bytes)
              throw std::runtime_error("a copy on the device has overlapping ranges");
            std::memcpy(device.at(to, bytes), device.at(from, bytes), bytes);
            return CUDA_SUCCESS;
          }};
}

Operation fill(CUdeviceptr at, std::vector<uint8_t> pattern, size_t count) {
  return {Operation::Kind::Fill, nullptr, [=](Device &device) {
            uint8_t *to = device.at(at, pattern.size() * count);
            for (size_t i = 0; i < count; ++i)
              std::memcpy(to + i * pattern.size(), pattern.data(), pattern.size());
            return CUDA_SUCCESS;
          }};
}

std::vector<uint8_t> word(unsigned value) {
  std::vector<uint8_t> bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

} // namespace

STANDIN_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  return callOutsideRecording("cuMemAlloc", [&](Device &device) -> CUresult {
    if (bytes == 0)
      return CUDA_ERROR_INVALID_VALUE;
    if (bytes > device.configuration.memoryBytes - device.allocatedBytes)
      return CUDA_ERROR_OUT_OF_MEMORY;
    *address = device.memory.allocate(bytes, "allocation " + std::to_string(++device.allocationCount));
    device.allocations[*address] = bytes;
    device.allocatedBytes += bytes;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  return callToRelease("cuMemFree", [&](Device &device) -> CUresult {
    auto found = device.allocations.find(address);
    if (found == device.allocations.end()) {
      complain("cuMemFree: the address is not that of an allocation");
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (device.configuration.keepFreed) {
      const uint8_t *bytes = device.at(address, found->second);
      device.freed.emplace_back(bytes, bytes + found->second);
    }
    // A driver waits for what uses the memory before it frees it, but does not promise to; so this does not wait.
    device.memory.free(address);
    device.allocatedBytes -= found->second;
    device.allocations.erase(found);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuMemHostAlloc(void **host, size_t bytes, unsigned) {
  return callOutsideRecording("cuMemHostAlloc", [&](Device &device) -> CUresult {
    if (bytes == 0)
      return CUDA_ERROR_INVALID_VALUE;
    size_t rounded = (bytes + kPage - 1) / kPage * kPage;
    *host = std::aligned_alloc(kPage, rounded);
    if (!*host)
      return CUDA_ERROR_OUT_OF_MEMORY;
    std::memset(*host, kPoison, rounded);
    device.memory.registerHost(*host, bytes, "pinned memory");
    device.pinned[*host] = bytes;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuMemFreeHost(void *host) {
  return callToRelease("cuMemFreeHost", [&](Device &device) -> CUresult {
    auto found = device.pinned.find(host);
    if (found == device.pinned.end())
      return CUDA_ERROR_INVALID_VALUE;
    if (device.configuration.keepFreed)
      device.freed.emplace_back(static_cast<uint8_t *>(host), static_cast<uint8_t *>(host) + found->second);
    device.memory.unregisterHost(host);
    std::memset(host, kPoison, found->second);
    std::free(host);
    device.pinned.erase(found);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *host, unsigned) {
  return call("cuMemHostGetDevicePointer", true, [&](Device &device) -> CUresult {
    if (!device.isPinned(host, 1))
      return CUDA_ERROR_INVALID_VALUE;
    *address = reinterpret_cast<CUdeviceptr>(host);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  return call("cuMemcpyHtoDAsync", true, [&](Device &device) {
    (void)device.at(to, bytes);
    return enqueue(device, stream, copyToDevice(to, from, bytes));
  });
}

STANDIN_EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return call("cuMemcpyDtoHAsync", true, [&](Device &device) {
    (void)device.at(from, bytes);
    return enqueue(device, stream, copyToHost(to, from, bytes));
  });
}

STANDIN_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return call("cuMemcpyDtoDAsync", true, [&](Device &device) {
    (void)device.at(to, bytes);
    (void)device.at(from, bytes);
    return enqueue(device, stream, copyOnDevice(to, from, bytes));
  });
}

STANDIN_EXPORT CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t count, CUstream stream) {
  return call("cuMemsetD8Async", true, [&](Device &device) {
    (void)device.at(at, count);
    return enqueue(device, stream, fill(at, {value}, count));
  });
}

STANDIN_EXPORT CUresult cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t count, CUstream stream) {
  return call("cuMemsetD32Async", true, [&](Device &device) {
    (void)device.at(at, 4 * count);
    if (at % 4)
      throw std::runtime_error("the address is not a multiple of 4");
    return enqueue(device, stream, fill(at, word(value), count));
  });
}

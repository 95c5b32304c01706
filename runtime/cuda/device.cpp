// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/device.h"

#include <cinttypes>

namespace msa::rt::cuda {

Status Device::open(uint32_t wanted) {
  ordinal = wanted;
  MSA_TRY(driver.open());
  int count = 0;
  MSA_CUDA_TRY(driver, deviceGetCount, &count);
  if (wanted >= uint32_t(count))
    return failure(MSA_UNSUPPORTED, "expected CUDA device %u, found %d device%s", wanted, count, count == 1 ? "" : "s");
  MSA_CUDA_TRY(driver, deviceGet, &handle, int(wanted));
  MSA_CUDA_TRY(driver, deviceGetName, name, int(sizeof(name)), handle);
  MSA_CUDA_TRY(driver, deviceGetAttribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle);
  MSA_CUDA_TRY(driver, deviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle);
  MSA_CUDA_TRY(driver, deviceGetAttribute, &multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, handle);
  MSA_CUDA_TRY(driver, deviceGetAttribute, &sharedLimit, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, handle);
  CUcontext retained = nullptr;
  MSA_CUDA_TRY(driver, devicePrimaryCtxRetain, &retained, handle);
  context = retained;
  Current current(*this);
  CUstream made = nullptr;
  MSA_CUDA_TRY(driver, streamCreate, &made, CU_STREAM_NON_BLOCKING);
  stream = made;
  MSA_TRY(allocate(kZeroBytes, &zeros));
  MSA_CUDA_TRY(driver, memsetD8Async, zeros, 0, kZeroBytes, stream);
  MSA_TRY(synchronize());
  runtime->logf(MSA_LOG_INFO, "opened CUDA device %u, '%s', compute capability %d.%d, driver for CUDA %d.%d", ordinal, name, major,
                minor, driver.version / 1000, driver.version % 1000 / 10);
  return {};
}

Device::~Device() {
  if (!context)
    return;
  free(zeros);
  if (stream) {
    Current current(*this);
    (void)driver.streamDestroy(stream);
  }
  (void)driver.devicePrimaryCtxRelease(handle);
}

Status Device::synchronize() const {
  MSA_CUDA_TRY(driver, streamSynchronize, stream);
  return {};
}

Status Device::allocate(uint64_t size, CUdeviceptr *address) const {
  Current current(*this);
  CUresult result = driver.memAlloc(address, size);
  if (result == CUDA_ERROR_OUT_OF_MEMORY)
    return failure(MSA_OUT_OF_MEMORY, "CUDA device %u has no %" PRIu64 " bytes of memory left", ordinal, size);
  return driver.check(result, "memAlloc");
}

void Device::free(CUdeviceptr address) const {
  if (!address)
    return;
  Current current(*this);
  (void)driver.memFree(address);
}

Status Device::allocatePinned(uint64_t size, void **memory) const {
  Current current(*this);
  MSA_CUDA_TRY(driver, memHostAlloc, memory, size, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  return {};
}

void Device::freePinned(void *memory) const {
  if (!memory)
    return;
  Current current(*this);
  (void)driver.memFreeHost(memory);
}

msa_allocator Device::allocator() const {
  // A device address in a pointer: an arena computes with it and never follows it.
  auto allocate = [](void *user, size_t size, size_t) -> void * {
    CUdeviceptr address = 0;
    return static_cast<const Device *>(user)->allocate(size, &address).ok() ? reinterpret_cast<void *>(address) : nullptr;
  };
  auto release = [](void *user, void *pointer, size_t, size_t) {
    static_cast<const Device *>(user)->free(reinterpret_cast<CUdeviceptr>(pointer));
  };
  return {const_cast<Device *>(this), allocate, release};
}

Status openDevice(msa_runtime *runtime, uint32_t ordinal, Device **device) {
  MutexLock lock(runtime->deviceMutex);
  for (Device *each = runtime->devices; each; each = each->next)
    if (each->ordinal == ordinal) {
      *device = each;
      return {};
    }
  auto *made = runtime->allocator.create<Device>(runtime);
  if (!made)
    return outOfMemory();
  Status status = made->open(ordinal);
  if (!status.ok()) {
    runtime->allocator.destroy(made);
    return status;
  }
  made->next = runtime->devices;
  runtime->devices = made;
  *device = made;
  return {};
}

void closeDevices(msa_runtime *runtime) {
  while (Device *device = runtime->devices) {
    runtime->devices = device->next;
    runtime->allocator.destroy(device);
  }
}

Status Pinned::reserve(uint64_t wanted) {
  if (wanted <= bytes)
    return {};
  uint64_t grown = bytes + bytes / 2 > wanted ? bytes + bytes / 2 : wanted;
  grown = roundUp(grown, 4096);
  clear();
  void *made = nullptr;
  MSA_TRY(device.allocatePinned(grown, &made));
  memory = static_cast<uint8_t *>(made);
  bytes = grown;
  return {};
}

void Pinned::clear() {
  device.freePinned(memory);
  memory = nullptr;
  bytes = 0;
}

} // namespace msa::rt::cuda

// SPDX-License-Identifier: Apache-2.0
//
// One CUDA device of a runtime: the driver, the device's primary context, what is known about it. Opened when a program first asks for
// it, kept until the runtime ends, so that buffers and banks may hold memory on it. Immutable, thread-safe.

#ifndef MSA_RUNTIME_CUDA_DEVICE_H
#define MSA_RUNTIME_CUDA_DEVICE_H

#include "runtime/cuda/driver.h"
#include "runtime/runtime.h"

namespace msa::rt::cuda {

/// Alignment of what the runtime allocates on a device.
inline constexpr size_t kDeviceAlignment = 256;
/// Zeros that empty buffers point to.
inline constexpr size_t kZeroBytes = 1024;

inline uint64_t roundUp(uint64_t size, uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

class Device {
public:
  explicit Device(msa_runtime *runtime) : runtime(runtime) {}
  ~Device();
  Device(const Device &) = delete;

  /// Codes: MSA_UNSUPPORTED (no driver, no such device), MSA_OUT_OF_MEMORY, MSA_DEVICE_FAILED.
  Status open(uint32_t ordinal);

  /// Waits for what is on |stream|.
  Status synchronize() const;
  Status allocate(uint64_t size, CUdeviceptr *address) const;
  void free(CUdeviceptr address) const;
  Status allocatePinned(uint64_t size, void **memory) const;
  void freePinned(void *memory) const;
  /// Memory of this device in the form that Arena takes.
  msa_allocator allocator() const;

  msa_runtime *const runtime; // that owns it
  Driver driver;
  CUdevice handle = 0;
  CUcontext context = nullptr;
  uint32_t ordinal = 0;
  int major = 0, minor = 0;
  int multiprocessors = 1;
  int sharedLimit = 0; // bytes of dynamic shared memory that a block may ask for
  char name[96] = "";
  CUdeviceptr zeros = 0;
  /// For what no context does: uploads of constants, rows that are fetched or cleared. Contexts have streams of their own, and none of
  /// them waits for another.
  CUstream stream = nullptr;
  Device *next = nullptr; // of the runtime's
};

/// Makes a device's context the calling thread's for a scope.
class Current {
public:
  explicit Current(const Device &device) : device(device) { (void)device.driver.ctxPushCurrent(device.context); }
  ~Current() {
    CUcontext popped;
    (void)device.driver.ctxPopCurrent(&popped);
  }
  Current(const Current &) = delete;

private:
  const Device &device;
};

/// Device |ordinal| of |runtime|, opened now or before. Thread-safe.
Status openDevice(msa_runtime *runtime, uint32_t ordinal, Device **device);
/// For the runtime's end: everything that used the devices is gone.
void closeDevices(msa_runtime *runtime);

/// Pinned host memory that grows and is not kept when it does.
class Pinned {
public:
  explicit Pinned(const Device &device) : device(device) {}
  ~Pinned() { clear(); }
  Pinned(const Pinned &) = delete;
  Status reserve(uint64_t bytes);
  void clear();
  uint8_t *data() const { return memory; }
  uint64_t capacity() const { return bytes; }

private:
  const Device &device;
  uint8_t *memory = nullptr;
  uint64_t bytes = 0;
};

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_DEVICE_H

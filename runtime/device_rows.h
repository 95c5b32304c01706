// SPDX-License-Identifier: Apache-2.0
//
// Rows that live in the host's memory, in spans, and are copied to devices: a field of a memory bank. The owner of the rows owns this
// beside them and tells it when rows go; a run that reads the rows asks for their copy, and only rows that are new are uploaded.

#ifndef MSA_RUNTIME_DEVICE_ROWS_H
#define MSA_RUNTIME_DEVICE_ROWS_H

#include "runtime/kernel_abi.h"
#include "runtime/runtime.h"
#include "runtime/status.h"

namespace msa::rt {

namespace cuda {
struct RowCopy;
} // namespace cuda

/// Rows may be added behind those that there are; any other change is told by forget. Thread-safe; copies are made under a lock of its
/// own, and are read by runs without one, so forget may only be called when no run uses the rows.
class DeviceRows {
public:
  explicit DeviceRows(msa_runtime *runtime) : runtime(runtime) {}
  ~DeviceRows();
  DeviceRows(const DeviceRows &) = delete;

  /// Rows from |first| on are gone or will move: overwrites the bytes of their copies on all devices, now. Where nothing is left, gives
  /// the memory back.
  Status forget(int64_t first);
  /// Counts the calls of forget: a binding of another epoch is stale.
  uint64_t epoch() const { return epochs.load(std::memory_order_acquire); }

  msa_runtime *const runtime;
  bool content = false; // rows that are read at few places, and so may be placed in the host's memory
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards copies
  cuda::RowCopy *copies = nullptr;

private:
  std::atomic<uint64_t> epochs{1};
};

} // namespace msa::rt

#endif // MSA_RUNTIME_DEVICE_ROWS_H

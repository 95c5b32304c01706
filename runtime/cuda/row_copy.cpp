// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/row_copy.h"

namespace msa::rt::cuda {

namespace {

/// Zeroes bytes [from, to) of |copy| and waits for it.
Status clear(const RowCopy &copy, uint64_t from, uint64_t to) {
  if (from >= to)
    return {};
  if (copy.pinned) {
    std::memset(copy.pinned + from, 0, to - from);
    return {};
  }
  Current current(*copy.device);
  MSA_CUDA_TRY(copy.device->driver, memsetD8Async, copy.address + from, 0, to - from, copy.device->stream);
  return copy.device->synchronize();
}

void release(RowCopy &copy) {
  if (copy.pinned)
    copy.device->freePinned(copy.pinned);
  else
    copy.device->free(copy.address);
  copy.address = 0;
  copy.pinned = nullptr;
  copy.capacity = 0;
  copy.rows = 0;
}

/// What held rows is never given back with them in it: their document may be erased later.
Status clearAndRelease(RowCopy &copy) {
  Status status = clear(copy, 0, copy.capacity);
  release(copy);
  return status;
}

Status allocate(RowCopy &copy, uint64_t bytes) {
  copy.capacity = bytes;
  if (copy.placement == MSA_PLACEMENT_DEVICE)
    return copy.device->allocate(bytes, &copy.address);
  void *memory = nullptr;
  MSA_TRY(copy.device->allocatePinned(bytes, &memory));
  copy.pinned = static_cast<uint8_t *>(memory);
  Current current(*copy.device);
  Status status = copy.device->driver.check(copy.device->driver.memHostGetDevicePointer(&copy.address, memory, 0), "memHostGetDevicePointer");
  if (!status.ok())
    release(copy);
  return status;
}

/// Room for |bytes|; keeps the rows that are there.
Status grow(RowCopy &copy, CUstream stream, uint64_t bytes) {
  if (bytes <= copy.capacity)
    return {};
  uint64_t grown = copy.capacity + copy.capacity / 2;
  RowCopy larger = copy;
  larger.address = 0;
  larger.pinned = nullptr;
  MSA_TRY(allocate(larger, roundUp(grown > bytes ? grown : bytes, kDeviceAlignment)));
  uint64_t keep = uint64_t(copy.rows) * copy.rowBytes;
  if (keep && copy.pinned) {
    std::memcpy(larger.pinned, copy.pinned, keep);
  } else if (keep) {
    Current current(*copy.device);
    CUresult result = copy.device->driver.memcpyDtoDAsync(larger.address, copy.address, keep, stream);
    if (result == CUDA_SUCCESS)
      result = copy.device->driver.streamSynchronize(stream);
    if (result != CUDA_SUCCESS) {
      release(larger);
      return copy.device->driver.check(result, "memcpyDtoDAsync");
    }
  }
  Status cleared = clearAndRelease(copy);
  copy = larger;
  return cleared;
}

Status find(DeviceRows &owner, Device &device, msa_placement placement, uint64_t rowBytes, RowCopy **found) {
  for (RowCopy *copy = owner.copies; copy; copy = copy->next)
    if (copy->device == &device && copy->placement == placement) {
      *found = copy;
      return {};
    }
  auto *made = owner.runtime->allocator.create<RowCopy>();
  if (!made)
    return outOfMemory();
  *made = {&device, placement, 0, nullptr, 0, 0, rowBytes, owner.copies};
  owner.copies = *found = made;
  return {};
}

} // namespace

Status mirrorRows(DeviceRows &owner, Device &device, msa_placement placement, CUstream stream, const msa_span *spans, size_t spanCount,
                  int64_t rows, uint64_t rowBytes, CUdeviceptr *address) {
  *address = device.zeros;
  if (rows == 0)
    return {};
  MutexLock lock(owner.mutex);
  RowCopy *copy = nullptr;
  MSA_TRY(find(owner, device, placement, rowBytes, &copy));
  if (copy->rows < rows) {
    MSA_TRY(grow(*copy, stream, uint64_t(rows) * rowBytes));
    Current current(device);
    for (size_t i = 0; i < spanCount; ++i) {
      const msa_span &span = spans[i];
      int64_t skip = copy->rows > span.first ? copy->rows - span.first : 0;
      if (skip >= span.rows)
        continue;
      uint64_t at = uint64_t(span.first + skip) * rowBytes, bytes = uint64_t(span.rows - skip) * rowBytes;
      const auto *from = static_cast<const uint8_t *>(span.data) + uint64_t(skip) * rowBytes;
      if (copy->pinned)
        std::memcpy(copy->pinned + at, from, bytes);
      else
        MSA_CUDA_TRY(device.driver, memcpyHtoDAsync, copy->address + at, from, bytes, stream);
    }
    // Other streams will read the rows without waiting for this one.
    if (!copy->pinned)
      MSA_CUDA_TRY(device.driver, streamSynchronize, stream);
    copy->rows = rows;
  }
  *address = copy->address;
  return {};
}

} // namespace msa::rt::cuda

namespace msa::rt {

DeviceRows::~DeviceRows() {
  (void)forget(0);
  while (cuda::RowCopy *copy = copies) {
    copies = copy->next;
    runtime->allocator.destroy(copy);
  }
  pthread_mutex_destroy(&mutex);
}

Status DeviceRows::forget(int64_t first) {
  MutexLock lock(mutex);
  epochs.fetch_add(1, std::memory_order_release);
  Status result;
  for (cuda::RowCopy *copy = copies; copy; copy = copy->next) {
    if (!copy->address || first >= copy->rows)
      continue;
    uint64_t keep = uint64_t(first) * copy->rowBytes, held = uint64_t(copy->rows) * copy->rowBytes;
    Status status = first ? cuda::clear(*copy, keep, held) : cuda::clearAndRelease(*copy);
    copy->rows = first;
    if (!status.ok())
      result = static_cast<Status &&>(status); // the others are cleared all the same
  }
  return result;
}

} // namespace msa::rt

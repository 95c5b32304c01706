// SPDX-License-Identifier: Apache-2.0
//
// A device's copy of DeviceRows: one contiguous allocation that grows geometrically, in the device's memory or in pinned memory of the
// host that the device reads over the bus.

#ifndef MSA_RUNTIME_CUDA_ROW_COPY_H
#define MSA_RUNTIME_CUDA_ROW_COPY_H

#include "runtime/cuda/device.h"
#include "runtime/device_rows.h"

namespace msa::rt::cuda {

struct RowCopy {
  Device *device;
  msa_placement placement;
  CUdeviceptr address; // as kernels see it
  uint8_t *pinned;     // of MSA_PLACEMENT_HOST: the same memory as the host sees it
  uint64_t capacity;   // bytes
  int64_t rows;        // that are right
  uint64_t rowBytes;
  RowCopy *next;
};

/// The rows of |spans|, |rows| in all, of |rowBytes| bytes each, on |device|: uploads those that are missing there, in the order of
/// |stream|, and waits for it. |address| is valid until forget.
Status mirrorRows(DeviceRows &owner, Device &device, msa_placement placement, CUstream stream, const msa_span *spans, size_t spanCount,
                  int64_t rows, uint64_t rowBytes, CUdeviceptr *address);

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_ROW_COPY_H

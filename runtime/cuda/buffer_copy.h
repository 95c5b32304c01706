// SPDX-License-Identifier: Apache-2.0
//
// Rows of a msa_buffer on a device. The copy grows in place and geometrically, like the buffer itself.

#ifndef MSA_RUNTIME_CUDA_BUFFER_COPY_H
#define MSA_RUNTIME_CUDA_BUFFER_COPY_H

#include "runtime/buffer.h"
#include "runtime/cuda/device.h"

namespace msa::rt::cuda {

struct BufferCopy {
  Device *device;
  CUdeviceptr data;
  uint64_t capacity; // bytes
  int64_t rows;      // at the front that are right here
};

/// Makes all rows of |buffer| right on |device|, in the order of |stream|; what is uploaded must stay until the stream is synchronised.
Status uploadRows(msa_buffer &buffer, Device &device, CUstream stream);
/// Room for |bytes| in the copy, which exists; keeps the first |keep| bytes. |stream| is synchronised when the memory moves.
Status growCopy(msa_buffer &buffer, uint64_t bytes, uint64_t keep, CUstream stream);
/// The same between runs, keeping all rows.
Status reserveCopy(msa_buffer &buffer, uint64_t bytes);
/// Copies rows hostRows... to the host's memory, which has room for them.
Status downloadRows(msa_buffer &buffer);
void releaseCopy(msa_buffer &buffer);

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_BUFFER_COPY_H

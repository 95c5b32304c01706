// SPDX-License-Identifier: Apache-2.0
//
// The msa_buffer handle: rows that grow geometrically and stay where they are while there is room. They may lie in memory of the
// host, on a device (cuda/buffer_copy.h), or on both; either side knows how many rows at the front are right there, and together they
// have all.

#ifndef MSA_RUNTIME_BUFFER_H
#define MSA_RUNTIME_BUFFER_H

#include "runtime/runtime.h"
#include "runtime/status.h"

namespace msa::rt::cuda {
struct BufferCopy;
} // namespace msa::rt::cuda

struct msa_buffer {
  explicit msa_buffer(msa_runtime *runtime) : runtime(msa_runtime_retain(runtime)) {}
  ~msa_buffer();

  /// Room for |bytes| in the host's memory. Keeps the first |keep| bytes if the memory moves. On failure nothing has changed.
  msa::rt::Status reserveBytes(uint64_t bytes, uint64_t keep);
  msa::rt::Status reserveRows(int64_t rows);
  /// Makes all rows right on the host.
  msa::rt::Status fetch();
  /// The host is about to write rows: no row of a device's copy is right any more.
  void forgetCopy();
  /// Leaves |left| rows, on either side.
  void dropRows(int64_t left = 0);

  msa::rt::OwnerCount owners;
  msa_runtime *runtime;
  msa_element_type type = MSA_F32;
  uint32_t rowRank = 0;
  int64_t rowShape[MSA_MAX_RANK - 1] = {};
  uint64_t rowBytes = 0;
  uint8_t *data = nullptr;
  uint64_t capacity = 0; // bytes
  int64_t rows = 0;
  int64_t hostRows = 0;                       // that are right in |data|
  msa::rt::cuda::BufferCopy *copy = nullptr; // null until a device has used it
};

#endif // MSA_RUNTIME_BUFFER_H

// SPDX-License-Identifier: Apache-2.0
//
// The msa_buffer handle: rows that grow geometrically and stay where they are while there is room.

#ifndef MSA_RUNTIME_BUFFER_H
#define MSA_RUNTIME_BUFFER_H

#include "runtime/runtime.h"
#include "runtime/status.h"

struct msa_buffer {
  explicit msa_buffer(msa_runtime *runtime) : runtime(msa_runtime_retain(runtime)) {}
  ~msa_buffer() { runtime->allocator.release(data, capacity, msa::rt::kBufferAlignment); }

  /// Room for |bytes| in all. Keeps the first |keep| bytes if the memory moves. On failure nothing has changed.
  msa::rt::Status reserveBytes(uint64_t bytes, uint64_t keep);
  msa::rt::Status reserveRows(int64_t rows);

  msa::rt::OwnerCount owners;
  msa_runtime *runtime;
  msa_element_type type = MSA_F32;
  uint32_t rowRank = 0;
  int64_t rowShape[MSA_MAX_RANK - 1] = {};
  uint64_t rowBytes = 0;
  uint8_t *data = nullptr;
  uint64_t capacity = 0; // bytes
  int64_t rows = 0;
};

#endif // MSA_RUNTIME_BUFFER_H

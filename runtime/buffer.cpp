// SPDX-License-Identifier: Apache-2.0

#include "runtime/buffer.h"

#include "runtime/cuda/buffer_copy.h"

#include <cinttypes>
#include <cstring>

using namespace msa::rt;

msa_buffer::~msa_buffer() {
  cuda::releaseCopy(*this);
  runtime->allocator.release(data, capacity, kBufferAlignment);
}

Status msa_buffer::fetch() {
  if (hostRows == rows)
    return {};
  MSA_TRY(reserveBytes(uint64_t(rows) * rowBytes, uint64_t(hostRows) * rowBytes));
  MSA_TRY(cuda::downloadRows(*this));
  hostRows = rows;
  return {};
}

void msa_buffer::forgetCopy() {
  if (copy)
    copy->rows = 0;
}

void msa_buffer::dropRows(int64_t left) {
  rows = left;
  if (hostRows > left)
    hostRows = left;
  if (copy && copy->rows > left)
    copy->rows = left;
}

Status msa_buffer::reserveBytes(uint64_t bytes, uint64_t keep) {
  if (bytes <= capacity)
    return {};
  if (bytes > uint64_t(1) << 62)
    return outOfMemory();
  uint64_t grown = capacity + capacity / 2;
  if (grown < bytes)
    grown = bytes;
  grown = (grown + kBufferAlignment - 1) & ~uint64_t(kBufferAlignment - 1);
  void *memory = runtime->allocator.allocate(grown, kBufferAlignment);
  if (!memory)
    return outOfMemory();
  if (keep)
    std::memcpy(memory, data, keep);
  runtime->allocator.release(data, capacity, kBufferAlignment);
  data = static_cast<uint8_t *>(memory);
  capacity = grown;
  return {};
}

Status msa_buffer::reserveRows(int64_t wanted) {
  uint64_t bytes = 0;
  if (wanted < 0)
    return failure(MSA_INVALID_ARGUMENT, "a buffer cannot have %" PRId64 " rows", wanted);
  if (__builtin_mul_overflow(uint64_t(wanted), rowBytes, &bytes))
    return outOfMemory();
  return reserveBytes(bytes, uint64_t(hostRows) * rowBytes);
}

msa_status *msa_buffer_create(msa_runtime *runtime, msa_element_type type, uint32_t row_rank, const int64_t *row_shape,
                              msa_buffer **out_buffer) {
  if (out_buffer)
    *out_buffer = nullptr;
  if (!runtime || !out_buffer || (row_rank && !row_shape))
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_create: runtime, row_shape or out_buffer is null").release();
  if (msa_element_size(type) == 0)
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_create: %d is not an element type", int(type)).release();
  if (row_rank > MSA_MAX_RANK - 1)
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_create: row rank is %u, expected at most %d", row_rank, MSA_MAX_RANK - 1)
        .release();
  uint64_t rowBytes = msa_element_size(type);
  for (uint32_t i = 0; i < row_rank; ++i)
    if (row_shape[i] < 1 || __builtin_mul_overflow(rowBytes, uint64_t(row_shape[i]), &rowBytes) || rowBytes > INT64_MAX)
      return failure(MSA_INVALID_ARGUMENT, "msa_buffer_create: dim %u of a row is %" PRId64 "; expected 1 or more, and less than 2^63 "
                                           "bytes in all",
                     i, row_shape[i])
          .release();
  auto *buffer = runtime->allocator.create<msa_buffer>(runtime);
  if (!buffer)
    return outOfMemory().release();
  buffer->type = type;
  buffer->rowRank = row_rank;
  for (uint32_t i = 0; i < row_rank; ++i)
    buffer->rowShape[i] = row_shape[i];
  buffer->rowBytes = rowBytes;
  *out_buffer = buffer;
  return nullptr;
}

msa_buffer *msa_buffer_retain(msa_buffer *buffer) {
  if (buffer)
    buffer->owners.add();
  return buffer;
}

void msa_buffer_release(msa_buffer *buffer) {
  if (!buffer || !buffer->owners.drop())
    return;
  msa_runtime *runtime = buffer->runtime;
  runtime->allocator.destroy(buffer);
  msa_runtime_release(runtime);
}

// Where rows lie is no part of what a buffer is, so fetching leaves it as it was.
msa_status *msa_buffer_fetch(const msa_buffer *buffer) {
  if (!buffer)
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_fetch: buffer is null").release();
  return const_cast<msa_buffer *>(buffer)->fetch().release();
}

void msa_buffer_tensor(const msa_buffer *buffer, msa_tensor *out_tensor) {
  *out_tensor = {};
  Status fetched = const_cast<msa_buffer *>(buffer)->fetch();
  if (!fetched.ok())
    buffer->runtime->logf(MSA_LOG_WARNING, "the rows of a buffer cannot be fetched: %s", fetched.message());
  out_tensor->data = fetched.ok() ? buffer->data : nullptr;
  out_tensor->type = buffer->type;
  out_tensor->rank = buffer->rowRank + 1;
  out_tensor->shape[0] = buffer->rows;
  for (uint32_t i = 0; i < buffer->rowRank; ++i)
    out_tensor->shape[i + 1] = buffer->rowShape[i];
}

int64_t msa_buffer_rows(const msa_buffer *buffer) { return buffer->rows; }

int64_t msa_buffer_capacity_rows(const msa_buffer *buffer) {
  uint64_t onDevice = buffer->copy ? buffer->copy->capacity : 0;
  return int64_t((buffer->capacity > onDevice ? buffer->capacity : onDevice) / buffer->rowBytes);
}

msa_status *msa_buffer_reserve(msa_buffer *buffer, int64_t rows) {
  if (!buffer)
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_reserve: buffer is null").release();
  Status status = buffer->reserveRows(rows);
  if (status.ok() && buffer->copy)
    status = cuda::reserveCopy(*buffer, uint64_t(rows) * buffer->rowBytes);
  return status.release();
}

msa_status *msa_buffer_append(msa_buffer *buffer, const void *data, int64_t rows) {
  if (!buffer || (rows > 0 && !data))
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_append: buffer or data is null").release();
  int64_t total = 0;
  if (rows < 0 || __builtin_add_overflow(buffer->rows, rows, &total))
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_append: cannot add %" PRId64 " rows to %" PRId64, rows, buffer->rows).release();
  Status status = buffer->fetch();
  if (status.ok())
    status = buffer->reserveRows(total);
  if (!status.ok())
    return status.release();
  if (rows)
    std::memcpy(buffer->data + uint64_t(buffer->rows) * buffer->rowBytes, data, uint64_t(rows) * buffer->rowBytes);
  buffer->rows = buffer->hostRows = total;
  return nullptr;
}

msa_status *msa_buffer_truncate(msa_buffer *buffer, int64_t rows) {
  if (!buffer)
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_truncate: buffer is null").release();
  if (rows < 0 || rows > buffer->rows)
    return failure(MSA_INVALID_ARGUMENT, "msa_buffer_truncate: cannot leave %" PRId64 " of %" PRId64 " rows", rows, buffer->rows)
        .release();
  buffer->dropRows(rows);
  return nullptr;
}

// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/buffer_copy.h"

namespace msa::rt::cuda {

Status uploadRows(msa_buffer &buffer, Device &device, CUstream stream) {
  if (buffer.copy && buffer.copy->device != &device) {
    MSA_TRY(buffer.fetch());
    releaseCopy(buffer);
  }
  if (!buffer.copy) {
    buffer.copy = buffer.runtime->allocator.create<BufferCopy>();
    if (!buffer.copy)
      return outOfMemory();
    *buffer.copy = {&device, 0, 0, 0};
  }
  BufferCopy &copy = *buffer.copy;
  if (copy.rows == buffer.rows)
    return {};
  uint64_t have = uint64_t(copy.rows) * buffer.rowBytes, want = uint64_t(buffer.rows) * buffer.rowBytes;
  MSA_TRY(growCopy(buffer, want, have, stream));
  Current current(device);
  MSA_CUDA_TRY(device.driver, memcpyHtoDAsync, copy.data + have, buffer.data + have, want - have, stream);
  copy.rows = buffer.rows;
  return {};
}

Status growCopy(msa_buffer &buffer, uint64_t bytes, uint64_t keep, CUstream stream) {
  BufferCopy &copy = *buffer.copy;
  if (bytes <= copy.capacity)
    return {};
  if (bytes > uint64_t(1) << 62)
    return outOfMemory();
  uint64_t grown = copy.capacity + copy.capacity / 2;
  grown = roundUp(grown > bytes ? grown : bytes, kDeviceAlignment);
  const Device &device = *copy.device;
  CUdeviceptr made = 0;
  MSA_TRY(device.allocate(grown, &made));
  Current current(device);
  CUresult result = CUDA_SUCCESS;
  if (keep)
    result = device.driver.memcpyDtoDAsync(made, copy.data, keep, stream);
  if (result == CUDA_SUCCESS)
    result = device.driver.streamSynchronize(stream);
  if (result != CUDA_SUCCESS) {
    device.free(made);
    return device.driver.check(result, "memcpyDtoDAsync");
  }
  device.free(copy.data);
  copy.data = made;
  copy.capacity = grown;
  return {};
}

Status reserveCopy(msa_buffer &buffer, uint64_t bytes) {
  return growCopy(buffer, bytes, uint64_t(buffer.copy->rows) * buffer.rowBytes, buffer.copy->device->stream);
}

Status downloadRows(msa_buffer &buffer) {
  const BufferCopy &copy = *buffer.copy;
  uint64_t have = uint64_t(buffer.hostRows) * buffer.rowBytes, want = uint64_t(buffer.rows) * buffer.rowBytes;
  if (have == want)
    return {};
  const Device &device = *copy.device;
  Current current(device);
  MSA_CUDA_TRY(device.driver, memcpyDtoHAsync, buffer.data + have, copy.data + have, want - have, device.stream);
  return device.synchronize();
}

void releaseCopy(msa_buffer &buffer) {
  if (!buffer.copy)
    return;
  buffer.copy->device->free(buffer.copy->data);
  buffer.runtime->allocator.destroy(buffer.copy);
  buffer.copy = nullptr;
}

} // namespace msa::rt::cuda

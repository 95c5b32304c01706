// SPDX-License-Identifier: Apache-2.0
//
// A tensor that owns its bytes: what .npy files are read into.

#ifndef MSA_TOOLS_RUN_ARRAY_H
#define MSA_TOOLS_RUN_ARRAY_H

#include "msa/msa.h"

#include <cstdint>
#include <new>
#include <string>
#include <sys/mman.h>
#include <vector>

namespace msa::tool {

/// Memory as the runtime's own allocator gives it: large blocks ask for huge pages, as a bank's rows do and NumPy's arrays do too.
template <typename T> struct PageAllocator {
  using value_type = T;
  static constexpr size_t kHugePage = size_t(2) << 20;

  PageAllocator() = default;
  template <typename U> PageAllocator(const PageAllocator<U> &) {}

  T *allocate(size_t count) {
    size_t bytes = count * sizeof(T);
    if (bytes < 2 * kHugePage)
      return static_cast<T *>(::operator new(bytes, std::align_val_t(64)));
    void *pointer = ::operator new(bytes, std::align_val_t(kHugePage));
    (void)madvise(pointer, bytes / kHugePage * kHugePage, MADV_HUGEPAGE); // advice: a refusal changes nothing but speed
    return static_cast<T *>(pointer);
  }
  void deallocate(T *pointer, size_t count) {
    ::operator delete(pointer, std::align_val_t(count * sizeof(T) < 2 * kHugePage ? 64 : kHugePage));
  }
  template <typename U> bool operator==(const PageAllocator<U> &) const { return true; }
};

using Bytes = std::vector<uint8_t, PageAllocator<uint8_t>>;

struct Array {
  msa_element_type type = MSA_F32;
  std::vector<int64_t> shape; // at most MSA_MAX_RANK dims
  Bytes bytes;                // row-major

  /// A view; valid while this lives and is not changed.
  msa_tensor tensor() {
    msa_tensor result = {};
    result.data = bytes.data();
    result.type = type;
    result.rank = uint32_t(shape.size());
    for (size_t i = 0; i < shape.size(); ++i)
      result.shape[i] = shape[i];
    return result;
  }
};

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_ARRAY_H

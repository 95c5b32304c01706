// SPDX-License-Identifier: Apache-2.0

#include "runtime/allocator.h"

#include <cstdlib>
#include <sys/mman.h>

namespace msa::rt {

namespace {

// From this size on a block starts on a huge page boundary and asks the kernel for huge pages: streaming through weights' and
// caches' neighbours in 4 KiB pages costs TLB misses.
constexpr size_t kHugePage = size_t(2) << 20;

void *heapAllocate(void *, size_t size, size_t alignment) {
  bool huge = size >= 2 * kHugePage;
  if (huge && alignment < kHugePage)
    alignment = kHugePage;
  if (alignment < sizeof(void *))
    alignment = sizeof(void *);
  void *pointer = nullptr;
  if (posix_memalign(&pointer, alignment, size) != 0)
    return nullptr;
  if (huge)
    (void)madvise(pointer, size / kHugePage * kHugePage, MADV_HUGEPAGE); // advice: a refusal changes nothing but speed
  return pointer;
}

void heapRelease(void *, void *pointer, size_t, size_t) { std::free(pointer); }

} // namespace

Allocator::Allocator(const msa_allocator &given) : host(given) {
  if (!host.allocate || !host.release)
    host = {nullptr, heapAllocate, heapRelease};
}

} // namespace msa::rt

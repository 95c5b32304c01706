// SPDX-License-Identifier: Apache-2.0
//
// The msa_runtime handle: allocator, workers, log.

#ifndef MSA_RUNTIME_RUNTIME_H
#define MSA_RUNTIME_RUNTIME_H

#include "runtime/allocator.h"
#include "runtime/thread_pool.h"

struct msa_runtime {
  explicit msa_runtime(const msa::rt::Allocator &allocator) : allocator(allocator), pool(this->allocator) {}

  void logf(msa_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

  msa::rt::OwnerCount owners;
  msa::rt::Allocator allocator;
  msa::rt::ThreadPool pool;
  msa_log_function log = nullptr;
  void *logUser = nullptr;
};

#endif // MSA_RUNTIME_RUNTIME_H

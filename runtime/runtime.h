// SPDX-License-Identifier: Apache-2.0
//
// The msa_runtime handle: allocator, workers, log.

#ifndef MSA_RUNTIME_RUNTIME_H
#define MSA_RUNTIME_RUNTIME_H

#include "runtime/allocator.h"
#include "runtime/thread_pool.h"

#include <pthread.h>

namespace msa::rt::cuda {
class Device;
} // namespace msa::rt::cuda

struct msa_runtime {
  explicit msa_runtime(const msa::rt::Allocator &allocator) : allocator(allocator), pool(this->allocator) {}
  ~msa_runtime();

  void logf(msa_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

  msa::rt::OwnerCount owners;
  msa::rt::Allocator allocator;
  msa::rt::ThreadPool pool;
  msa_log_function log = nullptr;
  void *logUser = nullptr;
  pthread_mutex_t deviceMutex = PTHREAD_MUTEX_INITIALIZER; // guards devices
  msa::rt::cuda::Device *devices = nullptr;
};

namespace msa::rt {

class MutexLock {
public:
  explicit MutexLock(pthread_mutex_t &mutex) : mutex(mutex) { pthread_mutex_lock(&mutex); }
  ~MutexLock() { pthread_mutex_unlock(&mutex); }
  MutexLock(const MutexLock &) = delete;

private:
  pthread_mutex_t &mutex;
};

} // namespace msa::rt

#endif // MSA_RUNTIME_RUNTIME_H

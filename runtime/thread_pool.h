// SPDX-License-Identifier: Apache-2.0
//
// The workers of one runtime. A caller offers a tile space; it and whichever workers are free claim ranges of it until none is
// left. Callers never wait for each other: a caller always works on its own tiles, and workers go round the offers, so any number
// of contexts share the pool without a lock that they could hold against one another.
//
// An idle worker spins for a while, because the gaps between the commands of an inference are shorter than a wake-up (0.5 us
// against 50 us, see docs/design), then sleeps on a futex.

#ifndef MSA_RUNTIME_THREAD_POOL_H
#define MSA_RUNTIME_THREAD_POOL_H

#include "runtime/allocator.h"
#include "runtime/status.h"

#include <atomic>
#include <pthread.h>

namespace msa::rt {

class ThreadPool {
public:
  /// Runs tiles [lo, hi). |scratch| belongs to the calling thread for the time of the call.
  using Body = void (*)(void *argument, void *scratch, int64_t lo, int64_t hi);

  explicit ThreadPool(const Allocator &allocator);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  /// Starts |threads| - 1 workers. Once. On failure the workers that did start are stopped again.
  Status start(uint32_t threads, uint32_t spinMicroseconds, const uint32_t *cpus, uint32_t cpuCount);

  /// Gives every worker at least |bytes| of scratch memory. Any time, any thread.
  Status reserveScratch(size_t bytes);

  /// Runs |body| over [0, tiles) and returns when all of it is done, or, once |cancel| is set, when what had begun is done.
  /// |callerScratch| is the scratch of the calling thread.
  void run(Body body, void *argument, int64_t tiles, void *callerScratch, const std::atomic<bool> *cancel);

  uint32_t threadCount() const { return workerCount + 1; }

private:
  struct Job;
  struct Worker {
    ThreadPool *pool;
    pthread_t thread;
    void *scratch;
    size_t scratchBytes;
  };
  struct Retired {
    void *memory;
    size_t bytes;
  };

  static void *workerMain(void *argument);
  Job *join(Worker *worker, void **scratch);
  static void leave(Job *job);
  bool spinUntilChanged(uint32_t seen) const;
  void stop();

  const Allocator &allocator;
  Worker *workers = nullptr;
  uint32_t workerCount = 0;   // started
  uint32_t workerMemory = 0;  // allocated
  uint64_t spinNanoseconds = 0;

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards offers, worker scratch and retired
  Job *offers = nullptr;                             // doubly linked, newest last
  Vector<Retired> retired;                           // replaced scratch that a worker may still be using

  alignas(64) std::atomic<uint32_t> epoch{0}; // counts offers; workers sleep on it
  std::atomic<uint32_t> offerCount{0};
  std::atomic<uint32_t> sleepers{0};
  std::atomic<bool> stopping{false};
};

} // namespace msa::rt

#endif // MSA_RUNTIME_THREAD_POOL_H

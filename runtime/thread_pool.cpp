// SPDX-License-Identifier: Apache-2.0

#include "runtime/thread_pool.h"

#include <cerrno>
#include <climits>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace msa::rt {

namespace {

void futexWait(const std::atomic<uint32_t> &word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<const uint32_t *>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futexWake(const std::atomic<uint32_t> *word, uint32_t count) {
  syscall(SYS_futex, reinterpret_cast<const uint32_t *>(word), FUTEX_WAKE_PRIVATE, count > INT_MAX ? INT_MAX : count,
          nullptr, nullptr, 0);
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint64_t(now.tv_sec) * 1000000000u + uint64_t(now.tv_nsec);
}

// Set in Job::helpers by the caller when it goes to sleep on it.
constexpr uint32_t kCallerSleeps = 0x80000000u;

} // namespace

/// Lives on its caller's stack. Workers reach it only through `offers` under the mutex, and count themselves in `helpers` there,
/// so once the caller has unlinked it and seen no helpers, nobody can touch it.
struct ThreadPool::Job {
  Body body;
  void *argument;
  int64_t tiles;
  int64_t chunk;
  const std::atomic<bool> *cancel;
  Job *previous;
  Job *following;
  alignas(64) std::atomic<int64_t> nextTile{0};
  alignas(64) std::atomic<uint32_t> helpers{0};

  /// Claims and runs one range. False when nothing is left.
  bool runOne(void *scratch) {
    if (cancel && cancel->load(std::memory_order_relaxed))
      return false;
    if (nextTile.load(std::memory_order_relaxed) >= tiles)
      return false;
    int64_t lo = nextTile.fetch_add(chunk, std::memory_order_relaxed);
    if (lo >= tiles)
      return false;
    int64_t hi = tiles - lo < chunk ? tiles : lo + chunk;
    body(argument, scratch, lo, hi);
    return true;
  }
};

ThreadPool::ThreadPool(const Allocator &allocator) : allocator(allocator), retired(allocator) {}

ThreadPool::~ThreadPool() {
  stop();
  for (uint32_t i = 0; i < workerMemory; ++i)
    allocator.release(workers[i].scratch, workers[i].scratchBytes, kBufferAlignment);
  for (const Retired &old : retired)
    allocator.release(old.memory, old.bytes, kBufferAlignment);
  allocator.release(workers, workerMemory * sizeof(Worker), alignof(Worker));
  pthread_mutex_destroy(&mutex);
}

Status ThreadPool::start(uint32_t threads, uint32_t spinMicroseconds, const uint32_t *cpus, uint32_t cpuCount) {
  spinNanoseconds = uint64_t(spinMicroseconds) * 1000;
  if (threads <= 1)
    return {};
  workers = static_cast<Worker *>(allocator.allocate((threads - 1) * sizeof(Worker), alignof(Worker)));
  if (!workers)
    return outOfMemory();
  workerMemory = threads - 1;
  for (uint32_t i = 0; i < workerMemory; ++i)
    workers[i] = {this, {}, nullptr, 0};
  for (uint32_t i = 0; i < workerMemory; ++i) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int error = 0;
    uint32_t cpu = 0;
    if (cpuCount) {
      cpu = cpus[(i + 1) % cpuCount];
      cpu_set_t set;
      CPU_ZERO(&set);
      if (cpu < CPU_SETSIZE)
        CPU_SET(cpu, &set);
      error = pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
    }
    if (!error)
      error = pthread_create(&workers[i].thread, &attributes, workerMain, &workers[i]);
    pthread_attr_destroy(&attributes);
    if (error) {
      uint32_t started = workerCount;
      stop();
      if (cpuCount && error == EINVAL)
        return failure(MSA_INVALID_ARGUMENT, "cannot pin worker %u to processor %u: this process may not run there",
                       started + 1, cpu);
      return failure(MSA_OUT_OF_MEMORY, "cannot start worker thread %u of %u: error %d; ask for fewer threads",
                     started + 1, threads - 1, error);
    }
    ++workerCount;
  }
  return {};
}

void ThreadPool::stop() {
  stopping.store(true, std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_seq_cst);
  futexWake(&epoch, INT_MAX);
  for (uint32_t i = 0; i < workerCount; ++i)
    pthread_join(workers[i].thread, nullptr);
  workerCount = 0;
}

Status ThreadPool::reserveScratch(size_t bytes) {
  pthread_mutex_lock(&mutex);
  Status result;
  for (uint32_t i = 0; i < workerCount && result.ok(); ++i) {
    Worker &worker = workers[i];
    if (worker.scratchBytes >= bytes)
      continue;
    void *memory = allocator.allocate(bytes, kBufferAlignment);
    if (memory && worker.scratch && !retired.push({worker.scratch, worker.scratchBytes})) {
      allocator.release(memory, bytes, kBufferAlignment);
      memory = nullptr;
    }
    if (memory) {
      worker.scratch = memory;
      worker.scratchBytes = bytes;
    } else {
      result = outOfMemory();
    }
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

void ThreadPool::run(Body body, void *argument, int64_t tiles, void *callerScratch, const std::atomic<bool> *cancel) {
  if (tiles <= 0)
    return;
  Job job = {};
  job.body = body;
  job.argument = argument;
  job.tiles = tiles;
  job.cancel = cancel;

  // Four ranges a thread: enough to even out unequal tiles, few enough to keep neighbours together. Where a cancel must be
  // noticed in time, more, down to a tile each.
  int64_t ranges = int64_t(workerCount + 1) * (cancel ? 256 : 4);
  job.chunk = tiles < ranges ? 1 : tiles / ranges;

  if (workerCount == 0 || tiles == 1) {
    if (!cancel)
      job.chunk = tiles;
    while (job.runOne(callerScratch)) {
    }
    return;
  }

  pthread_mutex_lock(&mutex);
  if (!offers) {
    job.previous = job.following = &job;
    offers = &job;
  } else {
    job.following = offers;
    job.previous = offers->previous;
    job.previous->following = &job;
    offers->previous = &job;
  }
  offerCount.fetch_add(1, std::memory_order_relaxed);
  pthread_mutex_unlock(&mutex);
  epoch.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst)) {
    int64_t wanted = (tiles + job.chunk - 1) / job.chunk - 1;
    futexWake(&epoch, wanted < int64_t(workerCount) ? uint32_t(wanted) : workerCount);
  }

  while (job.runOne(callerScratch)) {
  }

  pthread_mutex_lock(&mutex);
  job.previous->following = job.following;
  job.following->previous = job.previous;
  if (offers == &job)
    offers = job.following == &job ? nullptr : job.following;
  offerCount.fetch_sub(1, std::memory_order_relaxed);
  pthread_mutex_unlock(&mutex);

  // Helpers still run their last ranges.
  uint64_t spinStart = 0;
  for (uint32_t spins = 0;; ++spins) {
    uint32_t left = job.helpers.load(std::memory_order_acquire);
    if (left == 0)
      return;
    pause();
    if (spins % 64 != 63)
      continue;
    uint64_t now = nanoseconds();
    if (!spinStart)
      spinStart = now;
    if (now - spinStart < spinNanoseconds)
      continue;
    left = job.helpers.fetch_or(kCallerSleeps, std::memory_order_acq_rel) | kCallerSleeps;
    while (left != kCallerSleeps) {
      futexWait(job.helpers, left);
      left = job.helpers.load(std::memory_order_acquire);
    }
    return;
  }
}

ThreadPool::Job *ThreadPool::join(Worker *worker, void **scratch) {
  if (offerCount.load(std::memory_order_acquire) == 0)
    return nullptr;
  pthread_mutex_lock(&mutex);
  Job *found = nullptr;
  Job *first = offers;
  if (first) {
    Job *job = first;
    do {
      if (job->nextTile.load(std::memory_order_relaxed) < job->tiles &&
          !(job->cancel && job->cancel->load(std::memory_order_relaxed))) {
        found = job;
        break;
      }
      job = job->following;
    } while (job != first);
  }
  if (found) {
    found->helpers.fetch_add(1, std::memory_order_relaxed);
    offers = found->following; // the next worker starts with the next offer
    *scratch = worker->scratch;
  }
  pthread_mutex_unlock(&mutex);
  return found;
}

void ThreadPool::leave(Job *job) {
  std::atomic<uint32_t> *word = &job->helpers;
  // From here on the job may be gone; its address alone is still good for a wake-up, which at worst is a spurious one.
  if (word->fetch_sub(1, std::memory_order_acq_rel) == (kCallerSleeps | 1))
    futexWake(word, 1);
}

bool ThreadPool::spinUntilChanged(uint32_t seen) const {
  uint64_t start = 0;
  for (uint32_t spins = 0;; ++spins) {
    if (epoch.load(std::memory_order_acquire) != seen)
      return true;
    pause();
    if (spins % 64 != 63)
      continue;
    uint64_t now = nanoseconds();
    if (!start)
      start = now;
    if (now - start >= spinNanoseconds)
      return false;
  }
}

void *ThreadPool::workerMain(void *argument) {
  Worker *worker = static_cast<Worker *>(argument);
  ThreadPool *pool = worker->pool;
  for (;;) {
    uint32_t seen = pool->epoch.load(std::memory_order_seq_cst);
    if (pool->stopping.load(std::memory_order_acquire))
      return nullptr;
    void *scratch = nullptr;
    if (Job *job = pool->join(worker, &scratch)) {
      // With several offers a worker goes on to the next one after each range, so that none starves.
      while (job->runOne(scratch) && pool->offerCount.load(std::memory_order_relaxed) == 1) {
      }
      leave(job);
      continue;
    }
    if (pool->spinUntilChanged(seen))
      continue;
    pool->sleepers.fetch_add(1, std::memory_order_seq_cst);
    futexWait(pool->epoch, seen);
    pool->sleepers.fetch_sub(1, std::memory_order_seq_cst);
  }
}

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0
//
// What the machine can do at best: fused multiply-adds in registers, and reading memory. `ceilings THREADS` prints
// {"fma_gflops", "read_gb_s"}, the best of several tries. Compiled where the benchmark runs, for the processor it runs on.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __AVX512F__
#define BYTES 64
#else
#define BYTES 32
#endif
#define LANES (BYTES / 4)
#define CHAINS 12 // independent sums: more than latency times throughput of any current core
#define ROUNDS (1 << 22)
#define TRIES 9 // the read ones with 1, 2 and 4 streams in turn
#define READ_BYTES ((size_t)1 << 30) // far above any cache

typedef float Floats __attribute__((vector_size(BYTES)));
typedef uint64_t Words __attribute__((vector_size(BYTES)));

static int threads;
static pthread_barrier_t barrier;
static char *memory;
static double seconds[2][TRIES];
static volatile float floatSink;
static volatile uint64_t wordSink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static float multiplyAdd(void) {
  Floats sums[CHAINS], scale, step;
  for (int lane = 0; lane < LANES; ++lane) {
    scale[lane] = 0.999f + 1e-6f * lane;
    step[lane] = 0.001f;
  }
  for (int i = 0; i < CHAINS; ++i)
    sums[i] = step;
  for (int round = 0; round < ROUNDS; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; ++i)
      sums[i] = sums[i] * scale + step;
  }
  Floats total = sums[0];
  for (int i = 1; i < CHAINS; ++i)
    total += sums[i];
  float result = 0;
  for (int lane = 0; lane < LANES; ++lane)
    result += total[lane];
  return result;
}

/// In several streams, each some way ahead in the cache: one stream alone does not keep the memory busy.
static uint64_t readAll(const char *begin, size_t bytes, size_t streams) {
  Words sums[8];
  memset(sums, 0, sizeof sums);
  size_t length = bytes / streams;
  for (size_t at = 0; at + 8 * BYTES <= length; at += 8 * BYTES)
    for (size_t stream = 0; stream < streams; ++stream) {
      const Words *row = (const Words *)(begin + stream * length + at);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        __builtin_prefetch((const char *)(row + i) + 4096, 0, 3);
        sums[i] ^= row[i];
      }
    }
  uint64_t result = 0;
  for (int i = 0; i < 8; ++i)
    for (int lane = 0; lane < BYTES / 8; ++lane)
      result ^= sums[i][lane];
  return result;
}

static void *work(void *argument) {
  size_t me = (size_t)argument, share = READ_BYTES / threads / (32 * BYTES) * (32 * BYTES);
  memset(memory + me * share, (int)me + 1, share); // placed by the thread that reads it
  for (int what = 0; what < 2; ++what)
    for (int i = 0; i < TRIES; ++i) {
      pthread_barrier_wait(&barrier);
      double start = now();
      if (what == 0)
        floatSink = multiplyAdd();
      else
        wordSink = readAll(memory + me * share, share, (size_t)1 << i % 3);
      pthread_barrier_wait(&barrier);
      if (me == 0)
        seconds[what][i] = now() - start;
    }
  return NULL;
}

int main(int argc, char **argv) {
  threads = argc == 2 ? atoi(argv[1]) : 0;
  if (threads < 1 || threads > 256) {
    fprintf(stderr, "usage: ceilings THREADS (1 to 256)\n");
    return 2;
  }
  memory = aligned_alloc((size_t)2 << 20, READ_BYTES);
  if (memory)
    madvise(memory, READ_BYTES, MADV_HUGEPAGE); // fewer page walks; where it is refused, the figure is a little lower
  if (!memory || pthread_barrier_init(&barrier, NULL, threads)) {
    fprintf(stderr, "expected %zu bytes of memory, found less\n", READ_BYTES);
    return 1;
  }
  pthread_t others[256];
  for (int i = 1; i < threads; ++i)
    if (pthread_create(&others[i], NULL, work, (void *)(size_t)i)) {
      fprintf(stderr, "no thread could be started\n");
      return 1;
    }
  work((void *)0);
  for (int i = 1; i < threads; ++i)
    pthread_join(others[i], NULL);
  double best[2] = {1e9, 1e9};
  for (int what = 0; what < 2; ++what)
    for (int i = 0; i < TRIES; ++i)
      if (seconds[what][i] < best[what])
        best[what] = seconds[what][i];
  double operations = 2.0 * LANES * CHAINS * ROUNDS * threads;
  size_t share = READ_BYTES / threads / (32 * BYTES) * (32 * BYTES);
  printf("{\"fma_gflops\": %.2f, \"read_gb_s\": %.2f}\n", operations / best[0] * 1e-9, (double)share * threads / best[1] * 1e-9);
  return 0;
}

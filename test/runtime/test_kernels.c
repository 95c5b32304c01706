// SPDX-License-Identifier: Apache-2.0
//
// Kernels for the runtime's tests, as a compiler would emit them: no library, no state, no call out.

#include "runtime/kernel_abi.h"

/// (READ f32 a[n], READ f32 b[n], WRITE f32 c[n]; n). A tile is 16 elements.
void test_add(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  const float *a = buffers[0], *b = buffers[1];
  float *c = buffers[2];
  int64_t end = hi * 16 < scalars[0] ? hi * 16 : scalars[0];
  for (int64_t i = lo * 16; i < end; ++i)
    c[i] = a[i] + b[i];
}

/// (SPANS f32 bank[c, 8], WRITE f32 sums[c]). A tile is a row.
void test_sum_rows(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  const msa_span_list *list = buffers[0];
  float *sums = buffers[1];
  for (int64_t s = 0; s < list->count; ++s) {
    const msa_span *span = &list->spans[s];
    for (int64_t row = 0; row < span->rows; ++row) {
      int64_t at = span->first + row;
      if (at < lo || at >= hi)
        continue;
      float sum = 0;
      for (int i = 0; i < 8; ++i)
        sum += ((const float *)span->data)[row * 8 + i];
      sums[at] = sum;
    }
  }
}

/// (READ f32 rows[n, 4], UPDATE f32 cache[.., 4]; first, n). A tile is a row: writes it behind the first `first` rows.
void test_append(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  const float *rows = buffers[0];
  float *cache = buffers[1];
  for (int64_t i = lo; i < hi; ++i)
    for (int j = 0; j < 4; ++j)
      cache[(scalars[0] + i) * 4 + j] = rows[i * 4 + j];
}

/// (READ f32 values[n], WRITE f32 kept[n], WRITE i64 count[1]; n). One tile: keeps the positive values.
void test_keep_positive(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  const float *values = buffers[0];
  float *kept = buffers[1];
  int64_t count = 0;
  for (int64_t i = 0; i < scalars[0]; ++i)
    if (values[i] > 0)
      kept[count++] = values[i];
  *(int64_t *)buffers[2] = count;
}

/// (WRITE i64 results[n]). A tile is an element. Uses all of 4096 bytes of scratch in a way that another worker's use would upset.
void test_scratch(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  int64_t *results = buffers[0];
  volatile int64_t *words = scratch;
  for (int64_t tile = lo; tile < hi; ++tile) {
    for (int i = 0; i < 512; ++i)
      words[i] = tile + i;
    int64_t sum = 0;
    for (int i = 0; i < 512; ++i)
      sum += words[i] - i;
    results[tile] = sum / 512;
  }
}

/// (UPDATE i64 counter[1]; rounds). Burns time: for tests that stop a run.
void test_spin(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  volatile int64_t x = 0;
  for (int64_t tile = lo; tile < hi; ++tile)
    for (int64_t i = 0; i < scalars[0]; ++i)
      x = x + 1;
}

/// (READ f32 x[n], WRITE f32 y[n]; n). Through a table of function pointers, so that the object has relocations. A tile is 16.
static float twice(float x) { return 2 * x; }
static float thrice(float x) { return 3 * x; }
static float (*const volatile functions[2])(float) = {twice, thrice};
void test_relocated(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
  const float *x = buffers[0];
  float *y = buffers[1];
  int64_t end = hi * 16 < scalars[0] ? hi * 16 : scalars[0];
  for (int64_t i = lo * 16; i < end; ++i)
    y[i] = functions[i & 1](x[i]);
}

// SPDX-License-Identifier: Apache-2.0

#include "TileMultiply.h"
#include <cmath>
#include <cstring>

namespace ptxemu {

namespace {

typedef float Vector8 __attribute__((vector_size(32), aligned(4)));

/// Four rows by two vectors stay in registers over the whole depth.
inline __attribute__((always_inline)) void block4x16(float *d, const float *a, const float *b, uint32_t columns, uint32_t depth) {
  Vector8 sum[4][2];
  for (int r = 0; r < 4; ++r)
    for (int v = 0; v < 2; ++v)
      std::memcpy(&sum[r][v], d + r * columns + 8 * v, 32);
  for (uint32_t k = 0; k < depth; ++k) {
    Vector8 right[2];
    std::memcpy(right, b + k * columns, 64);
    for (int r = 0; r < 4; ++r) {
      float left = a[r * depth + k];
      Vector8 wide = {left, left, left, left, left, left, left, left};
      for (int v = 0; v < 2; ++v)
        sum[r][v] = __builtin_elementwise_fma(wide, right[v], sum[r][v]);
    }
  }
  for (int r = 0; r < 4; ++r)
    for (int v = 0; v < 2; ++v)
      std::memcpy(d + r * columns + 8 * v, &sum[r][v], 32);
}

inline __attribute__((always_inline)) void block4x8(float *d, const float *a, const float *b, uint32_t columns, uint32_t depth) {
  Vector8 sum[4];
  for (int r = 0; r < 4; ++r)
    std::memcpy(&sum[r], d + r * columns, 32);
  for (uint32_t k = 0; k < depth; ++k) {
    Vector8 right;
    std::memcpy(&right, b + k * columns, 32);
    for (int r = 0; r < 4; ++r) {
      float left = a[r * depth + k];
      Vector8 wide = {left, left, left, left, left, left, left, left};
      sum[r] = __builtin_elementwise_fma(wide, right, sum[r]);
    }
  }
  for (int r = 0; r < 4; ++r)
    std::memcpy(d + r * columns, &sum[r], 32);
}

} // namespace

void multiplyTile(float *d, const float *a, const float *b, uint32_t rows, uint32_t columns, uint32_t depth) {
  for (uint32_t r = 0; r < rows; r += 4) {
    uint32_t c = 0;
    for (; c + 16 <= columns; c += 16)
      block4x16(d + r * columns + c, a + r * depth, b + c, columns, depth);
    for (; c < columns; c += 8)
      block4x8(d + r * columns + c, a + r * depth, b + c, columns, depth);
  }
}

template <typename T, typename F>
static void plainTile(T *d, const T *a, const T *b, uint32_t rows, uint32_t columns, uint32_t depth, F multiplyAdd) {
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t k = 0; k < depth; ++k) {
      T left = a[r * depth + k];
      for (uint32_t c = 0; c < columns; ++c)
        d[r * columns + c] = multiplyAdd(left, b[k * columns + c], d[r * columns + c]);
    }
}

void multiplyTile(int32_t *d, const int32_t *a, const int32_t *b, uint32_t rows, uint32_t columns, uint32_t depth) {
  plainTile(d, a, b, rows, columns, depth,
            [](int32_t x, int32_t y, int32_t z) { return int32_t(uint32_t(x) * uint32_t(y) + uint32_t(z)); });
}

void multiplyTile(double *d, const double *a, const double *b, uint32_t rows, uint32_t columns, uint32_t depth) {
  plainTile(d, a, b, rows, columns, depth, [](double x, double y, double z) { return std::fma(x, y, z); });
}

} // namespace ptxemu

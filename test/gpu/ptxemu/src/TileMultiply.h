// SPDX-License-Identifier: Apache-2.0
//
// The inner loops of tensor-core instructions.

#pragma once

#include <cstdint>

namespace ptxemu {

/// d[m][n] += a[m][k] * b[k][n] with K added one after the other, in float with fused rounding. All row-major without gaps; `rows` is a
/// multiple of 4 and `columns` of 8. Columns of the last K step are never read past.
void multiplyTile(float *d, const float *a, const float *b, uint32_t rows, uint32_t columns, uint32_t depth);
void multiplyTile(int32_t *d, const int32_t *a, const int32_t *b, uint32_t rows, uint32_t columns, uint32_t depth);
void multiplyTile(double *d, const double *a, const double *b, uint32_t rows, uint32_t columns, uint32_t depth);

} // namespace ptxemu

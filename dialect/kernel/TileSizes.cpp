// SPDX-License-Identifier: Apache-2.0

#include "dialect/kernel/TileSizes.h"
#include <algorithm>

using namespace msa::kernel;

MatmulTile msa::kernel::matmulTile(int64_t k, int64_t n) {
  // A block of the left-hand side stays in the second-level cache while the panels of `columns` pass through the first.
  int64_t rows = 96;
  int64_t columns = std::min<int64_t>(128, (n + 15) / 16 * 16);
  return {rows, columns};
}

int64_t msa::kernel::matmulScratchBytes(int64_t k, int64_t n) { return 64 << 10; }

int64_t msa::kernel::attentionRows(int64_t group, int64_t dim) { return std::max<int64_t>(1, 32 / group); }

int64_t msa::kernel::attentionScratchBytes(int64_t group, int64_t dim, int64_t valueDim, int64_t rows) {
  return 4 * (64 * dim + group * rows * (64 + valueDim + 4)) + 4096;
}

int64_t msa::kernel::routeScanRows(int64_t row) { return 256; }

int64_t msa::kernel::routeScanScratchBytes(int64_t heads, int64_t dim, int64_t row, int64_t rows, int64_t keep) {
  return 4 * rows + 32 * keep + 4096;
}

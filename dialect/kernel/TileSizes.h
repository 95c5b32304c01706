// SPDX-License-Identifier: Apache-2.0
//
// What the host side must know of a kernel before it is lowered: the shape of its tiles and the scratch memory of a worker. One
// place for both sides, so that counts and code agree; the same for every processor variant.

#ifndef MSA_DIALECT_KERNEL_TILESIZES_H
#define MSA_DIALECT_KERNEL_TILESIZES_H

#include <cstdint>

namespace msa::kernel {

/// Rows and columns of a tile of `kernel.matmul` with a `[k, n]` right-hand side; columns are a multiple of 16.
struct MatmulTile {
  int64_t rows;
  int64_t columns;
};
MatmulTile matmulTile(int64_t k, int64_t n);
int64_t matmulScratchBytes(int64_t k, int64_t n);

/// Query rows of a tile of `kernel.attention`, where `group` query heads share a kv head of `dim`.
int64_t attentionRows(int64_t group, int64_t dim);
int64_t attentionScratchBytes(int64_t group, int64_t dim, int64_t valueDim, int64_t rows);

/// Bank rows of a tile of `kernel.route_scan`, for rows of `row` elements.
int64_t routeScanRows(int64_t row);
/// Of `kernel.route_scan`: query of `heads` x `dim`, `rows` bank rows a tile, `keep` documents kept.
int64_t routeScanScratchBytes(int64_t heads, int64_t dim, int64_t row, int64_t rows, int64_t keep);

} // namespace msa::kernel

#endif // MSA_DIALECT_KERNEL_TILESIZES_H

// SPDX-License-Identifier: Apache-2.0
//===- TileSizes.h - how work is cut, and the scratch that it takes -------===//
//
// Decided once, on the host side, for all processor variants of an artifact: tile counts are commands and cannot differ
// between variants. Nothing here changes a result.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_DIALECT_KERNEL_TILESIZES_H
#define MSA_DIALECT_KERNEL_TILESIZES_H

#include <algorithm>
#include <cstdint>

namespace msa::kernel {

/// Columns of a weight panel, and keys of a key panel.
inline constexpr int64_t panelWidth = 16;
/// The tallest register tile of any variant. Row blocks in scratch are padded to it.
inline constexpr int64_t maxRegisterRows = 12;
/// Keys that online softmax takes in at once.
inline constexpr int64_t keyBlock = 64;

inline constexpr int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Elements from one row of f32 in scratch to the next: an odd number of cache lines, so that rows of any length spread
/// over all sets of a cache.
inline constexpr int64_t paddedRow(int64_t elements) {
  int64_t lines = roundUp(elements, 16) / 16;
  return (lines | 1) * 16;
}

//===----------------------------------------------------------------------===//
// kernel.matmul
//===----------------------------------------------------------------------===//

struct MatmulTile {
  int64_t rows;    ///< a multiple of every variant's register rows
  int64_t columns; ///< a multiple of four panels, what a single row reads at once
};

/// The tile for `[M, k] x [k, n]`. Narrow enough for several threads to share a single row, which only streams weights;
/// tall enough for many rows to read each weight seldom, with their own block staying in the second-level cache.
inline MatmulTile chooseMatmulTile(int64_t k, int64_t n) {
  constexpr int64_t fourPanels = 4 * panelWidth, blockBytes = 512 * 1024;
  int64_t columns = std::clamp(n / 8 / fourPanels * fourPanels, fourPanels, 4 * fourPanels);
  int64_t fitting = blockBytes / (4 * std::max<int64_t>(k, 1)) / maxRegisterRows * maxRegisterRows;
  return {std::clamp<int64_t>(fitting, 2 * maxRegisterRows, 8 * maxRegisterRows), columns};
}

/// Bytes of scratch that `kernel.matmul` needs: a copy of a tile's rows, and one register tile on its way out.
inline int64_t matmulScratchBytes(int64_t k, MatmulTile tile) {
  int64_t rows = roundUp(tile.rows, maxRegisterRows);
  return (rows * paddedRow(k) + maxRegisterRows * 4 * panelWidth) * 4;
}

//===----------------------------------------------------------------------===//
// kernel.attention
//===----------------------------------------------------------------------===//

/// Queries of a tile, for `heads` query heads that share `kvHeads` key heads: enough rows in all to make up for packing
/// the keys once for each tile.
inline int64_t attentionRows(int64_t heads, int64_t kvHeads) {
  constexpr int64_t flatRows = 96;
  return std::max<int64_t>(flatRows / (heads / kvHeads), 4);
}

/// Where `kernel.attention` keeps what in its scratch: byte offsets. A flat row is one query head of one query.
struct AttentionScratch {
  int64_t rows;    ///< flat rows, padded to the tallest register tile; for one query, those of all heads
  int64_t query;   ///< f32 [rows, paddedRow(head dim)], scaled
  int64_t output;  ///< f32 [rows, paddedRow(value dim)], not yet divided by the sum of weights
  int64_t maximum; ///< f32 [rows + 16], of the scores so far
  int64_t sum;     ///< f32 [rows, 16], partial sums of the weights
  int64_t keys;    ///< f32 panels [keyBlock / 16, head dim, 16]
  int64_t values;  ///< f32 [keyBlock, paddedRow(value dim)]
  int64_t scores;  ///< f32 [scoreRows, paddedRow(16 + keyBlock)], a block's scores, then its weights
  int64_t scoreRows;
  int64_t rescale; ///< f32 [2, scoreRows + 16]: maxima, and what older sums are multiplied by
  int64_t bytes;

  AttentionScratch(int64_t heads, int64_t kvHeads, int64_t headDim, int64_t valueDim, int64_t queries) {
    int64_t group = heads / kvHeads, end = 0;
    auto take = [&](int64_t elements) {
      int64_t offset = end;
      end += roundUp(elements * 4, 64);
      return offset;
    };
    rows = std::max(roundUp(queries * group, maxRegisterRows), heads);
    scoreRows = std::max(maxRegisterRows, group);
    query = take(rows * paddedRow(headDim));
    output = take(rows * paddedRow(valueDim));
    maximum = take(rows + 16);
    sum = take(rows * 16);
    keys = take(keyBlock * headDim);
    values = take(keyBlock * paddedRow(valueDim));
    scores = take(scoreRows * paddedRow(16 + keyBlock));
    rescale = take(2 * (scoreRows + 16));
    bytes = end;
  }
};

inline int64_t attentionScratchBytes(int64_t heads, int64_t kvHeads, int64_t headDim, int64_t valueDim, int64_t queries) {
  return AttentionScratch(heads, kvHeads, headDim, valueDim, queries).bytes;
}

//===----------------------------------------------------------------------===//
// kernel.route_scan
//===----------------------------------------------------------------------===//

/// Rows whose scores are held at once: a multiple of the keys of every register tile and of every vector.
inline constexpr int64_t routeScanBlock = 48;

/// Bank rows of a tile, where a row has `row` elements: about two MiB of f32, some 0.1 ms of reading. Fewer would be
/// felt in each tile's own searches and in the merge, more would leave workers idle at the end.
inline int64_t routeScanRows(int64_t row) {
  return std::clamp<int64_t>((int64_t(1) << 19) / std::max<int64_t>(row, 1) / 64 * 64, 128, 4096);
}

/// Keys that a register tile of several tokens takes at once, at most.
inline constexpr int64_t routeScanKeys = 4;

/// Where `kernel.route_scan` keeps what in its scratch: byte offsets.
struct RouteScanScratch {
  static constexpr int64_t addresses = 0;                          ///< i64 [routeScanBlock], of the rows of a block
  static constexpr int64_t scores = routeScanBlock * 8;            ///< f32 [routeScanBlock]
  static constexpr int64_t partials = routeScanBlock * (8 + 4);    ///< f32 [routeScanBlock, 16], partial sums of products
  static constexpr int64_t keys = routeScanBlock * (8 + 4 + 4 * 16); ///< f32 [routeScanKeys, paddedRow(row)], of one-byte keys for many tokens
  int64_t bytes;

  RouteScanScratch(int64_t row, bool smallKeys) : bytes(keys + (smallKeys ? routeScanKeys * paddedRow(row) * 4 : 0)) {}
};

} // namespace msa::kernel

#endif // MSA_DIALECT_KERNEL_TILESIZES_H

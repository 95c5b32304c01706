// SPDX-License-Identifier: Apache-2.0
//===- TileSizes.h - how work is cut, and the scratch that it takes -------===//
//
// Decided once, on the host side, for all processor variants of an artifact: tile counts are commands and cannot differ
// between variants. Nothing here changes a result.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_CPU_TILESIZES_H
#define MSA_CODEGEN_CPU_TILESIZES_H

#include <algorithm>
#include <cstdint>

namespace msa::cpu {

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

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_TILESIZES_H

// SPDX-License-Identifier: Apache-2.0
//
// The box of a tensor copy: its rows in global memory and, swizzled, in shared memory.

#pragma once

#include "TensorMapImage.h"
#include <cstring>

namespace ptxemu {

/// Swizzle of a byte offset: bits 4.. are XORed with bits 7.., as many as the mode (0 none, 1 32 B, 2 64 B, 3 128 B) says.
inline uint32_t swizzled(uint32_t offset, uint32_t mode) { return offset ^ ((offset >> 7 & ((1u << mode) - 1)) << 4); }

class TensorBox {
public:
  TensorBox(const TensorMap &map, const int32_t *coordinates) : map(map), coordinates(coordinates) {
    elementSize = elementBytes(TensorMapType(map.type));
    rowBytes = map.box[0] * elementSize;
    for (uint32_t d = 0; d < map.rank; ++d) {
      counts[d] = d == 0 ? map.box[0] : (map.box[d] + map.elementStrides[d] - 1) / map.elementStrides[d];
      if (d > 0)
        rows *= counts[d];
    }
  }

  uint32_t elementSize, rowBytes, rows = 1;
  uint32_t bytes() const { return rows * rowBytes; }

  /// Calls `visit(row, inside, address, begin, end)` for every row: bytes [begin, end) of it are in the tensor, from `address` on.
  template <typename Visit> void forEachRow(Visit visit) const {
    uint32_t index[5] = {};
    for (uint32_t row = 0; row < rows; ++row) {
      uint64_t address = map.address;
      bool inside = true;
      for (uint32_t d = 1; d < map.rank; ++d) {
        int64_t at = int64_t(coordinates[d]) + int64_t(index[d]) * map.elementStrides[d];
        inside &= at >= 0 && at <= int64_t(map.sizes[d]);
        address += uint64_t(at) * map.strides[d - 1];
      }
      int64_t size = int64_t(map.sizes[0]) + 1, first = std::max<int64_t>(coordinates[0], 0);
      int64_t last = std::min<int64_t>(int64_t(coordinates[0]) + counts[0], size);
      uint32_t begin = 0, end = 0;
      if (first < last) {
        begin = uint32_t(first - coordinates[0]) * elementSize;
        end = uint32_t(last - coordinates[0]) * elementSize;
      }
      visit(row, inside, address + uint64_t(first) * elementSize, begin, end);
      for (uint32_t d = 1; d < map.rank && ++index[d] == counts[d]; ++d)
        index[d] = 0;
    }
  }

  /// A row between a buffer and its place in shared memory, 16 bytes at a time where it is swizzled.
  void scatterRow(uint8_t *memory, uint32_t offset, uint32_t row, const uint8_t *from) const {
    move(offset, row, [&](uint32_t at, uint32_t in, uint32_t n) { std::memcpy(memory + at, from + in, n); });
  }
  void gatherRow(const uint8_t *memory, uint32_t offset, uint32_t row, uint8_t *to) const {
    move(offset, row, [&](uint32_t at, uint32_t in, uint32_t n) { std::memcpy(to + in, memory + at, n); });
  }

  /// The bytes of a NaN of the element type.
  void nanFill(uint8_t *bytes) const {
    uint64_t nan = TensorMapType(map.type) == TensorMapType::Float64 ? 0x7ff8000000000000
                   : elementSize == 4                                ? 0x7fffffff
                                                                     : 0x7fff;
    std::memcpy(bytes, &nan, elementSize);
  }

private:
  const TensorMap &map;
  const int32_t *coordinates;
  uint32_t counts[5] = {1, 1, 1, 1, 1};

  template <typename Move> void move(uint32_t offset, uint32_t row, Move copy) const {
    uint32_t begin = offset + row * rowBytes;
    if (!map.swizzle) {
      copy(begin, 0, rowBytes);
      return;
    }
    for (uint32_t in = 0; in < rowBytes; in += 16)
      copy(swizzled(begin + in, map.swizzle), in, 16);
  }
};

} // namespace ptxemu

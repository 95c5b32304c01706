// SPDX-License-Identifier: Apache-2.0
//
// Who last wrote and read memory, by lines of 128 bytes. A line holds segments: a mask of its bytes, and the epoch of their last
// write or of a read since. Lines suit how tensors are moved, so most hold one segment of each kind.

#pragma once

#include "Clock.h"
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

namespace ptxemu {

inline constexpr uint32_t lineBytes = 128;

/// A bit per byte of a line.
using ByteMask = unsigned __int128;

/// Bytes [begin, end) of a line.
inline ByteMask byteMask(uint32_t begin, uint32_t end) {
  ByteMask all = ~ByteMask(0);
  return (end >= lineBytes ? all : ~(all << end)) & (all << begin);
}
inline uint32_t lowestByte(ByteMask mask) {
  uint64_t low = uint64_t(mask);
  return low ? uint32_t(std::countr_zero(low)) : 64 + uint32_t(std::countr_zero(uint64_t(mask >> 64)));
}

/// Lanes of the words of a line; these stand for no lane in particular.
inline constexpr uint8_t noLane = 255, manyLanes = 254;

struct WriteSegment {
  ByteMask mask = 0;
  uint32_t cluster = 0, agent = 0, clock = 0, pc = 0;
  bool ordinary = false; ///< By the generic proxy.
  bool strong = false;   ///< By an atomic, volatile or relaxed operation.
  std::array<uint8_t, 32> lanes; ///< Of ordinary writes.
};

struct ReadSegment {
  ByteMask mask = 0;
  uint32_t cluster = 0, agent = 0, clock = 0, pc = 0;
  bool strong = false;
};

struct Line {
  std::vector<WriteSegment> writes;
  std::vector<ReadSegment> reads;
};

/// An access to part of one line, and who makes it.
struct Accessor {
  const Knowledge *seen = nullptr;
  uint32_t cluster = 0;
  uint32_t agent = 0, clock = 0; ///< The epoch to record.
  uint32_t pc = 0;
  uint32_t warps = 0;   ///< Of a cluster.
  int warp = -1;        ///< In the cluster: the warp whose lanes make an ordinary access; -1 for asynchronous ones.
  uint32_t sync = 0;    ///< The warp's clock at its last synchronisation of lanes.
  bool asynchronous = false;
  bool strong = false;
};

/// What a check found wrong.
struct Conflict {
  enum class Kind : uint8_t { None, WriteAfterWrite, WriteAfterRead, ReadAfterWrite, Lanes, Proxy };
  Kind kind = Kind::None;
  uint32_t word = 0; ///< In the line.
  uint32_t cluster = 0, agent = 0, clock = 0, pc = 0;
};

/// Checks a read of the bytes of `mask` and records it. `lanes` gives the lane of each word, or is null.
Conflict recordRead(Line &line, ByteMask mask, const Accessor &who, const uint8_t *lanes, size_t mostReads);

/// Checks a write and records it.
Conflict recordWrite(Line &line, ByteMask mask, const Accessor &who, const uint8_t *lanes);

/// The bytes of `mask` that are being written by `agent` in flight now count as written by `who`.
void settleWrite(Line &line, ByteMask mask, uint32_t agent, const Accessor &who, uint8_t lane, bool ordinary);

/// Mask of the words that bytes [begin, end) of a line touch.
inline uint32_t wordMask(uint32_t begin, uint32_t end) {
  uint32_t first = begin / 4, last = (end + 3) / 4;
  uint32_t upTo = last >= 32 ? ~0u : (1u << last) - 1;
  return upTo & ~((1u << first) - 1);
}

/// Lines of one range of global memory, made when they are touched.
class GlobalShadow {
public:
  explicit GlobalShadow(uint64_t bytes) : pages((bytes + pageBytes - 1) / pageBytes + 1) {}
  Line &line(uint64_t offset) {
    std::unique_ptr<std::array<Line, pageBytes / lineBytes>> &page = pages[offset / pageBytes];
    if (!page)
      page = std::make_unique<std::array<Line, pageBytes / lineBytes>>();
    return (*page)[offset % pageBytes / lineBytes];
  }

private:
  static constexpr uint64_t pageBytes = 4096;
  std::vector<std::unique_ptr<std::array<Line, pageBytes / lineBytes>>> pages;
};

} // namespace ptxemu

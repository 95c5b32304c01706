// SPDX-License-Identifier: Apache-2.0
//
// Working memory of a context: best-fit ranges in blocks of the host's allocator.
//
// The first run of a shape may need several blocks, because the total is not known before the commands have run (lengths may
// depend on data). Beside the real blocks the arena places every range a second time on one unbounded line; how far that line was
// used is exactly what a single block would have needed. reset() then replaces the blocks by that one, so that a run which
// repeats what an earlier one did finds everything in place and allocates nothing.

#ifndef MSA_RUNTIME_ARENA_H
#define MSA_RUNTIME_ARENA_H

#include "runtime/allocator.h"

namespace msa::rt {

/// Free ranges of [0, capacity), sorted and coalesced. Sizes are multiples of the alignment. Deterministic: the smallest
/// range that fits, the lowest among equals; the range that reaches the end only if no other fits, so that the same requests are
/// placed in the same way whatever the capacity is, as long as it is enough.
class RangeList {
public:
  struct Range {
    uint64_t offset;
    uint64_t size;
  };
  explicit RangeList(const Allocator &allocator) : free(allocator) {}
  [[nodiscard]] bool reset(uint64_t capacity);
  /// Offset, or UINT64_MAX when nothing fits.
  uint64_t take(uint64_t size);
  bool fits(uint64_t size) const;
  /// Needs at most one more list element, which |reserve| may have made sure of.
  [[nodiscard]] bool give(uint64_t offset, uint64_t size);

private:
  Vector<Range> free;
  uint64_t capacity = 0;
};

class Arena {
public:
  /// A live range, as the holder keeps it.
  struct Allocation {
    uint8_t *data;
    uint64_t size; // rounded up
    uint64_t lineOffset;
    uint32_t block;
  };

  explicit Arena(const Allocator &allocator) : Arena(allocator, allocator, kBufferAlignment) {}
  /// Blocks come from |blocks| and may be memory that the host cannot touch; lists come from |allocator|. Ranges have |alignment|.
  Arena(const Allocator &allocator, const Allocator &blocks, uint64_t alignment);
  ~Arena();
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;

  /// Ends the life of all allocations and, if the last run did not fit into one block, makes one that would have held it.
  [[nodiscard]] bool reset();
  /// Whether |size| more bytes would need a new block.
  [[nodiscard]] bool wouldGrow(uint64_t size) const;
  /// |size| > 0 bytes, undefined contents.
  [[nodiscard]] bool allocate(uint64_t size, Allocation *allocation);
  [[nodiscard]] bool free(const Allocation &allocation);
  /// Gives all memory back.
  void trim();

  uint64_t heldBytes() const { return held; }
  uint64_t peakBytes() const { return peak; }

private:
  struct Block {
    uint8_t *data;
    uint64_t size;
    RangeList *ranges;
  };
  [[nodiscard]] bool addBlock(uint64_t size);
  void dropBlocks();

  uint64_t roundUp(uint64_t size) const { return (size + alignment - 1) & ~(alignment - 1); }

  const Allocator &allocator;
  const Allocator &blockAllocator;
  uint64_t alignment;
  Vector<Block> blocks;
  RangeList line;
  uint64_t lineExtent = 0; // of the current run
  uint64_t held = 0;
  uint64_t live = 0;
  uint64_t peak = 0;
};

} // namespace msa::rt

#endif // MSA_RUNTIME_ARENA_H

// SPDX-License-Identifier: Apache-2.0

#include "runtime/arena.h"

namespace msa::rt {

namespace {
constexpr uint64_t kLineEnd = uint64_t(1) << 62;
constexpr uint64_t kSmallestBlock = uint64_t(64) << 10;
// A block that was too small for the run is followed by one of at least a quarter of what is held, so that a run needs few.
constexpr uint64_t kGrowthDivisor = 4;
} // namespace

bool RangeList::reset(uint64_t wanted) {
  capacity = wanted;
  free.clear();
  return free.push({0, capacity});
}

uint64_t RangeList::take(uint64_t size) {
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < free.size(); ++i) {
    const Range &range = free[i];
    bool tail = range.offset + range.size == capacity;
    if (range.size >= size && (best == SIZE_MAX || (!tail && range.size < free[best].size))) {
      best = i;
      if (range.size == size)
        break;
    }
  }
  if (best == SIZE_MAX)
    return UINT64_MAX;
  uint64_t offset = free[best].offset;
  if (free[best].size == size) {
    free.erase(best);
  } else {
    free[best].offset += size;
    free[best].size -= size;
  }
  return offset;
}

bool RangeList::give(uint64_t offset, uint64_t size) {
  size_t low = 0, high = free.size();
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (free[middle].offset < offset)
      low = middle + 1;
    else
      high = middle;
  }
  bool joinsBefore = low > 0 && free[low - 1].offset + free[low - 1].size == offset;
  bool joinsAfter = low < free.size() && offset + size == free[low].offset;
  if (joinsBefore && joinsAfter) {
    free[low - 1].size += size + free[low].size;
    free.erase(low);
  } else if (joinsBefore) {
    free[low - 1].size += size;
  } else if (joinsAfter) {
    free[low].offset = offset;
    free[low].size += size;
  } else {
    return free.insert(low, {offset, size});
  }
  return true;
}

Arena::Arena(const Allocator &allocator, const Allocator &blockAllocator, uint64_t alignment)
    : allocator(allocator), blockAllocator(blockAllocator), alignment(alignment), blocks(allocator), line(allocator) {}

Arena::~Arena() { dropBlocks(); }

void Arena::dropBlocks() {
  for (const Block &block : blocks) {
    blockAllocator.release(block.data, block.size, alignment);
    allocator.destroy(block.ranges);
  }
  blocks.clear();
  held = 0;
}

bool Arena::addBlock(uint64_t size) {
  if (size > SIZE_MAX / 2 || !blocks.reserve(blocks.size() + 1))
    return false;
  auto *ranges = allocator.create<RangeList>(allocator);
  if (!ranges)
    return false;
  auto *data = ranges->reset(size) ? static_cast<uint8_t *>(blockAllocator.allocate(size, alignment)) : nullptr;
  if (!data || !blocks.push({data, size, ranges})) {
    blockAllocator.release(data, size, alignment);
    allocator.destroy(ranges);
    return false;
  }
  held += size;
  return true;
}

bool Arena::reset() {
  if (blocks.size() > 1) {
    dropBlocks();
    if (!addBlock(lineExtent))
      return false;
  } else if (blocks.size() == 1) {
    if (!blocks[0].ranges->reset(blocks[0].size))
      return false;
  }
  lineExtent = 0;
  live = 0;
  return line.reset(kLineEnd);
}

bool RangeList::fits(uint64_t size) const {
  for (const Range &range : free)
    if (range.size >= size)
      return true;
  return false;
}

bool Arena::wouldGrow(uint64_t size) const {
  for (const Block &block : blocks)
    if (block.ranges->fits(roundUp(size)))
      return false;
  return true;
}

bool Arena::allocate(uint64_t size, Allocation *allocation) {
  if (size > kLineEnd / 2)
    return false;
  size = roundUp(size);
  uint64_t lineOffset = line.take(size);
  if (lineOffset == UINT64_MAX)
    return false;
  uint64_t offset = UINT64_MAX;
  uint32_t index = 0;
  for (; index < blocks.size(); ++index)
    if ((offset = blocks[index].ranges->take(size)) != UINT64_MAX)
      break;
  if (offset == UINT64_MAX) {
    uint64_t blockSize = size;
    if (blockSize < held / kGrowthDivisor)
      blockSize = held / kGrowthDivisor;
    if (blockSize < kSmallestBlock)
      blockSize = kSmallestBlock;
    blockSize = roundUp(blockSize);
    // The extra room is a convenience; when memory is short the request alone will do.
    if (!addBlock(blockSize) && (blockSize == size || !addBlock(size))) {
      // Nothing depends on the line's list being complete after a failure: the run ends here.
      (void)line.give(lineOffset, size);
      return false;
    }
    index = uint32_t(blocks.size() - 1);
    offset = blocks[index].ranges->take(size);
  }
  if (lineOffset + size > lineExtent)
    lineExtent = lineOffset + size;
  live += size;
  if (live > peak)
    peak = live;
  *allocation = {blocks[index].data + offset, size, lineOffset, index};
  return true;
}

bool Arena::free(const Allocation &allocation) {
  live -= allocation.size;
  Block &block = blocks[allocation.block];
  return block.ranges->give(uint64_t(allocation.data - block.data), allocation.size) &&
         line.give(allocation.lineOffset, allocation.size);
}

void Arena::trim() {
  dropBlocks();
  lineExtent = 0;
  live = 0;
}

} // namespace msa::rt

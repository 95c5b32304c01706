// SPDX-License-Identifier: Apache-2.0

#include "runtime/arena.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <vector>

using namespace msa::rt;

namespace {

struct Counting {
  size_t calls = 0, live = 0;
  size_t limit = SIZE_MAX; // bytes that may live at once

  msa_allocator get() {
    return {this,
            [](void *user, size_t size, size_t alignment) -> void * {
              auto *self = static_cast<Counting *>(user);
              if (self->live + size > self->limit)
                return nullptr;
              ++self->calls;
              self->live += size;
              return std::aligned_alloc(alignment < 16 ? 16 : alignment, (size + alignment - 1) / alignment * alignment);
            },
            [](void *user, void *pointer, size_t size, size_t) {
              static_cast<Counting *>(user)->live -= size;
              std::free(pointer);
            }};
  }
};

TEST(RangeList, TakesTheSmallestThatFitsAndJoinsNeighbours) {
  Allocator allocator{msa_allocator{}};
  RangeList ranges(allocator);
  ASSERT_TRUE(ranges.reset(1000));
  EXPECT_EQ(ranges.take(100), 0u);
  EXPECT_EQ(ranges.take(200), 100u);
  EXPECT_EQ(ranges.take(100), 300u);
  EXPECT_EQ(ranges.take(50), 400u);
  ASSERT_TRUE(ranges.give(100, 200));
  ASSERT_TRUE(ranges.give(0, 100)); // joins with what follows: 300 free at 0
  EXPECT_EQ(ranges.take(300), 0u);
  ASSERT_TRUE(ranges.give(0, 300));
  ASSERT_TRUE(ranges.give(400, 50)); // joins with the end
  EXPECT_EQ(ranges.take(250), 0u) << "the smallest that fits is the first";
  ASSERT_TRUE(ranges.give(300, 100)); // joins both sides
  EXPECT_EQ(ranges.take(750), 250u);
  EXPECT_EQ(ranges.take(1), UINT64_MAX);
}

// Random traces: no two live allocations overlap, contents stay, and repeating a trace ends with one block and no allocator calls.
TEST(Arena, KeepsAllocationsApartAndSettles) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    Counting counting;
    {
      Allocator allocator(counting.get());
      Arena arena(allocator);
      size_t callsBefore = 0;
      for (int round = 0; round < 4; ++round) {
        callsBefore = counting.calls;
        ASSERT_TRUE(arena.reset());
        std::mt19937 random(seed);
        struct Live {
          Arena::Allocation allocation;
          uint64_t size;
          uint8_t mark;
        };
        std::vector<Live> live;
        for (int step = 0; step < 300; ++step) {
          if (live.empty() || random() % 5 < 3) {
            Live made = {{}, 1 + random() % (random() % 4 ? 5000 : 200000), uint8_t(random())};
            ASSERT_TRUE(arena.allocate(made.size, &made.allocation));
            ASSERT_EQ(reinterpret_cast<uintptr_t>(made.allocation.data) % 64, 0u);
            std::memset(made.allocation.data, made.mark, made.size);
            live.push_back(made);
          } else {
            size_t index = random() % live.size();
            for (uint64_t i = 0; i < live[index].size; i += 97)
              ASSERT_EQ(live[index].allocation.data[i], live[index].mark);
            ASSERT_TRUE(arena.free(live[index].allocation));
            live.erase(live.begin() + long(index));
          }
        }
      }
      EXPECT_EQ(counting.calls, callsBefore) << "the fourth run of the same trace allocated";
      EXPECT_GE(arena.heldBytes(), arena.peakBytes());
      arena.trim();
      EXPECT_EQ(arena.heldBytes(), 0u);
    }
    EXPECT_EQ(counting.live, 0u);
  }
}

TEST(Arena, IsDeterministic) {
  Allocator allocator{msa_allocator{}};
  Arena first(allocator), second(allocator);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(first.reset() && second.reset());
    Arena::Allocation a, b;
    uint8_t *firstBase = nullptr, *secondBase = nullptr;
    for (uint64_t size : {100u, 5000u, 70u, 64u}) {
      ASSERT_TRUE(first.allocate(size, &a) && second.allocate(size, &b));
      if (!firstBase)
        firstBase = a.data, secondBase = b.data;
      EXPECT_EQ(a.data - firstBase, b.data - secondBase);
    }
  }
}

TEST(Arena, RefusesWhatTheAllocatorRefusesAndRecovers) {
  Counting counting;
  counting.limit = 1 << 20;
  Allocator allocator(counting.get());
  Arena arena(allocator);
  ASSERT_TRUE(arena.reset());
  Arena::Allocation allocation;
  EXPECT_TRUE(arena.allocate(1000, &allocation));
  EXPECT_FALSE(arena.allocate(4 << 20, &allocation));
  EXPECT_FALSE(arena.allocate(UINT64_MAX, &allocation));
  EXPECT_FALSE(arena.allocate(uint64_t(1) << 61, &allocation));
  ASSERT_TRUE(arena.reset());
  EXPECT_TRUE(arena.allocate(1000, &allocation));
}

} // namespace

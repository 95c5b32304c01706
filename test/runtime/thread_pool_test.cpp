// SPDX-License-Identifier: Apache-2.0
//
// The pool under its awkward uses. Meant to be run with ThreadSanitizer too (preset tsan).

#include "runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <set>
#include <thread>
#include <vector>

using namespace msa::rt;

namespace {

const Allocator kHeap{msa_allocator{}};

struct Marks {
  std::vector<int> counts; // plain: a tile that ran on two threads at once would be a race
  explicit Marks(size_t tiles) : counts(tiles) {}
  static void run(void *argument, void *, int64_t lo, int64_t hi) {
    for (int64_t tile = lo; tile < hi; ++tile)
      ++static_cast<Marks *>(argument)->counts[size_t(tile)];
  }
};

class ThreadPoolTest : public ::testing::TestWithParam<std::pair<uint32_t, uint32_t>> {
protected:
  void SetUp() override {
    Status status = pool.start(GetParam().first, GetParam().second, nullptr, 0);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  ThreadPool pool{kHeap};
};

TEST_P(ThreadPoolTest, RunsEveryTileOnce) {
  EXPECT_EQ(pool.threadCount(), GetParam().first);
  for (int64_t tiles : {0, 1, 2, 3, 7, 64, 1000, 12345}) {
    Marks marks(size_t(tiles) + 1);
    pool.run(Marks::run, &marks, tiles, nullptr, nullptr);
    for (int64_t tile = 0; tile < tiles; ++tile)
      ASSERT_EQ(marks.counts[size_t(tile)], 1) << tile << " of " << tiles;
    ASSERT_EQ(marks.counts[size_t(tiles)], 0);
  }
}

TEST_P(ThreadPoolTest, RunsManyShortJobs) {
  Marks marks(8);
  for (int job = 0; job < 3000; ++job)
    pool.run(Marks::run, &marks, 8, nullptr, nullptr);
  EXPECT_EQ(marks.counts, std::vector<int>(8, 3000));
}

TEST_P(ThreadPoolTest, IsSharedByManyCallers) {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 5; ++caller)
    callers.emplace_back([this, caller] {
      Marks marks(50 + size_t(caller));
      for (int job = 0; job < 300; ++job)
        pool.run(Marks::run, &marks, int64_t(marks.counts.size()), nullptr, nullptr);
      EXPECT_EQ(marks.counts, std::vector<int>(marks.counts.size(), 300));
    });
  for (std::thread &caller : callers)
    caller.join();
}

TEST_P(ThreadPoolTest, RunsAJobFromWithinAJob) {
  struct Outer {
    ThreadPool *pool;
    std::vector<Marks> inner{std::vector<Marks>(6, Marks(20))};
  } outer{&pool};
  pool.run(
      [](void *argument, void *, int64_t lo, int64_t hi) {
        auto *outer = static_cast<Outer *>(argument);
        for (int64_t tile = lo; tile < hi; ++tile)
          outer->pool->run(Marks::run, &outer->inner[size_t(tile)], 20, nullptr, nullptr);
      },
      &outer, 6, nullptr, nullptr);
  for (const Marks &marks : outer.inner)
    EXPECT_EQ(marks.counts, std::vector<int>(20, 1));
}

TEST_P(ThreadPoolTest, StopsWhenCancelled) {
  struct Job {
    std::atomic<bool> cancel{false};
    std::atomic<int64_t> tiles{0};
  } job;
  pool.run(
      [](void *argument, void *, int64_t lo, int64_t hi) {
        auto *job = static_cast<Job *>(argument);
        if (job->tiles.fetch_add(hi - lo) > 100)
          job->cancel = true;
      },
      &job, int64_t(1) << 40, nullptr, &job.cancel);
  EXPECT_LT(job.tiles.load(), int64_t(1) << 40);
  // A job that is cancelled before it starts runs nothing.
  Marks marks(10);
  pool.run(Marks::run, &marks, 10, nullptr, &job.cancel);
  EXPECT_EQ(marks.counts, std::vector<int>(10, 0));
}

TEST_P(ThreadPoolTest, GivesEveryThreadItsOwnScratch) {
  struct Job {
    std::atomic<int> inUse[64] = {};
    std::vector<uint8_t *> seen{std::vector<uint8_t *>(5000)};
    size_t bytes = 0;
  };
  std::vector<uint8_t> mine(100000);
  for (size_t bytes : {64u, 4096u, 100000u, 512u}) {
    ASSERT_TRUE(pool.reserveScratch(bytes).ok());
    Job job;
    job.bytes = bytes;
    pool.run(
        [](void *argument, void *scratch, int64_t lo, int64_t hi) {
          auto *job = static_cast<Job *>(argument);
          for (int64_t tile = lo; tile < hi; ++tile) {
            auto *words = static_cast<uint8_t *>(scratch);
            std::memset(words, int(tile & 0xff), job->bytes); // a race if shared
            job->seen[size_t(tile)] = words;
            for (size_t i = 0; i < job->bytes; i += 61)
              ASSERT_EQ(words[i], uint8_t(tile));
          }
        },
        &job, 5000, mine.data(), nullptr);
    std::set<uint8_t *> distinct(job.seen.begin(), job.seen.end());
    EXPECT_LE(distinct.size(), GetParam().first);
    EXPECT_EQ(distinct.count(nullptr), 0u);
  }
}

TEST_P(ThreadPoolTest, WakesUpAfterIdling) {
  Marks marks(40);
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3)); // longer than workers spin
    pool.run(Marks::run, &marks, 40, nullptr, nullptr);
  }
  EXPECT_EQ(marks.counts, std::vector<int>(40, 5));
}

// Threads, microseconds of spinning. Without any, every step goes through the futex.
INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest,
                         ::testing::Values(std::pair(1u, 100u), std::pair(2u, 100u), std::pair(2u, 0u), std::pair(5u, 0u),
                                           std::pair(4u, 300u)),
                         [](const auto &info) {
                           return std::to_string(info.param.first) + "_spin_" + std::to_string(info.param.second);
                         });

TEST(ThreadPool, StartsAndStopsQuickly) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(kHeap);
    ASSERT_TRUE(pool.start(4, 50, nullptr, 0).ok());
    Marks marks(4);
    pool.run(Marks::run, &marks, 4, nullptr, nullptr);
  }
}

TEST(ThreadPool, PinsWorkers) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  uint32_t cpu = 0;
  while (!CPU_ISSET(cpu, &allowed))
    ++cpu;
  ThreadPool pool(kHeap);
  ASSERT_TRUE(pool.start(3, 100, &cpu, 1).ok());
  struct Job {
    std::thread::id caller = std::this_thread::get_id();
    std::atomic<int> elsewhere{0};
    uint32_t cpu;
  } job;
  job.cpu = cpu;
  for (int i = 0; i < 20; ++i)
    pool.run(
        [](void *argument, void *, int64_t, int64_t) {
          auto *job = static_cast<Job *>(argument);
          if (std::this_thread::get_id() != job->caller && uint32_t(sched_getcpu()) != job->cpu)
            ++job->elsewhere;
        },
        &job, 200, nullptr, nullptr);
  EXPECT_EQ(job.elsewhere.load(), 0);

  ThreadPool impossible(kHeap);
  uint32_t none = CPU_SETSIZE - 1;
  if (!CPU_ISSET(none, &allowed)) {
    Status status = impossible.start(2, 100, &none, 1);
    EXPECT_EQ(status.code(), MSA_INVALID_ARGUMENT);
    EXPECT_NE(std::string(status.message()).find("cannot pin worker 1 to processor 1023"), std::string::npos) << status.message();
  }
}

} // namespace

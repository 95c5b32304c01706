// SPDX-License-Identifier: Apache-2.0

#include "test_program.h"

#include <numeric>

using namespace msa::test;

namespace {

struct Fixture : ::testing::Test {
  void SetUp() override {
    expectOk(msa_runtime_create(nullptr, &runtime));
    int64_t rowShape[] = {3, 2};
    expectOk(msa_buffer_create(runtime, MSA_I64, 2, rowShape, &buffer));
  }
  void TearDown() override {
    msa_buffer_release(buffer);
    msa_runtime_release(runtime);
  }
  msa_runtime *runtime = nullptr;
  msa_buffer *buffer = nullptr;
};

TEST_F(Fixture, StartsEmptyWithItsShape) {
  msa_tensor tensor;
  msa_buffer_tensor(buffer, &tensor);
  EXPECT_EQ(tensor.rank, 3u);
  EXPECT_EQ(tensor.shape[0], 0);
  EXPECT_EQ(tensor.shape[1], 3);
  EXPECT_EQ(tensor.shape[2], 2);
  EXPECT_EQ(tensor.type, MSA_I64);
}

TEST_F(Fixture, KeepsRowsWhileItGrowsAndGrowsSeldom) {
  std::vector<int64_t> all(6 * 3000);
  std::iota(all.begin(), all.end(), 0);
  int moves = 0;
  msa_tensor tensor;
  void *place = nullptr;
  for (int row = 0; row < 3000; ++row) {
    expectOk(msa_buffer_append(buffer, all.data() + row * 6, 1));
    msa_buffer_tensor(buffer, &tensor);
    moves += tensor.data != place;
    place = tensor.data;
    ASSERT_EQ(reinterpret_cast<uintptr_t>(place) % 64, 0u);
  }
  EXPECT_EQ(std::memcmp(place, all.data(), all.size() * 8), 0);
  EXPECT_LT(moves, 30) << "growth is not geometric";
  expectOk(msa_buffer_truncate(buffer, 10));
  EXPECT_EQ(msa_buffer_rows(buffer), 10);
  expectOk(msa_buffer_append(buffer, all.data(), 1));
  msa_buffer_tensor(buffer, &tensor);
  EXPECT_EQ(tensor.data, place) << "truncate gave memory away";
}

TEST_F(Fixture, ReservesOnce) {
  expectOk(msa_buffer_reserve(buffer, 100));
  EXPECT_GE(msa_buffer_capacity_rows(buffer), 100);
  msa_tensor before, after;
  msa_buffer_tensor(buffer, &before);
  std::vector<int64_t> rows(600);
  expectOk(msa_buffer_append(buffer, rows.data(), 100));
  msa_buffer_tensor(buffer, &after);
  EXPECT_EQ(before.data, after.data);
}

TEST_F(Fixture, RefusesNonsense) {
  EXPECT_MESSAGE(msa_buffer_append(buffer, nullptr, -1), MSA_INVALID_ARGUMENT, "cannot add -1 rows");
  EXPECT_MESSAGE(msa_buffer_append(buffer, nullptr, 1), MSA_INVALID_ARGUMENT, "data is null");
  EXPECT_MESSAGE(msa_buffer_truncate(buffer, 1), MSA_INVALID_ARGUMENT, "cannot leave 1 of 0 rows");
  EXPECT_MESSAGE(msa_buffer_reserve(buffer, -1), MSA_INVALID_ARGUMENT, "cannot have -1 rows");
  EXPECT_MESSAGE(msa_buffer_reserve(buffer, INT64_MAX), MSA_OUT_OF_MEMORY, "out of memory");
  EXPECT_MESSAGE(msa_buffer_reserve(buffer, int64_t(1) << 58), MSA_OUT_OF_MEMORY, "out of memory");
  msa_buffer *made = nullptr;
  int64_t zero[] = {0}, huge[] = {INT64_MAX, INT64_MAX};
  EXPECT_MESSAGE(msa_buffer_create(runtime, MSA_F32, 1, zero, &made), MSA_INVALID_ARGUMENT, "dim 0 of a row is 0");
  EXPECT_MESSAGE(msa_buffer_create(runtime, MSA_F32, 2, huge, &made), MSA_INVALID_ARGUMENT, "less than 2^63 bytes");
  EXPECT_MESSAGE(msa_buffer_create(runtime, MSA_F32, 8, huge, &made), MSA_INVALID_ARGUMENT, "row rank is 8, expected at most 7");
  EXPECT_MESSAGE(msa_buffer_create(runtime, msa_element_type(77), 0, nullptr, &made), MSA_INVALID_ARGUMENT, "not an element type");
  EXPECT_EQ(made, nullptr);
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
//
// Entries run through the C interface: what comes out, and what is said when it cannot.

#include "test_program.h"

#include <atomic>
#include <numeric>
#include <thread>

using namespace msa::test;

namespace {

std::vector<float> ramp(size_t count, float first = 0) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

class InvocationTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(InvocationTest, AddsTensorsOfAnyLength) {
  TestProgram program(GetParam());
  Invocation add(program, "add");
  for (int64_t n : {0, 1, 15, 16, 17, 1000, 100000, 3}) {
    std::vector<float> a = ramp(size_t(n)), b = ramp(size_t(n), 5);
    bind(add, 0, a, {n});
    bind(add, 1, b, {n});
    expectOk(msa_invocation_run(add, nullptr));
    std::vector<int64_t> shape;
    std::vector<float> c = output<float>(add, 0, &shape);
    ASSERT_EQ(shape, std::vector<int64_t>{n});
    for (int64_t i = 0; i < n; ++i)
      ASSERT_EQ(c[size_t(i)], float(2 * i + 5)) << i << " of " << n;
  }
}

TEST_P(InvocationTest, ReadsConstants) {
  TestProgram program(GetParam());
  Invocation add(program, "add_constant");
  std::vector<float> x(16, 100);
  bind(add, 0, x, {16});
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(output<float>(add, 0), ramp(16, 100));
}

TEST_P(InvocationTest, AppliesRelocations) {
  TestProgram program(GetParam());
  Invocation relocated(program, "relocated");
  std::vector<float> x = {1, 1, 2, 2, 3};
  bind(relocated, 0, x, {5});
  expectOk(msa_invocation_run(relocated, nullptr));
  EXPECT_EQ(output<float>(relocated, 0), (std::vector<float>{2, 3, 4, 6, 6}));
}

TEST_P(InvocationTest, KeepsIntermediateValuesApart) {
  TestProgram program(GetParam());
  Invocation chain(program, "chain");
  std::vector<float> x = ramp(5000);
  bind(chain, 0, x, {5000});
  for (int run = 0; run < 4; ++run) {
    expectOk(msa_invocation_run(chain, nullptr));
    std::vector<float> y = output<float>(chain, 0);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(y[i], 8 * x[i]);
  }
}

TEST_P(InvocationTest, ReturnsLengthsThatDependOnData) {
  TestProgram program(GetParam());
  Invocation keep(program, "keep_positive");
  std::vector<float> values = {1, -2, 3, 0, 5, -6};
  bind(keep, 0, values, {6});
  expectOk(msa_invocation_run(keep, nullptr));
  std::vector<int64_t> shape;
  EXPECT_EQ(output<float>(keep, 0, &shape), (std::vector<float>{1, 3, 5}));
  EXPECT_EQ(shape, std::vector<int64_t>{3});
  values.assign(6, -1);
  expectOk(msa_invocation_run(keep, nullptr));
  EXPECT_TRUE(output<float>(keep, 0).empty());
}

TEST_P(InvocationTest, GivesEveryWorkerItsOwnScratch) {
  TestProgram program(GetParam());
  Invocation scratch(program, "scratch");
  std::vector<int64_t> like(2000), expected(2000);
  std::iota(expected.begin(), expected.end(), 0);
  bind(scratch, 0, like, {2000});
  for (int run = 0; run < 10; ++run) {
    expectOk(msa_invocation_run(scratch, nullptr));
    ASSERT_EQ(output<int64_t>(scratch, 0), expected);
  }
}

TEST_P(InvocationTest, ReadsBanksAsSpans) {
  TestProgram program(GetParam());
  Invocation sum(program, "sum_rows");
  std::vector<float> first(3 * 8, 1), second(8, 2), third(2 * 8, 3);
  msa_tensor shape = tensorOf(first, {0, 8});
  msa_row_span spans[] = {{first.data(), 3}, {nullptr, 0}, {second.data(), 1}, {third.data(), 2}};
  expectOk(msa_invocation_bind_input_spans(sum, 0, &shape, spans, 4));
  expectOk(msa_invocation_run(sum, nullptr));
  EXPECT_EQ(output<float>(sum, 0), (std::vector<float>{8, 8, 8, 16, 24, 24}));
  // The same rows as one tensor, and an empty bank.
  bind(sum, 0, third, {2, 8});
  expectOk(msa_invocation_run(sum, nullptr));
  EXPECT_EQ(output<float>(sum, 0), (std::vector<float>{24, 24}));
  expectOk(msa_invocation_bind_input_spans(sum, 0, &shape, nullptr, 0));
  expectOk(msa_invocation_run(sum, nullptr));
  EXPECT_TRUE(output<float>(sum, 0).empty());
}

TEST_P(InvocationTest, GrowsACacheInPlace) {
  TestProgram program(GetParam());
  Invocation append(program, "append");
  int64_t rowShape[] = {4};
  msa_buffer *cache = nullptr;
  expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &cache));
  expectOk(msa_invocation_bind_input_buffer(append, 0, cache));
  expectOk(msa_invocation_bind_output_buffer(append, 0, cache));
  int64_t total = 0;
  for (int64_t m : {1, 3, 0, 50, 1, 1, 200}) {
    std::vector<float> rows = ramp(size_t(m) * 4, float(total * 4));
    bind(append, 1, rows, {m, 4});
    bool fits = total + m <= msa_buffer_capacity_rows(cache);
    msa_tensor before, after;
    msa_buffer_tensor(cache, &before);
    expectOk(msa_invocation_run(append, nullptr));
    total += m;
    ASSERT_EQ(msa_buffer_rows(cache), total);
    msa_buffer_tensor(cache, &after);
    if (fits) {
      EXPECT_EQ(before.data, after.data) << "a cache with room moved";
    }
    std::vector<int64_t> shape;
    ASSERT_EQ(output<float>(append, 0, &shape), ramp(size_t(total) * 4)) << total;
    ASSERT_EQ(shape, (std::vector<int64_t>{total, 4}));
  }
  msa_buffer_release(cache);
}

TEST_P(InvocationTest, GivesTheSameResultWhetherACacheIsSharedOrNot) {
  TestProgram program(GetParam());
  Invocation append(program, "append");
  std::vector<float> cache = ramp(8), rows = ramp(4, 100);
  bind(append, 0, cache, {2, 4});
  bind(append, 1, rows, {1, 4});
  expectOk(msa_invocation_run(append, nullptr));
  std::vector<float> expected = cache;
  expected.insert(expected.end(), rows.begin(), rows.end());
  EXPECT_EQ(output<float>(append, 0), expected);
  // The caller's own memory for both, at one address.
  FileBytes memory(std::vector<uint8_t>(4096));
  std::memcpy(memory.data(), cache.data(), 32);
  msa_tensor shared = tensorOf(cache, {2, 4});
  shared.data = memory.data();
  expectOk(msa_invocation_bind_input(append, 0, &shared));
  expectOk(msa_invocation_bind_output(append, 0, memory.data(), 4096));
  expectOk(msa_invocation_run(append, nullptr));
  EXPECT_EQ(output<float>(append, 0), expected);
}

INSTANTIATE_TEST_SUITE_P(Threads, InvocationTest, ::testing::Values(1u, 2u, 4u), ::testing::PrintToStringParamName());

//===----------------------------------------------------------------------===//
// Refusals
//===----------------------------------------------------------------------===//

TEST(InvocationRefusals, UnboundInput) {
  TestProgram program;
  Invocation add(program, "add");
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_FAILED_PRECONDITION, "input 'a' is not bound");
}

TEST(InvocationRefusals, DimsThatDisagree) {
  TestProgram program;
  Invocation add(program, "add");
  std::vector<float> a(4), b(5);
  bind(add, 0, a, {4});
  bind(add, 1, b, {5});
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_INVALID_ARGUMENT,
                 "entry 'add': input 'b': dim 0 (N): expected 4 as in input 'a', found 5");
}

TEST(InvocationRefusals, WrongTypeRankAndShape) {
  TestProgram program;
  Invocation add(program, "add_constant");
  std::vector<float> x(32);
  std::vector<int64_t> integers(16);
  msa_tensor tensor = tensorOf(integers, {16});
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 0, &tensor), MSA_INVALID_ARGUMENT, "expected elements of type f32, found i64");
  tensor = tensorOf(x, {16, 1});
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 0, &tensor), MSA_INVALID_ARGUMENT, "expected rank 1, found 2");
  tensor = tensorOf(x, {17});
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 0, &tensor), MSA_INVALID_ARGUMENT, "dim 0: expected 16, found 17");
  tensor = tensorOf(x, {-1});
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 0, &tensor), MSA_INVALID_ARGUMENT, "dim 0: expected 16, found -1");
  tensor = tensorOf(x, {16});
  tensor.data = nullptr;
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 0, &tensor), MSA_INVALID_ARGUMENT, "data is null");
  tensor.data = reinterpret_cast<char *>(x.data()) + 1;
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 0, &tensor), MSA_INVALID_ARGUMENT, "not aligned");
  EXPECT_MESSAGE(msa_invocation_bind_input(add, 7, &tensor), MSA_INVALID_ARGUMENT, "there is no number 7");
}

TEST(InvocationRefusals, DimsWhoseProductOverflows) {
  TestProgram program;
  Invocation append(program, "append");
  std::vector<float> rows(4);
  msa_tensor tensor = tensorOf(rows, {INT64_MAX / 2, 4});
  EXPECT_MESSAGE(msa_invocation_bind_input(append, 1, &tensor), MSA_INVALID_ARGUMENT, "more than 2^63 bytes");
  Invocation sum(program, "sum_rows");
  msa_tensor shape = tensorOf(rows, {0, 8});
  msa_row_span spans[] = {{rows.data(), INT64_MAX / 2}, {rows.data(), INT64_MAX / 2}, {rows.data(), 9}};
  EXPECT_MESSAGE(msa_invocation_bind_input_spans(sum, 0, &shape, spans, 3), MSA_INVALID_ARGUMENT, "span 0");
}

TEST(InvocationRefusals, OutputMemoryThatIsTooSmall) {
  TestProgram program;
  Invocation add(program, "add");
  std::vector<float> a(100), b(100);
  bind(add, 0, a, {100});
  bind(add, 1, b, {100});
  FileBytes memory(std::vector<uint8_t>(4096, 0xee));
  expectOk(msa_invocation_bind_output(add, 0, memory.data(), 399));
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_TOO_SMALL,
                 "output 'c' needs 400 bytes, the memory bound to it has 399");
  EXPECT_EQ(memory.data()[0], 0xee) << "written in spite of the failure";
  expectOk(msa_invocation_bind_output(add, 0, memory.data(), 400));
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(memory.data()[400], 0xee) << "written past the end";
}

TEST(InvocationRefusals, MemoryThatIsSharedButNotAliased) {
  TestProgram program;
  FileBytes memory(std::vector<uint8_t>(4096));
  Invocation add(program, "add");
  std::vector<float> a(16);
  msa_tensor tensor = tensorOf(a, {16});
  bind(add, 0, a, {16});
  tensor.data = memory.data() + 128;
  expectOk(msa_invocation_bind_input(add, 1, &tensor));
  expectOk(msa_invocation_bind_output(add, 0, memory.data() + 64, 128));
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_INVALID_ARGUMENT,
                 "output 'c' is bound to memory of input 'b', which it does not alias");
  // The same buffer on both sides of a pair that does not alias: refused, and it keeps its rows.
  int64_t rowShape[] = {4};
  msa_buffer *buffer = nullptr;
  expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &buffer));
  expectOk(msa_buffer_append(buffer, a.data(), 2));
  Invocation append(program, "append");
  bind(append, 0, a, {4, 4});
  expectOk(msa_invocation_bind_input_buffer(append, 1, buffer));
  expectOk(msa_invocation_bind_output_buffer(append, 0, buffer));
  EXPECT_MESSAGE(msa_invocation_run(append, nullptr), MSA_INVALID_ARGUMENT, "memory of input 'rows', which it does not alias");
  EXPECT_EQ(msa_buffer_rows(buffer), 2);
  // The aliased input as a plain view of the buffer: growth would move it away underneath.
  msa_tensor view;
  msa_buffer_tensor(buffer, &view);
  expectOk(msa_invocation_bind_input(append, 0, &view));
  bind(append, 1, a, {4, 4});
  EXPECT_MESSAGE(msa_invocation_run(append, nullptr), MSA_INVALID_ARGUMENT, "may share only as a whole");
  EXPECT_EQ(msa_buffer_rows(buffer), 2);
  msa_buffer_release(buffer);
}

TEST(InvocationRefusals, BuffersOfAnotherShape) {
  TestProgram program;
  Invocation append(program, "append");
  int64_t rowShape[] = {5};
  msa_buffer *buffer = nullptr;
  expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &buffer));
  EXPECT_MESSAGE(msa_invocation_bind_input_buffer(append, 0, buffer), MSA_INVALID_ARGUMENT, "dim 1: expected 4, found 5");
  EXPECT_MESSAGE(msa_invocation_bind_output_buffer(append, 0, buffer), MSA_INVALID_ARGUMENT, "dim 1: expected 4, found 5");
  msa_buffer_release(buffer);
}

TEST(InvocationRefusals, SpansWhereRowsMustLieTogether) {
  TestProgram program;
  Invocation append(program, "append");
  std::vector<float> rows(16);
  msa_tensor shape = tensorOf(rows, {0, 4});
  msa_row_span spans[] = {{rows.data(), 1}, {rows.data() + 8, 1}};
  EXPECT_MESSAGE(msa_invocation_bind_input_spans(append, 1, &shape, spans, 2), MSA_INVALID_ARGUMENT,
                 "expected its rows in one place, found 2 spans");
  expectOk(msa_invocation_bind_input_spans(append, 1, &shape, spans, 1));
}

TEST(InvocationRefusals, OutputsThatAreGone) {
  TestProgram program;
  Invocation add(program, "add_constant"), other(program, "add_constant");
  msa_tensor tensor;
  EXPECT_MESSAGE(msa_invocation_output(add, 0, &tensor), MSA_FAILED_PRECONDITION, "no run has produced it");
  std::vector<float> x(16);
  bind(add, 0, x, {16});
  bind(other, 0, x, {16});
  expectOk(msa_invocation_run(add, nullptr));
  expectOk(msa_invocation_output(add, 0, &tensor));
  expectOk(msa_invocation_run(other, nullptr));
  EXPECT_MESSAGE(msa_invocation_output(add, 0, &tensor), MSA_FAILED_PRECONDITION, "has run again or been trimmed since");
  expectOk(msa_invocation_output(other, 0, &tensor));
  msa_context_trim(program.context);
  EXPECT_MESSAGE(msa_invocation_output(other, 0, &tensor), MSA_FAILED_PRECONDITION, "has run again or been trimmed since");
}

TEST(InvocationRefusals, OptionsThatWereNotInitialized) {
  TestProgram program;
  Invocation add(program, "add");
  msa_run_options options = {};
  EXPECT_MESSAGE(msa_invocation_run(add, &options), MSA_INVALID_ARGUMENT, "call msa_run_options_initialize first");
}

//===----------------------------------------------------------------------===//
// Cancel, progress, profile
//===----------------------------------------------------------------------===//

struct Spin {
  Spin(const TestProgram &program, int64_t tileCount, int64_t roundCount)
      : invocation(program, "spin"), tiles{tileCount}, rounds{roundCount} {
    bind(invocation, 0, tiles, {1});
    bind(invocation, 1, rounds, {1});
  }
  Invocation invocation;
  std::vector<int64_t> tiles, rounds;
};

TEST(Cancel, StopsARunFromAnotherThread) {
  for (uint32_t threads : {1u, 2u}) {
    TestProgram program(threads);
    Spin spin(program, 1 << 26, 300); // half a minute, if it were not stopped
    msa_cancel_token *token = nullptr;
    expectOk(msa_cancel_token_create(program.runtime, &token));
    msa_run_options options;
    msa_run_options_initialize(&options);
    options.cancel = token;
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      msa_cancel_token_cancel(token);
    });
    auto start = std::chrono::steady_clock::now();
    EXPECT_MESSAGE(msa_invocation_run(spin.invocation, &options), MSA_CANCELLED, "entry 'spin' was cancelled at command");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    stopper.join();
    // The context is usable afterwards.
    msa_cancel_token_reset(token);
    spin.tiles[0] = 3;
    expectOk(msa_invocation_run(spin.invocation, &options));
    EXPECT_EQ(output<int64_t>(spin.invocation, 0), std::vector<int64_t>{3});
    msa_cancel_token_release(token);
  }
}

TEST(Cancel, LeavesACacheAsItWas) {
  TestProgram program;
  Invocation append(program, "append");
  int64_t rowShape[] = {4};
  msa_buffer *cache = nullptr;
  expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &cache));
  std::vector<float> rows = ramp(8);
  expectOk(msa_buffer_append(cache, rows.data(), 2));
  expectOk(msa_invocation_bind_input_buffer(append, 0, cache));
  expectOk(msa_invocation_bind_output_buffer(append, 0, cache));
  bind(append, 1, rows, {2, 4});
  msa_cancel_token *token = nullptr;
  expectOk(msa_cancel_token_create(program.runtime, &token));
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.progress = [](void *, uint32_t, uint32_t) { return 1; }; // after the dispatch: the rows have been written
  EXPECT_MESSAGE(msa_invocation_run(append, &options), MSA_CANCELLED, "cancelled");
  EXPECT_EQ(msa_buffer_rows(cache), 2);
  msa_tensor tensor;
  msa_buffer_tensor(cache, &tensor);
  EXPECT_EQ(std::memcmp(tensor.data, rows.data(), 32), 0);
  msa_cancel_token_release(token);
  msa_buffer_release(cache);
}

TEST(Progress, IsReportedAndRefusesReentry) {
  TestProgram program;
  Invocation add(program, "add_constant");
  std::vector<float> x(16);
  bind(add, 0, x, {16});
  struct Seen {
    msa_invocation *invocation;
    uint32_t done = 0, total = 0;
    msa_code nested = MSA_OK;
  } seen{add};
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.progress_user = &seen;
  options.progress = [](void *user, uint32_t done, uint32_t total) {
    auto *seen = static_cast<Seen *>(user);
    seen->done = done;
    seen->total = total;
    msa_status *status = msa_invocation_run(seen->invocation, nullptr);
    seen->nested = msa_status_code(status);
    msa_status_release(status);
    return 0;
  };
  expectOk(msa_invocation_run(add, &options));
  EXPECT_EQ(seen.done, seen.total);
  EXPECT_GT(seen.total, 0u);
  EXPECT_EQ(seen.nested, MSA_FAILED_PRECONDITION);
}

TEST(Profile, HasAnEventForEveryCommandAndOneForTheRun) {
  TestProgram program;
  Invocation add(program, "add");
  std::vector<float> a(100), b(100);
  bind(add, 0, a, {100});
  bind(add, 1, b, {100});
  msa_profile *profile = nullptr;
  expectOk(msa_profile_create(program.runtime, &profile));
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.profile = profile;
  expectOk(msa_invocation_run(add, &options));
  ASSERT_EQ(msa_profile_event_count(profile), 7u); // 2 const, 2 binary, alloc, dispatch; run
  msa_profile_event event;
  ASSERT_TRUE(msa_profile_get_event(profile, 5, &event));
  EXPECT_STREQ(event.command, "dispatch");
  EXPECT_STREQ(event.name, "test_add");
  EXPECT_STREQ(event.location, "/add/Add");
  EXPECT_EQ(event.tiles, 7);
  EXPECT_GE(event.duration_ns, 0);
  std::string path = std::string(MSA_TEST_DIR) + "/profile.json";
  expectOk(msa_profile_write(profile, path.c_str()));
  std::vector<uint8_t> bytes = readFile(path);
  std::string text(bytes.begin(), bytes.end());
  EXPECT_NE(text.find("\"name\":\"test_add\""), std::string::npos) << text;
  EXPECT_FALSE(msa_profile_get_event(profile, 7, &event));
  msa_profile_clear(profile);
  EXPECT_EQ(msa_profile_event_count(profile), 0u);
  EXPECT_MESSAGE(msa_profile_write(profile, "/nonexistent/profile.json"), MSA_IO, "cannot write");
  msa_profile_release(profile);
}

} // namespace

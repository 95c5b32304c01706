// SPDX-License-Identifier: Apache-2.0
//
// The host's allocator: what a steady state asks of it (nothing), and what happens when it refuses any one request.

#include "test_program.h"

#include <atomic>
#include <cstdlib>
#include <numeric>

using namespace msa::test;

namespace {

struct Host {
  std::atomic<size_t> calls{0}, live{0};
  size_t refuseFrom = SIZE_MAX; // the request with this number and all after it
  size_t refuseTo = SIZE_MAX;

  msa_allocator get() {
    return {this,
            [](void *user, size_t size, size_t alignment) -> void * {
              auto *self = static_cast<Host *>(user);
              size_t number = self->calls++;
              if (size == 0 || (number >= self->refuseFrom && number < self->refuseTo))
                return nullptr;
              self->live += size;
              void *pointer = nullptr;
              return posix_memalign(&pointer, alignment < 16 ? 16 : alignment, size) == 0 ? pointer : nullptr;
            },
            [](void *user, void *pointer, size_t size, size_t) {
              static_cast<Host *>(user)->live -= size;
              std::free(pointer);
            }};
  }
};

TEST(Allocation, ASteadyStateAllocatesNothing) {
  for (uint32_t threads : {1u, 3u}) {
    Host host;
    {
      TestProgram program(threads, testArtifact(), host.get());
      Invocation chain(program, "chain"), append(program, "append"), keep(program, "keep_positive"), sum(program, "sum_rows"),
          scratch(program, "scratch");
      std::vector<float> x(3000, 1), rows(4), bank(8 * 5);
      std::vector<int64_t> like(100);
      int64_t rowShape[] = {4};
      msa_buffer *cache = nullptr;
      expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &cache));
      expectOk(msa_buffer_reserve(cache, 10000));
      expectOk(msa_invocation_bind_input_buffer(append, 0, cache));
      expectOk(msa_invocation_bind_output_buffer(append, 0, cache));
      msa_cancel_token *token = nullptr;
      expectOk(msa_cancel_token_create(program.runtime, &token));
      msa_run_options options;
      msa_run_options_initialize(&options);
      options.cancel = token;
      size_t settled = 0;
      for (int round = 0; round < 12; ++round) {
        if (round == 3)
          settled = host.calls;
        bind(chain, 0, x, {3000});
        expectOk(msa_invocation_run(chain, &options));
        bind(append, 1, rows, {1, 4});
        expectOk(msa_invocation_run(append, &options));
        bind(keep, 0, x, {1 + round * 10}); // smaller than the largest is free
        expectOk(msa_invocation_run(keep, &options));
        msa_tensor shape = tensorOf(bank, {0, 8});
        msa_row_span spans[] = {{bank.data(), 2}, {bank.data() + 16, 3}};
        expectOk(msa_invocation_bind_input_spans(sum, 0, &shape, spans, 2));
        expectOk(msa_invocation_run(sum, &options));
        bind(scratch, 0, like, {100});
        expectOk(msa_invocation_run(scratch, &options));
      }
      EXPECT_EQ(host.calls, settled) << threads << " threads";
      msa_cancel_token_release(token);
      msa_buffer_release(cache);
    }
    EXPECT_EQ(host.live, 0u) << "leaked";
  }
}

/// Everything an app does, stopping at the first failure. Returns whether it came to the end.
bool useEverything(Host &host, const FileBytes &file, msa_code *code) {
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  msa_context *context = nullptr;
  msa_invocation *invocation = nullptr, *sum = nullptr;
  msa_buffer *cache = nullptr;
  msa_profile *profile = nullptr;
  msa_cancel_token *token = nullptr;
  std::vector<float> rows(400, 1), bank(16);
  *code = MSA_OK;
  auto ok = [&](msa_status *status) {
    if (!status)
      return true;
    *code = msa_status_code(status);
    EXPECT_NE(msa_status_message(status)[0], 0);
    msa_status_release(status);
    return false;
  };
  msa_runtime_options options;
  msa_runtime_options_initialize(&options);
  options.thread_count = 2;
  options.allocator = host.get();
  msa_run_options run;
  msa_run_options_initialize(&run);
  int64_t rowShape[] = {4};
  uint32_t append = 0, sumRows = 0;
  msa_tensor rowsTensor = tensorOf(rows, {100, 4}), bankShape = tensorOf(bank, {0, 8});
  msa_row_span spans[] = {{bank.data(), 1}, {bank.data() + 8, 1}};
  bool done = ok(msa_runtime_create(&options, &runtime)) &&
              ok(msa_program_load_memory(runtime, file.data(), file.size(), nullptr, &program)) &&
              ok(msa_context_create(program, &context)) && msa_program_find_entry(program, "append", &append) &&
              msa_program_find_entry(program, "sum_rows", &sumRows) && ok(msa_invocation_create(context, append, &invocation)) &&
              ok(msa_invocation_create(context, sumRows, &sum)) &&
              ok(msa_buffer_create(runtime, MSA_F32, 1, rowShape, &cache)) && ok(msa_profile_create(runtime, &profile)) &&
              ok(msa_cancel_token_create(runtime, &token)) && ok(msa_buffer_append(cache, rows.data(), 1)) &&
              ok(msa_invocation_bind_input_buffer(invocation, 0, cache)) &&
              ok(msa_invocation_bind_input(invocation, 1, &rowsTensor)) &&
              ok(msa_invocation_bind_output_buffer(invocation, 0, cache)) &&
              ok(msa_invocation_bind_input_spans(sum, 0, &bankShape, spans, 2));
  for (int i = 0; i < 3 && done; ++i) {
    int64_t before = msa_buffer_rows(cache);
    done = ok(msa_invocation_run(invocation, &run));
    EXPECT_EQ(msa_buffer_rows(cache), done ? before + 100 : before) << "a failed run changed the cache";
    done = done && ok(msa_invocation_unbind_output(invocation, 0)) && ok(msa_invocation_run(invocation, &run)) &&
           ok(msa_invocation_bind_output_buffer(invocation, 0, cache)) && ok(msa_invocation_run(sum, &run));
  }
  msa_invocation_release(invocation);
  msa_invocation_release(sum);
  msa_buffer_release(cache);
  msa_profile_release(profile);
  msa_cancel_token_release(token);
  msa_context_release(context);
  msa_program_release(program);
  msa_runtime_release(runtime);
  EXPECT_EQ(host.live, 0u) << "leaked";
  return done;
}

TEST(Allocation, EveryRequestMayFail) {
  FileBytes file(testArtifact().write());
  msa_code code;
  size_t requests = 0;
  {
    Host host;
    ASSERT_TRUE(useEverything(host, file, &code));
    requests = host.calls;
  }
  ASSERT_GT(requests, 40u);
  for (size_t from = 0; from < requests; ++from) {
    Host host; // this one and all after it
    host.refuseFrom = from;
    if (!useEverything(host, file, &code)) {
      EXPECT_EQ(code, MSA_OUT_OF_MEMORY) << "request " << from;
    }
  }
  size_t survived = 0;
  for (size_t from = 0; from < requests; ++from) {
    Host host; // this one only
    host.refuseFrom = from;
    host.refuseTo = from + 1;
    if (useEverything(host, file, &code))
      ++survived; // a block of the arena that was larger than needed
    else
      EXPECT_EQ(code, MSA_OUT_OF_MEMORY) << "request " << from;
  }
  EXPECT_LT(survived, requests / 4);
}

// ExecuTorch's idea: raise the budget a little at a time until loading succeeds, so that every path of running out is taken.
TEST(Allocation, LoadSucceedsOnceThereIsEnough) {
  FileBytes file(testArtifact().write());
  struct Budget {
    size_t left;
  };
  bool succeeded = false;
  for (size_t budget = 0; budget < (4u << 20) && !succeeded; budget += 509) {
    Budget state{budget};
    msa_runtime_options options;
    msa_runtime_options_initialize(&options);
    options.thread_count = 1;
    options.allocator = {&state,
                         [](void *user, size_t size, size_t alignment) -> void * {
                           auto *state = static_cast<Budget *>(user);
                           if (size > state->left)
                             return nullptr;
                           state->left -= size;
                           void *pointer = nullptr;
                           return posix_memalign(&pointer, alignment < 16 ? 16 : alignment, size) == 0 ? pointer : nullptr;
                         },
                         [](void *user, void *pointer, size_t size, size_t) {
                           static_cast<Budget *>(user)->left += size;
                           std::free(pointer);
                         }};
    msa_runtime *runtime = nullptr;
    msa_program *program = nullptr;
    msa_status *status = msa_runtime_create(&options, &runtime);
    if (!status)
      status = msa_program_load_memory(runtime, file.data(), file.size(), nullptr, &program);
    succeeded = status == nullptr;
    if (status) {
      EXPECT_EQ(msa_status_code(status), MSA_OUT_OF_MEMORY);
    }
    msa_status_release(status);
    msa_program_release(program);
    msa_runtime_release(runtime);
    EXPECT_EQ(state.left, budget) << "leaked";
  }
  EXPECT_TRUE(succeeded);
}

TEST(Allocation, RefusesHalfAnAllocator) {
  msa_runtime_options options;
  msa_runtime_options_initialize(&options);
  options.allocator.allocate = [](void *, size_t, size_t) -> void * { return nullptr; };
  msa_runtime *runtime = nullptr;
  EXPECT_MESSAGE(msa_runtime_create(&options, &runtime), MSA_INVALID_ARGUMENT, "both functions of the allocator or neither");
  msa_runtime_options_initialize(&options);
  options.thread_count = 5000;
  EXPECT_MESSAGE(msa_runtime_create(&options, &runtime), MSA_INVALID_ARGUMENT, "thread_count is 5000, expected at most 1024");
  options.struct_size = 8;
  EXPECT_MESSAGE(msa_runtime_create(&options, &runtime), MSA_INVALID_ARGUMENT, "call msa_runtime_options_initialize first");
}

} // namespace

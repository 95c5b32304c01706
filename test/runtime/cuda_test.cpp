// SPDX-License-Identifier: Apache-2.0
//
// Commands on a CUDA device, under the stand-in driver: every entry of the test artifact gives what it gives on the CPU, and every
// field of a launch table does what it says.

#include "cuda_program.h"

#include <cmath>
#include <numeric>
#include <thread>

using namespace msa::test;

namespace {

using Cuda = StandInTest;

TEST_F(Cuda, RunsOnTheDeviceThatWasAskedFor) {
  CudaProgram program;
  EXPECT_EQ(msa_program_device(program.program), MSA_DEVICE_CUDA);
  EXPECT_STREQ(msa_program_device_name(program.program), "PTX emulator, sm_90");
  EXPECT_STREQ(msa_program_variant(program.program), "cuda:sm_80");
  EXPECT_TRUE(msa_program_variant_supported(program.program, 0));
  EXPECT_FALSE(msa_program_variant_supported(program.program, 1));
}

TEST_F(Cuda, AddsWhatTheCpuAdds) {
  CudaProgram program;
  Invocation add(program, "add");
  uint64_t launches = StandIn::launches();
  for (int64_t n : {1, 64, 1000, 0, 33}) {
    std::vector<float> a(n), b(n), expected(n);
    for (int64_t i = 0; i < n; ++i) {
      a[i] = float(i);
      b[i] = float(7 * i);
      expected[i] = float(8 * i);
    }
    bind(add, 0, a, {n});
    bind(add, 1, b, {n});
    expectOk(msa_invocation_run(add, nullptr));
    std::vector<int64_t> shape;
    EXPECT_EQ(output<float>(add, 0, &shape), expected) << n;
    EXPECT_EQ(shape, std::vector<int64_t>{n});
  }
  EXPECT_EQ(StandIn::launches() - launches, 4u) << "no tiles, no launch";
}

TEST_F(Cuda, TakesLargeInputsAndOutputsStraight) {
  CudaProgram program;
  Invocation add(program, "add");
  int64_t n = (5 << 20) / 4;
  std::vector<float> a(n, 1), b(n, 2);
  void *memory = std::aligned_alloc(64, size_t(n) * 4);
  bind(add, 0, a, {n});
  bind(add, 1, b, {n});
  expectOk(msa_invocation_bind_output(add, 0, memory, size_t(n) * 4));
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(output<float>(add, 0), std::vector<float>(n, 3));
  std::free(memory);
}

TEST_F(Cuda, WritesToMemoryOfTheCaller) {
  CudaProgram program;
  Invocation add(program, "add");
  std::vector<float> a(100, 1), b(100, 2);
  alignas(64) float c[100] = {};
  bind(add, 0, a, {100});
  bind(add, 1, b, {100});
  expectOk(msa_invocation_bind_output(add, 0, c, sizeof(c)));
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(c[99], 3.0f);
  expectOk(msa_invocation_bind_output(add, 0, c, 396));
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_TOO_SMALL, "output 'c' needs 400 bytes, the memory bound to it has 396");
}

TEST_F(Cuda, UploadsConstants) {
  CudaProgram program;
  Invocation add(program, "add_constant");
  std::vector<float> x(16, 10), expected(16);
  std::iota(expected.begin(), expected.end(), 10.0f);
  bind(add, 0, x, {16});
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(output<float>(add, 0), expected);
}

TEST_F(Cuda, ReadsSpansInOnePlace) {
  CudaProgram program;
  Invocation sums(program, "sum_rows");
  std::vector<float> rows(30 * 8);
  std::iota(rows.begin(), rows.end(), 0.0f);
  std::vector<float> expected(30);
  for (size_t i = 0; i < rows.size(); ++i)
    expected[i / 8] += rows[i];
  msa_tensor shape = tensorOf(rows, {30, 8});
  msa_row_span spans[] = {{rows.data(), 7}, {rows.data() + 7 * 8, 0}, {rows.data() + 7 * 8, 22}, {rows.data() + 29 * 8, 1}};
  expectOk(msa_invocation_bind_input_spans(sums, 0, &shape, spans, 4));
  expectOk(msa_invocation_run(sums, nullptr));
  EXPECT_EQ(output<float>(sums, 0), expected);
  expectOk(msa_invocation_bind_input_spans(sums, 0, &shape, spans, 0));
  expectOk(msa_invocation_run(sums, nullptr));
  EXPECT_TRUE(output<float>(sums, 0).empty());
  bind(sums, 0, rows, {30, 8});
  expectOk(msa_invocation_run(sums, nullptr));
  EXPECT_EQ(output<float>(sums, 0), expected);
}

// A load of what a kernel wrote waits for it; lengths that depend on data come back.
TEST_F(Cuda, LoadsWhatAKernelCounted) {
  CudaProgram program;
  Invocation keep(program, "keep_positive");
  std::vector<float> values = {-1, 2, 0, 3, -5, 4};
  bind(keep, 0, values, {6});
  for (int i = 0; i < 3; ++i) {
    expectOk(msa_invocation_run(keep, nullptr));
    EXPECT_EQ(output<float>(keep, 0), (std::vector<float>{2, 3, 4}));
  }
  std::vector<float> none = {-1};
  bind(keep, 0, none, {1});
  expectOk(msa_invocation_run(keep, nullptr));
  EXPECT_TRUE(output<float>(keep, 0).empty());
}

TEST_F(Cuda, ReusesMemoryOfTheArenaInOrder) {
  CudaProgram program;
  Invocation chain(program, "chain");
  std::vector<float> x(500);
  std::iota(x.begin(), x.end(), 0.0f);
  bind(chain, 0, x, {500});
  expectOk(msa_invocation_run(chain, nullptr));
  std::vector<float> y = output<float>(chain, 0);
  for (int i = 0; i < 500; ++i)
    ASSERT_EQ(y[i], 8.0f * float(i));
}

TEST_F(Cuda, AllocatesNothingFromTheThirdRunOn) {
  CudaProgram program;
  Invocation chain(program, "chain");
  std::vector<float> x(50000, 1);
  bind(chain, 0, x, {50000});
  for (int i = 0; i < 2; ++i)
    expectOk(msa_invocation_run(chain, nullptr));
  uint64_t before = StandIn::allocations(), held = 0, peak = 0;
  for (int i = 0; i < 3; ++i)
    expectOk(msa_invocation_run(chain, nullptr));
  EXPECT_EQ(StandIn::allocations(), before);
  msa_context_memory(program.context, &held, &peak);
  EXPECT_GE(peak, 50000u * 4 * 3);
  EXPECT_GE(held, peak);
  msa_context_trim(program.context);
  msa_context_memory(program.context, &held, &peak);
  EXPECT_LT(held, 10000u);
  expectOk(msa_invocation_run(chain, nullptr));
  EXPECT_EQ(output<float>(chain, 0)[49999], 8.0f);
}

TEST_F(Cuda, RunsTheRestOfTheTestKernels) {
  CudaProgram program;
  Invocation scratch(program, "scratch"), relocated(program, "relocated"), spin(program, "spin");
  std::vector<int64_t> like(300), expected(300);
  std::iota(expected.begin(), expected.end(), 0);
  bind(scratch, 0, like, {300});
  expectOk(msa_invocation_run(scratch, nullptr));
  EXPECT_EQ(output<int64_t>(scratch, 0), expected);
  std::vector<float> x = {1, 1, 2, 2};
  bind(relocated, 0, x, {4});
  expectOk(msa_invocation_run(relocated, nullptr));
  EXPECT_EQ(output<float>(relocated, 0), (std::vector<float>{2, 3, 4, 6}));
  std::vector<int64_t> tiles = {-5}, rounds = {3};
  bind(spin, 0, tiles, {1});
  bind(spin, 1, rounds, {1});
  EXPECT_MESSAGE(msa_invocation_run(spin, nullptr), MSA_PROGRAM_FAILED, "-5 tiles for kernel 'test_spin'");
  tiles[0] = int64_t(0x23456789abcde);
  expectOk(msa_invocation_run(spin, nullptr));
  EXPECT_EQ(output<int64_t>(spin, 0)[0], tiles[0]) << "both halves of a stored value";
}

TEST_F(Cuda, ChecksWhatTheCpuChecks) {
  CudaProgram program;
  Invocation add(program, "add");
  std::vector<float> a(3), b(4);
  bind(add, 0, a, {3});
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_FAILED_PRECONDITION, "input 'b' is not bound");
  bind(add, 1, b, {4});
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_INVALID_ARGUMENT, "expected 3 as in input 'a', found 4");
}

TEST_F(Cuda, StopsWhenAsked) {
  CudaProgram program;
  Invocation add(program, "add");
  std::vector<float> a(3), b(3);
  bind(add, 0, a, {3});
  bind(add, 1, b, {3});
  msa_cancel_token *token = nullptr;
  expectOk(msa_cancel_token_create(program.runtime, &token));
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.cancel = token;
  msa_cancel_token_cancel(token);
  EXPECT_MESSAGE(msa_invocation_run(add, &options), MSA_CANCELLED, "was cancelled");
  msa_cancel_token_reset(token);
  options.progress = [](void *, uint32_t done, uint32_t) { return int(done == 6); };
  EXPECT_MESSAGE(msa_invocation_run(add, &options), MSA_CANCELLED, "cancelled at command 5");
  options.progress = nullptr;
  expectOk(msa_invocation_run(add, &options));
  msa_cancel_token_release(token);
}

TEST_F(Cuda, ProfilesWithEventsOfTheDevice) {
  CudaProgram program;
  Invocation chain(program, "chain");
  std::vector<float> x(500, 1);
  bind(chain, 0, x, {500});
  msa_profile *profile = nullptr;
  expectOk(msa_profile_create(program.runtime, &profile));
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.profile = profile;
  expectOk(msa_invocation_run(chain, &options));
  int dispatches = 0;
  int64_t end = 0;
  msa_profile_event event;
  for (size_t i = 0; msa_profile_get_event(profile, i, &event); ++i)
    if (std::string(event.command) == "dispatch") {
      ++dispatches;
      EXPECT_STREQ(event.name, "test_add");
      EXPECT_GT(event.duration_ns, 0);
      EXPECT_GE(event.start_ns + 1000, end) << "commands of one stream do not overlap";
      end = event.start_ns + event.duration_ns;
    }
  EXPECT_EQ(dispatches, 3);
  msa_profile_release(profile);
}

TEST_F(Cuda, RunsFromSeveralThreads) {
  CudaProgram program;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      msa_context *context = nullptr;
      msa_invocation *add = nullptr;
      expectOk(msa_context_create(program.program, &context));
      expectOk(msa_invocation_create(context, program.entry("add"), &add));
      std::vector<float> a(100 + t, float(t)), b(100 + t, 1);
      bind(add, 0, a, {100 + t});
      bind(add, 1, b, {100 + t});
      for (int i = 0; i < 5; ++i) {
        expectOk(msa_invocation_run(add, nullptr));
        wrong += output<float>(add, 0) != std::vector<float>(100 + t, float(t + 1));
      }
      msa_invocation_release(add);
      msa_context_release(context);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

//===----------------------------------------------------------------------===//
// What launch tables can say
//===----------------------------------------------------------------------===//

TEST_F(Cuda, TakesTheCaseThatTheScalarsAskFor) {
  CudaProgram program(gpuFeaturesArtifact());
  Invocation cases(program, "cases");
  for (int64_t n : {1, 99, 100, 500}) {
    std::vector<int64_t> like(n);
    bind(cases, 0, like, {n});
    expectOk(msa_invocation_run(cases, nullptr));
    EXPECT_EQ(output<int64_t>(cases, 0), std::vector<int64_t>(n, n < 100 ? 1 : 2)) << n;
  }
}

// Launches of a case share the workspace; its counter is zeroed once, and left at zero by the kernel.
TEST_F(Cuda, KeepsZeroedWorkspace) {
  CudaProgram program(gpuFeaturesArtifact());
  Invocation sums(program, "sums");
  for (int64_t n : {10, 33, 320, 10, 5000, 64}) {
    std::vector<int64_t> x(n);
    std::iota(x.begin(), x.end(), 1);
    bind(sums, 0, x, {n});
    expectOk(msa_invocation_run(sums, nullptr));
    EXPECT_EQ(output<int64_t>(sums, 0), (std::vector<int64_t>{n * (n + 1) / 2, (n + 31) / 32})) << n;
  }
}

TEST_F(Cuda, LaunchesClustersOfAPersistentGrid) {
  set("MSA_PTXEMU_MULTIPROCESSORS", "9");
  CudaProgram program(gpuFeaturesArtifact());
  Invocation clusters(program, "clusters");
  expectOk(msa_invocation_run(clusters, nullptr));
  EXPECT_EQ(output<int64_t>(clusters, 0), (std::vector<int64_t>{8, 108, 8, 108, 8, 108, 8, 108}));
}

TEST_F(Cuda, AsksForLargeSharedMemory) {
  CudaProgram program(gpuFeaturesArtifact());
  Invocation shared(program, "shared");
  expectOk(msa_invocation_run(shared, nullptr));
  std::vector<float> expected(32);
  std::iota(expected.begin(), expected.end(), 0.0f);
  EXPECT_EQ(output<float>(shared, 0), expected);
}

TEST_F(Cuda, MakesTensorMaps) {
  CudaProgram program(gpuFeaturesArtifact());
  Invocation tile(program, "tile");
  for (int64_t rows : {20, 20, 6, 0}) {
    std::vector<float> x(rows * 8);
    std::iota(x.begin(), x.end(), 1.0f);
    std::vector<int64_t> first = {4};
    bind(tile, 0, x, {rows, 8});
    bind(tile, 1, first, {1});
    expectOk(msa_invocation_run(tile, nullptr));
    std::vector<float> expected(32);
    for (int i = 0; i < 32; ++i)
      expected[i] = 32 + i < rows * 8 ? float(33 + i) : 0;
    EXPECT_EQ(output<float>(tile, 0), expected) << rows;
  }
}

TEST_F(Cuda, RefusesGridsThatScalarsSpoil) {
  Artifact artifact = gpuFeaturesArtifact();
  auto &launches = artifact.program.variants[0]->gpu_kernels[0]->cases[0]->launches;
  launches[0]->grid[0]->factor = INT64_MAX;
  CudaProgram program(std::move(artifact));
  Invocation cases(program, "cases");
  std::vector<int64_t> like(2);
  bind(cases, 0, like, {2});
  EXPECT_MESSAGE(msa_invocation_run(cases, nullptr), MSA_PROGRAM_FAILED, "kernel 'cases': its grid overflows");
  like.resize(1);
  bind(cases, 0, like, {1});
  EXPECT_MESSAGE(msa_invocation_run(cases, nullptr), MSA_PROGRAM_FAILED, "kernel 'cases': its grid is larger than a device allows");
}

//===----------------------------------------------------------------------===//
// Kernels that fail
//===----------------------------------------------------------------------===//

TEST_F(Cuda, SaysWhichCommandsMayHaveFailed) {
  CudaProgram program(gpuFeaturesArtifact());
  Invocation stray(program, "stray");
  std::vector<int64_t> offset = {0};
  bind(stray, 0, offset, {1});
  expectOk(msa_invocation_run(stray, nullptr));
  EXPECT_EQ(output<int64_t>(stray, 0)[0], 7);
  offset[0] = 1 << 30;
  EXPECT_MESSAGE(msa_invocation_run(stray, nullptr), MSA_DEVICE_FAILED,
                 "entry 'stray', one of commands 3 to 5, which run 1 kernels, 'stray' last: the driver's ");
  // A device that failed stays failed, and says so.
  offset[0] = 0;
  EXPECT_MESSAGE(msa_invocation_run(stray, nullptr), MSA_DEVICE_FAILED, "CUDA_ERROR_LAUNCH_FAILED");

}

TEST_F(Cuda, SaysWhichCommandFailedWhenItWaits) {
  msa_program_options options = onCuda();
  options.device_synchronous = true;
  CudaProgram program(gpuFeaturesArtifact(), options);
  Invocation stray(program, "stray");
  std::vector<int64_t> offset = {1 << 30};
  bind(stray, 0, offset, {1});
  EXPECT_MESSAGE(msa_invocation_run(stray, nullptr), MSA_DEVICE_FAILED,
                 "entry 'stray', command 5 (dispatch of stray) at /model/Stray: the driver's streamSynchronize failed");

}

} // namespace

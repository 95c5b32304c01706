// SPDX-License-Identifier: Apache-2.0
//
// Entries that run as CUDA graphs: the same results, whatever changes from run to run.

#include "cuda_program.h"

#include <numeric>

using namespace msa::test;

namespace {

struct CudaGraph : StandInTest {
  static msa_program_options graphs() {
    msa_program_options options = onCuda();
    options.device_graphs = true;
    return options;
  }
};

TEST_F(CudaGraph, RunsFromTheThirdRunOn) {
  CudaProgram program(gpuTestArtifact(), graphs());
  Invocation chain(program, "chain");
  for (int run = 0; run < 6; ++run) {
    std::vector<float> x(300, float(run));
    bind(chain, 0, x, {300});
    expectOk(msa_invocation_run(chain, nullptr));
    EXPECT_EQ(output<float>(chain, 0), std::vector<float>(300, 8 * float(run)));
  }
  EXPECT_EQ(StandIn::graphLaunches(), 4u);
}

// Addresses, grids and scalars change with the shape; memory that must grow is made by a run without a graph.
TEST_F(CudaGraph, FollowsShapes) {
  CudaProgram program(gpuTestArtifact(), graphs());
  Invocation chain(program, "chain");
  for (int64_t n : {300, 300, 100, 301, 5000, 20000, 1, 0, 300, 90000, 90000}) {
    std::vector<float> x(n);
    std::iota(x.begin(), x.end(), 0.0f);
    bind(chain, 0, x, {n});
    expectOk(msa_invocation_run(chain, nullptr));
    std::vector<float> y = output<float>(chain, 0);
    ASSERT_EQ(int64_t(y.size()), n);
    for (int64_t i = 0; i < n; ++i)
      ASSERT_EQ(y[i], 8 * float(i)) << n;
  }
  EXPECT_GE(StandIn::graphLaunches(), 5u);
}

TEST_F(CudaGraph, GrowsACacheStepByStep) {
  CudaProgram program(gpuTestArtifact(), graphs());
  msa_buffer *buffer = nullptr;
  int64_t rowShape[] = {4};
  expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &buffer));
  Invocation append(program, "append");
  expectOk(msa_invocation_bind_input_buffer(append, 0, buffer));
  expectOk(msa_invocation_bind_output_buffer(append, 0, buffer));
  std::vector<float> expected;
  for (int step = 0; step < 200; ++step) {
    std::vector<float> row(4, float(step));
    expected.insert(expected.end(), row.begin(), row.end());
    bind(append, 1, row, {1, 4});
    expectOk(msa_invocation_run(append, nullptr));
    if (step == 150) { // the host looks and adds in between
      expectOk(msa_buffer_append(buffer, row.data(), 1));
      expected.insert(expected.end(), row.begin(), row.end());
    }
  }
  EXPECT_EQ(output<float>(append, 0), expected);
  EXPECT_GE(StandIn::graphLaunches(), 180u) << "only growth needs a run without a graph";
  msa_buffer_release(buffer);
}

TEST_F(CudaGraph, RebuildsWhenAnotherCaseRuns) {
  CudaProgram program(gpuFeaturesArtifact(), graphs());
  Invocation cases(program, "cases"), sums(program, "sums");
  for (int64_t n : {50, 50, 50, 500, 50, 500, 499}) {
    std::vector<int64_t> like(n);
    bind(cases, 0, like, {n});
    expectOk(msa_invocation_run(cases, nullptr));
    EXPECT_EQ(output<int64_t>(cases, 0), std::vector<int64_t>(n, n < 100 ? 1 : 2)) << n;
  }
  uint64_t launched = StandIn::graphLaunches();
  EXPECT_GE(launched, 4u);
  // Workspace that starts zeroed, and grows.
  for (int64_t n : {10, 10, 10, 33, 320, 10, 5000, 64, 5000}) {
    std::vector<int64_t> x(n);
    std::iota(x.begin(), x.end(), 1);
    bind(sums, 0, x, {n});
    expectOk(msa_invocation_run(sums, nullptr));
    EXPECT_EQ(output<int64_t>(sums, 0), (std::vector<int64_t>{n * (n + 1) / 2, (n + 31) / 32})) << n;
  }
  EXPECT_GE(StandIn::graphLaunches(), launched + 5);
}

// A length that depends on data is read between commands, which no graph can do.
TEST_F(CudaGraph, LeavesEntriesThatLoadAsTheyAre) {
  CudaProgram program(gpuTestArtifact(), graphs());
  Invocation keep(program, "keep_positive");
  std::vector<float> values = {-1, 2, 0, 3, -5, 4};
  bind(keep, 0, values, {6});
  for (int i = 0; i < 5; ++i) {
    expectOk(msa_invocation_run(keep, nullptr));
    EXPECT_EQ(output<float>(keep, 0), (std::vector<float>{2, 3, 4}));
  }
  EXPECT_EQ(StandIn::graphLaunches(), 0u);
}

TEST_F(CudaGraph, WritesToMemoryOfTheCaller) {
  CudaProgram program(gpuTestArtifact(), graphs());
  Invocation add(program, "add");
  int64_t large = (5 << 20) / 4; // copied straight to the caller, which is no part of a graph
  auto *memory = static_cast<float *>(std::aligned_alloc(64, size_t(large) * 4));
  expectOk(msa_invocation_bind_output(add, 0, memory, size_t(large) * 4));
  for (int64_t n : {int64_t(100), int64_t(100), int64_t(100), int64_t(200), large, int64_t(100)}) {
    std::vector<float> a(n, float(n % 1000)), b(n, 1);
    bind(add, 0, a, {n});
    bind(add, 1, b, {n});
    expectOk(msa_invocation_run(add, nullptr));
    EXPECT_EQ(memory[n - 1], float(n % 1000 + 1));
  }
  EXPECT_GE(StandIn::graphLaunches(), 2u);
  std::free(memory);
}

TEST_F(CudaGraph, EndsWithAnErrorWhereAKernelFails) {
  CudaProgram program(gpuFeaturesArtifact(), graphs());
  Invocation stray(program, "stray");
  std::vector<int64_t> offset = {0};
  bind(stray, 0, offset, {1});
  for (int i = 0; i < 3; ++i)
    expectOk(msa_invocation_run(stray, nullptr));
  EXPECT_EQ(StandIn::graphLaunches(), 1u);
  offset[0] = 1 << 30;
  EXPECT_MESSAGE(msa_invocation_run(stray, nullptr), MSA_DEVICE_FAILED, "CUDA_ERROR_LAUNCH_FAILED");
}

TEST_F(CudaGraph, KeepsItsRowsWhenARecordedRunIsStopped) {
  CudaProgram program(gpuTestArtifact(), graphs());
  Invocation chain(program, "chain");
  std::vector<float> x(300, 1);
  bind(chain, 0, x, {300});
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.progress = [](void *, uint32_t done, uint32_t) { return int(done > 8); };
  for (int i = 0; i < 3; ++i)
    expectOk(msa_invocation_run(chain, nullptr));
  EXPECT_MESSAGE(msa_invocation_run(chain, &options), MSA_CANCELLED, "cancelled");
  expectOk(msa_invocation_run(chain, nullptr));
  EXPECT_EQ(output<float>(chain, 0), std::vector<float>(300, 8));
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
//
// What happens on a CUDA device when the host's allocator or the device refuses any one request: an error, and nothing left behind.

#include "cuda_program.h"

#include <atomic>

using namespace msa::test;

namespace {

struct Host {
  std::atomic<size_t> calls{0}, live{0};
  size_t refuse = SIZE_MAX; // the request with this number
  bool andAllAfter = false;

  msa_allocator get() {
    return {this,
            [](void *user, size_t size, size_t alignment) -> void * {
              auto *self = static_cast<Host *>(user);
              size_t number = self->calls++;
              if (number == self->refuse || (self->andAllAfter && number > self->refuse))
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

/// Loads, decodes ten steps with a cache, sums spans, profiles; stops at the first failure. MSA_OK when it came to the end.
msa_code useEverything(const msa_allocator &allocator, const FileBytes &file, bool graphs) {
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  msa_context *context = nullptr;
  msa_invocation *append = nullptr, *sum = nullptr;
  msa_buffer *cache = nullptr;
  msa_profile *profile = nullptr;
  msa_code code = MSA_OK;
  auto ok = [&](msa_status *status) {
    code = msa_status_code(status);
    msa_status_release(status);
    return code == MSA_OK;
  };
  msa_runtime_options options;
  msa_runtime_options_initialize(&options);
  options.thread_count = 1;
  options.allocator = allocator;
  msa_program_options load = onCuda();
  load.device_graphs = graphs;
  std::vector<float> row(4, 1), bank(16, 1);
  int64_t rowShape[] = {4};
  uint32_t appendEntry = 0, sumEntry = 0;
  msa_tensor rowTensor = tensorOf(row, {1, 4}), bankShape = tensorOf(bank, {0, 8});
  msa_row_span spans[] = {{bank.data(), 1}, {bank.data() + 8, 1}};
  msa_run_options run;
  msa_run_options_initialize(&run);
  if (ok(msa_runtime_create(&options, &runtime)) && ok(msa_program_load_memory(runtime, file.data(), file.size(), &load, &program)) &&
      ok(msa_context_create(program, &context)) && msa_program_find_entry(program, "append", &appendEntry) &&
      msa_program_find_entry(program, "sum_rows", &sumEntry) && ok(msa_invocation_create(context, appendEntry, &append)) &&
      ok(msa_invocation_create(context, sumEntry, &sum)) && ok(msa_buffer_create(runtime, MSA_F32, 1, rowShape, &cache)) &&
      ok(msa_profile_create(runtime, &profile)) && ok(msa_invocation_bind_input_buffer(append, 0, cache)) &&
      ok(msa_invocation_bind_output_buffer(append, 0, cache)) && ok(msa_invocation_bind_input(append, 1, &rowTensor)) &&
      ok(msa_invocation_bind_input_spans(sum, 0, &bankShape, spans, 2))) {
    for (int step = 0; step < 10 && code == MSA_OK; ++step)
      (void)ok(msa_invocation_run(append, nullptr));
    run.profile = profile;
    if (code == MSA_OK && ok(msa_invocation_run(sum, &run)) && ok(msa_buffer_fetch(cache)) && ok(msa_buffer_append(cache, row.data(), 1)) &&
        ok(msa_invocation_run(append, &run)) && ok(msa_buffer_fetch(cache))) {
      msa_tensor tensor;
      msa_buffer_tensor(cache, &tensor);
      EXPECT_EQ(tensor.shape[0], 12);
      EXPECT_EQ(static_cast<float *>(tensor.data)[47], 1.0f);
    }
  }
  msa_profile_release(profile);
  msa_buffer_release(cache);
  msa_invocation_release(append);
  msa_invocation_release(sum);
  msa_context_release(context);
  msa_program_release(program);
  msa_runtime_release(runtime);
  return code;
}

using CudaRefusal = StandInTest;

TEST_F(CudaRefusal, OfTheHostIsAnError) {
  FileBytes file(gpuTestArtifact().write());
  for (bool graphs : {false, true})
    for (bool andAllAfter : {false, true})
      for (size_t refuse = 0;; ++refuse) {
        Host host;
        host.refuse = refuse;
        host.andAllAfter = andAllAfter;
        msa_code code = useEverything(host.get(), file, graphs);
        ASSERT_EQ(host.live, 0u) << "leaked when request " << refuse << " was refused";
        ASSERT_EQ(StandIn::liveAllocations() + StandIn::livePinned() + StandIn::contexts(), 0u) << refuse;
        if (host.calls <= refuse) {
          EXPECT_EQ(code, MSA_OK);
          EXPECT_GT(refuse, 30u);
          break;
        }
        // What only the log, a profile or reserve would have needed may be done without.
        ASSERT_TRUE(code == MSA_OUT_OF_MEMORY || code == MSA_OK) << refuse;
      }
}

TEST_F(CudaRefusal, OfTheDeviceIsAnError) {
  FileBytes file(gpuTestArtifact().write());
  int refused = 0;
  for (uint64_t bytes = 512; bytes < 1 << 20; bytes += bytes / 4) {
    set("MSA_PTXEMU_MEMORY", std::to_string(bytes));
    msa_code code = useEverything({}, file, bytes % 2);
    ASSERT_EQ(StandIn::liveAllocations() + StandIn::livePinned() + StandIn::contexts(), 0u) << bytes;
    if (code == MSA_OK)
      continue;
    EXPECT_EQ(code, MSA_OUT_OF_MEMORY) << bytes;
    ++refused;
  }
  EXPECT_GT(refused, 5);
  EXPECT_LT(refused, 30) << "it fits at last";
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
//
// Artifacts of released format versions still load and still compute what they did.

#include "test_program.h"

#include <filesystem>

using namespace msa::test;

namespace {

#if defined(__x86_64__)

TEST(Compat, FrozenArtifactsStillRun) {
  size_t files = 0;
  for (const auto &file : std::filesystem::directory_iterator(MSA_TEST_COMPAT_DIR)) {
    if (file.path().extension() != ".msa")
      continue;
    SCOPED_TRACE(file.path());
    ++files;
    msa_runtime *runtime = nullptr;
    msa_program *program = nullptr;
    msa_context *context = nullptr;
    msa_invocation *add = nullptr, *constant = nullptr;
    uint32_t entry = 0;
    expectOk(msa_runtime_create(nullptr, &runtime));
    expectOk(msa_program_load_file(runtime, file.path().c_str(), nullptr, &program));
    ASSERT_NE(program, nullptr);
    expectOk(msa_context_create(program, &context));
    ASSERT_TRUE(msa_program_find_entry(program, "add", &entry));
    expectOk(msa_invocation_create(context, entry, &add));
    std::vector<float> a(100, 1), b(100, 2);
    bind(add, 0, a, {100});
    bind(add, 1, b, {100});
    expectOk(msa_invocation_run(add, nullptr));
    EXPECT_EQ(output<float>(add, 0), std::vector<float>(100, 3));
    ASSERT_TRUE(msa_program_find_entry(program, "add_constant", &entry));
    expectOk(msa_invocation_create(context, entry, &constant));
    std::vector<float> x(16, 10);
    bind(constant, 0, x, {16});
    expectOk(msa_invocation_run(constant, nullptr));
    EXPECT_EQ(output<float>(constant, 0)[15], 25.0f);
    if (msa_program_find_entry(program, "move", &entry)) { // since 1.2
      msa_invocation *move = nullptr;
      expectOk(msa_invocation_create(context, entry, &move));
      std::vector<uint8_t> rows = {1, 0x7e, 0x80, 0xfe, 5, 6, 7, 8};
      msa_tensor small = {rows.data(), MSA_F8E4M3FN, 2, {2, 4}};
      expectOk(msa_invocation_bind_input(move, 0, &small));
      expectOk(msa_invocation_run(move, nullptr));
      msa_tensor moved;
      expectOk(msa_invocation_output(move, 0, &moved));
      EXPECT_EQ(moved.type, MSA_F8E4M3FN);
      EXPECT_EQ(std::memcmp(moved.data, rows.data(), rows.size()), 0);
      msa_invocation_release(move);
    }
    msa_invocation_release(add);
    msa_invocation_release(constant);
    msa_context_release(context);
    msa_program_release(program);
    msa_runtime_release(runtime);
  }
  EXPECT_GE(files, 1u);
}

#endif

} // namespace

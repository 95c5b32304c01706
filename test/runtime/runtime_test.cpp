// SPDX-License-Identifier: Apache-2.0
//
// The runtime handle, status, lifetimes in any order, contexts that run at once, and the C++ interface.

#include "test_program.h"

#include "msa/msa.hpp"

#include <mutex>
#include <numeric>
#include <thread>

using namespace msa::test;

namespace {

TEST(StatusObject, CarriesCodeAndCleanMessage) {
  EXPECT_EQ(msa_status_create(MSA_OK, "nothing"), nullptr);
  EXPECT_EQ(msa_status_code(nullptr), MSA_OK);
  EXPECT_STREQ(msa_status_message(nullptr), "ok");
  msa_status *status = msa_status_create(MSA_IO, "two\nlines \033[2J");
  EXPECT_EQ(msa_status_code(status), MSA_IO);
  EXPECT_STREQ(msa_status_message(status), "two?lines ?[2J");
  msa_status_release(status);
  msa_status_release(nullptr);
  for (uint32_t code = 0; code <= MSA_FAILED_PRECONDITION; ++code)
    EXPECT_STRNE(msa_code_name(msa_code(code)), "unknown") << code;
  EXPECT_STREQ(msa_code_name(msa_code(1000)), "unknown");
}

TEST(Elements, HaveSizesAndNames) {
  EXPECT_EQ(msa_element_size(MSA_F32), 4u);
  EXPECT_EQ(msa_element_size(MSA_BF16), 2u);
  EXPECT_EQ(msa_element_size(MSA_BOOL), 1u);
  EXPECT_EQ(msa_element_size(MSA_F8E4M3FN), 1u);
  EXPECT_EQ(msa_element_size(msa_element_type(14)), 0u);
  EXPECT_STREQ(msa_element_name(MSA_U64), "u64");
  EXPECT_STREQ(msa_element_name(MSA_F8E4M3FN), "f8e4m3fn");
  EXPECT_STREQ(msa_element_name(msa_element_type(14)), "unknown");
  static_assert(MSA_BOOL == int(msa::schema::ElementType::BOOL) && MSA_F64 == int(msa::schema::ElementType::F64) &&
                MSA_U8 == int(msa::schema::ElementType::U8) && MSA_F8E4M3FN == int(msa::schema::ElementType::F8E4M3FN));
}

TEST(RuntimeHandle, LogsWhatItLoads) {
  struct Lines {
    std::mutex mutex;
    std::vector<std::string> text;
  } lines;
  msa_runtime_options options;
  msa_runtime_options_initialize(&options);
  options.log_user = &lines;
  options.log = [](void *user, msa_log_level, const char *message) {
    auto *lines = static_cast<Lines *>(user);
    std::lock_guard<std::mutex> lock(lines->mutex);
    lines->text.push_back(message);
  };
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  expectOk(msa_runtime_create(&options, &runtime));
  EXPECT_GE(msa_runtime_thread_count(runtime), 1u);
  FileBytes file(testArtifact().write());
  expectOk(msa_program_load_memory(runtime, file.data(), file.size(), nullptr, &program));
  ASSERT_EQ(lines.text.size(), 1u);
  EXPECT_NE(lines.text[0].find("9 entries, 7 kernels"), std::string::npos) << lines.text[0];
  msa_program_release(program);
  msa_runtime_release(runtime);
}

TEST(Handles, MayBeReleasedInAnyOrder) {
  FileBytes file(testArtifact().write());
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  msa_context *context = nullptr;
  msa_invocation *add = nullptr;
  uint32_t entry = 0;
  expectOk(msa_runtime_create(nullptr, &runtime));
  expectOk(msa_program_load_memory(runtime, file.data(), file.size(), nullptr, &program));
  ASSERT_TRUE(msa_program_find_entry(program, "add_constant", &entry));
  expectOk(msa_context_create(program, &context));
  expectOk(msa_invocation_create(context, entry, &add));
  msa_runtime_release(runtime);
  msa_program_release(program);
  msa_context_release(context);
  std::vector<float> x(16, 1);
  bind(add, 0, x, {16});
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(output<float>(add, 0)[3], 4.0f);
  EXPECT_EQ(msa_invocation_retain(add), add);
  msa_invocation_release(add);
  expectOk(msa_invocation_run(add, nullptr));
  msa_invocation_release(add);
  msa_runtime_release(nullptr);
  msa_program_release(nullptr);
  msa_context_release(nullptr);
  msa_invocation_release(nullptr);
  msa_buffer_release(nullptr);
}

// Five conversations on three threads of one runtime, each with its own cache.
TEST(Contexts, RunAtOnce) {
  TestProgram program(3);
  std::vector<std::thread> threads;
  for (int number = 0; number < 5; ++number)
    threads.emplace_back([&program, number] {
      msa_context *context = nullptr;
      msa_invocation *append = nullptr, *chain = nullptr;
      msa_buffer *cache = nullptr;
      int64_t rowShape[] = {4};
      expectOk(msa_context_create(program.program, &context));
      expectOk(msa_invocation_create(context, program.entry("append"), &append));
      expectOk(msa_invocation_create(context, program.entry("chain"), &chain));
      expectOk(msa_buffer_create(program.runtime, MSA_F32, 1, rowShape, &cache));
      expectOk(msa_invocation_bind_input_buffer(append, 0, cache));
      expectOk(msa_invocation_bind_output_buffer(append, 0, cache));
      std::vector<float> all(4 * 200), x(1000 + size_t(number), float(number));
      std::iota(all.begin(), all.end(), float(number));
      bind(chain, 0, x, {int64_t(x.size())});
      for (int step = 0; step < 200; ++step) {
        msa_tensor row = {};
        row.data = all.data() + 4 * step;
        row.rank = 2;
        row.shape[0] = 1;
        row.shape[1] = 4;
        expectOk(msa_invocation_bind_input(append, 1, &row));
        expectOk(msa_invocation_run(append, nullptr));
        expectOk(msa_invocation_run(chain, nullptr));
        ASSERT_EQ(output<float>(chain, 0), std::vector<float>(x.size(), 8 * float(number)));
      }
      EXPECT_EQ(output<float>(append, 0), all);
      msa_buffer_release(cache);
      msa_invocation_release(append);
      msa_invocation_release(chain);
      msa_context_release(context);
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST(Cpp, RunsAnEntryAndNamesWhatIsMissing) {
  std::string path = std::string(MSA_TEST_DIR) + "/cpp.msa";
  writeFile(path, testArtifact().write());
  msa::Runtime runtime;
  msa::Program program;
  msa::Context context;
  msa::Invocation append;
  msa::Buffer cache;
  msa::Runtime::Options options;
  options.thread_count = 2;
  ASSERT_TRUE(msa::Runtime::create(options, runtime).ok());
  EXPECT_EQ(runtime.threadCount(), 2u);
  ASSERT_TRUE(msa::Program::load(runtime, path, {}, program).ok());
  ASSERT_TRUE(msa::Context::create(program, context).ok());
  msa::Status status = msa::Invocation::create(context, "nothing", append);
  EXPECT_EQ(status.code(), MSA_NOT_FOUND);
  EXPECT_NE(std::string(status.message()).find("it has 'add', 'add_constant'"), std::string::npos) << status.message();
  ASSERT_TRUE(msa::Invocation::create(context, "append", append).ok());
  ASSERT_TRUE(msa::Buffer::create(runtime, MSA_F32, {4}, cache).ok());
  ASSERT_TRUE(append.bindInput("cache", cache).ok());
  ASSERT_TRUE(append.bindOutput("next", cache).ok());
  float row[4] = {1, 2, 3, 4};
  ASSERT_TRUE(append.bindInput("rows", msa::tensor(row, MSA_F32, {1, 4})).ok());
  EXPECT_EQ(append.bindInput("lines", msa::tensor(row, MSA_F32, {1, 4})).code(), MSA_NOT_FOUND);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(append.run().ok());
  EXPECT_EQ(cache.rows(), 3);
  msa::Buffer same = cache; // another owner
  cache = msa::Buffer();
  EXPECT_FALSE(cache);
  EXPECT_EQ(static_cast<float *>(same.tensor().data)[11], 4);
  msa_tensor tensor;
  ASSERT_TRUE(append.output("next", tensor).ok());
  EXPECT_EQ(tensor.shape[0], 3);
  msa::Status moved = std::move(status);
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(moved.code(), MSA_NOT_FOUND);
}

} // namespace

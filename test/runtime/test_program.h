// SPDX-License-Identifier: Apache-2.0
//
// What most tests begin with: a runtime, the test artifact loaded into it, a context; all released at the end.

#ifndef MSA_TEST_RUNTIME_TEST_PROGRAM_H
#define MSA_TEST_RUNTIME_TEST_PROGRAM_H

#include "artifact_writer.h"

#include "msa/msa.h"

#include <gtest/gtest.h>

#include <string>

namespace msa::test {

/// Fails the test with the status's message unless it is NULL; releases it.
inline void expectOk(msa_status *status) {
  EXPECT_EQ(status, nullptr) << msa_status_message(status);
  msa_status_release(status);
}

/// The message of a failure that must have |code|; releases it.
inline std::string messageOf(msa_status *status, msa_code code) {
  EXPECT_EQ(msa_status_code(status), code) << msa_status_message(status);
  std::string message = msa_status_message(status);
  msa_status_release(status);
  return message;
}

#define EXPECT_MESSAGE(status, code, part)                                                                             \
  do {                                                                                                                 \
    std::string message_ = ::msa::test::messageOf(status, code);                                                       \
    EXPECT_NE(message_.find(part), std::string::npos) << message_;                                                     \
  } while (false)

struct TestProgram {
  explicit TestProgram(uint32_t threads = 1, Artifact artifact = testArtifact(), msa_allocator allocator = {},
                       const msa_program_options *load = nullptr)
      : file(artifact.write()) {
    msa_runtime_options options;
    msa_runtime_options_initialize(&options);
    options.thread_count = threads;
    options.allocator = allocator;
    expectOk(msa_runtime_create(&options, &runtime));
    expectOk(msa_program_load_memory(runtime, file.data(), file.size(), load, &program));
    if (program)
      expectOk(msa_context_create(program, &context));
  }
  TestProgram(const TestProgram &) = delete;
  ~TestProgram() {
    msa_context_release(context);
    msa_program_release(program);
    msa_runtime_release(runtime);
  }
  uint32_t entry(const char *name) const {
    uint32_t index = 0;
    EXPECT_TRUE(msa_program_find_entry(program, name, &index)) << name;
    return index;
  }

  FileBytes file;
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  msa_context *context = nullptr;
};

struct Invocation {
  Invocation(const TestProgram &program, const char *entry) {
    expectOk(msa_invocation_create(program.context, program.entry(entry), &handle));
  }
  Invocation(const Invocation &) = delete;
  ~Invocation() { msa_invocation_release(handle); }
  operator msa_invocation *() const { return handle; }
  msa_invocation *handle = nullptr;
};

template <typename T> msa_element_type elementTypeOf();
template <> inline msa_element_type elementTypeOf<float>() { return MSA_F32; }
template <> inline msa_element_type elementTypeOf<int64_t>() { return MSA_I64; }

template <typename T> msa_tensor tensorOf(std::vector<T> &values, std::vector<int64_t> shape) {
  msa_tensor tensor = {};
  tensor.data = values.data();
  tensor.type = elementTypeOf<T>();
  tensor.rank = uint32_t(shape.size());
  for (size_t i = 0; i < shape.size(); ++i)
    tensor.shape[i] = shape[i];
  return tensor;
}

template <typename T> void bind(msa_invocation *invocation, uint32_t input, std::vector<T> &values, std::vector<int64_t> shape) {
  msa_tensor tensor = tensorOf(values, std::move(shape));
  expectOk(msa_invocation_bind_input(invocation, input, &tensor));
}

template <typename T> std::vector<T> output(msa_invocation *invocation, uint32_t index, std::vector<int64_t> *shape = nullptr) {
  msa_tensor tensor = {};
  msa_status *status = msa_invocation_output(invocation, index, &tensor);
  expectOk(status);
  if (status)
    return {};
  EXPECT_EQ(tensor.type, elementTypeOf<T>());
  int64_t count = 1;
  if (shape)
    shape->assign(tensor.shape, tensor.shape + tensor.rank);
  for (uint32_t i = 0; i < tensor.rank; ++i)
    count *= tensor.shape[i];
  const T *data = static_cast<const T *>(tensor.data);
  return {data, data + count};
}

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_TEST_PROGRAM_H

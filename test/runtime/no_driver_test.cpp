// SPDX-License-Identifier: Apache-2.0
//
// A machine without NVIDIA's driver. Runs without the stand-in.

#include "gpu_artifact.h"
#include "test_program.h"

#include <dlfcn.h>

using namespace msa::test;

namespace {

TEST(NoDriver, IsOneClearError) {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL))
    GTEST_SKIP() << "this machine has a driver";
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  expectOk(msa_runtime_create(nullptr, &runtime));
  msa_program_options options;
  msa_program_options_initialize(&options);
  options.device = MSA_DEVICE_CUDA;
  Artifact alone = gpuTestArtifact();
  dropCpuVariants(alone);
  FileBytes gpuOnly(alone.write()), both(gpuTestArtifact().write());
  EXPECT_MESSAGE(msa_program_load_memory(runtime, gpuOnly.data(), gpuOnly.size(), &options, &program), MSA_UNSUPPORTED,
                 "device cuda:0 was asked for: expected NVIDIA's driver, found none: libcuda.so.1: cannot open shared object file: No such "
                 "file or directory; the artifact has code for 'cuda:sm_80'");
  EXPECT_MESSAGE(msa_program_load_memory(runtime, both.data(), both.size(), &options, &program), MSA_UNSUPPORTED,
                 "the artifact has code for 'cuda:sm_80', 'x86-64'; it can run on the CPU, if that is asked for or allowed");
  options.allow_cpu = true;
  expectOk(msa_program_load_memory(runtime, both.data(), both.size(), &options, &program));
  EXPECT_EQ(msa_program_device(program), MSA_DEVICE_CPU);
  EXPECT_STREQ(msa_program_device_name(program), "CPU");
  msa_program_release(program);
  msa_runtime_release(runtime);
}

} // namespace

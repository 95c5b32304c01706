// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_TEST_RUNTIME_CUDA_PROGRAM_H
#define MSA_TEST_RUNTIME_CUDA_PROGRAM_H

#include "gpu_artifact.h"
#include "stand_in.h"
#include "test_program.h"

namespace msa::test {

/// Options that put a program on the GPU.
inline msa_program_options onCuda() {
  msa_program_options options;
  msa_program_options_initialize(&options);
  options.device = MSA_DEVICE_CUDA;
  return options;
}

struct CudaProgram : TestProgram {
  explicit CudaProgram(Artifact artifact = gpuTestArtifact(), msa_program_options options = onCuda())
      : TestProgram(1, std::move(artifact), {}, &options) {}
};

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_CUDA_PROGRAM_H

// SPDX-License-Identifier: Apache-2.0
//
// Artifacts with a GPU variant, for tests.

#ifndef MSA_TEST_RUNTIME_GPU_ARTIFACT_H
#define MSA_TEST_RUNTIME_GPU_ARTIFACT_H

#include "artifact_writer.h"

namespace msa::test {

/// multiplier * ceil(factor * product of scalars / divisor)
std::unique_ptr<schema::TermT> term(int64_t factor, std::vector<uint32_t> scalars = {}, int64_t divisor = 1, int64_t multiplier = 1);

/// One launch with grid [x, 1, 1].
std::unique_ptr<schema::LaunchT> launch(std::string symbol, std::unique_ptr<schema::TermT> x, uint32_t block);
/// A case that is always taken; or only when scalars[scalar] < below.
std::unique_ptr<schema::LaunchCaseT> launchCase(std::unique_ptr<schema::LaunchT> launch, std::optional<uint32_t> scalar = std::nullopt,
                                                int64_t below = 0);
std::unique_ptr<schema::GPUKernelT> gpuKernel(std::unique_ptr<schema::LaunchCaseT> onlyCase);

/// Puts variant |name| with the PTX |text| before all others; raises the version to 1.1. The caller fills in gpu_kernels.
schema::VariantT &addGpuVariant(Artifact &artifact, const std::string &name, const std::string &text);

/// The text of test_kernels.ptx.
std::string testPtx();

/// testArtifact() with the variant "cuda:sm_80" before its CPU variant: every entry runs on both.
Artifact gpuTestArtifact();

/// Leaves |artifact| with its GPU variants alone.
void dropCpuVariants(Artifact &artifact);

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_GPU_ARTIFACT_H

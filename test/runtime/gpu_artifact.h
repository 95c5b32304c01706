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

/// An artifact for "cuda:sm_90" alone, with the kernels of gpu_features.ptx and an entry for each:
///   cases      out[n] = 1 where n < 100, else 2
///   sums       out[2] = the sum of x[n], and the number of blocks that added it up; the workspace's counter starts at 0
///   clusters   out[8]: blocks in clusters of 2
///   shared     out[32] = 0, 1, ... by way of 64 KiB of dynamic shared memory
///   tile       out[4, 8] = rows first[0]... of the spans x[rows, 8]
///   stray      writes at byte offset[0] of out[1]
Artifact gpuFeaturesArtifact();

/// Leaves |artifact| with its GPU variants alone.
void dropCpuVariants(Artifact &artifact);

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_GPU_ARTIFACT_H

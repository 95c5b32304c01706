// SPDX-License-Identifier: Apache-2.0

#include "gpu_artifact.h"

#include <algorithm>

namespace msa::test {

std::unique_ptr<schema::TermT> term(int64_t factor, std::vector<uint32_t> scalars, int64_t divisor, int64_t multiplier) {
  auto made = std::make_unique<schema::TermT>();
  made->factor = factor;
  made->scalars = std::move(scalars);
  made->divisor = divisor;
  made->multiplier = multiplier;
  return made;
}

std::unique_ptr<schema::LaunchT> launch(std::string symbol, std::unique_ptr<schema::TermT> x, uint32_t block) {
  auto made = std::make_unique<schema::LaunchT>();
  made->symbol = std::move(symbol);
  made->grid.push_back(std::move(x));
  made->grid.push_back(term(1));
  made->grid.push_back(term(1));
  made->block = block;
  return made;
}

std::unique_ptr<schema::LaunchCaseT> launchCase(std::unique_ptr<schema::LaunchT> launch, std::optional<uint32_t> scalar, int64_t below) {
  auto made = std::make_unique<schema::LaunchCaseT>();
  if (scalar)
    made->scalar = *scalar;
  made->below = below;
  made->launches.push_back(std::move(launch));
  return made;
}

std::unique_ptr<schema::GPUKernelT> gpuKernel(std::unique_ptr<schema::LaunchCaseT> onlyCase) {
  auto made = std::make_unique<schema::GPUKernelT>();
  made->cases.push_back(std::move(onlyCase));
  return made;
}

schema::VariantT &addGpuVariant(Artifact &artifact, const std::string &name, const std::string &text) {
  auto made = std::make_unique<schema::VariantT>();
  made->name = name;
  made->segment = uint32_t(artifact.blobs.size());
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.push_back(0);
  artifact.blobs.push_back({schema::SegmentKind::PTX, std::move(bytes), name});
  artifact.program.version_minor = 1;
  artifact.program.variants.insert(artifact.program.variants.begin(), std::move(made));
  return *artifact.program.variants.front();
}

std::string testPtx() {
  std::vector<uint8_t> bytes = readFile(MSA_TEST_PTX);
  return {bytes.begin(), bytes.end()};
}

Artifact gpuTestArtifact() {
  Artifact artifact = testArtifact();
  schema::VariantT &variant = addGpuVariant(artifact, "cuda:sm_80", testPtx());
  for (const auto &kernel : artifact.program.kernels) {
    // Grids from a scalar where there is one, fixed ones elsewhere: the kernels loop.
    bool sized = kernel->symbol == "test_add" || kernel->symbol == "test_relocated";
    auto one = launch(kernel->symbol, sized ? term(1, {0}, 64) : term(2), 64);
    if (kernel->symbol == "test_keep_positive" || kernel->symbol == "test_spin")
      one = launch(kernel->symbol, term(1), 32);
    variant.gpu_kernels.push_back(gpuKernel(launchCase(std::move(one))));
  }
  return artifact;
}

void dropCpuVariants(Artifact &artifact) {
  auto &variants = artifact.program.variants;
  variants.erase(std::remove_if(variants.begin(), variants.end(),
                                [](const auto &variant) { return variant->name.rfind("cuda:", 0) != 0; }),
                 variants.end());
}

} // namespace msa::test

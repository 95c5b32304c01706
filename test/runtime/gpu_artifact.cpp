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

namespace {

using schema::BinaryKind;
using schema::ElementType;
using P = schema::ParameterKind;

uint32_t addKernel(Artifact &artifact, const char *symbol, std::vector<P> parameters, uint32_t scalars) {
  auto kernel = std::make_unique<schema::KernelT>();
  kernel->symbol = symbol;
  kernel->parameters = std::move(parameters);
  kernel->scalar_count = scalars;
  artifact.program.kernels.push_back(std::move(kernel));
  return uint32_t(artifact.program.kernels.size() - 1);
}

std::unique_ptr<schema::EntryT> outOnly(const char *name, uint32_t kernel, ElementType type, int64_t count, int64_t bytes) {
  EntryBuilder e(name);
  uint32_t out = e.output("out", type, {e.fixed(count)});
  e.alloc(out, e.constantValue(bytes));
  e.dispatch(kernel, e.constantValue(1), {out}, {}, "/somewhere");
  return e.take();
}

} // namespace

Artifact gpuFeaturesArtifact() {
  Artifact artifact;
  artifact.program.version_major = 1;
  std::vector<uint8_t> text = readFile(MSA_TEST_FEATURES_PTX);
  schema::VariantT &variant = addGpuVariant(artifact, "cuda:sm_90", {text.begin(), text.end()});

  {
    uint32_t kernel = addKernel(artifact, "cases", {P::WRITE}, 1);
    auto made = gpuKernel(launchCase(launch("case_few", term(1, {0}, 32), 32), 0, 100));
    made->cases.push_back(launchCase(launch("case_many", term(1, {0}, 64), 64)));
    variant.gpu_kernels.push_back(std::move(made));
    EntryBuilder e("cases");
    uint32_t n = e.reg();
    e.input("like", ElementType::I64, {e.dynamic(n, "N")});
    uint32_t out = e.output("out", ElementType::I64, {e.dynamic(n, "N")});
    e.alloc(out, e.binary(BinaryKind::MUL, n, e.constantValue(8)));
    e.dispatch(kernel, n, {out}, {n});
    artifact.program.entries.push_back(e.take());
  }
  {
    uint32_t kernel = addKernel(artifact, "sums", {P::READ, P::WRITE}, 1);
    auto only = launchCase(launch("partial_sums", term(1, {0}, 32), 32));
    only->launches[0]->workspace = term(1, {0}, 32, 8);
    only->launches.push_back(launch("total_sum", term(1), 32));
    only->launches[1]->workspace = term(1, {0}, 32, 24);
    only->launches[1]->workspace_zeroed = term(16);
    variant.gpu_kernels.push_back(gpuKernel(std::move(only)));
    EntryBuilder e("sums");
    uint32_t n = e.reg();
    uint32_t x = e.input("x", ElementType::I64, {e.dynamic(n, "N")});
    uint32_t out = e.output("out", ElementType::I64, {e.fixed(2)});
    e.alloc(out, e.constantValue(16));
    e.dispatch(kernel, n, {x, out}, {n});
    artifact.program.entries.push_back(e.take());
  }
  {
    uint32_t kernel = addKernel(artifact, "clusters", {P::WRITE}, 0);
    auto one = launch("cluster_ranks", term(1000), 32);
    one->cluster = 2;
    one->persistent = 1; // as many blocks as the device has multiprocessors, 9 in the test: 8 fit in clusters
    variant.gpu_kernels.push_back(gpuKernel(launchCase(std::move(one))));
    artifact.program.entries.push_back(outOnly("clusters", kernel, ElementType::I64, 8, 64));
  }
  {
    uint32_t kernel = addKernel(artifact, "shared", {P::WRITE}, 0);
    auto one = launch("far_shared", term(1), 32);
    one->dynamic_shared = 65536;
    variant.gpu_kernels.push_back(gpuKernel(launchCase(std::move(one))));
    artifact.program.entries.push_back(outOnly("shared", kernel, ElementType::F32, 32, 128));
  }
  {
    uint32_t kernel = addKernel(artifact, "tile", {P::SPANS, P::WRITE}, 2);
    auto one = launch("tile", term(1), 32);
    one->dynamic_shared = 128;
    auto map = std::make_unique<schema::TensorMapT>();
    map->buffer = 0;
    map->type = ElementType::F32;
    map->dims.push_back(term(8));
    map->dims.push_back(term(1, {0}));
    map->strides.push_back(term(32));
    map->box = {8, 4};
    one->tensor_maps.push_back(std::move(map));
    variant.gpu_kernels.push_back(gpuKernel(launchCase(std::move(one))));
    EntryBuilder e("tile");
    uint32_t rows = e.reg();
    uint32_t x = e.input("x", ElementType::F32, {e.dynamic(rows, "R"), e.fixed(8)}, true);
    uint32_t firstIn = e.input("first", ElementType::I64, {e.fixed(1)});
    uint32_t out = e.output("out", ElementType::F32, {e.fixed(4), e.fixed(8)});
    uint32_t first = e.load(firstIn, 0);
    e.alloc(out, e.constantValue(128));
    e.dispatch(kernel, e.constantValue(1), {x, out}, {rows, first});
    artifact.program.entries.push_back(e.take());
  }
  {
    uint32_t kernel = addKernel(artifact, "stray", {P::WRITE}, 1);
    variant.gpu_kernels.push_back(gpuKernel(launchCase(launch("stray", term(1), 32))));
    EntryBuilder e("stray");
    uint32_t offsetIn = e.input("offset", ElementType::I64, {e.fixed(1)});
    uint32_t out = e.output("out", ElementType::I64, {e.fixed(1)});
    uint32_t offset = e.load(offsetIn, 0);
    e.alloc(out, e.constantValue(8));
    e.store(out, 0, offset);
    e.dispatch(kernel, e.constantValue(1), {out}, {offset}, "/model/Stray");
    artifact.program.entries.push_back(e.take());
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

// SPDX-License-Identifier: Apache-2.0
//
// From the launch tables of a GPU variant to arrays. What depends on scalars (products that overflow, grids that are too large) is
// left to the run; everything else is refused here, by name.

#include "runtime/gpu_decoder.h"

#include "runtime/printable_text.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace msa::rt {

namespace {

constexpr uint32_t kMaxCases = 64;
constexpr uint32_t kMaxLaunches = 16;
constexpr uint32_t kMaxMaps = 16;
constexpr uint32_t kMaxTermScalars = 16;
constexpr uint32_t kMaxCubins = 64;
constexpr uint32_t kMaxPersistent = 64;
// What the hardware and the driver allow everywhere that a variant of today runs.
constexpr uint32_t kMaxBlock = 1024;
constexpr uint32_t kWarp = 32;
constexpr uint32_t kMaxCluster = 8;
constexpr uint32_t kMaxDynamicShared = 227 << 10;
constexpr uint32_t kMaxParameterBytes = 32764;
constexpr uint32_t kMaxBox = 256;
constexpr uint32_t kTensorMapAlignment = 16;

template <typename T> uint32_t length(const T *vector) { return vector ? vector->size() : 0; }

class GpuDecoder {
public:
  GpuDecoder(msa_program *program, uint32_t variant, const schema::Variant *table)
      : program(program), gpu(program->gpu), variant(variant), table(table) {}

  Status decode() {
    GpuVariant decoded = {variant, uint32_t(gpu.kernels.size()), uint32_t(gpu.cubins.size()), length(table->cubins())};
    MSA_TRY(ptx());
    MSA_TRY(cubins());
    uint32_t count = length(table->gpu_kernels());
    if (count != program->kernels.size())
      return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': it has %u GPU kernels, the program has %zu kernels", variant,
                     table->name()->c_str(), count, program->kernels.size());
    for (kernelIndex = 0; kernelIndex < count; ++kernelIndex)
      MSA_TRY(kernel(table->gpu_kernels()->Get(kernelIndex)));
    return gpu.variants.push(decoded) ? Status() : outOfMemory();
  }

private:
  Status refuse(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    return failure(MSA_INVALID_ARTIFACT, "variant '%.100s', kernel %u '%.100s', case %u, launch %u: %s", table->name()->c_str(),
                   kernelIndex, program->kernels[kernelIndex].symbol, caseIndex, launchIndex, detail);
  }

  /// The driver reads PTX up to its NUL.
  Status ptx() {
    const schema::Segment *segment = program->root->segments()->Get(table->segment());
    const uint8_t *text = program->file + segment->offset();
    if (segment->size() == 0 || text[segment->size() - 1] != 0)
      return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': the PTX in segment %u does not end with a NUL byte", variant,
                     table->name()->c_str(), table->segment());
    if (std::memchr(text, 0, segment->size() - 1))
      return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': the PTX in segment %u has a NUL byte before its end", variant,
                     table->name()->c_str(), table->segment());
    return {};
  }

  Status cubins() {
    uint32_t count = length(table->cubins());
    if (count > kMaxCubins)
      return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': it has %u cubins, expected at most %u", variant,
                     table->name()->c_str(), count, kMaxCubins);
    for (uint32_t i = 0; i < count; ++i) {
      const schema::Cubin *cubin = table->cubins()->Get(i);
      uint32_t segments = length(program->root->segments());
      if (cubin->segment() >= segments ||
          program->root->segments()->Get(cubin->segment())->kind() != schema::SegmentKind::CUBIN)
        return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': cubin %u names segment %u of %u, which is not of kind 'CUBIN'",
                       variant, table->name()->c_str(), i, cubin->segment(), segments);
      for (uint32_t j = 0; j < i; ++j)
        if (table->cubins()->Get(j)->sm() == cubin->sm())
          return failure(MSA_INVALID_ARTIFACT, "variant %u '%.100s': cubins %u and %u are both for sm_%u", variant,
                         table->name()->c_str(), j, i, cubin->sm());
      if (!gpu.cubins.push({cubin->sm(), cubin->segment()}))
        return outOfMemory();
    }
    return {};
  }

  Status kernel(const schema::GPUKernel *kernel) {
    caseIndex = launchIndex = 0;
    GpuKernel decoded = {uint32_t(gpu.cases.size()), length(kernel->cases()), 0};
    if (decoded.caseCount == 0 || decoded.caseCount > kMaxCases)
      return refuse("the kernel has %u cases, expected 1 to %u", decoded.caseCount, kMaxCases);
    uint32_t scalars = program->kernels[kernelIndex].scalarCount;
    for (caseIndex = 0; caseIndex < decoded.caseCount; ++caseIndex) {
      const schema::LaunchCase *table = kernel->cases()->Get(caseIndex);
      launchIndex = 0;
      GpuCase made = {kNone, table->below(), uint32_t(gpu.launches.size()), length(table->launches())};
      bool last = caseIndex + 1 == decoded.caseCount;
      if (table->scalar()) {
        made.scalar = *table->scalar();
        if (last)
          return refuse("the last case depends on scalar %u, expected one that is always taken", made.scalar);
        if (made.scalar >= scalars)
          return refuse("the case depends on scalar %u of %u", made.scalar, scalars);
      } else if (!last) {
        return refuse("a case that is always taken stands before the last");
      }
      if (made.launchCount == 0 || made.launchCount > kMaxLaunches)
        return refuse("the case has %u launches, expected 1 to %u", made.launchCount, kMaxLaunches);
      // Nested tables go to other arrays, so the launches of a case follow each other.
      uint32_t maps = 0;
      for (launchIndex = 0; launchIndex < made.launchCount; ++launchIndex) {
        MSA_TRY(launch(table->launches()->Get(launchIndex)));
        maps += gpu.launches.back().mapCount;
      }
      decoded.maxMaps = std::max(decoded.maxMaps, maps);
      if (!gpu.cases.push(made))
        return outOfMemory();
    }
    return gpu.kernels.push(decoded) ? Status() : outOfMemory();
  }

  Status launch(const schema::Launch *launch) {
    const Kernel &kernel = program->kernels[kernelIndex];
    if (launch->symbol()->size() == 0 || !isPrintableText(launch->symbol()->c_str(), launch->symbol()->size()))
      return refuse("its symbol is empty or not UTF-8 text without control characters");
    GpuLaunch decoded = {};
    decoded.symbol = launch->symbol()->c_str();
    decoded.persistent = launch->persistent();
    decoded.block = launch->block();
    decoded.cluster = launch->cluster();
    decoded.dynamicShared = launch->dynamic_shared();
    decoded.mapCount = length(launch->tensor_maps());
    if (length(launch->grid()) != kGridTerms)
      return refuse("its grid has %u terms, expected %u", length(launch->grid()), kGridTerms);
    if (decoded.persistent > kMaxPersistent)
      return refuse("it is persistent with %u blocks a multiprocessor, expected at most %u", decoded.persistent, kMaxPersistent);
    if (decoded.block < kWarp || decoded.block > kMaxBlock || decoded.block % kWarp)
      return refuse("a block has %u threads, expected a multiple of %u, %u to %u", decoded.block, kWarp, kWarp, kMaxBlock);
    if (decoded.cluster < 1 || decoded.cluster > kMaxCluster)
      return refuse("a cluster has %u blocks, expected 1 to %u", decoded.cluster, kMaxCluster);
    if (decoded.dynamicShared > kMaxDynamicShared)
      return refuse("it needs %u bytes of dynamic shared memory, expected at most %u", decoded.dynamicShared, kMaxDynamicShared);
    if (decoded.mapCount > kMaxMaps)
      return refuse("it has %u tensor maps, expected at most %u", decoded.mapCount, kMaxMaps);
    uint32_t words = kernel.parameterCount + kernel.scalarCount + 2;
    if (words * 8 + 64 + decoded.mapCount * 128 > kMaxParameterBytes)
      return refuse("%u buffers, %u scalars and %u tensor maps need more than %u bytes of parameters", kernel.parameterCount,
                    kernel.scalarCount, decoded.mapCount, kMaxParameterBytes);
    decoded.firstGridTerm = uint32_t(gpu.terms.size());
    for (uint32_t i = 0; i < kGridTerms; ++i)
      MSA_TRY(term("the grid", i, launch->grid()->Get(i)));
    decoded.workspaceTerm = decoded.workspaceZeroedTerm = kNone;
    if (launch->workspace()) {
      decoded.workspaceTerm = uint32_t(gpu.terms.size());
      MSA_TRY(term("workspace", 0, launch->workspace()));
    }
    if (launch->workspace_zeroed()) {
      if (!launch->workspace())
        return refuse("it wants zeroed workspace but no workspace");
      decoded.workspaceZeroedTerm = uint32_t(gpu.terms.size());
      MSA_TRY(term("workspace_zeroed", 0, launch->workspace_zeroed()));
    }
    decoded.firstMap = uint32_t(gpu.maps.size());
    for (uint32_t i = 0; i < decoded.mapCount; ++i)
      MSA_TRY(map(i, launch->tensor_maps()->Get(i)));
    return gpu.launches.push(decoded) ? Status() : outOfMemory();
  }

  Status term(const char *what, uint32_t number, const schema::Term *term) {
    GpuTerm decoded = {term->factor(), term->divisor(), term->multiplier(), uint32_t(gpu.scalars.size()), length(term->scalars())};
    if (decoded.factor < 0 || decoded.divisor < 1 || decoded.multiplier < 0)
      return refuse("term %u of %s has factor %" PRId64 ", divisor %" PRId64 " and multiplier %" PRId64
                    "; expected at least 0, 1 and 0",
                    number, what, decoded.factor, decoded.divisor, decoded.multiplier);
    if (decoded.scalarCount > kMaxTermScalars)
      return refuse("term %u of %s multiplies %u scalars, expected at most %u", number, what, decoded.scalarCount, kMaxTermScalars);
    for (uint32_t i = 0; i < decoded.scalarCount; ++i) {
      uint32_t scalar = term->scalars()->Get(i), count = program->kernels[kernelIndex].scalarCount;
      if (scalar >= count)
        return refuse("term %u of %s uses scalar %u of %u", number, what, scalar, count);
      if (!gpu.scalars.push(scalar))
        return outOfMemory();
    }
    return gpu.terms.push(decoded) ? Status() : outOfMemory();
  }

  Status map(uint32_t number, const schema::TensorMap *map) {
    char what[48];
    std::snprintf(what, sizeof(what), "tensor map %u", number);
    GpuTensorMap decoded = {};
    decoded.buffer = map->buffer();
    decoded.rank = length(map->dims());
    decoded.swizzle = map->swizzle();
    switch (map->type()) {
    case schema::ElementType::F32:
    case schema::ElementType::F16:
    case schema::ElementType::BF16:
    case schema::ElementType::U8:
      decoded.type = msa_element_type(map->type());
      break;
    default:
      return refuse("%s has element type %u, expected f32, f16, bf16 or u8", what, unsigned(map->type()));
    }
    uint32_t buffers = program->kernels[kernelIndex].parameterCount;
    if (decoded.buffer >= buffers)
      return refuse("%s is over buffer %u of %u", what, decoded.buffer, buffers);
    if (decoded.rank < 1 || decoded.rank > kMaxTensorMapRank)
      return refuse("%s has %u dims, expected 1 to %u", what, decoded.rank, kMaxTensorMapRank);
    if (length(map->strides()) != decoded.rank - 1 || length(map->box()) != decoded.rank)
      return refuse("%s has %u dims, %u strides and a box of %u; expected %u strides and a box of %u", what, decoded.rank,
                    length(map->strides()), length(map->box()), decoded.rank - 1, decoded.rank);
    if (decoded.swizzle != 0 && decoded.swizzle != 32 && decoded.swizzle != 64 && decoded.swizzle != 128)
      return refuse("%s has a swizzle of %u bytes, expected 0, 32, 64 or 128", what, decoded.swizzle);
    for (uint32_t i = 0; i < decoded.rank; ++i) {
      decoded.box[i] = map->box()->Get(i);
      if (decoded.box[i] < 1 || decoded.box[i] > kMaxBox)
        return refuse("%s has a box of %u elements in dim %u, expected 1 to %u", what, decoded.box[i], i, kMaxBox);
    }
    uint32_t inner = decoded.box[0] * uint32_t(msa_element_size(decoded.type));
    if (inner % kTensorMapAlignment || (decoded.swizzle && inner > decoded.swizzle))
      return refuse("%s has a box of %u bytes in dim 0, expected a multiple of %u%s", what, inner, kTensorMapAlignment,
                    decoded.swizzle ? ", at most the swizzle" : "");
    decoded.firstTerm = uint32_t(gpu.terms.size());
    for (uint32_t i = 0; i < decoded.rank; ++i)
      MSA_TRY(term(what, i, map->dims()->Get(i)));
    for (uint32_t i = 0; i + 1 < decoded.rank; ++i) {
      MSA_TRY(term(what, decoded.rank + i, map->strides()->Get(i)));
      const GpuTerm &stride = gpu.terms.back();
      int64_t bytes = 0;
      if (stride.scalarCount == 0 &&
          (!evaluateTerm(stride, nullptr, nullptr, &bytes) || bytes == 0 || bytes % int64_t(kTensorMapAlignment)))
        return refuse("%s: the stride of dim %u is %" PRId64 " bytes, expected a multiple of %u", what, i + 1, bytes,
                      kTensorMapAlignment);
    }
    return gpu.maps.push(decoded) ? Status() : outOfMemory();
  }

  msa_program *program;
  GpuTables &gpu;
  uint32_t variant;
  const schema::Variant *table;
  uint32_t kernelIndex = 0, caseIndex = 0, launchIndex = 0;
};

} // namespace

bool evaluateTerm(const GpuTerm &term, const uint32_t *scalarIndices, const int64_t *scalars, int64_t *result) {
  int64_t value = term.factor;
  for (uint32_t i = 0; i < term.scalarCount; ++i) {
    int64_t scalar = scalars[scalarIndices[term.firstScalar + i]];
    if (scalar < 0 || __builtin_mul_overflow(value, scalar, &value))
      return false;
  }
  value = value / term.divisor + (value % term.divisor != 0);
  return !__builtin_mul_overflow(value, term.multiplier, result);
}

Status decodeGpuVariant(msa_program *program, uint32_t index, const schema::Variant *table) {
  return GpuDecoder(program, index, table).decode();
}

} // namespace msa::rt

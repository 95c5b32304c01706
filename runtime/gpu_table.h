// SPDX-License-Identifier: Apache-2.0
//
// How the kernels of a GPU variant are launched, as decoded from the tables Term, TensorMap, Launch, LaunchCase and GPUKernel of the
// schema. docs/design/0002-gpu-variant.md says what a launch passes to a kernel.

#ifndef MSA_RUNTIME_GPU_TABLE_H
#define MSA_RUNTIME_GPU_TABLE_H

#include "runtime/allocator.h"

namespace msa::rt {

inline constexpr uint32_t kMaxTensorMapRank = 5;
/// A grid of a launch has three terms, which follow each other.
inline constexpr uint32_t kGridTerms = 3;

/// multiplier * ceil(factor * product of scalars / divisor). factor and multiplier at least 0, divisor at least 1.
struct GpuTerm {
  int64_t factor;
  int64_t divisor;
  int64_t multiplier;
  uint32_t firstScalar; // in GpuTables::scalars, whose elements are indices into the kernel's scalars
  uint32_t scalarCount;
};

/// False when a product leaves 64 bits or a scalar is negative.
bool evaluateTerm(const GpuTerm &term, const uint32_t *scalarIndices, const int64_t *scalars, int64_t *result);

struct GpuTensorMap {
  uint32_t buffer;
  msa_element_type type; // f32, f16, bf16 or u8
  uint32_t rank;         // 1 to 5
  uint32_t firstTerm;    // rank dims (elements), then rank - 1 strides (bytes)
  uint32_t box[kMaxTensorMapRank];
  uint32_t swizzle; // bytes: 0, 32, 64 or 128
};

struct GpuLaunch {
  const char *symbol;
  uint32_t firstGridTerm; // three of them
  uint32_t persistent;    // 0: the grid is as its terms say
  uint32_t block;
  uint32_t cluster;
  uint32_t dynamicShared; // bytes
  uint32_t workspaceTerm;       // kNone for none
  uint32_t workspaceZeroedTerm; // kNone for none
  uint32_t firstMap, mapCount;
};

struct GpuCase {
  uint32_t scalar; // kNone: always taken
  int64_t below;
  uint32_t firstLaunch, launchCount;
};

struct GpuKernel {
  uint32_t firstCase, caseCount;
  uint32_t maxMaps; // tensor maps of all launches of one case, at most
};

struct GpuCubin {
  uint32_t sm;
  uint32_t segment;
};

struct GpuVariant {
  uint32_t variant;     // in Program.variants
  uint32_t firstKernel; // in GpuTables::kernels; as many as the program has kernels
  uint32_t firstCubin, cubinCount;
};

/// The tables of all GPU variants of a program.
struct GpuTables {
  explicit GpuTables(const Allocator &allocator)
      : variants(allocator), kernels(allocator), cases(allocator), launches(allocator), maps(allocator), terms(allocator),
        scalars(allocator), cubins(allocator) {}

  /// Null when variant |index| is not a GPU's.
  const GpuVariant *find(uint32_t index) const {
    for (const GpuVariant &variant : variants)
      if (variant.variant == index)
        return &variant;
    return nullptr;
  }

  Vector<GpuVariant> variants;
  Vector<GpuKernel> kernels;
  Vector<GpuCase> cases;
  Vector<GpuLaunch> launches;
  Vector<GpuTensorMap> maps;
  Vector<GpuTerm> terms;
  Vector<uint32_t> scalars;
  Vector<GpuCubin> cubins;
};

} // namespace msa::rt

#endif // MSA_RUNTIME_GPU_TABLE_H

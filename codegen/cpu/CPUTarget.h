// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_CPU_CPUTARGET_H
#define MSA_CODEGEN_CPU_CPUTARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>

namespace msa::cpu {

/// A processor level that kernels are generated for: one variant of an artifact.
struct CPUTarget {
  std::string name;    ///< of the variant, as in the artifact and as LLVM's -mcpu
  std::string triple;  ///< LLVM target triple
  std::string features; ///< LLVM target features beside those of `name`
  int64_t lanes;       ///< f32 elements of a vector register
  int64_t registers;   ///< vector registers

  /// "x86-64-v3" (AVX2, FMA, F16C) or "x86-64-v4" (AVX-512); nothing for any other name.
  static std::optional<CPUTarget> get(llvm::StringRef name);
  /// The names that `get` knows, best first.
  static llvm::ArrayRef<llvm::StringLiteral> names();
};

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_CPUTARGET_H

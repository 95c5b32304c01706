// SPDX-License-Identifier: Apache-2.0

#include "codegen/cpu/CPUTarget.h"

using namespace msa::cpu;

llvm::ArrayRef<llvm::StringLiteral> CPUTarget::names() {
  static constexpr llvm::StringLiteral all[] = {"x86-64-v4", "x86-64-v3"};
  return all;
}

std::optional<CPUTarget> CPUTarget::get(llvm::StringRef name) {
  if (name == "x86-64-v4")
    return CPUTarget{"x86-64-v4", "x86_64-unknown-linux-gnu", "-prefer-256-bit", /*lanes=*/16, /*registers=*/32};
  if (name == "x86-64-v3")
    return CPUTarget{"x86-64-v3", "x86_64-unknown-linux-gnu", "", /*lanes=*/8, /*registers=*/16};
  return std::nullopt;
}

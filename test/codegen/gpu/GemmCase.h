// SPDX-License-Identifier: Apache-2.0
//
// A product: inputs, what must come out, and the way there through PTX and the emulator.

#pragma once

#include "codegen/gpu/Instances.h"
#include "ptxemu/ptxemu.h"
#include <string>
#include <vector>

namespace gemm {

/// An instance of the table (codegen/gpu/Instances.h), compiled.
struct Program {
  std::string ptx;
  std::vector<msa::gpu::Launch> launches;
};
Program compile(mlir::MLIRContext &context, const msa::gpu::Instance &instance);

/// Inputs for an instance's problem with `rows` rows.
class Case {
public:
  Case(const msa::gpu::Instance &instance, int64_t rows, uint64_t seed);

  /// Runs it on a poisoned result. `processors` bounds the grid of persistent kernels. \returns the result's bytes; throws std::runtime_error with the emulator's
  /// reports.
  std::vector<std::byte> run(const Program &program, const ptxemu::Options &options, unsigned processors) const;

  struct Verdict {
    double error = 0;  ///< length of the difference by length of the result, before rounding to its type is counted
    std::string wrong; ///< the first element that differs by more than it may; empty if none
  };
  /// Compares with float64. An element may differ by what sums in f32 may lose, by the approximations of an epilogue, and by rounding to the result's type.
  Verdict judge(const std::vector<std::byte> &result) const;

private:
  struct Tensor {
    std::string type;
    std::vector<double> values;
    std::vector<std::byte> bytes;
  };
  static Tensor random(const std::string &type, size_t count, uint64_t seed);

  std::string element, resultType, epilogue;
  int64_t m, n, k;
  unsigned output;
  Tensor lhs, rhs; ///< rhs is [K, N]
  std::vector<Tensor> extras;
  std::vector<bool> perColumn;
  std::vector<std::vector<std::byte>> buffers;
};

} // namespace gemm

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_KERNELPARAMETERS_H
#define MSA_CODEGEN_GPU_KERNELPARAMETERS_H

#include "codegen/gpu/Launch.h"
#include "dialect/exec/ExecDialect.h"

namespace msa::gpu {

/// What values of a kernel's body are in terms of the kernel's parameters: what a template needs to know of them.
class KernelParameters {
public:
  explicit KernelParameters(exec::KernelOp kernel) : kernel(kernel) {}

  /// A product of scalars and constants; nothing if it is something else.
  std::optional<Term> termOf(mlir::Value value);
  /// The number of the buffer, if it is one of the kernel's.
  std::optional<unsigned> bufferOf(mlir::Value value);
  /// The buffer that a memref is a view of from its first byte on, elements one after the other.
  std::optional<unsigned> wholeBufferOf(mlir::Value memref);
  /// Dim 0 of a view.
  std::optional<Term> rowsOf(mlir::Value memref);

private:
  exec::KernelOp kernel;
};

/// The scalar that `term` is, if it is one unchanged: what a launch case can be chosen by.
std::optional<uint32_t> scalarOf(const Term &term);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_KERNELPARAMETERS_H

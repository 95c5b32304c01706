// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_EMITPTX_H
#define MSA_CODEGEN_GPU_EMITPTX_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <vector>

namespace msa::gpu {

/// A GPU that code is made for. `sm` is the compute capability times ten: 80 or 90.
struct GPUTarget {
  int sm = 90;

  /// The processor as LLVM and ptxas call it. Hopper's tensor cores need the exact processor, hence "sm_90a".
  std::string chip() const { return sm == 90 ? "sm_90a" : "sm_" + std::to_string(sm); }
  /// The variant's name in an artifact.
  std::string name() const { return "cuda:sm_" + std::to_string(sm); }
  bool hasTensorMemoryAccelerator() const { return sm >= 90; }
};

/// Makes the context of `registry` able to translate GPU kernels: call before the context is created.
void registerEmission(mlir::DialectRegistry &registry);

/// Lowers what kernels are written in (llvm, nvvm, scf, arith, math, vector, memref, index) to the LLVM and NVVM dialects, in place. \returns
/// failure with a diagnostic on an op that has no such form.
mlir::LogicalResult lowerToNVVM(mlir::ModuleOp module);

/// The module's kernels as PTX text. Lowers a copy of `module` first (`lowerToNVVM`), optimises it with LLVM, and refuses a text that
/// calls a function it does not define. Equal modules give equal texts. Thread-safe for different contexts.
llvm::Expected<std::string> emitPTX(mlir::ModuleOp module, const GPUTarget &target);

/// Where ptxas is: `MSA_PTXAS`, else on PATH, else in CUDA_HOME or /usr/local/cuda. Nothing needs it: the driver compiles PTX as well.
std::optional<std::string> findPtxas();

/// What ptxas said of one text.
struct Assembly {
  std::vector<char> cubin;
  std::string log; ///< of `ptxas -v`: registers, spills and advisory messages
};

/// Runs `ptxas` on `ptx`. An error holds its messages.
llvm::Expected<Assembly> assemble(llvm::StringRef ptx, const GPUTarget &target, llvm::StringRef ptxas);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_EMITPTX_H

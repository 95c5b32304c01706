// SPDX-License-Identifier: Apache-2.0
//
// Level 3 to level 4 on the CPU (docs/architecture.md).

#ifndef MSA_CODEGEN_CPU_PASSES_TD
#define MSA_CODEGEN_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerKernelsToVector : Pass<"lower-kernels-to-vector", "::mlir::ModuleOp"> {
  let summary = "replace kernel ops by loops over vectors";
  let description = [{
    Lowers every `kernel` op inside `exec.kernel`s to `scf`, `vector`, `memref`
    and `arith` for one processor variant. Fails on a `kernel` op that it has no lowering for.
  }];
  let options = [Option<"variant", "variant", "std::string", "\"x86-64-v3\"", "processor variant: x86-64-v3 or x86-64-v4">];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::memref::MemRefDialect",
      "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::LLVM::LLVMDialect", "::mlir::linalg::LinalgDialect"];
}

#endif // MSA_CODEGEN_CPU_PASSES_TD

// SPDX-License-Identifier: Apache-2.0
//
// Every pass from level 0 to level 3 (docs/architecture.md), in pipeline order. The flag, the def, the file and the lit test
// share one name: `convert-msa-to-exec`, `ConvertMSAToExec`, passes/ConvertMSAToExec.cpp, test/passes/convert-msa-to-exec.mlir.

#ifndef MSA_PASSES_TD
#define MSA_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertMSAToExec : Pass<"convert-msa-to-exec", "::mlir::ModuleOp"> {
  let summary = "turn entries on tensors into commands and kernels";
  let description = [{
    Replaces every public `func.func` by an `exec.entry` and outlines its
    computations into `exec.kernel`s (docs/architecture.md, level 3).
  }];
  let dependentDialects = ["::msa::exec::ExecDialect", "::msa::kernel::KernelDialect", "::mlir::arith::ArithDialect",
      "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect", "::mlir::LLVM::LLVMDialect"];
}

#endif // MSA_PASSES_TD

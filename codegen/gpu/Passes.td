// SPDX-License-Identifier: Apache-2.0
//
// Level 3 to level 4 on a GPU (docs/design/0002-gpu-variant.md).

#ifndef MSA_CODEGEN_GPU_PASSES_TD
#define MSA_CODEGEN_GPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerKernelsToGPU : Pass<"lower-kernels-to-gpu", "::mlir::ModuleOp"> {
  let summary = "replace kernels by functions for every thread of a grid";
  let description = [{
    Replaces each `exec.kernel` of a module by functions with the parameters of docs/design/0002-gpu-variant.md, and says by the
    attribute `msa.launch_table` of the first how they are launched. A kernel becomes an instance of a template where there is one for its op,
    types and shapes (codegen/gpu/Instances.h), and scalar code for every thread otherwise (codegen/gpu/simt).
    Fails on a kernel that has neither.
  }];
  let options = [Option<"target", "target", "std::string", "\"cuda:sm_90\"", "cuda:sm_90 or cuda:sm_80">,
      Option<"templates", "templates", "bool", "true", "use templates at all">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
      "::mlir::func::FuncDialect", "::mlir::index::IndexDialect", "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect",
      "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect",
      "::mlir::ub::UBDialect", "::mlir::vector::VectorDialect"];
}

def LowerGPUFunctionsToLLVM : Pass<"lower-gpu-functions-to-llvm", "::mlir::ModuleOp"> {
  let summary = "make functions of lower-kernels-to-gpu kernels in the LLVM dialect";
  let description = [{
    Expands what GPUs have no instructions for (math functions, bf16 in memory) and turns each `func.func` into an `llvm.func` with
    `nvvm.kernel` and the number of its threads.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
      "::mlir::func::FuncDialect", "::mlir::index::IndexDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
      "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect", "::mlir::ub::UBDialect",
      "::mlir::vector::VectorDialect"];
}

#endif // MSA_CODEGEN_GPU_PASSES_TD

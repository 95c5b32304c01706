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

def StoreAsIntegers : Pass<"store-as-integers", "::mlir::ModuleOp"> {
  let summary = "keep i1 in memory as one byte each, bf16 and f8E4M3FN as their bits";
  let description = [{
    Gives every `memref` of `i1` inside `exec.kernel`s the element type `i8`, with
    values 0 and 1, every one of `bf16` the element type `i16`, every one of `f8E4M3FN`
    `i8`, and converts at their loads and stores.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::vector::VectorDialect"];
}

def ExpandMath : Pass<"expand-math", "::mlir::ModuleOp"> {
  let summary = "replace math functions by arithmetic";
  let description = [{
    Expands every `math` op that is no processor instruction to polynomials on
    scalars and vectors, so that kernels never call a mathematics library. Arithmetic on `f16` and `bf16` is done in `f32`
    and rounded after each op. Fails on an op or a type that it has no expansion for.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def LowerKernelsToLLVM : Pass<"lower-kernels-to-llvm", "::mlir::ModuleOp"> {
  let summary = "make kernels functions of the kernel ABI in the LLVM dialect";
  let description = [{
    Turns each `exec.kernel` of a module that holds nothing else into an
    `llvm.func` with the signature of runtime/kernel_abi.h.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
      "::mlir::func::FuncDialect", "::mlir::index::IndexDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
      "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::ub::UBDialect", "::mlir::vector::VectorDialect"];
}

#endif // MSA_CODEGEN_CPU_PASSES_TD

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_CPU_PASSES_H
#define MSA_CODEGEN_CPU_PASSES_H

#include "codegen/cpu/CPUTarget.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace msa::cpu {

#define GEN_PASS_DECL
#include "codegen/cpu/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "codegen/cpu/Passes.h.inc"

// What LowerKernelsToVector.cpp runs, one function for each file that lowers kernel ops. Add yours here and there.
void populateLowerMatmulPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
void populateLowerAttentionPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
void populateLowerCompressPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
void populateLowerGatherPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
void populateLowerQuantizePatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
void populateLowerRoutePatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
void populateLowerRouteScanPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);

void populateLowerRowsPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);
/// linalg ops on memrefs inside kernels: part of the above, and of use to any lowering that leaves such ops.
void populateVectorizeLinalgPatterns(mlir::RewritePatternSet &patterns, const CPUTarget &target);

/// Adds the conversions from functions of scf, vector, memref, arith and math to the LLVM dialect: the last part of
/// lower-kernels-to-llvm and of lower-gpu-functions-to-llvm, for a module of `func.func`s without bools or bf16 in memory and
/// without math functions that need a library.
void addConversionToLLVM(mlir::OpPassManager &lower);

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_PASSES_H

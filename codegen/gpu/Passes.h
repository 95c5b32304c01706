// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_PASSES_H
#define MSA_CODEGEN_GPU_PASSES_H

#include "codegen/gpu/EmitPTX.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace msa::gpu {

#define GEN_PASS_DECL
#include "codegen/gpu/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "codegen/gpu/Passes.h.inc"

/// Everything between a module of `exec.kernel`s and `emitPTX`, in order, for one GPU. Without `templates` all kernels get scalar code.
void buildLowerKernelsPipeline(mlir::OpPassManager &manager, const GPUTarget &target, bool templates = true);

/// "cuda:sm_90" or "cuda:sm_80"; nothing for any other name.
std::optional<GPUTarget> getGPUTarget(llvm::StringRef name);
/// The names that `getGPUTarget` knows, best first.
llvm::ArrayRef<llvm::StringLiteral> gpuTargetNames();

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_PASSES_H

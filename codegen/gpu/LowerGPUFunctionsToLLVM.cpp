// SPDX-License-Identifier: Apache-2.0
//===- LowerGPUFunctionsToLLVM.cpp - functions become kernels of NVVM -----===//
//
// The same steps as on the CPU: bools and bf16 in memory as integers, math functions as arithmetic, then the LLVM dialect. No fast-math
// flag is set anywhere: a fused multiply-add is `math.fma` in the IR or it is not fused.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "codegen/gpu/Passes.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace msa::gpu {
#define GEN_PASS_DEF_LOWERGPUFUNCTIONSTOLLVM
#include "codegen/gpu/Passes.h.inc"
} // namespace msa::gpu

namespace {
struct LowerGPUFunctionsToLLVM : msa::gpu::impl::LowerGPUFunctionsToLLVMBase<LowerGPUFunctionsToLLVM> {
  using LowerGPUFunctionsToLLVMBase::LowerGPUFunctionsToLLVMBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    OpPassManager lower(ModuleOp::getOperationName());
    lower.addPass(createCanonicalizerPass());
    lower.addPass(createCSEPass());
    lower.addPass(msa::cpu::createStoreAsIntegers());
    lower.addPass(msa::cpu::createExpandMath());
    msa::cpu::addConversionToLLVM(lower);
    if (failed(runPipeline(lower, module)))
      return signalPassFailure();
    Builder b(&getContext());
    for (auto kernel : module.getOps<LLVM::LLVMFuncOp>()) {
      auto threads = dyn_cast_or_null<IntegerAttr>(kernel->removeAttr(msa::gpu::simt::kBlockName));
      if (!threads)
        continue;
      kernel->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
      // Without a number of blocks ptxas saves registers until it spills. Three blocks of a multiprocessor leave a thread 168.
      int32_t blocks = std::max<int64_t>(1, 384 / threads.getInt());
      kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(blocks));
      kernel->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), b.getDenseI32ArrayAttr({static_cast<int32_t>(threads.getInt()), 1, 1}));
    }
  }
};
} // namespace

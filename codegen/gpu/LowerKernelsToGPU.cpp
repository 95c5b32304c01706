// SPDX-License-Identifier: Apache-2.0
//===- LowerKernelsToGPU.cpp - kernels become functions of a grid ---------===//
//
// For every kernel: an instance of a template if there is one (Instances.h), the SIMT lowering of its op otherwise.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Instances.h"
#include "codegen/gpu/Launch.h"
#include "codegen/gpu/Passes.h"
#include "codegen/gpu/simt/Lowerings.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace msa::gpu {
#define GEN_PASS_DEF_LOWERKERNELSTOGPU
#include "codegen/gpu/Passes.h.inc"
} // namespace msa::gpu

using namespace msa::gpu;

simt::Cases msa::gpu::simt::lower(msa::exec::KernelOp kernel) {
  SmallVector<Operation *> ops;
  for (Operation &op : kernel.getBody().front())
    if (isa_and_present<msa::kernel::KernelDialect>(op.getDialect()))
      ops.push_back(&op);
  if (ops.size() != 1)
    return kernel.emitOpError("expected one op of the kernel dialect for the GPU, but found ") << ops.size();
  return llvm::TypeSwitch<Operation *, Cases>(ops.front())
      .Case([&](msa::kernel::RowsOp) { return lowerRows(kernel); })
      .Case([&](msa::kernel::MatmulOp) { return lowerMatmul(kernel); })
      .Case([&](msa::kernel::AttentionOp) { return lowerAttention(kernel); })
      .Case([&](msa::kernel::RouteScanOp) { return lowerRouteScan(kernel); })
      .Case([&](msa::kernel::RouteMergeOp) { return lowerRouteMerge(kernel); })
      .Case([&](msa::kernel::RouteRowsOp) { return lowerRouteRows(kernel); })
      .Case([&](msa::kernel::GatherOp) { return lowerGather(kernel); })
      .Case([&](msa::kernel::TakeOp) { return lowerTake(kernel); })
      .Case([&](msa::kernel::ChunkIndexOp) { return lowerChunkIndex(kernel); })
      .Case([&](msa::kernel::PoolOp) { return lowerPool(kernel); })
      .Case([&](msa::kernel::QuantizeOp) { return lowerQuantize(kernel); })
      .Default([&](Operation *op) { return op->emitOpError("has no lowering for the GPU"); });
}

namespace {
struct LowerKernelsToGPU : msa::gpu::impl::LowerKernelsToGPUBase<LowerKernelsToGPU> {
  using LowerKernelsToGPUBase::LowerKernelsToGPUBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::optional<GPUTarget> gpu = getGPUTarget(target);
    if (!gpu) {
      module.emitError() << "expected target 'cuda:sm_90' or 'cuda:sm_80', but got '" << target << "'";
      return signalPassFailure();
    }
    // All kernels, so that everything that is not supported is told at once.
    bool failed = false;
    for (msa::exec::KernelOp kernel : llvm::make_early_inc_range(module.getOps<msa::exec::KernelOp>())) {
      Operation *last = &module.getBody()->back();
      simt::Cases cases = failure();
      if (auto instance = templates ? lowerWithTemplate(kernel, *gpu) : std::nullopt)
        cases = std::move(*instance);
      else
        cases = simt::lower(kernel);
      if (mlir::failed(cases)) {
        failed = true;
        continue;
      }
      LaunchTable table{kernel.getSymName().str(), std::move(*cases)};
      auto *first = last->getNextNode();
      while (first && !isa<FunctionOpInterface>(first))
        first = first->getNextNode();
      if (!first) {
        kernel.emitOpError("was lowered to no function for the GPU");
        failed = true;
        continue;
      }
      first->setAttr(kLaunchTableName, toAttribute(&getContext(), table));
      kernel.erase(); // a function may have its name
    }
    if (failed)
      signalPassFailure();
  }
};
} // namespace

llvm::ArrayRef<llvm::StringLiteral> msa::gpu::gpuTargetNames() {
  static constexpr llvm::StringLiteral all[] = {"cuda:sm_90", "cuda:sm_80"};
  return all;
}

std::optional<GPUTarget> msa::gpu::getGPUTarget(llvm::StringRef name) {
  if (name == "cuda:sm_90")
    return GPUTarget{90};
  if (name == "cuda:sm_80")
    return GPUTarget{80};
  return std::nullopt;
}

void msa::gpu::buildLowerKernelsPipeline(OpPassManager &manager, const GPUTarget &target, bool templates) {
  LowerKernelsToGPUOptions options;
  options.templates = templates;
  options.target = target.name();
  manager.addPass(createLowerKernelsToGPU(options));
  manager.addPass(createLowerGPUFunctionsToLLVM());
}

// SPDX-License-Identifier: Apache-2.0
//===- ConvertMSAToExec.cpp - entries become commands and kernels ---------===//
//
//   func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
//     %y = msa.matmul %x, %w : ...
//
// becomes
//
//   exec.entry @f ... {
//   ^bb0(%x: !exec.buffer):
//     %T = exec.dim %x[0]
//     %w = exec.get_constant @constant
//     %y = exec.alloc %bytes output 0
//     exec.dispatch @matmul_64x64 tiles %tiles buffers(%x, %w, %y) scalars(%T)
//     exec.return %T
//   }
//   exec.kernel @matmul_64x64(...) { kernel.matmul ... }
//
// The work is in passes/exec/. Everything that cannot be lowered is reported in one run.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "passes/exec/EntryLowering.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_CONVERTMSATOEXEC
#include "passes/Passes.h.inc"
} // namespace msa

namespace {
struct ConvertMSAToExec : msa::impl::ConvertMSAToExecBase<ConvertMSAToExec> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    msa::exec::KernelTable kernels(module);
    bool ok = true;
    for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (function.isExternal() || function.isPrivate()) {
        function.erase();
        continue;
      }
      if (!llvm::hasSingleElement(function.getBody())) {
        function.emitError("expected a single block: control flow has no commands yet");
        ok = false;
        continue;
      }
      // One form of computation: a fill stays, the kernel that goes on from it writes it.
      IRRewriter rewriter(&getContext());
      function.walk([&](linalg::LinalgOp op) {
        if (isa<linalg::GenericOp, linalg::FillOp>(op.getOperation()))
          return;
        rewriter.setInsertionPoint(op);
        (void)linalg::generalizeNamedOp(rewriter, op); // What has no generic form is reported below.
      });
      msa::exec::EntryLowering lowering(function, kernels);
      if (failed(lowering.run())) {
        ok = false;
        continue;
      }
      function.erase();
    }
    if (!ok)
      signalPassFailure();
  }
};
} // namespace

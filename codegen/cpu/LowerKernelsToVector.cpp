// SPDX-License-Identifier: Apache-2.0
//===- LowerKernelsToVector.cpp - kernel ops become loops over vectors ----===//
//
// Runs the lowering of every kernel op, each in a file of its own, for one processor variant.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace msa::cpu {
#define GEN_PASS_DEF_LOWERKERNELSTOVECTOR
#include "codegen/cpu/Passes.h.inc"
} // namespace msa::cpu

namespace {
struct LowerKernelsToVector : msa::cpu::impl::LowerKernelsToVectorBase<LowerKernelsToVector> {
  using LowerKernelsToVectorBase::LowerKernelsToVectorBase;

  void runOnOperation() override {
    std::optional<msa::cpu::CPUTarget> target = msa::cpu::CPUTarget::get(variant);
    if (!target) {
      getOperation().emitError() << "expected variant 'x86-64-v3' or 'x86-64-v4', but got '" << variant << "'";
      return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    msa::cpu::populateLowerMatmulPatterns(patterns, *target);
    populateLowerAttentionPatterns(patterns, *target);
    populateLowerCompressPatterns(patterns, *target);
    populateLowerGatherPatterns(patterns, *target);
    populateLowerQuantizePatterns(patterns, *target);
    populateLowerRoutePatterns(patterns, *target);
    msa::cpu::populateLowerRowsPatterns(patterns, *target);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();

    WalkResult left = getOperation().walk([](Operation *op) {
      if (!isa_and_present<msa::kernel::KernelDialect, linalg::LinalgDialect>(op->getDialect()))
        return WalkResult::advance();
      op->emitOpError("has no lowering for the CPU");
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace

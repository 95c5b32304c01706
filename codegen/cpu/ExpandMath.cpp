// SPDX-License-Identifier: Apache-2.0
//===- ExpandMath.cpp - math functions become arithmetic ------------------===//

#include "codegen/cpu/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace msa::cpu {
#define GEN_PASS_DEF_EXPANDMATH
#include "codegen/cpu/Passes.h.inc"
} // namespace msa::cpu

namespace {

/// Ops that x86-64-v3 has instructions for, or that LLVM expands in line.
bool isNative(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp, math::FloorOp, math::FmaOp, math::RoundEvenOp, math::RoundOp, math::SqrtOp, math::TruncOp, math::IsNaNOp,
             math::IsInfOp, math::IsFiniteOp, math::IsNormalOp>(op);
}

struct ExpandMath : msa::cpu::impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    WalkResult left = getOperation().walk([](Operation *op) {
      if (!isa<math::MathDialect>(op->getDialect()) || isNative(op))
        return WalkResult::advance();
      op->emitOpError("has no expansion for ") << op->getResult(0).getType();
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace

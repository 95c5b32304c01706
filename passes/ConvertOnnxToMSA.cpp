// SPDX-License-Identifier: Apache-2.0
//===- ConvertOnnxToMSA.cpp - graphs that use a memory to level 1 ---------===//
//
// Converts every graph that holds a node of domain ai.msa: those become `msa` ops, all others what
// convert-onnx-to-linalg makes of them. One walk in order, since what a memory operator accepts depends on the shapes
// in front of it:
//
//   %y = onnx.node "DocumentAttention" domain "ai.msa"(%q, %k, %v, %doc) {causal = 1 : i64, scale = 0.25 : f32} : ...
//
// becomes
//
//   %y = msa.attention %q, %k, %v documents %doc causal scale 2.5e-01 : ...
//
// Every node that is not supported is reported, then the pass fails. Test: test/passes/convert-onnx-to-msa.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "passes/Passes.h"
#include "passes/onnx/Walk.h"

namespace msa {
#define GEN_PASS_DEF_CONVERTONNXTOMSA
#include "passes/Passes.h.inc"
} // namespace msa

using namespace mlir;

namespace {

struct ConvertOnnxToMSA : msa::impl::ConvertOnnxToMSABase<ConvertOnnxToMSA> {
  void runOnOperation() override {
    std::vector<msa::onnx::UnsupportedNode> unsupported;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>()) {
      bool usesMemory = false;
      function.walk([&](msa::onnx::NodeOp node) { usesMemory |= node.getDomain() == "ai.msa"; });
      if (usesMemory && msa::onnx::isGraph(function))
        msa::onnx::convertGraph(function, unsupported);
    }
    if (failed(msa::onnx::reportUnsupported(unsupported)))
      return signalPassFailure();
    msa::onnx::eraseUncalledFunctions(getOperation());
  }
};

} // namespace

// SPDX-License-Identifier: Apache-2.0
//===- ConvertOnnxToLinalg.cpp - ONNX graphs to linalg on tensors ---------===//
//
// Converts every graph that is still in `onnx` ops to level 1 (docs/architecture.md): types are inferred, shape
// arithmetic becomes index arithmetic, operators become linalg, tensor and msa ops.
//
//   %y = onnx.node "Add"(%a, %b) : (tensor<?x8xf32>, tensor<8xf32>) -> !onnx.value
//
// becomes a linalg.generic. What each operator becomes stands in passes/onnx/, one file a theme. Every node that is not
// supported is reported, then the pass fails. Tests: test/passes/convert-onnx-to-linalg*.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "passes/Passes.h"
#include "passes/onnx/Walk.h"

namespace msa {
#define GEN_PASS_DEF_CONVERTONNXTOLINALG
#include "passes/Passes.h.inc"
} // namespace msa

using namespace mlir;

namespace {

struct ConvertOnnxToLinalg : msa::impl::ConvertOnnxToLinalgBase<ConvertOnnxToLinalg> {
  void runOnOperation() override {
    std::vector<msa::onnx::UnsupportedNode> unsupported;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (msa::onnx::isGraph(function))
        msa::onnx::convertGraph(function, unsupported);
    if (failed(msa::onnx::reportUnsupported(unsupported)))
      return signalPassFailure();
    msa::onnx::eraseUncalledFunctions(getOperation());
  }
};

} // namespace

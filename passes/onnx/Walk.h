// SPDX-License-Identifier: Apache-2.0
//
// The walk from level 0 to level 1, and the report of what it could not take.

#ifndef MSA_PASSES_ONNX_WALK_H
#define MSA_PASSES_ONNX_WALK_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace msa::onnx {

/// A node that cannot be converted, or, with an empty `op`, something about a whole graph.
struct UnsupportedNode {
  std::string entry;  ///< the graph: name of the function
  std::string node;   ///< as the file names it
  std::string op;     ///< operator
  std::string domain; ///< "" is ai.onnx
  int64_t opset = 0;  ///< of the domain
  std::string reason; ///< one sentence without a full stop: what was expected, what was found
  mlir::Location loc;

  /// One line for people: the operator and the reason.
  std::string describe() const;
  /// The same behind the node's name.
  std::string str() const;
};

/// Converts the body of `function` from `onnx` ops to level 1. What is not supported is appended to `unsupported`; the
/// function is then half converted and only good for being dropped.
void convertGraph(mlir::func::FuncOp function, std::vector<UnsupportedNode> &unsupported);

/// Every node of every graph in `module` (inlined: see onnx-inline-functions) that the conversion does not support.
/// Leaves the module as it is.
std::vector<UnsupportedNode> collectUnsupportedNodes(mlir::ModuleOp module);

/// Emits an error for each; fails if there is one.
llvm::LogicalResult reportUnsupported(llvm::ArrayRef<UnsupportedNode> unsupported);

/// Erases the model-local functions that no node calls.
void eraseUncalledFunctions(mlir::ModuleOp module);

/// True for a graph of the file, false for a model-local function.
bool isGraph(mlir::func::FuncOp function);

} // namespace msa::onnx

#endif // MSA_PASSES_ONNX_WALK_H

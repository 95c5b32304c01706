// SPDX-License-Identifier: Apache-2.0
//===- OnnxInlineFunctions.cpp - expand calls of model-local functions ----===//
//
// A node that calls a function of the file becomes the function's body, with the call's attributes in place of
// `#onnx.ref`:
//
//   %y = onnx.node "Scale" domain "mine" calls @scale(%x) {by = 2.0 : f32} : ...
//
// becomes what stands in @scale. Names of the new nodes begin with the call's. Not done for the operators of ai.msa
// that the conversion takes whole. Test: test/passes/onnx-inline-functions.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"
#include "passes/onnx/Node.h"
#include "passes/onnx/Walk.h"

namespace msa {
#define GEN_PASS_DEF_ONNXINLINEFUNCTIONS
#include "passes/Passes.h.inc"
} // namespace msa

using namespace mlir;
using msa::onnx::NodeOp;

namespace {

// Functions that call functions can expand exponentially.
constexpr int64_t maxExpandedNodes = 1000000;

int64_t getVersion(func::FuncOp function, StringRef domain) {
  auto versions = function->getAttrOfType<DictionaryAttr>("onnx.opsets");
  auto version =
      versions ? dyn_cast_or_null<IntegerAttr>(versions.get(domain.empty() ? "ai.onnx" : domain)) : IntegerAttr();
  if (!version && versions && domain.empty())
    version = dyn_cast_or_null<IntegerAttr>(versions.get(""));
  return version ? version.getInt() : 0;
}

class Inliner {
public:
  Inliner(ModuleOp module) : symbols(module) {}

  LogicalResult run(func::FuncOp graph) {
    SmallVector<NodeOp> calls;
    graph.walk([&](NodeOp node) {
      if (node.getCallee() && !isKnown(node))
        calls.push_back(node);
    });
    for (NodeOp call : calls)
      if (failed(expand(graph, call)))
        return failure();
    // What a body passes through has the type that it came with.
    Operation *end = graph.getBody().front().getTerminator();
    graph.setFunctionType(FunctionType::get(graph.getContext(), graph.getArgumentTypes(), end->getOperandTypes()));
    return success();
  }

private:
  static bool isKnown(NodeOp node) {
    return node.getDomain() == "ai.msa" && msa::onnx::HandlerTable::get().find("ai.msa", node.getOpType());
  }

  LogicalResult expand(func::FuncOp graph, NodeOp call) {
    auto function = symbols.lookup<func::FuncOp>(*call.getCallee());
    if (!function || function.isExternal())
      return call.emitError("expected function '") << *call.getCallee() << "' to have a body";
    if (llvm::is_contained(stack, function))
      return call.emitError("function '") << *call.getCallee() << "' calls itself, which ONNX does not allow";
    stack.push_back(function);
    OpBuilder builder(call);
    IRMapping mapping;
    for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
      Value operand = i < call.getInputs().size() ? call.getInputs()[i] : Value();
      if (!operand)
        operand = msa::onnx::NoneOp::create(builder, call.getLoc(), msa::onnx::NoneType::get(call.getContext()));
      mapping.map(argument, operand);
    }
    auto defaults = function->getAttrOfType<DictionaryAttr>("onnx.attributes");
    SmallVector<NodeOp> inner;
    for (Operation &op : function.getBody().front().without_terminator()) {
      Operation *copy = builder.clone(op, mapping);
      LogicalResult outcome = success();
      copy->walk([&](Operation *nested) {
        nested->setLoc(prefix(call, nested->getLoc()));
        auto node = dyn_cast<NodeOp>(nested);
        if (!node)
          return;
        inner.push_back(node);
        if (failed(resolve(call, node, defaults)))
          outcome = failure();
        int64_t version = getVersion(function, node.getDomain());
        if (version != 0 && version != getVersion(graph, node.getDomain()) && !node->hasAttr("onnx.opset"))
          node->setAttr("onnx.opset", builder.getI64IntegerAttr(version));
      });
      if (failed(outcome))
        return failure();
    }
    expanded += inner.size();
    if (expanded > maxExpandedNodes)
      return call.emitError("the file's functions expand to more than ") << maxExpandedNodes << " nodes";
    Operation *end = function.getBody().front().getTerminator();
    for (auto [i, result] : llvm::enumerate(call.getOutputs())) {
      Value value = mapping.lookupOrDefault(end->getOperand(i));
      // The file gives types at the call, not within the body.
      if (isa<msa::onnx::ValueType>(value.getType()) && value.getDefiningOp<NodeOp>() &&
          !isa<msa::onnx::NoneType>(result.getType()))
        value.setType(result.getType());
      result.replaceAllUsesWith(value);
    }
    call.erase();
    for (NodeOp node : inner)
      if (node.getCallee() && !isKnown(node) && failed(expand(graph, node)))
        return failure();
    stack.pop_back();
    return success();
  }

  /// Puts values in place of references to attributes of the function.
  static LogicalResult resolve(NodeOp call, NodeOp node, DictionaryAttr defaults) {
    SmallVector<NamedAttribute> attributes;
    bool changed = false;
    for (NamedAttribute attribute : node.getNodeAttributes()) {
      auto reference = dyn_cast<msa::onnx::RefAttr>(attribute.getValue());
      if (!reference) {
        attributes.push_back(attribute);
        continue;
      }
      changed = true;
      Attribute value = call.getNodeAttributes().get(reference.getName());
      Attribute fallback = defaults ? defaults.get(reference.getName()) : Attribute();
      if (!value && isa_and_present<UnitAttr>(fallback)) {
        // A declared attribute without a default may be left out: the attribute that refers to it is then absent as
        // well.
        continue;
      }
      if (!value)
        value = fallback;
      if (value)
        attributes.push_back({attribute.getName(), value});
    }
    if (changed)
      node.setNodeAttributesAttr(DictionaryAttr::get(node.getContext(), attributes));
    return success();
  }

  static Location prefix(NodeOp call, Location inner) {
    auto outerName = dyn_cast<NameLoc>(call.getLoc());
    auto innerName = dyn_cast<NameLoc>(inner);
    if (!outerName)
      return innerName ? inner : call.getLoc();
    std::string name = outerName.getName().str() + (innerName ? "/" + innerName.getName().str() : std::string());
    return NameLoc::get(StringAttr::get(call.getContext(), name), outerName.getChildLoc());
  }

  SymbolTable symbols;
  SmallVector<func::FuncOp> stack;
  int64_t expanded = 0;
};

struct OnnxInlineFunctions : msa::impl::OnnxInlineFunctionsBase<OnnxInlineFunctions> {
  void runOnOperation() override {
    Inliner inliner(getOperation());
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (msa::onnx::isGraph(function) && failed(inliner.run(function)))
        return signalPassFailure();
    msa::onnx::eraseUncalledFunctions(getOperation());
  }
};

} // namespace

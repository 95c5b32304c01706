// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/OnnxDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialect/onnx/OnnxDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/onnx/OnnxTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/onnx/OnnxAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/onnx/OnnxOps.cpp.inc"

void msa::onnx::OnnxDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/onnx/OnnxTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/onnx/OnnxAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/onnx/OnnxOps.cpp.inc"
      >();
}

// onnx.node "Op" domain "d" overload "o" calls @f(%a, %b) {node attributes} graphs ["body"] {...} attributes {...} : (types) -> types
ParseResult msa::onnx::NodeOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  StringAttr opType, domain, overload;
  if (parser.parseAttribute(opType))
    return failure();
  result.addAttribute("op_type", opType);
  if (succeeded(parser.parseOptionalKeyword("domain"))) {
    if (parser.parseAttribute(domain))
      return failure();
    result.addAttribute("domain", domain);
  }
  if (succeeded(parser.parseOptionalKeyword("overload"))) {
    if (parser.parseAttribute(overload))
      return failure();
    result.addAttribute("overload", overload);
  }
  if (succeeded(parser.parseOptionalKeyword("calls"))) {
    StringAttr callee;
    if (parser.parseSymbolName(callee))
      return failure();
    result.addAttribute("callee", FlatSymbolRefAttr::get(callee));
  }
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SMLoc operandLoc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands, OpAsmParser::Delimiter::Paren))
    return failure();
  NamedAttrList attributes;
  if (parser.parseOptionalAttrDict(attributes))
    return failure();
  result.addAttribute("node_attributes", attributes.getDictionary(builder.getContext()));
  if (succeeded(parser.parseOptionalKeyword("graphs"))) {
    ArrayAttr names;
    if (parser.parseAttribute(names))
      return failure();
    result.addAttribute("region_names", names);
    for (size_t i = 0; i < names.size(); ++i)
      if (parser.parseRegion(*result.addRegion()))
        return failure();
  }
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  FunctionType type;
  if (parser.parseColonType(type) || parser.resolveOperands(operands, type.getInputs(), operandLoc, result.operands))
    return failure();
  result.addTypes(type.getResults());
  return success();
}

void msa::onnx::NodeOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getOpTypeAttr();
  if (!getDomain().empty())
    printer << " domain " << getDomainAttr();
  if (!getOverload().empty())
    printer << " overload " << getOverloadAttr();
  if (std::optional<StringRef> callee = getCallee()) {
    printer << " calls ";
    printer.printSymbolName(*callee);
  }
  printer << '(' << getInputs() << ')';
  printer.printOptionalAttrDict(getNodeAttributes().getValue());
  if (!getGraphs().empty()) {
    printer << " graphs " << getRegionNamesAttr();
    for (Region &graph : getGraphs()) {
      printer << ' ';
      printer.printRegion(graph);
    }
  }
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {"op_type", "domain", "overload", "callee", "node_attributes", "region_names"});
  printer << " : ";
  printer.printFunctionalType(getInputs().getTypes(), getOutputs().getTypes());
}

LogicalResult msa::onnx::NodeOp::verify() {
  // node_c1
  if (getOpType().empty())
    return emitOpError("expected an operator's name in 'op_type', but it is empty");
  // node_c2
  size_t names = getRegionNames() ? getRegionNames()->size() : 0;
  if (names != getGraphs().size())
    return emitOpError("expected a name in 'region_names' for each of ")
           << getGraphs().size() << " graphs, but got " << names;
  llvm::StringSet<> seen;
  for (size_t i = 0; i < names; ++i) {
    StringRef name = cast<StringAttr>((*getRegionNames())[i]).getValue();
    if (!seen.insert(name).second)
      return emitOpError("expected unique names in 'region_names', but got '") << name << "' twice";
  }
  return success();
}

LogicalResult msa::onnx::NodeOp::verifyRegions() {
  // node_c3
  for (auto [i, graph] : llvm::enumerate(getGraphs()))
    if (!isa<YieldOp>(graph.front().getTerminator()))
      return emitOpError("expected graph ") << i << " to end in 'onnx.yield', but it ends in '"
                                            << graph.front().getTerminator()->getName() << "'";
  return success();
}

LogicalResult msa::onnx::NodeOp::verifySymbolUses(SymbolTableCollection &symbols) {
  FlatSymbolRefAttr callee = getCalleeAttr();
  if (!callee)
    return success();
  // node_c4
  auto function = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, callee);
  if (!function || !function->hasAttr("onnx.function"))
    return emitOpError("expected 'callee' to be a func with 'onnx.function', but ")
           << callee << (function ? " has none" : " is none");
  if (getNumOperands() > function.getNumArguments() || getNumResults() > function.getNumResults())
    return emitOpError("expected at most ")
           << function.getNumArguments() << " operands and " << function.getNumResults() << " results to call "
           << callee << ", but got " << getNumOperands() << " and " << getNumResults();
  return success();
}

void msa::onnx::NodeOp::getEffects(SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  // Two equal random nodes are two draws: the effect keeps them from being merged. Every other operator is a function of its operands.
  static const llvm::StringSet<> random = {"Bernoulli",     "Dropout",           "Multinomial",      "RandomNormal",
                                           "RandomUniform", "RandomNormalLike",  "RandomUniformLike"};
  if (getDomain().empty() && random.contains(getOpType()))
    effects.emplace_back(MemoryEffects::Write::get());
}

LogicalResult msa::onnx::InitializerOp::verify() {
  // initializer_c1
  if (getValue().getShapedType() != getResult().getType())
    return emitOpError("expected 'value' to have the result's type ")
           << getResult().getType() << ", but got " << getValue().getShapedType();
  return success();
}

// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/OnnxDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialect/onnx/OnnxDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/onnx/OnnxTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/onnx/OnnxOps.cpp.inc"

void msa::onnx::OnnxDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/onnx/OnnxTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/onnx/OnnxOps.cpp.inc"
      >();
}

// onnx.node "Op" domain "d" overload "o" (%a, %b) {attributes} regions ["body"] ({...}) : (types) -> types
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
  printer << '(' << getInputs() << ')';
  printer.printOptionalAttrDict(getNodeAttributes().getValue());
  if (!getGraphs().empty()) {
    printer << " graphs " << getRegionNamesAttr();
    for (Region &graph : getGraphs()) {
      printer << ' ';
      printer.printRegion(graph);
    }
  }
  printer << " : ";
  printer.printFunctionalType(getInputs().getTypes(), getOutputs().getTypes());
}

LogicalResult msa::onnx::NodeOp::verify() {
  size_t names = getRegionNames() ? getRegionNames()->size() : 0;
  if (names != getGraphs().size())
    return emitOpError("expected a name in 'region_names' for each of ") << getGraphs().size() << " graphs, but got " << names;
  return success();
}

// SPDX-License-Identifier: Apache-2.0

#include "dialect/exec/ExecDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialect/exec/ExecDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/exec/ExecTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/exec/ExecOps.cpp.inc"

void msa::exec::ExecDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/exec/ExecTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/exec/ExecOps.cpp.inc"
      >();
}

ParseResult msa::exec::KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildType = [](Builder &builder, ArrayRef<Type> inputs, ArrayRef<Type> results, function_interface_impl::VariadicFlag,
                      std::string &) { return builder.getFunctionType(inputs, results); };
  return function_interface_impl::parseFunctionOp(parser, result, /*allowVariadic=*/false, getFunctionTypeAttrName(result.name),
                                                  buildType, getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void msa::exec::KernelOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
                                           getArgAttrsAttrName(), getResAttrsAttrName());
}

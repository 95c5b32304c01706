// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_DIALECT_ONNX_ONNXDIALECT_H
#define MSA_DIALECT_ONNX_ONNXDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/onnx/OnnxDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/onnx/OnnxTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/onnx/OnnxAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialect/onnx/OnnxOps.h.inc"

#endif // MSA_DIALECT_ONNX_ONNXDIALECT_H

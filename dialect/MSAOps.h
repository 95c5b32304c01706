// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_DIALECT_MSAOPS_H
#define MSA_DIALECT_MSAOPS_H

#include "dialect/MSADialect.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/MSAEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/MSAAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/MSATypes.h.inc"

#define GET_OP_CLASSES
#include "dialect/MSAOps.h.inc"

#endif // MSA_DIALECT_MSAOPS_H

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_DIALECT_EXEC_EXECDIALECT_H
#define MSA_DIALECT_EXEC_EXECDIALECT_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

#include "dialect/exec/ExecDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/exec/ExecTypes.h.inc"

#define GET_OP_CLASSES
#include "dialect/exec/ExecOps.h.inc"

#endif // MSA_DIALECT_EXEC_EXECDIALECT_H

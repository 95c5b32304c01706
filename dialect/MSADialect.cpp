// SPDX-License-Identifier: Apache-2.0

#include "dialect/MSAOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialect/MSADialect.cpp.inc"
#include "dialect/MSAEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/MSAAttrs.cpp.inc"

void msa::MSADialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/MSAAttrs.cpp.inc"
      >();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "dialect/MSAOps.cpp.inc"
      >();
}

// SPDX-License-Identifier: Apache-2.0

#include "dialect/kernel/KernelDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialect/kernel/KernelDialect.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/kernel/KernelOps.cpp.inc"

void msa::kernel::KernelDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialect/kernel/KernelOps.cpp.inc"
      >();
}

// SPDX-License-Identifier: Apache-2.0
//
// Makes a failing .mlir file small: msa-reduce FILE --reduction-tree='traversal-mode=0 test=SCRIPT'. The script says with
// exit code 1 that what it is given still fails.

#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "mlir/IR/MLIRContext.h"
#include "tools/RegisterAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  msa::registerAllDialects(registry);
  msa::registerAllPasses();
  mlir::MLIRContext context(registry);
  return llvm::failed(mlir::mlirReduceMain(argc, argv, context));
}

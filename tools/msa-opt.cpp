// SPDX-License-Identifier: Apache-2.0
//
// Runs passes over IR: every dialect and pass of this project and of MLIR, and those of plugins (--load-pass-plugin).

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "tools/RegisterAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  msa::registerAllDialects(registry);
  msa::registerAllPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "MSA optimizer\n", registry));
}

// SPDX-License-Identifier: Apache-2.0
//
// Completion, hover and diagnostics for .mlir files in an editor: a language server that knows every dialect of this project.

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "mlir/IR/DialectRegistry.h"
#include "tools/RegisterAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  msa::registerAllDialects(registry);
  return llvm::failed(mlir::MlirLspServerMain(argc, argv, registry));
}

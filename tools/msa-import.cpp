// SPDX-License-Identifier: Apache-2.0
//
// Prints ONNX files as IR of level 0: msa-import FILE.onnx... The tests' way to the importer.

#include "dialect/onnx/Import.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

int main(int argc, char **argv) {
  llvm::cl::list<std::string> paths(llvm::cl::Positional, llvm::cl::OneOrMore, llvm::cl::desc("FILE.onnx..."));
  llvm::cl::opt<bool> elide("elide", llvm::cl::desc("leave out the data of large tensors"));
  mlir::registerAsmPrinterCLOptions();
  llvm::cl::ParseCommandLineOptions(argc, argv, "print ONNX files as IR\n");

  mlir::MLIRContext context;
  std::vector<std::string> files(paths.begin(), paths.end());
  context.getDiagEngine().registerHandler([](mlir::Diagnostic &diagnostic) {
    bool isError = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
    llvm::errs() << (isError ? "error: " : "warning: ") << diagnostic << '\n';
  });
  mlir::OwningOpRef<mlir::ModuleOp> module = msa::onnx::importOnnxFiles(context, files);
  if (!module)
    return 1;
  mlir::OpPrintingFlags flags;
  if (elide)
    flags.elideLargeResourceString(64);
  module->print(llvm::outs(), flags);
  llvm::outs() << "\n";
  return 0;
}

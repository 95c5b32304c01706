// SPDX-License-Identifier: Apache-2.0
//
// From .onnx files to an artifact, in process: what msac is the command line of.

#ifndef MSA_CODEGEN_COMPILER_H
#define MSA_CODEGEN_COMPILER_H

#include "codegen/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"
#include <map>
#include <string>
#include <vector>

namespace msa {

struct ArtifactVariant;

/// How far to go.
enum class Stage { Onnx, MSA, Linalg, Exec, LLVM, Assembly, PTX, Artifact };

struct CompileOptions {
  std::vector<std::string> inputs;           ///< .onnx files, each an entry named after its stem
  std::string tokenizer;                     ///< path of a tokenizer.json to carry, or empty
  std::string modelConfig;                   ///< path of an msa.json to carry, or empty
  std::string testVectors;                   ///< folder of ONNX test data to carry (codegen/artifact/TestVectors.h), or empty
  std::vector<Target> targets;               ///< best first
  bool cubins = false;                       ///< carry what ptxas makes of each GPU's PTX as well
  std::string dumpDirectory;                 ///< IR after every pass goes there, unless empty
  bool smallRoutingKeys = false;             ///< of f8E4M3FN with a scale a row, instead of as the model has them
  bool report = false;                       ///< collect CompileReport::rewrites
  unsigned threads = 0;                      ///< of the code generator; 0: one per core. Never changes the output
};

/// What the optimiser did, for people.
struct CompileReport {
  struct Kernel {
    std::string name;
    unsigned dispatches; ///< commands that run it
  };
  /// One kind of rewrite that a pass made, or did not make although it looked.
  struct Rewrite {
    bool applied;
    std::string pass, text;
    std::string where; ///< node, of the first
    unsigned count;
  };
  std::vector<Kernel> kernels;
  std::vector<Rewrite> rewrites; ///< in the order in which they first happened; filled if CompileOptions::report
  std::vector<std::string> remarks; ///< what is not as fast as it might be, and where
};

/// One compilation. Diagnostics (errors and warnings, with the node that they are about) go to the context's handler.
class Compiler {
public:
  Compiler(mlir::MLIRContext &context, CompileOptions options) : context(context), options(std::move(options)) {}

  /// Everything the tools' dialects and translations need, before the context is made.
  static void registerDialects(mlir::DialectRegistry &registry);

  /// Imports and runs passes up to `stage` (Exec at most); the module stands at that level afterwards.
  mlir::LogicalResult runTo(Stage stage);
  mlir::ModuleOp getModule() { return *module; }

  /// Whether every target has code for every kernel: lowers them, and drops the result. After runTo(Exec).
  mlir::LogicalResult checkKernels();

  /// LLVM IR or assembly of the first target, a processor, or PTX of the first GPU. After runTo(Exec).
  llvm::Expected<std::string> emitText(Stage stage);
  /// After runTo(Exec).
  llvm::Error writeArtifact(llvm::StringRef path);

  const CompileReport &getReport() const { return report; }

private:
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> lowerKernels(const Target &target);
  llvm::Expected<ArtifactVariant> makeVariant(const Target &target);

  mlir::MLIRContext &context;
  CompileOptions options;
  CompileReport report;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

} // namespace msa

#endif // MSA_CODEGEN_COMPILER_H

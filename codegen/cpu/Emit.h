// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_CPU_EMIT_H
#define MSA_CODEGEN_CPU_EMIT_H

#include "codegen/cpu/CPUTarget.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"
#include <vector>

namespace mlir {
class DialectRegistry;
}

namespace msa::cpu {

struct EmitOptions {
  /// Threads that LLVM runs on; 0 takes one per core. The output does not depend on it.
  unsigned threads = 0;
};

/// Makes the context of `registry` able to translate kernels: call before the context is created.
void registerEmission(mlir::DialectRegistry &registry);

/// A module of its own with a copy of every `exec.kernel` of `module`: what one processor variant starts from.
mlir::OwningOpRef<mlir::ModuleOp> cloneKernels(mlir::ModuleOp module);

/// Everything between a module of `exec.kernel`s and `emitSharedObject`, in order, for one variant.
void buildLowerKernelsPipeline(mlir::OpPassManager &manager, const CPUTarget &target);

/// Optimises, generates and links the kernels of `module` (the output of lower-kernels-to-llvm).
/// \returns the bytes of an ELF shared object that exports exactly the module's public functions, needs no other
/// object and has no undefined symbol. Equal modules give equal bytes. An error names the symbols that were left
/// undefined. Thread-safe; the link itself runs one at a time.
llvm::Expected<std::vector<char>> emitSharedObject(mlir::ModuleOp module, const CPUTarget &target, const EmitOptions &options = {});

enum class TextKind {
  LLVM,     ///< optimised LLVM IR
  Assembly, ///< what the shared object is assembled from
};

/// The same code as text, for people.
llvm::Expected<std::string> emitText(mlir::ModuleOp module, const CPUTarget &target, TextKind kind);

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_EMIT_H

// SPDX-License-Identifier: Apache-2.0
//
// From .onnx files to a module of level 0 (docs/architecture.md); docs/import.md says what is accepted.

#ifndef MSA_DIALECT_ONNX_IMPORT_H
#define MSA_DIALECT_ONNX_IMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace msa::onnx {

struct ImportOptions {
  /// Tensors of at most so many bytes become `dense`, larger ones `dense_resource`.
  uint64_t denseLimit = 1024;
};

/// Imports files into one module: each is a public func named after the file's stem (`entryName`), its model-local
/// functions are private funcs.
///
/// Null on failure; the reasons are errors on the context's diagnostic engine, at an unknown location: each message names
/// file and node itself. Weights stay in the mapped files, which the context keeps mapped until it is destroyed; meanwhile
/// the files must not change. Loads the dialects it needs. Not for use by several threads on one context.
mlir::OwningOpRef<mlir::ModuleOp> importOnnxFiles(mlir::MLIRContext &context, llvm::ArrayRef<std::string> paths,
                                                  const ImportOptions &options = {});

/// Imports one file.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(mlir::MLIRContext &context, llvm::StringRef path,
                                             const ImportOptions &options = {});

/// What the entry of the file at `path` is called: its stem, with `_` for what is neither a letter, a digit nor one of
/// `_.-`.
std::string entryName(llvm::StringRef path);

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_IMPORT_H

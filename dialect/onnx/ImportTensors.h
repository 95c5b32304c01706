// SPDX-License-Identifier: Apache-2.0
//
// Types and tensors of an ONNX file as MLIR types and elements attributes.

#ifndef MSA_DIALECT_ONNX_IMPORTTENSORS_H
#define MSA_DIALECT_ONNX_IMPORTTENSORS_H

#include "dialect/onnx/Import.h"
#include "dialect/onnx/MappedFile.h"
#include "dialect/onnx/proto/onnx.pb.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/DenseMap.h"
#include <optional>

namespace msa::onnx {

/// Errors about one file.
struct FileErrors {
  mlir::MLIRContext *context;
  std::string path;

  /// `where` names the place in the file: "node 'x' (Gemm)"; may be empty.
  mlir::InFlightDiagnostic error(const llvm::Twine &where) const;
  void warn(const llvm::Twine &message) const;
};

/// The type a file declares for a value, and the names of its dims: empty strings where a dim has none; nothing for types
/// other than ranked tensors.
struct DeclaredType {
  mlir::Type type;
  std::optional<llvm::SmallVector<std::string>> dims;
};

/// `where` is for messages. A type without information is `!onnx.value`.
mlir::FailureOr<DeclaredType> importType(const ::onnx::TypeProto &type, const FileErrors &errors,
                                         const llvm::Twine &where);

/// Resources that view mapped files, by address and size, shared by all files of an import.
using MappedResources = llvm::DenseMap<std::pair<const char *, size_t>, mlir::DenseResourceElementsHandle>;

/// Makes elements of the tensors of one file. Thread-compatible.
class TensorImporter {
public:
  TensorImporter(const FileErrors &errors, const ImportOptions &options, std::shared_ptr<const MappedFile> file,
                 ExternalFiles &external, MappedResources &resources)
      : errors(errors), options(options), file(std::move(file)), external(external), resources(resources) {}

  /// `raw` are the tensor's raw bytes if they are in the mapped file instead of the message.
  /// `where` is for messages. `name` is what a resource is called.
  mlir::FailureOr<mlir::ElementsAttr> import(const ::onnx::TensorProto &tensor, llvm::StringRef name,
                                             const llvm::Twine &where,
                                             std::optional<llvm::ArrayRef<char>> raw = std::nullopt);
  mlir::FailureOr<mlir::ElementsAttr> import(const ::onnx::SparseTensorProto &tensor, llvm::StringRef name,
                                             const llvm::Twine &where);

private:
  /// Bytes and what keeps them alive; `owner` is null if they have to be copied.
  struct Bytes {
    llvm::ArrayRef<char> data;
    std::shared_ptr<const void> owner;
  };
  mlir::FailureOr<Bytes> externalBytes(const ::onnx::TensorProto &tensor, uint64_t size, const llvm::Twine &where);
  mlir::ElementsAttr toResource(mlir::RankedTensorType type, llvm::StringRef name, Bytes bytes, size_t alignment);

  const FileErrors &errors;
  const ImportOptions &options;
  std::shared_ptr<const MappedFile> file;
  ExternalFiles &external;
  MappedResources &resources;
};

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_IMPORTTENSORS_H

// SPDX-License-Identifier: Apache-2.0
//
// An ONNX file as protobuf messages, with the same view of them whatever version of the schema this was built with.

#ifndef MSA_DIALECT_ONNX_MODELFILE_H
#define MSA_DIALECT_ONNX_MODELFILE_H

#include "dialect/onnx/MappedFile.h"
#include "dialect/onnx/proto/onnx.pb.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>
#include <utility>
#include <vector>

namespace msa::onnx {

/// A file, parsed. Messages are allocated by protobuf, except for the raw bytes of the main graph's initializers:
/// these stay in the mapping.
struct ModelFile {
  std::shared_ptr<const MappedFile> file;
  ::onnx::ModelProto model;
  /// For each of `model.graph().initializer()`: its `raw_data`, if the file has one. The message itself has none.
  llvm::SmallVector<std::optional<llvm::ArrayRef<char>>> initializerBytes;

  /// Null on failure, with the reason in `error`.
  static std::unique_ptr<ModelFile> parse(llvm::StringRef path, std::string &error);
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

// Fields that schemas before ONNX 1.16 do not know.
std::string overloadOf(const ::onnx::NodeProto &node);
std::string overloadOf(const ::onnx::FunctionProto &function);
/// The declared attributes of a function that have a default.
std::vector<::onnx::AttributeProto> defaultsOf(const ::onnx::FunctionProto &function);
Metadata metadataOf(const ::onnx::NodeProto &node);

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_MODELFILE_H

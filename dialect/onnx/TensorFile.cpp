// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/TensorFile.h"
#include "dialect/onnx/ImportTensors.h"
#include "llvm/Support/Path.h"
#include <climits>

using namespace mlir;

FailureOr<msa::onnx::NamedTensor> msa::onnx::importTensorFile(MLIRContext &context, StringRef path) {
  FileErrors errors{&context, path.str()};
  std::string reason;
  std::shared_ptr<const MappedFile> file = MappedFile::open(path, reason);
  if (!file)
    return errors.error("") << reason;
  ArrayRef<char> bytes = file->bytes();
  ::onnx::TensorProto tensor;
  // Sequences and optionals parse as tensors without a type: their fields have other numbers or other meanings.
  if (bytes.size() > INT_MAX || !tensor.ParseFromArray(bytes.data(), int(bytes.size())) || tensor.data_type() == 0)
    return errors.error("") << "expected one tensor (a TensorProto), but the file is none: test data of sequences and optionals "
                               "is not supported";
  ImportOptions options;
  ExternalFiles external(llvm::sys::path::parent_path(path));
  MappedResources resources;
  TensorImporter importer(errors, options, file, external, resources);
  FailureOr<ElementsAttr> value = importer.import(tensor, tensor.name(), "");
  if (failed(value))
    return failure();
  return NamedTensor{tensor.name(), *value};
}

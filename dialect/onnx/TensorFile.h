// SPDX-License-Identifier: Apache-2.0
//
// Files that hold one tensor, a TensorProto and nothing else: what ONNX's test data (test_data_set_0/input_0.pb, ...) is made of.

#ifndef MSA_DIALECT_ONNX_TENSORFILE_H
#define MSA_DIALECT_ONNX_TENSORFILE_H

#include "mlir/IR/BuiltinAttributes.h"
#include <string>

namespace msa::onnx {

struct NamedTensor {
  std::string name; ///< as in the file; may be empty
  mlir::ElementsAttr value;
};

/// Reads the file at `path`, which is not trusted. Failure comes with an error on the context's diagnostic engine that names the
/// file. Large tensors stay in the mapped file, which the context keeps mapped; it must not change meanwhile.
mlir::FailureOr<NamedTensor> importTensorFile(mlir::MLIRContext &context, llvm::StringRef path);

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_TENSORFILE_H

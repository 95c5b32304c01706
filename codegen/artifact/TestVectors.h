// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_ARTIFACT_TESTVECTORS_H
#define MSA_CODEGEN_ARTIFACT_TESTVECTORS_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace msa {

/// Reads the ONNX test data in `folder` for the entries of `module` (level 3) and packs it as the bytes of a TEST_VECTORS segment.
///
/// Data of entry E lies in `folder/E/test_data_set_*`, and of a module's only entry in `folder/test_data_set_*` as well: files
/// input_0.pb, input_1.pb, ... and output_0.pb, ..., one TensorProto each. A tensor with a name is the input or output of that name,
/// one without the one of that number. Every input must be there, and at least one output.
///
/// The bytes are a safetensors file: tensors "E/SET/inputs/NAME" and "E/SET/outputs/NAME", SET counted from 0 in the order of the
/// folders' names. Tensors with larger elements stand first, so that each is aligned to its elements. Equal data gives equal bytes.
/// Failure comes with errors on the context's diagnostic engine.
mlir::FailureOr<std::string> packTestVectors(mlir::ModuleOp module, llvm::StringRef folder);

} // namespace msa

#endif // MSA_CODEGEN_ARTIFACT_TESTVECTORS_H

// SPDX-License-Identifier: Apache-2.0
//
// The element types of ONNX. Numbers, not the schema's enumerators: older schemas do not have all of them.

#ifndef MSA_DIALECT_ONNX_ELEMENTTYPES_H
#define MSA_DIALECT_ONNX_ELEMENTTYPES_H

#include "mlir/IR/Types.h"
#include <string>

namespace msa::onnx {

/// Where a tensor's elements are in a TensorProto that has no raw_data.
enum class TypedField { None, Float, Int32, Int64, Double, UInt64, String };

struct ElementType {
  int code;
  llvm::StringRef name;
  unsigned bits;       ///< of one element in raw_data, 0 where elements have no fixed size; below 8: packed, low bits first
  TypedField field;    ///< with two values an element for complex types
  int64_t low, high;   ///< of a value in `int32_data`
};

/// Null if the code is unknown.
const ElementType *findElementType(int code);

/// `code` for a message: its name, or the number.
std::string elementTypeName(int code);

/// The IR's type for `code`; null if there is none.
mlir::Type toIRElementType(mlir::MLIRContext *context, int code);

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_ELEMENTTYPES_H

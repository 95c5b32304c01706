// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/ElementTypes.h"
#include "dialect/onnx/OnnxDialect.h"

using namespace mlir;
using namespace msa::onnx;

const ElementType *msa::onnx::findElementType(int code) {
  using enum TypedField;
  static const ElementType table[] = {
      {1, "FLOAT", 32, Float, 0, 0},
      {2, "UINT8", 8, Int32, 0, 255},
      {3, "INT8", 8, Int32, -128, 127},
      {4, "UINT16", 16, Int32, 0, 65535},
      {5, "INT16", 16, Int32, -32768, 32767},
      {6, "INT32", 32, Int32, INT32_MIN, INT32_MAX},
      {7, "INT64", 64, Int64, 0, 0},
      {8, "STRING", 0, String, 0, 0},
      {9, "BOOL", 8, Int32, 0, 1},
      {10, "FLOAT16", 16, Int32, 0, 65535},
      {11, "DOUBLE", 64, Double, 0, 0},
      {12, "UINT32", 32, UInt64, 0, 0},
      {13, "UINT64", 64, UInt64, 0, 0},
      {14, "COMPLEX64", 64, Float, 0, 0},
      {15, "COMPLEX128", 128, Double, 0, 0},
      {16, "BFLOAT16", 16, Int32, 0, 65535},
      {17, "FLOAT8E4M3FN", 8, Int32, 0, 255},
      {18, "FLOAT8E4M3FNUZ", 8, Int32, 0, 255},
      {19, "FLOAT8E5M2", 8, Int32, 0, 255},
      {20, "FLOAT8E5M2FNUZ", 8, Int32, 0, 255},
      {21, "UINT4", 4, Int32, 0, 255},
      {22, "INT4", 4, Int32, 0, 255},
      {23, "FLOAT4E2M1", 4, Int32, 0, 255},
      {24, "FLOAT8E8M0", 8, Int32, 0, 255},
      {25, "UINT2", 2, Int32, 0, 255},
      {26, "INT2", 2, Int32, 0, 255},
  };
  for (const ElementType &type : table)
    if (type.code == code)
      return &type;
  return nullptr;
}

std::string msa::onnx::elementTypeName(int code) {
  const ElementType *type = findElementType(code);
  return type ? type->name.str() : "number " + std::to_string(code);
}

Type msa::onnx::toIRElementType(MLIRContext *context, int code) {
  auto integer = [&](unsigned bits, bool isUnsigned) {
    return IntegerType::get(context, bits, isUnsigned ? IntegerType::Unsigned : IntegerType::Signless);
  };
  switch (code) {
  case 1:
    return Float32Type::get(context);
  case 2:
    return integer(8, true);
  case 3:
    return integer(8, false);
  case 4:
    return integer(16, true);
  case 5:
    return integer(16, false);
  case 6:
    return integer(32, false);
  case 7:
    return integer(64, false);
  case 8:
    return StringType::get(context);
  case 9:
    return integer(1, false);
  case 10:
    return Float16Type::get(context);
  case 11:
    return Float64Type::get(context);
  case 12:
    return integer(32, true);
  case 13:
    return integer(64, true);
  case 14:
    return ComplexType::get(Float32Type::get(context));
  case 15:
    return ComplexType::get(Float64Type::get(context));
  case 16:
    return BFloat16Type::get(context);
  case 17:
    return Float8E4M3FNType::get(context);
  case 18:
    return Float8E4M3FNUZType::get(context);
  case 19:
    return Float8E5M2Type::get(context);
  case 20:
    return Float8E5M2FNUZType::get(context);
  case 21:
    return integer(4, true);
  case 22:
    return integer(4, false);
  case 23:
    return Float4E2M1FNType::get(context);
  case 24:
    return Float8E8M0FNUType::get(context);
  case 25:
    return integer(2, true);
  case 26:
    return integer(2, false);
  default:
    return {};
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// The fundamental types of PTX.

#pragma once

#include <cstdint>
#include <string_view>

namespace ptxemu {

enum class Type : uint8_t {
  None, Pred, B8, B16, B32, B64, U8, U16, U32, U64, S8, S16, S32, S64, F16, BF16, F32, F64,
  F16x2, BF16x2, U16x2, S16x2, E4M3, E5M2, E4M3x2, E5M2x2, TF32, B128
};

/// The type called `name` ("f32"), or None.
Type typeNamed(std::string_view name);
std::string_view typeName(Type type);

/// Bytes of a value in memory.
constexpr uint32_t typeBytes(Type type) {
  switch (type) {
  case Type::B8: case Type::U8: case Type::S8: case Type::E4M3: case Type::E5M2:
    return 1;
  case Type::B16: case Type::U16: case Type::S16: case Type::F16: case Type::BF16: case Type::E4M3x2: case Type::E5M2x2:
    return 2;
  case Type::B64: case Type::U64: case Type::S64: case Type::F64:
    return 8;
  case Type::B128:
    return 16;
  default:
    return 4;
  }
}

constexpr bool isFloat(Type type) { return type >= Type::F16 && type <= Type::F64; }
constexpr bool isSigned(Type type) { return type >= Type::S8 && type <= Type::S64; }
constexpr bool isInteger(Type type) { return type >= Type::B8 && type <= Type::S64; }
constexpr bool isUntyped(Type type) { return type >= Type::B8 && type <= Type::B64; }

/// Registers of up to 32 bits are 32 lanes of uint32_t, zero-extended; wider ones are 32 lanes of uint64_t; a predicate is a lane mask.
constexpr uint32_t registerBytes(Type type) { return typeBytes(type) == 8 ? 256 : 128; }

} // namespace ptxemu

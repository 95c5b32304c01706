// SPDX-License-Identifier: Apache-2.0
//
// Elements of tensor-core operands as numbers.

#pragma once

#include "Numbers.h"
#include "Types.h"
#include <cstring>

namespace ptxemu {

/// Calls `visit(load)`, where load(bytes) gives the element at an address as a number.
template <typename Visit> inline void withElements(Type type, Visit visit) {
  const SmallTables &tables = smallTables();
  auto bits16 = [](const uint8_t *p) {
    uint16_t v;
    std::memcpy(&v, p, 2);
    return v;
  };
  auto bits32 = [](const uint8_t *p) {
    uint32_t v;
    std::memcpy(&v, p, 4);
    return v;
  };
  switch (type) {
  case Type::F16: return visit([=](const uint8_t *p) { return float16ToFloat(bits16(p)); });
  case Type::BF16: return visit([=](const uint8_t *p) { return bfloat16ToFloat(bits16(p)); });
  case Type::E4M3: return visit([&](const uint8_t *p) { return tables.e4m3[*p]; });
  case Type::E5M2: return visit([&](const uint8_t *p) { return tables.e5m2[*p]; });
  case Type::S8: return visit([](const uint8_t *p) { return int32_t(int8_t(*p)); });
  case Type::U8: return visit([](const uint8_t *p) { return int32_t(*p); });
  // The lower 13 bits of a tf32 are ignored.
  default: return visit([=](const uint8_t *p) { return std::bit_cast<float>(bits32(p) & 0xffffe000); });
  }
}

inline uint32_t tileElementBytes(Type type) { return type == Type::TF32 ? 4 : typeBytes(type); }
inline bool isTileInteger(Type type) { return type == Type::S8 || type == Type::U8; }

} // namespace ptxemu

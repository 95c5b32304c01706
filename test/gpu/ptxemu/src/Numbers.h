// SPDX-License-Identifier: Apache-2.0
//
// Conversions between the small floating-point formats and float, inline so that lane loops vectorise.

#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace ptxemu {

inline float bfloat16ToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

inline uint16_t floatToBfloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : uint16_t(rounded);
}

inline float float16ToFloat(uint16_t bits) { return float(std::bit_cast<_Float16>(bits)); }

inline uint16_t floatToFloat16(float value) {
  uint16_t bits = std::bit_cast<uint16_t>(_Float16(value));
  return (bits & 0x7fff) > 0x7c00 ? 0x7fff : bits; // the one NaN that instructions make
}

/// A format with `mantissa` explicit bits, smallest normal exponent `minimum` and largest finite code `largest`.
struct SmallFormat {
  int mantissa, minimum;
  uint32_t largest;
};
inline constexpr SmallFormat e4m3Format{3, -6, 0x7e}, e5m2Format{2, -14, 0x7b};

/// To nearest even, saturating to the largest finite number; NaN gives 0x7f.
inline uint8_t floatToSmall(float value, SmallFormat format) {
  if (std::isnan(value))
    return 0x7f;
  uint8_t sign = std::signbit(value) ? 0x80 : 0;
  float magnitude = std::fabs(value);
  int exponent = std::max(int(std::bit_cast<uint32_t>(magnitude) >> 23) - 127, format.minimum);
  if (exponent > 20)
    return sign | uint8_t(format.largest);
  float units = std::nearbyint(std::ldexp(magnitude, format.mantissa - exponent));
  // The hidden bit of `units` carries into the exponent field, which also serves numbers below the smallest normal one.
  uint32_t code = (uint32_t(exponent - format.minimum) << format.mantissa) + uint32_t(units);
  return sign | uint8_t(std::min(code, format.largest));
}

/// All 256 values of the 8-bit formats.
struct SmallTables {
  float e4m3[256], e5m2[256];
  SmallTables();
};
const SmallTables &smallTables();

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// The public number conversions, and the tables of the 8-bit formats.

#include "Numbers.h"
#include "ptxemu/ptxemu.h"

namespace ptxemu {

static float smallToFloat(uint8_t bits, int exponentBits, int mantissaBits, bool hasInfinity) {
  int bias = (1 << (exponentBits - 1)) - 1;
  int exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
  int mantissa = bits & ((1 << mantissaBits) - 1);
  float magnitude;
  if (hasInfinity && exponent == (1 << exponentBits) - 1)
    magnitude = mantissa ? NAN : INFINITY;
  else if (!hasInfinity && (bits & 0x7f) == 0x7f)
    magnitude = NAN;
  else if (exponent == 0)
    magnitude = std::ldexp(float(mantissa), 1 - bias - mantissaBits);
  else
    magnitude = std::ldexp(float(mantissa + (1 << mantissaBits)), exponent - bias - mantissaBits);
  return bits & 0x80 ? -magnitude : magnitude;
}

SmallTables::SmallTables() {
  for (int i = 0; i < 256; ++i) {
    e4m3[i] = smallToFloat(uint8_t(i), 4, 3, false);
    e5m2[i] = smallToFloat(uint8_t(i), 5, 2, true);
  }
}

const SmallTables &smallTables() {
  static const SmallTables tables;
  return tables;
}

float fromBfloat16(uint16_t bits) { return bfloat16ToFloat(bits); }
float fromFloat16(uint16_t bits) { return float16ToFloat(bits); }
float fromE4m3(uint8_t bits) { return smallTables().e4m3[bits]; }
float fromE5m2(uint8_t bits) { return smallTables().e5m2[bits]; }
uint16_t toBfloat16(float value) { return floatToBfloat16(value); }
uint16_t toFloat16(float value) { return floatToFloat16(value); }
uint8_t toE4m3(float value) { return floatToSmall(value, e4m3Format); }
uint8_t toE5m2(float value) { return floatToSmall(value, e5m2Format); }

} // namespace ptxemu

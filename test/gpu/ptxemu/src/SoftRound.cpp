// SPDX-License-Identifier: Apache-2.0

#include "SoftRound.h"
#include <bit>
#include <cmath>

namespace ptxemu {

ExactNumber exactOf(double value) {
  ExactNumber result;
  result.negative = std::signbit(value);
  result.nan = std::isnan(value);
  result.infinite = std::isinf(value);
  if (result.nan || result.infinite || value == 0)
    return result;
  int exponent;
  double fraction = std::frexp(std::fabs(value), &exponent);
  result.mantissa = uint64_t(std::ldexp(fraction, 53));
  result.exponent = exponent - 53;
  return result;
}

ExactNumber exactOf(uint64_t value) {
  ExactNumber result;
  result.mantissa = value;
  return result;
}

ExactNumber exactOf(int64_t value) {
  ExactNumber result;
  result.negative = value < 0;
  result.mantissa = value < 0 ? 0 - uint64_t(value) : uint64_t(value);
  return result;
}

namespace {
struct Format {
  int mantissa;   ///< Explicit bits.
  int minimum;    ///< Exponent of the smallest normal number.
  uint64_t infinity, nan, largest;
  int signBit;
  int shift;      ///< TF32 keeps its bits at the top of a float.
};
} // namespace

static Format formatOf(Type type) {
  switch (type) {
  case Type::F16: return {10, -14, 0x7c00, 0x7fff, 0x7bff, 15, 0};
  case Type::BF16: return {7, -126, 0x7f80, 0x7fff, 0x7f7f, 15, 0};
  case Type::F64: return {52, -1022, 0x7ffull << 52, 0x7fffffffffffffff, (0x7ffull << 52) - 1, 63, 0};
  case Type::TF32: return {10, -126, 0x7f800000 >> 13, 0x7fffffff >> 13, (0x7f800000 >> 13) - 1, 31 - 13, 13};
  case Type::E4M3: return {3, -6, 0x7f, 0x7f, 0x7e, 7, 0};
  case Type::E5M2: return {2, -14, 0x7c, 0x7f, 0x7b, 7, 0};
  default: return {23, -126, 0x7f800000, 0x7fffffff, 0x7f7fffff, 31, 0};
  }
}

uint64_t roundTo(const ExactNumber &number, Type type, Rounding rounding, bool finite) {
  Format format = formatOf(type);
  uint64_t sign = uint64_t(number.negative) << format.signBit;
  auto done = [&](uint64_t bits) { return bits << format.shift; };
  if (number.nan)
    return done(format.nan);
  if (number.infinite)
    return done(sign | (finite ? format.largest : format.infinity));
  if (number.mantissa == 0)
    return done(sign);
  // The value is in [2^top, 2^(top+1)); its last place in the format is 2^last.
  int top = 63 - std::countl_zero(number.mantissa) + number.exponent;
  int last = std::max(top, format.minimum) - format.mantissa;
  int drop = last - number.exponent;
  uint64_t units;
  bool half = false, sticky = false;
  if (drop <= 0) {
    units = number.mantissa << -drop;
  } else if (drop > 64) {
    units = 0;
    sticky = true;
  } else {
    units = drop == 64 ? 0 : number.mantissa >> drop;
    half = number.mantissa >> (drop - 1) & 1;
    sticky = drop > 1 && (number.mantissa & ((uint64_t(1) << (drop - 1)) - 1)) != 0;
  }
  bool away = false;
  switch (rounding) {
  case Rounding::Nearest: away = half && (sticky || (units & 1)); break;
  case Rounding::NearestAway: away = half; break;
  case Rounding::Zero: break;
  case Rounding::Down: away = number.negative && (half || sticky); break;
  case Rounding::Up: away = !number.negative && (half || sticky); break;
  }
  units += away;
  uint64_t code = (uint64_t(std::max(top, format.minimum) - format.minimum) << format.mantissa) + units;
  if (top > 2000 || code >= format.infinity) {
    bool towardZero = rounding == Rounding::Zero || (rounding == Rounding::Down && !number.negative) || (rounding == Rounding::Up && number.negative);
    code = finite || towardZero ? format.largest : format.infinity;
  }
  return done(sign | code);
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Floating-point operations on single values, written so that lane loops over them vectorise.

#pragma once

#include "Numbers.h"
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ptxemu {

/// Subnormal numbers to zero of the same sign.
inline float flushed(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  return (bits & 0x7f800000) == 0 ? std::bit_cast<float>(bits & 0x80000000) : x;
}

/// To [0, 1]; NaN gives 0.
template <typename T> inline T saturated(T x) { return x > T(0) ? (x < T(1) ? x : T(1)) : T(0); }

inline constexpr float canonicalNan() { return std::bit_cast<float>(0x7fffffffu); }
template <typename T> inline T nanOf() {
  if constexpr (std::is_same_v<T, float>)
    return canonicalNan();
  else
    return std::numeric_limits<T>::quiet_NaN();
}

/// The number if one is NaN; -0 below +0.
template <typename T> inline T minimum(T a, T b) {
  T smaller = a < b ? a : b < a ? b : (std::signbit(a) ? a : b);
  return a != a ? (b != b ? nanOf<T>() : b) : b != b ? a : smaller;
}
template <typename T> inline T maximum(T a, T b) {
  T larger = a > b ? a : b > a ? b : (std::signbit(a) ? b : a);
  return a != a ? (b != b ? nanOf<T>() : b) : b != b ? a : larger;
}

/// 2^x within a unit in the last place or two, as ex2.approx promises.
inline float exp2Approximate(float x) {
  float clamped = x > -151.0f ? (x < 129.0f ? x : 129.0f) : -151.0f; // NaN, too
  float whole = std::nearbyint(clamped);
  float f = clamped - whole;
  float p = 1.5252734e-5f;
  p = p * f + 1.5403530e-4f;
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
  // Two factors, so that results may be subnormal or infinite.
  int32_t n = int32_t(whole), half = n >> 1;
  float first = std::bit_cast<float>((half + 127) << 23), second = std::bit_cast<float>((n - half + 127) << 23);
  float result = p * first * second;
  return x != x ? canonicalNan() : result;
}

/// A double that rounds to any shorter format as the exact value would: inexact ones get an odd last bit.
inline double sumToOdd(double a, double b) {
  double sum = a + b;
  double shadow = sum - a;
  double error = (a - (sum - shadow)) + (b - shadow);
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  bool finite = std::isfinite(sum);
  uint64_t nudged = (error > 0) == (sum > 0) ? bits + 1 : bits - 1;
  return error != 0 && finite && (bits & 1) == 0 ? std::bit_cast<double>(nudged) : sum;
}

/// The same from double to float.
inline float toOddFloat(double value) {
  float rounded = float(value);
  uint32_t bits = std::bit_cast<uint32_t>(rounded);
  if (double(rounded) == value || value != value || !std::isfinite(rounded))
    return rounded;
  if (bits & 1)
    return rounded;
  return std::bit_cast<float>(std::fabs(double(rounded)) > std::fabs(value) ? bits - 1 : bits + 1);
}

/// 16-bit formats by their conversions.
struct Float16Format {
  static float load(uint16_t bits) { return float16ToFloat(bits); }
  static uint16_t save(float value) { return floatToFloat16(value); }
};
struct Bfloat16Format {
  static float load(uint16_t bits) { return bfloat16ToFloat(bits); }
  static uint16_t save(float value) { return floatToBfloat16(value); }
};

/// a * b + c rounded once.
template <typename Format> inline float fusedSmall(float a, float b, float c) {
  return toOddFloat(sumToOdd(double(a) * double(b), double(c)));
}

} // namespace ptxemu

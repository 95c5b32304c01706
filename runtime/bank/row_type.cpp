// SPDX-License-Identifier: Apache-2.0

#include "runtime/bank/row_type.h"

#include <cstring>

namespace msa::rt {

static uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static bool isFinite(float value) { return (bitsOf(value) >> 23 & 0xff) != 0xff; }

uint16_t f16FromFloat(float value) {
  uint32_t bits = bitsOf(value), magnitude = bits & 0x7fffffff;
  uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  if (magnitude > 0x7f800000)
    return uint16_t(sign | 0x7e00); // NaN
  if (magnitude >= 0x477ff000) // halfway from the largest finite value to the next
    return uint16_t(sign | 0x7c00);
  if (magnitude < 0x38800000) { // below the smallest normal value: a multiple of 2^-24
    uint32_t shift = 126 - (magnitude >> 23);
    if (shift > 24)
      return sign; // less than half of 2^-24, or a tie with zero's even
    uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    uint32_t kept = mantissa >> shift, rest = mantissa & ((uint32_t(1) << shift) - 1), half = uint32_t(1) << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return uint16_t(sign | kept);
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

uint16_t bf16FromFloat(float value) {
  uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float floatFromF16(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
  if (exponent == 0x1f)
    return floatOf(sign | 0x7f800000 | mantissa << 13);
  if (exponent)
    return floatOf(sign | (exponent + 112) << 23 | mantissa << 13);
  float value = float(mantissa) * 0x1p-24f;
  return sign ? -value : value;
}

float floatFromBF16(uint16_t bits) { return floatOf(uint32_t(bits) << 16); }

float floatFromF8E4M3FN(uint8_t bits) {
  uint32_t sign = uint32_t(bits & 0x80) << 24, magnitude = bits & 0x7f;
  if (magnitude == 0x7f)
    return floatOf(sign | 0x7fc00000);
  float value = magnitude >= 8 ? floatOf((magnitude << 20) + (120u << 23)) : float(magnitude) * 0x1p-9f;
  return sign ? -value : value;
}

size_t narrowRows(const float *from, size_t count, msa_element_type type, void *to) {
  size_t bad = count;
  if (count == 0)
    return bad;
  if (type == MSA_F32) {
    for (size_t i = count; i-- > 0;)
      if (!isFinite(from[i]))
        bad = i;
    std::memcpy(to, from, count * sizeof(float));
    return bad;
  }
  auto *bits = static_cast<uint16_t *>(to);
  uint16_t infinity = type == MSA_F16 ? 0x7c00 : 0x7f80;
  for (size_t i = 0; i < count; ++i) {
    bits[i] = type == MSA_F16 ? f16FromFloat(from[i]) : bf16FromFloat(from[i]);
    if ((bits[i] & infinity) == infinity && bad == count)
      bad = i;
  }
  return bad;
}

size_t widenRows(const void *from, size_t count, msa_element_type type, float *to) {
  size_t bad = count;
  if (count == 0)
    return bad;
  if (type == MSA_F32)
    std::memcpy(to, from, count * sizeof(float));
  auto *bits = static_cast<const uint16_t *>(from);
  for (size_t i = 0; i < count; ++i) {
    if (type != MSA_F32)
      to[i] = type == MSA_F16 ? floatFromF16(bits[i]) : floatFromBF16(bits[i]);
    if (bad == count && !isFinite(to[i]))
      bad = i;
  }
  return bad;
}

bool allFinite(const void *values, size_t count, msa_element_type type) {
  bool all = true;
  if (type == MSA_F32) {
    auto *floats = static_cast<const float *>(values);
    for (size_t i = 0; i < count; ++i)
      all &= isFinite(floats[i]);
    return all;
  }
  if (type == MSA_F8E4M3FN) {
    auto *bytes = static_cast<const uint8_t *>(values);
    for (size_t i = 0; i < count; ++i)
      all &= (bytes[i] & 0x7f) != 0x7f;
    return all;
  }
  auto *bits = static_cast<const uint16_t *>(values);
  uint16_t infinity = type == MSA_F16 ? 0x7c00 : 0x7f80;
  for (size_t i = 0; i < count; ++i)
    all &= (bits[i] & infinity) != infinity;
  return all;
}

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0
//
// Rounding of exact numbers to any binary format in any direction, by integer arithmetic.

#pragma once

#include "Types.h"
#include <cstdint>

namespace ptxemu {

enum class Rounding : uint8_t { Nearest, Zero, Down, Up, NearestAway };

/// A sign, 64 bits and a power of two: (-1)^negative * mantissa * 2^exponent; or a NaN or infinity.
struct ExactNumber {
  bool negative = false, nan = false, infinite = false;
  uint64_t mantissa = 0;
  int exponent = 0;
};

ExactNumber exactOf(double value);
ExactNumber exactOf(int64_t value);
ExactNumber exactOf(uint64_t value);

/// The bits of the number in a format (F16, BF16, F32, F64, TF32, E4M3, E5M2). `finite`: overflow gives the largest finite number.
uint64_t roundTo(const ExactNumber &number, Type format, Rounding rounding, bool finite);

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic with directed rounding (.rz, .rm, .rp).

#pragma once

#include "Program.h"

namespace ptxemu {

enum class RoundedOperation : uint8_t { Add, Sub, Mul, Fma, Div, Sqrt, Rcp };

/// a: 1 toward zero, 2 down, 3 up; b: bit 0 flushes subnormals, bit 1 saturates; c: the operation.
Step roundedFloat(Warp &warp, const Insn &insn, uint32_t mask);
Step roundedDouble(Warp &warp, const Insn &insn, uint32_t mask);

/// A double rounded to float in direction 0 to 3 (nearest first).
float roundToFloat(double value, int direction);

} // namespace ptxemu

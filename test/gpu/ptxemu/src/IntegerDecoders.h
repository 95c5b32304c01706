// SPDX-License-Identifier: Apache-2.0
//
// Decoders of the integer forms of opcodes that floats share (Integer.cpp). The type has been taken.

#pragma once

#include "Decode.h"

namespace ptxemu {

void decodeIntegerAddSub(Decoding &d, Type type, bool subtract);
void decodeIntegerMinMax(Decoding &d, Type type, bool isMax);
void decodeIntegerMul(Decoding &d, Type type);
void decodeIntegerMad(Decoding &d, Type type, bool carryIn);
void decodeIntegerDiv(Decoding &d, Type type);
void decodeIntegerAbs(Decoding &d, Type type);
void decodeIntegerNeg(Decoding &d, Type type);

/// and, or, xor, not, mov (0 to 4) of predicates.
void decodePredicateLogic(Decoding &d, int operation);

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Rows between f32 and the types that a bank stores them in. Rows of f8e4m3fn come from a model's encoder as they are kept.

#ifndef MSA_RUNTIME_BANK_ROW_TYPE_H
#define MSA_RUNTIME_BANK_ROW_TYPE_H

#include "msa/msa.h"

namespace msa::rt {

/// Bits of |value|, to nearest, ties to even; too large values become infinities.
uint16_t f16FromFloat(float value);
uint16_t bf16FromFloat(float value);
float floatFromF16(uint16_t bits);
float floatFromBF16(uint16_t bits);

/// Writes |count| values of type |type| (f32, f16, bf16). Returns the first index whose result is not finite, or |count|.
size_t narrowRows(const float *from, size_t count, msa_element_type type, void *to);
/// The opposite; exact. Returns likewise.
size_t widenRows(const void *from, size_t count, msa_element_type type, float *to);

/// The number that |bits| of type f8e4m3fn stand for; exact.
float floatFromF8E4M3FN(uint8_t bits);

/// Whether none of |count| values of type |type| (f8e4m3fn as well) is an infinity or NaN.
bool allFinite(const void *values, size_t count, msa_element_type type);

} // namespace msa::rt

#endif // MSA_RUNTIME_BANK_ROW_TYPE_H

// SPDX-License-Identifier: Apache-2.0
//
// Operations of atom, red and cp.reduce.async.bulk.

#pragma once

#include "Decode.h"
#include "ptxemu/ptxemu.h"

namespace ptxemu {

enum class Reduction : uint8_t { Add, Min, Max, And, Or, Xor, Exchange, CompareAndSwap, Increment, Decrement };

/// What the memory holds afterwards. `second` is the new value of compare-and-swap.
uint64_t reduceValues(Reduction operation, Type type, uint64_t old, uint64_t value, uint64_t second = 0);
bool reductionSupports(Reduction operation, Type type);
Reduction takeReduction(Decoding &d);
/// The type in which elements of a tensor are combined.
Type reductionType(TensorMapType type);

} // namespace ptxemu

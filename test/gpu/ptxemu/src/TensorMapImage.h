// SPDX-License-Identifier: Apache-2.0
//
// What the emulator knows of a TensorMap's contents.

#pragma once

#include "ptxemu/ptxemu.h"

namespace ptxemu {

/// First eight bytes of every map that encodeTensorMap() made.
inline constexpr uint64_t tensorMapMagic = 0x50414d2d58545001;

/// Bytes of an element of a tensor map.
uint32_t elementBytes(TensorMapType type);

} // namespace ptxemu

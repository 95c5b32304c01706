// SPDX-License-Identifier: Apache-2.0
//
// The tile sizes of dialect/kernel/TileSizes.h, which both the host side and this code generator follow, under the names that
// this folder uses.

#ifndef MSA_CODEGEN_CPU_TILESIZES_H
#define MSA_CODEGEN_CPU_TILESIZES_H

#include "dialect/kernel/TileSizes.h"

namespace msa::cpu {
using namespace msa::kernel;
} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_TILESIZES_H

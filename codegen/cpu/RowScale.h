// SPDX-License-Identifier: Apache-2.0
//===- RowScale.h - the scale of a row of one-byte elements ---------------===//
//
// What kernel.quantize computes alike on every device.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_CPU_ROWSCALE_H
#define MSA_CODEGEN_CPU_ROWSCALE_H

#include "codegen/cpu/KernelBuilder.h"

namespace msa::cpu {

/// The bits of |value|, f32 to i32: ordered as the magnitudes are, NaN above all.
mlir::Value magnitudeBits(KernelBuilder &k, mlir::Value value);

/// f32: the scale of a row whose largest magnitude has the bits `largest`, i32.
mlir::Value rowScale(KernelBuilder &k, mlir::Value largest);

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_ROWSCALE_H

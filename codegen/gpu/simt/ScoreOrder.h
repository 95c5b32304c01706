// SPDX-License-Identifier: Apache-2.0
//
// Scores as integers that are ordered as a route ranks them: a NaN below every number, the two zeros equal.

#ifndef MSA_CODEGEN_GPU_SIMT_SCOREORDER_H
#define MSA_CODEGEN_GPU_SIMT_SCOREORDER_H

#include "codegen/gpu/simt/SimtBuilder.h"

namespace msa::gpu::simt {

/// i32, to be compared as unsigned: 0 for a NaN, more for every number.
mlir::Value orderOfScore(SimtBuilder &k, mlir::Value score);

/// i64, to be compared as unsigned: score and place (an index below 2^32 - 1) of a document; of equal scores the lower place is the
/// greater key. No key is 0.
mlir::Value rankedKey(SimtBuilder &k, mlir::Value score, mlir::Value place);
/// The place of a key.
mlir::Value placeOf(SimtBuilder &k, mlir::Value key);
/// The score of a key: of both zeros 0, of every NaN the quiet one.
mlir::Value scoreOf(SimtBuilder &k, mlir::Value key);

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_SCOREORDER_H

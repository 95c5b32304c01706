// SPDX-License-Identifier: Apache-2.0
//
// Small tensor algebra on the query of a route, shared by the passes that rewrite it.

#ifndef MSA_PASSES_QUERYALGEBRA_H
#define MSA_PASSES_QUERYALGEBRA_H

#include "dialect/MSAOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace msa {

/// `query` `[M, H, D]` in f32 with every head vector divided by `max(norm, epsilon)`.
mlir::Value normalizeHeads(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value query, double epsilon);

/// A zero-filled f32 tensor with the given sizes.
mlir::Value zeros(mlir::OpBuilder &builder, mlir::Location loc, llvm::ArrayRef<mlir::OpFoldResult> sizes);

} // namespace msa

#endif // MSA_PASSES_QUERYALGEBRA_H

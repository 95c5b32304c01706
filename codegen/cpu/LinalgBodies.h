// SPDX-License-Identifier: Apache-2.0
//
// What the bodies of linalg ops compute, for lowerings that spread their loops over lanes.

#ifndef MSA_CODEGEN_CPU_LINALGBODIES_H
#define MSA_CODEGEN_CPU_LINALGBODIES_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"
#include <optional>

namespace msa::cpu {

/// A commutative operation with a neutral element.
enum class Combiner { AddF, MulF, MaximumF, MaxNumF, MinimumF, MinNumF, AddI, MulI, MaxSI, MaxUI, MinSI, MinUI, And, Or, Xor };

mlir::Value combine(mlir::OpBuilder &b, mlir::Location loc, Combiner kind, mlir::Value lhs, mlir::Value rhs);
mlir::TypedAttr neutralElement(mlir::Builder &b, Combiner kind, mlir::Type type);

/// The operation by which an output of `op` grows: its argument meets one other value, and the result is yielded.
std::optional<Combiner> combinerOf(mlir::linalg::GenericOp op, mlir::BlockArgument argument);

/// addf and subf of a product that nothing else reads become math.fma.
void formFMAs(mlir::Block &body, mlir::RewriterBase &b);

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_LINALGBODIES_H

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_SIMT_DISTRIBUTELINALG_H
#define MSA_CODEGEN_GPU_SIMT_DISTRIBUTELINALG_H

#include "codegen/gpu/simt/SimtBuilder.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace msa::gpu::simt {

/// Threads that work on one point of a kernel.rows together.
struct ThreadGroup {
  /// A grid cannot wait for itself: it takes bodies of one op without a reduction.
  enum Kind { Thread, Warp, Block, Grid } kind = Thread;
  int64_t size = 1;      ///< threads; of a block for a grid
  mlir::Value lane;      ///< index of a thread in the group; 0 for a group of one
  mlir::Value stride;    ///< index: threads of the group
  mlir::Value exchange;  ///< groups of a block: shared memory, i8 [8 * size / 32], for values on their way between warps

  void sync(SimtBuilder &k) const;
  /// The values of all threads combined in one order, the same for every thread.
  mlir::Value reduce(SimtBuilder &k, cpu::Combiner kind, mlir::Value value) const;
};

/// Whether a linalg op on private memory alone is computed by every thread of a group alike: it has one element.
bool isUniform(mlir::linalg::GenericOp op, llvm::function_ref<bool(mlir::Value memref)> isPrivate);

/// Replaces `op` by loops that `group` shares: each thread takes some of the parallel points; where there is one such point and a
/// reduction that commutes, some of the reduction's. The order in which an element is accumulated depends on the extents and the
/// group's size alone. `isPrivate`: each thread has a copy of its own of that memory, with equal contents.
mlir::LogicalResult distribute(mlir::RewriterBase &rewriter, mlir::linalg::GenericOp op, const ThreadGroup &group,
                               llvm::function_ref<bool(mlir::Value memref)> isPrivate);

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_DISTRIBUTELINALG_H

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_SIMT_BLOCKSCAN_H
#define MSA_CODEGEN_GPU_SIMT_BLOCKSCAN_H

#include "codegen/gpu/simt/SimtFunction.h"

namespace msa::gpu::simt {

/// Code that numbers, in order, the threads of a block for which a condition holds: how a block compacts a list.
class BlockScan {
public:
  /// Takes shared memory of `function` where `k` stands. `threads` of a block.
  BlockScan(SimtBuilder &k, SimtFunction &function, int64_t threads);

  struct Position {
    mlir::Value before; ///< index: threads with a lower number for which it holds
    mlir::Value total;  ///< index: of the block
  };
  /// Every thread of the block comes here. The shared memory may be used again at once.
  Position count(mlir::Value condition);

private:
  SimtBuilder &k;
  int64_t warps;
  mlir::Value counts; ///< i32 [warps]
};

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_BLOCKSCAN_H

// SPDX-License-Identifier: Apache-2.0
//===- Epilogue.h - what happens to a product before it is stored ---------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_EPILOGUE_H
#define MSA_CODEGEN_GPU_TEMPLATES_EPILOGUE_H

#include "codegen/gpu/Fragments.h"
#include "mlir/IR/Region.h"

namespace msa::gpu {

/// An operand of an epilogue: [M, N], or [N] for every row.
struct EpilogueExtra {
  unsigned buffer = 0;
  mlir::Type element;
  bool perColumn = false;
};

/// One element's way from the sum (f32) to the result (f32, rounded where it is stored). `extras` are f32 where they are floats, and as they are stored
/// otherwise. Emitted once for each register: it shall not branch.
using Epilogue = std::function<Expr(KernelBuilder &k, Expr sum, llvm::ArrayRef<Expr> extras)>;

/// The region of a kernel.matmul as an epilogue: its ops, copied. The region outlives it.
Epilogue regionEpilogue(mlir::Region &region);

/// Stores results of a product of `n` columns.
class EpilogueStore {
public:
  EpilogueStore(KernelBuilder &k, const Epilogue &epilogue, llvm::ArrayRef<EpilogueExtra> extras, unsigned output, mlir::Type result, int64_t n)
      : k(k), epilogue(epilogue), extras(extras), output(k.global(output, result)), n(n) {}

  /// A warp's fragment, whose first row and column are `row` and `column` (i32) of the result; rows from `rows` and columns from n on are left out.
  /// `whole`: all of the fragment's columns are known to exist.
  void store(const Fragment &sums, Expr row, Expr rows, Expr column, bool whole);
  /// One element.
  void store(Expr sum, Expr row, Expr column);

private:
  llvm::SmallVector<Expr> apply(llvm::ArrayRef<Expr> sums, Expr offset, Expr column);

  KernelBuilder &k;
  const Epilogue &epilogue;
  llvm::ArrayRef<EpilogueExtra> extras;
  Array output;
  int64_t n;
};

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_EPILOGUE_H

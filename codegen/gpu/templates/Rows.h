// SPDX-License-Identifier: Apache-2.0
//===- Rows.h - move and pool rows at the speed of memory -----------------===//
//
//   Gather.cpp     kernel.gather: rows of a bank field by number
//   Compress.cpp   kernel.pool: the tokens of each chunk, a head's norm if asked for
//
// Nothing is computed that memory would wait for. A lane has eight neighbouring elements: one load of 16 bytes, or two of f32; several of them are in flight at
// once. Where elements do not come in eights, the scalar lowering serves (codegen/gpu/simt). A gather's result may begin anywhere; one that is not aligned to 16
// bytes is stored element by element.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_ROWS_H
#define MSA_CODEGEN_GPU_TEMPLATES_ROWS_H

#include "codegen/gpu/templates/Route.h"

namespace msa::gpu {

/// result[i] = field[rows[i]], converted where types differ: f32, bf16, f16.
struct GatherProblem {
  mlir::Type element, result;
  int64_t row = 0; ///< elements, a multiple of 8
  unsigned buffers = 0, scalars = 0;
  unsigned field = 0; ///< a SPANS buffer
  BufferView rows, output;
  Term count; ///< rows of the result
};

/// result[c, h] = the mean or maximum of x[starts[c] .. starts[c + 1], h], in f32 and ascending; divided by max(its norm, epsilon) if `normalize`.
struct CompressProblem {
  mlir::Type element, result; ///< f32, bf16, f16
  int64_t heads = 0, dim = 0; ///< dim is 8, 16, ... 256
  Reduce reduce = Reduce::mean;
  bool normalize = false;
  double epsilon = 1e-12;
  unsigned buffers = 0, scalars = 0;
  BufferView x, starts, output;
  Term chunks;
};

/// Adds the function. An error says why the template does not serve the problem.
llvm::Expected<Launch> emitGather(mlir::ModuleOp module, llvm::StringRef symbol, const GatherProblem &problem, const GPUTarget &target);
llvm::Expected<Launch> emitCompress(mlir::ModuleOp module, llvm::StringRef symbol, const CompressProblem &problem, const GPUTarget &target);

/// The launches of a kernel of that op, or an error that says why the template does not serve it; nothing is added then.
llvm::Expected<std::vector<LaunchCase>> lowerGatherRows(exec::KernelOp kernel, kernel::GatherOp op, const GPUTarget &target);
llvm::Expected<std::vector<LaunchCase>> lowerCompress(exec::KernelOp kernel, kernel::PoolOp op, const GPUTarget &target);

/// Eight neighbouring elements as they are stored: four words of 16-bit types, eight of f32. `index` is a multiple of 8.
llvm::SmallVector<Expr> loadEight(KernelBuilder &k, const Array &array, Expr index);
llvm::SmallVector<Expr> eightToF32(KernelBuilder &k, llvm::ArrayRef<Expr> words, mlir::Type element);
llvm::SmallVector<Expr> eightFromF32(KernelBuilder &k, llvm::ArrayRef<Expr> values, mlir::Type element);
void storeEight(KernelBuilder &k, llvm::ArrayRef<Expr> words, const Array &array, Expr index);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_ROWS_H

// SPDX-License-Identifier: Apache-2.0
//===- Gemm.h - matrix products on tensor cores ---------------------------===//
//
//   result[M, N] = epilogue(lhs[M, K] x rhs + extras)
//
// lhs is row-major. rhs of f16 and bf16 are the panels that weights are stored in for every device, [ceil(N / 16), K, 16]; of f8E4M3FN the rows
// [ceil(N / 16) * 16, K], for tensor cores read 8-bit operands along K only. Sums are in f32.
//
//   GemmHopper.cpp   sm_90: TMA, a producer warpgroup, one or two consumer warpgroups on wgmma; persistent
//   GemmAmpere.cpp   sm_80 and up: cp.async in several stages, ldmatrix, mma.sync
//   GemmSkinny.cpp   M <= 32: weights go from global memory straight into mma.sync; bound by memory, K split over warps and CTAs
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_GEMM_H
#define MSA_CODEGEN_GPU_TEMPLATES_GEMM_H

#include "codegen/gpu/KernelBuilder.h"
#include "codegen/gpu/Launch.h"
#include "codegen/gpu/templates/Epilogue.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"

namespace msa::gpu {

/// A product, as far as it is known when it is compiled, and where a kernel's parameters have it.
struct GemmProblem {
  mlir::Type element; ///< of both sides: bf16, f16 or f8E4M3FN
  mlir::Type result;  ///< f32, bf16 or f16
  int64_t n = 0, k = 0;
  Term rows; ///< M

  unsigned buffers = 0, scalars = 0; ///< of the kernel
  unsigned lhs = 0, rhs = 1, output = 2;
  llvm::SmallVector<EpilogueExtra> extras;
  Epilogue epilogue; ///< null: the sum itself
};

/// One way to compute it: a template with its parameters.
struct GemmInstance {
  enum class Form { Hopper, Ampere, Skinny };
  Form form = Form::Hopper;
  unsigned rows = 128, columns = 256; ///< of a CTA's tile; Skinny: the most rows there may be, columns a warp streams
  unsigned depth = 64;                ///< of K, a stage (Skinny: a CTA's slice is a multiple of it)
  unsigned stages = 4;                ///< Skinny: loads of 16 bytes in flight a lane
  unsigned split = 1;                 ///< Skinny: CTAs that share a tile's K, one cluster on sm_90
  unsigned cluster = 1;               ///< Hopper: CTAs of a cluster, whose tiles lie below each other and share their slabs of rhs

  /// "hopper_128x256x64_s4_c2"
  std::string name() const;
};

/// An instance for up to so many rows.
struct GemmChoice {
  int64_t below = 0; ///< taken when M < below; 0: always
  GemmInstance instance;
};

/// The instances for a problem, in the order in which they are tried; the last takes any M. An error says why no template serves it.
llvm::Expected<std::vector<GemmChoice>> pickGemm(const GemmProblem &problem, const GPUTarget &target);

/// Adds the function (or functions: a name may get a suffix) of an instance to `module`. \returns how it is launched, in order.
llvm::Expected<std::vector<Launch>> emitGemm(mlir::ModuleOp module, llvm::StringRef symbol, const GemmProblem &problem, const GemmInstance &instance,
                                             const GPUTarget &target);

/// The launches of a kernel whose op is a kernel.matmul, or an error that says why the template does not serve it; nothing is added then.
llvm::Expected<std::vector<LaunchCase>> lowerGemm(exec::KernelOp kernel, kernel::MatmulOp op, const GPUTarget &target);

//===--- The forms. ---===//

llvm::Expected<Launch> emitGemmHopper(mlir::ModuleOp, llvm::StringRef symbol, const GemmProblem &, const GemmInstance &, const GPUTarget &);
llvm::Expected<Launch> emitGemmAmpere(mlir::ModuleOp, llvm::StringRef symbol, const GemmProblem &, const GemmInstance &, const GPUTarget &);
llvm::Expected<Launch> emitGemmSkinny(mlir::ModuleOp, llvm::StringRef symbol, const GemmProblem &, const GemmInstance &, const GPUTarget &);

TensorElement tensorElement(mlir::Type element);
/// Tiles of an instance: grid.x.
Term gemmTiles(const GemmProblem &problem, const GemmInstance &instance);
/// Runs `body` for this CTA's tiles with each one's first row and column. Tiles go down a group of blocks of rows before they go right, so that CTAs that
/// run at one time share panels of weights and rows of lhs in L2. CTAs of a cluster go together; a tile may then begin behind the last row.
void forGemmTiles(KernelBuilder &k, Expr rows, const GemmProblem &problem, const GemmInstance &instance, State state,
                  llvm::function_ref<void(Expr row, Expr column)> body);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_GEMM_H

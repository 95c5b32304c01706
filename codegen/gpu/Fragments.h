// SPDX-License-Identifier: Apache-2.0
//===- Fragments.h - matrices in registers and shared memory for tensor cores ===//
//
// A Fragment is a tile of accumulators, 16 rows a warp, spread over lanes in the way that mma.sync and wgmma share: register i of a lane
// holds row `lane / 4 + 8 * ((i / 2) % 2)` and column `8 * (i / 4) + 2 * (lane % 4) + i % 2`. A lane has two rows (half 0 and half 1), and the four
// lanes of a quad share them: a reduction over columns is one over registers, then over the quad.
//
// A SharedMatrix is an operand of wgmma in shared memory, as TMA boxes of the matching swizzle write it.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_FRAGMENTS_H
#define MSA_CODEGEN_GPU_FRAGMENTS_H

#include "codegen/gpu/KernelBuilder.h"
#include <array>

namespace msa::gpu {

class Fragment {
public:
  Fragment() = default;
  /// All registers `value`. `columns` is a multiple of 8.
  Fragment(KernelBuilder &k, unsigned columns, double value = 0.0);

  unsigned columns() const { return static_cast<unsigned>(registers.size()) * 2; }
  unsigned size() const { return registers.size(); } ///< registers a lane
  Expr &operator[](unsigned i) { return registers[i]; }
  const Expr &operator[](unsigned i) const { return registers[i]; }

  /// Which of the lane's two rows register i is in.
  static unsigned half(unsigned i) { return i / 2 % 2; }
  /// The column of register i in lane 0 of a quad; lane q adds 2 q.
  static unsigned column(unsigned i) { return i / 4 * 8 + i % 2; }
  /// The lane's row of a half in its warp's 16 rows; its first column.
  static Expr row(KernelBuilder &k, unsigned half);
  static Expr firstColumn(KernelBuilder &k);

  /// Reduces each of the lane's rows over all columns; in all lanes of the quad.
  std::array<Expr, 2> reduceRows(KernelBuilder &k, KernelBuilder::Combine combine) const;
  /// Columns [16 step, 16 step + 16) as the A operand of a 16-bit mma: rounds to `element`.
  std::array<Expr, 4> operandA(KernelBuilder &k, unsigned step, mlir::Type element) const;

  void slots(llvm::SmallVectorImpl<mlir::Value *> &out) {
    for (Expr &value : registers)
      value.slots(out);
  }

private:
  llvm::SmallVector<Expr, 0> registers;
};

/// Which dimension of an operand is contiguous in memory: K (the one that is summed over), or M or N.
enum class Major { K, MN };

/// An operand of wgmma in shared memory: `extent` rows (M or N) by `depth` (K). It is made of slabs of `swizzle` bytes along the contiguous dimension:
///   Major::K    slab s: [extent] rows of `swizzle` bytes, k in [s * swizzle / elementBytes, ...)
///   Major::MN   slab s: [depth] rows of `swizzle` bytes, mn in [s * swizzle / elementBytes, ...); 16-bit types only
/// A tensor map with that swizzle and a box of one slab (or of all, where the slabs are a dimension of their own) writes it. Its address is
/// a multiple of 8 * swizzle bytes.
struct SharedMatrix {
  Major major = Major::K;
  unsigned extent = 64, depth = 64, elementBytes = 2, swizzle = 128;

  unsigned slabWidth() const { return swizzle / elementBytes; } ///< elements
  unsigned slabs() const { return ((major == Major::K ? depth : extent) + slabWidth() - 1) / slabWidth(); }
  int64_t slabBytes() const { return int64_t(major == Major::K ? extent : depth) * swizzle; }
  int64_t bytes() const { return slabs() * slabBytes(); }
  /// Elements of K that one wgmma sums over.
  unsigned stepDepth() const { return 32 / elementBytes; }
  unsigned steps() const { return depth / stepDepth(); }
  /// Byte offset of row `mn` (a multiple of 8; of slabWidth() for Major::MN) at step `step`.
  int64_t offset(unsigned mn, unsigned step) const;
};

/// A SharedMatrix at an address, as wgmma takes it.
class Operand {
public:
  Operand(KernelBuilder &k, const SharedMatrix &shape, Expr sharedAddress);
  /// The 64-bit descriptor for K step `step`.
  Expr descriptor(unsigned step) const;
  const SharedMatrix &getShape() const { return shape; }

private:
  SharedMatrix shape;
  Expr base;
};

/// Multiplicands of tensor cores.
enum class Multiplicand { F16, BF16, E4M3 };

/// One wgmma is asynchronous: it reads its operands and adds to its accumulators until a wait. The order is
///   pin(acc); wgmmaFence(k); wgmma(...)...; wgmmaCommit(k); wgmmaWait(k, 0); pin(acc)
/// and no register of an accumulator or A operand is touched in between. All 128 threads of a warpgroup run it together.
void wgmmaFence(KernelBuilder &k);
void wgmmaCommit(KernelBuilder &k);
void wgmmaWait(KernelBuilder &k, unsigned pending);
/// accumulators [64, N] += a [64, K] b [N, K] for the operands' K step `step`; N = accumulators.columns(), 8 to 256. Without `add` they are
/// overwritten, and what they held does not matter.
void wgmma(KernelBuilder &k, Fragment &accumulators, Multiplicand type, const Operand &a, const Operand &b, unsigned step, bool add = true);
/// A from registers: four i32 of a 16-bit type (Fragment::operandA).
void wgmma(KernelBuilder &k, Fragment &accumulators, Multiplicand type, llvm::ArrayRef<Expr> a, const Operand &b, unsigned step, bool add = true);

/// accumulators (one m16n8 tile: registers [4 tile, 4 tile + 4)) += a (four i32) b (two i32), for 16 of K (32 for E4M3, sm_89 and up).
void mma(KernelBuilder &k, Fragment &accumulators, unsigned tile, Multiplicand type, llvm::ArrayRef<Expr> a, llvm::ArrayRef<Expr> b);
/// Loads `count` (1, 2 or 4) 8x8 matrices of 16-bit elements: lane l gives the shared address of row l % 8 of matrix l / 8.
llvm::SmallVector<Expr> loadMatrices(KernelBuilder &k, Expr shared, unsigned count, bool transpose);
void storeMatrices(KernelBuilder &k, llvm::ArrayRef<Expr> values, Expr shared, bool transpose);

Multiplicand multiplicand(mlir::Type element);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_FRAGMENTS_H

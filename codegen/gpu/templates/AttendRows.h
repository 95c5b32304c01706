// SPDX-License-Identifier: Apache-2.0
//===- AttendRows.h - what the forms of attention share -------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_ATTENDROWS_H
#define MSA_CODEGEN_GPU_TEMPLATES_ATTENDROWS_H

#include "codegen/gpu/Fragments.h"
#include "codegen/gpu/templates/Attend.h"

namespace msa::gpu {

/// A tile of rows: `rows / pack` queries from `query` on, `pack` heads from `head` on.
struct AttendTile {
  Expr batch, query, head, kvHead;
  Expr split; ///< part of the keys; unset without splits
};

/// A range of keys, i32.
struct KeyRange {
  Expr begin, end;
};

/// The problem inside a kernel: sizes, which rows see which keys, where rows are stored.
class AttendRows {
public:
  AttendRows(KernelBuilder &k, const AttendProblem &problem, const AttendInstance &instance);

  Expr queries() const { return queryCount; }
  Expr keys() const { return keyCount; }
  Expr batches() const { return batchCount; }
  /// Tiles of one batch and `pack` heads, and all of them.
  Expr rowBlocks() const { return rowBlockCount; }
  int64_t headBlocks() const { return problem.heads / instance.pack; }

  /// Block `rowBlock` of the rows of `headBlock`.
  AttendTile tile(Expr batch, Expr headBlock, Expr rowBlock) const;
  /// The query and head of a tile's row.
  Expr queryOf(const AttendTile &tile, Expr row) const { return tile.query + row / instance.pack; }
  Expr headOf(const AttendTile &tile, Expr row) const { return tile.head + row % instance.pack; }

  /// The keys that a query sees: [begin, end), empty where end <= begin. `query` may be past the last one.
  KeyRange visible(Expr query) const;
  /// The keys that any query of the tile sees; in the tile's part where keys are split.
  KeyRange visible(const AttendTile &tile) const;

  /// Address of the first element of a tensor's batch and head; with a token, of that token's.
  mlir::Value address(const AttendTensor &tensor, Expr batch, Expr head) const;
  Expr tokenStride(const AttendTensor &tensor) const { return k.evaluate(tensor.token); } ///< i64, elements

  /// A warp's 16 rows from the tile's row `first` on: outputs not yet divided by `sum`, both in units of 2^maximum.
  /// Writes results, or the tile's part to the workspace.
  void store(const AttendTile &tile, Expr first, const Fragment &outputs, const std::array<Expr, 2> &maximum,
             const std::array<Expr, 2> &sum) const;

private:
  KernelBuilder &k;
  const AttendProblem &problem;
  const AttendInstance &instance;
  Expr batchCount, queryCount, keyCount, rowBlockCount;
};

/// Parts of split keys in the workspace, f32: outputs [B, M, H, splits, E], then (maximum, sum) [B, M, H, splits, 2].
struct AttendParts {
  AttendParts(KernelBuilder &k, const AttendProblem &problem, unsigned splits);
  /// Of row (batch, query, head), i64: elements of `outputs` before it, of `statistics` before it.
  Expr row(Expr batch, Expr query, Expr head) const;

  KernelBuilder &k;
  const AttendProblem &problem;
  unsigned splits;
  Array outputs, statistics;
};

/// What older outputs are to be multiplied by after a block, for each of the lane's rows, if any of the warp's needs it.
struct Rescale {
  Expr needed; ///< i1, the same in all lanes
  std::array<Expr, 2> factors;

  void apply(KernelBuilder &k, Fragment &outputs) const;
};

/// The softmax of a lane's two rows as far as keys have been seen. Scores are products of queries and keys as they are;
/// scale and log2(e) are applied here. Weights are relative to a score that is at most 2^8 below the largest, so that
/// outputs need no new scale for every key that is a little larger.
class OnlineSoftmax {
public:
  OnlineSoftmax() = default;
  /// `polynomials`: of every 64 weights of a lane, so many are computed without the special function unit, where that
  /// is busier than others. They are right to 2^-13; a hidden key's is not 0 but next to it.
  OnlineSoftmax(KernelBuilder &k, double scale, unsigned polynomials = 0);

  /// Scores become weights.
  Rescale update(KernelBuilder &k, Fragment &scores);
  /// What weights are relative to, in units of log2; -inf where no key was seen. Over the quad.
  std::array<Expr, 2> maxima(KernelBuilder &k) const;
  /// Sums of weights, over the quad.
  std::array<Expr, 2> sums(KernelBuilder &k) const;
  /// What depends on all weights so far (KernelBuilder::anchor).
  Expr witness() const { return sum[0] + sum[1]; }

  void slots(llvm::SmallVectorImpl<mlir::Value *> &out) {
    for (Expr *value : {&maximum[0], &maximum[1], &sum[0], &sum[1]})
      value->slots(out);
  }

private:
  Expr weight(KernelBuilder &k, Expr exponent, unsigned number) const;

  double scale = 1; ///< times log2(e)
  unsigned polynomials = 0;
  std::array<Expr, 2> maximum, sum; ///< maximum: over the quad, of scores; sum: of the lane's own columns
};

/// 1 / sum, or 0 for a row that saw no key.
Expr inverseSum(KernelBuilder &k, Expr maximum, Expr sum);
/// Hides scores of keys behind what a row sees, and before it: `scores` has the keys from `key` on, `ranges` are the lane's rows'.
void hideBehind(KernelBuilder &k, Fragment &scores, Expr key, const std::array<KeyRange, 2> &ranges);
void hideBefore(KernelBuilder &k, Fragment &scores, Expr key, const std::array<KeyRange, 2> &ranges);
/// Two neighbours from an even column on, rounded to the array's type.
void storePair(KernelBuilder &k, Expr low, Expr high, const Array &array, Expr index);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_ATTENDROWS_H

// SPDX-License-Identifier: Apache-2.0
//===- AttentionLowering.h - the parts of LowerAttention.cpp --------------===//
//
// LowerAttention.cpp says what is computed and cuts it; what happens to a block of scores stands in
// AttentionSoftmax.cpp, a decode step in AttentionSingleQuery.cpp.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_CPU_ATTENTIONLOWERING_H
#define MSA_CODEGEN_CPU_ATTENTIONLOWERING_H

#include "codegen/cpu/KernelBuilder.h"
#include "codegen/cpu/Passes.h"
#include "codegen/cpu/TileSizes.h"
#include <limits>

namespace msa::cpu {

inline constexpr double log2e = 1.4426950408889634;
inline constexpr double infinity = std::numeric_limits<double>::infinity();
/// Where a row of scores starts; the space before it takes what a group of keys that starts early computes again.
inline constexpr int64_t scoreOrigin = 16;
/// Keys that a decode step takes in at once: fewer, since a block of all heads and the next share the cache.
inline constexpr int64_t singleKeyBlock = 32;

/// Flat rows [begin, begin + count) of register tile height, whose scores are rows [0, count) of `scores`.
struct RowBlock {
  int64_t count;
  mlir::Value begin;
};

/// Emits one kernel.attention.
class AttentionLowering {
public:
  AttentionLowering(kernel::AttentionOp op, mlir::OpBuilder &builder, const CPUTarget &target);
  void emit();

private:
  using Value = mlir::Value;

  /// Queries [rowBegin, rowEnd) of the tile attend to keys [keyBegin, keyEnd).
  struct Segment {
    Value rowBegin, rowEnd, keyBegin, keyEnd;
  };

  void emitDocuments(Value rowBegin, Value rowEnd);
  void emitSegment(const Segment &segment);
  void emitSingleQuery();

  void loadQueries(Value rowBegin, Value rowEnd, Value flatBegin);
  void packKeys(Value key, Value count);
  void packValues(Value key, Value count);
  void emitRowBlock(const Segment &segment, RowBlock rows, Value flatRows, Value key, Value count);
  void emitSoftmax(RowBlock rows, int64_t keysOfBlock, Value key, llvm::function_ref<Value(Value)> limitOf,
                   llvm::function_ref<Value(Value)> queryOf);
  Value maskScores(Value scores, Value flatRow, Value query, Value key, int64_t vector, Value limit);
  int64_t singleHeads() const;
  void prefetch(Value memref, Value row, Value d, int64_t offset);
  void emitSingleScores(Value flatBegin, Value key, Value count);
  void emitSingleValues(Value flatBegin, Value key, Value count);
  void storeResults(Value rowBegin, Value rowEnd, Value flatBegin);

  int64_t vectorsOf(int64_t elements) const { return roundUp(elements, lanes) / lanes; }
  Value vectorColumn(int64_t vector) { return b.index(vector * lanes); }
  /// The mask of a row's vector number `vector`, or nothing if the row fills it.
  Value tailMask(int64_t elements, int64_t vector) {
    int64_t left = elements - vector * lanes;
    return left < lanes ? b.mask(b.index(left)) : Value();
  }
  Value scoreColumn(int64_t vector) { return b.index(scoreOrigin + vector * lanes); }

  kernel::AttentionOp op;
  KernelBuilder b;
  int64_t lanes, heads, kvHeads, group, headDim, valueDim;
  llvm::ArrayRef<int64_t> rowHeights;
  Value query, output, maximum, sum, keys, values, scores, newMaximum, rescale;
  Value queryCount, keyCount; // M and N
  Value batch, kvHead;        // of the tile
};

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_ATTENTIONLOWERING_H

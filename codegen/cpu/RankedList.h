// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_CPU_RANKEDLIST_H
#define MSA_CODEGEN_CPU_RANKEDLIST_H

#include "codegen/cpu/KernelBuilder.h"

namespace msa::cpu {

/// A scored document: f32 score, i64 number, first row and end row.
struct Document {
  mlir::Value score, number, first, end;
};

/// Code for a bounded list of documents in memory, kept as a binary heap so that any length stays O(log length) per
/// insertion: `scores` f32 `[.., n]` and `entries` i64 `[.., n, 3]`, the leading indices fixed at `prefix`.
class RankedList {
public:
  RankedList(KernelBuilder &k, mlir::Value scores, mlir::Value entries, llvm::ArrayRef<mlir::Value> prefix = {})
      : k(k), scores(scores), entries(entries), prefix(prefix) {}

  Document load(mlir::Value i);
  mlir::Value loadScore(mlir::Value i);
  mlir::Value loadNumber(mlir::Value i);
  void store(mlir::Value i, const Document &document);

  /// i1: `a` ranks before `b`: the higher score, of equal scores the lower number. A NaN ranks after every number.
  static mlir::Value better(KernelBuilder &k, const Document &a, const Document &b);

  /// Puts `document` among the best `capacity` of which `size` are there, the worst at index 0. Gives the new size.
  mlir::Value insert(mlir::Value size, mlir::Value capacity, const Document &document);
  /// Orders what `insert` left, best first.
  void sortByRank(mlir::Value size);
  /// Orders any list by ascending number.
  void sortByNumber(mlir::Value size);

private:
  enum class Order { Rank, Number };
  mlir::Value precedes(Order order, const Document &a, const Document &b);
  Document loadKey(mlir::Value i);
  void move(mlir::Value from, mlir::Value to);
  /// Lets `document` sink from index `hole` of the heap [0, size), whose root is the last in `order`.
  void sink(Order order, mlir::Value hole, mlir::Value size, const Document &document);
  void sortHeap(Order order, mlir::Value size);
  KernelBuilder::Values at(mlir::Value i, int64_t field = -1);

  KernelBuilder &k;
  mlir::Value scores, entries;
  KernelBuilder::Values prefix;
};

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_RANKEDLIST_H

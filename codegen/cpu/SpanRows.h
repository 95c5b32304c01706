// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_CPU_SPANROWS_H
#define MSA_CODEGEN_CPU_SPANROWS_H

#include "codegen/cpu/KernelBuilder.h"

namespace msa::cpu {

/// Code that finds rows of a bank field: a `msa_span_list *` of runtime/kernel_abi.h. A cursor is the number of a span,
/// an `index`. Rows that are asked for exist.
class SpanRows {
public:
  /// Loads the list's head where `k` stands. Rows are `row` elements of type `element`.
  SpanRows(KernelBuilder &k, mlir::Value list, int64_t row, mlir::Type element);

  /// The cursor of `row`, by binary search.
  mlir::Value find(mlir::Value row);
  /// The cursor of `row`, which is not before the span of `cursor`: for rows visited in order.
  mlir::Value advance(mlir::Value cursor, mlir::Value row);
  /// i1: `row` lies in the span of `cursor`.
  mlir::Value holds(mlir::Value cursor, mlir::Value row);
  /// Where `row`, which lies in the span of `cursor`, starts.
  mlir::Value address(mlir::Value cursor, mlir::Value row);

  int64_t rowBytes() const { return bytes; }

private:
  mlir::Value loadField(mlir::Value cursor, int64_t offset, mlir::Type type);
  mlir::Value firstRow(mlir::Value cursor);

  KernelBuilder &k;
  mlir::Value spans, count;
  int64_t bytes;
};

/// `pointer` plus a dynamic (`index`) and a constant number of bytes.
mlir::Value offsetPointer(KernelBuilder &k, mlir::Value pointer, mlir::Value bytes, int64_t constant = 0);

/// `lanes` elements of type `element` at `pointer`, which is aligned to one element, without conversion. With `active`
/// below `lanes` only the first `active` are read and the others are 0.
mlir::Value loadElements(KernelBuilder &k, mlir::Value pointer, mlir::Type element, int64_t lanes, int64_t active);

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_SPANROWS_H

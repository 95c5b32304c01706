// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_GPU_SIMT_SPANFIELD_H
#define MSA_CODEGEN_GPU_SIMT_SPANFIELD_H

#include "codegen/gpu/simt/SimtBuilder.h"

namespace msa::gpu::simt {

/// Code that finds rows of a bank field: a `msa_span_list *` of runtime/kernel_abi.h in device memory, with one span of all rows.
class SpanField {
public:
  /// Reads the list where `k` stands. Rows are `row` elements of type `element`. Without rows the start is null and not looked at.
  SpanField(SimtBuilder &k, mlir::Value list, int64_t row, mlir::Type element);

  /// Row `number` as a memref of `row` elements.
  mlir::Value row(mlir::Value number);
  /// All rows as a memref `[?, row]`.
  mlir::Value getRows() { return rows; }

private:
  SimtBuilder &k;
  int64_t length;
  mlir::Type element;
  mlir::Value start, rows;
};

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_SPANFIELD_H

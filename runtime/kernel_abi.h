// SPDX-License-Identifier: Apache-2.0
//
// What a compiled kernel and the runtime agree on. Plain C, so that the code generator can mirror it field by field.

#ifndef MSA_RUNTIME_KERNEL_ABI_H
#define MSA_RUNTIME_KERNEL_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Rows [first, first + rows) of a bank field, contiguous and row-major at `data`.
typedef struct msa_span {
  const void *data;
  int64_t first;
  int64_t rows;
} msa_span;

/// A bank field: spans in row order, without gaps, from row 0; `rows` is their sum. No span is empty; a bank may have no span.
typedef struct msa_span_list {
  const msa_span *spans;
  int64_t count;
  int64_t rows;
} msa_span_list;

/// A kernel. Runs tiles [lo, hi) of its tile space; tiles may run in any order, on any worker, at once.
/// |buffers|  one pointer per parameter (schema ParameterKind), each at least 64-byte aligned except entry inputs and spans,
///            which are only aligned to their element size. Empty buffers are non-null.
/// |scalars|  registers, in signature order.
/// |scratch|  the worker's own memory, 64-byte aligned, at least Kernel.scratch_bytes; undefined at entry.
/// A kernel never allocates, calls libm, keeps state or fails; its bounds were checked by commands before it.
typedef void (*msa_kernel_fn)(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi);

#ifdef __cplusplus
}
#endif

#endif // MSA_RUNTIME_KERNEL_ABI_H

// SPDX-License-Identifier: Apache-2.0
//===- DotTile.h - inner products of a few queries with a few keys --------===//
//
// The products of `queries x keys` pairs of rows that both lie row-major in memory. A product has 16 partial sums,
// whatever the processor's vectors: partial sum l takes the elements j with j mod 16 = l in ascending order, each by one
// fused multiply-add, and the 16 are added by halving (l with l + 8, then + 4, + 2, + 1). So a product is the same
// number in every tile shape and on every processor.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_CPU_DOTTILE_H
#define MSA_CODEGEN_CPU_DOTTILE_H

#include "codegen/cpu/KernelBuilder.h"

namespace msa::cpu {

/// Of a product.
inline constexpr int64_t partialSums = 16;

struct DotTile {
  int64_t queries, keys;

  /// What keeps the multiply units busy without spilling: `single` for one query, whose keys come from memory.
  static DotTile many(const CPUTarget &target);
  static DotTile single(const CPUTarget &target);
};

/// The partial sums of all products, 16 / lanes vectors each: of part 0, of query 0 with every key, then of query 1 with
/// every key, ..; then of part 1.
/// Rows have `length` elements. `query[i]` are the indices of a row in the f32 memref `matrix` up to its last dimension;
/// `key[j]` are `!llvm.ptr` to rows of `element`. Where `ahead` points, if given, as much memory as that of `aheadRows`
/// keys is fetched into the second-level cache meanwhile. Of keys of f8E4M3FN products are 2^-8 of what they are.
KernelBuilder::Values partialProducts(KernelBuilder &k, DotTile tile, mlir::Value matrix,
                                      llvm::ArrayRef<KernelBuilder::Values> query, mlir::ValueRange key,
                                      mlir::Type element, int64_t length, mlir::Value ahead = {}, int64_t aheadRows = 1);

/// Lane i is the product of partial sums i; `products` of them, at most `lanes`.
mlir::Value sumProducts(KernelBuilder &k, llvm::ArrayRef<mlir::Value> partial, int64_t products);

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_DOTTILE_H

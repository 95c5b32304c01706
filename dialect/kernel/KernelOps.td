// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_KERNEL_OPS_TD
#define MSA_KERNEL_OPS_TD

include "dialect/MSAAttrs.td"
include "mlir/Dialect/LLVMIR/LLVMTypes.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::msa::kernel";
  let summary = "one tile range of one computation, on memrefs";
  let description = [{
    What stands inside an `exec.kernel`: each op runs tiles `[lo, hi)` of its
    tile space, reads and writes memrefs, and is lowered by the code generator of
    a device (codegen/cpu: the micro-kernel builder). Tiles are independent.
    No op here allocates; `scratch` is the worker's memory.

    Results never depend on how tiles are split between calls: every output
    element is accumulated in one fixed order (over k for products, over keys
    from the document's or context's start for attention).
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::LLVM::LLVMDialect", "::msa::MSADialect"];
}

class Kernel_Op<string mnemonic, list<Trait> traits = []>
    : Op<Kernel_Dialect, mnemonic, !listconcat([MemoryEffects<[MemRead, MemWrite]>], traits)>;

def Kernel_Float : AnyTypeOf<[F16, BF16, F32]>;
class Kernel_MemRef<int rank, list<Type> types> : MemRefRankOf<types, [rank]>;

def Kernel_YieldOp : Op<Kernel_Dialect, "yield", [Pure, Terminator, ReturnLike]> {
  let summary = "end a region of a kernel op";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Kernel_RowsOp : Kernel_Op<"rows", [SingleBlock]> {
  let summary = "a loop over rows";
  let description = [{
    Iterates the flattened space `sizes` (row-major), `block` consecutive points a tile, and runs
    the body with the indices of each point. The tile space has
    `ceil(product(sizes) / block)` tiles. The body holds `linalg.generic` and friends on
    memref subviews of the point's data, `memref.alloca` of static size for
    intermediates, and scalar code: it is the fused remainder of a model, norms, rope, elementwise and data movement.

    Constraints:
    - C1: `block` is positive.
    - C2: the body takes one `index` for each of `sizes`.
    - C3: the body ends with `kernel.yield` of nothing.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Variadic<Index>:$sizes, I64Attr:$block);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`tiles` `(` $lo `to` $hi `)` `sizes` `(` $sizes `)` `block` $block attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Kernel_MatmulOp : Kernel_Op<"matmul", [SingleBlock]> {
  let summary = "rows times a packed matrix";
  let description = [{
    `lhs` `[M, K]`, `rhs` `[ceil(N / 16), K, 16]` (see `msa.matmul`), `result` `[M, N]`,
    `extras` each `[M, N]` or `[N]`; M is dynamic, K and N static. Accumulates in f32, in ascending k. Tile t covers rows
    `[r * rows, ...)` and columns `[c * columns, ...)` where `r = t / ceil(N / columns)`, `c = t mod ceil(N / columns)`;
    `columns` is a multiple of 16. The tile space has `ceil(M / rows) * ceil(N / columns)` tiles.
    The region is the epilogue of `msa.matmul`.

    Constraints:
    - C1: K and N are static, and `rhs` is `[ceil(N / 16), K, 16]`.
    - C2: `rows` is positive, `columns` a positive multiple of 16.
    - C3: each of `extras` is `[M, N]` or `[N]`.
    - C4: the region has one f32 argument, then one per extra of its element type, and yields the result's element type.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<2, [F16, BF16, F32]>:$lhs, Kernel_MemRef<3, [F16, BF16, F32]>:$rhs,
      Variadic<AnyMemRef>:$extras, Kernel_MemRef<2, [F16, BF16, F32]>:$result, MemRefRankOf<[I8], [1]>:$scratch,
      I64Attr:$rows, I64Attr:$columns);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $lhs `,` $rhs (`extras` `(` $extras^ `:` type($extras) `)`)? `into` $result `scratch` $scratch
    `rows` $rows `columns` $columns attr-dict-with-keyword `:` type($lhs) `,` type($rhs) `,` type($result) `,` type($scratch) $epilogue
  }];
  let hasVerifier = 1;
}

def Kernel_AttentionOp : Kernel_Op<"attention", [AttrSizedOperandSegments]> {
  let summary = "online-softmax attention";
  let description = [{
    Computes `msa.attention` without ever holding a score row: `query` `[B, M, H, D]`,
    `key` `[B, N, G, D]`, `value` `[B, N, G, E]`, `result` `[B, M, H, E]`, each of f16, bf16 or f32; computed in f32;
    optional `documents` i64 `[M]` and `mask` `[B|1, H|1, M|1, N|1]` i1 or f32. `causal` as in `msa.attention`.
    H, G, D, E are static; B, M, N dynamic.

    A tile is (batch, kv head, block of `rows` queries), the query block fastest: `B * G * ceil(M / rows)` tiles. One tile
    handles all H / G query heads of its kv head, so a decode step reads every key once.

    Constraints:
    - C1: H, G, D and E are static, and H is a multiple of G.
    - C2: the shapes agree as stated.
    - C3: `documents` excludes `mask`.
    - C4: each dim of `mask` is 1 or that of `[B, H, M, N]`.
    - C5: `rows` is positive.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<4, [F16, BF16, F32]>:$query, Kernel_MemRef<4, [F16, BF16, F32]>:$key,
      Kernel_MemRef<4, [F16, BF16, F32]>:$value, Optional<MemRefRankOf<[I64], [1]>>:$documents,
      Optional<MemRefRankOf<[I1, F32], [4]>>:$mask, Kernel_MemRef<4, [F16, BF16, F32]>:$result, MemRefRankOf<[I8], [1]>:$scratch,
      UnitAttr:$causal, F64Attr:$scale, I64Attr:$rows);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $query `,` $key `,` $value (`documents` $documents^ `:` type($documents))? (`mask` $mask^ `:` type($mask))?
    `into` $result `scratch` $scratch (`causal` $causal^)? `scale` $scale `rows` $rows attr-dict
    `:` type($query) `,` type($key) `,` type($value) `,` type($result) `,` type($scratch)
  }];
  let hasVerifier = 1;
}

def Kernel_RouteScanOp : Kernel_Op<"route_scan"> {
  let summary = "score a range of a bank, keep its best documents";
  let description = [{
    `msa.route` without normalisation, over the documents whose first chunk lies in a tile's rows
    `[t * rows, (t + 1) * rows)`: a document that starts in a tile is scored whole by that tile, wherever it ends.
    `query` f32 `[M, H, D]`; `keys` a `msa_span_list *` of rows of `row` elements of type `element`, `row = Hk * D`;
    `documents` i64 `[C]`; `mask` i1 `[M]`. Keys of f8E4M3FN count times their row's scale, `key_scales` f32 `[C]`, not negative.

    Tile t writes its best `keep = min(k, rows)` documents, best first (ties: lower document), to
    `scores` f32 `[tiles, keep]` and `entries` i64 `[tiles, keep, 3]` (document, first row, end row), and their number to
    `counts` i64 `[tiles]`. Nothing of size C is written. `ceil(C / rows)` tiles.
    Each product is accumulated in a fixed order, so a score does not depend on M, on the tile or on spans.
    A score that is NaN ranks after every number.

    Constraints:
    - C1: H and D are static, `row` is a whole number Hk of D-vectors, and H a multiple of Hk.
    - C2: `element` is f16, bf16 or f32, or f8E4M3FN with `key_scales`, which no other type has.
    - C3: `rows` is positive.
    - C4: head_reduce and chunk_reduce are mean or max.
    - C5: `key_scales`, `scores`, `entries` and `counts` agree as stated.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<3, [F32]>:$query, MemRefRankOf<[I1], [1]>:$mask, LLVM_AnyPointer:$keys,
      Optional<MemRefRankOf<[F32], [1]>>:$key_scales, MemRefRankOf<[I64], [1]>:$documents, Kernel_MemRef<2, [F32]>:$scores, Kernel_MemRef<3, [I64]>:$entries,
      MemRefRankOf<[I64], [1]>:$counts, MemRefRankOf<[I8], [1]>:$scratch, TypeAttr:$element, I64Attr:$row, I64Attr:$rows,
      MSA_ReduceAttr:$head_reduce, MSA_ReduceAttr:$query_reduce, MSA_ReduceAttr:$chunk_reduce, F64Attr:$scale);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $query `mask` $mask `keys` $keys (`scales` $key_scales^ `:` type($key_scales))?
    `documents` $documents `into` $scores `,` $entries `,` $counts
    `scratch` $scratch `element` $element `row` $row `rows` $rows `heads` $head_reduce `query` $query_reduce `chunks` $chunk_reduce
    `scale` $scale attr-dict `:` type($query) `,` type($mask) `,` type($keys) `,` type($documents) `,` type($scores) `,`
    type($entries) `,` type($counts) `,` type($scratch)
  }];
  let hasVerifier = 1;
}

def Kernel_RouteMergeOp : Kernel_Op<"route_merge"> {
  let summary = "merge the best documents of all tiles";
  let description = [{
    From the outputs of `kernel.route_scan` over all tiles: the best `k` documents, ascending by number. Writes `best` f32 and
    `chosen` i64 `[min(k, ..), 3]` (document, first row, end row), and `totals` i64 `[2]`: S documents, Z rows in all. One tile.
    `best` and `chosen` have room for min(k, tiles * keep) entries.

    Constraints:
    - C1: the shapes agree as stated.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<2, [F32]>:$scores, Kernel_MemRef<3, [I64]>:$entries,
      MemRefRankOf<[I64], [1]>:$counts, MemRefRankOf<[F32], [1]>:$best, Kernel_MemRef<2, [I64]>:$chosen,
      MemRefRankOf<[I64], [1]>:$totals, MemRefRankOf<[I8], [1]>:$scratch);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $scores `,` $entries `,` $counts `into` $best `,` $chosen `,` $totals `scratch` $scratch attr-dict
    `:` type($scores) `,` type($entries) `,` type($counts) `,` type($best) `,` type($chosen) `,` type($totals) `,` type($scratch)
  }];
  let hasVerifier = 1;
}

def Kernel_RouteRowsOp : Kernel_Op<"route_rows"> {
  let summary = "list the chosen documents and their rows";
  let description = [{
    From `chosen` `[S.., 3]` (ascending documents): `documents` i64 `[S]` and `chunks` i64 `[Z]`. One tile.

    Constraints:
    - C1: `chosen` holds three numbers for each document.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<2, [I64]>:$chosen, MemRefRankOf<[I64], [1]>:$documents,
      MemRefRankOf<[I64], [1]>:$chunks);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $chosen `into` $documents `,` $chunks attr-dict `:` type($chosen) `,` type($documents) `,` type($chunks)
  }];
  let hasVerifier = 1;
}

def Kernel_GatherOp : Kernel_Op<"gather"> {
  let summary = "copy rows of a bank field by number";
  let description = [{
    `result[i] = field[rows[i]]`, converted: `field` a `msa_span_list *` of rows of `row` elements of type `element`; `result`
    `[Z, row]`. Row numbers are in range (they come from a route). `block` rows a tile.

    Constraints:
    - C1: `result` has one row for each of `rows`, of a static number of elements.
    - C2: `element` is f16, bf16 or f32.
    - C3: `block` is positive.
  }];
  let arguments = (ins Index:$lo, Index:$hi, LLVM_AnyPointer:$field, MemRefRankOf<[I64], [1]>:$rows, Kernel_MemRef<2, [F16, BF16, F32]>:$result,
      TypeAttr:$element, I64Attr:$block);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $field `at` $rows `into` $result `element` $element `block` $block attr-dict
    `:` type($field) `,` type($rows) `,` type($result)
  }];
  let hasVerifier = 1;
}

def Kernel_TakeOp : Kernel_Op<"take"> {
  let summary = "copy rows of a table by index";
  let description = [{
    `result[i] = table[indices[i]]`, `table` `[V, row]`, `indices` i64 or i32 `[N]`, `result` `[N, row]`; negative indices
    count from the end. An index outside the table reads row 0 and sets `fault` i64 `[1]` to its value (the host checks it: `fault` holds the smallest i64 before). `block` rows a tile.

    Constraints:
    - C1: `result` has one row for each of `indices`, of the table's row length and element type.
    - C2: `block` is positive.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<2, [AnyType]>:$table, MemRefRankOf<[I64, I32], [1]>:$indices,
      Kernel_MemRef<2, [AnyType]>:$result, MemRefRankOf<[I64], [1]>:$fault, I64Attr:$block);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $table `at` $indices `into` $result `fault` $fault `block` $block attr-dict
    `:` type($table) `,` type($indices) `,` type($result) `,` type($fault)
  }];
  let hasVerifier = 1;
}

def Kernel_ChunkIndexOp : Kernel_Op<"chunk_index"> {
  let summary = "find where chunks start";
  let description = [{
    `msa.chunk_index`: writes `starts` i64 `[T + 1]` (its first C + 1 values), `chunk_documents` i64 `[T]` (first C) and `total` i64 `[1]` = C. One tile.

    Constraints:
    - C1: `chunk` is positive.
    - C2: the shapes agree as stated.
  }];
  let arguments = (ins Index:$lo, Index:$hi, MemRefRankOf<[I64], [1]>:$documents, MemRefRankOf<[I64], [1]>:$positions,
      MemRefRankOf<[I64], [1]>:$starts, MemRefRankOf<[I64], [1]>:$chunk_documents, MemRefRankOf<[I64], [1]>:$total, I64Attr:$chunk);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $documents `positions` $positions `into` $starts `,` $chunk_documents `,` $total `chunk` $chunk attr-dict
    `:` type($documents) `,` type($positions) `,` type($starts) `,` type($chunk_documents) `,` type($total)
  }];
  let hasVerifier = 1;
}

def Kernel_PoolOp : Kernel_Op<"pool"> {
  let summary = "reduce the tokens of each chunk";
  let description = [{
    `msa.pool`: `x` `[T, H, D]`, `starts` i64 `[C + 1]`, `result` `[C, H, D]`. One chunk a tile. Sums in f32, ascending tokens.

    Constraints:
    - C1: H and D are static and those of `x`.
    - C2: `reduce` is mean or max.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<3, [F16, BF16, F32]>:$x, MemRefRankOf<[I64], [1]>:$starts,
      Kernel_MemRef<3, [F16, BF16, F32]>:$result, MSA_ReduceAttr:$reduce, UnitAttr:$normalize, DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $x `starts` $starts `into` $result $reduce (`normalize` $normalize^)? attr-dict
    `:` type($x) `,` type($starts) `,` type($result)
  }];
  let hasVerifier = 1;
}

def Kernel_QuantizeOp : Kernel_Op<"quantize"> {
  let summary = "rows in elements of one byte and a scale each";
  let description = [{
    `msa.quantize`: `x` `[C, row]`, `result` `[C, row]`, `scales` f32 `[C]`; `block` rows a tile. All devices give the same bytes.

    Constraints:
    - C1: `result` has the shape of `x`, and `scales` an entry for each row.
    - C2: the row length is static.
    - C3: `block` is positive.
  }];
  let arguments = (ins Index:$lo, Index:$hi, Kernel_MemRef<2, [F16, BF16, F32]>:$x, Kernel_MemRef<2, [F8E4M3FN]>:$result,
      MemRefRankOf<[F32], [1]>:$scales, I64Attr:$block);
  let assemblyFormat = [{
    `tiles` `(` $lo `to` $hi `)` $x `into` $result `,` $scales `block` $block attr-dict
    `:` type($x) `,` type($result) `,` type($scales)
  }];
  let hasVerifier = 1;
}

#endif // MSA_KERNEL_OPS_TD

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_OPS_TD
#define MSA_OPS_TD

include "dialect/MSAAttrs.td"
include "dialect/MSATypes.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

class MSA_Op<string mnemonic, list<Trait> traits = []> : Op<MSA_Dialect, mnemonic, traits>;

// Its result's dims are those of its operands: `tensor.dim` of the one becomes `tensor.dim` of the other.
def MSA_ReifiesShapes : DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>;

// What touches a bank is ordered by this resource, whatever SSA says.
def MSA_BankResource : Resource<"::msa::BankResource">;

def MSA_FloatTensor : RankedTensorOf<[F16, BF16, F32, F64]>;
def MSA_RowTensor : RankedTensorOf<[F16, BF16, F32, F64, F8E4M3FN]>; // of a bank
def MSA_I64Vector : TensorRankOf<[I64], [1]>;
def MSA_BoolVector : TensorRankOf<[I1], [1]>;

//===----------------------------------------------------------------------===//
// Banks
//===----------------------------------------------------------------------===//

def MSA_BindOp : MSA_Op<"bind", [Pure, AttrSizedOperandSegments]> {
  let summary = "view tensors as one memory bank";
  let description = [{
    Binds one tensor of rows `[C, heads, dim]` to every field of the bank type,
    in order, and optionally the document number of every chunk, `i64[C]`,
    ascending. Where the tensors are entry arguments the runtime may bind them
    as spans; the rows are never copied.

    Constraints:
    - C1: one tensor per field, of the field's heads, dim and element type.
    - C2: all tensors (and `documents`) have the same number of rows.

    ```mlir
    %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
    ```
  }];
  let arguments = (ins Variadic<MSA_RowTensor>:$rows, Optional<MSA_I64Vector>:$documents);
  let results = (outs MSA_BankType:$bank);
  let assemblyFormat = [{
    $rows (`documents` $documents^)? attr-dict `:` type($rows) (`documents` type($documents)^)? `->` type($bank)
  }];
  let hasVerifier = 1;
}

def MSA_WriteOp : MSA_Op<"write"> {
  let summary = "append rows to a bank";
  let description = [{
    Appends `rows[i]` `[c, heads, dim]` to field `i` of the bank, and
    `documents` `i64[c]`, all above the bank's last document.

    Constraints: C1 and C2 of `msa.bind`.

    ```mlir
    msa.write %rk documents %doc to %bank : tensor<?x4x32xf32> documents tensor<?xi64> to !msa.bank<rk: 4x32xf32>
    ```
  }];
  let arguments = (ins Arg<MSA_BankType, "the bank", [MemWrite<MSA_BankResource>]>:$bank, Variadic<MSA_RowTensor>:$rows, MSA_I64Vector:$documents);
  let assemblyFormat = "$rows `documents` $documents `to` $bank attr-dict `:` type($rows) `documents` type($documents) `to` type($bank)";
  let hasVerifier = 1;
}

def MSA_EraseOp : MSA_Op<"erase"> {
  let summary = "remove documents from a bank";
  let arguments = (ins Arg<MSA_BankType, "the bank", [MemWrite<MSA_BankResource>]>:$bank, MSA_I64Vector:$documents);
  let assemblyFormat = "$documents `from` $bank attr-dict `:` type($documents) `,` type($bank)";
}

//===----------------------------------------------------------------------===//
// Encode
//===----------------------------------------------------------------------===//

def MSA_CompressOp : MSA_Op<"compress", [Pure]> {
  let summary = "pool the tokens of each chunk into one row";
  let description = [{
    `x` `[T, H, D]`; `documents` and `positions` `i64[T]`; positions restart at 0
    in every document, and a chunk starts where `position mod chunk = 0`.
    Gives `rows` `[C, H, D]`, the mean (in f32) or max of each chunk's tokens,
    L2-normalised per head where `normalize` is set (divided by
    `max(norm, epsilon)`), and the document of every chunk, `i64[C]`.

    Constraints:
    - C1: `chunk` is positive.
    - C2: `reduce` is mean or max.
    - C3: `rows` has the heads, dim and element type of `x`.
    - C4: `documents` and `positions` have one number for each token.

    ```mlir
    %rows, %numbers = msa.compress %x documents %doc positions %pos chunk 64 mean normalize
        : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$x, MSA_I64Vector:$documents, MSA_I64Vector:$positions,
      I64Attr:$chunk, MSA_ReduceAttr:$reduce, UnitAttr:$normalize, DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let results = (outs MSA_FloatTensor:$rows, MSA_I64Vector:$chunk_documents);
  let assemblyFormat = [{
    $x `documents` $documents `positions` $positions `chunk` $chunk $reduce (`normalize` $normalize^)? attr-dict
    `:` type($x) `,` type($documents) `,` type($positions) `->` type($rows) `,` type($chunk_documents)
  }];
  let hasVerifier = 1;
}

def MSA_ChunkIndexOp : MSA_Op<"chunk_index", [Pure]> {
  let summary = "find where chunks start";
  let description = [{
    The part of `msa.compress` that does not depend on the rows, so that CSE
    shares it between keys, values and layers. `starts` is `i64[C + 1]`: the
    first token of every chunk, then T. `chunk_documents` is `i64[C]`.

    Constraints:
    - C1: `chunk` is positive.
    - C2: `documents` and `positions` are equally long.

    ```mlir
    %starts, %numbers = msa.chunk_index %doc positions %pos chunk 64
        : tensor<?xi64>, tensor<?xi64> -> tensor<?xi64>, tensor<?xi64>
    ```
  }];
  let arguments = (ins MSA_I64Vector:$documents, MSA_I64Vector:$positions, I64Attr:$chunk);
  let results = (outs MSA_I64Vector:$starts, MSA_I64Vector:$chunk_documents);
  let assemblyFormat = [{
    $documents `positions` $positions `chunk` $chunk attr-dict `:` type($documents) `,` type($positions)
    `->` type($starts) `,` type($chunk_documents)
  }];
  let hasVerifier = 1;
}

def MSA_PoolOp : MSA_Op<"pool", [Pure, MSA_ReifiesShapes]> {
  let summary = "reduce the tokens of each chunk";
  let description = [{
    `x` `[T, H, D]`, `starts` `i64[C + 1]` of `msa.chunk_index`, result
    `[C, H, D]`. Normalises as `msa.compress` does.

    Constraints:
    - C1: `reduce` is mean or max.
    - C2: `rows` has the heads, dim and element type of `x`, and one row less than `starts`.

    ```mlir
    %rows = msa.pool %x starts %starts max : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$x, MSA_I64Vector:$starts, MSA_ReduceAttr:$reduce, UnitAttr:$normalize,
      DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let results = (outs MSA_FloatTensor:$rows);
  let assemblyFormat = [{
    $x `starts` $starts $reduce (`normalize` $normalize^)? attr-dict `:` type($x) `,` type($starts) `->` type($rows)
  }];
  let hasVerifier = 1;
}

def MSA_QuantizeOp : MSA_Op<"quantize", [Pure, MSA_ReifiesShapes]> {
  let summary = "rows in elements of one byte and a scale each";
  let description = [{
    `x` `[C, H, D]`; `rows` `[C, H, D]` of f8E4M3FN and `scales` f32 `[C, 1, 1]`
    of its rows, all heads of a row together:

        scales[c] = max |x[c, ..]| / 448, in f32; where that is 0: 1
        rows[c, ..] = x[c, ..] / scales[c], in f32, to the nearest number of f8E4M3FN (ties to even), at most 448

    so that `rows * scales` is within 2^-4 of each element, or within 2^-10 of
    its row's scale where that is more. A NaN makes its whole row NaN, scale and
    all; an infinity makes the scale infinite and itself NaN.

    Constraints:
    - C1: `rows` has the shape of `x`.
    - C2: `scales` is `[C, 1, 1]`.

    ```mlir
    %rows, %scales = msa.quantize %x : tensor<?x4x32xf32> -> tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$x);
  let results = (outs RankedTensorOf<[F8E4M3FN]>:$rows, TensorRankOf<[F32], [3]>:$scales);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($rows) `,` type($scales)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Route
//===----------------------------------------------------------------------===//


def MSA_RouteOp : MSA_Op<"route"> {
  let summary = "choose the documents that a question reads";
  let description = [{
    `query` `[M, H, D]`, `mask` `i1[M]` (which tokens take part; at least one),
    over `field` of `bank`, which must have been bound with documents:

        s[t,h,c] = scale * <query[t,h], key[c, h / (H / Hk)]>     key row viewed as [Hk, D]
        a[t,c]   = head_reduce over h of s                        mean | max
        b[c]     = query_reduce over the masked t of a            max | mean | last
        d[doc]   = chunk_reduce over the chunks of doc of b       max | mean
        the top k documents by d; equal scores: the lower number; fewer exist: all

    With `normalize`, every head vector of `query` is divided by
    `max(norm, epsilon)` first; keys are taken as stored. Results: `documents`
    `i64[S]` ascending, their `scores` `f32[S]`, and `chunks` `i64[Z]`, the rows
    of those documents in bank order.

    The query's heads may be folded: `H * D` need not be the field's
    `heads * dim`, but a key row must hold a whole number of `D`-vectors, and
    `H` be a multiple of that number.

    Keys of f8E4M3FN count as what they stand for: their elements times their
    row's scale.

    Constraints:
    - C1: `bank` has `field`, and a row of it is a whole number Hk of D-vectors.
    - C2: H is a multiple of Hk.
    - C3: `k` is positive.
    - C4: head_reduce is mean or max; chunk_reduce is mean or max.

    ```mlir
    %documents, %scores, %chunks = msa.route %query mask %mask in %bank["rk"] top 16 heads mean query max chunks max
        normalize scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$query, MSA_BoolVector:$mask,
      Arg<MSA_BankType, "the bank", [MemRead<MSA_BankResource>]>:$bank, StrAttr:$field, I64Attr:$k,
      MSA_ReduceAttr:$head_reduce, MSA_ReduceAttr:$query_reduce, MSA_ReduceAttr:$chunk_reduce,
      UnitAttr:$normalize, F64Attr:$scale, DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let results = (outs MSA_I64Vector:$documents, TensorRankOf<[F32], [1]>:$scores, MSA_I64Vector:$chunks);
  let assemblyFormat = [{
    $query `mask` $mask `in` $bank `[` $field `]` `top` $k `heads` $head_reduce `query` $query_reduce `chunks` $chunk_reduce
    (`normalize` $normalize^)? `scale` $scale attr-dict
    `:` type($query) `,` type($mask) `,` type($bank) `->` type($documents) `,` type($scores) `,` type($chunks)
  }];
  let hasVerifier = 1;
}

def MSA_ScoreOp : MSA_Op<"score"> {
  let summary = "score every chunk against a question";
  let description = [{
    The first part of `msa.route`: `b` of its formula, `f32[C]`.

    Constraints: C1, C2 and C4 of `msa.route`.

    ```mlir
    %scores = msa.score %query mask %mask in %bank["rk"] heads mean query last scale 0.125
        : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$query, MSA_BoolVector:$mask,
      Arg<MSA_BankType, "the bank", [MemRead<MSA_BankResource>]>:$bank, StrAttr:$field,
      MSA_ReduceAttr:$head_reduce, MSA_ReduceAttr:$query_reduce, UnitAttr:$normalize, F64Attr:$scale,
      DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let results = (outs TensorRankOf<[F32], [1]>:$scores);
  let assemblyFormat = [{
    $query `mask` $mask `in` $bank `[` $field `]` `heads` $head_reduce `query` $query_reduce
    (`normalize` $normalize^)? `scale` $scale attr-dict `:` type($query) `,` type($mask) `,` type($bank) `->` type($scores)
  }];
  let hasVerifier = 1;
}

def MSA_TopkOp : MSA_Op<"topk"> {
  let summary = "the k best documents of scored chunks";
  let description = [{
    The second part of `msa.route`: from `scores` `f32[C]` of `msa.score` to its results.

    Constraints:
    - C1: `k` is positive.
    - C2: `chunk_reduce` is mean or max.

    ```mlir
    %documents, %best, %chunks = msa.topk %scores in %bank top 16 chunks max
        : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [1]>:$scores, Arg<MSA_BankType, "the bank", [MemRead<MSA_BankResource>]>:$bank,
      I64Attr:$k, MSA_ReduceAttr:$chunk_reduce);
  let results = (outs MSA_I64Vector:$documents, TensorRankOf<[F32], [1]>:$best, MSA_I64Vector:$chunks);
  let assemblyFormat = [{
    $scores `in` $bank `top` $k `chunks` $chunk_reduce attr-dict `:` type($scores) `,` type($bank)
    `->` type($documents) `,` type($best) `,` type($chunks)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Read and attend
//===----------------------------------------------------------------------===//

def MSA_GatherOp : MSA_Op<"gather", [MSA_ReifiesShapes]> {
  let summary = "copy the named rows of a bank field";
  let description = [{
    `rows[i] = field[chunks[i]]`, `[Z, heads, dim]`, in the result's element type.

    Constraints:
    - C1: `bank` has `field`.
    - C2: `rows` has one row for each of `chunks`, of the field's heads and dim.
    - C3: the field is not of f8E4M3FN.

    ```mlir
    %rows = msa.gather %bank["k"] at %chunks : !msa.bank<k: 4x32xf16>, tensor<?xi64> -> tensor<?x4x32xf32>
    ```
  }];
  let arguments = (ins MSA_I64Vector:$chunks, Arg<MSA_BankType, "the bank", [MemRead<MSA_BankResource>]>:$bank, StrAttr:$field);
  let results = (outs MSA_FloatTensor:$rows);
  let assemblyFormat = "$bank `[` $field `]` `at` $chunks attr-dict `:` type($bank) `,` type($chunks) `->` type($rows)";
  let hasVerifier = 1;
}

def MSA_ReadOp : MSA_Op<"read"> {
  let summary = "attend over prefix, chosen chunks and the local tokens";
  let description = [{
    `query` `[M, H, D]`, local `key` `[M, G, D]` and `value` `[M, G, E]`; the
    context is `[prefix ; bank[chunks] ; local]`. Prefix and chunks are visible
    to every token, local is causal; scores times `scale`. Gives the attention
    `[M, H, E]` and the assembled context, `[P + Z + M, G, D]` and `[.., G, E]`,
    which decode goes on with.

    Constraints:
    - C1: `bank` has fields `k` and `v` of G heads and dims D and E, and all shapes are as stated.
    - C2: H is a multiple of G.
    - C3: the fields are not of f8E4M3FN.

    ```mlir
    %output, %context_key, %context_value = msa.read %query, %key, %value prefix %prefix_key, %prefix_value in %bank at %chunks scale 0.125
        : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>,
          !msa.bank<k: 4x32xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$query, MSA_FloatTensor:$key, MSA_FloatTensor:$value,
      MSA_FloatTensor:$prefix_key, MSA_FloatTensor:$prefix_value,
      Arg<MSA_BankType, "the bank", [MemRead<MSA_BankResource>]>:$bank, MSA_I64Vector:$chunks, F64Attr:$scale);
  let results = (outs MSA_FloatTensor:$output, MSA_FloatTensor:$context_key, MSA_FloatTensor:$context_value);
  let assemblyFormat = [{
    $query `,` $key `,` $value `prefix` $prefix_key `,` $prefix_value `in` $bank `at` $chunks `scale` $scale attr-dict
    `:` type($query) `,` type($key) `,` type($value) `,` type($prefix_key) `,` type($prefix_value) `,` type($bank) `,` type($chunks)
    `->` type($output) `,` type($context_key) `,` type($context_value)
  }];
  let hasVerifier = 1;
}

def MSA_AttentionOp : MSA_Op<"attention", [Pure, AttrSizedOperandSegments, MSA_ReifiesShapes]> {
  let summary = "scaled dot-product attention, grouped-query heads";
  let description = [{
    `query` `[M, H, D]`, `key` `[N, G, D]`, `value` `[N, G, E]`, or all with a
    leading batch dim `[B, ..]`; result as `query` with E for D. Head h reads
    key head `h / (H / G)`. `softmax(scale * q k) v`, over the visible keys.

    `causal`: token i sees keys `j <= i + N - M`. `documents` `i64[M]` (needs
    N = M, no batch): a token sees keys of its own document only; equal numbers
    are contiguous. `mask`, broadcastable to `[B, H, M, N]`: i1 (true = visible)
    or float (added to the scaled score). A row that sees nothing gives 0.

    A cache is a `msa.append` before this op.

    Constraints:
    - C1: H is a multiple of G; the head dims of query and key agree; all shapes are as stated.
    - C2: `documents` excludes `mask` and a batch dim, and demands N = M.
    - C3: `mask` has rank 4, each of its dims 1 or that of `[B, H, M, N]`.

    ```mlir
    %output = msa.attention %query, %key, %value causal scale 0.125
        : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x8x32xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$query, MSA_FloatTensor:$key, MSA_FloatTensor:$value,
      Optional<MSA_I64Vector>:$documents, Optional<RankedTensorOf<[I1, F32]>>:$mask, UnitAttr:$causal, F64Attr:$scale);
  let results = (outs MSA_FloatTensor:$output);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`documents` $documents^)? (`mask` $mask^)? (`causal` $causal^)? `scale` $scale attr-dict
    `:` type($query) `,` type($key) `,` type($value) (`documents` type($documents)^)? (`mask` type($mask)^)? `->` type($output)
  }];
  let hasCanonicalizeMethod = 1;
  let hasVerifier = 1;
}

def MSA_AppendOp : MSA_Op<"append", [Pure, MSA_ReifiesShapes]> {
  let summary = "extend a cache by rows";
  let description = [{
    `[past ; rows]` on axis `axis` (0: token-major; 1 with a batch dim). A
    concatenation with a name: where `past` is an entry argument and the result
    an entry result, the two may share memory and only `rows` is written.

    Constraints:
    - C1: `axis` is an axis of `past`.
    - C2: all dims but that of `axis` agree, and that of the result is the sum.
    - C3: one element type.

    ```mlir
    %cache = msa.append %rows to %past axis 0 : tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x4x32xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$past, AnyRankedTensor:$rows, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$rows `to` $past `axis` $axis attr-dict `:` type($rows) `,` type($past) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def MSA_RopeOp : MSA_Op<"rope", [Pure, AllTypesMatch<["x", "result"]>, MSA_ReifiesShapes]> {
  let summary = "rotary position embedding, rotating halves";
  let description = [{
    `x` `[.., T, H, D]` (rank 3 or 4), `cos` and `sin` `[.., T, R/2]` of the same
    leading dims, R <= D even. For j < R/2: `y[j] = x[j] cos[j] - x[j + R/2] sin[j]`,
    `y[j + R/2] = x[j + R/2] cos[j] + x[j] sin[j]`; dims from R on pass through.
    `interleaved`: pairs are (2j, 2j + 1) instead.

    Constraints:
    - C1: `x` has rank 3 or 4.
    - C2: `cos` and `sin` are `[.., T, R/2]`.
    - C3: R is at most D.

    ```mlir
    %y = msa.rope %x by %cos, %sin : tensor<?x8x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$x, MSA_FloatTensor:$cos, MSA_FloatTensor:$sin, UnitAttr:$interleaved);
  let results = (outs MSA_FloatTensor:$result);
  let assemblyFormat = "$x `by` $cos `,` $sin (`interleaved` $interleaved^)? attr-dict `:` type($x) `,` type($cos) `,` type($sin)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Dense algebra
//===----------------------------------------------------------------------===//

def MSA_MatmulOp : MSA_Op<"matmul", [Pure, SingleBlock, MSA_ReifiesShapes]> {
  let summary = "activations times a packed constant matrix, with an elementwise epilogue";
  let description = [{
    `lhs` `[.., K]` times `rhs`, which holds a `[K, N]` matrix packed in panels of
    16 columns: `[ceil(N / 16), K, 16]`, zero padded. The region maps the
    accumulated f32 value, and one element of each of `extras` (`[.., N]` as the
    result, or `[N]`), to the result's element: bias, activation, residual.

    Constraints:
    - C1: `rhs` is `[ceil(N / 16), K, 16]` with `lhs`'s K and the result's N.
    - C2: each extra has the result's shape or is `[N]`.
    - C3: the region has one f32 argument, then one per extra of its element type, and yields the result's element type.

    ```mlir
    %y = msa.matmul %x, %weight extras(%bias : tensor<32xf32>) : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x32xf32> {
    ^bb0(%product: f32, %b: f32):
      %sum = arith.addf %product, %b : f32
      msa.yield %sum : f32
    }
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$lhs, MSA_FloatTensor:$rhs, Variadic<AnyRankedTensor>:$extras);
  let results = (outs MSA_FloatTensor:$result);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    $lhs `,` $rhs (`extras` `(` $extras^ `:` type($extras) `)`)? attr-dict-with-keyword `:` type($lhs) `,` type($rhs) `->` type($result) $epilogue
  }];
  let hasVerifier = 1;
}

def MSA_YieldOp : MSA_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "end an epilogue";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def MSA_TakeOp : MSA_Op<"take", [Pure, MSA_ReifiesShapes]> {
  let summary = "rows of a table by index";
  let description = [{
    `result[i.., r..] = table[indices[i..], r..]`: an embedding lookup. `table` `[V, ..]`, `indices`
    i64 or i32 of any shape. A negative index counts from the end; an index outside the table ends the call with an error.

    Constraints:
    - C1: `table` has rank 1 or more.
    - C2: `result` has the indices' shape, then a row's, and the table's element type.

    ```mlir
    %rows = msa.take %table at %ids : tensor<1000x64xf32>, tensor<?xi64> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$table, RankedTensorOf<[I64, I32]>:$indices);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$table `at` $indices attr-dict `:` type($table) `,` type($indices) `->` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Fixed-size memories
//===----------------------------------------------------------------------===//

def MSA_UpdateOp : MSA_Op<"update", [Pure, AllTypesMatch<["memory", "result"]>]> {
  let summary = "gated, content-addressed write to a memory of fixed size";
  let description = [{
    `memory` `[S, E]`, `x` `[N, E]`, `scores` `[S, N]`, `gate` `[S]` (logits):
    `memory + sigmoid(gate) * (softmax(scores) x - memory)`.

    Constraints:
    - C1: the shapes agree as stated.

    ```mlir
    %next = msa.update %memory with %x scores %scores gate %gate : tensor<64x32xf32>, tensor<?x32xf32>, tensor<64x?xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins MSA_FloatTensor:$memory, MSA_FloatTensor:$x, MSA_FloatTensor:$scores, MSA_FloatTensor:$gate);
  let results = (outs MSA_FloatTensor:$result);
  let assemblyFormat = "$memory `with` $x `scores` $scores `gate` $gate attr-dict `:` type($memory) `,` type($x) `,` type($scores) `,` type($gate)";
  let hasVerifier = 1;
}

#endif // MSA_OPS_TD

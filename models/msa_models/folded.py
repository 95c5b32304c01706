# SPDX-License-Identifier: Apache-2.0
"""Routing and reading alone, as ONNX files that compute the same from the same inputs.

    python3 -m msa_models.folded --out DIR

writes DIR/route-read.onnx, the two calls of `ai.msa` with their bodies, and DIR/folded.onnx, in standard operators with the
heads folded by hand: where heads are averaged, one dot product of a folded query with a whole key replaces one a head.
folded-many.onnx is the same but for the side on which the keys stand: in onnxruntime 1.32 it is the faster of the two
for 16 query tokens, the other for one. A compiler should make the first as fast as the best of these, or faster. Shapes
are those of a layer of a 4 B model.
"""
import argparse
import os
import sys

import onnx
from onnx import inliner, parser

from .domain import attach

HEADS, KV_HEADS, DIM, TOP_K = 32, 8, 128, 16
OPSET = 20

_SIGNATURE = """
    (float[M,{H},{D}] rq, float[M,{H},{D}] q, float[M,{G},{D}] k, float[M,{G},{D}] v, bool[M] query_mask,
     float[C,{G},{D}] mem_rk, float[C,{G},{D}] mem_k, float[C,{G},{D}] mem_v, int64[C] chunk_doc,
     float[P,{G},{D}] prefix_k, float[P,{G},{D}] prefix_v)
    => (float[M,{H},{D}] y, int64[S] docs, float[S] scores)
"""

_ROUTE = """
    docs, scores, chunks = ai.msa.Route <k = {K}, head_reduce = "mean", query_reduce = "{query_reduce}",
        chunk_reduce = "max", normalize = 1, scale = 1.0> (rq, mem_rk, chunk_doc, query_mask)
"""

# A chunk scores as the average over heads, so the queries of the heads that share a key add up before the product.
_FOLDED_ROUTE = """
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    at0 = Constant <value_ints = [0]> ()
    at1 = Constant <value_ints = [1]> ()
    at2 = Constant <value_ints = [2]> ()
    last = Constant <value_ints = [-1]> ()
    lowest = Constant <value_ints = [-9223372036854775807]> ()
    none = Constant <value_float = -inf> ()
    tiny = Constant <value_float = 1e-12> ()
    grouped = Constant <value_ints = [-1, {G}, {R}, {D}]> ()
    flat = Constant <value_ints = [-1, {GD}]> ()
    limit = Constant <value_ints = [{K}]> ()
    length = ReduceL2 <keepdims = 1> (rq, last)
    bounded = Max (length, tiny)
    unit = Div (rq, bounded)
    by_key = Reshape (unit, grouped)
    summed = ReduceSum <keepdims = 0> (by_key, at2)
    folded = Reshape (summed, flat)
    keys = Reshape (mem_rk, flat)
    {product}
    asks = Unsqueeze (query_mask, at1)
    {reduce}
    chunks_in_bank = Shape (chunk_doc)
    shifted = Concat <axis = 0> (lowest, chunk_doc)
    before = Slice (shifted, at0, chunks_in_bank, at0)
    same = Equal (chunk_doc, before)
    first = Not (same)
    first_int = Cast <to = 7> (first)
    running = CumSum (first_int, zero)
    index = Sub (running, one)
    number = Compress <axis = 0> (chunk_doc, first)
    documents = Shape (number)
    empty = Expand (none, documents)
    document_score = ScatterElements <axis = 0, reduction = "max"> (empty, index, chunk_score)
    take = Min (limit, documents)
    best, which = TopK <axis = 0, largest = 1, sorted = 1> (document_score, take)
    ascending, order = TopK <axis = 0, largest = 0, sorted = 1> (which, take)
    docs = Gather <axis = 0> (number, ascending)
    scores = Gather <axis = 0> (best, order)
    unmarked = Expand (zero, documents)
    mark = Expand (one, take)
    marked = ScatterElements <axis = 0> (unmarked, which, mark)
    chosen = Gather <axis = 0> (marked, index)
    places = NonZero (chosen)
    chunks = Squeeze (places, at0)
"""

_PRODUCT = {
    "few": "token_score = Gemm <alpha = {alpha}, transB = 1> (folded, keys)",
    "many": """by_chunk = Gemm <alpha = {alpha}, transB = 1> (keys, folded)
    token_score = Transpose <perm = [1, 0]> (by_chunk)""",
}

_REDUCE = {
    "max": """asked = Where (asks, token_score, none)
    chunk_score = ReduceMax <keepdims = 0> (asked, at0)""",
    "mean": """nothing = Constant <value_float = 0.0> ()
    asked = Where (asks, token_score, nothing)
    total = ReduceSum <keepdims = 0> (asked, at0)
    asking = Cast <to = 1> (query_mask)
    count = ReduceSum <keepdims = 0> (asking, at0)
    chunk_score = Div (total, count)""",
}

_READ = """
    y, ctx_k, ctx_v = ai.msa.Read <scale = {scale}> (q, k, v, mem_k, mem_v, chunks, prefix_k, prefix_v)
"""


def route_read(folded=None, query_reduce="max", heads=HEADS, kv_heads=KV_HEADS, dim=DIM, top_k=TOP_K):
    """The ModelProto; `folded` "few" or "many" chooses one in standard operators alone, for that many query tokens."""
    text = (f'<ir_version: 10, opset_import: ["" : {OPSET}, "ai.msa" : 1]>\nroute_read ' + _SIGNATURE + "{{"
            + (_FOLDED_ROUTE if folded else _ROUTE) + _READ + "}}")
    if folded:
        text = text.replace("{product}", _PRODUCT[folded])
    model = parser.parse_model(text.format(
        H=heads, G=kv_heads, R=heads // kv_heads, D=dim, GD=kv_heads * dim, K=top_k, query_reduce=query_reduce,
        alpha=repr(1.0 / heads), scale=repr(dim**-0.5), reduce=_REDUCE[query_reduce]))
    attach(model)
    if folded:
        model = inliner.inline_local_functions(model)
        kept = [o for o in model.opset_import if o.domain != "ai.msa"]
        del model.opset_import[:]
        model.opset_import.extend(kept)
    return model


def main(arguments=None):
    p = argparse.ArgumentParser(prog="msa_models.folded", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, help="folder to write")
    p.add_argument("--query-reduce", choices=list(_REDUCE), default="max")
    a = p.parse_args(arguments)
    try:
        os.makedirs(a.out, exist_ok=True)
        for name, folded in [("route-read.onnx", None), ("folded.onnx", "few"), ("folded-many.onnx", "many")]:
            model = route_read(folded, a.query_reduce)
            onnx.checker.check_model(model)
            with open(os.path.join(a.out, name), "wb") as f:
                f.write(model.SerializeToString(deterministic=True))
    except OSError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(f"wrote {a.out}: route-read.onnx folded.onnx folded-many.onnx")
    return 0


if __name__ == "__main__":
    sys.exit(main())

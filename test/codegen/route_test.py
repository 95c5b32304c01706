# SPDX-License-Identifier: Apache-2.0
"""kernel.route_scan, route_merge and route_rows against numpy in f64, and against themselves: the bytes of a score may not
depend on tiles, on spans, on the processor or on the other tokens."""

import sys
from itertools import product

import ml_dtypes
import numpy as np
from bank_spans import Spans
from fenced_kernels import FencedKernels, tile_sizes
from kernels import emulated, variants

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f8E4M3FN": ml_dtypes.float8_e4m3fn}
# Of |score - f64| / (scale sqrt(length)): the second is the standard deviation of a product of rows of unit variance.
TOLERANCE = 1e-5


def module(heads, length, key_heads, element, rows, head, query, chunk, scale):
    small = element == "f8E4M3FN"
    return f"""
exec.kernel @scan(%q: memref<?xi8>, %on: memref<?xi8>, %keys: !llvm.ptr, {"%ks: memref<?xi8>, " if small else ""}%doc: memref<?xi8>, %s: memref<?xi8>, %e: memref<?xi8>, %n: memref<?xi8>,
    %m: index, %c: index, %tiles: index, %keep: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: 0, 0, 3, {"0, " if small else ""}0, 1, 1, 1>, scratch_bytes = {tile_sizes("route-scratch", key_heads * length, int(small))} : i64}} {{
  %0 = arith.constant 0 : index
  %query = memref.view %q[%0][%m] : memref<?xi8> to memref<?x{heads}x{length}xf32>
  %mask = memref.view %on[%0][%m] : memref<?xi8> to memref<?xi1>
  %documents = memref.view %doc[%0][%c] : memref<?xi8> to memref<?xi64>
  %scores = memref.view %s[%0][%tiles, %keep] : memref<?xi8> to memref<?x?xf32>
  %entries = memref.view %e[%0][%tiles, %keep] : memref<?xi8> to memref<?x?x3xi64>
  %counts = memref.view %n[%0][%tiles] : memref<?xi8> to memref<?xi64>
  {"%key_scales = memref.view %ks[%0][%c] : memref<?xi8> to memref<?xf32>" if small else ""}
  kernel.route_scan tiles(%lo to %hi) %query mask %mask keys %keys {"scales %key_scales : memref<?xf32>" if small else ""} documents %documents into %scores, %entries, %counts scratch %scratch
      element {element} row {key_heads * length} rows {rows} heads {head} query {query} chunks {chunk} scale {scale!r}
      : memref<?x{heads}x{length}xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x?xf32>, memref<?x?x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}}
exec.kernel @merge(%s: memref<?xi8>, %e: memref<?xi8>, %n: memref<?xi8>, %b: memref<?xi8>, %c: memref<?xi8>, %t: memref<?xi8>,
    %tiles: index, %keep: index, %k: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: 0, 0, 0, 1, 1, 1>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %2 = arith.constant 2 : index
  %scores = memref.view %s[%0][%tiles, %keep] : memref<?xi8> to memref<?x?xf32>
  %entries = memref.view %e[%0][%tiles, %keep] : memref<?xi8> to memref<?x?x3xi64>
  %counts = memref.view %n[%0][%tiles] : memref<?xi8> to memref<?xi64>
  %best = memref.view %b[%0][%k] : memref<?xi8> to memref<?xf32>
  %chosen = memref.view %c[%0][%k] : memref<?xi8> to memref<?x3xi64>
  %totals = memref.view %t[%0][%2] : memref<?xi8> to memref<?xi64>
  kernel.route_merge tiles(%lo to %hi) %scores, %entries, %counts into %best, %chosen, %totals scratch %scratch
      : memref<?x?xf32>, memref<?x?x3xi64>, memref<?xi64>, memref<?xf32>, memref<?x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}}
exec.kernel @rows(%c: memref<?xi8>, %d: memref<?xi8>, %r: memref<?xi8>, %s: index, %z: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: 0, 1, 1>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %chosen = memref.view %c[%0][%s] : memref<?xi8> to memref<?x3xi64>
  %documents = memref.view %d[%0][%s] : memref<?xi8> to memref<?xi64>
  %chunks = memref.view %r[%0][%z] : memref<?xi8> to memref<?xi64>
  kernel.route_rows tiles(%lo to %hi) %chosen into %documents, %chunks : memref<?x3xi64>, memref<?xi64>, memref<?xi64>
  exec.end
}}
"""


def route(kernels, query, mask, spans, key_scales, documents, k, rows, parts=1):
    """The three kernels in a row, the scan's tiles in `parts` calls, last first: documents, scores, chunks."""
    tiles, m, c = -(-len(documents) // rows), len(query), len(documents)
    keep = min(k, rows)
    scores, entries = np.full((tiles, keep), 7, np.float32), np.full((tiles, keep, 3), -9, np.int64)
    counts, totals = np.full(tiles, -5, np.int64), np.zeros(2, np.int64)
    cuts = np.linspace(0, tiles, parts + 1).astype(int).tolist()
    kernels.run("scan", [query, mask.astype(np.uint8), spans.list, *key_scales, documents, scores, entries, counts], [m, c, tiles, keep],
                list(zip(cuts, cuts[1:]))[::-1], tile_sizes("route-scratch", spans.list.rows.shape[1], len(key_scales)))
    capacity = min(k, tiles * keep)
    best, chosen = np.zeros(capacity, np.float32), np.zeros((capacity, 3), np.int64)
    kernels.run("merge", [scores, entries, counts, best, chosen, totals], [tiles, keep, capacity], [(0, 1)])
    found, chunks = totals.tolist()
    numbers, listed = np.zeros(found, np.int64), np.zeros(chunks, np.int64)
    kernels.run("rows", [np.ascontiguousarray(chosen[:found]), numbers, listed], [found, chunks], [(0, 1)])
    return numbers, best[:found], listed


def expected_scores(query, mask, keys, key_heads, starts, head, reduce, chunk, scale):
    heads, length = query.shape[1:]
    keys = keys.astype(np.float64).reshape(len(keys), key_heads, length)
    products = scale * np.stack([query[:, h].astype(np.float64) @ keys[:, h // (heads // key_heads)].T for h in range(heads)])
    tokens = (products.mean(0) if head == "mean" else products.max(0))[mask]
    chunks = tokens.max(0) if reduce == "max" else tokens.mean(0) if reduce == "mean" else tokens[-1]
    parts = np.split(chunks, starts[1:])
    return np.array([part.max() if chunk == "max" else part.mean() for part in parts])


def some_documents(rng, rows, longest):
    lengths = []
    while sum(lengths) < rows:
        lengths.append(min(int(rng.integers(1, longest + 1)), rows - sum(lengths)))
    numbers = np.cumsum(rng.integers(1, 4, len(lengths))) - 1
    return np.repeat(numbers, lengths).astype(np.int64)


def check(kernels, rng, shape, element, rows, reduces, scale, c, longest, k):
    heads, length, key_heads = shape
    head, reduce, chunk = reduces
    m = int(rng.choice([1, 2, 3, int(rng.integers(4, 17)), int(rng.integers(17, 71))]))
    query = rng.standard_normal((m, heads, length)).astype(np.float32)
    mask = rng.random(m) < 0.7
    mask[int(rng.integers(m))] = True
    keys, key_scales, units = rng.standard_normal((c, key_heads * length)), [], 1.0
    if element == "f8E4M3FN":  # in units of a scale for each row
        key_scales = [rng.uniform(0.02, 0.05, c).astype(np.float32)]
        units = key_scales[0][:, None].astype(np.float64)
    keys = (keys / units).astype(TYPES[element])
    documents = some_documents(rng, c, longest)
    results = []
    for parts in (1, 3) if emulated() else (1, 3, 7):
        spans = Spans(keys, rng.integers(0, c + 1, parts - 1).tolist())
        results.append([route(kernel, query, mask, spans, key_scales, documents, k, rows, parts) for kernel in kernels])
        spans.close()
    numbers, scores, chunks = results[0][0]
    for other in (result for line in results for result in line):
        assert all(np.array_equal(a, b) for a, b in zip(other, results[0][0])), "depends on tiles, spans or the processor"
    if c == 0:
        assert len(numbers) == len(chunks) == 0
        return
    known, starts = np.unique(documents, return_index=True)
    expected = expected_scores(query, mask, keys.astype(np.float64) * units, key_heads, starts, head, reduce, chunk, scale)
    assert len(numbers) == min(k, len(known)) and (np.diff(numbers) > 0).all() and np.isin(numbers, known).all()
    index = np.searchsorted(known, numbers)
    bound = TOLERANCE * scale * np.sqrt(length)
    assert np.abs(scores - expected[index]).max() <= bound, (np.abs(scores - expected[index]).max(), bound)
    left = np.delete(expected, index)
    assert len(left) == 0 or left.max() <= expected[index].min() + 2 * bound, "a better document was left"
    ends = np.append(starts[1:], c)
    assert np.array_equal(chunks, np.concatenate([np.arange(starts[i], ends[i]) for i in index]))
    if reduce != "mean" and k > c:  # all scores are there: one token alone gives the same
        spans, tokens = Spans(keys), np.flatnonzero(mask)
        alone = [route(kernels[0], query[t : t + 1], np.ones(1, bool), spans, key_scales, documents, k, rows)[1] for t in tokens]
        if reduce == "last":
            assert np.array_equal(alone[-1], scores), "a score depends on the other tokens"
        elif chunk == "max":
            assert np.array_equal(np.max(alone, 0), scores), "a score depends on the other tokens"
        spans.close()


def check_order(variant, rows, element):
    """Equal scores: the lower number. A NaN: after every number, even -inf (e4m3 has none); then the lower number."""
    small = element == "f8E4M3FN"
    values = np.array([1, 3, np.nan, 3, 3, -448 if small else -np.inf, 0.0, -0.0, -np.nan, 2], np.float32)
    keys = np.zeros((len(values), 16), TYPES[element])
    key_scales = [np.ones(len(values), np.float32)] if small else []
    keys[:, 0] = values
    query = np.zeros((1, 1, 16), np.float32)
    query[0, 0, 0] = 1
    ranked = [1, 3, 4, 9, 0, 6, 7, 5, 2, 8]
    kernels = FencedKernels(module(1, 16, 1, element, rows, "mean", "max", "max", 1.0), variant)
    spans = Spans(keys)
    for k in range(1, len(values) + 1):
        numbers, scores, _ = route(kernels, query, np.ones(1, bool), spans, key_scales, np.arange(len(values)), k, rows)
        assert numbers.tolist() == sorted(ranked[:k]), (k, numbers)
        assert np.array_equal(scores, values[numbers], equal_nan=True)
    spans.close()


def main():
    rng = np.random.default_rng()
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(rng.integers(1 << 31))
    print("seed", seed)
    rng, count = np.random.default_rng(seed), 0
    shapes = [(1, 256, 1), (4, 40, 2), (2, 5, 2), (6, 64, 3)]
    banks = [(0, 1, 4), (1, 1, 16), (37, 5, 3), (700, 200, 5), (3001, 9, 16), (2000, 1, 1 << 30)]
    if emulated():
        banks = [(0, 1, 4), (1, 1, 16), (37, 5, 3), (170, 90, 5), (230, 9, 16), (70, 1, 1 << 30)]
    for number, reduces in enumerate(product(("mean", "max"), ("max", "mean", "last"), ("max", "mean"))):
        for turn, shape in enumerate([shapes[number % 4], shapes[(number + 1 + number // 4) % 4]][: 1 if emulated() else 2]):
            element = list(TYPES)[(number + number // 4 + turn) % 4]
            rows, scale = int(rng.choice([16, 64, 256])), float(rng.choice([1.0, 0.125, 0.3]))
            text = module(*shape, element, rows, *reduces, scale)
            kernels = [FencedKernels(text, variant) for variant in variants()]
            for bank in banks:
                check(kernels, rng, shape, element, rows, reduces, scale, *bank)
            count += 1
    for variant, rows, element in product(variants(), (1, 3, 16), ("f32", "f8E4M3FN")):
        check_order(variant, rows, element)
    print(count, "kernels of route agree with numpy")


main()

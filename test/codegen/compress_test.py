# SPDX-License-Identifier: Apache-2.0
"""kernel.chunk_index (exact) and kernel.pool against numpy in f64; both processors give the same bytes."""

import sys

import ml_dtypes
import numpy as np
from fenced_kernels import FencedKernels
from kernels import variants

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
# Of |result - f64| / (1 + |f64|): sums of up to 70 terms of unit variance in f32, and one rounding of the result.
TOLERANCE = {"f32": 2e-6, "f16": 1e-3, "bf16": 8e-3}


def index_module(chunk):
    return f"""
exec.kernel @index(%d: memref<?xi8>, %p: memref<?xi8>, %s: memref<?xi8>, %c: memref<?xi8>, %n: memref<?xi8>, %t: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {{parameters = array<i32: 0, 0, 1, 1, 1>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %t1 = arith.addi %t, %1 : index
  %documents = memref.view %d[%0][%t] : memref<?xi8> to memref<?xi64>
  %positions = memref.view %p[%0][%t] : memref<?xi8> to memref<?xi64>
  %starts = memref.view %s[%0][%t1] : memref<?xi8> to memref<?xi64>
  %chunks = memref.view %c[%0][%t] : memref<?xi8> to memref<?xi64>
  %total = memref.view %n[%0][%1] : memref<?xi8> to memref<?xi64>
  kernel.chunk_index tiles(%lo to %hi) %documents positions %positions into %starts, %chunks, %total chunk {chunk}
      : memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>
  exec.end
}}
"""


def pool_module(heads, dim, element, result, reduce, normalize):
    return f"""
exec.kernel @pool(%x: memref<?xi8>, %s: memref<?xi8>, %r: memref<?xi8>, %t: index, %c: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: 0, 0, 1>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %c1 = arith.addi %c, %1 : index
  %tokens = memref.view %x[%0][%t] : memref<?xi8> to memref<?x{heads}x{dim}x{element}>
  %starts = memref.view %s[%0][%c1] : memref<?xi8> to memref<?xi64>
  %rows = memref.view %r[%0][%c] : memref<?xi8> to memref<?x{heads}x{dim}x{result}>
  kernel.pool tiles(%lo to %hi) %tokens starts %starts into %rows {reduce} {"normalize" if normalize else ""}
      : memref<?x{heads}x{dim}x{element}>, memref<?xi64>, memref<?x{heads}x{dim}x{result}>
  exec.end
}}
"""


def check_index(rng):
    for chunk in (1, 4, 64):
        for variant in variants():
            kernels = FencedKernels(index_module(chunk), variant)
            for number in (0, 1, 9):
                lengths = rng.integers(1, 150, number)
                documents = np.repeat(np.arange(number, dtype=np.int64) + 1, lengths)
                positions = np.concatenate([np.arange(n) for n in lengths] + [np.zeros(0)]).astype(np.int64)
                tokens = len(documents)
                starts, chunks, total = np.full(tokens + 1, -1), np.full(tokens, -1), np.full(1, -1)
                kernels.run("index", [documents, positions, starts, chunks, total], [tokens], [(0, 1)])
                first = np.flatnonzero(positions % chunk == 0)
                assert total[0] == len(first) and np.array_equal(starts[: len(first) + 1], np.append(first, tokens))
                assert np.array_equal(chunks[: len(first)], documents[first])


def check_pool(rng, shape, types, reduce, normalize):
    element, result = types
    lengths = rng.integers(1, 70, 11)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = rng.standard_normal((int(starts[-1]), *shape)).astype(TYPES[element])
    tokens[: lengths[0], 0] = 0  # a head without a norm
    exact = tokens.astype(np.float64)
    expected = np.stack([exact[a:b].mean(0) if reduce == "mean" else exact[a:b].max(0) for a, b in zip(starts, starts[1:])])
    if normalize:
        expected /= np.maximum(np.linalg.norm(expected, axis=-1, keepdims=True), 1e-12)
    results = []
    for variant in variants():
        out = np.full((11, *shape), 9, TYPES[result])
        kernels = FencedKernels(pool_module(*shape, element, result, reduce, normalize), variant)
        kernels.run("pool", [tokens, starts, out], [len(tokens), 11], [(7, 11), (0, 7)])
        results.append(out)
    error = (np.abs(results[0].astype(np.float64) - expected) / (1 + np.abs(expected))).max()
    assert error < TOLERANCE[result], (shape, types, reduce, normalize, error)
    assert all(out.tobytes() == results[0].tobytes() for out in results), "depends on the processor"


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(np.random.default_rng().integers(1 << 31))
    print("seed", seed)
    rng, count = np.random.default_rng(seed), 0
    check_index(rng)
    for shape in [(1, 5), (4, 32), (2, 300), (3, 128)]:
        for types in [("f32", "f32"), ("f16", "f32"), ("bf16", "bf16"), ("f32", "f16")]:
            for reduce in ("mean", "max"):
                for normalize in (False, True):
                    check_pool(rng, shape, types, reduce, normalize)
                    count += 1
    print(count, "kernels of pool agree with numpy")


main()

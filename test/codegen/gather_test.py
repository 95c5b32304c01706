# SPDX-License-Identifier: Apache-2.0
"""kernel.gather and kernel.take: rows of spans with conversion, rows of tables with bounds. Exact."""

import sys

import ml_dtypes
import numpy as np
from bank_spans import Spans
from fenced_kernels import FencedKernels
from kernels import variants

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
NOTHING = np.iinfo(np.int64).min


def gather_module(row, element, result):
    return f"""
exec.kernel @gather(%field: !llvm.ptr, %r: memref<?xi8>, %o: memref<?xi8>, %z: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: 3, 0, 1>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %rows = memref.view %r[%0][%z] : memref<?xi8> to memref<?xi64>
  %out = memref.view %o[%0][%z] : memref<?xi8> to memref<?x{row}x{result}>
  kernel.gather tiles(%lo to %hi) %field at %rows into %out element {element} block 8 : !llvm.ptr, memref<?xi64>, memref<?x{row}x{result}>
  exec.end
}}
"""


def take_module(row, element, index):
    return f"""
exec.kernel @take(%t: memref<?xi8>, %i: memref<?xi8>, %o: memref<?xi8>, %f: memref<?xi8>, %v: index, %n: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {{parameters = array<i32: 0, 0, 1, 2>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %table = memref.view %t[%0][%v] : memref<?xi8> to memref<?x{row}x{element}>
  %indices = memref.view %i[%0][%n] : memref<?xi8> to memref<?x{index}>
  %out = memref.view %o[%0][%n] : memref<?xi8> to memref<?x{row}x{element}>
  %fault = memref.view %f[%0][%1] : memref<?xi8> to memref<?xi64>
  kernel.take tiles(%lo to %hi) %table at %indices into %out fault %fault block 4
      : memref<?x{row}x{element}>, memref<?x{index}>, memref<?x{row}x{element}>, memref<?xi64>
  exec.end
}}
"""


def tiles(count, block):
    return [(t, min(t + 2, -(-count // block))) for t in range(0, -(-count // block), 2)]


def check_gather(rng, variant):
    count = 0
    for number, row in enumerate((3, 16, 40, 256)):
        for source, result in [("f32", "f32"), ("f16", "f32"), ("bf16", "f32"), ("f32", "bf16"), ("f32", "f16"), ("bf16", "f16"), ("f16", "f16")]:
            kernels = FencedKernels(gather_module(row, source, result), variant)
            field = rng.standard_normal((300, row)).astype(TYPES[source])
            field.flat[5:7] = np.nan, np.inf
            for z in (0, 1, 37):
                rows = np.concatenate([np.arange(z // 2), rng.integers(0, 300, z - z // 2)]).astype(np.int64)
                spans = Spans(field, rng.integers(0, 301, 4).tolist())
                out = np.zeros((z, row), TYPES[result])
                kernels.run("gather", [spans.list, rows, out], [z], tiles(z, 8))
                spans.close()
                expected = field[rows].astype(np.float32).astype(TYPES[result])
                assert np.array_equal(out.astype(np.float32), expected.astype(np.float32), equal_nan=True), (row, source, result)
            count += 1
    return count


def check_take(rng, variant):
    count = 0
    for index in ("i64", "i32"):
        for element, kind in [("f32", np.float32), ("f16", np.float16), ("i64", np.int64), ("i8", np.int8), ("f64", np.float64)]:
            for row in (1, 17, 64):
                kernels = FencedKernels(take_module(row, element, index), variant)
                for v, n in [(10, 23), (1, 5), (10, 0), (0, 3)]:
                    table = (rng.standard_normal((v, row)) * 50).astype(kind)
                    indices = rng.integers(-v, max(v, 1), n).astype(index.replace("i", "int"))
                    fault, out = np.array([NOTHING]), np.zeros((n, row), kind)
                    kernels.run("take", [table, indices, out, fault], [v, n], tiles(n, 4))
                    if v and n:
                        assert fault[0] == NOTHING and np.array_equal(out, table[indices])
                    for wrong in (v, -v - 1, 2**31 - 1, -(2**31)) if n else ():
                        broken = indices.copy()
                        broken[n // 2] = wrong
                        fault[0] = NOTHING
                        kernels.run("take", [table, broken, out, fault], [v, n], tiles(n, 4))
                        assert fault[0] == wrong if v else fault[0] != NOTHING
                        if v:
                            broken[n // 2] = 0
                            assert np.array_equal(out, table[broken])
                count += 1
    return count


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(np.random.default_rng().integers(1 << 31))
    print("seed", seed)
    rng = np.random.default_rng(seed)
    count = sum(check_gather(rng, variant) + check_take(rng, variant) for variant in variants())
    print(count, "kernels of gather and take agree with numpy")


main()

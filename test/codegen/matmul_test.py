# SPDX-License-Identifier: Apache-2.0
"""kernel.matmul against numpy in f64, and against itself: its bytes may not depend on tiles or on other rows."""

import sys

import ml_dtypes
import numpy as np
from fenced_kernels import FencedKernels, tile_sizes
from kernels import variants

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
# Of |result - f64| / (1 + |f64|). f32: k up to 512 terms of unit variance; 16 bits: one rounding of the result.
TOLERANCE = {"f32": 4e-5, "f16": 1e-3, "bf16": 8e-3}


def packed(matrix):
    k, n = matrix.shape
    panels = (n + 15) // 16
    padded = np.zeros((k, panels * 16), matrix.dtype)
    padded[:, :n] = matrix
    return np.ascontiguousarray(padded.reshape(k, panels, 16).transpose(1, 0, 2))


def module(k, n, rows, columns, types, scratch, epilogue):
    lhs, rhs, result = types
    yielded = "%sum" if result == "f32" else "%narrow"
    narrow = "" if result == "f32" else f"%narrow = arith.truncf %sum : f32 to {result}"
    panels = (n + 15) // 16
    if epilogue:  # relu(acc + bias) + residual
        parameters, extras, arguments = "%bias: memref<?xi8>, %residual: memref<?xi8>, ", True, ", %b: f32, %r: f16"
        body = """%biased = arith.addf %acc, %b : f32
      %zero = arith.constant 0.0 : f32
      %positive = arith.cmpf ogt, %biased, %zero : f32
      %relu = arith.select %positive, %biased, %zero : f32
      %wide = arith.extf %r : f16 to f32
      %sum = arith.addf %relu, %wide : f32"""
    else:
        parameters, extras, arguments, body = "", False, "", "%one = arith.constant 1.0 : f32\n      %sum = arith.mulf %acc, %one : f32"
    kinds = ", ".join(["0"] * (4 if epilogue else 2) + ["1"])
    return f"""
exec.kernel @matmul(%lhs: memref<?xi8>, %rhs: memref<?xi8>, {parameters}%out: memref<?xi8>, %m: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: {kinds}>, scratch_bytes = {scratch} : i64}} {{
  %0 = arith.constant 0 : index
  %a = memref.view %lhs[%0][%m] : memref<?xi8> to memref<?x{k}x{lhs}>
  %w = memref.view %rhs[%0][] : memref<?xi8> to memref<{panels}x{k}x16x{rhs}>
  {f"%x = memref.view %bias[%0][] : memref<?xi8> to memref<{n}xf32>" if extras else ""}
  {f"%y = memref.view %residual[%0][%m] : memref<?xi8> to memref<?x{n}xf16>" if extras else ""}
  %c = memref.view %out[%0][%m] : memref<?xi8> to memref<?x{n}x{result}>
  kernel.matmul tiles(%lo to %hi) %a, %w {f"extras(%x, %y : memref<{n}xf32>, memref<?x{n}xf16>)" if extras else ""} into %c scratch %scratch
      rows {rows} columns {columns} : memref<?x{k}x{lhs}>, memref<{panels}x{k}x16x{rhs}>, memref<?x{n}x{result}>, memref<?xi8> {{
    ^bb0(%acc: f32{arguments}):
      {body}
      {narrow}
      kernel.yield {yielded} : {result}
  }}
  exec.end
}}
"""


def check(rng, variant, k, n, tile, types, epilogue):
    rows, columns = tile
    scratch = tile_sizes("matmul-scratch", k, rows, columns)
    kernel = FencedKernels(module(k, n, rows, columns, types, scratch, epilogue), variant)
    weights = rng.standard_normal((k, n)).astype(TYPES[types[1]])
    panels, bias = packed(weights), rng.standard_normal(n).astype(np.float32)

    def run(lhs, residual, order):
        result = np.zeros((len(lhs), n), TYPES[types[2]])
        count = -(-len(lhs) // rows) * -(-n // columns)
        tiles = [(0, count)] if order is None else [(t, t + 1) for t in order.permutation(count)]
        kernel.run("matmul", [lhs, panels, *([bias, residual] if epilogue else []), result], [len(lhs)], tiles, scratch)
        return result

    for m in (1, 2, 3, 4, 5, 7, 9, 12, 13, int(rng.integers(14, 71)), int(rng.integers(90, 200))):
        lhs = rng.standard_normal((m, k)).astype(TYPES[types[0]])
        residual = rng.standard_normal((m, n)).astype(np.float16)
        result = run(lhs, residual, None)
        expected = lhs.astype(np.float64) @ weights.astype(np.float64)
        if epilogue:
            expected = np.maximum(expected + bias, 0) + residual.astype(np.float64)
        error = np.max(np.abs(result.astype(np.float64) - expected) / (1 + np.abs(expected)))
        where = f"{variant} m={m} k={k} n={n} tile={tile} {types}"
        assert error < TOLERANCE[types[2]], f"{where}: off by {error:.2e}"
        assert run(lhs, residual, rng).tobytes() == result.tobytes(), f"{where}: depends on the order of tiles"
        row = int(rng.integers(m))
        alone = run(lhs[row : row + 1], residual[row : row + 1], None)
        assert alone.tobytes() == result[row : row + 1].tobytes(), f"{where}: row {row} depends on other rows"


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    rng = np.random.default_rng(seed)
    names = list(TYPES)
    cases = 0
    for variant in variants():
        shapes = [(384, 128, ("f32",) * 3, True), (512, 96, ("f32", "bf16", "f32"), False), (1, 1, ("f32",) * 3, False)]
        for _ in range(6):
            types = tuple(names[i] for i in rng.integers(0, 3, 3))
            shapes.append((int(rng.integers(1, 300)), int(rng.integers(1, 300)), types, bool(rng.integers(2))))
        for index, (k, n, types, epilogue) in enumerate(shapes):
            own = (12 * int(rng.integers(1, 4)), 16 * int(rng.integers(1, 9)))
            check(rng, variant, k, n, own if index % 2 else tuple(tile_sizes("matmul", k, n)), types, epilogue)
            cases += 1
    print(f"{cases} kernels of matmul agree with numpy")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""kernel.quantize against its definition in numpy's f32 and ml_dtypes' e4m3, byte for byte."""

import sys

import ml_dtypes
import numpy as np
from fenced_kernels import FencedKernels
from kernels import emulated, variants

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
E4M3 = ml_dtypes.float8_e4m3fn


def module(row, element, block):
    return f"""
exec.kernel @quantize(%x: memref<?xi8>, %r: memref<?xi8>, %s: memref<?xi8>, %c: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: 0, 1, 1>, scratch_bytes = 0 : i64}} {{
  %0 = arith.constant 0 : index
  %rows = memref.view %x[%0][%c] : memref<?xi8> to memref<?x{row}x{element}>
  %result = memref.view %r[%0][%c] : memref<?xi8> to memref<?x{row}xf8E4M3FN>
  %scales = memref.view %s[%0][%c] : memref<?xi8> to memref<?xf32>
  kernel.quantize tiles(%lo to %hi) %rows into %result, %scales block {block} : memref<?x{row}x{element}>, memref<?x{row}xf8E4M3FN>, memref<?xf32>
  exec.end
}}
"""


def expected(x):
    x = x.astype(np.float32)
    with np.errstate(all="ignore"):
        scales = np.abs(x).max(1) / np.float32(448)
        scales[scales == 0] = 1
        return np.clip(x / scales[:, None], -448, 448).astype(E4M3), scales


def every_boundary():
    """Every number of e4m3, what lies between it and the next, and the neighbours of that, both signs, with 448 at each row's start."""
    numbers = np.arange(0x7F, dtype=np.uint8).view(E4M3).astype(np.float32)
    middles = (numbers[1:] + numbers[:-1]) / 2
    near = [numbers, middles, np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(1000))]
    values = np.concatenate([*near, *[-part for part in near]])
    values.resize((-(-len(values) // 128), 128))
    return np.concatenate([np.full((len(values), 1), 448, np.float32), values], 1)


def odd_rows(rng, row):
    """Rows that a scale has trouble with."""
    x = rng.standard_normal((9, row)).astype(np.float32)
    x[0] = 0
    x[1] = -0.0
    x[2] *= np.float32(1e-44)  # the scale is 0
    x[3] *= np.float32(3e-41)  # the scale is subnormal: the largest element would be above 448
    x[4] *= np.float32(1e38)
    x[5, row // 2] = np.nan
    x[6, row - 1] = np.inf
    x[7, 0] = -np.inf
    x[8] = np.finfo(np.float32).max
    return x


def check(x, element, block, cuts):
    x = x.astype(TYPES[element])
    rows, scales = expected(x)
    for variant in variants():
        kernels = FencedKernels(module(x.shape[1], element, block), variant)
        out, found = np.full(x.shape, 99, np.uint8), np.full(len(x), 99, np.float32)
        tiles = -(-len(x) // block)
        at = sorted({0, tiles, *[min(cut, tiles) for cut in cuts]})
        kernels.run("quantize", [x, out, found], [len(x)], list(zip(at, at[1:]))[::-1])
        assert np.array_equal(found, scales, equal_nan=True), (variant, found, scales)
        wanted = rows.view(np.uint8)
        nan = np.isnan(rows.astype(np.float32))
        assert np.array_equal(out[~nan], wanted[~nan]), (variant, element, np.argwhere((out != wanted) & ~nan)[:5])
        assert ((out[nan] & 0x7F) == 0x7F).all(), "a NaN is one of another number"


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(np.random.default_rng().integers(1 << 31))
    print("seed", seed)
    rng, count = np.random.default_rng(seed), 0
    check(every_boundary(), "f32", 2, [3])
    for row in (1, 8, 19, 128) if emulated() else (1, 8, 19, 128, 1024):
        for element in TYPES:
            with np.errstate(all="ignore"):
                check(odd_rows(rng, row), element, 4, [1])
            for rows in (1, 21):
                check(rng.standard_normal((rows, row)) * 10.0 ** rng.integers(-4, 3, (rows, 1)), element, 8, [1, 2])
            count += 1
    print(count, "kernels of quantize agree with their definition")


main()

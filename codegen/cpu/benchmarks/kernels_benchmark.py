# SPDX-License-Identifier: Apache-2.0
"""Speed of matmul and attention kernels on one thread, beside the processor's own ceilings in the same run.

    PATH=BUILD/bin:$PATH python3 kernels_benchmark.py [VARIANT...]

Times are CPU time of the thread, which hides preemption but not shared caches; contestants alternate, medians of 15.
The ceilings are a loop of fused multiply-adds in registers and one of vector loads over 128 MiB in four streams. Numpy
multiplies with its BLAS on one thread. Weights of a single row and contexts of a single query rotate through 64 MiB and
more, so that they come from memory.
"""

import os

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"

import ctypes
import itertools
import statistics
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../test/codegen"))
import attention_test
import matmul_test
from fenced_kernels import tile_sizes
from kernels import Kernels, variants

ROUNDS, SECONDS = 15, 4e-3
MATMULS = [(m, k, n) for k, n in ((384, 384), (384, 1536), (1536, 384), (1024, 1024)) for m in (1, 8, 32, 128, 512)] + [(1, 1024, 4096)]
# heads, key heads, head dim, queries, keys, causal
ATTENTIONS = [
    (12, 12, 32, 128, 128, False),
    (12, 12, 32, 256, 256, False),
    (16, 8, 128, 128, 128, True),
    (16, 8, 128, 512, 512, True),
    (16, 8, 128, 1, 512, True),
    (16, 8, 128, 1, 3968, True),
]


def ceilings(lanes):
    vector, sums = f"vector<{lanes}xf32>", 24 if lanes == 16 else 12
    names = [f"%s{i}" for i in range(sums)]
    adds = "\n".join(f"    %a{i} = arith.addf {'%r#0' if i == 1 else f'%a{i - 1}'}, %r#{i} : {vector}" for i in range(1, sums))
    fmas = "\n".join(f"      %f{i} = math.fma %x, %x, {names[i]} : {vector}" for i in range(sums))
    streams = "\n".join(
        f"      %p{i} = arith.addi %i, %o{i} : index\n      %l{i} = vector.load %v[%p{i}] : memref<?xf32>, {vector}\n"
        f"      %t{i} = arith.addf %b{i}, %l{i} : {vector}"
        for i in range(4)
    )
    kernel = """exec.kernel @NAME(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 1>, scratch_bytes = 64 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %w = memref.view %out[%c0][%c1] : memref<?xi8> to memref<?xf32>
BODY
  exec.end
}
"""
    peak = f"""    %v = memref.view %in[%c0][%c1] : memref<?xi8> to memref<?xf32>
    %x = vector.load %v[%c0] : memref<?xf32>, {vector}
    %r:{sums} = scf.for %i = %c0 to %n step %c1 iter_args({", ".join(f"{n} = %x" for n in names)}) -> ({", ".join([vector] * sums)}) {{
{fmas}
      scf.yield {", ".join(f"%f{i}" for i in range(sums))} : {", ".join([vector] * sums)}
    }}
{adds}
    vector.store %a{sums - 1}, %w[%c0] : memref<?xf32>, {vector}"""
    read = f"""    %v = memref.view %in[%c0][%n] : memref<?xi8> to memref<?xf32>
    %c4 = arith.constant 4 : index
    %step = arith.constant {lanes} : index
    %quarter = arith.divui %n, %c4 : index
    %o0 = arith.constant 0 : index
    %o1 = arith.addi %o0, %quarter : index
    %o2 = arith.addi %o1, %quarter : index
    %o3 = arith.addi %o2, %quarter : index
    %z = arith.constant dense<0.0> : {vector}
    %r:4 = scf.for %i = %c0 to %quarter step %step iter_args(%b0 = %z, %b1 = %z, %b2 = %z, %b3 = %z) -> ({", ".join([vector] * 4)}) {{
{streams}
      scf.yield %t0, %t1, %t2, %t3 : {", ".join([vector] * 4)}
    }}
    %a1 = arith.addf %r#0, %r#1 : {vector}
    %a2 = arith.addf %r#2, %r#3 : {vector}
    %a3 = arith.addf %a1, %a2 : {vector}
    vector.store %a3, %w[%c0] : memref<?xf32>, {vector}"""
    return (kernel.replace("NAME", "peak").replace("BODY", peak)) + (kernel.replace("NAME", "read").replace("BODY", read)), sums * 2 * lanes


class Call:
    """A kernel with its buffers in place: each call takes the next set of buffers."""

    def __init__(self, kernels, name, sets, scalars, tiles, scratch_bytes=64):
        self.function = getattr(kernels.library, name)
        self.function.restype = None
        self.function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
        self.keep = [[aligned(array) for array in buffers] for buffers in sets]
        self.pointers = [(ctypes.c_void_p * len(b))(*[a.ctypes.data for a in b]) for b in self.keep]
        self.scalars = (ctypes.c_int64 * len(scalars))(*scalars)
        self.scratch = aligned(np.zeros(scratch_bytes, np.uint8))
        self.tiles, self.calls = tiles, 0

    def __call__(self):
        self.function(self.pointers[self.calls % len(self.pointers)], self.scalars, self.scratch.ctypes.data, 0, self.tiles)
        self.calls += 1


def aligned(array):
    memory = np.empty(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def medians(contestants):
    """Seconds a call of each."""
    times, repeats = {name: [] for name in contestants}, {}
    for name, call in contestants.items():
        call()
        begin = time.thread_time()
        call()
        repeats[name] = max(1, int(SECONDS / max(time.thread_time() - begin, 1e-6)))
    for _ in range(ROUNDS):
        for name, call in contestants.items():
            begin = time.thread_time()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.thread_time() - begin) / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.standard_normal(shape, np.float32)
    for variant in sys.argv[1:] or variants():
        lanes = 16 if variant.endswith("v4") else 8
        text, flops = ceilings(lanes)
        machine = Kernels(text, variant)
        out = np.zeros(16, np.float32)
        peak = Call(machine, "peak", [[np.zeros(16, np.float32), out]], [20000], 1)
        read = Call(machine, "read", [[normal(1 << 25), out]], [1 << 25], 1)
        print(f"{variant}\n{'matmul M x K x N':>24} {'GFLOP/s':>8} {'of peak':>8} {'numpy':>8} {'GB/s':>6} {'of read':>8}")
        for m, k, n in MATMULS:
            rows, columns = tile_sizes("matmul", k, n)
            scratch = tile_sizes("matmul-scratch", k, rows, columns)
            kernel = Kernels(matmul_test.module(k, n, rows, columns, ("f32",) * 3, scratch, False), variant)
            weights, lhs, result = normal(k, n), normal(m, k), np.zeros((m, n), np.float32)
            sets = max(1, (64 << 20) // (k * n * 4)) if m == 1 else 1
            tiles = -(-m // rows) * -(-n // columns)
            call = Call(kernel, "matmul", [[lhs, matmul_test.packed(weights), result] for _ in range(sets)], [m], tiles, scratch)
            copies = itertools.cycle([weights] + [weights.copy() for _ in range(sets - 1)])
            t = medians({"peak": peak, "read": read, "ours": call, "numpy": lambda: np.matmul(lhs, next(copies), out=result)})
            work, weight = 2 * m * k * n, k * n * 4
            print(
                f"{f'{m} x {k} x {n}':>24} {work / t['ours'] / 1e9:8.1f} {work / t['ours'] / (flops * 20000 / t['peak']):8.0%} "
                f"{work / t['numpy'] / 1e9:8.1f} {weight / t['ours'] / 1e9:6.1f} {weight / t['ours'] / ((1 << 27) / t['read']):8.0%}",
                flush=True,
            )
        print(f"{'attention H/G D M x N':>24} {'GFLOP/s':>8} {'of peak':>8} {'ms':>8} {'GB/s':>6} {'of read':>8}")
        for heads, kv_heads, dim, m, n, causal in ATTENTIONS:
            rows = tile_sizes("attention", heads, kv_heads)
            attention = attention_test.Attention(variant, heads, kv_heads, dim, dim, rows, causal)
            context = 2 * n * kv_heads * dim * 4
            sets = max(1, (64 << 20) // context) if m == 1 else 1
            query, result = normal(1, m, heads, dim), np.zeros((1, m, heads, dim), np.float32)
            buffers = [[query, normal(1, n, kv_heads, dim), normal(1, n, kv_heads, dim), result] for _ in range(sets)]
            call = Call(attention.kernel, "attention", buffers, [1, m, n, 0, 0, 0, 0], kv_heads * -(-m // rows), attention.scratch)
            t = medians({"peak": peak, "read": read, "ours": call})
            pairs = sum(min(n, i + n - m + 1) for i in range(m)) if causal else m * n
            work = 4 * heads * dim * pairs
            print(
                f"{f'{heads}/{kv_heads} {dim} {m} x {n}':>24} {work / t['ours'] / 1e9:8.1f} {work / t['ours'] / (flops * 20000 / t['peak']):8.0%} "
                f"{t['ours'] * 1e3:8.3f} {context / t['ours'] / 1e9:6.1f} {context / t['ours'] / ((1 << 27) / t['read']):8.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()

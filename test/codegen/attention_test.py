# SPDX-License-Identifier: Apache-2.0
"""kernel.attention against numpy in f64, and against itself: its bytes may not depend on tiles or on packing."""

import sys

import ml_dtypes
import numpy as np
from fenced_kernels import FencedKernels, tile_sizes
from kernels import variants

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
TOLERANCE = 4e-6  # max abs; outputs are averages of values of unit variance


class Attention:
    """One compiled kernel. `mask` is (element type, four times "?" or "1"); batches and lengths are arguments of `run`."""

    def __init__(self, variant, heads, kv_heads, dim, value_dim, queries, causal=False, documents=False, mask=None, types=("f32",) * 3):
        self.shape = heads, kv_heads, dim, value_dim
        self.queries, self.causal = queries, causal
        self.scale = dim**-0.5
        self.scratch = tile_sizes("attention-scratch", heads, kv_heads, dim, value_dim, queries)
        parameters, views, operands = "", "", ""
        buffers = 4
        if documents:
            parameters, buffers = "%documents: memref<?xi8>, ", buffers + 1
            views = "%d = memref.view %documents[%0][%m] : memref<?xi8> to memref<?xi64>\n"
            operands = " documents %d : memref<?xi64>"
        if mask:
            parameters, buffers = parameters + "%mask: memref<?xi8>, ", buffers + 1
            dims = ", ".join(f"%mask{i}" for i in range(4) if mask[1][i] == "?")
            kind = f"memref<{'x'.join(mask[1])}x{mask[0]}>"
            views += f"%x = memref.view %mask[%0][{dims}] : memref<?xi8> to {kind}\n"
            operands += f" mask %x : {kind}"
        query, key, value = (
            f"memref<?x?x{h}x{d}x{t}>" for h, d, t in zip((heads, kv_heads, kv_heads), (dim, dim, value_dim), types)
        )
        result = f"memref<?x?x{heads}x{value_dim}xf32>"
        self.kernel = FencedKernels(
            f"""
exec.kernel @attention(%query: memref<?xi8>, %key: memref<?xi8>, %value: memref<?xi8>, {parameters}%out: memref<?xi8>,
    %b: index, %m: index, %n: index, %mask0: index, %mask1: index, %mask2: index, %mask3: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {{parameters = array<i32: {", ".join(["0"] * (buffers - 1) + ["1"])}>, scratch_bytes = {self.scratch} : i64}} {{
  %0 = arith.constant 0 : index
  %q = memref.view %query[%0][%b, %m] : memref<?xi8> to {query}
  %k = memref.view %key[%0][%b, %n] : memref<?xi8> to {key}
  %v = memref.view %value[%0][%b, %n] : memref<?xi8> to {value}
  %o = memref.view %out[%0][%b, %m] : memref<?xi8> to {result}
  {views}
  kernel.attention tiles(%lo to %hi) %q, %k, %v{operands} into %o scratch %scratch {"causal" if causal else ""}
      scale {self.scale:.17e} rows {queries} : {query}, {key}, {value}, {result}, memref<?xi8>
  exec.end
}}
""",
            variant,
        )

    def run(self, query, key, value, documents=None, mask=None, order=None):
        heads, kv_heads, _, value_dim = self.shape
        batches, m = query.shape[:2]
        result = np.full((batches, m, heads, value_dim), np.nan, np.float32)
        buffers = [query, key, value, *(x for x in (documents, mask) if x is not None), result]
        count = batches * kv_heads * -(-m // self.queries)
        tiles = [(0, count)] if order is None else [(t, t + 1) for t in order.permutation(count)]
        mask_dims = list(mask.shape) if mask is not None else [0] * 4
        self.kernel.run("attention", buffers, [batches, m, key.shape[1], *mask_dims], tiles, self.scratch)
        return result

    def expect(self, query, key, value, documents=None, mask=None):
        query, key, value = (x.astype(np.float64) for x in (query, key, value))
        group = query.shape[2] // key.shape[2]
        scores = np.einsum("bmhd,bnhd->bhmn", query, np.repeat(key, group, 2)) * self.scale
        m, n = scores.shape[2:]
        hidden = np.zeros(scores.shape, bool)
        if self.causal:
            hidden |= np.arange(n)[None, :] > np.arange(m)[:, None] + n - m
        if documents is not None:
            hidden |= documents[:, None] != documents[None, :]
        if mask is not None and mask.dtype == bool:
            hidden |= ~np.broadcast_to(mask, hidden.shape)
        elif mask is not None:
            scores = scores + mask
            hidden |= np.broadcast_to(mask == -np.inf, hidden.shape)
        scores = np.where(hidden, -np.inf, scores)
        largest = scores.max(-1, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
        total = weights.sum(-1, keepdims=True)
        weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        return np.einsum("bhmn,bnhe->bmhe", weights, np.repeat(value, group, 2))


def random_mask(rng, kind, full):
    shape = [1 if dim == "1" or rng.random() < 0.25 else size for dim, size in zip(kind[1], full)]
    if kind[0] == "i1":
        return rng.random(shape) < 0.7
    mask = rng.standard_normal(shape).astype(np.float32)
    mask[rng.random(shape) < 0.2] = -np.inf
    mask[rng.random(shape) < 0.05] = np.finfo(np.float32).min  # what exporters write for "hidden"
    return mask


def check(rng, variant, mode):
    kv_heads = int(rng.integers(1, 4))
    heads = kv_heads * int(rng.choice([1, 1, 2, 3, 4, 8, 17]))
    dim = int(rng.choice([16, 32, 64, 128, 1, 5, 24, 40]))
    value_dim = int(rng.choice([dim, dim, 16, 7, 48]))
    queries = int(rng.choice([tile_sizes("attention", heads, kv_heads), 1, 3, 8, 13]))
    types = ("f32", "bf16", "bf16") if mode == "plain" else tuple(rng.choice(list(TYPES), 3))
    kind = ("i1" if "bool" in mode else "f32", [str(x) for x in rng.choice(["?", "1"], 4)]) if "mask" in mode else None
    documents = "documents" in mode
    attention = Attention(variant, heads, kv_heads, dim, value_dim, queries, "causal" in mode, documents, kind, types)
    for case in range(5):
        m = (1, 1, int(rng.integers(2, 9)), int(rng.integers(1, 71)), int(rng.integers(60, 170)))[case]
        n = m if documents else int(rng.integers(*((0, 16), (16, 300), (1, 200), (1, 200), (m, m + 70))[case]))
        batches = 1 if documents else int(rng.integers(1, 3))
        query = rng.standard_normal((batches, m, heads, dim)).astype(TYPES[types[0]])
        key = rng.standard_normal((batches, n, kv_heads, dim)).astype(TYPES[types[1]])
        value = rng.standard_normal((batches, n, kv_heads, value_dim)).astype(TYPES[types[2]])
        numbers = None
        if documents:  # neither ascending nor starting anywhere in particular
            cuts = np.sort(rng.integers(0, m + 1, int(rng.integers(0, 8))))
            numbers = 5 - 3 * np.searchsorted(cuts, np.arange(m), side="right").astype(np.int64)
        mask = random_mask(rng, kind, (batches, heads, m, n)) if kind else None
        result = attention.run(query, key, value, numbers, mask)
        error = np.max(np.abs(result - attention.expect(query, key, value, numbers, mask)), initial=0)
        where = f"{variant} {mode} {kind} {types} heads={heads}/{kv_heads} dims={dim},{value_dim} b={batches} m={m} n={n} queries={queries}"
        assert error < TOLERANCE, f"{where}: off by {error:.2e}"
        assert attention.run(query, key, value, numbers, mask, rng).tobytes() == result.tobytes(), f"{where}: depends on the order of tiles"
        for number in np.unique(numbers)[:4] if documents else ():
            at = np.flatnonzero(numbers == number)
            own = slice(at[0], at[-1] + 1)
            alone = attention.run(query[:, own], key[:, own], value[:, own], numbers[own])
            assert alone.tobytes() == result[:, own].tobytes(), f"{where}: document {number} depends on its neighbours"


def main():
    rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
    modes = ["plain", "causal", "documents", "causal documents", "bool mask", "float mask", "causal bool mask", "causal float mask"]
    for variant in variants():
        for mode in modes:
            check(rng, variant, mode)
    print(f"{len(modes) * len(variants())} kernels of attention agree with numpy")


if __name__ == "__main__":
    main()

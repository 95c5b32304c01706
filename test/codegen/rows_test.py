# SPDX-License-Identifier: Apache-2.0
"""Runs kernel.rows of many shapes and types, and compares them with numpy in f64.

Tolerances: exact for data movement, integers, comparisons and single roundings; 1e-6 relative to the largest element for f32
reductions and norms (4e-6 for products, whose every factor is rounded). Every kernel runs tile by tile, backwards, and in one call: the bytes must be the same.
"""

import sys

import numpy as np

from kernels import Kernels, emulated, variants

NP = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16, "i64": np.int64, "i32": np.int32, "i8": np.int8, "i1": np.uint8}
failures = []


def bf16_round(x):
    """The nearest bf16 numbers, as f32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return np.where(np.isnan(x), np.float32(np.nan), bits.astype(np.uint32).view(np.float32))


def bf16_bits(x):
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def kernel(name, views, rows, body, block=3, scalars=2, extra=""):
    """An exec.kernel. `views`: (name, kind, type, dims) with dims of %m, %n, %k or numbers; the body sees them and row %i."""
    names = ["%m", "%n", "%k"][:scalars]
    buffers = [f"%buffer_{v[0]}: memref<?xi8>" for v in views]
    lines = [
        f"exec.kernel @{name}({', '.join(buffers + [f'{s}: index' for s in names] + ['%scratch: memref<?xi8>, %lo: index, %hi: index'])})"
        f" attributes {{parameters = array<i32: {', '.join(str(v[1]) for v in views)}>, scratch_bytes = 0 : i64}} {{",
        "  %c0 = arith.constant 0 : index",
    ]
    for view, _, type, dims in views:
        lines.append(f"  %{view} = memref.view %buffer_{view}[%c0][{', '.join(d for d in dims if d.startswith('%'))}] : memref<?xi8> to {memref(type, dims)}")
    lines += [extra, f"  kernel.rows tiles(%lo to %hi) sizes({rows}) block {block} {{", body, "    kernel.yield", "  }", "  exec.end", "}"]
    return "\n".join(lines)


def memref(type, dims):
    return f"memref<{''.join(('?' if d.startswith('%') else d) + 'x' for d in dims)}{type}>"


def row(source, type, dims, to, index="%i"):
    """A row view of a matrix."""
    size = dims[-1]
    shown = "?" if size.startswith("%") else size
    return (f"    %{to} = memref.subview %{source}[{index}, 0] [1, {size}] [1, 1] : {memref(type, dims)} to "
            f"memref<{shown}x{type}, strided<[1], offset: ?>>")


def rowtype(type, size):
    return f"memref<{'?' if size.startswith('%') else size}x{type}, strided<[1], offset: ?>>"


def generic(inputs, output, maps, kinds, body):
    """`inputs`, `output`: (value, type). `maps`: results of each map over d0, d1, ..."""
    dims = ", ".join(f"d{i}" for i in range(len(kinds)))
    shown = ", ".join(f"affine_map<({dims}) -> ({m})>" for m in maps)
    kinds = ", ".join('"parallel"' if k == "p" else '"reduction"' for k in kinds)
    ins = f"ins({', '.join(v for v, _ in inputs)} : {', '.join(t for _, t in inputs)}) " if inputs else ""
    element = lambda t: t.split(">")[0].split(",")[0].split("x")[-1].removeprefix("memref<") if t.startswith("memref") else t
    arguments = ", ".join([f"%a{i}: {element(t)}" for i, (_, t) in enumerate(inputs)] + [f"%acc: {element(output[1])}"])
    return (f"    linalg.generic {{indexing_maps = [{shown}], iterator_types = [{kinds}]}} {ins}outs({output[0]} : {output[1]}) {{\n"
            f"    ^bb0({arguments}):\n{body}\n    }}")


def run(lib, name, arrays, scalars, points, block=3):
    """Runs a copy of `arrays` in two ways, and returns what was computed."""
    tiles = -(-points // block)
    single, whole = [a.copy() for a in arrays], [a.copy() for a in arrays]
    lib.run(name, single, scalars, tiles)
    lib.run(name, whole, scalars, tiles, split=False)
    for a, b in zip(single, whole):
        if a.tobytes() != b.tobytes():
            failures.append(f"{lib.variant} {name} {scalars}: depends on the split of tiles")
    return whole


def check(lib, name, what, got, want, tolerance=0.0):
    got, want = np.asarray(got), np.asarray(want)
    if tolerance == 0.0:
        good = np.array_equal(got, want, equal_nan=got.dtype.kind == "f")
    else:
        scale = max(1e-30, np.abs(want.astype(np.float64)).max(initial=0.0))
        good = got.shape == want.shape and bool((np.abs(got.astype(np.float64) - want) <= tolerance * scale).all())
    if not good:
        failures.append(f"{lib.variant} {name} {what}: got {got.ravel()[:8]}, want {want.ravel()[:8]}")


LENGTHS = [1, 5, 7, 31, 32, 33, 100, 260] if emulated() else [*range(1, 41), 63, 64, 65, 127, 128, 129, 384, 1000]
STATIC_LENGTHS = (1, 3, 17, 384) if emulated() else (1, 3, 8, 15, 16, 17, 31, 48, 96, 100, 384)
random = np.random.default_rng(7)


def uniform(*shape):
    return random.uniform(-2, 2, shape).astype(np.float32)


CASES = []


def case(function):
    CASES.append(function)
    return function


def lengths(sizes=LENGTHS):
    """Dynamic and static last dims: (suffix, dim, length)."""
    return [("dynamic", "%n", n) for n in sizes] + [(f"static{n}", str(n), n) for n in STATIC_LENGTHS]


def per_dim(make):
    """One kernel text for the dynamic dim and each static one."""
    return "\n".join(make(suffix, dim) for suffix, dim in dict((s, d) for s, d, _ in lengths()).items())


@case
def layernorm():
    def make(suffix, n):
        x, v, r = rowtype("f32", n), memref("f32", [n]), "memref<f32>"
        body = "\n".join([
            "  ^bb0(%i: index):", row("x", "f32", ["%m", n], "xs"), row("y", "f32", ["%m", n], "ys"),
            "    %sum = memref.alloca() : memref<f32>", "    %square = memref.alloca() : memref<f32>",
            "    %zero = arith.constant 0.0 : f32",
            "    linalg.fill ins(%zero : f32) outs(%sum : memref<f32>)", "    linalg.fill ins(%zero : f32) outs(%square : memref<f32>)",
            generic([("%xs", x)], ("%sum", r), ["d0", ""], "r", "      %s = arith.addf %acc, %a0 : f32\n      linalg.yield %s : f32"),
            "    %length = arith.index_cast %size : index to i64", "    %count = arith.sitofp %length : i64 to f32",
            "    %total = memref.load %sum[] : memref<f32>", "    %mean = arith.divf %total, %count : f32",
            generic([("%xs", x), ("%mean", "f32")], ("%square", r), ["d0", "", ""], "r",
                    "      %d = arith.subf %a0, %a1 : f32\n      %q = arith.mulf %d, %d : f32\n      %s = arith.addf %acc, %q : f32\n      linalg.yield %s : f32"),
            "    %squares = memref.load %square[] : memref<f32>", "    %variance = arith.divf %squares, %count : f32",
            "    %epsilon = arith.constant 1.0e-5 : f32", "    %shifted = arith.addf %variance, %epsilon : f32", "    %scale = math.rsqrt %shifted : f32",
            generic([("%xs", x), ("%mean", "f32"), ("%scale", "f32"), ("%g", v), ("%b", v)], ("%ys", x), ["d0", "", "", "d0", "d0", "d0"], "p",
                    "      %d = arith.subf %a0, %a1 : f32\n      %e = arith.mulf %d, %a2 : f32\n      %f = arith.mulf %e, %a3 : f32\n"
                    "      %h = arith.addf %f, %a4 : f32\n      linalg.yield %h : f32"),
        ])
        size = "  %size = arith.addi %n, %c0 : index" if n == "%n" else f"  %size = arith.constant {n} : index"
        return kernel(f"layernorm_{suffix}", [("x", 0, "f32", ["%m", n]), ("g", 0, "f32", [n]), ("b", 0, "f32", [n]), ("y", 1, "f32", ["%m", n])],
                      "%m", body, extra=size)

    def test(lib):
        for suffix, _, n in lengths():
            for m in (1, 7):
                x, g, b = uniform(m, n) + 3, uniform(n), uniform(n)
                y = run(lib, f"layernorm_{suffix}", [x, g, b, np.zeros_like(x)], [m, n], m)[3]
                w = x.astype(np.float64)
                w = (w - w.mean(1, keepdims=True)) / np.sqrt(w.var(1, keepdims=True) + 1e-5) * g + b
                check(lib, "layernorm", (suffix, m, n), y, w, 3e-6 if n > 1 else 1e-3)

    return per_dim(make), test


@case
def softmax():
    def make(suffix, n):
        x, r = rowtype("f32", n), "memref<f32>"
        body = "\n".join([
            "  ^bb0(%i: index):", row("x", "f32", ["%m", n], "xs"), row("y", "f32", ["%m", n], "ys"),
            "    %max = memref.alloca() : memref<f32>", "    %sum = memref.alloca() : memref<f32>",
            "    %low = arith.constant 0xFF800000 : f32", "    %zero = arith.constant 0.0 : f32",
            "    linalg.fill ins(%low : f32) outs(%max : memref<f32>)", "    linalg.fill ins(%zero : f32) outs(%sum : memref<f32>)",
            generic([("%xs", x)], ("%max", r), ["d0", ""], "r", "      %s = arith.maximumf %a0, %acc : f32\n      linalg.yield %s : f32"),
            generic([("%xs", x), ("%max", r)], ("%ys", x), ["d0", "", "d0"], "p",
                    "      %d = arith.subf %a0, %a1 : f32\n      %e = math.exp %d : f32\n      linalg.yield %e : f32"),
            generic([("%ys", x)], ("%sum", r), ["d0", ""], "r", "      %s = arith.addf %a0, %acc : f32\n      linalg.yield %s : f32"),
            generic([("%ys", x), ("%sum", r)], ("%ys", x), ["d0", "", "d0"], "p", "      %d = arith.divf %a0, %a1 : f32\n      linalg.yield %d : f32"),
        ])
        return kernel(f"softmax_{suffix}", [("x", 0, "f32", ["%m", n]), ("y", 1, "f32", ["%m", n])], "%m", body)

    def test(lib):
        for suffix, _, n in lengths():
            x = uniform(5, n) * 10
            x[1, 0] = -np.inf if n > 1 else 0
            y = run(lib, f"softmax_{suffix}", [x, np.zeros_like(x)], [5, n], 5)[1]
            w = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
            check(lib, "softmax", (suffix, n), y, w / w.sum(1, keepdims=True), 1e-6)

    return per_dim(make), test


@case
def reductions():
    kinds = {
        "add": ("f32", "arith.addf", lambda x: x.sum(1)), "max": ("f32", "arith.maximumf", lambda x: x.max(1)),
        "maxnum": ("f32", "arith.maxnumf", lambda x: x.max(1)), "min": ("f32", "arith.minimumf", lambda x: x.min(1)),
        "mul": ("f32", "arith.mulf", lambda x: x.prod(1)), "addi": ("i64", "arith.addi", lambda x: x.sum(1)),
        "maxi": ("i64", "arith.maxsi", lambda x: x.max(1)), "mini": ("i32", "arith.minsi", lambda x: x.min(1)),
        "and": ("i1", "arith.andi", lambda x: x.all(1)), "or": ("i1", "arith.ori", lambda x: x.any(1)),
    }

    def make(name, type, op):
        x, y = rowtype(type, "%n"), memref(type, ["%m"])
        init = {"f32": "1.5", "i64": "3", "i32": "3", "i1": "false"}[type] if name != "and" else "true"
        body = "\n".join([
            "  ^bb0(%i: index):", row("x", type, ["%m", "%n"], "xs"),
            f"    %init = arith.constant {init}{'' if type == 'i1' else ' : ' + type}", f"    memref.store %init, %y[%i] : {y}",
            f"    %ys = memref.subview %y[%i] [1] [1] : {y} to memref<{type}, strided<[], offset: ?>>",
            generic([("%xs", x)], ("%ys", f"memref<{type}, strided<[], offset: ?>>"), ["d0", ""], "r",
                    f"      %s = {op} %acc, %a0 : {type}\n      linalg.yield %s : {type}"),
        ])
        return kernel(f"reduce_{name}", [("x", 0, type, ["%m", "%n"]), ("y", 2, type, ["%m"])], "%m", body)

    def test(lib):
        for name, (type, _, reference) in kinds.items():
            for n in LENGTHS:
                m = 4
                x = uniform(m, n) if type == "f32" else random.integers(0, 2, (m, n)).astype(np.uint8) if type == "i1" else random.integers(-100, 100, (m, n)).astype(NP[type])
                if name == "and":
                    x[:2] = 1
                if name == "mul":
                    x = (1 + x / 100).astype(np.float32)
                y = run(lib, f"reduce_{name}", [x, np.zeros(m, NP[type])], [m, n], m)[1]
                wide = x.astype(np.float64) if type == "f32" else x.astype(np.int64)
                init = {"f32": 1.5, "i64": 3, "i32": 3, "i1": 0}[type] if name != "and" else 1
                want = reference(np.concatenate([np.full((m, 1), init, wide.dtype), wide], 1))
                check(lib, "reduce_" + name, n, y, want, 4e-6 if name == "mul" else 1e-6 if type == "f32" else 0.0)
        for name in ("max", "min"):
            x = uniform(4, 33)
            x[2, 20] = np.nan
            y = run(lib, f"reduce_{name}", [x, np.zeros(4, np.float32)], [4, 33], 4)[1]
            if list(np.isnan(y)) != [False, False, True, False]:
                failures.append(f"{lib.variant} reduce_{name} loses NaN: {y}")

    return "\n".join(make(name, type, op) for name, (type, op, _) in kinds.items()), test


@case
def columns():
    """A reduction over the outer dim, vectorised along the inner one, and one over both."""
    whole = memref("f32", ["%m", "%n"])
    body = "\n".join([
        "  ^bb0(%i: index):", "    %zero = arith.constant 0.0 : f32", "    linalg.fill ins(%zero : f32) outs(%y : memref<?xf32>)",
        "    linalg.fill ins(%zero : f32) outs(%z : memref<f32>)",
        generic([("%x", whole)], ("%y", "memref<?xf32>"), ["d0, d1", "d1"], "rp", "      %s = arith.addf %acc, %a0 : f32\n      linalg.yield %s : f32"),
        generic([("%x", whole)], ("%z", "memref<f32>"), ["d0, d1", ""], "rr", "      %q = arith.mulf %a0, %a0 : f32\n      %s = arith.addf %acc, %q : f32\n      linalg.yield %s : f32"),
    ])
    text = kernel("columns", [("x", 0, "f32", ["%m", "%n"]), ("y", 1, "f32", ["%n"]), ("z", 1, "f32", [])], "%one", body, extra="  %one = arith.constant 1 : index")

    def test(lib):
        for m, n in ((1, 1), (3, 17), (40, 5), (0, 9), (9, 64), (33, 100)):
            x = uniform(m, n)
            _, y, z = run(lib, "columns", [x, np.zeros(n, np.float32), np.zeros((), np.float32)], [m, n], 1)
            check(lib, "columns", (m, n), y, x.astype(np.float64).sum(0), 1e-6)
            check(lib, "columns all", (m, n), z, (x.astype(np.float64) ** 2).sum(), 1e-6)

    return text, test


@case
def contraction():
    """A small product inside a row: out[j] = sum_k x[k] w[k, j], and with w transposed."""
    texts = []
    for name, map_w, dims in (("nn", "d1, d0", ["%n", "%k"]), ("nt", "d0, d1", ["%k", "%n"])):
        body = "\n".join([
            "  ^bb0(%i: index):", row("x", "f32", ["%m", "%n"], "xs"), row("y", "f32", ["%m", "%k"], "ys"), "    %zero = arith.constant 0.0 : f32",
            f"    linalg.fill ins(%zero : f32) outs(%ys : {rowtype('f32', '%k')})",
            generic([("%xs", rowtype("f32", "%n")), ("%w", memref("f32", dims))], ("%ys", rowtype("f32", "%k")), ["d1", map_w, "d0"], "pr",
                    "      %q = arith.mulf %a0, %a1 : f32\n      %s = arith.addf %acc, %q : f32\n      linalg.yield %s : f32"),
        ])
        texts.append(kernel(f"contract_{name}", [("x", 0, "f32", ["%m", "%n"]), ("w", 0, "f32", dims), ("y", 1, "f32", ["%m", "%k"])], "%m", body, scalars=3))

    def test(lib):
        for n, k in ((1, 1), (5, 33), (64, 16), (100, 7), (130, 40)):
            x, w = uniform(4, n), uniform(n, k)
            want = x.astype(np.float64) @ w.astype(np.float64)
            for name, weight in (("nn", w), ("nt", np.ascontiguousarray(w.T))):
                y = run(lib, f"contract_{name}", [x, weight, np.zeros((4, k), np.float32)], [4, n, k], 4)[2]
                check(lib, "contract_" + name, (n, k), y, want, 1e-6)

    return "\n".join(texts), test


@case
def broadcasts():
    """x[i, j] * column[i] + row[j] + scalar, all of rank 2 in one generic over the whole matrix."""
    maps = ["d0, d1", "d0, 0", "d1", "", "d0, d1"]
    body = "  ^bb0(%i: index):\n" + generic(
        [("%x", memref("f32", ["%m", "%n"])), ("%c", memref("f32", ["%m", "1"])), ("%r", memref("f32", ["%n"])), ("%s", memref("f32", []))],
        ("%y", memref("f32", ["%m", "%n"])), maps, "pp",
        "      %p = arith.mulf %a0, %a1 : f32\n      %q = arith.addf %p, %a2 : f32\n      %t = arith.addf %q, %a3 : f32\n      linalg.yield %t : f32")
    text = kernel("broadcasts", [("x", 0, "f32", ["%m", "%n"]), ("c", 0, "f32", ["%m", "1"]), ("r", 0, "f32", ["%n"]), ("s", 0, "f32", []), ("y", 1, "f32", ["%m", "%n"])],
                  "%one", body, extra="  %one = arith.constant 1 : index")

    def test(lib):
        for m, n in ((1, 1), (3, 40), (5, 16), (2, 0), (7, 33)):
            x, c, r, s = uniform(m, n), uniform(m, 1), uniform(n), uniform(1)[0]
            y = run(lib, "broadcasts", [x, c, r, np.array(s), np.zeros_like(x)], [m, n], 1)[4]
            check(lib, "broadcasts", (m, n), y, x.astype(np.float64) * c + r + s, 2e-7)

    return text, test


@case
def transposes():
    texts = []
    for type in ("f32", "i64", "f16", "i8", "i1"):
        body = "  ^bb0(%i: index):\n" + f"    linalg.transpose ins(%x : {memref(type, ['%m', '%n'])}) outs(%y : {memref(type, ['%n', '%m'])}) permutation = [1, 0]"
        texts.append(kernel(f"transpose_{type}", [("x", 0, type, ["%m", "%n"]), ("y", 1, type, ["%n", "%m"])], "%one", body, extra="  %one = arith.constant 1 : index"))
    # A head transpose: [m, 3, n] to [3, m, n], a row at a time.
    source, target = memref("f32", ["%m", "3", "%n"]), memref("f32", ["3", "%m", "%n"])
    view = "memref<?xf32, strided<[1], offset: ?>>"
    body = "\n".join([
        "  ^bb0(%i: index, %h: index):", f"    %xs = memref.subview %x[%i, %h, 0] [1, 1, %n] [1, 1, 1] : {source} to {view}",
        f"    %ys = memref.subview %y[%h, %i, 0] [1, 1, %n] [1, 1, 1] : {target} to {view}", f"    memref.copy %xs, %ys : {view} to {view}"])
    texts.append(kernel("heads", [("x", 0, "f32", ["%m", "3", "%n"]), ("y", 1, "f32", ["3", "%m", "%n"])], "%m, %three", body, extra="  %three = arith.constant 3 : index"))

    def test(lib):
        for m, n in ((1, 1), (3, 40), (16, 16), (17, 33), (64, 8)):
            for type in ("f32", "i64", "f16", "i8", "i1"):
                x = random.integers(0, 2 if type == "i1" else 100, (m, n)).astype(NP[type])
                y = run(lib, f"transpose_{type}", [x, np.zeros((n, m), NP[type])], [m, n], 1)[1]
                check(lib, "transpose_" + type, (m, n), y, x.T)
            x = uniform(m, 3, n)
            y = run(lib, "heads", [x, np.zeros((3, m, n), np.float32)], [m, n], 3 * m)[1]
            check(lib, "heads", (m, n), y, x.transpose(1, 0, 2))

    return "\n".join(texts), test


@case
def strides():
    """Reads every second element, reversed pairs and a diagonal; writes every second element."""
    even = "memref<?xf32, strided<[2], offset: ?>>"
    texts = []
    body = "\n".join([
        "  ^bb0(%i: index):",
        f"    %xs = memref.subview %x[%i, 0] [1, %n] [1, 2] : {memref('f32', ['%m', '%k'])} to {even}",
        f"    %ys = memref.subview %y[%i, 0] [1, %n] [1, 2] : {memref('f32', ['%m', '%k'])} to {even}",
        row("z", "f32", ["%m", "%n"], "zs"),
        generic([("%xs", even), ("%zs", rowtype("f32", "%n"))], ("%ys", even), ["d0", "d0", "d0"], "p", "      %s = arith.addf %a0, %a1 : f32\n      linalg.yield %s : f32"),
    ])
    texts.append(kernel("every_second", [("x", 0, "f32", ["%m", "%k"]), ("z", 0, "f32", ["%m", "%n"]), ("y", 1, "f32", ["%m", "%k"])], "%m", body, scalars=3))
    body = "  ^bb0(%i: index):\n" + generic([("%x", memref("f32", ["%n", "%n"])), ("%z", memref("f32", ["%n"]))], ("%y", memref("f32", ["%n"])), ["d0, d0", "d0", "d0"], "p",
                                           "      %s = arith.addf %a0, %a1 : f32\n      linalg.yield %s : f32")
    texts.append(kernel("diagonal", [("x", 0, "f32", ["%n", "%n"]), ("z", 0, "f32", ["%n"]), ("y", 1, "f32", ["%n"])], "%one", body, extra="  %one = arith.constant 1 : index"))

    def test(lib):
        for n in (1, 2, 7, 16, 17, 40, 100):
            m, k = 4, 2 * n
            x, z, y = uniform(m, k), uniform(m, n), uniform(m, k)
            got = run(lib, "every_second", [x, z, y], [m, n, k], m)[2]
            want = y.copy()
            want[:, ::2] = x[:, ::2] + z
            check(lib, "every_second", n, got, want)
            x, z = uniform(n, n), uniform(n)
            got = run(lib, "diagonal", [x, z, np.zeros(n, np.float32)], [1, n], 1)[2]
            check(lib, "diagonal", n, got, np.diag(x) + z)

    return "\n".join(texts), test


@case
def casts():
    pairs = {
        ("f32", "f16"): "arith.truncf", ("f16", "f32"): "arith.extf", ("f32", "bf16"): "arith.truncf", ("bf16", "f32"): "arith.extf",
        ("i64", "f32"): "arith.sitofp", ("i32", "f32"): "arith.sitofp", ("f32", "i64"): "arith.fptosi", ("f32", "i32"): "arith.fptosi",
        ("i64", "i32"): "arith.trunci", ("i32", "i64"): "arith.extsi", ("i1", "f32"): "arith.uitofp", ("i1", "i64"): "arith.extui",
        ("i8", "f32"): "arith.sitofp", ("f64", "f32"): "arith.truncf", ("f32", "f64"): "arith.extf", ("f16", "i64"): "arith.fptosi",
        ("i64", "bf16"): "arith.sitofp", ("f64", "f16"): "arith.truncf", ("bf16", "f64"): "arith.extf",
    }
    texts = []
    for (source, target), op in pairs.items():
        body = "\n".join(["  ^bb0(%i: index):", row("x", source, ["%m", "%n"], "xs"), row("y", target, ["%m", "%n"], "ys"),
                          generic([("%xs", rowtype(source, "%n"))], ("%ys", rowtype(target, "%n")), ["d0", "d0"], "p",
                                  f"      %s = {op} %a0 : {source} to {target}\n      linalg.yield %s : {target}")])
        texts.append(kernel(f"cast_{source}_{target}", [("x", 0, source, ["%m", "%n"]), ("y", 1, target, ["%m", "%n"])], "%m", body))

    def test(lib):
        for (source, target) in pairs:
            for n in (1, 5, 8, 16, 23, 40):
                values = uniform(4, n) * 100
                if source == "bf16":
                    values = bf16_round(values)
                elif source == "i1":
                    values = random.integers(0, 2, (4, n))
                values = values.astype(NP[source]) if source != "bf16" else values
                x = bf16_bits(values) if source == "bf16" else values
                y = run(lib, f"cast_{source}_{target}", [x, np.zeros((4, n), NP[target])], [4, n], 4)[1]
                if target == "bf16":
                    check(lib, f"cast_{source}_{target}", n, bf16_values(y), bf16_round(values.astype(np.float32)))
                else:
                    middle = values.astype(np.float32) if (source, target) == ("f64", "f16") else values
                    check(lib, f"cast_{source}_{target}", n, y, middle.astype(NP[target]))
        x = np.array([[np.inf, -np.inf, np.nan, 3.4e38, 1e-40, -0.0]], np.float32)
        y = bf16_values(run(lib, "cast_f32_bf16", [x, np.zeros(x.shape, np.uint16)], [1, 6], 1)[1])
        check(lib, "cast_f32_bf16", "special", y, bf16_round(x))

    return "\n".join(texts), test


@case
def masks():
    """where(mask and x > 0, x, row index + column index), and the mask of a comparison."""
    body = "\n".join([
        "  ^bb0(%i: index):", row("x", "f32", ["%m", "%n"], "xs"), row("k1", "i1", ["%m", "%n"], "ks"), row("y", "f32", ["%m", "%n"], "ys"), row("z", "i1", ["%m", "%n"], "zs"),
        generic([("%xs", rowtype("f32", "%n")), ("%ks", rowtype("i1", "%n"))], ("%ys", rowtype("f32", "%n")), ["d0", "d0", "d0"], "p",
                "      %zero = arith.constant 0.0 : f32\n      %g = arith.cmpf ogt, %a0, %zero : f32\n      %b = arith.andi %g, %a1 : i1\n      %j = linalg.index 0 : index\n"
                "      %s = arith.addi %j, %i : index\n      %t = arith.index_cast %s : index to i64\n      %u = arith.sitofp %t : i64 to f32\n"
                "      %v = arith.select %b, %a0, %u : f32\n      linalg.yield %v : f32"),
        generic([("%xs", rowtype("f32", "%n"))], ("%zs", rowtype("i1", "%n")), ["d0", "d0"], "p",
                "      %one = arith.constant 1.0 : f32\n      %g = arith.cmpf olt, %a0, %one : f32\n      linalg.yield %g : i1"),
    ])
    text = kernel("masks", [("x", 0, "f32", ["%m", "%n"]), ("k1", 0, "i1", ["%m", "%n"]), ("y", 1, "f32", ["%m", "%n"]), ("z", 1, "i1", ["%m", "%n"])], "%m", body)

    def test(lib):
        for n in LENGTHS[:45]:
            m = 4
            x, k = uniform(m, n), random.integers(0, 2, (m, n)).astype(np.uint8)
            _, _, y, z = run(lib, "masks", [x, k, np.zeros_like(x), np.zeros_like(k)], [m, n], m)
            check(lib, "masks", n, y, np.where((k != 0) & (x > 0), x, np.add.outer(np.arange(m), np.arange(n)).astype(np.float32)))
            check(lib, "masks z", n, z, (x < 1).astype(np.uint8))

    return text, test


@case
def halves():
    """Arithmetic on f16 and bf16 rounds once per operation."""
    texts = []
    for type in ("f16", "bf16"):
        body = "\n".join(["  ^bb0(%i: index):", row("x", type, ["%m", "%n"], "xs"), row("y", type, ["%m", "%n"], "ys"),
                          generic([("%xs", rowtype(type, "%n"))], ("%ys", rowtype(type, "%n")), ["d0", "d0"], "p",
                                  f"      %s = arith.mulf %a0, %a0 : {type}\n      %e = math.exp %s : {type}\n      linalg.yield %e : {type}")])
        texts.append(kernel(f"half_{type}", [("x", 0, type, ["%m", "%n"]), ("y", 1, type, ["%m", "%n"])], "%m", body))

    def test(lib):
        for n in (3, 16, 21, 33):
            x = uniform(4, n)
            h = x.astype(np.float16)
            y = run(lib, "half_f16", [h, np.zeros_like(h)], [4, n], 4)[1]
            check(lib, "half_f16", n, y, np.exp((h * h).astype(np.float32)).astype(np.float16), 1e-3)
            r = bf16_round(x)
            y = bf16_values(run(lib, "half_bf16", [bf16_bits(r), np.zeros((4, n), np.uint16)], [4, n], 4)[1])
            check(lib, "half_bf16", n, y, bf16_round(np.exp(bf16_round(r * r))), 8e-3)

    return "\n".join(texts), test


@case
def points():
    """Scalar code at each point of a space of three dims, and a body that no lane arrangement fits."""
    body = "\n".join([
        "  ^bb0(%a: index, %b: index, %c: index):", f"    %v = memref.load %x[%c, %a, %b] : {memref('f32', ['5', '%m', '%n'])}",
        f"    memref.store %v, %y[%a, %b, %c] : {memref('f32', ['%m', '%n', '5'])}"])
    texts = [kernel("points", [("x", 0, "f32", ["5", "%m", "%n"]), ("y", 1, "f32", ["%m", "%n", "5"])], "%m, %n, %five", body, extra="  %five = arith.constant 5 : index")]
    # The position of the largest element: two values that are carried together.
    body = "\n".join([
        "  ^bb0(%i: index):", row("x", "f32", ["%m", "%n"], "xs"), "    %low = arith.constant 0xFF800000 : f32", "    %none = arith.constant 0 : i64",
        "    %best = memref.alloca() : memref<f32>", "    memref.store %low, %best[] : memref<f32>", "    memref.store %none, %y[%i] : memref<?xi64>",
        "    %ys = memref.subview %y[%i] [1] [1] : memref<?xi64> to memref<i64, strided<[], offset: ?>>",
        '    linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]}'
        f" ins(%xs : {rowtype('f32', '%n')}) outs(%best, %ys : memref<f32>, memref<i64, strided<[], offset: ?>>) {{",
        "    ^bb0(%v: f32, %b: f32, %p: i64):", "      %j = linalg.index 0 : index", "      %q = arith.index_cast %j : index to i64",
        "      %g = arith.cmpf ogt, %v, %b : f32", "      %s = arith.select %g, %v, %b : f32", "      %t = arith.select %g, %q, %p : i64",
        "      linalg.yield %s, %t : f32, i64", "    }"])
    texts.append(kernel("argmax", [("x", 0, "f32", ["%m", "%n"]), ("y", 1, "i64", ["%m"])], "%m", body))

    def test(lib):
        for m, n in ((1, 1), (3, 4), (2, 9)):
            x = uniform(5, m, n)
            y = run(lib, "points", [x, np.zeros((m, n, 5), np.float32)], [m, n], 5 * m * n)[1]
            check(lib, "points", (m, n), y, x.transpose(1, 2, 0))
        for n in (1, 9, 40):
            x = uniform(5, n)
            y = run(lib, "argmax", [x, np.zeros(5, np.int64)], [5, n], 5)[1]
            check(lib, "argmax", n, y, x.argmax(1))

    return "\n".join(texts), test


@case
def one_point():
    """A kernel of one point whose only op is a loop over a matrix: z[i, j] = x[j, i] + y[j]."""
    body = "\n".join([
        "  ^bb0(%i: index):",
        generic([("%x", memref("f32", ["%n", "%m"])), ("%y", memref("f32", ["%n"]))], ("%z", memref("f32", ["%m", "%n"])), ["d1, d0", "d1", "d0, d1"], "pp",
                "      %s = arith.addf %a0, %a1 : f32\n      linalg.yield %s : f32"),
    ])
    text = kernel("one_point", [("x", 0, "f32", ["%n", "%m"]), ("y", 0, "f32", ["%n"]), ("z", 1, "f32", ["%m", "%n"])], "%one", body,
                  extra="  %one = arith.constant 1 : index")

    def test(lib):
        for m, n in ((1, 1), (0, 5), (3, 17), (70, 45)):
            x, y = np.arange(n * m, dtype=np.float32).reshape(n, m), np.arange(n, dtype=np.float32) / 4
            check(lib, "one point", (m, n), run(lib, "one_point", [x, y, np.zeros((m, n), np.float32)], [m, n], 1)[2], x.T + y)

    return text, test


@case
def lookups():
    """A body that reads a matrix by index: y[i, j] = x[k[j], j + i], and the same with the row read in scalar code."""
    texts = []
    for name, at in (("lookup", "%r, %s"), ("lookup_row", "%i, %r")):
        type = memref("f32", ["%m", "%k"])
        body = "\n".join([
            "  ^bb0(%i: index):", row("y", "f32", ["%m", "%n"], "ys"),
            generic([("%t", memref("i64", ["%n"]))], ("%ys", rowtype("f32", "%n")), ["d0", "d0"], "p",
                    "      %r = arith.index_cast %a0 : i64 to index\n      %j = linalg.index 0 : index\n      %s = arith.addi %i, %j : index\n"
                    f"      %v = memref.load %x[{at}] : {type}\n      %w = memref.load %x[%i, %i] : {type}\n      %q = arith.addf %v, %w : f32\n      linalg.yield %q : f32"),
        ])
        texts.append(kernel(name, [("x", 0, "f32", ["%m", "%k"]), ("t", 0, "i64", ["%n"]), ("y", 1, "f32", ["%m", "%n"])], "%m", body, scalars=3))

    def test(lib):
        for m, n in ((1, 1), (4, 9), (7, 33), (3, 16)):
            k = m + n
            x, t = uniform(m, k), random.integers(0, m, n)
            i, j = np.indices((m, n))
            y = run(lib, "lookup", [x, t, np.zeros((m, n), np.float32)], [m, n, k], m)[2]
            check(lib, "lookup", (m, n), y, x[t[j], i + j] + x[i, i])
            t = random.integers(0, k, n)
            y = run(lib, "lookup_row", [x, t, np.zeros((m, n), np.float32)], [m, n, k], m)[2]
            check(lib, "lookup_row", (m, n), y, x[i, t[j]] + x[i, i])

    return "\n".join(texts), test


def main():
    built = [case() for case in CASES]
    text = "\n".join(text for text, _ in built)
    for variant in variants():
        lib = Kernels(text, variant)
        for (_, test), function in zip(built, CASES):
            before = len(failures)
            test(lib)
            print(f"{variant} {function.__name__}: {'passed' if len(failures) == before else 'FAILED'}")
    for failure in failures[:40]:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

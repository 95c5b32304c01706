# SPDX-License-Identifier: Apache-2.0
"""Measures the error of every expanded math function, in ulp of f32, against numpy in f64.

    math_test.py [--samples N]

Prints a row for each function and variant and fails where one exceeds its bound. Arguments are random bit patterns over
the whole range, random numbers of moderate size, and the special values.
"""

import argparse
import math
import sys

import numpy as np

from kernels import Kernels, variants

# name: (MLIR op, reference, largest error in ulp, arguments of moderate size)
erf = np.vectorize(math.erf, otypes=[np.float64])
UNARY = {
    "exp": (np.exp, 1.1, (-110, 95)),
    "exp2": (np.exp2, 1.1, (-152, 130)),
    "expm1": (np.expm1, 2.0, (-30, 95)),
    "log": (np.log, 1.1, (0, 4)),
    "log2": (np.log2, 1.6, (0, 4)),
    "log10": (np.log10, 1.8, (0, 4)),
    "log1p": (np.log1p, 1.6, (-1, 3)),
    "tanh": (np.tanh, 1.6, (-10, 10)),
    "erf": (erf, 1.2, (-4.5, 4.5)),
    "sin": (np.sin, 1.6, (-1e5, 1e5)),
    "cos": (np.cos, 1.6, (-1e5, 1e5)),
    "tan": (np.tan, 3.5, (-100, 100)),
    "asin": (np.arcsin, 2.5, (-1, 1)),
    "acos": (np.arccos, 2.5, (-1, 1)),
    "atan": (np.arctan, 1.8, (-10, 10)),
    "sinh": (np.sinh, 2.5, (-95, 95)),
    "cosh": (np.cosh, 2.0, (-95, 95)),
    "asinh": (np.arcsinh, 3.0, (-10, 10)),
    "acosh": (np.arccosh, 3.0, (1, 10)),
    "atanh": (np.arctanh, 3.0, (-1, 1)),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5001, (0, 100)),
    "sqrt": (np.sqrt, 0.5001, (0, 100)),
}
EXACT = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "roundeven": np.round, "absf": np.abs}
BINARY = {"powf": (np.power, 1.1), "atan2": (np.arctan2, 2.0)}

ELEMENTWISE = """
exec.kernel @{name}({buffers}, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {{parameters = array<i32: {kinds}>, scratch_bytes = 0 : i64}} {{
  %zero = arith.constant 0 : index
{views}
  %one = arith.constant 1 : index
  kernel.rows tiles(%lo to %hi) sizes(%one) block 1 {{
  ^bb0(%i: index):
    linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel"]}} ins({ins}) outs(%vo : memref<?x{out}>) {{
    ^bb0({arguments}, %unused: {out}):
      {body}
    }}
    kernel.yield
  }}
  exec.end
}}
"""


def elementwise(name, inputs, out, body):
    """An elementwise kernel over `n` elements: inputs are element types, `body` defines %r from %a0, %a1, ..."""
    buffers = ", ".join([f"%b{i}: memref<?xi8>" for i in range(len(inputs))] + ["%bo: memref<?xi8>"])
    views = "\n".join(
        [f"  %v{i} = memref.view %b{i}[%zero][%n] : memref<?xi8> to memref<?x{t}>" for i, t in enumerate(inputs)]
        + [f"  %vo = memref.view %bo[%zero][%n] : memref<?xi8> to memref<?x{out}>"]
    )
    ins = ", ".join(f"%v{i}" for i in range(len(inputs))) + " : " + ", ".join(f"memref<?x{t}>" for t in inputs)
    return ELEMENTWISE.format(
        name=name,
        buffers=buffers,
        kinds=", ".join(["0"] * len(inputs) + ["1"]),
        views=views,
        maps=", ".join(["affine_map<(d) -> (d)>"] * (len(inputs) + 1)),
        ins=ins,
        out=out,
        arguments=", ".join(f"%a{i}: {t}" for i, t in enumerate(inputs)),
        body=body + f"\n      linalg.yield %r : {out}",
    )


def ulps(got, exact):
    """Distance from the exact value in units of the last place of f32 there."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        same = (got == rounded) & (np.signbit(got) == np.signbit(rounded)) | (np.isnan(got) & np.isnan(rounded))
        unit = np.spacing(np.maximum(np.abs(rounded), np.float32(2.0**-126))).astype(np.float64)
        error = np.abs(got.astype(np.float64) - exact) / np.where(np.isfinite(unit), unit, 2.0**104)
        # Beyond the largest number, one ulp away is as good as any.
        error = np.where(np.isfinite(got) & np.isfinite(exact), error, np.where(same, 0.0, np.inf))
        error = np.where((got == 0) & (rounded == 0) & ~same, np.inf, error)
    return np.where(same, np.minimum(error, 0.5), error)


SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, -1e-38, 2.0**-126,
                    3.4028235e38, -3.4028235e38, 0.99999994, 1.0000001, 2.0**23, 2.0**24, 2.0**31, 2.0**63, 1e10, 1e22], np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1 << 17)
    samples = parser.parse_args().samples
    random = np.random.default_rng(1)
    texts = [elementwise(n, ["f32"], "f32", f"%r = math.{n} %a0 : f32") for n in (*UNARY, *EXACT)]
    texts += [elementwise(n, ["f32", "f32"], "f32", f"%r = math.{n} %a0, %a1 : f32") for n in BINARY]
    texts += [elementwise(n + "64", ["f64"], "f64", f"%r = math.{n} %a0 : f64") for n in ("exp", "log", "sqrt")]
    texts += [elementwise("remf", ["f32", "f32"], "f32", "%r = arith.remf %a0, %a1 : f32")]
    texts += [elementwise(f"ipowi{w}", [f"i{w}"] * 2, f"i{w}", f"%r = math.ipowi %a0, %a1 : i{w}") for w in (32, 64)]
    failed = 0
    np.seterr(all="ignore")

    def report(variant, name, error, bound, worst):
        nonlocal failed
        good = error <= bound
        failed += not good
        print(f"{variant} {name:8} {error:7.3f} ulp (at most {bound}) at {worst}" + ("" if good else "  FAILED"))

    for variant in variants():
        lib = Kernels("\n".join(texts), variant)
        for name, (reference, bound, (low, high)) in UNARY.items():
            anything = random.integers(0, 2**32, samples, dtype=np.uint32).view(np.float32)
            x = np.concatenate([SPECIAL, anything, random.uniform(low, high, samples).astype(np.float32)])
            got = np.zeros_like(x)
            lib.run(name, [x, got], [x.size])
            errors = ulps(got, reference(x.astype(np.float64)))
            report(variant, name, errors.max(), bound, x[errors.argmax()])
        for name, reference in EXACT.items():
            x = np.concatenate([SPECIAL, random.uniform(-100, 100, samples).astype(np.float32)])
            got = np.zeros_like(x)
            lib.run(name, [x, got], [x.size])
            report(variant, name, ulps(got, reference(x.astype(np.float64))).max(), 0.5, "")
        for name, (reference, bound) in BINARY.items():
            x, y = (a.ravel().astype(np.float32) for a in np.meshgrid(SPECIAL, SPECIAL))
            x = np.concatenate([x, random.uniform(0, 10, samples).astype(np.float32), random.integers(-9, 9, samples).astype(np.float32)])
            y = np.concatenate([y, random.uniform(-40, 40, samples).astype(np.float32), random.integers(-9, 9, samples).astype(np.float32)])
            got = np.zeros_like(x)
            lib.run(name, [x, y, got], [x.size])
            exact = reference(x.astype(np.float64), y.astype(np.float64))
            errors = ulps(got, exact)
            worst = errors.argmax()
            report(variant, name, errors[worst], bound, (x[worst], y[worst]))
        # Exactly C's fmod: bit patterns of any exponent, so that quotients need every digit.
        x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
        x, y = (np.concatenate([a, random.integers(0, 2**32, samples, dtype=np.uint32).view(np.float32),
                                random.uniform(-1e6, 1e6, samples).astype(np.float32)]) for a in (x, y))
        got, want = np.zeros_like(x), np.fmod(x, y)
        lib.run("remf", [x, y, got], [x.size])
        report(variant, "remf", (~((got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want))).sum(), 0, "")
        for width, kind in ((32, np.int32), (64, np.int64)):
            edges = np.array([0, 1, -1, 2, -2, 3, 63, 64, np.iinfo(kind).max, np.iinfo(kind).min], kind)
            x, y = (np.concatenate([a.ravel(), random.integers(-20, 20, 200).astype(kind)]) for a in np.meshgrid(edges, edges))
            got = np.zeros_like(x)
            lib.run(f"ipowi{width}", [x, y, got], [x.size])
            exact = [(1 if a == 1 else (-1) ** (b % 2) if a == -1 else 0) if b < 0 else pow(int(a), int(b), 2**width) for a, b in zip(x.tolist(), y.tolist())]
            want = np.array([v % 2**width for v in exact], np.uint64).astype(f"u{width // 8}").view(kind)
            report(variant, f"ipowi{width}", (got != want).sum(), 0, "")
        for name, reference, bound, high in (("exp", np.exp, 2e-16 * 2, 700), ("log", np.log, 2e-16 * 2, 1e9), ("sqrt", np.sqrt, 2.3e-16, 1e9)):
            x = np.concatenate([[1e-310, 5e-324, 1e300], random.uniform(1e-9, high, samples)])
            got = np.zeros_like(x)
            lib.run(name + "64", [x, got], [x.size])
            want = reference(x)
            relative = np.abs(got - want) / np.abs(want)
            relative = np.where((got == want), 0, relative).max()
            failed += not relative <= bound
            print(f"{variant} {name}64 relative {relative:.2g} (at most {bound:.2g})")
    print("FAILED" if failed else "passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

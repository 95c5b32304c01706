# SPDX-License-Identifier: Apache-2.0
"""Compiles ONNX node tests (folders with model.onnx and test_data_set_*/*.pb), runs them and compares with their outputs.

    python3 test/conformance/run.py FOLDER... [--build DIR] [--expect FILE] [--write FILE] [--jobs N]

Each folder holds cases, or is one. A case ends as `passed`, `unsupported` (msac says which node stands in the way), `wrong` (other numbers or shapes than
expected) or `failed` (a tool crashed, hung or gave no reason). `--expect FILE` names the cases that must pass, one a line; without it no case may be wrong or failed.
Exit code 1 on a breach. Floats may differ by 1e-4 relative and 1e-5 absolute (f16, bf16: 2e-2), as the ONNX backend tests do for accumulated error.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper

SECONDS = 60  # a case that takes longer hangs
# What msac says when it broke, not the model: the IR of a pass was wrong, or kernels could not be made.
BROKEN = re.compile(r"cannot link|please report|doesn't match function result type|operand is unlinked|"
                    r"failed to legalize|failed to verify|does not dominate|has no lowering for the CPU|call functions that no kernel may call")


def cases(folders):
    for folder in folders:
        if os.path.exists(os.path.join(folder, "model.onnx")):
            yield folder
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.exists(os.path.join(path, "model.onnx")):
                yield path


def read_tensor(path):
    tensor = onnx.TensorProto()
    with open(path, "rb") as f:
        tensor.ParseFromString(f.read())
    return numpy_helper.to_array(tensor)


def close(found, expected):
    if found.shape != expected.shape:
        return f"expected shape {expected.shape}, got {found.shape}"
    if found.dtype != expected.dtype:
        return f"expected {expected.dtype}, got {found.dtype}"
    if expected.dtype.kind not in "fc":
        return None if np.array_equal(found, expected) else f"{int(np.sum(found != expected))} elements differ"
    narrow = expected.dtype.itemsize == 2
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = np.isclose(a, b, rtol=2e-2 if narrow else 1e-4, atol=2e-2 if narrow else 1e-5, equal_nan=True)
    return None if same.all() else f"{int((~same).sum())} elements differ, by {np.nanmax(np.abs(a - b)):.3g} at most"


def run(command):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)


def run_case(path, tools, variant):
    model = onnx.load(os.path.join(path, "model.onnx"), load_external_data=False)
    with tempfile.TemporaryDirectory() as work:
        artifact = os.path.join(work, "case.msa")
        try:
            compiled = run([os.path.join(tools, "msac"), os.path.join(path, "model.onnx"), "-o", artifact, "--target", variant, "-j", "1"])
            broken = BROKEN.search(compiled.stderr)
            if compiled.returncode == 1 and "error" in compiled.stderr and not broken:
                return "unsupported", compiled.stderr.splitlines()[0]
            if compiled.returncode:
                return "failed", f"msac: exit code {compiled.returncode}: {compiled.stderr.strip()[:200]}"
            for number in range(100):
                data = os.path.join(path, f"test_data_set_{number}")
                if not os.path.isdir(data):
                    break
                inputs = []
                given = [i for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
                for i, value in enumerate(given):
                    file = os.path.join(data, f"input_{i}.pb")
                    if not os.path.exists(file):
                        continue
                    np.save(os.path.join(work, f"in{i}.npy"), read_tensor(file))
                    inputs += ["--input", f"{value.name}={os.path.join(work, f'in{i}.npy')}"]
                out = os.path.join(work, "out")
                ran = run([os.path.join(tools, "msa-run"), "invoke", artifact, "--entry", "model", *inputs, "--output-dir", out, "--threads", "1"])
                if ran.returncode:
                    return "failed", f"msa-run: exit code {ran.returncode}: {ran.stderr.strip()[:200]}"
                for i, value in enumerate(model.graph.output):
                    file = os.path.join(data, f"output_{i}.pb")
                    if not os.path.exists(file):
                        continue
                    name = re.sub(r"[^A-Za-z0-9._-]", "_", value.name)
                    difference = close(np.load(os.path.join(out, f"{name}.npy")), read_tensor(file))
                    if difference:
                        return "wrong", f"output '{value.name}': {difference}"
        except subprocess.TimeoutExpired as error:
            return "failed", f"{os.path.basename(error.cmd[0])} ran longer than {SECONDS} s"
    return "passed", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--build", default="build/release", help="build folder with bin/msac and bin/msa-run")
    parser.add_argument("--variant", default="x86-64-v3")
    parser.add_argument("--expect", help="file with the names of the cases that must pass")
    parser.add_argument("--write", help="write the names of the cases that passed to this file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--verbose", action="store_true", help="say why cases are not supported")
    given = parser.parse_args()
    paths = list(cases(given.folders))
    if not paths:
        sys.exit("found no case: expected folders with model.onnx")
    results = {}
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        tools = os.path.join(given.build, "bin")
        for path, result in zip(paths, pool.map(lambda p: run_case(p, tools, given.variant), paths)):
            results[os.path.basename(path)] = result
    counts = collections.Counter(outcome for outcome, _ in results.values())
    for name, (outcome, why) in sorted(results.items()):
        if outcome in ("wrong", "failed") or (given.verbose and outcome == "unsupported"):
            print(f"{outcome} {name}: {why}")
    breaches = [n for n, (outcome, _) in results.items() if outcome in ("wrong", "failed")]
    if given.expect:
        with open(given.expect, encoding="utf-8") as f:
            expected = [line.strip() for line in f if line.strip() and not line.startswith("#")]
        lost = [n for n in expected if n in results and results[n][0] != "passed"]
        missing = [n for n in expected if n not in results]
        for name in lost:
            print(f"lost {name}: {results[name][0]}: {results[name][1]}")
        for name in missing:
            print(f"lost {name}: no such case")
        breaches = sorted(set(breaches) | set(lost) | set(missing))
    if given.write:
        with open(given.write, "w", encoding="utf-8") as f:
            f.writelines(f"{n}\n" for n, (outcome, _) in sorted(results.items()) if outcome == "passed")
    print(f"{len(paths)} cases: " + ", ".join(f"{counts[k]} {k}" for k in ("passed", "unsupported", "wrong", "failed")))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""msa-run and msa-inspect from outside: files, exit codes, JSON. Usage: tools_test.py BIN_DIR WRITE_TEST_ARTIFACT WORK_DIR STAND_IN_DIR.

Needs the standard library alone: .npy files are written by hand here, so that they are also a check on the tool's reader.
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

BIN, WRITER, WORK, STAND_IN = sys.argv.pop(1), sys.argv.pop(1), pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1)


def save_npy(path, descr, fmt, values, shape):
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * ((64 - (10 + len(header) + 1) % 64) % 64) + b"\n"
    data = struct.pack("<%d%s" % (len(values), fmt), *values)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


def load_npy(path, fmt):
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    assert (10 + length) % 64 == 0 and data[9 + length : 10 + length] == b"\n"
    header = eval(data[10 : 10 + length], {"__builtins__": {}})  # the dictionary that the tool wrote
    body = data[10 + length :]
    return header["shape"], list(struct.unpack("<%d%s" % (len(body) // struct.calcsize(fmt), fmt), body))


def run(tool, *arguments):
    done = subprocess.run([os.path.join(BIN, tool), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        cls.artifact = WORK / "test.msa"
        subprocess.run([WRITER, cls.artifact], check=True)
        save_npy(WORK / "a.npy", "<f4", "f", [1, 2, 3], [3])
        save_npy(WORK / "b.npy", "<f4", "f", [10, 20, 30], [3])
        save_npy(WORK / "four.npy", "<f4", "f", [1, 2, 3, 4], [4])
        save_npy(WORK / "integers.npy", "<i8", "q", [1, 2, 3], [3])

    def invoke(self, *arguments, entry="add", out="out"):
        return run("msa-run", "invoke", self.artifact, "--entry", entry, "--output-dir", WORK / out, *arguments)

    def fails(self, result, code, part):
        self.assertEqual(result[0], code, result)
        self.assertIn(part, result[2])
        if code == 1:
            self.assertEqual(result[2].count("\n"), 1, result[2])
            self.assertTrue(result[2].startswith("msa-run: error: "), result[2])

    def test_invoke_writes_every_output(self):
        for threads in ("1", "2"):
            shutil.rmtree(WORK / "out", ignore_errors=True)
            code, _, errors = self.invoke("--input", f"a={WORK}/a.npy", "--input", f"b={WORK}/b.npy", "--threads", threads)
            self.assertEqual((code, errors), (0, ""))
            self.assertEqual(load_npy(WORK / "out" / "c.npy", "f"), ((3,), [11, 22, 33]))

    def test_invoke_writes_a_profile(self):
        profile = WORK / "profile.json"
        code, _, errors = self.invoke(
            "--input", f"a={WORK}/a.npy", "--input", f"b={WORK}/b.npy", "--profile", profile, "--variant", self.variant()
        )
        self.assertEqual(code, 0, errors)
        events = json.loads(profile.read_text())["traceEvents"]
        self.assertEqual([e["name"] for e in events if e["cat"] == "dispatch"], ["test_add"])
        self.assertTrue(all(e["ph"] == "X" and e["dur"] >= 0 for e in events))

    def variant(self):
        return json.loads(run("msa-inspect", self.artifact, "--json")[1])["variants"][0]["name"]

    def test_invoke_refuses_what_does_not_fit(self):
        a, b = f"a={WORK}/a.npy", f"b={WORK}/b.npy"
        self.fails(self.invoke("--input", a), 1, "input 'b' is not bound")
        self.fails(self.invoke("--input", a, "--input", f"b={WORK}/four.npy"), 1, "dim 0 (N): expected 3 as in input 'a', found 4")
        self.fails(self.invoke("--input", a, "--input", f"b={WORK}/integers.npy"), 1, "expected elements of type f32, found i64")
        self.fails(self.invoke("--input", a, "--input", "b=/nonexistent.npy"), 1, "cannot open '/nonexistent.npy'")
        self.fails(self.invoke("--input", a, "--input", f"b={self.artifact}"), 1, "expected an .npy file")
        self.fails(self.invoke("--input", a, "--input", f"z={WORK}/b.npy"), 1, "entry 'add' has no input 'z'")
        self.fails(self.invoke(entry="nothing"), 1, "the artifact has no entry 'nothing'; it has 'add'")
        self.fails(self.invoke("--input", a, "--input", b, "--variant", "x86-64-v9"), 1, "variant 'x86-64-v9' was asked for")
        self.fails(self.invoke("--input", a, "--input", b, out="a.npy"), 1, "cannot create")
        self.fails(run("msa-run", "invoke", WORK / "none.msa", "--entry", "add", "--output-dir", WORK / "out"), 1, "No such file")

    def test_usage_errors_have_code_2(self):
        self.fails(run("msa-run"), 2, "subcommand is required")
        self.fails(run("msa-run", "fly"), 2, "subcommand is required")
        self.fails(run("msa-run", "invoke", self.artifact, "--output-dir", WORK / "out"), 2, "--entry is required")
        self.fails(self.invoke("--input", "a"), 2, "expected NAME=VALUE, found 'a'")
        self.fails(self.invoke("--input", f"a={WORK}/a.npy", "--input", f"a={WORK}/a.npy"), 2, "'a' is given twice")
        self.fails(self.invoke("--threads", "many"), 2, "--threads")
        self.fails(run("msa-run", "bench", self.artifact, "--entry", "add", "--dim", "N=x"), 2, "expected a whole number")
        self.fails(run("msa-run", "bench", self.artifact, "--entry", "add", "--dim", "N=-1"), 2, "negative")
        self.assertEqual(run("msa-inspect")[0], 2)
        self.assertEqual(run("msa-inspect", self.artifact, "--xml")[0], 2)

    def test_help_has_code_0(self):
        for arguments in (["msa-run", "--help"], ["msa-run", "invoke", "--help"], ["msa-run", "bench", "--help"], ["msa-inspect", "--help"]):
            code, out, errors = run(*arguments)
            self.assertEqual((code, errors), (0, ""))
            self.assertIn("Usage", out)
        self.assertEqual(run("msa-run", "--version")[:2], (0, "msa-run 1.1\n"))

    def bench(self, *arguments):
        code, out, errors = run("msa-run", "bench", self.artifact, "--json", "--seconds", "0", "--min-runs", "5", *arguments)
        self.assertEqual(code, 0, errors)
        return json.loads(out)

    def test_bench_prints_its_four_figures(self):
        result = self.bench("--entry", "add", "--dim", "N=1000", "--threads", "1")
        self.assertEqual(sorted(result), ["median_ms", "min_ms", "runs", "threads"])
        self.assertEqual((result["runs"], result["threads"]), (5, 1))
        self.assertGreater(result["min_ms"], 0)
        self.assertGreaterEqual(result["median_ms"], result["min_ms"])

    def test_bench_takes_files_fills_and_caches(self):
        self.bench("--entry", "add", "--input", f"a={WORK}/a.npy")  # b has the same dim
        self.bench("--entry", "append", "--dim", "N=10", "--dim", "M=2")
        self.bench("--entry", "spin", "--fill", "tiles=4", "--fill", "rounds=1000")
        self.bench("--entry", "keep_positive", "--dim", "N=100", "--fill", "values=iota:-5:3", "--profile", WORK / "bench.json")
        self.assertTrue(json.loads((WORK / "bench.json").read_text())["traceEvents"])

    def test_bench_names_what_is_missing(self):
        bench = lambda *a: run("msa-run", "bench", self.artifact, "--entry", "append", *a)
        self.fails(bench("--dim", "N=1"), 1, "input 'rows' has a dynamic dim 'M'; give it a size with --dim M=N")
        self.fails(bench("--dim", "N=1", "--dim", "M=1", "--dim", "Q=1"), 1, "has no dynamic dim 'Q'")
        self.fails(bench("--dim", "N=1", "--dim", "M=1", "--fill", "q=1"), 1, "entry 'append' has no input 'q'")
        self.fails(bench("--dim", "N=1152921504606846976", "--dim", "M=1"), 1, "more than 2^40 bytes")

    def test_inspect_prints_everything(self):
        code, text, errors = run("msa-inspect", self.artifact)
        self.assertEqual((code, errors), (0, ""))
        for part in (
            "format version 1.0",
            "weights/ramp",
            "provenance 1",
            "dispatch test_add tiles r4 (read input 'a', read input 'b', write output 'c'; r0) at /add/Add",
            "output  'next' f32[N+M=r2, 4] may share input 'cache'",
            'assert r8, "more values kept than given", r7, r0',
        ):
            self.assertIn(part, text)
        data = json.loads(run("msa-inspect", self.artifact, "--json")[1])
        self.assertEqual(data["version"], [1, 0])
        self.assertEqual([s["kind"] for s in data["segments"]], ["kernels", "weights", "model config"])
        add = next(e for e in data["entries"] if e["name"] == "add")
        self.assertEqual(add["commands"][5]["symbol"], "test_add")
        self.assertEqual(add["commands"][5]["buffers"], [0, 1, 2])
        self.assertEqual(sum(len(e["commands"]) for e in data["entries"]), text.count("\n  ") - self.other_lines(data))

    def test_rows_of_one_byte_elements(self):
        artifact, rows = WORK / "small.msa", WORK / "rows.npy"
        subprocess.run([WRITER, "--small", artifact], check=True)
        code, text, errors = run("msa-inspect", artifact)
        self.assertEqual((code, errors), (0, ""))
        for part in ("format version 1.2", "input   'small' f8e4m3fn[N=r0, 4] spans", "output  'moved' f8e4m3fn[N=r0, 4]"):
            self.assertIn(part, text)
        elements = bytes([0x00, 0x7E, 0x80, 0xFE, 1, 2, 3, 4])
        header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4), }\n".encode()  # bits as integers, for NumPy has no such type
        rows.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + elements)
        code, _, errors = run("msa-run", "invoke", artifact, "--entry", "move", "--input", f"small={rows}", "--output-dir", WORK / "moved")
        self.assertEqual((code, errors), (0, ""))
        moved = (WORK / "moved" / "moved.npy").read_bytes()
        self.assertIn(b"'|V1'", moved)
        self.assertTrue(moved.endswith(elements))
        code, _, errors = run("msa-run", "bench", artifact, "--entry", "move", "--dim", "N=8", "--json", "--seconds", "0", "--min-runs", "5")
        self.assertEqual((code, errors), (0, ""))

    def test_inspect_prints_the_launches_of_a_gpu(self):
        artifact = WORK / "gpu.msa"
        subprocess.run([WRITER, "--gpu", artifact], check=True)
        code, text, errors = run("msa-inspect", artifact)
        self.assertEqual((code, errors), (0, ""))
        for part in (
            "format version 1.1",
            "0  cuda:sm_80           segment 3  for a device of compute capability 8.0 or newer",
            "launches of variant 'cuda:sm_80'",
            "test_add grid [ceil(s0 / 64), 1, 1] block 64",
            "       always",
        ):
            self.assertIn(part, text)
        variant = json.loads(run("msa-inspect", artifact, "--json")[1])["variants"][0]
        self.assertEqual(variant["gpu_kernels"][0]["kernel"], "test_add")
        self.assertEqual(variant["gpu_kernels"][0]["cases"][0]["launches"][0]["grid"], ["ceil(s0 / 64)", "1", "1"])
        self.assertEqual(variant["cubins"], [])

    def test_runs_on_a_gpu(self):
        artifact = WORK / "gpu_only.msa"
        subprocess.run([WRITER, "--gpu-only", artifact], check=True)
        arguments = ["msa-run", "invoke", artifact, "--entry", "add", "--output-dir", WORK / "gpu", f"--input=a={WORK}/a.npy",
                     f"--input=b={WORK}/b.npy"]
        self.fails(run(*arguments), 1, "the artifact has code for GPUs alone, 'cuda:sm_80'")
        self.fails(run(*arguments, "--device=tpu"), 2, "expected cpu, cuda or cuda:N, found 'tpu'")
        self.fails(run(*arguments, "--device=cuda:x"), 2, "expected cpu, cuda or cuda:N, found 'cuda:x'")
        for more in ([], ["--device-graphs"], ["--device-synchronous"], ["--bank-content=host"]):
            code, _, errors = self.with_stand_in(*arguments, "--device=cuda:0", *more)
            self.assertEqual((code, errors), (0, ""))
            self.assertEqual(load_npy(WORK / "gpu" / "c.npy", "f"), ((3,), [11, 22, 33]))
        code, _, errors = self.with_stand_in(*arguments, "--device=cuda:1")
        self.assertEqual(code, 1)
        self.assertIn("expected CUDA device 1, found 1 device", errors)
        code, out, errors = self.with_stand_in("msa-run", "bench", artifact, "--entry=append", "--dim=N=4", "--dim=M=2", "--seconds=0", "--device=cuda")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("variant 'cuda:sm_80' on PTX emulator, sm_90", out)

    def test_falls_to_the_cpu_where_that_is_allowed(self):
        artifact = WORK / "both.msa"
        subprocess.run([WRITER, "--gpu", artifact], check=True)
        arguments = ["msa-run", "invoke", artifact, "--entry", "add", "--output-dir", WORK / "cpu", f"--input=a={WORK}/a.npy",
                     f"--input=b={WORK}/b.npy", "--device=cuda", "--allow-cpu"]
        code, _, errors = self.with_stand_in(*arguments, MSA_PTXEMU_SM="75")
        self.assertEqual(code, 0)
        self.assertEqual(errors.count("\n"), 1)
        self.assertTrue(errors.startswith("msa-run: warning: running on the CPU, variant 'x86-64': device cuda:0"), errors)
        self.assertEqual(load_npy(WORK / "cpu" / "c.npy", "f"), ((3,), [11, 22, 33]))

    def with_stand_in(self, tool, *arguments, **environment):
        environment = {**os.environ, "LD_LIBRARY_PATH": STAND_IN, **environment}
        done = subprocess.run([os.path.join(BIN, tool), *map(str, arguments)], capture_output=True, text=True, timeout=60, env=environment)
        return done.returncode, done.stdout, done.stderr

    @staticmethod
    def other_lines(data):
        tables = sum(len(data[key]) for key in ("segments", "variants", "kernels", "constants", "provenance"))
        return tables + sum(len(e["inputs"]) + len(e["outputs"]) for e in data["entries"])

    def test_inspect_refuses_a_damaged_file(self):
        damaged = bytearray(self.artifact.read_bytes())
        damaged[-1] ^= 1
        (WORK / "damaged.msa").write_bytes(damaged)
        code, out, errors = run("msa-inspect", WORK / "damaged.msa")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("segment 2 (model config): expected digest", errors)


unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""Runs exec.kernels that kernel-runner compiled for a GPU, without templates, on the PTX emulator, with any report of it an error.

Grids, parameters and workspaces come from the kernels' launch tables (docs/design/0002-gpu-variant.md), read here independently of the
runtime. From run to run the emulator's asynchrony and schedule change, and now and then the grid: results may depend on none of them.
"""

import ctypes
import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

RUNNER = shutil.which("kernel-runner") or "kernel-runner"
READ, WRITE, UPDATE, SPANS = range(4)
MESSAGE = 1 << 16
instructions = 0  # warp instructions of all launches


def preload_sanitizer():
    """Starts this program again with the sanitizer's runtime in it, if the emulator was built with one and it is not: a library cannot bring it along."""
    runtime = os.environ.pop("MSA_SANITIZER_RUNTIME", "")
    if not runtime:
        return
    if os.environ.pop("LD_PRELOAD", "") != runtime:  # programs that this one starts have their own
        os.environ.update(LD_PRELOAD=runtime, MSA_SANITIZER_RUNTIME=runtime)
        os.execv(sys.executable, [sys.executable, *sys.argv])


if "cuda" in os.environ.get("MSA_KERNEL_VARIANTS", ""):
    preload_sanitizer()


def load_emulator():
    folder = os.path.dirname(os.path.dirname(os.path.realpath(RUNNER)))
    library = ctypes.CDLL(os.environ.get("MSA_EMULATOR", os.path.join(folder, "lib", "libgpu-emulator.so")))
    for name, result in (("module", ctypes.c_void_p), ("memory", ctypes.c_void_p), ("allocate", ctypes.c_uint64), ("launch", ctypes.c_int)):
        getattr(library, "emulator_" + name).restype = result
    return library


class GPUKernels:
    def __init__(self, text, variant):
        self.library = load_emulator()
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "kernels.mlir")
            with open(source, "w") as file:
                file.write(text)
            made = {}
            for kind in ("ptx", "tables"):
                path = os.path.join(folder, kind)
                done = subprocess.run([RUNNER, source, f"--variant={variant}", "--templates=false", f"--emit={kind}", "-o", path], capture_output=True, text=True)
                if done.returncode != 0:
                    raise RuntimeError(f"kernel-runner failed:\n{done.stderr[:4000]}")
                with open(path) as file:
                    made[kind] = file.read()
            self.messages = done.stderr
        self.ptx, self.tables = made["ptx"], json.loads(made["tables"])
        self.message = ctypes.create_string_buffer(MESSAGE)
        self.module = ctypes.c_void_p(self.library.emulator_module(self.ptx.encode(), self.message, ctypes.c_uint64(MESSAGE)))
        if not self.module:
            raise RuntimeError(f"the emulator refuses the kernels: {self.message.value.decode()}")
        self.turns = itertools.count()

    def __del__(self):
        if getattr(self, "module", None):
            self.library.emulator_free_module(self.module)

    @staticmethod
    def evaluate(term, scalars):
        product = term["factor"]
        for scalar in term["scalars"]:
            product *= scalars[scalar]
        return -(-product // term["divisor"]) * term["multiplier"]

    def run(self, name, buffers, scalars, tiles):
        """Writes go to the arrays in place."""
        global instructions
        table, turn = self.tables[name], next(self.turns)
        memory = ctypes.c_void_p(self.library.emulator_memory())
        try:
            def allocate(array, label, read_only=False):
                array = np.ascontiguousarray(array)
                return self.library.emulator_allocate(memory, ctypes.c_uint64(array.nbytes), label.encode(), int(read_only), ctypes.c_void_p(array.ctypes.data))

            addresses = []
            for number, (array, kind) in enumerate(zip(buffers, table["parameters"], strict=True)):
                if kind == SPANS:
                    rows = array.rows
                    span = np.array([allocate(rows, f"rows {number}", True) if len(rows) else 0, 0, len(rows)], np.int64)
                    spans = allocate(span, f"spans {number}", True) if len(rows) else 0
                    array = np.array([spans, min(1, len(rows)), len(rows)], np.int64)
                addresses.append(allocate(array, f"buffer {number}", kind in (READ, SPANS)))
            case = next(c for c in table["cases"] if c["scalar"] is None or scalars[c["scalar"]] < c["below"])
            size = max([self.evaluate(launch["workspace"], scalars) for launch in case["launches"] if launch["workspace"]], default=0)
            workspace = self.library.emulator_allocate(memory, ctypes.c_uint64(max(size, 1)), b"workspace", 0, None)
            for launch in case["launches"]:
                grid = [self.evaluate(term, scalars) for term in launch["grid"]]
                if 0 in grid:
                    continue
                if turn % 3 == 2:  # fewer blocks than the work asks for
                    grid = [max(1, n // 2) for n in grid]
                parameters = struct.pack(f"<{len(addresses)}Q{len(scalars)}qqQ", *addresses, *scalars, tiles, workspace)
                count = ctypes.c_uint64()
                failed = self.library.emulator_launch(
                    self.module, memory, launch["symbol"].encode(), (ctypes.c_uint32 * 3)(*grid), launch["block"], launch["dynamic_shared"],
                    parameters, ctypes.c_uint64(len(parameters)), turn % 3, ctypes.c_uint64(turn + 1), ctypes.byref(count), self.message,
                    ctypes.c_uint64(MESSAGE))
                instructions += count.value
                if failed:
                    raise AssertionError(f"'{launch['symbol']}' with scalars {list(scalars)}: {self.message.value.decode(errors='replace')}")
            for array, kind, address in zip(buffers, table["parameters"], addresses):
                if kind in (WRITE, UPDATE):
                    out = np.empty_like(np.ascontiguousarray(array))
                    self.library.emulator_read(memory, ctypes.c_void_p(out.ctypes.data), ctypes.c_uint64(address), ctypes.c_uint64(out.nbytes))
                    array[...] = out
        finally:
            self.library.emulator_free_memory(memory)

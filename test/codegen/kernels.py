# SPDX-License-Identifier: Apache-2.0
"""Compiles exec.kernels with kernel-runner and calls them through the ABI of runtime/kernel_abi.h.

    lib = Kernels(text, "x86-64-v3")
    lib.run("name", [x, y, out], [n], tiles=4)

Buffers are numpy arrays, passed by address. Tiles run in descending order, one call each or all in one, by `split`.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile

import numpy as np
from gpu_kernels import GPUKernels

RUNNER = shutil.which("kernel-runner") or os.environ.get("KERNEL_RUNNER", "kernel-runner")
GUARD = 64  # bytes kept around every buffer, which no kernel may write


def variants():
    """The variants that this machine runs, or those that MSA_KERNEL_VARIANTS names: GPUs run on an emulator."""
    if "MSA_KERNEL_VARIANTS" in os.environ:
        return os.environ["MSA_KERNEL_VARIANTS"].split(",")
    with open("/proc/cpuinfo") as info:
        flags = set(next(line for line in info if line.startswith("flags")).split())
    found = []
    if {"avx2", "fma", "f16c", "bmi2"} <= flags:
        found.append("x86-64-v3")
    if {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"} <= flags:
        found.append("x86-64-v4")
    return found


def emulated():
    """Whether kernels run on an emulator: tests then take fewer and smaller shapes."""
    return any(variant.startswith("cuda:") for variant in variants())


class Kernels:
    def __init__(self, text, variant):
        self.variant, self.gpu = variant, None
        if variant.startswith("cuda:"):
            self.gpu = GPUKernels(text, variant)
            self.messages = self.gpu.messages
            return
        with tempfile.TemporaryDirectory() as folder:
            source, path = os.path.join(folder, "kernels.mlir"), os.path.join(folder, "kernels.so")
            with open(source, "w") as file:
                file.write(text)
            done = subprocess.run([RUNNER, source, f"--variant={variant}", "-o", path], capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"kernel-runner failed:\n{done.stderr[:4000]}")
            self.messages = done.stderr
            self.library = ctypes.CDLL(path)

    def run(self, name, buffers, scalars=(), tiles=1, split=True, scratch_bytes=0):
        """Runs all tiles; writes go to the arrays in place."""
        if self.gpu:
            return self.gpu.run(name, buffers, scalars, tiles)
        function = getattr(self.library, name)
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        guarded = []
        for array in buffers:
            memory = np.full(array.nbytes + 2 * GUARD + 64, 0xA5, np.uint8)
            start = -memory.ctypes.data % 64 + GUARD
            memory[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            guarded.append((memory, start))
        pointers = (ctypes.c_void_p * max(1, len(guarded)))(*[m.ctypes.data + s for m, s in guarded])
        values = (ctypes.c_int64 * max(1, len(scalars)))(*scalars)
        scratch = np.empty(scratch_bytes + 128, np.uint8)
        aligned = scratch.ctypes.data + -scratch.ctypes.data % 64
        ranges = [(t, t + 1) for t in reversed(range(tiles))] if split else [(0, tiles)]
        for lo, hi in ranges:
            function(pointers, values, aligned, lo, hi)
        for array, (memory, start) in zip(buffers, guarded):
            end = start + array.nbytes
            assert (memory[:start] == 0xA5).all() and (memory[end:] == 0xA5).all(), f"'{name}' wrote outside a buffer"
            array[...] = np.frombuffer(memory[start:end].tobytes(), array.dtype).reshape(array.shape)

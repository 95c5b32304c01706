# SPDX-License-Identifier: Apache-2.0
"""Kernels whose every buffer, and the scratch, ends where unreadable memory begins: reading past an end is a crash."""

import ctypes
import mmap
import shutil
import subprocess

import numpy as np
from kernels import Kernels

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Fenced:
    """Memory of a given size that ends at a fence, aligned to the largest power of two up to 64 that divides the size."""

    def __init__(self, size, fill):
        page = mmap.PAGESIZE
        self.length = (size + page - 1) // page * page + page
        self.base = LIBC.mmap(None, self.length, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert self.base not in (None, ctypes.c_void_p(-1).value), "mmap failed"
        assert LIBC.mprotect(self.base + self.length - page, page, 0) == 0, "mprotect failed"
        self.address = self.base + self.length - page - size
        ctypes.memset(self.base, fill, self.length - page)
        self.size = size

    def view(self):
        return np.frombuffer((ctypes.c_uint8 * self.size).from_address(self.address), np.uint8)

    def before(self):
        return np.frombuffer((ctypes.c_uint8 * (self.address - self.base)).from_address(self.base), np.uint8)

    def close(self):
        LIBC.munmap(self.base, self.length)


class FencedKernels(Kernels):
    def run(self, name, buffers, scalars=(), tiles=(), scratch_bytes=0):
        """Runs the ranges of `tiles`, one call each; writes go to the arrays in place. A GPU runs all tiles at once."""
        if self.gpu:
            return self.gpu.run(name, buffers, scalars, max((hi for _, hi in tiles), default=0))
        function = getattr(self.library, name)
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        memories = []
        for array in buffers:
            memory = Fenced(array.nbytes, 0xA5)
            memory.view()[...] = np.frombuffer(array.tobytes(), np.uint8)
            memories.append(memory)
        scratch = Fenced(scratch_bytes, 0xFF)  # a NaN everywhere
        pointers = (ctypes.c_void_p * len(memories))(*[m.address for m in memories])
        values = (ctypes.c_int64 * max(1, len(scalars)))(*scalars)
        for lo, hi in tiles:
            function(pointers, values, scratch.address, lo, hi)
        assert (scratch.before() == 0xFF).all(), f"'{name}' wrote before its scratch"
        for array, memory in zip(buffers, memories):
            assert (memory.before() == 0xA5).all(), f"'{name}' wrote before a buffer"
            array[...] = np.frombuffer(memory.view().tobytes(), array.dtype).reshape(array.shape)
            memory.close()
        scratch.close()


def tile_sizes(what, *numbers):
    """What codegen/cpu/TileSizes.h decides."""
    tool = shutil.which("tile-sizes")
    done = subprocess.run([tool, what, *map(str, numbers)], capture_output=True, text=True, check=True)
    numbers = [int(word) for word in done.stdout.split()]
    return numbers[0] if len(numbers) == 1 else numbers

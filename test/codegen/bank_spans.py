# SPDX-License-Identifier: Apache-2.0
"""Bank fields for kernels: rows in several spans, each ending where unreadable memory begins."""

import numpy as np
from fenced_kernels import Fenced


class SpanList(np.ndarray):
    """A span list, and the rows that it lists: a GPU has them in one piece."""

    rows = None


class Spans:
    """`rows` `[C, ..]` cut before each of `cuts`. `list` is the `msa_span_list` of runtime/kernel_abi.h, to pass as a buffer."""

    def __init__(self, rows, cuts=()):
        self.memories, fields, first = [], [], 0
        for part in np.split(rows, sorted(cuts)):
            if len(part) == 0:
                continue
            memory = Fenced(part.nbytes, 0xFF)
            memory.view()[...] = np.frombuffer(part.tobytes(), np.uint8)
            self.memories.append(memory)
            fields += [memory.address, first, len(part)]
            first += len(part)
        self.table = Fenced(8 * len(fields), 0)
        self.table.view()[...] = np.frombuffer(np.array(fields, np.int64).tobytes(), np.uint8)
        self.list = np.array([self.table.address, len(self.memories), first], np.int64).view(SpanList)
        self.list.rows = rows

    def close(self):
        for memory in [*self.memories, self.table]:
            memory.close()

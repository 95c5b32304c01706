# SPDX-License-Identifier: Apache-2.0
"""The weights of all ONNX files of a folder in one file beside them, equal bytes stored once."""
import hashlib
import os

import onnx_ir as ir

ALIGNMENT = 4096  # a page, so that a reader can map any tensor by itself
INLINE_BELOW = 1024  # bytes; smaller tensors stay in the ONNX file


class WeightFile:
    """Writes `name` in `folder`. Use as a context manager: the file appears under its name when the block ends well."""

    def __init__(self, folder, name="weights.bin"):
        self.folder, self.name = folder, name
        self.offsets = {}

    def __enter__(self):
        self.partial = os.path.join(self.folder, f".{self.name}.partial")
        self.file = open(self.partial, "wb")
        return self

    def __exit__(self, kind, value, traceback):
        self.file.close()
        if kind is None:
            os.replace(self.partial, os.path.join(self.folder, self.name))
        else:
            os.unlink(self.partial)

    def place(self, tensor, name):
        """Stores a tensor of INLINE_BELOW bytes or more and returns the reference to it; a smaller one as it is."""
        if tensor.nbytes < INLINE_BELOW:
            return tensor
        data = tensor.tobytes()
        digest = hashlib.sha256(data).digest()
        if digest not in self.offsets:
            self.file.write(b"\0" * (-self.file.tell() % ALIGNMENT))
            self.offsets[digest] = self.file.tell()
            self.file.write(data)
        return ir.ExternalTensor(self.name, self.offsets[digest], len(data), tensor.dtype, shape=tensor.shape,
                                 name=name, base_dir=self.folder)

# SPDX-License-Identifier: Apache-2.0
"""python3 -m unittest table_test (in this folder): the gate's table, from lines as gpu-gate prints them."""
import contextlib
import io
import json
import os
import tempfile
import unittest

import table


class Table(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.put("device.json", [{"name": "NVIDIA H200", "capability": "9.0", "multiprocessors": 132}])

    def put(self, name, lines):
        with open(os.path.join(self.folder.name, name), "w", encoding="utf-8") as f:
            f.write("".join(json.dumps(line) + "\n" for line in lines))

    def said(self, work, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = work(*arguments)
        return code, out.getvalue()

    def test_a_failure_is_told_with_its_seed(self):
        self.put("check.jsonl", [{"instance": "gemm.a", "seed": 7, "ok": True, "error": 0.5}, {"instance": "gemm.b", "seed": 8, "ok": False, "text": "element 3"}])
        code, text = self.said(table.check, self.folder.name)
        self.assertEqual(code, 1)
        self.assertIn("FAILED gemm.b (seed 8): element 3", text)
        self.assertIn("gemm: 1 instances agree", text)

    def test_nothing_is_no_success(self):
        self.put("check.jsonl", [{"instance": "gemm.a", "skipped": "needs compute capability 9.0"}])
        code, text = self.said(table.check, self.folder.name)
        self.assertEqual(code, 1)
        self.assertIn("nothing ran", text)

    def test_times_stand_beside_their_floor(self):
        self.put("time.jsonl", [{"instance": "route.bf16.x", "shape": {"tokens": 1}, "seconds": 1e-3, "flops": 1e9, "bytes": 2.15e9}])
        self.put("peers.jsonl", [{"peer": "cuBLAS", "shape": "4096", "seconds": 2e-4}])
        page = os.path.join(self.folder.name, "gpu.md")
        code, text = self.said(table.timed, self.folder.name, page)
        self.assertEqual(code, 0)
        self.assertIn("| 1,000.0 | 500.0 | 50 % |", text)
        with open(page, encoding="utf-8") as f:
            self.assertIn("| cuBLAS | 4096 | 200.0 |", f.read())


if __name__ == "__main__":
    unittest.main()

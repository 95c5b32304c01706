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

    def ours(self, template, shape, seconds, **parameters):
        return {"instance": f"{template}.x", "template": template, "parameters": {"element": "bf16", **parameters}, "shape": shape, "seconds": seconds, "flops": 1e9,
                "bytes": 2.15e9}

    def timed(self, *arguments):
        page = os.path.join(self.folder.name, "gpu.md")
        code, text = self.said(table.timed, self.folder.name, page, *arguments)
        with open(page, encoding="utf-8") as f:
            self.assertEqual(f.read(), text)
        return code, text

    def test_times_stand_beside_their_floor_and_pytorch(self):
        self.put("time.jsonl", [self.ours("route", {"tokens": 1, "chunks": 156250}, 1e-3, row=1024), self.ours("gemm", {"m": 4096}, 1e-4, n=4096, k=4096)])
        self.put("peers.jsonl", [{"peer": "matmul and topk", "key": "route 156250 1", "shape": "10M", "seconds": 2e-3},
                                 {"peer": "cuBLAS", "key": "gemm 4096", "shape": "4096", "skipped": "PyTorch 2 finds no CUDA device"}])
        code, text = self.timed()
        self.assertEqual(code, 0)
        self.assertRegex(text, r"\| route.x \| .* \| 1,000.0 \| 500.0 \| 50 % \| .* \| 2,000.0 \| 2.00 \|")
        self.assertRegex(text, r"\| gemm.x \| m=4096 \| 100.0 \| 500.0 \| 500 % \| .* \| - \| - \|")
        self.assertIn("| PyTorch: cuBLAS | 4096 | not timed: PyTorch 2 finds no CUDA device |", text)
        self.assertIn("not timed: the kit has no layer", text)

    def test_a_layer_stands_beside_dense_attention(self):
        self.put("time.jsonl", [self.ours("attend", {"queries": 1024, "keys": 1 << 20, "documents": 0}, 2e-2, heads=32, kv_heads=8, head_dim=128)])
        self.put("peers.jsonl", [{"peer": "SDPA", "key": "attend 1024 1048576", "shape": "1M", "seconds": 3.2e-2}])
        for number, factor in enumerate((1, 3, 1)):
            events = [("dispatch", "route_scan_1x1024", 100), ("dispatch", "route_merge", 20), ("dispatch", "gather", 5), ("dispatch", "gather", 5), ("copy", "copy", 10),
                      ("dispatch", "attention_32x8x128", 180), ("alloc", "alloc", 99), ("run", "run", 999)]
            with open(os.path.join(self.folder.name, f"layer-{number}.json"), "w", encoding="utf-8") as f:
                json.dump({"traceEvents": [{"cat": c, "name": n, "dur": factor * d} for c, n, d in events]}, f)
        code, text = self.timed()
        self.assertEqual(code, 0)
        self.assertRegex(text, r"\| MSA layer.* \| 320.0 \| - \| - \| attention 180.0, route 120.0, .* \| 32,000.0 \| 100.0 \|")
        self.assertRegex(text, r"keys=1048576 documents=0 \| 20,000.0 .* \| 32,000.0 \| 1.60 \|")

    def test_smoke_says_that_times_mean_nothing(self):
        self.put("device.json", [{"name": "an emulator", "capability": "9.0", "multiprocessors": 132}])
        self.put("time.jsonl", [self.ours("gemm", {"m": 3}, 1, n=64, k=64)])
        self.put("artifacts.jsonl", [{"artifact": "a.msa", "ok": True}])
        code, text = self.timed(1, True)
        self.assertEqual(code, 0)
        self.assertIn("no time here means anything", text)
        self.assertIn("1 of 1 artifacts", text)

    def test_an_instance_that_cannot_be_timed_fails_the_run(self):
        self.put("time.jsonl", [{**self.ours("gemm", {"m": 3}, 1, n=64, k=64), "text": "out of memory"}])
        code, text = self.timed()
        self.assertEqual(code, 1)
        self.assertIn("failed: out of memory", text)


if __name__ == "__main__":
    unittest.main()

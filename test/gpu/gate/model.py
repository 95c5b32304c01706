# SPDX-License-Identifier: Apache-2.0
"""What the gate's artifacts are made of, as ONNX. Usage: model.py FOLDER

block.onnx with data/: a small network with test data. layer.onnx: what a layer of a Qwen3-4B reads memory with, Route and Read of ai.msa in bf16: a question of
M tokens, 32 heads on 8 of 128 elements, C chunks of memory, 16 documents. Only where PyTorch is, which the domain's Python needs.
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, INNER = 96, 160


def layer(path):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "models"))
    try:
        from msa_models.domain import DOMAIN, attach
    except ImportError as e:
        print(f"no layer is made: {e}")
        return
    bf16, heads, kv = TensorProto.BFLOAT16, 32, 8
    rows = {"query": ("M", heads), "q": ("M", heads), "k": ("M", kv), "v": ("M", kv), "keys": ("C", kv), "mem_k": ("C", kv), "mem_v": ("C", kv),
            "prefix_k": ("P", kv), "prefix_v": ("P", kv)}
    inputs = [helper.make_tensor_value_info(name, bf16, [dim, count, 128]) for name, (dim, count) in rows.items()]
    inputs += [helper.make_tensor_value_info("chunk_doc", TensorProto.INT64, ["C"]), helper.make_tensor_value_info("mask", TensorProto.BOOL, ["M"])]
    nodes = [
        helper.make_node("Route", ["query", "keys", "chunk_doc", "mask"], ["docs", "scores", "chunks"], domain=DOMAIN, k=16, normalize=0, scale=128**-0.5),
        helper.make_node("Read", ["q", "k", "v", "mem_k", "mem_v", "chunks", "prefix_k", "prefix_v"], ["y", "ctx_k", "ctx_v"], domain=DOMAIN, scale=128**-0.5),
    ]
    outputs = [helper.make_tensor_value_info("y", bf16, ["M", heads, 128]), helper.make_tensor_value_info("docs", TensorProto.INT64, ["S"])]
    graph = helper.make_graph(nodes, "layer", inputs, outputs)
    onnx.save(attach(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)), path)


def main():
    root = pathlib.Path(sys.argv[1])
    random = np.random.default_rng(3)
    weights = {
        "up": random.standard_normal((WIDTH, INNER)).astype(np.float32) / 8,
        "bias": random.standard_normal(INNER).astype(np.float32),
        "down": random.standard_normal((INNER, WIDTH)).astype(np.float32) / 8,
        "scale": random.standard_normal(WIDTH).astype(np.float32),
        "shift": random.standard_normal(WIDTH).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "up"], ["a"]),
        node("Add", ["a", "bias"], ["b"]),
        node("Softmax", ["b"], ["c"], axis=-1),
        node("MatMul", ["c", "down"], ["d"]),
        node("Add", ["d", "x"], ["e"]),
        node("LayerNormalization", ["e", "scale", "shift"], ["y"], axis=-1, epsilon=1e-5),
    ]
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", WIDTH]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "block", rows[:1], rows[1:], [numpy_helper.from_array(w, name) for name, w in weights.items()])
    root.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), root / "block.onnx")
    layer(root / "layer.onnx")

    w = {name: value.astype(np.float64) for name, value in weights.items()}
    for number, count in enumerate((1, 37)):
        x = random.standard_normal((count, WIDTH)).astype(np.float32)
        b = x @ w["up"] + w["bias"]
        c = np.exp(b - b.max(-1, keepdims=True))
        e = c / c.sum(-1, keepdims=True) @ w["down"] + x
        y = (e - e.mean(-1, keepdims=True)) / np.sqrt(e.var(-1, keepdims=True) + 1e-5) * w["scale"] + w["shift"]
        folder = root / "data" / f"test_data_set_{number}"
        folder.mkdir(parents=True)
        for name, value in (("input_0", x), ("output_0", y.astype(np.float32))):
            (folder / f"{name}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())


if __name__ == "__main__":
    main()

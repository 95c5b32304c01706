# SPDX-License-Identifier: Apache-2.0
"""A small network with test data in ONNX's layout, for an artifact that is verified on the device. Usage: model.py FOLDER"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, INNER = 96, 160


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

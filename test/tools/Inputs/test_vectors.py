# SPDX-License-Identifier: Apache-2.0
"""Two models and test data for them in ONNX's layout. Usage: test_vectors.py FOLDER"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

root = pathlib.Path(sys.argv[1])


def save(path, value, name=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(numpy_helper.from_array(value, name).SerializeToString())


def model(path, nodes, inputs, outputs):
    graph = h.make_graph(nodes, "g", [h.make_tensor_value_info(*i) for i in inputs], [h.make_tensor_value_info(*o) for o in outputs])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=10), path)


root.mkdir(parents=True, exist_ok=True)
model(root / "sub.onnx", [h.make_node("Sub", ["a", "b"], ["y"])], [("a", T.FLOAT, ["N"]), ("b", T.FLOAT, ["N"])], [("y", T.FLOAT, ["N"])])
model(root / "pick.onnx", [h.make_node("Less", ["a", "b"], ["less"]), h.make_node("Where", ["less", "a", "b"], ["least"])],
      [("a", T.INT64, ["N"]), ("b", T.INT64, ["N"])], [("least", T.INT64, ["N"]), ("less", T.BOOL, ["N"])])

random = np.random.default_rng(7)
a, b = random.standard_normal((2, 100)).astype(np.float32)
# By number; then by name, in another order.
save(root / "good/test_data_set_0/input_0.pb", a)
save(root / "good/test_data_set_0/input_1.pb", b)
save(root / "good/test_data_set_0/output_0.pb", a - b)
save(root / "good/test_data_set_1/input_0.pb", a[:7], "b")
save(root / "good/test_data_set_1/input_1.pb", b[:7], "a")
save(root / "good/test_data_set_1/output_0.pb", b[:7] - a[:7], "y")

wrong = a - b
wrong[3] += 1
save(root / "wrong/test_data_set_0/input_0.pb", a)
save(root / "wrong/test_data_set_0/input_1.pb", b)
save(root / "wrong/test_data_set_0/output_0.pb", wrong)

save(root / "missing/test_data_set_0/input_0.pb", a)
save(root / "stranger/test_data_set_0/input_0.pb", a, "c")
save(root / "type/test_data_set_0/input_0.pb", a.astype(np.float64))
save(root / "junk/test_data_set_0/input_0.pb", a)
(root / "junk/test_data_set_0/input_0.pb").write_bytes(b"\x0a\xff\xff junk")

p, q = random.integers(-5, 5, (2, 20))
for entry, data in (("sub", [a, b, a - b]), ("pick", [p, q, np.minimum(p, q), p < q])):
    for i, value in enumerate(data):
        save(root / "both" / entry / "test_data_set_0" / (f"input_{i}.pb" if i < 2 else f"output_{i - 2}.pb"), value)

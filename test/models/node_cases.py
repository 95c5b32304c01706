#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes single-operator test cases in the layout of the ONNX project: NAME/model.onnx, NAME/data.json with the
tolerances, NAME/test_data_set_0/input_I.pb and output_I.pb.

    python3 test/models/node_cases.py standard OUT     those of the installed onnx package over float, int64 and bool
    python3 test/models/node_cases.py msa OUT          those of the domain ai.msa: every operator and string choice

An expected value of `ai.msa` is the reference's in float64. A case may have no bytes in a tensor (an empty bank).
"""
import argparse
import itertools
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "models"))

TYPES = {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}


def write(folder, name, model, inputs, outputs, rtol, atol):
    """inputs and outputs: arrays in the order of the graph's, None where an optional one is left out."""
    data = folder / name / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    (folder / name / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (folder / name / "data.json").write_text(json.dumps({"rtol": rtol, "atol": atol}) + "\n")
    for kind, values, ports in [("input", inputs, model.graph.input), ("output", outputs, model.graph.output)]:
        for i, (value, port) in enumerate(zip(values, ports)):
            if value is not None:
                tensor = numpy_helper.from_array(np.asarray(value), port.name)
                (data / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString(deterministic=True))


def _plain(graph):
    """Whether all of a graph's inputs and outputs are tensors of the TYPES."""
    return all(v.type.HasField("tensor_type") and v.type.tensor_type.elem_type in TYPES
               for v in [*graph.input, *graph.output])


def standard(folder):
    """Writes the cases of the onnx package; returns their number."""
    from onnx.backend.test import loader
    count = 0
    for case in loader.load_node_model_tests():
        domains = {o.domain for o in case.model.opset_import}
        if domains - {"", "ai.onnx"} or not _plain(case.model.graph):
            continue
        for inputs, outputs in case.data_sets[:1]:
            if all(v is None or isinstance(v, (np.ndarray, np.generic)) for v in [*inputs, *outputs]):
                write(folder, case.name, case.model, inputs, outputs, case.rtol, case.atol)
                count += 1
    return count


def _inputs(rng, name, size):
    """Random inputs of an operator; `size` is "some", or "none" where what may be absent is."""
    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    lengths = [9, 1, 4, 6] if size == "some" else [3]
    doc = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    pos, t = np.concatenate([np.arange(n) for n in lengths]), sum(lengths)
    c, n, m = (24, 7, 5) if size == "some" else (0, 0, 1)
    bank_doc = np.cumsum(rng.integers(0, 2, c))
    return {
        "Compress": lambda: [normal(t, 2, 8), doc, pos],
        "CompressLatent": lambda: [normal(3, 2, 8), normal(t, 2, 8), normal(t, 2, 8), doc, pos],
        "Route": lambda: [normal(m, 4, 8), normal(c, 2, 8), bank_doc, np.arange(m) != 1],
        "Read": lambda: [normal(m, 4, 8), normal(m, 2, 8), normal(m, 2, 8), normal(c, 2, 8), normal(c, 2, 8),
                         np.flatnonzero(np.arange(c) % 3 == 1), normal(n, 2, 8), normal(n, 2, 8)],
        "Attention": lambda: [normal(m, 4, 8), normal(m, 2, 8), normal(m, 2, 8), normal(n, 2, 8), normal(n, 2, 8)],
        "DocumentAttention": lambda: [normal(t, 4, 8), normal(t, 2, 8), normal(t, 2, 8), doc],
        "Write": lambda: [normal(c, 2, 8), bank_doc, normal(3, 2, 8), np.full(3, 99)],
        "Erase": lambda: [normal(c, 2, 8), bank_doc, np.array([1, 3, 77])],
        "Update": lambda: [normal(5, 8), normal(3, 8), normal(5, 3), normal(5)],
        "Replace": lambda: [normal(5, 8), np.array([0.5, 0.25, 0.25, 0.125, 0.5], np.float32), normal(3, 8)],
    }[name]()


_VALUES = {"chunk_length": [4], "k": [4], "normalize": [0, 1], "causal": [0, 1], "scale": [0.35], "epsilon": [1e-12]}


def msa(folder, opset=23):
    """Writes the cases of the domain ai.msa; returns their number."""
    import torch
    from msa_models.domain import DOMAIN, OPERATORS, attach, reference
    rng, count = np.random.default_rng(23), 0
    kinds = {"f32": onnx.TensorProto.FLOAT, "i64": onnx.TensorProto.INT64, "bool": onnx.TensorProto.BOOL}
    for name, op in OPERATORS.items():
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
        choices = [op.choices.get(a) or _VALUES[a] for a in op.attributes]
        for values in itertools.product(*choices):
            attributes = dict(zip(op.attributes, values))
            for size in ["some", "none"]:
                inputs = [x.astype(np.int64) if x.dtype.kind == "i" else x for x in _inputs(rng, name, size)]
                wide = [torch.from_numpy(x.astype(np.float64) if x.dtype == np.float32 else x) for x in inputs]
                outputs = getattr(reference, snake)(*wide, **attributes)
                outputs = [o.numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,))]
                outputs = [o.astype(np.float32) if o.dtype == np.float64 else o for o in outputs]

                def ports(types, arrays):
                    # Leading dims are dynamic, heads and features are not.
                    return [helper.make_tensor_value_info(n, kinds.get(t, onnx.TensorProto.FLOAT),
                                                          [f"{n}_0", *x.shape[1:]])
                            for (n, t), x in zip(types.items(), arrays)]

                node = helper.make_node(name, list(op.inputs), list(op.outputs), domain=DOMAIN, name=snake, **attributes)
                graph = helper.make_graph([node], snake, ports(op.inputs, inputs), ports(op.outputs, outputs))
                model = attach(helper.make_model(graph, ir_version=10, producer_name="msa_models",
                                                 opset_imports=[helper.make_opsetid("", opset)]))
                words = [v for v in values if isinstance(v, str)]
                words += [f"{a}{attributes[a]}" for a in ("normalize", "causal") if a in attributes]
                case = "_".join(["msa", snake, *words] + (["empty"] if size == "none" else []))
                write(folder, case, model, inputs, outputs, 1e-5, 4e-6)
                count += 1
    return count


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["standard", "msa"])
    p.add_argument("out", type=pathlib.Path, help="folder to write")
    a = p.parse_args()
    print(f"wrote {globals()[a.what](a.out)} cases to {a.out}")


if __name__ == "__main__":
    main()

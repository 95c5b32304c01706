# SPDX-License-Identifier: Apache-2.0
"""What an exported folder looks like: names, dims, weights, bytes."""
import json

import numpy as np
import onnx
import pytest
from conftest import FIXTURES, NEEDLE, ROOT

ENTRIES = ["encode", "prefill", "decode"]


def load(folder, entry):
    return onnx.load(folder / f"{entry}.onnx", load_external_data=False)


def ports(values):
    types = {onnx.TensorProto.FLOAT: "f32", onnx.TensorProto.INT64: "i64", onnx.TensorProto.BOOL: "bool"}
    return {v.name: (types[v.type.tensor_type.elem_type],
                     *[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in values}


def test_ports_of_a_separate_router(exported):
    encode, prefill, decode = (load(exported("needle"), e).graph for e in ENTRIES)
    rows = {f"{n}.{i}": ("f32", "C", 4, 32) for i in (2, 3) for n in ("mem_k", "mem_v", "mem_rk")}
    assert ports(encode.input) == {n: ("i64", "T") for n in ["ids", "doc", "pos"]}
    assert ports(encode.output) == rows | {"chunk_doc": ("i64", "C")}
    assert ports(prefill.input) == {
        "ids": ("i64", "M"), "pos": ("i64", "M"), "query_mask": ("bool", "M"), **rows, "chunk_doc": ("i64", "C"),
        **{f"prefix_{kv}.{i}": ("f32", "P", 4, 32) for i in range(4) for kv in "kv"}}
    lengths = ["P + M", "P + M", "P + Z_2 + M", "P + Z_3 + M"]
    assert ports(prefill.output) == {
        "logits": ("f32", 1, 1348), **{f"docs.{i}": ("i64", "S") for i in (2, 3)},
        **{f"scores.{i}": ("f32", "S") for i in (2, 3)},
        **{f"ctx_{kv}.{i}": ("f32", n, 4, 32) for i, n in enumerate(lengths) for kv in "kv"}}
    past = ["N", "N", "N_2", "N_3"]
    assert ports(decode.input) == {"ids": ("i64", "M"), "pos": ("i64", "M"), **{
        f"ctx_{kv}.{i}": ("f32", n, 4, 32) for i, n in enumerate(past) for kv in "kv"}}
    assert ports(decode.output) == {"logits": ("f32", 1, 1348), **{
        f"next_{kv}.{i}": ("f32", f"{n} + M", 4, 32) for i, n in enumerate(past) for kv in "kv"}}


def test_a_coupled_router_has_no_keys_of_its_own(exported):
    folder = exported("coupled-p16")
    for entry, end in [("encode", "output"), ("prefill", "input")]:
        assert not [n for n in ports(getattr(load(folder, entry).graph, end)) if n.startswith("mem_rk")]
    routes = [n for n in load(folder, "prefill").graph.node if n.op_type == "Route"]
    assert {n.input[1] for n in routes} == {f"mem_k.{i}" for i in (1, 2, 3)}


@pytest.mark.parametrize("entry", ENTRIES)
def test_graph_is_small_and_clean(exported, entry):
    model = load(exported("needle"), entry)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 23), ("ai.msa", 1)]
    assert model.producer_name == "msa_models"
    ops = {n.op_type for n in model.graph.node}
    assert ops <= {"Gather", "Cast", "Unsqueeze", "Mul", "Cos", "Sin", "RMSNormalization", "Gemm", "Reshape",
                   "RotaryEmbedding", "Add", "Sigmoid", "Slice", "Compress", "DocumentAttention", "Attention", "Route",
                   "Read"}
    assert len({n.name for n in model.graph.node}) == len(model.graph.node)
    for n in model.graph.node:
        assert n.name and not n.metadata_props and not n.doc_string
        if n.op_type == "Gemm":  # the checkpoint's own layout, so that entries share it
            assert [a.i for a in n.attribute if a.name == "transB"] == [1]
            assert n.input[1].endswith(".weight")
    text = model.SerializeToString()
    for leak in [str(ROOT).encode(), b"site-packages", b"stack_trace"]:
        assert leak not in text
    unknown = [d.dim_param for v in model.graph.value_info for d in v.type.tensor_type.shape.dim
               if d.dim_param.startswith("u") and d.dim_param[1:].isdigit()]
    assert not unknown


def test_entries_share_one_copy_of_the_weights(exported):
    folder = exported("needle")
    places = {}
    for entry in ENTRIES:
        for t in load(folder, entry).graph.initializer:
            size = int(np.prod(t.dims)) * 4
            if t.external_data:
                at = {e.key: e.value for e in t.external_data}
                assert at["location"] == "weights.bin" and int(at["offset"]) % 4096 == 0
                assert int(at["length"]) == size
                assert places.setdefault(t.name, at["offset"]) == at["offset"]
            else:
                assert size < 1024 or t.data_type == onnx.TensorProto.INT64
    assert places["lm_head.weight"] == places["model.embed_tokens.weight"]  # tied
    total = sum(int(np.prod(t.dims)) * 4 for t in load(folder, "prefill").graph.initializer if t.external_data)
    assert (folder / "weights.bin").stat().st_size < 1.1 * total


def test_export_is_the_same_every_time(exported, tmp_path):
    from msa_models.export import export_checkpoint
    export_checkpoint(NEEDLE, tmp_path)
    for path in exported("needle").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("opset", [20])
def test_other_opsets_give_the_same_results(exported, tmp_path, opset):
    from msa_models.export import export_checkpoint
    from msa_models.oracle import Model
    name = "decoupled-p4-headmax-last-chunkmean"
    export_checkpoint(FIXTURES / name, tmp_path, trace=True, opset=opset)
    inputs = json.loads((FIXTURES / name / "inputs.json").read_text())
    results = []
    for folder in [exported(name), tmp_path]:
        model = Model(folder)
        model.add([d["text"] for d in inputs["documents"]])
        results.append(model.prefill(*model.prompt(inputs["queries"][0]["prompt"])))
    assert results[0].documents == results[1].documents
    assert np.abs(results[0].logits - results[1].logits).max() < 1e-4
    assert np.abs(results[0].trace["hidden"] - results[1].trace["hidden"]).max() < 1e-4


def test_description(exported):
    about = json.loads((exported("needle") / "msa.json").read_text())
    assert about["format"] == 1 and about["kind"] == "decoder"
    assert about["stop_tokens"] == [1343, 1341]
    assert about["routing"] == {"top_k": 4, "head_reduce": "mean", "query_reduce": "max", "chunk_reduce": "max",
                                "normalize": True, "scale": 1.0}
    assert about["separate_router"] is True and about["chunk_length"] == 4 and about["first_position"] == 7
    coupled = json.loads((exported("coupled-p16") / "msa.json").read_text())
    assert coupled["separate_router"] is False and coupled["routing"]["scale"] == 0.25

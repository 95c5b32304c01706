# SPDX-License-Identifier: Apache-2.0
"""Every operator's body in onnxruntime against the reference in float64, on random inputs, over all choices.

Bounds: 2e-6 on values of size 1 in float32 and 2e-3 in float16; documents, rows and slots are equal.
"""
import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT  # noqa: F401  makes msa_models importable
from onnx import helper

from msa_models.domain import DOMAIN, OPERATORS, attach, reference
from msa_models.domain.bodies import body

OPSETS = [18, 20, 23, 25]
_SESSIONS = {}


def session(name, dtypes, ranks, out_ranks, attributes, opset):
    """An onnxruntime session of a model with the one node, its body attached; kept for the next call."""
    key = (name, tuple(dtypes), tuple(ranks), tuple(sorted(attributes.items())), opset)
    if key not in _SESSIONS:
        op = OPERATORS[name]
        node = helper.make_node(name, list(op.inputs), list(op.outputs), domain=DOMAIN, name="node", **attributes)
        ins = [helper.make_tensor_value_info(i, helper.np_dtype_to_tensor_dtype(d), [None] * r)
               for i, d, r in zip(op.inputs, dtypes, ranks)]
        fixed = {"i64": np.dtype(np.int64), "f32": np.dtype(np.float32)}
        types = dict(zip(op.inputs.values(), dtypes)) | fixed
        outs = [helper.make_tensor_value_info(o, helper.np_dtype_to_tensor_dtype(types[t]), [None] * r)
                for (o, t), r in zip(op.outputs.items(), out_ranks)]
        graph = helper.make_graph([node], "g", ins, outs)
        model = attach(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))
        onnx.checker.check_model(model)
        _SESSIONS[key] = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return _SESSIONS[key]


def check(name, inputs, attributes=None, opset=23, bound=2e-6):
    """Runs the body and the reference; floats within `bound`, integers equal. Returns the outputs."""
    attributes = attributes or {}
    inputs = [np.asarray(x) for x in inputs]
    wide = [torch.from_numpy(x.astype(np.float64) if x.dtype.kind == "f" else x) for x in inputs]
    snake = "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
    expected = getattr(reference, snake)(*wide, **attributes)
    expected = [e.numpy() for e in (expected if isinstance(expected, tuple) else (expected,))]
    s = session(name, [x.dtype for x in inputs], [x.ndim for x in inputs], [e.ndim for e in expected], attributes, opset)
    actual = s.run(None, dict(zip(OPERATORS[name].inputs, inputs)))
    for got, want in zip(actual, expected, strict=True):
        assert got.shape == want.shape
        if got.dtype.kind == "f":
            assert got.dtype in (np.float16, np.float32)
            assert np.abs(got.astype(np.float64) - want).max(initial=0) <= bound
        else:
            assert (got == want).all()
    return actual


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def packed(lengths):
    """doc and pos of documents of these lengths."""
    doc = np.repeat(np.arange(1, len(lengths) + 1), lengths).astype(np.int64)
    return doc, np.concatenate([np.arange(n) for n in lengths] or [[]]).astype(np.int64)


def normal(rng, *shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def bank_documents(rng, chunks):
    """Ascending document numbers, with gaps, of `chunks` rows."""
    return np.cumsum(rng.integers(0, 3, chunks)).astype(np.int64)


LENGTHS = [[9, 1, 4, 16, 3], [4], [1], []]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("reduce, normalize", list(itertools.product(["mean", "max"], [0, 1])))
def test_compress(rng, reduce, normalize, opset):
    for lengths, length in itertools.product(LENGTHS, [1, 4, 64]):
        doc, pos = packed(lengths)
        x = normal(rng, len(doc), 3, 8)
        z, chunk_doc = check("Compress", [x, doc, pos], dict(chunk_length=length, reduce=reduce, normalize=normalize),
                             opset)
        assert len(chunk_doc) == sum(-(-n // length) for n in lengths)


def test_compress_of_zero_rows_is_zero(rng):
    doc, pos = packed([5])
    z, _ = check("Compress", [np.zeros((5, 2, 4), np.float32), doc, pos], dict(chunk_length=4, normalize=1))
    assert (z == 0).all()


@pytest.mark.parametrize("opset", OPSETS)
def test_compress_latent(rng, opset):
    for lengths, length in itertools.product(LENGTHS, [1, 4, 64]):
        doc, pos = packed(lengths)
        t = len(doc)
        check("CompressLatent", [normal(rng, 3, 2, 8), normal(rng, t, 2, 8), normal(rng, t, 2, 5), doc, pos],
              dict(chunk_length=length, scale=8**-0.5), opset)


ROUTES = list(itertools.product(["mean", "max"], ["max", "mean", "last"], ["max", "mean"], [0, 1]))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("head_reduce, query_reduce, chunk_reduce, normalize", ROUTES)
def test_route(rng, head_reduce, query_reduce, chunk_reduce, normalize, opset):
    for chunks, k, kv_heads in [(40, 4, 2), (40, 2**30, 1), (1, 4, 4), (0, 4, 2)]:
        m = 6
        mask = np.array([True, False, True, True, False, False])
        docs, scores, rows = check(
            "Route", [normal(rng, m, 4, 8), normal(rng, chunks, kv_heads, 8), bank_documents(rng, chunks), mask],
            dict(k=k, head_reduce=head_reduce, query_reduce=query_reduce, chunk_reduce=chunk_reduce,
                 normalize=normalize, scale=0.3), opset, bound=4e-6)
        assert len(docs) == len(scores) and (np.diff(docs) > 0).all() and (np.diff(rows) > 0).all()


@pytest.mark.parametrize("chunk_reduce", ["max", "mean"])
def test_route_of_equal_scores_takes_lower_documents(rng, chunk_reduce):
    key = normal(rng, 1, 2, 8)
    keys = np.repeat(key, 300, 0)
    docs, _, rows = check("Route", [normal(rng, 5, 4, 8), keys, np.arange(300) // 3 * 2, np.ones(5, bool)],
                          dict(k=7, chunk_reduce=chunk_reduce))
    assert docs.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert rows.tolist() == list(range(21))


def test_route_over_many_chunks(rng):
    """A bank large enough for onnxruntime to split its work, ten times to the same bits."""
    inputs = [normal(rng, 3, 8, 16), normal(rng, 20000, 2, 16), np.arange(20000, dtype=np.int64) // 7,
              np.ones(3, bool)]
    first = check("Route", inputs, dict(k=16, query_reduce="mean"))
    for _ in range(9):
        again = check("Route", inputs, dict(k=16, query_reduce="mean"))
        assert all((a == b).all() for a, b in zip(first, again))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("causal", [0, 1])
def test_attention(rng, causal, opset):
    for m, n, kv_heads in itertools.product([1, 5], [0, 1, 7], [1, 2, 4]):
        check("Attention", [normal(rng, m, 4, 8), normal(rng, m, kv_heads, 8), normal(rng, m, kv_heads, 6),
                            normal(rng, n, kv_heads, 8), normal(rng, n, kv_heads, 6)],
              dict(scale=8**-0.5, causal=causal), opset)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("causal", [0, 1])
def test_document_attention(rng, causal, opset):
    for lengths, kv_heads in itertools.product(LENGTHS, [1, 4]):
        doc, _ = packed(lengths)
        t = len(doc)
        check("DocumentAttention", [normal(rng, t, 4, 8), normal(rng, t, kv_heads, 8), normal(rng, t, kv_heads, 6), doc],
              dict(scale=8**-0.5, causal=causal), opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_read(rng, opset):
    for m, chunks, prefix in itertools.product([1, 4], [0, 1, 30], [0, 3]):
        chosen = np.flatnonzero(rng.integers(0, 2, chunks)).astype(np.int64)
        check("Read", [normal(rng, m, 4, 8), normal(rng, m, 2, 8), normal(rng, m, 2, 6), normal(rng, chunks, 2, 8),
                       normal(rng, chunks, 2, 6), chosen, normal(rng, prefix, 2, 8), normal(rng, prefix, 2, 6)],
              dict(scale=8**-0.5), opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_write_and_erase(rng, opset):
    for chunks, more in itertools.product([0, 6], [0, 3]):
        bank, numbers = normal(rng, chunks, 2, 8), bank_documents(rng, chunks)
        bank, numbers = check("Write", [bank, numbers, normal(rng, more, 2, 8), np.full(more, 99, np.int64)],
                              opset=opset, bound=0)
        for gone in [[], [99], [0, 1, 99], [12345]]:
            kept, _ = check("Erase", [bank, numbers, np.array(gone, np.int64)], opset=opset, bound=0)
            assert len(kept) == (~np.isin(numbers, gone)).sum()


@pytest.mark.parametrize("opset", OPSETS)
def test_update_and_replace(rng, opset):
    check("Update", [normal(rng, 5, 8), normal(rng, 3, 8), normal(rng, 5, 3), normal(rng, 5)], opset=opset)
    for n in [0, 2, 5]:
        usage = np.array([0.5, 0.25, 0.25, 0.125, 0.5], np.float32)
        _, slots = check("Replace", [normal(rng, 5, 8), usage, normal(rng, n, 8)], opset=opset, bound=0)
        assert slots.tolist() == [3, 1, 2, 0, 4][:n]


def test_half_precision(rng):
    """Rows may be stored as f16: sums run in f32, and results have the first input's type."""
    half = np.float16
    doc, pos = packed([9, 2])
    z, _ = check("Compress", [normal(rng, 11, 2, 8, dtype=half), doc, pos], dict(chunk_length=4), bound=2e-3)
    assert z.dtype == half
    keys, chunk_doc = normal(rng, 20, 2, 8, dtype=half), bank_documents(rng, 20)
    check("Route", [normal(rng, 3, 4, 8), keys, chunk_doc, np.ones(3, bool)], dict(k=3))
    y, _, _ = check("Read", [normal(rng, 2, 4, 8), normal(rng, 2, 2, 8), normal(rng, 2, 2, 8), keys, keys,
                             np.array([1, 5]), normal(rng, 3, 2, 8), normal(rng, 3, 2, 8)], dict(scale=0.3))
    assert y.dtype == np.float32
    check("Update", [normal(rng, 5, 8, dtype=half), normal(rng, 3, 8), normal(rng, 5, 3), normal(rng, 5)], bound=2e-3)


def test_calls_that_differ_in_a_choice_have_their_own_bodies(rng):
    """One model that pools by mean and by max: two bodies, told apart by the overload."""
    nodes = [helper.make_node("Compress", ["x", "doc", "pos"], [f"z_{r}", ""], domain=DOMAIN, name=r, reduce=r,
                              chunk_length=4) for r in ["mean", "max"]]
    f, i = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", f, [None, 2, 4]),
                     *[helper.make_tensor_value_info(n, i, [None]) for n in ["doc", "pos"]]],
        [helper.make_tensor_value_info(f"z_{r}", f, [None, 2, 4]) for r in ["mean", "max"]])
    model = attach(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10))
    assert [(p.name, p.overload) for p in model.functions] == [("Compress", ""), ("Compress", "v2")]
    onnx.checker.check_model(model)
    doc, pos = packed([6])
    x = normal(rng, 6, 2, 4)
    mean, top = onnxruntime.InferenceSession(model.SerializeToString()).run(None, dict(x=x, doc=doc, pos=pos))
    assert np.abs(mean[0] - x[:4].mean(0)).max() < 1e-6
    assert (top[1] == x[4:].max(0)).all()
    before = model.SerializeToString()
    assert attach(model).SerializeToString() == before  # again changes nothing


def test_attach_names_what_it_does_not_know():
    def model(op, **attributes):
        node = helper.make_node(op, ["x"], ["y"], domain=DOMAIN, name="here", **attributes)
        graph = helper.make_graph([node], "g", [], [])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])

    with pytest.raises(ValueError, match="found 'Compres' at node 'here'"):
        attach(model("Compres"))
    with pytest.raises(ValueError, match="found 'chunk_size' at node 'here'"):
        attach(model("Compress", chunk_size=4))
    with pytest.raises(ValueError, match="found 'median'"):
        attach(model("Compress", reduce="median"))
    with pytest.raises(ValueError, match="at least 18"):
        body("Compress", 17)


@pytest.mark.parametrize("name", OPERATORS)
def test_body_obeys_its_rules(name):
    """What bodies.py promises: no -1 in a shape, allowzero, distinct node names, no string constants, no If.
    The one Reshape without allowzero turns a scalar attribute into a dim."""
    op = OPERATORS[name]
    for values in itertools.product(*op.choices.values()):
        f = body(name, 23, dict(zip(op.choices, values)))
        assert list(f.input) == list(op.inputs) and list(f.output) == list(op.outputs)
        assert len({n.name for n in f.node}) == len(f.node)
        for n in f.node:
            assert n.op_type != "If"
            assert not any(a.name in ("value_string", "value_strings") for a in n.attribute)
            if n.op_type == "Reshape" and len(n.attribute):
                shape = next(p for p in f.node if n.input[1] in p.output)
                constant = [a for a in shape.attribute if a.name == "value_ints"]
                assert not constant or all(d > 0 for d in constant[0].ints)


def test_torch_operators_trace_like_they_compute():
    """The shapes that tracing assumes are those that come out."""
    from msa_models.domain import torch_ops  # noqa: F401
    x, doc, pos = torch.randn(6, 4, 8), torch.tensor([1, 1, 1, 2, 2, 2]), torch.tensor([0, 1, 2, 0, 1, 2])
    kv, bank = torch.randn(6, 2, 8), torch.randn(5, 2, 8)
    tests = ("test_schema", "test_faketensor")
    for op, args in [
        (torch.ops.msa.compress, (x, doc, pos, 2)),
        (torch.ops.msa.compress_latent, (torch.randn(3, 4, 8), x, x, doc, pos, 2)),
        (torch.ops.msa.route, (x, bank, torch.tensor([0, 0, 1, 1, 2]), torch.ones(6, dtype=torch.bool), 2)),
        (torch.ops.msa.read, (x, kv, kv, bank, bank, torch.tensor([1, 3]), kv, kv)),
        (torch.ops.msa.attention, (x, kv, kv, bank, bank)),
        (torch.ops.msa.document_attention, (x, kv, kv, doc)),
        (torch.ops.msa.write, (bank, torch.arange(5), kv, torch.full((6,), 9))),
        (torch.ops.msa.erase, (bank, torch.arange(5), torch.tensor([1]))),
        (torch.ops.msa.update, (torch.randn(5, 8), torch.randn(3, 8), torch.randn(5, 3), torch.randn(5))),
        (torch.ops.msa.replace, (torch.randn(5, 8), torch.rand(5), torch.randn(3, 8))),
    ]:
        torch.library.opcheck(op, args, test_utils=tests)


def test_node_cases_hold_in_onnxruntime(tmp_path):
    """The cases that the compiler is tested with agree with the bodies too."""
    import json

    import node_cases
    from onnx import numpy_helper
    assert node_cases.msa(tmp_path) == len(list(tmp_path.iterdir())) == 76
    for case in sorted(tmp_path.iterdir()):
        def load(kind):
            paths = sorted((case / "test_data_set_0").glob(f"{kind}_*.pb"))
            return [numpy_helper.to_array(onnx.TensorProto.FromString(p.read_bytes())) for p in paths]
        bounds = json.loads((case / "data.json").read_text())
        s = onnxruntime.InferenceSession(str(case / "model.onnx"), providers=["CPUExecutionProvider"])
        actual = s.run(None, dict(zip([i.name for i in s.get_inputs()], load("input"), strict=True)))
        for got, want in zip(actual, load("output"), strict=True):
            assert got.shape == want.shape and got.dtype == want.dtype
            np.testing.assert_allclose(got, want, **bounds)

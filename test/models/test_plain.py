# SPDX-License-Identifier: Apache-2.0
"""Models without `ai.msa`, the folded routing graph, and the corpus."""
import gzip
import json

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import command


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the exporters leave initializers that nothing uses
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("exporter, opset", [("dynamo", 20), ("legacy", 17)])
def test_plain_decoder(tmp_path, exporter, opset):
    from msa_models import plain
    size = plain.DECODERS["decoder-tiny"]
    path = tmp_path / "model.onnx"
    plain.export_decoder(str(path), size, exporter, opset)
    s, module = session(path), plain.PlainDecoder(size)
    names = [i.name for i in s.get_inputs()]
    for batch, sequence, past in [(1, 7, 0), (1, 1, 12), (2, 1, 5), (3, 4, 2)]:
        feeds = [torch.randint(0, size.vocab_size, (batch, sequence)), torch.arange(past, past + sequence).repeat(batch, 1),
                 *[torch.randn(batch, size.kv_heads, past, size.head_dim) for _ in range(2 * size.layers)]]
        for got, want in zip(s.run(None, dict(zip(names, [f.numpy() for f in feeds]))), module(*feeds), strict=True):
            assert got.shape == want.shape and np.abs(got - want.numpy()).max() < 2e-5


def test_plain_decoder_steps_equal_one_prefill():
    from msa_models import plain
    size = plain.DECODERS["decoder-tiny"]
    module = plain.PlainDecoder(size)
    ids, empty = torch.randint(0, size.vocab_size, (1, 6)), torch.zeros(1, size.kv_heads, 0, size.head_dim)
    whole, *_ = module(ids, torch.arange(6)[None], *[empty] * (2 * size.layers))
    past = [empty] * (2 * size.layers)
    for i in range(6):
        logits, *past = module(ids[:, i:i + 1], torch.tensor([[i]]), *past)
    assert (logits - whole).abs().max() < 1e-5


@pytest.mark.parametrize("query_reduce", ["max", "mean"])
def test_folded_routing_equals_the_operators(query_reduce):
    from msa_models.folded import route_read
    shape = dict(heads=8, kv_heads=2, dim=16, top_k=4)
    models = [route_read(f, query_reduce, **shape) for f in (None, "few", "many")]
    assert [{n.domain for n in m.graph.node} for m in models] == [{"ai.msa"}, {""}, {""}]
    assert [len(m.functions) > 0 for m in models] == [True, False, False]
    sessions = [onnxruntime.InferenceSession(m.SerializeToString()) for m in models]
    rng = np.random.default_rng(3)
    for chunks, tokens, prefix in [(0, 1, 3), (1, 2, 0), (300, 5, 3)]:
        def normal(*dims):
            return rng.standard_normal(dims, dtype=np.float32)
        feeds = dict(rq=normal(tokens, 8, 16), q=normal(tokens, 8, 16), k=normal(tokens, 2, 16), v=normal(tokens, 2, 16),
                     query_mask=np.arange(tokens) != 1, mem_rk=normal(chunks, 2, 16), mem_k=normal(chunks, 2, 16),
                     mem_v=normal(chunks, 2, 16), chunk_doc=np.arange(chunks, dtype=np.int64) // 7 * 2,
                     prefix_k=normal(prefix, 2, 16), prefix_v=normal(prefix, 2, 16))
        y, docs, scores = sessions[0].run(None, feeds)
        for s in sessions[1:]:
            y2, docs2, scores2 = s.run(None, feeds)
            assert (docs == docs2).all()
            assert np.abs(scores - scores2).max(initial=0) < 1e-5 and np.abs(y - y2).max() < 1e-5


def write_dictionary(folder, entries):
    """A dictd dictionary of [(index headwords, text)]."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def number(n):
        return (number(n // 64) if n >= 64 else "") + digits[n % 64]

    text, index = b"", []
    for headwords, entry in entries:
        data = entry.encode()
        index += [f"{h}\t{number(len(text))}\t{number(len(data))}" for h in headwords]
        text += data
    (folder / "foldoc.dict.dz").write_bytes(gzip.compress(text))
    (folder / "foldoc.index").write_text("\n".join(sorted(index)) + "\n")


def test_corpus_cleans_entries(tmp_path):
    from msa_models import corpus
    body = "is a thing of {many words (http://x.org/(a))} and {two} that one " * 20
    write_dictionary(tmp_path, [
        (["00-database-info"], "about\n\n" + "x" * 1000),
        (["zeta", "alias"], f"zeta\nalias\n\n   <tools> A\n   {body}\n\n   (1999-01-02)\n\n"),
        (["short"], "short\n\n   See {zeta}.\n"),
        (["alpha"], "alpha\n\n   <maths, {x}>  " + "word " * 200 + "\n"),
    ])
    zeta, alpha = corpus.documents(tmp_path)
    assert zeta["name"] == "foldoc:zeta" and alpha["name"] == "foldoc:alpha"
    assert zeta["text"] == " ".join(("zeta. alias <tools> A " + body.replace("{many words (http://x.org/(a))}", "many words")
                                     .replace("{two}", "two")).split())
    assert alpha["text"] == "alpha. " + " ".join(["word"] * 200)


def test_corpus_errors_name_the_file(tmp_path):
    assert "foldoc.index" in command("corpus", tmp_path).stderr or "foldoc.dict.dz" in command("corpus", tmp_path).stderr
    write_dictionary(tmp_path, [(["a"], "a\n\n text")])
    (tmp_path / "foldoc.index").write_text("a\tA\t/////\n")
    result = command("corpus", tmp_path)
    assert result.returncode == 1 and "line 1 of" in result.stderr and "Traceback" not in result.stderr
    (tmp_path / "foldoc.index").write_text("a\tA\n")
    assert "three fields in line 1" in command("corpus", tmp_path).stderr
    (tmp_path / "foldoc.dict.dz").write_bytes(b"\x1f\x8b\x08garbage")
    assert command("corpus", tmp_path).returncode == 1


def test_corpus_lines_are_json(tmp_path):
    write_dictionary(tmp_path, [(["a"], "a\n\n  " + "Bjørn " * 200)])
    result = command("corpus", tmp_path, "--out", tmp_path / "c.jsonl")
    assert result.returncode == 0 and "expected 2268 documents" in result.stderr
    row, = [json.loads(line) for line in (tmp_path / "c.jsonl").open(encoding="utf-8")]
    assert row == {"name": "foldoc:a", "text": "a. " + " ".join(["Bjørn"] * 200)}

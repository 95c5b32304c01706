# SPDX-License-Identifier: Apache-2.0
"""The exported retriever in onnxruntime: against PyTorch on other code, and for what it finds."""
import json
import subprocess

import numpy as np
import pytest
import torch
from conftest import FIXTURES

TEXTS = ["A deadlock is a cycle of processes that wait for each other.", "Lamp.",
         "Sorting by repeated partition around a pivot. " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from msa_models.export import quiet
    from msa_models.retriever import export_retriever
    quiet()
    path = tmp_path_factory.mktemp("retriever")
    export_retriever(path)
    return path


def states(ids):
    """Last token states of one window by the plain PyTorch encoder, [CLS] and [SEP] included."""
    from msa_models.plain import sentence_encoder
    encoder = sentence_encoder()
    with torch.no_grad():
        x = encoder.embeddings(ids, torch.arange(ids.shape[1])[None])
        for layer in encoder.encoder["layer"]:
            x = layer(x, torch.ones(1, 1, 1, ids.shape[1], dtype=torch.bool))
    return x[0].numpy()


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def test_bank_and_scores_equal_plain_pytorch(folder):
    from msa_models.retrieval import Retriever
    r = Retriever(folder)
    r.add(TEXTS)
    keys, numbers = [], []
    for i, text in enumerate(TEXTS):
        ids = r.tokenize(text)
        for a in range(0, len(ids), 256):
            window = ids[a:a + 256]
            x = states(torch.tensor([[101, *window, 102]]))[1:-1]
            for c in range(0, len(window), 64):
                keys.append(unit(x[c:c + 64].mean(0)))
                numbers.append(i)
    assert len(r.tokenize(TEXTS[2])) > 256  # more than one window
    assert r.chunk_doc.tolist() == numbers
    assert np.abs(r.keys[:, 0] - np.stack(keys)).max() < 2e-6
    question = "Which processes wait for each other?"
    q = unit(states(torch.tensor([[101, *r.tokenize(question), 102]])))
    chunk_scores = (q @ np.stack(keys).T).mean(0)
    wanted = [max(chunk_scores[j] for j, n in enumerate(numbers) if n == i) for i in range(len(TEXTS))]
    docs, scores = r.ask(question)
    assert docs == np.argsort(wanted)[::-1].tolist() and docs[0] == 0
    assert np.abs(scores - np.sort(wanted)[::-1]).max() < 2e-6


def test_packing_changes_nothing(folder):
    from msa_models.retrieval import Retriever
    banks = []
    for per_call in (1, 5):
        r = Retriever(folder)
        r.add(TEXTS[:2], per_call)
        r.add(TEXTS[2:] + [""], per_call)  # an empty document takes its number and has no chunk
        banks.append(r)
    assert (banks[0].chunk_doc == banks[1].chunk_doc).all() and banks[0].count == 4
    assert np.abs(banks[0].keys - banks[1].keys).max() < 2e-6


def test_description_and_tokenizer(folder):
    about = json.loads((folder / "msa.json").read_text())
    assert about["kind"] == "retriever" and about["router_layers"] == [0] and about["head_dim"] == 384
    assert about["window"] == {"content_tokens": 256, "before": "[CLS]", "after": "[SEP]"}
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert tokenizer["truncation"] is None and tokenizer["padding"] is None


@pytest.mark.slow
def test_finds_what_the_demo_asks(folder, tmp_path):
    """Recall over the whole demo corpus: 0.867 at 5 and 0.933 at 16 were measured; one question is 0.033."""
    from msa_models import corpus
    from msa_models.retrieval import Retriever, recall
    got = subprocess.run(["apt-get", "download", "dict-foldoc"], cwd=tmp_path, capture_output=True)
    packages = list(tmp_path.glob("dict-foldoc_*.deb"))
    if got.returncode or not packages:
        pytest.skip("the Debian package dict-foldoc cannot be downloaded here")
    subprocess.run(["dpkg-deb", "-x", packages[0], tmp_path], check=True)
    documents = list(corpus.documents(tmp_path / "usr" / "share" / "dictd"))
    assert len(documents) == corpus.EXPECTED
    questions = json.loads((FIXTURES / "retrieval" / "demo-questions.json").read_text())["questions"]
    r = Retriever(folder, threads=2)
    r.add([d["text"] for d in documents])
    found = [[documents[d]["name"] for d in r.ask(q["question"])[0]] for q in questions]
    share = recall(found, [q["document"] for q in questions])
    assert share[5] >= 0.83 and share[16] >= 0.90, share

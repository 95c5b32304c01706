# SPDX-License-Identifier: Apache-2.0
"""Runs an exported retriever folder in onnxruntime: the second opinion on the compiled one."""
import json
import os

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Retriever:
    """An exported folder, and a bank to fill by `add`."""

    def __init__(self, folder, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        with open(os.path.join(folder, "msa.json"), encoding="utf-8") as f:
            self.about = json.load(f)
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.sessions = {e: onnxruntime.InferenceSession(os.path.join(folder, f"{e}.onnx"), options,
                                                         providers=["CPUExecutionProvider"])
                         for e in ["encode", "route"]}
        window = self.about["window"]
        self.window = window["content_tokens"]
        self.before, self.after = (self.tokenizer.token_to_id(window[n]) for n in ("before", "after"))
        self.keys = np.zeros((0, 1, self.about["head_dim"]), np.float32)
        self.chunk_doc = np.zeros(0, np.int64)
        self.count = 0

    def tokenize(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def add(self, texts, windows_per_call=2, progress=lambda done: None):
        """Encodes and appends documents, numbered on from those already there. Windows of similar length share a call,
        which changes no result."""
        windows = []  # (document, ids)
        for i, text in enumerate(texts):
            ids = self.tokenize(text)
            windows += [(self.count + i, ids[a:a + self.window]) for a in range(0, len(ids), self.window)]
        order = sorted(range(len(windows)), key=lambda w: len(windows[w][1]))
        rows = [None] * len(windows)
        for a in range(0, len(order), windows_per_call):
            pack = order[a:a + windows_per_call]
            keys, _ = self.encode([windows[w][1] for w in pack])
            counts = [-(-len(windows[w][1]) // self.about["chunk_length"]) for w in pack]
            for w, part in zip(pack, np.split(keys, np.cumsum(counts)[:-1])):
                rows[w] = part
            progress(min(a + windows_per_call, len(order)) / len(order))
        self.keys = np.concatenate([self.keys, *rows])
        self.chunk_doc = np.concatenate([self.chunk_doc, *[np.full(len(r), d) for (d, _), r in zip(windows, rows)]])
        self.chunk_doc = self.chunk_doc.astype(np.int64)
        self.count += len(texts)

    def encode(self, windows):
        """(keys, window number from 1 of each) of windows given as content token ids."""
        ids, window, wpos, content, doc, pos = [], [], [], [], [], []
        for i, tokens in enumerate(windows, 1):
            content += range(len(ids) + 1, len(ids) + 1 + len(tokens))
            ids += [self.before, *tokens, self.after]
            window += [i] * (len(tokens) + 2)
            wpos += range(len(tokens) + 2)
            doc += [i] * len(tokens)
            pos += range(len(tokens))
        feeds = dict(ids=ids, window=window, wpos=wpos, content=content, doc=doc, pos=pos)
        return self.sessions["encode"].run(None, {n: np.array(v, np.int64) for n, v in feeds.items()})

    def ask(self, question):
        """(document numbers, scores), best first."""
        ids = [self.before, *self.tokenize(question)[:self.window], self.after]
        docs, scores = self.sessions["route"].run(None, {
            "ids": np.array(ids, np.int64), "wpos": np.arange(len(ids), dtype=np.int64),
            "query_mask": np.ones(len(ids), bool), "mem_rk.0": self.keys, "chunk_doc": self.chunk_doc})
        order = np.argsort(-scores, kind="stable")
        return docs[order].tolist(), scores[order]


def recall(found, wanted):
    """{n: share of questions whose document is among the first n} for n = 1, 5, 16; `found` is a list per question."""
    return {n: float(np.mean([w in f[:n] for f, w in zip(found, wanted)])) for n in (1, 5, 16)}

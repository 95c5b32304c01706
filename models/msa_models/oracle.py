# SPDX-License-Identifier: Apache-2.0
"""Runs an exported decoder folder in onnxruntime: bank, prefill, decode, generation with Memory Interleave.

This is how tests and benchmarks obtain a second opinion on the compiled model from the very same files; `eager_sessions`
runs the PyTorch definition in their place, in float64 if wanted. It is written for clearness; a bank is arrays in
memory, and one conversation runs at a time.
"""
import json
import os
import re
from dataclasses import dataclass, field

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer

from .checkpoint import read_config, read_weights
from .decoder import Decoder, at_least_f32
from .export import decoder_entries

QUERY, GENERATED = 0, -1  # numbers of tokens; others are documents (above 0) and the template (-2)


@dataclass
class Prefilled:
    """What a prefill gave. `documents` and `scores` per router layer, best first; documents are numbered from 0."""

    logits: np.ndarray
    documents: dict
    scores: dict
    context: list
    position: int  # of the next token
    trace: dict = field(default_factory=dict)


class Model:
    """An exported folder, and a bank to fill by `add`. `sessions` maps the entries to what runs them."""

    def __init__(self, folder, threads=1, sessions=None):
        with open(os.path.join(folder, "msa.json"), encoding="utf-8") as f:
            self.about = json.load(f)
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.sessions = sessions or onnxruntime_sessions(folder, threads)
        self.router_layers = self.about["router_layers"]
        row = (self.about["kv_heads"], self.about["head_dim"])
        self.bank_names = [o.name for o in self.sessions["encode"].get_outputs() if o.name != "chunk_doc"]
        self.bank = {n: np.zeros((0, *row), np.float32) for n in self.bank_names}
        self.chunk_doc = np.zeros(0, np.int64)
        self.texts = []
        self.prefix = {f"prefix_{kv}.{i}": np.zeros((0, *row), np.float32)
                       for i in range(self.about["layers"]) for kv in "kv"}
        prefix_ids = self.tokenize(self.about["template"]["prefix"])
        if prefix_ids:
            context = self.prefill(prefix_ids, [QUERY] * len(prefix_ids), first_position=0).context
            self.prefix = dict(zip(self.prefix, context))

    def tokenize(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _run(self, entry, feeds):
        session = self.sessions[entry]
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))

    # The memory bank.

    def add(self, texts, tokens_per_call=2048):
        """Wraps, tokenises, encodes and appends documents; they are numbered on from those already there."""
        wrapper = self.about["template"]["document"]
        ids = [self.tokenize(fill(wrapper, number=len(self.texts) + i, text=t)) for i, t in enumerate(texts)]
        self.add_ids(ids, texts, tokens_per_call)

    def add_ids(self, documents, texts=None, tokens_per_call=2048):
        """The same from token ids. `texts` are the unwrapped ones that Memory Interleave quotes."""
        if texts is None:
            texts = [None] * len(documents)
        rows, numbers, pack = {n: [self.bank[n]] for n in self.bank_names}, [self.chunk_doc], []
        for i, document in enumerate(documents):
            pack.append(document)
            if i + 1 == len(documents) or sum(map(len, pack)) + len(documents[i + 1]) > tokens_per_call:
                result = self._run("encode", {
                    "ids": np.concatenate(pack).astype(np.int64),
                    "doc": np.concatenate([np.full(len(d), j + 1) for j, d in enumerate(pack)]).astype(np.int64),
                    "pos": np.concatenate([np.arange(len(d)) for d in pack]).astype(np.int64)})
                first = len(self.texts) + i + 1 - len(pack)
                numbers.append(result["chunk_doc"] - 1 + first)
                for n in self.bank_names:
                    rows[n].append(result[n])
                pack = []
        self.bank = {n: np.concatenate(r) for n, r in rows.items()}
        self.chunk_doc = np.concatenate(numbers)
        self.texts += texts

    # Calls of the model.

    def prefill(self, ids, numbers, first_position=None):
        """Routes and reads with a whole prompt; `numbers` says what each token belongs to."""
        first = self.about["first_position"] if first_position is None else first_position
        feeds = {"ids": np.array(ids, np.int64), "pos": np.arange(first, first + len(ids), dtype=np.int64),
                 "query_mask": np.array(numbers) == QUERY, "chunk_doc": self.chunk_doc, **self.bank, **self.prefix}
        result = self._run("prefill", feeds)
        documents, scores = {}, {}
        for i in self.router_layers:
            docs, values = result.pop(f"docs.{i}"), result.pop(f"scores.{i}")
            order = np.argsort(-values, kind="stable")
            documents[i], scores[i] = docs[order].tolist(), values[order]
        context = [result.pop(f"ctx_{kv}.{i}") for i in range(self.about["layers"]) for kv in "kv"]
        return Prefilled(result.pop("logits")[0], documents, scores, context, first + len(ids), result)

    def decode(self, state, ids):
        """Puts one token, or a block whose tokens all see each other, behind a sequence; returns the logits."""
        feeds = {"ids": np.array(ids, np.int64),
                 "pos": np.arange(state.position, state.position + len(ids), dtype=np.int64)}
        names = [f"ctx_{kv}.{i}" for i in range(self.about["layers"]) for kv in "kv"]
        result = self._run("decode", feeds | dict(zip(names, state.context)))
        state.context = [result[n.replace("ctx", "next")] for n in names]
        state.position += len(ids)
        return result["logits"][0]

    # Prompts and generation.

    def prompt(self, text):
        """(ids, numbers) of an ordinary prompt."""
        t = self.about["template"]
        query, tail = self.tokenize(t["query_before"] + text + t["query_after"]), self.tokenize(t["tail"])
        return query + tail, [QUERY] * len(query) + t["tail_doc"]

    def round_prompt(self, text):
        """(ids, numbers) of the whole text of a conversation, as the next round of Memory Interleave takes it."""
        rule = self.about["interleave"]
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        numbers = [GENERATED] * len(encoded.ids)
        mark = text.find(rule["question_mark"])
        if mark >= 0:
            count = len(self.tokenize(text[:mark + len(rule["question_mark"])]))
            numbers[:count] = [QUERY] * min(count, len(numbers))
        # The quoted documents: from the bracket after the last "]<delimiter>" up to the next delimiter.
        close = text.rfind("]" + rule["delimiter"])
        begin = text.find("[", close + 1 + len(rule["delimiter"])) if close >= 0 else -1
        end = text.find(rule["delimiter"], begin) if begin >= 0 else -1
        if end >= 0:
            for i, (a, b) in enumerate(encoded.offsets):
                if begin <= a and b <= end and a < b:
                    numbers[i] = QUERY
        return encoded.ids, numbers

    def next_round(self, text, generated):
        """The whole text with the documents that `generated` names, and their numbers."""
        rule = self.about["interleave"]
        named = sorted({int(n) for n in re.findall(r"\[(\d+)\]", generated) if int(n) < len(self.texts)})
        quoted = "".join(fill(rule["document"], number=n, text=self.texts[n]) for n in named)
        return text + generated + quoted + rule["delimiter"], named

    def ask(self, question, max_new_tokens=64, max_rounds=8):
        """Generates greedily. Returns (text of the answer, its ids with the stop token, the Prefilled of each round)."""
        rule, stops = self.about["interleave"], set(self.about["stop_tokens"])
        delimiter = self.tokenizer.token_to_id(rule["delimiter"]) if rule else None
        t = self.about["template"]
        whole = t["query_before"] + question + t["query_after"] + t["tail"]
        ids, numbers = self.prompt(question)
        rounds, answering = [], rule is None
        for _ in range(max_rounds):
            state = self.prefill(ids, numbers)
            rounds.append(state)
            out, logits = [], state.logits
            while len(out) < max_new_tokens:
                token = int(logits.argmax())
                out.append(token)
                if token in stops or (token == delimiter and not answering):
                    break
                logits = self.decode(state, [token])
                if not answering and self.tokenizer.decode(out, skip_special_tokens=False).endswith(rule["end"]):
                    logits = self.decode(state, self.tokenize(fill(rule["append"], prompt=question)))
                    out, answering = [], True
            if answering or not out or out[-1] != delimiter:
                break
            whole, named = self.next_round(whole, self.tokenizer.decode(out, skip_special_tokens=False))
            if not named:
                break
            ids, numbers = self.round_prompt(whole)
        return self.tokenizer.decode(out, skip_special_tokens=True).strip(), out, rounds


def onnxruntime_sessions(folder, threads=1):
    """{entry: onnxruntime session} of an exported decoder folder."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return {e: onnxruntime.InferenceSession(os.path.join(folder, f"{e}.onnx"), options,
                                            providers=["CPUExecutionProvider"])
            for e in ["encode", "prefill", "decode"]}


class _EagerSession:
    """An entry's PyTorch module behind the two methods of an onnxruntime session that Model uses."""

    def __init__(self, entry, dtype):
        self.entry, self.dtype = entry, dtype

    def get_outputs(self):
        return self.entry.outputs

    def run(self, _, feeds):
        inputs = [torch.from_numpy(np.ascontiguousarray(feeds[p.name])) for p in self.entry.inputs]
        with torch.inference_mode():
            outputs = self.entry.module(*[x.to(self.dtype) if x.is_floating_point() else x for x in inputs])
        # NumPy has no bf16; what is widened here is exact, and so is the way back.
        return [o.to(at_least_f32(o.dtype)).numpy() if o.is_floating_point() else o.numpy() for o in outputs]


def eager_sessions(checkpoint, dtype=torch.float32, trace=False):
    """The same entries computed by PyTorch from a checkpoint folder, in any floating-point type."""
    config = read_config(checkpoint)
    net = Decoder(config, read_weights(checkpoint, config)).to(dtype)
    return {e.name: _EagerSession(e, dtype) for e in decoder_entries(net, trace)}


def fill(pattern, **values):
    """Replaces {name} by its value, in one pass, so that a value may hold braces."""
    return re.sub(r"\{(\w+)\}", lambda m: str(values[m[1]]) if m[1] in values else m[0], pattern)

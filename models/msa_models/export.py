# SPDX-License-Identifier: Apache-2.0
"""Exports a published MSA checkpoint as a folder that the compiler reads.

    python3 -m msa_models.export CHECKPOINT --out DIR

writes encode.onnx, prefill.onnx and decode.onnx with their common weights.bin, tokenizer.json and msa.json.
"""
import argparse
import json
import os
import shutil
import sys
import warnings

import onnx
import torch

from . import decoder as d
from .checkpoint import CheckpointError, read_config, read_weights
from .entry import Entry, Port, export_entry, finish
from .weights import WeightFile

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
DEFAULT_OPSET = 23  # RMSNormalization and RotaryEmbedding are single nodes from here on

# The published prompt; the checkpoint does not carry it.
TEMPLATE = {
    "prefix": "<|im_start|>user\n",
    "document": "<|im_start|>[{number}]. {text}[{number}]<|im_end|>",
    "query_before": "\nPlease answer the question based on the above historical document information\n\n",
    "query_after": "\nPlease return all documents related to the question\n",
    "tail": "<|im_end|>\n<|im_start|>",
    "tail_doc": [-2, -2, -1],
}
INTERLEAVE = {
    "delimiter": "<|object_ref_end|>",
    "end": "<End-of-Retrieve>",
    "question_mark": "related to the question",
    "document": "[{number}]. {text}\n",
    "append": "<|im_start|>The user's question is: {prompt}\n<|object_ref_end|>",
}


def decoder_entries(net, trace=False):
    """The three entries of a Decoder."""
    c = net.config
    row = (c.kv_heads, c.head_dim)
    kind = {dtype: name for name, dtype in DTYPES.items()}.get(net.lm_head.weight.dtype, "f32")  # an oracle's f64

    def bank(i, kind=kind):
        keys = [Port(f"mem_rk.{i}", kind, ("C", *row))] if c.routing_keys else []
        return keys, [Port(f"mem_k.{i}", kind, ("C", *row)), Port(f"mem_v.{i}", kind, ("C", *row))]

    def per_layer(stem, dims):
        return [Port(f"{stem}_{kv}.{i}", kind, (dims(i), *row)) for i in range(c.layers) for kv in "kv"]

    def past(i):  # router layers remember the chosen chunks as well, and each its own
        return f"N_{i}" if i in c.router_layers else "N"

    chunk_doc = Port("chunk_doc", "i64", ("C",))
    logits = Port("logits", "f32", (1, c.vocab_size))
    encode = Entry(
        "encode", d.Encode(net), [Port(n, "i64", ("T",)) for n in ["ids", "doc", "pos"]],
        [p for i in c.router_layers for keys, kv in [bank(i, "f32")] for p in kv + keys] + [chunk_doc])
    choices = [p for i in c.router_layers
               for p in [Port(f"docs.{i}", "i64", ("S",)), Port(f"scores.{i}", "f32", ("S",))]]
    extra = [Port("tail_logits", "f32", ("min(4, M)", c.vocab_size)), Port("hidden", "f32", (c.layers, c.hidden)),
             *[Port(f"all_scores.{i}", "f32", ("documents",)) for i in c.router_layers]]
    prefill = Entry(
        "prefill", d.Prefill(net, trace),
        [Port("ids", "i64", ("M",)), Port("pos", "i64", ("M",)), Port("query_mask", "bool", ("M",)),
         *[p for i in c.router_layers for keys, kv in [bank(i)] for p in keys + kv], chunk_doc,
         *per_layer("prefix", lambda i: "P")],
        [logits, *choices, *per_layer("ctx", lambda i: f"P + Z_{i} + M" if i in c.router_layers else "P + M"),
         *(extra if trace else [])])
    decode = Entry(
        "decode", d.Decode(net),
        [Port("ids", "i64", ("M",)), Port("pos", "i64", ("M",)), *per_layer("ctx", past)],
        [logits, *per_layer("next", lambda i: f"{past(i)} + M")])
    return [encode, prefill, decode]


def write_json(path, value, indent=2):
    with open(path + ".partial", "w", encoding="utf-8") as f:
        json.dump(value, f, indent=indent, ensure_ascii=False)
        f.write("\n")
    os.replace(path + ".partial", path)


def write_entries(entries, folder, opset, progress=lambda text: None):
    """Writes the ONNX file of each entry, and the weights of all, into a folder. Every .onnx file of a model folder is
    an entry, so one of another name there is an error (FileExistsError) and not left behind."""
    os.makedirs(folder, exist_ok=True)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".onnx") and name.removesuffix(".onnx") not in {e.name for e in entries}:
            raise FileExistsError(f"expected no other ONNX file in the folder to write, found '{name}' in '{folder}': "
                                  "choose another folder or remove it")
    with WeightFile(folder) as weights:
        protos = []
        for entry in entries:
            progress(f"exporting {entry.name}")
            protos.append((entry.name, finish(export_entry(entry, opset), weights)))
    for name, proto in protos:
        path = os.path.join(folder, f"{name}.onnx")
        with open(path + ".partial", "wb") as f:
            f.write(proto.SerializeToString(deterministic=True))
        os.replace(path + ".partial", path)
        onnx.checker.check_model(path)


def _tokenizer(folder):
    from tokenizers import Tokenizer
    path = os.path.join(folder, "tokenizer.json")
    if not os.path.isfile(path):
        raise CheckpointError(f"expected a file 'tokenizer.json' in the checkpoint folder '{folder}', found none")
    try:
        return path, Tokenizer.from_file(path)
    except Exception as e:  # the library raises plain Exception
        raise CheckpointError(f"expected '{path}' to hold a tokenizer, found: {e}") from None


def description(c, tokenizer, interleave=True):
    """The content of msa.json."""
    tail = tokenizer.encode(TEMPLATE["tail"], add_special_tokens=False).ids
    if len(tail) != len(TEMPLATE["tail_doc"]):
        raise CheckpointError(f"expected the tokenizer to encode the prompt's tail {TEMPLATE['tail']!r} as "
                              f"{len(TEMPLATE['tail_doc'])} tokens, found {len(tail)}: <|im_start|> and <|im_end|> "
                              "must be added tokens")
    if tokenizer.get_vocab_size() > c.vocab_size:
        raise CheckpointError(f"expected at most vocab_size = {c.vocab_size} tokens in tokenizer.json, "
                              f"found {tokenizer.get_vocab_size()}")
    if tokenizer.token_to_id(INTERLEAVE["delimiter"]) is None:
        interleave = False
    return {
        "format": 1, "kind": "decoder", "layers": c.layers, "router_layers": list(c.router_layers), "heads": c.heads,
        "kv_heads": c.kv_heads, "head_dim": c.head_dim, "hidden": c.hidden, "vocab_size": c.vocab_size,
        "chunk_length": c.chunk_length, "separate_router": c.routing_keys,
        "routing": {"top_k": c.top_k, "head_reduce": c.head_reduce, "query_reduce": c.query_reduce,
                    "chunk_reduce": c.chunk_reduce, "normalize": c.normalize, "scale": c.route_scale},
        "first_position": c.first_position, "template": TEMPLATE, "stop_tokens": list(c.stop_tokens),
        "interleave": INTERLEAVE if interleave else None}


def export_checkpoint(checkpoint, out, trace=False, opset=DEFAULT_OPSET, normalize=None, interleave=True,
                      progress=lambda text: None, dtype="f32"):
    """Writes the model folder `out` of a checkpoint folder. Raises CheckpointError where the checkpoint is at fault.

    `dtype` (a key of DTYPES): of weights, activations, caches and bank rows. Logits and scores are f32."""
    config = read_config(checkpoint, normalize)
    tokenizer_path, tokenizer = _tokenizer(checkpoint)
    about = description(config, tokenizer, interleave)
    progress("reading weights")
    net = d.Decoder(config, read_weights(checkpoint, config), as_one_node=opset >= 23).to(DTYPES[dtype])
    write_entries(decoder_entries(net, trace), out, opset, progress)
    shutil.copyfile(tokenizer_path, os.path.join(out, "tokenizer.json"))
    write_json(os.path.join(out, "msa.json"), about)


def quiet():
    """Warnings as one line on stderr each, and the exporter's own chatter off."""
    import logging
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|onnxscript|copyreg)")
    warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX export")
    warnings.showwarning = lambda message, *rest, **more: print(f"warning: {message}", file=sys.stderr)


def main(arguments=None):
    p = argparse.ArgumentParser(prog="msa_models.export", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", help="folder with config.json, *.safetensors, tokenizer.json")
    p.add_argument("--out", required=True, help="folder to write")
    p.add_argument("--trace", action="store_true", help="prefill also returns what parity tests compare")
    p.add_argument("--dtype", choices=list(DTYPES), default="f32",
                   help="type of weights, activations, caches and bank rows (logits and scores are f32)")
    p.add_argument("--opset", type=int, default=DEFAULT_OPSET, help="version of the standard operators, 18 or later")
    p.add_argument("--normalize", choices=["auto", "yes", "no"], default="auto",
                   help="whether routing compares unit vectors (default: as aux_loss_method says)")
    p.add_argument("--no-interleave", action="store_true", help="the model does not do Memory Interleave")
    a = p.parse_args(arguments)
    if not 18 <= a.opset <= 25:
        p.error(f"expected --opset from 18 to 25, found {a.opset}")
    quiet()
    say = (lambda text: print(text, file=sys.stderr)) if sys.stderr.isatty() else (lambda text: None)
    try:
        export_checkpoint(a.checkpoint, a.out, a.trace, a.opset, {"auto": None, "yes": True, "no": False}[a.normalize],
                          not a.no_interleave, say, a.dtype)
    except (CheckpointError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(f"wrote {a.out}: encode.onnx prefill.onnx decode.onnx weights.bin tokenizer.json msa.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())

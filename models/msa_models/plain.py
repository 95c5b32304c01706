# SPDX-License-Identifier: Apache-2.0
"""Ordinary models as anyone would export them: no operator of `ai.msa`, a batch dimension, every dim dynamic.

    python3 -m msa_models.plain encoder --out DIR [--exporter dynamo|legacy]    all-MiniLM-L6-v2, trained
    python3 -m msa_models.plain decoder-a --out DIR                             67 MB of weights a step, random
    python3 -m msa_models.plain decoder-b --out DIR                             638 MB

Each writes DIR/model.onnx. The encoder maps input_ids and attention_mask [batch, sequence] to the sentence embedding,
pooled and normalised. A decoder maps input_ids and position_ids [batch, sequence] and past keys and values
[batch, heads, past, dim] of every layer to the last token's logits and the present ones; a past of length 0 is a
prefill.
"""
import argparse
import os
import sys
from dataclasses import dataclass

import onnx
import torch
from torch import nn
from torch.nn import functional as F

from .checkpoint import CheckpointError
from .decoder import Rotary
from .export import quiet
from .retriever import Embeddings, Residual, read_encoder, source_folder

DEFAULT_OPSET = 20


class _SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        size = c["hidden_size"]
        self.heads = c["num_attention_heads"]
        self.query, self.key, self.value = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x, mask):
        b, s, size = x.shape
        q, k, v = (f(x).view(b, s, self.heads, size // self.heads).transpose(1, 2)
                   for f in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return y.transpose(1, 2).reshape(b, s, size)


class _EncoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = nn.ModuleDict({"self": _SelfAttention(c), "output": Residual(c["hidden_size"], c)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(c["hidden_size"], c["intermediate_size"])})
        self.output = Residual(c["intermediate_size"], c)

    def forward(self, x, mask):
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class SentenceEncoder(nn.Module):
    """all-MiniLM-L6-v2 with its mean pooling and normalisation."""

    def __init__(self, c):
        super().__init__()
        self.embeddings = Embeddings(c)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([_EncoderLayer(c) for _ in range(c["num_hidden_layers"])])})

    def forward(self, input_ids, attention_mask):
        place = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        x = self.embeddings(input_ids, place)
        see = attention_mask[:, None, None, :].bool()
        for layer in self.encoder["layer"]:
            x = layer(x, see)
        weight = attention_mask.unsqueeze(-1).to(x.dtype)
        pooled = (x * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return F.normalize(pooled, dim=-1)


@dataclass(frozen=True)
class DecoderSize:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab_size: int


DECODERS = {
    "decoder-a": DecoderSize(4, 512, 8, 4, 64, 1536, 8192),
    "decoder-b": DecoderSize(8, 1024, 16, 8, 128, 3072, 32768),
    "decoder-tiny": DecoderSize(2, 64, 4, 2, 16, 128, 256),
}


class RmsNorm(nn.Module):
    """Spelt out, as most published models have it; the legacy exporter has no other."""

    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.epsilon = epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon))


class _DecoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        self.input_norm, self.after_norm = RmsNorm(c.hidden, 1e-6), RmsNorm(c.hidden, 1e-6)
        self.q_norm, self.k_norm = RmsNorm(c.head_dim, 1e-6), RmsNorm(c.head_dim, 1e-6)
        self.q_proj, self.o_proj = nn.Linear(c.hidden, q, bias=False), nn.Linear(q, c.hidden, bias=False)
        self.k_proj, self.v_proj = nn.Linear(c.hidden, kv, bias=False), nn.Linear(c.hidden, kv, bias=False)
        self.gate, self.up = (nn.Linear(c.hidden, c.intermediate, bias=False) for _ in range(2))
        self.down = nn.Linear(c.intermediate, c.hidden, bias=False)

    def split(self, x, heads):
        return x.view(x.shape[0], x.shape[1], heads, self.c.head_dim)

    def forward(self, x, cos, sin, mask, past_k, past_v):
        c, h = self.c, self.input_norm(x)
        q = self.q_norm(self.split(self.q_proj(h), c.heads)).transpose(1, 2)
        k = self.k_norm(self.split(self.k_proj(h), c.kv_heads)).transpose(1, 2)
        v = self.split(self.v_proj(h), c.kv_heads).transpose(1, 2)
        k = torch.cat([past_k, turned(k, cos, sin)], 2)
        v = torch.cat([past_v, v], 2)
        y = F.scaled_dot_product_attention(turned(q, cos, sin), repeat(k, c.heads // c.kv_heads),
                                           repeat(v, c.heads // c.kv_heads), attn_mask=mask)
        x = x + self.o_proj(y.transpose(1, 2).reshape(x.shape[0], x.shape[1], c.heads * c.head_dim))
        h = self.after_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h)), k, v


def turned(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def repeat(x, times):
    b, g, n, d = x.shape
    return x[:, :, None].expand(b, g, times, n, d).reshape(b, g * times, n, d)


class PlainDecoder(nn.Module):
    """A Qwen3-shaped decoder with random weights."""

    def __init__(self, c, seed=0):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab_size, c.hidden)
        self.layers = nn.ModuleList([_DecoderLayer(c) for _ in range(c.layers)])
        self.norm = RmsNorm(c.hidden, 1e-6)
        self.rotary = Rotary(c.head_dim, 1e6)
        self.head = nn.Linear(c.hidden, c.vocab_size, bias=False)
        generator = torch.Generator().manual_seed(seed)
        for p in self.parameters():
            if p.dim() == 1:
                nn.init.ones_(p)
            else:
                nn.init.normal_(p, std=p.shape[1] ** -0.5, generator=generator)
        self.requires_grad_(False).eval()

    def forward(self, input_ids, position_ids, *past):
        b, s = input_ids.shape
        n = past[0].shape[2]
        row = torch.arange(s, device=input_ids.device)[:, None] + n
        mask = (torch.arange(s + n, device=input_ids.device)[None, :] <= row)[None, None]
        angle = position_ids.float().unsqueeze(-1) * self.rotary.inv_freq
        angle = torch.cat([angle, angle], -1).unsqueeze(1)
        cos, sin, present = angle.cos(), angle.sin(), []
        x = self.embed(input_ids)
        for i, layer in enumerate(self.layers):
            x, k, v = layer(x, cos, sin, mask, past[2 * i], past[2 * i + 1])
            present += [k, v]
        return self.head(self.norm(x[:, -1])), *present


def sentence_encoder(folder=None):
    """The trained SentenceEncoder."""
    config, weights = read_encoder(folder or source_folder())
    with torch.device("meta"):
        module = SentenceEncoder(config)
    module.load_state_dict(weights, strict=True, assign=True)
    return module.requires_grad_(False).eval()


def _write(path, module, example, inputs, outputs, dims, exporter, opset):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if exporter == "legacy":
        axes = {n: d for n, d in zip(inputs, dims) if d}
        torch.onnx.export(module, example, path, dynamo=False, opset_version=opset, input_names=inputs,
                          output_names=outputs, dynamic_axes=axes)
    else:
        fixed = [d for d in dims[:2]]
        shapes = (*fixed, tuple(dims[2:])) if len(dims) > 2 else tuple(fixed)
        program = torch.onnx.export(module, example, dynamo=True, opset_version=opset, input_names=inputs,
                                    output_names=outputs, dynamic_shapes=shapes, verbose=False)
        program.save(path, external_data=sum(p.nbytes for p in module.parameters()) > 2**30)
    onnx.checker.check_model(path)


def export_encoder(path, exporter="dynamo", opset=DEFAULT_OPSET, folder=None):
    """Writes the sentence encoder as one ONNX file by either of PyTorch's exporters."""
    dims = [{0: "batch", 1: "sequence"}] * 2
    example = (torch.randint(1000, 2000, (2, 7)), torch.ones(2, 7, dtype=torch.int64))
    _write(path, sentence_encoder(folder), example, ["input_ids", "attention_mask"], ["sentence_embedding"], dims,
           exporter, opset)


def export_decoder(path, size, exporter="dynamo", opset=DEFAULT_OPSET):
    """Writes a random decoder of a DecoderSize as one ONNX file."""
    past = [f"past_{kv}.{i}" for i in range(size.layers) for kv in "kv"]
    example = (torch.randint(0, size.vocab_size, (2, 5)), torch.arange(3, 8).repeat(2, 1),
               *[torch.randn(2, size.kv_heads, 3, size.head_dim) for _ in past])
    dims = [{0: "batch", 1: "sequence"}] * 2 + [{0: "batch", 2: "past"}] * len(past)
    _write(path, PlainDecoder(size), example, ["input_ids", "position_ids", *past],
           ["logits", *[n.replace("past", "present") for n in past]], dims, exporter, opset)


def main(arguments=None):
    p = argparse.ArgumentParser(prog="msa_models.plain", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=["encoder", *DECODERS])
    p.add_argument("--out", required=True, help="folder to write model.onnx in")
    p.add_argument("--exporter", choices=["dynamo", "legacy"], default="dynamo")
    p.add_argument("--opset", type=int, help="version of the standard operators (default: 20, legacy exporter 17)")
    a = p.parse_args(arguments)
    opset = a.opset or (17 if a.exporter == "legacy" else DEFAULT_OPSET)
    if not 13 <= opset <= 25:
        p.error(f"expected --opset from 13 to 25, found {opset}")
    quiet()
    path = os.path.join(a.out, "model.onnx")
    try:
        if a.model == "encoder":
            export_encoder(path, a.exporter, opset)
        else:
            export_decoder(path, DECODERS[a.model], a.exporter, opset)
    except (CheckpointError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

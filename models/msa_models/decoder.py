# SPDX-License-Identifier: Apache-2.0
"""The MSA decoder: a Qwen3-shaped transformer whose router layers read a memory bank.

Activations are token-major and two-dimensional, [tokens, features], so that a Linear exports as one Gemm over the
checkpoint's own weight, whose bytes all entries then share. Modules are named as the checkpoint names its tensors.
Everything that is peculiar to MSA is a call of `torch.ops.msa`.
"""
import functools

import torch
from torch import nn

from .domain import torch_ops  # noqa: F401  registers torch.ops.msa

msa = torch.ops.msa


def at_least_f32(dtype):
    return torch.promote_types(dtype, torch.float32)


class RmsNorm(nn.Module):
    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.epsilon = epsilon

    def forward(self, x):
        return nn.functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class Rotary(nn.Module):
    """Cosines and sines of the rotary embedding; the angles are float32 whatever the model computes in."""

    def __init__(self, head_dim, theta):
        super().__init__()
        exponent = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("inv_freq", 1.0 / theta**exponent, persistent=False)

    def forward(self, pos, dtype):
        """pos i64 [T] -> cos, sin [T, head_dim / 2]."""
        angle = (pos.float().unsqueeze(1) * self.inv_freq.float()).to(at_least_f32(dtype))
        return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, turn, as_one_node):
    """x [T,H,D], its halves turned against each other. As one RotaryEmbedding node, which opsets below 23 lack."""
    cos, sin = turn
    if as_one_node:
        heads, dim = x.shape[1:]
        y = torch.onnx.ops.rotary_embedding(x.reshape(1, -1, heads * dim), cos.unsqueeze(0), sin.unsqueeze(0),
                                            num_heads=heads)
        return y.reshape(-1, heads, dim)
    a, b = x.chunk(2, -1)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    def __init__(self, c, routes):
        super().__init__()
        self.c = c
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        self.q_proj, self.k_proj, self.v_proj = _linear(c.hidden, q), _linear(c.hidden, kv), _linear(c.hidden, kv)
        self.o_proj = _linear(q, c.hidden)
        self.q_norm, self.k_norm = RmsNorm(c.head_dim, c.norm_epsilon), RmsNorm(c.head_dim, c.norm_epsilon)
        if routes and c.router_projections:
            self.router_q_proj = nn.ModuleList([_linear(c.hidden, q)])
            self.router_k_proj = nn.ModuleList([_linear(c.hidden, kv)])

    def project(self, x, turn, as_one_node):
        """Queries and keys, normalised per head and turned, and values: [T,H,D], [T,G,D], [T,G,D]."""
        q = self.q_norm(self.q_proj(x).view(-1, self.c.heads, self.c.head_dim))
        k = self.k_norm(self.k_proj(x).view(-1, self.c.kv_heads, self.c.head_dim))
        v = self.v_proj(x).view(-1, self.c.kv_heads, self.c.head_dim)
        return rotate(q, turn, as_one_node), rotate(k, turn, as_one_node), v

    def forward(self, x, turn, as_one_node, attend):
        y = attend(self, x, *self.project(x, turn, as_one_node))
        return None if y is None else self.o_proj(y.reshape(-1, self.c.heads * self.c.head_dim))

    def routing_query(self, x, q):
        if not self.c.router_projections:
            return q
        return self.router_q_proj[0](x).view(-1, self.c.heads, self.c.head_dim)

    def routing_key(self, x, k):
        if not self.c.router_projections:
            return k
        return self.router_k_proj[0](x).view(-1, self.c.kv_heads, self.c.head_dim)


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj, self.up_proj = _linear(c.hidden, c.intermediate), _linear(c.hidden, c.intermediate)
        self.down_proj = _linear(c.intermediate, c.hidden)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c, routes):
        super().__init__()
        self.routes = routes
        self.input_layernorm = RmsNorm(c.hidden, c.norm_epsilon)
        self.self_attn = Attention(c, routes)
        self.post_attention_layernorm = RmsNorm(c.hidden, c.norm_epsilon)
        self.mlp = Mlp(c)

    def forward(self, x, turn, as_one_node, attend):
        """The residual stream after the layer. `attend(self_attn, h, q, k, v)` is how heads attend, which differs from
        entry to entry: it returns their results [T,H,D], or None where nothing behind it is wanted."""
        y = self.self_attn(self.input_layernorm(x), turn, as_one_node, attend)
        if y is None:
            return None
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x))


class Stack(nn.Module):
    """What the entries share, under the names of the checkpoint (`model.`)."""

    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden)
        self.layers = nn.ModuleList([Layer(c, i in c.router_layers) for i in range(c.layers)])
        self.norm = RmsNorm(c.hidden, c.norm_epsilon)
        self.rotary = Rotary(c.head_dim, c.rope_theta)


class Decoder(nn.Module):
    """All weights of a checkpoint. `Encode`, `Prefill` and `Decode` compute with them.

    `as_one_node` exports each rotary embedding as a RotaryEmbedding (opset 23 or later)."""

    def __init__(self, config, weights, as_one_node=False):
        super().__init__()
        self.config, self.as_one_node = config, as_one_node
        with torch.device("meta"):
            self.model = Stack(config)
            self.lm_head = _linear(config.hidden, config.vocab_size)
        self.model.rotary = Rotary(config.head_dim, config.rope_theta)
        if config.tied_embeddings:
            weights = weights | {"lm_head.weight": weights["model.embed_tokens.weight"]}
        self.load_state_dict(weights, strict=True, assign=True)
        self.requires_grad_(False)
        self.eval()


class _Entry(nn.Module):
    def __init__(self, decoder, uses_head=True):
        super().__init__()
        self.config, self.as_one_node = decoder.config, decoder.as_one_node
        self.model = decoder.model
        self.scale = self.config.head_dim**-0.5
        if uses_head:
            self.lm_head = decoder.lm_head

    def run(self, ids, pos, attend):
        """Yields the residual stream after each layer; `attend(i, ...)` is the layers' with the layer's number."""
        x = self.model.embed_tokens(ids)
        turn = self.model.rotary(pos, x.dtype)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, turn, self.as_one_node, functools.partial(attend, i))
            if x is None:
                return
            yield x

    def logits(self, x):
        y = self.lm_head(self.model.norm(x))
        return y.to(at_least_f32(y.dtype))


class Encode(_Entry):
    """Packed documents -> the rows of every router layer's bank, then the document of every row."""

    def __init__(self, decoder):
        super().__init__(decoder, uses_head=False)

    def forward(self, ids, doc, pos):
        c, rows, chunk_docs = self.config, [], []

        def attend(i, attention, h, q, k, v):
            if i in c.router_layers:
                mem_k, chunk_doc = msa.compress(k, doc, pos, c.chunk_length)
                mem_v, _ = msa.compress(v, doc, pos, c.chunk_length)
                rows.extend([mem_k, mem_v])
                chunk_docs.append(chunk_doc)
                if c.routing_keys:
                    key = attention.routing_key(h, k)
                    rows.append(msa.compress(key, doc, pos, c.chunk_length, "mean", int(c.normalize))[0])
            if i == c.router_layers[-1]:
                return None  # no later layer touches the bank
            return msa.document_attention(q, k, v, doc, self.scale, 1)

        for _ in self.run(ids, pos, attend):
            pass
        # A bank takes f32 and rounds to the type that it stores, so rows of a smaller type stay what they are.
        return *(row.to(at_least_f32(row.dtype)) for row in rows), chunk_docs[0]


class Prefill(_Entry):
    """A query, the bank and the prefix -> the last token's logits, the choice of every router layer, and every
    layer's context. With `trace` also what tests look at: see models/README.md."""

    def __init__(self, decoder, trace=False):
        super().__init__(decoder)
        self.trace = trace

    def forward(self, ids, pos, query_mask, *memory):
        c, memory = self.config, iter(memory)
        bank = {}
        for i in c.router_layers:
            keys = next(memory) if c.routing_keys else None
            k, v = next(memory), next(memory)
            bank[i] = (k if keys is None else keys, k, v)
        chunk_doc = next(memory)
        prefix = list(memory)
        choices, contexts, all_scores = [], [], []

        def attend(i, attention, h, q, k, v):
            prefix_k, prefix_v = prefix[2 * i:2 * i + 2]
            if i in c.router_layers:
                keys, mem_k, mem_v = bank[i]
                query = attention.routing_query(h, q)
                rule = (c.head_reduce, c.query_reduce, c.chunk_reduce, int(c.normalize), c.route_scale)
                docs, scores, chunks = msa.route(query, keys, chunk_doc, query_mask, c.top_k, *rule)
                choices.extend([docs, scores])
                if self.trace:
                    all_scores.append(msa.route(query, keys, chunk_doc, query_mask, 2**30, *rule)[1])
                y, ctx_k, ctx_v = msa.read(q, k, v, mem_k, mem_v, chunks, prefix_k, prefix_v, self.scale)
            else:
                y, ctx_k, ctx_v = msa.attention(q, k, v, prefix_k, prefix_v, self.scale, 1)
            contexts.extend([ctx_k, ctx_v])
            return y

        streams = list(self.run(ids, pos, attend))
        extra = []
        if self.trace:
            extra = [self.logits(streams[-1][-4:]), torch.cat([x[-1:] for x in streams]), *all_scores]
        return self.logits(streams[-1][-1:]), *choices, *contexts, *extra


class Decode(_Entry):
    """New tokens behind a context, every one of which sees them all -> the last one's logits and the longer context."""

    def forward(self, ids, pos, *context):
        longer = []

        def attend(i, attention, h, q, k, v):
            y, next_k, next_v = msa.attention(q, k, v, context[2 * i], context[2 * i + 1], self.scale, 0)
            longer.extend([next_k, next_v])
            return y

        *_, x = self.run(ids, pos, attend)
        return self.logits(x[-1:]), *longer

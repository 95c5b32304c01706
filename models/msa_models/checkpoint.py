# SPDX-License-Identifier: Apache-2.0
"""Reads a published MSA checkpoint: a folder with config.json, *.safetensors and a tokenizer.

What is read is checked: a file, field, tensor or value that this package does not know how to compute with raises
CheckpointError, which names it and says what was expected. Weights come as float32.
"""
import json
import os
import warnings
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open

# Scalars that only training uses.
_TRAINING_ONLY = {"temperature", "b"}


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, with the file and the field or tensor at fault."""


@dataclass(frozen=True)
class Config:
    """The part of config.json that changes what is computed. Lengths are in tokens."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab_size: int
    norm_epsilon: float
    rope_theta: float
    tied_embeddings: bool
    chunk_length: int
    top_k: int
    router_layers: tuple
    head_reduce: str
    query_reduce: str
    chunk_reduce: str
    router_projections: bool  # routing has projections of its own
    loss: str
    normalize: bool  # routing compares unit vectors
    stop_tokens: tuple

    @property
    def routing_keys(self):
        """Whether the bank holds routing keys beside the keys that attention reads: they are projected by other
        weights or, unlike those, normalised."""
        return self.router_projections or self.normalize

    @property
    def route_scale(self):
        """What a routing dot product is multiplied by."""
        return 1.0 if self.router_projections and self.normalize else self.head_dim**-0.5

    @property
    def first_position(self):
        """Position of a query's first token; the 3 is a constant of the published models."""
        return 3 + self.top_k


def _read_json(folder, name, required=True):
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as f:
            value = json.load(f)
    except FileNotFoundError:
        if required:
            raise CheckpointError(f"expected a file '{name}' in the checkpoint folder '{folder}', found none") from None
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as e:
        raise CheckpointError(f"expected '{path}' to hold JSON, found: {e}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"expected '{path}' to hold a JSON object, found {type(value).__name__}")
    return value


class _Fields:
    """Typed access to a JSON object; errors name the file and the field."""

    def __init__(self, where, fields):
        self.where, self.fields = where, fields

    def fail(self, name, expected):
        found = f"found {json.dumps(self.fields[name])}" if name in self.fields else "found no such field"
        raise CheckpointError(f"expected {expected} for '{name}' in {self.where}, {found}")

    def count(self, name, default=None):
        value = self.fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
            self.fail(name, "a positive integer")
        return value

    def number(self, name, default=None):
        value = self.fields.get(name, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
            self.fail(name, "a positive number")
        return float(value)

    def flag(self, name, default=None):
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            self.fail(name, "true or false")
        return value

    def one_of(self, name, values, default=None):
        value = self.fields.get(name, default)
        if not isinstance(value, str) or value not in values:
            self.fail(name, "one of " + ", ".join(repr(v) for v in values))
        return value


def _router_layers(f, layers):
    value = f.fields.get("router_layer_idx")
    if value == "all":
        return tuple(range(layers))
    if isinstance(value, str):
        value = [int(p) if p.strip().isascii() and p.strip().isdigit() else None for p in value.split(",")]
    ok = isinstance(value, list) and value and all(
        isinstance(i, int) and not isinstance(i, bool) and 0 <= i < layers for i in value)
    if not ok or len(set(value)) != len(value):
        f.fail("router_layer_idx", f"\"all\" or distinct layer numbers from 0 to {layers - 1}, as in \"2,3\",")
    return tuple(sorted(value))


def _normalizes(loss, override):
    if override is not None:
        return override
    if "INFONCE" in loss and loss != "INFONCE":
        warnings.warn(
            f"aux_loss_method '{loss}' contains INFONCE but is not equal to it: the published inference code does not "
            "normalise routing vectors then, although the training code does. Following inference: not normalised. "
            "If routing is poor, export again with --normalize yes", stacklevel=4)
    return loss == "INFONCE"


def _stop_tokens(folder, config, vocab_size):
    generation = _read_json(folder, "generation_config.json", required=False)
    where, value = "generation_config.json", generation.get("eos_token_id")
    if value is None:
        where, value = "config.json", config.get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for i in ids:
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < vocab_size:
            raise CheckpointError(f"expected token ids below {vocab_size} for 'eos_token_id' in {where}, "
                                  f"found {json.dumps(i)}")
    return tuple(ids)


def read_config(folder, normalize=None):
    """The Config of a checkpoint folder. `normalize` overrides whether routing compares unit vectors."""
    if not os.path.isdir(folder):
        raise CheckpointError(f"expected a checkpoint folder, found no folder '{folder}'")
    raw = _read_json(folder, "config.json")
    f = _Fields("config.json", raw)
    f.one_of("model_type", ["msa"])
    if not isinstance(raw.get("msa_config"), dict):
        f.fail("msa_config", "an object")
    m = _Fields("msa_config of config.json", raw["msa_config"])

    # What the published models leave at its neutral value, and this package therefore does not compute.
    f.one_of("hidden_act", ["silu"], "silu")
    for name in ["attention_bias", "use_sliding_window"]:
        if raw.get(name, False) is not False:
            f.fail(name, "false")
    if raw.get("sliding_window") not in (None, False):
        f.fail("sliding_window", "false or null (attention over all positions)")
    for i, kind in enumerate(raw.get("layer_types") or []):
        if kind != "full_attention":
            raise CheckpointError(f"expected \"full_attention\" for 'layer_types' entry {i} in config.json, "
                                  f"found {json.dumps(kind)}")
    theta = f
    if raw.get("rope_scaling") is not None:
        f.fail("rope_scaling", "null")
    if "rope_theta" not in raw and isinstance(raw.get("rope_parameters"), dict):
        theta = _Fields("rope_parameters of config.json", raw["rope_parameters"])
        theta.one_of("rope_type", ["default"], "default")

    layers, heads = f.count("num_hidden_layers"), f.count("num_attention_heads")
    hidden, kv_heads = f.count("hidden_size"), f.count("num_key_value_heads")
    if heads % kv_heads:
        f.fail("num_key_value_heads", f"a divisor of num_attention_heads ({heads})")
    head_dim = f.count("head_dim", hidden // heads or None)
    if head_dim % 2:
        f.fail("head_dim", "an even number (rotary embedding turns pairs)")
    vocab_size = f.count("vocab_size")
    loss = m.fields.get("aux_loss_method", "")
    if not isinstance(loss, str):
        m.fail("aux_loss_method", "a string")
    top_k = "doc_top_k" if m.fields.get("doc_top_k") is not None else "top_k_docs"
    return Config(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        intermediate=f.count("intermediate_size"), vocab_size=vocab_size, norm_epsilon=f.number("rms_norm_eps", 1e-6),
        rope_theta=theta.number("rope_theta", 10000.0), tied_embeddings=f.flag("tie_word_embeddings", False),
        chunk_length=m.count("pooling_kernel_size"), top_k=m.count(top_k, 16),
        router_layers=_router_layers(m, layers),
        head_reduce=m.one_of("head_reduce_method", ["mean", "max"], "mean"),
        query_reduce=m.one_of("query_reduce_method", ["max", "mean", "last"], "max"),
        chunk_reduce=m.one_of("chunk_reduce_method", ["max", "mean"], "max"),
        router_projections=m.flag("decouple_router"), loss=loss, normalize=_normalizes(loss, normalize),
        stop_tokens=_stop_tokens(folder, raw, vocab_size))


def expected_shapes(c):
    """The name and shape of every tensor that a checkpoint of this Config must hold."""
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    shapes = {"model.embed_tokens.weight": (c.vocab_size, c.hidden), "model.norm.weight": (c.hidden,)}
    if not c.tied_embeddings:
        shapes["lm_head.weight"] = (c.vocab_size, c.hidden)
    for i in range(c.layers):
        layer = {
            "input_layernorm": (c.hidden,), "post_attention_layernorm": (c.hidden,),
            "self_attn.q_proj": (q, c.hidden), "self_attn.k_proj": (kv, c.hidden), "self_attn.v_proj": (kv, c.hidden),
            "self_attn.o_proj": (c.hidden, q), "self_attn.q_norm": (c.head_dim,), "self_attn.k_norm": (c.head_dim,),
            "mlp.gate_proj": (c.intermediate, c.hidden), "mlp.up_proj": (c.intermediate, c.hidden),
            "mlp.down_proj": (c.hidden, c.intermediate)}
        if c.router_projections and i in c.router_layers:
            layer |= {"self_attn.router_q_proj.0": (q, c.hidden), "self_attn.router_k_proj.0": (kv, c.hidden)}
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


def _files(folder):
    """Maps every tensor's name to the file that holds it."""
    index_name = "model.safetensors.index.json"
    if os.path.exists(os.path.join(folder, index_name)):
        weight_map = _read_json(folder, index_name).get("weight_map")
        if not isinstance(weight_map, dict):
            raise CheckpointError(f"expected an object 'weight_map' in {index_name}, found none")
        for tensor, name in weight_map.items():
            if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
                raise CheckpointError(f"expected a file name inside the folder for tensor '{tensor}' in {index_name}, "
                                      f"found {json.dumps(name)}")
        return weight_map
    names = sorted(n for n in os.listdir(folder) if n.endswith(".safetensors"))
    if "model.safetensors" in names:  # the usual name; whatever else lies there is no part of the model
        names = ["model.safetensors"]
    if not names:
        raise CheckpointError(f"expected '*.safetensors' in the checkpoint folder '{folder}', found none")
    found = {}
    for name in names:
        with _open(folder, name) as f:
            for tensor in f.keys():
                if tensor in found:
                    raise CheckpointError(f"expected tensor '{tensor}' once, found it in '{found[tensor]}' and '{name}'"
                                          f" (several files need a {index_name})")
                found[tensor] = name
    return found


def _open(folder, name):
    try:
        return safe_open(os.path.join(folder, name), framework="pt")
    except FileNotFoundError:
        raise CheckpointError(f"expected weight file '{name}' in '{folder}', found none") from None
    except (SafetensorError, OSError) as e:
        raise CheckpointError(f"expected '{name}' in '{folder}' to be a safetensors file, found: {e}") from None


def read_weights(folder, config):
    """{name: float32 tensor} of a checkpoint folder, exactly the tensors of `expected_shapes(config)`."""
    where, shapes = _files(folder), expected_shapes(config)
    missing = [n for n in shapes if n not in where]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"expected tensor '{missing[0]}' of shape {list(shapes[missing[0]])} in '{folder}', "
                              f"found none{more and ' (missing: it' + more + ')'}")
    unused = [n for n in where if n not in shapes and n not in _TRAINING_ONLY and not n.endswith("rotary_emb.inv_freq")
              and not (n == "lm_head.weight" and config.tied_embeddings)]
    if unused:
        warnings.warn(f"tensors of the checkpoint that config.json gives no use for, left out: {', '.join(unused)}",
                      stacklevel=2)
    weights = {}
    for name in sorted({where[n] for n in shapes}):
        with _open(folder, name) as f:
            held = set(f.keys())
            for tensor in (n for n in shapes if where[n] == name):
                if tensor not in held:
                    raise CheckpointError(f"expected tensor '{tensor}' in '{name}' as the index says, found none")
                value = f.get_tensor(tensor)
                if tuple(value.shape) != shapes[tensor]:
                    raise CheckpointError(f"expected shape {list(shapes[tensor])} of tensor '{tensor}' in '{name}', "
                                          f"found {list(value.shape)}")
                if not value.is_floating_point():
                    raise CheckpointError(f"expected floating-point tensor '{tensor}' in '{name}', "
                                          f"found {str(value.dtype).removeprefix('torch.')}")
                weights[tensor] = value.float()
    return weights

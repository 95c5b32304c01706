# SPDX-License-Identifier: Apache-2.0
"""What the checkpoint reader takes, and how it refuses the rest: by the name of the file, field or tensor."""
import json
import shutil

import pytest
import torch
from conftest import FIXTURES, command
from safetensors.torch import load_file, save_file

from msa_models.checkpoint import CheckpointError, expected_shapes, read_config, read_weights

NAME = "decoupled-infonce-p64"
_DELETE = object()


@pytest.fixture
def checkpoint(tmp_path):
    """A copy to break."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"]:
        shutil.copy(FIXTURES / NAME / name, folder / name)
    return folder


def edit(folder, part=None, file="config.json", **fields):
    path = folder / file
    config = json.loads(path.read_text())
    target = config if part is None else config[part]
    for name, value in fields.items():
        if value is _DELETE:
            del target[name]
        else:
            target[name] = value
    path.write_text(json.dumps(config))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_reads_what_the_published_models_hold(checkpoint):
    c = read_config(checkpoint)
    assert (c.layers, c.heads, c.kv_heads, c.head_dim, c.hidden) == (4, 4, 2, 16, 64)
    assert (c.chunk_length, c.top_k, c.router_layers, c.first_position) == (64, 4, (2, 3), 7)
    assert c.normalize and c.router_projections and c.routing_keys and c.route_scale == 1.0
    assert c.stop_tokens == (507, 505)
    weights = read_weights(checkpoint, c)
    assert weights.keys() == expected_shapes(c).keys()
    stored = load_file(checkpoint / "model.safetensors")
    for name, w in weights.items():
        assert w.dtype == torch.float32 and (w == stored[name].float()).all()


def test_coupled_router_routes_over_attention_keys(checkpoint):
    c = read_config(FIXTURES / "coupled-p16")
    assert not c.router_projections and not c.normalize and not c.routing_keys and c.route_scale == 0.25
    # Coupled and normalised: the routing keys differ from those that attention reads, so the bank holds both.
    edit(checkpoint, "msa_config", decouple_router=False)
    c = read_config(checkpoint)
    assert c.normalize and c.routing_keys and c.route_scale == 0.25


@pytest.mark.parametrize("value, layers", [("all", (0, 1, 2, 3)), ("3, 1", (1, 3)), ([0, 2], (0, 2))])
def test_router_layers(checkpoint, value, layers):
    edit(checkpoint, "msa_config", router_layer_idx=value)
    assert read_config(checkpoint).router_layers == layers


def test_doc_top_k_comes_before_top_k_docs(checkpoint):
    edit(checkpoint, "msa_config", doc_top_k=2, top_k_docs=9)
    assert read_config(checkpoint).top_k == 2
    edit(checkpoint, "msa_config", doc_top_k=_DELETE)
    assert read_config(checkpoint).top_k == 9
    edit(checkpoint, "msa_config", top_k_docs=_DELETE)
    assert read_config(checkpoint).top_k == 16


def test_loss_that_only_contains_infonce_is_warned_about(checkpoint):
    edit(checkpoint, "msa_config", aux_loss_method="INFONCE_DECOUPLE")
    with pytest.warns(UserWarning, match="INFONCE_DECOUPLE.*not\n? ?normalise|INFONCE_DECOUPLE.*does not"):
        c = read_config(checkpoint)
    assert not c.normalize and c.route_scale == 0.25
    assert read_config(checkpoint, normalize=True).normalize


def test_stop_tokens_of_config_serve_without_a_generation_config(checkpoint):
    (checkpoint / "generation_config.json").unlink()
    assert read_config(checkpoint).stop_tokens == (507,)


def test_sharded_weights(checkpoint):
    c = read_config(checkpoint)
    whole = read_weights(checkpoint, c)
    stored = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    names = sorted(stored)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({n: stored[n] for n in part}, checkpoint / file)
    without_index = read_weights(checkpoint, c)
    index = {"weight_map": {n: file for file, part in shards.items() for n in part}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    for read in [without_index, read_weights(checkpoint, c)]:
        assert all((read[n] == whole[n]).all() for n in whole)
    (checkpoint / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match="'model-2.safetensors'.*found none"):
        read_weights(checkpoint, c)
    index["weight_map"][names[0]] = "../elsewhere.safetensors"
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="inside the folder.*elsewhere"):
        read_weights(checkpoint, c)


BAD_CONFIG = [
    (None, "model_type", "qwen3", "'msa' for 'model_type'.*\"qwen3\""),
    (None, "model_type", _DELETE, "'model_type'.*found no such field"),
    (None, "msa_config", _DELETE, "'msa_config'"),
    (None, "sliding_window", True, "'sliding_window'.*true"),
    (None, "sliding_window", 4096, "'sliding_window'.*4096"),
    (None, "use_sliding_window", True, "'use_sliding_window'"),
    (None, "attention_bias", True, "'attention_bias'"),
    (None, "hidden_act", "gelu", "'silu' for 'hidden_act'.*gelu"),
    (None, "rope_scaling", {"type": "yarn"}, "'rope_scaling'.*yarn"),
    (None, "layer_types", ["sliding_attention"], "'layer_types' entry 0"),
    (None, "num_hidden_layers", 0, "'num_hidden_layers'.*0"),
    (None, "num_hidden_layers", "4", "'num_hidden_layers'"),
    (None, "num_key_value_heads", 3, "'num_key_value_heads'.*3"),
    (None, "head_dim", 15, "'head_dim'.*15"),
    (None, "rms_norm_eps", -1.0, "'rms_norm_eps'"),
    (None, "tie_word_embeddings", "no", "'tie_word_embeddings'"),
    ("msa_config", "pooling_kernel_size", _DELETE, "'pooling_kernel_size' in msa_config.*no such"),
    ("msa_config", "router_layer_idx", "2,9", "'router_layer_idx'.*2,9"),
    ("msa_config", "router_layer_idx", "2,2", "'router_layer_idx'"),
    ("msa_config", "router_layer_idx", "", "'router_layer_idx'"),
    ("msa_config", "router_layer_idx", None, "'router_layer_idx'"),
    ("msa_config", "head_reduce_method", "sum", "'head_reduce_method'.*sum"),
    ("msa_config", "query_reduce_method", "min", "'query_reduce_method'.*min"),
    ("msa_config", "chunk_reduce_method", "last", "'chunk_reduce_method'.*last"),
    ("msa_config", "decouple_router", _DELETE, "'decouple_router'"),
    ("msa_config", "doc_top_k", 0, "'doc_top_k'.*0"),
]


@pytest.mark.parametrize("part, name, value, message", BAD_CONFIG)
def test_config_errors_name_the_field(checkpoint, part, name, value, message):
    edit(checkpoint, part, **{name: value})
    with pytest.raises(CheckpointError, match=message):
        read_config(checkpoint)


def test_stop_token_outside_the_vocabulary(checkpoint):
    edit(checkpoint, file="generation_config.json", eos_token_id=[507, 521])
    with pytest.raises(CheckpointError, match="'eos_token_id' in generation_config.json, found 521"):
        read_config(checkpoint)


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff", "{" * 100000])
def test_config_that_is_not_a_json_object(checkpoint, content):
    (checkpoint / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match="config.json"):
        read_config(checkpoint)


def test_weight_errors_name_the_tensor(checkpoint):
    c, name = read_config(checkpoint), "model.layers.2.self_attn.router_k_proj.0.weight"
    edit_weights(checkpoint, lambda w: w.update({name: w[name][:-1].clone()}))
    with pytest.raises(CheckpointError, match=r"shape \[32, 64\] of tensor '" + name + r"'.*\[31, 64\]"):
        read_weights(checkpoint, c)
    edit_weights(checkpoint, lambda w: w.update({name: torch.zeros(32, 64, dtype=torch.int32)}))
    with pytest.raises(CheckpointError, match="floating-point tensor '" + name + "'.*int32"):
        read_weights(checkpoint, c)
    edit_weights(checkpoint, lambda w: w.pop(name))
    with pytest.raises(CheckpointError, match="tensor '" + name + "' of shape"):
        read_weights(checkpoint, c)


def test_unused_tensors_are_warned_about(checkpoint):
    edit_weights(checkpoint, lambda w: w.update({"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)}))
    with pytest.warns(UserWarning, match="model.layers.0.self_attn.q_proj.bias"):
        read_weights(checkpoint, read_config(checkpoint))


@pytest.mark.parametrize("damage", ["truncate", "garbage", "remove"])
def test_damaged_weight_file(checkpoint, damage):
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data[:1000] if damage == "truncate" else b"\xff" * 4096)
    with pytest.raises(CheckpointError, match="safetensors"):
        read_weights(checkpoint, read_config(checkpoint))


def test_command_line_reports_in_one_line(checkpoint, tmp_path):
    edit(checkpoint, sliding_window=True)
    bad = command("export", checkpoint, "--out", tmp_path / "out")
    assert bad.returncode == 1 and bad.stdout == ""
    assert bad.stderr.startswith("error: expected false or null") and bad.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert command("export", checkpoint).returncode == 2


def test_command_line_writes_the_folder(exported):
    assert sorted(p.name for p in exported("needle").iterdir()) == [
        "decode.onnx", "encode.onnx", "msa.json", "prefill.onnx", "tokenizer.json", "weights.bin"]


def test_a_stranger_in_the_folder_is_refused(checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "route.onnx").touch()
    result = command("export", checkpoint, "--out", tmp_path / "out")
    assert result.returncode == 1 and "found 'route.onnx'" in result.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["route.onnx"]

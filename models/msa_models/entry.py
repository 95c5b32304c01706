# SPDX-License-Identifier: Apache-2.0
"""From a PyTorch module to one ONNX file of a model folder: names, dimensions, weights beside it."""
import inspect
import re
from dataclasses import dataclass

import onnx_ir as ir
import torch

from .domain import DOMAIN, attach
from .domain.torch_ops import TRANSLATIONS

_TORCH = {"i64": torch.int64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "bool": torch.bool}


@dataclass(frozen=True)
class Port:
    """A named input or output: element type `i64`, `f32`, `bf16`, `f16` or `bool`, and dims, a name for each that is dynamic."""

    name: str
    type: str
    shape: tuple

    def example(self):
        """A tensor of this type and shape to trace with; no two dynamic dims have the same size."""
        size = [d if isinstance(d, int) else 5 + sum(map(ord, d)) % 89 for d in self.shape]
        return torch.ones(size, dtype=_TORCH[self.type])


@dataclass
class Entry:
    """A file to write: its stem, the module, and what goes in and comes out, in the order of forward()."""

    name: str
    module: torch.nn.Module
    inputs: list
    outputs: list


def export_entry(entry, opset):
    """An onnx_ir.Model of the entry, weights still inside, with calls of `ai.msa` but not their bodies."""
    shapes = [{i: d for i, d in enumerate(p.shape) if isinstance(d, str)} for p in entry.inputs]
    fixed = len([p for p in _parameters(entry.module) if p.kind is p.POSITIONAL_OR_KEYWORD])
    if fixed < len(entry.inputs):
        shapes = [*shapes[:fixed], tuple(shapes[fixed:])]
    entry.module.eval()
    program = torch.onnx.export(
        entry.module, tuple(p.example() for p in entry.inputs), dynamo=True, opset_version=opset,
        custom_translation_table=TRANSLATIONS, input_names=[p.name for p in entry.inputs],
        output_names=[p.name for p in entry.outputs], dynamic_shapes=tuple(shapes), verbose=False)
    model = program.model
    _check_ports(entry, model)
    _name_nodes(model)
    _name_dims(entry, model)
    model.producer_name, model.producer_version, model.doc_string = "msa_models", "1", None
    model.graph.name = entry.name
    return model


def _parameters(module):
    return inspect.signature(module.forward).parameters.values()


def _check_ports(entry, model):
    for ports, values in [(entry.inputs, model.graph.inputs), (entry.outputs, model.graph.outputs)]:
        found = [v.name for v in values]
        if found != [p.name for p in ports]:
            raise RuntimeError(f"expected the exporter to keep {[p.name for p in ports]} in '{entry.name}', found {found}")


def _name_dims(entry, model):
    """Gives every dim the name that the ports promise. The exporter calls a length that depends on data u0, u1, ...,
    and a sum what it pleases."""
    names = {}
    for node in model.graph:
        if node.domain == DOMAIN:
            layer = re.search(r"layers\.(\d+)", node.name)
            chosen = f"Z_{layer[1]}" if layer else "Z"
            results = {"Compress": ["C"] * 2, "CompressLatent": ["C"] * 2, "Route": ["S", "S", chosen]}
            for name, value in zip(results.get(node.op_type, []), node.outputs):
                dim = value.shape[0] if value.shape is not None else None
                if isinstance(dim, ir.SymbolicDim) and dim.value:
                    names.setdefault(dim.value, name)
    for port, value in zip(entry.outputs, model.graph.outputs):
        for want, have in zip(port.shape, value.shape):
            if isinstance(want, str) and isinstance(have, ir.SymbolicDim) and have.value and have.value.isidentifier():
                names[have.value] = want
    for port, value in [*zip(entry.inputs, model.graph.inputs), *zip(entry.outputs, model.graph.outputs)]:
        value.shape = ir.Shape(port.shape)
    done = {v.name for v in [*model.graph.inputs, *model.graph.outputs]}
    unknown = re.compile(r"\bu\d+\b")
    for node in model.graph:
        node_values = [v for v in node.outputs if v.name not in done and v.shape is not None]
        for value in node_values:
            dims = [d if isinstance(d, int) else unknown.sub(lambda m: names.get(m[0], m[0]), d.value or "") or None
                    for d in value.shape]
            value.shape = ir.Shape(dims)


def _name_nodes(model):
    """Names each node after the module that it comes from, and drops all other metadata: paths of this machine."""
    taken = {}
    for node in model.graph:
        scopes = re.findall(r"'([^']*)'", node.metadata_props.get("pkg.torch.onnx.name_scopes", ""))
        scope = next((s for s in reversed(scopes[:-1]) if s), "")
        name = f"{scope}/{node.op_type}" if scope else node.op_type
        taken[name] = taken.get(name, -1) + 1
        node.name = name if not taken[name] else f"{name}_{taken[name]}"
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
    for value in [*model.graph.inputs, *model.graph.initializers.values()]:
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()


def finish(model, weights):
    """The ModelProto of an exported entry: its large weights in the WeightFile, the bodies of `ai.msa` attached."""
    for value in model.graph.initializers.values():
        value.const_value = weights.place(value.const_value, value.name)
    return attach(ir.to_proto(model))

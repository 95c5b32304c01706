# SPDX-License-Identifier: Apache-2.0
"""Inputs, outputs and attributes of every operator of `ai.msa`: the one place that lists them."""
from dataclasses import dataclass, field

import onnx

DOMAIN = "ai.msa"
VERSION = 1

_FLOATS = ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"]
_FIXED = {"i64": "tensor(int64)", "bool": "tensor(bool)", "f32": "tensor(float)"}


@dataclass(frozen=True)
class Operator:
    """One operator. `inputs` and `outputs` map a name to its element type: `i64`, `bool`, `f32`, or a type variable
    (`T`, `T2`) that stands for any floating type. `attributes` maps a name to its default, `choices` the string
    attributes to their admissible values."""

    name: str
    inputs: dict
    outputs: dict
    attributes: dict = field(default_factory=dict)
    choices: dict = field(default_factory=dict)


OPERATORS = {
    o.name: o
    for o in [
        # x [T,H,D], doc [T], pos [T] (0 at the start of each document) -> z [C,H,D], chunk_doc [C]
        Operator("Compress", {"x": "T", "doc": "i64", "pos": "i64"}, {"z": "T", "chunk_doc": "i64"},
                 {"chunk_length": 64, "reduce": "mean", "normalize": 0, "epsilon": 1e-12}, {"reduce": ["mean", "max"]}),
        # q [m,H,D] latent queries, k [T,H,D], v [T,H,E] -> z [C,m,H,E], chunk_doc [C]
        Operator("CompressLatent", {"q": "T", "k": "T", "v": "T", "doc": "i64", "pos": "i64"},
                 {"z": "T", "chunk_doc": "i64"}, {"chunk_length": 64, "scale": 1.0}),
        # q [M,H,D], keys [C,G,D], chunk_doc [C] ascending, query_mask [M]
        # -> docs [S] ascending, scores [S] in that order, chunks [Z] in bank order
        Operator("Route", {"q": "T", "keys": "T2", "chunk_doc": "i64", "query_mask": "bool"},
                 {"docs": "i64", "scores": "f32", "chunks": "i64"},
                 {"k": 16, "head_reduce": "mean", "query_reduce": "max", "chunk_reduce": "max", "normalize": 1,
                  "scale": 1.0, "epsilon": 1e-12},
                 {"head_reduce": ["mean", "max"], "query_reduce": ["max", "mean", "last"],
                  "chunk_reduce": ["max", "mean"]}),
        # q [M,H,D], k [M,G,D], v [M,G,E], mem_k [C,G,D], mem_v [C,G,E], chunks [Z], prefix_k [P,G,D], prefix_v [P,G,E]
        # -> y [M,H,E], ctx_k [P+Z+M,G,D], ctx_v [P+Z+M,G,E]
        Operator("Read", {"q": "T", "k": "T", "v": "T", "mem_k": "T2", "mem_v": "T2", "chunks": "i64",
                          "prefix_k": "T", "prefix_v": "T"},
                 {"y": "T", "ctx_k": "T", "ctx_v": "T"}, {"scale": 1.0}),
        # q [M,H,D], k [M,G,D], v [M,G,E], past_k [N,G,D], past_v [N,G,E] -> y [M,H,E], ctx_k [N+M,G,D], ctx_v
        Operator("Attention", {"q": "T", "k": "T", "v": "T", "past_k": "T", "past_v": "T"},
                 {"y": "T", "ctx_k": "T", "ctx_v": "T"}, {"scale": 1.0, "causal": 1}),
        # q [T,H,D], k [T,G,D], v [T,G,E], doc [T] -> y [T,H,E]
        Operator("DocumentAttention", {"q": "T", "k": "T", "v": "T", "doc": "i64"}, {"y": "T"},
                 {"scale": 1.0, "causal": 1}),
        # bank [C,...], bank_doc [C], rows [c,...], rows_doc [c] -> bank' [C+c,...], doc' [C+c]
        Operator("Write", {"bank": "T", "bank_doc": "i64", "rows": "T2", "rows_doc": "i64"},
                 {"new_bank": "T", "new_doc": "i64"}),
        # bank [C,...], bank_doc [C], docs [e] -> the rows of all other documents, in order
        Operator("Erase", {"bank": "T", "bank_doc": "i64", "docs": "i64"}, {"new_bank": "T", "new_doc": "i64"}),
        # memory [S,E], x [N,E], scores [S,N], gate [S] logits -> memory' [S,E]
        Operator("Update", {"memory": "T", "x": "T2", "scores": "T2", "gate": "T2"}, {"new_memory": "T"}),
        # memory [S,E], usage [S], x [N,E] with N <= S -> memory' [S,E], slots [N]
        Operator("Replace", {"memory": "T", "usage": "f32", "x": "T2"}, {"new_memory": "T", "slots": "i64"}),
    ]
}


def schema(name):
    """The onnx.defs.OpSchema of an operator; the exporter needs one to write a node of a foreign domain."""
    o = OPERATORS[name]

    def parameters(types):
        return [onnx.defs.OpSchema.FormalParameter(n, _FIXED.get(t, t)) for n, t in types.items()]

    variables = sorted({*o.inputs.values(), *o.outputs.values()} - set(_FIXED))
    return onnx.defs.OpSchema(
        name, DOMAIN, VERSION, inputs=parameters(o.inputs), outputs=parameters(o.outputs),
        type_constraints=[(v, _FLOATS, "") for v in variables],
        attributes=[onnx.defs.OpSchema.Attribute(a, onnx.helper.make_attribute(a, d)) for a, d in o.attributes.items()])

# SPDX-License-Identifier: Apache-2.0
"""The operators as `torch.ops.msa.*`: they compute by the reference, trace by shapes, and export as single nodes.

Importing this module registers them. `TRANSLATIONS` goes to torch.onnx.export(custom_translation_table=...): each
operator becomes one node without a body, because the exporter inlines any function it is given; `attach` adds the
bodies afterwards. Operators whose result has a length that depends on the data make a new symbolic size for it.
"""
import inspect
import re

import onnxscript
import torch
from torch import Tensor

from . import reference
from .signatures import DOMAIN, OPERATORS, VERSION, schema

_OPSET = onnxscript.values.Opset(DOMAIN, VERSION)
TRANSLATIONS = {}


def _unknown():
    return torch.library.get_ctx().new_dynamic_size()


def _typed(name, function):
    """The PyTorch schema of an operator, from its signature: tensors first, then the attributes with defaults."""
    operator = OPERATORS[name]
    kinds = {int: "int", float: "float", str: "str"}
    tensors = [f"Tensor {i}" for i in operator.inputs]
    scalars = [f"{kinds[type(d)]} {a}={repr(d) if not isinstance(d, str) else chr(34) + d + chr(34)}"
               for a, d in operator.attributes.items()]
    results = ["Tensor"] * len(operator.outputs)
    return f"({', '.join(tensors + scalars)}) -> " + (results[0] if len(results) == 1 else f"({', '.join(results)})")


def _register(name, fake):
    """Makes torch.ops.msa.<snake_case name> of the operator, with `fake` giving the results' shapes."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    function = getattr(reference, snake)

    def compute(*args, **kwargs):
        results = function(*args, **kwargs)
        inputs = {a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor)}
        own = [r.clone() if r.untyped_storage().data_ptr() in inputs else r
               for r in (results if isinstance(results, tuple) else (results,))]
        return own[0] if len(own) == 1 else tuple(own)

    op = torch.library.custom_op(f"msa::{snake}", compute, mutates_args=(), schema=_typed(name, function))
    op.register_fake(fake)
    node = onnxscript.values.Op(_OPSET, name, schema(name))

    operator = OPERATORS[name]
    parameters = [inspect.Parameter(i, inspect.Parameter.POSITIONAL_OR_KEYWORD) for i in operator.inputs]
    parameters += [inspect.Parameter(a, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d, annotation=type(d))
                   for a, d in operator.attributes.items()]

    def translate(*args, **kwargs):
        bound = translate.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        tensors = [bound.arguments[i] for i in operator.inputs]
        return node(*tensors, **{a: bound.arguments[a] for a in operator.attributes})

    translate.__signature__ = inspect.Signature(parameters)
    translate.__name__ = snake
    TRANSLATIONS[getattr(torch.ops.msa, snake).default] = translate


def _compress(x, doc, pos, *attributes, **more):
    c = _unknown()
    return x.new_empty((c, *x.shape[1:])), doc.new_empty((c,))


def _compress_latent(q, k, v, doc, pos, *attributes, **more):
    c = _unknown()
    return q.new_empty((c, q.shape[0], *v.shape[1:])), doc.new_empty((c,))


def _route(q, keys, chunk_doc, query_mask, *attributes, **more):
    s, z = _unknown(), _unknown()
    score = torch.float64 if q.dtype == torch.float64 else torch.float32
    return chunk_doc.new_empty((s,)), q.new_empty((s,), dtype=score), chunk_doc.new_empty((z,))


def _context(q, k, v, before):
    n = before + k.shape[0]
    return q.new_empty((*q.shape[:2], v.shape[2])), k.new_empty((n, *k.shape[1:])), v.new_empty((n, *v.shape[1:]))


def _read(q, k, v, mem_k, mem_v, chunks, prefix_k, prefix_v, *attributes, **more):
    return _context(q, k, v, prefix_k.shape[0] + chunks.shape[0])


def _attention(q, k, v, past_k, past_v, *attributes, **more):
    return _context(q, k, v, past_k.shape[0])


def _document_attention(q, k, v, doc, *attributes, **more):
    return q.new_empty((*q.shape[:2], v.shape[2]))


def _write(bank, bank_doc, rows, rows_doc):
    n = bank.shape[0] + rows.shape[0]
    return bank.new_empty((n, *bank.shape[1:])), bank_doc.new_empty((n,))


def _erase(bank, bank_doc, docs):
    n = _unknown()
    return bank.new_empty((n, *bank.shape[1:])), bank_doc.new_empty((n,))


def _update(memory, x, scores, gate):
    return torch.empty_like(memory)


def _replace(memory, usage, x):
    return torch.empty_like(memory), torch.empty((x.shape[0],), dtype=torch.int64, device=memory.device)


for _name, _fake in [("Compress", _compress), ("CompressLatent", _compress_latent), ("Route", _route), ("Read", _read),
                     ("Attention", _attention), ("DocumentAttention", _document_attention), ("Write", _write),
                     ("Erase", _erase), ("Update", _update), ("Replace", _replace)]:
    _register(_name, _fake)

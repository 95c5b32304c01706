# SPDX-License-Identifier: Apache-2.0
"""The operators of the ONNX domain `ai.msa`, version 1.

`signatures` says what each operator takes and gives, `reference` what it computes (PyTorch), `bodies` the same in
standard ONNX operators, `attach` puts those bodies into a model, `torch_ops` makes the operators callable from a
PyTorch model and exportable.

Tensors are token-major, without a batch dimension, and an absent tensor (no prefix, no past, an empty bank) is one of
length 0. T: tokens of packed documents, M: active tokens, C: chunks, N: past tokens, Z: chunks of the selected
documents, S: min(k, documents), H and G: query and key/value heads, D and E: head dimensions.
"""
from .attach import attach
from .signatures import DOMAIN, OPERATORS, VERSION, schema

__all__ = ["DOMAIN", "OPERATORS", "VERSION", "attach", "schema"]

# SPDX-License-Identifier: Apache-2.0
"""Memory Sparse Attention models in PyTorch, and their export to ONNX. See models/README.md."""

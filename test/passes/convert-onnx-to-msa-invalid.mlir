// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-msa --verify-diagnostics

// Near misses of memory operators say what is wrong.

func.func @unknown_reduce(%q: tensor<3x4x16xf32>, %keys: tensor<5x2x16xf32>, %doc: tensor<5xi64>, %mask: tensor<3xi1>) -> !onnx.value {
  // expected-error @+1 {{'Route' of ai.msa 0: expected attribute 'query_reduce' to be one of "max", "mean", "last", but got "median"}}
  %0:3 = onnx.node "Route" domain "ai.msa"(%q, %keys, %doc, %mask) {query_reduce = "median"}
      : (tensor<3x4x16xf32>, tensor<5x2x16xf32>, tensor<5xi64>, tensor<3xi1>) -> (!onnx.value, !onnx.none, !onnx.none)
  return %0#0 : !onnx.value
}

// -----

func.func @version(%q: tensor<3x4x16xf32>, %doc: tensor<3xi64>) -> !onnx.value attributes {onnx.opsets = {ai.msa = 2 : i64}} {
  // expected-error @+1 {{expected version 1 of domain 'ai.msa', but the file imports version 2}}
  %0 = onnx.node "DocumentAttention" domain "ai.msa"(%q, %q, %q, %doc)
      : (tensor<3x4x16xf32>, tensor<3x4x16xf32>, tensor<3x4x16xf32>, tensor<3xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @missing(%q: tensor<3x4x16xf32>) -> !onnx.value {
  // expected-error @+1 {{input 3 is missing: the operator has 5 required inputs}}
  %0:3 = onnx.node "Attention" domain "ai.msa"(%q, %q, %q)
      : (tensor<3x4x16xf32>, tensor<3x4x16xf32>, tensor<3x4x16xf32>) -> (!onnx.value, !onnx.none, !onnx.none)
  return %0#0 : !onnx.value
}

// -----

func.func @attribute_kind(%k: tensor<6x2x16xf32>, %doc: tensor<6xi64>) -> !onnx.value {
  // expected-error @+1 {{expected attribute 'chunk_length' to be an INT}}
  %0:2 = onnx.node "Compress" domain "ai.msa"(%k, %doc, %doc) {chunk_length = 4.0 : f32}
      : (tensor<6x2x16xf32>, tensor<6xi64>, tensor<6xi64>) -> (!onnx.value, !onnx.none)
  return %0#0 : !onnx.value
}

// -----

func.func @attribute_unknown(%k: tensor<6x2x16xf32>, %doc: tensor<6xi64>) -> !onnx.value {
  // expected-error @+1 {{attribute 'chunk_size' is not known}}
  %0:2 = onnx.node "Compress" domain "ai.msa"(%k, %doc, %doc) {chunk_size = 4 : i64}
      : (tensor<6x2x16xf32>, tensor<6xi64>, tensor<6xi64>) -> (!onnx.value, !onnx.none)
  return %0#0 : !onnx.value
}

// -----

func.func @heads(%q: tensor<3x5x16xf32>, %k: tensor<3x2x16xf32>, %doc: tensor<3xi64>) -> !onnx.value {
  // expected-error @+1 {{expected the query's 5 heads to be a multiple of the 2 heads of 'k'}}
  %0 = onnx.node "DocumentAttention" domain "ai.msa"(%q, %k, %k, %doc)
      : (tensor<3x5x16xf32>, tensor<3x2x16xf32>, tensor<3x2x16xf32>, tensor<3xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @lengths(%q: tensor<3x4x16xf32>, %doc: tensor<4xi64>) -> !onnx.value {
  // expected-error @+1 {{expected 'doc' (input 3) to have one entry for each row}}
  %0 = onnx.node "DocumentAttention" domain "ai.msa"(%q, %q, %q, %doc)
      : (tensor<3x4x16xf32>, tensor<3x4x16xf32>, tensor<3x4x16xf32>, tensor<4xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @unknown_operator(%q: tensor<3x4x16xf32>) -> !onnx.value {
  // expected-error @+1 {{'Remember' of ai.msa 0: the operator is not supported}}
  %0 = onnx.node "Remember" domain "ai.msa"(%q) : (tensor<3x4x16xf32>) -> !onnx.value
  return %0 : !onnx.value
}

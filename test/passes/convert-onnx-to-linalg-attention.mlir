// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that heads in front of tokens come from and go to a transposition that is then gone.
// CHECK-LABEL: func.func @attention(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<2x?x4x16xf32>{{.*}}, %[[K:[a-z0-9]+]]: tensor<2x?x2x16xf32>
// CHECK-NOT:     linalg.generic
// CHECK:         %[[Y:.+]] = msa.attention %[[Q]], %[[K]], %[[K]] scale 2.500000e-01
// CHECK:         return %[[Y]]
func.func @attention(%q: tensor<2x?x4x16xf32> {onnx.dims = ["", "M", "", ""]}, %k: tensor<2x?x2x16xf32> {onnx.dims = ["", "N", "", ""]}) -> !onnx.value {
  %0 = onnx.node "Transpose"(%q) {perm = array<i64: 0, 2, 1, 3>} : (tensor<2x?x4x16xf32>) -> !onnx.value
  %1 = onnx.node "Transpose"(%k) {perm = array<i64: 0, 2, 1, 3>} : (tensor<2x?x2x16xf32>) -> !onnx.value
  %2 = onnx.node "Attention"(%0, %1, %1) : (!onnx.value, !onnx.value, !onnx.value) -> !onnx.value
  %3 = onnx.node "Transpose"(%2) {perm = array<i64: 0, 2, 1, 3>} : (!onnx.value) -> !onnx.value
  return %3 : !onnx.value
}

// -----

// Tests that a mask is brought to four axes, and that heads on the last axis are split off.
// CHECK-LABEL: func.func @masked(
// CHECK:         %[[MASK:.+]] = tensor.expand_shape %arg2 {{.*}} into tensor<1x1x?x?xi1>
// CHECK:         msa.attention %{{.+}}, %{{.+}}, %{{.+}} mask %[[MASK]] scale 2.500000e-01 : tensor<2x?x4x16xf32>, tensor<2x?x2x16xf32>, tensor<2x?x2x16xf32> mask tensor<1x1x?x?xi1> -> tensor<2x?x4x16xf32>
func.func @masked(%q: tensor<2x?x64xf32> {onnx.dims = ["", "M", ""]}, %k: tensor<2x?x32xf32> {onnx.dims = ["", "N", ""]},
                  %mask: tensor<?x?xi1> {onnx.dims = ["M", "N"]}) -> !onnx.value {
  %0 = onnx.node "Attention"(%q, %k, %k, %mask) {q_num_heads = 4 : i64, kv_num_heads = 2 : i64}
      : (tensor<2x?x64xf32>, tensor<2x?x32xf32>, tensor<2x?x32xf32>, tensor<?x?xi1>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that causal attention of as many queries as keys says so, and that another one gets a mask: ONNX aligns the first query
// with the first key.
// CHECK-LABEL: func.func @causal(
// CHECK:         msa.attention %{{.+}}, %{{.+}}, %{{.+}} causal scale
// CHECK:         %[[MASK:.+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<1x1x?x?xi1>)
// CHECK:           arith.cmpi sle
// CHECK:         msa.attention %{{.+}}, %{{.+}}, %{{.+}} mask %[[MASK]] scale
func.func @causal(%q: tensor<1x4x?x16xf32> {onnx.dims = ["", "", "M", ""]}, %k: tensor<1x4x?x16xf32> {onnx.dims = ["", "", "N", ""]}) -> (!onnx.value, !onnx.value) {
  %0 = onnx.node "Attention"(%q, %q, %q) {is_causal = 1 : i64} : (tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>) -> !onnx.value
  %1 = onnx.node "Attention"(%q, %k, %k) {is_causal = 1 : i64} : (tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>) -> !onnx.value
  return %0, %1 : !onnx.value, !onnx.value
}

// -----

// Tests that a rotary embedding without a batch rotates tokens of heads.
// CHECK-LABEL: func.func @rotary(
// CHECK:         msa.rope %{{.+}} by %{{.+}}, %{{.+}} : tensor<?x4x16xf32>, tensor<?x8xf32>, tensor<?x8xf32>
func.func @rotary(%x: tensor<1x?x64xf32> {onnx.dims = ["", "S", ""]}, %cos: tensor<1x?x8xf32> {onnx.dims = ["", "S", ""]},
                  %sin: tensor<1x?x8xf32> {onnx.dims = ["", "S", ""]}) -> !onnx.value {
  %0 = onnx.node "RotaryEmbedding"(%x, %cos, %sin) {num_heads = 4 : i64} : (tensor<1x?x64xf32>, tensor<1x?x8xf32>, tensor<1x?x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that rows of the caches are taken by position, and that pairs and a part of the dims are heeded.
// CHECK-LABEL: func.func @rotary_by_position(
// CHECK-COUNT-2: msa.take %{{.+}} at %{{.+}} : tensor<50x4xf32>, tensor<?xi64> -> tensor<?x4xf32>
// CHECK:         msa.rope %{{.+}} by %{{.+}}, %{{.+}} interleaved : tensor<2x?x4x16xf32>, tensor<2x?x4xf32>, tensor<2x?x4xf32>
func.func @rotary_by_position(%x: tensor<2x4x?x16xf32> {onnx.dims = ["", "", "S", ""]}, %cos: tensor<50x4xf32>, %sin: tensor<50x4xf32>,
                              %pos: tensor<2x?xi64> {onnx.dims = ["", "S"]}) -> !onnx.value {
  %0 = onnx.node "RotaryEmbedding"(%x, %cos, %sin, %pos) {interleaved = 1 : i64, rotary_embedding_dim = 8 : i64}
      : (tensor<2x4x?x16xf32>, tensor<50x4xf32>, tensor<50x4xf32>, tensor<2x?xi64>) -> !onnx.value
  return %0 : !onnx.value
}

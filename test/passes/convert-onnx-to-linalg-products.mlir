// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that any batch before a constant matrix is rows.
// CHECK-LABEL: func.func @linear(
// CHECK:         %[[ROWS:.+]] = tensor.collapse_shape %arg0 {{\[\[}}0, 1], [2]] : tensor<?x?x8xf32> into tensor<?x8xf32>
// CHECK:         %[[ZERO:.+]] = linalg.fill
// CHECK:         %[[Y:.+]] = linalg.matmul ins(%[[ROWS]], %{{.+}} : tensor<?x8xf32>, tensor<8x16xf32>) outs(%[[ZERO]] : tensor<?x16xf32>)
// CHECK:         tensor.expand_shape %[[Y]] {{.*}} into tensor<?x?x16xf32>
func.func @linear(%x: tensor<?x?x8xf32>) -> !onnx.value {
  %w = onnx.initializer "w" dense<1.0> : tensor<8x16xf32> : tensor<8x16xf32>
  %0 = onnx.node "MatMul"(%x, %w) : (tensor<?x?x8xf32>, tensor<8x16xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that a transposed matrix is read through a map, whether an attribute or a node transposes it.
// CHECK-LABEL: func.func @transposed(
// CHECK-COUNT-2: linalg.matmul indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]
func.func @transposed(%x: tensor<?x8xf32>, %w: tensor<16x8xf32>) -> (!onnx.value, !onnx.value) {
  %0 = onnx.node "Gemm"(%x, %w) {transB = 1 : i64} : (tensor<?x8xf32>, tensor<16x8xf32>) -> !onnx.value
  %1 = onnx.node "Transpose"(%w) : (tensor<16x8xf32>) -> !onnx.value
  %2 = onnx.node "MatMul"(%x, %1) : (tensor<?x8xf32>, !onnx.value) -> !onnx.value
  return %0, %2 : !onnx.value, !onnx.value
}

// -----

// Tests that the bias, alpha and beta of Gemm are one elementwise op behind the product.
// CHECK-LABEL: func.func @gemm(
// CHECK:         %[[P:.+]] = linalg.matmul
// CHECK:         linalg.generic {{.*}} ins(%[[P]], %arg2 :
// CHECK-DAG:       arith.constant 5.000000e-01
// CHECK-DAG:       arith.constant 2.000000e+00
// CHECK:           arith.addf
func.func @gemm(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %b: tensor<16xf32>) -> !onnx.value {
  %0 = onnx.node "Gemm"(%x, %w, %b) {alpha = 0.5 : f32, beta = 2.0 : f32} : (tensor<4x8xf32>, tensor<8x16xf32>, tensor<16xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that products of activations are batched on three axes, and that a transposed second factor is read as it lies.
// CHECK-LABEL: func.func @scores(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<?x4x?x16xf32>{{.*}}, %[[K:[a-z0-9]+]]: tensor<?x4x?x16xf32>
// CHECK-DAG:     %[[QB:.+]] = tensor.collapse_shape %[[Q]] {{\[\[}}0, 1], [2], [3]]
// CHECK-DAG:     %[[KB:.+]] = tensor.collapse_shape %[[K]] {{\[\[}}0, 1], [2], [3]]
// CHECK:         linalg.batch_matmul indexing_maps = [{{.*}}] ins(%[[QB]], %[[KB]] : tensor<?x?x16xf32>, tensor<?x?x16xf32>)
func.func @scores(%q: tensor<?x4x?x16xf32> {onnx.dims = ["B", "", "S", ""]}, %k: tensor<?x4x?x16xf32> {onnx.dims = ["B", "", "T", ""]}) -> !onnx.value {
  %0 = onnx.node "Transpose"(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x?x16xf32>) -> !onnx.value
  %1 = onnx.node "MatMul"(%q, %0) : (tensor<?x4x?x16xf32>, !onnx.value) -> !onnx.value
  return %1 : !onnx.value
}

// -----

// Tests that short floats are accumulated in f32.
// CHECK-LABEL: func.func @half(
// CHECK:         linalg.matmul ins(%{{.+}}, %{{.+}} : tensor<4x8xbf16>, tensor<8x16xbf16>) outs(%{{.+}} : tensor<4x16xf32>)
// CHECK:           arith.truncf
func.func @half(%x: tensor<4x8xbf16>, %w: tensor<8x16xbf16>) -> !onnx.value {
  %0 = onnx.node "MatMul"(%x, %w) : (tensor<4x8xbf16>, tensor<8x16xbf16>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @integers(
// CHECK:           arith.extui
// CHECK:           arith.subi
// CHECK:         linalg.matmul ins(%{{.+}}, %{{.+}} : tensor<4x8xi32>, tensor<8x16xi32>)
func.func @integers(%x: tensor<4x8xui8>, %w: tensor<8x16xi8>, %zero: tensor<ui8>) -> !onnx.value {
  %0 = onnx.node "MatMulInteger"(%x, %w, %zero) : (tensor<4x8xui8>, tensor<8x16xi8>, tensor<ui8>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @einsum(
// CHECK:         linalg.batch_matmul
func.func @einsum(%q: tensor<2x4x3x8xf32>, %k: tensor<2x5x3x8xf32>) -> !onnx.value {
  %0 = onnx.node "Einsum"(%q, %k) {equation = "bqhd,bkhd->bhqk"} : (tensor<2x4x3x8xf32>, tensor<2x5x3x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

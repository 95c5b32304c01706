// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that an embedding lookup takes rows by a flat list of indices.
// CHECK-LABEL: func.func @embedding(
// CHECK:         %[[IDS:.+]] = tensor.collapse_shape %arg0 {{\[\[}}0, 1]]
// CHECK:         %[[ROWS:.+]] = msa.take %{{.+}} at %[[IDS]] : tensor<100x16xf32>, tensor<?xi64> -> tensor<?x16xf32>
// CHECK:         tensor.expand_shape %[[ROWS]] {{.*}} into tensor<?x?x16xf32>
func.func @embedding(%ids: tensor<?x?xi64>) -> !onnx.value {
  %w = onnx.initializer "w" dense<1.0> : tensor<100x16xf32> : tensor<100x16xf32>
  %0 = onnx.node "Gather"(%w, %ids) : (tensor<100x16xf32>, tensor<?x?xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that a known place is a slice.
// CHECK-LABEL: func.func @first(
// CHECK:         tensor.extract_slice %arg0[0, 0, 0] [2, 1, 16] [1, 1, 1]
// CHECK:         tensor.collapse_shape {{.*}} into tensor<2x16xf32>
func.func @first(%x: tensor<2x8x16xf32>) -> !onnx.value {
  %zero = onnx.initializer "zero" dense<0> : tensor<i64> : tensor<i64>
  %0 = onnx.node "Gather"(%x, %zero) {axis = 1 : i64} : (tensor<2x8x16xf32>, tensor<i64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that an index inside the tensor is kept inside.
// CHECK-LABEL: func.func @inner_axis(
// CHECK:         linalg.generic {{.*}} ins(%arg1 :
// CHECK:           arith.minsi
// CHECK:           arith.maxsi
// CHECK:           tensor.extract %arg0
func.func @inner_axis(%x: tensor<4x8xf32>, %i: tensor<3xi64>) -> !onnx.value {
  %0 = onnx.node "Gather"(%x, %i) {axis = 1 : i64} : (tensor<4x8xf32>, tensor<3xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @gather_nd(
// CHECK:         linalg.generic {{.*}} ins(%{{.+}}, %{{.+}} : tensor<5xi64>, tensor<5xi64>) outs(%{{.+}} : tensor<5x3xf32>)
// CHECK:           tensor.extract %arg0
func.func @gather_nd(%x: tensor<4x8x3xf32>, %i: tensor<5x2xi64>) -> !onnx.value {
  %0 = onnx.node "GatherND"(%x, %i) : (tensor<4x8x3xf32>, tensor<5x2xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @trilu(
// CHECK:           linalg.index 1
// CHECK:           linalg.index 0
// CHECK:           arith.cmpi sle
func.func @trilu(%x: tensor<4x4xf32>) -> !onnx.value {
  %0 = onnx.node "Trilu"(%x) {upper = 0 : i64} : (tensor<4x4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that a mean is a sum and a division, with the kept axes as a reshape.
// CHECK-LABEL: func.func @mean(
// CHECK:         %[[SUM:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// CHECK:         %[[MEAN:.+]] = linalg.generic {{.*}} ins(%[[SUM]] :
// CHECK:           arith.constant 8.000000e+00
// CHECK:           arith.divf
// CHECK:         tensor.expand_shape %[[MEAN]] {{.*}} into tensor<?x1xf32>
func.func @mean(%x: tensor<?x8xf32>) -> !onnx.value {
  %axes = onnx.initializer "axes" dense<-1> : tensor<1xi64> : tensor<1xi64>
  %0 = onnx.node "ReduceMean"(%x, %axes) : (tensor<?x8xf32>, tensor<1xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that axes may be an attribute, and that a dynamic length divides as a scalar operand.
// CHECK-LABEL: func.func @mean_of_rows(
// CHECK:         linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]
// CHECK:         tensor.from_elements
// CHECK:         return %{{.+}} : tensor<8xf32>
func.func @mean_of_rows(%x: tensor<?x8xf32>) -> !onnx.value {
  %0 = onnx.node "ReduceMean"(%x) {axes = array<i64: 0>, keepdims = 0 : i64} : (tensor<?x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that the maximum of nothing is minus infinity.
// CHECK-LABEL: func.func @max(
// CHECK:         %[[LOW:.+]] = arith.constant 0xFF800000 : f32
// CHECK:         linalg.fill ins(%[[LOW]] : f32)
// CHECK:           arith.maximumf
func.func @max(%x: tensor<4x8xf32>) -> !onnx.value {
  %0 = onnx.node "ReduceMax"(%x) {keepdims = 0 : i64} : (tensor<4x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that the product of a shape is an index, and so that the reshape is a collapse.
// CHECK-LABEL: func.func @elements(
// CHECK-NOT:     linalg
// CHECK:         tensor.collapse_shape %arg0 {{\[\[}}0, 1]] : tensor<?x8xf32> into tensor<?xf32>
func.func @elements(%x: tensor<?x8xf32>) -> !onnx.value {
  %0 = onnx.node "Shape"(%x) : (tensor<?x8xf32>) -> !onnx.value
  %1 = onnx.node "ReduceProd"(%0) {keepdims = 1 : i64} : (!onnx.value) -> !onnx.value
  %2 = onnx.node "Reshape"(%x, %1) : (tensor<?x8xf32>, !onnx.value) -> !onnx.value
  return %2 : !onnx.value
}

// -----

// Tests that of equal elements the first index is taken.
// CHECK-LABEL: func.func @argmax(
// CHECK:           arith.maximumf
// CHECK:           linalg.index 1
// CHECK:           arith.minsi
func.func @argmax(%x: tensor<4x8xf32>) -> !onnx.value {
  %0 = onnx.node "ArgMax"(%x) {axis = 1 : i64, keepdims = 0 : i64} : (tensor<4x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that two transpositions become one, and one that undoes another becomes nothing.
// CHECK-LABEL: func.func @transposes(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<2x3x4xf32>
// CHECK:         %[[ONE:.+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d1, d2, d0)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>]
// CHECK-SAME:      ins(%[[X]] :
// CHECK-NOT:     linalg.generic
// CHECK:         return %[[ONE]], %[[X]]
func.func @transposes(%x: tensor<2x3x4xf32>) -> (!onnx.value, !onnx.value) {
  %0 = onnx.node "Transpose"(%x) {perm = array<i64: 1, 0, 2>} : (tensor<2x3x4xf32>) -> !onnx.value
  %1 = onnx.node "Transpose"(%0) {perm = array<i64: 2, 1, 0>} : (!onnx.value) -> !onnx.value
  %2 = onnx.node "Transpose"(%0) {perm = array<i64: 1, 0, 2>} : (!onnx.value) -> !onnx.value
  return %1, %2 : !onnx.value, !onnx.value
}

// -----

// Tests that moving an axis of length 1 moves nothing.
// CHECK-LABEL: func.func @unit_transpose(
// CHECK-NOT:     linalg.generic
// CHECK:         tensor.expand_shape
func.func @unit_transpose(%x: tensor<1x?x4x16xf32>) -> !onnx.value {
  %0 = onnx.node "Transpose"(%x) {perm = array<i64: 1, 0, 2, 3>} : (tensor<1x?x4x16xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that a split is slices, and a slice of known bounds is a slice.
// CHECK-LABEL: func.func @split(
// CHECK:         tensor.extract_slice %arg0[0, 0] [%{{.+}}, 16] [1, 1]
// CHECK:         tensor.extract_slice %arg0[0, 16] [%{{.+}}, 16] [1, 1]
// CHECK:         tensor.extract_slice %arg0[0, 8] [%{{.+}}, 8] [1, 2]
func.func @split(%x: tensor<?x32xf32>) -> (!onnx.value, !onnx.value, !onnx.value) {
  %0:2 = onnx.node "Split"(%x) {axis = -1 : i64, num_outputs = 2 : i64} : (tensor<?x32xf32>) -> (!onnx.value, !onnx.value)
  %start = onnx.initializer "start" dense<8> : tensor<1xi64> : tensor<1xi64>
  %end = onnx.initializer "end" dense<-9> : tensor<1xi64> : tensor<1xi64>
  %axis = onnx.initializer "axis" dense<1> : tensor<1xi64> : tensor<1xi64>
  %step = onnx.initializer "step" dense<2> : tensor<1xi64> : tensor<1xi64>
  %1 = onnx.node "Slice"(%x, %start, %end, %axis, %step)
      : (tensor<?x32xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.value
  return %0#0, %0#1, %1 : !onnx.value, !onnx.value, !onnx.value
}

// -----

// Tests that the last row, which the file declares to exist, has length 1 and is asserted to be there.
// CHECK-LABEL: func.func @last_row(
// CHECK:         cf.assert %{{.+}}, "node 'Slice': expected an axis of at least 1"
// CHECK:         tensor.extract_slice %arg0[%{{.+}}, 0] [1, 32] [1, 1] : tensor<?x32xf32> to tensor<1x32xf32>
func.func @last_row(%x: tensor<?x32xf32>) -> tensor<1x32xf32> {
  %start = onnx.initializer "start" dense<-1> : tensor<1xi64> : tensor<1xi64>
  %end = onnx.initializer "end" dense<9223372036854775807> : tensor<1xi64> : tensor<1xi64>
  %0 = onnx.node "Slice"(%x, %start, %end) : (tensor<?x32xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x32xf32>
  return %0 : tensor<1x32xf32>
}

// -----

// Tests that the last four rows are as many as there are.
// CHECK-LABEL: func.func @last_rows(
// CHECK-NOT:     cf.assert
// CHECK:         %[[N:.+]] = arith.minsi
// CHECK:         tensor.extract_slice %arg0[%{{.+}}, 0] [%[[N]], 32] [1, 1]
func.func @last_rows(%x: tensor<?x32xf32>) -> !onnx.value {
  %start = onnx.initializer "start" dense<-4> : tensor<1xi64> : tensor<1xi64>
  %end = onnx.initializer "end" dense<9223372036854775807> : tensor<1xi64> : tensor<1xi64>
  %0 = onnx.node "Slice"(%x, %start, %end) : (tensor<?x32xf32>, tensor<1xi64>, tensor<1xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @backwards(
// CHECK:         linalg.generic
// CHECK:           linalg.index 0
// CHECK:           tensor.extract %arg0
func.func @backwards(%x: tensor<8xf32>) -> !onnx.value {
  %start = onnx.initializer "start" dense<-1> : tensor<1xi64> : tensor<1xi64>
  %end = onnx.initializer "end" dense<-100> : tensor<1xi64> : tensor<1xi64>
  %axis = onnx.initializer "axis" dense<0> : tensor<1xi64> : tensor<1xi64>
  %step = onnx.initializer "step" dense<-1> : tensor<1xi64> : tensor<1xi64>
  %0 = onnx.node "Slice"(%x, %start, %end, %axis, %step)
      : (tensor<8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @concat(
// CHECK:         tensor.concat dim(1) %arg0, %arg1 : (tensor<?x4xf32>, tensor<?x8xf32>) -> tensor<?x12xf32>
func.func @concat(%x: tensor<?x4xf32> {onnx.dims = ["N", ""]}, %y: tensor<?x8xf32> {onnx.dims = ["N", ""]}) -> !onnx.value {
  %0 = onnx.node "Concat"(%x, %y) {axis = -1 : i64} : (tensor<?x4xf32>, tensor<?x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @pad(
// CHECK:         %[[CANVAS:.+]] = linalg.fill
// CHECK:         tensor.insert_slice %arg0 into %[[CANVAS]][0, 1] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<2x7xf32>
func.func @pad(%x: tensor<2x4xf32>) -> !onnx.value {
  %pads = onnx.initializer "pads" dense<[0, 1, 0, 2]> : tensor<4xi64> : tensor<4xi64>
  %0 = onnx.node "Pad"(%x, %pads) : (tensor<2x4xf32>, tensor<4xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @tile(
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK:         tensor.collapse_shape %{{.+}} {{\[\[}}0], [1, 2]] : tensor<2x3x4xf32> into tensor<2x12xf32>
func.func @tile(%x: tensor<2x4xf32>) -> !onnx.value {
  %repeats = onnx.initializer "repeats" dense<[1, 3]> : tensor<2xi64> : tensor<2xi64>
  %0 = onnx.node "Tile"(%x, %repeats) : (tensor<2x4xf32>, tensor<2xi64>) -> !onnx.value
  return %0 : !onnx.value
}

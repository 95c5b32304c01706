// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that broadcasting is an indexing map without the axes that are broadcast over, and that a splat constant becomes a
// constant of the body.
// CHECK-LABEL: func.func @broadcast(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x4x8xf32>{{.*}}, %[[B:[a-z0-9]+]]: tensor<4x1xf32>
// CHECK:         %[[ROW:.+]] = tensor.collapse_shape %[[B]] {{\[\[}}0, 1]] : tensor<4x1xf32> into tensor<4xf32>
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>]
// CHECK-SAME:      ins(%[[X]], %[[ROW]] :
// CHECK:           arith.addf
// CHECK:         linalg.generic {{.*}} ins(%{{[^,]*}} :
// CHECK-NEXT:    ^bb0(%[[IN:.+]]: f32, %{{.+}}: f32):
// CHECK-NEXT:      %[[TWO:.+]] = arith.constant 2.000000e+00 : f32
// CHECK-NEXT:      arith.mulf %[[IN]], %[[TWO]]
func.func @broadcast(%x: tensor<?x4x8xf32> {onnx.dims = ["N", "", ""]}, %b: tensor<4x1xf32>) -> !onnx.value {
  %two = onnx.initializer "two" dense<2.0> : tensor<f32> : tensor<f32>
  %0 = onnx.node "Add"(%x, %b) : (tensor<?x4x8xf32>, tensor<4x1xf32>) -> !onnx.value
  %1 = onnx.node "Mul"(%0, %two) : (!onnx.value, tensor<f32>) -> !onnx.value
  return %1 : !onnx.value
}

// -----

// Tests that dims of one name are one value: nothing is asserted, and one tensor.dim is made.
// CHECK-LABEL: func.func @equal_names(
// CHECK:         tensor.dim %arg0
// CHECK-NOT:     tensor.dim
// CHECK-NOT:     cf.assert
// CHECK:         linalg.generic
func.func @equal_names(%a: tensor<?xf32> {onnx.dims = ["N"]}, %b: tensor<?xf32> {onnx.dims = ["N"]}) -> !onnx.value {
  %0 = onnx.node "Sub"(%a, %b) : (tensor<?xf32>, tensor<?xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that lengths that may differ are asserted equal, once, with the node's name.
// CHECK-LABEL: func.func @unequal_names(
// CHECK:         %[[EQUAL:.+]] = arith.cmpi eq
// CHECK:         cf.assert %[[EQUAL]], "node 'sum': expected equal lengths of axis -1
// CHECK-NOT:     cf.assert
func.func @unequal_names(%a: tensor<?xf32> {onnx.dims = ["N"]}, %b: tensor<?xf32> {onnx.dims = ["M"]}) -> !onnx.value {
  %0 = onnx.node "Add"(%a, %b) : (tensor<?xf32>, tensor<?xf32>) -> !onnx.value loc("sum")
  %1 = onnx.node "Mul"(%0, %b) : (!onnx.value, tensor<?xf32>) -> !onnx.value
  return %1 : !onnx.value
}

// -----

// Tests that a dim name that is a sum of others is understood: the concatenation has the mask's length.
// CHECK-LABEL: func.func @sum_name(
// CHECK:         cf.assert %{{.+}}, "node 'mask': expected dim 0 of this input to be past + seq"
// CHECK-NOT:     cf.assert
func.func @sum_name(%past: tensor<?xf32> {onnx.dims = ["past"]}, %x: tensor<?xf32> {onnx.dims = ["seq"]},
                    %mask: tensor<?xf32> {onnx.name = "mask", onnx.dims = ["past + seq"]}) -> !onnx.value {
  %0 = onnx.node "Concat"(%x, %past) {axis = 0 : i64} : (tensor<?xf32>, tensor<?xf32>) -> !onnx.value
  %1 = onnx.node "Mul"(%0, %mask) : (!onnx.value, tensor<?xf32>) -> !onnx.value
  return %1 : !onnx.value
}

// -----

// Tests that short floats are computed in f32 and rounded once.
// CHECK-LABEL: func.func @half(
// CHECK:           arith.extf %{{.+}} : f16 to f32
// CHECK:           math.exp %{{.+}} : f32
// CHECK:           arith.truncf %{{.+}} : f32 to f16
func.func @half(%x: tensor<4xf16>) -> !onnx.value {
  %0 = onnx.node "Exp"(%x) : (tensor<4xf16>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that unsigned integers keep their meaning in signless types.
// CHECK-LABEL: func.func @unsigned(
// CHECK-SAME:    tensor<4xi8>
// CHECK:           arith.divui
// CHECK:           arith.uitofp
// CHECK:         return %{{.+}} : tensor<4xf32>
func.func @unsigned(%x: tensor<4xui8>, %y: tensor<4xui8>) -> !onnx.value {
  %0 = onnx.node "Div"(%x, %y) : (tensor<4xui8>, tensor<4xui8>) -> !onnx.value
  %1 = onnx.node "Cast"(%0) {to = 1 : i64} : (!onnx.value) -> !onnx.value
  return %1 : !onnx.value
}

// -----

// Tests that a power that is a known small number needs no powf.
// CHECK-LABEL: func.func @square(
// CHECK-NOT:     math.powf
// CHECK:           arith.mulf %[[X:.+]], %[[X]]
func.func @square(%x: tensor<4xf32>) -> !onnx.value {
  %two = onnx.node "Constant"() {value_float = 2.0 : f32} : () -> !onnx.value
  %0 = onnx.node "Pow"(%x, %two) : (tensor<4xf32>, !onnx.value) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that what depends on constants alone is a constant.
// CHECK-LABEL: func.func @folds(
// CHECK-NOT:     linalg.generic
// CHECK:         %[[C:.+]] = arith.constant dense<2.000000e+00> : tensor<3xf32>
// CHECK-NEXT:    return %[[C]]
func.func @folds() -> !onnx.value {
  %x = onnx.initializer "x" dense<4.0> : tensor<3xf32> : tensor<3xf32>
  %0 = onnx.node "Sqrt"(%x) : (tensor<3xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @where(
// CHECK:         linalg.generic
// CHECK:           arith.select
func.func @where(%c: tensor<?x4xi1> {onnx.dims = ["N", ""]}, %x: tensor<4xf32>) -> !onnx.value {
  %low = onnx.initializer "low" dense<0xFF800000> : tensor<f32> : tensor<f32>
  %0 = onnx.node "Where"(%c, %x, %low) : (tensor<?x4xi1>, tensor<4xf32>, tensor<f32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that axes of length 1 are no loops.
// CHECK-LABEL: func.func @unit_axes(
// CHECK:         %[[FLAT:.+]] = tensor.collapse_shape %{{.+}} {{\[\[}}0, 1, 2], [3]]
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, {{.*}} ins(%[[FLAT]] :
func.func @unit_axes(%x: tensor<1x1x?x8xf32>) -> !onnx.value {
  %0 = onnx.node "Tanh"(%x) : (tensor<1x1x?x8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

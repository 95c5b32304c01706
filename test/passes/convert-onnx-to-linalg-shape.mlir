// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that a target shape put together from dims is arithmetic on indices, and that the reshape is known to be an expansion.
// CHECK-LABEL: func.func @heads(
// CHECK:         %[[N:.+]] = tensor.dim
// CHECK-NOT:     tensor.reshape
// CHECK-NOT:     tensor<{{[0-9]+}}xi64>
// CHECK:         tensor.expand_shape %{{.+}} {{\[\[}}0], [1, 2]] output_shape [%[[N]], 4, 16] : tensor<?x64xf32> into tensor<?x4x16xf32>
func.func @heads(%x: tensor<?x64xf32> {onnx.dims = ["N", ""]}) -> !onnx.value {
  %zero = onnx.initializer "zero" dense<0> : tensor<i64> : tensor<i64>
  %axes = onnx.initializer "axes" dense<0> : tensor<1xi64> : tensor<1xi64>
  %rest = onnx.initializer "rest" dense<[4, 16]> : tensor<2xi64> : tensor<2xi64>
  %0 = onnx.node "Shape"(%x) : (tensor<?x64xf32>) -> !onnx.value
  %1 = onnx.node "Gather"(%0, %zero) : (!onnx.value, tensor<i64>) -> !onnx.value
  %2 = onnx.node "Unsqueeze"(%1, %axes) : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %3 = onnx.node "Concat"(%2, %rest) {axis = 0 : i64} : (!onnx.value, tensor<2xi64>) -> !onnx.value
  %4 = onnx.node "Reshape"(%x, %3) : (tensor<?x64xf32>, !onnx.value) -> !onnx.value
  return %4 : !onnx.value
}

// -----

// Tests that -1 is found by division, and that there and back again is nothing.
// CHECK-LABEL: func.func @back_again(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x4x16xf32>
// CHECK-NEXT:    return %[[X]]
func.func @back_again(%x: tensor<?x4x16xf32> {onnx.dims = ["N", "", ""]}) -> !onnx.value {
  %a = onnx.initializer "a" dense<[-1, 64]> : tensor<2xi64> : tensor<2xi64>
  %b = onnx.initializer "b" dense<[0, 4, -1]> : tensor<3xi64> : tensor<3xi64>
  %0 = onnx.node "Reshape"(%x, %a) : (tensor<?x4x16xf32>, tensor<2xi64>) -> !onnx.value
  %1 = onnx.node "Reshape"(%0, %b) : (!onnx.value, tensor<3xi64>) -> !onnx.value
  return %1 : !onnx.value
}

// -----

// Tests that sums of lengths divide exactly: [B, P + S, 64] read as [-1, P + S, 8, 8] needs no assertion.
// CHECK-LABEL: func.func @sums(
// CHECK-NOT:     cf.assert
// CHECK:         tensor.expand_shape {{.*}} into tensor<?x?x8x8xf32>
func.func @sums(%past: tensor<?x?x64xf32> {onnx.dims = ["B", "P", ""]}, %x: tensor<?x?x64xf32> {onnx.dims = ["B", "S", ""]}) -> !onnx.value {
  %0 = onnx.node "Concat"(%past, %x) {axis = 1 : i64} : (tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> !onnx.value
  %1 = onnx.node "Shape"(%0) {start = 1 : i64, end = 2 : i64} : (!onnx.value) -> !onnx.value
  %any = onnx.initializer "any" dense<-1> : tensor<1xi64> : tensor<1xi64>
  %rest = onnx.initializer "rest" dense<8> : tensor<2xi64> : tensor<2xi64>
  %2 = onnx.node "Concat"(%any, %1, %rest) {axis = 0 : i64} : (tensor<1xi64>, !onnx.value, tensor<2xi64>) -> !onnx.value
  %3 = onnx.node "Reshape"(%0, %2) : (!onnx.value, !onnx.value) -> !onnx.value
  return %3 : !onnx.value
}

// -----

// Tests that a shape that is only known at run time is read element by element, a 0 or -1 in it heeded, and checked.
// CHECK-LABEL: func.func @from_data(
// CHECK:         tensor.extract
// CHECK:         arith.select
// CHECK:         cf.assert %{{.+}}, "node 'Reshape': expected dim 0 of the shape not to be negative
// CHECK:         cf.assert %{{.+}}, "node 'Reshape': expected the shape to have as many elements as the input"
// CHECK:         tensor.expand_shape
func.func @from_data(%x: tensor<?xf32>, %shape: tensor<2xi64>) -> !onnx.value {
  %0 = onnx.node "Reshape"(%x, %shape) : (tensor<?xf32>, tensor<2xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that Where over Equal on a shape, as exporters write an Expand, is folded.
// CHECK-LABEL: func.func @expand(
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>]
// CHECK:         } -> tensor<?x3x4xf32>
func.func @expand(%x: tensor<?x1x4xf32> {onnx.dims = ["N", "", ""]}) -> !onnx.value {
  %wish = onnx.initializer "wish" dense<[-1, 3, -1]> : tensor<3xi64> : tensor<3xi64>
  %minus = onnx.initializer "minus" dense<-1> : tensor<i64> : tensor<i64>
  %three = onnx.initializer "three" dense<3> : tensor<1xi64> : tensor<1xi64>
  %ones = onnx.node "ConstantOfShape"(%three) {value = dense<1> : tensor<1xi64>} : (tensor<1xi64>) -> !onnx.value
  %0 = onnx.node "Equal"(%wish, %minus) : (tensor<3xi64>, tensor<i64>) -> !onnx.value
  %1 = onnx.node "Where"(%0, %ones, %wish) : (!onnx.value, !onnx.value, tensor<3xi64>) -> !onnx.value
  %2 = onnx.node "Expand"(%x, %1) : (tensor<?x1x4xf32>, !onnx.value) -> !onnx.value
  return %2 : !onnx.value
}

// -----

// Tests that positions are made by index, with the dynamic start as an operand.
// CHECK-LABEL: func.func @range(
// CHECK:         %[[START:.+]] = tensor.from_elements %{{.+}} : tensor<i64>
// CHECK:         linalg.generic {{.*}} ins(%[[START]] : tensor<i64>) outs(%{{.+}} : tensor<?xi64>)
// CHECK:           linalg.index 0
func.func @range(%past: tensor<?x4xf32> {onnx.dims = ["P", ""]}, %x: tensor<?x4xf32> {onnx.dims = ["S", ""]}) -> !onnx.value {
  %zero = onnx.initializer "zero" dense<0> : tensor<i64> : tensor<i64>
  %one = onnx.initializer "one" dense<1> : tensor<i64> : tensor<i64>
  %0 = onnx.node "Shape"(%past) : (tensor<?x4xf32>) -> !onnx.value
  %1 = onnx.node "Gather"(%0, %zero) : (!onnx.value, tensor<i64>) -> !onnx.value
  %2 = onnx.node "Shape"(%x) : (tensor<?x4xf32>) -> !onnx.value
  %3 = onnx.node "Gather"(%2, %zero) : (!onnx.value, tensor<i64>) -> !onnx.value
  %4 = onnx.node "Add"(%1, %3) : (!onnx.value, !onnx.value) -> !onnx.value
  %5 = onnx.node "Range"(%1, %4, %one) : (!onnx.value, !onnx.value, tensor<i64>) -> !onnx.value
  return %5 : !onnx.value
}

// -----

// Tests that shape arithmetic that is data after all becomes a tensor.
// CHECK-LABEL: func.func @shape_as_data(
// CHECK:         %[[N:.+]] = arith.index_cast %{{.+}} : index to i64
// CHECK:         %[[T:.+]] = tensor.from_elements %[[N]], %{{.+}} : tensor<2xi64>
// CHECK:         return %[[T]]
func.func @shape_as_data(%x: tensor<?x4xf32>) -> !onnx.value {
  %0 = onnx.node "Shape"(%x) : (tensor<?x4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that an input that the file leaves open takes the type that is inferred, and that resources are viewed, not copied.
// CHECK-LABEL: func.func @resource(
// CHECK-SAME:    -> (tensor<4xf32> {onnx.name = "y"})
// CHECK:         arith.constant dense_resource<w> : tensor<4xf32>
func.func @resource() -> (!onnx.value {onnx.name = "y"}) {
  %w = onnx.initializer "w" dense_resource<w> : tensor<2x2xf32> : tensor<2x2xf32>
  %0 = onnx.node "Flatten"(%w) {axis = 0 : i64} : (tensor<2x2xf32>) -> !onnx.value
  %axes = onnx.initializer "axes" dense<0> : tensor<1xi64> : tensor<1xi64>
  %1 = onnx.node "Squeeze"(%0, %axes) : (!onnx.value, tensor<1xi64>) -> !onnx.value
  return %1 : !onnx.value
}
{-#
  dialect_resources: {
    builtin: {
      w: "0x040000000000803F000000400000404000008040"
    }
  }
#-}

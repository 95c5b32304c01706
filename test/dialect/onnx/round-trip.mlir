// SPDX-License-Identifier: Apache-2.0
//
// Tests that what is printed is what was read, in pretty and in generic form.
// RUN: msa-opt %s | msa-opt | FileCheck %s
// RUN: msa-opt %s --mlir-print-op-generic | msa-opt | FileCheck %s

// CHECK-LABEL: func.func private @"ai.msa::Scale"
// CHECK-SAME: onnx.attributes = {factor = 2.000000e+00 : f32, mode}, onnx.function = ["ai.msa", "Scale", ""], onnx.opsets = {ai.onnx = 20 : i64}
func.func private @"ai.msa::Scale"(%x: !onnx.value, %y: !onnx.value) -> (!onnx.value, !onnx.value)
    attributes {onnx.attributes = {factor = 2.0 : f32, mode}, onnx.function = ["ai.msa", "Scale", ""], onnx.opsets = {ai.onnx = 20 : i64}} {
  // CHECK: onnx.node "Constant"() {value_float = #onnx.ref<"factor", "FLOAT">} : () -> !onnx.value
  %c = onnx.node "Constant"() {value_float = #onnx.ref<"factor", "FLOAT">} : () -> !onnx.value
  // CHECK: onnx.node "Mul"(%{{.*}}, %{{.*}}) : (!onnx.value, !onnx.value) -> !onnx.value
  %z = onnx.node "Mul"(%x, %c) : (!onnx.value, !onnx.value) -> !onnx.value
  return %z, %y : !onnx.value, !onnx.value
}

// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[X:.*]]: tensor<?x4xf32> {onnx.dims = ["T", ""], onnx.name = "x"}
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["T", ""]}, %b: tensor<i1> {onnx.name = "b", onnx.dims = []})
    -> (!onnx.value {onnx.name = "y"}) attributes {onnx.opsets = {ai.msa = 1 : i64, ai.onnx = 20 : i64}} {
  // CHECK: %[[N:.*]] = onnx.none
  %n = onnx.none
  // CHECK: %[[W:.*]] = onnx.initializer "layer.0/w" dense<1.000000e+00> : tensor<4xf32> : tensor<4xf32>
  %w = onnx.initializer "layer.0/w" dense<1.0> : tensor<4xf32> : tensor<4xf32>
  // CHECK: onnx.initializer "names" dense<["a", "b"]> : tensor<2x!onnx.string> : tensor<2x!onnx.string>
  %names = onnx.initializer "names" dense<["a", "b"]> : tensor<2x!onnx.string> : tensor<2x!onnx.string>
  // A call: domain, overload, callee, a left-out operand, a left-out result and one of two results.
  // CHECK: %[[C:.*]] = onnx.node "Scale" domain "ai.msa" overload "wide" calls @"ai.msa::Scale"(%[[X]], %[[N]]) {factor = 3.000000e+00 : f32}
  // CHECK-SAME: : (tensor<?x4xf32>, !onnx.none) -> !onnx.value
  %c = onnx.node "Scale" domain "ai.msa" overload "wide" calls @"ai.msa::Scale"(%x, %n) {factor = 3.0 : f32} : (tensor<?x4xf32>, !onnx.none) -> !onnx.value
  // CHECK: %[[D:.*]]:2 = onnx.node "Dropout"(%[[C]], %[[W]]) attributes {seen} : (!onnx.value, tensor<4xf32>) -> (!onnx.value, !onnx.none)
  %d:2 = onnx.node "Dropout"(%c, %w) attributes {seen} : (!onnx.value, tensor<4xf32>) -> (!onnx.value, !onnx.none)
  // Graphs use values from around them and have arguments of their own.
  // CHECK: %[[Y:.*]] = onnx.node "If"(%{{.*}}) graphs ["else_branch", "then_branch"] {
  // CHECK-NEXT: onnx.yield %[[D]]#0 : !onnx.value
  // CHECK-NEXT: } {
  // CHECK-NEXT: ^bb0(%[[I:.*]]: tensor<i64>):
  // CHECK-NEXT: onnx.yield %[[I]] : tensor<i64>
  // CHECK-NEXT: } : (tensor<i1>) -> !onnx.value
  %y = onnx.node "If"(%b) graphs ["else_branch", "then_branch"] {
    onnx.yield %d#0 : !onnx.value
  } {
  ^bb0(%i: tensor<i64>):
    onnx.yield %i : tensor<i64>
  } : (tensor<i1>) -> !onnx.value
  return %y : !onnx.value
}

// CHECK-LABEL: func.func @types(
// CHECK-SAME: !onnx.sequence<tensor<?xf32>>, %{{.*}}: !onnx.optional<!onnx.sequence<!onnx.value>>, %{{.*}}: !onnx.map<i64, tensor<1xf32>>, %{{.*}}: !onnx.sparse<tensor<3x4xf32>>, %{{.*}}: tensor<*xui8>, %{{.*}}: tensor<2x!onnx.string>
func.func @types(%a: !onnx.sequence<tensor<?xf32>>, %b: !onnx.optional<!onnx.sequence<!onnx.value>>, %c: !onnx.map<i64, tensor<1xf32>>,
    %d: !onnx.sparse<tensor<3x4xf32>>, %e: tensor<*xui8>, %f: tensor<2x!onnx.string>) {
  return
}

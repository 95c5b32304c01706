// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --onnx-inline-functions --verify-diagnostics --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s

// Tests that a call becomes the body, with the call's attribute, the default for one that is left out, none for one without a
// default, and names that begin with the call's.
// CHECK-NOT: @scale
// CHECK-LABEL: func.func @attributes(
// CHECK:         %[[Y:.+]] = onnx.node "LeakyRelu"(%{{.+}}) {alpha = 2.500000e-01 : f32, axis = 3 : i64} : {{.*}} loc("call/inner")
// CHECK:         return %[[Y]]
func.func private @scale(%x: !onnx.value) -> !onnx.value
    attributes {onnx.function = ["mine", "Scale", ""], onnx.attributes = {by = unit, axis = 3 : i64, other = unit}} {
  %0 = onnx.node "LeakyRelu"(%x) {alpha = #onnx.ref<"by", "FLOAT">, axis = #onnx.ref<"axis", "INT">, other = #onnx.ref<"other", "INT">}
      : (!onnx.value) -> !onnx.value loc("inner")
  return %0 : !onnx.value
}
func.func @attributes(%x: tensor<4xf32>) -> !onnx.value {
  %0 = onnx.node "Scale" domain "mine" calls @scale(%x) {by = 0.25 : f32} : (tensor<4xf32>) -> !onnx.value loc("call")
  return %0 : !onnx.value
}

// -----

// Tests that functions within functions are expanded too, and that missing inputs become nothing.
// CHECK-LABEL: func.func @nested(
// CHECK:         %[[NONE:.+]] = onnx.none
// CHECK:         onnx.node "Clip"(%{{.+}}, %[[NONE]])
// CHECK-NOT:     calls
func.func private @inner(%x: !onnx.value, %low: !onnx.value) -> !onnx.value attributes {onnx.function = ["mine", "Inner", ""]} {
  %0 = onnx.node "Clip"(%x, %low) : (!onnx.value, !onnx.value) -> !onnx.value
  return %0 : !onnx.value
}
func.func private @outer(%x: !onnx.value) -> !onnx.value attributes {onnx.function = ["mine", "Outer", ""]} {
  %0 = onnx.node "Inner" domain "mine" calls @inner(%x) : (!onnx.value) -> !onnx.value
  return %0 : !onnx.value
}
func.func @nested(%x: tensor<4xf32>) -> !onnx.value {
  %0 = onnx.node "Outer" domain "mine" calls @outer(%x) : (tensor<4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that nodes of a function of another opset than the graph's keep theirs.
// CHECK-LABEL: func.func @versions(
// CHECK:         onnx.node "Relu"(%{{.+}}) attributes {onnx.opset = 17 : i64}
func.func private @old(%x: !onnx.value) -> !onnx.value
    attributes {onnx.function = ["mine", "Old", ""], onnx.opsets = {ai.onnx = 17 : i64}} {
  %0 = onnx.node "Relu"(%x) : (!onnx.value) -> !onnx.value
  return %0 : !onnx.value
}
func.func @versions(%x: tensor<4xf32>) -> !onnx.value attributes {onnx.opsets = {ai.onnx = 23 : i64, mine = 1 : i64}} {
  %0 = onnx.node "Old" domain "mine" calls @old(%x) : (tensor<4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that a memory operator that the conversion knows is left whole, and that one that it does not know is expanded.
// CHECK-LABEL: func.func @memory(
// CHECK:         onnx.node "DocumentAttention" domain "ai.msa" calls @known
// CHECK:         onnx.node "Identity"
func.func private @known(%q: !onnx.value, %k: !onnx.value, %v: !onnx.value, %d: !onnx.value) -> !onnx.value
    attributes {onnx.function = ["ai.msa", "DocumentAttention", ""]} {
  return %q : !onnx.value
}
func.func private @unknown(%x: !onnx.value) -> !onnx.value attributes {onnx.function = ["ai.msa", "Forget", ""]} {
  %0 = onnx.node "Identity"(%x) : (!onnx.value) -> !onnx.value
  return %0 : !onnx.value
}
func.func @memory(%q: tensor<4x4x16xf32>, %d: tensor<4xi64>) -> (!onnx.value, !onnx.value) {
  %0 = onnx.node "DocumentAttention" domain "ai.msa" calls @known(%q, %q, %q, %d)
      : (tensor<4x4x16xf32>, tensor<4x4x16xf32>, tensor<4x4x16xf32>, tensor<4xi64>) -> !onnx.value
  %1 = onnx.node "Forget" domain "ai.msa" calls @unknown(%q) : (tensor<4x4x16xf32>) -> !onnx.value
  return %0, %1 : !onnx.value, !onnx.value
}

// -----

// Tests that a result has the type that the file gives it at the call, and an input that is passed through its own.
// CHECK-LABEL: func.func @types(
// CHECK-SAME:    -> (tensor<?xf32>, tensor<4xf32>)
// CHECK:         onnx.node "Relu"(%{{.+}}) : (tensor<4xf32>) -> tensor<?xf32>
func.func private @both(%x: !onnx.value) -> (!onnx.value, !onnx.value) attributes {onnx.function = ["mine", "Both", ""]} {
  %0 = onnx.node "Relu"(%x) : (!onnx.value) -> !onnx.value
  return %0, %x : !onnx.value, !onnx.value
}
func.func @types(%x: tensor<4xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %0:2 = onnx.node "Both" domain "mine" calls @both(%x) : (tensor<4xf32>) -> (tensor<?xf32>, tensor<?xf32>)
  return %0#0, %0#1 : tensor<?xf32>, tensor<?xf32>
}

// SPDX-License-Identifier: Apache-2.0
//
// Tests that equal nodes are merged and unused ones dropped, but not random ones: two of them are two draws.
// RUN: msa-opt %s --cse | FileCheck %s

// CHECK-LABEL: func.func @merged
func.func @merged(%x: !onnx.value) -> (!onnx.value, !onnx.value) {
  // CHECK: %[[R:.*]] = onnx.node "Relu"
  // CHECK-NEXT: return %[[R]], %[[R]]
  %a = onnx.node "Relu"(%x) : (!onnx.value) -> !onnx.value
  %b = onnx.node "Relu"(%x) : (!onnx.value) -> !onnx.value
  %unused = onnx.node "Neg"(%x) : (!onnx.value) -> !onnx.value
  return %a, %b : !onnx.value, !onnx.value
}

// CHECK-LABEL: func.func @random
func.func @random() -> (!onnx.value, !onnx.value) {
  // CHECK: %[[A:.*]] = onnx.node "RandomNormal"
  // CHECK: %[[B:.*]] = onnx.node "RandomNormal"
  // CHECK-NEXT: return %[[A]], %[[B]]
  %a = onnx.node "RandomNormal"() {shape = array<i64: 2>} : () -> !onnx.value
  %b = onnx.node "RandomNormal"() {shape = array<i64: 2>} : () -> !onnx.value
  return %a, %b : !onnx.value, !onnx.value
}

// The branches hold a random node: the node around them is not merged either.
// CHECK-LABEL: func.func @nested_random
func.func @nested_random(%c: !onnx.value) -> (!onnx.value, !onnx.value) {
  // CHECK-COUNT-2: onnx.node "If"
  %a = onnx.node "If"(%c) graphs ["then_branch"] {
    %r = onnx.node "RandomNormal"() {shape = array<i64: 2>} : () -> !onnx.value
    onnx.yield %r : !onnx.value
  } : (!onnx.value) -> !onnx.value
  %b = onnx.node "If"(%c) graphs ["then_branch"] {
    %r = onnx.node "RandomNormal"() {shape = array<i64: 2>} : () -> !onnx.value
    onnx.yield %r : !onnx.value
  } : (!onnx.value) -> !onnx.value
  return %a, %b : !onnx.value, !onnx.value
}

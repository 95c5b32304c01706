// SPDX-License-Identifier: Apache-2.0
//
// Tests that msa-reduce makes a file smaller that a script finds interesting: here one that holds a TopK.
// RUN: msa-reduce %s --reduction-tree='traversal-mode=0 test=%S/Inputs/has-topk.sh' | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK-NOT: "Relu"
// CHECK: onnx.node "TopK"
// CHECK-NOT: "Exp"
func.func @main(%x: !onnx.value) -> !onnx.value {
  %a = onnx.node "Relu"(%x) : (!onnx.value) -> !onnx.value
  %b = onnx.node "Relu"(%a) : (!onnx.value) -> !onnx.value
  %t:2 = onnx.node "TopK"(%x) {axis = 0 : i64} : (!onnx.value) -> (!onnx.value, !onnx.value)
  %e = onnx.node "Exp"(%b) : (!onnx.value) -> !onnx.value
  return %t#0 : !onnx.value
}

// CHECK-NOT: @other
func.func @other(%x: !onnx.value) -> !onnx.value {
  %a = onnx.node "Relu"(%x) : (!onnx.value) -> !onnx.value
  return %a : !onnx.value
}

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --onnx-inline-functions --verify-diagnostics

func.func private @again(%x: !onnx.value) -> !onnx.value attributes {onnx.function = ["mine", "Again", ""]} {
  %0 = onnx.node "Again" domain "mine" calls @again(%x) : (!onnx.value) -> !onnx.value
  return %0 : !onnx.value
}
func.func @recursion(%x: tensor<4xf32>) -> !onnx.value {
  // expected-error @+1 {{function 'again' calls itself, which ONNX does not allow}}
  %0 = onnx.node "Again" domain "mine" calls @again(%x) : (tensor<4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

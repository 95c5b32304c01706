// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --verify-diagnostics

// Every node that is not supported is reported, and nothing that only depends on one.

func.func @together(%x: tensor<4xf32>, %s: tensor<4xf32>) -> !onnx.value attributes {onnx.opsets = {ai.onnx = 20 : i64}} {
  // expected-error @+1 {{'Frobnicate' of ai.onnx 20: the operator is not supported}}
  %0 = onnx.node "Frobnicate"(%x) : (tensor<4xf32>) -> !onnx.value
  %1 = onnx.node "Relu"(%0) : (!onnx.value) -> !onnx.value
  // expected-error @+1 {{'Wobble' of my.domain 0: domain 'my.domain' is not known, and the file has no function body for the operator}}
  %2 = onnx.node "Wobble" domain "my.domain"(%x) : (tensor<4xf32>) -> !onnx.value
  // expected-error @+1 {{'Softmax' of ai.onnx 20: expected an axis within [-1, 1), but got 3}}
  %3 = onnx.node "Softmax"(%x) {axis = 3 : i64} : (tensor<4xf32>) -> !onnx.value
  %4 = onnx.node "Add"(%1, %3) : (!onnx.value, !onnx.value) -> !onnx.value
  return %4 : !onnx.value
}

// -----

// expected-error @+1 {{graph 'old': expected opset 13 or later, but the file is of opset 11: export it again with a newer opset}}
func.func @old(%x: tensor<4xf32>) -> !onnx.value attributes {onnx.opsets = {ai.onnx = 11 : i64}} {
  %0 = onnx.node "Softmax"(%x) : (tensor<4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// expected-error @+1 {{graph 'untyped': expected input 'x' to be a tensor of numbers whose rank the file tells, but got tensor<*xf32>}}
func.func @untyped(%x: tensor<*xf32> {onnx.name = "x"}) -> !onnx.value {
  %0 = onnx.node "Relu"(%x) : (tensor<*xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @control_flow(%c: tensor<i1>, %x: tensor<4xf32>) -> !onnx.value {
  // expected-error @+1 {{'If' of ai.onnx 0: operators with graphs of their own (control flow) are not supported}}
  %0 = onnx.node "If"(%c) graphs ["then_branch", "else_branch"] {
    onnx.yield %x : tensor<4xf32>
  } {
    onnx.yield %x : tensor<4xf32>
  } : (tensor<i1>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @broadcast(%x: tensor<4xf32>, %y: tensor<3xf32>) -> !onnx.value {
  // expected-error @+1 {{dims do not broadcast at axis -1: 4 and 3}}
  %0 = onnx.node "Add"(%x, %y) : (tensor<4xf32>, tensor<3xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @types(%x: tensor<4xf32>, %y: tensor<4xi64>) -> !onnx.value {
  // expected-error @+1 {{expected inputs of one element type, but got float and int64}}
  %0 = onnx.node "Add"(%x, %y) : (tensor<4xf32>, tensor<4xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @inner_length(%x: tensor<4x8xf32>, %y: tensor<9x4xf32>) -> !onnx.value {
  // expected-error @+1 {{expected the last axis of input 0 to be as long as the last but one of input 1}}
  %0 = onnx.node "MatMul"(%x, %y) : (tensor<4x8xf32>, tensor<9x4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @reshape(%x: tensor<4x8xf32>) -> !onnx.value {
  %shape = onnx.initializer "shape" dense<[5, -1]> : tensor<2xi64> : tensor<2xi64>
  // expected-error @+1 {{expected a multiple of 5 elements, but got 32}}
  %0 = onnx.node "Reshape"(%x, %shape) : (tensor<4x8xf32>, tensor<2xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @cast(%x: tensor<4xf32>) -> !onnx.value {
  // expected-error @+1 {{a cast to type number 8 is not supported}}
  %0 = onnx.node "Cast"(%x) {to = 8 : i64} : (tensor<4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

func.func @too_large() -> !onnx.value {
  %shape = onnx.initializer "shape" dense<[4294967296, 4294967296]> : tensor<2xi64> : tensor<2xi64>
  // expected-error @+1 {{output 0 would have a dim of 4294967296 or too many elements}}
  %0 = onnx.node "ConstantOfShape"(%shape) : (tensor<2xi64>) -> !onnx.value
  return %0 : !onnx.value
}

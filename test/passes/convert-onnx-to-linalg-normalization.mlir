// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-linalg --mlir-print-local-scope | FileCheck %s

// Tests that a layer norm is two reductions and one elementwise pass.
// CHECK-LABEL: func.func @layer_norm(
// CHECK:         %[[SUM:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%arg0 :
// CHECK:         %[[SQUARES:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%arg0, %[[SUM]] :
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} ins(%arg0, %[[SUM]], %[[SQUARES]], %arg1, %arg2 :
// CHECK:           math.sqrt
// CHECK-NOT:     linalg.generic
func.func @layer_norm(%x: tensor<?x64xf32>, %scale: tensor<64xf32>, %bias: tensor<64xf32>) -> !onnx.value {
  %0 = onnx.node "LayerNormalization"(%x, %scale, %bias) {epsilon = 1.0e-5 : f32} : (tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that an RMS norm is one reduction and one elementwise pass, per head where the rows are heads.
// CHECK-LABEL: func.func @rms_norm(
// CHECK:         %[[SQUARES:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]} ins(%arg0 :
// CHECK:         linalg.generic {{.*}} ins(%arg0, %[[SQUARES]], %arg1 :
// CHECK-NOT:     linalg.generic
func.func @rms_norm(%x: tensor<?x4x16xf32>, %scale: tensor<16xf32>) -> !onnx.value {
  %0 = onnx.node "RMSNormalization"(%x, %scale) {axis = -1 : i64, stash_type = 1 : i64} : (tensor<?x4x16xf32>, tensor<16xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @softmax(
// CHECK:         %[[MAX:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%arg0 :
// CHECK:         %[[EXP:.+]] = linalg.generic {{.*}} ins(%arg0, %[[MAX]] :
// CHECK:           math.exp
// CHECK:         %[[SUM:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%[[EXP]] :
// CHECK:         linalg.generic {{.*}} ins(%[[EXP]], %[[SUM]] :
// CHECK:           arith.divf
func.func @softmax(%x: tensor<?x64xf32>) -> !onnx.value {
  %0 = onnx.node "Softmax"(%x) : (tensor<?x64xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that onnxruntime's fused sum and norm gives both results.
// CHECK-LABEL: func.func @skip(
// CHECK:         %[[SUM:.+]] = linalg.generic {{.*}} ins(%arg0, %arg1 :
// CHECK:         %[[Y:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel"]} ins(%[[SUM]], %{{.+}}, %arg2 :
// CHECK:         return %[[Y]], %[[SUM]]
func.func @skip(%x: tensor<2x?x64xf32> {onnx.dims = ["", "S", ""]}, %s: tensor<2x?x64xf32> {onnx.dims = ["", "S", ""]}, %g: tensor<64xf32>) -> (!onnx.value, !onnx.value) {
  %0:4 = onnx.node "SkipSimplifiedLayerNormalization" domain "com.microsoft"(%x, %s, %g) {epsilon = 1.0e-6 : f32}
      : (tensor<2x?x64xf32>, tensor<2x?x64xf32>, tensor<64xf32>) -> (!onnx.value, !onnx.none, !onnx.none, !onnx.value)
  return %0#0, %0#3 : !onnx.value, !onnx.value
}

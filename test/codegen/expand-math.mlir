// RUN: msa-opt %s --expand-math --split-input-file | FileCheck %s --implicit-check-not=math.exp --implicit-check-not=math.powf
// SPDX-License-Identifier: Apache-2.0

// Tests that exp becomes fused arithmetic on the same vector, without a table or a call.
// CHECK-LABEL: exec.kernel @exponential
// CHECK-COUNT-9: math.fma {{.*}} : vector<8xf32>
// CHECK: vector.store
exec.kernel @exponential(%out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 2>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %y = memref.view %out[%c0][] : memref<?xi8> to memref<8xf32>
  %v = vector.load %y[%c0] : memref<8xf32>, vector<8xf32>
  %w = math.exp %v : vector<8xf32>
  vector.store %w, %y[%c0] : memref<8xf32>, vector<8xf32>
  exec.end
}

// -----

// Tests that f16 is widened for an operation and rounded after it, and that a square is a product.
// CHECK-LABEL: exec.kernel @half
// CHECK: %[[WIDE:.*]] = arith.extf %{{.*}} : f16 to f32
// CHECK: %[[SQUARE:.*]] = arith.mulf %[[WIDE]], %[[WIDE]] : f32
// CHECK: arith.truncf %[[SQUARE]] : f32 to f16
exec.kernel @half(%out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 2>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %y = memref.view %out[%c0][] : memref<?xi8> to memref<1xf16>
  %v = memref.load %y[%c0] : memref<1xf16>
  %two = arith.constant 2.0 : f16
  %w = math.powf %v, %two : f16
  memref.store %w, %y[%c0] : memref<1xf16>
  exec.end
}

// RUN: msa-opt %s --store-as-integers | FileCheck %s
// SPDX-License-Identifier: Apache-2.0

// Tests that bools are bytes in memory and i1 as values.
// CHECK-LABEL: exec.kernel @bools
// CHECK: %[[X:.*]] = memref.view {{.*}} to memref<?xi8>
// CHECK: %[[BYTES:.*]] = vector.load %[[X]]{{.*}} vector<8xi8>
// CHECK: %[[TRUTH:.*]] = arith.cmpi ne, %[[BYTES]]
// CHECK: %[[NOT:.*]] = arith.xori %[[TRUTH]], {{.*}} : vector<8xi1>
// CHECK: %[[STORED:.*]] = arith.extui %[[NOT]] : vector<8xi1> to vector<8xi8>
// CHECK: vector.maskedstore {{.*}} %[[STORED]]
exec.kernel @bools(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %in[%c0][%n] : memref<?xi8> to memref<?xi1>
  %y = memref.view %out[%c0][%n] : memref<?xi8> to memref<?xi1>
  %v = vector.load %x[%lo] : memref<?xi1>, vector<8xi1>
  %t = arith.constant dense<true> : vector<8xi1>
  %w = arith.xori %v, %t : vector<8xi1>
  vector.maskedstore %y[%lo], %v, %w : memref<?xi1>, vector<8xi1>, vector<8xi1>
  exec.end
}

// Tests that bf16 crosses memory as its bits.
// CHECK-LABEL: exec.kernel @bf16
// CHECK: %[[BITS:.*]] = memref.load {{.*}} : memref<?xi16>
// CHECK: arith.bitcast %[[BITS]] : i16 to bf16
exec.kernel @bf16(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %in[%c0][%n] : memref<?xi8> to memref<?xbf16>
  %y = memref.view %out[%c0][%n] : memref<?xi8> to memref<?xf32>
  %v = memref.load %x[%lo] : memref<?xbf16>
  %w = arith.extf %v : bf16 to f32
  memref.store %w, %y[%lo] : memref<?xf32>
  exec.end
}

// Tests that f8E4M3FN, which LLVM does not have, does so too.
// CHECK-LABEL: exec.kernel @small
// CHECK: %[[BITS:.*]] = vector.load {{.*}} : memref<?xi8>, vector<16xi8>
// CHECK: arith.bitcast %[[BITS]] : vector<16xi8> to vector<16xf8E4M3FN>
// CHECK: %[[STORED:.*]] = arith.bitcast %{{.*}} : vector<16xf8E4M3FN> to vector<16xi8>
// CHECK: vector.store %[[STORED]], {{.*}} : memref<?xi8>, vector<16xi8>
exec.kernel @small(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %in[%c0][%n] : memref<?xi8> to memref<?xf8E4M3FN>
  %y = memref.view %out[%c0][%n] : memref<?xi8> to memref<?xf8E4M3FN>
  %v = vector.load %x[%lo] : memref<?xf8E4M3FN>, vector<16xf8E4M3FN>
  vector.store %v, %y[%lo] : memref<?xf8E4M3FN>, vector<16xf8E4M3FN>
  exec.end
}

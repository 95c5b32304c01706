// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v4" --canonicalize --cse | FileCheck %s
// RUN: kernel-runner %s --variant=x86-64-v3 --emit=asm | FileCheck %s --check-prefix=ASM

// Tests that chunks are found in one pass.

// CHECK-LABEL: exec.kernel @index
// CHECK: scf.for {{.*}} iter_args(%[[CHUNKS:.*]] = %c0)
// CHECK: arith.remsi
// CHECK: scf.yield
// CHECK: memref.store
exec.kernel @index(%d: memref<?xi8>, %p: memref<?xi8>, %s: memref<?xi8>, %c: memref<?xi8>, %n: memref<?xi8>, %t: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 1, 1, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %t1 = arith.addi %t, %1 : index
  %documents = memref.view %d[%0][%t] : memref<?xi8> to memref<?xi64>
  %positions = memref.view %p[%0][%t] : memref<?xi8> to memref<?xi64>
  %starts = memref.view %s[%0][%t1] : memref<?xi8> to memref<?xi64>
  %chunks = memref.view %c[%0][%t] : memref<?xi8> to memref<?xi64>
  %total = memref.view %n[%0][%1] : memref<?xi8> to memref<?xi64>
  kernel.chunk_index tiles(%lo to %hi) %documents positions %positions into %starts, %chunks, %total chunk 64
      : memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>
  exec.end
}

// Tests that the tokens of a chunk are added in registers, and that a head is divided by its norm before it is rounded.

// CHECK-LABEL: exec.kernel @pool
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>) {
// CHECK: arith.addf
// CHECK: arith.divf
// CHECK: math.fma
// CHECK: math.sqrt
// CHECK: arith.maximumf
// CHECK: arith.divf
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xf16>
// ASM-LABEL: pool.body:
// ASM-NOT: callq
// ASM: vsqrtss
// ASM-LABEL: pool:
exec.kernel @pool(%x: memref<?xi8>, %s: memref<?xi8>, %r: memref<?xi8>, %t: index, %c: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %c1 = arith.addi %c, %1 : index
  %tokens = memref.view %x[%0][%t] : memref<?xi8> to memref<?x4x32xf32>
  %starts = memref.view %s[%0][%c1] : memref<?xi8> to memref<?xi64>
  %rows = memref.view %r[%0][%c] : memref<?xi8> to memref<?x4x32xf16>
  kernel.pool tiles(%lo to %hi) %tokens starts %starts into %rows mean normalize : memref<?x4x32xf32>, memref<?xi64>, memref<?x4x32xf16>
  exec.end
}

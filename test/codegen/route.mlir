// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v4" --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,V4
// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v3" --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,V3
// RUN: kernel-runner %s --variant=x86-64-v4 --emit=asm | FileCheck %s --check-prefix=ASM
// RUN: kernel-runner %s --variant=x86-64-v3 --emit=asm | FileCheck %s --check-prefix=ASM

// Tests that one token reads keys as a stream, that several tokens share keys in registers with the next rows fetched
// meanwhile, and that only per-tile lists are written.

// CHECK-LABEL: exec.kernel @folded
// CHECK-NOT: memref.alloc
// One token: one chain of multiply-adds for each vector of the 16 partial sums.
// V4: scf.for {{.*}} to %c1024 step %c16 iter_args({{.*}}) -> (vector<16xf32>) {
// V4-NOT: llvm.intr.prefetch
// V4: math.fma
// V3: scf.for {{.*}} to %c1024 step %c16 iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>) {
// V3-COUNT-2: math.fma
// CHECK-NEXT: scf.yield
// Several tokens: 4 tokens by 4 keys, or 2 by 3 of two vectors. Of the next keys each group of tokens fetches some where
// tokens are many, and all where they are not.
// CHECK: scf.if
// V4: scf.for {{.*}} to %c1024 step %c16 iter_args({{.*}}) -> ({{(vector<16xf32>, ){15}vector<16xf32>}}) {
// V4-COUNT-2: "llvm.intr.prefetch"
// V4-NOT: "llvm.intr.prefetch"
// V4-COUNT-16: math.fma {{.*}} : vector<16xf32>
// V4: scf.for {{.*}} to %c1024 step %c16 iter_args({{.*}}) -> ({{(vector<16xf32>, ){15}vector<16xf32>}}) {
// V4-COUNT-4: "llvm.intr.prefetch"
// V4-NOT: "llvm.intr.prefetch"
// V4-COUNT-16: math.fma {{.*}} : vector<16xf32>
// V3: scf.for {{.*}} to %c1024 step %c16 iter_args({{.*}}) -> ({{(vector<8xf32>, ){11}vector<8xf32>}}) {
// V3-COUNT-1: "llvm.intr.prefetch"
// V3-NOT: "llvm.intr.prefetch"
// V3-COUNT-12: math.fma {{.*}} : vector<8xf32>
// V3: scf.for {{.*}} to %c1024 step %c16 iter_args({{.*}}) -> ({{(vector<8xf32>, ){11}vector<8xf32>}}) {
// V3-COUNT-3: "llvm.intr.prefetch"
// V3-NOT: "llvm.intr.prefetch"
// V3-COUNT-12: math.fma {{.*}} : vector<8xf32>
// CHECK-NEXT: scf.yield
// CHECK: vector.shuffle
// The list of the tile's best documents.
// CHECK: memref.store {{.*}} : memref<?x16xf32>
// CHECK-NOT: memref.alloc
// CHECK-NOT: kernel.
exec.kernel @folded(%q: memref<?xi8>, %on: memref<?xi8>, %keys: !llvm.ptr, %doc: memref<?xi8>, %s: memref<?xi8>, %e: memref<?xi8>,
    %n: memref<?xi8>, %m: index, %c: index, %tiles: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 3, 0, 1, 1, 1>, scratch_bytes = 3648 : i64} {
  %0 = arith.constant 0 : index
  %query = memref.view %q[%0][%m] : memref<?xi8> to memref<?x1x1024xf32>
  %mask = memref.view %on[%0][%m] : memref<?xi8> to memref<?xi1>
  %documents = memref.view %doc[%0][%c] : memref<?xi8> to memref<?xi64>
  %scores = memref.view %s[%0][%tiles] : memref<?xi8> to memref<?x16xf32>
  %entries = memref.view %e[%0][%tiles] : memref<?xi8> to memref<?x16x3xi64>
  %counts = memref.view %n[%0][%tiles] : memref<?xi8> to memref<?xi64>
  kernel.route_scan tiles(%lo to %hi) %query mask %mask keys %keys documents %documents into %scores, %entries, %counts scratch %scratch
      element f32 row 1024 rows 512 heads mean query max chunks max scale 1.0
      : memref<?x1x1024xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}

// Tests that unfolded heads are reduced one after the other, each with its own part of a key, and that narrow keys are
// converted as they are loaded.

// CHECK-LABEL: exec.kernel @heads
// CHECK: scf.for %[[HEAD:.*]] = %c0 to %c8 step %c1 iter_args
// CHECK: %[[GROUP:.*]] = arith.divui %[[HEAD]], %c4
// CHECK: llvm.load {{.*}} {alignment = 2 : i64} : !llvm.ptr -> vector<{{16|8}}xf16>
// CHECK: arith.extf
// CHECK: math.fma
// CHECK: arith.maximumf
exec.kernel @heads(%q: memref<?xi8>, %on: memref<?xi8>, %keys: !llvm.ptr, %doc: memref<?xi8>, %s: memref<?xi8>, %e: memref<?xi8>,
    %n: memref<?xi8>, %m: index, %c: index, %tiles: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 3, 0, 1, 1, 1>, scratch_bytes = 3648 : i64} {
  %0 = arith.constant 0 : index
  %query = memref.view %q[%0][%m] : memref<?xi8> to memref<?x8x64xf32>
  %mask = memref.view %on[%0][%m] : memref<?xi8> to memref<?xi1>
  %documents = memref.view %doc[%0][%c] : memref<?xi8> to memref<?xi64>
  %scores = memref.view %s[%0][%tiles] : memref<?xi8> to memref<?x16xf32>
  %entries = memref.view %e[%0][%tiles] : memref<?xi8> to memref<?x16x3xi64>
  %counts = memref.view %n[%0][%tiles] : memref<?xi8> to memref<?xi64>
  kernel.route_scan tiles(%lo to %hi) %query mask %mask keys %keys documents %documents into %scores, %entries, %counts scratch %scratch
      element f16 row 128 rows 512 heads max query last chunks mean scale 0.125
      : memref<?x8x64xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}

// Tests that the multiply-adds are fused in the machine code and that it calls nothing.

// ASM-LABEL: folded.body:
// ASM-NOT: callq
// ASM: vfmadd
// ASM-LABEL: heads.body:
// ASM-NOT: callq
// ASM: vcvtph2ps
// ASM-LABEL: heads:

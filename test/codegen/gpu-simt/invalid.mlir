// RUN: msa-opt %s --lower-kernels-to-gpu --split-input-file --verify-diagnostics
// SPDX-License-Identifier: Apache-2.0

// expected-error @below {{expected one op of the kernel dialect for the GPU, but found 0}}
exec.kernel @nothing(%scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

#row = affine_map<(d0) -> (d0)>

exec.kernel @dynamic(%a: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %y = memref.view %a[%c0][%n] : memref<?xi8> to memref<?xf32>
  // expected-error @below {{expected a static size in a kernel, but got 'memref<?xf32>'}}
  %t = memref.alloca(%n) : memref<?xf32>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%i: index):
    linalg.copy ins(%t : memref<?xf32>) outs(%y : memref<?xf32>)
    kernel.yield
  }
  exec.end
}

// -----

exec.kernel @tall(%q: memref<?xi8>, %on: memref<?xi8>, %keys: !llvm.ptr, %doc: memref<?xi8>, %s: memref<?xi8>, %e: memref<?xi8>, %n: memref<?xi8>,
    %m: index, %c: index, %tiles: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 3, 0, 1, 1, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %query = memref.view %q[%0][%m] : memref<?xi8> to memref<?x1x16xf32>
  %mask = memref.view %on[%0][%m] : memref<?xi8> to memref<?xi1>
  %documents = memref.view %doc[%0][%c] : memref<?xi8> to memref<?xi64>
  %scores = memref.view %s[%0][%tiles] : memref<?xi8> to memref<?x4xf32>
  %entries = memref.view %e[%0][%tiles] : memref<?xi8> to memref<?x4x3xi64>
  %counts = memref.view %n[%0][%tiles] : memref<?xi8> to memref<?xi64>
  // expected-error @below {{has no lowering for the GPU with 5000 rows a tile: expected 4096 at most}}
  kernel.route_scan tiles(%lo to %hi) %query mask %mask keys %keys documents %documents into %scores, %entries, %counts scratch %scratch
      element f32 row 16 rows 5000 heads mean query max chunks max scale 1.0
      : memref<?x1x16xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x4xf32>, memref<?x4x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}

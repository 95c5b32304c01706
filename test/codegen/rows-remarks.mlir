// RUN: msa-opt %s --split-input-file --verify-diagnostics --lower-kernels-to-vector
// SPDX-License-Identifier: Apache-2.0

// Tests that a loop over elements is said to be one: two values that are carried together fit no arrangement of lanes.
exec.kernel @argmax(%a: memref<?xi8>, %b: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 2>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.view %a[%c0][%n] : memref<?xi8> to memref<?xf32>
  %best = memref.view %b[%c0][] : memref<?xi8> to memref<f32>
  %at = memref.alloca() : memref<i64>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%i: index):
    // expected-remark @+1 {{left as a scalar loop: the body or an access cannot be spread over lanes}}
    linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]} ins(%x : memref<?xf32>) outs(%best, %at : memref<f32>, memref<i64>) {
    ^bb0(%v: f32, %m: f32, %p: i64):
      %j = linalg.index 0 : index
      %q = arith.index_cast %j : index to i64
      %g = arith.cmpf ogt, %v, %m : f32
      %s = arith.select %g, %v, %m : f32
      %t = arith.select %g, %q, %p : i64
      linalg.yield %s, %t : f32, i64
    }
    kernel.yield
  }
  exec.end
}

// -----

// Tests that a copy along which nothing is contiguous is not spread either.
exec.kernel @diagonal(%a: memref<?xi8>, %b: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.view %a[%c0][%n, %n] : memref<?xi8> to memref<?x?xf32>
  %y = memref.view %b[%c0][%n, %n] : memref<?xi8> to memref<?x?xf32>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%i: index):
    // expected-remark @+1 {{left as a scalar loop: no access is contiguous}}
    linalg.generic {indexing_maps = [affine_map<(d0) -> (d0, d0)>, affine_map<(d0) -> (d0, d0)>], iterator_types = ["parallel"]} ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>) {
    ^bb0(%v: f32, %o: f32):
      linalg.yield %v : f32
    }
    kernel.yield
  }
  exec.end
}

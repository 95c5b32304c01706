// RUN: msa-opt %s --lower-kernels-to-vector=variant=x86-64-v3 --split-input-file | FileCheck %s
// RUN: msa-opt %s --lower-kernels-to-vector=variant=x86-64-v4 --split-input-file | FileCheck %s --check-prefix=V4
// SPDX-License-Identifier: Apache-2.0

#row = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>

// Tests that points are counted, not divided, and that a static row without a rest has no mask.
// CHECK-LABEL: exec.kernel @whole
// CHECK: %[[FIRST:.*]] = arith.muli %{{.*}}, %c4
// CHECK: %[[END:.*]] = arith.minsi
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %[[END]] step %c1 iter_args
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c8
// CHECK: vector.load {{.*}} vector<8xf32>
// CHECK: arith.addf {{.*}} : vector<8xf32>
// CHECK: vector.store
// CHECK-NOT: vector.mask
// CHECK: exec.end
// V4-LABEL: exec.kernel @whole
// V4: scf.for %{{.*}} = %c0 to %c64 step %c16
// V4: vector.load {{.*}} vector<16xf32>
exec.kernel @whole(%a: memref<?xi8>, %b: memref<?xi8>, %m: index, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %a[%c0][%m, %n] : memref<?xi8> to memref<?x?x64xf32>
  %y = memref.view %b[%c0][%m, %n] : memref<?xi8> to memref<?x?x64xf32>
  kernel.rows tiles(%lo to %hi) sizes(%m, %n) block 4 {
  ^bb0(%i: index, %j: index):
    %xs = memref.subview %x[%i, %j, 0] [1, 1, 64] [1, 1, 1] : memref<?x?x64xf32> to memref<64xf32, strided<[1], offset: ?>>
    %ys = memref.subview %y[%i, %j, 0] [1, 1, 64] [1, 1, 1] : memref<?x?x64xf32> to memref<64xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%xs : memref<64xf32, strided<[1], offset: ?>>) outs(%ys : memref<64xf32, strided<[1], offset: ?>>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %v, %v : f32
      linalg.yield %s : f32
    }
    kernel.yield
  }
  exec.end
}

// -----

#row = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>

// Tests that a dynamic row ends in a masked vector, and that a value that is the same for all elements is loaded once.
// CHECK-LABEL: exec.kernel @rest
// CHECK: %[[SCALAR:.*]] = memref.load
// CHECK: scf.for
// CHECK: vector.load
// CHECK: vector.store
// CHECK: %[[MASK:.*]] = vector.create_mask
// CHECK: scf.for
// CHECK: vector.maskedload {{.*}}, %[[MASK]]
// CHECK-NOT: memref.load
// CHECK: vector.maskedstore {{.*}}, %[[MASK]]
exec.kernel @rest(%a: memref<?xi8>, %b: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.view %a[%c0][%n] : memref<?xi8> to memref<?xf32>
  %s = memref.view %a[%c0][] : memref<?xi8> to memref<f32>
  %y = memref.view %b[%c0][%n] : memref<?xi8> to memref<?xf32>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%i: index):
    linalg.generic {indexing_maps = [#row, #one, #row], iterator_types = ["parallel"]} ins(%x, %s : memref<?xf32>, memref<f32>) outs(%y : memref<?xf32>) {
    ^bb0(%u: f32, %v: f32, %o: f32):
      %t = arith.mulf %u, %v : f32
      linalg.yield %t : f32
    }
    kernel.yield
  }
  exec.end
}

// -----

#row = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>

// Tests that a sum over a row has four accumulators, one fused operation each, and one order of adding them up.
// CHECK-LABEL: exec.kernel @sum
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c32 iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// CHECK-COUNT-4: math.fma {{.*}} : vector<8xf32>
// CHECK-NOT: math.fma
// CHECK: arith.addf {{.*}} : vector<8xf32>
// CHECK: arith.addf {{.*}} : vector<8xf32>
// CHECK: arith.addf {{.*}} : vector<8xf32>
// CHECK: arith.addf {{.*}} : vector<4xf32>
// CHECK: arith.addf {{.*}} : vector<2xf32>
// CHECK: arith.addf {{.*}} : vector<1xf32>
// CHECK: memref.store
exec.kernel @sum(%a: memref<?xi8>, %b: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 2>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.view %a[%c0][] : memref<?xi8> to memref<64xf32>
  %y = memref.view %b[%c0][] : memref<?xi8> to memref<f32>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%i: index):
    linalg.generic {indexing_maps = [#row, #one], iterator_types = ["reduction"]} ins(%x : memref<64xf32>) outs(%y : memref<f32>) {
    ^bb0(%v: f32, %o: f32):
      %q = arith.mulf %v, %v : f32
      %s = arith.addf %o, %q : f32
      linalg.yield %s : f32
    }
    kernel.yield
  }
  exec.end
}

// -----

// Tests that a sum over columns stays in a vector register, and that the contiguous dim is the one that is spread.
// CHECK-LABEL: exec.kernel @columns
// CHECK: scf.for %[[J:.*]] = %c0 to %c32 step %c8 {
// CHECK: %[[INIT:.*]] = vector.load
// CHECK: %[[SUM:.*]] = scf.for %[[I:.*]] = {{.*}} iter_args(%{{.*}} = %[[INIT]]) -> (vector<8xf32>)
// CHECK: vector.load %{{.*}}[%[[I]], %[[J]]]
// CHECK: vector.store %[[SUM]]
exec.kernel @columns(%a: memref<?xi8>, %b: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 2>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.view %a[%c0][%n] : memref<?xi8> to memref<?x32xf32>
  %y = memref.view %b[%c0][] : memref<?xi8> to memref<32xf32>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%k: index):
    linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], iterator_types = ["reduction", "parallel"]} ins(%x : memref<?x32xf32>) outs(%y : memref<32xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %o, %v : f32
      linalg.yield %s : f32
    }
    kernel.yield
  }
  exec.end
}

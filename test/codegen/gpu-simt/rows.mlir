// RUN: msa-opt %s --lower-kernels-to-gpu=target=cuda:sm_90 --canonicalize --cse --split-input-file | FileCheck %s
// SPDX-License-Identifier: Apache-2.0

#row = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>

// Tests that a warp shares a row: its row memory is shared, its sum stays in registers, it waits between what one lane writes and another
// reads, and a grid is enough warps for all rows.
// CHECK: llvm.mlir.global internal @softmax$shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<6144 x i8>
// CHECK-LABEL: func.func @softmax
// CHECK-SAME: %{{.*}}: !llvm.ptr<1> {llvm.align = 16 : i64, llvm.noalias, llvm.noundef, llvm.readonly}
// CHECK-SAME: msa.block = 128
// CHECK-SAME: msa.launch_table = {cases = [{launches = [{block = 128 : i64, grid = [{divisor = 4 : i64, scalars = array<i64: 0>}, 1, 1], symbol = "softmax"}]}], kernel = "softmax"}
// CHECK: %[[SUM:.*]] = memref.alloca() : memref<f32>
// CHECK: scf.for
// CHECK: scf.for %{{.*}} = %[[LANE:.*]] to %c384 step %c32
// CHECK: math.exp
// CHECK: nvvm.bar.warp.sync
// CHECK: %[[PARTIAL:.*]] = scf.for %{{.*}} = %[[LANE]] to %c384 step %c32 iter_args
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %[[PARTIAL]]
// CHECK-COUNT-4: nvvm.shfl.sync bfly
// CHECK-NOT: sync
// CHECK: memref.store %{{.*}}, %[[SUM]]
// CHECK-NOT: sync
// CHECK: scf.for %{{.*}} = %[[LANE]] to %c384 step %c32
// CHECK: arith.divf
// CHECK: nvvm.bar.warp.sync
exec.kernel @softmax(%a: memref<?xi8>, %b: memref<?xi8>, %m: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %x = memref.view %a[%c0][%m] : memref<?xi8> to memref<?x384xf32>
  %y = memref.view %b[%c0][%m] : memref<?xi8> to memref<?x384xf32>
  %t = memref.alloca() : memref<384xf32>
  %sum = memref.alloca() : memref<f32>
  kernel.rows tiles(%lo to %hi) sizes(%m) block 4 {
  ^bb0(%i: index):
    %xs = memref.subview %x[%i, 0] [1, 384] [1, 1] : memref<?x384xf32> to memref<384xf32, strided<[1], offset: ?>>
    %ys = memref.subview %y[%i, 0] [1, 384] [1, 1] : memref<?x384xf32> to memref<384xf32, strided<[1], offset: ?>>
    linalg.fill ins(%zero : f32) outs(%sum : memref<f32>)
    linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%xs : memref<384xf32, strided<[1], offset: ?>>) outs(%t : memref<384xf32>) {
    ^bb0(%v: f32, %o: f32):
      %e = math.exp %v : f32
      linalg.yield %e : f32
    }
    linalg.generic {indexing_maps = [#row, #one], iterator_types = ["reduction"]} ins(%t : memref<384xf32>) outs(%sum : memref<f32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %v, %o : f32
      linalg.yield %s : f32
    }
    linalg.generic {indexing_maps = [#row, #one, #row], iterator_types = ["parallel"]} ins(%t, %sum : memref<384xf32>, memref<f32>) outs(%ys : memref<384xf32, strided<[1], offset: ?>>) {
    ^bb0(%v: f32, %w: f32, %o: f32):
      %d = arith.divf %v, %w : f32
      linalg.yield %d : f32
    }
    kernel.yield
  }
  exec.end
}

// -----

#row = affine_map<(d0) -> (d0)>

// Tests that a piece of a flat loop is a block's, and that the grid is the number of pieces, which is a scalar.
// CHECK-LABEL: func.func @flat
// CHECK-SAME: msa.block = 256
// CHECK-SAME: grid = [{scalars = array<i64: 0>}, 1, 1]
// CHECK: %[[THREAD:.*]] = arith.index_castui %{{.*}} : i32 to index
// CHECK: scf.for
// CHECK: scf.for %{{.*}} = %[[THREAD]] to %{{.*}} step %c256
// CHECK-NOT: barrier
exec.kernel @flat(%a: memref<?xi8>, %b: memref<?xi8>, %pieces: index, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c2048 = arith.constant 2048 : index
  %x = memref.view %a[%c0][%n] : memref<?xi8> to memref<?xf32>
  %y = memref.view %b[%c0][%n] : memref<?xi8> to memref<?xf32>
  kernel.rows tiles(%lo to %hi) sizes(%pieces) block 1 {
  ^bb0(%i: index):
    %start = arith.muli %i, %c2048 : index
    %left = arith.subi %n, %start : index
    %size = arith.minsi %left, %c2048 : index
    %xs = memref.subview %x[%start] [%size] [1] : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
    %ys = memref.subview %y[%start] [%size] [1] : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%xs : memref<?xf32, strided<[1], offset: ?>>) outs(%ys : memref<?xf32, strided<[1], offset: ?>>) {
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

// Tests that rows of a few elements are a thread's each.
// CHECK-LABEL: func.func @tiny
// CHECK-SAME: grid = [{divisor = 128 : i64, scalars = array<i64: 0, 1>}, 1, 1]
// CHECK: scf.for
// CHECK: arith.remui
// CHECK: scf.for %{{.*}} = %c0 to %c3 step %c1
exec.kernel @tiny(%a: memref<?xi8>, %b: memref<?xi8>, %m: index, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %a[%c0][%m, %n] : memref<?xi8> to memref<?x?x3xf32>
  %y = memref.view %b[%c0][%m, %n] : memref<?xi8> to memref<?x?x3xf32>
  kernel.rows tiles(%lo to %hi) sizes(%m, %n) block 4 {
  ^bb0(%i: index, %j: index):
    %xs = memref.subview %x[%i, %j, 0] [1, 1, 3] [1, 1, 1] : memref<?x?x3xf32> to memref<3xf32, strided<[1], offset: ?>>
    %ys = memref.subview %y[%i, %j, 0] [1, 1, 3] [1, 1, 1] : memref<?x?x3xf32> to memref<3xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%xs : memref<3xf32, strided<[1], offset: ?>>) outs(%ys : memref<3xf32, strided<[1], offset: ?>>) {
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

// Tests that row memory which shared memory cannot hold is the workspace of a fixed grid.
// CHECK-LABEL: func.func @large
// CHECK-SAME: grid = [128, 1, 1]
// CHECK-SAME: workspace = 8388608 : i64
exec.kernel @large(%a: memref<?xi8>, %b: memref<?xi8>, %m: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %a[%c0][%m] : memref<?xi8> to memref<?x16384xf32>
  %y = memref.view %b[%c0][%m] : memref<?xi8> to memref<?x16384xf32>
  %t = memref.alloca() : memref<16384xf32>
  kernel.rows tiles(%lo to %hi) sizes(%m) block 4 {
  ^bb0(%i: index):
    %xs = memref.subview %x[%i, 0] [1, 16384] [1, 1] : memref<?x16384xf32> to memref<16384xf32, strided<[1], offset: ?>>
    %ys = memref.subview %y[%i, 0] [1, 16384] [1, 1] : memref<?x16384xf32> to memref<16384xf32, strided<[1], offset: ?>>
    linalg.copy ins(%xs : memref<16384xf32, strided<[1], offset: ?>>) outs(%t : memref<16384xf32>)
    linalg.copy ins(%t : memref<16384xf32>) outs(%ys : memref<16384xf32, strided<[1], offset: ?>>)
    kernel.yield
  }
  exec.end
}

// -----

#matrix = affine_map<(d0, d1) -> (d0, d1)>

// Tests that the whole grid shares the only loop of the only point.
// CHECK-LABEL: func.func @one_point
// CHECK-SAME: grid = [{divisor = 1024 : i64, factor = 24 : i64, scalars = array<i64: 0>}, 1, 1]
// CHECK: %[[BLOCK:.*]] = nvvm.read.ptx.sreg.ctaid.x
// CHECK: %[[BLOCKS:.*]] = nvvm.read.ptx.sreg.nctaid.x
// CHECK: scf.for
// CHECK-NOT: scf.for
// CHECK-NOT: sync
exec.kernel @one_point(%a: memref<?xi8>, %b: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.view %a[%c0][%n] : memref<?xi8> to memref<?x24xf32>
  %y = memref.view %b[%c0][%n] : memref<?xi8> to memref<?x24xf32>
  kernel.rows tiles(%lo to %hi) sizes(%c1) block 1 {
  ^bb0(%i: index):
    linalg.generic {indexing_maps = [#matrix, #matrix], iterator_types = ["parallel", "parallel"]} ins(%x : memref<?x24xf32>) outs(%y : memref<?x24xf32>) {
    ^bb0(%v: f32, %o: f32):
      %s = arith.addf %v, %v : f32
      linalg.yield %s : f32
    }
    kernel.yield
  }
  exec.end
}

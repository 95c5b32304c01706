// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v4" --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,V4
// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v3" --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,V3
// RUN: kernel-runner %s --variant=x86-64-v4 --emit=asm | FileCheck %s --check-prefix=ASM
// RUN: kernel-runner %s --variant=x86-64-v3 --emit=asm | FileCheck %s --check-prefix=ASM

// Tests that a tile's rows go through register tiles of one chain of multiply-adds for each element, with the epilogue on
// vectors behind it, and that nothing allocates.

// CHECK-LABEL: exec.kernel @bias
// CHECK-NOT: memref.alloc
// Four rows more than fit in no register tile: the rest is copied to scratch.
// CHECK: vector.store {{.*}} : memref<96x400xf32>
// The tallest register tile: 12 rows by two panels, or 6 rows by one panel of two vectors. k is unrolled by four.
// V4: scf.for {{.*}} to %c384 step %c4 iter_args({{.*}}) -> ([[TILE:(vector<16xf32>, ){23}vector<16xf32>]]) {
// V3: scf.for {{.*}} to %c384 step %c4 iter_args({{.*}}) -> ([[TILE:(vector<8xf32>, ){11}vector<8xf32>]]) {
// V4-COUNT-96: math.fma {{.*}} : vector<16xf32>
// V3-COUNT-48: math.fma {{.*}} : vector<8xf32>
// CHECK-NEXT: scf.yield
// The epilogue runs row by row, on vectors.
// CHECK: scf.for
// CHECK: scf.for
// V4: %[[EXTRA:.*]] = vector.load %{{.*}} : memref<128xf32>, vector<16xf32>
// V3: %[[EXTRA:.*]] = vector.load %{{.*}} : memref<128xf32>, vector<8xf32>
// CHECK: %[[SUM:.*]] = arith.addf %{{.*}}, %[[EXTRA]]
// CHECK: %[[RELU:.*]] = arith.maximumf %[[SUM]],
// CHECK: vector.store %[[RELU]], %{{.*}} : memref<?x128xf32>
// One row reads four panels at once.
// CHECK: scf.if
// V4: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>) {
// V3: scf.for {{.*}} iter_args({{.*}}) -> ({{(vector<8xf32>, ){7}vector<8xf32>}}) {
// CHECK-NOT: memref.alloc
// CHECK-NOT: kernel.
exec.kernel @bias(%lhs: memref<?xi8>, %rhs: memref<?xi8>, %bias: memref<?xi8>, %out: memref<?xi8>, %m: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 0, 1>, scratch_bytes = 156672 : i64} {
  %0 = arith.constant 0 : index
  %a = memref.view %lhs[%0][%m] : memref<?xi8> to memref<?x384xf32>
  %w = memref.view %rhs[%0][] : memref<?xi8> to memref<8x384x16xf32>
  %b = memref.view %bias[%0][] : memref<?xi8> to memref<128xf32>
  %c = memref.view %out[%0][%m] : memref<?xi8> to memref<?x128xf32>
  kernel.matmul tiles(%lo to %hi) %a, %w extras(%b : memref<128xf32>) into %c scratch %scratch rows 96 columns 64
      : memref<?x384xf32>, memref<8x384x16xf32>, memref<?x128xf32>, memref<?xi8> {
    ^bb0(%acc: f32, %extra: f32):
      %zero = arith.constant 0.0 : f32
      %sum = arith.addf %acc, %extra : f32
      %relu = arith.maximumf %sum, %zero : f32
      kernel.yield %relu : f32
  }
  exec.end
}

// Tests that narrow weights are converted as they are loaded, that a result's tail is masked, and that rows narrower than
// f32 are all copied.

// CHECK-LABEL: exec.kernel @narrow
// CHECK: scf.for
// CHECK: arith.extf {{.*}} : vector<{{16|8}}xf16> to vector<{{16|8}}xf32>
// CHECK: vector.store {{.*}} : memref<24x48xf32>
// CHECK: vector.load {{.*}} : memref<2x40x16xbf16>
// CHECK: arith.shli
// CHECK: math.fma
// CHECK: vector.constant_mask [4]
exec.kernel @narrow(%lhs: memref<?xi8>, %rhs: memref<?xi8>, %out: memref<?xi8>, %m: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 1>, scratch_bytes = 7680 : i64} {
  %0 = arith.constant 0 : index
  %a = memref.view %lhs[%0][%m] : memref<?xi8> to memref<?x40xf16>
  %w = memref.view %rhs[%0][] : memref<?xi8> to memref<2x40x16xbf16>
  %c = memref.view %out[%0][%m] : memref<?xi8> to memref<?x20xf32>
  kernel.matmul tiles(%lo to %hi) %a, %w into %c scratch %scratch rows 24 columns 64
      : memref<?x40xf16>, memref<2x40x16xbf16>, memref<?x20xf32>, memref<?xi8> {
    ^bb0(%acc: f32):
      kernel.yield %acc : f32
  }
  exec.end
}

// Tests that the multiply-adds are fused in the machine code and that it calls nothing.

// ASM-LABEL: bias.body:
// ASM-NOT: {{vmulps|callq}}
// ASM-COUNT-96: vfmadd
// ASM-NOT: {{vmulps|callq}}
// ASM-LABEL: bias:

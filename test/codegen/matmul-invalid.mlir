// RUN: not msa-opt %s --lower-kernels-to-vector="variant=x86-64-v3" 2>&1 | FileCheck %s

// Tests that an epilogue which is not elementwise is refused by name.

// CHECK: error: 'memref.load' op is not elementwise, as an operation of a matmul's epilogue has to be
exec.kernel @k(%lhs: memref<?xi8>, %rhs: memref<?xi8>, %bias: memref<?xi8>, %out: memref<?xi8>, %m: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 0, 1>, scratch_bytes = 65536 : i64} {
  %0 = arith.constant 0 : index
  %a = memref.view %lhs[%0][%m] : memref<?xi8> to memref<?x8xf32>
  %w = memref.view %rhs[%0][] : memref<?xi8> to memref<1x8x16xf32>
  %b = memref.view %bias[%0][] : memref<?xi8> to memref<16xf32>
  %c = memref.view %out[%0][%m] : memref<?xi8> to memref<?x16xf32>
  kernel.matmul tiles(%lo to %hi) %a, %w into %c scratch %scratch rows 12 columns 64
      : memref<?x8xf32>, memref<1x8x16xf32>, memref<?x16xf32>, memref<?xi8> {
    ^bb0(%acc: f32):
      %first = memref.load %b[%0] : memref<16xf32>
      %sum = arith.addf %acc, %first : f32
      kernel.yield %sum : f32
  }
  exec.end
}

// RUN: msa-opt %s --lower-kernels-to-gpu="target=cuda:sm_80 templates=false" | FileCheck %s
// RUN: kernel-runner %s --variant=cuda:sm_80 --templates=false --emit=ptx | FileCheck %s --check-prefix=PTX
// SPDX-License-Identifier: Apache-2.0

// Tests the launch tables of products and attention: few rows, or few queries on many keys, have launches of their own.
// CHECK: func.func @matmul(
// CHECK-SAME: {below = 17 : i64, launches = [{block = 256 : i64, grid = [9, 1, 1], symbol = "matmul$few"}], scalar = 0 : i64}
// CHECK-SAME: launches = [{block = 256 : i64, grid = [{divisor = 64 : i64, multiplier = 3 : i64, scalars = array<i64: 0>}, 1, 1], symbol = "matmul"}]
// CHECK: func.func @attention(
// CHECK-SAME: below = 5 : i64
// CHECK-SAME: grid = [{divisor = 4 : i64, factor = 2 : i64, scalars = array<i64: 0>}, 2, {divisor = 256 : i64, scalars = array<i64: 1>}], symbol = "attention$split", workspace = {multiplier = 139264 : i64, scalars = array<i64: 0>}
// CHECK-SAME: symbol = "attention$combine"
// CHECK-SAME: scalar = 0 : i64
// CHECK-SAME: symbol = "attention"}]

// Tests that the text has the parameters of the design, knows where memory is and how many threads there are.
// PTX: .target sm_80
// PTX-LABEL: .visible .entry matmul(
// PTX-NEXT: .param .u64 .ptr .global .align 16 matmul_param_0,
// PTX-NEXT: .param .u64 .ptr .global .align 16 matmul_param_1,
// PTX-NEXT: .param .u64 .ptr .global .align 16 matmul_param_2,
// PTX-NEXT: .param .u64 matmul_param_3,
// PTX-NEXT: .param .u64 matmul_param_4,
// PTX-NEXT: .param .u64 .ptr .global .align 16 matmul_param_5
// PTX-NEXT: )
// PTX-NEXT: .reqntid 256
// PTX-NEXT: .minnctapersm 1
// PTX-NOT: ld.{{[buf][0-9]}}
// PTX: ld.global.nc.v4
// PTX: st.shared.v4
// PTX: bar{{.*}}sync
// PTX: ld.shared.v4
// PTX: fma.rn.f32
// PTX-NOT: ld.{{[buf][0-9]}}
// PTX-NOT: .local
exec.kernel @matmul(%lhs: memref<?xi8>, %rhs: memref<?xi8>, %out: memref<?xi8>, %m: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %a = memref.view %lhs[%0][%m] : memref<?xi8> to memref<?x64xf32>
  %w = memref.view %rhs[%0][] : memref<?xi8> to memref<9x64x16xf32>
  %c = memref.view %out[%0][%m] : memref<?xi8> to memref<?x144xf32>
  kernel.matmul tiles(%lo to %hi) %a, %w into %c scratch %scratch rows 48 columns 64 : memref<?x64xf32>, memref<9x64x16xf32>, memref<?x144xf32>, memref<?xi8> {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  exec.end
}

exec.kernel @attention(%query: memref<?xi8>, %key: memref<?xi8>, %value: memref<?xi8>, %out: memref<?xi8>, %m: index, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %q = memref.view %query[%0][%m] : memref<?xi8> to memref<1x?x4x32xf32>
  %k = memref.view %key[%0][%n] : memref<?xi8> to memref<1x?x2x32xf32>
  %v = memref.view %value[%0][%n] : memref<?xi8> to memref<1x?x2x32xf32>
  %o = memref.view %out[%0][%m] : memref<?xi8> to memref<1x?x4x32xf32>
  kernel.attention tiles(%lo to %hi) %q, %k, %v into %o scratch %scratch causal scale 0.25 rows 8
      : memref<1x?x4x32xf32>, memref<1x?x2x32xf32>, memref<1x?x2x32xf32>, memref<1x?x4x32xf32>, memref<?xi8>
  exec.end
}

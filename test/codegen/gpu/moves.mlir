// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --lower-kernels-to-gpu="target=cuda:sm_90" | FileCheck %s --check-prefixes=CHECK,SM90
// RUN: msa-opt %s --lower-kernels-to-gpu="target=cuda:sm_80" | FileCheck %s --check-prefixes=CHECK,SM80
// RUN: msa-opt %s --lower-kernels-to-gpu="target=cuda:sm_90" --remark-format=emitRemark --remarks-filter=lower-kernels-to-gpu -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// Tests that a scan of bf16 keys becomes instances of the route template, chosen by the number of tokens, the last of which takes any number.

// SM90: llvm.func @folded_direct_8_s4
// SM90-SAME: msa.launch_table = {
// SM90-SAME: below = 9
// SM90-SAME: symbol = "folded_direct_8_s4"
// SM90-SAME: below = 17
// SM90-SAME: symbol = "folded_direct_16_s4"
// SM90-SAME: below = 33
// SM90-SAME: symbol = "folded_hopper_32x128_s5", tensor_maps
// SM90-SAME: symbol = "folded_hopper_64x384_stream_s3_query"
// SM90-SAME: symbol = "folded_hopper_64x384_stream_s3", tensor_maps
// SM90-SAME: symbol = "folded_hopper_256x128_stream_s2", tensor_maps
// SM90-SAME: kernel = "folded"
// SM90: llvm.func @folded_hopper_32x128_s5
// SM90: wgmma.mma_async
// SM80: llvm.func @folded_direct_8_s4
// SM80: mma.sync.aligned.m16n8k16.row.col.f32.bf16
// SM80-NOT: wgmma
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
      element bf16 row 1024 rows 512 heads mean query max chunks max scale 1.0
      : memref<?x1x1024xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}

// Tests that f32 keys do not, and that the reason is told.

// REMARK: 'plain' gets no tensor-core kernel: tensor cores take keys of bf16, f16 and f8E4M3FN alone
// CHECK: @plain
exec.kernel @plain(%q: memref<?xi8>, %on: memref<?xi8>, %keys: !llvm.ptr, %doc: memref<?xi8>, %s: memref<?xi8>, %e: memref<?xi8>,
    %n: memref<?xi8>, %m: index, %c: index, %tiles: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 3, 0, 1, 1, 1>, scratch_bytes = 3648 : i64} {
  %0 = arith.constant 0 : index
  %query = memref.view %q[%0][%m] : memref<?xi8> to memref<?x1x64xf32>
  %mask = memref.view %on[%0][%m] : memref<?xi8> to memref<?xi1>
  %documents = memref.view %doc[%0][%c] : memref<?xi8> to memref<?xi64>
  %scores = memref.view %s[%0][%tiles] : memref<?xi8> to memref<?x16xf32>
  %entries = memref.view %e[%0][%tiles] : memref<?xi8> to memref<?x16x3xi64>
  %counts = memref.view %n[%0][%tiles] : memref<?xi8> to memref<?xi64>
  kernel.route_scan tiles(%lo to %hi) %query mask %mask keys %keys documents %documents into %scores, %entries, %counts scratch %scratch
      element f32 row 64 rows 4096 heads mean query max chunks max scale 1.0
      : memref<?x1x64xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  exec.end
}

// Tests that rows are gathered sixteen bytes at a time, also to a place in a buffer that is known when it runs.

// CHECK: llvm.func @gather_rows
// CHECK-SAME: factor = 128 : i64
// CHECK: ld.global.nc.L1::no_allocate.v4.b32
exec.kernel @gather(%field: !llvm.ptr, %rows: memref<?xi8>, %out: memref<?xi8>, %z: index, %at: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 3, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %chunks = memref.view %rows[%0][%z] : memref<?xi8> to memref<?xi64>
  %result = memref.view %out[%at][%z] : memref<?xi8> to memref<?x1024xbf16>
  kernel.gather tiles(%lo to %hi) %field at %chunks into %result element bf16 block 8 : !llvm.ptr, memref<?xi64>, memref<?x1024xbf16>
  exec.end
}

// Tests that chunks are pooled likewise.

// CHECK: llvm.func @pool_chunks
// CHECK-SAME: divisor = 8 : i64, factor = 8 : i64
// CHECK: ld.global.nc.L1::no_allocate.v4.b32
exec.kernel @pool(%x: memref<?xi8>, %s: memref<?xi8>, %out: memref<?xi8>, %t: index, %c: index, %c1: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %tokens = memref.view %x[%0][%t] : memref<?xi8> to memref<?x8x128xbf16>
  %starts = memref.view %s[%0][%c1] : memref<?xi8> to memref<?xi64>
  %result = memref.view %out[%0][%c] : memref<?xi8> to memref<?x8x128xbf16>
  kernel.pool tiles(%lo to %hi) %tokens starts %starts into %result mean normalize : memref<?x8x128xbf16>, memref<?xi64>, memref<?x8x128xbf16>
  exec.end
}

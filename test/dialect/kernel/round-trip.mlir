// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s > %t.once
// RUN: msa-opt %t.once | diff %t.once -
// RUN: msa-opt %s --mlir-print-op-generic | msa-opt | diff %t.once -
// RUN: msa-opt %s --emit-bytecode | msa-opt | diff %t.once -
// RUN: FileCheck %s < %t.once

// Tests that every op prints what it parses, also by way of the generic form and of bytecode.

// CHECK-LABEL: func.func @rows
// CHECK: kernel.rows tiles(%{{.*}} to %{{.*}}) sizes(%{{.*}}, %{{.*}}) block 4 {
func.func @rows(%n: index, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.rows tiles(%lo to %hi) sizes(%n, %n) block 4 {
  ^bb0(%i: index, %j: index):
    kernel.yield
  }
  return
}

// CHECK-LABEL: func.func @matmul
// CHECK: kernel.matmul tiles(%{{.*}} to %{{.*}}) %{{.*}}, %{{.*}} extras(%{{.*}} : memref<20xf32>) into %{{.*}} scratch %{{.*}} rows 96 columns 64
func.func @matmul(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<20xf32>, %y: memref<?x20xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf32>) into %y scratch %scratch rows 96 columns 64
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x20xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// CHECK-LABEL: func.func @attention
// CHECK: kernel.attention tiles(%{{.*}} to %{{.*}}) %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} : memref<?x1x?x?xi1> into %{{.*}} scratch %{{.*}} causal scale 1.000000e+00 rows 8
func.func @attention(%q: memref<?x?x8x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x16xf32>, %mask: memref<?x1x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %mask : memref<?x1x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 8
      : memref<?x?x8x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x16xf32>, memref<?xi8>
  return
}

// CHECK-LABEL: func.func @documents
// CHECK: kernel.attention tiles(%{{.*}} to %{{.*}}) %{{.*}}, %{{.*}}, %{{.*}} documents %{{.*}} : memref<?xi64> into %{{.*}} scratch %{{.*}} scale 1.000000e+00 rows 8
func.func @documents(%q: memref<?x?x8x32xbf16>, %k: memref<?x?x4x32xbf16>, %v: memref<?x?x4x16xbf16>, %y: memref<?x?x8x16xbf16>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.attention tiles(%lo to %hi) %q, %k, %v documents %doc : memref<?xi64> into %y scratch %scratch scale 1.0 rows 8
      : memref<?x?x8x32xbf16>, memref<?x?x4x32xbf16>, memref<?x?x4x16xbf16>, memref<?x?x8x16xbf16>, memref<?xi8>
  return
}

// CHECK-LABEL: func.func @route_scan
// CHECK: kernel.route_scan tiles(%{{.*}} to %{{.*}}) %{{.*}} mask %{{.*}} keys %{{.*}} documents %{{.*}} into %{{.*}}, %{{.*}}, %{{.*}} scratch %{{.*}}
func.func @route_scan(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// CHECK-LABEL: func.func @route_scan_small_keys
// CHECK: kernel.route_scan tiles(%{{.*}} to %{{.*}}) %{{.*}} mask %{{.*}} keys %{{.*}} scales %{{.*}} : memref<?xf32> documents %{{.*}} into
func.func @route_scan_small_keys(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %ks: memref<?xf32>, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys scales %ks : memref<?xf32> documents %doc into %s, %e, %n scratch %scratch
      element f8E4M3FN row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// CHECK-LABEL: func.func @route_merge
// CHECK: kernel.route_merge tiles(%{{.*}} to %{{.*}}) %{{.*}}, %{{.*}}, %{{.*}} into %{{.*}}, %{{.*}}, %{{.*}} scratch %{{.*}}
func.func @route_merge(%s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %best: memref<?xf32>, %chosen: memref<?x3xi64>, %totals: memref<2xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.route_merge tiles(%lo to %hi) %s, %e, %n into %best, %chosen, %totals scratch %scratch
      : memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xf32>, memref<?x3xi64>, memref<2xi64>, memref<?xi8>
  return
}

// CHECK-LABEL: func.func @route_rows
// CHECK: kernel.route_rows tiles(%{{.*}} to %{{.*}}) %{{.*}} into %{{.*}}, %{{.*}} : memref<?x3xi64>, memref<?xi64>, memref<?xi64>
func.func @route_rows(%chosen: memref<?x3xi64>, %doc: memref<?xi64>, %chunks: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.route_rows tiles(%lo to %hi) %chosen into %doc, %chunks : memref<?x3xi64>, memref<?xi64>, memref<?xi64>
  return
}

// CHECK-LABEL: func.func @gather
// CHECK: kernel.gather tiles(%{{.*}} to %{{.*}}) %{{.*}} at %{{.*}} into %{{.*}} element f16 block 8 : !llvm.ptr, memref<?xi64>, memref<?x128xf32>
func.func @gather(%field: !llvm.ptr, %rows: memref<?xi64>, %y: memref<?x128xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.gather tiles(%lo to %hi) %field at %rows into %y element f16 block 8 : !llvm.ptr, memref<?xi64>, memref<?x128xf32>
  return
}

// CHECK-LABEL: func.func @take
// CHECK: kernel.take tiles(%{{.*}} to %{{.*}}) %{{.*}} at %{{.*}} into %{{.*}} fault %{{.*}} block 8 : memref<9x64xf32>, memref<?xi32>, memref<?x64xf32>, memref<?xi64>
func.func @take(%table: memref<9x64xf32>, %ids: memref<?xi32>, %y: memref<?x64xf32>, %fault: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.take tiles(%lo to %hi) %table at %ids into %y fault %fault block 8 : memref<9x64xf32>, memref<?xi32>, memref<?x64xf32>, memref<?xi64>
  return
}

// CHECK-LABEL: func.func @chunk_index
// CHECK: kernel.chunk_index tiles(%{{.*}} to %{{.*}}) %{{.*}} positions %{{.*}} into %{{.*}}, %{{.*}}, %{{.*}} chunk 64
func.func @chunk_index(%doc: memref<?xi64>, %pos: memref<?xi64>, %starts: memref<?xi64>, %chunks: memref<?xi64>, %total: memref<1xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.chunk_index tiles(%lo to %hi) %doc positions %pos into %starts, %chunks, %total chunk 64
      : memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<1xi64>
  return
}

// CHECK-LABEL: func.func @quantize
// CHECK: kernel.quantize tiles(%{{.*}} to %{{.*}}) %{{.*}} into %{{.*}}, %{{.*}} block 8 : memref<?x128xf32>, memref<?x128xf8E4M3FN>, memref<?xf32>
func.func @quantize(%x: memref<?x128xf32>, %y: memref<?x128xf8E4M3FN>, %s: memref<?xf32>, %lo: index, %hi: index) {
  kernel.quantize tiles(%lo to %hi) %x into %y, %s block 8 : memref<?x128xf32>, memref<?x128xf8E4M3FN>, memref<?xf32>
  return
}

// CHECK-LABEL: func.func @pool
// CHECK: kernel.pool tiles(%{{.*}} to %{{.*}}) %{{.*}} starts %{{.*}} into %{{.*}} mean normalize : memref<?x4x32xf32>, memref<?xi64>, memref<?x4x32xf16>
func.func @pool(%x: memref<?x4x32xf32>, %starts: memref<?xi64>, %y: memref<?x4x32xf16>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  kernel.pool tiles(%lo to %hi) %x starts %starts into %y mean normalize : memref<?x4x32xf32>, memref<?xi64>, memref<?x4x32xf16>
  return
}

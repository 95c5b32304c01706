// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --verify-diagnostics

// Each case breaks one constraint of an op's description, and has its name.

func.func @rows_c1(%n: index, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'block' to be positive, but got 0}}
  kernel.rows tiles(%lo to %hi) sizes(%n, %n) block 0 {
  ^bb0(%i: index, %j: index):
    kernel.yield
  }
  return
}

// -----

func.func @rows_c2(%n: index, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the body to take one index for each of 2 sizes, but it takes 1 arguments}}
  kernel.rows tiles(%lo to %hi) sizes(%n, %n) block 4 {
  ^bb0(%i: index):
    kernel.yield
  }
  return
}

// -----

func.func @rows_c3(%n: index, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the body to end with 'kernel.yield' of nothing}}
  kernel.rows tiles(%lo to %hi) sizes(%n, %n) block 4 {
  ^bb0(%i: index, %j: index):
    kernel.yield %i : index
  }
  return
}

// -----

func.func @matmul_c1_static(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<20xf32>, %y: memref<?x?xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the dims of 'result' from 1 on to be static, but got 'memref<?x?xf32>'}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf32>) into %y scratch %scratch rows 96 columns 64
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x?xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c1_panels(%x: memref<?x64xf32>, %w: memref<3x64x16xf16>, %bias: memref<20xf32>, %y: memref<?x20xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'rhs' to be [ceil(N / 16), K, 16], here [2, 64, 16], but got [3, 64, 16]}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf32>) into %y scratch %scratch rows 96 columns 64
      : memref<?x64xf32>, memref<3x64x16xf16>, memref<?x20xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c2_rows(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<20xf32>, %y: memref<?x20xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'rows' to be positive, but got 0}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf32>) into %y scratch %scratch rows 0 columns 64
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x20xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c2_columns(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<20xf32>, %y: memref<?x20xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'columns' to be a positive multiple of 16, but got 24}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf32>) into %y scratch %scratch rows 96 columns 24
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x20xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c3(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<32xf32>, %y: memref<?x20xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected extra 0 to be [M, N] or [N], here [?, 20] or [20], but got [32]}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<32xf32>) into %y scratch %scratch rows 96 columns 64
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x20xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c4_argument(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<20xf16>, %y: memref<?x20xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected argument 1 of the epilogue to be an element of 'memref<20xf16>', but it is 'f32'}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf16>) into %y scratch %scratch rows 96 columns 64
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x20xf32>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c4_yield(%x: memref<?x64xf32>, %w: memref<2x64x16xf16>, %bias: memref<20xf32>, %y: memref<?x20xf16>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the epilogue to yield one 'f16'}}
  kernel.matmul tiles(%lo to %hi) %x, %w extras(%bias : memref<20xf32>) into %y scratch %scratch rows 96 columns 64
      : memref<?x64xf32>, memref<2x64x16xf16>, memref<?x20xf16>, memref<?xi8> {
  ^bb0(%product: f32, %b: f32):
    %sum = arith.addf %product, %b : f32
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @attention_c1_static(%q: memref<?x?x?x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x16xf32>, %mask: memref<?x1x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the dims of 'query' from 2 on to be static, but got 'memref<?x?x?x32xf32>'}}
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %mask : memref<?x1x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 8
      : memref<?x?x?x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x16xf32>, memref<?xi8>
  return
}

// -----

func.func @attention_c1_heads(%q: memref<?x?x6x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x16xf32>, %mask: memref<?x1x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the query's 6 heads to be a multiple of the key's 4}}
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %mask : memref<?x1x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 8
      : memref<?x?x6x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x16xf32>, memref<?xi8>
  return
}

// -----

func.func @attention_c2(%q: memref<?x?x8x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x32xf32>, %mask: memref<?x1x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'result' to be [B, M, H, E], here [?, ?, 8, 16], but got [?, ?, 8, 32]}}
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %mask : memref<?x1x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 8
      : memref<?x?x8x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x32xf32>, memref<?xi8>
  return
}

// -----

func.func @attention_c3(%q: memref<?x?x8x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x16xf32>, %mask: memref<?x1x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected no 'mask' beside 'documents'}}
  kernel.attention tiles(%lo to %hi) %q, %k, %v documents %doc : memref<?xi64> mask %mask : memref<?x1x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 8
      : memref<?x?x8x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x16xf32>, memref<?xi8>
  return
}

// -----

func.func @attention_c4(%q: memref<?x?x8x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x16xf32>, %mask: memref<?x2x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected each dim of 'mask' to be 1 or that of [B, H, M, N], but got [?, 2, ?, ?]}}
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %mask : memref<?x2x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 8
      : memref<?x?x8x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x16xf32>, memref<?xi8>
  return
}

// -----

func.func @attention_c5(%q: memref<?x?x8x32xf32>, %k: memref<?x?x4x32xf16>, %v: memref<?x?x4x16xf16>, %y: memref<?x?x8x16xf32>, %mask: memref<?x1x?x?xi1>, %doc: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'rows' to be positive, but got 0}}
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %mask : memref<?x1x?x?xi1> into %y scratch %scratch causal scale 1.0 rows 0
      : memref<?x?x8x32xf32>, memref<?x?x4x32xf16>, memref<?x?x4x16xf16>, memref<?x?x8x16xf32>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c1_static(%q: memref<?x?x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the dims of 'query' from 1 on to be static, but got 'memref<?x?x32xf32>'}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x?x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c1_row(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected rows of 120 elements to be a whole number of head dims 32, and the 8 heads a multiple of it}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 120 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c2(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'element' to be f16, bf16 or f32, but got 'i8'}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element i8 row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c2_without_scales(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'key_scales' with keys of f8E4M3FN and with no others, but the keys are of 'f8E4M3FN'}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element f8E4M3FN row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c2_with_scales(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %ks: memref<?xf32>, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'key_scales' with keys of f8E4M3FN and with no others, but the keys are of 'bf16'}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys scales %ks : memref<?xf32> documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c5_scales(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %ks: memref<5xf32>, %doc: memref<6xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'key_scales' to be [C], here [6], but got [5]}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys scales %ks : memref<5xf32> documents %doc into %s, %e, %n scratch %scratch
      element f8E4M3FN row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<6xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @quantize_c1_result(%x: memref<?x128xf32>, %y: memref<?x64xf8E4M3FN>, %s: memref<?xf32>, %lo: index, %hi: index) {
  // expected-error @+1 {{expected 'result' to be [C, row], here [?, 128], but got [?, 64]}}
  kernel.quantize tiles(%lo to %hi) %x into %y, %s block 8 : memref<?x128xf32>, memref<?x64xf8E4M3FN>, memref<?xf32>
  return
}

// -----

func.func @quantize_c1_scales(%x: memref<5x128xf32>, %y: memref<5x128xf8E4M3FN>, %s: memref<4xf32>, %lo: index, %hi: index) {
  // expected-error @+1 {{expected 'scales' to be [C], here [5], but got [4]}}
  kernel.quantize tiles(%lo to %hi) %x into %y, %s block 8 : memref<5x128xf32>, memref<5x128xf8E4M3FN>, memref<4xf32>
  return
}

// -----

func.func @quantize_c2(%x: memref<?x?xf32>, %y: memref<?x128xf8E4M3FN>, %s: memref<?xf32>, %lo: index, %hi: index) {
  // expected-error @+1 {{expected the dims of 'x' from 1 on to be static}}
  kernel.quantize tiles(%lo to %hi) %x into %y, %s block 8 : memref<?x?xf32>, memref<?x128xf8E4M3FN>, memref<?xf32>
  return
}

// -----

func.func @quantize_c3(%x: memref<?x128xf32>, %y: memref<?x128xf8E4M3FN>, %s: memref<?xf32>, %lo: index, %hi: index) {
  // expected-error @+1 {{expected 'block' to be positive, but got 0}}
  kernel.quantize tiles(%lo to %hi) %x into %y, %s block 0 : memref<?x128xf32>, memref<?x128xf8E4M3FN>, memref<?xf32>
  return
}

// -----

func.func @route_scan_c3(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'rows' to be positive, but got 0}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 128 rows 0 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c4(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'chunk_reduce' to be mean or max, but got last}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 128 rows 256 heads mean query last chunks last scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_scan_c5(%q: memref<?x8x32xf32>, %mask: memref<?xi1>, %keys: !llvm.ptr, %doc: memref<?xi64>, %s: memref<?x16xf32>, %e: memref<?x16x2xi64>, %n: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'entries' to be [tiles, keep, 3], here [?, 16, 3], but got [?, 16, 2]}}
  kernel.route_scan tiles(%lo to %hi) %q mask %mask keys %keys documents %doc into %s, %e, %n scratch %scratch
      element bf16 row 128 rows 256 heads mean query last chunks max scale 1.0
      : memref<?x8x32xf32>, memref<?xi1>, !llvm.ptr, memref<?xi64>, memref<?x16xf32>, memref<?x16x2xi64>, memref<?xi64>, memref<?xi8>
  return
}

// -----

func.func @route_merge_c1(%s: memref<?x16xf32>, %e: memref<?x16x3xi64>, %n: memref<?xi64>, %best: memref<?xf32>, %chosen: memref<?x3xi64>, %totals: memref<3xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'totals' to be [2], here [2], but got [3]}}
  kernel.route_merge tiles(%lo to %hi) %s, %e, %n into %best, %chosen, %totals scratch %scratch
      : memref<?x16xf32>, memref<?x16x3xi64>, memref<?xi64>, memref<?xf32>, memref<?x3xi64>, memref<3xi64>, memref<?xi8>
  return
}

// -----

func.func @route_rows_c1(%chosen: memref<?x4xi64>, %doc: memref<?xi64>, %chunks: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'chosen' to be [documents, 3], here [?, 3], but got [?, 4]}}
  kernel.route_rows tiles(%lo to %hi) %chosen into %doc, %chunks : memref<?x4xi64>, memref<?xi64>, memref<?xi64>
  return
}

// -----

func.func @gather_c1(%field: !llvm.ptr, %rows: memref<?xi64>, %y: memref<?x?xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected the dims of 'result' from 1 on to be static, but got 'memref<?x?xf32>'}}
  kernel.gather tiles(%lo to %hi) %field at %rows into %y element f16 block 8 : !llvm.ptr, memref<?xi64>, memref<?x?xf32>
  return
}

// -----

func.func @gather_c2(%field: !llvm.ptr, %rows: memref<?xi64>, %y: memref<?x128xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'element' to be f16, bf16 or f32, but got 'f64'}}
  kernel.gather tiles(%lo to %hi) %field at %rows into %y element f64 block 8 : !llvm.ptr, memref<?xi64>, memref<?x128xf32>
  return
}

// -----

func.func @gather_c3(%field: !llvm.ptr, %rows: memref<?xi64>, %y: memref<?x128xf32>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'block' to be positive, but got -1}}
  kernel.gather tiles(%lo to %hi) %field at %rows into %y element f16 block -1 : !llvm.ptr, memref<?xi64>, memref<?x128xf32>
  return
}

// -----

func.func @take_c1_row(%table: memref<9x64xf32>, %ids: memref<?xi32>, %y: memref<?x32xf32>, %fault: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'result' to be [N, row], here [?, 64], but got [?, 32]}}
  kernel.take tiles(%lo to %hi) %table at %ids into %y fault %fault block 8 : memref<9x64xf32>, memref<?xi32>, memref<?x32xf32>, memref<?xi64>
  return
}

// -----

func.func @take_c1_element(%table: memref<9x64xf32>, %ids: memref<?xi32>, %y: memref<?x64xf16>, %fault: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'result' to have the table's element type 'f32', but got 'f16'}}
  kernel.take tiles(%lo to %hi) %table at %ids into %y fault %fault block 8 : memref<9x64xf32>, memref<?xi32>, memref<?x64xf16>, memref<?xi64>
  return
}

// -----

func.func @take_c2(%table: memref<9x64xf32>, %ids: memref<?xi32>, %y: memref<?x64xf32>, %fault: memref<?xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'block' to be positive, but got 0}}
  kernel.take tiles(%lo to %hi) %table at %ids into %y fault %fault block 0 : memref<9x64xf32>, memref<?xi32>, memref<?x64xf32>, memref<?xi64>
  return
}

// -----

func.func @chunk_index_c1(%doc: memref<?xi64>, %pos: memref<?xi64>, %starts: memref<?xi64>, %chunks: memref<?xi64>, %total: memref<1xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'chunk' to be positive, but got 0}}
  kernel.chunk_index tiles(%lo to %hi) %doc positions %pos into %starts, %chunks, %total chunk 0
      : memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<1xi64>
  return
}

// -----

func.func @chunk_index_c2(%doc: memref<?xi64>, %pos: memref<?xi64>, %starts: memref<?xi64>, %chunks: memref<?xi64>, %total: memref<2xi64>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'total' to be [1], here [1], but got [2]}}
  kernel.chunk_index tiles(%lo to %hi) %doc positions %pos into %starts, %chunks, %total chunk 64
      : memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<?xi64>, memref<2xi64>
  return
}

// -----

func.func @pool_c1(%x: memref<?x4x32xf32>, %starts: memref<?xi64>, %y: memref<?x8x16xf16>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'result' to be [C, H, D], here [?, 4, 32], but got [?, 8, 16]}}
  kernel.pool tiles(%lo to %hi) %x starts %starts into %y mean normalize : memref<?x4x32xf32>, memref<?xi64>, memref<?x8x16xf16>
  return
}

// -----

func.func @pool_c2(%x: memref<?x4x32xf32>, %starts: memref<?xi64>, %y: memref<?x4x32xf16>, %lo: index, %hi: index, %scratch: memref<?xi8>) {
  // expected-error @+1 {{expected 'reduce' to be mean or max, but got last}}
  kernel.pool tiles(%lo to %hi) %x starts %starts into %y last : memref<?x4x32xf32>, memref<?xi64>, memref<?x4x32xf16>
  return
}

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s | FileCheck %s
// RUN: msa-opt %s | msa-opt | FileCheck %s
// RUN: msa-opt %s --mlir-print-op-generic | msa-opt | FileCheck %s
// RUN: msa-opt %s --emit-bytecode | msa-opt | FileCheck %s

// Tests that every op prints what it parses, also by way of the generic form and of bytecode.

// CHECK-LABEL: func.func @banks
func.func @banks(%rk: tensor<?x4x32xf32>, %k: tensor<?x4x32xbf16>, %doc: tensor<?xi64>, %old: tensor<?xi64>) {
  // CHECK: msa.bind %{{.*}} : tensor<?x4x32xf32> -> <rk: 4x32xf32>
  %plain = msa.bind %rk : tensor<?x4x32xf32> -> !msa.bank<rk: 4x32xf32>
  // CHECK: %[[BANK:.*]] = msa.bind %{{.*}}, %{{.*}} documents %{{.*}} : tensor<?x4x32xf32>, tensor<?x4x32xbf16> documents tensor<?xi64> -> <rk: 4x32xf32, k: 4x32xbf16>
  %bank = msa.bind %rk, %k documents %doc : tensor<?x4x32xf32>, tensor<?x4x32xbf16> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32, k: 4x32xbf16>
  // CHECK: msa.write %{{.*}}, %{{.*}} documents %{{.*}} to %[[BANK]]
  msa.write %rk, %k documents %doc to %bank : tensor<?x4x32xf32>, tensor<?x4x32xbf16> documents tensor<?xi64> to !msa.bank<rk: 4x32xf32, k: 4x32xbf16>
  // CHECK: msa.erase %{{.*}} from %[[BANK]] : tensor<?xi64>, <rk: 4x32xf32, k: 4x32xbf16>
  msa.erase %old from %bank : tensor<?xi64>, !msa.bank<rk: 4x32xf32, k: 4x32xbf16>
  return
}

// CHECK-LABEL: func.func @encode
func.func @encode(%x: tensor<?x4x32xf16>, %doc: tensor<?xi64>, %pos: tensor<?xi64>) -> tensor<?x4x32xf16> {
  // CHECK: msa.compress %{{.*}} documents %{{.*}} positions %{{.*}} chunk 64 mean normalize {epsilon = 5.000000e-01 : f64} : tensor<?x4x32xf16>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf16>, tensor<?xi64>
  %rows, %numbers = msa.compress %x documents %doc positions %pos chunk 64 mean normalize {epsilon = 0.5 : f64}
      : tensor<?x4x32xf16>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf16>, tensor<?xi64>
  // CHECK: %[[STARTS:.*]], %{{.*}} = msa.chunk_index %{{.*}} positions %{{.*}} chunk 64 : tensor<?xi64>, tensor<?xi64> -> tensor<?xi64>, tensor<?xi64>
  %starts, %chunks = msa.chunk_index %doc positions %pos chunk 64 : tensor<?xi64>, tensor<?xi64> -> tensor<?xi64>, tensor<?xi64>
  // CHECK: msa.pool %{{.*}} starts %[[STARTS]] max : tensor<?x4x32xf16>, tensor<?xi64> -> tensor<?x4x32xf16>
  %pooled = msa.pool %x starts %starts max : tensor<?x4x32xf16>, tensor<?xi64> -> tensor<?x4x32xf16>
  return %pooled : tensor<?x4x32xf16>
}

// CHECK-LABEL: func.func @quantize
func.func @quantize(%x: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32> {
  // CHECK: %[[ROWS:.*]], %[[SCALES:.*]] = msa.quantize %{{.*}} : tensor<?x4x32xf32> -> tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>
  %rows, %scales = msa.quantize %x : tensor<?x4x32xf32> -> tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>
  // CHECK: msa.bind %[[ROWS]], %[[SCALES]] documents
  %bank = msa.bind %rows, %scales documents %doc : tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
  return %bank : !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
}

// CHECK-LABEL: func.func @route
func.func @route(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // CHECK: msa.route %{{.*}} mask %{{.*}} in %{{.*}}["rk"] top 16 heads mean query max chunks max normalize scale 1.000000e+00
  %d, %s, %c = msa.route %q mask %mask in %bank["rk"] top 16 heads mean query max chunks max normalize scale 1.0
      : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  // CHECK: %[[SCORES:.*]] = msa.score %{{.*}} mask %{{.*}} in %{{.*}}["rk"] heads max query last scale 1.250000e-01
  %scores = msa.score %q mask %mask in %bank["rk"] heads max query last scale 0.125
      : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  // CHECK: msa.topk %[[SCORES]] in %{{.*}} top 16 chunks mean
  %td, %ts, %tc = msa.topk %scores in %bank top 16 chunks mean
      : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// CHECK-LABEL: func.func @attend
func.func @attend(%q: tensor<?x8x32xf32>, %k: tensor<?x4x32xf32>, %v: tensor<?x4x16xf32>, %pk: tensor<?x4x32xf32>, %pv: tensor<?x4x16xf32>,
    %bank: !msa.bank<k: 4x32xf16, v: 4x16xf16>, %chunks: tensor<?xi64>, %doc: tensor<?xi64>, %mask: tensor<1x8x?x?xi1>, %cos: tensor<?x8xf32>) {
  // CHECK: msa.gather %{{.*}}["k"] at %{{.*}} : <k: 4x32xf16, v: 4x16xf16>, tensor<?xi64> -> tensor<?x4x32xf32>
  %rows = msa.gather %bank["k"] at %chunks : !msa.bank<k: 4x32xf16, v: 4x16xf16>, tensor<?xi64> -> tensor<?x4x32xf32>
  // CHECK: msa.read %{{.*}}, %{{.*}}, %{{.*}} prefix %{{.*}}, %{{.*}} in %{{.*}} at %{{.*}} scale 1.250000e-01
  %o, %ck, %cv = msa.read %q, %k, %v prefix %pk, %pv in %bank at %chunks scale 0.125
      : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32>,
        !msa.bank<k: 4x32xf16, v: 4x16xf16>, tensor<?xi64> -> tensor<?x8x16xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32>
  // CHECK: msa.attention %{{.*}}, %{{.*}}, %{{.*}} causal scale 1.250000e-01 : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32> -> tensor<?x8x16xf32>
  %causal = msa.attention %q, %k, %v causal scale 0.125 : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32> -> tensor<?x8x16xf32>
  // CHECK: msa.attention %{{.*}}, %{{.*}}, %{{.*}} documents %{{.*}} scale 1.250000e-01
  %packed = msa.attention %q, %k, %v documents %doc scale 0.125
      : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32> documents tensor<?xi64> -> tensor<?x8x16xf32>
  // CHECK: msa.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} causal scale 1.250000e-01
  %masked = msa.attention %q, %k, %v mask %mask causal scale 0.125
      : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x16xf32> mask tensor<1x8x?x?xi1> -> tensor<?x8x16xf32>
  // CHECK: msa.append %{{.*}} to %{{.*}} axis 0 : tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x4x32xf32>
  %cache = msa.append %k to %pk axis 0 : tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x4x32xf32>
  // CHECK: msa.rope %{{.*}} by %{{.*}}, %{{.*}} interleaved : tensor<?x8x32xf32>, tensor<?x8xf32>, tensor<?x8xf32>
  %turned = msa.rope %q by %cos, %cos interleaved : tensor<?x8x32xf32>, tensor<?x8xf32>, tensor<?x8xf32>
  return
}

// CHECK-LABEL: func.func @dense
func.func @dense(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf16>, %bias: tensor<20xf32>, %ids: tensor<?x?xi32>, %table: tensor<100x64xf32>,
    %memory: tensor<8x64xf32>, %scores: tensor<8x?xf32>, %gate: tensor<8xf32>) {
  // CHECK: msa.matmul %{{.*}}, %{{.*}} extras(%{{.*}} : tensor<20xf32>) : tensor<?x64xf32>, tensor<2x64x16xf16> -> tensor<?x20xf32> {
  // CHECK-NEXT: ^bb0(%[[SUM:.*]]: f32, %[[BIAS:.*]]: f32):
  // CHECK: msa.yield %{{.*}} : f32
  %y = msa.matmul %x, %w extras(%bias : tensor<20xf32>) : tensor<?x64xf32>, tensor<2x64x16xf16> -> tensor<?x20xf32> {
  ^bb0(%sum: f32, %b: f32):
    %biased = arith.addf %sum, %b : f32
    msa.yield %biased : f32
  }
  // CHECK: msa.take %{{.*}} at %{{.*}} : tensor<100x64xf32>, tensor<?x?xi32> -> tensor<?x?x64xf32>
  %rows = msa.take %table at %ids : tensor<100x64xf32>, tensor<?x?xi32> -> tensor<?x?x64xf32>
  // CHECK: msa.update %{{.*}} with %{{.*}} scores %{{.*}} gate %{{.*}} : tensor<8x64xf32>, tensor<?x64xf32>, tensor<8x?xf32>, tensor<8xf32>
  %next = msa.update %memory with %x scores %scores gate %gate : tensor<8x64xf32>, tensor<?x64xf32>, tensor<8x?xf32>, tensor<8xf32>
  return
}

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --verify-diagnostics

// Each case breaks one constraint of an op's description, and has its name.

func.func @bind_c1_count(%rk: tensor<?x4x32xf32>) {
  // expected-error @+1 {{expected one tensor of rows for each of the 2 fields of '!msa.bank<rk: 4x32xf32, k: 4x32xf32>', but got 1}}
  %0 = msa.bind %rk : tensor<?x4x32xf32> -> !msa.bank<rk: 4x32xf32, k: 4x32xf32>
  return
}

// -----

func.func @bind_c1_type(%rk: tensor<?x4x32xf16>) {
  // expected-error @+1 {{expected the rows of field 'rk' to be 'tensor<?x4x32xf32>', but got 'tensor<?x4x32xf16>'}}
  %0 = msa.bind %rk : tensor<?x4x32xf16> -> !msa.bank<rk: 4x32xf32>
  return
}

// -----

func.func @bind_c2_fields(%rk: tensor<5x4x32xf32>, %k: tensor<6x4x32xf32>) {
  // expected-error @+1 {{expected all fields to have the same number of rows, but got 5 and 6}}
  %0 = msa.bind %rk, %k : tensor<5x4x32xf32>, tensor<6x4x32xf32> -> !msa.bank<rk: 4x32xf32, k: 4x32xf32>
  return
}

// -----

func.func @bind_c2_documents(%rk: tensor<5x4x32xf32>, %doc: tensor<4xi64>) {
  // expected-error @+1 {{expected 'documents' to be one number for each row, here [5], but got [4]}}
  %0 = msa.bind %rk documents %doc : tensor<5x4x32xf32> documents tensor<4xi64> -> !msa.bank<rk: 4x32xf32>
  return
}

// -----

func.func @write_c1(%bank: !msa.bank<rk: 4x32xf32>, %rows: tensor<?x8x16xf32>, %doc: tensor<?xi64>) {
  // expected-error @+1 {{expected the rows of field 'rk' to be 'tensor<?x4x32xf32>', but got 'tensor<?x8x16xf32>'}}
  msa.write %rows documents %doc to %bank : tensor<?x8x16xf32> documents tensor<?xi64> to !msa.bank<rk: 4x32xf32>
  return
}

// -----

// expected-error @+1 {{bank field 'k' is declared twice}}
func.func @bank_twice(%bank: !msa.bank<k: 4x32xf32, k: 4x32xf32>) {
  return
}

// -----

// expected-error @+1 {{expected bank field 'k' to have a float element type, but got 'i32'}}
func.func @bank_element(%bank: !msa.bank<k: 4x32xi32>) {
  return
}

// -----

func.func @compress_c1(%x: tensor<?x4x32xf32>, %n: tensor<?xi64>) {
  // expected-error @+1 {{expected 'chunk' to be positive, but got 0}}
  %0:2 = msa.compress %x documents %n positions %n chunk 0 mean : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
  return
}

// -----

func.func @compress_c2(%x: tensor<?x4x32xf32>, %n: tensor<?xi64>) {
  // expected-error @+1 {{expected 'reduce' to be mean or max, but got last}}
  %0:2 = msa.compress %x documents %n positions %n chunk 4 last : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
  return
}

// -----

func.func @compress_c3(%x: tensor<?x4x32xf32>, %n: tensor<?xi64>) {
  // expected-error @+1 {{expected 'rows' to have element type 'f32', but got 'f16'}}
  %0:2 = msa.compress %x documents %n positions %n chunk 4 mean : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf16>, tensor<?xi64>
  return
}

// -----

func.func @compress_c4(%x: tensor<7x4x32xf32>, %n: tensor<7xi64>, %m: tensor<8xi64>) {
  // expected-error @+1 {{expected 'positions' to be [T], here [7], but got [8]}}
  %0:2 = msa.compress %x documents %n positions %m chunk 4 mean : tensor<7x4x32xf32>, tensor<7xi64>, tensor<8xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
  return
}

// -----

func.func @chunk_index_c1(%n: tensor<?xi64>) {
  // expected-error @+1 {{expected 'chunk' to be positive, but got -4}}
  %0:2 = msa.chunk_index %n positions %n chunk -4 : tensor<?xi64>, tensor<?xi64> -> tensor<?xi64>, tensor<?xi64>
  return
}

// -----

func.func @chunk_index_c2(%n: tensor<7xi64>, %m: tensor<8xi64>) {
  // expected-error @+1 {{expected 'positions' to be as long as 'documents', here [7], but got [8]}}
  %0:2 = msa.chunk_index %n positions %m chunk 4 : tensor<7xi64>, tensor<8xi64> -> tensor<?xi64>, tensor<?xi64>
  return
}

// -----

func.func @pool_c1(%x: tensor<?x4x32xf32>, %n: tensor<?xi64>) {
  // expected-error @+1 {{expected 'reduce' to be mean or max, but got last}}
  %0 = msa.pool %x starts %n last : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @pool_c2(%x: tensor<?x4x32xf32>, %n: tensor<6xi64>) {
  // expected-error @+1 {{expected 'rows' to be [C, H, D], here [5, 4, 32], but got [6, 4, 32]}}
  %0 = msa.pool %x starts %n mean : tensor<?x4x32xf32>, tensor<6xi64> -> tensor<6x4x32xf32>
  return
}

// -----

func.func @route_c1_field(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<k: 4x32xf32>) {
  // expected-error @+1 {{expected '!msa.bank<k: 4x32xf32>' to have a field 'rk'}}
  %0:3 = msa.route %q mask %mask in %bank["rk"] top 16 heads mean query max chunks max scale 1.0
      : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<k: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @route_c1_row(%q: tensor<?x8x48xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected a row of field 'rk', 128 elements, to be a whole number of the query's head dim 48}}
  %0:3 = msa.route %q mask %mask in %bank["rk"] top 16 heads mean query max chunks max scale 1.0
      : tensor<?x8x48xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @route_c2(%q: tensor<?x6x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected the query's 6 heads to be a multiple of the 4 of field 'rk'}}
  %0:3 = msa.route %q mask %mask in %bank["rk"] top 16 heads mean query max chunks max scale 1.0
      : tensor<?x6x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @route_c3(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected 'k' to be positive, but got 0}}
  %0:3 = msa.route %q mask %mask in %bank["rk"] top 0 heads mean query max chunks max scale 1.0
      : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @route_c4_heads(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected 'head_reduce' to be mean or max, but got last}}
  %0:3 = msa.route %q mask %mask in %bank["rk"] top 16 heads last query max chunks max scale 1.0
      : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @route_c4_chunks(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected 'chunk_reduce' to be mean or max, but got last}}
  %0:3 = msa.route %q mask %mask in %bank["rk"] top 16 heads mean query max chunks last scale 1.0
      : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @score_c2(%q: tensor<?x6x32xf32>, %mask: tensor<?xi1>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected the query's 6 heads to be a multiple of the 4 of field 'rk'}}
  %0 = msa.score %q mask %mask in %bank["rk"] heads mean query max scale 1.0 : tensor<?x6x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  return
}

// -----

func.func @topk_c1(%s: tensor<?xf32>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected 'k' to be positive, but got -1}}
  %0:3 = msa.topk %s in %bank top -1 chunks max : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @topk_c2(%s: tensor<?xf32>, %bank: !msa.bank<rk: 4x32xf32>) {
  // expected-error @+1 {{expected 'chunk_reduce' to be mean or max, but got last}}
  %0:3 = msa.topk %s in %bank top 4 chunks last : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return
}

// -----

func.func @gather_c1(%chunks: tensor<?xi64>, %bank: !msa.bank<k: 4x32xf32>) {
  // expected-error @+1 {{expected '!msa.bank<k: 4x32xf32>' to have a field 'v'}}
  %0 = msa.gather %bank["v"] at %chunks : !msa.bank<k: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @gather_c2(%chunks: tensor<?xi64>, %bank: !msa.bank<k: 4x32xf32>) {
  // expected-error @+1 {{expected 'rows' to be [Z, heads, dim], here [?, 4, 32], but got [?, 8, 32]}}
  %0 = msa.gather %bank["k"] at %chunks : !msa.bank<k: 4x32xf32>, tensor<?xi64> -> tensor<?x8x32xf32>
  return
}

// -----

func.func @read_c1(%q: tensor<?x8x32xf32>, %k: tensor<?x4x32xf32>, %bank: !msa.bank<k: 4x32xf32, v: 4x16xf32>, %chunks: tensor<?xi64>) {
  // expected-error @+1 {{expected 'value' to be [M, G, E], here [?, 4, 16], but got [?, 4, 32]}}
  %0:3 = msa.read %q, %k, %k prefix %k, %k in %bank at %chunks scale 1.0
      : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>,
        !msa.bank<k: 4x32xf32, v: 4x16xf32>, tensor<?xi64> -> tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>
  return
}

// -----

func.func @gather_c3(%chunks: tensor<?xi64>, %bank: !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>) {
  // expected-error @+1 {{expected field 'rk' not to be of f8E4M3FN, which only routes read}}
  %0 = msa.gather %bank["rk"] at %chunks : !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @read_c3(%q: tensor<?x8x32xf32>, %k: tensor<?x4x32xf32>, %bank: !msa.bank<k: 4x32xf8E4M3FN, k_scale: 1x1xf32, v: 4x32xf32>, %chunks: tensor<?xi64>) {
  // expected-error @+1 {{expected field 'k' not to be of f8E4M3FN, which only routes read}}
  %0:3 = msa.read %q, %k, %k prefix %k, %k in %bank at %chunks scale 1.0
      : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>,
        !msa.bank<k: 4x32xf8E4M3FN, k_scale: 1x1xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>
  return
}

// -----

func.func @quantize_c1(%x: tensor<?x4x32xf32>) {
  // expected-error @+1 {{expected 'rows' to be [C, H, D], here [?, 4, 32], but got [?, 4, 16]}}
  %0:2 = msa.quantize %x : tensor<?x4x32xf32> -> tensor<?x4x16xf8E4M3FN>, tensor<?x1x1xf32>
  return
}

// -----

func.func @quantize_c2(%x: tensor<?x4x32xf32>) {
  // expected-error @+1 {{expected 'scales' to be [C, 1, 1], here [?, 1, 1], but got [?, 4, 1]}}
  %0:2 = msa.quantize %x : tensor<?x4x32xf32> -> tensor<?x4x32xf8E4M3FN>, tensor<?x4x1xf32>
  return
}

// -----

// expected-error @+1 {{expected bank field 'rk' of f8E4M3FN to have a field 'rk_scale: 1x1xf32' beside it}}
func.func @bank_scale(%bank: !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 4x1xf32>) {
  return
}

// -----

// expected-error @+1 {{expected bank field 'rk' to be of f8E4M3FN or a larger type, but got 'f8E5M2'}}
func.func @bank_small(%bank: !msa.bank<rk: 4x32xf8E5M2>) {
  return
}

// -----

func.func @read_c2(%q: tensor<?x6x32xf32>, %k: tensor<?x4x32xf32>, %bank: !msa.bank<k: 4x32xf32, v: 4x32xf32>, %chunks: tensor<?xi64>) {
  // expected-error @+1 {{expected the query's 6 heads to be a multiple of the key's 4}}
  %0:3 = msa.read %q, %k, %k prefix %k, %k in %bank at %chunks scale 1.0
      : tensor<?x6x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>,
        !msa.bank<k: 4x32xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x6x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>
  return
}

// -----

func.func @attention_c1_heads(%q: tensor<?x6x32xf32>, %k: tensor<?x4x32xf32>) {
  // expected-error @+1 {{expected the query's 6 heads to be a multiple of the key's 4}}
  %0 = msa.attention %q, %k, %k scale 1.0 : tensor<?x6x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x6x32xf32>
  return
}

// -----

func.func @attention_c1_dim(%q: tensor<?x8x16xf32>, %k: tensor<?x4x32xf32>) {
  // expected-error @+1 {{expected 'key' to be of the query's head dim (and batch), here [?, 4, 16], but got [?, 4, 32]}}
  %0 = msa.attention %q, %k, %k scale 1.0 : tensor<?x8x16xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x8x16xf32>
  return
}

// -----

func.func @attention_c2_mask(%q: tensor<?x4x32xf32>, %doc: tensor<?xi64>, %mask: tensor<1x1x?x?xi1>) {
  // expected-error @+1 {{expected no 'mask' beside 'documents'}}
  %0 = msa.attention %q, %q, %q documents %doc mask %mask scale 1.0
      : tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32> documents tensor<?xi64> mask tensor<1x1x?x?xi1> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @attention_c2_keys(%q: tensor<5x4x32xf32>, %k: tensor<6x4x32xf32>, %doc: tensor<5xi64>) {
  // expected-error @+1 {{expected as many keys as queries with 'documents', but got 6 and 5}}
  %0 = msa.attention %q, %k, %k documents %doc scale 1.0
      : tensor<5x4x32xf32>, tensor<6x4x32xf32>, tensor<6x4x32xf32> documents tensor<5xi64> -> tensor<5x4x32xf32>
  return
}

// -----

func.func @attention_c3(%q: tensor<5x4x32xf32>, %k: tensor<6x4x32xf32>, %mask: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected 'mask' to have rank 4, each of its dims 1 or that of [B, H, M, N], here [1, 4, 5, 6], but got [1, 2, 5, 6]}}
  %0 = msa.attention %q, %k, %k mask %mask scale 1.0
      : tensor<5x4x32xf32>, tensor<6x4x32xf32>, tensor<6x4x32xf32> mask tensor<1x2x5x6xf32> -> tensor<5x4x32xf32>
  return
}

// -----

func.func @append_c1(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected 'axis' to be one of the 2 of 'past', but got 2}}
  %0 = msa.append %x to %x axis 2 : tensor<?x4xf32>, tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @append_c2(%x: tensor<3x4xf32>, %y: tensor<5x4xf32>) {
  // expected-error @+1 {{expected 'result' to be 'past' and 'rows' together, here [8, 4], but got [9, 4]}}
  %0 = msa.append %x to %y axis 0 : tensor<3x4xf32>, tensor<5x4xf32> -> tensor<9x4xf32>
  return
}

// -----

func.func @append_c3(%x: tensor<3x4xf32>, %y: tensor<5x4xf16>) {
  // expected-error @+1 {{expected 'rows' to have element type 'f16', but got 'f32'}}
  %0 = msa.append %x to %y axis 0 : tensor<3x4xf32>, tensor<5x4xf16> -> tensor<8x4xf16>
  return
}

// -----

func.func @rope_c1(%x: tensor<?x32xf32>, %cos: tensor<?x16xf32>) {
  // expected-error @+1 {{expected 'x' to be [T, H, D] or [B, T, H, D], but got rank 2}}
  %0 = msa.rope %x by %cos, %cos : tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>
  return
}

// -----

func.func @rope_c2(%x: tensor<5x8x32xf32>, %cos: tensor<6x16xf32>) {
  // expected-error @+1 {{expected 'cos' to be [.., T, R/2], here [5, ?], but got [6, 16]}}
  %0 = msa.rope %x by %cos, %cos : tensor<5x8x32xf32>, tensor<6x16xf32>, tensor<6x16xf32>
  return
}

// -----

func.func @rope_c3(%x: tensor<5x8x32xf32>, %cos: tensor<5x32xf32>) {
  // expected-error @+1 {{expected at most 16 angles for head dim 32, but got 32}}
  %0 = msa.rope %x by %cos, %cos : tensor<5x8x32xf32>, tensor<5x32xf32>, tensor<5x32xf32>
  return
}

// -----

func.func @matmul_c1(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>) {
  // expected-error @+1 {{expected 'rhs' to be [ceil(N / 16), K, 16], here [3, 64, 16], but got [2, 64, 16]}}
  %0 = msa.matmul %x, %w : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x33xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c2(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>, %bias: tensor<31xf32>) {
  // expected-error @+1 {{expected extra 0 to have the result's shape [?, 32] or [N], but got [31]}}
  %0 = msa.matmul %x, %w extras(%bias : tensor<31xf32>) : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x32xf32> {
  ^bb0(%sum: f32, %b: f32):
    msa.yield %sum : f32
  }
  return
}

// -----

func.func @matmul_c3(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>) {
  // expected-error @+1 {{expected the epilogue to yield one 'f16'}}
  %0 = msa.matmul %x, %w : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x32xf16> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  return
}

// -----

func.func @take_c1(%table: tensor<f32>, %ids: tensor<?xi64>) {
  // expected-error @+1 {{expected 'table' to have rows, but got a scalar}}
  %0 = msa.take %table at %ids : tensor<f32>, tensor<?xi64> -> tensor<?xf32>
  return
}

// -----

func.func @take_c2(%table: tensor<9x64xf32>, %ids: tensor<?x3xi64>) {
  // expected-error @+1 {{expected 'result' to be the indices' shape, then a row's, here [?, 3, 64], but got [?, 64]}}
  %0 = msa.take %table at %ids : tensor<9x64xf32>, tensor<?x3xi64> -> tensor<?x64xf32>
  return
}

// -----

func.func @update_c1(%memory: tensor<8x64xf32>, %x: tensor<?x64xf32>, %scores: tensor<7x?xf32>, %gate: tensor<8xf32>) {
  // expected-error @+1 {{expected 'scores' to be [S, N], here [8, ?], but got [7, ?]}}
  %0 = msa.update %memory with %x scores %scores gate %gate : tensor<8x64xf32>, tensor<?x64xf32>, tensor<7x?xf32>, tensor<8xf32>
  return
}

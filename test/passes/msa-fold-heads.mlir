// RUN: msa-opt %s --msa-fold-heads --split-input-file | FileCheck %s

// Tests that eight heads over four key heads become one query as long as a key row.
// CHECK-LABEL: func.func @mean
// CHECK: %[[SHARE:.*]] = arith.constant 1.250000e-01 : f32
// CHECK: %[[GROUPS:.*]] = tensor.expand_shape %arg0 {{\[\[}}0], [1, 2], [3]] {{.*}} into tensor<?x4x2x32xf32>
// CHECK: arith.mulf %{{.*}}, %[[SHARE]] : f32
// CHECK: %[[FOLDED:.*]] = tensor.expand_shape %{{.*}} into tensor<?x1x128xf32>
// CHECK: msa.route %[[FOLDED]] mask %arg1 {{.*}} : tensor<?x1x128xf32>
func.func @mean(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// Tests that a maximum over heads is not folded: it is not linear.
// CHECK-LABEL: func.func @maximum
// CHECK: msa.route %arg0
func.func @maximum(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads max query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// Tests that a route which still normalises is left alone: the norm is each head's own.
// CHECK-LABEL: func.func @normalizes
// CHECK: msa.route %arg0
func.func @normalizes(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max normalize scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

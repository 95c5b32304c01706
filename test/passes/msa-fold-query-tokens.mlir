// RUN: msa-opt %s --msa-fold-query-tokens --split-input-file | FileCheck %s

// Tests that the mean over the tokens that the mask lets through becomes one query.
// CHECK-LABEL: func.func @mean
// CHECK: %[[ALL:.*]] = arith.constant dense<true> : tensor<1xi1>
// CHECK: linalg.generic {{.*}} ins(%arg0, %arg1 : tensor<?x1x128xf32>, tensor<?xi1>)
// CHECK: arith.select
// CHECK: arith.divf
// CHECK: %[[QUERY:.*]] = tensor.expand_shape %{{.*}} into tensor<1x1x128xf32>
// CHECK: msa.route %[[QUERY]] mask %[[ALL]]
func.func @mean(%q: tensor<?x1x128xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query mean chunks max scale 1.0 : tensor<?x1x128xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// Tests that a maximum over tokens stays: every token has its own score.
// CHECK-LABEL: func.func @maximum
// CHECK: msa.route %arg0
func.func @maximum(%q: tensor<?x1x128xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x1x128xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// Tests that several heads are not folded over tokens: a maximum over heads comes first.
// CHECK-LABEL: func.func @heads
// CHECK: msa.route %arg0
func.func @heads(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads max query mean chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

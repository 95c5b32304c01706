// RUN: msa-opt %s --msa-fuse-route --split-input-file | FileCheck %s

// Tests that scores which only a top-k reads become a route with the choices of both.
// CHECK-LABEL: func.func @single_use
func.func @single_use(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?xf32>, tensor<?xi64>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  // CHECK: %[[BANK:.*]] = msa.bind
  // CHECK-NEXT: %[[D:.*]], %[[S:.*]], %[[C:.*]] = msa.route %{{.*}} mask %{{.*}} in %[[BANK]]["rk"] top 16 heads mean query last chunks max normalize scale 2.5
  // CHECK-NEXT: return %[[D]], %[[S]], %[[C]]
  %s = msa.score %q mask %mask in %bank["rk"] heads mean query last normalize scale 2.5 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  %d, %b, %c = msa.topk %s in %bank top 16 chunks max : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d, %b, %c : tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
}

// -----

// Tests that scores with another user stay: they are wanted.
// CHECK-LABEL: func.func @scores_returned
// CHECK-NOT: msa.route
// CHECK: msa.topk
func.func @scores_returned(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?xf32>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %s = msa.score %q mask %mask in %bank["rk"] heads mean query max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  %d, %b, %c = msa.topk %s in %bank top 16 chunks max : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d, %s : tensor<?xi64>, tensor<?xf32>
}

// -----

// Tests that a write between the two keeps them apart: the top-k sees the documents of the bank as it is then.
// CHECK-LABEL: func.func @write_between
// CHECK-NOT: msa.route
func.func @write_between(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>, %more: tensor<?x4x32xf32>, %moredoc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %s = msa.score %q mask %mask in %bank["rk"] heads mean query max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  msa.write %more documents %moredoc to %bank : tensor<?x4x32xf32> documents tensor<?xi64> to !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.topk %s in %bank top 16 chunks max : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// RUN: msa-opt %s --msa-normalize-query --split-input-file | FileCheck %s

// Tests that a route's query is divided by its norms, head by head, and the route does not normalise any more.
// CHECK-LABEL: func.func @normalize
// CHECK: %[[SQUARES:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]{{.*}} ins(%arg0 : tensor<?x8x32xf32>)
// CHECK: %[[UNIT:.*]] = linalg.generic {{.*}} ins(%arg0, %[[SQUARES]]
// CHECK: math.sqrt
// CHECK: arith.maximumf
// CHECK: arith.divf
// CHECK: msa.route %[[UNIT]] mask %arg1 in %{{.*}}["rk"] top 4 heads mean query max chunks max scale
func.func @normalize(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max normalize scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// Tests that a query which is scored as it is stays as it is.
// CHECK-LABEL: func.func @plain
// CHECK-NOT: linalg
// CHECK: msa.route %arg0
func.func @plain(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 0.25 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// RUN: msa-opt --load-pass-plugin=%plugins/CapTopK.so --pass-pipeline='builtin.module(example-cap-top-k{limit=4})' %s | FileCheck %s
// RUN: not msa-opt --load-pass-plugin=%plugins/CapTopK.so --pass-pipeline='builtin.module(example-cap-top-k{limit=0})' %s 2>&1 | FileCheck %s --check-prefix=LIMIT

// LIMIT: error: expected 'limit' to be positive, but got 0

// Tests that the limit is kept, and that a route within it is left alone.
// CHECK-LABEL: func.func @routes
// CHECK: msa.route {{.*}} top 4
// CHECK: msa.route {{.*}} top 2
func.func @routes(%q: tensor<?x1x128xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?xi64>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 16 heads mean query max chunks max scale 1.0 : tensor<?x1x128xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  %e, %f, %g = msa.route %q mask %mask in %bank["rk"] top 2 heads mean query max chunks max scale 1.0 : tensor<?x1x128xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d, %e : tensor<?xi64>, tensor<?xi64>
}

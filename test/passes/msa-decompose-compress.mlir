// RUN: msa-opt %s --msa-decompose-compress --cse | FileCheck %s --implicit-check-not=msa.compress

// Tests that compressing keys and values over the same chunks finds the chunks once.
// CHECK-LABEL: func.func @keys_and_values
// CHECK: %[[STARTS:.*]], %[[DOC:.*]] = msa.chunk_index %arg2 positions %arg3 chunk 64
// CHECK-NOT: msa.chunk_index
// CHECK: %[[K:.*]] = msa.pool %arg0 starts %[[STARTS]] mean normalize
// CHECK: %[[V:.*]] = msa.pool %arg1 starts %[[STARTS]] max :
// CHECK: return %[[K]], %[[V]], %[[DOC]]
func.func @keys_and_values(%k: tensor<?x4x32xf32>, %v: tensor<?x4x32xf32>, %doc: tensor<?xi64>, %pos: tensor<?xi64>) -> (tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?xi64>) {
  %a, %d = msa.compress %k documents %doc positions %pos chunk 64 mean normalize : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
  %b, %e = msa.compress %v documents %doc positions %pos chunk 64 max : tensor<?x4x32xf32>, tensor<?xi64>, tensor<?xi64> -> tensor<?x4x32xf32>, tensor<?xi64>
  return %a, %b, %e : tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?xi64>
}

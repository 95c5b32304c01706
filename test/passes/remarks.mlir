// What a pass did and what it had to leave can be asked for, with the reason: the remark engine of MLIR.
// RUN: msa-opt %s --msa-fuse-route --remark-format=emitRemark --remarks-filter=msa-fuse-route -o %t 2>&1 | FileCheck %s
// RUN: msa-opt %s --msa-fuse-route --remark-format=emitRemark --remarks-filter-passed=msa-fuse-route -o %t 2>&1 | FileCheck %s --check-prefix=PASSED

// CHECK-DAG: remarks.mlir:[[#@LINE+9]]:{{[0-9]+}}: remark: [Passed] rewrite | Category:msa-fuse-route | Remark="rewrote 'msa.topk'"
// CHECK-DAG: remarks.mlir:[[#@LINE+15]]:{{[0-9]+}}: remark: [Missed] rewrite | Category:msa-fuse-route | Remark="left 'msa.topk': its scores have another user"
// PASSED-NOT: [Missed]
// PASSED: [Passed]
// PASSED-NOT: [Missed]

func.func @fused(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %s = msa.score %q mask %mask in %bank["rk"] heads mean query max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  %d, %b, %c = msa.topk %s in %bank top 16 chunks max : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

func.func @left(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> (tensor<?xf32>, tensor<?xi64>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %s = msa.score %q mask %mask in %bank["rk"] heads mean query max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  %d, %b, %c = msa.topk %s in %bank top 16 chunks max : tensor<?xf32>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %s, %d : tensor<?xf32>, tensor<?xi64>
}

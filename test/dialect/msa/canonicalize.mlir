// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --canonicalize | FileCheck %s
// RUN: msa-opt %s --resolve-ranked-shaped-type-result-dims --canonicalize --cse | FileCheck %s --check-prefix=DIMS

// Tests that appending nothing, or to nothing, is no op.
// CHECK-LABEL: func.func @append_nothing
// CHECK-SAME: (%[[PAST:.*]]: tensor<?x4xf32>, %{{.*}}: tensor<0x4xf32>, %[[ROWS:.*]]: tensor<3x4xf32>)
// CHECK: return %[[PAST]], %[[ROWS]]
func.func @append_nothing(%past: tensor<?x4xf32>, %nothing: tensor<0x4xf32>, %rows: tensor<3x4xf32>) -> (tensor<?x4xf32>, tensor<3x4xf32>) {
  %a = msa.append %nothing to %past axis 0 : tensor<0x4xf32>, tensor<?x4xf32> -> tensor<?x4xf32>
  %b = msa.append %rows to %nothing axis 0 : tensor<3x4xf32>, tensor<0x4xf32> -> tensor<3x4xf32>
  return %a, %b : tensor<?x4xf32>, tensor<3x4xf32>
}

// Tests that an append stays where its result is of another type, or its length is only known at run time.
// CHECK-LABEL: func.func @append_stays
// CHECK-COUNT-2: msa.append
func.func @append_stays(%past: tensor<3x4xf32>, %nothing: tensor<0x4xf32>, %rows: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %a = msa.append %nothing to %past axis 0 : tensor<0x4xf32>, tensor<3x4xf32> -> tensor<?x4xf32>
  %b = msa.append %rows to %past axis 0 : tensor<?x4xf32>, tensor<3x4xf32> -> tensor<?x4xf32>
  return %a, %b : tensor<?x4xf32>, tensor<?x4xf32>
}

// Tests that one token needs no causal mask, with and without a batch dim, and that several do.
// CHECK-LABEL: func.func @one_token
// CHECK: msa.attention %{{.*}}, %{{.*}}, %{{.*}} scale
// CHECK: msa.attention %{{.*}}, %{{.*}}, %{{.*}} scale
// CHECK: msa.attention %{{.*}}, %{{.*}}, %{{.*}} causal scale
func.func @one_token(%q: tensor<1x8x32xf32>, %k: tensor<?x8x32xf32>, %bq: tensor<?x1x8x32xf32>, %bk: tensor<?x?x8x32xf32>, %many: tensor<?x8x32xf32>)
    -> (tensor<1x8x32xf32>, tensor<?x1x8x32xf32>, tensor<?x8x32xf32>) {
  %a = msa.attention %q, %k, %k causal scale 1.0 : tensor<1x8x32xf32>, tensor<?x8x32xf32>, tensor<?x8x32xf32> -> tensor<1x8x32xf32>
  %b = msa.attention %bq, %bk, %bk causal scale 1.0 : tensor<?x1x8x32xf32>, tensor<?x?x8x32xf32>, tensor<?x?x8x32xf32> -> tensor<?x1x8x32xf32>
  %c = msa.attention %many, %k, %k causal scale 1.0 : tensor<?x8x32xf32>, tensor<?x8x32xf32>, tensor<?x8x32xf32> -> tensor<?x8x32xf32>
  return %a, %b, %c : tensor<1x8x32xf32>, tensor<?x1x8x32xf32>, tensor<?x8x32xf32>
}

// Tests that unused results of pure ops and binds go, and that what touches a bank stays.
// CHECK-LABEL: func.func @effects
// CHECK-NOT: msa.rope
// CHECK: msa.bind
// CHECK: msa.erase
// CHECK-NOT: msa.bind
func.func @effects(%x: tensor<?x8x32xf32>, %cos: tensor<?x16xf32>, %old: tensor<?xi64>) {
  %turned = msa.rope %x by %cos, %cos : tensor<?x8x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>
  %bank = msa.bind %x : tensor<?x8x32xf32> -> !msa.bank<k: 8x32xf32>
  msa.erase %old from %bank : tensor<?xi64>, !msa.bank<k: 8x32xf32>
  %unused = msa.bind %x : tensor<?x8x32xf32> -> !msa.bank<k: 8x32xf32>
  return
}

// Tests that dims of results are those of operands.
// DIMS-LABEL: func.func @dims
// DIMS-SAME: (%[[X:.*]]: tensor<?x64xf32>, %{{.*}}: tensor<2x64x16xf32>, %[[Q:.*]]: tensor<?x2x32xf32>, %[[PAST:.*]]: tensor<?x2x32xf32>, %{{.*}}: tensor<?x16xf32>, %[[IDS:.*]]: tensor<?xi64>, %{{.*}}: tensor<9x64xf32>, %[[BANK:.*]]: !msa.bank<k: 2x32xf32>)
// DIMS-DAG: %[[X0:.*]] = tensor.dim %[[X]], %c0
// DIMS-DAG: %[[Q0:.*]] = tensor.dim %[[Q]], %c0
// DIMS-DAG: %[[PAST0:.*]] = tensor.dim %[[PAST]], %c0
// DIMS-DAG: %[[IDS0:.*]] = tensor.dim %[[IDS]], %c0
// DIMS-DAG: %[[LESS:.*]] = arith.addi %[[IDS0]], %c-1
// DIMS-DAG: %[[MORE:.*]] = arith.addi %[[PAST0]], %[[Q0]]
// DIMS: return %[[X0]], %[[Q0]], %[[MORE]], %[[Q0]], %[[IDS0]], %[[IDS0]], %[[LESS]]
func.func @dims(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>, %q: tensor<?x2x32xf32>, %past: tensor<?x2x32xf32>, %cos: tensor<?x16xf32>,
    %ids: tensor<?xi64>, %table: tensor<9x64xf32>, %bank: !msa.bank<k: 2x32xf32>) -> (index, index, index, index, index, index, index) {
  %c0 = arith.constant 0 : index
  %y = msa.matmul %x, %w : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x20xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  %0 = tensor.dim %y, %c0 : tensor<?x20xf32>
  %turned = msa.rope %q by %cos, %cos : tensor<?x2x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>
  %1 = tensor.dim %turned, %c0 : tensor<?x2x32xf32>
  %cache = msa.append %turned to %past axis 0 : tensor<?x2x32xf32>, tensor<?x2x32xf32> -> tensor<?x2x32xf32>
  %2 = tensor.dim %cache, %c0 : tensor<?x2x32xf32>
  %out = msa.attention %turned, %cache, %cache causal scale 1.0 : tensor<?x2x32xf32>, tensor<?x2x32xf32>, tensor<?x2x32xf32> -> tensor<?x2x32xf32>
  %3 = tensor.dim %out, %c0 : tensor<?x2x32xf32>
  %rows = msa.take %table at %ids : tensor<9x64xf32>, tensor<?xi64> -> tensor<?x64xf32>
  %4 = tensor.dim %rows, %c0 : tensor<?x64xf32>
  %gathered = msa.gather %bank["k"] at %ids : !msa.bank<k: 2x32xf32>, tensor<?xi64> -> tensor<?x2x32xf32>
  %5 = tensor.dim %gathered, %c0 : tensor<?x2x32xf32>
  %pooled = msa.pool %q starts %ids mean : tensor<?x2x32xf32>, tensor<?xi64> -> tensor<?x2x32xf32>
  %6 = tensor.dim %pooled, %c0 : tensor<?x2x32xf32>
  return %0, %1, %2, %3, %4, %5, %6 : index, index, index, index, index, index, index
}

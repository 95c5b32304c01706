// RUN: msa-opt %s --msa-fuse-read --split-input-file | FileCheck %s

// Tests that attention over prefix, gathered rows and local tokens becomes a read whose context replaces the concatenation.
// CHECK-LABEL: func.func @read
func.func @read(%q: tensor<?x8x32xf32>, %k: tensor<?x4x32xf32>, %v: tensor<?x4x32xf32>, %pk: tensor<?x4x32xf32>, %pv: tensor<?x4x32xf32>,
                %mk: tensor<?x4x32xf32>, %mv: tensor<?x4x32xf32>, %chunks: tensor<?xi64>) -> (tensor<?x8x32xf32>, tensor<?x4x32xf32>) {
  %bank = msa.bind %mk, %mv : tensor<?x4x32xf32>, tensor<?x4x32xf32> -> !msa.bank<k: 4x32xf32, v: 4x32xf32>
  %gk = msa.gather %bank["k"] at %chunks : !msa.bank<k: 4x32xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  %gv = msa.gather %bank["v"] at %chunks : !msa.bank<k: 4x32xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  %ck = tensor.concat dim(0) %pk, %gk, %k : (tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>) -> tensor<?x4x32xf32>
  %cv = tensor.concat dim(0) %pv, %gv, %v : (tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>) -> tensor<?x4x32xf32>
  // CHECK: %[[Y:.*]], %[[CK:.*]], %{{.*}} = msa.read %arg0, %arg1, %arg2 prefix %arg3, %arg4 in %{{.*}} at %arg7 scale 1.250000e-01
  // CHECK-NOT: msa.attention
  // CHECK: return %[[Y]], %[[CK]]
  %y = msa.attention %q, %ck, %cv causal scale 0.125 : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x8x32xf32>
  return %y, %ck : tensor<?x8x32xf32>, tensor<?x4x32xf32>
}

// -----

// Tests that attention which sees the whole block is no read: a read is causal among its local tokens.
// CHECK-LABEL: func.func @not_causal
// CHECK-NOT: msa.read
func.func @not_causal(%q: tensor<?x8x32xf32>, %k: tensor<?x4x32xf32>, %v: tensor<?x4x32xf32>, %pk: tensor<?x4x32xf32>, %pv: tensor<?x4x32xf32>,
                      %mk: tensor<?x4x32xf32>, %mv: tensor<?x4x32xf32>, %chunks: tensor<?xi64>) -> tensor<?x8x32xf32> {
  %bank = msa.bind %mk, %mv : tensor<?x4x32xf32>, tensor<?x4x32xf32> -> !msa.bank<k: 4x32xf32, v: 4x32xf32>
  %gk = msa.gather %bank["k"] at %chunks : !msa.bank<k: 4x32xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  %gv = msa.gather %bank["v"] at %chunks : !msa.bank<k: 4x32xf32, v: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  %ck = tensor.concat dim(0) %pk, %gk, %k : (tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>) -> tensor<?x4x32xf32>
  %cv = tensor.concat dim(0) %pv, %gv, %v : (tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>) -> tensor<?x4x32xf32>
  %y = msa.attention %q, %ck, %cv scale 0.125 : tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x8x32xf32>
  return %y : tensor<?x8x32xf32>
}

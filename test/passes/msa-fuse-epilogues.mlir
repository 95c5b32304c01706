// RUN: msa-opt %s --msa-fuse-epilogues --split-input-file | FileCheck %s

// Tests that a bias and a residual after a product move into it, and nothing else is left.
// CHECK-LABEL: func.func @bias_and_residual
// CHECK: %[[Y:.*]] = msa.matmul %arg0, %arg1 extras(%arg2, %arg3 : tensor<32xf32>, tensor<?x32xf32>)
// CHECK-NEXT: ^bb0(%[[SUM:.*]]: f32, %[[BIAS:.*]]: f32, %[[RES:.*]]: f32):
// CHECK-NEXT: %[[A:.*]] = arith.addf %[[SUM]], %[[BIAS]]
// CHECK-NEXT: %[[B:.*]] = arith.addf %[[A]], %[[RES]]
// CHECK-NEXT: msa.yield %[[B]]
// CHECK-NOT: linalg.generic
// CHECK: return %[[Y]]
func.func @bias_and_residual(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>, %bias: tensor<32xf32>, %residual: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %empty = tensor.empty(%t) : tensor<?x32xf32>
  %p = msa.matmul %x, %w : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x32xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  %y = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(j)>, affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]} ins(%p, %bias, %residual : tensor<?x32xf32>, tensor<32xf32>, tensor<?x32xf32>) outs(%empty : tensor<?x32xf32>) {
  ^bb0(%a: f32, %b: f32, %r: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    %u = arith.addf %s, %r : f32
    linalg.yield %u : f32
  } -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Tests that a product with two users keeps its result: it is needed as it is.
// CHECK-LABEL: func.func @two_users
// CHECK: msa.matmul
// CHECK: linalg.generic
func.func @two_users(%x: tensor<4x64xf32>, %w: tensor<2x64x16xf32>) -> (tensor<4x32xf32>, tensor<4x32xf32>) {
  %empty = tensor.empty() : tensor<4x32xf32>
  %p = msa.matmul %x, %w : tensor<4x64xf32>, tensor<2x64x16xf32> -> tensor<4x32xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  %y = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]} ins(%p : tensor<4x32xf32>) outs(%empty : tensor<4x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %e = math.exp %a : f32
    linalg.yield %e : f32
  } -> tensor<4x32xf32>
  return %p, %y : tensor<4x32xf32>, tensor<4x32xf32>
}

// -----

// Tests that a consumer which reads one value per row stays outside: an epilogue knows columns only.
// CHECK-LABEL: func.func @per_row
// CHECK: linalg.generic
func.func @per_row(%x: tensor<4x64xf32>, %w: tensor<2x64x16xf32>, %s: tensor<4xf32>) -> tensor<4x32xf32> {
  %empty = tensor.empty() : tensor<4x32xf32>
  %p = msa.matmul %x, %w : tensor<4x64xf32>, tensor<2x64x16xf32> -> tensor<4x32xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  %y = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]} ins(%p, %s : tensor<4x32xf32>, tensor<4xf32>) outs(%empty : tensor<4x32xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<4x32xf32>
  return %y : tensor<4x32xf32>
}

// -----

// Tests that a product of collapsed rows takes the rows as they are.
// CHECK-LABEL: func.func @rows
// CHECK: msa.matmul %arg0, %arg1 : tensor<2x5x64xf32>, tensor<2x64x16xf32> -> tensor<2x5x32xf32>
func.func @rows(%x: tensor<2x5x64xf32>, %w: tensor<2x64x16xf32>) -> tensor<2x5x32xf32> {
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x5x64xf32> into tensor<10x64xf32>
  %p = msa.matmul %flat, %w : tensor<10x64xf32>, tensor<2x64x16xf32> -> tensor<10x32xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  %y = tensor.expand_shape %p [[0, 1], [2]] output_shape [2, 5, 32] : tensor<10x32xf32> into tensor<2x5x32xf32>
  return %y : tensor<2x5x32xf32>
}

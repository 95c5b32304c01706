// RUN: msa-opt %s --msa-pool-before-projection --split-input-file | FileCheck %s

// Tests that a projection which is only pooled is done after the pool, and the norm after that.
// CHECK-LABEL: func.func @routing_keys
// CHECK: %[[HEAD:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<?x1x64xf32>
// CHECK: %[[POOLED:.*]] = msa.pool %[[HEAD]] starts %arg1 mean :
// CHECK: %[[FLAT:.*]] = tensor.collapse_shape %[[POOLED]]
// CHECK: linalg.matmul {{.*}}ins(%[[FLAT]], %{{.*}} : tensor<?x64xf32>, tensor<128x64xf32>)
// CHECK: math.sqrt
func.func @routing_keys(%x: tensor<?x64xf32>, %starts: tensor<?xi64>) -> tensor<?x4x32xf32> {
  %w = arith.constant dense<0.5> : tensor<128x64xf32>
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%t) : tensor<?x128xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x128xf32>) -> tensor<?x128xf32>
  %k = linalg.matmul indexing_maps = [affine_map<(m,n,k)->(m,k)>, affine_map<(m,n,k)->(n,k)>, affine_map<(m,n,k)->(m,n)>] ins(%x, %w : tensor<?x64xf32>, tensor<128x64xf32>) outs(%init : tensor<?x128xf32>) -> tensor<?x128xf32>
  %heads = tensor.expand_shape %k [[0], [1, 2]] output_shape [%t, 4, 32] : tensor<?x128xf32> into tensor<?x4x32xf32>
  %rows = msa.pool %heads starts %starts mean normalize : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %rows : tensor<?x4x32xf32>
}

// -----

// Tests that a projection which is also read by token stays before the pool: it is needed there.
// CHECK-LABEL: func.func @also_read
// CHECK: linalg.matmul
// CHECK: msa.pool %expanded
func.func @also_read(%x: tensor<?x64xf32>, %starts: tensor<?xi64>) -> (tensor<?x4x32xf32>, tensor<?x128xf32>) {
  %w = arith.constant dense<0.5> : tensor<64x128xf32>
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%t) : tensor<?x128xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x128xf32>) -> tensor<?x128xf32>
  %k = linalg.matmul ins(%x, %w : tensor<?x64xf32>, tensor<64x128xf32>) outs(%init : tensor<?x128xf32>) -> tensor<?x128xf32>
  %expanded = tensor.expand_shape %k [[0], [1, 2]] output_shape [%t, 4, 32] : tensor<?x128xf32> into tensor<?x4x32xf32>
  %rows = msa.pool %expanded starts %starts mean : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %rows, %k : tensor<?x4x32xf32>, tensor<?x128xf32>
}

// -----

// Tests that a maximum is not moved: it is not linear.
// CHECK-LABEL: func.func @maximum
// CHECK: linalg.matmul
// CHECK: msa.pool %{{.*}} starts %arg1 max
func.func @maximum(%x: tensor<?x64xf32>, %starts: tensor<?xi64>) -> tensor<?x4x32xf32> {
  %w = arith.constant dense<0.5> : tensor<64x128xf32>
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%t) : tensor<?x128xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x128xf32>) -> tensor<?x128xf32>
  %k = linalg.matmul ins(%x, %w : tensor<?x64xf32>, tensor<64x128xf32>) outs(%init : tensor<?x128xf32>) -> tensor<?x128xf32>
  %heads = tensor.expand_shape %k [[0], [1, 2]] output_shape [%t, 4, 32] : tensor<?x128xf32> into tensor<?x4x32xf32>
  %rows = msa.pool %heads starts %starts max : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %rows : tensor<?x4x32xf32>
}

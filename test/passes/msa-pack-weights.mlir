// RUN: msa-opt %s --msa-pack-weights --split-input-file | FileCheck %s

// Tests that a matrix of 3 x 2 becomes one panel of 16 columns, zero past the second.
// CHECK-LABEL: func.func @columns
// CHECK: %[[PANELS:.*]] = arith.constant dense_resource<[[NAME:.*]]> : tensor<1x3x16xf32>
// CHECK: %[[Y:.*]] = msa.matmul %arg0, %[[PANELS]] : tensor<?x3xf32>, tensor<1x3x16xf32> -> tensor<?x2xf32> {
// CHECK-NEXT: ^bb0(%[[SUM:.*]]: f32):
// CHECK-NEXT: msa.yield %[[SUM]]
// CHECK: return %[[Y]]
// Rows 1 2 0.., 3 4 0.., 5 6 0..: little-endian f32 after four bytes of alignment.
// CHECK: [[NAME]]: "0x400000000000803F00000040{{0+}}4040000080400{{0+}}A0400000C0400{{0+}}"
func.func @columns(%x: tensor<?x3xf32>) -> tensor<?x2xf32> {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x3xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%m) : tensor<?x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2xf32>) -> tensor<?x2xf32>
  %y = linalg.matmul ins(%x, %w : tensor<?x3xf32>, tensor<3x2xf32>) outs(%init : tensor<?x2xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

// Tests that 40 columns read transposed make three panels.
// CHECK-LABEL: func.func @transposed
// CHECK: msa.matmul %arg0, %{{.*}} : tensor<?x8xf32>, tensor<3x8x16xf32> -> tensor<?x40xf32>
func.func @transposed(%x: tensor<?x8xf32>) -> tensor<?x40xf32> {
  %w = arith.constant dense<0.5> : tensor<40x8xf32>
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x8xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%m) : tensor<?x40xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x40xf32>) -> tensor<?x40xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m,n,k)->(m,k)>, affine_map<(m,n,k)->(n,k)>, affine_map<(m,n,k)->(m,n)>] ins(%x, %w : tensor<?x8xf32>, tensor<40x8xf32>) outs(%init : tensor<?x40xf32>) -> tensor<?x40xf32>
  return %y : tensor<?x40xf32>
}

// -----

// Tests that a product of two computed matrices stays.
// CHECK-LABEL: func.func @computed
// CHECK: linalg.matmul
// CHECK-NOT: msa.matmul
func.func @computed(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x16xf32>) -> tensor<4x16xf32>
  %y = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %y : tensor<4x16xf32>
}

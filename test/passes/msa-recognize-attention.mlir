// RUN: msa-opt %s --msa-recognize-attention --canonicalize --split-input-file | FileCheck %s

#id4 = affine_map<(b, h, m, n) -> (b, h, m, n)>
#row = affine_map<(b, h, m, n) -> (b, h, m)>
#mn = affine_map<(b, h, m, n) -> (m, n)>
#heads_first = affine_map<(b, h, m, d) -> (b, m, h, d)>
#id3 = affine_map<(x, y, z) -> (x, y, z)>
#swap = affine_map<(x, y, z) -> (x, z, y)>
#id5 = affine_map<(b, g, r, n, d) -> (b, g, r, n, d)>
#repeat = affine_map<(b, g, r, n, d) -> (b, g, n, d)>

// Tests what an exporter writes for grouped heads, a scale split over query and key, an additive mask and the guard against NaN: one op, whose keys
// have their own two heads and whose scale is the product.
// CHECK-LABEL: func.func @exported
// CHECK-DAG: %[[K:.*]] = linalg.generic {{.*}} ins(%arg1 : tensor<2x2x7x16xf32>) {{.*}}
// CHECK-DAG: %[[MASK:.*]] = tensor.expand_shape %arg3 {{\[\[}}0, 1, 2], [3]] output_shape [1, 1, 3, 7]
// CHECK: %[[Y:.*]] = msa.attention %arg0, %{{.*}}, %{{.*}} mask %[[MASK]] scale 2.500000e-01 : tensor<2x3x4x16xf32>, tensor<2x7x2x16xf32>, tensor<2x7x2x16xf32> mask tensor<1x1x3x7xf32> -> tensor<2x3x4x16xf32>
// CHECK-NOT: batch_matmul
// CHECK: return %[[Y]]
func.func @exported(%q: tensor<2x3x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %mask: tensor<3x7xf32>) -> tensor<2x3x4x16xf32> {
  %half = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %eq = tensor.empty() : tensor<2x4x3x16xf32>
  %qt = linalg.generic {indexing_maps = [#heads_first, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%q : tensor<2x3x4x16xf32>) outs(%eq : tensor<2x4x3x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x4x3x16xf32>
  %qs = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%qt : tensor<2x4x3x16xf32>) outs(%eq : tensor<2x4x3x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = arith.mulf %a, %half : f32
    linalg.yield %m : f32
  } -> tensor<2x4x3x16xf32>
  %q3 = tensor.collapse_shape %qs [[0, 1], [2], [3]] : tensor<2x4x3x16xf32> into tensor<8x3x16xf32>
  %e5 = tensor.empty() : tensor<2x2x2x7x16xf32>
  %kr = linalg.generic {indexing_maps = [#repeat, #id5], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%k : tensor<2x2x7x16xf32>) outs(%e5 : tensor<2x2x2x7x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2x7x16xf32>
  %vr = linalg.generic {indexing_maps = [#repeat, #id5], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%v : tensor<2x2x7x16xf32>) outs(%e5 : tensor<2x2x2x7x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2x7x16xf32>
  %k3 = tensor.collapse_shape %kr [[0, 1, 2], [3], [4]] : tensor<2x2x2x7x16xf32> into tensor<8x7x16xf32>
  %v3 = tensor.collapse_shape %vr [[0, 1, 2], [3], [4]] : tensor<2x2x2x7x16xf32> into tensor<8x7x16xf32>
  %ek = tensor.empty() : tensor<8x16x7xf32>
  %kt = linalg.generic {indexing_maps = [#swap, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%k3 : tensor<8x7x16xf32>) outs(%ek : tensor<8x16x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<8x16x7xf32>
  %ks = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%kt : tensor<8x16x7xf32>) outs(%ek : tensor<8x16x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = arith.mulf %a, %half : f32
    linalg.yield %m : f32
  } -> tensor<8x16x7xf32>
  %es = tensor.empty() : tensor<8x3x7xf32>
  %fs = linalg.fill ins(%zero : f32) outs(%es : tensor<8x3x7xf32>) -> tensor<8x3x7xf32>
  %s3 = linalg.batch_matmul ins(%q3, %ks : tensor<8x3x16xf32>, tensor<8x16x7xf32>) outs(%fs : tensor<8x3x7xf32>) -> tensor<8x3x7xf32>
  %s4 = tensor.expand_shape %s3 [[0, 1], [2], [3]] output_shape [2, 4, 3, 7] : tensor<8x3x7xf32> into tensor<2x4x3x7xf32>
  %e4 = tensor.empty() : tensor<2x4x3x7xf32>
  %sm = linalg.generic {indexing_maps = [#id4, #mn, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%s4, %mask : tensor<2x4x3x7xf32>, tensor<3x7xf32>) outs(%e4 : tensor<2x4x3x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %u = arith.addf %a, %b : f32
    linalg.yield %u : f32
  } -> tensor<2x4x3x7xf32>
  %er = tensor.empty() : tensor<2x4x3xf32>
  %fm = linalg.fill ins(%least : f32) outs(%er : tensor<2x4x3xf32>) -> tensor<2x4x3xf32>
  %mx = linalg.generic {indexing_maps = [#id4, #row], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%sm : tensor<2x4x3x7xf32>) outs(%fm : tensor<2x4x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %u = arith.maximumf %a, %o : f32
    linalg.yield %u : f32
  } -> tensor<2x4x3xf32>
  %ex = linalg.generic {indexing_maps = [#id4, #row, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%sm, %mx : tensor<2x4x3x7xf32>, tensor<2x4x3xf32>) outs(%e4 : tensor<2x4x3x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %u = arith.subf %a, %b : f32
    %w = math.exp %u : f32
    linalg.yield %w : f32
  } -> tensor<2x4x3x7xf32>
  %fz = linalg.fill ins(%zero : f32) outs(%er : tensor<2x4x3xf32>) -> tensor<2x4x3xf32>
  %sum = linalg.generic {indexing_maps = [#id4, #row], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%ex : tensor<2x4x3x7xf32>) outs(%fz : tensor<2x4x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %u = arith.addf %a, %o : f32
    linalg.yield %u : f32
  } -> tensor<2x4x3xf32>
  %p = linalg.generic {indexing_maps = [#id4, #row, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%ex, %sum : tensor<2x4x3x7xf32>, tensor<2x4x3xf32>) outs(%e4 : tensor<2x4x3x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %u = arith.divf %a, %b : f32
    linalg.yield %u : f32
  } -> tensor<2x4x3x7xf32>
  %ei = tensor.empty() : tensor<2x4x3x7xi1>
  %nan = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%p : tensor<2x4x3x7xf32>) outs(%ei : tensor<2x4x3x7xi1>) {
  ^bb0(%a: f32, %o: i1):
    %u = arith.cmpf uno, %a, %a : f32
    linalg.yield %u : i1
  } -> tensor<2x4x3x7xi1>
  %g = linalg.generic {indexing_maps = [#id4, #id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%nan, %p : tensor<2x4x3x7xi1>, tensor<2x4x3x7xf32>) outs(%e4 : tensor<2x4x3x7xf32>) {
  ^bb0(%c: i1, %a: f32, %o: f32):
    %u = arith.select %c, %zero, %a : f32
    linalg.yield %u : f32
  } -> tensor<2x4x3x7xf32>
  %p3 = tensor.collapse_shape %g [[0, 1], [2], [3]] : tensor<2x4x3x7xf32> into tensor<8x3x7xf32>
  %ey = tensor.empty() : tensor<8x3x16xf32>
  %fy = linalg.fill ins(%zero : f32) outs(%ey : tensor<8x3x16xf32>) -> tensor<8x3x16xf32>
  %y3 = linalg.batch_matmul ins(%p3, %v3 : tensor<8x3x7xf32>, tensor<8x7x16xf32>) outs(%fy : tensor<8x3x16xf32>) -> tensor<8x3x16xf32>
  %y4 = tensor.expand_shape %y3 [[0, 1], [2], [3]] output_shape [2, 4, 3, 16] : tensor<8x3x16xf32> into tensor<2x4x3x16xf32>
  %eb = tensor.empty() : tensor<2x3x4x16xf32>
  %y = linalg.generic {indexing_maps = [#heads_first, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%y4 : tensor<2x4x3x16xf32>) outs(%eb : tensor<2x3x4x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x3x4x16xf32>
  return %y : tensor<2x3x4x16xf32>
}

// -----

// Tests that two products without a softmax between them stay two products.
// CHECK-LABEL: func.func @no_softmax
// CHECK-NOT: msa.attention
// CHECK-COUNT-2: linalg.batch_matmul
func.func @no_softmax(%q: tensor<8x3x16xf32>, %k: tensor<8x16x7xf32>, %v: tensor<8x7x16xf32>) -> tensor<8x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %es = tensor.empty() : tensor<8x3x7xf32>
  %fs = linalg.fill ins(%zero : f32) outs(%es : tensor<8x3x7xf32>) -> tensor<8x3x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<8x3x16xf32>, tensor<8x16x7xf32>) outs(%fs : tensor<8x3x7xf32>) -> tensor<8x3x7xf32>
  %ey = tensor.empty() : tensor<8x3x16xf32>
  %fy = linalg.fill ins(%zero : f32) outs(%ey : tensor<8x3x16xf32>) -> tensor<8x3x16xf32>
  %y = linalg.batch_matmul ins(%s, %v : tensor<8x3x7xf32>, tensor<8x7x16xf32>) outs(%fy : tensor<8x3x16xf32>) -> tensor<8x3x16xf32>
  return %y : tensor<8x3x16xf32>
}

// RUN: msa-opt %s --convert-msa-to-exec | FileCheck %s

// Tests that an integer quotient never divides by 0 or -1 in a kernel, and that a constant divisor costs nothing more.
// CHECK: exec.kernel @elementwise
// CHECK: linalg.generic
// CHECK: ^bb0(%[[X:.*]]: i64, %[[D:.*]]: i64, %{{.*}}: i64):
// CHECK: %[[ZERO:.*]] = arith.cmpi eq, %[[D]], %{{.*}} : i64
// CHECK: %[[MINUS:.*]] = arith.cmpi eq, %[[D]], %{{.*}} : i64
// CHECK: %[[SPECIAL:.*]] = arith.ori %[[ZERO]], %[[MINUS]]
// CHECK: %[[SAFE:.*]] = arith.select %[[SPECIAL]], %{{.*}}, %[[D]]
// CHECK: %[[Q:.*]] = arith.divsi %[[X]], %[[SAFE]]
// CHECK: %[[A:.*]] = arith.select %[[MINUS]], %{{.*}}, %[[Q]]
// CHECK: %[[B:.*]] = arith.select %[[ZERO]], %{{.*}}, %[[A]]
// CHECK: %[[R:.*]] = arith.remsi %[[B]], %{{.*}}
// CHECK: linalg.yield %[[R]]
func.func @quotient(%x: tensor<?xi64>, %d: tensor<?xi64>) -> tensor<?xi64> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xi64>
  %empty = tensor.empty(%n) : tensor<?xi64>
  %y = linalg.generic {indexing_maps = [affine_map<(i)->(i)>, affine_map<(i)->(i)>, affine_map<(i)->(i)>], iterator_types = ["parallel"]} ins(%x, %d : tensor<?xi64>, tensor<?xi64>) outs(%empty : tensor<?xi64>) {
  ^bb0(%a: i64, %b: i64, %o: i64):
    %c7 = arith.constant 7 : i64
    %q = arith.divsi %a, %b : i64
    %r = arith.remsi %q, %c7 : i64
    linalg.yield %r : i64
  } -> tensor<?xi64>
  return %y : tensor<?xi64>
}

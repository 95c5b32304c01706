// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s | FileCheck %s
// RUN: msa-opt %s | msa-opt | FileCheck %s
// RUN: msa-opt %s --mlir-print-op-generic | msa-opt | FileCheck %s
// RUN: msa-opt %s --emit-bytecode | msa-opt | FileCheck %s

// Tests that every command prints what it parses, also by way of the generic form and of bytecode.

// CHECK: exec.constant @weight dense<1.000000e+00> : tensor<4xf32>
exec.constant @weight dense<1.0> : tensor<4xf32>

// CHECK-LABEL: exec.kernel @scale
// CHECK-SAME: parameters = array<i32: 0, 0, 1>, scratch_bytes = 64 : i64
exec.kernel @scale(%x: memref<?xi8>, %w: memref<?xi8>, %y: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 1>, scratch_bytes = 64 : i64} {
  // CHECK: exec.end
  exec.end
}

// CHECK-LABEL: exec.entry @main
exec.entry @main attributes {input_names = ["x"], input_types = [tensor<?x4xf32>], input_dims = [["T", ""]], spans = array<i1: false>,
    output_names = ["y"], output_types = [tensor<?x4xf32>], output_dims = [["T", ""]], aliases = array<i64: -1>} {
// CHECK: ^bb0(%[[X:.*]]: !exec.buffer):
^bb0(%x: !exec.buffer):
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %true = arith.constant true
  // CHECK: %[[T:.*]] = exec.dim %[[X]][0]
  %t = exec.dim %x[0]
  // CHECK: exec.assert %{{.*}}, "message" values %[[T]]
  exec.assert %true, "message" values %t
  // CHECK: exec.assert %{{.*}}, "plain"
  exec.assert %true, "plain"
  // CHECK: %[[W:.*]] = exec.get_constant @weight
  %w = exec.get_constant @weight
  %size = arith.muli %t, %c16 : index
  // CHECK: %[[Y:.*]] = exec.alloc %[[SIZE:.*]] output 0
  %y = exec.alloc %size output 0
  // CHECK: %[[TMP:.*]] = exec.alloc %[[SIZE]]{{$}}
  %tmp = exec.alloc %size
  // CHECK: exec.dispatch @scale tiles %[[T]] buffers(%[[X]], %[[W]], %[[TMP]]) scalars(%[[T]])
  exec.dispatch @scale tiles %t buffers(%x, %w, %tmp) scalars(%t)
  // CHECK: exec.store %[[T]] to %[[TMP]][8]
  exec.store %t to %tmp[8]
  // CHECK: exec.load %[[TMP]][8]
  %again = exec.load %tmp[8]
  // CHECK: exec.copy %[[TMP]][%{{.*}}] to %[[Y]][%{{.*}}] size %[[SIZE]]
  exec.copy %tmp[%c0] to %y[%c0] size %size
  // CHECK: exec.free %[[TMP]]
  exec.free %tmp
  // CHECK: exec.return %{{.*}}
  exec.return %again
}

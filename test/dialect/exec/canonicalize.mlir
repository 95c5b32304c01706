// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --canonicalize | FileCheck %s

// Tests that a copy of nothing and an assertion that holds go, and that others stay.
// CHECK-LABEL: exec.entry @main
// CHECK-NOT: "holds"
// CHECK: exec.assert %{{.*}}, "fails"
// CHECK: exec.assert %{{.*}}, "unknown"
// CHECK: exec.alloc
// CHECK-NEXT: exec.copy
// CHECK-NEXT: exec.return
exec.entry @main attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>,
    output_names = ["y"], output_types = [tensor<4xi8>], output_dims = [[""]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %true = arith.constant true
  %false = arith.constant false
  %t = exec.dim %x[0]
  %same = arith.cmpi eq, %t, %c4 : index
  exec.assert %true, "holds"
  exec.assert %false, "fails"
  exec.assert %same, "unknown"
  %y = exec.alloc %c4 output 0
  exec.copy %x[%c0] to %y[%c0] size %c0
  exec.copy %x[%c0] to %y[%c0] size %c4
  exec.return
}

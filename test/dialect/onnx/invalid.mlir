// SPDX-License-Identifier: Apache-2.0
//
// Tests that every constraint of the dialect is verified; the cases are named after the constraints of OnnxOps.td.
// RUN: msa-opt %s --split-input-file --verify-diagnostics

func.func @node_c1() {
  // expected-error @+1 {{expected an operator's name in 'op_type', but it is empty}}
  onnx.node ""() : () -> ()
  return
}

// -----

func.func @node_c2_count() {
  // expected-error @+1 {{expected a name in 'region_names' for each of 1 graphs, but got 0}}
  "onnx.node"() <{op_type = "If", node_attributes = {}}> ({
    onnx.yield
  }) : () -> ()
  return
}

// -----

func.func @node_c2_unique() {
  // expected-error @+1 {{expected unique names in 'region_names', but got 'body' twice}}
  onnx.node "If"() graphs ["body", "body"] {
    onnx.yield
  } {
    onnx.yield
  } : () -> ()
  return
}

// -----

func.func @node_c3_blocks() {
  // expected-error @+1 {{region #0 ('graphs') failed to verify constraint: region with 1 blocks}}
  onnx.node "If"() graphs ["body"] {
  } : () -> ()
  return
}

// -----

func.func @node_c3_terminator(%x: !onnx.value) {
  // expected-error @+1 {{expected graph 0 to end in 'onnx.yield', but it ends in 'llvm.unreachable'}}
  "onnx.node"(%x) <{op_type = "If", node_attributes = {}, region_names = ["body"]}> ({
    llvm.unreachable
  }) : (!onnx.value) -> ()
  return
}

// -----

func.func private @plain()
func.func @node_c4_function() {
  // expected-error @+1 {{expected 'callee' to be a func with 'onnx.function', but @plain has none}}
  onnx.node "F" domain "d" calls @plain() : () -> ()
  return
}

// -----

func.func @node_c4_missing() {
  // expected-error @+1 {{expected 'callee' to be a func with 'onnx.function', but @nowhere is none}}
  onnx.node "F" domain "d" calls @nowhere() : () -> ()
  return
}

// -----

func.func private @"d::F"(!onnx.value) -> !onnx.value attributes {onnx.function = ["d", "F", ""]}
func.func @node_c4_arity(%x: !onnx.value) {
  // expected-error @+1 {{expected at most 1 operands and 1 results to call @"d::F", but got 2 and 1}}
  %y = onnx.node "F" domain "d" calls @"d::F"(%x, %x) : (!onnx.value, !onnx.value) -> !onnx.value
  return
}

// -----

func.func @initializer_c1() {
  // expected-error @+1 {{expected 'value' to have the result's type 'tensor<2xf32>', but got 'tensor<3xf32>'}}
  %w = onnx.initializer "w" dense<1.0> : tensor<3xf32> : tensor<2xf32>
  return
}

// -----

func.func @yield_outside() {
  // expected-error @+1 {{'onnx.yield' op expects parent op 'onnx.node'}}
  onnx.yield
}

// -----

func.func @names_of_graphs() {
  // expected-error @+1 {{expected attribute value}}
  onnx.node "If"() graphs : () -> ()
  return
}

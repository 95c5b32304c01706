// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --convert-onnx-to-msa | FileCheck %s

// Tests that a route binds its keys and documents as a bank, and that its results share their length.
// CHECK-LABEL: func.func @route(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<?x4x16xf32>{{.*}}, %[[KEYS:[a-z0-9]+]]: tensor<?x2x16xf32>{{.*}}, %[[DOC:[a-z0-9]+]]: tensor<?xi64>{{.*}}, %[[MASK:[a-z0-9]+]]: tensor<?xi1>
// CHECK:         %[[BANK:.+]] = msa.bind %[[KEYS]] documents %[[DOC]] : tensor<?x2x16xf32> documents tensor<?xi64> -> <rk: 2x16xf32>
// CHECK:         msa.route %[[Q]] mask %[[MASK]] in %[[BANK]]["rk"] top 3 heads max query last chunks mean normalize scale 1.000000e+00
// CHECK-NOT:     epsilon
func.func @route(%q: tensor<?x4x16xf32> {onnx.name = "q", onnx.dims = ["M", "", ""]},
                 %keys: tensor<?x2x16xf32> {onnx.name = "keys", onnx.dims = ["C", "", ""]},
                 %doc: tensor<?xi64> {onnx.name = "doc", onnx.dims = ["C"]},
                 %mask: tensor<?xi1> {onnx.name = "mask", onnx.dims = ["M"]})
    -> (!onnx.value, !onnx.value, !onnx.value) attributes {onnx.opsets = {ai.msa = 1 : i64, ai.onnx = 23 : i64}} {
  %0:3 = onnx.node "Route" domain "ai.msa"(%q, %keys, %doc, %mask)
      {k = 3 : i64, head_reduce = "max", query_reduce = "last", chunk_reduce = "mean", normalize = 1 : i64, scale = 1.0 : f32, epsilon = 1.0e-12 : f32}
      : (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?xi64>, tensor<?xi1>) -> (!onnx.value, !onnx.value, !onnx.value)
  return %0#0, %0#1, %0#2 : !onnx.value, !onnx.value, !onnx.value
}

// -----

// Tests that attributes that are left out have the defaults of the domain.
// CHECK-LABEL: func.func @route_defaults(
// CHECK:         msa.route {{.*}} top 16 heads mean query max chunks max normalize scale 1.000000e+00
func.func @route_defaults(%q: tensor<3x4x16xf32>, %keys: tensor<5x2x16xf32>, %doc: tensor<5xi64>, %mask: tensor<3xi1>) -> !onnx.value {
  %0:3 = onnx.node "Route" domain "ai.msa"(%q, %keys, %doc, %mask)
      : (tensor<3x4x16xf32>, tensor<5x2x16xf32>, tensor<5xi64>, tensor<3xi1>) -> (!onnx.value, !onnx.none, !onnx.none)
  return %0#0 : !onnx.value
}

// -----

// Tests that a read binds keys and values as one bank and knows the lengths of the context that it assembles.
// CHECK-LABEL: func.func @read(
// CHECK:         %[[BANK:.+]] = msa.bind %{{.+}}, %{{.+}} : tensor<?x2x16xf32>, tensor<?x2x8xf32> -> <k: 2x16xf32, v: 2x8xf32>
// CHECK:         %[[Y:.+]], %[[CK:.+]], %[[CV:.+]] = msa.read %{{.+}}, %{{.+}}, %{{.+}} prefix %{{.+}}, %{{.+}} in %[[BANK]] at %{{.+}} scale 2.500000e-01
// CHECK-SAME:      -> tensor<?x4x8xf32>, tensor<?x2x16xf32>, tensor<?x2x8xf32>
// CHECK:         return %[[Y]], %[[CK]], %[[CV]]
func.func @read(%q: tensor<?x4x16xf32> {onnx.dims = ["M", "", ""]}, %k: tensor<?x2x16xf32> {onnx.dims = ["M", "", ""]},
                %v: tensor<?x2x8xf32> {onnx.dims = ["M", "", ""]}, %mk: tensor<?x2x16xf32> {onnx.dims = ["C", "", ""]},
                %mv: tensor<?x2x8xf32> {onnx.dims = ["C", "", ""]}, %z: tensor<?xi64> {onnx.dims = ["Z"]},
                %pk: tensor<?x2x16xf32> {onnx.dims = ["P", "", ""]}, %pv: tensor<?x2x8xf32> {onnx.dims = ["P", "", ""]})
    -> (!onnx.value, !onnx.value, !onnx.value) {
  %0:3 = onnx.node "Read" domain "ai.msa"(%q, %k, %v, %mk, %mv, %z, %pk, %pv) {scale = 0.25 : f32}
      : (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x2x8xf32>, tensor<?x2x16xf32>, tensor<?x2x8xf32>, tensor<?xi64>, tensor<?x2x16xf32>, tensor<?x2x8xf32>)
      -> (!onnx.value, !onnx.value, !onnx.value)
  return %0#0, %0#1, %0#2 : !onnx.value, !onnx.value, !onnx.value
}

// -----

// Tests that attention over a past is an append and an attention, causal where the file says so.
// CHECK-LABEL: func.func @attention(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<?x4x16xf32>{{.*}}, %[[K:[a-z0-9]+]]: tensor<?x2x16xf32>{{.*}}, %[[V:[a-z0-9]+]]: tensor<?x2x16xf32>{{.*}}, %[[PK:[a-z0-9]+]]: tensor<?x2x16xf32>{{.*}}, %[[PV:[a-z0-9]+]]: tensor<?x2x16xf32>
// CHECK:         %[[CK:.+]] = msa.append %[[K]] to %[[PK]] axis 0
// CHECK:         %[[CV:.+]] = msa.append %[[V]] to %[[PV]] axis 0
// CHECK:         %[[Y:.+]] = msa.attention %[[Q]], %[[CK]], %[[CV]] causal scale 2.500000e-01
// CHECK:         return %[[Y]], %[[CK]], %[[CV]]
func.func @attention(%q: tensor<?x4x16xf32> {onnx.dims = ["M", "", ""]}, %k: tensor<?x2x16xf32> {onnx.dims = ["M", "", ""]},
                     %v: tensor<?x2x16xf32> {onnx.dims = ["M", "", ""]}, %pk: tensor<?x2x16xf32> {onnx.dims = ["N", "", ""]},
                     %pv: tensor<?x2x16xf32> {onnx.dims = ["N", "", ""]}) -> (!onnx.value, !onnx.value, !onnx.value) {
  %0:3 = onnx.node "Attention" domain "ai.msa"(%q, %k, %v, %pk, %pv) {scale = 0.25 : f32, causal = 1 : i64}
      : (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?x2x16xf32>) -> (!onnx.value, !onnx.value, !onnx.value)
  return %0#0, %0#1, %0#2 : !onnx.value, !onnx.value, !onnx.value
}

// -----

// Tests that a past that is known to be empty is not appended to, and that causal = 0 is heeded.
// CHECK-LABEL: func.func @attention_without_past(
// CHECK-NOT:     msa.append
// CHECK:         msa.attention %{{.+}}, %{{.+}}, %{{.+}} scale 1.000000e+00
func.func @attention_without_past(%q: tensor<5x4x16xf32>, %k: tensor<5x2x16xf32>, %p: tensor<0x2x16xf32>) -> !onnx.value {
  %0:3 = onnx.node "Attention" domain "ai.msa"(%q, %k, %k, %p, %p) {causal = 0 : i64}
      : (tensor<5x4x16xf32>, tensor<5x2x16xf32>, tensor<5x2x16xf32>, tensor<0x2x16xf32>, tensor<0x2x16xf32>) -> (!onnx.value, !onnx.none, !onnx.none)
  return %0#0 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @document_attention(
// CHECK:         msa.attention %{{.+}}, %{{.+}}, %{{.+}} documents %{{.+}} causal scale 5.000000e-01 : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x2x16xf32> documents tensor<?xi64> -> tensor<?x4x16xf32>
func.func @document_attention(%q: tensor<?x4x16xf32> {onnx.dims = ["T", "", ""]}, %k: tensor<?x2x16xf32> {onnx.dims = ["T", "", ""]},
                              %doc: tensor<?xi64> {onnx.dims = ["T"]}) -> !onnx.value {
  %0 = onnx.node "DocumentAttention" domain "ai.msa"(%q, %k, %k, %doc) {scale = 0.5 : f32}
      : (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that rows compressed by the same documents, positions and chunk length have one length: nothing is asserted when they
// meet. Other chunk lengths are another matter.
// CHECK-LABEL: func.func @compress(
// CHECK:         %[[K:.+]], %{{.+}} = msa.compress %{{.+}} documents %[[D:.+]] positions %[[P:.+]] chunk 4 mean :
// CHECK:         %[[R:.+]], %{{.+}} = msa.compress %{{.+}} documents %[[D]] positions %[[P]] chunk 4 max normalize
// CHECK-NOT:     cf.assert
// CHECK:         linalg.generic {{.*}} ins(%[[K]], %[[R]] :
// CHECK:         msa.compress {{.*}} chunk 8 mean
// CHECK:         cf.assert %{{.+}}, "node 'Add': expected equal lengths
func.func @compress(%k: tensor<?x2x16xf32> {onnx.dims = ["T", "", ""]}, %doc: tensor<?xi64> {onnx.dims = ["T"]},
                    %pos: tensor<?xi64> {onnx.dims = ["T"]}) -> !onnx.value {
  %0:2 = onnx.node "Compress" domain "ai.msa"(%k, %doc, %pos) {chunk_length = 4 : i64, reduce = "mean", normalize = 0 : i64}
      : (tensor<?x2x16xf32>, tensor<?xi64>, tensor<?xi64>) -> (!onnx.value, !onnx.none)
  %1:2 = onnx.node "Compress" domain "ai.msa"(%k, %doc, %pos) {chunk_length = 4 : i64, reduce = "max", normalize = 1 : i64}
      : (tensor<?x2x16xf32>, tensor<?xi64>, tensor<?xi64>) -> (!onnx.value, !onnx.none)
  %2 = onnx.node "Add"(%0#0, %1#0) : (!onnx.value, !onnx.value) -> !onnx.value
  %3:2 = onnx.node "Compress" domain "ai.msa"(%k, %doc, %pos) {chunk_length = 8 : i64}
      : (tensor<?x2x16xf32>, tensor<?xi64>, tensor<?xi64>) -> (!onnx.value, !onnx.none)
  %4 = onnx.node "Add"(%2, %3#0) : (!onnx.value, !onnx.value) -> !onnx.value
  return %4 : !onnx.value
}

// -----

// CHECK-LABEL: func.func @write(
// CHECK-SAME:    %[[B:[a-z0-9]+]]: tensor<?x8xf32>{{.*}}, %[[BD:[a-z0-9]+]]: tensor<?xi64>{{.*}}, %[[R:[a-z0-9]+]]: tensor<?x8xf32>{{.*}}, %[[RD:[a-z0-9]+]]: tensor<?xi64>
// CHECK-DAG:     tensor.concat dim(0) %[[B]], %[[R]]
// CHECK-DAG:     tensor.concat dim(0) %[[BD]], %[[RD]]
func.func @write(%b: tensor<?x8xf32> {onnx.dims = ["C", ""]}, %bd: tensor<?xi64> {onnx.dims = ["C"]},
                 %r: tensor<?x8xf32> {onnx.dims = ["c", ""]}, %rd: tensor<?xi64> {onnx.dims = ["c"]}) -> (!onnx.value, !onnx.value) {
  %0:2 = onnx.node "Write" domain "ai.msa"(%b, %bd, %r, %rd)
      : (tensor<?x8xf32>, tensor<?xi64>, tensor<?x8xf32>, tensor<?xi64>) -> (!onnx.value, !onnx.value)
  return %0#0, %0#1 : !onnx.value, !onnx.value
}

// -----

// CHECK-LABEL: func.func @update(
// CHECK:         msa.update %{{.+}} with %{{.+}} scores %{{.+}} gate %{{.+}} : tensor<8x16xf32>, tensor<?x16xf32>, tensor<8x?xf32>, tensor<8xf32>
func.func @update(%m: tensor<8x16xf32>, %x: tensor<?x16xf32> {onnx.dims = ["N", ""]}, %s: tensor<8x?xf32> {onnx.dims = ["", "N"]},
                  %g: tensor<8xf32>) -> !onnx.value {
  %0 = onnx.node "Update" domain "ai.msa"(%m, %x, %s, %g)
      : (tensor<8x16xf32>, tensor<?x16xf32>, tensor<8x?xf32>, tensor<8xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that a graph without memory is left to convert-onnx-to-linalg.
// CHECK-LABEL: func.func @plain(
// CHECK:         onnx.node "Relu"
func.func @plain(%x: tensor<4xf32>) -> !onnx.value {
  %0 = onnx.node "Relu"(%x) : (tensor<4xf32>) -> !onnx.value
  return %0 : !onnx.value
}

// -----

// Tests that bodies of memory operators are dropped unread.
// CHECK-NOT: ai.msa::DocumentAttention
// CHECK-LABEL: func.func @with_body(
// CHECK:         msa.attention
func.func private @"ai.msa::DocumentAttention"(%q: !onnx.value, %k: !onnx.value, %v: !onnx.value, %d: !onnx.value) -> !onnx.value
    attributes {onnx.function = ["ai.msa", "DocumentAttention", ""]} {
  %0 = onnx.node "Unheard" domain "of"(%q, %k, %v, %d) : (!onnx.value, !onnx.value, !onnx.value, !onnx.value) -> !onnx.value
  return %0 : !onnx.value
}
func.func @with_body(%q: tensor<4x4x16xf32>, %doc: tensor<4xi64>) -> !onnx.value {
  %0 = onnx.node "DocumentAttention" domain "ai.msa" calls @"ai.msa::DocumentAttention"(%q, %q, %q, %doc)
      : (tensor<4x4x16xf32>, tensor<4x4x16xf32>, tensor<4x4x16xf32>, tensor<4xi64>) -> !onnx.value
  return %0 : !onnx.value
}

// RUN: msa-opt %s --msa-quantize-routing-keys --split-input-file | FileCheck %s

// Tests that keys which only a route reads are quantised where they are made and read with their scales where they are routed over, whatever
// the entries are called, and that what attention reads stays.
// CHECK-LABEL: func.func @encode
// CHECK-SAME: %[[K:[a-z0-9]+]]: tensor<?x4x32xf32> {onnx.name = "k"}, %[[RK:[a-z0-9]+]]: tensor<?x4x32xf32>
// CHECK-SAME: -> (tensor<?x4x32xf32> {onnx.dims = ["C", "", ""], onnx.name = "mem_k.2"}, tensor<?x4x32xf8E4M3FN> {onnx.dims = ["C", "4", "32"], onnx.name = "mem_rk.2"},
// CHECK-SAME: tensor<?x1x1xf32> {onnx.dims = ["C", "", ""], onnx.name = "mem_rk_scale.2"}, tensor<?xi64> {onnx.name = "chunk_doc"})
func.func @encode(%k: tensor<?x4x32xf32> {onnx.name = "k"}, %rk: tensor<?x4x32xf32> {onnx.name = "rk"}, %doc: tensor<?xi64>)
    -> (tensor<?x4x32xf32> {onnx.name = "mem_k.2", onnx.dims = ["C", "", ""]}, tensor<?x4x32xf32> {onnx.name = "mem_rk.2", onnx.dims = ["C", "4", "32"]}, tensor<?xi64> {onnx.name = "chunk_doc"}) {
  // CHECK: %[[ROWS:.*]], %[[SCALES:.*]] = msa.quantize %[[RK]] : tensor<?x4x32xf32> -> tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>
  // CHECK: return %[[K]], %[[ROWS]], %[[SCALES]], %{{.*}} : tensor<?x4x32xf32>, tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>, tensor<?xi64>
  return %k, %rk, %doc : tensor<?x4x32xf32>, tensor<?x4x32xf32>, tensor<?xi64>
}

// CHECK-LABEL: func.func @prefill
// CHECK-SAME: %[[RK:[a-z0-9]+]]: tensor<?x4x32xf8E4M3FN> {onnx.dims = ["C", "", ""], onnx.name = "mem_rk.2"}, %[[SCALE:[a-z0-9]+]]: tensor<?x1x1xf32> {onnx.dims = ["C", "", ""], onnx.name = "mem_rk_scale.2"}, %{{.*}}: tensor<?x4x32xf32>
func.func @prefill(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32> {onnx.name = "mem_rk.2", onnx.dims = ["C", "", ""]},
                   %k: tensor<?x4x32xf32> {onnx.name = "mem_k.2"}, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?xf32>, tensor<?x4x32xf32>) {
  // CHECK: %[[BANK:.*]] = msa.bind %[[RK]], %[[SCALE]] documents %{{.*}} -> <rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  // CHECK: msa.route %{{.*}} mask %{{.*}} in %[[BANK]]["rk"] {{.*}} <rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  // A second bank with the same keys.
  // CHECK: msa.score %{{.*}} in %{{.*}}["rk"] {{.*}} <rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
  %again = msa.bind %rk : tensor<?x4x32xf32> -> !msa.bank<rk: 4x32xf32>
  %s = msa.score %q mask %mask in %again["rk"] heads mean query max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xf32>
  // CHECK: msa.gather %{{.*}}["k"] at %{{.*}} : <k: 4x32xf32>
  %values = msa.bind %k : tensor<?x4x32xf32> -> !msa.bank<k: 4x32xf32>
  %rows = msa.gather %values["k"] at %c : !msa.bank<k: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %d, %s, %rows : tensor<?xi64>, tensor<?xf32>, tensor<?x4x32xf32>
}

// -----

// Tests that one bank with other fields keeps them, and that keys of bf16 are quantised alike.
// CHECK-LABEL: func.func @shared_bank
func.func @shared_bank(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xbf16> {onnx.name = "keys"}, %k: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?x4x32xf32>) {
  // CHECK: msa.bind {{.*}} -> <k: 4x32xf32, rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
  %bank = msa.bind %k, %rk documents %doc : tensor<?x4x32xf32>, tensor<?x4x32xbf16> documents tensor<?xi64> -> !msa.bank<k: 4x32xf32, rk: 4x32xbf16>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<k: 4x32xf32, rk: 4x32xbf16> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  %rows = msa.gather %bank["k"] at %c : !msa.bank<k: 4x32xf32, rk: 4x32xbf16>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %d, %rows : tensor<?xi64>, tensor<?x4x32xf32>
}

// RUN: msa-opt %s --convert-msa-to-exec --split-input-file | FileCheck %s

// Tests that an entry becomes commands and its product a kernel: the result is the output's own memory, tiles are counted from the dim.
// CHECK: exec.constant @constant
// CHECK: exec.entry @product
// CHECK-SAME: input_names = ["x"]
// CHECK-SAME: output_names = ["y"]
// CHECK: ^bb0(%[[X:.*]]: !exec.buffer):
// CHECK: %[[W:.*]] = exec.get_constant @constant
// CHECK: %[[T:.*]] = exec.dim %[[X]][0]
// CHECK: %[[ELEMENTS:.*]] = arith.muli %[[T]], %{{.*}}
// CHECK: %[[BYTES:.*]] = arith.muli %[[ELEMENTS]], %{{.*}}
// CHECK: %[[Y:.*]] = exec.alloc %[[BYTES]] output 0
// CHECK: exec.dispatch @[[KERNEL:.*]] tiles %{{.*}} buffers(%[[X]], %[[W]], %[[Y]]) scalars(%[[T]])
// CHECK: exec.return %[[T]]
// CHECK: exec.kernel @[[KERNEL]](%[[XB:.*]]: memref<?xi8>, %[[WB:.*]]: memref<?xi8>, %[[YB:.*]]: memref<?xi8>, %{{.*}}: index, %{{.*}}: memref<?xi8>, %[[LO:.*]]: index, %[[HI:.*]]: index) attributes {parameters = array<i32: 0, 0, 1>
// CHECK: kernel.matmul tiles(%[[LO]] to %[[HI]])
func.func @product(%x: tensor<?x64xf32> {onnx.name = "x", onnx.dims = ["T", ""]}) -> (tensor<?x32xf32> {onnx.name = "y", onnx.dims = ["T", ""]}) {
  %w = arith.constant dense<0.5> : tensor<2x64x16xf32>
  %y = msa.matmul %x, %w : tensor<?x64xf32>, tensor<2x64x16xf32> -> tensor<?x32xf32> {
  ^bb0(%sum: f32):
    msa.yield %sum : f32
  }
  return %y : tensor<?x32xf32>
}

// -----

// Tests that a cache which comes in and goes out longer shares memory, and only new rows need be written.
// CHECK: exec.entry @cache attributes {aliases = array<i64: 0>
// CHECK: %[[N:.*]] = exec.dim %[[PAST:.*]][0]
// CHECK: %[[NEXT:.*]] = exec.alloc %{{.*}} output 0
// CHECK: exec.copy %[[PAST]][%{{.*}}] to %[[NEXT]][%{{.*}}]
// CHECK: exec.copy %{{.*}} to %[[NEXT]]
func.func @cache(%past: tensor<?x4x32xf32> {onnx.name = "past", onnx.dims = ["N", "", ""]}, %rows: tensor<?x4x32xf32> {onnx.name = "rows", onnx.dims = ["M", "", ""]}) -> tensor<?x4x32xf32> {
  %next = msa.append %rows to %past axis 0 : tensor<?x4x32xf32>, tensor<?x4x32xf32> -> tensor<?x4x32xf32>
  return %next : tensor<?x4x32xf32>
}

// -----

// Tests that a route's bank may be bound as spans, and that its lengths come back from the merge.
// CHECK: exec.entry @route
// CHECK-SAME: spans = array<i1: false, false, true, false>
// CHECK: exec.dispatch @route_scan_1x128 {{.*}}
// CHECK: exec.dispatch @route_merge
// CHECK: %[[S:.*]] = exec.load %{{.*}}[0]
// CHECK: %[[Z:.*]] = exec.load %{{.*}}[8]
// CHECK: exec.dispatch @route_rows
// CHECK: exec.return %[[S]], %[[Z]]
// CHECK: exec.kernel @route_scan_1x128({{.*}}!llvm.ptr
func.func @route(%q: tensor<?x1x128xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32>, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?xi64>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x1x128xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d, %c : tensor<?xi64>, tensor<?xi64>
}

// -----

// Tests that the scales of small keys may be bound as spans too, but come to the kernel in one piece.
// CHECK: exec.entry @route_small
// CHECK-SAME: spans = array<i1: false, false, true, true, false>
// CHECK: exec.kernel @route_scan_1x128({{.*}}: !llvm.ptr, %[[S:[a-z0-9]+]]: memref<?xi8>,
// CHECK-SAME: parameters = array<i32: 0, 0, 3, 0, 0, 1, 1, 1>
// CHECK: %[[SCALES:.*]] = memref.view %[[S]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<?xf32>
// CHECK: kernel.route_scan {{.*}} scales %[[SCALES]] : memref<?xf32> {{.*}} element f8E4M3FN row 128
func.func @route_small(%q: tensor<?x1x128xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf8E4M3FN>, %scale: tensor<?x1x1xf32>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk, %scale documents %doc : tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x1x128xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// Tests that rows are quantised by a kernel of whole rows, straight into what the entry returns.
// CHECK: exec.entry @quantize
// CHECK: exec.dispatch @quantize
// CHECK-NOT: exec.dispatch
// CHECK: exec.kernel @quantize
// CHECK: kernel.quantize {{.*}} block 8 : memref<?x128xf32>, memref<?x128xf8E4M3FN>, memref<?xf32>
func.func @quantize(%x: tensor<?x4x32xf32>) -> (tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>) {
  %rows, %scales = msa.quantize %x : tensor<?x4x32xf32> -> tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>
  return %rows, %scales : tensor<?x4x32xf8E4M3FN>, tensor<?x1x1xf32>
}

// -----

// Tests that a reduction and what scales by it share one kernel: the sum of a row never leaves the worker.
// CHECK: exec.entry @rows
// CHECK-COUNT-1: exec.dispatch @rows
// CHECK-NOT: exec.dispatch
// CHECK: exec.kernel @rows
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<f32>
// CHECK: kernel.rows
// CHECK: linalg.generic
// CHECK: linalg.generic
func.func @rows(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %zero = arith.constant 0.0 : f32
  %e1 = tensor.empty(%t) : tensor<?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i)>], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x64xf32>) outs(%init : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %u = arith.addf %o, %a : f32
    linalg.yield %u : f32
  } -> tensor<?xf32>
  %e2 = tensor.empty(%t) : tensor<?x64xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i)>, affine_map<(i,j)->(i,j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %s : tensor<?x64xf32>, tensor<?xf32>) outs(%e2 : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.divf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

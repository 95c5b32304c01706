// RUN: msa-opt %s --msa-quantize-routing-keys --split-input-file --verify-diagnostics

// A router that shares its keys with attention.
func.func @coupled(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %k: tensor<?x4x32xf32> {onnx.name = "mem_k.2"}, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?x4x32xf32>) {
  %bank = msa.bind %k documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  %values = msa.bind %k : tensor<?x4x32xf32> -> !msa.bank<k: 4x32xf32>
  // expected-error @+1 {{reads the routing keys 'mem_k.2' as well: only keys that nothing but routes read can be quantised, so a model whose router has no keys of its own keeps them as they are}}
  %rows = msa.gather %values["k"] at %c : !msa.bank<k: 4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  return %d, %rows : tensor<?xi64>, tensor<?x4x32xf32>
}

// -----

func.func @returned(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32> {onnx.name = "mem_rk.2"}, %doc: tensor<?xi64>) -> (tensor<?xi64>, tensor<?x4x32xf32>) {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  // expected-error @+1 {{reads the routing keys 'mem_rk.2' as well}}
  return %d, %rk : tensor<?xi64>, tensor<?x4x32xf32>
}

// -----

func.func @computed(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %x: tensor<?x4x32xf32>, %starts: tensor<?xi64>, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %rk = msa.pool %x starts %starts mean : tensor<?x4x32xf32>, tensor<?xi64> -> tensor<?x4x32xf32>
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  // expected-error @+1 {{routes over keys that this entry computes: only keys that are an input of the entry can be quantised}}
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// expected-error @+1 {{expected its routing keys 'mem_rk.2' to be of f32, f16 or bf16, to quantise them, but got 'tensor<?x4x32xf64>'}}
func.func @doubles(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf64> {onnx.name = "mem_rk.2"}, %doc: tensor<?xi64>) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf64> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf64>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf64> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// -----

// expected-error @+1 {{has an input 'mem_rk_scale.2', which is what the scales of 'mem_rk.2' are called}}
func.func @named(%q: tensor<?x8x32xf32>, %mask: tensor<?xi1>, %rk: tensor<?x4x32xf32> {onnx.name = "mem_rk.2"}, %doc: tensor<?xi64> {onnx.name = "mem_rk_scale.2"}) -> tensor<?xi64> {
  %bank = msa.bind %rk documents %doc : tensor<?x4x32xf32> documents tensor<?xi64> -> !msa.bank<rk: 4x32xf32>
  %d, %b, %c = msa.route %q mask %mask in %bank["rk"] top 4 heads mean query max chunks max scale 1.0 : tensor<?x8x32xf32>, tensor<?xi1>, !msa.bank<rk: 4x32xf32> -> tensor<?xi64>, tensor<?xf32>, tensor<?xi64>
  return %d : tensor<?xi64>
}

// The error is one of the module, which starts here:
// expected-error @+1 {{no entry routes over keys of a memory bank, so there are none to quantise}}
// -----

func.func private @declared(tensor<?x4x32xf32>)

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --split-input-file --verify-diagnostics

// Each case breaks one constraint of an op's description, and has its name.

// expected-error @+1 {{expected 1 input types, one for each input, but got 2}}
exec.entry @entry_c1_types attributes {input_names = ["x"], input_types = [tensor<?xi8>, tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected 1 spans, one for each input, but got 0}}
exec.entry @entry_c1_spans attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected 1 block arguments, one for each input, but got 2}}
exec.entry @entry_c1_arguments attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer, %z: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected all block arguments to be '!exec.buffer', but got 'index'}}
exec.entry @entry_c1_buffers attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: index):
  %y = exec.alloc %x output 0
  exec.return %x
}

// -----

// expected-error @+1 {{expected 1 aliases, one for each output, but got 2}}
exec.entry @entry_c2_aliases attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: 0, 0>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected an alias to be -1 or one of 1 inputs, but got 1}}
exec.entry @entry_c2_alias attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: 1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected input 0 to be a ranked tensor, but got i8}}
exec.entry @entry_c3_type attributes {input_names = ["x"], input_types = [i8], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = arith.constant 1 : index
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected a name or "" for each dim of output 0, 'tensor<?xi8>', but got []}}
exec.entry @entry_c3_dims attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [[]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

// expected-error @+1 {{expected 'exec.return' at its end}}
exec.entry @entry_c4_end attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
}

// -----

exec.entry @entry_c4_dims attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected 1 registers, one for each dynamic dim of the outputs, but got 0}}
  exec.return
}

// -----

// expected-error @+1 {{expected an 'exec.alloc' with 'output 0', but there is none}}
exec.entry @entry_c5_missing attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t
  exec.return %t
}

// -----

exec.entry @entry_c5_twice attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{gives output 0 memory a second time}}
  %z = exec.alloc %t output 0
  exec.return %t
}

// -----

exec.entry @entry_c5_range attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected an output below 1, but got 1}}
  %z = exec.alloc %t output 1
  exec.return %t
}

// -----

exec.entry @dim_c1_axis attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  // expected-error @+1 {{expected 'axis' to be one of tensor<?xi8>, but got 1}}
  %t = exec.dim %x[1]
  %y = exec.alloc %t output 0
  exec.return %t
}

// -----

exec.entry @dim_c1_argument attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %c = arith.constant 1 : index
  %y = exec.alloc %c output 0
  // expected-error @+1 {{expected 'input' to be an argument of an 'exec.entry'}}
  %t = exec.dim %y[0]
  exec.return %t
}

// -----

exec.entry @get_constant_c1 attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected @missing to be an 'exec.constant'}}
  %w = exec.get_constant @missing
  exec.return %t
}

// -----

exec.entry @load_c1 attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected 'offset' to be a multiple of 8, not negative, but got 12}}
  %w = exec.load %y[12]
  exec.return %t
}

// -----

exec.entry @store_c1 attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected 'offset' to be a multiple of 8, not negative, but got -8}}
  exec.store %t to %y[-8]
  exec.return %t
}

// -----

exec.entry @dispatch_c1 attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected @missing to be an 'exec.kernel'}}
  exec.dispatch @missing tiles %t buffers(%x) scalars()
  exec.return %t
}

// -----

exec.kernel @one(%x: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0>, scratch_bytes = 0 : i64} {
  exec.end
}
exec.entry @dispatch_c2 attributes {input_names = ["x"], input_types = [tensor<?xi8>], input_dims = [["T"]], spans = array<i1: false>, output_names = ["y"], output_types = [tensor<?xi8>], output_dims = [["T"]], aliases = array<i64: -1>} {
^bb0(%x: !exec.buffer):
  %t = exec.dim %x[0]
  %y = exec.alloc %t output 0
  // expected-error @+1 {{expected 1 buffers and 1 scalars for @one, but got 2 and 0}}
  exec.dispatch @one tiles %t buffers(%x, %y) scalars()
  exec.return %t
}

// -----

// expected-error @+1 {{expected 1 buffers, scalars, then scratch, lo and hi, but got 3 arguments}}
exec.kernel @kernel_c1_few(%x: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected a parameter kind from 0 to 3, but got 4}}
exec.kernel @kernel_c1_kind(%x: memref<?xi8>, %s: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 4>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected buffer 0 to be '!llvm.ptr', but got 'memref<?xi8>'}}
exec.kernel @kernel_c1_spans(%x: memref<?xi8>, %s: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 3>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected buffer 0 to be 'memref<?xi8>', but got 'memref<?xf32>'}}
exec.kernel @kernel_c1_bytes(%x: memref<?xf32>, %s: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected argument 1 to be 'index', but got 'i64'}}
exec.kernel @kernel_c1_scalar(%x: memref<?xi8>, %n: i64, %s: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected argument 1 to be 'memref<?xi8>', the scratch, but got 'memref<4xi8>'}}
exec.kernel @kernel_c1_scratch(%x: memref<?xi8>, %s: memref<4xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected no results, but got 1}}
exec.kernel @kernel_c1_results(%s: memref<?xi8>, %lo: index, %hi: index) -> index attributes {parameters = array<i32>, scratch_bytes = 0 : i64} {
  exec.end
}

// -----

// expected-error @+1 {{expected 'scratch_bytes' not to be negative, but got -1}}
exec.kernel @kernel_c2(%s: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32>, scratch_bytes = -1 : i64} {
  exec.end
}

// RUN: msa-opt %s --split-input-file --verify-diagnostics --lower-kernels-to-llvm
// SPDX-License-Identifier: Apache-2.0

exec.kernel @allocates(%out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 1>, scratch_bytes = 0 : i64} {
  // expected-error @+1 {{allocates memory in kernel 'allocates', which a kernel never does}}
  %a = memref.alloc(%n) : memref<?xf32>
  exec.end
}

// -----

exec.kernel @dynamic(%out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 1>, scratch_bytes = 0 : i64} {
  // expected-error @+1 {{expected a static size in kernel 'dynamic', but got 'memref<?xf32>'}}
  %a = memref.alloca(%n) : memref<?xf32>
  exec.end
}

// -----

// expected-error @+1 {{expected nothing but 'exec.kernel' in a module of kernels}}
func.func private @other()

// -----

exec.kernel @unknown(%out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %y = memref.view %out[%c0][] : memref<?xi8> to memref<1xf32>
  %v = memref.load %y[%c0] : memref<1xf32>
  // expected-error @+1 {{has no expansion for 'f32'}}
  %w = math.cbrt %v : f32
  %x = arith.extf %w : f32 to f64
  // expected-error @+1 {{has no expansion for 'f64'}}
  %r = arith.remf %x, %x : f64
  %s = arith.truncf %r : f64 to f32
  memref.store %s, %y[%c0] : memref<1xf32>
  exec.end
}

// SPDX-License-Identifier: Apache-2.0
exec.kernel @copy(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1 : index
  %x = memref.view %in[%c0][%n] : memref<?xi8> to memref<?xf32>
  %y = memref.view %out[%c0][%n] : memref<?xi8> to memref<?xf32>
  kernel.rows tiles(%lo to %hi) sizes(%one) block 1 {
  ^bb0(%i: index):
    memref.copy %x, %y : memref<?xf32> to memref<?xf32>
    kernel.yield
  }
  kernel.rows tiles(%lo to %hi) sizes(%n) block 16 {
  ^bb0(%i: index):
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %y[%i] : memref<?xf32>
    kernel.yield
  }
  exec.end
}

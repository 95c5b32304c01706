// SPDX-License-Identifier: Apache-2.0
exec.kernel @calls(%out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %y = memref.view %out[%c0][] : memref<?xi8> to memref<1xi64>
  %address = llvm.mlir.constant(8 : i64) : i64
  llvm.inline_asm has_side_effects "callq frobnicate@PLT", "" : () -> ()
  memref.store %address, %y[%c0] : memref<1xi64>
  exec.end
}

// RUN: msa-opt %s --lower-kernels-to-llvm | FileCheck %s
// SPDX-License-Identifier: Apache-2.0

// Tests that a kernel becomes a function of the kernel ABI, which unpacks its arguments for one that says what aliases.
// CHECK-LABEL: llvm.func internal @copy.body
// CHECK-SAME: (%{{.*}}: !llvm.ptr {llvm.noalias, llvm.noundef, llvm.readonly}, %{{.*}}: !llvm.ptr {llvm.noalias, llvm.noundef}, %{{.*}}: i64, %{{.*}}: !llvm.ptr {llvm.align = 64 : i64, llvm.noalias, llvm.noundef}, %{{.*}}: i64, %{{.*}}: i64)
// CHECK-LABEL: llvm.func @copy
// CHECK-SAME: (%[[BUFFERS:.*]]: !llvm.ptr, %[[SCALARS:.*]]: !llvm.ptr, %[[SCRATCH:.*]]: !llvm.ptr, %[[LO:.*]]: i64, %[[HI:.*]]: i64)
// CHECK: %[[OUT:.*]] = llvm.getelementptr %[[BUFFERS]][1]
// CHECK: llvm.load %[[SCALARS]]
// CHECK: llvm.call @copy.body({{.*}}, %[[SCRATCH]], %[[LO]], %[[HI]])
exec.kernel @copy(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %x = memref.view %in[%c0][%n] : memref<?xi8> to memref<?xf32>
  %y = memref.view %out[%c0][%n] : memref<?xi8> to memref<?xf32>
  %v = vector.load %x[%lo] : memref<?xf32>, vector<8xf32>
  vector.store %v, %y[%lo] : memref<?xf32>, vector<8xf32>
  exec.end
}

// Tests that a buffer that is read beside one that is updated in place is not called noalias: they may be the same memory.
// CHECK-LABEL: llvm.func internal @update.body
// CHECK-SAME: (%{{.*}}: !llvm.ptr {llvm.noundef, llvm.readonly}, %{{.*}}: !llvm.ptr {llvm.noundef}, %{{.*}}: !llvm.ptr {llvm.noalias, llvm.noundef}, %{{.*}}: !llvm.ptr {llvm.align = 64
exec.kernel @update(%in: memref<?xi8>, %state: memref<?xi8>, %out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 2, 1>, scratch_bytes = 0 : i64} {
  exec.end
}

// Tests that a bank field is passed on as the pointer it is.
// CHECK-LABEL: llvm.func internal @spans.body
// CHECK-SAME: (%[[FIELD:.*]]: !llvm.ptr {llvm.noundef, llvm.readonly},
// CHECK: llvm.load %[[FIELD]]
exec.kernel @spans(%field: !llvm.ptr, %out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 3, 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %y = memref.view %out[%c0][] : memref<?xi8> to memref<1xi64>
  %v = llvm.load %field : !llvm.ptr -> i64
  memref.store %v, %y[%c0] : memref<1xi64>
  exec.end
}

// Tests that an alloca inside a loop moves to the entry block.
// CHECK-LABEL: llvm.func internal @alloca.body
// CHECK: llvm.alloca
// CHECK: llvm.br
// CHECK-NOT: llvm.alloca
exec.kernel @alloca(%out: memref<?xi8>, %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 1>, scratch_bytes = 0 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %y = memref.view %out[%c0][%hi] : memref<?xi8> to memref<?xf32>
  scf.for %i = %lo to %hi step %c1 {
    %a = memref.alloca() : memref<4xf32>
    %v = memref.load %a[%c0] : memref<4xf32>
    memref.store %v, %y[%i] : memref<?xf32>
  }
  exec.end
}

// SPDX-License-Identifier: Apache-2.0
// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v4" --canonicalize --cse | FileCheck %s
// RUN: kernel-runner %s --variant=x86-64-v3 --emit=asm | FileCheck %s --check-prefix=ASM

// Tests that a row's span is searched only where it is not that of the row before, and that rows are converted in vectors with
// a masked tail.

// CHECK-LABEL: exec.kernel @gather
// CHECK: scf.for
// CHECK: %[[CURSOR:.*]] = scf.if %{{.*}} -> (index) {
// CHECK: } else {
// CHECK: scf.while
// CHECK: arith.extf {{.*}} : vector<16xf16> to vector<16xf32>
// CHECK: vector.store {{.*}} : memref<?x40xf32>, vector<16xf32>
// CHECK: vector.maskedstore
// ASM-LABEL: gather.body:
// ASM-NOT: callq
exec.kernel @gather(%field: !llvm.ptr, %r: memref<?xi8>, %o: memref<?xi8>, %z: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 3, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %rows = memref.view %r[%0][%z] : memref<?xi8> to memref<?xi64>
  %out = memref.view %o[%0][%z] : memref<?xi8> to memref<?x40xf32>
  kernel.gather tiles(%lo to %hi) %field at %rows into %out element f16 block 8 : !llvm.ptr, memref<?xi64>, memref<?x40xf32>
  exec.end
}

// Tests that an index outside the table leaves its number and reads row 0.

// CHECK-LABEL: exec.kernel @take
// CHECK: %[[INDEX:.*]] = memref.load {{.*}} : memref<?xi64>
// CHECK: %[[INSIDE:.*]] = arith.andi
// CHECK: scf.if %{{.*}}
// CHECK: memref.store {{.*}} : memref<1xi64>
// CHECK: arith.select %[[INSIDE]], %{{.*}}, %c0
// CHECK: vector.load {{.*}} : memref<?x64xf32>, vector<16xf32>
// ASM-LABEL: take.body:
// ASM-NOT: callq
// ASM-LABEL: take:
exec.kernel @take(%t: memref<?xi8>, %i: memref<?xi8>, %o: memref<?xi8>, %f: memref<?xi8>, %v: index, %n: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 1, 2>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %table = memref.view %t[%0][%v] : memref<?xi8> to memref<?x64xf32>
  %indices = memref.view %i[%0][%n] : memref<?xi8> to memref<?xi64>
  %out = memref.view %o[%0][%n] : memref<?xi8> to memref<?x64xf32>
  %fault = memref.view %f[%0][%1] : memref<?xi8> to memref<?xi64>
  kernel.take tiles(%lo to %hi) %table at %indices into %out fault %fault block 4
      : memref<?x64xf32>, memref<?xi64>, memref<?x64xf32>, memref<?xi64>
  exec.end
}

// RUN: msa-opt %s --lower-kernels-to-vector="variant=x86-64-v4" --canonicalize --cse | FileCheck %s --implicit-check-not=memref.alloc
// RUN: kernel-runner %s --variant=x86-64-v4 --emit=asm | FileCheck %s --check-prefix=ASM
// RUN: kernel-runner %s --variant=x86-64-v3 --emit=asm | FileCheck %s --check-prefix=ASM

// Tests that a decode step reads keys where they lie, and that many queries go over transposed blocks of 64 keys.

// CHECK-LABEL: exec.kernel @decode
// CHECK: scf.if
// One query: the dot products of four heads with four keys at once, each loaded from the key tensor and used four times.
// CHECK: scf.for {{.*}} step %c32
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> ({{(vector<16xf32>, ){15}vector<16xf32>}}) {
// CHECK: vector.load {{.*}} : memref<?x?x2x32xf32>, vector<16xf32>
// CHECK: memref.prefetch {{.*}} : memref<?x?x2x32xf32>
// CHECK-COUNT-4: math.fma
// CHECK: vector.load {{.*}} : memref<?x?x2x32xf32>, vector<16xf32>
// CHECK: scf.yield
// CHECK-COUNT-30: vector.shuffle
// CHECK-COUNT-4: vector.store {{.*}} : memref<12x80xf32>, vector<4xf32>
// Many queries: panels first.
// CHECK: } else {
// CHECK: scf.for {{.*}} step %c64
// CHECK-COUNT-64: vector.shuffle
// CHECK: vector.store {{.*}} : memref<4x32x16xf32>
// CHECK: scf.for {{.*}} to %c32 step %c4 iter_args({{.*}}) -> ({{(vector<16xf32>, ){23}vector<16xf32>}}) {
// CHECK-COUNT-96: math.fma
// CHECK-NEXT: scf.yield
exec.kernel @decode(%query: memref<?xi8>, %key: memref<?xi8>, %value: memref<?xi8>, %out: memref<?xi8>, %b: index, %m: index, %n: index,
    %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 0, 1>, scratch_bytes = 131072 : i64} {
  %0 = arith.constant 0 : index
  %q = memref.view %query[%0][%b, %m] : memref<?xi8> to memref<?x?x8x32xf32>
  %k = memref.view %key[%0][%b, %n] : memref<?xi8> to memref<?x?x2x32xf32>
  %v = memref.view %value[%0][%b, %n] : memref<?xi8> to memref<?x?x2x32xf32>
  %o = memref.view %out[%0][%b, %m] : memref<?xi8> to memref<?x?x8x32xf32>
  kernel.attention tiles(%lo to %hi) %q, %k, %v into %o scratch %scratch causal scale 0.17677669529663687 rows 24
      : memref<?x?x8x32xf32>, memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?x?x8x32xf32>, memref<?xi8>
  exec.end
}

// Tests that packed documents are cut apart before anything else: no mask, no key of another document.

// CHECK-LABEL: exec.kernel @packed
// CHECK-NOT: scf.if
// CHECK: scf.while
// CHECK: memref.load {{.*}} : memref<?xi64>
// CHECK: scf.while
// CHECK: scf.while
// CHECK: scf.for {{.*}} step %c64
exec.kernel @packed(%query: memref<?xi8>, %key: memref<?xi8>, %value: memref<?xi8>, %documents: memref<?xi8>, %out: memref<?xi8>, %m: index,
    %scratch: memref<?xi8>, %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 0, 0, 1>, scratch_bytes = 131072 : i64} {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %q = memref.view %query[%0][%1, %m] : memref<?xi8> to memref<?x?x2x32xf32>
  %k = memref.view %key[%0][%1, %m] : memref<?xi8> to memref<?x?x2x32xf32>
  %v = memref.view %value[%0][%1, %m] : memref<?xi8> to memref<?x?x2x32xf32>
  %d = memref.view %documents[%0][%m] : memref<?xi8> to memref<?xi64>
  %o = memref.view %out[%0][%1, %m] : memref<?xi8> to memref<?x?x2x32xf32>
  kernel.attention tiles(%lo to %hi) %q, %k, %v documents %d : memref<?xi64> into %o scratch %scratch scale 0.17677669529663687 rows 96
      : memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?xi8>
  exec.end
}

// Tests that a bool mask hides scores and a float mask is added to them.

// CHECK-LABEL: exec.kernel @masked
// CHECK: vector.load {{.*}} : memref<1x1x?x?xi1>, vector<16xi1>
// CHECK: arith.select
exec.kernel @masked(%query: memref<?xi8>, %key: memref<?xi8>, %value: memref<?xi8>, %mask: memref<?xi8>, %out: memref<?xi8>, %b: index,
    %m: index, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 0, 0, 1>, scratch_bytes = 131072 : i64} {
  %0 = arith.constant 0 : index
  %q = memref.view %query[%0][%b, %m] : memref<?xi8> to memref<?x?x2x32xf32>
  %k = memref.view %key[%0][%b, %n] : memref<?xi8> to memref<?x?x2x32xf32>
  %v = memref.view %value[%0][%b, %n] : memref<?xi8> to memref<?x?x2x32xf32>
  %x = memref.view %mask[%0][%m, %n] : memref<?xi8> to memref<1x1x?x?xi1>
  %o = memref.view %out[%0][%b, %m] : memref<?xi8> to memref<?x?x2x32xf32>
  kernel.attention tiles(%lo to %hi) %q, %k, %v mask %x : memref<1x1x?x?xi1> into %o scratch %scratch scale 0.17677669529663687 rows 96
      : memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?x?x2x32xf32>, memref<?xi8>
  exec.end
}

// Tests that products are fused in the machine code and that it calls nothing.

// ASM-LABEL: decode.body:
// ASM-NOT: callq
// ASM-COUNT-96: vfmadd
// ASM-NOT: callq
// ASM-LABEL: decode:

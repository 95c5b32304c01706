// SPDX-License-Identifier: Apache-2.0
//===- SlabProduct.h - a product by wgmma, slab of K by slab of K ---------===//
//
// What a consumer warpgroup does with a ring of slabs: GemmHopper.cpp and RouteHopper.cpp.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_SLABPRODUCT_H
#define MSA_CODEGEN_GPU_TEMPLATES_SLABPRODUCT_H

#include "codegen/gpu/Fragments.h"
#include "codegen/gpu/Pipeline.h"

namespace msa::gpu {

/// Issues the wgmma of a slab, which is in the ring's stage at `at`, and commits them: to += products, or to = products without `add`.
using IssueSlab = llvm::function_ref<void(llvm::MutableArrayRef<Fragment> to, const Cursor &at, Expr slab, bool add)>;

/// sums += the products of `slabs` slabs; `at` goes on by as many. One group of wgmma stays in flight over the loop's edge, so that tensor cores have the
/// next one queued: a stage is released when the next stage's group was issued.
///
/// `promotes`: each slab is summed apart and added to `sums` by threads, for tensor cores that lose bits of long sums (f8E4M3FN). While one
/// warpgroup adds, another's products are under way.
void multiplySlabs(KernelBuilder &k, const Ring &ring, Cursor &at, int64_t slabs, llvm::SmallVector<Fragment, 0> &sums, bool promotes, IssueSlab issue);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_SLABPRODUCT_H

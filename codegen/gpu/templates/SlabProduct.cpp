// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/SlabProduct.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace msa::gpu;

static void multiplyPromoting(KernelBuilder &k, const Ring &ring, Cursor &at, int64_t slabs, SmallVector<Fragment, 0> &sums, IssueSlab issue) {
  k.forLoop(k.constant(slabs), State(sums, at), [&](Expr slab) {
    SmallVector<Fragment, 0> parts(sums.size(), Fragment(k, sums[0].columns()));
    ring.wait(at);
    issue(parts, at, slab, /*add=*/false);
    wgmmaWait(k, 0);
    k.pin(parts);
    ring.release(at);
    for (auto [sum, part] : llvm::zip(sums, parts))
      for (unsigned i = 0; i < sum.size(); ++i)
        sum[i] += part[i];
    at.advance();
  });
}

void msa::gpu::multiplySlabs(KernelBuilder &k, const Ring &ring, Cursor &at, int64_t slabs, SmallVector<Fragment, 0> &sums, bool promotes, IssueSlab issue) {
  if (promotes)
    return multiplyPromoting(k, ring, at, slabs, sums, issue);
  Cursor before = at;
  k.pin(sums);
  k.forLoop(k.constant(slabs), State(sums, at, before), [&](Expr slab) {
    ring.wait(at);
    issue(sums, at, slab, /*add=*/true);
    wgmmaWait(k, 1);
    ring.releaseIf(slab != 0, before);
    before = at;
    at.advance();
  });
  wgmmaWait(k, 0);
  k.pin(sums);
  ring.release(before);
}

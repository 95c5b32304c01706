// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/Pipeline.h"

using namespace mlir;
using namespace msa::gpu;
using Effect = KernelBuilder::Effect;

//===--- Barriers. ---===//

static constexpr int64_t barrierBytes = 8;

Barriers::Barriers(KernelBuilder &k, unsigned count, unsigned arrivals)
    : k(&k), slab(k.shared(count * barrierBytes, barrierBytes)), count(count), arrivals(arrivals) {}

Expr Barriers::at(Expr index) const { return k->sharedAddress(slab) + index * barrierBytes; }
Expr Barriers::at(unsigned index) const { return k->sharedAddress(slab.part(index * barrierBytes, barrierBytes)); }

void Barriers::init() const {
  for (unsigned i = 0; i < count; ++i)
    k->ptx("mbarrier.init.shared.b64 [$0], $1;", {}, {at(i).value(), k->constant(arrivals).value()}, Effect::Memory);
}

void msa::gpu::fenceBarrierInit(KernelBuilder &k) { k.ptx("fence.mbarrier_init.release.cluster;", {}, {}, Effect::Memory); }

void msa::gpu::arriveExpect(KernelBuilder &k, Expr barrier, Expr bytes) {
  k.ptx("mbarrier.arrive.expect_tx.shared.b64 _, [$0], $1;", {}, {barrier.value(), bytes.value()}, Effect::Memory);
}

void msa::gpu::arrive(KernelBuilder &k, Expr barrier) {
  k.ptx("mbarrier.arrive.shared.b64 _, [$0];", {}, barrier.value(), Effect::Memory);
}

void msa::gpu::arriveIf(KernelBuilder &k, Expr condition, Expr barrier) {
  k.ptx("{\n.reg .pred p;\nsetp.ne.b32 p, $1, 0;\n@p mbarrier.arrive.shared.b64 _, [$0];\n}", {},
        {barrier.value(), k.toI32(condition).value()}, Effect::Memory);
}

void msa::gpu::wait(KernelBuilder &k, Expr barrier, Expr parity, bool ofCluster) {
  StringRef where = ofCluster ? ".acquire.cluster.shared::cta" : ".shared";
  k.ptx(("{\n.reg .pred p;\nretry:\nmbarrier.try_wait.parity" + where + ".b64 p, [$0], $1;\n@!p bra retry;\n}").str(), {},
        {barrier.value(), parity.value()}, Effect::Memory);
}

/// Lane i arrives in CTA i of the cluster, where `condition` holds, which may for the first lanes alone.
static void arriveInAll(KernelBuilder &k, unsigned cluster, Expr condition, Expr barrier) {
  Expr there = k.clusterAddress(barrier, k.min(k.lane(), k.constant(cluster - 1)));
  k.ptx("{\n.reg .pred p;\nsetp.ne.b32 p, $1, 0;\n@p mbarrier.arrive.release.cluster.shared::cluster.b64 _, [$0];\n}", {},
        {there.value(), k.toI32(condition).value()}, Effect::Memory);
}

//===--- Rings. ---===//

void Cursor::advance() { *this = ahead(1); }

Cursor Cursor::ahead(unsigned steps) const {
  assert(steps <= stages);
  KernelBuilder &k = stage.builder();
  Cursor next = *this;
  Expr sum = stage + steps;
  Expr wraps = sum >= k.constant(stages);
  next.stage = k.select(wraps, sum - stages, sum);
  next.parity = k.select(wraps, parity ^ 1, parity);
  return next;
}

static int64_t stageStride(ArrayRef<int64_t> parts, SmallVectorImpl<int64_t> &offsets) {
  int64_t at = 0;
  for (int64_t bytes : parts) {
    offsets.push_back(at);
    at += (bytes + 1023) / 1024 * 1024;
  }
  return at;
}

Ring::Ring(KernelBuilder &k, unsigned stages, ArrayRef<int64_t> parts, unsigned consumerWarps, bool together)
    : k(&k), stageCount(stages), cluster(together ? k.getSignature().cluster : 1), stride(stageStride(parts, offsets)), slab(k.shared(stride * stages, 1024)), fullBarriers(k, stages, 1),
      emptyBarriers(k, stages, consumerWarps * cluster) {
  for (int64_t bytes : parts)
    announced += bytes;
}

Cursor Ring::begin() const { return {k->constant(0), k->constant(0), stageCount}; }
void Ring::acquire(const Cursor &at) const { acquire(at, k->constant(announced)); }

void Ring::acquire(const Cursor &at, Expr bytes) const {
  msa::gpu::wait(*k, empty(at), at.parity ^ 1, cluster > 1);
  arriveExpect(*k, full(at), bytes);
}

void Ring::wait(const Cursor &at) const { msa::gpu::wait(*k, full(at), at.parity); }
/// The lanes that release: one for each CTA whose ring goes round with this one.
Expr Ring::releasing() const { return cluster > 1 ? k->lane() < k->constant(cluster) : k->lane() == 0; }

void Ring::arriveEmpty(Expr condition, const Cursor &at) const {
  if (cluster > 1)
    arriveInAll(*k, cluster, condition, empty(at));
  else
    arriveIf(*k, condition, empty(at));
}
void Ring::release(const Cursor &at) const { arriveEmpty(releasing(), at); }
void Ring::releaseIf(Expr condition, const Cursor &at) const { arriveEmpty(releasing() & condition, at); }
Expr Ring::part(const Cursor &at, unsigned index) const { return k->sharedAddress(slab) + at.stage * stride + offsets[index]; }

void Ring::init() const {
  fullBarriers.init();
  emptyBarriers.init();
}

void msa::gpu::initBarriers(KernelBuilder &k, ArrayRef<const Ring *> rings, ArrayRef<const Barriers *> barriers) {
  k.ifThen(k.thread() == 0, [&] {
    for (const Ring *ring : rings)
      ring->init();
    for (const Barriers *barrier : barriers)
      barrier->init();
    fenceBarrierInit(k);
  });
  if (k.getSignature().cluster > 1)
    k.clusterSync();
  else
    k.syncThreads();
}

//===--- Copies. ---===//

/// Operand of .L2::cache_hint.
static std::optional<int64_t> cacheHint(CachePolicy policy) {
  switch (policy) {
  case CachePolicy::Normal:
    return std::nullopt;
  case CachePolicy::EvictFirst:
    return 0x12F0000000000000;
  case CachePolicy::EvictLast:
    return 0x14F0000000000000;
  }
  llvm_unreachable("unknown policy");
}

/// "{$first, $first + 1, ...}" for `count` operands.
static std::string operandList(unsigned first, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i)
    text += (i ? ", $" : "$") + std::to_string(first + i);
  return text + "}";
}

void msa::gpu::loadTile(KernelBuilder &k, Expr shared, Value map, ArrayRef<Expr> coordinates, Expr barrier, CachePolicy policy) {
  SmallVector<Value> operands = {shared.value(), map, barrier.value()};
  for (Expr c : coordinates)
    operands.push_back(c);
  std::string rank = std::to_string(coordinates.size()), list = operandList(3, coordinates.size());
  std::string hint, text;
  if (auto bits = cacheHint(policy)) {
    hint = ", $" + std::to_string(operands.size());
    operands.push_back(k.constant64(*bits));
  }
  text = "cp.async.bulk.tensor." + rank + "d.shared::cluster.global.mbarrier::complete_tx::bytes" + (hint.empty() ? "" : ".L2::cache_hint") +
         " [$0], [$1, " + list + "], [$2]" + hint + ";";
  k.ptx(text, {}, operands, Effect::Memory);
}

void msa::gpu::loadTileToAll(KernelBuilder &k, Expr shared, Value map, ArrayRef<Expr> coordinates, Expr barrier) {
  Value mask = arith::ConstantIntOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI16Type(), (1 << k.getSignature().cluster) - 1);
  SmallVector<Value> operands = {shared.value(), map, barrier.value(), mask};
  for (Expr c : coordinates)
    operands.push_back(c);
  std::string rank = std::to_string(coordinates.size()), list = operandList(4, coordinates.size());
  k.ptx("cp.async.bulk.tensor." + rank + "d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [$0], [$1, " + list + "], [$2], $3;",
        {}, operands, Effect::Memory);
}

void msa::gpu::storeTile(KernelBuilder &k, Value map, ArrayRef<Expr> coordinates, Expr shared) {
  SmallVector<Value> operands = {map, shared.value()};
  for (Expr c : coordinates)
    operands.push_back(c);
  std::string rank = std::to_string(coordinates.size()), list = operandList(2, coordinates.size());
  k.ptx("cp.async.bulk.tensor." + rank + "d.global.shared::cta.bulk_group [$0, " + list + "], [$1];", {}, operands, Effect::Memory);
}

void msa::gpu::bulkLoad(KernelBuilder &k, Expr shared, Value global, Expr bytes, Expr barrier, CachePolicy policy) {
  SmallVector<Value> operands = {shared.value(), global, bytes.value(), barrier.value()};
  std::string text = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];";
  if (auto bits = cacheHint(policy)) {
    operands.push_back(k.constant64(*bits));
    text = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [$0], [$1], $2, [$3], $4;";
  }
  k.ptx(text, {}, operands, Effect::Memory);
}

void msa::gpu::bulkStore(KernelBuilder &k, Value global, Expr shared, Expr bytes) {
  k.ptx("cp.async.bulk.global.shared::cta.bulk_group [$0], [$1], $2;", {}, {global, shared.value(), bytes.value()}, Effect::Memory);
}

void msa::gpu::bulkCommit(KernelBuilder &k) { k.ptx("cp.async.bulk.commit_group;", {}, {}, Effect::Memory); }

void msa::gpu::bulkWait(KernelBuilder &k, unsigned pending, bool complete) {
  k.ptx((llvm::Twine("cp.async.bulk.wait_group") + (complete ? " " : ".read ") + llvm::Twine(pending) + ";").str(), {}, {}, Effect::Memory);
}

void msa::gpu::prefetchTensorMap(KernelBuilder &k, Value map) { k.ptx("prefetch.tensormap [$0];", {}, map, Effect::Memory); }

void msa::gpu::copyAsync(KernelBuilder &k, Expr shared, Value global, std::optional<Expr> valid) {
  SmallVector<Value> operands = {shared.value(), global};
  if (!valid)
    return (void)k.ptx("cp.async.cg.shared.global [$0], [$1], 16;", {}, operands, Effect::Memory);
  operands.push_back(*valid);
  k.ptx("cp.async.cg.shared.global [$0], [$1], 16, $2;", {}, operands, Effect::Memory);
}

void msa::gpu::copyCommit(KernelBuilder &k) { k.ptx("cp.async.commit_group;", {}, {}, Effect::Memory); }
void msa::gpu::copyWait(KernelBuilder &k, unsigned pending) {
  k.ptx(("cp.async.wait_group " + llvm::Twine(pending) + ";").str(), {}, {}, Effect::Memory);
}

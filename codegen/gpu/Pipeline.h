// SPDX-License-Identifier: Apache-2.0
//===- Pipeline.h - mbarriers, rings of stages, asynchronous copies -------===//
//
// A ring is a number of stages that producers fill and consumers empty, each stage with a barrier `full` and a barrier `empty`. Who walks
// it has a Cursor: the stage and the parity of its phase. A consumer waits for the phase it is in; a producer for the one before, so that
// its first round passes at once. Copies of a stage's bytes complete `full` by themselves.
//
//   Ring ring(k, stages, {tileA.bytes(), tileB.bytes()}, /*consumerWarps=*/8);     plan
//   initBarriers(k, {&ring});                                                      once, all threads
//   Cursor at = ring.begin();
//   producer (one thread)   ring.acquire(at); loadTile(...ring.part(at, 0)..., ring.full(at)); ...; at.advance();
//   consumer (whole warps)  ring.wait(at); ... ring.part(at, 0) ...; ring.release(at); at.advance();
//
// The rings of a cluster's CTAs go round together where a copy goes to all of them: consumers then release a stage in every CTA, and a producer
// waits for all of them. Nobody leaves the kernel before the others are through (clusterSync).
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_PIPELINE_H
#define MSA_CODEGEN_GPU_PIPELINE_H

#include "codegen/gpu/KernelBuilder.h"

namespace msa::gpu {

/// Mbarriers in a row. Each completes a phase after `arrivals` arrivals and all announced bytes.
class Barriers {
public:
  Barriers(KernelBuilder &k, unsigned count, unsigned arrivals);

  /// Shared address of one.
  Expr at(Expr index) const;
  Expr at(unsigned index = 0) const;
  /// To be run by one thread before anything else, followed by `fenceBarrierInit` and a barrier of the CTA (initBarriers does all that).
  void init() const;

private:
  KernelBuilder *k;
  Slab slab;
  unsigned count, arrivals;
};

/// One thread arrives and announces `bytes` that copies will write.
void arriveExpect(KernelBuilder &k, Expr barrier, Expr bytes);
void arrive(KernelBuilder &k, Expr barrier);
/// Arrives where `condition` (i1) holds, without a branch.
void arriveIf(KernelBuilder &k, Expr condition, Expr barrier);
/// Waits until the phase of that parity (i32, 0 or 1) is complete. What was written before is seen after it: by threads of the CTA, or of the cluster.
void wait(KernelBuilder &k, Expr barrier, Expr parity, bool ofCluster = false);
void fenceBarrierInit(KernelBuilder &k);

/// Where someone stands in a ring.
struct Cursor {
  Expr stage;  ///< in [0, stages)
  Expr parity; ///< of the round, 0 first
  unsigned stages = 1;

  void advance();
  /// The cursor `steps` further on, steps < stages.
  Cursor ahead(unsigned steps) const;
  void slots(llvm::SmallVectorImpl<mlir::Value *> &out) {
    stage.slots(out);
    parity.slots(out);
  }
};

class Ring {
public:
  /// `parts`: bytes of each part of a stage; every part of every stage is 1024-byte aligned. `consumerWarps`: warps of a CTA that release a stage.
  /// `together`: the cluster's rings go round together.
  Ring(KernelBuilder &k, unsigned stages, llvm::ArrayRef<int64_t> parts, unsigned consumerWarps, bool together = false);

  Cursor begin() const;
  unsigned stages() const { return stageCount; }
  int64_t stageBytes() const { return announced; }

  /// Producer, one thread: waits until the stage is empty, then announces the stage's bytes (or `bytes` of them).
  void acquire(const Cursor &at) const;
  void acquire(const Cursor &at, Expr bytes) const;
  /// Consumer: waits until the stage is full.
  void wait(const Cursor &at) const;
  /// Consumer, whole warps: this warp will not read the stage again.
  void release(const Cursor &at) const;
  void releaseIf(Expr condition, const Cursor &at) const;

  /// Shared address of a part.
  Expr part(const Cursor &at, unsigned index = 0) const;
  Expr full(const Cursor &at) const { return fullBarriers.at(at.stage); }
  Expr empty(const Cursor &at) const { return emptyBarriers.at(at.stage); }
  void init() const;

private:
  Expr releasing() const;
  void arriveEmpty(Expr condition, const Cursor &at) const;

  KernelBuilder *k;
  unsigned stageCount, cluster;
  llvm::SmallVector<int64_t> offsets; ///< of parts in a stage
  int64_t stride = 0, announced = 0;
  Slab slab;
  Barriers fullBarriers, emptyBarriers;
};

/// Thread 0 initialises them all; then a barrier of the CTA (of the cluster, where there is one).
void initBarriers(KernelBuilder &k, llvm::ArrayRef<const Ring *> rings, llvm::ArrayRef<const Barriers *> barriers = {});

//===--- Copies by the tensor memory accelerator, issued by one thread. Addresses of shared memory are multiples of 128. ---===//

/// What copies tell the L2 cache.
enum class CachePolicy { Normal, EvictFirst, EvictLast };

/// Global to shared: the box of tensor map `map` at `coordinates` (innermost first). Completes `box bytes` of `barrier`, also outside the tensor.
void loadTile(KernelBuilder &k, Expr shared, mlir::Value map, llvm::ArrayRef<Expr> coordinates, Expr barrier,
              CachePolicy policy = CachePolicy::Normal);
/// The same, to these addresses in every CTA of the cluster.
void loadTileToAll(KernelBuilder &k, Expr shared, mlir::Value map, llvm::ArrayRef<Expr> coordinates, Expr barrier);
/// Shared to global; nothing is written outside the tensor. Preceded by fenceProxyAsync in the writers and a barrier; belongs to the bulk group.
void storeTile(KernelBuilder &k, mlir::Value map, llvm::ArrayRef<Expr> coordinates, Expr shared);
/// A contiguous range; `bytes` a multiple of 16.
void bulkLoad(KernelBuilder &k, Expr shared, mlir::Value global, Expr bytes, Expr barrier, CachePolicy policy = CachePolicy::Normal);
void bulkStore(KernelBuilder &k, mlir::Value global, Expr shared, Expr bytes);
void bulkCommit(KernelBuilder &k);
/// Waits until all but `pending` groups have read their shared memory, or with `complete` have written global memory too.
void bulkWait(KernelBuilder &k, unsigned pending, bool complete = false);
void prefetchTensorMap(KernelBuilder &k, mlir::Value map);

//===--- cp.async: 16 bytes by each thread. ---===//

/// Global to shared; of 16 bytes the first `valid` (i32, 0..16) are read, the rest is zero. Without `valid`, all.
void copyAsync(KernelBuilder &k, Expr shared, mlir::Value global, std::optional<Expr> valid = {});
void copyCommit(KernelBuilder &k);
/// Waits until all but `pending` groups of this thread are in shared memory. A barrier shows them to others.
void copyWait(KernelBuilder &k, unsigned pending);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_PIPELINE_H

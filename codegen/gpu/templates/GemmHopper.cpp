// SPDX-License-Identifier: Apache-2.0
//===- GemmHopper.cpp - products by wgmma and TMA -------------------------===//
//
// A CTA computes tiles of `rows` x `columns`, one after the other. One thread of the producer warpgroup walks all of the tiles' slabs of K and keeps a
// ring of stages filled; each consumer warpgroup multiplies 64 rows of the tile and writes them. The producer runs ahead into the next tile while
// consumers write.
//
//   producer                          consumer
//   for tile, for slab:               for tile:
//     wait for an empty stage           sums = 0
//     load lhs and rhs slabs            for slab: wait for a full stage; sums += lhs slab x rhs slab; release the stage before
//                                       epilogue, store
//
// Weights come as their panels, N-major with a 32-byte swizzle: a box of `columns / 16` panels lands as
// one operand. CTAs of a cluster compute tiles below each other, for which slabs of rhs are the same: each loads its share of them into all, so that L2
// gives them once a cluster. f8E4M3FN sums lose bits inside the tensor core, and are added to f32 registers every 128 of K.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/templates/Gemm.h"
#include "codegen/gpu/templates/SlabProduct.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

class GemmHopper {
public:
  GemmHopper(KernelBuilder &k, const GemmProblem &problem, const GemmInstance &instance)
      : k(k), problem(problem), instance(instance), type(multiplicand(problem.element)), bytes(type == Multiplicand::E4M3 ? 1 : 2),
        lhs{Major::K, instance.rows, instance.depth, bytes, 128},
        rhs(bytes == 2 ? SharedMatrix{Major::MN, instance.columns, instance.depth, bytes, 32}
                       : SharedMatrix{Major::K, instance.columns, instance.depth, bytes, 128}),
        consumers(instance.rows / 64), ring(k, instance.stages, {lhs.bytes(), rhs.bytes()}, 4 * consumers, /*together=*/true) {}

  void emit() {
    rows = k.toI32(k.evaluate(problem.rows));
    slabs = (problem.k + instance.depth - 1) / instance.depth;
    initBarriers(k, {&ring});
    bool giveRegisters = consumers == 2;
    k.roles({{1, giveRegisters ? 40u : 0u, [&](Expr) { k.ifThen(k.thread() == 0, [&] { produce(); }); }},
             {consumers, giveRegisters ? 232u : 0u, [&](Expr warpgroup) { consume(warpgroup); }}});
    if (instance.cluster > 1)
      k.clusterSync(); // others may still copy into this CTA, or release its stages
  }

private:
  void produce() {
    Cursor at = ring.begin();
    forGemmTiles(k, rows, problem, instance, State(at), [&](Expr row, Expr column) {
      k.forLoop(k.constant(slabs), State(at), [&](Expr slab) {
        Expr depth = slab * instance.depth;
        ring.acquire(at);
        loadTile(k, ring.part(at, 0), k.tensorMap(0), {depth, row}, ring.full(at));
        loadShare(at, depth, column);
        at.advance();
      });
    });
  }

  /// The CTA's share of a slab of rhs.
  void loadShare(const Cursor &at, Expr depth, Expr column) {
    Expr to = ring.part(at, 1);
    if (instance.cluster > 1) {
      to = to + k.clusterRank() * static_cast<int>(rhs.bytes() / instance.cluster);
      column = column + k.clusterRank() * static_cast<int>(instance.columns / instance.cluster);
    }
    SmallVector<Expr> box = {depth, column};
    if (rhs.major == Major::MN)
      box = {k.constant(0), depth, column / 16};
    if (instance.cluster > 1)
      loadTileToAll(k, to, k.tensorMap(1), box, ring.full(at));
    else
      loadTile(k, to, k.tensorMap(1), box, ring.full(at));
  }

  void consume(Expr warpgroup) {
    EpilogueStore epilogue(k, problem.epilogue, problem.extras, problem.output, problem.result, problem.n);
    bool whole = problem.n % instance.columns == 0;
    Cursor at = ring.begin();
    forGemmTiles(k, rows, problem, instance, State(at), [&](Expr row, Expr column) {
      SmallVector<Fragment, 0> sums(1, Fragment(k, instance.columns));
      multiplySlabs(k, ring, at, slabs, sums, type == Multiplicand::E4M3,
                    [&](MutableArrayRef<Fragment> to, const Cursor &from, Expr, bool add) { issue(to[0], warpgroup, from, add); });
      epilogue.store(sums[0], row + warpgroup * 64 + k.warpInGroup() * 16, rows, column, whole);
    });
  }

  /// Issues sums += lhs slab x rhs slab for the stage at `at`.
  void issue(Fragment &sums, Expr warpgroup, const Cursor &at, bool add) {
    Operand a(k, lhs, ring.part(at, 0) + warpgroup * static_cast<int>(lhs.offset(64, 0))), b(k, rhs, ring.part(at, 1));
    wgmmaFence(k);
    for (unsigned step = 0; step < lhs.steps(); ++step)
      wgmma(k, sums, type, a, b, step, add || step > 0);
    wgmmaCommit(k);
  }

  KernelBuilder &k;
  const GemmProblem &problem;
  const GemmInstance &instance;
  Multiplicand type;
  unsigned bytes;
  SharedMatrix lhs, rhs;
  unsigned consumers;
  Ring ring;
  Expr rows;
  int64_t slabs = 0;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitGemmHopper(ModuleOp module, StringRef symbol, const GemmProblem &problem, const GemmInstance &instance,
                                                const GPUTarget &target) {
  unsigned threads = 128 * (1 + instance.rows / 64);
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .tensorMaps = 2, .threads = threads, .cluster = instance.cluster},
                  module.getLoc());
  GemmHopper(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();

  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = gemmTiles(problem, instance);
  launch.persistent = 1;
  launch.block = threads;
  launch.cluster = instance.cluster;
  launch.dynamicShared = *shared;
  int64_t size = problem.element.getIntOrFloatBitWidth() / 8;
  TensorElement element = tensorElement(problem.element);
  launch.tensorMaps.push_back({problem.lhs, element, {Term::constant(problem.k), problem.rows}, {Term::constant(problem.k * size)},
                               {instance.depth, instance.rows}, 128});
  int64_t panels = (problem.n + 15) / 16;
  if (size == 2)
    launch.tensorMaps.push_back({problem.rhs, element, {Term::constant(16), Term::constant(problem.k), Term::constant(panels)},
                                 {Term::constant(32), Term::constant(problem.k * 32)}, {16, instance.depth, instance.columns / 16 / instance.cluster}, 32});
  else
    launch.tensorMaps.push_back({problem.rhs, element, {Term::constant(problem.k), Term::constant(panels * 16)}, {Term::constant(problem.k)},
                                 {instance.depth, instance.columns / instance.cluster}, 128});
  return launch;
}

// SPDX-License-Identifier: Apache-2.0
//===- RouteHopper.cpp - keys as the rows of wgmma ------------------------===//
//
// Chunks are the 64 rows of wgmma and tokens its columns, so that few tokens waste nothing. A CTA walks its chunks in blocks of 128 or a
// multiple: one thread keeps a ring of stages of 64 elements filled, two warpgroups multiply half of the block's chunks each, and a warp beside the
// first makes documents of the scores (RouteDocuments.h).
//
//   producer                          scoring warpgroup
//   for block, for group of tokens:   for block:
//     for slab of 64 elements:          for group of tokens: sums = keys x high + keys x low; join the sums of each row
//       keys (and the query's slab)     scores -> slot
//
// A query that fits stays in shared memory. Otherwise a launch before has laid out its slabs in the workspace as wgmma wants them, and they come with the
// keys, from L2: the more chunks a block has, the less of that there is.
//
// Keys come in boxes of 16 rows: behind the CTA's last row boxes lie outside of the tensor, which costs no memory traffic.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Pipeline.h"
#include "codegen/gpu/templates/RouteDocuments.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned slabElements = 64, boxRows = 16, consumers = 2, threads = 128 * (1 + consumers);

} // namespace

QueryLayout msa::gpu::routeHopperLayout(const RouteProblem &problem, unsigned tokens) {
  // By slabs, in each the parts: rows of 128 bytes whose pieces are swizzled.
  int64_t slabs = (problem.row + slabElements - 1) / slabElements, part = int64_t(tokens) * 128;
  unsigned parts = problem.parts();
  auto offset = [=](KernelBuilder &, Expr token, Expr piece) {
    return (piece >> 3) * static_cast<int>(parts * part) + token * 128 + (((piece & 7) ^ (token & 7)) * 16);
  };
  return {tokens, parts, slabs * slabElements, slabs * part * parts, offset, part};
}

namespace {

class RouteHopper {
public:
  RouteHopper(KernelBuilder &k, const RouteProblem &problem, const RouteInstance &instance)
      : k(k), problem(problem), instance(instance), query(k, problem, routeHopperLayout(problem, instance.tokens), instance.resident),
        blockRows(instance.chunks), keyShape{Major::K, blockRows, slabElements, 2, 128}, queryShape{Major::K, instance.tokens, slabElements, 2, 128},
        slabBytes(problem.parts() * queryShape.bytes()), slabs((problem.row + slabElements - 1) / slabElements), ring(makeRing()),
        documents(k, problem, blockRows, consumers * 128), type(multiplicand(problem.multiplied())) {}

  void emit() {
    documents.findRange();
    query.findTokens();
    initBarriers(k, {&ring});
    documents.loadRange();
    groups = instance.resident ? k.constant(1) : query.groups();
    if (instance.resident) {
      query.makeImage(k.constant(0));
      k.fenceProxyAsync();
    }
    k.syncThreads();
    // Registers of sums: what the others can do without.
    bool giveRegisters = instance.tokens / 2 * rowTiles() > 96;
    k.roles({{1, giveRegisters ? 72u : 0u,
              [&](Expr) {
                k.ifThen(k.thread() == 0, [&] { produce(); });
                k.ifThen(k.warp() == 1, [&] { documents.run([&](Expr row) { return query.scoreExactly(row); }); });
              }},
             {consumers, giveRegisters ? 216u : 0u, [&](Expr warpgroup) { score(warpgroup); }}});
  }

private:
  Ring makeRing() {
    SmallVector<int64_t> parts = {keyShape.bytes()};
    if (!instance.resident)
      parts.push_back(slabBytes);
    return Ring(k, instance.stages, parts, 4 * consumers);
  }

  void produce() {
    Cursor at = ring.begin();
    Array workspace{k.workspace(), k.getBuilder().getI8Type()};
    k.forLoop(documents.blocks, State(at), [&](Expr block) {
      Expr first = documents.begin + block * static_cast<int>(blockRows);
      k.forLoop(groups, State(at), [&](Expr group) {
        k.forLoop(k.constant(slabs), State(at), [&](Expr slab) {
          ring.acquire(at);
          k.forLoop(k.constant(0), k.constant(blockRows), k.constant(boxRows), [&](Expr row) {
            Expr there = first + row < documents.end;
            loadTile(k, ring.part(at, 0) + row * 128, k.tensorMap(0),
                     {slab * slabElements, k.select(there, first + row, documents.chunkCount())}, ring.full(at), CachePolicy::EvictFirst);
          });
          if (!instance.resident) {
            Expr from = k.toI64(query.groupImage(group)) + k.toI64(slab) * slabBytes;
            bulkLoad(k, ring.part(at, 1), k.at(workspace, from), k.constant(slabBytes), ring.full(at), CachePolicy::EvictLast);
          }
          at.advance();
        });
      });
    });
  }

  /// Chunks of 64 that a warpgroup has of a block.
  unsigned rowTiles() const { return blockRows / (64 * consumers); }

  /// Issues sums += key slab x query slab for the stage at `at`.
  void issue(MutableArrayRef<Fragment> sums, Expr warpgroup, const Cursor &at, Expr slab) {
    Expr keys = ring.part(at, 0) + warpgroup * static_cast<int>(keyShape.offset(64 * rowTiles(), 0));
    Expr from = instance.resident ? k.sharedAddress(query.image()) + slab * static_cast<int>(slabBytes) : ring.part(at, 1);
    wgmmaFence(k);
    for (unsigned tile = 0; tile < sums.size(); ++tile) {
      Operand a(k, keyShape, keys + static_cast<int>(keyShape.offset(64 * tile, 0)));
      for (unsigned part = 0; part < problem.parts(); ++part) {
        Operand b(k, queryShape, from + static_cast<int>(part * queryShape.bytes()));
        for (unsigned step = 0; step < keyShape.steps(); ++step)
          wgmma(k, sums[tile], type, a, b, step);
      }
    }
    wgmmaCommit(k);
  }

  void score(Expr warpgroup) {
    Cursor at = ring.begin();
    std::optional<RouteQuery::Columns> columns;
    if (instance.resident)
      columns.emplace(query, k.constant(0));
    k.forLoop(documents.blocks, State(at), [&](Expr block) {
      SmallVector<std::array<Expr, 2>> scores(rowTiles(), {query.start(), query.start()});
      k.forLoop(groups, State(at, scores), [&](Expr group) {
        SmallVector<Fragment, 0> sums(rowTiles(), Fragment(k, instance.tokens));
        Cursor before = at;
        k.pin(sums);
        k.forLoop(k.constant(slabs), State(sums, at, before), [&](Expr slab) {
          ring.wait(at);
          issue(sums, warpgroup, at, slab);
          wgmmaWait(k, 1);
          ring.releaseIf(slab != 0, before);
          before = at;
          at.advance();
        });
        wgmmaWait(k, 0);
        k.pin(sums);
        ring.release(before);
        RouteQuery::Columns of = columns ? *columns : RouteQuery::Columns(query, group);
        for (unsigned tile = 0; tile < rowTiles(); ++tile)
          for (unsigned half = 0; half < 2; ++half)
            scores[tile][half] = of.join(sums[tile], half, scores[tile][half], Expr());
      });
      for (auto &halves : scores)
        for (Expr &value : halves)
          value = query.finish(value);
      documents.acquire(block);
      k.ifThen((k.lane() & 3) == 0, [&] {
        Expr first = warpgroup * static_cast<int>(64 * rowTiles()) + k.warpInGroup() * 16;
        for (unsigned tile = 0; tile < rowTiles(); ++tile)
          for (unsigned half = 0; half < 2; ++half)
            documents.storeScore(scores[tile][half], block, first + Fragment::row(k, half) + static_cast<int>(64 * tile));
      });
      documents.release(block);
    });
  }

  KernelBuilder &k;
  const RouteProblem &problem;
  const RouteInstance &instance;
  RouteQuery query;
  unsigned blockRows;
  SharedMatrix keyShape, queryShape;
  int64_t slabBytes, slabs;
  Ring ring;
  RouteDocuments documents;
  Multiplicand type;
  Expr groups;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitRouteHopper(ModuleOp module, StringRef symbol, const RouteProblem &problem, const RouteInstance &instance,
                                                 const GPUTarget &target) {
  assert(problem.element.getIntOrFloatBitWidth() == 16 && "keys as wgmma reads them");
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .tensorMaps = 1, .threads = threads}, module.getLoc());
  RouteHopper(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = problem.chunks;
  launch.grid[0].divisor *= problem.rows;
  launch.persistent = 1;
  launch.block = threads;
  launch.dynamicShared = *shared;
  launch.tensorMaps.push_back({problem.keys, problem.element.isF16() ? TensorElement::F16 : TensorElement::BF16,
                               {Term::constant(problem.row), problem.chunks}, {Term::constant(problem.row * 2)}, {slabElements, boxRows}, 128});
  return launch;
}

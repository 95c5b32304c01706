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

#include "codegen/gpu/templates/RouteDocuments.h"
#include "codegen/gpu/templates/SlabProduct.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned slabBytes = 128, boxRows = 16, consumers = 2, threads = 128 * (1 + consumers);

} // namespace

/// Elements of a slab.
static unsigned slabElements(const RouteProblem &problem) { return slabBytes * 8 / problem.element.getIntOrFloatBitWidth(); }

QueryLayout msa::gpu::routeHopperLayout(const RouteProblem &problem, unsigned tokens) {
  // By slabs, in each the parts: rows of 128 bytes whose pieces are swizzled.
  unsigned elements = slabElements(problem);
  int64_t slabs = (problem.row + elements - 1) / elements, part = int64_t(tokens) * slabBytes;
  unsigned parts = problem.parts();
  auto offset = [=](KernelBuilder &, Expr token, Expr piece) {
    return (piece >> 3) * static_cast<int>(parts * part) + token * 128 + (((piece & 7) ^ (token & 7)) * 16);
  };
  return {problem.element, tokens, parts, slabs * elements, slabs * part * parts, offset, part};
}

namespace {

class RouteHopper {
public:
  RouteHopper(KernelBuilder &k, const RouteProblem &problem, const RouteInstance &instance)
      : k(k), problem(problem), instance(instance), query(k, problem, routeHopperLayout(problem, instance.tokens), instance.resident),
        blockRows(instance.chunks), depth(slabElements(problem)), promotes(isa<Float8E4M3FNType>(problem.element)),
        keyShape{Major::K, blockRows, depth, slabBytes / depth, slabBytes}, queryShape{Major::K, instance.tokens, depth, slabBytes / depth, slabBytes},
        querySlab(problem.parts() * queryShape.bytes()), slabs((problem.row + depth - 1) / depth), ring(makeRing()),
        documents(k, problem, blockRows, consumers * 128), type(multiplicand(problem.element)) {}

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
    bool giveRegisters = instance.tokens / 2 * rowTiles() * (promotes ? 2 : 1) > 96;
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
      parts.push_back(querySlab);
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
                     {slab * static_cast<int>(depth), k.select(there, first + row, documents.chunkCount())}, ring.full(at), CachePolicy::EvictFirst);
          });
          if (!instance.resident) {
            Expr from = query.groupImage(group) + k.toI64(slab) * querySlab;
            bulkLoad(k, ring.part(at, 1), k.at(workspace, from), k.constant(querySlab), ring.full(at), CachePolicy::EvictLast);
          }
          at.advance();
        });
      });
    });
  }

  /// Chunks of 64 that a warpgroup has of a block.
  unsigned rowTiles() const { return blockRows / (64 * consumers); }

  /// Issues sums += key slab x query slab for the stage at `at`; without `add`, sums = .
  void issue(MutableArrayRef<Fragment> sums, Expr warpgroup, const Cursor &at, Expr slab, bool add) {
    Expr keys = ring.part(at, 0) + warpgroup * static_cast<int>(keyShape.offset(64 * rowTiles(), 0));
    Expr from = instance.resident ? k.sharedAddress(query.image()) + slab * static_cast<int>(querySlab) : ring.part(at, 1);
    wgmmaFence(k);
    for (unsigned tile = 0; tile < sums.size(); ++tile) {
      Operand a(k, keyShape, keys + static_cast<int>(keyShape.offset(64 * tile, 0)));
      for (unsigned part = 0; part < problem.parts(); ++part) {
        Operand b(k, queryShape, from + static_cast<int>(part * queryShape.bytes()));
        for (unsigned step = 0; step < keyShape.steps(); ++step)
          wgmma(k, sums[tile], type, a, b, step, add || part + step > 0);
      }
    }
    wgmmaCommit(k);
  }

  Expr rowInBlock(Expr warpgroup, unsigned tile, unsigned half) {
    return warpgroup * static_cast<int>(64 * rowTiles()) + k.warpInGroup() * 16 + Fragment::row(k, half) + static_cast<int>(64 * tile);
  }

  void score(Expr warpgroup) {
    Cursor at = ring.begin();
    std::optional<RouteQuery::Columns> columns;
    if (instance.resident)
      columns.emplace(query, k.constant(0));
    k.forLoop(documents.blocks, State(at), [&](Expr block) {
      SmallVector<std::array<Expr, 2>> scores(rowTiles(), {query.start(), query.start()}), scales(rowTiles());
      if (problem.keyScales)
        for (unsigned tile = 0; tile < rowTiles(); ++tile)
          for (unsigned half = 0; half < 2; ++half) {
            Expr row = documents.begin + block * static_cast<int>(blockRows) + rowInBlock(warpgroup, tile, half);
            scales[tile][half] = k.load(viewOf(k, *problem.keyScales, k.f32()), k.toI64(k.min(row, documents.end - 1)));
          }
      k.forLoop(groups, State(at, scores), [&](Expr group) {
        SmallVector<Fragment, 0> sums(rowTiles(), Fragment(k, instance.tokens));
        multiplySlabs(k, ring, at, slabs, sums, promotes, [&](MutableArrayRef<Fragment> to, const Cursor &from, Expr slab, bool add) {
          issue(to, warpgroup, from, slab, add);
        });
        RouteQuery::Columns of = columns ? *columns : RouteQuery::Columns(query, group);
        for (unsigned tile = 0; tile < rowTiles(); ++tile)
          for (unsigned half = 0; half < 2; ++half)
            scores[tile][half] = of.join(sums[tile], half, scores[tile][half], scales[tile][half]);
      });
      for (auto &halves : scores)
        for (Expr &value : halves)
          value = query.finish(value);
      documents.acquire(block);
      k.ifThen((k.lane() & 3) == 0, [&] {
        for (unsigned tile = 0; tile < rowTiles(); ++tile)
          for (unsigned half = 0; half < 2; ++half)
            documents.storeScore(scores[tile][half], block, rowInBlock(warpgroup, tile, half));
      });
      documents.release(block);
    });
  }

  KernelBuilder &k;
  const RouteProblem &problem;
  const RouteInstance &instance;
  RouteQuery query;
  unsigned blockRows, depth;
  bool promotes;
  SharedMatrix keyShape, queryShape;
  int64_t querySlab, slabs;
  Ring ring;
  RouteDocuments documents;
  Multiplicand type;
  Expr groups;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitRouteHopper(ModuleOp module, StringRef symbol, const RouteProblem &problem, const RouteInstance &instance,
                                                 const GPUTarget &target) {
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
  unsigned bytes = problem.element.getIntOrFloatBitWidth() / 8;
  TensorElement element = bytes == 1 ? TensorElement::U8 : problem.element.isF16() ? TensorElement::F16 : TensorElement::BF16;
  launch.tensorMaps.push_back({problem.keys, element, {Term::constant(problem.row), problem.chunks}, {Term::constant(problem.row * bytes)},
                               {slabElements(problem), boxRows}, slabBytes});
  return launch;
}

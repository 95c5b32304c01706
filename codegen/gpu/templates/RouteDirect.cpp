// SPDX-License-Identifier: Apache-2.0
//===- RouteDirect.cpp - keys go from global memory into mma.sync ---------===//
//
// A warp scores 16 chunks of a block of 128; eight warps of a CTA score, one makes documents of the scores (RouteDocuments.h). An inner product does not
// care in which order its terms come, so a lane loads 16 contiguous bytes of a row and calls them the elements that the instruction wants from
// it; the four lanes of a row read 64 bytes together, two loads a full line. The query's image has its elements in the same order.
//
// Loads are `stages` steps ahead of what multiplies them, over the ends of rows and blocks: registers are the ring.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/templates/RouteDocuments.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace msa::gpu;
using Effect = KernelBuilder::Effect;

namespace {

constexpr unsigned scoringWarps = 8, warpRows = 16, blockRows = scoringWarps * warpRows, threads = (scoringWarps + 1) * 32;

/// Key elements that a lane loads at once, and that the lanes of a row load at once.
unsigned laneElements(Type element) { return 128 / element.getIntOrFloatBitWidth(); }
unsigned stepElements(Type element) { return 4 * laneElements(element); }

} // namespace

QueryLayout msa::gpu::routeDirectLayout(const RouteProblem &problem, unsigned tokens) {
  // By steps of a key, in each: halves of a lane's 16 elements (e4m3), tiles of 8 tokens, parts, lanes.
  unsigned halves = laneElements(problem.element) / 8, tiles = tokens / 8, parts = problem.parts();
  int64_t step = stepElements(problem.element), steps = (problem.row + step - 1) / step;
  auto offset = [=](KernelBuilder &k, Expr token, Expr piece) {
    Expr lane = (token & 7) * 4 + piece / halves % 4;
    Expr slab = piece / (4 * halves) * halves + piece % halves;
    return ((slab * tiles + (token >> 3)) * parts * 32 + lane) * 16;
  };
  Type element = isa<Float8E4M3FNType>(problem.element) ? Type(Float16Type::get(problem.element.getContext())) : problem.element;
  return {element, tokens, parts, steps * step, steps * halves * tiles * parts * 512, offset, 512};
}

namespace {

class RouteDirect {
public:
  RouteDirect(KernelBuilder &k, const RouteProblem &problem, const RouteInstance &instance)
      : k(k), problem(problem), instance(instance), query(k, problem, routeDirectLayout(problem, instance.tokens), instance.resident),
        documents(k, problem, blockRows, scoringWarps * 32), keys(k.span(problem.keys, problem.element)),
        type(multiplicand(query.getLayout().element)), tiles(instance.tokens / 8), halves(laneElements(problem.element) / 8),
        rounds(query.getLayout().depth / stepElements(problem.element) / instance.stages) {}

  void emit() {
    documents.findRange();
    query.findTokens();
    k.syncThreads();
    documents.loadRange();
    if (instance.resident)
      query.makeImage(k.constant(0));
    k.syncThreads();
    k.ifThenElse(
        k.warp() < scoringWarps, State(), [&] { k.ifThen(documents.blocks > 0, [&] { score(); }); },
        [&] { documents.run([&](Expr row) { return query.scoreExactly(row); }); });
  }

private:
  using Step = std::array<SmallVector<Expr>, 2>; ///< 16 bytes of each of the lane's rows
  /// Where the lane's rows start, in elements: what it loads of them in a step.
  using Rows = std::array<Expr, 2>;

  Expr rowOf(Expr block, unsigned half) {
    Expr row = documents.begin + block * static_cast<int>(blockRows) + k.warp() * warpRows + Fragment::row(k, half);
    return k.min(row, documents.end - 1);
  }
  Rows rowsOf(Expr block) {
    Rows rows;
    for (unsigned half = 0; half < 2; ++half)
      rows[half] = k.toI64(rowOf(block, half)) * problem.row + k.toI64((k.lane() & 3) * laneElements(problem.element));
    return rows;
  }
  Step loadStep(const Rows &rows, Expr round, unsigned step) {
    Step words;
    for (unsigned half = 0; half < 2; ++half)
      words[half] = k.load16(keys, rows[half] + k.toI64(round * instance.stages + step) * static_cast<int>(stepElements(problem.element)));
    return words;
  }

  /// The lane's words of the query for one slab of the image and a tile of tokens, a part.
  SmallVector<Expr> loadQuery(Expr group, Expr slab, unsigned tile, unsigned part) {
    Expr word = ((slab * tiles + tile) * problem.parts() + part) * 128 + k.lane() * 4;
    if (instance.resident) // In program order: a short key's whole query would otherwise be loaded ahead of the loop, into more registers than there are.
      return k.ptx("ld.shared.v4.b32 {$0, $1, $2, $3}, [$4];", SmallVector<Type>(4, k.i32()), k.sharedAddress(query.image(), word * 4).value(),
                   Effect::Ordered);
    Array image{k.at({k.workspace(), k.getBuilder().getI8Type()}, query.groupImage(group)), k.i32()};
    return k.load16(image, word, Reuse::Default);
  }

  /// Eight elements of a row's 16 bytes as pairs of 16-bit elements: all, or half of 16 small ones.
  SmallVector<Expr> multiplicands(ArrayRef<Expr> words, unsigned half) {
    if (problem.element.getIntOrFloatBitWidth() == 16)
      return llvm::to_vector(words);
    SmallVector<Expr> pairs;
    for (Expr word : words.slice(2 * half, 2))
      for (int shift : {0, 16}) {
        Value two = k.ptx("cvt.u16.u32 $0, $1;", k.getBuilder().getI16Type(), (word >> shift).value(), Effect::Pure)[0];
        pairs.push_back(k.ptx("cvt.rn.f16x2.e4m3x2 $0, $1;", k.i32(), two, Effect::Ordered)[0]);
      }
    return pairs;
  }

  void multiply(Fragment &sums, const Step &step, Expr group, Expr index) {
    for (unsigned half = 0; half < halves; ++half) {
      SmallVector<Expr> upper = multiplicands(step[0], half), lower = multiplicands(step[1], half);
      for (unsigned tile = 0; tile < tiles; ++tile)
        for (unsigned part = 0; part < problem.parts(); ++part) {
          SmallVector<Expr> b = loadQuery(group, index * halves + half, tile, part);
          for (unsigned i = 0; i < 4; i += 2)
            mma(k, sums, tile, type, {upper[i], lower[i], upper[i + 1], lower[i + 1]}, {b[i], b[i + 1]});
        }
    }
  }

  void score() {
    Expr one = k.constant(1), groups = instance.resident ? one : query.groups();
    std::optional<RouteQuery::Columns> columns;
    if (instance.resident)
      columns.emplace(query, k.constant(0));
    SmallVector<Step> ring(instance.stages);
    Rows rows = rowsOf(k.constant(0));
    for (unsigned step = 0; step < instance.stages; ++step)
      ring[step] = loadStep(rows, k.constant(0), step);
    SmallVector<SmallVector<Expr>> flat;
    auto toFlat = [&] {
      flat.clear();
      for (Step &step : ring)
        for (SmallVector<Expr> &words : step)
          flat.push_back(words);
    };
    auto fromFlat = [&] {
      for (auto [i, words] : llvm::enumerate(flat))
        ring[i / 2][i % 2] = words;
    };
    toFlat();
    k.forLoop(documents.blocks, State(flat, rows), [&](Expr block) {
      Rows next = rowsOf(block + 1); // behind the last block: the last row, by all lanes
      std::array<Expr, 2> scales, scores = {query.start(), query.start()};
      if (problem.keyScales)
        for (unsigned half = 0; half < 2; ++half)
          scales[half] = k.load(viewOf(k, *problem.keyScales, k.f32()), rowOf(block, half));
      auto scoreGroup = [&](Expr group, bool lastGroupKnown) {
        Fragment sums(k, instance.tokens);
        k.forLoop(k.constant(rounds), State(sums, flat), [&](Expr round) {
          k.noUnroll();
          fromFlat();
          // What comes `stages` steps later: of these rows, then of the next group's, which are the same, or of the next block's.
          Expr wraps = round + 1 == rounds, another = lastGroupKnown ? wraps : wraps & (group + 1 == groups);
          Rows from;
          for (unsigned half = 0; half < 2; ++half)
            from[half] = k.select(another, next[half], rows[half]);
          Expr later = k.select(wraps, k.constant(0), round + 1);
          for (unsigned step = 0; step < instance.stages; ++step) {
            multiply(sums, ring[step], group, round * instance.stages + step);
            ring[step] = loadStep(from, later, step);
          }
          toFlat();
        });
        RouteQuery::Columns of = columns ? *columns : RouteQuery::Columns(query, group);
        for (unsigned half = 0; half < 2; ++half)
          scores[half] = of.join(sums, half, scores[half], scales[half]);
      };
      if (instance.resident)
        scoreGroup(k.constant(0), true);
      else
        k.forLoop(groups, State(flat, scores), [&](Expr group) { scoreGroup(group, false); });
      for (Expr &value : scores)
        value = query.finish(value);
      documents.acquire(block);
      k.ifThen((k.lane() & 3) == 0, [&] {
        for (unsigned half = 0; half < 2; ++half)
          documents.storeScore(scores[half], block, k.warp() * warpRows + Fragment::row(k, half));
      });
      documents.release(block);
      rows = next;
    });
  }

  KernelBuilder &k;
  const RouteProblem &problem;
  const RouteInstance &instance;
  RouteQuery query;
  RouteDocuments documents;
  Array keys;
  Multiplicand type;
  unsigned tiles, halves;
  int64_t rounds;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitRouteDirect(ModuleOp module, StringRef symbol, const RouteProblem &problem, const RouteInstance &instance,
                                                 const GPUTarget &target) {
  // Two CTAs on a multiprocessor, where two queries fit and registers allow: one makes up for the other's beginnings and ends.
  QueryLayout layout = routeDirectLayout(problem, instance.tokens);
  int64_t half = (target.sm >= 90 ? 227 : 163) * 1024 / 2 - 8 * 1024;
  unsigned resident = instance.tokens > 16 || (instance.resident && layout.imageBytes > half) ? 1 : 2;
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads, .minBlocks = resident}, module.getLoc());
  RouteDirect(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = problem.chunks;
  launch.grid[0].divisor *= problem.rows;
  launch.persistent = resident;
  launch.block = threads;
  launch.dynamicShared = *shared;
  return launch;
}

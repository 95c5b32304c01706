// SPDX-License-Identifier: Apache-2.0
//===- AttendHopper.cpp - attention by wgmma and TMA ----------------------===//
//
// A CTA takes tiles one after the other. One thread of the producer warpgroup loads queries and keeps rings of key and
// value blocks filled, also across tiles; each of the two consumer warpgroups has half of the tile's rows. While a
// block's weights are computed, the tensor cores multiply the weights of the block before by its values:
//
//   scores = Q K(j)'                       issued
//   outputs += weights V(j - 1)            issued
//   wait for scores; softmax               the second product still runs
//   wait for outputs; scale them; weights to registers of the next product
//
// and the two warpgroups take turns at issuing, so that the softmax of one runs beside the products of the other.
// Weights are the A operand from registers, values are MN-major: nothing is transposed in memory.
//
// Keys past the last one arrive as zeros; scores that a row may not see are hidden where a block has any.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Pipeline.h"
#include "codegen/gpu/templates/AttendRows.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned consumers = 2, consumerRows = 64;
/// Of 64 weights, so many that the special function unit and the issue of instructions take as long.
constexpr unsigned polynomials = 5;
/// Named barriers by which consumer warpgroups take turns: this and the next.
constexpr unsigned firstTurn = 1;

/// Bytes of a swizzled slab's row that suits `dim` 16-bit elements.
unsigned swizzleOf(int64_t dim) { return dim % 64 == 0 || dim > 64 ? 128 : dim % 32 == 0 ? 64 : 32; }

class AttendHopper {
public:
  AttendHopper(KernelBuilder &k, const AttendProblem &problem, const AttendInstance &instance)
      : k(k), problem(problem), instance(instance), type(multiplicand(problem.element)),
        queryShape{Major::K, instance.rows, unsigned(problem.headDim), 2, swizzleOf(problem.headDim)},
        keyShape{Major::K, instance.keys, unsigned(problem.headDim), 2, swizzleOf(problem.headDim)},
        valueShape{Major::MN, unsigned(problem.valueDim), instance.keys, 2, swizzleOf(problem.valueDim)},
        queries(k, 1, {queryShape.bytes()}, 4 * consumers),
        keys(k, instance.stages, {keyShape.bytes()}, 4 * consumers),
        values(k, instance.stages, {valueShape.bytes()}, 4 * consumers), rows(k, problem, instance) {}

  void emit() {
    batches = k.toI32(k.evaluate(problem.batches));
    initBarriers(k, {&queries, &keys, &values});
    k.roles({{1, 24, [&](Expr) { k.ifThen(k.thread() == 0, [&] { produce(); }); }},
             {consumers, 240, [&](Expr warpgroup) { consume(warpgroup); }}});
  }

private:
  /// Calls `body` for the CTA's tiles. Tiles of one head run at the same time and share its keys in L2; of causal tiles
  /// the longest come first, and every second round of CTAs runs backwards, so that each gets long and short ones.
  void forTiles(State state, function_ref<void(const AttendTile &)> body) {
    Expr each = rows.rowBlocks() * instance.splits, all = each * rows.headBlocks() * batches;
    k.forLoop(k.constant(0), all, k.grid(), state, [&](Expr round) {
      Expr odd = (round / k.grid()) & 1;
      Expr number = round + k.select(odd == 1, k.grid() - 1 - k.block(), k.block());
      k.ifThen(number < all, state, [&] {
        Expr group = number / each, rest = number % each;
        Expr rowBlock = rest / instance.splits;
        if (problem.causal)
          rowBlock = rows.rowBlocks() - 1 - rowBlock;
        AttendTile tile = rows.tile(group / rows.headBlocks(), group % rows.headBlocks(), rowBlock);
        if (instance.splits > 1)
          tile.split = rest % instance.splits;
        body(tile);
      });
    });
  }

  /// The blocks of keys of a tile: where they begin, and how many there are, at least one.
  std::pair<Expr, Expr> blocksOf(const AttendTile &tile) {
    KeyRange range = rows.visible(tile);
    Expr blocks = k.ceilDiv(k.max(range.end - range.begin, k.constant(1)), instance.keys);
    return {range.begin, blocks};
  }

  void loadBlock(const SharedMatrix &shape, const Ring &ring, const Cursor &at, unsigned map, Expr key,
                 const AttendTile &tile) {
    ring.acquire(at);
    for (unsigned slab = 0; slab < shape.slabs(); ++slab)
      loadTile(k, ring.part(at) + slab * shape.slabBytes(), k.tensorMap(map),
               {k.constant(slab * shape.slabWidth()), tile.kvHead, key, tile.batch}, ring.full(at));
  }

  void produce() {
    Cursor query = queries.begin(), key = keys.begin(), value = values.begin();
    forTiles(State(query, key, value), [&](const AttendTile &tile) {
      auto [begin, blocks] = blocksOf(tile);
      queries.acquire(query);
      for (unsigned slab = 0; slab < queryShape.slabs(); ++slab)
        loadTile(k, queries.part(query) + slab * queryShape.slabBytes(), k.tensorMap(0),
                 {k.constant(slab * queryShape.slabWidth()), tile.head, tile.query, tile.batch}, queries.full(query));
      query.advance();
      k.forLoop(blocks, State(key, value), [&](Expr block) {
        Expr first = begin + block * instance.keys;
        loadBlock(keyShape, keys, key, 1, first, tile);
        key.advance();
        loadBlock(valueShape, values, value, 2, first, tile);
        value.advance();
      });
    });
  }

  void consume(Expr warpgroup) {
    Cursor query = queries.begin(), key = keys.begin(), value = values.begin();
    Expr ownTurn = warpgroup + firstTurn, otherTurn = (warpgroup ^ 1) + firstTurn;
    k.ifThen(warpgroup == 1, [&] { k.barrierArrive(otherTurn, consumers * 128); });
    forTiles(State(query, key, value), [&](const AttendTile &tile) {
      auto [begin, blocks] = blocksOf(tile);
      Expr firstRow = warpgroup * consumerRows + k.warpInGroup() * 16;
      std::array<KeyRange, 2> ranges;
      for (unsigned half = 0; half < 2; ++half)
        ranges[half] = rows.visible(rows.queryOf(tile, firstRow + Fragment::row(k, half)));
      // What all of the warp's rows see needs no hiding.
      KeyRange all{rows.visible(rows.queryOf(tile, firstRow + 15)).begin,
                   rows.visible(rows.queryOf(tile, firstRow)).end};
      if (tile.split) {
        Expr end = rows.visible(tile).end;
        for (KeyRange *range : {&ranges[0], &ranges[1], &all})
          range->end = k.min(range->end, end);
      }
      auto hide = [&](Fragment &scores, Expr first) {
        k.ifThen(all.end < first + instance.keys, State(scores), [&] { hideBehind(k, scores, first, ranges); });
        if (problem.documents)
          k.ifThen(first < all.begin, State(scores), [&] { hideBefore(k, scores, first, ranges); });
      };

      queries.wait(query);
      Operand q(k, queryShape, queries.part(query) + warpgroup * int(queryShape.offset(consumerRows, 0)));
      OnlineSoftmax softmax(k, problem.scale, polynomials);
      Fragment outputs(k, problem.valueDim), scores(k, instance.keys);

      keys.wait(key);
      wgmmaFence(k);
      issueScores(scores, q, key);
      wgmmaWait(k, 0);
      k.pin(scores);
      keys.release(key);
      key.advance();
      hide(scores, begin);
      softmax.update(k, scores);
      llvm::SmallVector<Expr> weights = pack(scores);

      k.forLoop(k.constant(1), blocks, k.constant(1), State(outputs, softmax, weights, key, value), [&](Expr block) {
        Fragment next(k, instance.keys);
        k.barrierSync(ownTurn, consumers * 128);
        keys.wait(key);
        k.pin(outputs, weights);
        wgmmaFence(k);
        issueScores(next, q, key);
        values.wait(value);
        issueOutputs(outputs, weights, value);
        k.barrierArrive(otherTurn, consumers * 128);
        wgmmaWait(k, 1);
        k.pin(next);
        keys.release(key);
        key.advance();
        hide(next, begin + block * instance.keys);
        Rescale rescale = softmax.update(k, next);
        k.anchor(softmax.witness());
        wgmmaWait(k, 0);
        k.pin(outputs);
        values.release(value);
        value.advance();
        weights = pack(next);
        rescale.apply(k, outputs);
      });

      queries.release(query);
      query.advance();
      values.wait(value);
      k.pin(outputs, weights);
      wgmmaFence(k);
      issueOutputs(outputs, weights, value);
      wgmmaWait(k, 0);
      k.pin(outputs);
      values.release(value);
      value.advance();
      rows.store(tile, firstRow, outputs, softmax.maxima(k), softmax.sums(k));
    });
    // Takes the turn that is left over.
    k.ifThen(warpgroup == 0, [&] { k.barrierSync(ownTurn, consumers * 128); });
  }

  void issueScores(Fragment &scores, const Operand &q, const Cursor &key) {
    Operand block(k, keyShape, keys.part(key));
    for (unsigned step = 0; step < keyShape.steps(); ++step)
      wgmma(k, scores, type, q, block, step, step > 0);
    wgmmaCommit(k);
  }

  void issueOutputs(Fragment &outputs, ArrayRef<Expr> weights, const Cursor &value) {
    Operand block(k, valueShape, values.part(value));
    for (unsigned step = 0; step < valueShape.steps(); ++step)
      wgmma(k, outputs, type, weights.slice(4 * step, 4), block, step);
    wgmmaCommit(k);
  }

  llvm::SmallVector<Expr> pack(const Fragment &weights) {
    llvm::SmallVector<Expr> words;
    for (unsigned step = 0; step < valueShape.steps(); ++step)
      llvm::append_range(words, weights.operandA(k, step, problem.element));
    return words;
  }

  KernelBuilder &k;
  const AttendProblem &problem;
  const AttendInstance &instance;
  Multiplicand type;
  SharedMatrix queryShape, keyShape, valueShape;
  Ring queries, keys, values;
  AttendRows rows;
  Expr batches;
};

TensorMap mapOf(const AttendTensor &tensor, TensorElement element, int64_t dim, int64_t heads, const Term &tokens,
                const Term &batches, std::vector<uint32_t> box, unsigned swizzle) {
  auto bytes = [](Term stride) {
    stride.factor *= 2;
    return stride;
  };
  return {tensor.buffer,
          element,
          {Term::constant(dim), Term::constant(heads), tokens, batches},
          {bytes(tensor.head), bytes(tensor.token), bytes(tensor.batch)},
          std::move(box),
          swizzle};
}

} // namespace

llvm::Expected<Launch> msa::gpu::emitAttendHopper(ModuleOp module, StringRef symbol, const AttendProblem &problem,
                                                  const AttendInstance &instance, const GPUTarget &target) {
  constexpr unsigned threads = 128 * (1 + consumers);
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .tensorMaps = 3, .threads = threads},
                  module.getLoc());
  AttendHopper(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();

  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = attendTiles(problem, instance);
  launch.persistent = 1;
  launch.block = threads;
  launch.dynamicShared = *shared;
  launch.workspace = attendWorkspace(problem, instance.splits);
  TensorElement element = problem.element.isF16() ? TensorElement::F16 : TensorElement::BF16;
  unsigned width = swizzleOf(problem.headDim) / 2, valueWidth = swizzleOf(problem.valueDim) / 2;
  launch.tensorMaps.push_back(mapOf(problem.query, element, problem.headDim, problem.heads, problem.queries,
                                    problem.batches, {width, instance.pack, instance.rows / instance.pack, 1},
                                    swizzleOf(problem.headDim)));
  launch.tensorMaps.push_back(mapOf(problem.key, element, problem.headDim, problem.kvHeads, problem.keys,
                                    problem.batches, {width, 1, instance.keys, 1}, swizzleOf(problem.headDim)));
  launch.tensorMaps.push_back(mapOf(problem.value, element, problem.valueDim, problem.kvHeads, problem.keys,
                                    problem.batches, {valueWidth, 1, instance.keys, 1}, swizzleOf(problem.valueDim)));
  return launch;
}

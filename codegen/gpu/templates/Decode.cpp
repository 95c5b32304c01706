// SPDX-License-Identifier: Apache-2.0
//===- Decode.cpp - attention of a few rows over a long context -----------===//
//
// Bound by memory: a CTA reads a part of the keys and values of one kv head once, for up to 16 rows. Nothing is staged:
// each lane loads 16 bytes at a time into the registers that mma.sync takes its B operand from. That works because a sum
// over K, and the order of columns, may be permuted:
//
//   keys     lane (g, q) = (lane / 4, lane % 4) loads dims [32 i + 8 q, + 8) of key g: its four words are two steps of K,
//            and the query is loaded in the same way
//   values   it loads columns [64 c + 8 g, + 8) of keys 2q, 2q + 1, 8 + 2q, 9 + 2q: element t of pairs of keys is column g
//            of product t; so of outputs, it holds columns 64 c + 16 q + 8 (i % 2) + t of register i of product t
//
// A warp takes every eighth block of 16 keys, with the next block's keys in flight, and has a softmax of its own; at the
// end warps are added up in shared memory, in their order.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/templates/AttendRows.h"
#include <limits>

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned warps = 8, threads = 32 * warps, rowsOfTile = 16, blockKeys = 16;

class Decode {
public:
  using Words = llvm::SmallVector<Expr>;

  Decode(KernelBuilder &k, const AttendProblem &problem, const AttendInstance &instance)
      : k(k), problem(problem), instance(instance), type(multiplicand(problem.element)), rows(k, problem, instance),
        stride(problem.valueDim + 4), shared(k.shared(warps * rowsOfTile * stride * 4)),
        statistics(k.shared(warps * rowsOfTile * 2 * 4)) {}

  void emit() {
    int64_t each = rows.headBlocks() * instance.splits;
    k.forItems(rows.rowBlocks() * each * rows.batches(), 3, [&](Expr item) {
      Expr part = item % each, rowBlock = item / each;
      AttendTile tile = rows.tile(rowBlock / rows.rowBlocks(), part / instance.splits, rowBlock % rows.rowBlocks());
      if (instance.splits > 1)
        tile.split = part % instance.splits;
      attend(tile);
    });
  }

private:
  void attend(const AttendTile &tile) {
    group = k.lane() >> 2;
    quad = k.lane() & 3;
    KeyRange range = rows.visible(tile);
    std::array<KeyRange, 2> ranges;
    for (unsigned half = 0; half < 2; ++half) {
      ranges[half] = rows.visible(rows.queryOf(tile, Fragment::row(k, half)));
      ranges[half].end = k.min(ranges[half].end, range.end);
    }
    Words query = loadQuery(tile);
    keyArray = {rows.address(problem.key, tile.batch, tile.kvHead), problem.element};
    valueArray = {rows.address(problem.value, tile.batch, tile.kvHead), problem.element};
    last = range.end - 1;

    Fragment outputs(k, problem.valueDim);
    OnlineSoftmax softmax(k, problem.scale);
    Expr first = range.begin + k.warp() * blockKeys;
    k.ifThen(first < range.end, State(outputs, softmax), [&] {
      Words keys = loadKeys(first);
      k.forLoop(first, range.end, k.constant(warps * blockKeys), State(outputs, softmax, keys), [&](Expr key) {
        Words values = loadValues(key);
        Fragment scores(k, blockKeys);
        multiplyKeys(scores, query, keys);
        keys = loadKeys(key + warps * blockKeys);
        hideBehind(k, scores, key, ranges);
        softmax.update(k, scores).apply(k, outputs);
        multiplyValues(outputs, scores.operandA(k, 0, problem.element), values);
      });
    });
    publish(outputs, softmax);
    addWarps(tile);
  }

  /// Two rows of each lane: words [row half][32 dims][4].
  Words loadQuery(const AttendTile &tile) {
    Array array{rows.address(problem.query, tile.batch, tile.head), problem.element};
    Words words;
    for (unsigned half = 0; half < 2; ++half) {
      Expr row = Fragment::row(k, half), query = k.min(rows.queryOf(tile, row), rows.queries() - 1);
      Expr start = k.toI64(query) * rows.tokenStride(problem.query) +
                   k.toI64(row % instance.pack) * k.evaluate(problem.query.head) + k.toI64(quad * 8);
      for (unsigned i = 0; i < problem.headDim / 32; ++i)
        llvm::append_range(words, k.load16(array, start + 32 * i, Reuse::Default));
    }
    return words;
  }

  /// Words [8 keys][32 dims][4] of the block at `first`; past the last key, that one again.
  Words loadKeys(Expr first) {
    Words words;
    for (unsigned t = 0; t < blockKeys / 8; ++t) {
      Expr key = k.min(first + t * 8 + group, last);
      Expr start = k.toI64(key) * rows.tokenStride(problem.key) + k.toI64(quad * 8);
      for (unsigned i = 0; i < problem.headDim / 32; ++i)
        llvm::append_range(words, k.load16(keyArray, start + 32 * i));
    }
    return words;
  }

  void multiplyKeys(Fragment &scores, const Words &query, const Words &keys) {
    unsigned chunks = problem.headDim / 32;
    for (unsigned i = 0; i < chunks; ++i)
      for (unsigned s = 0; s < 2; ++s) {
        const Expr *low = &query[4 * i + 2 * s], *high = &query[4 * (chunks + i) + 2 * s];
        for (unsigned t = 0; t < blockKeys / 8; ++t) {
          const Expr *b = &keys[4 * (t * chunks + i) + 2 * s];
          mma(k, scores, t, type, {low[0], high[0], low[1], high[1]}, {b[0], b[1]});
        }
      }
  }

  /// Columns that a lane loads of each key: 8 of every 64, and 4 of a rest of 32.
  unsigned columnsOf(unsigned base) const { return problem.valueDim - base >= 64 ? 8 : 4; }

  /// Words [64 columns][4 keys][columns / 2] of the block at `first`.
  Words loadValues(Expr first) {
    Words words;
    for (unsigned base = 0; base < problem.valueDim; base += 8 * columnsOf(base)) {
      unsigned columns = columnsOf(base);
      for (unsigned key = 0; key < 4; ++key) {
        Expr token = k.min(first + quad * 2 + (key / 2 * 8 + key % 2), last);
        Expr start = k.toI64(token) * rows.tokenStride(problem.value) + k.toI64(group * columns) + base;
        if (columns == 8)
          llvm::append_range(words, k.load16(valueArray, start));
        else
          llvm::append_range(words, k.ptx("ld.global.nc.L1::no_allocate.v2.b32 {$0, $1}, [$2];", {k.i32(), k.i32()},
                                          k.at(valueArray, start), KernelBuilder::Effect::Pure));
      }
    }
    return words;
  }

  void multiplyValues(Fragment &outputs, const std::array<Expr, 4> &weights, const Words &values) {
    auto halves = [&](Expr a, Expr b, bool high) {
      return k.ptx(high ? "prmt.b32 $0, $1, $2, 0x7632;" : "prmt.b32 $0, $1, $2, 0x5410;", k.i32(),
                   {a.value(), b.value()}, KernelBuilder::Effect::Pure)[0];
    };
    unsigned product = 0, word = 0;
    for (unsigned base = 0; base < problem.valueDim; base += 8 * columnsOf(base)) {
      unsigned columns = columnsOf(base), each = columns / 2;
      for (unsigned t = 0; t < columns; ++t, ++product) {
        const Expr *pair = &values[word + t / 2];
        Expr low = halves(pair[0], pair[each], t % 2), high = halves(pair[2 * each], pair[3 * each], t % 2);
        mma(k, outputs, product, type, weights, {low, high});
      }
      word += 4 * each;
    }
  }

  /// This warp's outputs and sums to shared memory.
  void publish(const Fragment &outputs, const OnlineSoftmax &softmax) {
    std::array<Expr, 2> maxima = softmax.maxima(k), sums = softmax.sums(k);
    Array all = k.sharedArray(shared, k.f32()), sumArray = k.sharedArray(statistics, k.f32());
    k.syncThreads(); // those of the item before are added up
    for (unsigned half = 0; half < 2; ++half) {
      Expr row = k.warp() * rowsOfTile + Fragment::row(k, half);
      unsigned product = 0;
      for (unsigned base = 0; base < problem.valueDim; base += 8 * columnsOf(base)) {
        unsigned columns = columnsOf(base);
        for (unsigned odd = 0; odd < 2; ++odd)
          for (unsigned t = 0; t < columns; t += 4) {
            Words four;
            for (unsigned i = 0; i < 4; ++i)
              four.push_back(outputs[4 * (product + t + i) + 2 * half + odd]);
            k.storeVector(four, all, row * stride + quad * (2 * columns) + (base + odd * columns + t));
          }
        product += columns;
      }
      k.ifThen(quad == 0, [&] { k.storeVector({maxima[half], sums[half]}, sumArray, row * 2); });
    }
    k.syncThreads();
  }

  /// Each thread adds up some columns of one row.
  void addWarps(const AttendTile &tile) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    unsigned columns = problem.valueDim * rowsOfTile / threads;
    Expr row = k.thread() / (threads / rowsOfTile), column = k.thread() % (threads / rowsOfTile) * columns;
    Array all = k.sharedArray(shared, k.f32()), sumArray = k.sharedArray(statistics, k.f32());
    llvm::SmallVector<Words> each;
    Expr maximum = k.constantF(-infinity), sum = k.constantF(0);
    for (unsigned w = 0; w < warps; ++w) {
      each.push_back(k.loadVector(sumArray, (row + w * rowsOfTile) * 2, 2));
      maximum = k.max(maximum, each.back()[0]);
    }
    Expr origin = k.select(maximum == -infinity, k.constantF(0), maximum);
    Words outputs(columns, k.constantF(0));
    for (unsigned w = 0; w < warps; ++w) {
      Expr weight = k.exp2Approx(each[w][0] - origin);
      sum = k.fma(each[w][1], weight, sum);
      for (unsigned i = 0; i < columns; i += 2) {
        Words two = k.loadVector(all, (row + w * rowsOfTile) * stride + column + i, 2);
        for (unsigned j = 0; j < 2; ++j)
          outputs[i + j] = k.fma(two[j], weight, outputs[i + j]);
      }
    }
    Expr query = rows.queryOf(tile, row), head = rows.headOf(tile, row);
    Expr own = (row < rowsOfTile / instance.pack * instance.pack) & (query < rows.queries());
    k.ifThen(own, [&] {
      if (tile.split) {
        AttendParts parts(k, problem, instance.splits);
        Expr part = parts.row(tile.batch, query, head) + k.toI64(tile.split);
        for (unsigned i = 0; i < columns; i += 2)
          k.storeVector({outputs[i], outputs[i + 1]}, parts.outputs, part * problem.valueDim + k.toI64(column) + i);
        k.ifThen(column == 0, [&] { k.storeVector({maximum, sum}, parts.statistics, part * 2); });
        return;
      }
      Expr factor = inverseSum(k, maximum, sum);
      Array result{rows.address(problem.output, tile.batch, head), problem.result};
      Expr start = k.toI64(query) * rows.tokenStride(problem.output) + k.toI64(column);
      for (unsigned i = 0; i < columns; i += 2)
        storePair(k, outputs[i] * factor, outputs[i + 1] * factor, result, start + i);
    });
  }

  KernelBuilder &k;
  const AttendProblem &problem;
  const AttendInstance &instance;
  Multiplicand type;
  AttendRows rows;
  unsigned stride; ///< of a row in shared memory, elements
  Slab shared, statistics;
  Expr group, quad, last;
  Array keyArray, valueArray;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitDecode(ModuleOp module, StringRef symbol, const AttendProblem &problem,
                                            const AttendInstance &instance, const GPUTarget &target) {
  assert(instance.rows == rowsOfTile && instance.pack <= rowsOfTile && instance.keys % (warps * blockKeys) == 0);
  // Narrow heads leave registers for a second CTA, whose loads are in flight as well.
  unsigned resident = problem.headDim + problem.valueDim <= 128 ? 2 : 1;
  KernelBuilder k(
      module, symbol, target,
      {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads, .minBlocks = resident}, module.getLoc());
  Decode(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid = {Term::constant(problem.heads / instance.pack * instance.splits), problem.queries, problem.batches};
  launch.grid[1].divisor = instance.rows / instance.pack;
  launch.block = threads;
  launch.dynamicShared = *shared;
  launch.workspace = attendWorkspace(problem, instance.splits);
  return launch;
}

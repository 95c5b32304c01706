// SPDX-License-Identifier: Apache-2.0
//===- LowerRouteScan.cpp - score a bank and keep its best documents ------===//
//
// A block takes a tile. For 64 rows at a time:
//
//   for each 16 question tokens
//     for each head: 32 elements of rows and tokens at a time to shared memory; a thread has one row and four tokens
//       inner products, times scale, into the heads' reduction; then into the tokens' reduction
//   each row into its document's reduction: by the thread of a document's first row
//
// A finished document leaves a key in shared memory, at the place of its first row in the tile: the order of its score in the upper
// half, the place, counted down, in the lower. Sorting them ranks documents: the higher score, of equal scores the lower number.
//
// What is rounded, in order, all in f32: the inner product, one chain of fused multiply-adds; times scale; heads added ascending, then
// divided by their number; tokens in four sums, then the four, then divided; times the row's scale, where there is one; chunks added ascending, then divided. A maximum with a NaN is NaN.
// Where no token takes part every score is -infinity (max) or NaN (mean, last).
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/ScoreOrder.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "codegen/gpu/simt/SpanField.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;
using msa::Reduce;
using Values = msa::cpu::KernelBuilder::Values;

namespace {

constexpr int64_t kThreads = 256, kRows = 64, kGroups = kThreads / kRows, kTokens = 4, kElements = 32;
/// Keys of documents that fit in shared memory beside the rest.
constexpr int64_t kMostRows = 4096;

class RouteScanLowering {
public:
  explicit RouteScanLowering(msa::exec::KernelOp kernel)
      : function(kernel, kernel.getSymName(), kThreads), op(function.getOp<msa::kernel::RouteScanOp>()), b(op), k(b, op.getLoc()),
        keys(k, op.getKeys(), op.getRow(), op.getElement()) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    heads = query.getDimSize(1);
    length = query.getDimSize(2);
    group = heads / (op.getRow() / length);
    rows = k.dim(op.getDocuments(), 0);
    tiles = k.dim(op.getCounts(), 0);
    keep = k.dim(op.getScores(), 1);
    thread = k.thread();
    slot = k.rem(thread, kRows);
    tokenGroup = k.div(thread, kRows);
  }

  Cases run();

private:
  MemRefType f32(ArrayRef<int64_t> shape) { return MemRefType::get(shape, b.getF32Type()); }
  Value start(Reduce reduce) {
    return k.scalar(reduce == Reduce::max    ? -std::numeric_limits<double>::infinity()
                    : reduce == Reduce::last ? std::numeric_limits<double>::quiet_NaN()
                                             : 0.0);
  }
  Value combine(Reduce reduce, Value x, Value y) {
    return reduce == Reduce::max ? k.maximum(x, y) : reduce == Reduce::mean ? k.addF(x, y) : y;
  }
  Value toFloat(Value index) { return arith::SIToFPOp::create(b, k.getLoc(), b.getF32Type(), k.toI64(index)); }
  Value loadDocument(Value row) { return k.loadRaw(op.getDocuments(), {row}); }
  Value isNot(Value condition) { return arith::XOrIOp::create(b, k.getLoc(), condition, k.trueValue()); }

  void findTokens();
  Value firstDocumentFrom(Value row);
  void emitTile(Value tile);
  void scoreRows(Value row, Value end);
  Values scoreTokens(Value row, Value end, Value token, Value state);
  void reduceRows(Value first, Value begin, Value row, Value count, Value end, Value parity);
  void sort(Value size);
  void writeBest(Value tile, Value first, Value size);

  SimtFunction function;
  msa::kernel::RouteScanOp op;
  OpBuilder b;
  SimtBuilder k;
  SpanField keys;
  int64_t heads, length, group;
  Value rows, tiles, keep, thread, slot, tokenGroup;
  Value firstToken, endToken, tokenCount;
  Value keyTile, queryTile, states, scores, carryState, carryCounts, order; ///< shared memory
};

/// Those that take part lie in [firstToken, endToken); of `last`, it is one.
void RouteScanLowering::findTokens() {
  Value tokens = k.dim(op.getMask(), 0);
  Values found = k.forStride(k.lane(), tokens, k.index(kWarp), {tokens, k.index(0), k.index(0)}, [&](Value i, ValueRange in) -> Values {
    Value on = k.loadRaw(op.getMask(), {i});
    return {k.select(on, k.min(in[0], i), in[0]), k.select(on, k.add(i, 1), in[1]), k.select(on, k.add(in[2], 1), in[2])};
  });
  Value first = k.reduceWarp(msa::cpu::Combiner::MinSI, found[0]);
  endToken = k.reduceWarp(msa::cpu::Combiner::MaxSI, found[1]);
  tokenCount = k.reduceWarp(msa::cpu::Combiner::AddI, found[2]);
  firstToken = op.getQueryReduce() == Reduce::last ? k.max(k.sub(endToken, 1), 0) : k.min(first, endToken);
}

/// The first row from `row` on that is the first of a document; the end if there is none.
Value RouteScanLowering::firstDocumentFrom(Value row) {
  Value inside = k.andI(k.less(k.index(0), row), k.less(row, rows));
  return k.ifThenElse(
      inside,
      [&]() -> Values {
        Value previous = loadDocument(k.sub(row, 1));
        // Invariant: documents before `low` belong to the previous one, those from `high` on do not.
        return {k.whileLoop(
            {row, rows}, [&](ValueRange in) { return k.less(in[0], in[1]); },
            [&](ValueRange in) -> Values {
              Value middle = k.div(k.add(in[0], in[1]), 2);
              Value same = k.lessEqual(loadDocument(middle), previous);
              return {k.select(same, k.add(middle, 1), in[0]), k.select(same, in[1], middle)};
            })[0]};
      },
      [&]() -> Values { return {k.min(row, rows)}; })[0];
}

/// The inner products of the thread's row with four tokens from `token` on, in `state`, the reduction over its tokens.
Values RouteScanLowering::scoreTokens(Value row, Value end, Value token, Value state) {
  Value own = k.add(token, k.mul(tokenGroup, kTokens));
  Value active = k.less(own, endToken);
  int64_t rest = length % kElements;
  auto scoreHead = [&](Value head) -> Values {
    Value column = k.mul(k.div(head, group), length);
    Values sums = k.forLoop(k.index(0), k.index(length), kElements, Values(kTokens, k.scalar(0.0)), [&](Value base, ValueRange in) -> Values {
      k.syncBlock();
      Value lane = k.lane(), at = k.add(base, lane), bounded = rest ? k.min(at, length - 1) : at, inside = rest ? k.less(at, k.index(length)) : Value();
      auto zeroOutside = [&](Value x) { return rest ? k.select(inside, x, k.scalar(0.0)) : x; };
      for (int64_t i = 0; i < kRows; i += kThreads / kWarp) {
        Value r = k.add(k.warp(), i), from = k.min(k.add(row, r), k.sub(end, 1));
        k.storeRaw(zeroOutside(k.load(keys.getRows(), {from, k.add(column, bounded)})), keyTile, {r, lane});
      }
      for (int64_t i = 0; i < kGroups * kTokens; i += kThreads / kWarp) {
        Value t = k.add(k.warp(), i), from = k.min(k.add(token, t), k.sub(endToken, 1));
        k.storeRaw(zeroOutside(k.load(op.getQuery(), {from, head, bounded})), queryTile, {t, lane});
      }
      k.syncBlock();
      // A warp whose tokens are past the end has nothing to do.
      return k.ifThenElse(
          active,
          [&]() -> Values {
            return k.forLoop(k.index(0), k.index(kElements), 4, in, [&](Value d, ValueRange carried) -> Values {
              Values acc(carried), x;
              for (int64_t step = 0; step < 4; ++step)
                x.push_back(k.loadRaw(keyTile, {slot, k.add(d, step)}));
              for (int64_t i = 0; i < kTokens; ++i) {
                Values q = k.loadFour(queryTile, {k.add(k.mul(tokenGroup, kTokens), i), d}, true);
                for (int64_t step = 0; step < 4; ++step)
                  acc[i] = k.fma(q[step], x[step], acc[i]);
              }
              return acc;
            });
          },
          [&]() -> Values { return Values(in); });
    });
    for (Value &sum : sums)
      sum = k.mulF(sum, k.scalar(op.getScale().convertToDouble()));
    return sums;
  };
  Values sums;
  if (heads == 1) {
    sums = scoreHead(k.index(0));
  } else {
    sums = k.forLoop(k.index(0), k.index(heads), 1, Values(kTokens, start(op.getHeadReduce())), [&](Value head, ValueRange in) -> Values {
      Values next = scoreHead(head);
      for (auto [sum, before] : llvm::zip(next, in))
        sum = combine(op.getHeadReduce(), before, sum);
      return next;
    });
    if (op.getHeadReduce() == Reduce::mean)
      for (Value &sum : sums)
        sum = k.divF(sum, k.scalar(heads));
  }
  for (int64_t i = 0; i < kTokens; ++i) {
    Value t = k.add(own, i);
    Value on = k.andI(k.less(t, endToken), k.loadRaw(op.getMask(), {k.min(t, k.sub(endToken, 1))}));
    state = k.select(on, combine(op.getQueryReduce(), state, sums[i]), state);
  }
  return {state};
}

/// Scores of rows [row, row + 64) below `end`, to shared memory.
void RouteScanLowering::scoreRows(Value row, Value end) {
  Value state = k.forLoop(firstToken, endToken, kGroups * kTokens, {start(op.getQueryReduce())},
                          [&](Value token, ValueRange in) -> Values { return scoreTokens(row, end, token, in[0]); })[0];
  k.storeRaw(state, states, {tokenGroup, slot});
  k.syncBlock();
  k.ifThen(k.less(thread, k.index(kRows)), [&] {
    Reduce reduce = op.getQueryReduce();
    Value score = k.loadRaw(states, {k.index(0), slot});
    if (reduce != Reduce::last) // which is the first of the first group
      for (int64_t i = 1; i < kGroups; ++i)
        score = combine(reduce, score, k.loadRaw(states, {k.index(i), slot}));
    if (reduce == Reduce::mean)
      score = k.divF(score, toFloat(tokenCount));
    if (op.getKeyScales()) // not negative: a row's maximum is that of its scaled products
      score = k.mulF(score, k.loadRaw(op.getKeyScales(), {k.min(k.add(row, slot), k.sub(end, 1))}));
    k.storeRaw(score, scores, {slot});
  });
  k.syncBlock();
}

/// Rows [row, row + count) into their documents. A document that goes on into the next rows is handed over in the cell of `parity`.
void RouteScanLowering::reduceRows(Value first, Value begin, Value row, Value count, Value end, Value parity) {
  Reduce reduce = op.getChunkReduce();
  k.ifThen(k.less(thread, count), [&] {
    Value own = k.add(row, slot), number = loadDocument(own);
    Value isFirst = k.orI(k.equal(own, begin), k.notEqual(loadDocument(k.max(k.sub(own, 1), 0)), number));
    Value isBlockStart = k.equal(slot, k.index(0));
    k.ifThen(k.orI(isFirst, isBlockStart), [&] {
      Values init = k.ifThenElse(
          isFirst, [&]() -> Values { return {start(reduce), k.index(0), k.sub(own, first)}; },
          [&]() -> Values {
            return {k.loadRaw(carryState, {parity}), k.fromI64(k.loadRaw(carryCounts, {parity, k.index(0)})),
                    k.fromI64(k.loadRaw(carryCounts, {parity, k.index(1)}))};
          });
      Value no = arith::ConstantIntOp::create(b, k.getLoc(), 0, 1);
      // Carried: row of the block, reduction, rows in it, whether the document has ended.
      Values result = k.whileLoop(
          {slot, init[0], init[1], no}, [&](ValueRange in) { return k.andI(isNot(in[3]), k.less(in[0], count)); },
          [&](ValueRange in) -> Values {
            Value next = k.add(k.add(row, in[0]), 1);
            Value ended = k.orI(k.equal(next, end), k.notEqual(loadDocument(k.min(next, k.sub(end, 1))), number));
            return {k.add(in[0], 1), combine(reduce, in[1], k.loadRaw(scores, {in[0]})), k.add(in[2], 1), ended};
          });
      k.ifThenElse(
          result[3],
          [&] {
            Value score = reduce == Reduce::mean ? k.divF(result[1], toFloat(result[2])) : result[1];
            k.storeRaw(rankedKey(k, score, init[2]), order, {init[2]});
          },
          [&] {
            Value other = k.sub(k.index(1), parity);
            k.storeRaw(result[1], carryState, {other});
            k.storeRaw(k.toI64(result[2]), carryCounts, {other, k.index(0)});
            k.storeRaw(k.toI64(init[2]), carryCounts, {other, k.index(1)});
          });
    });
  });
}

/// Sorts `order`, whose size is a power of two, in descending order: a bitonic network.
void RouteScanLowering::sort(Value size) {
  auto shiftLeft = [&](Value x) { return k.mul(x, 2); };
  k.whileLoop({k.index(2)}, [&](ValueRange in) { return k.lessEqual(in[0], size); }, [&](ValueRange outer) -> Values {
    k.whileLoop({k.div(outer[0], 2)}, [&](ValueRange in) { return k.less(k.index(0), in[0]); }, [&](ValueRange inner) -> Values {
      Value stride = inner[0];
      k.forStride(thread, k.div(size, 2), k.index(kThreads), [&](Value i) {
        Value below = k.andI(i, k.sub(stride, 1)), low = k.sub(k.mul(i, 2), below), high = k.add(low, stride);
        Value x = k.loadRaw(order, {low}), y = k.loadRaw(order, {high});
        Value descending = k.equal(k.andI(low, outer[0]), k.index(0));
        Value less = arith::CmpIOp::create(b, k.getLoc(), arith::CmpIPredicate::ult, x, y);
        k.ifThen(k.equal(less, descending), [&] {
          k.storeRaw(y, order, {low});
          k.storeRaw(x, order, {high});
        });
      });
      k.syncBlock();
      return {k.div(stride, 2)};
    });
    return {shiftLeft(outer[0])};
  });
}

void RouteScanLowering::writeBest(Value tile, Value first, Value size) {
  Value count = k.min(keep, size);
  k.forStride(thread, count, k.index(kThreads), [&](Value i) {
    Value key = k.loadRaw(order, {i});
    k.ifThen(k.notEqual(key, k.i64(0)), [&] {
      Value row = k.add(first, placeOf(k, key));
      k.storeRaw(scoreOf(k, key), op.getScores(), {tile, i});
      k.storeRaw(loadDocument(row), op.getEntries(), {tile, i, k.index(0)});
      k.storeRaw(k.toI64(row), op.getEntries(), {tile, i, k.index(1)});
      k.storeRaw(k.toI64(firstDocumentFrom(k.add(row, 1))), op.getEntries(), {tile, i, k.index(2)});
      // The last one says how many there are.
      Value next = k.add(i, 1);
      Value isLast = k.orI(k.equal(next, count), k.equal(k.loadRaw(order, {k.min(next, k.sub(size, 1))}), k.i64(0)));
      k.ifThen(isLast, [&] { k.storeRaw(k.toI64(next), op.getCounts(), {tile}); });
    });
  });
}

void RouteScanLowering::emitTile(Value tile) {
  Value first = k.mul(tile, op.getRows()), past = k.add(first, op.getRows());
  Value begin = firstDocumentFrom(first), end = firstDocumentFrom(past);
  k.ifThenElse(
      k.less(begin, end),
      [&] {
        // Places of documents: rows of the tile. The network wants a power of two.
        Value places = k.sub(k.min(past, rows), first);
        Value bits = k.sub(k.index(64), k.fromI64(math::CountLeadingZerosOp::create(b, k.getLoc(), k.toI64(k.sub(places, 1)))));
        Value size = k.fromI64(arith::ShLIOp::create(b, k.getLoc(), k.i64(1), k.toI64(bits)));
        k.forStride(thread, size, k.index(kThreads), [&](Value i) { k.storeRaw(k.i64(0), order, {i}); });
        k.forLoop(begin, end, kRows, {k.index(0)}, [&](Value row, ValueRange in) -> Values {
          scoreRows(row, end);
          reduceRows(first, begin, row, k.min(k.sub(end, row), kRows), end, in[0]);
          return {k.sub(k.index(1), in[0])};
        });
        k.syncBlock();
        sort(size);
        writeBest(tile, first, size);
        k.syncBlock();
      },
      [&] { k.ifThen(k.equal(thread, k.index(0)), [&] { k.storeRaw(k.i64(0), op.getCounts(), {tile}); }); });
}

Cases RouteScanLowering::run() {
  int64_t places = llvm::PowerOf2Ceil(op.getRows());
  if (places > kMostRows)
    return op.emitOpError("has no lowering for the GPU with ") << op.getRows() << " rows a tile: expected " << kMostRows << " at most";
  keyTile = function.shared(k, f32({kRows, kElements + 1}));
  queryTile = function.shared(k, f32({kGroups * kTokens, kElements}));
  states = function.shared(k, f32({kGroups, kRows}));
  scores = function.shared(k, f32({kRows}));
  carryState = function.shared(k, f32({2}));
  carryCounts = function.shared(k, MemRefType::get({2, 2}, b.getI64Type()));
  order = function.shared(k, MemRefType::get({places}, b.getI64Type()));
  function.getLaunch().grid[0] = function.gridOf(ValueRange{tiles});
  findTokens();
  k.forStride(k.block(), tiles, k.blocks(), [&](Value tile) { emitTile(tile); });
  op.erase();
  return always(function.getLaunch());
}

} // namespace

Cases msa::gpu::simt::lowerRouteScan(exec::KernelOp kernel) { return RouteScanLowering(kernel).run(); }

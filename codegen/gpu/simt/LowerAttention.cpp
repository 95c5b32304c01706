// SPDX-License-Identifier: Apache-2.0
//===- LowerAttention.cpp - online softmax, a key a lane ------------------===//
//
// A flat row is one query head of one query; those of one key head share its keys. A block has four warps of a few flat rows each, and
// takes keys in tiles of 32:
//
//   keys to shared memory; lane j has the scores of key j with the warp's rows
//   each row's maximum and weights; the weights to shared memory
//   values to shared memory; lane e adds elements e, e + 32, .. of the outputs
//
// With `documents`, each run of queries of one document is a problem of its own, whose tiles start at the document's first token: a
// document's result does not depend on its neighbours.
//
// Few queries on many keys are split: blocks of their own take ranges of keys, whose length depends on the number of keys alone, and leave
// maximum, sum and outputs in the workspace; a second launch puts them together in order.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include <numbers>

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

namespace {

constexpr int64_t kWarps = 4, kKeys = 32, kChunk = 128;
/// Splitting: up to so many queries; keys of a split at least; splits at most.
constexpr int64_t kFewQueries = 4, kSplitKeys = 256, kSplits = 256;

class AttentionLowering {
public:
  AttentionLowering(msa::exec::KernelOp kernel, StringRef symbol)
      : function(kernel, symbol, kWarps * kWarp), op(function.getOp<msa::kernel::AttentionOp>()), b(op), k(b, op.getLoc()) {
    auto query = cast<MemRefType>(op.getQuery().getType()), value = cast<MemRefType>(op.getValue().getType());
    heads = query.getDimSize(2);
    headDim = query.getDimSize(3);
    kvHeads = value.getDimSize(2);
    valueDim = value.getDimSize(3);
    group = heads / kvHeads;
    batches = k.dim(op.getQuery(), 0);
    queries = k.dim(op.getQuery(), 1);
    keys = k.dim(op.getKey(), 1);
    lane = k.lane();
    warp = k.warp();
    valueParts = llvm::divideCeil(valueDim, kWarp);
  }

  std::optional<int64_t> staticQueries() { return getConstantIntValue(queries); }
  std::optional<uint32_t> queryScalar() { return function.scalarNumber(queries); }
  std::optional<int64_t> staticKeys() { return getConstantIntValue(keys); }
  /// Whether the workspace of a split can be said in the launch table.
  bool canSplit() { return !op.getDocuments() && function.termOf(ValueRange{batches, queries}); }
  void discard() { function.getFunction().erase(); }

  Launch emitWhole() {
    rowsPerWarp = valueDim > 256 ? 2 : 4;
    split = false;
    emitItems();
    return function.getLaunch();
  }
  Launch emitSplit() {
    rowsPerWarp = group <= 4 ? 1 : group <= 8 || valueDim > 256 ? 2 : 4;
    split = true;
    emitItems();
    return function.getLaunch();
  }
  Launch emitCombine();

private:
  struct Row { // of a warp
    Value valid, query, head, document;
  };
  int64_t blockRows() const { return kWarps * rowsPerWarp; }
  MemRefType f32(ArrayRef<int64_t> shape) { return MemRefType::get(shape, b.getF32Type()); }
  void emitItems();
  void emitBlock(Value batch, Value kvHead, Value firstRow, Value splitNumber);
  Values attend(ValueRange state, Value begin, Value end);
  Values scores(Value key, Value tile, Value end);
  void loadTile(Value source, Value tile, Value end, int64_t chunk, int64_t length);
  Value visible(const Row &row, Value key, Value end);
  Value maskIndex(int64_t axis, Value index);
  Value firstOfDocument(Value token);
  Value endOfDocument(Value token, Value limit);
  Value sameDocument(Value a, Value number);
  Value exponential(Value difference) { return k.exp2Approximate(k.mulF(difference, k.scalar(std::numbers::log2e))); }
  Value keysOfSplit() { return k.max(k.roundUp(k.ceilDiv(keys, kSplits), kKeys), kSplitKeys); }
  /// Of the workspace: [flat rows of all batches and heads, splits, maximum, sum and outputs].
  Value partials();
  void finish(ValueRange state, Value splitNumber);

  SimtFunction function;
  msa::kernel::AttentionOp op;
  OpBuilder b;
  SimtBuilder k;
  int64_t heads, kvHeads, headDim, valueDim, group, valueParts, rowsPerWarp = 4;
  bool split = false;
  Value batches, queries, keys, lane, warp;
  Value queryRows, tileMemory, weights; ///< shared memory
  Value batch, kvHead;                  ///< of the block's item
  SmallVector<Row> rows;
};

Value AttentionLowering::partials() {
  Value flat = k.mul(k.mul(batches, queries), heads);
  return k.asMemRef(function.getWorkspace(), f32({ShapedType::kDynamic, kSplits, valueDim + 2}), {flat});
}

/// All items, in loops over the grid's axes: blocks of flat rows, batches and key heads, splits.
void AttentionLowering::emitItems() {
  int64_t paddedDim = llvm::alignTo(headDim, 4);
  queryRows = function.shared(k, f32({blockRows(), paddedDim}));
  tileMemory = function.shared(k, f32({kKeys, std::min(kChunk, static_cast<int64_t>(llvm::alignTo(std::max(headDim, valueDim), kWarp))) + 1}));
  weights = function.shared(k, f32({blockRows(), kKeys}));
  Value flat = k.mul(queries, group);
  Launch &launch = function.getLaunch();
  launch.grid[0] = function.gridOf(ValueRange{queries, k.index(group)}, blockRows());
  launch.grid[1] = function.gridOf(ValueRange{batches, k.index(kvHeads)}, 1, kvHeads);
  auto item = [&](Value splitNumber) {
    k.forStride(k.block(1), k.mul(batches, kvHeads), k.blocks(1), [&](Value number) {
      k.forStride(k.mul(k.block(0), blockRows()), flat, k.mul(k.blocks(0), blockRows()),
                  [&](Value firstRow) { emitBlock(k.div(number, kvHeads), k.rem(number, kvHeads), firstRow, splitNumber); });
    });
  };
  if (split) {
    launch.grid[2] = function.gridOf(ValueRange{keys}, kSplitKeys, kSplits);
    launch.workspace = function.termOf(ValueRange{batches, queries});
    launch.workspace->multiplier = heads * kSplits * (valueDim + 2) * 4;
    k.forStride(k.block(2), k.max(k.index(1), k.ceilDivide(keys, keysOfSplit())), k.blocks(2), item);
  } else {
    item({});
  }
  op.erase();
}

void AttentionLowering::emitBlock(Value itemBatch, Value itemHead, Value firstRow, Value splitNumber) {
  batch = itemBatch;
  kvHead = itemHead;
  Value flat = k.mul(queries, group);
  // The block's queries, to shared memory; rows past the end repeat the last one.
  k.syncBlock();
  k.forStride(k.thread(), k.index(blockRows() * headDim), k.index(kWarps * kWarp), [&](Value element) {
    Value row = k.min(k.add(firstRow, k.div(element, headDim)), k.sub(flat, 1)), d = k.rem(element, headDim);
    Value x = k.load(op.getQuery(), {batch, k.div(row, group), k.add(k.mul(kvHead, group), k.rem(row, group)), d});
    k.storeRaw(k.mulF(x, k.scalar(op.getScale().convertToDouble())), queryRows, {k.div(element, headDim), d});
  });
  rows.clear();
  for (int64_t r = 0; r < rowsPerWarp; ++r) {
    Value number = k.add(firstRow, k.add(k.mul(warp, rowsPerWarp), r));
    Row row;
    row.valid = k.less(number, flat);
    Value bounded = k.min(number, k.sub(flat, 1));
    row.query = k.div(bounded, group);
    row.head = k.add(k.mul(kvHead, group), k.rem(bounded, group));
    if (op.getDocuments())
      row.document = k.loadRaw(op.getDocuments(), {row.query});
    rows.push_back(row);
  }
  // Each row's maximum, this lane's part of its sum, and this lane's elements of its output.
  Values state;
  for (int64_t r = 0; r < rowsPerWarp; ++r) {
    state.push_back(k.scalar(-std::numeric_limits<double>::infinity()));
    state.append(1 + valueParts, k.scalar(0.0));
  }
  Value firstQuery = k.div(firstRow, group);
  Value endQuery = k.add(k.div(k.min(k.sub(k.add(firstRow, blockRows()), 1), k.sub(flat, 1)), group), 1);
  k.syncBlock();
  if (op.getDocuments()) {
    Values carried(state);
    carried.push_back(firstQuery);
    Values result = k.whileLoop(
        carried, [&](ValueRange in) { return k.less(in.back(), endQuery); },
        [&](ValueRange in) -> Values {
          Value query = in.back(), runEnd = endOfDocument(query, endQuery);
          Value begin = firstOfDocument(query), end = op.getCausal() ? runEnd : endOfDocument(k.sub(runEnd, 1), queries);
          Values next = attend(in.drop_back(), begin, end);
          next.push_back(runEnd);
          return next;
        });
    result.pop_back();
    state = result;
  } else {
    Value begin = k.index(0), end = keys;
    if (op.getCausal()) // what the last of these queries sees; nothing if that is negative
      end = k.min(end, k.max(k.sub(k.add(endQuery, keys), queries), 0));
    if (split) {
      begin = k.mul(splitNumber, keysOfSplit());
      end = k.min(end, k.add(begin, keysOfSplit()));
    }
    state = attend(state, begin, end);
  }
  finish(state, splitNumber);
}

/// Online softmax of the warp's rows over keys [begin, end), in tiles.
Values AttentionLowering::attend(ValueRange state, Value begin, Value end) {
  int64_t width = 2 + valueParts;
  return k.forLoop(begin, end, kKeys, state, [&](Value tile, ValueRange in) -> Values {
    Value key = k.add(tile, lane);
    Values s = scores(key, tile, end), next(in);
    for (int64_t r = 0; r < rowsPerWarp; ++r) {
      Value most = k.reduceWarp(msa::cpu::Combiner::MaxNumF, s[r]);
      Value maximum = arith::MaxNumFOp::create(b, k.getLoc(), in[r * width], most);
      // A row that has seen nothing so far must not subtract infinity from itself.
      Value none = k.equalF(maximum, k.scalar(-std::numeric_limits<double>::infinity()));
      Value reference = k.select(none, k.scalar(0.0), maximum);
      Value rescale = exponential(k.subF(in[r * width], reference)), weight = exponential(k.subF(s[r], reference));
      next[r * width] = maximum;
      next[r * width + 1] = k.fma(in[r * width + 1], rescale, weight);
      for (int64_t part = 0; part < valueParts; ++part)
        next[r * width + 2 + part] = k.mulF(in[r * width + 2 + part], rescale);
      k.storeRaw(weight, weights, {k.add(k.mul(warp, rowsPerWarp), r), lane});
    }
    for (int64_t chunk = 0; chunk < valueDim; chunk += kChunk) {
      int64_t length = std::min(kChunk, valueDim - chunk), parts = llvm::divideCeil(length, kWarp), firstPart = chunk / kWarp;
      k.syncBlock();
      loadTile(op.getValue(), tile, end, chunk, length);
      k.syncBlock();
      Values sums;
      for (int64_t r = 0; r < rowsPerWarp; ++r)
        for (int64_t part = 0; part < parts; ++part)
          sums.push_back(next[r * width + 2 + firstPart + part]);
      sums = k.forLoop(k.index(0), k.index(kKeys), 4, sums, [&](Value j, ValueRange carried) -> Values {
        Values acc(carried);
        SmallVector<Values> w;
        for (int64_t r = 0; r < rowsPerWarp; ++r)
          w.push_back(k.loadFour(weights, {k.add(k.mul(warp, rowsPerWarp), r), j}, true));
        for (int64_t step = 0; step < 4; ++step)
          for (int64_t part = 0; part < parts; ++part) {
            Value v = k.loadRaw(tileMemory, {k.add(j, step), k.add(lane, part * kWarp)});
            for (int64_t r = 0; r < rowsPerWarp; ++r)
              acc[r * parts + part] = k.fma(w[r][step], v, acc[r * parts + part]);
          }
        return acc;
      });
      for (int64_t r = 0; r < rowsPerWarp; ++r)
        for (int64_t part = 0; part < parts; ++part)
          next[r * width + 2 + firstPart + part] = sums[r * parts + part];
    }
    return next;
  });
}

/// This lane's key with each of the warp's rows: scaled, masked.
Values AttentionLowering::scores(Value key, Value tile, Value end) {
  Values sums(rowsPerWarp, k.scalar(0.0));
  for (int64_t chunk = 0; chunk < headDim; chunk += kChunk) {
    int64_t length = std::min(kChunk, headDim - chunk), whole = length / 4 * 4;
    k.syncBlock();
    loadTile(op.getKey(), tile, end, chunk, length);
    k.syncBlock();
    auto row = [&](int64_t r) { return k.add(k.mul(warp, rowsPerWarp), r); };
    if (whole)
      sums = k.forLoop(k.index(0), k.index(whole), 4, sums, [&](Value d, ValueRange carried) -> Values {
        Values acc(carried), x;
        for (int64_t step = 0; step < 4; ++step)
          x.push_back(k.loadRaw(tileMemory, {lane, k.add(d, step)}));
        for (int64_t r = 0; r < rowsPerWarp; ++r) {
          Values q = k.loadFour(queryRows, {row(r), k.add(d, chunk)}, true);
          for (int64_t step = 0; step < 4; ++step)
            acc[r] = k.fma(q[step], x[step], acc[r]);
        }
        return acc;
      });
    for (int64_t d = whole; d < length; ++d) {
      Value x = k.loadRaw(tileMemory, {lane, k.index(d)});
      for (int64_t r = 0; r < rowsPerWarp; ++r)
        sums[r] = k.fma(k.loadRaw(queryRows, {row(r), k.index(chunk + d)}), x, sums[r]);
    }
  }
  Value hidden = k.scalar(-std::numeric_limits<double>::infinity());
  for (int64_t r = 0; r < rowsPerWarp; ++r) {
    Value seen = visible(rows[r], key, end);
    if (Value mask = op.getMask()) {
      // Past the end there is no mask to read.
      Value bounded = k.min(key, k.sub(end, 1));
      Value x = k.loadRaw(mask, {maskIndex(0, batch), maskIndex(1, rows[r].head), maskIndex(2, rows[r].query), maskIndex(3, bounded)});
      if (x.getType().isInteger(1))
        seen = k.andI(seen, x);
      else
        sums[r] = k.addF(sums[r], x);
    }
    sums[r] = k.select(seen, sums[r], hidden);
  }
  return sums;
}

Value AttentionLowering::visible(const Row &row, Value key, Value end) {
  Value seen = k.less(key, end);
  if (op.getCausal()) // key <= query + keys - queries
    seen = k.andI(seen, k.lessEqual(k.add(key, queries), k.add(row.query, keys)));
  if (op.getDocuments())
    seen = k.andI(seen, sameDocument(k.min(key, k.sub(queries, 1)), row.document));
  return seen;
}

Value AttentionLowering::maskIndex(int64_t axis, Value index) {
  auto type = cast<MemRefType>(op.getMask().getType());
  if (!type.isDynamicDim(axis))
    return type.getDimSize(axis) == 1 ? k.index(0) : index;
  return k.select(k.equal(k.dim(op.getMask(), axis), k.index(1)), k.index(0), index);
}

/// Elements [chunk, chunk + length) of 32 keys or values to shared memory, a warp a row. Rows from `end` on and elements past the
/// chunk are repeats of the last ones: their weights are 0, their sums are not stored.
void AttentionLowering::loadTile(Value source, Value tile, Value end, int64_t chunk, int64_t length) {
  int64_t parts = llvm::divideCeil(length, kWarp);
  k.forLoop(k.index(0), k.index(kKeys / kWarps), 2, [&](Value pair) {
    for (int64_t second = 0; second < 2; ++second) {
      Value row = k.add(k.mul(k.add(pair, second), kWarps), warp);
      Value key = k.min(k.add(tile, row), k.sub(end, 1));
      for (int64_t part = 0; part < parts; ++part) {
        Value at = k.add(lane, part * kWarp), from = at;
        if ((part + 1) * kWarp > length)
          from = k.min(at, length - 1);
        k.storeRaw(k.load(source, {batch, key, kvHead, k.add(from, chunk)}), tileMemory, {row, at});
      }
    }
  });
}

Value AttentionLowering::sameDocument(Value token, Value number) { return k.equal(k.loadRaw(op.getDocuments(), {token}), number); }

/// The first token of the document of `token`. A warp looks at 32 places at once; documents are contiguous.
Value AttentionLowering::firstOfDocument(Value token) {
  Value number = k.loadRaw(op.getDocuments(), {token});
  // Invariant: `in` is of the document, tokens below `out` are not.
  return k.whileLoop(
      {token, k.index(0)}, [&](ValueRange at) { return k.less(at[1], at[0]); },
      [&](ValueRange at) -> Values {
        Value step = k.ceilDiv(k.sub(at[0], at[1]), kWarp);
        Value offset = k.mul(k.add(lane, 1), step), distance = k.sub(at[0], at[1]);
        Value place = k.sub(at[0], k.min(offset, distance));
        Value same = k.andI(k.lessEqual(offset, distance), sameDocument(place, number));
        Value count = k.fromI64(arith::ExtUIOp::create(b, k.getLoc(), b.getI64Type(), math::CtPopOp::create(b, k.getLoc(), k.ballot(same))));
        Value in = k.sub(at[0], k.mul(count, step));
        Value out = k.max(at[1], k.add(k.sub(in, step), 1));
        return {in, k.min(out, in)};
      })[0];
}

/// The first token after `token`, below `limit`, of another document, or `limit`.
Value AttentionLowering::endOfDocument(Value token, Value limit) {
  Value number = k.loadRaw(op.getDocuments(), {token});
  // Invariant: `last` is of the document, tokens from `out` on are not, or not below the limit.
  return k.add(k.whileLoop(
                   {token, limit}, [&](ValueRange at) { return k.less(k.add(at[0], 1), at[1]); },
                   [&](ValueRange at) -> Values {
                     Value distance = k.sub(k.sub(at[1], at[0]), 1), step = k.ceilDiv(distance, kWarp);
                     Value offset = k.mul(k.add(lane, 1), step);
                     Value place = k.add(at[0], k.min(offset, distance));
                     Value same = k.andI(k.lessEqual(offset, distance), sameDocument(place, number));
                     Value count = k.fromI64(arith::ExtUIOp::create(b, k.getLoc(), b.getI64Type(), math::CtPopOp::create(b, k.getLoc(), k.ballot(same))));
                     Value last = k.add(at[0], k.mul(count, step));
                     return {last, k.min(at[1], k.add(last, step))};
                   })[0],
               1);
}

/// The rows' results, or what is to be put together.
void AttentionLowering::finish(ValueRange state, Value splitNumber) {
  int64_t width = 2 + valueParts;
  Value memory = split ? partials() : Value();
  for (int64_t r = 0; r < rowsPerWarp; ++r) {
    Value sum = k.reduceWarp(msa::cpu::Combiner::AddF, state[r * width + 1]);
    const Row &row = rows[r];
    Value empty = k.equalF(sum, k.scalar(0.0));
    k.ifThen(row.valid, [&] {
      Value place = k.add(k.mul(k.add(k.mul(batch, queries), row.query), heads), row.head);
      if (split)
        k.ifThen(k.equal(lane, k.index(0)), [&] {
          k.storeRaw(state[r * width], memory, {place, splitNumber, k.index(valueDim)});
          k.storeRaw(sum, memory, {place, splitNumber, k.index(valueDim + 1)});
        });
      for (int64_t part = 0; part < valueParts; ++part) {
        Value e = k.add(lane, part * kWarp), x = state[r * width + 2 + part];
        auto store = [&] {
          if (split)
            k.storeRaw(x, memory, {place, splitNumber, e});
          else
            k.store(k.select(empty, k.scalar(0.0), k.divF(x, sum)), op.getResult(), {batch, row.query, row.head, e});
        };
        if ((part + 1) * kWarp <= valueDim)
          store();
        else
          k.ifThen(k.less(e, k.index(valueDim)), store);
      }
    });
  }
}

/// A warp puts the splits of one flat row together.
Launch AttentionLowering::emitCombine() {
  constexpr int64_t atOnce = 8;
  Value memory = partials(), splits = k.ceilDivide(keys, keysOfSplit()), last = k.max(k.sub(splits, 1), 0);
  Value infinity = k.scalar(-std::numeric_limits<double>::infinity());
  function.getLaunch().grid[0] = function.gridOf(ValueRange{batches, queries, k.index(heads)}, kWarps);
  Value total = k.mul(k.mul(batches, queries), heads);
  k.forStride(k.add(k.mul(k.block(), kWarps), warp), total, k.mul(k.blocks(), kWarps), [&](Value place) {
    Value maximum = k.forStride(lane, splits, k.index(kWarp), {infinity}, [&](Value s, ValueRange in) -> Values {
      return {arith::MaxNumFOp::create(b, k.getLoc(), in[0], k.loadRaw(memory, {place, s, k.index(valueDim)}))};
    })[0];
    maximum = k.reduceWarp(msa::cpu::Combiner::MaxNumF, maximum);
    Value reference = k.select(k.equalF(maximum, infinity), k.scalar(0.0), maximum);
    auto weightOf = [&](Value s) { return exponential(k.subF(k.loadRaw(memory, {place, s, k.index(valueDim)}), reference)); };
    Value sum = k.forStride(lane, splits, k.index(kWarp), {k.scalar(0.0)}, [&](Value s, ValueRange in) -> Values {
      return {k.fma(weightOf(s), k.loadRaw(memory, {place, s, k.index(valueDim + 1)}), in[0])};
    })[0];
    sum = k.reduceWarp(msa::cpu::Combiner::AddF, sum);
    Value empty = k.equalF(sum, k.scalar(0.0));
    Value query = k.rem(k.div(place, heads), queries), head = k.rem(place, heads), ownBatch = k.div(k.div(place, heads), queries);
    for (int64_t part = 0; part < valueParts; ++part) {
      Value e = k.add(lane, part * kWarp), from = k.min(e, valueDim - 1);
      Value x = k.forLoop(k.index(0), splits, atOnce, {k.scalar(0.0)}, [&](Value first, ValueRange in) -> Values {
        Value acc = in[0];
        // Several loads on their way at once; splits past the last weigh nothing.
        for (int64_t i = 0; i < atOnce; ++i) {
          Value s = k.add(first, i), bounded = k.min(s, last);
          Value weight = k.select(k.less(s, splits), weightOf(bounded), k.scalar(0.0));
          Value y = k.loadRaw(memory, {place, bounded, from});
          acc = k.select(k.less(s, splits), k.fma(weight, y, acc), acc);
        }
        return {acc};
      })[0];
      k.ifThen(k.less(e, k.index(valueDim)), [&] {
        k.storeRaw(k.select(empty, k.scalar(0.0), k.divF(x, sum)), op.getResult(), {ownBatch, query, head, e});
      });
    }
  });
  op.erase();
  return function.getLaunch();
}

} // namespace

Cases msa::gpu::simt::lowerAttention(exec::KernelOp kernel) {
  AttentionLowering whole(kernel, kernel.getSymName());
  std::optional<int64_t> known = whole.staticQueries();
  std::optional<uint32_t> scalar = whole.queryScalar();
  bool few = known ? *known <= kFewQueries : scalar.has_value();
  if (whole.staticKeys().value_or(kSplitKeys + 1) <= kSplitKeys || !whole.canSplit())
    few = false;
  auto splitLaunches = [&]() -> std::vector<Launch> {
    std::string name = kernel.getSymName().str();
    std::vector<Launch> launches = {AttentionLowering(kernel, name + "$split").emitSplit(), AttentionLowering(kernel, name + "$combine").emitCombine()};
    launches[1].workspace = launches[0].workspace;
    return launches;
  };
  std::vector<LaunchCase> cases;
  if (few && known) {
    whole.discard();
    cases.push_back({std::nullopt, 0, splitLaunches()});
    return cases;
  }
  Launch launch = whole.emitWhole();
  if (few)
    cases.push_back({*scalar, kFewQueries + 1, splitLaunches()});
  cases.push_back({std::nullopt, 0, {std::move(launch)}});
  return cases;
}

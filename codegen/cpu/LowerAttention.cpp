// SPDX-License-Identifier: Apache-2.0
//===- LowerAttention.cpp - kernel.attention to online softmax ------------===//
//
// A tile works on flat rows, one for each query head of each of its queries, which all read one key head. Keys come in
// blocks of 64, counted from where a row's keys start, and each row keeps a maximum m, a sum of weights l and an
// unfinished output o:
//
//   s = q k'                        scores, in units of log2: the query was scaled by scale * log2(e)
//   m' = max(m, s)                  a = 2^(m - m')
//   p = 2^(s - m')                  l = l a + sum p           o = o a + p v
//
// A block that a row does not see leaves all three as they are, to the bit, so a row's result does not depend on its
// neighbours in the tile. With `documents`, each run of queries of one document is a problem of its own, whose key
// blocks start at the document's first token: packing does not matter either.
//
// Many queries: the block's keys are transposed into panels, its values copied, both as f32, and register tiles do the
// products (emitSegment). One query, a decode step: keys and values are read once, where they lie, for all heads of the
// group (emitSingleQuery). There, a call that has several key heads takes them in turn over each block: the rows of one
// head lie far apart, those of all heads do not, and reading memory in its order is worth a factor of two.
//
// test/codegen/attention.mlir pins the shape, test/codegen/attention_test.py the numbers.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelBuilder.h"
#include "codegen/cpu/Passes.h"
#include "codegen/cpu/TileSizes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using msa::kernel::AttentionOp;

namespace {

constexpr double log2e = 1.4426950408889634;
constexpr double infinity = std::numeric_limits<double>::infinity();
/// Where a row of scores starts; the space before it takes what a group of keys that starts early computes again.
constexpr int64_t scoreOrigin = 16;
/// Keys that a decode step takes in at once: fewer, since a block of all heads and the next share the cache.
constexpr int64_t singleKeyBlock = 32;

/// Flat rows [begin, begin + count) of register tile height, whose scores are rows [0, count) of `scores`.
struct RowBlock {
  int64_t count;
  Value begin;
};

/// Emits one kernel.attention.
class AttentionLowering {
public:
  AttentionLowering(AttentionOp op, OpBuilder &builder, const CPUTarget &target);
  void emit();

private:
  /// Queries [rowBegin, rowEnd) of the tile attend to keys [keyBegin, keyEnd).
  struct Segment {
    Value rowBegin, rowEnd, keyBegin, keyEnd;
  };

  void emitDocuments(Value rowBegin, Value rowEnd);
  void emitSegment(const Segment &segment);
  void emitSingleQuery();

  void loadQueries(Value rowBegin, Value rowEnd, Value flatBegin);
  void packKeys(Value key, Value count);
  void packValues(Value key, Value count);
  void emitRowBlock(const Segment &segment, RowBlock rows, Value flatRows, Value key, Value count);
  void emitSoftmax(RowBlock rows, int64_t keysOfBlock, Value key, function_ref<Value(Value)> limitOf,
                   function_ref<Value(Value)> queryOf);
  Value maskScores(Value scores, Value flatRow, Value query, Value key, int64_t vector, Value limit);
  int64_t singleHeads() const;
  void prefetch(Value memref, Value row, Value d, int64_t offset);
  void emitSingleScores(Value flatBegin, Value key, Value count);
  void emitSingleValues(Value flatBegin, Value key, Value count);
  void storeResults(Value rowBegin, Value rowEnd, Value flatBegin);

  int64_t vectorsOf(int64_t elements) const { return roundUp(elements, lanes) / lanes; }
  Value vectorColumn(int64_t vector) { return b.index(vector * lanes); }
  /// The mask of a row's vector number `vector`, or nothing if the row fills it.
  Value tailMask(int64_t elements, int64_t vector) {
    int64_t left = elements - vector * lanes;
    return left < lanes ? b.mask(b.index(left)) : Value();
  }
  Value scoreColumn(int64_t vector) { return b.index(scoreOrigin + vector * lanes); }

  AttentionOp op;
  KernelBuilder b;
  int64_t lanes, heads, kvHeads, group, headDim, valueDim;
  ArrayRef<int64_t> rowHeights;
  Value query, output, maximum, sum, keys, values, scores, newMaximum, rescale;
  Value queryCount, keyCount; // M and N
  Value batch, kvHead;        // of the tile
};

AttentionLowering::AttentionLowering(AttentionOp op, OpBuilder &builder, const CPUTarget &target)
    : op(op), b(builder, op.getLoc(), target), lanes(target.lanes) {
  auto queryType = cast<MemRefType>(op.getQuery().getType());
  heads = queryType.getDimSize(2);
  headDim = queryType.getDimSize(3);
  auto valueType = cast<MemRefType>(op.getValue().getType());
  kvHeads = valueType.getDimSize(2);
  valueDim = valueType.getDimSize(3);
  group = heads / kvHeads;
  static constexpr int64_t wide[] = {12, 4}, narrow[] = {6, 2};
  rowHeights = target.registers >= 32 ? wide : narrow;

  AttentionScratch layout(heads, kvHeads, headDim, valueDim, op.getRows());
  auto carve = [&](int64_t offset, ArrayRef<int64_t> shape) { return b.carve(op.getScratch(), offset, shape); };
  query = carve(layout.query, {layout.rows, paddedRow(headDim)});
  output = carve(layout.output, {layout.rows, paddedRow(valueDim)});
  maximum = carve(layout.maximum, {layout.rows + 16});
  sum = carve(layout.sum, {layout.rows, 16});
  keys = carve(layout.keys, {keyBlock / panelWidth, headDim, panelWidth});
  values = carve(layout.values, {keyBlock, paddedRow(valueDim)});
  scores = carve(layout.scores, {layout.scoreRows, paddedRow(scoreOrigin + keyBlock)});
  newMaximum = carve(layout.rescale, {layout.scoreRows + 16});
  rescale = carve(layout.rescale + (layout.scoreRows + 16) * 4, {layout.scoreRows + 16});
}

void AttentionLowering::emit() {
  queryCount = b.dim(op.getQuery(), 1);
  keyCount = b.dim(op.getKey(), 1);
  auto many = [&] {
    Value blocks = b.ceilDiv(queryCount, op.getRows());
    b.forLoop(op.getLo(), op.getHi(), 1, [&](Value tile) {
      Value rest = b.div(tile, blocks);
      kvHead = b.rem(rest, kvHeads);
      batch = b.div(rest, kvHeads);
      Value rowBegin = b.mul(b.rem(tile, blocks), op.getRows());
      Value rowEnd = b.min(b.add(rowBegin, op.getRows()), queryCount);
      if (op.getDocuments())
        return emitDocuments(rowBegin, rowEnd);
      Value keyEnd = keyCount;
      if (op.getCausal())
        keyEnd = b.min(b.max(b.add(rowEnd, b.sub(keyCount, queryCount)), 0), keyCount);
      emitSegment({rowBegin, rowEnd, b.index(0), keyEnd});
    });
  };
  if (op.getDocuments())
    return many();
  // Depends on the whole problem's shape alone, so that a row does not change with the tile.
  Value single = b.andI(b.equal(queryCount, b.index(1)), b.lessEqual(b.index(lanes), keyCount));
  b.ifThenElse(single, [&] { emitSingleQuery(); }, many);
}

//===----------------------------------------------------------------------===//
// Documents
//===----------------------------------------------------------------------===//

void AttentionLowering::emitDocuments(Value rowBegin, Value rowEnd) {
  auto documentAt = [&](Value token) { return b.loadRaw(op.getDocuments(), {token}); };
  auto running = [&](ValueRange carried) { return b.less(carried[0], rowEnd); };
  b.whileLoop({rowBegin}, running, [&](ValueRange carried) -> KernelBuilder::Values {
    Value row = carried[0], document = documentAt(row);
    /// The first token from `from` on, below `end`, of another document.
    auto endOfDocument = [&](Value from, Value end) {
      return b
          .whileLoop(
              {from},
              [&](ValueRange at) {
                Value inside = b.less(at[0], end);
                Value same = b.equal(documentAt(b.min(at[0], b.sub(queryCount, 1))), document);
                return b.andI(inside, same);
              },
              [&](ValueRange at) -> KernelBuilder::Values { return {b.add(at[0], 1)}; })
          .front();
    };
    Value keyBegin = b.whileLoop(
                          {row},
                          [&](ValueRange at) {
                            Value before = b.max(b.sub(at[0], 1), 0);
                            return b.andI(b.less(b.index(0), at[0]), b.equal(documentAt(before), document));
                          },
                          [&](ValueRange at) -> KernelBuilder::Values { return {b.sub(at[0], 1)}; })
                         .front();
    Value segmentEnd = endOfDocument(b.add(row, 1), rowEnd);
    Value keyEnd = op.getCausal() ? segmentEnd : endOfDocument(segmentEnd, queryCount);
    emitSegment({row, segmentEnd, keyBegin, keyEnd});
    return {segmentEnd};
  });
}

//===----------------------------------------------------------------------===//
// Many queries
//===----------------------------------------------------------------------===//

/// Scales queries into scratch and starts their flat rows, from `flatBegin` on.
void AttentionLowering::loadQueries(Value rowBegin, Value rowEnd, Value flatBegin) {
  Value scale = b.splat(op.getScale().convertToDouble() * log2e), zero = b.zero();
  b.forLoop(rowBegin, rowEnd, 1, [&](Value row) {
    b.forLoop(b.index(0), b.index(group), 1, [&](Value head) {
      Value flat = b.add(flatBegin, b.add(b.mul(b.sub(row, rowBegin), group), head));
      Value queryHead = b.add(b.mul(kvHead, group), head);
      b.forVectors(b.index(headDim), [&](Value d, Value mask) {
        Value vector = b.loadVector(op.getQuery(), {batch, row, queryHead, d}, mask);
        b.storeVector(b.mulF(vector, scale), query, {flat, d});
      });
      b.forLoop(b.index(0), b.index(vectorsOf(valueDim) * lanes), lanes,
                [&](Value e) { b.storeVector(zero, output, {flat, e}); });
      b.storeVector(zero, sum, {flat, b.index(0)});
      b.store(b.scalar(-infinity), maximum, {flat});
    });
  });
}

/// Keys [key, key + count) to panels. Lanes past the count repeat the last key.
void AttentionLowering::packKeys(Value key, Value count) {
  b.forLoop(b.index(0), count, lanes, [&](Value first) {
    Value panel = b.div(first, panelWidth), lane = b.rem(first, panelWidth);
    KernelBuilder::Values rows;
    for (int64_t i = 0; i < lanes; ++i)
      rows.push_back(b.add(key, b.min(b.add(first, i), b.sub(count, 1))));
    b.forVectors(b.index(headDim), [&](Value d, Value mask) {
      KernelBuilder::Values block;
      for (Value row : rows)
        block.push_back(b.loadVector(op.getKey(), {batch, row, kvHead, d}, mask));
      block = b.transpose(block);
      int64_t depth = mask ? headDim % lanes : lanes;
      for (int64_t i = 0; i < depth; ++i)
        b.storeVector(block[i], keys, {panel, b.add(d, i), lane});
    });
  });
}

/// Values [key, key + count) to scratch, then zeros up to a multiple of four: weights of 0 must not meet a NaN.
void AttentionLowering::packValues(Value key, Value count) {
  b.forLoop(b.index(0), count, 1, [&](Value i) {
    b.forVectors(b.index(valueDim), [&](Value e, Value mask) {
      b.storeVector(b.loadVector(op.getValue(), {batch, b.add(key, i), kvHead, e}, mask), values, {i, e});
    });
  });
  b.forLoop(count, b.roundUp(count, 4), 1, [&](Value i) {
    b.forLoop(b.index(0), b.index(vectorsOf(valueDim) * lanes), lanes,
              [&](Value e) { b.storeVector(b.zero(), values, {i, e}); });
  });
}

void AttentionLowering::emitSegment(const Segment &segment) {
  loadQueries(segment.rowBegin, segment.rowEnd, b.index(0));
  Value flatRows = b.mul(b.sub(segment.rowEnd, segment.rowBegin), group);
  int64_t tall = rowHeights[0], low = rowHeights[1];
  Value whole = b.sub(flatRows, b.rem(flatRows, tall));
  Value left = b.sub(flatRows, whole);
  b.forLoop(segment.keyBegin, segment.keyEnd, keyBlock, [&](Value key) {
    Value count = b.min(b.sub(segment.keyEnd, key), keyBlock);
    packKeys(key, count);
    packValues(key, count);
    // A rest too large for the low tile goes through the tall one, some of whose rows then mean nothing.
    Value tallEnd = b.select(b.less(b.index(low), left), flatRows, whole);
    b.forLoop(b.index(0), tallEnd, tall,
              [&](Value flat) { emitRowBlock(segment, {tall, flat}, flatRows, key, count); });
    b.ifThen(b.less(tallEnd, flatRows), [&] { emitRowBlock(segment, {low, whole}, flatRows, key, count); });
  });
  storeResults(segment.rowBegin, segment.rowEnd, b.index(0));
}

void AttentionLowering::emitRowBlock(const Segment &segment, RowBlock rows, Value flatRows, Value key, Value count) {
  Value last = b.sub(flatRows, 1);
  auto queryOf = [&](Value flat) { return b.add(segment.rowBegin, b.div(b.min(flat, last), group)); };
  /// How many keys of the block a flat row sees.
  auto limitOf = [&](Value flat) {
    if (!op.getCausal())
      return count;
    Value visible = b.add(b.sub(keyCount, queryCount), b.add(queryOf(flat), 1));
    return b.min(b.max(b.sub(visible, key), 0), count);
  };
  Value seen = limitOf(b.add(rows.begin, rows.count - 1));
  b.ifThen(b.less(b.index(0), seen), [&] {
    int64_t perPanel = panelWidth / lanes, panels = std::max<int64_t>(2 / perPanel, 1), columns = panels * perPanel;
    b.forLoop(b.index(0), seen, panels * panelWidth, [&](Value first) {
      Value panel = b.div(first, panelWidth);
      KernelBuilder::Values products(rows.count * columns, b.zero());
      products = b.multiply(
          rows.count, columns, b.index(0), b.index(headDim), products,
          [&](int64_t i, Value k) { return b.load(query, {b.add(rows.begin, i), k}); },
          [&](Value k, int64_t j) {
            return b.loadVector(keys, {b.add(panel, j / perPanel), k, b.index(j % perPanel * lanes)});
          });
      for (int64_t i = 0; i < rows.count; ++i)
        for (int64_t j = 0; j < columns; ++j)
          b.storeVector(products[i * columns + j], scores, {b.index(i), b.add(first, scoreOrigin + j * lanes)});
    });
    emitSoftmax(rows, keyBlock, key, limitOf, queryOf);

    Value depth = b.roundUp(seen, 4);
    auto addValues = [&](Value e, int64_t columns) {
      KernelBuilder::Values sums;
      for (int64_t i = 0; i < rows.count; ++i) {
        Value factor = b.broadcast(b.load(rescale, {b.index(i)}));
        for (int64_t j = 0; j < columns; ++j) {
          Value old = b.loadVector(output, {b.add(rows.begin, i), b.add(e, j * lanes)});
          sums.push_back(b.mulF(old, factor));
        }
      }
      sums = b.multiply(
          rows.count, columns, b.index(0), depth, sums,
          [&](int64_t i, Value k) { return b.load(scores, {b.index(i), b.add(k, scoreOrigin)}); },
          [&](Value k, int64_t j) { return b.loadVector(values, {k, b.add(e, j * lanes)}); });
      for (int64_t i = 0; i < rows.count; ++i)
        for (int64_t j = 0; j < columns; ++j)
          b.storeVector(sums[i * columns + j], output, {b.add(rows.begin, i), b.add(e, j * lanes)});
    };
    int64_t all = vectorsOf(valueDim), pairs = all / 2 * 2;
    if (pairs)
      b.forLoop(b.index(0), b.index(pairs * lanes), 2 * lanes, [&](Value e) { addValues(e, 2); });
    if (pairs < all)
      addValues(vectorColumn(pairs), 1);
  });
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// Hides keys from `limit` on and what the mask hides, and adds a float mask.
Value AttentionLowering::maskScores(Value score, Value flatRow, Value queryRow, Value key, int64_t vector,
                                    Value limit) {
  OpBuilder &builder = b.getBuilder();
  Location loc = b.getLoc();
  Value nothing = b.splat(-infinity);
  if (Value mask = op.getMask()) {
    auto type = cast<MemRefType>(mask.getType());
    auto at = [&](int64_t axis, Value position) {
      return b.select(b.equal(b.dim(mask, axis), b.index(1)), b.index(0), position);
    };
    Value head = b.add(b.mul(kvHead, group), b.rem(flatRow, group));
    Value column = b.add(key, vector * lanes);
    KernelBuilder::Values position{at(0, batch), at(1, head), at(2, queryRow)};
    // Reads what the keys have and no more: the mask may end where its buffer does.
    auto whole = [&]() -> KernelBuilder::Values {
      KernelBuilder::Values indices = position;
      indices.push_back(column);
      return {b.loadRawVector(mask, indices)};
    };
    auto part = [&]() -> KernelBuilder::Values {
      KernelBuilder::Values indices = position;
      indices.push_back(column);
      return {b.loadRawVector(mask, indices, b.mask(b.sub(keyCount, column)))};
    };
    auto same = [&]() -> KernelBuilder::Values {
      KernelBuilder::Values indices = position;
      indices.push_back(b.index(0));
      return {b.broadcast(b.loadRaw(mask, indices))};
    };
    auto each = [&]() -> KernelBuilder::Values {
      return b.ifThenElse(b.lessEqual(b.add(column, lanes), keyCount), whole, part);
    };
    Value read;
    if (type.getDimSize(3) == 1)
      read = same().front();
    else if (type.isDynamicDim(3))
      read = b.ifThenElse(b.equal(b.dim(mask, 3), b.index(1)), same, each).front();
    else
      read = each().front();
    if (type.getElementType().isInteger(1)) {
      score = b.select(read, score, nothing);
    } else {
      // The largest finite mask value times log2(e) would be infinite, and a row of them has a softmax.
      Value hidden = b.equalF(read, nothing);
      Value finite = b.mulF(b.maxF(read, b.splat(-2.35e38)), b.splat(log2e));
      score = b.select(hidden, nothing, b.addF(score, finite));
    }
  }
  Value lane = arith::AddIOp::create(
      builder, loc, b.laneNumbers(),
      arith::ConstantOp::create(builder, loc,
                                DenseElementsAttr::get(cast<VectorType>(b.laneNumbers().getType()),
                                                       builder.getI32IntegerAttr(vector * lanes))));
  Value bound = b.broadcast(arith::IndexCastOp::create(builder, loc, builder.getI32Type(), limit));
  return b.select(b.less(lane, bound), score, nothing);
}

/// Scores become weights; maxima, sums and the factors of older outputs follow.
void AttentionLowering::emitSoftmax(RowBlock rows, int64_t keysOfBlock, Value key, function_ref<Value(Value)> limitOf,
                                    function_ref<Value(Value)> queryOf) {
  int64_t vectors = keysOfBlock / lanes;
  b.forLoop(b.index(0), b.index(rows.count), 1, [&](Value i) {
    Value flat = b.add(rows.begin, i), limit = limitOf(flat);
    Value largest;
    for (int64_t x = 0; x < vectors; ++x) {
      Value score = b.loadVector(scores, {i, scoreColumn(x)});
      score = maskScores(score, flat, queryOf(flat), key, x, limit);
      b.storeVector(score, scores, {i, scoreColumn(x)});
      largest = largest ? b.maxF(largest, score) : score;
    }
    b.store(b.maxF(b.reduceMax(largest), b.load(maximum, {flat})), newMaximum, {i});
  });
  for (int64_t x = 0; x < rows.count; x += lanes) {
    Value flat = b.add(rows.begin, x);
    Value mask = tailMask(rows.count, x / lanes);
    Value older = b.loadVector(maximum, {flat}), newer = b.loadVector(newMaximum, {b.index(x)});
    b.storeVector(newer, maximum, {flat}, mask);
    // Of a row that has seen nothing yet the maximum is not a number to subtract.
    newer = b.select(b.equalF(newer, b.splat(-infinity)), b.zero(), newer);
    b.storeVector(newer, newMaximum, {b.index(x)}, mask);
    b.storeVector(b.exp2NonPositive(b.subF(older, newer)), rescale, {b.index(x)}, mask);
  }
  b.forLoop(b.index(0), b.index(rows.count), 1, [&](Value i) {
    Value flat = b.add(rows.begin, i);
    Value largest = b.broadcast(b.load(newMaximum, {i}));
    KernelBuilder::Values weights;
    for (int64_t x = 0; x < vectors; ++x) {
      weights.push_back(b.exp2NonPositive(b.subF(b.loadVector(scores, {i, scoreColumn(x)}), largest)));
      b.storeVector(weights.back(), scores, {i, scoreColumn(x)});
    }
    for (; weights.size() > 1; weights.resize(weights.size() / 2))
      for (size_t x = 0; x < weights.size() / 2; ++x)
        weights[x] = b.addF(weights[2 * x], weights[2 * x + 1]);
    Value old = b.loadVector(sum, {flat, b.index(0)});
    b.storeVector(b.fma(old, b.broadcast(b.load(rescale, {i})), weights[0]), sum, {flat, b.index(0)});
  });
}

/// Divides outputs by their sums. A row that saw no key gives 0; adding 0 makes a -0 positive, which a block that the
/// row does not see may have left or not.
void AttentionLowering::storeResults(Value rowBegin, Value rowEnd, Value flatBegin) {
  b.forLoop(rowBegin, rowEnd, 1, [&](Value row) {
    b.forLoop(b.index(0), b.index(group), 1, [&](Value head) {
      Value flat = b.add(flatBegin, b.add(b.mul(b.sub(row, rowBegin), group), head));
      Value queryHead = b.add(b.mul(kvHead, group), head);
      Value total = b.reduceAdd(b.loadVector(sum, {flat, b.index(0)}));
      Value empty = b.equalF(total, b.scalar(0.0));
      Value factor = b.broadcast(b.select(empty, b.scalar(0.0), b.divF(b.scalar(1.0), total)));
      b.forVectors(b.index(valueDim), [&](Value e, Value mask) {
        Value vector = b.addF(b.mulF(b.loadVector(output, {flat, e}), factor), b.zero());
        b.storeVector(vector, op.getResult(), {batch, row, queryHead, e}, mask);
      });
    });
  });
}

//===----------------------------------------------------------------------===//
// One query
//===----------------------------------------------------------------------===//

void AttentionLowering::emitSingleQuery() {
  Value row = b.index(0), rowEnd = b.index(1);
  b.forLoop(b.div(op.getLo(), kvHeads), b.ceilDiv(op.getHi(), kvHeads), 1, [&](Value currentBatch) {
    batch = currentBatch;
    Value firstTile = b.mul(batch, kvHeads);
    Value headBegin = b.max(b.sub(op.getLo(), firstTile), 0), headEnd = b.min(b.sub(op.getHi(), firstTile), kvHeads);
    auto forHeads = [&](function_ref<void(Value flat)> body) {
      b.forLoop(headBegin, headEnd, 1, [&](Value head) {
        kvHead = head;
        body(b.mul(b.sub(head, headBegin), group));
      });
    };
    forHeads([&](Value flat) { loadQueries(row, rowEnd, flat); });
    b.forLoop(b.index(0), keyCount, singleKeyBlock, [&](Value key) {
      Value count = b.min(b.sub(keyCount, key), singleKeyBlock);
      forHeads([&](Value flat) {
        emitSingleScores(flat, key, count);
        emitSoftmax({group, flat}, singleKeyBlock, key, [&](Value) { return count; }, [&](Value) { return row; });
        emitSingleValues(flat, key, count);
      });
    });
    forHeads([&](Value flat) { storeResults(row, rowEnd, flat); });
  });
}

/// Asks for the cache line at elements [d, d + lanes) of a row, if a line starts there. Lines of one head are no stream
/// that a processor would foresee.
void AttentionLowering::prefetch(Value memref, Value row, Value d, int64_t offset) {
  int64_t line = 64 / (cast<MemRefType>(memref.getType()).getElementTypeBitWidth() / 8);
  if (offset % line == 0)
    memref::PrefetchOp::create(b.getBuilder(), b.getLoc(), memref, ValueRange{batch, row, kvHead, d},
                               /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
}

/// Heads of a group that share what is loaded.
int64_t AttentionLowering::singleHeads() const {
  for (int64_t heads : {4, 2})
    if (group % heads == 0)
      return heads;
  return 1;
}

/// Dot products of the queries of a few heads with a few keys, as many in all as a vector has lanes, each in a vector
/// of partial sums. The last keys start early enough to end with the context.
void AttentionLowering::emitSingleScores(Value flatBegin, Value key, Value count) {
  OpBuilder &builder = b.getBuilder();
  int64_t headStep = singleHeads(), keyStep = lanes / headStep;
  b.forLoop(b.index(0), b.index(group), headStep, [&](Value head) {
    b.forLoop(b.index(0), count, keyStep, [&](Value first) {
      Value start = b.min(b.add(key, first), b.sub(keyCount, keyStep));
      Value ahead = b.min(b.add(start, singleKeyBlock), b.sub(keyCount, keyStep));
      Value column = b.add(b.sub(start, key), scoreOrigin);
      auto step = [&](Value d, ValueRange sums, Value mask) {
        KernelBuilder::Values left, next;
        for (int64_t i = 0; i < headStep; ++i)
          left.push_back(b.loadVector(query, {b.add(flatBegin, b.add(head, i)), d}));
        for (int64_t k = 0; k < keyStep; ++k) {
          Value right = b.loadVector(op.getKey(), {batch, b.add(start, k), kvHead, d}, mask);
          prefetch(op.getKey(), b.add(ahead, k), d, 0);
          for (int64_t i = 0; i < headStep; ++i)
            next.push_back(b.fma(left[i], right, sums[next.size()]));
        }
        return next;
      };
      KernelBuilder::Values sums(lanes, b.zero());
      int64_t whole = headDim / lanes * lanes;
      if (whole)
        sums = b.forLoop(b.index(0), b.index(whole), lanes, sums,
                         [&](Value d, ValueRange carried) { return step(d, carried, {}); });
      if (whole < headDim)
        sums = step(b.index(whole), sums, b.mask(b.index(headDim - whole)));
      // In the order of heads, then keys, for each head's scores to be a part of one vector.
      KernelBuilder::Values ordered;
      for (int64_t i = 0; i < headStep; ++i)
        for (int64_t k = 0; k < keyStep; ++k)
          ordered.push_back(sums[k * headStep + i]);
      Value totals = b.reduceAddEach(ordered);
      for (int64_t i = 0; i < headStep; ++i) {
        Value part = vector::ExtractStridedSliceOp::create(builder, b.getLoc(), totals, ArrayRef<int64_t>{i * keyStep},
                                                           ArrayRef<int64_t>{keyStep}, ArrayRef<int64_t>{1});
        vector::StoreOp::create(builder, b.getLoc(), part, scores, ValueRange{b.add(head, i), column});
      }
    });
  });
}

void AttentionLowering::emitSingleValues(Value flatBegin, Value key, Value count) {
  int64_t headBlock = singleHeads();
  Value lastKey = b.sub(keyCount, 1);
  int64_t all = vectorsOf(valueDim), most = (lanes == 16 ? 16 : 8) / headBlock, columns = std::min(most, all);
  b.forLoop(b.index(0), b.index(group), headBlock, [&](Value head) {
    auto addValues = [&](Value e, int64_t columns, bool tail) {
      auto outputAt = [&](int64_t i, int64_t j) -> KernelBuilder::Values {
        return {b.add(flatBegin, b.add(head, i)), b.add(e, j * lanes)};
      };
      KernelBuilder::Values sums;
      for (int64_t i = 0; i < headBlock; ++i) {
        Value factor = b.broadcast(b.load(rescale, {b.add(head, i)}));
        for (int64_t j = 0; j < columns; ++j)
          sums.push_back(b.mulF(b.loadVector(output, outputAt(i, j)), factor));
      }
      sums = b.multiply(
          headBlock, columns, b.index(0), count, sums,
          [&](int64_t i, Value k) { return b.load(scores, {b.add(head, i), b.add(k, scoreOrigin)}); },
          [&](Value k, int64_t j) {
            Value mask = tail && j == columns - 1 ? tailMask(valueDim, all - 1) : Value();
            Value row = b.add(key, k), column = b.add(e, j * lanes);
            prefetch(op.getValue(), b.min(b.add(row, singleKeyBlock), lastKey), column, j * lanes);
            return b.loadVector(op.getValue(), {batch, row, kvHead, column}, mask);
          });
      for (int64_t i = 0; i < headBlock; ++i)
        for (int64_t j = 0; j < columns; ++j)
          b.storeVector(sums[i * columns + j], output, outputAt(i, j));
    };
    // Whole groups of whole vectors in a loop, what is left behind it.
    int64_t looped = valueDim / lanes / columns * columns;
    if (looped)
      b.forLoop(b.index(0), b.index(looped * lanes), columns * lanes, [&](Value e) { addValues(e, columns, false); });
    if (looped < all)
      addValues(vectorColumn(looped), all - looped, true);
  });
}

struct LowerAttention : OpRewritePattern<AttentionOp> {
  LowerAttention(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    AttentionLowering(op, rewriter, target).emit();
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};
} // namespace

void msa::cpu::populateLowerAttentionPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerAttention>(patterns.getContext(), target);
}

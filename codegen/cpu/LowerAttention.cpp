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
// products. One query, a decode step, takes another way: AttentionSingleQuery.cpp.
//
// test/codegen/attention.mlir pins the shape, test/codegen/attention_test.py the numbers.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/AttentionLowering.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;

AttentionLowering::AttentionLowering(msa::kernel::AttentionOp op, OpBuilder &builder, const CPUTarget &target)
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
// The pattern
//===----------------------------------------------------------------------===//

namespace {
struct LowerAttention : OpRewritePattern<msa::kernel::AttentionOp> {
  LowerAttention(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::AttentionOp op, PatternRewriter &rewriter) const override {
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

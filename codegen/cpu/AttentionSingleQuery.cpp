// SPDX-License-Identifier: Apache-2.0
//===- AttentionSingleQuery.cpp - one query: a decode step ----------------===//
//
// Bound by memory. Keys and values are read once, where they lie, for all query heads of their group. A call that has
// several key heads takes them in turn over each block of keys: the rows of one head lie far apart, those of all heads
// do not. The next block is asked for while one is worked on.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/AttentionLowering.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace msa::cpu;

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

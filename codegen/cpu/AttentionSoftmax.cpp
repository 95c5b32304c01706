// SPDX-License-Identifier: Apache-2.0
//===- AttentionSoftmax.cpp - a block of scores to weights ----------------===//
//
// Three loops over the rows of a block: mask and find maxima; what older outputs are multiplied by, for a vector of
// rows at once; exponentials and their sums.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/AttentionLowering.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace msa::cpu;

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
    auto largestOf = [&](bool masked) -> KernelBuilder::Values {
      Value largest;
      for (int64_t x = 0; x < vectors; ++x) {
        Value score = b.loadVector(scores, {i, scoreColumn(x)});
        if (masked) {
          // The sum keeps LLVM from making load, select and store a masked store, which takes 20 cycles on some
          // processors.
          score = maskScores(b.addF(score, b.zero()), flat, queryOf(flat), key, x, limit);
          b.storeVector(score, scores, {i, scoreColumn(x)});
        }
        largest = largest ? b.maxF(largest, score) : score;
      }
      return {largest};
    };
    Value largest;
    if (op.getMask())
      largest = largestOf(true).front();
    else
      largest = b.ifThenElse(
                     b.lessEqual(b.index(keysOfBlock), limit), [&] { return largestOf(false); },
                     [&] { return largestOf(true); })
                    .front();
    b.store(b.maxF(b.reduceMax(largest), b.load(maximum, {flat})), newMaximum, {i});
  });
  for (int64_t x = 0; x < rows.count; x += lanes) {
    Value flat = b.add(rows.begin, x);
    Value older = b.loadVector(maximum, {flat}), newer = b.loadVector(newMaximum, {b.index(x)});
    // Lanes past this block are other rows' maxima, and stay.
    SmallVector<int64_t> lanesOfBlock;
    for (int64_t lane = 0; lane < lanes; ++lane)
      lanesOfBlock.push_back(x + lane < rows.count ? lane : lanes + lane);
    Value merged = vector::ShuffleOp::create(b.getBuilder(), b.getLoc(), newer, older, lanesOfBlock);
    b.storeVector(merged, maximum, {flat});
    // Of a row that has seen nothing yet the maximum is not a number to subtract.
    newer = b.select(b.equalF(newer, b.splat(-infinity)), b.zero(), newer);
    b.storeVector(newer, newMaximum, {b.index(x)});
    b.storeVector(b.exp2NonPositive(b.subF(older, newer)), rescale, {b.index(x)});
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

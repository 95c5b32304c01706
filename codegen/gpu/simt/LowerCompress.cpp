// SPDX-License-Identifier: Apache-2.0
//===- LowerCompress.cpp - find chunks and pool their tokens --------------===//
//
// Chunks are found by one block, which numbers the tokens that start one. A warp pools one head of one chunk: each lane has some of its
// elements and adds tokens in ascending order. A maximum with a NaN is NaN, and so is a head whose norm is.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/BlockScan.h"
#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

Cases msa::gpu::simt::lowerChunkIndex(exec::KernelOp kernel) {
  constexpr int64_t threads = 512;
  SimtFunction function(kernel, kernel.getSymName(), threads);
  auto op = function.getOp<kernel::ChunkIndexOp>();
  OpBuilder b(op);
  SimtBuilder k(b, op.getLoc());
  BlockScan scan(k, function, threads);
  Value tokens = k.dim(op.getPositions(), 0), thread = k.thread();
  Value isFirst = k.equal(k.block(), k.index(0));
  k.ifThen(isFirst, [&] {
    Value chunks = k.forLoop(k.index(0), tokens, threads, {k.index(0)}, [&](Value begin, ValueRange carried) -> Values {
      Value token = k.add(begin, thread);
      Value starts = k.ifThenElse(
          k.less(token, tokens),
          [&]() -> Values {
            Value length = k.i64(op.getChunk());
            return {k.equal(arith::RemSIOp::create(b, op.getLoc(), k.loadRaw(op.getPositions(), {token}), length), k.i64(0))};
          },
          [&]() -> Values { return {arith::ConstantIntOp::create(b, op.getLoc(), 0, 1)}; })[0];
      BlockScan::Position position = scan.count(starts);
      k.ifThen(starts, [&] {
        Value chunk = k.add(carried[0], position.before);
        k.storeRaw(k.toI64(token), op.getStarts(), {chunk});
        k.storeRaw(k.loadRaw(op.getDocuments(), {token}), op.getChunkDocuments(), {chunk});
      });
      return {k.add(carried[0], position.total)};
    })[0];
    k.ifThen(k.equal(thread, k.index(0)), [&] {
      k.storeRaw(k.toI64(tokens), op.getStarts(), {chunks});
      k.storeRaw(k.toI64(chunks), op.getTotal(), {k.index(0)});
    });
  });
  op.erase();
  return always(function.getLaunch());
}

namespace {

class Pool {
public:
  Pool(SimtBuilder &k, msa::kernel::PoolOp op) : k(k), op(op) {
    auto type = cast<MemRefType>(op.getX().getType());
    heads = type.getDimSize(1);
    length = type.getDimSize(2);
  }

  /// One head of one chunk, by a warp.
  void emit(Value chunk, Value head) {
    Value lane = k.lane();
    Value first = k.fromI64(k.loadRaw(op.getStarts(), {chunk})), end = k.fromI64(k.loadRaw(op.getStarts(), {k.add(chunk, 1)}));
    Value count = arith::SIToFPOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getF32Type(), k.toI64(k.sub(end, first)));
    Values pooled;
    for (int64_t begin = 0; begin < length; begin += kWarp * atOnce)
      pooled.append(reduceTokens(k.add(lane, begin), first, end, head, count, std::min<int64_t>(atOnce, llvm::divideCeil(length - begin, kWarp))));
    Value divisor;
    if (op.getNormalize()) {
      Value sum = k.scalar(0.0);
      for (Value x : pooled) // those past the end are 0
        sum = k.fma(x, x, sum);
      sum = k.reduceWarp(msa::cpu::Combiner::AddF, sum);
      divisor = k.maximum(k.sqrt(sum), k.scalar(op.getEpsilon().convertToDouble()));
    }
    for (auto [part, x] : llvm::enumerate(pooled)) {
      Value offset = k.add(lane, static_cast<int64_t>(part) * kWarp);
      guarded(offset, part, [&] { k.store(divisor ? k.divF(x, divisor) : x, op.getResult(), {chunk, head, offset}); });
    }
  }

private:
  /// Elements of one lane that are reduced in one pass over the tokens.
  static constexpr int64_t atOnce = 16;

  bool isMean() { return op.getReduce() == msa::Reduce::mean; }

  void guarded(Value offset, int64_t part, function_ref<void()> body) {
    if ((part + 1) * kWarp <= length)
      body();
    else
      k.ifThen(k.less(offset, k.index(length)), body);
  }

  Values reduceTokens(Value offset, Value first, Value end, Value head, Value count, int64_t parts) {
    Values init(parts, k.scalar(isMean() ? 0.0 : -std::numeric_limits<double>::infinity()));
    SmallVector<Value> offsets;
    // Lanes past the head's end read its last element, and give 0.
    for (int64_t part = 0; part < parts; ++part)
      offsets.push_back(k.min(k.add(offset, part * kWarp), length - 1));
    Values sums = k.forLoop(first, end, 1, init, [&](Value token, ValueRange carried) -> Values {
      Values next;
      for (auto [at, sum] : llvm::zip(offsets, carried)) {
        Value x = k.load(op.getX(), {token, head, at});
        next.push_back(isMean() ? k.addF(sum, x) : k.maximum(sum, x));
      }
      return next;
    });
    for (int64_t part = 0; part < parts; ++part) {
      Value inside = k.less(k.add(offset, part * kWarp), k.index(length));
      Value sum = isMean() ? k.divF(sums[part], count) : sums[part];
      sums[part] = k.select(inside, sum, k.scalar(0.0));
    }
    return sums;
  }

  SimtBuilder &k;
  msa::kernel::PoolOp op;
  int64_t heads, length;
};

} // namespace

Cases msa::gpu::simt::lowerPool(exec::KernelOp kernel) {
  constexpr int64_t warps = 4;
  SimtFunction function(kernel, kernel.getSymName(), warps * kWarp);
  auto op = function.getOp<kernel::PoolOp>();
  OpBuilder b(op);
  SimtBuilder k(b, op.getLoc());
  int64_t heads = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  Value chunks = k.dim(op.getResult(), 0);
  function.getLaunch().grid[0] = function.gridOf(ValueRange{chunks, k.index(heads)}, warps);
  Pool pool(k, op);
  k.forStride(k.add(k.mul(k.block(), warps), k.warp()), k.mul(chunks, heads), k.mul(k.blocks(), warps),
              [&](Value number) { pool.emit(k.div(number, heads), k.rem(number, heads)); });
  op.erase();
  return always(function.getLaunch());
}

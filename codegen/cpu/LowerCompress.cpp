// SPDX-License-Identifier: Apache-2.0
//===- LowerCompress.cpp - find chunks and pool their tokens --------------===//
//
// A chunk's tokens are read once, a head and a few vectors of it at a time, with the running sums or maxima in registers.
// A head's result waits in f32 for its norm before it is rounded to the element type.
//
// The squares of a norm are added as 16 partial sums of ascending elements, then by halving, on every processor. A
// maximum with a NaN is NaN, and so is a head whose norm is.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelBuilder.h"
#include "codegen/cpu/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using Values = KernelBuilder::Values;

namespace {

/// Vectors of one token that are reduced at once.
constexpr int64_t vectorsAtOnce = 8;
constexpr int64_t partialSums = 16;

Value toIndex(KernelBuilder &k, Value integer) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getIndexType(), integer);
}

Value toI64(KernelBuilder &k, Value index) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI64Type(), index);
}

struct LowerChunkIndex : OpRewritePattern<msa::kernel::ChunkIndexOp> {
  LowerChunkIndex(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::ChunkIndexOp op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    k.forLoop(op.getLo(), op.getHi(), 1, [&](Value) {
      Value tokens = k.dim(op.getPositions(), 0);
      Value length = arith::ConstantIntOp::create(rewriter, op.getLoc(), op.getChunk(), 64);
      Value zero = arith::ConstantIntOp::create(rewriter, op.getLoc(), 0, 64);
      Value chunks = k.forLoop(k.index(0), tokens, 1, {k.index(0)}, [&](Value token, ValueRange carried) -> Values {
        Value position = k.loadRaw(op.getPositions(), {token});
        Value starts = k.equal(arith::RemSIOp::create(rewriter, op.getLoc(), position, length), zero);
        // Without a branch: what is written past the last chunk is written over by the next one, or by the end.
        k.storeRaw(toI64(k, token), op.getStarts(), {carried[0]});
        k.ifThen(starts, [&] { k.storeRaw(k.loadRaw(op.getDocuments(), {token}), op.getChunkDocuments(), {carried[0]}); });
        return {k.select(starts, k.add(carried[0], 1), carried[0])};
      })[0];
      k.storeRaw(toI64(k, tokens), op.getStarts(), {chunks});
      k.storeRaw(toI64(k, chunks), op.getTotal(), {k.index(0)});
    });
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};

class Pool {
public:
  Pool(KernelBuilder &k, msa::kernel::PoolOp op) : k(k), op(op) {
    auto type = cast<MemRefType>(op.getX().getType());
    heads = type.getDimSize(1);
    length = type.getDimSize(2);
    auto pooledType = MemRefType::get({(length + partialSums - 1) / partialSums * partialSums}, k.getBuilder().getF32Type());
    pooled = memref::AllocaOp::create(k.getBuilder(), k.getLoc(), pooledType, k.getBuilder().getI64IntegerAttr(64));
  }

  void emit() {
    k.forLoop(op.getLo(), op.getHi(), 1, [&](Value chunk) {
      Value first = toIndex(k, k.loadRaw(op.getStarts(), {chunk}));
      Value end = toIndex(k, k.loadRaw(op.getStarts(), {k.add(chunk, 1)}));
      k.forLoop(k.index(0), k.index(heads), 1, [&](Value head) {
        reduceTokens(first, end, head);
        writeHead(chunk, head);
      });
    });
  }

private:
  bool isMean() { return op.getReduce() == msa::Reduce::mean; }
  Value maskFor(int64_t offset) {
    return offset + k.lanes() <= length ? Value() : k.mask(k.index(length - offset));
  }

  /// Into `pooled`, zero past the head's end.
  void reduceTokens(Value first, Value end, Value head) {
    Value count = arith::SIToFPOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getF32Type(), toI64(k, k.sub(end, first)));
    for (int64_t begin = 0; begin < length; begin += vectorsAtOnce * k.lanes()) {
      SmallVector<int64_t> offsets;
      for (int64_t offset = begin; offset < std::min(length, begin + vectorsAtOnce * k.lanes()); offset += k.lanes())
        offsets.push_back(offset);
      Values init(offsets.size(), k.splat(isMean() ? 0.0 : -std::numeric_limits<double>::infinity()));
      Values sums = k.forLoop(first, end, 1, init, [&](Value token, ValueRange carried) -> Values {
        Values next;
        for (auto [offset, sum] : llvm::zip(offsets, carried)) {
          Value x = k.loadVector(op.getX(), {token, head, k.index(offset)}, maskFor(offset));
          next.push_back(isMean() ? k.addF(sum, x)
                                  : arith::MaximumFOp::create(k.getBuilder(), k.getLoc(), sum, x).getResult());
        }
        return next;
      });
      for (auto [offset, sum] : llvm::zip(offsets, sums)) {
        k.storeRawVector(isMean() ? k.divF(sum, k.broadcast(count)) : sum, pooled, {k.index(offset)});
      }
    }
  }

  Value norm() {
    int64_t parts = partialSums / k.lanes();
    Values sums(parts, k.zero());
    for (int64_t offset = 0; offset < length; offset += k.lanes()) {
      Value x = k.loadRawVector(pooled, {k.index(offset)}, maskFor(offset));
      Value &sum = sums[offset / k.lanes() % parts];
      sum = k.fma(x, x, sum);
    }
    for (int64_t part = 1; part < parts; ++part)
      sums[0] = k.addF(sums[0], sums[part]);
    return k.sqrt(k.reduceAdd(sums[0]));
  }

  void writeHead(Value chunk, Value head) {
    Value divisor;
    if (op.getNormalize()) {
      Value epsilon = k.scalar(op.getEpsilon().convertToDouble());
      divisor = k.broadcast(arith::MaximumFOp::create(k.getBuilder(), k.getLoc(), norm(), epsilon));
    }
    for (int64_t offset = 0; offset < length; offset += k.lanes()) {
      Value x = k.loadRawVector(pooled, {k.index(offset)});
      k.storeVector(divisor ? k.divF(x, divisor) : x, op.getResult(), {chunk, head, k.index(offset)}, maskFor(offset));
    }
  }

  KernelBuilder &k;
  msa::kernel::PoolOp op;
  int64_t heads, length;
  Value pooled; ///< one head, f32
};

struct LowerPool : OpRewritePattern<msa::kernel::PoolOp> {
  LowerPool(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::PoolOp op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    Pool(k, op).emit();
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};

} // namespace

void msa::cpu::populateLowerCompressPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerChunkIndex, LowerPool>(patterns.getContext(), target);
}

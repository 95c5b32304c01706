// SPDX-License-Identifier: Apache-2.0
//===- LowerGather.cpp - copy rows of a bank field or of a table ----------===//
//
// A tile copies `block` rows. Rows of a field usually ascend, as a route lists them, so the span of the row before is
// tried first.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "codegen/cpu/SpanRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using Values = KernelBuilder::Values;

namespace {

Value toIndex(KernelBuilder &k, Value integer) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getIndexType(), integer);
}

/// Calls `body` with the number of each row of tiles [lo, hi).
void forRows(KernelBuilder &k, Value lo, Value hi, int64_t block, Value count, ValueRange init,
             function_ref<Values(Value row, ValueRange carried)> body) {
  k.forLoop(k.mul(lo, block), k.min(k.mul(hi, block), count), 1, init, body);
}

struct LowerGather : OpRewritePattern<msa::kernel::GatherOp> {
  LowerGather(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::GatherOp op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    auto result = cast<MemRefType>(op.getResult().getType());
    int64_t row = result.getDimSize(1);
    Type from = op.getElement(), to = result.getElementType();
    SpanRows field(k, op.getField(), row, from);
    int64_t whole = row / k.lanes() * k.lanes(), bytes = from.getIntOrFloatBitWidth() / 8;

    forRows(k, op.getLo(), op.getHi(), op.getBlock(), k.dim(op.getRows(), 0), {k.index(0)},
            [&](Value i, ValueRange carried) -> Values {
              Value wanted = toIndex(k, k.loadRaw(op.getRows(), {i}));
              Value cursor = k.ifThenElse(
                  field.holds(carried[0], wanted), [&]() -> Values { return {carried[0]}; },
                  [&]() -> Values { return {field.find(wanted)}; })[0];
              Value source = field.address(cursor, wanted);
              auto copy = [&](Value offset, int64_t active) {
                Value mask = active < k.lanes() ? k.mask(k.index(active)) : Value();
                Value vector = loadElements(k, offsetPointer(k, source, k.mul(offset, bytes)), from, k.lanes(), active);
                if (from == to)
                  k.storeRawVector(vector, op.getResult(), {i, offset}, mask);
                else
                  k.storeVector(k.toF32(vector), op.getResult(), {i, offset}, mask);
              };
              k.forLoop(k.index(0), k.index(whole), k.lanes(), [&](Value offset) { copy(offset, k.lanes()); });
              if (whole < row)
                copy(k.index(whole), row - whole);
              return {cursor};
            });
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};

struct LowerTake : OpRewritePattern<msa::kernel::TakeOp> {
  LowerTake(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::TakeOp op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    Value entries = k.dim(op.getTable(), 0), row = k.dim(op.getTable(), 1);
    auto body = [&](Value i, ValueRange) -> Values {
      Value given = k.loadRaw(op.getIndices(), {i});
      Value index = toIndex(k, given);
      Value wrapped = k.select(k.less(index, k.index(0)), k.add(index, entries), index);
      Value inside = k.andI(k.lessEqual(k.index(0), wrapped), k.less(wrapped, entries));
      k.ifThenElse(
          inside, [] {},
          [&] {
            Value fault = arith::IndexCastOp::create(rewriter, op.getLoc(), rewriter.getI64Type(), index);
            k.storeRaw(fault, op.getFault(), {k.index(0)});
          });
      Value source = k.select(inside, wrapped, k.index(0));
      // An empty table has no row 0 to read.
      k.ifThen(k.less(k.index(0), entries), [&] {
        auto copy = [&](Value offset, Value mask) {
          k.storeRawVector(k.loadRawVector(op.getTable(), {source, offset}, mask), op.getResult(), {i, offset}, mask);
        };
        k.forVectors(row, copy);
      });
      return {};
    };
    forRows(k, op.getLo(), op.getHi(), op.getBlock(), k.dim(op.getIndices(), 0), {}, body);
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};

} // namespace

void msa::cpu::populateLowerGatherPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerGather, LowerTake>(patterns.getContext(), target);
}

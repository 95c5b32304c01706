// SPDX-License-Identifier: Apache-2.0
//===- LowerQuantize.cpp - rows in elements of one byte and a scale -------===//
//
// A row is read twice: for the largest magnitude, as integers, of which a NaN's is the largest of all; then to divide by the scale.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "codegen/cpu/RowScale.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using Values = KernelBuilder::Values;

Value msa::cpu::magnitudeBits(KernelBuilder &k, Value value) {
  OpBuilder &b = k.getBuilder();
  auto vector = dyn_cast<VectorType>(value.getType());
  Type i32 = vector ? Type(vector.clone(b.getI32Type())) : b.getI32Type();
  TypedAttr mask = b.getI32IntegerAttr(0x7fffffff);
  if (vector)
    mask = DenseElementsAttr::get(cast<VectorType>(i32), mask);
  return arith::AndIOp::create(b, k.getLoc(), arith::BitcastOp::create(b, k.getLoc(), i32, value), arith::ConstantOp::create(b, k.getLoc(), mask));
}

Value msa::cpu::rowScale(KernelBuilder &k, Value largest) {
  Value magnitude = arith::BitcastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getF32Type(), largest);
  Value scale = k.divF(magnitude, k.scalar(448.0));
  return k.select(k.equalF(scale, k.scalar(0.0)), k.scalar(1.0), scale);
}

namespace {

struct LowerQuantize : OpRewritePattern<msa::kernel::QuantizeOp> {
  LowerQuantize(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::QuantizeOp op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    int64_t length = cast<MemRefType>(op.getX().getType()).getDimSize(1), whole = length / k.lanes() * k.lanes();
    auto maximum = [&](Value a, Value b) -> Value { return arith::MaxSIOp::create(rewriter, op.getLoc(), a, b); };
    Value rest = whole < length ? k.mask(k.index(length - whole)) : Value();
    k.forLoop(k.mul(op.getLo(), op.getBlock()), k.min(k.mul(op.getHi(), op.getBlock()), k.dim(op.getX(), 0)), 1, [&](Value row) {
      auto magnitudes = [&](Value offset, Value mask) { return magnitudeBits(k, k.loadVector(op.getX(), {row, offset}, mask)); };
      Value largest = magnitudeBits(k, k.zero());
      largest = k.forLoop(k.index(0), k.index(whole), k.lanes(), {largest}, [&](Value offset, ValueRange carried) -> Values {
        return {maximum(carried[0], magnitudes(offset, {}))};
      })[0];
      if (rest)
        largest = maximum(largest, magnitudes(k.index(whole), rest));
      largest = vector::ReductionOp::create(rewriter, op.getLoc(), vector::CombiningKind::MAXSI, largest);
      Value scale = rowScale(k, largest);
      k.storeRaw(scale, op.getScales(), {row});
      Value divisor = k.broadcast(scale);
      k.forLoop(k.index(0), k.index(whole), k.lanes(), [&](Value offset) {
        k.storeVector(k.divF(k.loadVector(op.getX(), {row, offset}), divisor), op.getResult(), {row, offset});
      });
      // One by one: of a masked store of narrowed lanes with one lane, LLVM 22 makes one of four bytes for AVX-512.
      k.forLoop(k.index(whole), k.index(length), 1, [&](Value offset) {
        k.store(k.divF(k.load(op.getX(), {row, offset}), scale), op.getResult(), {row, offset});
      });
    });
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};

} // namespace

void msa::cpu::populateLowerQuantizePatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerQuantize>(patterns.getContext(), target);
}

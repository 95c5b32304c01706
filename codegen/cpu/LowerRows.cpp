// SPDX-License-Identifier: Apache-2.0
//===- LowerRows.cpp - kernel.rows becomes a loop over points -------------===//
//
//   kernel.rows tiles(%lo to %hi) sizes(%n, %m) block 16 { ^bb0(%i: index, %j: index): ... }
//
// becomes
//
//   %first = %lo * 16, %end = min(%hi * 16, %n * %m)
//   scf.for %p = %first to %end iter_args(%i = %first / %m, %j = %first mod %m) { ...; next (%i, %j) }
//
// One division a tile, not one a point. The linalg ops of the body are VectorizeLinalg.cpp's.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"

using namespace mlir;

namespace {
struct LowerRows : OpRewritePattern<msa::kernel::RowsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(msa::kernel::RowsOp rows, PatternRewriter &b) const override {
    Location loc = rows.getLoc();
    ValueRange sizes = rows.getSizes();
    auto constant = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, loc, value); };
    Value zero = constant(0), one = constant(1), block = constant(rows.getBlock());
    Value total = one;
    for (Value size : sizes)
      total = arith::MulIOp::create(b, loc, total, size);
    Value first = arith::MulIOp::create(b, loc, rows.getLo(), block);
    Value end = arith::MinSIOp::create(b, loc, arith::MulIOp::create(b, loc, rows.getHi(), block), total);

    // The first point's indices, innermost last. A dim of one point needs none of them.
    SmallVector<Value> start(sizes.size());
    Value rest = first;
    for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 0; --d) {
      if (d == 0) {
        start[d] = rest;
        break;
      }
      // A size of 0 leaves no point, but the division is executed all the same.
      Value divisor = arith::MaxSIOp::create(b, loc, sizes[d], one);
      start[d] = arith::RemUIOp::create(b, loc, rest, divisor);
      rest = arith::DivUIOp::create(b, loc, rest, divisor);
    }

    auto loop = scf::ForOp::create(b, loc, first, end, one, start);
    Block *body = &rows.getBody().front();
    auto yield = cast<msa::kernel::YieldOp>(body->getTerminator());
    b.setInsertionPoint(yield);
    SmallVector<Value> next(loop.getRegionIterArgs());
    Value carry = one;
    for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 0; --d) {
      next[d] = arith::AddIOp::create(b, loc, next[d], carry);
      if (d == 0)
        break;
      Value wraps = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, next[d], sizes[d]);
      next[d] = arith::SelectOp::create(b, loc, wraps, zero, next[d]);
      carry = arith::SelectOp::create(b, loc, wraps, one, zero);
    }
    b.replaceOpWithNewOp<scf::YieldOp>(yield, next);
    if (!loop.getBody()->empty())
      b.eraseOp(&loop.getBody()->back());
    b.inlineBlockBefore(body, loop.getBody(), loop.getBody()->end(), loop.getRegionIterArgs());
    b.eraseOp(rows);
    return success();
  }
};
} // namespace

void msa::cpu::populateLowerRowsPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerRows>(patterns.getContext());
  populateVectorizeLinalgPatterns(patterns, target);
}

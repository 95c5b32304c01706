// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/simt/ScoreOrder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace msa::gpu::simt;

static Value allOnes(SimtBuilder &k) { return k.i32(-1); }
static Value signBit(SimtBuilder &k) { return k.i32(std::numeric_limits<int32_t>::min()); }

Value msa::gpu::simt::orderOfScore(SimtBuilder &k, Value score) {
  OpBuilder &b = k.getBuilder();
  Location loc = k.getLoc();
  // -0 + 0 is 0.
  Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), k.addF(score, k.scalar(0.0)));
  Value negative = k.less(bits, k.i32(0));
  Value order = arith::XOrIOp::create(b, loc, bits, k.select(negative, allOnes(k), signBit(k)));
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, score, score);
  return k.select(isNaN, k.i32(0), order);
}

Value msa::gpu::simt::rankedKey(SimtBuilder &k, Value score, Value place) {
  OpBuilder &b = k.getBuilder();
  Location loc = k.getLoc();
  Value high = arith::ShLIOp::create(b, loc, arith::ExtUIOp::create(b, loc, b.getI64Type(), orderOfScore(k, score)), k.i64(32));
  Value low = arith::SubIOp::create(b, loc, k.i64(0xFFFFFFFF), k.toI64(place));
  return k.orI(high, low);
}

Value msa::gpu::simt::placeOf(SimtBuilder &k, Value key) {
  OpBuilder &b = k.getBuilder();
  Value low = k.andI(key, k.i64(0xFFFFFFFF));
  return k.fromI64(arith::SubIOp::create(b, k.getLoc(), k.i64(0xFFFFFFFF), low));
}

Value msa::gpu::simt::scoreOf(SimtBuilder &k, Value key) {
  OpBuilder &b = k.getBuilder();
  Location loc = k.getLoc();
  Value order = arith::TruncIOp::create(b, loc, b.getI32Type(), arith::ShRUIOp::create(b, loc, key, k.i64(32)));
  Value positive = k.less(order, k.i32(0)); // its upper bit is set
  Value bits = arith::XOrIOp::create(b, loc, order, k.select(positive, signBit(k), allOnes(k)));
  bits = k.select(k.equal(order, k.i32(0)), k.i32(0x7FC00000), bits);
  return arith::BitcastOp::create(b, loc, b.getF32Type(), bits);
}

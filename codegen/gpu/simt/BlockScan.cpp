// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/simt/BlockScan.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

BlockScan::BlockScan(SimtBuilder &k, SimtFunction &function, int64_t threads)
    : k(k), warps(threads / kWarp), counts(function.shared(k, MemRefType::get({warps}, k.getBuilder().getI32Type()))) {}

BlockScan::Position BlockScan::count(Value condition) {
  OpBuilder &b = k.getBuilder();
  Location loc = k.getLoc();
  Value votes = k.ballot(condition), lane = k.lane(), warp = k.warp();
  Value below = arith::SubIOp::create(b, loc, arith::ShLIOp::create(b, loc, k.i32(1), k.toI32(lane)), k.i32(1));
  Value inWarp = math::CtPopOp::create(b, loc, arith::AndIOp::create(b, loc, votes, below));
  k.ifThen(k.equal(lane, k.index(0)), [&] { k.storeRaw(math::CtPopOp::create(b, loc, votes), counts, {warp}); });
  k.syncBlock();
  Values sums = k.forLoop(k.index(0), k.index(warps), 1, {k.index(0), k.index(0)}, [&](Value w, ValueRange carried) -> Values {
    Value number = k.fromI64(arith::ExtUIOp::create(b, loc, b.getI64Type(), k.loadRaw(counts, {w})));
    return {k.select(k.less(w, warp), k.add(carried[0], number), carried[0]), k.add(carried[1], number)};
  });
  k.syncBlock();
  return {k.add(sums[0], k.fromI64(arith::ExtUIOp::create(b, loc, b.getI64Type(), inWarp))), sums[1]};
}

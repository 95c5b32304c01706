// SPDX-License-Identifier: Apache-2.0
//===- LowerQuantize.cpp - rows in elements of one byte and a scale -------===//
//
// A warp has a row: its lanes find the largest magnitude together, then each divides its elements.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/RowScale.h"
#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

Cases msa::gpu::simt::lowerQuantize(exec::KernelOp kernel) {
  constexpr int64_t warps = 4;
  SimtFunction function(kernel, kernel.getSymName(), warps * kWarp);
  auto op = function.getOp<kernel::QuantizeOp>();
  OpBuilder b(op);
  SimtBuilder k(b, op.getLoc());
  Value count = k.dim(op.getX(), 0), length = k.dim(op.getX(), 1);
  function.getLaunch().grid[0] = function.gridOf(ValueRange{count}, warps);
  k.forStride(k.add(k.mul(k.block(), warps), k.warp()), count, k.mul(k.blocks(), warps), [&](Value row) {
    Value largest = k.forStride(k.lane(), length, k.index(kWarp), {k.i32(0)}, [&](Value at, ValueRange carried) -> Values {
      Value magnitude = msa::cpu::magnitudeBits(k, k.load(op.getX(), {row, at}));
      return {arith::MaxSIOp::create(b, op.getLoc(), carried[0], magnitude)};
    })[0];
    Value scale = msa::cpu::rowScale(k, k.reduceWarp(msa::cpu::Combiner::MaxSI, largest));
    k.ifThen(k.equal(k.lane(), k.index(0)), [&] { k.storeRaw(scale, op.getScales(), {row}); });
    k.forStride(k.lane(), length, k.index(kWarp), [&](Value at) {
      k.store(k.divF(k.load(op.getX(), {row, at}), scale), op.getResult(), {row, at});
    });
  });
  op.erase();
  return always(function.getLaunch());
}

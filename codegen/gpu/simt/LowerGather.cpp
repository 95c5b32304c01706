// SPDX-License-Identifier: Apache-2.0
//===- LowerGather.cpp - copy rows of a bank field or of a table ----------===//
//
// A warp copies a row, lane by lane. On a GPU a field has one span, or none when it has no rows: row r lies r rows behind its start.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "codegen/gpu/simt/SpanField.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;

static constexpr int64_t kWarps = 4;

/// Calls `body` with each row of [0, count), a warp a row.
static void forRows(SimtBuilder &k, Value count, function_ref<void(Value row)> body) {
  k.forStride(k.add(k.mul(k.block(), kWarps), k.warp()), count, k.mul(k.blocks(), kWarps), body);
}

Cases msa::gpu::simt::lowerGather(exec::KernelOp kernel) {
  SimtFunction function(kernel, kernel.getSymName(), kWarps * kWarp);
  auto op = function.getOp<kernel::GatherOp>();
  OpBuilder b(op);
  SimtBuilder k(b, op.getLoc());
  Value count = k.dim(op.getRows(), 0);
  function.getLaunch().grid[0] = function.gridOf(ValueRange{count}, kWarps);
  int64_t row = cast<MemRefType>(op.getResult().getType()).getDimSize(1);
  Type from = op.getElement(), to = cast<MemRefType>(op.getResult().getType()).getElementType();
  SpanField field(k, op.getField(), row, from);
  Value lane = k.lane();
  forRows(k, count, [&](Value i) {
    Value source = field.row(k.fromI64(k.loadRaw(op.getRows(), {i})));
    k.forStride(lane, k.index(row), k.index(kWarp), [&](Value j) {
      if (from == to)
        k.storeRaw(k.loadRaw(source, {j}), op.getResult(), {i, j});
      else
        k.store(k.load(source, {j}), op.getResult(), {i, j});
    });
  });
  op.erase();
  return always(function.getLaunch());
}

Cases msa::gpu::simt::lowerTake(exec::KernelOp kernel) {
  SimtFunction function(kernel, kernel.getSymName(), kWarps * kWarp);
  auto op = function.getOp<kernel::TakeOp>();
  OpBuilder b(op);
  SimtBuilder k(b, op.getLoc());
  Value count = k.dim(op.getIndices(), 0), entries = k.dim(op.getTable(), 0), row = k.dim(op.getTable(), 1);
  Value lane = k.lane();
  auto copyRow = [&](Value i, Value from, Value step) {
    Value index = k.fromI64(k.loadRaw(op.getIndices(), {i})); // a cast of any integer, sign kept
    Value wrapped = k.select(k.less(index, k.index(0)), k.add(index, entries), index);
    Value inside = k.andI(k.lessEqual(k.index(0), wrapped), k.less(wrapped, entries));
    Value outside = k.andI(k.equal(inside, arith::ConstantIntOp::create(b, op.getLoc(), 0, 1)), k.equal(from, k.index(0)));
    // Of several such indices the largest is told: `fault` holds the smallest number before.
    k.ifThen(outside, [&] {
      memref::AtomicRMWOp::create(b, op.getLoc(), arith::AtomicRMWKind::maxs, k.toI64(index), op.getFault(), ValueRange{k.index(0)});
    });
    Value source = k.select(inside, wrapped, k.index(0));
    // An empty table has no row 0 to read.
    k.ifThen(k.less(k.index(0), entries), [&] {
      k.forStride(from, row, step, [&](Value j) { k.storeRaw(k.loadRaw(op.getTable(), {source, j}), op.getResult(), {i, j}); });
    });
  };
  std::optional<int64_t> length = getConstantIntValue(row);
  if (length && *length < kWarp / 4) {
    int64_t threads = kWarps * kWarp;
    function.getLaunch().grid[0] = function.gridOf(ValueRange{count}, threads);
    k.forStride(k.add(k.mul(k.block(), threads), k.thread()), count, k.mul(k.blocks(), threads),
                [&](Value i) { copyRow(i, k.index(0), k.index(1)); });
  } else {
    function.getLaunch().grid[0] = function.gridOf(ValueRange{count}, kWarps);
    forRows(k, count, [&](Value i) { copyRow(i, lane, k.index(kWarp)); });
  }
  op.erase();
  return always(function.getLaunch());
}

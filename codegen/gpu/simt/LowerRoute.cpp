// SPDX-License-Identifier: Apache-2.0
//===- LowerRoute.cpp - choose documents: merge and list ------------------===//
//
// kernel.route_scan is in LowerRouteScan.cpp. One block merges the lists of all tiles. Candidates lie in the order of their numbers, but for
// those of one tile, which lie in rank order, so that of equal scores the one that comes first has the lower number. So:
//
//   the k-th score, by its 32 bits, 8 at a time: a histogram of those whose upper bits are known
//   candidates above it, and as many of those at it as there is room for, are numbered in order
//   each one's place among those of its tile by number
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/BlockScan.h"
#include "codegen/gpu/simt/DistributeLinalg.h"
#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/ScoreOrder.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

namespace {

class RouteMergeLowering {
public:
  static constexpr int64_t threads = 512, bins = 256;

  explicit RouteMergeLowering(msa::exec::KernelOp kernel)
      : function(kernel, kernel.getSymName(), threads), op(function.getOp<msa::kernel::RouteMergeOp>()), b(op), k(b, op.getLoc()),
        scan(k, function, threads) {
    keep = k.dim(op.getScores(), 1);
    candidates = k.mul(k.dim(op.getCounts(), 0), keep);
    capacity = k.dim(op.getBest(), 0);
    thread = k.thread();
    block = {ThreadGroup::Block, threads, thread, k.index(threads), {}};
  }

  Cases run();

private:
  struct Candidate {
    Value tile, rank, exists, order;
  };
  Candidate candidate(Value number);
  Value sumOfBlock(Value own) { return block.reduce(k, msa::cpu::Combiner::AddI, own); }
  Values findThreshold(Value wanted);
  void choose(Value threshold, Value equals);
  Value place(Value number, Value slot, Value count);
  Value numberOf(Value slot) { return k.fromI64(k.loadRaw(chosen, {slot})); }
  void emit();

  SimtFunction function;
  msa::kernel::RouteMergeOp op;
  OpBuilder b;
  SimtBuilder k;
  BlockScan scan;
  ThreadGroup block;
  Value keep, candidates, capacity, thread;
  Value histogram, digit; ///< shared memory
  Value chosen;           ///< workspace: numbers of candidates, ascending
};

RouteMergeLowering::Candidate RouteMergeLowering::candidate(Value number) {
  Candidate result;
  result.tile = k.div(number, keep);
  result.rank = k.rem(number, keep);
  Value inside = k.less(number, candidates);
  Values found = k.ifThenElse(
      inside,
      [&]() -> Values {
        Value exists = k.less(result.rank, k.fromI64(k.loadRaw(op.getCounts(), {result.tile})));
        // A list's end is not written.
        Value order = k.ifThenElse(
            exists, [&]() -> Values { return {orderOfScore(k, k.loadRaw(op.getScores(), {result.tile, result.rank}))}; },
            [&]() -> Values { return {k.i32(0)}; })[0];
        return {exists, order};
      },
      [&]() -> Values { return {arith::ConstantIntOp::create(b, k.getLoc(), 0, 1), k.i32(0)}; });
  result.exists = found[0];
  result.order = found[1];
  return result;
}

/// The order of the score of rank `wanted`, and how many of that score are wanted.
Values RouteMergeLowering::findThreshold(Value wanted) {
  Value prefix = k.i64(0), missing = wanted;
  for (int64_t shift = 24; shift >= 0; shift -= 8) {
    k.forStride(thread, k.index(bins), k.index(threads), [&](Value i) { k.storeRaw(k.i32(0), histogram, {i}); });
    k.syncBlock();
    k.forStride(thread, candidates, k.index(threads), [&](Value number) {
      Candidate one = candidate(number);
      Value wide = arith::ExtUIOp::create(b, k.getLoc(), b.getI64Type(), one.order);
      Value upper = arith::ShRUIOp::create(b, k.getLoc(), wide, k.i64(shift + 8));
      k.ifThen(k.andI(one.exists, k.equal(upper, prefix)), [&] {
        Value bin = k.fromI64(k.andI(arith::ShRUIOp::create(b, k.getLoc(), wide, k.i64(shift)), k.i64(bins - 1)));
        memref::AtomicRMWOp::create(b, k.getLoc(), arith::AtomicRMWKind::addi, k.i32(1), histogram, ValueRange{bin});
      });
    });
    k.syncBlock();
    // From the best bin down to the one in which the wanted rank is.
    k.ifThen(k.equal(thread, k.index(0)), [&] {
      auto countOf = [&](Value bin) { return k.fromI64(arith::ExtUIOp::create(b, k.getLoc(), b.getI64Type(), k.loadRaw(histogram, {bin}))); };
      Values found = k.whileLoop(
          {k.index(bins - 1), missing}, [&](ValueRange in) { return k.less(countOf(in[0]), in[1]); },
          [&](ValueRange in) -> Values { return {k.sub(in[0], 1), k.sub(in[1], countOf(in[0]))}; });
      k.storeRaw(k.toI64(found[0]), digit, {k.index(0)});
      k.storeRaw(k.toI64(found[1]), digit, {k.index(1)});
    });
    k.syncBlock();
    prefix = k.orI(arith::ShLIOp::create(b, k.getLoc(), prefix, k.i64(8)), k.loadRaw(digit, {k.index(0)}));
    missing = k.fromI64(k.loadRaw(digit, {k.index(1)}));
  }
  return {arith::TruncIOp::create(b, k.getLoc(), b.getI32Type(), prefix), missing};
}

/// Lists the numbers of the candidates above the threshold and of the first `equals` at it.
void RouteMergeLowering::choose(Value threshold, Value equals) {
  k.forLoop(k.index(0), candidates, threads, {k.index(0), k.index(0)}, [&](Value begin, ValueRange in) -> Values {
    Value number = k.add(begin, thread);
    Candidate one = candidate(number);
    Value above = k.andI(one.exists, arith::CmpIOp::create(b, k.getLoc(), arith::CmpIPredicate::ugt, one.order, threshold));
    Value equal = k.andI(one.exists, k.equal(one.order, threshold));
    BlockScan::Position atThreshold = scan.count(equal);
    Value taken = k.orI(above, k.andI(equal, k.less(k.add(in[0], atThreshold.before), equals)));
    BlockScan::Position among = scan.count(taken);
    k.ifThen(taken, [&] { k.storeRaw(k.toI64(number), chosen, {k.add(in[1], among.before)}); });
    return {k.add(in[0], atThreshold.total), k.add(in[1], among.total)};
  });
}

/// Where the chosen candidate of `slot` comes by document: only those of its tile may lie on the wrong side of it.
Value RouteMergeLowering::place(Value number, Value slot, Value count) {
  Value tile = k.div(number, keep);
  Value document = k.loadRaw(op.getEntries(), {tile, k.rem(number, keep), k.index(0)});
  auto documentOf = [&](Value other) { return k.loadRaw(op.getEntries(), {k.div(other, keep), k.rem(other, keep), k.index(0)}); };
  auto inTile = [&](Value at) { return k.equal(k.div(numberOf(at), keep), tile); };
  // Carried: slot, and how many of another side have been met.
  Value earlier = k.whileLoop(
      {slot, k.index(0)},
      [&](ValueRange in) {
        return k.ifThenElse(
            k.less(k.index(0), in[0]), [&]() -> Values { return {inTile(k.sub(in[0], 1))}; },
            [&]() -> Values { return {arith::ConstantIntOp::create(b, k.getLoc(), 0, 1)}; })[0];
      },
      [&](ValueRange in) -> Values {
        Value at = k.sub(in[0], 1);
        return {at, k.select(k.less(document, documentOf(numberOf(at))), k.add(in[1], 1), in[1])};
      })[1];
  Value later = k.whileLoop(
      {k.add(slot, 1), k.index(0)},
      [&](ValueRange in) {
        return k.ifThenElse(
            k.less(in[0], count), [&]() -> Values { return {inTile(in[0])}; },
            [&]() -> Values { return {arith::ConstantIntOp::create(b, k.getLoc(), 0, 1)}; })[0];
      },
      [&](ValueRange in) -> Values {
        return {k.add(in[0], 1), k.select(k.less(documentOf(numberOf(in[0])), document), k.add(in[1], 1), in[1])};
      })[1];
  return k.sub(k.add(slot, later), earlier);
}

void RouteMergeLowering::emit() {
  Value own = k.forStride(thread, k.dim(op.getCounts(), 0), k.index(threads), {k.index(0)}, [&](Value tile, ValueRange in) -> Values {
    return {k.add(in[0], k.fromI64(k.loadRaw(op.getCounts(), {tile})))};
  })[0];
  Value count = k.min(capacity, sumOfBlock(own));
  Value rows = k.ifThenElse(
      k.less(k.index(0), count),
      [&]() -> Values {
        Values threshold = findThreshold(count);
        choose(threshold[0], threshold[1]);
        k.syncBlock();
        Value ownRows = k.forStride(thread, count, k.index(threads), {k.index(0)}, [&](Value slot, ValueRange in) -> Values {
          Value number = numberOf(slot), tile = k.div(number, keep), rank = k.rem(number, keep), to = place(number, slot, count);
          k.storeRaw(k.loadRaw(op.getScores(), {tile, rank}), op.getBest(), {to});
          Value fields[3];
          for (int64_t field = 0; field < 3; ++field) {
            fields[field] = k.loadRaw(op.getEntries(), {tile, rank, k.index(field)});
            k.storeRaw(fields[field], op.getChosen(), {to, k.index(field)});
          }
          return {k.add(in[0], k.sub(k.fromI64(fields[2]), k.fromI64(fields[1])))};
        })[0];
        return {sumOfBlock(ownRows)};
      },
      [&]() -> Values { return {k.index(0)}; })[0];
  k.ifThen(k.equal(thread, k.index(0)), [&] {
    k.storeRaw(k.toI64(count), op.getTotals(), {k.index(0)});
    k.storeRaw(k.toI64(rows), op.getTotals(), {k.index(1)});
  });
}

Cases RouteMergeLowering::run() {
  std::optional<Term> bytes = function.termOf(ValueRange{capacity});
  if (!bytes)
    return op.emitOpError("has no lowering for the GPU: expected the size of 'best' to be a constant or a product of the kernel's scalars");
  bytes->multiplier = sizeof(int64_t);
  function.getLaunch().workspace = *bytes;
  chosen = k.asMemRef(function.getWorkspace(), MemRefType::get({ShapedType::kDynamic}, b.getI64Type()), {capacity});
  histogram = function.shared(k, MemRefType::get({bins}, b.getI32Type()));
  digit = function.shared(k, MemRefType::get({2}, b.getI64Type()));
  block.exchange = function.shared(k, MemRefType::get({8 * threads / kWarp}, b.getI8Type()));
  k.ifThen(k.equal(k.block(), k.index(0)), [&] { emit(); });
  op.erase();
  return always(function.getLaunch());
}

} // namespace

Cases msa::gpu::simt::lowerRouteMerge(exec::KernelOp kernel) { return RouteMergeLowering(kernel).run(); }

/// One block: documents after each other, the rows of one by all threads.
Cases msa::gpu::simt::lowerRouteRows(exec::KernelOp kernel) {
  constexpr int64_t threads = 256;
  SimtFunction function(kernel, kernel.getSymName(), threads);
  auto op = function.getOp<kernel::RouteRowsOp>();
  OpBuilder b(op);
  SimtBuilder k(b, op.getLoc());
  Value thread = k.thread();
  k.ifThen(k.equal(k.block(), k.index(0)), [&] {
    k.forLoop(k.index(0), k.dim(op.getDocuments(), 0), 1, {k.index(0)}, [&](Value i, ValueRange in) -> Values {
      Value first = k.fromI64(k.loadRaw(op.getChosen(), {i, k.index(1)})), end = k.fromI64(k.loadRaw(op.getChosen(), {i, k.index(2)}));
      k.ifThen(k.equal(thread, k.index(0)), [&] { k.storeRaw(k.loadRaw(op.getChosen(), {i, k.index(0)}), op.getDocuments(), {i}); });
      Value length = k.sub(end, first);
      k.forStride(thread, length, k.index(threads), [&](Value j) { k.storeRaw(k.toI64(k.add(first, j)), op.getChunks(), {k.add(in[0], j)}); });
      return {k.add(in[0], length)};
    });
  });
  op.erase();
  return always(function.getLaunch());
}

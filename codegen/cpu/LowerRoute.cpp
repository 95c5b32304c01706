// SPDX-License-Identifier: Apache-2.0
//===- LowerRoute.cpp - choose documents: merge and list ------------------===//
//
// kernel.route_scan is in RouteScan.cpp. The lists of all tiles meet in one list of the best k, a heap; a tile's list is
// left at its first document that is not among them, for it is sorted. So merging costs one look a tile and O(log k) a
// document that is kept.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "codegen/cpu/RankedList.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using Values = KernelBuilder::Values;

namespace {

Value toIndex(KernelBuilder &k, Value integer) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getIndexType(), integer);
}

Value toI64(KernelBuilder &k, Value index) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI64Type(), index);
}

void emitMerge(KernelBuilder &k, msa::kernel::RouteMergeOp op) {
  RankedList best(k, op.getBest(), op.getChosen());
  Value capacity = k.dim(op.getBest(), 0);
  Value tiles = k.dim(op.getCounts(), 0);
  Value size = k.forLoop(k.index(0), tiles, 1, {k.index(0)}, [&](Value tile, ValueRange carried) -> Values {
    RankedList list(k, op.getScores(), op.getEntries(), {tile});
    Value count = toIndex(k, k.loadRaw(op.getCounts(), {tile}));
    auto keptNext = [&](ValueRange state) -> Value {
      return k.ifThenElse(
          k.less(state[0], count),
          [&]() -> Values {
            return k.ifThenElse(
                k.less(state[1], capacity), [&]() -> Values { return {k.equal(k.index(0), k.index(0))}; },
                [&]() -> Values { return {RankedList::better(k, list.load(state[0]), best.load(k.index(0)))}; });
          },
          [&]() -> Values { return {k.less(k.index(0), k.index(0))}; })[0];
    };
    return {k.whileLoop({k.index(0), carried[0]}, keptNext, [&](ValueRange state) -> Values {
      return {k.add(state[0], 1), best.insert(state[1], capacity, list.load(state[0]))};
    })[1]};
  })[0];
  best.sortByNumber(size);
  Value rows = k.forLoop(k.index(0), size, 1, {k.index(0)}, [&](Value i, ValueRange carried) -> Values {
    Document document = best.load(i);
    return {k.add(carried[0], k.sub(toIndex(k, document.end), toIndex(k, document.first)))};
  })[0];
  k.storeRaw(toI64(k, size), op.getTotals(), {k.index(0)});
  k.storeRaw(toI64(k, rows), op.getTotals(), {k.index(1)});
}

void emitRows(KernelBuilder &k, msa::kernel::RouteRowsOp op) {
  Value count = k.dim(op.getDocuments(), 0);
  k.forLoop(k.index(0), count, 1, {k.index(0)}, [&](Value i, ValueRange carried) -> Values {
    k.storeRaw(k.loadRaw(op.getChosen(), {i, k.index(0)}), op.getDocuments(), {i});
    Value first = toIndex(k, k.loadRaw(op.getChosen(), {i, k.index(1)}));
    Value end = toIndex(k, k.loadRaw(op.getChosen(), {i, k.index(2)}));
    return k.forLoop(first, end, 1, carried, [&](Value row, ValueRange position) -> Values {
      k.storeRaw(toI64(k, row), op.getChunks(), {position[0]});
      return {k.add(position[0], 1)};
    });
  });
}

template <typename Op>
struct LowerOneTile : OpRewritePattern<Op> {
  using Emit = void (*)(KernelBuilder &, Op);
  LowerOneTile(MLIRContext *context, const CPUTarget &target, Emit emit)
      : OpRewritePattern<Op>(context), target(target), emit(emit) {}

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    k.forLoop(op.getLo(), op.getHi(), 1, [&](Value) { emit(k, op); });
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
  Emit emit;
};

} // namespace

void msa::cpu::populateLowerRoutePatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  populateLowerRouteScanPatterns(patterns, target);
  patterns.add<LowerOneTile<msa::kernel::RouteMergeOp>>(patterns.getContext(), target, emitMerge);
  patterns.add<LowerOneTile<msa::kernel::RouteRowsOp>>(patterns.getContext(), target, emitRows);
}

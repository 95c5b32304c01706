// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/Epilogue.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace msa::gpu;

Epilogue msa::gpu::regionEpilogue(Region &region) {
  return [&region](KernelBuilder &k, Expr sum, ArrayRef<Expr> extras) -> Expr {
    OpBuilder &b = k.getBuilder();
    Block &block = region.front();
    IRMapping map;
    map.map(block.getArgument(0), sum.value());
    for (auto [argument, extra] : llvm::zip_equal(block.getArguments().drop_front(), extras)) {
      Value stored = extra;
      if (isa<FloatType>(argument.getType()) && argument.getType() != extra.type())
        stored = arith::TruncFOp::create(b, k.getLoc(), argument.getType(), extra); // exact: it was extended
      map.map(argument, stored);
    }
    // Constants may stand before the region, in a function that the kernel is no part of.
    auto bring = [&](Value operand) {
      Operation *constant = operand.getDefiningOp();
      if (constant && constant->hasTrait<OpTrait::ConstantLike>() && !map.contains(operand))
        map.map(operand, b.clone(*constant)->getResult(0));
    };
    for (Operation &op : block.without_terminator()) {
      llvm::for_each(op.getOperands(), bring);
      // What was extended at the load need not be again.
      if (auto extend = dyn_cast<arith::ExtFOp>(op)) {
        auto argument = dyn_cast<BlockArgument>(extend.getIn());
        if (argument && argument.getOwner() == &block && argument.getArgNumber() > 0 && extend.getType().isF32()) {
          map.map(extend.getOut(), extras[argument.getArgNumber() - 1].value());
          continue;
        }
      }
      b.clone(op, map);
    }
    // The store rounds: two results share one conversion there.
    Value yielded = block.getTerminator()->getOperand(0);
    if (auto round = yielded.getDefiningOp<arith::TruncFOp>(); round && round.getIn().getType().isF32())
      yielded = round.getIn();
    bring(yielded);
    Expr result = k.wrap(map.lookup(yielded));
    return result.type().isF32() ? result : k.toF32(result);
  };
}

/// Results of neighbouring columns; `offset` (i64) is their first element in an [M, N] array.
SmallVector<Expr> EpilogueStore::apply(ArrayRef<Expr> sums, Expr offset, Expr column) {
  if (!epilogue)
    return SmallVector<Expr>(sums);
  SmallVector<SmallVector<Expr>> loaded(sums.size());
  for (const EpilogueExtra &extra : extras) {
    SmallVector<Expr> values = k.loadVector(k.global(extra.buffer, extra.element), extra.perColumn ? column : offset, sums.size());
    for (auto [all, value] : llvm::zip_equal(loaded, values))
      all.push_back(isa<FloatType>(extra.element) ? k.toF32(value) : value);
  }
  SmallVector<Expr> results;
  for (auto [sum, values] : llvm::zip_equal(sums, loaded))
    results.push_back(epilogue(k, sum, values));
  return results;
}

void EpilogueStore::store(const Fragment &sums, Expr row, Expr rows, Expr column, bool whole) {
  bool pairs = n % 2 == 0; // else a row's second element is not aligned to two
  Expr firstColumn = column + Fragment::firstColumn(k);
  for (unsigned half = 0; half < 2; ++half) {
    Expr r = row + Fragment::row(k, half);
    k.ifThen(r < rows, [&] {
      Expr first = k.toI64(r) * n + k.toI64(firstColumn);
      for (unsigned i = 2 * half; i < sums.size(); i += 4) {
        unsigned j = Fragment::column(i);
        auto write = [&](ArrayRef<Expr> values, unsigned at) {
          SmallVector<Expr> results = apply(values, first + at, firstColumn + at);
          if (results.size() == 2 && !output.element.isF32())
            return k.store(k.pack(results[0], results[1], output.element), {k.at(output, first + at), k.i32()}, k.constant(0));
          for (Expr &result : results)
            result = k.fromF32(result, output.element);
          k.storeVector(results, output, first + at);
        };
        auto guarded = [&](ArrayRef<Expr> values, unsigned at) {
          if (whole)
            return write(values, at);
          k.ifThen(firstColumn + at < k.constant(n), [&] { write(values, at); });
        };
        if (pairs)
          guarded({sums[i], sums[i + 1]}, j);
        else
          for (unsigned e = 0; e < 2; ++e)
            guarded({sums[i + e]}, j + e);
      }
    });
  }
}

void EpilogueStore::store(Expr sum, Expr row, Expr column) {
  Expr offset = k.toI64(row) * n + k.toI64(column);
  k.storeF32(apply({sum}, offset, column)[0], output, offset);
}

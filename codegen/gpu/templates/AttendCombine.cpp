// SPDX-License-Identifier: Apache-2.0
//===- AttendCombine.cpp - adds up the parts of split keys ----------------===//
//
// A warp takes a row. Part s has outputs o(s), the sum of weights l(s) and their maximum m(s), in units of log2:
//
//   w(s) = 2^(m(s) - max m)        result = sum w(s) o(s) / sum w(s) l(s)
//
// Parts are added in their order, so a result is the same on every device.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/templates/AttendRows.h"
#include <limits>

using namespace mlir;
using namespace msa::gpu;

static constexpr unsigned threads = 128;

static void combine(KernelBuilder &k, const AttendProblem &problem, unsigned splits) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Expr queries = k.evaluate(problem.queries);
  Expr rows = k.evaluate(product(product(problem.batches, problem.queries), problem.heads));
  auto combineRow = [&](Expr row) {
    AttendParts parts(k, problem, splits);
    Expr first = row * splits;
    Expr maximum = k.constantF(-infinity);
    auto part = [&](Expr s) { return first + k.toI64(s); };
    // One lane a part; the parts are few.
    for (unsigned s = 0; s < splits; s += 32) {
      Expr mine = k.min(k.lane() + s, k.constant(splits - 1));
      maximum = k.max(maximum, k.load(parts.statistics, part(mine) * 2));
    }
    maximum = k.warpReduce(maximum, [&](Expr a, Expr b) { return k.max(a, b); });
    Expr origin = k.select(maximum == -infinity, k.constantF(0), maximum);

    // A lane has every 32nd pair of columns.
    unsigned pairs = problem.valueDim / 2;
    auto forPairs = [&](State state, function_ref<void(unsigned pair, Expr column)> body) {
      for (unsigned i = 0; 32 * i < pairs; ++i) {
        Expr pair = k.lane() + 32 * i, column = k.toI64(pair * 2);
        if (32 * i + 32 <= pairs)
          body(i, column);
        else
          k.ifThen(pair < int(pairs), state, [&] { body(i, column); });
      }
    };
    llvm::SmallVector<Expr> outputs((pairs + 31) / 32 * 2, k.constantF(0));
    Expr sum = k.constantF(0);
    k.forLoop(k.constant(splits), State(outputs, sum), [&](Expr s) {
      llvm::SmallVector<Expr> statistics = k.loadVector(parts.statistics, part(s) * 2, 2);
      Expr weight = k.exp2Approx(statistics[0] - origin);
      // A part without keys may hold what came of them.
      k.ifThen(weight > 0.0, State(outputs, sum), [&] {
        sum = k.fma(statistics[1], weight, sum);
        forPairs(State(outputs), [&](unsigned pair, Expr column) {
          llvm::SmallVector<Expr> two = k.loadVector(parts.outputs, part(s) * problem.valueDim + column, 2);
          for (unsigned i = 0; i < 2; ++i)
            outputs[2 * pair + i] = k.fma(two[i], weight, outputs[2 * pair + i]);
        });
      });
    });
    Expr factor = inverseSum(k, maximum, sum);
    Expr head = row % problem.heads, token = row / problem.heads;
    Expr at = token / queries * k.evaluate(problem.output.batch) + token % queries * k.evaluate(problem.output.token) +
              head * k.evaluate(problem.output.head) +
              problem.output.offset / (problem.result.getIntOrFloatBitWidth() / 8);
    Array result = k.global(problem.output.buffer, problem.result);
    forPairs(State(), [&](unsigned pair, Expr column) {
      storePair(k, outputs[2 * pair] * factor, outputs[2 * pair + 1] * factor, result, at + column);
    });
  };
  k.forItems(k.ceilDiv(rows, threads / 32), 1, [&](Expr item) {
    Expr row = item * (threads / 32) + k.toI64(k.warp());
    k.ifThen(row < rows, [&] { combineRow(row); });
  });
}

llvm::Expected<Launch> msa::gpu::emitAttendCombine(ModuleOp module, StringRef symbol, const AttendProblem &problem,
                                                   unsigned splits, const GPUTarget &target) {
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  combine(k, problem, splits);
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = product(product(problem.batches, problem.queries), problem.heads);
  launch.grid[0].divisor = threads / 32;
  launch.block = threads;
  launch.dynamicShared = *shared;
  launch.workspace = attendWorkspace(problem, splits);
  return launch;
}

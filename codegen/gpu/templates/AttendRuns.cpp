// SPDX-License-Identifier: Apache-2.0
//===- AttendRuns.cpp - where each token's document begins and ends -------===//
//
// A document is a run of equal numbers in `documents`. The first launch of an attention over documents writes to the
// workspace, for each token, the first token of its run and the one after its last: i32 [M, 2].
//
// A CTA takes one token a thread. Runs that reach past its tokens are followed a CTA's width at a time; the total
// of that is small beside the attention over the same tokens, which grows in the same way.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/templates/Attend.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned threads = 256, warps = threads / 32;

class AttendRuns {
public:
  AttendRuns(KernelBuilder &k, const AttendProblem &problem)
      : k(k), documents(k.global(*problem.documents, k.i64())), scratch(k.shared(2 * warps * 4)),
        tokens(k.toI32(k.evaluate(problem.queries))) {}

  void emit() {
    k.forItems(k.ceilDiv(tokens, threads), 1, [&](Expr item) { findRuns(item * threads); });
  }

private:
  void findRuns(Expr first) {
    Expr token = first + k.thread();
    // The last border at or before the token; -1 if there is none in this CTA.
    Expr begin = inclusive(k.select(startsAt(token), token, k.constant(-1)), true);
    Expr before = first, missing = k.constant(1);
    k.whileLoop(State(before, begin, missing), [&] { return (missing == 1) & (before > 0); },
                [&] {
                  before = before - threads;
                  Expr at = before + k.thread();
                  Expr border = all(k.select(startsAt(at), at, k.constant(-1)), true);
                  begin = k.select(begin < 0, border, begin);
                  missing = k.select(border < 0, k.constant(1), k.constant(0));
                });
    // The first border after the token.
    Expr none = k.constant(INT32_MAX);
    Expr end = inclusive(k.select(endsAt(token), token + 1, none), false);
    Expr after = first + threads;
    missing = k.constant(1);
    k.whileLoop(State(after, end, missing), [&] { return (missing == 1) & (after < tokens); },
                [&] {
                  Expr at = after + k.thread();
                  Expr border = all(k.select(endsAt(at), at + 1, none), false);
                  end = k.select(end == none, border, end);
                  missing = k.select(border == none, k.constant(1), k.constant(0));
                  after = after + threads;
                });
    k.ifThen(token < tokens, [&] { k.storeVector({begin, end}, {k.workspace(), k.i32()}, k.toI64(token) * 2); });
  }

  Expr document(Expr token) { return k.load(documents, k.max(k.min(token, tokens - 1), k.constant(0))); }
  /// A document starts at `token`.
  Expr startsAt(Expr token) {
    return (token < tokens) & ((token == 0) | (document(token) != document(token - 1)));
  }
  /// `token` is the last of its document.
  Expr endsAt(Expr token) {
    return (token < tokens) & ((token == tokens - 1) | (document(token) != document(token + 1)));
  }
  Expr pick(Expr a, Expr b, bool largest) { return largest ? k.max(a, b) : k.min(a, b); }

  /// The largest value of threads up to this one, or the smallest of those from this one on.
  Expr inclusive(Expr value, bool largest) {
    Expr lane = k.lane();
    for (int step = 1; step < 32; step *= 2) {
      Expr other = largest ? lane - step : lane + step;
      Expr there = (k.constant(0) <= other) & (other < 32);
      Expr neighbour = k.shuffleIndex(value, k.select(there, other, lane));
      value = pick(value, neighbour, largest);
    }
    Array totals = share(value, largest ? 31 : 0);
    for (unsigned w = 0; w < warps; ++w) {
      Expr other = k.load(totals, k.constant(w)), own = k.constant(w);
      value = k.select(largest ? own < k.warp() : k.warp() < own, pick(value, other, largest), value);
    }
    return value;
  }

  /// The largest (smallest) value of all threads.
  Expr all(Expr value, bool largest) {
    value = k.warpReduce(value, [&](Expr a, Expr b) { return pick(a, b, largest); });
    Array totals = share(value, 0);
    value = k.load(totals, k.constant(0));
    for (unsigned w = 1; w < warps; ++w)
      value = pick(value, k.load(totals, k.constant(w)), largest);
    return value;
  }

  /// The values of one lane of each warp, in shared memory.
  Array share(Expr value, int lane) {
    Array totals = k.sharedArray(scratch, k.i32());
    k.syncThreads(); // who read it before is done
    k.ifThen(k.lane() == lane, [&] { k.store(value, totals, k.warp()); });
    k.syncThreads();
    return totals;
  }

  KernelBuilder &k;
  Array documents;
  Slab scratch;
  Expr tokens;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitAttendRuns(ModuleOp module, StringRef symbol, const AttendProblem &problem,
                                                const GPUTarget &target) {
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  AttendRuns(k, problem).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = problem.queries;
  launch.grid[0].divisor = threads;
  launch.block = threads;
  launch.dynamicShared = *shared;
  launch.workspace = attendWorkspace(problem, 1);
  return launch;
}

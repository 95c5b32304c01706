// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/RouteQuery.h"
#include "codegen/gpu/templates/Rows.h"

using namespace mlir;
using namespace msa::gpu;
using msa::Reduce;
using Effect = KernelBuilder::Effect;

/// Tokens that a lane has in flight.
static constexpr unsigned threads = 128, atOnce = 4;

static llvm::Error notServed(const llvm::Twine &why) { return llvm::createStringError(llvm::inconvertibleErrorCode(), why); }

namespace {

/// dim / 8 lanes have a head of a chunk.
class Compress {
public:
  Compress(KernelBuilder &k, const CompressProblem &problem)
      : k(k), problem(problem), x(viewOf(k, problem.x, problem.element)), starts(viewOf(k, problem.starts, k.i64())),
        output(viewOf(k, problem.output, problem.result)), lanes(problem.dim / 8) {}

  void emit() {
    Expr count = k.evaluate(problem.chunks) * problem.heads;
    int64_t each = threads / lanes; // heads of a CTA
    k.forItems(k.ceilDiv(count, each), 1, [&](Expr item) {
      Expr first = item * each + k.toI64(k.thread() / lanes);
      // Lanes without a head do the last one's work, for they take part in shuffles.
      Expr head = k.min(first, count - 1);
      SmallVector<Expr> values = reduceTokens(head / problem.heads, head % problem.heads * problem.dim + k.toI64(k.thread() % lanes * 8));
      if (problem.normalize)
        divideByNorm(values);
      k.ifThen(first < count, [&] {
        storeEight(k, eightFromF32(k, values, problem.result), output, head * problem.dim + k.toI64(k.thread() % lanes * 8));
      });
    });
  }

private:
  SmallVector<Expr> reduceTokens(Expr chunk, Expr offset) {
    Expr begin = k.load(starts, chunk), end = k.load(starts, chunk + 1);
    bool mean = problem.reduce == Reduce::mean;
    SmallVector<Expr> values(8, k.constantF(mean ? 0.0 : -std::numeric_limits<double>::infinity()));
    int64_t token = problem.heads * problem.dim;
    k.forLoop(begin, end, k.constant64(atOnce), State(values), [&](Expr first) {
      SmallVector<SmallVector<Expr>> words;
      for (unsigned i = 0; i < atOnce; ++i)
        words.push_back(loadEight(k, x, k.min(first + static_cast<int64_t>(i), end - 1) * token + offset));
      for (unsigned i = 0; i < atOnce; ++i) {
        Expr there = first + static_cast<int64_t>(i) < end;
        for (auto [value, next] : llvm::zip_equal(values, eightToF32(k, words[i], problem.element)))
          value = k.select(there, mean ? value + next : maxOrNaN(value, next), value);
      }
    });
    if (mean) {
      Expr length = k.ptx("cvt.rn.f32.s32 $0, $1;", k.f32(), k.toI32(end - begin).value(), Effect::Pure)[0];
      for (Expr &value : values)
        value = value / length;
    }
    return values;
  }

  /// A norm of NaN makes all NaN, as a maximum with it would.
  void divideByNorm(SmallVectorImpl<Expr> &values) {
    Expr sum = k.constantF(0);
    for (Expr value : values)
      sum = k.fma(value, value, sum);
    for (int64_t mask = 1; mask < lanes; mask *= 2)
      sum = sum + k.shuffleXor(sum, static_cast<int>(mask));
    Expr divisor = maxOrNaN(k.sqrt(sum), k.constantF(problem.epsilon));
    for (Expr &value : values)
      value = value / divisor;
  }

  KernelBuilder &k;
  const CompressProblem &problem;
  Array x, starts, output;
  int64_t lanes;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitCompress(ModuleOp module, StringRef symbol, const CompressProblem &problem, const GPUTarget &target) {
  if (problem.dim < 8 || problem.dim > 256 || (problem.dim & (problem.dim - 1)) != 0)
    return notServed("a head of " + llvm::Twine(problem.dim) + " elements is not 8, 16, ... 256");
  KernelBuilder k(module, symbol, target, {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  Compress(k, problem).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = problem.chunks;
  launch.grid[0].factor *= problem.heads;
  launch.grid[0].divisor *= threads / (problem.dim / 8);
  launch.block = threads;
  launch.dynamicShared = *shared;
  return launch;
}

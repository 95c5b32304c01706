// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/Rows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace msa::gpu;

/// Pieces of eight elements that a thread has in flight.
static constexpr unsigned threads = 256, atOnce = 4;

static llvm::Error notServed(const llvm::Twine &why) { return llvm::createStringError(llvm::inconvertibleErrorCode(), why); }

//===--- Eight elements. ---===//

SmallVector<Expr> msa::gpu::loadEight(KernelBuilder &k, const Array &array, Expr index) {
  SmallVector<Expr> words = k.load16(array, index);
  if (array.element.isF32())
    llvm::append_range(words, k.load16(array, index + 4));
  return words;
}

SmallVector<Expr> msa::gpu::eightToF32(KernelBuilder &k, ArrayRef<Expr> words, Type element) {
  SmallVector<Expr> values;
  for (Expr word : words) {
    if (element.isF32()) {
      values.push_back(k.bitcast(word, k.f32()));
      continue;
    }
    auto [low, high] = k.unpack(word, element);
    values.append({low, high});
  }
  return values;
}

SmallVector<Expr> msa::gpu::eightFromF32(KernelBuilder &k, ArrayRef<Expr> values, Type element) {
  SmallVector<Expr> words;
  for (unsigned i = 0; i < values.size(); i += element.isF32() ? 1 : 2)
    words.push_back(element.isF32() ? k.bitcast(values[i], k.i32()) : k.pack(values[i], values[i + 1], element));
  return words;
}

void msa::gpu::storeEight(KernelBuilder &k, ArrayRef<Expr> words, const Array &array, Expr index) {
  Array asWords{k.at(array, index), k.i32()};
  for (unsigned i = 0; i < words.size(); i += 4)
    k.storeVector(words.slice(i, 4), asWords, k.constant(i));
}

//===--- The template. ---===//

llvm::Expected<Launch> msa::gpu::emitGather(ModuleOp module, StringRef symbol, const GatherProblem &problem, const GPUTarget &target) {
  if (problem.row % 8 != 0)
    return notServed("a row of " + llvm::Twine(problem.row) + " elements is not a multiple of 8");
  KernelBuilder k(module, symbol, target, {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  Array field = k.span(problem.field, problem.element), output = viewOf(k, problem.output, problem.result), rows = viewOf(k, problem.rows, k.i64());
  int64_t pieces = problem.row / 8;
  Expr count = k.evaluate(problem.count) * pieces;
  auto gather = [&](Expr first) {
    // All loads, then all stores. What is past the end is the last piece again, and not stored.
    SmallVector<Expr> index;
    SmallVector<SmallVector<Expr>> words;
    for (unsigned i = 0; i < atOnce; ++i)
      index.push_back(first + static_cast<int64_t>(i * threads));
    SmallVector<Expr> sources;
    for (Expr i : index) {
      Expr inside = k.min(i, count - 1);
      sources.push_back(k.load(rows, inside / pieces) * problem.row + inside % pieces * 8);
    }
    for (Expr source : sources)
      words.push_back(loadEight(k, field, source));
    if (problem.element != problem.result)
      for (SmallVector<Expr> &piece : words)
        piece = eightFromF32(k, eightToF32(k, piece, problem.element), problem.result);
    // The result may begin in the middle of a buffer, behind rows of any number.
    Expr address = k.wrap(LLVM::PtrToIntOp::create(k.getBuilder(), k.getLoc(), k.i64(), output.base));
    auto storeAll = [&](bool aligned) {
      for (auto [i, at] : llvm::enumerate(index))
        k.ifThen(at < count, [&, i = i, at = at] {
          if (aligned)
            return storeEight(k, words[i], output, at * 8);
          unsigned halves = problem.result.isF32() ? 1 : 2;
          Type stored = k.getBuilder().getIntegerType(32 / halves);
          for (auto [j, word] : llvm::enumerate(words[i]))
            for (unsigned half = 0; half < halves; ++half) {
              Expr bits = word >> static_cast<int>(16 * half);
              if (halves == 2)
                bits = k.wrap(arith::TruncIOp::create(k.getBuilder(), k.getLoc(), stored, bits));
              k.store(bits, {output.base, stored}, at * 8 + static_cast<int64_t>(halves * j + half));
            }
        });
    };
    k.ifThenElse((address & 15) == 0, State(), [&] { storeAll(true); }, [&] { storeAll(false); });
  };
  k.forItems(k.ceilDiv(count, threads * atOnce), 1, [&](Expr item) {
    Expr first = item * (threads * atOnce) + k.toI64(k.thread());
    k.ifThen(first < count, [&] { gather(first); });
  });
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = problem.count;
  launch.grid[0].factor *= pieces;
  launch.grid[0].divisor *= threads * atOnce;
  launch.block = threads;
  launch.dynamicShared = *shared;
  return launch;
}

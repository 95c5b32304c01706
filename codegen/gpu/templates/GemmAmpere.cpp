// SPDX-License-Identifier: Apache-2.0
//===- GemmAmpere.cpp - products by mma.sync and cp.async -----------------===//
//
// A CTA computes tiles of `rows` x `columns`. All of its warps copy the next slabs of K to shared memory, several stages ahead, and multiply the slab
// that has arrived:
//
//   for slab:
//     wait for the slab's copies; meet, so that all threads' copies are seen and the stage before is read by nobody
//     start the copies of the slab `stages - 1` ahead
//     for each 16 of K: load fragments of lhs (ldmatrix) and rhs (ldmatrix, transposed), multiply all pairs
//
// Rows of a slab are 64 or 128 bytes, rows of a panel 32. The 16-byte chunks of each are swizzled as TMA would do it, so that neither copies nor ldmatrix
// meet bank conflicts.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Fragments.h"
#include "codegen/gpu/Pipeline.h"
#include "codegen/gpu/templates/Gemm.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

/// How warps share a tile.
struct WarpGrid {
  unsigned down, across;
  unsigned threads() const { return down * across * 32; }
};

WarpGrid warpGrid(const GemmInstance &instance) {
  return instance.rows * instance.columns >= 128 * 128 ? WarpGrid{2, 4} : WarpGrid{2, 2};
}

class GemmAmpere {
public:
  GemmAmpere(KernelBuilder &k, const GemmProblem &problem, const GemmInstance &instance)
      : k(k), problem(problem), instance(instance), type(multiplicand(problem.element)), warps(warpGrid(instance)), rowBytes(instance.depth * 2),
        lhsBytes(instance.rows * rowBytes), stageBytes(lhsBytes + instance.columns * rowBytes), memory(k.shared(stageBytes * instance.stages, 1024)),
        slabs((problem.k + instance.depth - 1) / instance.depth), panels((problem.n + 15) / 16) {}

  void emit() {
    rows = k.toI32(k.evaluate(problem.rows));
    EpilogueStore epilogue(k, problem.epilogue, problem.extras, problem.output, problem.result, problem.n);
    unsigned warpRows = instance.rows / warps.down, warpColumns = instance.columns / warps.across;
    Expr warpRow = k.warp() / warps.across * warpRows, warpColumn = k.warp() % warps.across * warpColumns;
    bool whole = problem.n % instance.columns == 0;
    forGemmTiles(k, rows, problem, instance, State(), [&](Expr row, Expr column) {
      SmallVector<Fragment> sums;
      for (unsigned i = 0; i < warpRows / 16; ++i)
        sums.emplace_back(k, warpColumns);
      multiply(sums, row, column, warpRow, warpColumn);
      for (auto [i, part] : llvm::enumerate(sums))
        epilogue.store(part, row + warpRow + static_cast<int>(i * 16), rows, column + warpColumn, whole);
    });
  }

private:
  /// XOR of a byte offset's 16-byte chunk with its 128-byte line, among rows of `width` bytes.
  Expr swizzled(Expr offset, unsigned width) { return offset ^ ((offset >> 3) & static_cast<int>((width - 16) & 0x70)); }

  Expr stageAddress(Expr stage) { return k.sharedAddress(memory) + stage * static_cast<int>(stageBytes); }

  /// Starts this thread's copies of a slab. Nothing is read outside the matrices: what is missing arrives as zeros.
  void copy(Expr slab, Expr stage, Expr row, Expr column) {
    unsigned threads = warps.threads(), chunks = rowBytes / 16; // of a row of lhs
    Array lhs = k.global(problem.lhs, problem.element), rhs = k.global(problem.rhs, problem.element);
    Expr depth = slab * instance.depth, base = stageAddress(stage);
    for (unsigned first = 0; first < instance.rows * chunks; first += threads) {
      Expr chunk = k.thread() + first, r = chunk / chunks, c = chunk % chunks;
      Expr from = depth + c * 8, there = (row + r < rows) & (from < k.constant(problem.k));
      Expr index = k.toI64(k.select(there, row + r, k.constant(0))) * problem.k + k.toI64(k.select(there, from, k.constant(0)));
      copyAsync(k, base + swizzled(r * static_cast<int>(rowBytes) + c * 16, rowBytes), k.at(lhs, index), k.toI32(there) * 16);
    }
    for (unsigned first = 0; first < instance.columns * instance.depth / 8; first += threads) {
      Expr chunk = k.thread() + first, inPanel = chunk % (instance.depth * 2), panel = column / 16 + chunk / (instance.depth * 2);
      Expr from = depth + inPanel / 2, there = (panel < k.constant(panels)) & (from < k.constant(problem.k));
      Expr line = k.toI64(k.select(there, panel, k.constant(0))) * problem.k + k.toI64(k.select(there, from, k.constant(0)));
      Expr index = line * 16 + k.toI64(inPanel % 2 * 8);
      copyAsync(k, base + static_cast<int>(lhsBytes) + swizzled(chunk * 16, 32), k.at(rhs, index), k.toI32(there) * 16);
    }
  }

  void multiply(MutableArrayRef<Fragment> sums, Expr row, Expr column, Expr warpRow, Expr warpColumn) {
    unsigned ahead = instance.stages - 1;
    k.syncThreads(); // the tile before is multiplied
    for (unsigned i = 0; i < ahead; ++i) {
      if (i < slabs)
        copy(k.constant(i), k.constant(i), row, column);
      copyCommit(k);
    }
    Cursor at{k.constant(0), k.constant(0), instance.stages}, next{k.constant(ahead), k.constant(0), instance.stages};
    k.forLoop(k.constant(slabs), State(sums, at, next), [&](Expr slab) {
      copyWait(k, ahead - 1);
      k.syncThreads();
      k.ifThen(slab + ahead < k.constant(slabs), [&] { copy(slab + ahead, next.stage, row, column); });
      copyCommit(k); // also an empty group: the count of groups is the count of slabs
      Expr base = stageAddress(at.stage);
      for (unsigned step = 0; step < instance.depth / 16; ++step)
        multiplyStep(sums, base, step, warpRow, warpColumn);
      at.advance();
      next.advance();
    });
    copyWait(k, 0);
  }

  /// sums += 16 columns of the lhs slab x 16 rows of the rhs slab.
  void multiplyStep(MutableArrayRef<Fragment> sums, Expr base, unsigned step, Expr warpRow, Expr warpColumn) {
    Expr inTile = k.lane() % 16, part = k.lane() / 16;
    SmallVector<SmallVector<Expr>> a;
    for (unsigned i = 0; i < sums.size(); ++i) {
      Expr r = warpRow + static_cast<int>(i * 16) + inTile;
      a.push_back(loadMatrices(k, base + swizzled(r * static_cast<int>(rowBytes) + (part + static_cast<int>(step * 2)) * 16, rowBytes), 4, false));
    }
    for (unsigned j = 0; j < sums[0].columns() / 16; ++j) {
      Expr line = (warpColumn / 16 + static_cast<int>(j)) * static_cast<int>(instance.depth) + static_cast<int>(step * 16) + inTile;
      SmallVector<Expr> b = loadMatrices(k, base + static_cast<int>(lhsBytes) + swizzled(line * 32 + part * 16, 32), 4, true);
      for (auto [fragment, words] : llvm::zip_equal(sums, a)) {
        mma(k, fragment, 2 * j, type, words, {b[0], b[1]});
        mma(k, fragment, 2 * j + 1, type, words, {b[2], b[3]});
      }
    }
  }

  KernelBuilder &k;
  const GemmProblem &problem;
  const GemmInstance &instance;
  Multiplicand type;
  WarpGrid warps;
  unsigned rowBytes;
  int64_t lhsBytes, stageBytes;
  Slab memory;
  int64_t slabs, panels;
  Expr rows;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitGemmAmpere(ModuleOp module, StringRef symbol, const GemmProblem &problem, const GemmInstance &instance,
                                                const GPUTarget &target) {
  unsigned threads = warpGrid(instance).threads();
  KernelBuilder k(module, symbol, target, {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  GemmAmpere(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = gemmTiles(problem, instance);
  launch.block = threads;
  launch.dynamicShared = *shared;
  return launch;
}

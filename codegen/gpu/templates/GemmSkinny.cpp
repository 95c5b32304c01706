// SPDX-License-Identifier: Apache-2.0
//===- GemmSkinny.cpp - products of a few rows ----------------------------===//
//
// With few rows every weight is read once and used a few times: the kernel is as fast as it reads weights. They go from global memory into registers,
// 16 bytes a lane, and from there into mma.sync as its 16-row operand, rows of lhs being the 8 columns.
//
// A warp reads 64 columns (four panels) by 16 of K a step. Lane (g, q), g = lane / 4, q = lane % 4, reads columns 8 g ... 8 g + 7 of rows k = 4 i + q, i < 4: each of the four
// loads covers whole 128-byte lines. A sum over k may take its terms in any order, so k = 4 i + q becomes slot i of lane q, and lhs is laid out to match
// when it is copied to shared memory. Two permutes make a register with two k of one column from two loads; column 8 g + 2 t is row g of product t,
// column 8 g + 2 t + 1 its row g + 8.
//
// K is split over the warps of a CTA and over the CTAs of a cluster, in turns, whatever the grid: sums are added warp by warp, then CTA by CTA.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Fragments.h"
#include "codegen/gpu/Pipeline.h"
#include "codegen/gpu/templates/Gemm.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned warpCount = 8, threadCount = warpCount * 32, width = 64, blockDepth = 16;
constexpr int64_t lhsLimit = 64 * 1024; ///< bytes of lhs in shared memory at a time

class GemmSkinny {
public:
  GemmSkinny(KernelBuilder &k, const GemmProblem &problem, const GemmInstance &instance)
      : k(k), problem(problem), instance(instance), type(multiplicand(problem.element)), tiles(instance.rows / 8), blocks(problem.k / blockDepth),
        panels((problem.n + 15) / 16) {
    // One round: every warp of every CTA of the cluster takes `stages` blocks.
    roundBlocks = int64_t(warpCount) * instance.stages;
    rounds = (blocks + roundBlocks * instance.split - 1) / (roundBlocks * instance.split);
    roundsAtOnce = std::clamp<int64_t>(lhsLimit / (roundBlocks * blockDepth * 2 * instance.rows), 1, rounds);
    // A row of lhs is padded by 16 bytes: the eight rows that a warp reads at once fall into different banks.
    rowBytes = roundsAtOnce * roundBlocks * blockDepth * 2 + 16;
    memory = k.shared(std::max<int64_t>(rowBytes * instance.rows, int64_t(warpCount) * width * instance.rows * 4), 128);
    if (instance.split > 1)
      clusterSums = k.shared(int64_t(width) * instance.rows * 4, 128);
  }

  void emit() {
    rows = k.toI32(k.evaluate(problem.rows));
    rank = instance.split > 1 ? k.clusterRank() : k.constant(0);
    int64_t columnTiles = (problem.n + width - 1) / width;
    Expr rowBlocks = k.ceilDiv(rows, instance.rows);
    k.forLoop(k.block(1), rowBlocks, k.grid(1), [&](Expr rowBlock) {
      k.forLoop(k.block() / instance.split, k.constant(columnTiles), k.grid() / instance.split, [&](Expr tile) {
        // Made anew for each tile: what is computed from them is not kept in registers from tile to tile.
        thread = k.thread(), lane = k.lane(), warp = k.warp();
        k.pin(thread, lane, warp);
        SmallVector<Fragment> sums; // product t: columns 8 g + 2 t and + 1
        for (unsigned t = 0; t < 4; ++t)
          sums.emplace_back(k, instance.rows);
        multiply(sums, rowBlock * instance.rows, tile);
        reduce(sums, rowBlock * instance.rows, tile * width);
      });
    });
  }

private:
  using Words = SmallVector<Expr>;

  /// The weights of this warp's block `block`, four loads of four words. `lanePointer` is the lane's place in block 0 of its panel.
  Words loadBlock(const Array &rhs, Expr lanePointer, Expr first, unsigned s) {
    Words words(16, k.constant(0));
    auto load = [&] {
      // Rows of 16 elements; this lane's row of load i is 4 i + q.
      for (int i = 0; i < 4; ++i)
        llvm::copy(k.load16(rhs, lanePointer + k.toI64(first * 256), Reuse::Once, s * 512 + i * 128), words.begin() + 4 * i);
    };
    if (blocks % (roundBlocks * instance.split) == 0)
      load();
    else
      k.ifThen(first + s < k.constant(blocks), State(words), load);
    return words;
  }

  void multiply(MutableArrayRef<Fragment> sums, Expr row, Expr tile) {
    Array rhs = k.global(problem.rhs, problem.element);
    Expr g = lane / 4, q = lane % 4;
    Expr panel = k.min(tile * (width / 16) + g / 2, k.constant(panels - 1));
    Expr lanePointer = k.toI64(panel) * (problem.k * 16) + k.toI64(q * 16 + g % 2 * 8);
    auto firstBlock = [&](Expr round) {
      return ((round * instance.split + rank) * warpCount + warp) * instance.stages;
    };
    SmallVector<Words> words; // of the blocks of a round; each is loaded for the next round as soon as it was multiplied
    for (unsigned s = 0; s < instance.stages; ++s)
      words.push_back(loadBlock(rhs, lanePointer, firstBlock(k.constant(0)), s));
    for (int64_t begin = 0; begin < rounds; begin += roundsAtOnce) {
      int64_t end = std::min(rounds, begin + roundsAtOnce);
      copyLhs(row, begin, end);
      k.forLoop(k.constant(begin), k.constant(end), k.constant(1), State(sums, words), [&](Expr round) {
        k.noUnroll();
        Expr local = ((round - begin) * warpCount + warp) * instance.stages; // block in shared memory
        Expr address = k.sharedAddress(memory) + g * static_cast<int>(rowBytes) + local * 32 + q * 8;
        // After the last round, its own blocks again: they are not used.
        Expr next = firstBlock(k.min(round + 1, k.constant(rounds - 1)));
        for (unsigned s = 0; s < instance.stages; ++s) {
          multiplyBlock(sums, words[s], address + static_cast<int>(s * 32));
          words[s] = loadBlock(rhs, lanePointer, next, s);
        }
      });
    }
  }

  void multiplyBlock(MutableArrayRef<Fragment> sums, ArrayRef<Expr> words, Expr address) {
    SmallVector<SmallVector<Expr>> b;
    for (unsigned j = 0; j < tiles; ++j)
      b.push_back(k.ptx("ld.shared.v2.b32 {$0, $1}, [$2];", {k.i32(), k.i32()}, (address + static_cast<int>(j * 8 * rowBytes)).value(),
                        KernelBuilder::Effect::Memory));
    for (unsigned t = 0; t < 4; ++t) {
      auto both = [&](unsigned i, int64_t selector) { return k.permute(words[4 * i + t], words[4 * i + 4 + t], selector); };
      Expr a[] = {both(0, 0x5410), both(0, 0x7632), both(2, 0x5410), both(2, 0x7632)};
      for (unsigned j = 0; j < tiles; ++j)
        mma(k, sums[t], j, type, a, b[j]);
    }
  }

  /// lhs rows [row, row + instance.rows) of this CTA's blocks in rounds [begin, end) to shared memory, each 16 of K in the order of slots: q, then i.
  void copyLhs(Expr row, int64_t begin, int64_t end) {
    Array lhs = k.global(problem.lhs, problem.element);
    int64_t halves = (end - begin) * roundBlocks * 2; // of 8 elements, of a row
    k.syncThreads();
    k.forLoop(thread, k.constant(halves * instance.rows), k.constant(threadCount), [&](Expr i) {
      k.noUnroll();
      Expr r = i / halves, half = i % halves, local = half / 2;
      Expr block = (local / roundBlocks + begin) * (roundBlocks * instance.split) + rank * roundBlocks + local % roundBlocks;
      Words words(4, k.constant(0));
      k.ifThen((row + r < rows) & (block < k.constant(blocks)), State(words), [&] {
        Expr index = k.toI64(row + r) * problem.k + k.toI64(block * 16 + half % 2 * 8);
        words = k.load16(lhs, index, Reuse::Default);
      });
      // Elements 0..3 are slot i of q = 0..3, elements 4..7 slot i + 1: a word for each q.
      Expr address = k.sharedAddress(memory) + r * static_cast<int>(rowBytes) + local * 32 + half % 2 * 4;
      for (int q = 0; q < 4; ++q) {
        Expr word = k.permute(words[q / 2], words[2 + q / 2], q % 2 ? 0x7632 : 0x5410);
        k.ptx("st.shared.b32 [$0], $1;", {}, {(address + q * 8).value(), word.value()}, KernelBuilder::Effect::Memory);
      }
    });
    k.syncThreads();
  }

  /// Adds the warps' sums, then the CTAs', and stores.
  void reduce(ArrayRef<Fragment> sums, Expr row, Expr column) {
    EpilogueStore epilogue(k, problem.epilogue, problem.extras, problem.output, problem.result, problem.n);
    int64_t size = int64_t(width) * instance.rows; // [rows][width] of each warp
    Array partial = k.sharedArray(memory, k.f32());
    k.syncThreads(); // lhs is read
    for (auto [t, fragment] : llvm::enumerate(sums))
      for (unsigned i = 0; i < fragment.size(); ++i) {
        Expr r = lane % 4 * 2 + Fragment::column(i), c = lane / 4 * 8 + static_cast<int>(2 * t + Fragment::half(i));
        k.store(fragment[i], partial, warp * size + r * width + c);
      }
    k.syncThreads();
    auto sumOf = [&](Expr index) {
      Expr sum = k.load(partial, index);
      for (unsigned w = 1; w < warpCount; ++w)
        sum += k.load(partial, index + w * size);
      return sum;
    };
    auto finish = [&](Expr index, Expr sum) {
      Expr r = row + index / width, c = column + index % width;
      k.ifThen((r < rows) & (c < k.constant(problem.n)), [&] { epilogue.store(sum, r, c); });
    };
    if (instance.split == 1) {
      for (int64_t first = 0; first < size; first += threadCount)
        finish(thread + first, sumOf(thread + first));
      return;
    }
    Array mine = k.sharedArray(clusterSums, k.f32());
    for (int64_t first = 0; first < size; first += threadCount)
      k.store(sumOf(thread + first), mine, thread + first);
    k.clusterSync();
    int64_t share = size / instance.split;
    for (int64_t first = 0; first < share; first += threadCount) {
      Expr inShare = thread + first;
      auto add = [&] {
        Expr index = rank * share + inShare, sum;
        for (unsigned other = 0; other < instance.split; ++other) {
          Expr value = k.loadCluster(k.clusterAddress(k.sharedAddress(clusterSums) + index * 4, k.constant(other)), k.f32());
          sum = other == 0 ? value : sum + value;
        }
        finish(index, sum);
      };
      if (share % threadCount == 0)
        add();
      else
        k.ifThen(inShare < k.constant(share), add);
    }
    k.clusterSync(); // nobody leaves, or writes again, while others read
  }

  KernelBuilder &k;
  const GemmProblem &problem;
  const GemmInstance &instance;
  Multiplicand type;
  unsigned tiles;
  int64_t blocks, panels, roundBlocks, rounds, roundsAtOnce, rowBytes;
  Slab memory, clusterSums;
  Expr rows, rank, thread, lane, warp;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitGemmSkinny(ModuleOp module, StringRef symbol, const GemmProblem &problem, const GemmInstance &instance,
                                                const GPUTarget &target) {
  // Two CTAs have twice the loads in flight; sums of 32 rows leave no room for that.
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers,
                   .scalars = problem.scalars,
                   .threads = threadCount,
                   .cluster = instance.split,
                   .minBlocks = instance.rows > 16 ? 1u : 2u},
                  module.getLoc());
  GemmSkinny(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = Term::constant((problem.n + width - 1) / width * instance.split);
  launch.grid[1] = problem.rows;
  launch.grid[1].divisor *= instance.rows;
  launch.block = threadCount;
  launch.cluster = instance.split;
  launch.dynamicShared = *shared;
  return launch;
}

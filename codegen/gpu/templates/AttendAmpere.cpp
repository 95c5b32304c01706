// SPDX-License-Identifier: Apache-2.0
//===- AttendAmpere.cpp - attention by mma.sync and cp.async --------------===//
//
// A CTA has a tile and four warps with a quarter of its rows each, 16 or 32. Blocks of keys and of values take turns
// in shared memory: values arrive while scores are computed, the next keys during the softmax and the second product.
// Two CTAs or more on a multiprocessor fill each other's gaps.
//
// Shared rows are a power of two of 16-byte chunks, whose numbers are mixed with the row's, so that the eight rows that
// an ldmatrix reads lie in different banks.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Pipeline.h"
#include "codegen/gpu/templates/AttendRows.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace msa::gpu;

namespace {

constexpr unsigned warps = 4, threads = 32 * warps;

/// Rows of 16-bit elements in shared memory.
class ChunkedRows {
public:
  ChunkedRows(KernelBuilder &k, unsigned rows, unsigned columns)
      : k(k), rows(rows), chunks(columns / 8), stride(llvm::PowerOf2Ceil(chunks)),
        slab(k.shared(rows * stride * 16, 128)) {}

  /// Address of chunk `chunk` (8 elements) of a row.
  Expr at(Expr row, Expr chunk) const {
    Expr mixed = stride >= 8 ? chunk ^ (row & 7) : chunk ^ ((row >> 1) & 3);
    return k.sharedAddress(slab) + (row * stride + mixed) * 16;
  }
  /// The address `rows` (a multiple of 8) and `chunks` (even) from that of an even chunk or its neighbour: few
  /// registers serve all of a loop's addresses.
  Expr beside(Expr address, unsigned rows, unsigned chunks) const {
    return (address ^ (chunks % 8 * 16)) + (chunks / 8 * 128 + rows * stride * 16);
  }

  /// Calls `body` for the chunks that this thread copies, with their address, row and chunk: always the same chunk, of
  /// rows that are mixed alike, so that one address serves all.
  void forChunks(function_ref<void(Expr address, Expr row, Expr chunk)> body) const {
    assert(threads % (8 * stride) == 0 && rows % (threads / stride) == 0);
    Expr first = k.thread() / stride, chunk = k.thread() % stride, address = at(first, chunk);
    auto copies = [&] {
      for (unsigned row = 0; row < rows; row += threads / stride)
        body(address + row * stride * 16, first + row, chunk);
    };
    if (chunks == stride)
      copies();
    else
      k.ifThen(chunk < int(chunks), copies);
  }

  /// Starts copies of rows from `global`, `rowStride` elements (i64) apart, by all threads; rows from `count` on are
  /// zero.
  void copy(const Array &global, Expr rowStride, Expr count) const {
    forChunks([&](Expr address, Expr row, Expr chunk) {
      // Of a row that is not there nothing is read, at an address that is.
      Expr there = row < count, index = k.toI64(row) * rowStride + k.toI64(chunk * 8);
      copyAsync(k, address, k.at(global, k.select(there, index, k.constant64(0))),
                k.select(there, k.constant(16), k.constant(0)));
    });
  }

private:
  KernelBuilder &k;
  unsigned rows, chunks, stride;
  Slab slab;
};

class AttendAmpere {
public:
  AttendAmpere(KernelBuilder &k, const AttendProblem &problem, const AttendInstance &instance)
      : k(k), problem(problem), instance(instance), type(multiplicand(problem.element)),
        rowTiles(instance.rows / (16 * warps)), queries(k, instance.rows, problem.headDim),
        keys(k, instance.keys, problem.headDim), values(k, instance.keys, problem.valueDim),
        rows(k, problem, instance) {}

  void emit() {
    k.forItems(rows.rowBlocks() * instance.splits * rows.headBlocks() * rows.batches(), 3, [&](Expr item) { attend(item); });
  }

private:
  void attend(Expr item) {
    AttendTile tile = tileOf(item);
    KeyRange range = rows.visible(tile);
    warpRow = k.warp() * (16 * rowTiles);

    seenByAll = {visible(tile, warpRow + (16 * rowTiles - 1), range.end).begin, visible(tile, warpRow, range.end).end};
    keyAddress = rows.address(problem.key, tile.batch, tile.kvHead);
    valueAddress = rows.address(problem.value, tile.batch, tile.kvHead);
    llvm::SmallVector<Fragment> outputs(rowTiles, Fragment(k, problem.valueDim));
    llvm::SmallVector<OnlineSoftmax> softmax(rowTiles, OnlineSoftmax(k, problem.scale));
    // Of the tile before, queries and keys are read by none any more: all warps have met since. Values are copied after they meet again.
    k.ifThen(range.begin < range.end, State(outputs, softmax), [&] {
      copyQueries(tile);
      copyBlock(keys, problem.key, keyAddress, range.begin);
      k.forLoop(range.begin, range.end, k.constant(instance.keys), State(outputs, softmax),
                [&](Expr first) { step(tile, first, range.end, outputs, softmax); });
    });
    // Found anew: what only this needs shall not take registers during the loop.
    k.pin(item);
    AttendTile same = tileOf(item);
    for (unsigned r = 0; r < rowTiles; ++r)
      rows.store(same, warpRow + r * 16, outputs[r], softmax[r].maxima(k), softmax[r].sums(k));
  }

  /// Of a head, row blocks are next to each other, and of those the parts of their keys; then come heads, then batches.
  AttendTile tileOf(Expr item) {
    Expr each = rows.rowBlocks() * instance.splits, part = item % each, head = item / each, rowBlock = part / instance.splits;
    if (problem.causal)
      rowBlock = rows.rowBlocks() - 1 - rowBlock;
    AttendTile tile = rows.tile(head / rows.headBlocks(), head % rows.headBlocks(), rowBlock);
    if (instance.splits > 1)
      tile.split = part % instance.splits;
    return tile;
  }

  KeyRange visible(const AttendTile &tile, Expr row, Expr end) {
    KeyRange range = rows.visible(rows.queryOf(tile, row));
    if (tile.split)
      range.end = k.min(range.end, end);
    return range;
  }

  void copyQueries(const AttendTile &tile) {
    Array array{rows.address(problem.query, tile.batch, tile.head), problem.element};
    Expr token = rows.tokenStride(problem.query), head = k.evaluate(problem.query.head);
    queries.forChunks([&](Expr address, Expr row, Expr chunk) {
      Expr query = rows.queryOf(tile, row), there = query < rows.queries();
      query = k.min(query, rows.queries() - 1);
      Expr index = k.toI64(query) * token + k.toI64(row % instance.pack) * head + k.toI64(chunk * 8);
      copyAsync(k, address, k.at(array, index), k.select(there, k.constant(16), k.constant(0)));
    });
  }

  void copyBlock(const ChunkedRows &to, const AttendTensor &tensor, Value from, Expr first) {
    Expr stride = rows.tokenStride(tensor);
    Array array{from, problem.element};
    // Past the last key nothing is read; the address stays inside.
    Expr start = k.max(k.min(first, rows.keys() - 1), k.constant(0));
    to.copy({k.at(array, k.toI64(start) * stride), problem.element}, stride, rows.keys() - first);
    copyCommit(k);
  }

  void step(const AttendTile &tile, Expr first, Expr end, llvm::SmallVectorImpl<Fragment> &outputs,
            llvm::SmallVectorImpl<OnlineSoftmax> &softmax) {
    copyWait(k, 0);
    k.syncThreads(); // the keys are there, and the values before are read
    copyBlock(values, problem.value, valueAddress, first);
    llvm::SmallVector<Fragment> scores(rowTiles, Fragment(k, instance.keys));
    multiplyKeys(scores);
    copyWait(k, 0);
    k.syncThreads(); // the values are there, and the keys are read
    k.ifThen(first + instance.keys < end,
             [&] { copyBlock(keys, problem.key, keyAddress, first + instance.keys); });
    Expr partly = seenByAll.end < first + instance.keys;
    if (problem.documents)
      partly = partly | (first < seenByAll.begin);
    k.ifThen(partly, State(scores), [&] {
      // Found here, where few blocks come by: they would take registers during the loop.
      Expr row = warpRow;
      k.pin(row);
      for (unsigned r = 0; r < rowTiles; ++r) {
        std::array<KeyRange, 2> ranges;
        for (unsigned half = 0; half < 2; ++half)
          ranges[half] = visible(tile, row + (Fragment::row(k, half) + r * 16), end);
        hideBehind(k, scores[r], first, ranges);
        if (problem.documents)
          hideBefore(k, scores[r], first, ranges);
      }
    });
    for (unsigned r = 0; r < rowTiles; ++r)
      softmax[r].update(k, scores[r]).apply(k, outputs[r]);
    multiplyValues(outputs, scores);
  }

  /// scores = queries x keys'
  void multiplyKeys(llvm::SmallVectorImpl<Fragment> &scores) {
    Expr lane = k.lane();
    Expr query = queries.at(warpRow + lane % 16, lane / 16), key = keys.at(lane % 8 + lane / 16 * 8, lane / 8 % 2);
    for (unsigned s = 0; s < problem.headDim / 16; ++s) {
      llvm::SmallVector<llvm::SmallVector<Expr>> a;
      for (unsigned r = 0; r < rowTiles; ++r)
        a.push_back(loadMatrices(k, queries.beside(query, r * 16, 2 * s), 4, false));
      for (unsigned pair = 0; pair < instance.keys / 16; ++pair) {
        llvm::SmallVector<Expr> b = loadMatrices(k, keys.beside(key, pair * 16, 2 * s), 4, false);
        for (unsigned r = 0; r < rowTiles; ++r)
          for (unsigned tile = 0; tile < 2; ++tile)
            mma(k, scores[r], 2 * pair + tile, type, a[r], {b[2 * tile], b[2 * tile + 1]});
      }
    }
  }

  /// outputs += weights x values
  void multiplyValues(llvm::SmallVectorImpl<Fragment> &outputs, llvm::SmallVectorImpl<Fragment> &weights) {
    Expr value = values.at(k.lane() % 16, k.lane() / 16);
    for (unsigned s = 0; s < instance.keys / 16; ++s) {
      llvm::SmallVector<std::array<Expr, 4>> a;
      for (unsigned r = 0; r < rowTiles; ++r)
        a.push_back(weights[r].operandA(k, s, problem.element));
      for (unsigned pair = 0; pair < problem.valueDim / 16; ++pair) {
        llvm::SmallVector<Expr> b = loadMatrices(k, values.beside(value, 16 * s, 2 * pair), 4, true);
        for (unsigned r = 0; r < rowTiles; ++r)
          for (unsigned tile = 0; tile < 2; ++tile)
            mma(k, outputs[r], 2 * pair + tile, type, a[r], {b[2 * tile], b[2 * tile + 1]});
      }
    }
  }

  KernelBuilder &k;
  const AttendProblem &problem;
  const AttendInstance &instance;
  Multiplicand type;
  unsigned rowTiles; ///< of 16 rows, a warp's
  ChunkedRows queries, keys, values;
  AttendRows rows;
  Expr warpRow;
  KeyRange seenByAll;                                ///< keys that all of the warp's rows see
  Value keyAddress, valueAddress;
};

} // namespace

llvm::Expected<Launch> msa::gpu::emitAttendAmpere(ModuleOp module, StringRef symbol, const AttendProblem &problem,
                                                  const AttendInstance &instance, const GPUTarget &target) {
  KernelBuilder k(module, symbol, target,
                  {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  AttendAmpere(k, problem, instance).emit();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid = {problem.queries, Term::constant(problem.heads / instance.pack), problem.batches};
  launch.grid[0].divisor = instance.rows / instance.pack;
  launch.grid[0].multiplier = instance.splits;
  launch.block = threads;
  launch.dynamicShared = *shared;
  launch.workspace = attendWorkspace(problem, instance.splits);
  return launch;
}

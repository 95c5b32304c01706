// SPDX-License-Identifier: Apache-2.0

#include "codegen/cpu/DotTile.h"
#include "codegen/cpu/SpanRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace msa::cpu;
using Values = KernelBuilder::Values;

static constexpr int64_t cacheLine = 64;

DotTile DotTile::many(const CPUTarget &target) { return target.registers >= 32 ? DotTile{4, 4} : DotTile{2, 3}; }
DotTile DotTile::single(const CPUTarget &target) { return target.registers >= 32 ? DotTile{1, 8} : DotTile{1, 6}; }

/// Concatenates halves or other groups of two vectors and adds: lane i of the result is from[low[i]] + from[high[i]].
static Value addShuffled(KernelBuilder &k, Value a, Value b, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  Value x = vector::ShuffleOp::create(k.getBuilder(), k.getLoc(), a, b, low);
  Value y = vector::ShuffleOp::create(k.getBuilder(), k.getLoc(), a, b, high);
  return k.addF(x, y);
}

/// One vector whose lane i is the halving sum of vector i; at most `lanes` vectors. Two vectors of groups become one with
/// groups of half the size. Vectors are paired so that groups of 4 lanes and less never leave their 128 bits: every
/// shuffle is one cheap instruction.
static Value sumEach(KernelBuilder &k, ArrayRef<Value> sums) {
  int64_t lanes = k.lanes(), blocks = lanes / 4;
  Value none = ub::PoisonOp::create(k.getBuilder(), k.getLoc(), k.vectorType());
  // Vector `block + blocks * j` ends up in lane 4 * block + j.
  Values level(lanes, none);
  for (auto [i, sum] : llvm::enumerate(sums))
    level[i / 4 + blocks * (i % 4)] = sum;

  for (int64_t group = lanes; group > 1; group /= 2) {
    SmallVector<int64_t> low, high;
    auto take = [&](int64_t start) {
      for (int64_t i = 0; i < group / 2; ++i) {
        low.push_back(start + i);
        high.push_back(start + group / 2 + i);
      }
    };
    if (group > 4) {
      for (int64_t start = 0; start < 2 * lanes; start += group)
        take(start);
    } else {
      // Within each 128 bits: what comes from the first vector, then what comes from the second.
      for (int64_t block = 0; block < blocks; ++block)
        for (int64_t from : {0, 1})
          for (int64_t i = 0; i < 4; i += group)
            take(from * lanes + 4 * block + i);
    }
    Values next;
    for (size_t i = 0; i < level.size(); i += 2)
      next.push_back(level[i] == none && level[i + 1] == none ? none : addShuffled(k, level[i], level[i + 1], low, high));
    level = next;
  }
  return level.front();
}

Values msa::cpu::partialProducts(KernelBuilder &k, DotTile tile, Value matrix, ArrayRef<Values> query, ValueRange key,
                                 Type element, int64_t length, Value ahead, int64_t aheadRows) {
  OpBuilder &b = k.getBuilder();
  int64_t lanes = k.lanes(), parts = partialSums / lanes, products = tile.queries * tile.keys;
  int64_t elementBytes = element.getIntOrFloatBitWidth() / 8;
  // Elements of one byte are converted by two vectors at once: as 16-bit integers both are one vector.
  bool small = isa<Float8E4M3FNType>(element);
  int64_t atOnce = small ? std::max(partialSums, 2 * lanes) : partialSums;
  int64_t whole = length / atOnce * atOnce;

  // Accumulator (part * queries + query) * keys + key. Part by part, so that on narrow vectors the query's vectors of
  // one part need not outlive it.
  auto step = [&](Value j, int64_t count, Values sums) {
    for (int64_t byte = 0; ahead && byte < aheadRows * count * elementBytes; byte += cacheLine)
      LLVM::Prefetch::create(b, k.getLoc(), offsetPointer(k, ahead, k.mul(j, aheadRows * elementBytes), byte),
                             /*rw=*/0, /*hint=*/2, /*cache=*/1);
    SmallVector<Value> pairs(tile.keys); // the vector at hand of each key, and the next
    for (int64_t number = 0; number * lanes < count; ++number) {
      int64_t part = number % parts, active = std::min(count - number * lanes, lanes);
      Value offset = k.add(j, number * lanes);
      Values rows;
      for (int64_t q = 0; q < tile.queries; ++q) {
        Values indices = query[q];
        indices.push_back(offset);
        rows.push_back(k.loadVector(matrix, indices, active < lanes ? k.mask(k.index(active)) : Value()));
      }
      for (int64_t c = 0; c < tile.keys; ++c) {
        Value address = offsetPointer(k, key[c], k.mul(j, elementBytes), number * lanes * elementBytes);
        Value row;
        if (!small) {
          row = k.toF32(loadElements(k, address, element, lanes, active));
        } else {
          if (number % 2 == 0)
            pairs[c] = k.toScaledF32(loadElements(k, address, element, 2 * lanes, count - number * lanes));
          row = vector::ExtractStridedSliceOp::create(b, k.getLoc(), pairs[c], ArrayRef<int64_t>{number % 2 * lanes}, ArrayRef<int64_t>{lanes},
                                                      ArrayRef<int64_t>{1});
        }
        for (int64_t q = 0; q < tile.queries; ++q) {
          Value &sum = sums[(part * tile.queries + q) * tile.keys + c];
          sum = k.fma(rows[q], row, sum);
        }
      }
    }
    return sums;
  };

  Values sums(parts * products, k.zero());
  if (whole)
    sums = k.forLoop(k.index(0), k.index(whole), atOnce, sums,
                     [&](Value j, ValueRange carried) { return step(j, atOnce, Values(carried)); });
  if (whole < length)
    sums = step(k.index(whole), length - whole, sums);

  return sums;
}

Value msa::cpu::sumProducts(KernelBuilder &k, ArrayRef<Value> partial, int64_t products) {
  Values sums(partial.take_front(products));
  for (size_t i = products; i < partial.size(); ++i)
    sums[i % products] = k.addF(sums[i % products], partial[i]);
  Value all = sumEach(k, sums);
  if (products == k.lanes())
    return all;
  return vector::ExtractStridedSliceOp::create(k.getBuilder(), k.getLoc(), all, ArrayRef<int64_t>{0},
                                               ArrayRef<int64_t>{products}, ArrayRef<int64_t>{1});
}

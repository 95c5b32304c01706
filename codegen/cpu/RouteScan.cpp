// SPDX-License-Identifier: Apache-2.0
//===- RouteScan.cpp - score a bank and keep its best documents -----------===//
//
// A tile scores its rows in blocks, so that keys come from memory once and every question token meets them in cache:
//
//   for each block of rows of the tile's documents          (addresses of its rows: spans end here)
//     for each few rows of the block                   (of one-byte elements and for several tokens: made f32 first)
//       for each few tokens that take part             (for a maximum, forwards and backwards in turn)
//         for each head: inner products (DotTile.h), times scale, into the heads' reduction
//         into the tokens' reduction
//       times the row's scale, of keys that have one
//     for each row of the block: into its document's reduction; a finished document goes to the tile's list
//
// What is rounded, in order, all in f32: the inner product; times scale; heads added ascending, then divided by their
// number; tokens added ascending, then divided by their number; times the row's scale, where there is one; chunks added ascending, then divided by their number.
// A maximum with a NaN is NaN. A document whose score is NaN ranks after all numbers. Where no token takes part every
// score is -infinity (max) or NaN (mean, last).
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/DotTile.h"
#include "codegen/cpu/Passes.h"
#include "codegen/cpu/RankedList.h"
#include "codegen/cpu/SpanRows.h"
#include "dialect/kernel/TileSizes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using msa::Reduce;
using msa::kernel::routeScanBlock;
using msa::kernel::RouteScanScratch;
using Values = KernelBuilder::Values;

namespace {

class RouteScan {
public:
  RouteScan(KernelBuilder &k, const CPUTarget &target, msa::kernel::RouteScanOp op)
      : k(k), op(op), target(target), keys(k, op.getKeys(), op.getRow(), op.getElement()),
        addresses(k.carve(op.getScratch(), RouteScanScratch::addresses, {routeScanBlock}, k.getBuilder().getI64Type())),
        rowScores(k.carve(op.getScratch(), RouteScanScratch::scores, {routeScanBlock})),
        rowPartials(k.carve(op.getScratch(), RouteScanScratch::partials, {routeScanBlock, partialSums})) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    heads = query.getDimSize(1);
    length = query.getDimSize(2);
    keyHeads = op.getRow() / length;
    rows = k.dim(op.getDocuments(), 0);
    capacity = k.dim(op.getScores(), 1);
    if (op.getKeyScales())
      rowKeys = k.carve(op.getScratch(), RouteScanScratch::keys, {msa::kernel::routeScanKeys, msa::kernel::paddedRow(op.getRow())});
  }

  void emit() {
    findTokens();
    k.forLoop(op.getLo(), op.getHi(), 1, [&](Value tile) { emitTile(tile); });
  }

private:
  void findTokens();
  Value firstDocumentFrom(Value row);
  void emitTile(Value tile);
  Value writeAddresses(Value cursor, Value row, Value end);
  void scoreBlock(Value count, DotTile tile);
  Value loadAddress(Value row);
  /// Where a few keys are, and what they are there.
  struct Keys {
    Values rows;
    Type element;
  };
  Keys widen(Keys key);
  Value scoreTokens(DotTile tile, const Keys &key, Value token, int64_t aheadRows, Value state);
  Value scoreRange(DotTile part, const Keys &key, Value from, Value end, Value back, int64_t aheadRows, Value state);
  void scoreSingle(Value count);
  void scaleScores(Value row, Value count);
  Values reduceRows(Value tile, Value row, Value count, Value end, ValueRange carried);

  Value loadDocument(Value row) { return k.loadRaw(op.getDocuments(), {row}); }
  Value start(Reduce reduce, int64_t lanes) {
    double value = reduce == Reduce::max ? -std::numeric_limits<double>::infinity()
                   : reduce == Reduce::last ? std::numeric_limits<double>::quiet_NaN() : 0.0;
    Value scalar = k.scalar(value);
    return lanes ? vector::BroadcastOp::create(k.getBuilder(), k.getLoc(), k.vectorType(lanes), scalar) : scalar;
  }
  Value combine(Reduce reduce, Value a, Value b) {
    if (reduce == Reduce::max)
      return arith::MaximumFOp::create(k.getBuilder(), k.getLoc(), a, b);
    return reduce == Reduce::mean ? k.addF(a, b) : b;
  }
  /// The maximum of scalars that come in one order only: the first of two zeros will do, which makes the chain shorter.
  Value maximumInOrder(Value a, Value b) {
    auto compare = [&](arith::CmpFPredicate predicate, Value x, Value y) -> Value {
      return arith::CmpFOp::create(k.getBuilder(), k.getLoc(), predicate, x, y);
    };
    Value greater = k.select(compare(arith::CmpFPredicate::OGT, b, a), b, a);
    return k.select(compare(arith::CmpFPredicate::UNO, b, b), b, greater);
  }
  Value toFloat(Value index) {
    Value integer = arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI64Type(), index);
    return arith::SIToFPOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getF32Type(), integer);
  }
  Value broadcast(Value scalar, int64_t lanes) {
    return vector::BroadcastOp::create(k.getBuilder(), k.getLoc(), k.vectorType(lanes), scalar);
  }

  Value slice(Value vector, int64_t offset, int64_t lanes) {
    if (cast<VectorType>(vector.getType()).getDimSize(0) == lanes)
      return vector;
    return vector::ExtractStridedSliceOp::create(k.getBuilder(), k.getLoc(), vector, ArrayRef<int64_t>{offset},
                                                 ArrayRef<int64_t>{lanes}, ArrayRef<int64_t>{1});
  }

  KernelBuilder &k;
  msa::kernel::RouteScanOp op;
  const CPUTarget &target;
  SpanRows keys;
  Value addresses, rowScores, rowPartials; ///< of the rows of a block
  Value rowKeys;                           ///< a few keys of one byte, as f32
  Value rows, capacity;
  Value firstToken, endToken, tokenCount; ///< of those that take part; those between that do not are skipped
  int64_t heads, keyHeads, length;
};

void RouteScan::findTokens() {
  Value tokens = k.dim(op.getMask(), 0);
  Values found = k.forLoop(k.index(0), tokens, 1, {tokens, k.index(0), k.index(0)}, [&](Value i, ValueRange carried) -> Values {
    Value on = k.loadRaw(op.getMask(), {i});
    return {k.select(on, k.min(carried[0], i), carried[0]), k.select(on, k.add(i, 1), carried[1]),
            k.select(on, k.add(carried[2], 1), carried[2])};
  });
  endToken = found[1];
  tokenCount = found[2];
  firstToken = op.getQueryReduce() == Reduce::last ? k.max(k.sub(endToken, 1), 0) : k.min(found[0], endToken);
}

/// The first row from `row` on that is the first of a document; the end if there is none.
Value RouteScan::firstDocumentFrom(Value row) {
  Value inside = k.andI(k.less(k.index(0), row), k.less(row, rows));
  return k.ifThenElse(
      inside,
      [&]() -> Values {
        Value previous = loadDocument(k.sub(row, 1));
        // Invariant: documents before `low` belong to the previous one, those from `high` on do not.
        Values bounds = k.whileLoop(
            {row, rows}, [&](ValueRange carried) { return k.less(carried[0], carried[1]); },
            [&](ValueRange carried) -> Values {
              Value middle = k.div(k.add(carried[0], carried[1]), 2);
              Value same = k.lessEqual(loadDocument(middle), previous);
              return {k.select(same, k.add(middle, 1), carried[0]), k.select(same, carried[1], middle)};
            });
        return {bounds[0]};
      },
      [&]() -> Values { return {k.min(row, rows)}; })[0];
}

void RouteScan::emitTile(Value tile) {
  Value first = k.mul(tile, op.getRows());
  Value begin = firstDocumentFrom(first), end = firstDocumentFrom(k.add(first, op.getRows()));
  k.ifThenElse(
      k.less(begin, end),
      [&] {
        // Carried: span, the running reduction of the current document, how many of its rows are in it, list's size.
        Values init{keys.find(begin), start(op.getChunkReduce(), 0), k.index(0), k.index(0)};
        Values last = k.forLoop(begin, end, routeScanBlock, init, [&](Value row, ValueRange carried) -> Values {
          Value count = k.min(k.sub(end, row), routeScanBlock);
          Value cursor = writeAddresses(carried[0], row, count);
          DotTile single = DotTile::single(target), many = DotTile::many(target);
          auto scoreOneToken = [&] { heads == 1 ? scoreSingle(count) : scoreBlock(count, single); };
          if (op.getQueryReduce() == Reduce::last)
            scoreOneToken();
          else
            k.ifThenElse(k.equal(k.sub(endToken, firstToken), k.index(1)), scoreOneToken,
                         [&] { scoreBlock(count, many); });
          if (op.getKeyScales())
            scaleScores(row, count);
          Values next = reduceRows(tile, row, count, end, carried.drop_front());
          next.insert(next.begin(), cursor);
          return next;
        });
        RankedList(k, op.getScores(), op.getEntries(), {tile}).sortByRank(last[3]);
        Value size = arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI64Type(), last[3]);
        k.storeRaw(size, op.getCounts(), {tile});
      },
      [&] {
        Value none = arith::ConstantIntOp::create(k.getBuilder(), k.getLoc(), 0, 64);
        k.storeRaw(none, op.getCounts(), {tile});
      });
}

/// Where rows [row, row + count) start. The rest of the block repeats the last, so that rows are always scored by the
/// same number; what comes out is not looked at. Gives the cursor.
Value RouteScan::writeAddresses(Value cursor, Value row, Value count) {
  OpBuilder &b = k.getBuilder();
  Value last = k.sub(count, 1);
  auto toAddress = [&](Value pointer) -> Value {
    return LLVM::PtrToIntOp::create(b, k.getLoc(), b.getI64Type(), pointer);
  };
  Value first = keys.advance(cursor, row);
  return k.ifThenElse(
      keys.holds(first, k.add(row, last)),
      [&]() -> Values { // as nearly always; without a branch in it, the loop becomes a few vector instructions
        Value start = toAddress(keys.address(first, row));
        k.forLoop(k.index(0), k.index(routeScanBlock), 1, [&](Value i) {
          Value bytes = arith::IndexCastOp::create(b, k.getLoc(), b.getI64Type(), k.mul(k.min(i, last), keys.rowBytes()));
          k.storeRaw(k.add(start, bytes), addresses, {i});
        });
        return {first};
      },
      [&]() -> Values {
        return k.forLoop(k.index(0), k.index(routeScanBlock), 1, {first}, [&](Value i, ValueRange carried) -> Values {
          Value wanted = k.add(row, k.min(i, last));
          Value next = keys.advance(carried[0], wanted);
          k.storeRaw(toAddress(keys.address(next, wanted)), addresses, {i});
          return {next};
        });
      })[0];
}

Value RouteScan::loadAddress(Value row) {
  Type pointer = LLVM::LLVMPointerType::get(k.getBuilder().getContext());
  return LLVM::IntToPtrOp::create(k.getBuilder(), k.getLoc(), pointer, k.loadRaw(addresses, {row}));
}

/// Keys of one byte as f32, 2^-8 of what they are: once, for many tokens. Meanwhile the next keys come to the second-level cache.
RouteScan::Keys RouteScan::widen(Keys key) {
  OpBuilder &b = k.getBuilder();
  int64_t row = op.getRow(), atOnce = 2 * k.lanes(), whole = row / atOnce * atOnce, next = key.rows.size() * keys.rowBytes();
  Keys wide{{}, b.getF32Type()};
  Value index = memref::ExtractAlignedPointerAsIndexOp::create(b, k.getLoc(), rowKeys);
  Value address = arith::IndexCastOp::create(b, k.getLoc(), b.getI64Type(), index);
  Value base = LLVM::IntToPtrOp::create(b, k.getLoc(), LLVM::LLVMPointerType::get(b.getContext()), address);
  for (auto [i, from] : llvm::enumerate(key.rows)) {
    Value number = k.index(i);
    auto convert = [&](Value offset, int64_t active) {
      Value pair = k.toScaledF32(loadElements(k, offsetPointer(k, from, offset), key.element, atOnce, active));
      for (int64_t half = 0; half < std::min(active, atOnce); half += k.lanes())
        k.storeRawVector(slice(pair, half, k.lanes()), rowKeys, {number, k.add(offset, half)});
    };
    for (int64_t byte = 0; byte < row; byte += 64)
      LLVM::Prefetch::create(b, k.getLoc(), offsetPointer(k, from, {}, next + byte), /*rw=*/0, /*hint=*/2, /*cache=*/1);
    k.forLoop(k.index(0), k.index(whole), atOnce, [&](Value offset) { convert(offset, atOnce); });
    if (whole < row)
      convert(k.index(whole), row - whole); // the padding takes the rest
    wide.rows.push_back(offsetPointer(k, base, {}, int64_t(i) * msa::kernel::paddedRow(row) * 4));
  }
  return wide;
}

/// The reduction over heads of `tile.queries` tokens from `token` on, and that over tokens, of which `state` is the
/// result so far: one lane for each key, or for each product where it is a maximum, whose order does not matter.
Value RouteScan::scoreTokens(DotTile tile, const Keys &key, Value token, int64_t aheadRows, Value state) {
  OpBuilder &b = k.getBuilder();
  int64_t products = tile.queries * tile.keys;
  int64_t elementBytes = key.element.getIntOrFloatBitWidth() / 8;
  Reduce headReduce = op.getHeadReduce(), queryReduce = op.getQueryReduce();

  auto scoreHead = [&](Value head) {
    Value keyBytes = k.mul(k.div(head, heads / keyHeads), length * elementBytes);
    Values headKeys;
    for (Value row : key.rows)
      headKeys.push_back(keyHeads == 1 ? row : offsetPointer(k, row, keyBytes));
    SmallVector<Values> query;
    for (int64_t i = 0; i < tile.queries; ++i)
      query.push_back({k.add(token, i), head});
    // Meanwhile the next rows come to the second-level cache, `aheadRows` of them with each group of tokens, in turns:
    // several rows at once are no stream that the processor would recognise. They lie behind these, save at the end of a
    // span, where fetching ahead does no harm.
    Value ahead;
    if (key.element == op.getElement()) {
      Value turn = k.rem(k.div(token, tile.queries), tile.keys / aheadRows);
      Value bytes = k.add(k.mul(turn, aheadRows * keys.rowBytes()), keyHeads == 1 ? k.index(0) : k.mul(keyBytes, aheadRows));
      ahead = offsetPointer(k, key.rows[0], bytes, tile.keys * keys.rowBytes());
    }
    Values partial = partialProducts(k, tile, op.getQuery(), query, headKeys, key.element, length, ahead, aheadRows);
    Value dots = sumProducts(k, partial, products);
    return k.mulF(dots, broadcast(k.scalar(op.getScale().convertToDouble()), products));
  };
  Value scores;
  if (heads == 1) {
    scores = scoreHead(k.index(0));
  } else {
    scores = k.forLoop(k.index(0), k.index(heads), 1, {start(headReduce, products)}, [&](Value head, ValueRange carried) -> Values {
      return {combine(headReduce, carried[0], scoreHead(head))};
    })[0];
    if (headReduce == Reduce::mean)
      scores = k.divF(scores, broadcast(k.scalar(heads), products));
  }
  if (queryReduce == Reduce::max) {
    Value on = k.loadRaw(op.getMask(), {token});
    if (tile.queries > 1) {
      SmallVector<int64_t> queryOf;
      for (int64_t i = 0; i < products; ++i)
        queryOf.push_back(i / tile.keys);
      on = vector::LoadOp::create(b, k.getLoc(), VectorType::get({tile.queries}, b.getI1Type()), op.getMask(), token);
      on = vector::ShuffleOp::create(b, k.getLoc(), on, on, queryOf);
    }
    return k.select(on, combine(queryReduce, state, scores), state);
  }
  for (int64_t i = 0; i < tile.queries; ++i) {
    Value on = k.loadRaw(op.getMask(), {k.add(token, i)});
    state = k.select(on, combine(queryReduce, state, slice(scores, i * tile.keys, tile.keys)), state);
  }
  return state;
}

/// One token and one head: what memory's speed decides. Rows are read one after the other, as the processor's prefetching
/// likes best, and their partial sums wait until there are enough to add them all up at once.
void RouteScan::scoreSingle(Value count) {
  auto zeroToken = [&] {
    k.forLoop(k.index(0), k.index(routeScanBlock), k.lanes(), [&](Value row) {
      k.storeRawVector(start(op.getQueryReduce(), k.lanes()), rowScores, {row});
    });
  };
  auto oneToken = [&] {
    k.forLoop(k.index(0), count, 1, [&](Value row) {
      Value key = loadAddress(row);
      Values query{firstToken, k.index(0)};
      // Short rows keep so many loads in flight that the processor's own prefetching falls behind.
      Value ahead = keys.rowBytes() < 2048 ? offsetPointer(k, key, {}, 4096) : Value();
      Values partial = partialProducts(k, {1, 1}, op.getQuery(), {query}, key, op.getElement(), length, ahead);
      for (auto [part, vector] : llvm::enumerate(partial))
        k.storeRawVector(vector, rowPartials, {row, k.index(part * k.lanes())});
    });
    k.forLoop(k.index(0), count, k.lanes(), [&](Value row) {
      Values partial;
      for (int64_t part = 0; part < partialSums; part += k.lanes())
        for (int64_t i = 0; i < k.lanes(); ++i)
          partial.push_back(k.loadRawVector(rowPartials, {k.add(row, i), k.index(part)}));
      Value scores = k.mulF(sumProducts(k, partial, k.lanes()), k.splat(op.getScale().convertToDouble()));
      k.storeRawVector(scores, rowScores, {row});
    });
  };
  k.ifThenElse(k.less(firstToken, endToken), oneToken, zeroToken);
}

/// A scale is not negative: a row's maximum is that of its scaled products. The factor is what DotTile.h leaves out.
void RouteScan::scaleScores(Value row, Value count) {
  k.forLoop(k.index(0), count, k.lanes(), [&](Value i) {
    Value scales = k.loadRawVector(op.getKeyScales(), {k.add(row, i)}, k.mask(k.sub(count, i)));
    Value scores = k.mulF(k.loadRawVector(rowScores, {i}), k.splat(256.0));
    k.storeRawVector(k.mulF(scores, scales), rowScores, {i});
  });
}

/// `state` and the reduction over tokens [from, end), a multiple of `part.queries`, from behind if `back`.
Value RouteScan::scoreRange(DotTile part, const Keys &key, Value from, Value end, Value back, int64_t aheadRows, Value state) {
  Reduce reduce = op.getQueryReduce();
  bool maximum = reduce == Reduce::max;
  Value init = maximum ? start(reduce, part.queries * part.keys) : state;
  Value result = k.forLoop(from, end, part.queries, {init}, [&](Value step, ValueRange carried) -> Values {
    Value mirrored = k.sub(k.add(from, k.sub(end, part.queries)), step);
    Value token = maximum ? k.select(back, mirrored, step) : step;
    Value any = k.loadRaw(op.getMask(), {token});
    for (int64_t i = 1; i < part.queries; ++i)
      any = k.orI(any, k.loadRaw(op.getMask(), {k.add(token, i)}));
    return k.ifThenElse(
        any, [&]() -> Values { return {scoreTokens(part, key, token, aheadRows, carried[0])}; },
        [&]() -> Values { return {carried[0]}; });
  })[0];
  if (!maximum)
    return result;
  for (int64_t lanes = part.queries * part.keys; lanes > part.keys; lanes /= 2)
    result = combine(reduce, slice(result, 0, lanes / 2), slice(result, lanes / 2, lanes / 2));
  return combine(reduce, state, result);
}

void RouteScan::scoreBlock(Value count, DotTile tile) {
  Value tokens = k.sub(endToken, firstToken);
  // With hardly more tokens than a tile takes, smaller ones are faster: what they read again was fetched twice.
  Value few = k.less(tokens, k.index(tile.queries + tile.queries / 2));
  Value whole = k.add(firstToken, k.mul(k.div(tokens, tile.queries), tile.queries));
  if (tile.queries > 1)
    whole = k.select(few, firstToken, whole);
  // Only what has been asked for twice is there in time. Where many tokens come along, asking more often only costs.
  int64_t lessAhead = std::max<int64_t>(tile.keys / 2, 1);
  assert(tile.keys % lessAhead == 0 && "every row has its turn");
  Value many = k.lessEqual(k.index(2 * (tile.keys / lessAhead) * tile.queries), tokens);

  Value groups = k.ceilDiv(count, tile.keys);
  k.forLoop(k.index(0), k.mul(groups, tile.keys), tile.keys, [&](Value group) {
    Keys key{{}, op.getElement()};
    for (int64_t i = 0; i < tile.keys; ++i)
      key.rows.push_back(loadAddress(k.add(group, i)));
    if (op.getKeyScales() && tile.queries > 1)
      key = widen(std::move(key));
    // Every other time tokens go backwards: the last ones are in the first-level cache still when it has to take new keys.
    Value back = k.equal(k.rem(k.div(group, tile.keys), 2), k.index(1));
    Value state = start(op.getQueryReduce(), tile.keys);
    auto scoreWhole = [&](int64_t aheadRows) -> Values {
      return {scoreRange(tile, key, firstToken, whole, back, aheadRows, state)};
    };
    auto scoreRest = [&]() -> Values {
      Value from = whole, rest = state;
      for (int64_t queries = tile.queries / 2; queries > 0; queries /= 2) {
        Value end = k.add(from, k.mul(k.div(k.sub(endToken, from), queries), queries));
        rest = scoreRange({queries, tile.keys}, key, from, end, back, tile.keys, rest);
        from = end;
      }
      return {rest};
    };
    if (tile.queries == 1) {
      state = scoreWhole(tile.keys)[0];
    } else {
      state = k.ifThenElse(many, [&] { return scoreWhole(lessAhead); }, [&] { return scoreWhole(tile.keys); })[0];
      state = k.ifThenElse(k.less(whole, endToken), scoreRest, [&]() -> Values { return {state}; })[0];
    }
    if (op.getQueryReduce() == Reduce::mean)
      state = k.divF(state, broadcast(toFloat(tokenCount), tile.keys));
    k.storeRawVector(state, rowScores, {group});
  });
}

Values RouteScan::reduceRows(Value tile, Value row, Value count, Value end, ValueRange carried) {
  Reduce reduce = op.getChunkReduce();
  return k.forLoop(k.index(0), count, 1, carried, [&](Value i, ValueRange carried) -> Values {
    Value current = k.add(row, i), next = k.add(current, 1);
    Value number = loadDocument(current);
    Value score = k.loadRaw(rowScores, {i});
    Value state = reduce == Reduce::max ? maximumInOrder(carried[0], score) : combine(reduce, carried[0], score);
    Value length = k.add(carried[1], 1);
    Value done = k.orI(k.equal(next, end), k.notEqual(loadDocument(k.min(next, k.sub(end, 1))), number));
    return k.ifThenElse(
        done,
        [&]() -> Values {
          Value score = reduce == Reduce::mean ? k.divF(state, toFloat(length)) : state;
          auto toI64 = [&](Value index) -> Value {
            return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI64Type(), index);
          };
          Document document{score, number, toI64(k.sub(next, length)), toI64(next)};
          Value size = RankedList(k, op.getScores(), op.getEntries(), {tile}).insert(carried[2], capacity, document);
          return {start(reduce, 0), k.index(0), size};
        },
        [&]() -> Values { return {state, length, carried[2]}; });
  });
}

struct LowerRouteScan : OpRewritePattern<msa::kernel::RouteScanOp> {
  LowerRouteScan(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(msa::kernel::RouteScanOp op, PatternRewriter &rewriter) const override {
    KernelBuilder k(rewriter, op.getLoc(), target);
    RouteScan(k, target, op).emit();
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};

} // namespace

void msa::cpu::populateLowerRouteScanPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerRouteScan>(patterns.getContext(), target);
}

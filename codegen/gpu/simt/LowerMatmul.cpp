// SPDX-License-Identifier: Apache-2.0
//===- LowerMatmul.cpp - products on FFMA ---------------------------------===//
//
// Two launches, of which one is taken. Many rows: a block makes 64 x 64 results, a thread 4 x 4 of them, from tiles of 16 k in shared
// memory; the next tile is on its way in registers meanwhile. Few rows: a block makes a panel's 16 columns of up to 16 rows, so that
// the panel is read once, by all threads, and a thread makes one result.
//
// In both a result is one chain of fused multiply-adds in ascending k: it depends neither on the launch nor on other rows.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

namespace {

constexpr int64_t kThreads = 256, kPanel = 16;
/// Rows up to which the second form is taken.
constexpr int64_t kFewRows = 16;

/// Whether a buffer's view starts where the buffer does, which is 16-byte aligned.
bool startsAligned(Value memref) {
  auto view = memref.getDefiningOp<memref::ViewOp>();
  return view && getConstantIntValue(view.getByteShift()).value_or(1) % 16 == 0;
}

class MatmulLowering {
public:
  MatmulLowering(msa::exec::KernelOp kernel, StringRef symbol)
      : function(kernel, symbol, kThreads), op(function.getOp<msa::kernel::MatmulOp>()), b(op), k(b, op.getLoc()) {
    auto lhs = cast<MemRefType>(op.getLhs().getType()), rhs = cast<MemRefType>(op.getRhs().getType());
    depth = lhs.getDimSize(1);
    panels = rhs.getDimSize(0);
    columns = cast<MemRefType>(op.getResult().getType()).getDimSize(1);
    rows = k.dim(op.getLhs(), 0);
    thread = k.thread();
    lhsAligned = startsAligned(op.getLhs()) && depth % 4 == 0;
    rhsAligned = startsAligned(op.getRhs());
  }

  std::optional<uint32_t> rowScalar() { return function.scalarNumber(rows); }
  std::optional<int64_t> staticRows() { return getConstantIntValue(rows); }

  Launch emitMany();
  Launch emitFew();
  /// Takes the function back.
  void discard() { function.getFunction().erase(); }

private:
  MemRefType f32(ArrayRef<int64_t> shape) { return MemRefType::get(shape, b.getF32Type()); }
  Values loadPanel(Value panel, Value kIndex, Value column);
  Values fourOrZero(Value condition, function_ref<Values()> load);
  void finish(Value sum, Value row, Value column);
  static constexpr int64_t tile = 64, tileDepth = 16, paddedTile = tile + 4;
  static constexpr int64_t chunk = 128, paddedChunk = chunk + 1;

  SimtFunction function;
  msa::kernel::MatmulOp op;
  OpBuilder b;
  SimtBuilder k;
  int64_t depth, panels, columns;
  Value rows, thread;
  bool lhsAligned, rhsAligned;
};

Values MatmulLowering::fourOrZero(Value condition, function_ref<Values()> load) {
  Values zeros(4, k.scalar(0.0));
  return k.ifThenElse(condition, [&]() -> Values { return load(); }, [&]() -> Values { return zeros; });
}

/// Four elements of a panel's row; 0 past the last panel or k.
Values MatmulLowering::loadPanel(Value panel, Value kIndex, Value column) {
  Value inside = k.andI(k.less(panel, k.index(panels)), k.less(kIndex, k.index(depth)));
  return fourOrZero(inside, [&] { return k.loadFour(op.getRhs(), {panel, kIndex, column}, rhsAligned); });
}

/// The epilogue on one sum, and the store of its result.
void MatmulLowering::finish(Value sum, Value row, Value column) {
  IRMapping mapping;
  Block &body = op.getEpilogue().front();
  mapping.map(body.getArgument(0), sum);
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    bool isRow = cast<MemRefType>(extra.getType()).getRank() == 1;
    mapping.map(body.getArgument(i + 1), isRow ? k.loadRaw(extra, {column}) : k.loadRaw(extra, {row, column}));
  }
  for (Operation &inner : body.without_terminator())
    b.clone(inner, mapping);
  k.storeRaw(mapping.lookupOrDefault(body.getTerminator()->getOperand(0)), op.getResult(), {row, column});
}

Launch MatmulLowering::emitMany() {
  int64_t columnTiles = llvm::divideCeil(columns, tile);
  Value left = function.shared(k, f32({tileDepth, paddedTile})), right = function.shared(k, f32({tileDepth, tile}));
  // What a thread copies of a tile: four k of one row; four columns of one k.
  Value leftRow = k.div(thread, 4), leftK = k.mul(k.rem(thread, 4), 4);
  Value rightPanel = k.div(thread, 64), element = k.mul(k.rem(thread, 64), 4);
  Value rightK = k.div(element, kPanel), rightColumn = k.rem(element, kPanel);
  Value x = k.mul(k.rem(thread, 16), 4), y = k.mul(k.div(thread, 16), 4);

  Value total = k.mul(k.ceilDiv(rows, tile), columnTiles);
  k.forStride(k.block(), total, k.blocks(), [&](Value number) {
    Value firstRow = k.mul(k.div(number, columnTiles), tile), firstColumn = k.mul(k.rem(number, columnTiles), tile);
    Value row = k.add(firstRow, leftRow), panel = k.add(k.div(firstColumn, kPanel), rightPanel);
    auto load = [&](Value base) -> Values {
      Value at = k.add(base, leftK), inRows = k.less(row, rows);
      Values values;
      if (depth % 4 == 0) {
        values = fourOrZero(k.andI(inRows, k.less(at, k.index(depth))), [&] { return k.loadFour(op.getLhs(), {row, at}, lhsAligned); });
      } else {
        for (int64_t i = 0; i < 4; ++i) {
          Value own = k.add(at, i);
          values.push_back(k.ifThenElse(
              k.andI(inRows, k.less(own, k.index(depth))), [&]() -> Values { return {k.load(op.getLhs(), {row, own})}; },
              [&]() -> Values { return {k.scalar(0.0)}; })[0]);
        }
      }
      values.append(loadPanel(panel, k.add(base, rightK), rightColumn));
      return values;
    };
    Values carried(16, k.scalar(0.0));
    carried.append(load(k.index(0)));
    Values sums = k.forLoop(k.index(0), k.index(depth), tileDepth, carried, [&](Value base, ValueRange in) -> Values {
      Values staged(in.drop_front(16)), acc(in.take_front(16));
      for (int64_t i = 0; i < 4; ++i)
        k.storeRaw(staged[i], left, {k.add(leftK, i), leftRow});
      k.storeFour(ValueRange(staged).drop_front(4), right, {rightK, k.add(k.mul(rightPanel, kPanel), rightColumn)}, true);
      k.syncBlock();
      Values next = load(k.add(base, tileDepth));
      for (int64_t step = 0; step < tileDepth; ++step) {
        Values a = k.loadFour(left, {k.index(step), y}, true), w = k.loadFour(right, {k.index(step), x}, true);
        for (int64_t i = 0; i < 4; ++i)
          for (int64_t j = 0; j < 4; ++j)
            acc[i * 4 + j] = k.fma(a[i], w[j], acc[i * 4 + j]);
      }
      k.syncBlock();
      acc.append(next);
      return acc;
    });
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j < 4; ++j) {
        Value ownRow = k.add(firstRow, k.add(y, i)), ownColumn = k.add(firstColumn, k.add(x, j));
        Value inside = k.less(ownRow, rows);
        if (columns % tile)
          inside = k.andI(inside, k.less(ownColumn, k.index(columns)));
        k.ifThen(inside, [&] { finish(sums[i * 4 + j], ownRow, ownColumn); });
      }
  });
  op.erase();
  Launch &launch = function.getLaunch();
  launch.grid[0] = function.gridOf(ValueRange{rows}, tile);
  if (launch.grid[0].scalars.empty())
    launch.grid[0].factor *= columnTiles;
  else
    launch.grid[0].multiplier = columnTiles;
  return launch;
}

Launch MatmulLowering::emitFew() {
  Value left = function.shared(k, f32({kFewRows, paddedChunk})), right = function.shared(k, f32({chunk, kPanel}));
  constexpr int64_t fours = chunk * kPanel / 4 / kThreads; // of a chunk of a panel, for each thread
  Value column = k.rem(thread, kPanel), row = k.div(thread, kPanel);
  Value takesPart = k.less(row, rows);

  k.forStride(k.block(), k.index(panels), k.blocks(), [&](Value panel) {
    auto load = [&](Value base) -> Values {
      Values values;
      for (int64_t i = 0; i < fours; ++i) {
        Value element = k.add(k.mul(thread, 4), i * kThreads * 4);
        values.append(loadPanel(panel, k.add(base, k.div(element, kPanel)), k.rem(element, kPanel)));
      }
      return values;
    };
    Values carried{k.scalar(0.0)};
    carried.append(load(k.index(0)));
    Value sum = k.forLoop(k.index(0), k.index(depth), chunk, carried, [&](Value base, ValueRange in) -> Values {
      for (int64_t i = 0; i < fours; ++i) {
        Value element = k.add(k.mul(thread, 4), i * kThreads * 4);
        k.storeFour(in.slice(1 + 4 * i, 4), right, {k.div(element, kPanel), k.rem(element, kPanel)}, true);
      }
      Value length = k.min(k.sub(k.index(depth), base), chunk);
      k.forStride(thread, k.mul(rows, chunk), k.index(kThreads), [&](Value element) {
        Value ownRow = k.div(element, chunk), ownK = k.rem(element, chunk);
        Value x = k.ifThenElse(
            k.less(ownK, length), [&]() -> Values { return {k.load(op.getLhs(), {ownRow, k.add(base, ownK)})}; },
            [&]() -> Values { return {k.scalar(0.0)}; })[0];
        k.storeRaw(x, left, {ownRow, ownK});
      });
      k.syncBlock();
      Values next = load(k.add(base, chunk));
      Value acc = k.ifThenElse(
          takesPart,
          [&]() -> Values {
            constexpr int64_t unroll = 8;
            return k.forLoop(k.index(0), k.roundUp(length, unroll), unroll, {in[0]}, [&](Value at, ValueRange chain) -> Values {
              Value sum = chain[0];
              for (int64_t u = 0; u < unroll; ++u)
                sum = k.fma(k.loadRaw(left, {row, k.add(at, u)}), k.loadRaw(right, {k.add(at, u), column}), sum);
              return {sum};
            });
          },
          [&]() -> Values { return {in[0]}; })[0];
      k.syncBlock();
      next.insert(next.begin(), acc);
      return next;
    })[0];
    Value ownColumn = k.add(k.mul(panel, kPanel), column), inside = takesPart;
    if (columns % kPanel)
      inside = k.andI(inside, k.less(ownColumn, k.index(columns)));
    k.ifThen(inside, [&] { finish(sum, row, ownColumn); });
  });
  op.erase();
  function.getLaunch().grid[0] = Term::constant(panels);
  return function.getLaunch();
}

} // namespace

Cases msa::gpu::simt::lowerMatmul(exec::KernelOp kernel) {
  MatmulLowering many(kernel, kernel.getSymName());
  std::optional<int64_t> known = many.staticRows();
  std::optional<uint32_t> scalar = many.rowScalar();
  if (known && *known <= kFewRows) {
    many.discard();
    return always(MatmulLowering(kernel, kernel.getSymName()).emitFew());
  }
  std::vector<LaunchCase> cases;
  Launch launch = many.emitMany();
  if (scalar && !known)
    cases.push_back({*scalar, kFewRows + 1, {MatmulLowering(kernel, (kernel.getSymName() + "$few").str()).emitFew()}});
  cases.push_back({std::nullopt, 0, {std::move(launch)}});
  return cases;
}

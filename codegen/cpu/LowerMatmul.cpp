// SPDX-License-Identifier: Apache-2.0
//===- LowerMatmul.cpp - kernel.matmul to register tiles ------------------===//
//
// A tile of rows x columns is cut into register tiles: `rows` x `panels` accumulators that stay in registers for all of
// k, so that every element is one chain of fused multiply-adds whatever tile it falls into. For each register tile:
//
//   accumulate      sums[i][j] += lhs[i, k] * rhs[panel j, k]      (KernelBuilder::multiply)
//   stage           sums to scratch
//   epilogue        row by row, vector by vector: the op's region on vectors, then the result
//
// The stage is what keeps code small: the region is emitted once for each register tile shape, in a loop, and rows that
// a short block does not have are computed and never read.
//
// Rows come in blocks of the tallest register tile. What is left over is copied to scratch, where short blocks may read
// rows that do not exist, and goes through the next larger of a few shorter and wider tiles: one row (decode) reads
// four panels at once, as many streams as the memory likes. The copy takes all rows where lhs is narrower than f32 or
// where its stride would map a block's rows onto the same cache sets.
//
// test/codegen/matmul.mlir pins the shape, test/codegen/matmul_test.py the numbers.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelBuilder.h"
#include "codegen/cpu/Passes.h"
#include "codegen/cpu/TileSizes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa::cpu;
using msa::kernel::MatmulOp;

namespace {

/// Accumulators held in registers: rows x panels of 16 columns.
struct RegisterTile {
  int64_t rows, panels;
};

/// Tallest first. Each fits the registers with a row of the right side and one broadcast.
ArrayRef<RegisterTile> registerTiles(const CPUTarget &target) {
  static constexpr RegisterTile wide[] = {{12, 2}, {8, 2}, {4, 4}, {2, 4}, {1, 4}};
  static constexpr RegisterTile narrow[] = {{6, 1}, {4, 1}, {2, 2}, {1, 4}};
  if (target.registers >= 32)
    return wide;
  return narrow;
}

/// Emits one kernel.matmul.
class MatmulLowering {
public:
  MatmulLowering(MatmulOp op, OpBuilder &builder, const CPUTarget &target)
      : op(op), b(builder, op.getLoc(), target), tiles(registerTiles(target)) {
    auto rhsType = cast<MemRefType>(op.getRhs().getType());
    depth = rhsType.getDimSize(1);
    panels = rhsType.getDimSize(0);
    width = cast<MemRefType>(op.getResult().getType()).getDimSize(1);
    auto lhsType = cast<MemRefType>(op.getLhs().getType());
    copiesAll = !lhsType.getElementType().isF32() || depth * 4 % 2048 == 0;
    int64_t copyRows = roundUp(op.getRows(), maxRegisterRows);
    copy = b.carve(op.getScratch(), 0, {copyRows, paddedRow(depth)});
    stage = b.carve(op.getScratch(), copyRows * paddedRow(depth) * 4, {maxRegisterRows, 4 * panelWidth});
  }

  void emit() {
    Value rowCount = b.dim(op.getLhs(), 0);
    int64_t columnTiles = (width + op.getColumns() - 1) / op.getColumns();
    b.forLoop(op.getLo(), op.getHi(), 1, [&](Value tile) {
      Value column = b.mul(b.rem(tile, columnTiles), op.getColumns());
      Value columnEnd = b.min(b.add(column, op.getColumns()), width);
      Value row = b.mul(b.div(tile, columnTiles), op.getRows());
      Value rows = b.min(b.sub(rowCount, row), op.getRows());
      Value whole = b.sub(rows, b.rem(rows, tiles.front().rows));
      // Tiles of one block of rows follow each other: the copy outlives all that one call runs.
      Value first = b.orI(b.equal(tile, op.getLo()), b.equal(column, b.index(0)));
      b.ifThen(first, [&] { copyRows(row, copiesAll ? b.index(0) : whole, rows); });
      emitWholeBlocks(row, whole, column, columnEnd);
      b.ifThen(b.less(whole, rows), [&] { emitRest(b.add(row, whole), whole, b.sub(rows, whole), column, columnEnd); });
    });
  }

private:
  /// Rows [row + begin, row + end) of lhs to rows [begin, end) of `copy`, as f32.
  void copyRows(Value row, Value begin, Value end) {
    b.forLoop(begin, end, 1, [&](Value i) {
      b.forVectors(b.index(depth), [&](Value k, Value mask) {
        b.storeVector(b.loadVector(op.getLhs(), {b.add(row, i), k}, mask), copy, {i, k}, mask);
      });
    });
  }

  void emitWholeBlocks(Value row, Value rows, Value column, Value columnEnd) {
    RegisterTile shape = tiles.front();
    forPanels(shape, column, columnEnd, [&](Value panel, Value from, Value to) {
      b.forLoop(b.index(0), rows, shape.rows, [&](Value i) {
        Value source = copiesAll ? copy : op.getLhs();
        Value sourceRow = copiesAll ? i : b.add(row, i);
        emitRegisterTile(shape, source, sourceRow, b.add(row, i), b.index(shape.rows), panel, from, to);
      });
    });
  }

  /// Fewer rows than the tallest tile has, by the shortest tile that holds them.
  void emitRest(Value row, Value copyRow, Value rows, Value column, Value columnEnd) {
    std::function<void(size_t)> choose = [&](size_t index) {
      auto emitWith = [&, index] {
        RegisterTile shape = tiles[index];
        forPanels(shape, column, columnEnd, [&](Value panel, Value from, Value to) {
          emitRegisterTile(shape, copy, copyRow, row, rows, panel, from, to);
        });
      };
      if (index == 0)
        return emitWith();
      b.ifThenElse(b.lessEqual(rows, b.index(tiles[index].rows)), emitWith, [&] { choose(index - 1); });
    };
    choose(tiles.size() - 1);
  }

  /// Groups of `shape.panels` panels over columns [column, columnEnd). The last group of the matrix starts early where
  /// panels are missing: it computes columns again that [from, to) leaves out.
  void forPanels(RegisterTile &shape, Value column, Value columnEnd, function_ref<void(Value, Value, Value)> body) {
    shape.panels = std::min(shape.panels, panels);
    int64_t groupWidth = shape.panels * panelWidth;
    b.forLoop(column, columnEnd, groupWidth, [&](Value from) {
      Value panel = b.min(b.div(from, panelWidth), panels - shape.panels);
      body(panel, from, b.min(b.add(from, groupWidth), columnEnd));
    });
  }

  void emitRegisterTile(RegisterTile shape, Value source, Value sourceRow, Value row, Value rows, Value panel,
                        Value from, Value to) {
    int64_t perPanel = panelWidth / b.lanes(), columns = shape.panels * perPanel;
    // A row or two wait for weights. Long panels are streams that the processor foresees, those of a small model stay
    // in its caches; between the two, asking for the next panels gains a tenth.
    bool prefetches = shape.rows <= 2 && depth >= 256 && depth < 1024 &&
                      cast<MemRefType>(op.getRhs().getType()).getElementType().isF32();
    KernelBuilder::Values sums(shape.rows * columns, b.zero());
    sums = b.multiply(
        shape.rows, columns, b.index(0), b.index(depth), sums,
        [&](int64_t i, Value k) { return b.load(source, {b.add(sourceRow, i), k}); },
        [&](Value k, int64_t j) {
          if (prefetches && j % perPanel == 0) {
            Value next = b.min(b.add(panel, shape.panels + j / perPanel), panels - 1);
            memref::PrefetchOp::create(b.getBuilder(), b.getLoc(), op.getRhs(), ValueRange{next, k, b.index(0)},
                                       /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
          }
          return b.loadVector(op.getRhs(), {b.add(panel, j / perPanel), k, b.index(j % perPanel * b.lanes())});
        });
    for (int64_t i = 0; i < shape.rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        b.storeVector(sums[i * columns + j], stage, {b.index(i), b.index(j * b.lanes())});

    Value firstColumn = b.mul(panel, panelWidth);
    b.forLoop(b.index(0), rows, 1, [&](Value i) {
      auto finish = [&](Value offset, Value mask) {
        Value column = b.add(from, offset);
        Value sum = b.loadVector(stage, {i, b.sub(column, firstColumn)});
        emitEpilogue(sum, b.add(row, i), column, mask);
      };
      if (width % b.lanes() == 0)
        b.forLoop(b.index(0), b.sub(to, from), b.lanes(), [&](Value offset) { finish(offset, {}); });
      else
        b.forVectors(b.sub(to, from), finish);
    });
  }

  void emitEpilogue(Value sum, Value row, Value column, Value mask) {
    Block &body = op.getEpilogue().front();
    IRMapping map;
    map.map(body.getArgument(0), sum);
    for (auto [extra, argument] : llvm::zip(op.getExtras(), body.getArguments().drop_front())) {
      SmallVector<Value> indices{row, column};
      if (cast<MemRefType>(extra.getType()).getRank() == 1)
        indices.erase(indices.begin());
      map.map(argument, b.loadRawVector(extra, indices, mask));
    }
    for (Operation &inner : body.without_terminator())
      cloneOnVectors(inner, map);
    Value value = onVectors(body.getTerminator()->getOperand(0), map);
    b.storeRawVector(value, op.getResult(), {row, column}, mask);
  }

  /// What `value` of the region is on vectors. Values from outside the region are the same for all lanes.
  Value onVectors(Value value, IRMapping &map) {
    if (!map.contains(value))
      map.map(value, b.broadcast(value));
    return map.lookup(value);
  }

  void cloneOnVectors(Operation &inner, IRMapping &map) {
    OpBuilder &builder = b.getBuilder();
    auto vectorOf = [&](Type type) { return VectorType::get({b.lanes()}, type); };
    if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
      auto splat = DenseElementsAttr::get(vectorOf(constant.getType()), constant.getValue());
      map.map(constant.getResult(), arith::ConstantOp::create(builder, inner.getLoc(), splat));
      return;
    }
    SmallVector<Value> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(onVectors(operand, map));
    Type bf16 = builder.getBF16Type();
    if (auto extend = dyn_cast<arith::ExtFOp>(inner);
        extend && extend.getIn().getType() == bf16 && extend.getType().isF32()) {
      map.map(extend.getResult(), b.toF32(operands[0]));
      return;
    }
    if (auto truncate = dyn_cast<arith::TruncFOp>(inner);
        truncate && truncate.getType() == bf16 && truncate.getIn().getType().isF32()) {
      map.map(truncate.getResult(), b.fromF32(operands[0], bf16));
      return;
    }
    SmallVector<Type> types;
    for (Type type : inner.getResultTypes())
      types.push_back(vectorOf(type));
    OperationState state(inner.getLoc(), inner.getName(), operands, types,
                         llvm::to_vector(inner.getDiscardableAttrs()));
    state.propertiesAttr = inner.getPropertiesAsAttribute();
    Operation *clone = builder.create(state);
    for (auto [from, to] : llvm::zip(inner.getResults(), clone->getResults()))
      map.map(from, to);
  }

  MatmulOp op;
  KernelBuilder b;
  ArrayRef<RegisterTile> tiles;
  int64_t depth, width, panels;
  bool copiesAll;
  Value copy, stage;
};

struct LowerMatmul : OpRewritePattern<MatmulOp> {
  LowerMatmul(MLIRContext *context, const CPUTarget &target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    for (Operation &inner : op.getEpilogue().front().without_terminator())
      if (!isa<arith::ConstantOp>(inner) && !OpTrait::hasElementwiseMappableTraits(&inner))
        return inner.emitOpError("is not elementwise, as an operation of a matmul's epilogue has to be");
    MatmulLowering(op, rewriter, target).emit();
    rewriter.eraseOp(op);
    return success();
  }

  CPUTarget target;
};
} // namespace

void msa::cpu::populateLowerMatmulPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerMatmul>(patterns.getContext(), target);
}

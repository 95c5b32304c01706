// SPDX-License-Identifier: Apache-2.0
//===- DistributeLinalg.cpp - a linalg op shared by a group of threads ----===//
//
//   linalg.generic (d0) -> (d0), (d0) -> ()  outs(%sum)  { addf }
//
// becomes, for a warp,
//
//   %partial = scf.for %i = %lane to %n step 32 iter_args(-0.0) { addf }
//   five shuffles and additions; %sum combined with the result and stored
//
// and one without a reduction a loop over its points, a thread taking every 32nd.
//
// test/codegen/gpu-simt/rows.mlir pins the shapes.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/DistributeLinalg.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace msa::gpu::simt;
using msa::cpu::Combiner;
using Values = msa::cpu::KernelBuilder::Values;

void ThreadGroup::sync(SimtBuilder &k) const {
  if (kind == Warp)
    k.syncWarp();
  else if (kind == Block)
    k.syncBlock();
  assert(kind != Grid && "a grid cannot wait");
}

Value ThreadGroup::reduce(SimtBuilder &k, Combiner combiner, Value value) const {
  if (kind == Thread)
    return value;
  value = k.reduceWarp(combiner, value);
  if (kind == Warp)
    return value;
  // Every warp's first lane leaves its result; everyone adds them up, in order.
  OpBuilder &b = k.getBuilder();
  int64_t warps = size / kWarp;
  Type stored = value.getType().isInteger(1) ? b.getI8Type() : value.getType();
  Value cells = memref::ViewOp::create(b, k.getLoc(), MemRefType::get({warps}, stored), exchange, k.index(0), ValueRange{});
  Value given = stored == value.getType() ? value : Value(arith::ExtUIOp::create(b, k.getLoc(), stored, value));
  k.syncBlock();
  k.ifThen(k.equal(k.lane(), k.index(0)), [&] { k.storeRaw(given, cells, {k.warp()}); });
  k.syncBlock();
  Value result;
  for (int64_t warp = 0; warp < warps; ++warp) {
    Value part = k.loadRaw(cells, {k.index(warp)});
    if (stored != value.getType())
      part = arith::TruncIOp::create(b, k.getLoc(), value.getType(), part);
    result = result ? msa::cpu::combine(b, k.getLoc(), combiner, result, part) : part;
  }
  return result;
}

namespace {

class Distribution {
public:
  Distribution(RewriterBase &rewriter, linalg::GenericOp op, const ThreadGroup &group, function_ref<bool(Value)> isPrivate)
      : k(rewriter, op.getLoc()), rewriter(rewriter), op(op), group(group), isPrivate(isPrivate), body(*op.getBlock()) {}

  LogicalResult run();

private:
  LogicalResult collectExtents();
  bool isReduction(unsigned d) { return op.getIteratorTypesArray()[d] == utils::IteratorType::reduction; }
  /// Whether the output's element stays the same through the reductions.
  bool isCarried(OpOperand &output) {
    AffineMap map = op.getMatchingIndexingMap(&output);
    for (unsigned d = 0; d < op.getNumLoops(); ++d)
      if (isReduction(d) && map.isFunctionOfDim(d))
        return false;
    return true;
  }
  bool reductionCommutes();
  int64_t staticPoints(bool reduction);

  /// Sets the loop indices of `dims` to those of point `number` of their space, row-major.
  void delinearize(Value number, ArrayRef<unsigned> dims);
  void forEach(ArrayRef<unsigned> dims, size_t at, ValueRange init, function_ref<Values(ValueRange)> inner, Values &results);
  Value element(OpOperand &operand);
  void store(OpOperand &output, Value value);
  /// The body at the current indices, with `carried` for the carried outputs; gives what it yields for them, and stores the others.
  Values evaluate(ValueRange carried);
  void spreadPoints();
  void spreadReduction();
  void whole(bool everyone);

  SimtBuilder k;
  RewriterBase &rewriter;
  linalg::GenericOp op;
  const ThreadGroup &group;
  function_ref<bool(Value)> isPrivate;
  Block &body;
  SmallVector<Value> extents, ivs;
  SmallVector<int64_t> staticExtents;
  SmallVector<unsigned> parallel, reductions;
};

LogicalResult Distribution::collectExtents() {
  for (unsigned d = 0; d < op.getNumLoops(); ++d) {
    Value extent;
    int64_t known = ShapedType::kDynamic;
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      for (auto [axis, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
        if (expr != rewriter.getAffineDimExpr(d) || (extent && type.isDynamicDim(axis)))
          continue;
        if (!type.isDynamicDim(axis))
          known = type.getDimSize(axis);
        extent = k.dim(operand.get(), axis);
      }
    }
    if (!extent)
      return op.emitOpError("expected an operand that has iteration dim ") << d << " for a dim, but every use of it is an expression";
    extents.push_back(extent);
    staticExtents.push_back(known);
    (isReduction(d) ? reductions : parallel).push_back(d);
  }
  ivs.resize(op.getNumLoops());
  return success();
}

int64_t Distribution::staticPoints(bool reduction) {
  int64_t points = 1;
  for (unsigned d : reduction ? reductions : parallel) {
    if (ShapedType::isDynamic(staticExtents[d]))
      return ShapedType::kDynamic;
    points *= staticExtents[d];
  }
  return points;
}

bool Distribution::reductionCommutes() {
  for (OpOperand &output : op.getDpsInitsMutable())
    if (!isCarried(output) || !msa::cpu::combinerOf(op, op.getMatchingBlockArgument(&output)))
      return false;
  return true;
}

void Distribution::delinearize(Value number, ArrayRef<unsigned> dims) {
  for (size_t i = dims.size(); i-- > 0;) {
    if (i == 0) {
      ivs[dims[i]] = number;
      break;
    }
    ivs[dims[i]] = k.rem(number, extents[dims[i]]);
    number = k.div(number, extents[dims[i]]);
  }
}

Value Distribution::element(OpOperand &operand) {
  if (!isa<MemRefType>(operand.get().getType()))
    return operand.get();
  AffineMap map = op.getMatchingIndexingMap(&operand);
  SmallVector<Value> indices;
  for (AffineExpr expr : map.getResults())
    indices.push_back(affine::expandAffineExpr(rewriter, k.getLoc(), expr, ivs, {}));
  return k.loadRaw(operand.get(), indices);
}

void Distribution::store(OpOperand &output, Value value) {
  SmallVector<Value> indices;
  for (AffineExpr expr : op.getMatchingIndexingMap(&output).getResults())
    indices.push_back(affine::expandAffineExpr(rewriter, k.getLoc(), expr, ivs, {}));
  k.storeRaw(value, output.get(), indices);
}

Values Distribution::evaluate(ValueRange carried) {
  IRMapping mapping;
  size_t next = 0;
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (op.isDpsInit(&operand) && isCarried(operand))
      mapping.map(argument, carried[next++]);
    else if (!argument.use_empty())
      mapping.map(argument, element(operand));
  }
  for (Operation &inner : body.without_terminator()) {
    if (auto position = dyn_cast<linalg::IndexOp>(inner)) {
      mapping.map(position.getResult(), ivs[position.getDim()]);
      continue;
    }
    rewriter.clone(inner, mapping);
  }
  Values results;
  for (auto [output, yielded] : llvm::zip(op.getDpsInitsMutable(), body.getTerminator()->getOperands())) {
    Value value = mapping.lookupOrDefault(yielded);
    if (isCarried(output))
      results.push_back(value);
    else
      store(output, value);
  }
  return results;
}

void Distribution::forEach(ArrayRef<unsigned> dims, size_t at, ValueRange init, function_ref<Values(ValueRange)> inner, Values &results) {
  if (at == dims.size()) {
    results = inner(init);
    return;
  }
  results = k.forLoop(k.index(0), extents[dims[at]], 1, init, [&](Value iv, ValueRange carried) -> Values {
    ivs[dims[at]] = iv;
    Values nested;
    forEach(dims, at + 1, carried, inner, nested);
    return nested;
  });
}

/// The carried outputs' elements at the current parallel indices.
static Values loadCarried(linalg::GenericOp op, function_ref<bool(OpOperand &)> isCarried, function_ref<Value(OpOperand &)> load) {
  Values values;
  for (OpOperand &output : op.getDpsInitsMutable())
    if (isCarried(output))
      values.push_back(load(output));
  return values;
}

void Distribution::spreadPoints() {
  Value total = k.index(1);
  for (unsigned d : parallel)
    total = k.mul(total, extents[d]);
  k.forStride(group.lane, total, group.stride, [&](Value point) {
    delinearize(point, parallel);
    whole(/*everyone=*/true);
  });
}

/// All reductions at the current parallel indices, by one thread in order.
void Distribution::whole(bool everyone) {
  auto load = [&](OpOperand &output) -> Value {
    // What nobody reads need not be loaded.
    if (op.getMatchingBlockArgument(&output).use_empty() && reductions.empty())
      return arith::ConstantOp::create(rewriter, k.getLoc(), rewriter.getZeroAttr(getElementTypeOrSelf(output.get().getType())));
    return element(output);
  };
  Values init = loadCarried(op, [&](OpOperand &output) { return isCarried(output); }, load), results;
  auto write = [&] {
    size_t next = 0;
    for (OpOperand &output : op.getDpsInitsMutable())
      if (isCarried(output))
        store(output, results[next++]);
  };
  forEach(reductions, 0, init, [&](ValueRange carried) { return evaluate(carried); }, results);
  if (everyone)
    write();
  else
    k.ifThen(k.equal(group.lane, k.index(0)), write);
}

void Distribution::spreadReduction() {
  Values none;
  forEach(
      parallel, 0, {},
      [&](ValueRange) -> Values {
        Value total = k.index(1);
        for (unsigned d : reductions)
          total = k.mul(total, extents[d]);
        SmallVector<Combiner> kinds;
        Values init;
        for (OpOperand &output : op.getDpsInitsMutable()) {
          kinds.push_back(*msa::cpu::combinerOf(op, op.getMatchingBlockArgument(&output)));
          Type type = getElementTypeOrSelf(output.get().getType());
          init.push_back(arith::ConstantOp::create(rewriter, k.getLoc(), msa::cpu::neutralElement(rewriter, kinds.back(), type)));
        }
        Values partial = k.forStride(group.lane, total, group.stride, init, [&](Value point, ValueRange carried) -> Values {
          delinearize(point, reductions);
          return evaluate(carried);
        });
        for (auto [i, output] : llvm::enumerate(op.getDpsInitsMutable())) {
          Value value = group.reduce(k, kinds[i], partial[i]);
          auto finish = [&] { store(output, msa::cpu::combine(rewriter, k.getLoc(), kinds[i], element(output), value)); };
          if (isPrivate(output.get()))
            finish();
          else
            k.ifThen(k.equal(group.lane, k.index(0)), finish);
        }
        return {};
      },
      none);
}

LogicalResult Distribution::run() {
  if (!op.hasPureBufferSemantics())
    return op.emitOpError("expected memref operands in a kernel");
  msa::cpu::formFMAs(body, rewriter);
  rewriter.setInsertionPoint(op);
  if (failed(collectExtents()))
    return failure();
  bool allPrivate = llvm::all_of(op.getDpsInits(), isPrivate);
  int64_t points = staticPoints(/*reduction=*/false), terms = staticPoints(/*reduction=*/true);
  // Few points and a long reduction: the reduction is shared, and points follow one another.
  constexpr int64_t fewPoints = 8;
  if (group.size > 1 && !reductions.empty() && !ShapedType::isDynamic(points) && points <= fewPoints &&
      (ShapedType::isDynamic(terms) || terms > 1) && reductionCommutes()) {
    spreadReduction();
  } else if (group.size == 1 || allPrivate) {
    Values none;
    forEach(parallel, 0, {}, [&](ValueRange) -> Values {
      whole(/*everyone=*/true);
      return {};
    }, none);
  } else {
    spreadPoints();
  }
  rewriter.eraseOp(op);
  return success();
}

} // namespace

bool msa::gpu::simt::isUniform(linalg::GenericOp op, function_ref<bool(Value)> isPrivate) {
  return llvm::all_of(op.getDpsInits(), isPrivate);
}

LogicalResult msa::gpu::simt::distribute(RewriterBase &rewriter, linalg::GenericOp op, const ThreadGroup &group, function_ref<bool(Value)> isPrivate) {
  return Distribution(rewriter, op, group, isPrivate).run();
}

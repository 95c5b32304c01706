// SPDX-License-Identifier: Apache-2.0
//===- LinalgOps.cpp - the fused remainder: loops over rows ---------------===//
//
// Neighbouring `linalg.generic`s that share their outer iteration space become one kernel that runs all of them for a row
// before it goes on to the next:
//
//   %sum = linalg.generic (d0, d1) -> (d0)       reduction of x
//   %y   = linalg.generic (d0, d1) -> (d0, d1)   x scaled by %sum
//
// becomes one `kernel.rows` over d0 whose body holds both on the row's data; what only the group reads stays in memory of
// the row's size. A group is cut where an op outside of it needs a result before the group ends.
//
// The outer space of an op is its leading parallel loops but the last one; an op whose operands all are read in one order and
// contiguously is one flat loop, cut in pieces. Test: test/passes/convert-msa-to-exec-rows.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "passes/exec/EntryLowering.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace msa;
using namespace msa::exec;

/// Rows of a group handled by one tile.
static constexpr int64_t kRowBlock = 8;
/// Elements of a piece of a flat loop.
static constexpr int64_t kFlatBlock = 2048;
/// Results that only the group reads live on the worker's stack up to this size, bytes.
static constexpr int64_t kRowMemory = 64 << 10;

/// A permutation, last dim in its place, that only attention reads: its kernel reads through it, nothing is moved.
static bool isViewForAttention(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumResults() != 1 || op.getNumParallelLoops() != op.getNumLoops() || op.getNumLoops() != 4)
    return false;
  AffineMap from = op.getMatchingIndexingMap(op.getDpsInputOperand(0)), to = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  auto yielded = dyn_cast<BlockArgument>(op.getBlock()->getTerminator()->getOperand(0));
  return from.isPermutation() && to.isIdentity() && from.getDimPosition(3) == 3 && yielded && yielded.getOwner() == op.getBlock() &&
         yielded.getArgNumber() == 0 && isa<RankedTensorType>(op.getInputs()[0].getType()) &&
         llvm::all_of(op->getUsers(), [](Operation *user) { return isa<AttentionOp>(user); });
}

static bool isFlat(linalg::GenericOp op) {
  unsigned rank = op.getNumLoops();
  if (op.getNumParallelLoops() != rank || rank == 0 || op.hasIndexSemantics())
    return false;
  return llvm::all_of(op.getIndexingMapsArray(), [&](AffineMap map) { return map.isIdentity() || map.getNumResults() == 0; });
}

/// Leading parallel loops that may become the outer space of a group.
static unsigned outerLoops(linalg::GenericOp op) {
  auto iterators = op.getIteratorTypesArray();
  unsigned outer = 0;
  while (outer < iterators.size() && linalg::isParallelIterator(iterators[outer]))
    ++outer;
  // A loop that an operand does not index directly cannot be taken out.
  for (AffineMap map : op.getIndexingMapsArray())
    for (AffineExpr expr : map.getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(expr))
        for (unsigned d = 0; d < outer; ++d)
          if (expr.isFunctionOfDim(d))
            outer = std::min(outer, d);
  return outer;
}

/// Whether `map` reads outer loop i at result i for all `outer` loops, and uses them nowhere else.
static bool isRowLocal(AffineMap map, unsigned outer) {
  if (map.getNumResults() < outer)
    return false;
  for (auto [i, expr] : llvm::enumerate(map.getResults())) {
    if (i < outer) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || dim.getPosition() != i)
        return false;
      continue;
    }
    for (unsigned d = 0; d < outer; ++d)
      if (expr.isFunctionOfDim(d))
        return false;
  }
  return true;
}

/// The sizes of the loops as values of the function, as far as a static or symbolic answer is cheap.
static SmallVector<OpFoldResult> outerSizes(linalg::GenericOp op, unsigned outer) {
  SmallVector<OpFoldResult> sizes(outer);
  MLIRContext *context = op.getContext();
  for (unsigned d = 0; d < outer; ++d) {
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [i, expr] : llvm::enumerate(map.getResults())) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        if (!dim || dim.getPosition() != d)
          continue;
        int64_t size = cast<ShapedType>(operand.get().getType()).getDimSize(i);
        if (!ShapedType::isDynamic(size))
          sizes[d] = IntegerAttr::get(IndexType::get(context), size);
      }
    }
  }
  return sizes;
}

void EntryLowering::formGroups() {
  Block &body = function.front();
  DenseMap<Value, RowGroup *> producer;
  for (auto op : body.getOps<linalg::GenericOp>()) {
    if (!op.hasPureTensorSemantics() || isViewForAttention(op))
      continue;
    unsigned outer = outerLoops(op);
    RowGroup *joined = nullptr;
    // Join the group of an input's producer.
    for (OpOperand *input : op.getDpsInputOperands()) {
      RowGroup *group = producer.lookup(input->get());
      if (!group || group->outer == 0 || outer < group->outer)
        continue;
      if (joined && joined != group) {
        joined = nullptr; // Two groups meet here: neither takes the op.
        break;
      }
      joined = group;
    }
    auto fits = [&](RowGroup *group) {
      linalg::GenericOp first = group->members.front();
      SmallVector<OpFoldResult> mine = outerSizes(op, group->outer), theirs = outerSizes(first, group->outer);
      llvm::SmallPtrSet<Operation *, 8> members(group->members.begin(), group->members.end());
      bool linked = false;
      for (OpOperand *input : op.getDpsInputOperands()) {
        if (!members.contains(input->get().getDefiningOp()))
          continue;
        auto producerOp = input->get().getDefiningOp<linalg::GenericOp>();
        AffineMap written = producerOp.getIndexingMapMatchingResult(cast<OpResult>(input->get()));
        if (!isRowLocal(op.getMatchingIndexingMap(input), group->outer) || !isRowLocal(written, group->outer))
          return false;
        linked = true; // The shared tensor makes its outer dims equal.
      }
      for (OpOperand &init : op.getDpsInitsMutable())
        if (members.contains(init.get().getDefiningOp()))
          return false;
      for (unsigned d = 0; d < group->outer; ++d)
        if (mine[d] && theirs[d] && mine[d] != theirs[d])
          return false;
      if (!linked)
        return false;
      // Nothing outside may need a member's result before `op`.
      for (linalg::GenericOp member : group->members)
        for (Operation *user : member->getUsers()) {
          Operation *ancestor = body.findAncestorOpInBlock(*user);
          if (ancestor != op && !members.contains(ancestor) && ancestor->isBeforeInBlock(op))
            return false;
        }
      return true;
    };
    if (joined && !fits(joined))
      joined = nullptr;
    if (!joined) {
      groups.push_back(std::make_unique<RowGroup>());
      joined = groups.back().get();
      joined->flat = isFlat(op);
      // One loop at least stays inside: what vectors run along.
      joined->outer = outer == op.getNumLoops() && outer > 0 ? outer - 1 : outer;
    }
    joined->members.push_back(op);
    if (joined->members.size() > 1)
      joined->flat = false;
    groupOf[op] = joined;
    for (Value result : op->getResults())
      producer[result] = joined;
  }
}

std::optional<LogicalResult> EntryLowering::lowerLinalgOp(Operation *op) {
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    fills[fill.getResult(0)] = fill.getInputs()[0]; // Written by the kernel that goes on from it.
    return success();
  }
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic)
    return std::nullopt;
  if (isViewForAttention(generic)) {
    FailureOr<Binding> source = getContiguous(generic.getInputs()[0]);
    if (failed(source))
      return failure();
    AffineMap from = generic.getMatchingIndexingMap(generic.getDpsInputOperand(0)); // parent dim i is loop from(i)
    Binding result = *source;
    StridedView view;
    view.parentDims = source->dims;
    view.offsets.assign(4, constant(0));
    view.strides.assign(4, 1);
    view.dropped.assign(4, false);
    view.order.resize(4);
    for (unsigned i = 0; i < 4; ++i) {
      view.order[from.getDimPosition(i)] = i;
      result.dims[from.getDimPosition(i)] = source->dims[i];
    }
    result.view = view;
    bind(generic.getResult(0), result);
    return success();
  }
  RowGroup *group = groupOf.lookup(op);
  if (!group)
    return op->emitError("expected tensor operands");
  // A group is lowered at its last member: everything that it reads exists there.
  if (group->members.back() != op)
    return success();
  return lowerGroup(*group);
}

LogicalResult EntryLowering::bringInside(Dispatch &dispatch, Region &region, Operation *before) {
  llvm::SetVector<Value> captured;
  region.walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (operand.getParentBlock() == &function.front())
        captured.insert(operand);
  });
  OpBuilder &b = dispatch.body();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(before);
  Location loc = before->getLoc();
  for (Value value : captured) {
    Attribute number;
    Value inside;
    if (matchPattern(value, m_Constant(&number))) {
      inside = arith::ConstantOp::create(b, loc, cast<TypedAttr>(number));
    } else {
      FailureOr<Extent> extent = scalar(value);
      if (failed(extent))
        return failure();
      inside = dispatch.index(*extent);
      if (value.getType().isInteger(1))
        inside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, inside, arith::ConstantIndexOp::create(b, loc, 0));
      else if (!value.getType().isIndex())
        inside = arith::IndexCastOp::create(b, loc, value.getType(), inside);
    }
    region.walk([&](Operation *inner) { inner->replaceUsesOfWith(value, inside); });
  }
  guardDivisions(region);
  return success();
}

LogicalResult EntryLowering::lowerGroup(RowGroup &group) {
  Location loc = group.members.back().getLoc();
  llvm::SmallPtrSet<Operation *, 8> members(group.members.begin(), group.members.end());

  // Sizes of every member's loops, from its operands; dims of results inside the group follow from them.
  DenseMap<Value, SmallVector<Extent>> innerDims; // of results of the group
  DenseMap<Operation *, SmallVector<Extent>> loopSizes;
  auto dimsOf = [&](Value value) -> FailureOr<SmallVector<Extent>> {
    if (auto it = innerDims.find(value); it != innerDims.end())
      return it->second;
    FailureOr<Binding> binding = get(value);
    if (failed(binding))
      return failure();
    return binding->dims;
  };
  for (linalg::GenericOp op : group.members) {
    SmallVector<Extent> sizes(op.getNumLoops());
    auto learn = [&](AffineMap map, ArrayRef<Extent> dims) {
      for (auto [i, expr] : llvm::enumerate(map.getResults()))
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          if (Extent &size = sizes[dim.getPosition()]; !size || (!isa<Attribute>(size) && isa<Attribute>(dims[i])))
            size = dims[i];
    };
    for (OpOperand *input : op.getDpsInputOperands()) {
      if (!isa<RankedTensorType>(input->get().getType()))
        continue;
      FailureOr<SmallVector<Extent>> dims = dimsOf(input->get());
      if (failed(dims))
        return failure();
      learn(op.getMatchingIndexingMap(input), *dims);
    }
    for (auto [i, init] : llvm::enumerate(op.getDpsInits())) {
      AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(i));
      SmallVector<Extent> dims;
      if (fills.count(init)) {
        Value source = init;
        while (auto fill = source.getDefiningOp<linalg::FillOp>())
          source = fill.getOutputs()[0];
        auto empty = source.getDefiningOp<tensor::EmptyOp>();
        if (!empty)
          return op.emitError("expected its result to start as a tensor.empty or a fill of one");
        for (OpFoldResult size : empty.getMixedSizes()) {
          if (std::optional<int64_t> number = getConstantIntValue(size)) {
            dims.push_back(constant(*number));
            continue;
          }
          FailureOr<Extent> extent = scalar(cast<Value>(size));
          if (failed(extent))
            return failure();
          dims.push_back(*extent);
        }
      } else {
        FailureOr<SmallVector<Extent>> known = dimsOf(init);
        if (failed(known))
          return failure();
        dims = *known;
      }
      learn(map, dims);
    }
    for (auto [d, size] : llvm::enumerate(sizes))
      if (!size)
        return op.emitError("has a loop ") << d << " that no operand bounds";
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(i));
      SmallVector<Extent> dims;
      for (AffineExpr expr : map.getResults()) {
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          dims.push_back(sizes[dim.getPosition()]);
        else if (auto number = dyn_cast<AffineConstantExpr>(expr); number && number.getValue() == 0)
          dims.push_back(constant(1));
        else
          return op.emitError("expected its result to be indexed by loops directly");
      }
      innerDims[result] = dims;
    }
    loopSizes[op] = sizes;
  }

  std::string hint = group.members.size() > 1 ? "rows" : group.flat ? "elementwise" : "loop";
  // Buffers of inputs before the kernel is begun: getting one may need a kernel of its own.
  for (linalg::GenericOp op : group.members)
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()) && !members.contains(operand.getDefiningOp()) && !fills.count(operand)) {
        FailureOr<Binding> binding = group.flat ? getContiguous(operand) : get(operand);
        if (failed(binding))
          return failure();
      } else if (fills.count(operand) && llvm::is_contained(op.getInputs(), operand) && failed(get(operand)))
        return failure();

  auto fillScalar = [&](Value init) -> std::optional<Value> {
    auto it = fills.find(init);
    if (it == fills.end())
      return std::nullopt;
    return it->second;
  };

  // Results: memory of their own where something outside reads them.
  DenseMap<Value, Binding> results;
  llvm::SmallPtrSet<Value, 8> rowLocal;
  for (linalg::GenericOp op : group.members)
    for (Value result : op->getResults()) {
      bool outside = llvm::any_of(result.getUsers(), [&](Operation *user) { return !members.contains(user); });
      ArrayRef<Extent> dims = innerDims[result];
      if (!outside && dims.size() >= group.outer) {
        int64_t size = elementBytes(cast<RankedTensorType>(result.getType()).getElementType());
        bool isStatic = true;
        for (Extent dim : dims.drop_front(group.outer)) {
          std::optional<int64_t> number = getConstantIntValue(dim);
          isStatic &= number.has_value();
          size *= number.value_or(1);
        }
        if (isStatic && size <= kRowMemory) {
          rowLocal.insert(result);
          continue;
        }
      }
      // An init that is a real tensor is updated in a copy.
      results[result] = allocate(result, dims);
      OpResult opResult = cast<OpResult>(result);
      Value init = op.getDpsInitOperand(opResult.getResultNumber())->get();
      if (!fillScalar(init)) {
        FailureOr<Binding> source = get(init);
        if (failed(source))
          return failure();
        bool reads = op.payloadUsesValueFromOperand(op.getDpsInitOperand(opResult.getResultNumber()));
        if (reads) {
          if (source->isContiguous())
            copy(loc, *source, results[result].slot, constant(0));
          else
            copyByKernel(loc, *source, results[result]);
        }
      }
    }

  Dispatch dispatch(*this, loc, hint);
  OpBuilder &b = dispatch.body();

  if (group.flat) {
    linalg::GenericOp op = group.members.front();
    Extent count = product(loc, loopSizes[op]);
    SmallVector<Value> views;
    auto flatView = [&](Binding binding, bool written) {
      binding.dims = {count};
      return written ? dispatch.write(binding) : dispatch.read(binding);
    };
    for (OpOperand *input : op.getDpsInputOperands()) {
      if (!isa<RankedTensorType>(input->get().getType())) {
        Attribute value;
        if (!matchPattern(input->get(), m_Constant(&value)))
          return op.emitError("expected scalar operands to be constants");
        views.push_back(arith::ConstantOp::create(b, loc, cast<TypedAttr>(value)));
        continue;
      }
      FailureOr<Binding> binding = get(input->get());
      bool isScalar = op.getMatchingIndexingMap(input).getNumResults() == 0;
      views.push_back(isScalar ? dispatch.read(*binding) : flatView(*binding, false));
    }
    size_t inputs = views.size();
    for (auto [i, result] : llvm::enumerate(op->getResults()))
      views.push_back(flatView(results[result], true));
    Value total = dispatch.index(count);
    Extent pieces = ceilDiv(loc, count, constant(kFlatBlock));
    auto rows = kernel::RowsOp::create(b, loc, dispatch.lo(), dispatch.hi(), ValueRange{dispatch.index(pieces)}, b.getI64IntegerAttr(1));
    Block *body = b.createBlock(&rows.getBody(), {}, {b.getIndexType()}, {loc});
    Value piece = arith::ConstantIndexOp::create(b, loc, kFlatBlock);
    Value start = arith::MulIOp::create(b, loc, body->getArgument(0), piece);
    Value size = arith::MinSIOp::create(b, loc, arith::SubIOp::create(b, loc, total, start), piece);
    SmallVector<AffineMap> maps;
    for (auto [i, view] : llvm::enumerate(views)) {
      auto type = dyn_cast<MemRefType>(view.getType());
      if (!type || type.getRank() == 0) {
        maps.push_back(AffineMap::get(1, 0, getContext()));
        continue;
      }
      maps.push_back(b.getMultiDimIdentityMap(1));
      view = memref::SubViewOp::create(b, loc, view, ArrayRef<OpFoldResult>{start}, ArrayRef<OpFoldResult>{size},
                                       ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
    }
    auto clone = linalg::GenericOp::create(b, loc, TypeRange{}, ArrayRef(views).take_front(inputs), ArrayRef(views).drop_front(inputs), maps,
                                           SmallVector<utils::IteratorType>{utils::IteratorType::parallel});
    IRMapping mapping;
    op.getRegion().cloneInto(&clone.getRegion(), mapping);
    if (failed(bringInside(dispatch, clone.getRegion(), rows)))
      return failure();
    kernel::YieldOp::create(b, loc, ValueRange{});
    b.setInsertionPointAfter(rows);
    for (Value result : op->getResults())
      bind(result, results[result]);
    dispatch.finish(pieces);
    return success();
  }

  // One loop over the shared outer space.
  ArrayRef<Extent> space = ArrayRef(loopSizes[group.members.front()]).take_front(group.outer);
  Extent points = product(loc, space);
  SmallVector<Value> sizes;
  for (Extent extent : space)
    sizes.push_back(dispatch.index(extent));
  DenseMap<Value, Value> whole; // memrefs of whole tensors, outside of the loop
  for (linalg::GenericOp op : group.members) {
    for (OpOperand *input : op.getDpsInputOperands()) {
      Value tensor = input->get();
      if (!isa<RankedTensorType>(tensor.getType()) || members.contains(tensor.getDefiningOp()) || whole.count(tensor))
        continue;
      whole[tensor] = dispatch.read(*get(tensor));
    }
    // Bodies may read whole tensors by index.
    WalkResult walk = op.getRegion().walk([&](tensor::ExtractOp extract) {
      Value tensor = extract.getTensor();
      if (whole.count(tensor))
        return WalkResult::advance();
      FailureOr<Binding> binding = get(tensor);
      if (failed(binding) || members.contains(tensor.getDefiningOp()))
        return WalkResult::interrupt();
      whole[tensor] = dispatch.read(*binding);
      return WalkResult::advance();
    });
    if (walk.wasInterrupted())
      return op.emitError("reads a tensor by index that its own kernel writes");
    for (Value result : op->getResults())
      if (auto it = results.find(result); it != results.end()) {
        bool usedInside = llvm::any_of(result.getUsers(), [&](Operation *user) { return members.contains(user); });
        bool reduces = op.getNumReductionLoops() > 0;
        whole[result] = usedInside || reduces ? dispatch.update(it->second) : dispatch.write(it->second);
      }
  }
  // Scalars that bodies capture.
  auto rows = kernel::RowsOp::create(b, loc, dispatch.lo(), dispatch.hi(), sizes, b.getI64IntegerAttr(kRowBlock));
  Block *body = b.createBlock(&rows.getBody(), {}, SmallVector<Type>(group.outer, b.getIndexType()), SmallVector<Location>(group.outer, loc));

  DenseMap<Value, Value> rowMemory; // of row-local results: without the outer dims
  for (linalg::GenericOp op : group.members) {
    unsigned loops = op.getNumLoops();
    SmallVector<AffineMap> maps;
    SmallVector<Value> inputs, outputs;
    // The part of a tensor that this row's loops touch, and its map over the inner loops.
    auto operandView = [&](Value tensor, AffineMap map) -> Value {
      SmallVector<AffineExpr> kept;
      SmallVector<AffineExpr> renumber;
      for (unsigned d = 0; d < loops; ++d)
        renumber.push_back(d < group.outer ? b.getAffineConstantExpr(0) : b.getAffineDimExpr(d - group.outer));
      if (Value local = rowMemory.lookup(tensor)) {
        for (AffineExpr expr : map.getResults().drop_front(group.outer))
          kept.push_back(expr.replaceDims(renumber));
        maps.push_back(AffineMap::get(loops - group.outer, 0, kept, getContext()));
        return local;
      }
      Value memref = whole.lookup(tensor);
      auto type = cast<MemRefType>(memref.getType());
      SmallVector<OpFoldResult> offsets, extents, strides(type.getRank(), b.getIndexAttr(1));
      SmallVector<int64_t> shape;
      for (auto [i, expr] : llvm::enumerate(map.getResults())) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        auto number = dyn_cast<AffineConstantExpr>(expr);
        if ((dim && dim.getPosition() < group.outer) || number) {
          offsets.push_back(dim ? OpFoldResult(body->getArgument(dim.getPosition())) : OpFoldResult(b.getIndexAttr(number.getValue())));
          extents.push_back(b.getIndexAttr(1));
          continue;
        }
        offsets.push_back(b.getIndexAttr(0));
        int64_t size = type.getDimSize(i);
        shape.push_back(size);
        if (ShapedType::isDynamic(size))
          extents.push_back(memref::DimOp::create(b, loc, memref, i).getResult());
        else
          extents.push_back(b.getIndexAttr(size));
        kept.push_back(expr.replaceDims(renumber));
      }
      maps.push_back(AffineMap::get(loops - group.outer, 0, kept, getContext()));
      if (static_cast<int64_t>(shape.size()) == type.getRank())
        return memref;
      auto viewType = memref::SubViewOp::inferRankReducedResultType(shape, type, offsets, extents, strides);
      return memref::SubViewOp::create(b, loc, cast<MemRefType>(viewType), memref, offsets, extents, strides);
    };
    for (OpOperand *input : op.getDpsInputOperands()) {
      if (!isa<RankedTensorType>(input->get().getType())) {
        Attribute value;
        if (!matchPattern(input->get(), m_Constant(&value)))
          return op.emitError("expected scalar operands to be constants");
        inputs.push_back(arith::ConstantOp::create(b, loc, cast<TypedAttr>(value)));
        maps.push_back(AffineMap::get(loops - group.outer, 0, getContext()));
        continue;
      }
      inputs.push_back(operandView(input->get(), op.getMatchingIndexingMap(input)));
    }
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      if (rowLocal.contains(result)) {
        SmallVector<int64_t> shape;
        for (Extent dim : ArrayRef(innerDims[result]).drop_front(group.outer))
          shape.push_back(*getConstantIntValue(dim));
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPoint(rows); // once per kernel, not per row
        rowMemory[result] = memref::AllocaOp::create(b, loc, MemRefType::get(shape, cast<RankedTensorType>(result.getType()).getElementType()),
                                                     b.getI64IntegerAttr(64));
      }
      Value view = operandView(result, op.getMatchingIndexingMap(op.getDpsInitOperand(i)));
      Value init = op.getDpsInitOperand(i)->get();
      if (std::optional<Value> fill = fillScalar(init); fill && op.payloadUsesValueFromOperand(op.getDpsInitOperand(i))) {
        Attribute value;
        if (!*fill || !matchPattern(*fill, m_Constant(&value)))
          return op.emitError("expected its accumulator to start from a constant");
        Value number = arith::ConstantOp::create(b, loc, cast<TypedAttr>(value));
        linalg::FillOp::create(b, loc, ValueRange{number}, ValueRange{view});
      }
      outputs.push_back(view);
    }
    SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
    iterators.erase(iterators.begin(), iterators.begin() + group.outer);
    auto clone = linalg::GenericOp::create(b, loc, TypeRange{}, inputs, outputs, maps, iterators);
    IRMapping mapping;
    op.getRegion().cloneInto(&clone.getRegion(), mapping);
    // Indices and captured values of the body.
    SmallVector<Operation *> dead;
    WalkResult walk = clone.getRegion().walk([&](Operation *inner) {
      OpBuilder bodyBuilder(inner);
      if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
        if (index.getDim() < group.outer) {
          index.replaceAllUsesWith(body->getArgument(index.getDim()));
          dead.push_back(index);
        } else {
          index.setDim(index.getDim() - group.outer);
        }
      } else if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
        Value loaded = memref::LoadOp::create(bodyBuilder, loc, whole.lookup(extract.getTensor()), extract.getIndices());
        extract.replaceAllUsesWith(loaded);
        dead.push_back(extract);
      }
      return WalkResult::advance();
    });
    for (Operation *inner : dead)
      inner->erase();
    (void)walk;
    if (failed(bringInside(dispatch, clone.getRegion(), rows)))
      return failure();
  }
  kernel::YieldOp::create(b, loc, ValueRange{});
  b.setInsertionPointAfter(rows);
  for (linalg::GenericOp op : group.members)
    for (Value result : op->getResults())
      if (auto it = results.find(result); it != results.end())
        bind(result, it->second);
  dispatch.finish(ceilDiv(loc, points, constant(kRowBlock)));
  return success();
}

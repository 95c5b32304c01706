// SPDX-License-Identifier: Apache-2.0
//===- VectorizeLinalg.cpp - linalg.generic on memrefs to vector loops ----===//
//
//   linalg.generic {maps (d0) -> (d0), (d0) -> ()} ins(%x : memref<100xf32, ...>) outs(%sum : memref<f32>) { addf }
//
// becomes, with 8 lanes,
//
//   %accs:4 = scf.for %i = 0 to 96 step 32 iter_args(...) { four vector.load + arith.addf on vector<8xf32> }
//   (a tail of whole vectors, a masked tail), a tree of the accumulators, a tree of the lanes, %sum combined and stored
//
// One iteration dim is spread over lanes: the one that makes most accesses contiguous. Parallel loops stand outside,
// reductions inside, so that results stay in registers. An op that fits no lane arrangement becomes scalar loops in
// its own order, with a remark.
//
// The order in which an element is accumulated depends on the extents alone: never on a tile, an address or a thread.
// Products that are only added become math.fma here, in every copy of a body alike; LLVM contracts nothing.
//
// test/codegen/rows-vectorize.mlir pins the shapes; test/codegen/rows_test.py compares numbers.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/LinalgBodies.h"
#include "codegen/cpu/Passes.h"
#include "mlir/Analysis/FlatLinearValueConstraints.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/IR/AffineExprVisitor.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace msa::cpu;

namespace {

/// How an operand moves when the vector dim moves by one.
enum class Access { Uniform, Contiguous, Strided, Unknown };

class GenericLowering {
public:
  GenericLowering(linalg::GenericOp op, PatternRewriter &b, int64_t lanes)
      : op(op), b(b), loc(op.getLoc()), lanes(lanes), body(op.getRegion().front()) {}

  LogicalResult run() {
    if (!op.hasPureBufferSemantics())
      return op.emitOpError("expected memref operands in a kernel");
    collectOperands();
    if (failed(computeExtents()))
      return failure();
    formFMAs(body, b);
    chooseVectorDim();
    orderLoops();
    loadReady();
    emitParallel(0);
    return success();
  }

private:
  struct Operand {
    Value value;
    AffineMap map;
    bool memref;
    bool output;
    /// Outputs: no reduction dim occurs in `map`, so the value stays in registers through the reductions.
    bool carried = false;
    bool read;
    llvm::SmallBitVector dims;
    /// The value at the current loop indices, once all of `dims` are bound.
    Value loaded;
  };

  void collectOperands() {
    unsigned loops = op.getNumLoops();
    for (OpOperand &use : op->getOpOperands()) {
      Operand operand;
      operand.value = use.get();
      operand.map = op.getMatchingIndexingMap(&use);
      operand.memref = isa<MemRefType>(use.get().getType());
      operand.output = op.isDpsInit(&use);
      operand.read = !op.getMatchingBlockArgument(&use).use_empty();
      operand.dims.resize(loops);
      for (unsigned d = 0; d < loops; ++d)
        operand.dims[d] = operand.map.isFunctionOfDim(d);
      if (operand.output) {
        operand.carried = true;
        for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray()))
          if (kind == utils::IteratorType::reduction && operand.dims[d])
            operand.carried = false;
      }
      operands.push_back(operand);
    }
  }

  LogicalResult computeExtents() {
    SmallVector<std::pair<Value, int64_t>> sources;
    for (unsigned d = 0; d < op.getNumLoops(); ++d) {
      int64_t known = ShapedType::kDynamic;
      Value from;
      int64_t axis = 0;
      for (Operand &operand : operands) {
        if (!operand.memref)
          continue;
        for (auto [r, expr] : llvm::enumerate(operand.map.getResults())) {
          if (expr != b.getAffineDimExpr(d))
            continue;
          int64_t size = cast<MemRefType>(operand.value.getType()).getDimSize(r);
          if (!ShapedType::isDynamic(size))
            known = size;
          if (!from)
            from = operand.value, axis = r;
        }
      }
      if (!from)
        return op.emitOpError("expected an operand that has iteration dim ") << d << " for a dim, but every use of it is an expression";
      staticExtents.push_back(known);
      sources.emplace_back(from, axis);
    }
    for (auto [known, source] : llvm::zip(staticExtents, sources))
      extents.push_back(ShapedType::isDynamic(known) ? Value(memref::DimOp::create(b, loc, source.first, source.second)) : index(known));
    ivs.resize(op.getNumLoops());
    return success();
  }

  /// How `operand` moves along dim d, and by how many elements of each of its axes.
  Access accessAlong(const Operand &operand, unsigned d, SmallVectorImpl<int64_t> *steps = nullptr) {
    if (!operand.dims[d])
      return Access::Uniform;
    auto type = cast<MemRefType>(operand.value.getType());
    bool contiguous = true;
    for (auto [r, expr] : llvm::enumerate(operand.map.getResults())) {
      SmallVector<int64_t> flat;
      if (failed(getFlattenedAffineExpr(expr, operand.map.getNumDims(), 0, &flat)))
        return Access::Unknown;
      if (flat.size() != operand.map.getNumDims() + 1 && expr.isFunctionOfDim(d))
        return Access::Unknown; // floordiv or mod
      int64_t step = expr.isFunctionOfDim(d) ? flat[d] : 0;
      if (steps)
        steps->push_back(step);
      if (step != (r + 1 == operand.map.getNumResults() ? 1 : 0))
        contiguous = false;
    }
    SmallVector<int64_t> strides;
    int64_t offset;
    if (failed(type.getStridesAndOffset(strides, offset)))
      return Access::Unknown;
    return contiguous && strides.back() == 1 ? Access::Contiguous : Access::Strided;
  }

  /// Whether the body can be evaluated for neighbouring indices of dim d at once.
  bool isVectorizable(unsigned d) {
    bool reduction = op.getIteratorTypesArray()[d] == utils::IteratorType::reduction;
    DenseSet<Value> varying;
    for (auto [operand, argument] : llvm::zip(operands, body.getArguments())) {
      if (operand.memref && accessAlong(operand, d) == Access::Unknown)
        return false;
      if (operand.output && operand.carried && reduction) {
        if (!combinerOf(op, argument))
          return false;
        varying.insert(argument);
        continue;
      }
      if (operand.output && !operand.dims[d])
        return false;
      if (operand.dims[d])
        varying.insert(argument);
    }
    for (Operation &inner : body.without_terminator()) {
      if (auto position = dyn_cast<linalg::IndexOp>(inner)) {
        if (position.getDim() == d)
          varying.insert(position);
        continue;
      }
      bool varies = false;
      inner.walk([&](Operation *nested) { varies |= llvm::any_of(nested->getOperands(), [&](Value v) { return varying.contains(v); }); });
      if (inner.getNumRegions() != 0 && (varies || hasIndex(inner, d)))
        return false;
      if (!varies)
        continue;
      if (auto load = dyn_cast<memref::LoadOp>(inner); load && load.getMemRefType().getElementType().isIntOrIndexOrFloat()) {
        varying.insert(load); // becomes a gather
        continue;
      }
      if (!OpTrait::hasElementwiseMappableTraits(&inner))
        return false;
      for (Type type : llvm::concat<const Type>(inner.getOperandTypes(), inner.getResultTypes()))
        if (!type.isIntOrIndexOrFloat())
          return false;
      varying.insert_range(inner.getResults());
    }
    return true;
  }

  static bool hasIndex(Operation &op, unsigned d) {
    return op.walk([&](linalg::IndexOp position) { return position.getDim() == d ? WalkResult::interrupt() : WalkResult::advance(); })
        .wasInterrupted();
  }

  void chooseVectorDim() {
    int64_t best = std::numeric_limits<int64_t>::max();
    std::string reason = "no dim with more than one element";
    for (unsigned d = 0; d < op.getNumLoops(); ++d) {
      int64_t extent = staticExtents[d];
      if (extent == 0 || extent == 1)
        continue;
      if (!isVectorizable(d)) {
        reason = "the body or an access cannot be spread over lanes";
        continue;
      }
      bool reduction = op.getIteratorTypesArray()[d] == utils::IteratorType::reduction;
      int64_t cost = reduction ? 1 : 0;
      bool anyContiguous = false, anyStrided = false;
      for (Operand &operand : operands) {
        if (!operand.memref)
          continue;
        Access access = accessAlong(operand, d);
        anyContiguous |= access == Access::Contiguous;
        anyStrided |= access == Access::Strided;
        if (access == Access::Strided)
          cost += operand.output ? 12 : 8;
      }
      if (anyStrided && !anyContiguous) {
        reason = "no access is contiguous";
        continue;
      }
      if (!ShapedType::isDynamic(extent) && extent < 4)
        cost += 6;
      // Later dims are usually the inner ones of the operands.
      if (cost <= best) {
        best = cost;
        vectorDim = d;
      }
    }
    if (!vectorDim && op.getNumLoops() > 0 && llvm::any_of(staticExtents, [](int64_t e) { return e != 1; }))
      op.emitRemark("left as a scalar loop: ") << reason;
    if (!vectorDim)
      return;
    width = lanes;
    if (int64_t extent = staticExtents[*vectorDim]; !ShapedType::isDynamic(extent) && extent < lanes)
      width = llvm::PowerOf2Ceil(extent);
  }

  void orderLoops() {
    for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray()))
      if (!(vectorDim && *vectorDim == d))
        (kind == utils::IteratorType::reduction ? reductions : parallels).push_back(d);
    if (!vectorDim)
      return;
    vectorReduces = op.getIteratorTypesArray()[*vectorDim] == utils::IteratorType::reduction;
    (vectorReduces ? reductions : parallels).push_back(*vectorDim);
  }

  //===--- values ---===//

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  Type vectorOf(Type element) { return VectorType::get({width}, element); }

  /// `value` in every lane.
  Value spread(Value value) {
    if (isa<VectorType>(value.getType()))
      return value;
    return vector::BroadcastOp::create(b, loc, vectorOf(value.getType()), value);
  }

  SmallVector<Value> indicesOf(const Operand &operand) {
    SmallVector<Value> indices;
    for (AffineExpr expr : operand.map.getResults())
      indices.push_back(affine::expandAffineExpr(b, loc, expr, ivs, {}));
    return indices;
  }

  bool isVector(const Operand &operand) { return vectorDim && operand.dims[*vectorDim]; }

  Value allLanes() { return mask ? mask : Value(vector::ConstantMaskOp::create(b, loc, cast<VectorType>(vectorOf(b.getI1Type())), ArrayRef<int64_t>{width})); }

  /// One element of `memref`'s memory, `offset` elements from its base.
  Value elementAt(memref::ExtractStridedMetadataOp metadata, Value offset) {
    Type element = cast<MemRefType>(metadata.getBaseBuffer().getType()).getElementType();
    auto type = MemRefType::get({1}, element, StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, {1}));
    return memref::ReinterpretCastOp::create(b, loc, type, metadata.getBaseBuffer(), OpFoldResult(offset),
                                             ArrayRef<OpFoldResult>{b.getIndexAttr(1)}, ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
  }

  Value strideOf(memref::ExtractStridedMetadataOp metadata, ArrayRef<int64_t> strides, unsigned axis) {
    return ShapedType::isDynamic(strides[axis]) ? metadata.getStrides()[axis] : index(strides[axis]);
  }

  /// A view of the operand's memory that starts at the current element, and each lane's distance from it.
  std::pair<Value, Value> stridedView(const Operand &operand) {
    SmallVector<int64_t> steps;
    accessAlong(operand, *vectorDim, &steps);
    auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, operand.value);
    SmallVector<int64_t> strides;
    int64_t staticOffset;
    (void)cast<MemRefType>(operand.value.getType()).getStridesAndOffset(strides, staticOffset);
    Value offset = metadata.getOffset(), distance = index(0);
    int64_t staticDistance = 0;
    for (auto [r, position] : llvm::enumerate(indicesOf(operand))) {
      Value stride = strideOf(metadata, strides, r);
      offset = arith::AddIOp::create(b, loc, offset, arith::MulIOp::create(b, loc, position, stride));
      distance = arith::AddIOp::create(b, loc, distance, arith::MulIOp::create(b, loc, stride, index(steps[r])));
      if (steps[r] != 0 && staticDistance != ShapedType::kDynamic)
        staticDistance = ShapedType::isDynamic(strides[r]) ? ShapedType::kDynamic : staticDistance + strides[r] * steps[r];
    }
    Value view = elementAt(metadata, offset), lanesAway;
    if (staticDistance != ShapedType::kDynamic && llvm::isInt<31>(staticDistance * width)) {
      SmallVector<int32_t> values;
      for (int64_t lane = 0; lane < width; ++lane)
        values.push_back(lane * staticDistance);
      lanesAway = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(cast<ShapedType>(vectorOf(b.getI32Type())), ArrayRef(values)));
    } else {
      Value steps = vector::StepOp::create(b, loc, cast<VectorType>(vectorOf(b.getIndexType())));
      lanesAway = arith::MulIOp::create(b, loc, steps, spread(distance));
    }
    return {view, lanesAway};
  }

  /// `memref[indices]`, where at least one index differs between lanes.
  Value gather(Value memref, ArrayRef<Value> indices) {
    auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, memref);
    auto type = cast<MemRefType>(memref.getType());
    SmallVector<int64_t> strides;
    int64_t staticOffset;
    (void)type.getStridesAndOffset(strides, staticOffset);
    Value distance;
    for (auto [axis, position] : llvm::enumerate(indices)) {
      Value term = spread(position);
      if (strides[axis] != 1)
        term = arith::MulIOp::create(b, loc, term, spread(strideOf(metadata, strides, axis)));
      distance = distance ? Value(arith::AddIOp::create(b, loc, distance, term)) : term;
    }
    auto result = cast<VectorType>(vectorOf(type.getElementType()));
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(result));
    return vector::GatherOp::create(b, loc, result, elementAt(metadata, metadata.getOffset()), ValueRange{index(0)}, distance, allLanes(), zero);
  }

  Value load(const Operand &operand) {
    if (!operand.memref)
      return operand.value;
    SmallVector<Value> indices = indicesOf(operand);
    if (!isVector(operand))
      return memref::LoadOp::create(b, loc, operand.value, indices);
    Type element = cast<MemRefType>(operand.value.getType()).getElementType();
    auto type = cast<VectorType>(vectorOf(element));
    bool contiguous = accessAlong(operand, *vectorDim) == Access::Contiguous;
    if (contiguous && !mask)
      return vector::LoadOp::create(b, loc, type, operand.value, indices);
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    if (contiguous)
      return vector::MaskedLoadOp::create(b, loc, type, operand.value, indices, mask, zero);
    auto [view, away] = stridedView(operand);
    return vector::GatherOp::create(b, loc, type, view, ValueRange{index(0)}, away, allLanes(), zero);
  }

  void store(const Operand &operand, Value value) {
    SmallVector<Value> indices = indicesOf(operand);
    if (!isVector(operand)) {
      memref::StoreOp::create(b, loc, value, operand.value, indices);
      return;
    }
    value = spread(value);
    bool contiguous = accessAlong(operand, *vectorDim) == Access::Contiguous;
    if (contiguous && !mask) {
      vector::StoreOp::create(b, loc, value, operand.value, indices);
    } else if (contiguous) {
      vector::MaskedStoreOp::create(b, loc, operand.value, indices, mask, value);
    } else {
      auto [view, away] = stridedView(operand);
      vector::ScatterOp::create(b, loc, /*resultType=*/Type(), view, ValueRange{index(0)}, away, allLanes(), value);
    }
  }

  /// Loads the inputs whose dims are all bound now and were not before.
  void loadReady() {
    for (Operand &operand : operands)
      if (operand.read && !operand.output && !operand.loaded &&
          llvm::all_of(operand.dims.set_bits(), [&](unsigned d) { return ivs[d] != nullptr; }))
        operand.loaded = load(operand);
  }

  /// The yielded values at the current indices; `accumulators` stand for the carried outputs.
  SmallVector<Value> evaluate(ArrayRef<Value> accumulators) {
    IRMapping values;
    unsigned carried = 0;
    for (auto [operand, argument] : llvm::zip(operands, body.getArguments())) {
      if (operand.output && operand.carried) {
        if (Value accumulator = accumulators[carried++])
          values.map(argument, accumulator);
      } else if (operand.output && operand.read)
        values.map(argument, load(operand));
      else if (operand.read)
        values.map(argument, operand.loaded);
    }
    for (Operation &inner : body.without_terminator()) {
      if (auto position = dyn_cast<linalg::IndexOp>(inner)) {
        values.map(position.getResult(), positionOf(position.getDim()));
        continue;
      }
      bool varies = llvm::any_of(inner.getOperands(), [&](Value v) { return isa<VectorType>(values.lookupOrDefault(v).getType()); });
      if (!varies) {
        Operation *copy = b.clone(inner, values);
        SmallVector<linalg::IndexOp> positions;
        copy->walk([&](linalg::IndexOp position) { positions.push_back(position); });
        for (linalg::IndexOp position : positions)
          b.replaceOp(position, ivs[position.getDim()]);
        continue;
      }
      if (auto position = dyn_cast<memref::LoadOp>(inner)) {
        SmallVector<Value> indices = llvm::map_to_vector(position.getIndices(), [&](Value v) { return values.lookupOrDefault(v); });
        values.map(position.getResult(), gather(values.lookupOrDefault(position.getMemRef()), indices));
        continue;
      }
      SmallVector<Value> spreadOperands;
      for (Value operand : inner.getOperands())
        spreadOperands.push_back(spread(values.lookupOrDefault(operand)));
      SmallVector<Type> types;
      for (Type type : inner.getResultTypes())
        types.push_back(vectorOf(type));
      Operation *copy = b.create(inner.getLoc(), inner.getName().getIdentifier(), spreadOperands, types, inner.getAttrs());
      values.map(inner.getResults(), copy->getResults());
    }
    SmallVector<Value> yielded;
    for (Value value : body.getTerminator()->getOperands())
      yielded.push_back(values.lookupOrDefault(value));
    return yielded;
  }

  Value positionOf(unsigned d) {
    if (!vectorDim || d != *vectorDim)
      return ivs[d];
    Value steps = vector::StepOp::create(b, loc, cast<VectorType>(vectorOf(b.getIndexType())));
    return arith::AddIOp::create(b, loc, spread(ivs[d]), steps);
  }

  //===--- loops ---===//

  using LoopBody = function_ref<SmallVector<Value>(ValueRange carried)>;

  /// Emits `fill` with dim d bound to `position`; what it loads is forgotten afterwards.
  SmallVector<Value> bind(unsigned d, Value position, ValueRange carried, LoopBody fill) {
    SmallVector<Value> loadedBefore = llvm::map_to_vector(operands, [](Operand &o) { return o.loaded; });
    ivs[d] = position;
    loadReady();
    SmallVector<Value> results = fill(carried);
    ivs[d] = nullptr;
    for (auto [operand, before] : llvm::zip(operands, loadedBefore))
      operand.loaded = before;
    return results;
  }

  /// A loop over dim d from `from` to `to` that carries values; none where it would run exactly once.
  SmallVector<Value> emitLoop(unsigned d, Value from, Value to, int64_t step, ValueRange carried, LoopBody fill) {
    std::optional<int64_t> first = getConstantIntValue(from), last = getConstantIntValue(to);
    if (first && last && *first >= *last)
      return carried;
    if (first && last && *last - *first <= step)
      return bind(d, from, carried, fill);
    auto loop = scf::ForOp::create(b, loc, from, to, index(step), carried);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> results = bind(d, loop.getInductionVar(), loop.getRegionIterArgs(), fill);
    if (!carried.empty())
      scf::YieldOp::create(b, loc, results);
    return loop.getResults();
  }

  /// The vector dim: `unroll` vectors a step, then one, then the rest of the elements under a mask. `fill` is called with
  /// carried values of all `unroll` copies, and emits copy `copy` alone.
  SmallVector<Value> emitVectorLoop(int64_t unroll, ValueRange carried,
                                    function_ref<SmallVector<Value>(unsigned copy, ValueRange carried)> fill) {
    unsigned d = *vectorDim;
    int64_t extent = staticExtents[d];
    SmallVector<Value> values(carried);
    auto copies = [&](int64_t count) {
      return [&, count](ValueRange current) {
        SmallVector<Value> now(current);
        Value base = ivs[d];
        for (int64_t copy = 0; copy < count; ++copy) {
          if (copy == 0) {
            now = fill(0, now);
            continue;
          }
          SmallVector<Value> before = llvm::map_to_vector(operands, [](Operand &o) { return o.loaded; });
          for (Operand &operand : operands)
            if (isVector(operand))
              operand.loaded = nullptr;
          ivs[d] = arith::AddIOp::create(b, loc, base, index(copy * width));
          loadReady();
          now = fill(copy, now);
          for (auto [operand, old] : llvm::zip(operands, before))
            operand.loaded = old;
        }
        ivs[d] = base;
        return now;
      };
    };
    Value end = extents[d];
    auto floorTo = [&](int64_t multiple) -> Value {
      if (!ShapedType::isDynamic(extent))
        return index(extent / multiple * multiple);
      Value rest = arith::AndIOp::create(b, loc, end, index(multiple - 1));
      return arith::SubIOp::create(b, loc, end, rest);
    };
    Value done = index(0);
    if (unroll > 1) {
      Value to = floorTo(unroll * width);
      values = emitLoop(d, done, to, unroll * width, values, copies(unroll));
      done = to;
    }
    Value whole = floorTo(width);
    values = emitLoop(d, done, whole, width, values, copies(1));
    auto maskType = cast<VectorType>(vectorOf(b.getI1Type()));
    if (!ShapedType::isDynamic(extent)) {
      if (extent % width == 0)
        return values;
      mask = vector::ConstantMaskOp::create(b, loc, maskType, ArrayRef<int64_t>{extent % width});
    } else {
      Value rest = arith::SubIOp::create(b, loc, end, whole);
      mask = vector::CreateMaskOp::create(b, loc, maskType, ValueRange{rest});
    }
    // Runs once, or not at all.
    values = emitLoop(d, whole, end, width, values, copies(1));
    mask = nullptr;
    return values;
  }

  void emitParallel(unsigned depth) {
    if (depth == parallels.size())
      return emitReductions();
    unsigned d = parallels[depth];
    if (vectorDim && d == *vectorDim) {
      emitVectorLoop(1, {}, [&](unsigned, ValueRange) {
        emitParallel(depth + 1);
        return SmallVector<Value>();
      });
      return;
    }
    emitLoop(d, index(0), extents[d], 1, {}, [&](ValueRange) {
      emitParallel(depth + 1);
      return SmallVector<Value>();
    });
  }

  /// Vectors carried at once: sums of short bodies are bound by the latency of an addition, not by its throughput.
  int64_t chooseUnroll() {
    int64_t weight = 0;
    for (Operation &inner : body.without_terminator())
      weight += isa<math::MathDialect>(inner.getDialect()) && !isa<math::FmaOp, math::AbsFOp, math::SqrtOp>(inner) ? 16 : 1;
    int64_t unroll = weight <= 8 ? 4 : weight <= 32 ? 2 : 1;
    int64_t extent = staticExtents[*vectorDim];
    while (!ShapedType::isDynamic(extent) && unroll > 1 && extent < unroll * width)
      unroll /= 2;
    return unroll;
  }

  /// One value of all lanes, by halves.
  Value reduceLanes(Combiner kind, Value value) {
    for (int64_t half = width / 2; half >= 1; half /= 2) {
      Value low = vector::ExtractStridedSliceOp::create(b, loc, value, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{half}, ArrayRef<int64_t>{1});
      Value high = vector::ExtractStridedSliceOp::create(b, loc, value, ArrayRef<int64_t>{half}, ArrayRef<int64_t>{half}, ArrayRef<int64_t>{1});
      value = combine(b, loc, kind, low, high);
    }
    return vector::ExtractOp::create(b, loc, value, ArrayRef<int64_t>{0});
  }

  void emitReductions() {
    SmallVector<Operand *> carried;
    for (Operand &operand : operands)
      if (operand.output && operand.carried)
        carried.push_back(&operand);

    if (!vectorReduces) {
      SmallVector<Value> values;
      for (Operand *operand : carried)
        values.push_back(operand->read || !reductions.empty() ? load(*operand) : Value());
      values = emitReduction(0, values, 1);
      for (auto [operand, value] : llvm::zip(carried, values))
        store(*operand, value);
      return;
    }

    SmallVector<Combiner> kinds;
    for (auto [operand, argument] : llvm::zip(operands, body.getArguments()))
      if (operand.output && operand.carried)
        kinds.push_back(*combinerOf(op, argument));
    int64_t unroll = carried.empty() ? 1 : chooseUnroll();
    SmallVector<Value> values;
    for (int64_t copy = 0; copy < unroll; ++copy)
      for (auto [operand, kind] : llvm::zip(carried, kinds)) {
        Type element = cast<MemRefType>(operand->value.getType()).getElementType();
        auto neutral = DenseElementsAttr::get(cast<ShapedType>(vectorOf(element)), Attribute(neutralElement(b, kind, element)));
        values.push_back(arith::ConstantOp::create(b, loc, neutral));
      }
    values = emitReduction(0, values, unroll);
    for (auto [i, operand] : llvm::enumerate(carried)) {
      for (int64_t stride = 1; stride < unroll; stride *= 2)
        for (int64_t copy = 0; copy < unroll; copy += 2 * stride) {
          Value &into = values[copy * carried.size() + i];
          into = combine(b, loc, kinds[i], into, values[(copy + stride) * carried.size() + i]);
        }
      store(*operand, combine(b, loc, kinds[i], load(*operand), reduceLanes(kinds[i], values[i])));
    }
  }

  /// The reduction loops from `depth` inwards. `carried` holds every carried output, `unroll` times.
  SmallVector<Value> emitReduction(unsigned depth, ValueRange carried, int64_t unroll) {
    if (depth == reductions.size())
      return step(carried);
    unsigned d = reductions[depth];
    if (!(vectorDim && d == *vectorDim))
      return emitLoop(d, index(0), extents[d], 1, carried, [&](ValueRange values) { return emitReduction(depth + 1, values, unroll); });
    size_t count = carried.size() / unroll;
    return emitVectorLoop(unroll, carried, [&](unsigned copy, ValueRange values) {
      SmallVector<Value> all(values);
      ValueRange mine = values.slice(copy * count, count);
      for (auto [i, next] : llvm::enumerate(step(mine)))
        all[copy * count + i] = mask ? Value(arith::SelectOp::create(b, loc, mask, next, mine[i])) : next;
      return all;
    });
  }

  /// One evaluation of the body: stores what is not carried, returns what is.
  SmallVector<Value> step(ValueRange carried) {
    SmallVector<Value> results, accumulators(carried);
    SmallVector<Value> yielded = evaluate(accumulators);
    unsigned output = 0;
    for (Operand &operand : operands) {
      if (!operand.output)
        continue;
      Value value = yielded[output++];
      if (operand.carried)
        results.push_back(vectorReduces || isVector(operand) ? spread(value) : value);
      else
        store(operand, value);
    }
    return results;
  }

  linalg::GenericOp op;
  PatternRewriter &b;
  Location loc;
  int64_t lanes;
  Block &body;
  SmallVector<Operand> operands;
  SmallVector<int64_t> staticExtents;
  SmallVector<Value> extents;
  std::optional<unsigned> vectorDim;
  bool vectorReduces = false;
  int64_t width = 0;
  SmallVector<unsigned> parallels, reductions;
  /// The position in each dim, null while its loop is not entered.
  SmallVector<Value> ivs;
  /// The lanes that hold elements, null for all.
  Value mask;
};

struct LowerGeneric : OpRewritePattern<linalg::GenericOp> {
  LowerGeneric(MLIRContext *context, int64_t lanes) : OpRewritePattern(context), lanes(lanes) {}

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (!op->getParentOfType<msa::exec::KernelOp>())
      return rewriter.notifyMatchFailure(op, "not in a kernel");
    if (failed(GenericLowering(op, rewriter, lanes).run()))
      return failure();
    rewriter.eraseOp(op);
    return success();
  }

  int64_t lanes;
};

/// memref.copy would become a call.
struct LowerCopy : OpRewritePattern<memref::CopyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::CopyOp op, PatternRewriter &rewriter) const override {
    auto type = dyn_cast<MemRefType>(op.getTarget().getType());
    if (!type || !op->getParentOfType<msa::exec::KernelOp>())
      return rewriter.notifyMatchFailure(op, "not a ranked copy in a kernel");
    SmallVector<AffineMap> maps(2, rewriter.getMultiDimIdentityMap(type.getRank()));
    SmallVector<utils::IteratorType> kinds(type.getRank(), utils::IteratorType::parallel);
    rewriter.replaceOpWithNewOp<linalg::GenericOp>(op, ValueRange{op.getSource()}, ValueRange{op.getTarget()}, maps, kinds,
                                                   [](OpBuilder &b, Location loc, ValueRange arguments) {
                                                     linalg::YieldOp::create(b, loc, arguments.front());
                                                   });
    return success();
  }
};
} // namespace

void msa::cpu::populateVectorizeLinalgPatterns(RewritePatternSet &patterns, const CPUTarget &target) {
  patterns.add<LowerGeneric>(patterns.getContext(), target.lanes);
  patterns.add<LowerCopy>(patterns.getContext());
  linalg::populateLinalgNamedOpsGeneralizationPatterns(patterns);
}

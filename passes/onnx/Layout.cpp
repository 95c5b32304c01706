// SPDX-License-Identifier: Apache-2.0
//
// Operators that move elements in regular patterns: transpose, concatenate, split, slice, pad, tile.

#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

static LogicalResult convertTranspose(NodeContext &node) {
  Converted &x = node.in(0);
  int64_t rank = x.getRank();
  SmallVector<int64_t> permutation;
  if (std::optional<SmallVector<int64_t>> perm = node.getInts("perm"))
    permutation = *perm;
  else
    for (int64_t i = rank - 1; i >= 0; --i)
      permutation.push_back(i);
  if (static_cast<int64_t>(permutation.size()) != rank || !isPermutationVector(permutation))
    return node.fail("expected 'perm' to be a permutation of " + Twine(rank) + " axes");
  return node.result(node.emit.transpose(x, permutation));
}

static LogicalResult convertConcat(NodeContext &node) {
  Converted &first = node.in(0);
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), first.getRank());
  if (failed(axis))
    return failure();
  SmallVector<Converted> inputs;
  Shape list;
  bool isList = first.getRank() == 1;
  for (size_t i = 0; i < node.getNumInputs(); ++i) {
    Converted &x = node.in(i);
    if (x.getRank() != first.getRank())
      return node.fail("expected inputs of rank " + Twine(first.getRank()) + ", but input " + Twine(i) + " has rank " +
                       Twine(x.getRank()));
    if (x.element != first.element)
      return node.fail("expected inputs of one element type, but got " + getTypeName(first.element) + " and " +
                       getTypeName(x.element));
    for (int64_t d = 0; d < x.getRank(); ++d)
      if (d != *axis &&
          !node.emit.assertEqual(first.shape[d], x.shape[d], "expected all inputs to have the same dim " + Twine(d)))
        return node.fail("expected all inputs to have the same dim " + Twine(d) + ", but input " + Twine(i) +
                         " differs");
    if (std::optional<Shape> elements = node.emit.getKnownList(x); isList && elements)
      list.append(*elements);
    else
      isList = false;
    inputs.push_back(x);
  }
  if (isList)
    return node.result(Converted::list(list, false, first.element, node.op.getLoc()));
  if (inputs.size() == 1)
    return node.result(first);
  return node.result(node.emit.concat(inputs, *axis));
}

static LogicalResult convertSplit(NodeContext &node) {
  Converted &x = node.in(0);
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), x.getRank());
  if (failed(axis))
    return failure();
  DimSpace &dims = node.emit.dims;
  size_t count = node.getNumOutputs();
  int64_t parts = node.getInt("num_outputs", count);
  Dim length = dims.normalize(x.shape[*axis]);
  Shape sizes;
  if (node.has(1)) {
    std::optional<Shape> given = node.emit.getList(node.in(1));
    if (!given || given->size() != count)
      return node.fail("expected 'split' (input 1) to list " + Twine(count) + " lengths");
    Dim sum(0);
    for (const Dim &size : *given)
      sum = sum + size;
    if (!node.emit.assertEqual(sum, length, "expected the lengths of the parts to sum up to the axis"))
      return node.fail("expected the lengths in 'split' to sum up to the axis");
    sizes = *given;
  } else {
    if (parts != static_cast<int64_t>(count) || parts <= 0)
      return node.fail("expected 'num_outputs' to be the number of outputs, " + Twine(count) + ", but got " +
                       Twine(parts));
    Dim part = dims.ceilDivide(length, parts), rest = length;
    for (size_t i = 0; i + 1 < count; ++i) {
      Dim size = length.divideExactly(parts) ? part : dims.min(part, rest);
      sizes.push_back(size);
      rest = rest - size;
    }
    sizes.push_back(rest);
  }
  Shape offsets(x.getRank(), Dim(0)), steps(x.getRank(), Dim(1)), shape = x.shape;
  std::optional<Shape> list = x.getRank() == 1 ? node.emit.getKnownList(x) : std::nullopt;
  for (size_t i = 0; i < count; ++i) {
    std::optional<int64_t> from = dims.normalize(offsets[*axis]).getConstant(),
                           size = dims.normalize(sizes[i]).getConstant();
    if (list && from && size) {
      (void)node.result(i,
                        Converted::list(ArrayRef<Dim>(*list).slice(*from, *size), false, x.element, node.op.getLoc()));
    } else if (node.wants(i)) {
      shape[*axis] = sizes[i];
      (void)node.result(i, node.emit.slice(x, offsets, shape, steps));
    }
    offsets[*axis] = offsets[*axis] + sizes[i];
  }
  return success();
}

/// One axis of Slice: from which index, how many, in which steps; `isReversed`: downwards.
struct AxisSlice {
  Dim offset, size, step = 1;
  bool isReversed = false;
};

// Exporters write "to the end" as any huge number.
static constexpr int64_t farAway = int64_t(1) << 31;

static FailureOr<AxisSlice> getAxisSlice(NodeContext &node, const Dim &length, Dim start, Dim end, int64_t step,
                                         std::optional<int64_t> declared) {
  DimSpace &dims = node.emit.dims;
  start = dims.normalize(start);
  end = dims.normalize(end);
  // A bound of unknown sign would need both readings.
  auto place = [&](const Dim &bound, int64_t low, const Dim &high) -> Dim {
    if (std::optional<int64_t> known = bound.getConstant()) {
      if (*known >= farAway - 1)
        return high;
      if (*known <= -farAway)
        return low;
      Dim at = *known < 0 ? length + *known : Dim(*known);
      return dims.min(dims.max(at, low), high);
    }
    Dim at = dims.isNonNegative(bound)
                 ? bound
                 : dims.select(dims.compare(DimSpace::Compare::Less, bound, 0), length + bound, bound);
    return dims.min(dims.max(at, low), high);
  };
  AxisSlice slice;
  if (step > 0) {
    // The last n: min(n, length) of them. Whoever wrote the file knows that there are n if it declares so.
    std::optional<int64_t> knownStart = start.getConstant(), knownEnd = end.getConstant();
    if (knownStart && *knownStart < 0 && *knownStart > -farAway && knownEnd && *knownEnd >= farAway - 1 && step == 1 &&
        !length.isConstant()) {
      slice.size = dims.min(length, -*knownStart);
      if (declared == -*knownStart) {
        node.emit.assertLessOrEqual(-*knownStart, length, "expected an axis of at least " + Twine(-*knownStart));
        slice.size = -*knownStart;
      }
      slice.offset = length - slice.size;
      return slice;
    }
    Dim from = place(start, 0, length), to = place(end, 0, length);
    Dim gap = dims.max(dims.normalize(to - from), 0);
    slice.size = step == 1 ? gap : dims.ceilDivide(gap, step);
    // Behind the end nothing is read, but the slice has to begin within.
    slice.offset = from;
    slice.step = step;
    return slice;
  }
  Dim from = place(start, -1, length - 1), to = place(end, -1, length - 1);
  slice.size = dims.ceilDivide(dims.max(dims.normalize(from - to), 0), -step);
  slice.offset = from;
  slice.step = -step;
  slice.isReversed = true;
  return slice;
}

static LogicalResult convertSlice(NodeContext &node) {
  Converted &x = node.in(0);
  DimSpace &dims = node.emit.dims;
  int64_t rank = x.getRank();
  std::optional<Shape> starts = node.emit.getList(node.in(1)), ends = node.emit.getList(node.in(2));
  if (!starts || !ends || starts->size() != ends->size())
    return node.fail("expected 'starts' and 'ends' to be lists of equal length");
  SmallVector<int64_t> axes, steps(starts->size(), 1);
  if (node.has(3)) {
    std::optional<SmallVector<int64_t>> given = node.emit.getConstantInts(node.in(3));
    if (!given || given->size() != starts->size())
      return node.fail("expected 'axes' (input 3) to be known at compile time and as long as 'starts'");
    axes = *given;
  } else {
    for (size_t i = 0; i < starts->size(); ++i)
      axes.push_back(i);
  }
  if (node.has(4)) {
    std::optional<SmallVector<int64_t>> given = node.emit.getConstantInts(node.in(4));
    if (!given || given->size() != starts->size() || llvm::is_contained(*given, 0))
      return node.fail("expected 'steps' (input 4) to be known at compile time, as long as 'starts' and without 0");
    steps = *given;
    for (int64_t step : steps)
      if (step < -farAway || step > farAway)
        return node.fail("expected steps below 2^31, but got " + Twine(step));
  }
  Shape offsets(rank, Dim(0)), sizes = dims.normalize(x.shape), strides(rank, Dim(1));
  SmallVector<bool> isReversed(rank, false);
  auto declared = dyn_cast<RankedTensorType>(node.op.getResult(0).getType());
  for (auto [i, given] : llvm::enumerate(axes)) {
    FailureOr<int64_t> axis = node.getAxis(given, rank);
    if (failed(axis))
      return failure();
    std::optional<int64_t> size;
    if (declared && declared.getRank() == rank && !declared.isDynamicDim(*axis))
      size = declared.getDimSize(*axis);
    FailureOr<AxisSlice> slice =
        getAxisSlice(node, dims.normalize(x.shape[*axis]), (*starts)[i], (*ends)[i], steps[i], size);
    if (failed(slice))
      return failure();
    offsets[*axis] = slice->offset;
    sizes[*axis] = slice->size;
    strides[*axis] = slice->step;
    isReversed[*axis] = slice->isReversed;
  }
  if (std::optional<Shape> list = rank == 1 ? node.emit.getKnownList(x) : std::nullopt) {
    std::optional<int64_t> from = dims.normalize(offsets[0]).getConstant(),
                           size = dims.normalize(sizes[0]).getConstant();
    int64_t step = *strides[0].getConstant();
    Shape chosen;
    for (int64_t k = 0; k < *size; ++k)
      chosen.push_back((*list)[isReversed[0] ? *from - k * step : *from + k * step]);
    return node.result(Converted::list(chosen, false, x.element, node.op.getLoc()));
  }
  if (!llvm::is_contained(isReversed, true))
    return node.result(node.emit.slice(x, offsets, sizes, strides));

  // Backwards there is no slice to take: every element is read from its place.
  Value source = node.emit.getTensor(x);
  SmallVector<Value> from, by;
  for (int64_t i = 0; i < rank; ++i) {
    from.push_back(dims.getValue(offsets[i], node.emit.getLoc()));
    by.push_back(dims.getValue(strides[i], node.emit.getLoc()));
  }
  Converted result =
      node.emit.indexed({}, sizes, {}, getSignless(x.element), {}, [&](ScalarBuilder &b, ArrayRef<Value>) -> Value {
        SmallVector<Value> at;
        for (int64_t i = 0; i < rank; ++i) {
          Value index = linalg::IndexOp::create(b.builder, b.loc, i);
          Value moved = b.create<arith::MulIOp>(index, by[i]);
          at.push_back(isReversed[i] ? b.create<arith::SubIOp>(from[i], moved)
                                     : b.create<arith::AddIOp>(from[i], moved));
        }
        return tensor::ExtractOp::create(b.builder, b.loc, source, at);
      });
  result.element = x.element;
  return node.result(result);
}

static LogicalResult convertPad(NodeContext &node) {
  Converted &x = node.in(0);
  DimSpace &dims = node.emit.dims;
  StringRef mode = node.getString("mode", "constant");
  if (mode != "constant")
    return node.fail("expected attribute 'mode' to be \"constant\", but got \"" + mode + "\"");
  int64_t rank = x.getRank();
  std::optional<Shape> pads = node.emit.getList(node.in(1));
  SmallVector<int64_t> axes;
  if (node.has(3)) {
    std::optional<SmallVector<int64_t>> given = node.emit.getConstantInts(node.in(3));
    if (!given)
      return node.fail("expected 'axes' (input 3) to be known at compile time");
    for (int64_t axis : *given) {
      FailureOr<int64_t> at = node.getAxis(axis, rank);
      if (failed(at))
        return failure();
      axes.push_back(*at);
    }
  } else {
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(i);
  }
  if (!pads || pads->size() != 2 * axes.size())
    return node.fail("expected 'pads' (input 1) to list " + Twine(2 * axes.size()) + " lengths");
  Shape low(rank, Dim(0)), high(rank, Dim(0)), shape = x.shape;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    low[axis] = dims.normalize((*pads)[i]);
    high[axis] = dims.normalize((*pads)[i + axes.size()]);
  }
  // Negative lengths cut off.
  Shape offsets(rank, Dim(0)), sizes = x.shape, steps(rank, Dim(1));
  for (int64_t i = 0; i < rank; ++i) {
    for (const Dim &pad : {low[i], high[i]})
      if (!pad.isConstant() && !dims.isNonNegative(pad))
        return node.fail("expected 'pads' (input 1) to be known at compile time, or lengths");
    if (low[i].isConstant() && *low[i].getConstant() < 0) {
      offsets[i] = Dim(0) - low[i];
      sizes[i] = sizes[i] + low[i];
      low[i] = 0;
    }
    if (high[i].isConstant() && *high[i].getConstant() < 0) {
      sizes[i] = sizes[i] + high[i];
      high[i] = 0;
    }
    if (std::optional<int64_t> size = dims.normalize(sizes[i]).getConstant(); size && *size < 0)
      return node.fail("'pads' cut off more than axis " + Twine(i) + " has");
    shape[i] = dims.normalize(sizes[i] + low[i] + high[i]);
  }
  Converted part = node.emit.slice(x, offsets, sizes, steps);
  if (dims.isEqual(shape, sizes))
    return node.result(part);
  Type element = getSignless(x.element);
  TypedAttr fill = isa<FloatType>(element) ? cast<TypedAttr>(FloatAttr::get(element, 0.0))
                                           : cast<TypedAttr>(IntegerAttr::get(element, 0));
  if (node.has(2)) {
    fill = node.emit.getSplat(node.in(2));
    if (!fill)
      return node.fail("expected 'constant_value' (input 2) to be known at compile time");
  }
  Converted canvas = node.emit.createFilled(shape, x.element, fill);
  Location loc = node.emit.getLoc();
  Value source = node.emit.getTensor(part), target = node.emit.getTensor(canvas);
  Value padded = tensor::InsertSliceOp::create(node.emit.builder, loc, source, target, dims.getFoldResults(low, loc),
                                               dims.getFoldResults(sizes, loc), dims.getFoldResults(steps, loc));
  return node.result(node.emit.wrap(padded, shape, x.element));
}

static LogicalResult convertTile(NodeContext &node) {
  Converted &x = node.in(0);
  std::optional<Shape> repeats = node.emit.getList(node.in(1));
  if (!repeats || static_cast<int64_t>(repeats->size()) != x.getRank())
    return node.fail("expected 'repeats' (input 1) to list " + Twine(x.getRank()) + " numbers");
  // [a, b] repeated (r, s) times is [1, a, 1, b] broadcast to [r, a, s, b], read as [r a, s b].
  Shape apart, wide, shape;
  for (int64_t i = 0; i < x.getRank(); ++i) {
    Dim count = node.emit.dims.normalize((*repeats)[i]), length = node.emit.dims.normalize(x.shape[i]);
    if (count.isConstant() && *count.getConstant() < 0)
      return node.fail("expected no negative number in 'repeats', but got " + Twine(*count.getConstant()));
    shape.push_back(count * length);
    if (!count.isConstant(1) && !length.isConstant(1)) {
      apart.push_back(1);
      wide.push_back(count);
      apart.push_back(length);
      wide.push_back(length);
    } else {
      apart.push_back(length);
      wide.push_back(count * length);
    }
  }
  Converted spread = node.emit.reshape(x, apart);
  Converted tiled = node.emit.broadcastTo(spread, wide);
  return node.result(node.emit.reshape(tiled, shape));
}

static LogicalResult convertDepthToSpace(NodeContext &node) {
  Converted &x = node.in(0);
  int64_t block = node.getInt("blocksize", 0);
  StringRef mode = node.getString("mode", "DCR");
  if (failed(node.requireRank(0, 4, 4)))
    return failure();
  std::optional<Dim> depth = block > 0 ? x.shape[1].divideExactly(block * block) : std::nullopt;
  if (!depth || (mode != "DCR" && mode != "CRD"))
    return node.fail("expected a number of channels that is a multiple of blocksize^2, and 'mode' \"DCR\" or \"CRD\"");
  bool isDcr = mode == "DCR";
  Shape apart = isDcr ? Shape{x.shape[0], block, block, *depth, x.shape[2], x.shape[3]}
                      : Shape{x.shape[0], *depth, block, block, x.shape[2], x.shape[3]};
  Converted split = node.emit.reshape(x, apart);
  Converted moved =
      isDcr ? node.emit.transpose(split, {0, 3, 4, 1, 5, 2}) : node.emit.transpose(split, {0, 1, 4, 2, 5, 3});
  return node.result(node.emit.reshape(moved, Shape{x.shape[0], *depth, x.shape[2] * block, x.shape[3] * block}));
}

static LogicalResult convertSpaceToDepth(NodeContext &node) {
  Converted &x = node.in(0);
  int64_t block = node.getInt("blocksize", 0);
  if (failed(node.requireRank(0, 4, 4)))
    return failure();
  std::optional<Dim> height = block > 0 ? x.shape[2].divideExactly(block) : std::nullopt;
  std::optional<Dim> width = block > 0 ? x.shape[3].divideExactly(block) : std::nullopt;
  if (!height || !width)
    return node.fail("expected height and width to be multiples of 'blocksize'");
  Converted split = node.emit.reshape(x, Shape{x.shape[0], x.shape[1], *height, block, *width, block});
  Converted moved = node.emit.transpose(split, {0, 3, 5, 1, 2, 4});
  return node.result(node.emit.reshape(moved, Shape{x.shape[0], x.shape[1] * Dim(block * block), *height, *width}));
}

void registerLayout(HandlerTable &table) {
  table.add("", "Transpose", 1, 1, convertTranspose);
  table.add("", "Concat", 1, HandlerTable::anyNumber, convertConcat);
  table.add("", "Split", 1, 2, convertSplit);
  table.add("", "Slice", 3, 5, convertSlice);
  table.add("", "Pad", 2, 4, convertPad);
  table.add("", "Tile", 2, 2, convertTile);
  table.add("", "DepthToSpace", 1, 1, convertDepthToSpace);
  table.add("", "SpaceToDepth", 1, 1, convertSpaceToDepth);
}

} // namespace msa::onnx

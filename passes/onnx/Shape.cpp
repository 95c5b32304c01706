// SPDX-License-Identifier: Apache-2.0
//
// Operators that read or change shapes and nothing else, and those that make tensors from shapes.

#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

static LogicalResult convertShape(NodeContext &node) {
  int64_t rank = node.in(0).getRank();
  auto clamp = [&](int64_t axis) { return std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank); };
  int64_t start = clamp(node.getInt("start", 0)), end = clamp(node.getInt("end", rank));
  ArrayRef<Dim> shape(node.in(0).shape);
  Type i64 = IntegerType::get(node.op.getContext(), 64);
  return node.result(
      Converted::list(shape.slice(start, std::max<int64_t>(end - start, 0)), false, i64, node.op.getLoc()));
}

static LogicalResult convertSize(NodeContext &node) {
  Type i64 = IntegerType::get(node.op.getContext(), 64);
  return node.result(Converted::list(getNumElements(node.in(0).shape), true, i64, node.op.getLoc()));
}

/// The target of a reshape with dims that are only known at run time: each may turn out to be -1 (inferred) or, without
/// `allowZero`, 0 (copied).
static Shape resolveAtRunTime(NodeContext &node, ArrayRef<Dim> target, ArrayRef<Dim> from, bool allowZero) {
  DimSpace &dims = node.emit.dims;
  using Compare = DimSpace::Compare;
  Shape copied, resolved;
  Dim known(1);
  for (auto [i, wanted] : llvm::enumerate(target)) {
    Dim dim = dims.normalize(wanted);
    if (!allowZero && i < from.size())
      dim = dims.select(dims.compare(Compare::Equal, dim, 0), from[i], dim);
    copied.push_back(dim);
    known = known * dims.select(dims.compare(Compare::Equal, dim, -1), 1, dim);
  }
  Dim inferred = dims.divide(getNumElements(from), dims.max(known, 1));
  for (auto [i, dim] : llvm::enumerate(copied)) {
    Dim length = dims.select(dims.compare(Compare::Equal, dim, -1), inferred, dim);
    node.emit.assertLessOrEqual(0, length, "expected dim " + Twine(i) + " of the shape not to be negative");
    resolved.push_back(dims.max(length, 0));
  }
  return resolved;
}

static LogicalResult convertReshape(NodeContext &node) {
  bool allowZero = node.getInt("allowzero", 0) != 0;
  Converted &x = node.in(0);
  DimSpace &dims = node.emit.dims;
  std::optional<Shape> target = node.emit.getList(node.in(1));
  if (!target)
    return node.fail("expected 'shape' (input 1) to be a list of at most 64 integers");
  if (llvm::any_of(*target,
                   [&](const Dim &dim) { return !dims.normalize(dim).isConstant() && !dims.isNonNegative(dim); }))
    *target = resolveAtRunTime(node, *target, x.shape, allowZero);
  Shape shape;
  std::optional<size_t> inferred;
  Dim known(1);
  for (auto [i, wanted] : llvm::enumerate(*target)) {
    Dim dim = dims.normalize(wanted);
    if (dim.isConstant(-1)) {
      if (inferred)
        return node.fail("expected at most one -1 in 'shape', but got two");
      inferred = i;
      shape.push_back(0);
      continue;
    }
    if (dim.isConstant(0) && !allowZero) {
      if (i >= x.shape.size())
        return node.fail("dim " + Twine(i) + " of 'shape' is 0 (copy from the input), but the input has rank " +
                         Twine(x.getRank()));
      dim = dims.normalize(x.shape[i]);
    } else if (std::optional<int64_t> constant = dim.getConstant(); constant && *constant < 0) {
      return node.fail("expected no negative dim in 'shape' but one -1, but got " + Twine(*constant));
    }
    known = known * dim;
    shape.push_back(dim);
  }
  Dim total = dims.normalize(getNumElements(x.shape));
  known = dims.normalize(known);
  if (inferred) {
    if (known.isConstant(0))
      return node.fail("a dim of -1 beside a dim of 0 has no meaning");
    if (std::optional<Dim> exact = total.divideExactly(known)) {
      shape[*inferred] = *exact;
    } else {
      if (total.isConstant() && known.isConstant())
        return node.fail("expected a multiple of " + Twine(*known.getConstant()) + " elements, but got " +
                         Twine(*total.getConstant()));
      // A divisor of 0 would end the process: the assertion comes first, and the division is by at least 1.
      if (!dims.isNonNegative(known - 1))
        node.emit.assertLessOrEqual(1, known, "expected the dims beside the -1 of the shape to be positive");
      Dim divisor = dims.max(known, 1);
      shape[*inferred] = dims.divide(total, divisor);
      Dim product = shape[*inferred] * divisor;
      if (!node.emit.assertEqual(product, total,
                                 "expected the number of elements to be a multiple of the other dims of the shape"))
        return node.fail("the number of elements is no multiple of the other dims of 'shape'");
    }
  }
  if (!node.emit.assertEqual(total, dims.normalize(getNumElements(shape)),
                             "expected the shape to have as many elements as the input")) {
    std::string counts;
    if (total.isConstant() && known.isConstant())
      counts = (": " + Twine(*known.getConstant()) + " and " + Twine(*total.getConstant())).str();
    return node.fail("expected 'shape' to have as many elements as the input" + counts);
  }
  return node.result(node.emit.reshape(x, shape));
}

static LogicalResult convertFlatten(NodeContext &node) {
  Converted &x = node.in(0);
  int64_t axis = node.getInt("axis", 1), rank = x.getRank();
  if (axis < -rank || axis > rank)
    return node.fail("expected 'axis' within [" + Twine(-rank) + ", " + Twine(rank) + "], but got " + Twine(axis));
  axis = axis < 0 ? axis + rank : axis;
  ArrayRef<Dim> shape(x.shape);
  Shape flat{getNumElements(shape.take_front(axis)), getNumElements(shape.drop_front(axis))};
  return node.result(node.emit.reshape(x, flat));
}

static LogicalResult convertSqueeze(NodeContext &node) {
  Converted &x = node.in(0);
  FailureOr<std::optional<SmallVector<int64_t>>> axes = node.getIntsOf("axes", 1);
  if (failed(axes))
    return failure();
  SmallVector<bool> removed(x.getRank(), false);
  if (!*axes) {
    for (auto [i, dim] : llvm::enumerate(x.shape)) {
      if (!node.emit.dims.normalize(dim).isConstant())
        return node.fail("expected 'axes', since dim " + Twine(i) + " is dynamic");
      removed[i] = node.emit.dims.normalize(dim).isConstant(1);
    }
  } else {
    for (int64_t axis : **axes) {
      FailureOr<int64_t> at = node.getAxis(axis, x.getRank());
      if (failed(at))
        return failure();
      if (!node.emit.assertEqual(x.shape[*at], 1,
                                 "expected axis " + Twine(*at) + ", which is squeezed, to have length 1"))
        return node.fail("expected axis " + Twine(*at) + ", which is squeezed, to have length 1");
      removed[*at] = true;
    }
  }
  Shape shape;
  for (auto [i, dim] : llvm::enumerate(x.shape))
    if (!removed[i])
      shape.push_back(dim);
  return node.result(node.emit.reshape(x, shape));
}

static LogicalResult convertUnsqueeze(NodeContext &node) {
  Converted &x = node.in(0);
  FailureOr<std::optional<SmallVector<int64_t>>> axes = node.getIntsOf("axes", 1);
  if (failed(axes))
    return failure();
  if (!*axes)
    return node.fail("input 1 ('axes') is missing");
  int64_t rank = x.getRank() + (*axes)->size();
  SmallVector<bool> isNew(rank, false);
  for (int64_t axis : **axes) {
    FailureOr<int64_t> at = node.getAxis(axis, rank);
    if (failed(at))
      return failure();
    if (isNew[*at])
      return node.fail("axis " + Twine(*at) + " is given twice");
    isNew[*at] = true;
  }
  Shape shape;
  size_t next = 0;
  for (int64_t i = 0; i < rank; ++i)
    shape.push_back(isNew[i] ? Dim(1) : x.shape[next++]);
  return node.result(node.emit.reshape(x, shape));
}

static LogicalResult convertExpand(NodeContext &node) {
  Converted &x = node.in(0);
  std::optional<Shape> target = node.emit.getList(node.in(1));
  if (!target)
    return node.fail("expected 'shape' (input 1) to be a list of at most 64 integers");
  for (auto [i, dim] : llvm::enumerate(*target)) {
    Dim known = node.emit.dims.normalize(dim);
    if (known.isConstant() && *known.getConstant() < 0)
      return node.fail("expected no negative dim in 'shape', but got " + Twine(*known.getConstant()));
  }
  // A length that is read from data may be 1 beside a known one, which then stays.
  DimSpace &dims = node.emit.dims;
  for (size_t fromRight = 1; fromRight <= std::min(target->size(), x.shape.size()); ++fromRight) {
    Dim &wanted = (*target)[target->size() - fromRight];
    Dim length = dims.normalize(x.shape[x.shape.size() - fromRight]);
    wanted = dims.normalize(wanted);
    if (wanted.isConstant() || !length.isConstant() || length.isConstant(1))
      continue;
    Dim equal = dims.compare(DimSpace::Compare::Equal, wanted, length);
    Dim one = dims.compare(DimSpace::Compare::Equal, wanted, 1);
    node.emit.assertLessOrEqual(1, equal + one,
                                "expected axis -" + Twine(fromRight) + " of the shape to be " +
                                    Twine(*length.getConstant()) + " or 1");
    wanted = length;
  }
  std::string why;
  std::optional<Shape> shape = node.emit.broadcast({ArrayRef<Dim>(x.shape), ArrayRef<Dim>(*target)}, why);
  if (!shape)
    return node.fail(why);
  return node.result(node.emit.broadcastTo(x, *shape));
}

//===----------------------------------------------------------------------===//
// Tensors from attributes and shapes
//===----------------------------------------------------------------------===//

static LogicalResult convertConstant(NodeContext &node) {
  Builder builder(node.op.getContext());
  Location loc = node.op.getLoc();
  auto finish = [&](ElementsAttr elements) { return node.result(Converted::fromConstant(elements, loc)); };
  if (ElementsAttr value = node.getElements("value")) {
    if (!value.getElementType().isIntOrFloat())
      return node.fail("a constant of " + getTypeName(value.getElementType()) + " is not supported");
    return finish(value);
  }
  if (node.hasAttr("value_int"))
    return finish(
        DenseElementsAttr::get(RankedTensorType::get({}, builder.getI64Type()), {node.getInt("value_int", 0)}));
  if (node.hasAttr("value_float"))
    return finish(DenseElementsAttr::get(RankedTensorType::get({}, builder.getF32Type()),
                                         {static_cast<float>(node.getFloat("value_float", 0))}));
  if (std::optional<SmallVector<int64_t>> ints = node.getInts("value_ints"))
    return finish(
        DenseElementsAttr::get(RankedTensorType::get(ints->size(), builder.getI64Type()), ArrayRef<int64_t>(*ints)));
  if (std::optional<SmallVector<double>> floats = node.getFloats("value_floats")) {
    SmallVector<float> narrow(floats->begin(), floats->end());
    return finish(
        DenseElementsAttr::get(RankedTensorType::get(narrow.size(), builder.getF32Type()), ArrayRef<float>(narrow)));
  }
  for (StringRef name : {"value_string", "value_strings", "sparse_value"})
    if (node.hasAttr(name))
      return node.fail("attribute '" + name + "' is not supported: no operator that computes takes it");
  return node.fail("expected one of the attributes 'value', 'value_int', 'value_ints', 'value_float', 'value_floats'");
}

static LogicalResult convertConstantOfShape(NodeContext &node) {
  std::optional<Shape> shape = node.emit.getList(node.in(0));
  if (!shape)
    return node.fail("expected 'input' (input 0) to be a list of at most 64 integers");
  Builder builder(node.op.getContext());
  TypedAttr scalar = builder.getF32FloatAttr(0);
  Type element = scalar.getType();
  if (ElementsAttr value = node.getElements("value")) {
    Converted constant = Converted::fromConstant(value, node.op.getLoc());
    scalar = node.emit.getSplat(constant);
    element = value.getElementType();
    if (!scalar || value.getNumElements() != 1)
      return node.fail("expected attribute 'value' to be a tensor of one number");
  }
  SmallVector<int64_t> sizes;
  for (const Dim &dim : *shape)
    if (std::optional<int64_t> size = node.emit.dims.normalize(dim).getConstant())
      sizes.push_back(*size);
  if (llvm::any_of(sizes, [](int64_t size) { return size < 0 || size >= (int64_t(1) << 47); }))
    return node.fail("expected dims from 0 up to 2^47");
  Converted result = sizes.size() == shape->size() ? node.emit.createConstant(scalar, sizes)
                                                   : node.emit.createFilled(*shape, element, scalar);
  if (result.kind == Converted::Kind::Constant && element != scalar.getType())
    result = Converted::fromConstant(cast<ElementsAttr>(cast<DenseElementsAttr>(result.constant).bitcast(element)),
                                     node.op.getLoc());
  result.element = element;
  return node.result(result);
}

/// start + i * delta for the loop index i.
static Converted emitRange(NodeContext &node, Dim length, Converted start, Converted delta, Type element) {
  start = node.emit.reshape(start, {});
  delta = node.emit.reshape(delta, {});
  SmallVector<GenericOperand> operands{{&start, {}}, {&delta, {}}};
  Converted result = node.emit.indexed(
      operands, length, {}, getSignless(element), {}, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        Value index = linalg::IndexOp::create(b.builder, b.loc, 0);
        Value i = b.create<arith::IndexCastOp>(b.builder.getI64Type(), index);
        if (isa<FloatType>(element)) {
          Value step = b.create<arith::MulFOp>(b.cast(i, b.builder.getI64Type(), element), args[1]);
          return b.create<arith::AddFOp>(args[0], step);
        }
        i = b.cast(i, b.builder.getI64Type(), element);
        return b.create<arith::AddIOp>(args[0], b.create<arith::MulIOp>(i, args[1]));
      });
  result.element = element;
  return result;
}

static LogicalResult convertRange(NodeContext &node) {
  Type element = node.in(0).element;
  DimSpace &dims = node.emit.dims;
  if (element.isInteger()) {
    std::optional<Shape> start = node.emit.getList(node.in(0)), limit = node.emit.getList(node.in(1)),
                         delta = node.emit.getList(node.in(2));
    if (!start || !limit || !delta || start->size() != 1 || limit->size() != 1 || delta->size() != 1)
      return node.fail("expected 'start', 'limit' and 'delta' to be scalars");
    Dim step = dims.normalize(delta->front());
    if (!step.isConstant() || step.isConstant(0))
      return node.fail("expected 'delta' (input 2) to be known at compile time and not 0");
    Dim gap = dims.normalize(limit->front() - start->front());
    Dim length = dims.max(step.isConstant(1) ? gap : dims.ceilDivide(gap, step), 0);
    std::optional<int64_t> known = length.getConstant();
    std::optional<int64_t> first = dims.normalize(start->front()).getConstant();
    if (known && first && *known <= 1024) {
      Shape list;
      for (int64_t i = 0; i < *known; ++i)
        list.push_back(*first + i * *step.getConstant());
      return node.result(Converted::list(list, false, element, node.op.getLoc()));
    }
    return node.result(emitRange(node, length, Converted::list(*start, true, element, node.op.getLoc()),
                                 Converted::list(*delta, true, element, node.op.getLoc()), element));
  }
  double bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    auto scalar = dyn_cast_or_null<FloatAttr>(node.emit.getSplat(node.in(i)));
    if (!scalar)
      return node.fail("expected a range of floats to be known at compile time");
    bounds[i] = scalar.getValueAsDouble();
  }
  double length = std::ceil((bounds[1] - bounds[0]) / bounds[2]);
  if (!(length < 1e9))
    return node.fail("expected a range of at most 1e9 floats");
  return node.result(
      emitRange(node, Dim(static_cast<int64_t>(std::max(length, 0.0))), node.in(0), node.in(2), element));
}

void registerShape(HandlerTable &table) {
  table.add("", "Shape", 1, 1, convertShape);
  table.add("", "Size", 1, 1, convertSize);
  table.add("", "Reshape", 2, 2, convertReshape);
  table.add("", "Flatten", 1, 1, convertFlatten);
  table.add("", "Squeeze", 1, 2, convertSqueeze);
  table.add("", "Unsqueeze", 1, 2, convertUnsqueeze);
  table.add("", "Expand", 2, 2, convertExpand);
  table.add("", "Constant", 0, 0, convertConstant);
  table.add("", "ConstantOfShape", 1, 1, convertConstantOfShape);
  table.add("", "Range", 3, 3, convertRange);
}

} // namespace msa::onnx

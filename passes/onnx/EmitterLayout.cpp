// SPDX-License-Identifier: Apache-2.0
//
// Layout: reshapes, transpositions, slices and concatenations. Reshapes of reshapes start from the first value again,
// and a transposition that only moves unit axes is a reshape, so that what exporters insert around an operator
// disappears here.

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "passes/onnx/Emitter.h"

using namespace mlir;

namespace msa::onnx {

using Groups = SmallVector<std::pair<ReassociationIndices, ReassociationIndices>>;

/// Pairs up the axes of two shapes whose products agree, in the smallest groups; nothing where they cannot be told to
/// agree.
static std::optional<Groups> groupAxes(ArrayRef<Dim> from, ArrayRef<Dim> to) {
  Groups groups;
  size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    // Unit axes at the end of either side belong to the last group.
    if (i == from.size() || j == to.size()) {
      if (groups.empty())
        return std::nullopt;
      for (; i < from.size(); ++i) {
        if (!from[i].isConstant(1))
          return std::nullopt;
        groups.back().first.push_back(i);
      }
      for (; j < to.size(); ++j) {
        if (!to[j].isConstant(1))
          return std::nullopt;
        groups.back().second.push_back(j);
      }
      break;
    }
    ReassociationIndices left{static_cast<int64_t>(i)}, right{static_cast<int64_t>(j)};
    Dim a = from[i++], b = to[j++];
    while (a != b) {
      std::optional<int64_t> x = a.getConstant(), y = b.getConstant();
      bool growLeft, growRight;
      if (x && y) {
        growLeft = *x < *y;
        growRight = !growLeft;
      } else {
        growLeft = b.divideExactly(a).has_value();
        growRight = !growLeft && a.divideExactly(b).has_value();
        if (!growLeft && !growRight)
          growLeft = growRight = true;
      }
      if ((growLeft && i == from.size()) || (growRight && j == to.size())) {
        // Two undecided sides may still meet by growing the other one alone.
        if (growLeft && growRight && (i < from.size() || j < to.size())) {
          growLeft = i < from.size();
          growRight = !growLeft;
        } else {
          return std::nullopt;
        }
      }
      if (growLeft) {
        left.push_back(i);
        a = a * from[i++];
      }
      if (growRight) {
        right.push_back(j);
        b = b * to[j++];
      }
    }
    groups.push_back({left, right});
  }
  return groups;
}

Value Emitter::emitReshape(Value source, ArrayRef<Dim> from, ArrayRef<Dim> to) {
  Type element = cast<RankedTensorType>(source.getType()).getElementType();
  auto isZero = [](const Dim &dim) { return dim.isConstant(0); };
  if (llvm::any_of(from, isZero) || llvm::any_of(to, isZero))
    return createEmpty(to, element);
  auto expand = [&](Value value, ArrayRef<Dim> shape, ArrayRef<ReassociationIndices> groups) -> Value {
    return tensor::ExpandShapeOp::create(builder, loc, getType(shape, element), value, groups,
                                         dims.getFoldResults(shape, loc));
  };
  // Rank 0 has no axis to put in a group.
  if (from.empty())
    return expand(source, to, ArrayRef<ReassociationIndices>());
  if (to.empty())
    return tensor::CollapseShapeOp::create(builder, loc, getType({}, element), source,
                                           ArrayRef<ReassociationIndices>());

  std::optional<Groups> groups = groupAxes(from, to);
  if (!groups) {
    // Through one axis, whose length is the source's; the caller has made sure that the target's is the same.
    Groups whole(1);
    for (size_t i = 0; i < from.size(); ++i)
      whole[0].first.push_back(i);
    for (size_t j = 0; j < to.size(); ++j)
      whole[0].second.push_back(j);
    groups = whole;
  }
  Shape middle;
  SmallVector<ReassociationIndices> collapses, expansions;
  for (auto &[left, right] : *groups) {
    collapses.push_back(left);
    expansions.push_back(right);
    Dim product(1);
    for (int64_t axis : left)
      product = product * from[axis];
    middle.push_back(dims.normalize(product));
  }
  Value value = source;
  if (middle.size() != from.size()) {
    // The type of a collapsed axis is static only if all its parts are: a dim that cancels out is restored by the cast.
    auto sourceType = cast<RankedTensorType>(value.getType());
    RankedTensorType type = tensor::CollapseShapeOp::inferCollapsedType(sourceType, collapses);
    value = tensor::CollapseShapeOp::create(builder, loc, type, value, collapses);
  }
  if (middle.size() != to.size()) {
    // An axis that is expanded into something dynamic has to be dynamic, one expanded into static parts static.
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> sizes(type.getShape());
    RankedTensorType target = getType(to, element);
    for (auto [i, right] : llvm::enumerate(expansions)) {
      int64_t product = 1;
      for (int64_t axis : right)
        product = ShapedType::isDynamic(target.getDimSize(axis)) || ShapedType::isDynamic(product)
                      ? ShapedType::kDynamic
                      : product * target.getDimSize(axis);
      sizes[i] = product;
    }
    auto wanted = RankedTensorType::get(sizes, element);
    if (wanted != type)
      value = tensor::CastOp::create(builder, loc, wanted, value);
    value = expand(value, to, expansions);
  }
  return castToShape(value, to);
}

Converted Emitter::reshape(Converted &operand, ArrayRef<Dim> shape) {
  Shape to = dims.normalize(shape);
  if (dims.isEqual(operand.shape, to)) {
    Converted same = operand;
    same.shape = to;
    return same;
  }
  if (operand.kind == Converted::Kind::List && to.size() <= 1)
    return Converted::list(operand.elements, to.empty(), operand.element, operand.loc);
  if (operand.kind == Converted::Kind::Constant) {
    auto type = RankedTensorType::get(getType(to, operand.element).getShape(), operand.element);
    if (type.hasStaticShape()) {
      if (auto dense = dyn_cast<DenseElementsAttr>(operand.constant))
        return Converted::fromConstant(dense.reshape(type), operand.loc);
      if (auto resource = dyn_cast<DenseResourceElementsAttr>(operand.constant))
        return Converted::fromConstant(DenseResourceElementsAttr::get(type, resource.getRawHandle()), operand.loc);
    }
  }
  Value source = getTensor(operand);
  Shape from = dims.normalize(operand.shape);
  if (auto it = reshaped.find(source); it != reshaped.end()) {
    source = it->second.root;
    from = dims.normalize(it->second.shape);
    if (from == to)
      return wrap(castToShape(source, to), to, operand.element);
  }
  for (auto &[known, value] : reshapesOf[source])
    if (dims.normalize(known) == to)
      return wrap(castToShape(value, to), to, operand.element);
  Value result = emitReshape(castToShape(source, from), from, to);
  reshaped[result] = {source, from};
  reshapesOf[source].push_back({to, result});
  return wrap(result, to, operand.element);
}

std::optional<std::pair<Converted, SmallVector<int64_t>>> Emitter::getTransposed(const Converted &operand) {
  auto it = operand.kind == Converted::Kind::Tensor ? transposed.find(operand.value) : transposed.end();
  if (it == transposed.end())
    return std::nullopt;
  return std::make_pair(wrap(it->second.source, it->second.shape, operand.element), it->second.permutation);
}

Converted Emitter::transpose(Converted &operand, ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> perm(permutation);
  if (auto source = getTransposed(operand)) {
    SmallVector<int64_t> composed;
    for (int64_t axis : perm)
      composed.push_back(source->second[axis]);
    return transpose(source->first, composed);
  }
  Shape shape;
  SmallVector<int64_t> moved; // the axes that hold more than one element, in their new order
  for (int64_t axis : perm) {
    shape.push_back(dims.normalize(operand.shape[axis]));
    if (!shape.back().isConstant(1))
      moved.push_back(axis);
  }
  if (llvm::is_sorted(moved))
    return reshape(operand, shape);

  GenericOperand whole{&operand, SmallVector<int64_t>(perm.size())};
  for (auto [to, from] : llvm::enumerate(perm))
    whole.loops[from] = to;
  Value source = operand.kind == Converted::Kind::Tensor ? getTensor(operand) : Value();
  Converted result = generic(whole, shape, {}, getSignless(operand.element), {},
                             [](ScalarBuilder &, ArrayRef<Value> args) { return args[0]; });
  result.element = operand.element;
  if (result.kind == Converted::Kind::Tensor)
    transposed[result.value] = {source ? source : getTensor(operand), operand.shape, perm};
  return result;
}

Converted Emitter::slice(Converted &operand, ArrayRef<Dim> offsets, ArrayRef<Dim> sizes, ArrayRef<Dim> steps) {
  bool isWhole = llvm::all_of(llvm::seq<size_t>(0, sizes.size()), [&](size_t i) {
    return dims.normalize(offsets[i]).isConstant(0) && dims.normalize(steps[i]).isConstant(1) &&
           dims.isEqual(sizes[i], operand.shape[i]);
  });
  if (isWhole)
    return operand;
  if (llvm::any_of(sizes, [&](const Dim &size) { return dims.normalize(size).isConstant(0); }))
    return wrap(createEmpty(sizes, operand.element), sizes, operand.element);
  Value source = getTensor(operand);
  Value result = tensor::ExtractSliceOp::create(builder, loc, getType(sizes, operand.element), source,
                                                dims.getFoldResults(offsets, loc), dims.getFoldResults(sizes, loc),
                                                dims.getFoldResults(steps, loc));
  return wrap(result, sizes, operand.element);
}

Converted Emitter::concat(MutableArrayRef<Converted> operands, int64_t axis) {
  Shape shape = dims.normalize(operands.front().shape);
  Dim length(0);
  SmallVector<Value> parts;
  for (Converted &operand : operands) {
    length = length + operand.shape[axis];
    if (!dims.normalize(operand.shape[axis]).isConstant(0))
      parts.push_back(getTensor(operand));
  }
  shape[axis] = dims.normalize(length);
  if (parts.empty())
    return operands.front();
  if (parts.size() == 1)
    return wrap(castToShape(parts.front(), shape), shape, operands.front().element);
  RankedTensorType type = getType(shape, operands.front().element);
  return wrap(tensor::ConcatOp::create(builder, loc, type, static_cast<uint64_t>(axis), parts).getResult(), shape,
              operands.front().element);
}

Converted Emitter::broadcastTo(Converted &operand, ArrayRef<Dim> shape) {
  Shape to = dims.normalize(shape);
  if (dims.isEqual(operand.shape, to))
    return operand;
  if (getNumElements(dims.normalize(operand.shape)) == getNumElements(to) &&
      operand.getRank() <= static_cast<int64_t>(to.size()))
    return reshape(operand, to);
  return elementwise(MutableArrayRef<Converted>(operand), to, operand.element,
                     [](ScalarBuilder &, ArrayRef<Value> args) { return args[0]; });
}

} // namespace msa::onnx

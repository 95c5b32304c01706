// SPDX-License-Identifier: Apache-2.0

#include "passes/onnx/Emitter.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace msa::onnx {

// Longer integer tensors are data, not shape arithmetic.
static constexpr int64_t maxListLength = 1024;

Converted Converted::none(Location loc) {
  Converted result(loc);
  result.kind = Kind::None;
  return result;
}

Converted Converted::tensor(Value value, ArrayRef<Dim> shape, Type element) {
  Converted result(value.getLoc());
  result.kind = Kind::Tensor;
  result.value = value;
  result.shape.assign(shape.begin(), shape.end());
  result.element = element ? element : cast<RankedTensorType>(value.getType()).getElementType();
  return result;
}

Converted Converted::fromConstant(ElementsAttr constant, Location loc) {
  Converted result(loc);
  result.kind = Kind::Constant;
  result.constant = constant;
  result.element = constant.getElementType();
  for (int64_t dim : constant.getShapedType().getShape())
    result.shape.push_back(dim);
  return result;
}

Converted Converted::list(ArrayRef<Dim> elements, bool isScalar, Type element, Location loc) {
  Converted result(loc);
  result.kind = Kind::List;
  result.element = element;
  result.elements.assign(elements.begin(), elements.end());
  if (!isScalar)
    result.shape.push_back(static_cast<int64_t>(elements.size()));
  return result;
}

Type getComputeType(Type type) {
  auto floatType = dyn_cast<FloatType>(type);
  return floatType && floatType.getWidth() < 32 ? Float32Type::get(type.getContext()) : type;
}

Type getSignless(Type type) {
  auto integer = dyn_cast<IntegerType>(type);
  return integer && !integer.isSignless() ? IntegerType::get(type.getContext(), integer.getWidth()) : type;
}

Value ScalarBuilder::constant(Type type, double value) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(builder.getFloatAttr(type, value)));
  return constantInt(type, static_cast<int64_t>(value));
}

Value ScalarBuilder::constantInt(Type type, int64_t value) {
  APInt bits(64, static_cast<uint64_t>(value), true);
  return arith::ConstantOp::create(
      builder, loc, cast<TypedAttr>(builder.getIntegerAttr(type, bits.trunc(type.getIntOrFloatBitWidth()))));
}

Value ScalarBuilder::cast(Value value, Type from, Type to) {
  Type source = getSignless(from), target = getSignless(to);
  if (source == target)
    return value;
  auto fromFloat = dyn_cast<FloatType>(source), toFloat = dyn_cast<FloatType>(target);
  bool isUnsigned = from.isUnsignedInteger() || from.isInteger(1);
  if (fromFloat && toFloat) {
    if (fromFloat.getWidth() == toFloat.getWidth()) // f16 and bf16
      value = create<arith::ExtFOp>(builder.getF32Type(), value);
    return cast_or_null<FloatType>(value.getType()).getWidth() < toFloat.getWidth()
               ? create<arith::ExtFOp>(target, value)
               : create<arith::TruncFOp>(target, value);
  }
  if (target.isInteger(1))
    return fromFloat ? compareFloat(arith::CmpFPredicate::UNE, value, constant(source, 0))
                     : compareInt(arith::CmpIPredicate::ne, value, constantInt(source, 0));
  if (fromFloat)
    return to.isUnsignedInteger() ? create<arith::FPToUIOp>(target, value) : create<arith::FPToSIOp>(target, value);
  if (toFloat)
    return isUnsigned ? create<arith::UIToFPOp>(target, value) : create<arith::SIToFPOp>(target, value);
  unsigned sourceWidth = source.getIntOrFloatBitWidth(), targetWidth = target.getIntOrFloatBitWidth();
  if (sourceWidth > targetWidth)
    return create<arith::TruncIOp>(target, value);
  return isUnsigned ? create<arith::ExtUIOp>(target, value) : create<arith::ExtSIOp>(target, value);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

RankedTensorType Emitter::getType(ArrayRef<Dim> shape, Type element) {
  SmallVector<int64_t> sizes;
  for (const Dim &dim : shape)
    sizes.push_back(dims.normalize(dim).getConstant().value_or(ShapedType::kDynamic));
  return RankedTensorType::get(sizes, getSignless(element));
}

/// The same elements under a type without signs, as arith.constant wants it.
static TypedAttr getSignlessConstant(ElementsAttr attr) {
  auto type = cast<RankedTensorType>(attr.getShapedType());
  Type element = getSignless(type.getElementType());
  auto signless = RankedTensorType::get(type.getShape(), element);
  if (signless == type)
    return cast<TypedAttr>(attr);
  if (auto dense = dyn_cast<DenseElementsAttr>(attr))
    return cast<TypedAttr>(cast<ElementsAttr>(dense.bitcast(element)));
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attr))
    return cast<TypedAttr>(cast<ElementsAttr>(DenseResourceElementsAttr::get(signless, resource.getRawHandle())));
  return {};
}

Value Emitter::castToShape(Value value, ArrayRef<Dim> shape) {
  auto type = cast<RankedTensorType>(value.getType());
  RankedTensorType wanted = getType(shape, type.getElementType());
  return type == wanted ? value : tensor::CastOp::create(builder, loc, wanted, value).getResult();
}

Value Emitter::getTensor(Converted &value) {
  switch (value.kind) {
  case Converted::Kind::Tensor: {
    // An assertion since then may have told a dim.
    Value synced = castToShape(value.value, value.shape);
    if (synced != value.value) {
      if (auto it = reshaped.find(value.value); it != reshaped.end()) {
        Reshaped copy = it->second;
        reshaped[synced] = copy;
      }
      if (auto it = transposed.find(value.value); it != transposed.end()) {
        Transposed copy = it->second;
        transposed[synced] = copy;
      }
      value.value = synced;
    }
    return synced;
  }
  case Converted::Kind::Constant: {
    Value &made = constants[value.constant];
    if (!made)
      made = arith::ConstantOp::create(builder, value.loc, getSignlessConstant(value.constant));
    return made;
  }
  case Converted::Kind::List: {
    Type element = getSignless(value.element);
    auto type = RankedTensorType::get(
        value.shape.empty() ? ArrayRef<int64_t>() : ArrayRef<int64_t>(value.elements.size()), element);
    SmallVector<APInt> known;
    for (const Dim &dim : value.elements)
      if (std::optional<int64_t> constant = dims.normalize(dim).getConstant())
        known.push_back(APInt(64, static_cast<uint64_t>(*constant), true).trunc(element.getIntOrFloatBitWidth()));
    if (known.size() == value.elements.size()) {
      auto attr = cast<TypedAttr>(cast<ElementsAttr>(DenseElementsAttr::get(type, known)));
      Value &made = constants[attr];
      if (!made)
        made = arith::ConstantOp::create(builder, value.loc, attr);
      return made;
    }
    SmallVector<Value> scalars;
    for (const Dim &dim : value.elements) {
      Value index = dims.getValue(dim, loc);
      scalars.push_back(
          arith::IndexCastOp::create(builder, loc, element.isInteger(1) ? builder.getI8Type() : element, index));
      if (element.isInteger(1))
        scalars.back() = arith::TruncIOp::create(builder, loc, element, scalars.back());
    }
    value.value = tensor::FromElementsOp::create(builder, loc, type, scalars);
    value.kind = Converted::Kind::Tensor;
    return value.value;
  }
  case Converted::Kind::Poison:
  case Converted::Kind::None:
    break;
  }
  llvm_unreachable("asked for the tensor of a value that has none");
}

Converted Emitter::wrap(Value tensor, ArrayRef<Dim> shape, Type element) {
  return Converted::tensor(tensor, dims.normalize(shape), element);
}

Converted Emitter::wrap(Value tensor, Type element) {
  auto type = cast<RankedTensorType>(tensor.getType());
  Shape shape;
  for (auto [i, size] : llvm::enumerate(type.getShape()))
    shape.push_back(
        ShapedType::isStatic(size)
            ? Dim(size)
            : dims.getAtom(tensor::DimOp::create(builder, loc, tensor, static_cast<int64_t>(i)), /*nonNegative=*/true));
  return Converted::tensor(tensor, shape, element);
}

Value Emitter::createEmpty(ArrayRef<Dim> shape, Type element) {
  return tensor::EmptyOp::create(builder, loc, dims.getFoldResults(shape, loc), getSignless(element));
}

Converted Emitter::createFilled(ArrayRef<Dim> shape, Type element, TypedAttr value) {
  Value scalar = arith::ConstantOp::create(builder, loc, value);
  Value empty = createEmpty(shape, element);
  return wrap(linalg::FillOp::create(builder, loc, scalar, empty).getResult(0), shape, element);
}

Converted Emitter::createConstant(TypedAttr scalar, ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, scalar.getType());
  return Converted::fromConstant(DenseElementsAttr::get(type, Attribute(scalar)), loc);
}

std::optional<SmallVector<int64_t>> Emitter::getConstantInts(const Converted &value) {
  SmallVector<int64_t> result;
  // Nothing to know: an empty list that a caller passes.
  if (value.kind == Converted::Kind::Tensor && value.getRank() == 1 && dims.normalize(value.shape[0]).isConstant(0))
    return result;
  if (value.kind == Converted::Kind::List) {
    for (const Dim &dim : value.elements) {
      std::optional<int64_t> constant = dims.normalize(dim).getConstant();
      if (!constant)
        return std::nullopt;
      result.push_back(*constant);
    }
    return result;
  }
  if (value.kind != Converted::Kind::Constant || !value.element.isInteger() ||
      value.constant.getNumElements() > maxListLength)
    return std::nullopt;
  auto append = [&](const APInt &bits) {
    bool isUnsigned = value.element.isUnsignedInteger() || value.element.isInteger(1);
    result.push_back(isUnsigned ? static_cast<int64_t>(bits.getZExtValue()) : bits.getSExtValue());
  };
  if (auto dense = dyn_cast<DenseElementsAttr>(value.constant)) {
    for (const APInt &bits : dense.getValues<APInt>())
      append(bits);
    return result;
  }
  // A resource may be small too; its bytes are little-endian elements in order.
  auto resource = dyn_cast<DenseResourceElementsAttr>(value.constant);
  AsmResourceBlob *blob = resource ? resource.getRawHandle().getBlob() : nullptr;
  unsigned width = value.element.getIntOrFloatBitWidth();
  if (!blob || width % 8 != 0 ||
      blob->getData().size() != static_cast<size_t>(value.constant.getNumElements()) * (width / 8))
    return std::nullopt;
  for (int64_t i = 0; i < value.constant.getNumElements(); ++i) {
    uint64_t bits = 0;
    for (unsigned byte = 0; byte < width / 8; ++byte)
      bits |= static_cast<uint64_t>(static_cast<uint8_t>(blob->getData()[i * (width / 8) + byte])) << (8 * byte);
    append(APInt(64, bits).trunc(width));
  }
  return result;
}

std::optional<Shape> Emitter::getKnownList(const Converted &value) {
  if (value.getRank() > 1)
    return std::nullopt;
  if (value.kind == Converted::Kind::List)
    return dims.normalize(value.elements);
  if (value.kind != Converted::Kind::Constant)
    return std::nullopt;
  std::optional<SmallVector<int64_t>> ints = getConstantInts(value);
  if (!ints)
    return std::nullopt;
  return Shape(ints->begin(), ints->end());
}

std::optional<Shape> Emitter::getList(Converted &value) {
  if (std::optional<Shape> known = getKnownList(value))
    return known;
  if (value.getRank() > 1 || !value.element.isInteger())
    return std::nullopt;
  std::optional<int64_t> length = dims.normalize(getNumElements(value.shape)).getConstant();
  if (!length || *length > 64)
    return std::nullopt;
  Value tensor = getTensor(value);
  Shape list;
  for (int64_t i = 0; i < *length; ++i) {
    SmallVector<Value> at;
    if (value.getRank() == 1)
      at.push_back(dims.getValue(Dim(i), loc));
    Value scalar = tensor::ExtractOp::create(builder, loc, tensor, at);
    bool isUnsigned = value.element.isUnsignedInteger() || value.element.isInteger(1);
    Value index = isUnsigned ? arith::IndexCastUIOp::create(builder, loc, builder.getIndexType(), scalar).getResult()
                             : arith::IndexCastOp::create(builder, loc, builder.getIndexType(), scalar).getResult();
    list.push_back(dims.getAtom(index, isUnsigned));
  }
  value.elements = list;
  return list;
}

TypedAttr Emitter::getSplat(const Converted &value) {
  if (value.kind == Converted::Kind::List) {
    std::optional<SmallVector<int64_t>> ints = getConstantInts(value);
    if (!ints || ints->empty() || !llvm::all_equal(*ints))
      return {};
    Type type = getSignless(value.element);
    return builder.getIntegerAttr(
        type, APInt(64, static_cast<uint64_t>(ints->front()), true).trunc(type.getIntOrFloatBitWidth()));
  }
  if (value.kind != Converted::Kind::Constant)
    return {};
  if (auto dense = dyn_cast<DenseElementsAttr>(value.constant)) {
    if (!dense.isSplat())
      return {};
    if (isa<FloatType>(value.element))
      return cast<TypedAttr>(dense.getSplatValue<Attribute>());
    return builder.getIntegerAttr(getSignless(value.element), dense.getSplatValue<APInt>());
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Facts
//===----------------------------------------------------------------------===//

void Emitter::emitAssert(Value condition, const Twine &message) {
  cf::AssertOp::create(builder, loc, condition, builder.getStringAttr("node '" + Twine(nodeName) + "': " + message));
}

bool Emitter::assertEqual(const Dim &lhs, const Dim &rhs, const Twine &what) {
  Dim a = dims.normalize(lhs), b = dims.normalize(rhs);
  if (a == b)
    return true;
  if ((a - b).isConstant())
    return false;
  Value equal =
      arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, dims.getValue(a, loc), dims.getValue(b, loc));
  emitAssert(equal, what);
  dims.unify(a, b);
  return true;
}

void Emitter::assertLessOrEqual(const Dim &lhs, const Dim &rhs, const Twine &what) {
  Dim known = dims.compare(DimSpace::Compare::LessOrEqual, lhs, rhs);
  if (known.isConstant(1))
    return;
  Value bit =
      arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sle, dims.getValue(lhs, loc), dims.getValue(rhs, loc));
  emitAssert(bit, what);
}

std::optional<Shape> Emitter::broadcast(ArrayRef<ArrayRef<Dim>> shapes, std::string &why) {
  size_t rank = 0;
  for (ArrayRef<Dim> shape : shapes)
    rank = std::max(rank, shape.size());
  Shape result(rank, Dim(1));
  for (size_t fromRight = 1; fromRight <= rank; ++fromRight) {
    Dim &common = result[rank - fromRight];
    for (ArrayRef<Dim> shape : shapes) {
      if (shape.size() < fromRight)
        continue;
      Dim dim = dims.normalize(shape[shape.size() - fromRight]);
      common = dims.normalize(common);
      if (dim == common || dim.isConstant(1))
        continue;
      if (common.isConstant(1)) {
        common = dim;
        continue;
      }
      if (!assertEqual(common, dim,
                       "expected equal lengths of axis -" + Twine(fromRight) +
                           ", which are broadcast against each other")) {
        why = ("dims do not broadcast at axis -" + Twine(fromRight)).str();
        if (common.isConstant() && dim.isConstant())
          why += (": " + Twine(*common.getConstant()) + " and " + Twine(*dim.getConstant())).str();
        return std::nullopt;
      }
      common = dims.normalize(dim);
    }
  }
  return dims.normalize(result);
}

//===----------------------------------------------------------------------===//
// Computation
//===----------------------------------------------------------------------===//

GenericOperand Emitter::alignRight(Converted &operand, ArrayRef<Dim> loops) {
  GenericOperand result{&operand, {}};
  int64_t missing = static_cast<int64_t>(loops.size()) - operand.getRank();
  for (int64_t i = 0; i < operand.getRank(); ++i) {
    bool isUnit = dims.normalize(operand.shape[i]).isConstant(1) && !dims.normalize(loops[missing + i]).isConstant(1);
    result.loops.push_back(isUnit ? -1 : missing + i);
  }
  return result;
}

Converted Emitter::generic(ArrayRef<GenericOperand> operands, ArrayRef<Dim> loops, ArrayRef<int64_t> reduced,
                           Type element, TypedAttr init, ScalarBody body) {
  int64_t rank = loops.size();
  SmallVector<int64_t> renumbered(rank, -1), keptReduced;
  Shape kept, resultShape;
  for (int64_t i = 0; i < rank; ++i) {
    bool isReduced = llvm::is_contained(reduced, i);
    if (!isReduced)
      resultShape.push_back(dims.normalize(loops[i]));
    if (!isReduced && dims.normalize(loops[i]).isConstant(1))
      continue;
    renumbered[i] = kept.size();
    if (isReduced)
      keptReduced.push_back(kept.size());
    kept.push_back(loops[i]);
  }
  if (static_cast<int64_t>(kept.size()) == rank)
    return indexed(operands, loops, reduced, element, init, body);
  SmallVector<Converted, 4> squeezed;
  SmallVector<SmallVector<int64_t>> squeezedLoops;
  for (const GenericOperand &operand : operands) {
    Shape shape;
    SmallVector<int64_t> axes;
    for (auto [axis, loop] : llvm::enumerate(operand.loops)) {
      if (loop != -1 && renumbered[loop] == -1)
        continue;
      axes.push_back(loop == -1 ? -1 : renumbered[loop]);
      shape.push_back(operand.value->shape[axis]);
    }
    squeezed.push_back(getSplat(*operand.value) ? *operand.value : reshape(*operand.value, shape));
    squeezedLoops.push_back(axes);
  }
  SmallVector<GenericOperand> renamed;
  for (auto [value, axes] : llvm::zip(squeezed, squeezedLoops))
    renamed.push_back({&value, axes});
  Converted result = indexed(renamed, kept, keptReduced, element, init, body);
  return reshape(result, resultShape);
}

Converted Emitter::indexed(ArrayRef<GenericOperand> operands, ArrayRef<Dim> loops, ArrayRef<int64_t> reduced,
                           Type element, TypedAttr init, ScalarBody body) {
  MLIRContext *context = builder.getContext();
  int64_t rank = loops.size();
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  for (int64_t loop : reduced)
    iterators[loop] = utils::IteratorType::reduction;
  Shape resultShape;
  SmallVector<AffineExpr> resultExprs;
  for (int64_t i = 0; i < rank; ++i)
    if (iterators[i] == utils::IteratorType::parallel) {
      resultShape.push_back(dims.normalize(loops[i]));
      resultExprs.push_back(builder.getAffineDimExpr(i));
    }

  // Splat operands become constants of the body; others are read through a map without the axes they are broadcast
  // over.
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<std::pair<int64_t, TypedAttr>> sources; // index into inputs, or a constant
  for (const GenericOperand &operand : operands) {
    TypedAttr splat = getSplat(*operand.value);
    // A reduction has to see its length in some operand.
    bool givesLength = llvm::any_of(operand.loops, [&](int64_t loop) { return llvm::is_contained(reduced, loop); });
    if (splat && !givesLength) {
      sources.push_back({-1, splat});
      continue;
    }
    Converted value = *operand.value;
    SmallVector<AffineExpr> exprs;
    if (llvm::is_contained(operand.loops, -1)) {
      Shape kept;
      for (auto [axis, loop] : llvm::enumerate(operand.loops))
        if (loop != -1)
          kept.push_back(value.shape[axis]);
      value = reshape(value, kept);
    }
    for (int64_t loop : operand.loops)
      if (loop != -1)
        exprs.push_back(builder.getAffineDimExpr(loop));
    sources.push_back({static_cast<int64_t>(inputs.size()), {}});
    inputs.push_back(getTensor(value));
    maps.push_back(AffineMap::get(rank, 0, exprs, context));
  }
  Value output = reduced.empty() ? createEmpty(resultShape, element) : Value();
  if (!output) {
    Converted filled = createFilled(resultShape, element, init);
    output = filled.value;
  }
  maps.push_back(AffineMap::get(rank, 0, resultExprs, context));

  auto op = linalg::GenericOp::create(
      builder, loc, TypeRange{output.getType()}, inputs, ValueRange{output}, maps, iterators,
      [&](OpBuilder &inner, Location at, ValueRange args) {
        ScalarBuilder scalar(inner, at);
        SmallVector<Value> scalars;
        for (auto [index, splat] : sources)
          scalars.push_back(index >= 0 ? args[index] : arith::ConstantOp::create(inner, at, splat).getResult());
        if (!reduced.empty())
          scalars.push_back(args.back());
        Value result = body(scalar, scalars);
        linalg::YieldOp::create(inner, at, result);
      });

  // What does not depend on an operand is a constant.
  Attribute folded;
  if (reduced.empty() && matchPattern(op.getBody()->getTerminator()->getOperand(0), m_Constant(&folded))) {
    auto type = cast<RankedTensorType>(output.getType());
    if (type.hasStaticShape()) {
      op->erase();
      return Converted::fromConstant(DenseElementsAttr::get(type, folded), loc);
    }
    op->erase();
    return createFilled(resultShape, element, cast<TypedAttr>(folded));
  }
  // Arguments that folding left unused would cost a load each.
  for (Operation &dead : llvm::make_early_inc_range(llvm::reverse(*op.getBody())))
    if (isOpTriviallyDead(&dead))
      dead.erase();
  return wrap(op.getResult(0), resultShape, element);
}

Converted Emitter::elementwise(MutableArrayRef<Converted> operands, ArrayRef<Dim> shape, Type element,
                               ScalarBody body) {
  SmallVector<GenericOperand> aligned;
  for (Converted &operand : operands)
    aligned.push_back(alignRight(operand, shape));
  Converted result = generic(aligned, shape, {}, getSignless(element), {}, body);
  result.element = element;
  return result;
}

Converted Emitter::floatElementwise(MutableArrayRef<Converted> operands, ArrayRef<Dim> shape, Type element,
                                    ScalarBody body) {
  return elementwise(operands, shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    SmallVector<Value> wide;
    for (Value arg : args)
      wide.push_back(b.cast(arg, arg.getType(), getComputeType(arg.getType())));
    Value result = body(b, wide);
    return b.cast(result, result.getType(), element);
  });
}

Converted Emitter::reduce(Converted &operand, ArrayRef<int64_t> axes, Type accumulator, TypedAttr init,
                          ScalarBody body) {
  GenericOperand whole{&operand, {}};
  for (int64_t i = 0; i < operand.getRank(); ++i)
    whole.loops.push_back(i);
  Type from = operand.element;
  if (axes.empty())
    return elementwise(MutableArrayRef<Converted>(operand), operand.shape, accumulator,
                       [&](ScalarBuilder &b, ArrayRef<Value> args) {
                         Value start = arith::ConstantOp::create(b.builder, b.loc, init);
                         return body(b, {b.cast(args[0], from, accumulator), start});
                       });
  return generic(whole, operand.shape, axes, accumulator, init, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    return body(b, {b.cast(args[0], from, accumulator), args[1]});
  });
}

Converted Emitter::cast(Converted &operand, Type element) {
  if (operand.element == element)
    return operand;
  Type from = operand.element;
  Converted result =
      elementwise(MutableArrayRef<Converted>(operand), operand.shape, element,
                  [&](ScalarBuilder &b, ArrayRef<Value> args) { return b.cast(args[0], from, element); });
  result.element = element;
  return result;
}

Converted Emitter::matmul(Converted &lhs, bool transposeLhs, Converted &rhs, bool transposeRhs, Type accumulator) {
  Shape shape{lhs.shape[transposeLhs ? 1 : 0], rhs.shape[transposeRhs ? 0 : 1]};
  TypedAttr zero = isa<FloatType>(accumulator) ? cast<TypedAttr>(builder.getFloatAttr(accumulator, 0.0))
                                               : cast<TypedAttr>(builder.getIntegerAttr(accumulator, 0));
  Converted init = createFilled(shape, accumulator, zero);
  SmallVector<Value> inputs{getTensor(lhs), getTensor(rhs)};
  TypeRange type(init.value);
  Value result;
  if (transposeLhs && transposeRhs) {
    Converted left = transpose(lhs, {1, 0});
    inputs[0] = getTensor(left);
    transposeLhs = false;
  }
  if (transposeLhs)
    result = linalg::MatmulTransposeAOp::create(builder, loc, type, inputs, init.value).getResult(0);
  else if (transposeRhs)
    result = linalg::MatmulTransposeBOp::create(builder, loc, type, inputs, init.value).getResult(0);
  else
    result = linalg::MatmulOp::create(builder, loc, type, inputs, init.value).getResult(0);
  return wrap(result, shape);
}

Converted Emitter::batchMatmul(Converted &lhs, Converted &rhs, bool transposeRhs, Type accumulator) {
  Shape shape{lhs.shape[0], lhs.shape[1], rhs.shape[transposeRhs ? 1 : 2]};
  TypedAttr zero = isa<FloatType>(accumulator) ? cast<TypedAttr>(builder.getFloatAttr(accumulator, 0.0))
                                               : cast<TypedAttr>(builder.getIntegerAttr(accumulator, 0));
  Converted init = createFilled(shape, accumulator, zero);
  SmallVector<Value> inputs{getTensor(lhs), getTensor(rhs)};
  TypeRange type(init.value);
  Value result = transposeRhs
                     ? linalg::BatchMatmulTransposeBOp::create(builder, loc, type, inputs, init.value).getResult(0)
                     : linalg::BatchMatmulOp::create(builder, loc, type, inputs, init.value).getResult(0);
  return wrap(result, shape);
}

} // namespace msa::onnx

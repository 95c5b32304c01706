// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic, comparisons and logic of two or more operands with broadcasting, and Where. Where every operand is shape
// arithmetic (a list of integers) the result is too.

#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

using ListBody = function_ref<Dim(DimSpace &, ArrayRef<Dim>)>;

/// Applies `body` to lists of the same length, or of length 1. Nothing if an input is no list.
static std::optional<Converted> foldLists(NodeContext &node, Type element, ListBody body) {
  SmallVector<Shape> lists;
  size_t length = 1;
  bool isScalar = true;
  for (size_t i = 0; i < node.getNumInputs(); ++i) {
    std::optional<Shape> list = node.emit.getKnownList(node.in(i));
    if (!list)
      return std::nullopt;
    if (list->size() != 1) {
      if (length != 1 && length != list->size())
        return std::nullopt;
      length = list->size();
    }
    isScalar &= node.in(i).getRank() == 0;
    lists.push_back(*list);
  }
  Shape results;
  for (size_t k = 0; k < length; ++k) {
    Shape arguments;
    for (const Shape &list : lists)
      arguments.push_back(list.size() == 1 ? list[0] : list[k]);
    results.push_back(body(node.emit.dims, arguments));
  }
  return Converted::list(results, isScalar, element, node.op.getLoc());
}

/// The broadcast shape of all inputs from `first` on.
static FailureOr<Shape> broadcastInputs(NodeContext &node) {
  SmallVector<ArrayRef<Dim>> shapes;
  for (size_t i = 0; i < node.getNumInputs(); ++i)
    shapes.push_back(node.in(i).shape);
  std::string why;
  std::optional<Shape> shape = node.emit.broadcast(shapes, why);
  if (!shape)
    return node.fail(why);
  return *shape;
}

static LogicalResult requireSameElements(NodeContext &node, size_t first = 0) {
  for (size_t i = first + 1; i < node.getNumInputs(); ++i)
    if (node.in(i).element != node.in(first).element)
      return node.fail("expected inputs of one element type, but got " + getTypeName(node.in(first).element) + " and " +
                       getTypeName(node.in(i).element));
  return success();
}

static SmallVector<Converted> copyInputs(NodeContext &node) {
  SmallVector<Converted> inputs;
  for (size_t i = 0; i < node.getNumInputs(); ++i)
    inputs.push_back(node.in(i));
  return inputs;
}

/// One of each kind of scalar op; `Float` and `Unsigned` may be the same as `Signed` where it does not matter.
template <typename Float, typename Signed, typename Unsigned>
static Value createByType(ScalarBuilder &b, Type element, Value x, Value y) {
  if (isa<FloatType>(element))
    return b.create<Float>(x, y);
  return element.isUnsignedInteger() ? b.create<Unsigned>(x, y) : b.create<Signed>(x, y);
}

using NumberBody = Value (*)(ScalarBuilder &, Type element, Value, Value);

/// A node of any number of operands, folded from the left.
static LogicalResult convertNumbers(NodeContext &node, NumberBody body, ListBody onLists) {
  if (failed(requireSameElements(node)))
    return failure();
  Type element = node.in(0).element;
  if (!element.isIntOrFloat() || element.isInteger(1))
    return node.fail("expected a tensor of numbers, but got " + getTypeName(element));
  if (element.isInteger() && onLists)
    if (std::optional<Converted> list = foldLists(node, element, onLists))
      return node.result(*list);
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape))
    return failure();
  SmallVector<Converted> inputs = copyInputs(node);
  auto fold = [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value result = args[0];
    for (Value next : args.drop_front())
      result = body(b, element, result, next);
    return result;
  };
  if (isa<FloatType>(element))
    return node.result(node.emit.floatElementwise(inputs, *shape, element, fold));
  return node.result(node.emit.elementwise(inputs, *shape, element, fold));
}

static Dim foldLeft(ArrayRef<Dim> args, function_ref<Dim(const Dim &, const Dim &)> body) {
  Dim result = args[0];
  for (const Dim &next : args.drop_front())
    result = body(result, next);
  return result;
}

static LogicalResult convertAdd(NodeContext &node) {
  return convertNumbers(
      node, createByType<arith::AddFOp, arith::AddIOp, arith::AddIOp>,
      [](DimSpace &, ArrayRef<Dim> a) { return foldLeft(a, [](auto &x, auto &y) { return x + y; }); });
}
static LogicalResult convertSub(NodeContext &node) {
  return convertNumbers(node, createByType<arith::SubFOp, arith::SubIOp, arith::SubIOp>,
                        [](DimSpace &, ArrayRef<Dim> a) { return a[0] - a[1]; });
}
static LogicalResult convertMul(NodeContext &node) {
  return convertNumbers(node, createByType<arith::MulFOp, arith::MulIOp, arith::MulIOp>,
                        [](DimSpace &, ArrayRef<Dim> a) { return a[0] * a[1]; });
}
static LogicalResult convertMin(NodeContext &node) {
  return convertNumbers(
      node, createByType<arith::MinimumFOp, arith::MinSIOp, arith::MinUIOp>,
      [](DimSpace &dims, ArrayRef<Dim> a) { return foldLeft(a, [&](auto &x, auto &y) { return dims.min(x, y); }); });
}
static LogicalResult convertMax(NodeContext &node) {
  return convertNumbers(
      node, createByType<arith::MaximumFOp, arith::MaxSIOp, arith::MaxUIOp>,
      [](DimSpace &dims, ArrayRef<Dim> a) { return foldLeft(a, [&](auto &x, auto &y) { return dims.max(x, y); }); });
}

/// True if an integer input 1 may hold a zero that is known now.
static bool dividesByZero(NodeContext &node) {
  if (!node.in(1).element.isInteger())
    return false;
  std::optional<SmallVector<int64_t>> divisors = node.emit.getConstantInts(node.in(1));
  return divisors && llvm::is_contained(*divisors, 0);
}

static LogicalResult convertDiv(NodeContext &node) {
  if (dividesByZero(node))
    return node.fail("division of integers by zero");
  return convertNumbers(node, createByType<arith::DivFOp, arith::DivSIOp, arith::DivUIOp>,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.divide(a[0], a[1]); });
}

/// The sign follows the divisor, also that of a zero among floats.
static Value createFloorModulo(ScalarBuilder &b, Type element, Value x, Value y) {
  if (!element.isInteger()) {
    Value zero = b.constant(x.getType(), 0), rest = b.create<arith::RemFOp>(x, y);
    Value differs = b.create<arith::XOrIOp>(b.compareFloat(arith::CmpFPredicate::OLT, rest, zero),
                                            b.compareFloat(arith::CmpFPredicate::OLT, y, zero));
    Value shifted = b.create<arith::SelectOp>(differs, b.create<arith::AddFOp>(rest, y), rest);
    return b.create<arith::SelectOp>(b.compareFloat(arith::CmpFPredicate::OEQ, rest, zero),
                                     b.create<math::CopySignOp>(zero, y), shifted);
  }
  if (element.isUnsignedInteger())
    return b.create<arith::RemUIOp>(x, y);
  Type type = x.getType();
  Value zero = b.constantInt(type, 0), rest = b.create<arith::RemSIOp>(x, y);
  Value isOff =
      b.create<arith::AndIOp>(b.compareInt(arith::CmpIPredicate::ne, rest, zero),
                              b.compareInt(arith::CmpIPredicate::slt, b.create<arith::XOrIOp>(rest, y), zero));
  return b.create<arith::SelectOp>(isOff, b.create<arith::AddIOp>(rest, y), rest);
}

static LogicalResult convertMod(NodeContext &node) {
  bool isTruncated = node.getInt("fmod", 0) != 0;
  if (dividesByZero(node))
    return node.fail("remainder of integers by zero");
  if (isTruncated)
    return convertNumbers(node, createByType<arith::RemFOp, arith::RemSIOp, arith::RemUIOp>, nullptr);
  if (!node.in(0).element.isInteger() && node.opset < 28)
    return node.fail("expected attribute 'fmod' to be 1 for floats before opset 28, but got 0");
  return convertNumbers(node, createFloorModulo,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.modulo(a[0], a[1]); });
}

static LogicalResult convertMean(NodeContext &node) {
  if (failed(requireSameElements(node)) || failed(node.requireFloat(0)))
    return failure();
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape))
    return failure();
  SmallVector<Converted> inputs = copyInputs(node);
  return node.result(
      node.emit.floatElementwise(inputs, *shape, node.in(0).element, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value sum = args[0];
        for (Value next : args.drop_front())
          sum = b.create<arith::AddFOp>(sum, next);
        return b.create<arith::DivFOp>(sum, b.constant(sum.getType(), args.size()));
      }));
}

static LogicalResult convertPow(NodeContext &node) {
  Type element = node.in(0).element, exponentElement = node.in(1).element;
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape))
    return failure();
  SmallVector<Converted> inputs = copyInputs(node);
  if (element.isInteger()) {
    if (!exponentElement.isInteger())
      return node.fail("a " + getTypeName(element) + " to the power of a " + getTypeName(exponentElement) +
                       " is not supported");
    std::optional<SmallVector<int64_t>> known = node.emit.getConstantInts(inputs[1]);
    if (known && !known->empty() && llvm::all_equal(*known) && known->front() >= 0 && known->front() <= 8) {
      int64_t times = known->front();
      return node.result(
          node.emit.elementwise(inputs, *shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
            Value power = b.constantInt(args[0].getType(), 1);
            for (int64_t i = 0; i < times; ++i)
              power = b.create<arith::MulIOp>(power, args[0]);
            return power;
          }));
    }
    inputs[1] = node.emit.cast(inputs[1], element);
    return node.result(node.emit.elementwise(inputs, *shape, element, [](ScalarBuilder &b, ArrayRef<Value> args) {
      return b.create<math::IPowIOp>(args[0], args[1]);
    }));
  }
  if (failed(node.requireFloat(0)))
    return failure();
  TypedAttr splat = node.emit.getSplat(inputs[1]);
  std::optional<double> exponent;
  if (auto number = dyn_cast_or_null<FloatAttr>(splat))
    exponent = number.getValueAsDouble();
  else if (auto integer = dyn_cast_or_null<IntegerAttr>(splat))
    exponent = integer.getValue().getSExtValue();
  return node.result(
      node.emit.elementwise(inputs, *shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        Type type = getComputeType(element);
        Value x = b.cast(args[0], element, type), result;
        if (exponent == 2.0 || exponent == 3.0) {
          result = b.create<arith::MulFOp>(x, x);
          if (exponent == 3.0)
            result = b.create<arith::MulFOp>(result, x);
        } else if (exponent == 1.0) {
          result = x;
        } else if (exponent == 0.5) {
          result = b.create<math::SqrtOp>(x);
        } else if (exponent == -0.5) {
          result = b.create<arith::DivFOp>(b.constant(type, 1), b.create<math::SqrtOp>(x));
        } else if (exponent == -1.0) {
          result = b.create<arith::DivFOp>(b.constant(type, 1), x);
        } else {
          result = b.create<math::PowFOp>(x, b.cast(args[1], exponentElement, type));
        }
        return b.cast(result, type, element);
      }));
}

//===----------------------------------------------------------------------===//
// Comparison and logic
//===----------------------------------------------------------------------===//

static LogicalResult convertCompare(NodeContext &node, arith::CmpFPredicate onFloats, arith::CmpIPredicate onSigned,
                                    arith::CmpIPredicate onUnsigned, ListBody onLists) {
  if (failed(requireSameElements(node)))
    return failure();
  Type element = node.in(0).element;
  if (!element.isIntOrFloat())
    return node.fail("comparing " + getTypeName(element) + " is not supported");
  Type result = IntegerType::get(element.getContext(), 1);
  if (element.isInteger())
    if (std::optional<Converted> list = foldLists(node, result, onLists))
      return node.result(*list);
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape))
    return failure();
  SmallVector<Converted> inputs = copyInputs(node);
  return node.result(node.emit.elementwise(inputs, *shape, result, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    if (isa<FloatType>(element)) {
      Type type = getComputeType(element);
      return b.compareFloat(onFloats, b.cast(args[0], element, type), b.cast(args[1], element, type));
    }
    bool isUnsigned = element.isUnsignedInteger() || element.isInteger(1);
    return b.compareInt(isUnsigned ? onUnsigned : onSigned, args[0], args[1]);
  }));
}

using arith::CmpFPredicate;
using arith::CmpIPredicate;
using Compare = DimSpace::Compare;

static LogicalResult convertEqual(NodeContext &node) {
  return convertCompare(node, CmpFPredicate::OEQ, CmpIPredicate::eq, CmpIPredicate::eq,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.compare(Compare::Equal, a[0], a[1]); });
}
static LogicalResult convertLess(NodeContext &node) {
  return convertCompare(node, CmpFPredicate::OLT, CmpIPredicate::slt, CmpIPredicate::ult,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.compare(Compare::Less, a[0], a[1]); });
}
static LogicalResult convertGreater(NodeContext &node) {
  return convertCompare(node, CmpFPredicate::OGT, CmpIPredicate::sgt, CmpIPredicate::ugt,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.compare(Compare::Less, a[1], a[0]); });
}
static LogicalResult convertLessOrEqual(NodeContext &node) {
  return convertCompare(node, CmpFPredicate::OLE, CmpIPredicate::sle, CmpIPredicate::ule,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.compare(Compare::LessOrEqual, a[0], a[1]); });
}
static LogicalResult convertGreaterOrEqual(NodeContext &node) {
  return convertCompare(node, CmpFPredicate::OGE, CmpIPredicate::sge, CmpIPredicate::uge,
                        [](DimSpace &dims, ArrayRef<Dim> a) { return dims.compare(Compare::LessOrEqual, a[1], a[0]); });
}

template <typename OpTy, bool onBools> static LogicalResult convertBits(NodeContext &node) {
  if (failed(requireSameElements(node)))
    return failure();
  Type element = node.in(0).element;
  if (!element.isInteger() || element.isInteger(1) != onBools)
    return node.fail(Twine("expected ") + (onBools ? "bool" : "integer") + " inputs, but got " + getTypeName(element));
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape))
    return failure();
  SmallVector<Converted> inputs = copyInputs(node);
  return node.result(node.emit.elementwise(inputs, *shape, element, [](ScalarBuilder &b, ArrayRef<Value> args) {
    return b.create<OpTy>(args[0], args[1]);
  }));
}

static LogicalResult convertBitShift(NodeContext &node) {
  StringRef direction = node.getString("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    return node.fail("expected attribute 'direction' to be \"LEFT\" or \"RIGHT\", but got \"" + direction + "\"");
  bool isLeft = direction == "LEFT";
  Type element = node.in(0).element;
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape) || failed(requireSameElements(node)))
    return failure();
  if (!element.isUnsignedInteger())
    return node.fail("expected unsigned integers, but got " + getTypeName(element));
  SmallVector<Converted> inputs = copyInputs(node);
  return node.result(node.emit.elementwise(inputs, *shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    // Shifting everything out gives 0; arith leaves it undefined.
    Type type = args[0].getType();
    Value fits = b.compareInt(CmpIPredicate::ult, args[1], b.constantInt(type, type.getIntOrFloatBitWidth()));
    Value shifted = isLeft ? b.create<arith::ShLIOp>(args[0], args[1]) : b.create<arith::ShRUIOp>(args[0], args[1]);
    return b.create<arith::SelectOp>(fits, shifted, b.constantInt(type, 0));
  }));
}

static LogicalResult convertWhere(NodeContext &node) {
  if (!node.in(0).element.isInteger(1))
    return node.fail("expected input 0 to be bool, but got " + getTypeName(node.in(0).element));
  if (failed(requireSameElements(node, 1)))
    return failure();
  Type element = node.in(1).element;
  if (element.isInteger())
    if (std::optional<Converted> list =
            foldLists(node, element, [](DimSpace &dims, ArrayRef<Dim> a) { return dims.select(a[0], a[1], a[2]); }))
      return node.result(*list);
  FailureOr<Shape> shape = broadcastInputs(node);
  if (failed(shape))
    return failure();
  SmallVector<Converted> inputs = copyInputs(node);
  return node.result(node.emit.elementwise(inputs, *shape, element, [](ScalarBuilder &b, ArrayRef<Value> args) {
    return b.create<arith::SelectOp>(args[0], args[1], args[2]);
  }));
}

void registerArithmetic(HandlerTable &table) {
  constexpr size_t any = HandlerTable::anyNumber;
  table.add("", "Add", 2, 2, convertAdd);
  table.add("", "Sum", 1, any, convertAdd);
  table.add("", "Sub", 2, 2, convertSub);
  table.add("", "Mul", 2, 2, convertMul);
  table.add("", "Div", 2, 2, convertDiv);
  table.add("", "Mod", 2, 2, convertMod);
  table.add("", "Min", 1, any, convertMin);
  table.add("", "Max", 1, any, convertMax);
  table.add("", "Mean", 1, any, convertMean);
  table.add("", "Pow", 2, 2, convertPow);
  table.add("", "Equal", 2, 2, convertEqual);
  table.add("", "Less", 2, 2, convertLess);
  table.add("", "Greater", 2, 2, convertGreater);
  table.add("", "LessOrEqual", 2, 2, convertLessOrEqual);
  table.add("", "GreaterOrEqual", 2, 2, convertGreaterOrEqual);
  table.add("", "And", 2, 2, convertBits<arith::AndIOp, true>);
  table.add("", "Or", 2, 2, convertBits<arith::OrIOp, true>);
  table.add("", "Xor", 2, 2, convertBits<arith::XOrIOp, true>);
  table.add("", "BitwiseAnd", 2, 2, convertBits<arith::AndIOp, false>);
  table.add("", "BitwiseOr", 2, 2, convertBits<arith::OrIOp, false>);
  table.add("", "BitwiseXor", 2, 2, convertBits<arith::XOrIOp, false>);
  table.add("", "BitShift", 2, 2, convertBitShift);
  table.add("", "Where", 3, 3, convertWhere);
}

} // namespace msa::onnx

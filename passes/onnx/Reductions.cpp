// SPDX-License-Identifier: Apache-2.0
//
// Reductions over axes. Sums of short floats are taken in f32; axes are an attribute or, in newer opsets, an input.

#include "passes/onnx/Node.h"
#include <limits>

using namespace mlir;

namespace msa::onnx {

enum class Reduction { Sum, Mean, Max, Min, Prod, SumSquare, L1, L2, LogSum, LogSumExp };

static TypedAttr getLimit(Type signless, Type element, bool lowest) {
  if (isa<FloatType>(signless)) {
    double infinity = std::numeric_limits<double>::infinity();
    return FloatAttr::get(signless, lowest ? -infinity : infinity);
  }
  unsigned width = signless.getIntOrFloatBitWidth();
  if (element.isUnsignedInteger() || width == 1)
    return IntegerAttr::get(signless, lowest ? APInt::getMinValue(width) : APInt::getMaxValue(width));
  return IntegerAttr::get(signless, lowest ? APInt::getSignedMinValue(width) : APInt::getSignedMaxValue(width));
}

static TypedAttr getNumber(Type type, int64_t value) {
  return isa<FloatType>(type) ? cast<TypedAttr>(FloatAttr::get(type, static_cast<double>(value)))
                              : cast<TypedAttr>(IntegerAttr::get(type, value));
}

/// The number of reduced elements as a scalar tensor of a float type, or an integer one.
static Converted emitCount(Emitter &emit, const Dim &count, Type type) {
  Location loc = emit.getLoc();
  Type i64 = IntegerType::get(type.getContext(), 64);
  Converted list = Converted::list(count, true, i64, loc);
  return emit.cast(list, type);
}

template <Reduction kind> static LogicalResult convertReduce(NodeContext &node) {
  Converted &x = node.in(0);
  Type element = x.element;
  constexpr bool isLimit = kind == Reduction::Max || kind == Reduction::Min;
  bool isFloat = isa<FloatType>(element);
  if (isFloat ? failed(node.requireFloat(0)) : !element.isInteger())
    return node.fail("expected a tensor of numbers, but got " + getTypeName(element));
  if (element.isInteger(1) && !isLimit)
    return node.fail("expected a tensor of numbers, but got bool");
  if (!isFloat && (kind == Reduction::L2 || kind == Reduction::LogSum || kind == Reduction::LogSumExp))
    return node.fail("expected a float tensor, but got " + getTypeName(element));
  FailureOr<std::optional<SmallVector<int64_t>>> given = node.getIntsOf("axes", 1);
  if (failed(given))
    return failure();
  bool keepDims = node.getInt("keepdims", 1) != 0, nothingIfEmpty = node.getInt("noop_with_empty_axes", 0) != 0;
  SmallVector<bool> isReduced(x.getRank(), false);
  if (*given && !(*given)->empty()) {
    for (int64_t axis : **given) {
      FailureOr<int64_t> at = node.getAxis(axis, x.getRank());
      if (failed(at))
        return failure();
      isReduced[*at] = true;
    }
  } else if (!nothingIfEmpty) {
    isReduced.assign(x.getRank(), true);
  }
  SmallVector<int64_t> axes;
  Shape kept;
  Dim count(1);
  for (int64_t i = 0; i < x.getRank(); ++i) {
    if (isReduced[i]) {
      axes.push_back(i);
      count = count * x.shape[i];
    }
    if (!isReduced[i] || keepDims)
      kept.push_back(isReduced[i] ? Dim(1) : x.shape[i]);
  }

  // Shape arithmetic: the product or sum of a few dims.
  if (std::optional<Shape> list =
          !isFloat && axes.size() == 1 && x.getRank() == 1 ? node.emit.getKnownList(x) : std::nullopt) {
    if (kind == Reduction::Sum || kind == Reduction::Prod) {
      Dim total(kind == Reduction::Sum ? 0 : 1);
      for (const Dim &dim : *list)
        total = kind == Reduction::Sum ? total + dim : total * dim;
      return node.result(Converted::list(total, !keepDims, element, node.op.getLoc()));
    }
  }

  Type compute = getComputeType(getSignless(element));
  bool isUnsigned = element.isUnsignedInteger() || element.isInteger(1);
  Emitter &emit = node.emit;
  // A noop keeps its per-element part, log(exp(x)) and the like.
  Converted operand = x;
  Converted highest = x;
  if (kind == Reduction::LogSumExp) {
    highest = emit.reduce(
        operand, axes, compute, getLimit(compute, compute, true),
        [](ScalarBuilder &b, ArrayRef<Value> args) { return b.create<arith::MaximumFOp>(args[0], args[1]); });
    // Of nothing, or of infinities, the maximum is no offset to subtract.
    SmallVector<Converted, 1> inputs{highest};
    highest = emit.elementwise(inputs, highest.shape, compute, [](ScalarBuilder &b, ArrayRef<Value> args) {
      Value isFinite = b.compareFloat(arith::CmpFPredicate::OLT, b.create<math::AbsFOp>(args[0]),
                                      b.constant(args[0].getType(), std::numeric_limits<double>::infinity()));
      return b.create<arith::SelectOp>(isFinite, args[0], b.constant(args[0].getType(), 0));
    });
    Shape unit = x.shape;
    for (int64_t axis : axes)
      unit[axis] = 1;
    Converted rows = emit.reshape(highest, unit);
    SmallVector<Converted, 2> pair{x, rows};
    operand = emit.elementwise(pair, x.shape, compute, [&](ScalarBuilder &b, ArrayRef<Value> args) {
      return b.create<math::ExpOp>(b.create<arith::SubFOp>(b.cast(args[0], element, compute), args[1]));
    });
  }

  auto combine = [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
    Value value = args[0], sum = args[1];
    switch (kind) {
    case Reduction::Max:
      return isFloat      ? b.create<arith::MaximumFOp>(value, sum)
             : isUnsigned ? b.create<arith::MaxUIOp>(value, sum)
                          : b.create<arith::MaxSIOp>(value, sum);
    case Reduction::Min:
      return isFloat      ? b.create<arith::MinimumFOp>(value, sum)
             : isUnsigned ? b.create<arith::MinUIOp>(value, sum)
                          : b.create<arith::MinSIOp>(value, sum);
    case Reduction::Prod:
      return isFloat ? b.create<arith::MulFOp>(value, sum) : b.create<arith::MulIOp>(value, sum);
    case Reduction::SumSquare:
    case Reduction::L2:
      value = isFloat ? b.create<arith::MulFOp>(value, value) : b.create<arith::MulIOp>(value, value);
      break;
    case Reduction::L1:
      if (!isUnsigned)
        value = isFloat ? b.create<math::AbsFOp>(value) : b.create<math::AbsIOp>(value);
      break;
    default:
      break;
    }
    return isFloat ? b.create<arith::AddFOp>(value, sum) : b.create<arith::AddIOp>(value, sum);
  };
  TypedAttr init = isLimit ? getLimit(compute, element, kind == Reduction::Max)
                           : getNumber(compute, kind == Reduction::Prod ? 1 : 0);
  Converted result = emit.reduce(operand, axes, compute, init, combine);

  SmallVector<Converted, 2> inputs{result};
  if (kind == Reduction::Mean)
    inputs.push_back(emitCount(emit, count, compute));
  if (kind == Reduction::LogSumExp)
    inputs.push_back(highest);
  if (inputs.size() == 2 || kind == Reduction::L2 || kind == Reduction::LogSum || compute != getSignless(element))
    result = emit.elementwise(inputs, result.shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
      Value value = args[0];
      if (kind == Reduction::Mean)
        value = isFloat      ? b.create<arith::DivFOp>(value, args[1])
                : isUnsigned ? b.create<arith::DivUIOp>(value, args[1])
                             : b.create<arith::DivSIOp>(value, args[1]);
      if (kind == Reduction::L2)
        value = b.create<math::SqrtOp>(value);
      if (kind == Reduction::LogSum || kind == Reduction::LogSumExp)
        value = b.create<math::LogOp>(value);
      if (kind == Reduction::LogSumExp)
        value = b.create<arith::AddFOp>(value, args[1]);
      return b.cast(value, compute, getSignless(element));
    });
  result.element = element;
  return node.result(emit.reshape(result, kept));
}

/// The index of the greatest or least element; of equals the first, or the last.
template <bool isMax> static LogicalResult convertArg(NodeContext &node) {
  Converted &x = node.in(0);
  Type element = x.element;
  if (!element.isIntOrFloat() || element.isInteger(1))
    return node.fail("expected a tensor of numbers, but got " + getTypeName(element));
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), x.getRank());
  if (failed(axis))
    return failure();
  bool keepDims = node.getInt("keepdims", 1) != 0, takeLast = node.getInt("select_last_index", 0) != 0;
  Emitter &emit = node.emit;
  Type compute = getComputeType(getSignless(element));
  bool isFloat = isa<FloatType>(element), isUnsigned = element.isUnsignedInteger();
  Converted best = emit.reduce(x, *axis, compute, getLimit(compute, element, isMax),
                               [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
                                 if (isMax)
                                   return isFloat      ? b.create<arith::MaximumFOp>(args[0], args[1])
                                          : isUnsigned ? b.create<arith::MaxUIOp>(args[0], args[1])
                                                       : b.create<arith::MaxSIOp>(args[0], args[1]);
                                 return isFloat      ? b.create<arith::MinimumFOp>(args[0], args[1])
                                        : isUnsigned ? b.create<arith::MinUIOp>(args[0], args[1])
                                                     : b.create<arith::MinSIOp>(args[0], args[1]);
                               });
  // Then the least (greatest) index that holds it.
  Type i64 = IntegerType::get(element.getContext(), 64);
  GenericOperand whole{&x, {}}, row{&best, {}};
  for (int64_t i = 0; i < x.getRank(); ++i) {
    whole.loops.push_back(i);
    if (i != *axis)
      row.loops.push_back(i);
  }
  TypedAttr init = getLimit(i64, i64, takeLast);
  Converted index = emit.indexed({whole, row}, x.shape, *axis, i64, init, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value value = b.cast(args[0], element, compute), at = linalg::IndexOp::create(b.builder, b.loc, *axis);
    Value isBest = isFloat ? b.compareFloat(arith::CmpFPredicate::UEQ, value, args[1])
                           : b.compareInt(arith::CmpIPredicate::eq, value, args[1]);
    Value found = b.create<arith::IndexCastOp>(i64, at);
    Value better = takeLast ? b.create<arith::MaxSIOp>(found, args[2]) : b.create<arith::MinSIOp>(found, args[2]);
    return b.create<arith::SelectOp>(isBest, better, args[2]);
  });
  Shape shape = x.shape;
  if (keepDims)
    shape[*axis] = 1;
  else
    shape.erase(shape.begin() + *axis);
  return node.result(emit.reshape(index, shape));
}

void registerReductions(HandlerTable &table) {
  table.add("", "ReduceSum", 1, 2, convertReduce<Reduction::Sum>);
  table.add("", "ReduceMean", 1, 2, convertReduce<Reduction::Mean>);
  table.add("", "ReduceMax", 1, 2, convertReduce<Reduction::Max>);
  table.add("", "ReduceMin", 1, 2, convertReduce<Reduction::Min>);
  table.add("", "ReduceProd", 1, 2, convertReduce<Reduction::Prod>);
  table.add("", "ReduceSumSquare", 1, 2, convertReduce<Reduction::SumSquare>);
  table.add("", "ReduceL1", 1, 2, convertReduce<Reduction::L1>);
  table.add("", "ReduceL2", 1, 2, convertReduce<Reduction::L2>);
  table.add("", "ReduceLogSum", 1, 2, convertReduce<Reduction::LogSum>);
  table.add("", "ReduceLogSumExp", 1, 2, convertReduce<Reduction::LogSumExp>);
  table.add("", "ArgMax", 1, 1, convertArg<true>);
  table.add("", "ArgMin", 1, 1, convertArg<false>);
}

} // namespace msa::onnx

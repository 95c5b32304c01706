// SPDX-License-Identifier: Apache-2.0
//
// Operators in which an element of the result depends on many others of an axis in order: cumulative sums, the k
// greatest. Each is written as comparisons of all pairs of an axis, which linalg can say; that is right for the axes
// that models put in (positions, experts), and longer ones are refused rather than left to take their time.

#include "passes/onnx/Node.h"
#include <limits>

using namespace mlir;

namespace msa::onnx {

// Pairs of one axis: 16 million for the longest.
static constexpr int64_t maxLength = 4096;

static LogicalResult requireShortAxis(NodeContext &node, const Dim &length) {
  std::optional<int64_t> known = node.emit.dims.normalize(length).getConstant();
  if (known && *known > maxLength)
    return node.fail("an axis of more than " + Twine(maxLength) + " elements is not supported, but got " +
                     Twine(*known));
  node.emit.assertLessOrEqual(length, maxLength,
                              "an axis of more than " + Twine(maxLength) + " elements is not supported");
  return success();
}

static LogicalResult convertCumSum(NodeContext &node) {
  Converted &x = node.in(0);
  Type element = x.element;
  if (!element.isIntOrFloat() || element.isInteger(1))
    return node.fail("expected a tensor of numbers, but got " + getTypeName(element));
  std::optional<SmallVector<int64_t>> given = node.emit.getConstantInts(node.in(1));
  if (!given || given->size() != 1)
    return node.fail("expected 'axis' (input 1) to be known at compile time");
  FailureOr<int64_t> axis = node.getAxis(given->front(), x.getRank());
  bool isExclusive = node.getInt("exclusive", 0) != 0, isReversed = node.getInt("reverse", 0) != 0;
  if (failed(axis) || failed(requireShortAxis(node, x.shape[*axis])))
    return failure();
  // Loops: the axes of the result, then the summed index.
  Shape loops = x.shape;
  loops.push_back(x.shape[*axis]);
  int64_t from = x.getRank();
  GenericOperand operand{&x, {}};
  for (int64_t i = 0; i < x.getRank(); ++i)
    operand.loops.push_back(i == *axis ? from : i);
  Type compute = getComputeType(getSignless(element));
  TypedAttr zero = isa<FloatType>(compute) ? cast<TypedAttr>(FloatAttr::get(compute, 0.0))
                                           : cast<TypedAttr>(IntegerAttr::get(compute, 0));
  Converted sum =
      node.emit.indexed(operand, loops, from, compute, zero, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        Value to = linalg::IndexOp::create(b.builder, b.loc, *axis),
              at = linalg::IndexOp::create(b.builder, b.loc, from);
        arith::CmpIPredicate takes = isReversed ? (isExclusive ? arith::CmpIPredicate::sgt : arith::CmpIPredicate::sge)
                                                : (isExclusive ? arith::CmpIPredicate::slt : arith::CmpIPredicate::sle);
        Value value = b.cast(args[0], element, compute);
        Value next =
            isa<FloatType>(compute) ? b.create<arith::AddFOp>(args[1], value) : b.create<arith::AddIOp>(args[1], value);
        return b.create<arith::SelectOp>(b.compareInt(takes, at, to), next, args[1]);
      });
  if (compute == getSignless(element)) {
    sum.element = element;
    return node.result(sum);
  }
  return node.result(node.emit.cast(sum, element));
}

/// The k greatest (least) of an axis in order: the place of an element is the number of elements in front of it.
static LogicalResult convertTopK(NodeContext &node) {
  Emitter &emit = node.emit;
  Converted &x = node.in(0);
  Type element = x.element;
  if (!element.isIntOrFloat() || element.isInteger(1))
    return node.fail("expected a tensor of numbers, but got " + getTypeName(element));
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), x.getRank());
  bool isLargest = node.getInt("largest", 1) != 0;
  (void)node.getInt("sorted", 1); // sorted is one of the orders that an unsorted result may have
  std::optional<Shape> k = emit.getList(node.in(1));
  if (failed(axis))
    return failure();
  if (!k || k->size() != 1)
    return node.fail("expected 'K' (input 1) to be one integer");
  Dim length = emit.dims.normalize(x.shape[*axis]), count = emit.dims.normalize(k->front());
  if (failed(requireShortAxis(node, length)))
    return failure();
  if (length.isConstant() && count.isConstant() &&
      (*count.getConstant() > *length.getConstant() || *count.getConstant() < 0))
    return node.fail("expected K within 0 and " + Twine(*length.getConstant()) + ", the length of the axis, but got " +
                     Twine(*count.getConstant()));
  emit.assertLessOrEqual(count, length, "expected K to be at most the length of the axis");
  emit.assertLessOrEqual(0, count, "expected K not to be negative");
  Type i64 = IntegerType::get(node.op.getContext(), 64), compute = getComputeType(getSignless(element));
  bool isFloat = isa<FloatType>(element), isUnsigned = element.isUnsignedInteger();

  int64_t rank = x.getRank();
  GenericOperand own{&x, {}}, other{&x, {}};
  for (int64_t i = 0; i < rank; ++i) {
    own.loops.push_back(i);
    other.loops.push_back(i == *axis ? rank : i);
  }
  Shape loops = x.shape;
  loops.push_back(length);
  Converted place = emit.indexed(
      {own, other}, loops, rank, i64, IntegerAttr::get(i64, 0), [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        Value mine = b.cast(args[0], element, compute), theirs = b.cast(args[1], element, compute);
        Value at = linalg::IndexOp::create(b.builder, b.loc, *axis),
              from = linalg::IndexOp::create(b.builder, b.loc, rank);
        auto before = [&](Value first, Value second) {
          if (isFloat)
            return b.compareFloat(isLargest ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT, first, second);
          arith::CmpIPredicate predicate = isUnsigned
                                               ? (isLargest ? arith::CmpIPredicate::ugt : arith::CmpIPredicate::ult)
                                               : (isLargest ? arith::CmpIPredicate::sgt : arith::CmpIPredicate::slt);
          return b.compareInt(predicate, first, second);
        };
        // Of equals the first goes first, which also gives numbers that compare with nothing a place of their own.
        Value isBehind = before(mine, theirs);
        Value isEqual = b.create<arith::XOrIOp>(b.create<arith::OrIOp>(isBehind, before(theirs, mine)),
                                                b.constantInt(b.builder.getI1Type(), 1));
        Value isEarlier = b.create<arith::AndIOp>(isEqual, b.compareInt(arith::CmpIPredicate::slt, from, at));
        Value isInFront = b.create<arith::OrIOp>(before(theirs, mine), isEarlier);
        return b.create<arith::AddIOp>(args[2], b.cast(isInFront, b.builder.getI1Type(), i64));
      });

  // Loops: the axes of the result, then the index that is looked for.
  Shape chosen = x.shape;
  chosen[*axis] = count;
  Shape search = chosen;
  search.push_back(length);
  GenericOperand places{&place, other.loops};
  auto isWanted = [&](ScalarBuilder &b, Value at) {
    Value to = b.create<arith::IndexCastOp>(i64, linalg::IndexOp::create(b.builder, b.loc, *axis).getResult());
    return b.compareInt(arith::CmpIPredicate::eq, at, to);
  };
  TypedAttr none = isFloat ? cast<TypedAttr>(FloatAttr::get(getSignless(element), 0.0))
                           : cast<TypedAttr>(IntegerAttr::get(getSignless(element), 0));
  Converted values = emit.indexed({other, places}, search, rank, getSignless(element), none,
                                  [&](ScalarBuilder &b, ArrayRef<Value> args) {
                                    return b.create<arith::SelectOp>(isWanted(b, args[1]), args[0], args[2]);
                                  });
  Converted indices =
      emit.indexed(places, search, rank, i64, IntegerAttr::get(i64, 0), [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value from = b.create<arith::IndexCastOp>(i64, linalg::IndexOp::create(b.builder, b.loc, rank).getResult());
        return b.create<arith::SelectOp>(isWanted(b, args[0]), from, args[1]);
      });
  values.element = element;
  (void)node.result(1, indices);
  return node.result(0, values);
}

void registerScans(HandlerTable &table) {
  table.add("", "CumSum", 2, 2, convertCumSum);
  table.add("", "TopK", 2, 2, convertTopK);
}

} // namespace msa::onnx

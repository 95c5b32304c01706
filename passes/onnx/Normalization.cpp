// SPDX-License-Identifier: Apache-2.0
//
// Normalisations over trailing axes. Each is a fixed, small number of linalg.generics on rows in f32: reductions, then
// one elementwise pass, so that fusing them into one row kernel has nothing to search for.

#include "passes/onnx/Node.h"
#include <limits>

using namespace mlir;

namespace msa::onnx {

namespace {

/// An operand seen as rows: the axes from `axis` on are reduced together.
struct Rows {
  Converted x;
  Shape shape;                // of the whole
  SmallVector<int64_t> all;   // loops of the whole
  SmallVector<int64_t> outer; // loops that stay
  SmallVector<int64_t> inner; // loops that are reduced
  Dim count;                  // elements of a row

  Rows(Emitter &emit, const Converted &operand, ArrayRef<int64_t> axes)
      : x(operand), shape(emit.dims.normalize(operand.shape)), count(1) {
    for (int64_t i = 0; i < x.getRank(); ++i) {
      all.push_back(i);
      if (llvm::is_contained(axes, i)) {
        inner.push_back(i);
        count = count * shape[i];
      } else {
        outer.push_back(i);
      }
    }
  }

  GenericOperand whole() { return {&x, all}; }
  GenericOperand row(Converted &value) const { return {&value, outer}; }
};

} // namespace

static SmallVector<int64_t> axesFrom(int64_t axis, int64_t rank) {
  SmallVector<int64_t> axes;
  for (int64_t i = axis; i < rank; ++i)
    axes.push_back(i);
  return axes;
}

/// The length of a row as a float: a constant, or a scalar operand.
static Converted getCount(Emitter &emit, const Rows &rows, Type compute) {
  Converted list = Converted::list(rows.count, true, IntegerType::get(compute.getContext(), 64), emit.getLoc());
  return emit.cast(list, compute);
}

static Value createReciprocalRoot(ScalarBuilder &b, Value x) {
  return b.create<arith::DivFOp>(b.constant(x.getType(), 1), b.create<math::SqrtOp>(x));
}

static Converted sumRows(Emitter &emit, Rows &rows, MutableArrayRef<Converted> rowOperands, Converted *scalar,
                         Type compute, ScalarBody body) {
  SmallVector<GenericOperand> operands{rows.whole()};
  for (Converted &operand : rowOperands)
    operands.push_back(rows.row(operand));
  if (scalar)
    operands.push_back({scalar, {}});
  Type element = rows.x.element;
  return emit.generic(operands, rows.shape, rows.inner, compute, FloatAttr::get(compute, 0.0),
                      [&](ScalarBuilder &b, ArrayRef<Value> args) {
                        SmallVector<Value> values(args);
                        values[0] = b.cast(values[0], element, compute);
                        Value term = body(b, ArrayRef<Value>(values).drop_back());
                        return b.create<arith::AddFOp>(term, args.back());
                      });
}

/// The scale and bias of a normalisation, which broadcast into its operand.
static LogicalResult addParameter(NodeContext &node, size_t input, Rows &rows, SmallVectorImpl<Converted> &parameters) {
  Converted &parameter = node.in(input);
  std::string why;
  std::optional<Shape> shape = node.emit.broadcast({ArrayRef<Dim>(rows.shape), ArrayRef<Dim>(parameter.shape)}, why);
  if (!shape || shape->size() != rows.shape.size())
    return node.fail("expected input " + Twine(input) +
                     " to broadcast into input 0: " + (shape ? std::string("it has a greater rank") : why));
  rows.shape = *shape;
  rows.x.shape = *shape;
  parameters.push_back(parameter);
  return success();
}

/// (x - mean) / sqrt(variance + epsilon) * scale + bias, or without the mean for RMS. Results that are wanted: mean, 1
/// / deviation.
static LogicalResult finishNorm(NodeContext &node, Rows rows, std::optional<size_t> scale, std::optional<size_t> bias,
                                double epsilon, bool isRms, std::optional<size_t> meanOutput,
                                std::optional<size_t> inverseOutput, size_t output = 0) {
  Emitter &emit = node.emit;
  Type element = rows.x.element, compute = getComputeType(element);
  SmallVector<Converted, 2> parameters;
  if (scale && failed(addParameter(node, *scale, rows, parameters)))
    return failure();
  if (bias && failed(addParameter(node, *bias, rows, parameters)))
    return failure();
  Converted count = getCount(emit, rows, compute);
  SmallVector<Converted, 2> statistics;
  if (!isRms)
    statistics.push_back(
        sumRows(emit, rows, {}, nullptr, compute, [](ScalarBuilder &, ArrayRef<Value> args) { return args[0]; }));
  Converted squares =
      sumRows(emit, rows, statistics, isRms ? nullptr : &count, compute, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value off = isRms ? args[0] : b.create<arith::SubFOp>(args[0], b.create<arith::DivFOp>(args[1], args[2]));
        return b.create<arith::MulFOp>(off, off);
      });
  statistics.push_back(squares);

  SmallVector<GenericOperand> operands{rows.whole()};
  for (Converted &statistic : statistics)
    operands.push_back(rows.row(statistic));
  operands.push_back({&count, {}});
  for (Converted &parameter : parameters)
    operands.push_back(emit.alignRight(parameter, rows.shape));
  Converted result = emit.generic(operands, rows.shape, {}, element, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value x = b.cast(args[0], element, compute);
    size_t next = 1;
    Value sum = isRms ? Value() : args[next++];
    Value squareSum = args[next++], n = args[next++];
    if (!isRms)
      x = b.create<arith::SubFOp>(x, b.create<arith::DivFOp>(sum, n));
    Value variance = b.create<arith::AddFOp>(b.create<arith::DivFOp>(squareSum, n), b.constant(compute, epsilon));
    x = b.create<arith::MulFOp>(x, createReciprocalRoot(b, variance));
    if (scale)
      x = b.create<arith::MulFOp>(x, b.cast(args[next++], node.in(*scale).element, compute));
    if (bias)
      x = b.create<arith::AddFOp>(x, b.cast(args[next++], node.in(*bias).element, compute));
    return b.cast(x, compute, element);
  });

  auto finishStatistic = [&](size_t to, Converted &statistic, ScalarBody body) {
    SmallVector<Converted, 2> pair{statistic, count};
    Converted values = emit.elementwise(pair, statistic.shape, compute, body);
    Shape unit = rows.shape;
    for (int64_t axis : rows.inner)
      unit[axis] = 1;
    (void)node.result(to, emit.reshape(values, unit));
  };
  if (meanOutput && node.wants(*meanOutput) && !isRms)
    finishStatistic(*meanOutput, statistics[0],
                    [](ScalarBuilder &b, ArrayRef<Value> args) { return b.create<arith::DivFOp>(args[0], args[1]); });
  if (inverseOutput && node.wants(*inverseOutput))
    finishStatistic(*inverseOutput, statistics.back(), [&](ScalarBuilder &b, ArrayRef<Value> args) {
      return createReciprocalRoot(
          b, b.create<arith::AddFOp>(b.create<arith::DivFOp>(args[0], args[1]), b.constant(compute, epsilon)));
    });
  return node.result(output, result);
}

static LogicalResult requireStash(NodeContext &node) {
  int64_t stash = node.getInt("stash_type", 1);
  if (stash == 1 || stash == 11)
    return success();
  return node.fail("expected attribute 'stash_type' to be 1 (float), but got " + Twine(stash));
}

static LogicalResult convertLayerNormalization(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(requireStash(node)))
    return failure();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), node.in(0).getRank());
  if (failed(axis))
    return failure();
  Rows rows(node.emit, node.in(0), axesFrom(*axis, node.in(0).getRank()));
  std::optional<size_t> bias = node.has(2) ? std::optional<size_t>(2) : std::nullopt;
  return finishNorm(node, rows, 1, bias, node.getFloat("epsilon", 1e-5f), false, 1, 2);
}

static LogicalResult convertRMSNormalization(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(requireStash(node)))
    return failure();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), node.in(0).getRank());
  if (failed(axis))
    return failure();
  Rows rows(node.emit, node.in(0), axesFrom(*axis, node.in(0).getRank()));
  return finishNorm(node, rows, 1, std::nullopt, node.getFloat("epsilon", 1e-5f), true, std::nullopt, 1);
}

/// (Skip)LayerNormalization and (Skip)SimplifiedLayerNormalization of com.microsoft: normalise input + skip (+ bias);
/// output 3 is that sum.
template <bool isRms> static LogicalResult convertSkipNorm(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireRank(0, 2, 3)))
    return failure();
  std::optional<size_t> bias, beta;
  if (!isRms && node.has(3))
    beta = 3;
  size_t biasInput = isRms ? 3 : 4;
  if (node.has(biasInput))
    bias = biasInput;
  SmallVector<Converted, 3> inputs{node.in(0), node.in(1)};
  if (bias)
    inputs.push_back(node.in(*bias));
  SmallVector<ArrayRef<Dim>> shapes;
  for (Converted &input : inputs)
    shapes.push_back(input.shape);
  std::string why;
  std::optional<Shape> shape = node.emit.broadcast(shapes, why);
  if (!shape || shape->size() != node.in(0).shape.size())
    return node.fail("expected 'skip' and 'bias' to broadcast into the input" + (why.empty() ? "" : ": " + why));
  Converted sum =
      node.emit.floatElementwise(inputs, *shape, node.in(0).element, [](ScalarBuilder &b, ArrayRef<Value> args) {
        Value total = b.create<arith::AddFOp>(args[0], args[1]);
        return args.size() == 3 ? b.create<arith::AddFOp>(total, args[2]) : total;
      });
  (void)node.result(3, sum);
  Rows rows(node.emit, sum, sum.getRank() - 1);
  return finishNorm(node, rows, 2, beta, node.getFloat("epsilon", isRms ? 1e-6f : 1e-12f), isRms, 1, 2);
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

template <bool isLog> static LogicalResult convertSoftmax(NodeContext &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Emitter &emit = node.emit;
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), node.in(0).getRank());
  if (failed(axis))
    return failure();
  Type element = node.in(0).element, compute = getComputeType(element);
  Rows rows(emit, node.in(0), *axis);
  TypedAttr lowest = FloatAttr::get(compute, -std::numeric_limits<double>::infinity());
  Converted highest =
      emit.generic(rows.whole(), rows.shape, rows.inner, compute, lowest, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        return b.create<arith::MaximumFOp>(b.cast(args[0], element, compute), args[1]);
      });
  Converted shifted = emit.generic({rows.whole(), rows.row(highest)}, rows.shape, {}, compute, {},
                                   [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
                                     Value off = b.create<arith::SubFOp>(b.cast(args[0], element, compute), args[1]);
                                     return isLog ? off : b.create<math::ExpOp>(off);
                                   });
  Rows parts(emit, shifted, *axis);
  Converted sum = sumRows(emit, parts, {}, nullptr, compute, [](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
    return isLog ? b.create<math::ExpOp>(args[0]) : args[0];
  });
  return node.result(emit.generic(
      {parts.whole(), parts.row(sum)}, rows.shape, {}, element, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value value = isLog ? b.create<arith::SubFOp>(args[0], b.create<math::LogOp>(args[1]))
                            : b.create<arith::DivFOp>(args[0], args[1]);
        return b.cast(value, compute, element);
      }));
}

static LogicalResult convertLpNormalization(NodeContext &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  int64_t p = node.getInt("p", 2);
  if (p != 1 && p != 2)
    return node.fail("expected attribute 'p' to be 1 or 2, but got " + Twine(p));
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), node.in(0).getRank());
  if (failed(axis))
    return failure();
  Emitter &emit = node.emit;
  Type element = node.in(0).element, compute = getComputeType(element);
  Rows rows(emit, node.in(0), *axis);
  Converted sum = sumRows(emit, rows, {}, nullptr, compute, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
    return p == 1 ? b.create<math::AbsFOp>(args[0]) : b.create<arith::MulFOp>(args[0], args[0]);
  });
  return node.result(emit.generic(
      {rows.whole(), rows.row(sum)}, rows.shape, {}, element, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value norm = p == 1 ? args[1] : b.create<math::SqrtOp>(args[1]);
        // A zero vector stays zero.
        Value isZero = b.compareFloat(arith::CmpFPredicate::OEQ, norm, b.constant(compute, 0));
        Value divisor = b.create<arith::SelectOp>(isZero, b.constant(compute, 1), norm);
        return b.cast(b.create<arith::DivFOp>(b.cast(args[0], element, compute), divisor), compute, element);
      }));
}

/// One number per channel (axis 1), in the shape [C, 1, ..] that broadcasts into the input.
static Converted asChannels(Emitter &emit, Converted &parameter, int64_t rank) {
  Shape shape{parameter.shape[0]};
  shape.append(rank - 2, Dim(1));
  return emit.reshape(parameter, shape);
}

static LogicalResult convertBatchNormalization(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireRank(0, 2, 16)))
    return failure();
  node.ignore({"momentum"});
  if (node.getInt("training_mode", 0) != 0)
    return node.fail("expected attribute 'training_mode' to be 0: training is not supported");
  double epsilon = node.getFloat("epsilon", 1e-5f);
  SmallVector<Converted> inputs{node.in(0)};
  for (size_t i = 1; i < 5; ++i) {
    if (failed(node.requireFloat(i)) || failed(node.requireRank(i, 1, 1)))
      return failure();
    if (!node.emit.assertEqual(node.in(0).shape[1], node.in(i).shape[0], "expected as many parameters as channels"))
      return node.fail("expected input " + Twine(i) + " to have one number per channel");
    inputs.push_back(asChannels(node.emit, node.in(i), node.in(0).getRank()));
  }
  Type element = node.in(0).element, compute = getComputeType(element);
  return node.result(
      node.emit.floatElementwise(inputs, node.in(0).shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value root = createReciprocalRoot(b, b.create<arith::AddFOp>(args[4], b.constant(args[4].getType(), epsilon)));
        Value scaled = b.create<arith::MulFOp>(
            b.create<arith::MulFOp>(b.create<arith::SubFOp>(args[0], b.cast(args[3], args[3].getType(), compute)),
                                    b.cast(root, root.getType(), compute)),
            b.cast(args[1], args[1].getType(), compute));
        return b.create<arith::AddFOp>(scaled, b.cast(args[2], args[2].getType(), compute));
      }));
}

/// Input 0 [N, C, ..] with everything behind `outer` axes normalised together, one scale and bias per channel.
static LogicalResult finishChannelNorm(NodeContext &node, Converted grouped, double epsilon) {
  Emitter &emit = node.emit;
  Converted &x = node.in(0);
  Type element = x.element, compute = getComputeType(element);
  // [N, groups, the rest]: the rest is a row.
  Rows rows(emit, grouped, axesFrom(2, grouped.getRank()));
  Converted count = getCount(emit, rows, compute);
  Converted sum =
      sumRows(emit, rows, {}, nullptr, compute, [](ScalarBuilder &, ArrayRef<Value> args) { return args[0]; });
  SmallVector<Converted, 1> sums{sum};
  Converted squares = sumRows(emit, rows, sums, &count, compute, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value off = b.create<arith::SubFOp>(args[0], b.create<arith::DivFOp>(args[1], args[2]));
    return b.create<arith::MulFOp>(off, off);
  });
  Converted normal = emit.generic({rows.whole(), rows.row(sum), rows.row(squares), {&count, {}}}, rows.shape, {},
                                  compute, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) {
                                    Value off = b.create<arith::SubFOp>(b.cast(args[0], element, compute),
                                                                        b.create<arith::DivFOp>(args[1], args[3]));
                                    Value variance = b.create<arith::AddFOp>(b.create<arith::DivFOp>(args[2], args[3]),
                                                                             b.constant(compute, epsilon));
                                    return b.create<arith::MulFOp>(off, createReciprocalRoot(b, variance));
                                  });
  normal = emit.reshape(normal, x.shape);
  SmallVector<Converted, 3> inputs{normal};
  for (size_t i : {1, 2}) {
    if (failed(node.requireFloat(i)) || failed(node.requireRank(i, 1, 1)))
      return failure();
    if (!emit.assertEqual(x.shape[1], node.in(i).shape[0], "expected as many parameters as channels"))
      return node.fail("expected input " + Twine(i) + " to have one number per channel");
    inputs.push_back(asChannels(emit, node.in(i), x.getRank()));
  }
  return node.result(emit.floatElementwise(inputs, x.shape, element, [](ScalarBuilder &b, ArrayRef<Value> args) {
    return b.create<arith::AddFOp>(b.create<arith::MulFOp>(args[0], args[1]), args[2]);
  }));
}

static LogicalResult convertInstanceNormalization(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireRank(0, 3, 16)))
    return failure();
  return finishChannelNorm(node, node.in(0), node.getFloat("epsilon", 1e-5f));
}

static LogicalResult convertGroupNormalization(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireRank(0, 3, 16)) || failed(requireStash(node)))
    return failure();
  int64_t groups = node.getInt("num_groups", 0);
  if (node.opset < 21)
    return node.fail("expected opset 21 or later, which has one scale per channel");
  std::optional<Dim> channels =
      groups > 0 ? node.emit.dims.normalize(node.in(0).shape[1]).divideExactly(groups) : std::nullopt;
  if (!channels)
    return node.fail("expected the number of channels to be a multiple of 'num_groups' = " + Twine(groups));
  Shape shape{node.in(0).shape[0], groups, *channels};
  shape.append(node.in(0).shape.begin() + 2, node.in(0).shape.end());
  return finishChannelNorm(node, node.emit.reshape(node.in(0), shape), node.getFloat("epsilon", 1e-5f));
}

/// 1 at the first greatest element of an axis, else 0.
static LogicalResult convertHardmax(NodeContext &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  Emitter &emit = node.emit;
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), node.in(0).getRank());
  if (failed(axis))
    return failure();
  Type element = node.in(0).element, compute = getComputeType(element),
       i64 = IntegerType::get(node.op.getContext(), 64);
  Rows rows(emit, node.in(0), *axis);
  TypedAttr lowest = FloatAttr::get(compute, -std::numeric_limits<double>::infinity());
  Converted highest =
      emit.generic(rows.whole(), rows.shape, rows.inner, compute, lowest, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        return b.create<arith::MaximumFOp>(b.cast(args[0], element, compute), args[1]);
      });
  auto index = [&](ScalarBuilder &b) {
    return b.create<arith::IndexCastOp>(i64, linalg::IndexOp::create(b.builder, b.loc, *axis).getResult());
  };
  TypedAttr last = IntegerAttr::get(i64, std::numeric_limits<int64_t>::max());
  Converted first =
      emit.indexed({rows.whole(), rows.row(highest)}, rows.shape, rows.inner, i64, last,
                   [&](ScalarBuilder &b, ArrayRef<Value> args) {
                     Value isBest =
                         b.compareFloat(arith::CmpFPredicate::OEQ, b.cast(args[0], element, compute), args[1]);
                     return b.create<arith::SelectOp>(isBest, b.create<arith::MinSIOp>(index(b), args[2]), args[2]);
                   });
  return node.result(
      emit.indexed(rows.row(first), rows.shape, {}, element, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value isFirst = b.compareInt(arith::CmpIPredicate::eq, index(b), args[0]);
        return b.create<arith::SelectOp>(isFirst, b.constant(element, 1), b.constant(element, 0));
      }));
}

void registerNormalization(HandlerTable &table) {
  table.add("", "LayerNormalization", 2, 3, convertLayerNormalization);
  table.add("", "RMSNormalization", 2, 2, convertRMSNormalization);
  // Written by onnxruntime's optimizer, into either domain.
  table.add("", "SimplifiedLayerNormalization", 2, 2, convertRMSNormalization);
  table.add("com.microsoft", "SimplifiedLayerNormalization", 2, 2, convertRMSNormalization);
  table.add("com.microsoft", "SkipLayerNormalization", 3, 5, convertSkipNorm<false>);
  table.add("com.microsoft", "SkipSimplifiedLayerNormalization", 3, 4, convertSkipNorm<true>);
  table.add("", "Softmax", 1, 1, convertSoftmax<false>);
  table.add("", "LogSoftmax", 1, 1, convertSoftmax<true>);
  table.add("", "LpNormalization", 1, 1, convertLpNormalization);
  table.add("", "Hardmax", 1, 1, convertHardmax);
  table.add("", "InstanceNormalization", 3, 3, convertInstanceNormalization);
  table.add("", "GroupNormalization", 3, 3, convertGroupNormalization);
  table.add("", "BatchNormalization", 5, 5, convertBatchNormalization);
}

} // namespace msa::onnx

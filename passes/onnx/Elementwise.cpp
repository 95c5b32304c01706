// SPDX-License-Identifier: Apache-2.0
//
// Functions of one operand: casts, rounding, exponentials, activations; and the fused activations of com.microsoft.

#include "passes/onnx/Node.h"
#include <cmath>

using namespace mlir;

namespace msa::onnx {

static LogicalResult finishFloat(NodeContext &node, ScalarBody body) {
  if (failed(node.requireFloat(0)))
    return failure();
  Converted &x = node.in(0);
  SmallVector<Converted, 1> inputs{x};
  return node.result(node.emit.floatElementwise(inputs, x.shape, x.element, body));
}

/// A float function without attributes; `body` is a captureless lambda.
template <auto body> static LogicalResult convertFloat(NodeContext &node) {
  return finishFloat(node, [](ScalarBuilder &b, ArrayRef<Value> args) -> Value { return body(b, args[0]); });
}

template <typename OpTy> static LogicalResult convertMath(NodeContext &node) {
  return finishFloat(node, [](ScalarBuilder &b, ArrayRef<Value> args) { return b.create<OpTy>(args[0]); });
}

//===----------------------------------------------------------------------===//
// Scalar functions
//===----------------------------------------------------------------------===//

static Value createSigmoid(ScalarBuilder &b, Value x) {
  Value one = b.constant(x.getType(), 1);
  return b.create<arith::DivFOp>(one, b.create<arith::AddFOp>(one, b.create<math::ExpOp>(b.create<arith::NegFOp>(x))));
}

/// log(1 + exp(x)) without overflow.
static Value createSoftplus(ScalarBuilder &b, Value x) {
  Value small = b.create<math::ExpOp>(b.create<arith::NegFOp>(b.create<math::AbsFOp>(x)));
  return b.create<arith::AddFOp>(b.create<arith::MaximumFOp>(x, b.constant(x.getType(), 0)),
                                 b.create<math::Log1pOp>(small));
}

static Value createGelu(ScalarBuilder &b, Value x) {
  Type type = x.getType();
  Value erf = b.create<math::ErfOp>(b.create<arith::MulFOp>(x, b.constant(type, std::sqrt(0.5))));
  return b.create<arith::MulFOp>(b.create<arith::MulFOp>(x, b.constant(type, 0.5)),
                                 b.create<arith::AddFOp>(erf, b.constant(type, 1)));
}

static Value createTanhGelu(ScalarBuilder &b, Value x) {
  Type type = x.getType();
  Value cube = b.create<arith::MulFOp>(b.create<arith::MulFOp>(x, x), x);
  Value inner = b.create<arith::AddFOp>(x, b.create<arith::MulFOp>(cube, b.constant(type, 0.044715)));
  Value tanh = b.create<math::TanhOp>(b.create<arith::MulFOp>(inner, b.constant(type, 0.7978845608028654)));
  return b.create<arith::MulFOp>(b.create<arith::MulFOp>(x, b.constant(type, 0.5)),
                                 b.create<arith::AddFOp>(tanh, b.constant(type, 1)));
}

/// x where positive, else `otherwise`.
static Value selectPositive(ScalarBuilder &b, Value x, Value ifPositive, Value otherwise) {
  return b.create<arith::SelectOp>(b.compareFloat(arith::CmpFPredicate::OGT, x, b.constant(x.getType(), 0)), ifPositive,
                                   otherwise);
}

static Value clamp(ScalarBuilder &b, Value x, double low, double high) {
  Value raised = b.create<arith::MaximumFOp>(x, b.constant(x.getType(), low));
  return b.create<arith::MinimumFOp>(raised, b.constant(x.getType(), high));
}

//===----------------------------------------------------------------------===//
// Operators with attributes
//===----------------------------------------------------------------------===//

static LogicalResult convertLeakyRelu(NodeContext &node) {
  double alpha = node.getFloat("alpha", 0.01f);
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value x = args[0];
    Value isNegative = b.compareFloat(arith::CmpFPredicate::OLT, x, b.constant(x.getType(), 0));
    return b.create<arith::SelectOp>(isNegative, b.create<arith::MulFOp>(x, b.constant(x.getType(), alpha)), x);
  });
}

/// gamma * x for x > 0, else gamma * alpha * (exp(x / scale) - 1).
static LogicalResult finishExponential(NodeContext &node, double alpha, double gamma, double scale) {
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value x = args[0];
    Type type = x.getType();
    Value scaled = scale == 1.0 ? x : b.create<arith::DivFOp>(x, b.constant(type, scale));
    Value bent = b.create<arith::MulFOp>(b.create<math::ExpM1Op>(scaled), b.constant(type, alpha * gamma));
    Value straight = gamma == 1.0 ? x : b.create<arith::MulFOp>(x, b.constant(type, gamma));
    return selectPositive(b, x, straight, bent);
  });
}

static LogicalResult convertElu(NodeContext &node) {
  return finishExponential(node, node.getFloat("alpha", 1.0), 1, 1);
}
static LogicalResult convertSelu(NodeContext &node) {
  double alpha = node.getFloat("alpha", 1.67326319217681884765625),
         gamma = node.getFloat("gamma", 1.05070102214813232421875);
  return finishExponential(node, alpha, gamma, 1);
}
static LogicalResult convertCelu(NodeContext &node) {
  double alpha = node.getFloat("alpha", 1.0);
  return finishExponential(node, alpha, 1, alpha);
}

static LogicalResult convertThresholdedRelu(NodeContext &node) {
  double alpha = node.getFloat("alpha", 1.0);
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value isAbove = b.compareFloat(arith::CmpFPredicate::OGT, args[0], b.constant(args[0].getType(), alpha));
    return b.create<arith::SelectOp>(isAbove, args[0], b.constant(args[0].getType(), 0));
  });
}

static LogicalResult convertHardSigmoid(NodeContext &node) {
  double alpha = node.getFloat("alpha", 0.2f), beta = node.getFloat("beta", 0.5f);
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Type type = args[0].getType();
    Value line =
        b.create<arith::AddFOp>(b.create<arith::MulFOp>(args[0], b.constant(type, alpha)), b.constant(type, beta));
    return clamp(b, line, 0, 1);
  });
}

static LogicalResult convertHardSwish(NodeContext &node) {
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Type type = args[0].getType();
    Value line =
        b.create<arith::AddFOp>(b.create<arith::MulFOp>(args[0], b.constant(type, 1.0 / 6.0)), b.constant(type, 0.5));
    return b.create<arith::MulFOp>(args[0], clamp(b, line, 0, 1));
  });
}

static LogicalResult convertShrink(NodeContext &node) {
  double lambda = node.getFloat("lambd", 0.5), bias = node.getFloat("bias", 0.0);
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value x = args[0];
    Type type = x.getType();
    Value below = b.create<arith::SelectOp>(b.compareFloat(arith::CmpFPredicate::OLT, x, b.constant(type, -lambda)),
                                            b.create<arith::AddFOp>(x, b.constant(type, bias)), b.constant(type, 0));
    return b.create<arith::SelectOp>(b.compareFloat(arith::CmpFPredicate::OGT, x, b.constant(type, lambda)),
                                     b.create<arith::SubFOp>(x, b.constant(type, bias)), below);
  });
}

static LogicalResult convertGelu(NodeContext &node) {
  StringRef approximate = node.getString("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    return node.fail("expected attribute 'approximate' to be \"none\" or \"tanh\", but got \"" + approximate + "\"");
  bool isTanh = approximate == "tanh";
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    return isTanh ? createTanhGelu(b, args[0]) : createGelu(b, args[0]);
  });
}

/// x * sigmoid(alpha * x): ONNX's Swish, com.microsoft's QuickGelu.
static LogicalResult finishSwish(NodeContext &node, double alpha) {
  return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value inner = alpha == 1.0 ? args[0] : b.create<arith::MulFOp>(args[0], b.constant(args[0].getType(), alpha));
    return b.create<arith::MulFOp>(args[0], createSigmoid(b, inner));
  });
}
static LogicalResult convertSwish(NodeContext &node) { return finishSwish(node, node.getFloat("alpha", 1.0)); }
static LogicalResult convertQuickGelu(NodeContext &node) { return finishSwish(node, node.getFloat("alpha", 1.702f)); }

/// Gelu of x plus an optional bias.
template <auto function> static LogicalResult convertBiasGelu(NodeContext &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  SmallVector<Converted, 2> inputs{node.in(0)};
  if (node.has(1))
    inputs.push_back(node.in(1));
  SmallVector<ArrayRef<Dim>> shapes;
  for (Converted &input : inputs)
    shapes.push_back(input.shape);
  std::string why;
  std::optional<Shape> shape = node.emit.broadcast(shapes, why);
  if (!shape)
    return node.fail(why);
  return node.result(node.emit.floatElementwise(
      inputs, *shape, node.in(0).element, [](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        return function(b, args.size() == 2 ? b.create<arith::AddFOp>(args[0], args[1]) : args[0]);
      }));
}

static LogicalResult convertPRelu(NodeContext &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  std::string why;
  std::optional<Shape> shape =
      node.emit.broadcast({ArrayRef<Dim>(node.in(0).shape), ArrayRef<Dim>(node.in(1).shape)}, why);
  if (!shape)
    return node.fail(why);
  SmallVector<Converted, 2> inputs{node.in(0), node.in(1)};
  return node.result(
      node.emit.floatElementwise(inputs, *shape, node.in(0).element, [](ScalarBuilder &b, ArrayRef<Value> args) {
        Value isNegative = b.compareFloat(arith::CmpFPredicate::OLT, args[0], b.constant(args[0].getType(), 0));
        return b.create<arith::SelectOp>(isNegative, b.create<arith::MulFOp>(args[0], args[1]), args[0]);
      }));
}

//===----------------------------------------------------------------------===//
// Floats and integers
//===----------------------------------------------------------------------===//

/// A function of numbers of any kind; unsigned integers are returned as they are where `keepUnsigned`.
static LogicalResult finishNumber(NodeContext &node, bool keepUnsigned,
                                  function_ref<Value(ScalarBuilder &, Value)> onFloat,
                                  function_ref<Value(ScalarBuilder &, Value)> onInteger) {
  Converted &x = node.in(0);
  if (isa<FloatType>(x.element))
    return finishFloat(node, [&](ScalarBuilder &b, ArrayRef<Value> args) { return onFloat(b, args[0]); });
  if (!x.element.isInteger() || x.element.isInteger(1))
    return node.fail("expected a tensor of numbers, but got " + getTypeName(x.element));
  if (x.element.isUnsignedInteger() && keepUnsigned)
    return node.result(x);
  SmallVector<Converted, 1> inputs{x};
  return node.result(node.emit.elementwise(
      inputs, x.shape, x.element, [&](ScalarBuilder &b, ArrayRef<Value> args) { return onInteger(b, args[0]); }));
}

static LogicalResult convertAbs(NodeContext &node) {
  return finishNumber(
      node, true, [](ScalarBuilder &b, Value x) { return b.create<math::AbsFOp>(x); },
      [](ScalarBuilder &b, Value x) { return b.create<math::AbsIOp>(x); });
}

static LogicalResult convertNeg(NodeContext &node) {
  if (node.in(0).element.isInteger())
    if (std::optional<Shape> list = node.emit.getKnownList(node.in(0))) {
      for (Dim &dim : *list)
        dim = Dim(0) - dim;
      return node.result(Converted::list(*list, node.in(0).shape.empty(), node.in(0).element, node.op.getLoc()));
    }
  return finishNumber(
      node, false, [](ScalarBuilder &b, Value x) { return b.create<arith::NegFOp>(x); },
      [](ScalarBuilder &b, Value x) { return b.create<arith::SubIOp>(b.constantInt(x.getType(), 0), x); });
}

static LogicalResult convertSign(NodeContext &node) {
  bool isUnsigned = node.in(0).element.isUnsignedInteger();
  return finishNumber(
      node, false,
      [](ScalarBuilder &b, Value x) {
        Type type = x.getType();
        Value isNegative = b.compareFloat(arith::CmpFPredicate::OLT, x, b.constant(type, 0));
        Value low = b.create<arith::SelectOp>(isNegative, b.constant(type, -1), b.constant(type, 0));
        return selectPositive(b, x, b.constant(type, 1), low);
      },
      [&](ScalarBuilder &b, Value x) {
        Type type = x.getType();
        Value zero = b.constantInt(type, 0), one = b.constantInt(type, 1);
        if (isUnsigned)
          return b.create<arith::SelectOp>(b.compareInt(arith::CmpIPredicate::ne, x, zero), one, zero);
        return b.create<arith::MinSIOp>(b.create<arith::MaxSIOp>(x, b.constantInt(type, -1)), one);
      });
}

static LogicalResult convertRelu(NodeContext &node) {
  return finishNumber(
      node, true, [](ScalarBuilder &b, Value x) { return b.create<arith::MaximumFOp>(x, b.constant(x.getType(), 0)); },
      [](ScalarBuilder &b, Value x) { return b.create<arith::MaxSIOp>(x, b.constantInt(x.getType(), 0)); });
}

static LogicalResult convertClip(NodeContext &node) {
  Type element = node.in(0).element;
  if (!element.isIntOrFloat() || element.isInteger(1))
    return node.fail("expected a tensor of numbers, but got " + getTypeName(element));
  SmallVector<Converted, 3> inputs{node.in(0)};
  bool bounded[2] = {false, false};
  for (size_t i : {1, 2}) {
    if (!node.has(i))
      continue;
    if (node.in(i).element != element)
      return node.fail("expected input " + Twine(i) + " to be " + getTypeName(element) + ", but got " +
                       getTypeName(node.in(i).element));
    bounded[i - 1] = true;
    inputs.push_back(node.emit.reshape(node.in(i), {}));
  }
  auto body = [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value x = args[0];
    size_t next = 1;
    bool isFloat = isa<FloatType>(element), isUnsigned = element.isUnsignedInteger();
    if (bounded[0]) {
      Value low = args[next++];
      x = isFloat      ? b.create<arith::MaximumFOp>(x, low)
          : isUnsigned ? b.create<arith::MaxUIOp>(x, low)
                       : b.create<arith::MaxSIOp>(x, low);
    }
    if (bounded[1]) {
      Value high = args[next++];
      x = isFloat      ? b.create<arith::MinimumFOp>(x, high)
          : isUnsigned ? b.create<arith::MinUIOp>(x, high)
                       : b.create<arith::MinSIOp>(x, high);
    }
    return x;
  };
  if (isa<FloatType>(element))
    return node.result(node.emit.floatElementwise(inputs, node.in(0).shape, element, body));
  return node.result(node.emit.elementwise(inputs, node.in(0).shape, element, body));
}

//===----------------------------------------------------------------------===//
// To and from other types
//===----------------------------------------------------------------------===//

static Type getElementType(MLIRContext *context, int64_t code) {
  switch (code) {
  case 1:
    return Float32Type::get(context);
  case 2:
    return IntegerType::get(context, 8, IntegerType::Unsigned);
  case 3:
    return IntegerType::get(context, 8);
  case 4:
    return IntegerType::get(context, 16, IntegerType::Unsigned);
  case 5:
    return IntegerType::get(context, 16);
  case 6:
    return IntegerType::get(context, 32);
  case 7:
    return IntegerType::get(context, 64);
  case 9:
    return IntegerType::get(context, 1);
  case 10:
    return Float16Type::get(context);
  case 11:
    return Float64Type::get(context);
  case 12:
    return IntegerType::get(context, 32, IntegerType::Unsigned);
  case 13:
    return IntegerType::get(context, 64, IntegerType::Unsigned);
  case 16:
    return BFloat16Type::get(context);
  default:
    return {};
  }
}

static LogicalResult finishCast(NodeContext &node, Type target) {
  Converted &x = node.in(0);
  auto isSupported = [](Type type) {
    return type.isInteger() || type.isF16() || type.isBF16() || type.isF32() || type.isF64();
  };
  if (!isSupported(x.element) || !isSupported(target))
    return node.fail("a cast from " + getTypeName(x.element) + " to " + getTypeName(target) + " is not supported");
  if (x.element.isInteger() && (target.isSignlessInteger(64) || target.isSignlessInteger(32)))
    if (std::optional<Shape> list = node.emit.getKnownList(x))
      return node.result(Converted::list(*list, x.shape.empty(), target, node.op.getLoc()));
  return node.result(node.emit.cast(x, target));
}

static LogicalResult convertCast(NodeContext &node) {
  node.ignore({"saturate", "round_mode"}); // concern float8 alone
  int64_t code = node.getInt("to", 0);
  Type target = getElementType(node.op.getContext(), code);
  if (!target)
    return node.fail("a cast to type number " + Twine(code) + " is not supported");
  return finishCast(node, target);
}

static LogicalResult convertCastLike(NodeContext &node) {
  node.ignore({"saturate", "round_mode"});
  return finishCast(node, node.in(1).element);
}

static LogicalResult convertNot(NodeContext &node) {
  Converted &x = node.in(0);
  if (!x.element.isInteger(1))
    return node.fail("expected a bool tensor, but got " + getTypeName(x.element));
  SmallVector<Converted, 1> inputs{x};
  return node.result(node.emit.elementwise(inputs, x.shape, x.element, [](ScalarBuilder &b, ArrayRef<Value> args) {
    return b.create<arith::XOrIOp>(args[0], b.constantInt(args[0].getType(), 1));
  }));
}

static LogicalResult convertBitwiseNot(NodeContext &node) {
  Converted &x = node.in(0);
  if (!x.element.isInteger())
    return node.fail("expected an integer tensor, but got " + getTypeName(x.element));
  SmallVector<Converted, 1> inputs{x};
  return node.result(node.emit.elementwise(inputs, x.shape, x.element, [](ScalarBuilder &b, ArrayRef<Value> args) {
    return b.create<arith::XOrIOp>(args[0], b.constantInt(args[0].getType(), -1));
  }));
}

static LogicalResult finishTest(NodeContext &node, function_ref<Value(ScalarBuilder &, Value)> body) {
  if (failed(node.requireFloat(0)))
    return failure();
  Converted &x = node.in(0);
  SmallVector<Converted, 1> inputs{x};
  Type boolean = IntegerType::get(x.element.getContext(), 1);
  return node.result(node.emit.elementwise(inputs, x.shape, boolean, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    return body(b, b.cast(args[0], x.element, getComputeType(x.element)));
  }));
}

static LogicalResult convertIsNaN(NodeContext &node) {
  return finishTest(node, [](ScalarBuilder &b, Value x) { return b.compareFloat(arith::CmpFPredicate::UNO, x, x); });
}

static LogicalResult convertIsInf(NodeContext &node) {
  bool positive = node.getInt("detect_positive", 1) != 0, negative = node.getInt("detect_negative", 1) != 0;
  return finishTest(node, [&](ScalarBuilder &b, Value x) {
    double infinity = std::numeric_limits<double>::infinity();
    if (!positive && !negative)
      return b.constantInt(b.builder.getI1Type(), 0);
    Value tested = positive && negative ? b.create<math::AbsFOp>(x) : x;
    return b.compareFloat(arith::CmpFPredicate::OEQ, tested, b.constant(x.getType(), positive ? infinity : -infinity));
  });
}

static LogicalResult convertIdentity(NodeContext &node) { return node.result(node.in(0)); }

/// In inference: the input. A mask, if wanted, is all true.
static LogicalResult convertDropout(NodeContext &node) {
  node.ignore({"seed", "ratio"});
  if (node.has(2)) {
    std::optional<SmallVector<int64_t>> training = node.emit.getConstantInts(node.in(2));
    if (!training || training->size() != 1 || training->front() != 0)
      return node.fail("expected 'training_mode' (input 2) to be false at compile time: training is not supported");
  }
  if (node.wants(1)) {
    Builder builder(node.op.getContext());
    (void)node.result(1, node.emit.createFilled(node.in(0).shape, builder.getI1Type(), builder.getBoolAttr(true)));
  }
  return node.result(node.in(0));
}

void registerElementwise(HandlerTable &table) {
  table.add("", "Exp", 1, 1, convertMath<math::ExpOp>);
  table.add("", "Log", 1, 1, convertMath<math::LogOp>);
  table.add("", "Sqrt", 1, 1, convertMath<math::SqrtOp>);
  table.add("", "Sin", 1, 1, convertMath<math::SinOp>);
  table.add("", "Cos", 1, 1, convertMath<math::CosOp>);
  table.add("", "Tan", 1, 1, convertMath<math::TanOp>);
  table.add("", "Asin", 1, 1, convertMath<math::AsinOp>);
  table.add("", "Acos", 1, 1, convertMath<math::AcosOp>);
  table.add("", "Atan", 1, 1, convertMath<math::AtanOp>);
  table.add("", "Sinh", 1, 1, convertMath<math::SinhOp>);
  table.add("", "Cosh", 1, 1, convertMath<math::CoshOp>);
  table.add("", "Asinh", 1, 1, convertMath<math::AsinhOp>);
  table.add("", "Acosh", 1, 1, convertMath<math::AcoshOp>);
  table.add("", "Atanh", 1, 1, convertMath<math::AtanhOp>);
  table.add("", "Tanh", 1, 1, convertMath<math::TanhOp>);
  table.add("", "Erf", 1, 1, convertMath<math::ErfOp>);
  table.add("", "Floor", 1, 1, convertMath<math::FloorOp>);
  table.add("", "Ceil", 1, 1, convertMath<math::CeilOp>);
  table.add("", "Round", 1, 1, convertMath<math::RoundEvenOp>);
  table.add("", "Sigmoid", 1, 1, convertFloat<createSigmoid>);
  table.add("", "Softplus", 1, 1, convertFloat<createSoftplus>);
  table.add(
      "", "Reciprocal", 1, 1,
      convertFloat<[](ScalarBuilder &b, Value x) { return b.create<arith::DivFOp>(b.constant(x.getType(), 1), x); }>);
  table.add("", "Softsign", 1, 1, convertFloat<[](ScalarBuilder &b, Value x) {
              return b.create<arith::DivFOp>(
                  x, b.create<arith::AddFOp>(b.create<math::AbsFOp>(x), b.constant(x.getType(), 1)));
            }>);
  table.add("", "Mish", 1, 1, convertFloat<[](ScalarBuilder &b, Value x) {
              return b.create<arith::MulFOp>(x, b.create<math::TanhOp>(createSoftplus(b, x)));
            }>);
  table.add("", "LeakyRelu", 1, 1, convertLeakyRelu);
  table.add("", "Elu", 1, 1, convertElu);
  table.add("", "Selu", 1, 1, convertSelu);
  table.add("", "Celu", 1, 1, convertCelu);
  table.add("", "ThresholdedRelu", 1, 1, convertThresholdedRelu);
  table.add("", "HardSigmoid", 1, 1, convertHardSigmoid);
  table.add("", "HardSwish", 1, 1, convertHardSwish);
  table.add("", "Shrink", 1, 1, convertShrink);
  table.add("", "Gelu", 1, 1, convertGelu);
  table.add("", "Swish", 1, 1, convertSwish);
  table.add("", "PRelu", 2, 2, convertPRelu);
  table.add("com.microsoft", "Gelu", 1, 1, convertFloat<createGelu>);
  table.add("com.microsoft", "QuickGelu", 1, 1, convertQuickGelu);
  table.add("com.microsoft", "FastGelu", 1, 2, convertBiasGelu<createTanhGelu>);
  table.add("com.microsoft", "BiasGelu", 2, 2, convertBiasGelu<createGelu>);
  table.add("", "Abs", 1, 1, convertAbs);
  table.add("", "Neg", 1, 1, convertNeg);
  table.add("", "Sign", 1, 1, convertSign);
  table.add("", "Relu", 1, 1, convertRelu);
  table.add("", "Clip", 1, 3, convertClip);
  table.add("", "Cast", 1, 1, convertCast);
  table.add("", "CastLike", 2, 2, convertCastLike);
  table.add("", "Not", 1, 1, convertNot);
  table.add("", "BitwiseNot", 1, 1, convertBitwiseNot);
  table.add("", "IsNaN", 1, 1, convertIsNaN);
  table.add("", "IsInf", 1, 1, convertIsInf);
  table.add("", "Identity", 1, 1, convertIdentity);
  table.add("", "Dropout", 1, 3, convertDropout);
}

} // namespace msa::onnx

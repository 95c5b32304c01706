// SPDX-License-Identifier: Apache-2.0
//===- ExpandMath.cpp - math ops become what processors have --------------===//
//
//   %y = math.exp %x : vector<16xf32>
//
// becomes the arithmetic of MathFunctions.cpp. f16 and bf16 are storage: an op on them works on f32 and rounds its
// result, and what remains for them are conversions, of which those of bf16 become integer arithmetic. An op with no
// expansion, or with none for its type, is an error here rather than a call at run time.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/MathFunctions.h"
#include "codegen/cpu/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <limits>

using namespace mlir;
using msa::cpu::MathFunctions;

namespace msa::cpu {
#define GEN_PASS_DEF_EXPANDMATH
#include "codegen/cpu/Passes.h.inc"
} // namespace msa::cpu

namespace {

bool isHalf(Type type) { return isa<Float16Type, BFloat16Type>(getElementTypeOrSelf(type)); }

/// `type` with elements of type `element`.
Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

/// Ops that x86-64-v3 has instructions for, or that LLVM expands in line.
bool isNative(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp, math::FloorOp, math::FmaOp, math::RoundEvenOp, math::RoundOp, math::SqrtOp, math::TruncOp, math::IsNaNOp,
             math::IsInfOp, math::IsFiniteOp, math::IsNormalOp>(op);
}

/// Makes an arith or math op on f16 or bf16 one on f32. Conversions and moves stay.
void widenHalf(Operation *op) {
  bool half = llvm::any_of(op->getOperandTypes(), isHalf) || llvm::any_of(op->getResultTypes(), isHalf);
  if (!half || isa<arith::ExtFOp, arith::TruncFOp, arith::ConstantOp, arith::SelectOp, arith::BitcastOp>(op))
    return;
  OpBuilder b(op);
  for (OpOperand &operand : op->getOpOperands())
    if (isHalf(operand.get().getType()))
      operand.set(arith::ExtFOp::create(b, op->getLoc(), withElement(operand.get().getType(), b.getF32Type()), operand.get()));
  b.setInsertionPointAfter(op);
  for (Value result : op->getResults()) {
    Type narrow = result.getType();
    if (!isHalf(narrow))
      continue;
    result.setType(withElement(narrow, b.getF32Type()));
    auto rounded = arith::TruncFOp::create(b, op->getLoc(), narrow, result);
    result.replaceAllUsesExcept(rounded, rounded);
  }
}

/// f64 reaches f16 and bf16 through f32, and the other way round; LLVM would call a function.
void stageConversion(Operation *op) {
  OpBuilder b(op);
  Type f32 = b.getF32Type();
  Type from = getElementTypeOrSelf(op->getOperand(0).getType()), to = getElementTypeOrSelf(op->getResult(0).getType());
  Type between = withElement(op->getOperand(0).getType(), f32);
  if (isa<arith::TruncFOp>(op) && from.isF64() && isHalf(to))
    op->setOperand(0, arith::TruncFOp::create(b, op->getLoc(), between, op->getOperand(0)));
  else if (isa<arith::ExtFOp>(op) && isHalf(from) && to.isF64())
    op->setOperand(0, arith::ExtFOp::create(b, op->getLoc(), between, op->getOperand(0)));
}

/// A select moves bits; LLVM would convert bf16 to f32 and back for one.
void selectBits(Operation *op) {
  if (!isHalf(op->getResult(0).getType()))
    return;
  ImplicitLocOpBuilder b(op->getLoc(), op);
  Type half = op->getResult(0).getType(), bits = withElement(half, b.getI16Type());
  Value chosen = arith::SelectOp::create(b, op->getOperand(0), arith::BitcastOp::create(b, bits, op->getOperand(1)),
                                         arith::BitcastOp::create(b, bits, op->getOperand(2)));
  op->getResult(0).replaceAllUsesWith(arith::BitcastOp::create(b, half, chosen));
  op->erase();
}

/// bf16 is the upper half of f32: rounded to nearest, ties to even, NaN to the quiet one.
void convertBFloat(Operation *op) {
  Type from = op->getOperand(0).getType(), to = op->getResult(0).getType();
  ImplicitLocOpBuilder b(op->getLoc(), op);
  Type i16 = withElement(from, b.getI16Type()), i32 = withElement(from, b.getI32Type());
  auto constant = [&](int32_t value) -> Value {
    if (auto vector = dyn_cast<VectorType>(i32))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, value));
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  };
  Value x = op->getOperand(0), result;
  // Straight from the stored bits: there is no other use for the bf16 value.
  auto bitsOf = [&](Value value) -> Value {
    if (auto cast = value.getDefiningOp<arith::BitcastOp>(); cast && cast.getIn().getType() == i16)
      return cast.getIn();
    return arith::BitcastOp::create(b, i16, value);
  };
  if (isa<arith::ExtFOp>(op) && getElementTypeOrSelf(from).isBF16()) {
    Value wide = arith::ExtUIOp::create(b, i32, bitsOf(x));
    result = arith::BitcastOp::create(b, to, arith::ShLIOp::create(b, wide, constant(16)));
  } else if (isa<arith::TruncFOp>(op) && getElementTypeOrSelf(to).isBF16()) {
    Value bits = arith::BitcastOp::create(b, i32, x);
    Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, bits, constant(16)), constant(1));
    Value rounded = arith::AddIOp::create(b, arith::AddIOp::create(b, bits, constant(0x7FFF)), odd);
    Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
    rounded = arith::SelectOp::create(b, isNaN, constant(0x7FC00000), rounded);
    Value high = arith::TruncIOp::create(b, i16, arith::ShRUIOp::create(b, rounded, constant(16)));
    for (Operation *user : llvm::make_early_inc_range(op->getResult(0).getUsers()))
      if (isa<arith::BitcastOp>(user) && user->getResult(0).getType() == i16) {
        user->getResult(0).replaceAllUsesWith(high);
        user->erase();
      }
    result = arith::BitcastOp::create(b, to, high);
  } else {
    return;
  }
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
}

/// The exponent of a power, where every lane has the same.
std::optional<double> constantExponent(Value value) {
  Attribute attribute;
  if (auto broadcast = value.getDefiningOp<vector::BroadcastOp>())
    return constantExponent(broadcast.getSource());
  if (auto extended = value.getDefiningOp<arith::ExtFOp>())
    return constantExponent(extended.getIn());
  if (!matchPattern(value, m_Constant(&attribute)))
    return std::nullopt;
  if (auto splat = dyn_cast<SplatElementsAttr>(attribute))
    attribute = splat.getSplatValue<Attribute>();
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return number.getValueAsDouble();
  if (auto number = dyn_cast<IntegerAttr>(attribute))
    return static_cast<double>(number.getInt());
  return std::nullopt;
}

Value expandPower(ImplicitLocOpBuilder &b, Value x, Value y) {
  MathFunctions functions(b, x);
  std::optional<double> exponent = constantExponent(y);
  auto square = [&] { return arith::MulFOp::create(b, x, x); };
  if (exponent == 1.0)
    return x;
  if (exponent == 2.0)
    return square();
  if (exponent == 3.0)
    return arith::MulFOp::create(b, square(), x);
  if (isa<IntegerType>(getElementTypeOrSelf(y)))
    y = arith::SIToFPOp::create(b, withElement(x.getType(), b.getF64Type()), y);
  return functions.pow(x, y);
}

Value constantLike(ImplicitLocOpBuilder &b, Type type, TypedAttr element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, Attribute(element)));
  return arith::ConstantOp::create(b, element);
}

/// x to the power of y, signed, by squaring; products wrap. A power with a negative exponent is a fraction, of which the integer
/// part is left: 1 or -1 where x is, else 0 (and 0 for x = 0).
Value expandIntegerPower(ImplicitLocOpBuilder &b, Value x, Value y) {
  auto element = cast<IntegerType>(getElementTypeOrSelf(x));
  auto constant = [&](int64_t value) { return constantLike(b, x.getType(), b.getIntegerAttr(element, value)); };
  auto compare = [&](arith::CmpIPredicate predicate, Value lhs, Value rhs) { return arith::CmpIOp::create(b, predicate, lhs, rhs); };
  Value zero = constant(0), one = constant(1), minusOne = constant(-1);
  Value result = one, square = x;
  for (unsigned bit = 0; bit + 1 < element.getWidth(); ++bit) {
    Value isSet = compare(arith::CmpIPredicate::ne, arith::AndIOp::create(b, y, constant(int64_t(1) << bit)), zero);
    result = arith::SelectOp::create(b, isSet, arith::MulIOp::create(b, result, square), result);
    square = arith::MulIOp::create(b, square, square);
  }
  Value isOdd = compare(arith::CmpIPredicate::ne, arith::AndIOp::create(b, y, one), zero);
  Value ofMinusOne = arith::SelectOp::create(b, isOdd, minusOne, one);
  Value inverse = arith::SelectOp::create(b, compare(arith::CmpIPredicate::eq, x, one), one,
                                          arith::SelectOp::create(b, compare(arith::CmpIPredicate::eq, x, minusOne), ofMinusOne, zero));
  return arith::SelectOp::create(b, compare(arith::CmpIPredicate::slt, y, zero), inverse, result);
}

/// The remainder of x / y with the sign of x, exactly, as C's fmod: f32 in, f32 out.
///
/// Long division in f64, 28 bits of the quotient at a time: each digit times y has at most 52 bits, so every step is exact, but
/// that the quotient may have been rounded up to the next digit. The quotient of two f32 is below 2^277.
Value expandRemainder(ImplicitLocOpBuilder &b, Value x, Value y) {
  Type type = x.getType(), wide = withElement(type, b.getF64Type());
  auto constant = [&](double value) { return constantLike(b, wide, b.getF64FloatAttr(value)); };
  Value infinity = constant(std::numeric_limits<double>::infinity()), zero = constant(0);
  Value divisor = math::AbsFOp::create(b, arith::ExtFOp::create(b, wide, y));
  Value rest = math::AbsFOp::create(b, arith::ExtFOp::create(b, wide, x)), whole = rest;
  for (int digit = 9; digit >= 0; --digit) {
    Value unit = arith::MulFOp::create(b, divisor, constant(std::ldexp(1.0, 28 * digit)));
    Value quotient = math::TruncOp::create(b, arith::DivFOp::create(b, rest, unit));
    rest = math::FmaOp::create(b, arith::NegFOp::create(b, quotient), unit, rest);
    Value tooFar = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, rest, zero);
    rest = arith::SelectOp::create(b, tooFar, arith::AddFOp::create(b, rest, unit), rest);
  }
  // A finite number is its own remainder by infinity.
  Value keeps = arith::AndIOp::create(b, arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, divisor, infinity),
                                      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, whole, infinity));
  rest = arith::SelectOp::create(b, keeps, whole, rest);
  return math::CopySignOp::create(b, arith::TruncFOp::create(b, type, rest), x);
}

/// What `op` computes on f32, or null.
Value expand(ImplicitLocOpBuilder &b, Operation *op) {
  Value x = op->getOperand(0);
  MathFunctions functions(b, x);
  Type element = getElementTypeOrSelf(x);
  if (isa<math::IPowIOp>(op))
    return expandIntegerPower(b, x, op->getOperand(1));
  if (isa<arith::RemFOp>(op))
    return element.isF32() ? expandRemainder(b, x, op->getOperand(1)) : Value();
  if (auto clamp = dyn_cast<math::ClampFOp>(op)) {
    Value low = arith::MaximumFOp::create(b, clamp.getValue(), clamp.getMin());
    return arith::MinimumFOp::create(b, low, clamp.getMax());
  }
  if (element.isF64()) {
    return llvm::TypeSwitch<Operation *, Value>(op)
        .Case([&](math::ExpOp) { return functions.exp64(x); })
        .Case([&](math::LogOp) { return functions.log64(x); })
        .Default([](Operation *) { return Value(); });
  }
  if (!element.isF32())
    return {};
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return functions.exp(x); })
      .Case([&](math::Exp2Op) { return functions.exp2(x); })
      .Case([&](math::ExpM1Op) { return functions.expm1(x); })
      .Case([&](math::LogOp) { return functions.log(x); })
      .Case([&](math::Log2Op) { return functions.log2(x); })
      .Case([&](math::Log10Op) { return functions.log10(x); })
      .Case([&](math::Log1pOp) { return functions.log1p(x); })
      .Case([&](math::TanhOp) { return functions.tanh(x); })
      .Case([&](math::ErfOp) { return functions.erf(x); })
      .Case([&](math::SinOp) { return functions.sin(x); })
      .Case([&](math::CosOp) { return functions.cos(x); })
      .Case([&](math::TanOp) { return functions.tan(x); })
      .Case([&](math::AsinOp) { return functions.asin(x); })
      .Case([&](math::AcosOp) { return functions.acos(x); })
      .Case([&](math::AtanOp) { return functions.atan(x); })
      .Case([&](math::Atan2Op) { return functions.atan2(x, op->getOperand(1)); })
      .Case([&](math::SinhOp) { return functions.sinh(x); })
      .Case([&](math::CoshOp) { return functions.cosh(x); })
      .Case([&](math::AsinhOp) { return functions.asinh(x); })
      .Case([&](math::AcoshOp) { return functions.acosh(x); })
      .Case([&](math::AtanhOp) { return functions.atanh(x); })
      .Case([&](math::RsqrtOp) { return functions.rsqrt(x); })
      .Case<math::PowFOp, math::FPowIOp>([&](Operation *) { return expandPower(b, x, op->getOperand(1)); })
      .Default([](Operation *) { return Value(); });
}

struct ExpandMath : msa::cpu::impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    SmallVector<Operation *> arithmetic;
    getOperation().walk([&](Operation *op) {
      if (isa_and_present<arith::ArithDialect, math::MathDialect>(op->getDialect()))
        arithmetic.push_back(op);
    });
    bool failed = false;
    for (Operation *op : arithmetic) {
      widenHalf(op);
      if (isa<arith::ExtFOp, arith::TruncFOp>(op))
        stageConversion(op);
      if (!isa<arith::RemFOp>(op) && (!isa<math::MathDialect>(op->getDialect()) || isNative(op)))
        continue;
      ImplicitLocOpBuilder b(op->getLoc(), op);
      Value value = expand(b, op);
      if (!value) {
        op->emitOpError("has no expansion for ") << op->getResult(0).getType();
        failed = true;
        continue;
      }
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    }
    if (failed)
      return signalPassFailure();

    // Collected first: what is rewritten takes its neighbours with it.
    SmallVector<Operation *> moves;
    getOperation().walk([&](Operation *op) {
      if (isa<arith::SelectOp, arith::ExtFOp, arith::TruncFOp>(op))
        moves.push_back(op);
    });
    for (Operation *op : moves)
      isa<arith::SelectOp>(op) ? selectBits(op) : convertBFloat(op);

    RewritePatternSet patterns(&getContext());
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace

// SPDX-License-Identifier: Apache-2.0
//===- MathFunctions.cpp - elementary functions as arithmetic -------------===//
//
// Each function reduces its argument to an interval, evaluates a polynomial there, and puts the parts together so that
// the last operation rounds a sum of a large exact part and a small correction. The polynomials are fits of least
// maximal relative error on the interval that stands beside them.
//
// Rounding to an integer adds 1.5 * 2^23, which leaves the integer in the low bits: unlike a conversion it gives no
// poison for NaN.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/MathFunctions.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <numbers>

using namespace mlir;
using msa::cpu::MathFunctions;

static constexpr double pi = std::numbers::pi, ln2 = std::numbers::ln2;

//===--- building blocks ---===//

Type MathFunctions::as(Type element) const {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

static Value splat(ImplicitLocOpBuilder &b, Type type, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, Attribute(value)));
  return arith::ConstantOp::create(b, value);
}

Value MathFunctions::constant(double value, Type element) { return splat(b, as(element), b.getFloatAttr(element, value)); }

Value MathFunctions::i(int64_t value, unsigned bits) {
  Type element = b.getIntegerType(bits);
  return splat(b, as(element), b.getIntegerAttr(element, APInt(bits, value, /*isSigned=*/true, /*implicitTrunc=*/true)));
}

Value MathFunctions::infinity(bool negative) {
  return splat(b, as(b.getF32Type()), b.getFloatAttr(b.getF32Type(), APFloat::getInf(APFloat::IEEEsingle(), negative)));
}

Value MathFunctions::nan() { return splat(b, as(b.getF32Type()), b.getFloatAttr(b.getF32Type(), APFloat::getQNaN(APFloat::IEEEsingle()))); }

Value MathFunctions::clamp(Value x, Value low, Value high) {
  x = select(greater(x, high), high, x);
  return select(less(x, low), low, x);
}

Value MathFunctions::polynomial(Value x, ArrayRef<double> c) {
  Type element = getElementTypeOrSelf(x);
  Value sum = constant(c.back(), element);
  for (double coefficient : llvm::reverse(c.drop_back()))
    sum = fma(sum, x, constant(coefficient, element));
  return sum;
}

Value MathFunctions::power(Value k) {
  Value biased = arith::AddIOp::create(b, k, i(127));
  return bits(arith::ShLIOp::create(b, biased, i(23)), b.getF32Type());
}

Value MathFunctions::scale(Value x, Value k) {
  Value half = arith::ShRSIOp::create(b, k, i(1));
  return mul(mul(x, power(half)), power(arith::SubIOp::create(b, k, half)));
}

std::pair<Value, Value> MathFunctions::nearest(Value x, double factor) {
  Value magic = f(12582912.0);
  Value sum = factor == 1.0 ? add(x, magic) : fma(x, f(factor), magic);
  Value integer = arith::SubIOp::create(b, bits(sum, b.getI32Type()), i(0x4B400000));
  return {sub(sum, magic), integer};
}

//===--- exponentials ---===//

std::tuple<Value, Value, Value> MathFunctions::splitExp(Value x) {
  auto [n, integer] = nearest(x, 1 / ln2);
  Value r = fma(n, f(-0.693145751953125), x);
  r = fma(n, f(-1.42860677e-6), r);
  // (e^r - 1 - r) / r^2 on [-0.35, 0.35]
  Value q = polynomial(r, {0.5, 0.166666672, 0.0416663401, 0.00833327137, 0.00139420596, 0.000199150323});
  return {integer, r, q};
}

Value MathFunctions::expScaled(Value x, int64_t shift) {
  auto [n, r, q] = splitExp(x);
  Value e = add(fma(mul(r, r), q, r), f(1));
  if (shift != 0)
    n = arith::AddIOp::create(b, n, i(shift));
  return scale(e, n);
}

Value MathFunctions::exp(Value x) { return expScaled(clamp(x, f(-104), f(89)), 0); }

Value MathFunctions::exp2(Value x) {
  x = clamp(x, f(-151), f(129));
  auto [n, integer] = nearest(x, 1);
  Value r = sub(x, n);
  // (2^r - 1) / r on [-0.5, 0.5]
  Value q = polynomial(r, {0.693147182, 0.240226507, 0.0555032715, 0.00961800478, 0.00134005502, 0.000154761918});
  return scale(fma(r, q, f(1)), integer);
}

Value MathFunctions::expm1(Value x) {
  // Half of 2^n (e^r - 1) + (2^n - 1), so that n = 128 does not overflow.
  auto [n, r, q] = splitExp(clamp(x, f(-25), f(89)));
  Value e = fma(mul(r, r), q, r);
  Value half = power(arith::SubIOp::create(b, n, i(1)));
  Value result = mul(fma(e, half, sub(half, f(0.5))), f(2));
  return select(less(abs(x), f(1e-8)), x, result);
}

//===--- logarithms ---===//

std::pair<Value, Value> MathFunctions::splitLog(Value x, Value *exponent) {
  Value subnormal = less(x, f(0x1p-126));
  Value normal = select(subnormal, mul(x, f(0x1p23)), x);
  Value representation = bits(normal, b.getI32Type());
  Value e = arith::ShRSIOp::create(b, arith::SubIOp::create(b, representation, i(0x3F3504F3)), i(23));
  Value mantissa = arith::SubIOp::create(b, representation, arith::ShLIOp::create(b, e, i(23)));
  if (exponent)
    *exponent = e;
  e = arith::SubIOp::create(b, e, select(subnormal, i(23), i(0)));
  return {arith::SIToFPOp::create(b, as(b.getF32Type()), e), sub(bits(mantissa, b.getF32Type()), f(1))};
}

Value MathFunctions::logRest(Value fraction) {
  // (log(1 + x) - x + x^2 / 2) / x^3 on [-0.294, 0.415]
  Value p = polynomial(fraction, {0.333333105, -0.250000089, 0.200021669, -0.166680902, 0.142185524, -0.124030873, 0.118935317, -0.116943188, 0.067575112});
  Value square = mul(fraction, fraction);
  return fma(mul(square, fraction), p, mul(square, f(-0.5)));
}

Value MathFunctions::logSpecial(Value x, Value pole, Value result) {
  Value other = select(equal(x, pole), infinity(/*negative=*/true), select(equal(x, infinity()), x, nan()));
  Value ordinary = arith::AndIOp::create(b, greater(x, pole), less(x, infinity()));
  return select(ordinary, result, other);
}

Value MathFunctions::log(Value x) {
  auto [e, fraction] = splitLog(x);
  Value rest = fma(e, f(-2.12194440e-4), logRest(fraction));
  return logSpecial(x, f(0), fma(e, f(0.693359375), add(fraction, rest)));
}

Value MathFunctions::log2(Value x) {
  auto [e, fraction] = splitLog(x);
  Value rest = logRest(fraction);
  Value excess = f(1 / ln2 - 1);
  Value low = fma(rest, excess, fma(fraction, excess, rest));
  return logSpecial(x, f(0), add(add(low, fraction), e));
}

Value MathFunctions::log10(Value x) {
  auto [e, fraction] = splitLog(x);
  Value rest = logRest(fraction);
  // log10(e) and log10(2), each as a short number and its remainder.
  Value sum = mul(add(fraction, rest), f(7.00731903251827651129e-4));
  sum = fma(rest, f(0.43359375), sum);
  sum = fma(e, f(2.48745663981195213739e-4), sum);
  sum = fma(fraction, f(0.43359375), sum);
  return logSpecial(x, f(0), fma(e, f(0.30078125), sum));
}

Value MathFunctions::log1p(Value x) {
  Value exponent, u = add(x, f(1));
  auto [e, fraction] = splitLog(u, &exponent);
  // The fraction of the exact 1 + x. Beyond 2^24 the 1 is lost either way.
  Value inverse = power(arith::SubIOp::create(b, i(0), exponent));
  fraction = select(less(x, f(16777216)), fma(x, inverse, sub(inverse, f(1))), fraction);
  Value rest = fma(e, f(-2.12194440e-4), logRest(fraction));
  Value result = logSpecial(x, f(-1), fma(e, f(0.693359375), add(fraction, rest)));
  return select(less(abs(x), f(1e-8)), x, result);
}

//===--- sigmoids ---===//

Value MathFunctions::tanh(Value x) {
  Value z = mul(x, x);
  // (tanh(x) - x) / x^3 in x^2 on [0, 0.63]
  Value p = polynomial(z, {-0.333332777, 0.133313313, -0.0537300035, 0.0206061676, -0.00566696841});
  Value small = fma(mul(x, z), p, x);
  Value t = abs(x);
  t = select(greater(t, f(10)), f(10), t);
  auto [n, r, q] = splitExp(mul(t, f(2)));
  Value e = mul(add(fma(mul(r, r), q, r), f(1)), power(n));
  Value large = sub(f(1), div(f(2), add(e, f(1))));
  return sign(select(less(abs(x), f(0.625)), small, large), x);
}

Value MathFunctions::erf(Value x) {
  Value z = mul(x, x);
  // erf(x) / x - 1 in x^2 on [0, 0.93]
  Value p = polynomial(z, {0.128379166, -0.376126319, 0.112836875, -0.0268589407, 0.00519990642, -0.000813001185, 8.31677244e-05});
  Value small = fma(x, p, x);
  Value t = abs(x);
  t = select(greater(t, f(4)), f(4), t);
  // -log(1 - erf(t)) / t - 1 on [0.92, 4]
  Value g = polynomial(t, {0.128551751, 0.635625303, 0.105262697, -0.0226741377, 0.00293015735, -4.9586688e-05, -4.55812005e-05, 4.93821608e-06});
  auto [n, r, q] = splitExp(neg(fma(t, g, t)));
  Value e = mul(add(fma(mul(r, r), q, r), f(1)), power(n));
  return select(less(abs(x), f(0.921875)), small, sign(sub(f(1), e), x));
}

//===--- circular functions ---===//

MathFunctions::Reduced MathFunctions::reduceTurns(Value x) {
  // In f64, pi / 2 in two parts leaves no f32 argument below 2^28 with a visible error.
  Value few = less(abs(x), f(0x1p28));
  Value wide = arith::ExtFOp::create(b, as(b.getF64Type()), select(few, x, f(0)));
  Value n = math::RoundEvenOp::create(b, mul(wide, d(2 / pi)));
  Value r = fma(n, d(-1.5707963267948966), wide);
  r = fma(n, d(-6.123233995736766e-17), r);
  Reduced near{arith::TruncFOp::create(b, as(b.getF32Type()), r), arith::FPToSIOp::create(b, as(b.getI32Type()), n)};

  // Larger ones are rare, and dear: leave them out where no lane has one.
  Value any = arith::XOrIOp::create(b, few, i(1, 1));
  if (isa<VectorType>(any.getType()))
    any = vector::ReductionOp::create(b, vector::CombiningKind::OR, any);
  auto branch = scf::IfOp::create(b, TypeRange{near.rest.getType(), near.quarter.getType()}, any, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Reduced far = reduceManyTurns(x);
  scf::YieldOp::create(b, ValueRange{select(few, near.rest, far.rest), select(few, near.quarter, far.quarter)});
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, ValueRange{near.rest, near.quarter});
  return {branch.getResult(0), branch.getResult(1)};
}

/// Payne and Hanek: the 24 bits of the mantissa times those 96 bits of 2 / pi that matter, modulo 4, in integers.
MathFunctions::Reduced MathFunctions::reduceManyTurns(Value x) {
  static constexpr uint32_t twoOverPi[] = {0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB};
  auto shl = [&](Value v, Value by) -> Value { return arith::ShLIOp::create(b, v, by); };
  auto shr = [&](Value v, Value by) -> Value { return arith::ShRUIOp::create(b, v, by); };
  Value representation = bits(abs(x), b.getI32Type());
  Value mantissa = arith::OrIOp::create(b, arith::AndIOp::create(b, representation, i(0x7FFFFF)), i(0x800000));
  mantissa = arith::ExtUIOp::create(b, as(b.getI64Type()), mantissa);
  // x = mantissa 2^e; bits of 2 / pi above 2^(2 - e) only add multiples of 4. 3 <= e - 2 <= 102.
  Value offset = arith::SubIOp::create(b, shr(representation, i(23)), i(152));
  offset = arith::AndIOp::create(b, arith::ExtUIOp::create(b, as(b.getI64Type()), offset), i(127, 64));
  Value word = shr(offset, i(5, 64)), shift = arith::AndIOp::create(b, offset, i(31, 64));
  auto wordAt = [&](unsigned j) {
    Value chosen = i(twoOverPi[j + 3], 64);
    for (int k = 2; k >= 0; --k) {
      Value here = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, word, i(k, 64));
      chosen = select(here, i(twoOverPi[j + k], 64), chosen);
    }
    return chosen;
  };
  Value words[] = {wordAt(0), wordAt(1), wordAt(2), wordAt(3)};
  auto window = [&](unsigned j) {
    Value both = arith::OrIOp::create(b, shl(words[j], i(32, 64)), words[j + 1]);
    return shr(shl(both, shift), i(32, 64));
  };
  Value product = shl(arith::MulIOp::create(b, mantissa, window(0)), i(32, 64));
  product = arith::AddIOp::create(b, product, arith::MulIOp::create(b, mantissa, window(1)));
  product = arith::AddIOp::create(b, product, shr(arith::MulIOp::create(b, mantissa, window(2)), i(32, 64)));
  // product 2^-62 is x (2 / pi) modulo 4.
  Value quarter = shr(arith::AddIOp::create(b, product, i(int64_t(1) << 61, 64)), i(62, 64));
  Value rest = arith::SubIOp::create(b, product, shl(quarter, i(62, 64)));
  Value r = mul(arith::SIToFPOp::create(b, as(b.getF64Type()), rest), d(pi / 2 * 0x1p-62));
  Value negative = less(x, f(0));
  Value q = arith::TruncIOp::create(b, as(b.getI32Type()), quarter);
  Value narrow = arith::TruncFOp::create(b, as(b.getF32Type()), r);
  return {select(negative, neg(narrow), narrow), select(negative, arith::SubIOp::create(b, i(0), q), q)};
}

std::pair<Value, Value> MathFunctions::sineAndCosine(Value r) {
  Value z = mul(r, r);
  // (sin(x) - x) / x^3 and (cos(x) - 1 + x^2 / 2) / x^4, in x^2 on [0, 0.79]
  Value s = polynomial(z, {-0.166666672, 0.00833332911, -0.000198393158, 2.71812178e-06});
  Value c = polynomial(z, {0.0416666679, -0.00138888834, 2.47994994e-05, -2.72084748e-07});
  Value cosine = fma(mul(z, z), c, fma(z, f(-0.5), f(1)));
  return {fma(mul(r, z), s, r), cosine};
}

Value MathFunctions::sineOf(const Reduced &reduced, Quarter shift) {
  auto [s, c] = sineAndCosine(reduced.rest);
  Value quarter = reduced.quarter;
  if (shift == Quarter::Cosine)
    quarter = arith::AddIOp::create(b, quarter, i(1));
  auto bit = [&](int64_t mask) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, arith::AndIOp::create(b, quarter, i(mask)), i(0));
  };
  Value result = select(bit(1), c, s);
  return select(bit(2), neg(result), result);
}

Value MathFunctions::sin(Value x) {
  Value result = select(finite(x), sineOf(reduceTurns(x), Quarter::Sine), nan());
  return select(less(abs(x), f(2e-4)), x, result);
}

Value MathFunctions::cos(Value x) { return select(finite(x), sineOf(reduceTurns(x), Quarter::Cosine), nan()); }

Value MathFunctions::tan(Value x) {
  Reduced reduced = reduceTurns(x);
  auto [s, c] = sineAndCosine(reduced.rest);
  Value odd = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, arith::AndIOp::create(b, reduced.quarter, i(1)), i(0));
  Value result = div(select(odd, neg(c), s), select(odd, s, c));
  return select(less(abs(x), f(2e-4)), x, select(finite(x), result, nan()));
}

Value MathFunctions::atan(Value x) {
  Value t = abs(x);
  Value beyond = greater(t, f(1));
  t = select(beyond, div(f(1), t), t);
  Value z = mul(t, t);
  // (atan(x) - x) / x^3 in x^2 on [0, 1]
  Value p = polynomial(z, {-0.333332986, 0.199985489, -0.142642409, 0.109521814, -0.0840343684, 0.0579573587, -0.0311776139, 0.0109144812, -0.00179359387});
  Value near = fma(mul(t, z), p, t);
  // pi / 2 in two parts.
  Value far = add(sub(f(1.57079637), near), f(-4.37113883e-8));
  return sign(select(beyond, far, near), x);
}

Value MathFunctions::atan2(Value y, Value x) {
  Value ay = abs(y), ax = abs(x);
  Value steep = greater(ay, ax);
  Value larger = select(steep, ay, ax), smaller = select(steep, ax, ay);
  Value ratio = div(smaller, larger);
  ratio = select(equal(larger, f(0)), f(0), ratio);
  Value bothInfinite = arith::AndIOp::create(b, equal(ax, infinity()), equal(ay, infinity()));
  ratio = select(bothInfinite, f(1), ratio);
  Value z = mul(ratio, ratio);
  Value p = polynomial(z, {-0.333332986, 0.199985489, -0.142642409, 0.109521814, -0.0840343684, 0.0579573587, -0.0311776139, 0.0109144812, -0.00179359387});
  Value angle = fma(mul(ratio, z), p, ratio);
  angle = select(steep, add(sub(f(1.57079637), angle), f(-4.37113883e-8)), angle);
  Value left = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, bits(x, b.getI32Type()), i(0));
  angle = select(left, add(sub(f(3.14159274), angle), f(-8.74227766e-8)), angle);
  Value unordered = compare(arith::CmpFPredicate::UNO, x, y);
  return select(unordered, nan(), sign(angle, y));
}

Value MathFunctions::asin(Value x) {
  Value t = abs(x);
  Value outer = greater(t, f(0.5));
  Value z = select(outer, mul(sub(f(1), t), f(0.5)), mul(t, t));
  Value root = select(outer, math::SqrtOp::create(b, z), t);
  // (asin(x) - x) / x^3 in x^2 on [0, 0.5]
  Value p = polynomial(z, {0.166666597, 0.0750050545, 0.0445167087, 0.0318099074, 0.0144298542, 0.0375293568});
  Value inner = fma(mul(root, z), p, root);
  return sign(select(outer, fma(inner, f(-2), f(pi / 2)), inner), x);
}

Value MathFunctions::acos(Value x) {
  Value t = abs(x);
  Value outer = greater(t, f(0.5));
  Value z = select(outer, mul(sub(f(1), t), f(0.5)), mul(t, t));
  Value root = select(outer, math::SqrtOp::create(b, z), t);
  Value p = polynomial(z, {0.166666597, 0.0750050545, 0.0445167087, 0.0318099074, 0.0144298542, 0.0375293568});
  Value inner = fma(mul(root, z), p, root);
  Value negative = less(x, f(0));
  // acos(t) = 2 asin(sqrt((1 - t) / 2)) near 1, pi / 2 - asin(x) elsewhere.
  Value near = mul(inner, f(2));
  Value outside = select(negative, add(sub(f(3.14159274), near), f(-8.74227766e-8)), near);
  Value signedInner = select(negative, neg(inner), inner);
  Value middle = add(sub(f(1.57079637), signedInner), f(-4.37113883e-8));
  return select(outer, outside, middle);
}

//===--- hyperbolic functions ---===//

Value MathFunctions::sinh(Value x) {
  Value z = mul(x, x), t = abs(x);
  // (sinh(x) - x) / x^3 in x^2 on [0, 1]
  Value p = polynomial(z, {0.166666672, 0.0083333496, 0.000198361595, 2.81695134e-06});
  Value small = fma(mul(x, z), p, x);
  Value bounded = select(greater(t, f(90)), f(90), t);
  Value half = expScaled(bounded, -1);
  Value large = sub(half, div(f(0.25), half));
  return select(less(t, f(1)), small, sign(large, x));
}

Value MathFunctions::cosh(Value x) {
  Value t = abs(x);
  Value half = expScaled(select(greater(t, f(90)), f(90), t), -1);
  return add(half, div(f(0.25), half));
}

Value MathFunctions::asinh(Value x) {
  Value t = abs(x), big = greater(t, f(1e4));
  Value s = select(big, f(1), t), square = mul(s, s);
  Value root = math::SqrtOp::create(b, add(square, f(1)));
  // Beyond 10^4, log(2 t).
  Value argument = select(big, sub(t, f(1)), add(s, div(square, add(root, f(1)))));
  Value result = log1p(argument);
  return sign(select(big, add(result, f(ln2)), result), x);
}

Value MathFunctions::acosh(Value x) {
  Value t = sub(x, f(1)), big = greater(t, f(1e4));
  Value s = select(big, f(1), t);
  Value root = math::SqrtOp::create(b, fma(s, s, add(s, s)));
  Value result = log1p(select(big, t, add(s, root)));
  return select(less(x, f(1)), nan(), select(big, add(result, f(ln2)), result));
}

Value MathFunctions::atanh(Value x) {
  Value t = abs(x);
  Value result = mul(log1p(div(add(t, t), sub(f(1), t))), f(0.5));
  return sign(select(greater(t, f(1)), nan(), result), x);
}

//===--- powers ---===//

Value MathFunctions::rsqrt(Value x) { return div(f(1), math::SqrtOp::create(b, x)); }

/// log2 of a positive f64 that is no f64 subnormal, to 2^-40 of it.
Value MathFunctions::log2Of64(Value x) {
  Value representation = bits(x, b.getI64Type());
  Value e = arith::ShRSIOp::create(b, arith::SubIOp::create(b, representation, i(0x3FE6A09E667F3BCD, 64)), i(52, 64));
  Value mantissa = arith::SubIOp::create(b, representation, arith::ShLIOp::create(b, e, i(52, 64)));
  Value fraction = sub(bits(mantissa, b.getF64Type()), d(1));
  Value exponent = arith::SIToFPOp::create(b, as(b.getF64Type()), arith::TruncIOp::create(b, as(b.getI32Type()), e));
  // log2(1 + x) / x on [-0.294, 0.415]
  Value p = polynomial(fraction, {1.4426950408755048, -0.7213475200955651, 0.4808983515982468, -0.36067382671755305, 0.28853862588809054,
                                  -0.24044478222989757, 0.20611072409295228, -0.18047341947020926, 0.16019767886371736, -0.14212004195773556,
                                  0.1300672046454885, -0.13610659558529373, 0.13438409222580955, -0.06974054971493063});
  return fma(fraction, p, exponent);
}

Value MathFunctions::pow(Value x, Value y) {
  if (getElementTypeOrSelf(y).isF32())
    y = arith::ExtFOp::create(b, as(b.getF64Type()), y);
  Value base = abs(x);
  Value wide = arith::ExtFOp::create(b, as(b.getF64Type()), base);
  Value t = mul(y, log2Of64(wide));
  t = clamp(t, d(-200), d(200));
  Value magic = d(0x1.8p52), sum = add(t, magic);
  Value n = arith::SubIOp::create(b, bits(sum, b.getI64Type()), i(0x4338000000000000, 64));
  Value r = sub(t, sub(sum, magic));
  // 2^r on [-0.5, 0.5]
  Value p = polynomial(r, {0.9999999999997574, 0.6931471805463009, 0.24022650698930134, 0.05550410940210785, 0.00961812853565048,
                           0.0013333451218335382, 0.00015403854591589352, 1.5309964158915127e-05, 1.317564554841801e-06});
  Value factor = bits(arith::ShLIOp::create(b, arith::AddIOp::create(b, n, i(1023, 64)), i(52, 64)), b.getF64Type());
  Value result = arith::TruncFOp::create(b, as(b.getF32Type()), mul(p, factor));

  auto both = [&](Value p, Value q) -> Value { return arith::AndIOp::create(b, p, q); };
  Value yNegative = less(y, d(0)), one = f(1);
  Value isOne = equal(base, one), yAbs = abs(y);
  Value infinite64 = splat(b, as(b.getF64Type()), b.getFloatAttr(b.getF64Type(), APFloat::getInf(APFloat::IEEEdouble())));
  result = select(equal(base, f(0)), select(yNegative, infinity(), f(0)), result);
  result = select(equal(base, infinity()), select(yNegative, f(0), infinity()), result);
  result = select(both(isOne, equal(yAbs, infinite64)), one, result);
  result = select(arith::OrIOp::create(b, compare(arith::CmpFPredicate::UNO, x, x), compare(arith::CmpFPredicate::UNO, y, y)), nan(), result);

  // The sign: odd integers keep it, other integers drop it, the rest has no value for a finite negative base.
  Value half = mul(y, d(0.5));
  Value isInteger = equal(math::TruncOp::create(b, y), y), isHalfInteger = equal(math::TruncOp::create(b, half), half);
  Value odd = both(isInteger, arith::XOrIOp::create(b, isHalfInteger, i(1, 1)));
  Value hasSign = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, bits(x, b.getI32Type()), i(0));
  Value none = both(both(less(x, f(0)), less(base, infinity())), arith::XOrIOp::create(b, isInteger, i(1, 1)));
  result = select(both(hasSign, odd), neg(result), select(none, nan(), result));
  result = select(equal(y, d(0)), one, result);
  return select(equal(x, one), one, result);
}

//===--- double precision ---===//

Value MathFunctions::exp64(Value x) {
  x = clamp(x, d(-746), d(710));
  Value magic = d(0x1.8p52), sum = fma(x, d(1 / ln2), magic);
  Value n = sub(sum, magic);
  Value integer = arith::SubIOp::create(b, bits(sum, b.getI64Type()), i(0x4338000000000000, 64));
  Value r = fma(n, d(-0x1.62e42fefa3800p-1), x);
  r = fma(n, d(-0x1.ef35793c76730p-45), r);
  // Taylor's series of (e^r - 1 - r) / r^2 on [-0.35, 0.35]
  SmallVector<double> c;
  double factorial = 2;
  for (int k = 2; k <= 14; ++k) {
    c.push_back(1 / factorial);
    factorial *= k + 1;
  }
  Value e = add(fma(mul(r, r), polynomial(r, c), r), d(1));
  auto power64 = [&](Value k) {
    return bits(arith::ShLIOp::create(b, arith::AddIOp::create(b, k, i(1023, 64)), i(52, 64)), b.getF64Type());
  };
  Value half = arith::ShRSIOp::create(b, integer, i(1, 64));
  return mul(mul(e, power64(half)), power64(arith::SubIOp::create(b, integer, half)));
}

Value MathFunctions::log64(Value x) {
  Value subnormal = less(x, d(0x1p-1022));
  Value normal = select(subnormal, mul(x, d(0x1p52)), x);
  Value representation = bits(normal, b.getI64Type());
  Value e = arith::ShRSIOp::create(b, arith::SubIOp::create(b, representation, i(0x3FE6A09E667F3BCD, 64)), i(52, 64));
  Value mantissa = arith::SubIOp::create(b, representation, arith::ShLIOp::create(b, e, i(52, 64)));
  e = arith::SubIOp::create(b, e, select(subnormal, i(52, 64), i(0, 64)));
  Value k = arith::SIToFPOp::create(b, as(b.getF64Type()), arith::TruncIOp::create(b, as(b.getI32Type()), e));
  Value fraction = sub(bits(mantissa, b.getF64Type()), d(1));
  // log(1 + x) = x - (x^2 / 2 - s (x^2 / 2 + series)), s = x / (2 + x), the series of 2 atanh(s) from s^3 on, |s| < 0.18
  Value s = div(fraction, add(fraction, d(2))), z = mul(s, s);
  SmallVector<double> c;
  for (int j = 1; j <= 11; ++j)
    c.push_back(2.0 / (2 * j + 1));
  Value series = mul(z, polynomial(z, c));
  Value half = mul(mul(fraction, fraction), d(0.5));
  Value low = fma(s, add(half, series), mul(k, d(1.90821492927058770002e-10)));
  Value result = sub(mul(k, d(6.93147180369123816490e-01)), sub(sub(half, low), fraction));

  auto special = [&](APFloat value) { return splat(b, as(b.getF64Type()), b.getFloatAttr(b.getF64Type(), value)); };
  Value positive = special(APFloat::getInf(APFloat::IEEEdouble()));
  Value other = select(equal(x, d(0)), special(APFloat::getInf(APFloat::IEEEdouble(), true)),
                       select(equal(x, positive), x, special(APFloat::getQNaN(APFloat::IEEEdouble()))));
  return select(arith::AndIOp::create(b, greater(x, d(0)), less(x, positive)), result, other);
}

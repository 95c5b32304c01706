// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_CPU_MATHFUNCTIONS_H
#define MSA_CODEGEN_CPU_MATHFUNCTIONS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace msa::cpu {

/// Emits elementary functions as straight-line arithmetic, on an f32 (or f64, where named so) scalar or vector.
///
/// Errors against the exact result, in ulp, over all f32 arguments (test/codegen/math_test.py measures them):
/// exp, exp2, log, tanh, erf, sin, cos and atan stay below 2, the others below 4. Infinities, NaN, signed zeros and subnormals
/// come out as IEEE 754 and C's Annex F say. Nothing is contracted or reordered later: equal arguments give equal
/// results in every lane, loop copy and variant.
class MathFunctions {
public:
  /// `like`: a value of the type to work on.
  MathFunctions(mlir::ImplicitLocOpBuilder &builder, mlir::Value like) : b(builder), type(like.getType()) {}

  mlir::Value exp(mlir::Value x);
  mlir::Value exp2(mlir::Value x);
  mlir::Value expm1(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value log2(mlir::Value x);
  mlir::Value log10(mlir::Value x);
  mlir::Value log1p(mlir::Value x);
  mlir::Value tanh(mlir::Value x);
  mlir::Value erf(mlir::Value x);
  mlir::Value sin(mlir::Value x);
  mlir::Value cos(mlir::Value x);
  mlir::Value tan(mlir::Value x);
  mlir::Value asin(mlir::Value x);
  mlir::Value acos(mlir::Value x);
  mlir::Value atan(mlir::Value x);
  mlir::Value atan2(mlir::Value y, mlir::Value x);
  mlir::Value sinh(mlir::Value x);
  mlir::Value cosh(mlir::Value x);
  mlir::Value asinh(mlir::Value x);
  mlir::Value acosh(mlir::Value x);
  mlir::Value atanh(mlir::Value x);
  mlir::Value rsqrt(mlir::Value x);
  /// x f32; y f32 or f64 (of the same shape).
  mlir::Value pow(mlir::Value x, mlir::Value y);

  mlir::Value exp64(mlir::Value x);
  mlir::Value log64(mlir::Value x);

private:
  enum class Quarter { Sine, Cosine };
  struct Reduced {
    mlir::Value rest;    ///< f32, within a quarter turn's half of 0
    mlir::Value quarter; ///< i32
  };

  /// The working shape with another element type.
  mlir::Type as(mlir::Type element) const;
  mlir::Value constant(double value, mlir::Type element);
  mlir::Value f(double value) { return constant(value, b.getF32Type()); }
  mlir::Value d(double value) { return constant(value, b.getF64Type()); }
  mlir::Value i(int64_t value, unsigned bits = 32);
  mlir::Value infinity(bool negative = false);
  mlir::Value nan();

  mlir::Value add(mlir::Value x, mlir::Value y) { return mlir::arith::AddFOp::create(b, x, y); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return mlir::arith::SubFOp::create(b, x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return mlir::arith::MulFOp::create(b, x, y); }
  mlir::Value div(mlir::Value x, mlir::Value y) { return mlir::arith::DivFOp::create(b, x, y); }
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z) { return mlir::math::FmaOp::create(b, x, y, z); }
  mlir::Value neg(mlir::Value x) { return mlir::arith::NegFOp::create(b, x); }
  mlir::Value abs(mlir::Value x) { return mlir::math::AbsFOp::create(b, x); }
  mlir::Value sign(mlir::Value magnitude, mlir::Value of) { return mlir::math::CopySignOp::create(b, magnitude, of); }
  mlir::Value compare(mlir::arith::CmpFPredicate p, mlir::Value x, mlir::Value y) { return mlir::arith::CmpFOp::create(b, p, x, y); }
  mlir::Value less(mlir::Value x, mlir::Value y) { return compare(mlir::arith::CmpFPredicate::OLT, x, y); }
  mlir::Value greater(mlir::Value x, mlir::Value y) { return compare(mlir::arith::CmpFPredicate::OGT, x, y); }
  mlir::Value equal(mlir::Value x, mlir::Value y) { return compare(mlir::arith::CmpFPredicate::OEQ, x, y); }
  mlir::Value select(mlir::Value c, mlir::Value x, mlir::Value y) { return mlir::arith::SelectOp::create(b, c, x, y); }
  mlir::Value bits(mlir::Value x, mlir::Type element) { return mlir::arith::BitcastOp::create(b, as(element), x); }
  /// `x` within [low, high]; NaN stays.
  mlir::Value clamp(mlir::Value x, mlir::Value low, mlir::Value high);
  /// c[0] + c[1] x + c[2] x^2 + ...
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> c);
  /// 2^k for an integer k that f32 has a normal number for.
  mlir::Value power(mlir::Value k);
  /// x 2^k, rounded once, for -252 <= k <= 254.
  mlir::Value scale(mlir::Value x, mlir::Value k);
  /// The integer nearest to `x factor`, as a float and as i32, without a conversion that NaN could spoil.
  std::pair<mlir::Value, mlir::Value> nearest(mlir::Value x, double factor);
  /// x = n ln 2 + r: n (i32), r and (e^r - 1 - r) / r^2.
  std::tuple<mlir::Value, mlir::Value, mlir::Value> splitExp(mlir::Value x);
  /// exp(x) 2^shift for |x| < 10^4.
  mlir::Value expScaled(mlir::Value x, int64_t shift);
  /// x = 2^e (1 + fraction) with a fraction in [sqrt(1/2) - 1, sqrt(2) - 1]; e as a float. x > 0.
  std::pair<mlir::Value, mlir::Value> splitLog(mlir::Value x, mlir::Value *exponent = nullptr);
  /// log(1 + fraction) - fraction.
  mlir::Value logRest(mlir::Value fraction);
  /// log's values where its argument is not positive and finite.
  mlir::Value logSpecial(mlir::Value x, mlir::Value pole, mlir::Value result);
  mlir::Value log2Of64(mlir::Value x);

  Reduced reduceTurns(mlir::Value x);
  Reduced reduceManyTurns(mlir::Value x);
  std::pair<mlir::Value, mlir::Value> sineAndCosine(mlir::Value rest);
  mlir::Value sineOf(const Reduced &reduced, Quarter shift);
  mlir::Value finite(mlir::Value x) { return less(abs(x), infinity()); }

  mlir::ImplicitLocOpBuilder &b;
  mlir::Type type;
};

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_MATHFUNCTIONS_H

// SPDX-License-Identifier: Apache-2.0
//
// Floating-point arithmetic in round-to-nearest, and the decoders of opcodes that integers share. Other roundings: FloatRounded.cpp.

#include "Decode.h"
#include "FloatMath.h"
#include "FloatRounded.h"
#include "IntegerDecoders.h"
#include "Lanes.h"

namespace ptxemu {

namespace {

//===--------------------------------------------------------------------===//
// Operations
//===--------------------------------------------------------------------===//

struct Add { template <typename T> static T apply(T a, T b) { return a + b; } };
struct Sub { template <typename T> static T apply(T a, T b) { return a - b; } };
struct Mul { template <typename T> static T apply(T a, T b) { return a * b; } };
struct Div { template <typename T> static T apply(T a, T b) { return a / b; } };
struct Min { template <typename T> static T apply(T a, T b) { return minimum(a, b); } };
struct Max { template <typename T> static T apply(T a, T b) { return maximum(a, b); } };
struct MinNan { template <typename T> static T apply(T a, T b) { return a != a || b != b ? nanOf<T>() : minimum(a, b); } };
struct MaxNan { template <typename T> static T apply(T a, T b) { return a != a || b != b ? nanOf<T>() : maximum(a, b); } };
struct Fma { template <typename T> static T apply(T a, T b, T c) { return std::fma(a, b, c); } };
template <typename Inner> struct XorSignAbs {
  template <typename T> static T apply(T a, T b) {
    T magnitude = Inner::apply(std::fabs(a), std::fabs(b));
    return std::signbit(a) != std::signbit(b) ? -magnitude : magnitude;
  }
};
struct Abs { template <typename T> static T apply(T a) { return std::fabs(a); } };
struct Neg { template <typename T> static T apply(T a) { return -a; } };
struct Sqrt { template <typename T> static T apply(T a) { return std::sqrt(a); } };
struct Rcp { template <typename T> static T apply(T a) { return T(1) / a; } };
struct Rsqrt { template <typename T> static T apply(T a) { return T(1) / std::sqrt(a); } };
struct Sin { static float apply(float a) { return std::sin(a); } };
struct Cos { static float apply(float a) { return std::cos(a); } };
struct Lg2 { static float apply(float a) { return std::log2(a); } };
struct Ex2 { static float apply(float a) { return exp2Approximate(a); } };
struct Tanh { static float apply(float a) { return std::tanh(a); } };
struct Copysign { template <typename T> static T apply(T a, T b) { return std::copysign(b, a); } };

/// What is done to operands and results of f32.
enum Treatment : uint8_t { Plain = 0, Ftz = 1, Sat = 2, FtzSat = 3 };
template <int treatment> inline float in(float x) { return treatment & Ftz ? flushed(x) : x; }
template <int treatment, typename T> inline T out(T x) {
  if constexpr (std::is_same_v<T, float>)
    if (treatment & Ftz)
      x = flushed(x);
  return treatment & Sat ? saturated(x) : x;
}

template <typename Op, int treatment> struct Treated {
  static float apply(float a) { return out<treatment>(Op::apply(in<treatment>(a))); }
  static float apply(float a, float b) { return out<treatment>(Op::apply(in<treatment>(a), in<treatment>(b))); }
  static float apply(float a, float b, float c) {
    return out<treatment>(Op::apply(in<treatment>(a), in<treatment>(b), in<treatment>(c)));
  }
};

/// 16-bit floats through float. `relu` and saturation apply to the result.
enum After : uint8_t { Nothing = 0, Saturate = 1, Relu = 2 };
template <int after> inline float afterSmall(float x) {
  if (after == Saturate)
    return saturated(x);
  if (after == Relu)
    return x != x ? x : x > 0 ? x : 0.0f;
  return x;
}
template <typename Format, typename Op, int after> struct Small {
  static uint16_t apply(uint16_t a) { return Format::save(Op::apply(Format::load(a))); }
  static uint16_t apply(uint16_t a, uint16_t b) { return Format::save(afterSmall<after>(Op::apply(Format::load(a), Format::load(b)))); }
  static uint16_t apply(uint16_t a, uint16_t b, uint16_t c) {
    return Format::save(afterSmall<after>(fusedSmall<Format>(Format::load(a), Format::load(b), Format::load(c))));
  }
};
/// Two of them in 32 bits.
template <typename One> struct Packed {
  static uint32_t apply(uint32_t a) { return uint32_t(One::apply(uint16_t(a >> 16))) << 16 | One::apply(uint16_t(a)); }
  static uint32_t apply(uint32_t a, uint32_t b) {
    return uint32_t(One::apply(uint16_t(a >> 16), uint16_t(b >> 16))) << 16 | One::apply(uint16_t(a), uint16_t(b));
  }
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    return uint32_t(One::apply(uint16_t(a >> 16), uint16_t(b >> 16), uint16_t(c >> 16))) << 16 |
           One::apply(uint16_t(a), uint16_t(b), uint16_t(c));
  }
};
/// Signs of 16-bit floats, which conversions would not keep for NaN.
template <uint32_t keep, uint32_t flip> struct SignBits {
  static uint32_t apply(uint32_t a) { return (a & keep) ^ flip; }
};

//===--------------------------------------------------------------------===//
// Choosing handlers
//===--------------------------------------------------------------------===//

template <typename Op, int arity, int treatment> constexpr Handler floatHandler() {
  using T = Treated<Op, treatment>;
  if constexpr (arity == 1)
    return unary<float, float, T>;
  else if constexpr (arity == 2)
    return binary<float, T>;
  else
    return ternary<float, float, float, float, T>;
}
template <typename Op, int arity, bool allowSat> Handler chooseFloat(bool ftz, bool sat) {
  if constexpr (allowSat) {
    if (sat)
      return ftz ? floatHandler<Op, arity, FtzSat>() : floatHandler<Op, arity, Sat>();
  }
  return ftz ? floatHandler<Op, arity, Ftz>() : floatHandler<Op, arity, Plain>();
}

template <typename One, int arity> constexpr Handler smallHandler(bool packed) {
  if constexpr (arity == 1)
    return packed ? unary<uint32_t, uint32_t, Packed<One>> : unary<uint16_t, uint16_t, One>;
  else if constexpr (arity == 2)
    return packed ? binary<uint32_t, Packed<One>> : binary<uint16_t, One>;
  else
    return packed ? ternary<uint32_t, uint32_t, uint32_t, uint32_t, Packed<One>>
                  : ternary<uint16_t, uint16_t, uint16_t, uint16_t, One>;
}
template <typename Op, int arity, int after> Handler chooseSmall(Type type) {
  bool half = type == Type::F16 || type == Type::F16x2, packed = type == Type::F16x2 || type == Type::BF16x2;
  return half ? smallHandler<Small<Float16Format, Op, after>, arity>(packed) : smallHandler<Small<Bfloat16Format, Op, after>, arity>(packed);
}
template <typename Op, int arity> Handler chooseSmall(Type type, bool sat, bool relu) {
  if constexpr (arity == 1)
    return chooseSmall<Op, arity, Nothing>(type);
  else
    return sat ? chooseSmall<Op, arity, Saturate>(type) : relu ? chooseSmall<Op, arity, Relu>(type) : chooseSmall<Op, arity, Nothing>(type);
}

bool isSmall(Type type) { return type == Type::F16 || type == Type::F16x2 || type == Type::BF16 || type == Type::BF16x2; }
bool isFloatKind(Type type) { return type == Type::F32 || type == Type::F64 || isSmall(type); }

void sourcesAndResult(Decoding &d, Type type, size_t sources) {
  d.expectOperands(sources + 1, sources + 1);
  for (size_t i = 1; i <= sources; ++i)
    d.insn.slots[i] = d.read(i, type);
  d.insn.slots[0] = d.write(0, type);
}

[[noreturn]] void refuse(Decoding &d, Type type) { d.fail("type ." + std::string(typeName(type)) + " is not supported"); }

int takeRounding(Decoding &d) { return d.takeOneOf({"rn", "rz", "rm", "rp"}); }

template <typename Op> void arithmetic(Decoding &d, Type type, RoundedOperation rounded, size_t sources) {
  constexpr int arity = std::is_same_v<Op, Fma> ? 3 : 2;
  int rounding = takeRounding(d);
  bool ftz = d.take("ftz"), sat = d.take("sat"), relu = std::is_same_v<Op, Fma> && d.take("relu");
  if (rounding > 0) {
    if (type != Type::F32 && type != Type::F64)
      d.fail("this rounding needs .f32 or .f64");
    d.insn.a = uint8_t(rounding);
    d.insn.b = uint8_t(ftz | sat << 1);
    d.insn.c = uint8_t(rounded);
    d.insn.handler = type == Type::F32 ? roundedFloat : roundedDouble;
  } else if (type == Type::F32) {
    d.insn.handler = chooseFloat<Op, arity, true>(ftz, sat);
  } else if (type == Type::F64) {
    if constexpr (arity == 3)
      d.insn.handler = ternary<double, double, double, double, Op>;
    else
      d.insn.handler = binary<double, Op>;
  } else if (isSmall(type)) {
    d.insn.handler = chooseSmall<Op, arity>(type, sat, relu);
  } else {
    refuse(d, type);
  }
  sourcesAndResult(d, type, sources);
}

template <typename Op, typename WithNan> void minMax(Decoding &d, Type type) {
  bool ftz = d.take("ftz"), nan = d.take("NaN"), xorsign = d.take("xorsign");
  if (xorsign && !d.take("abs"))
    d.fail("expected .xorsign.abs");
  auto choose = [&]<typename Chosen>() -> Handler {
    if (type == Type::F32)
      return chooseFloat<Chosen, 2, false>(ftz, false);
    if (type == Type::F64)
      return binary<double, Chosen>;
    if (isSmall(type))
      return chooseSmall<Chosen, 2, Nothing>(type);
    refuse(d, type);
  };
  if (xorsign)
    d.insn.handler = nan ? choose.template operator()<XorSignAbs<WithNan>>() : choose.template operator()<XorSignAbs<Op>>();
  else
    d.insn.handler = nan ? choose.template operator()<WithNan>() : choose.template operator()<Op>();
  sourcesAndResult(d, type, 2);
}

template <typename Op> void signOperation(Decoding &d, Type type, bool isAbs) {
  bool ftz = d.take("ftz");
  if (type == Type::F32)
    d.insn.handler = chooseFloat<Op, 1, false>(ftz, false);
  else if (type == Type::F64)
    d.insn.handler = unary<double, double, Op>;
  else if (type == Type::F16 || type == Type::BF16)
    d.insn.handler = isAbs ? unary<uint32_t, uint32_t, SignBits<0x7fff, 0>> : unary<uint32_t, uint32_t, SignBits<0xffff, 0x8000>>;
  else if (type == Type::F16x2 || type == Type::BF16x2)
    d.insn.handler = isAbs ? unary<uint32_t, uint32_t, SignBits<0x7fff7fff, 0>> : unary<uint32_t, uint32_t, SignBits<~0u, 0x80008000>>;
  else
    refuse(d, type);
  sourcesAndResult(d, type, 1);
}

/// rcp, sqrt: .approx or a rounding.
template <typename Op> void rootOrReciprocal(Decoding &d, RoundedOperation rounded) {
  bool approximate = d.take("approx");
  int rounding = takeRounding(d);
  if (!approximate && rounding < 0)
    d.fail("expected .approx or a rounding");
  bool ftz = d.take("ftz");
  Type type = d.takeType();
  if (rounding > 0) {
    d.insn.a = uint8_t(rounding);
    d.insn.b = ftz;
    d.insn.c = uint8_t(rounded);
    d.insn.handler = type == Type::F32 ? roundedFloat : type == Type::F64 ? roundedDouble : nullptr;
  } else {
    d.insn.handler = type == Type::F32 ? chooseFloat<Op, 1, false>(ftz, false) : type == Type::F64 ? unary<double, double, Op> : nullptr;
  }
  if (!d.insn.handler)
    refuse(d, type);
  sourcesAndResult(d, type, 1);
}

/// Functions that exist as approximations only.
template <typename Op> void approximation(Decoding &d, bool small, bool wide) {
  if (!d.take("approx"))
    d.fail("expected .approx");
  bool ftz = d.take("ftz");
  Type type = d.takeType();
  if (type == Type::F32) {
    d.insn.handler = chooseFloat<Op, 1, false>(ftz, false);
  } else if (small && isSmall(type)) {
    d.insn.handler = chooseSmall<Op, 1>(type, false, false);
  } else if (wide && type == Type::F64) {
    if constexpr (std::is_same_v<Op, Rsqrt>)
      d.insn.handler = unary<double, double, Op>;
  }
  if (!d.insn.handler)
    refuse(d, type);
  sourcesAndResult(d, type, 1);
}

} // namespace

void addFloatDecoders(DecoderTable &table) {
  table["add"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? arithmetic<Add>(d, type, RoundedOperation::Add, 2) : decodeIntegerAddSub(d, type, false);
  };
  table["sub"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? arithmetic<Sub>(d, type, RoundedOperation::Sub, 2) : decodeIntegerAddSub(d, type, true);
  };
  table["mul"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? arithmetic<Mul>(d, type, RoundedOperation::Mul, 2) : decodeIntegerMul(d, type);
  };
  table["fma"] = [](Decoding &d) { arithmetic<Fma>(d, d.takeType(), RoundedOperation::Fma, 3); };
  table["mad"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? arithmetic<Fma>(d, type, RoundedOperation::Fma, 3) : decodeIntegerMad(d, type, false);
  };
  table["div"] = [](Decoding &d) {
    bool loose = d.takeOneOf({"approx", "full"}) >= 0;
    Type type = d.takeType();
    if (!isFloatKind(type))
      return decodeIntegerDiv(d, type);
    if (!loose && !d.has("rn") && !d.has("rz") && !d.has("rm") && !d.has("rp"))
      d.fail("expected .approx, .full or a rounding");
    if (isSmall(type))
      refuse(d, type);
    arithmetic<Div>(d, type, RoundedOperation::Div, 2);
  };
  table["min"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? minMax<Min, MinNan>(d, type) : decodeIntegerMinMax(d, type, false);
  };
  table["max"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? minMax<Max, MaxNan>(d, type) : decodeIntegerMinMax(d, type, true);
  };
  table["abs"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? signOperation<Abs>(d, type, true) : decodeIntegerAbs(d, type);
  };
  table["neg"] = [](Decoding &d) {
    Type type = d.takeType();
    isFloatKind(type) ? signOperation<Neg>(d, type, false) : decodeIntegerNeg(d, type);
  };
  table["copysign"] = [](Decoding &d) {
    Type type = d.takeType();
    d.insn.handler = type == Type::F32 ? binary<float, Copysign> : type == Type::F64 ? binary<double, Copysign> : nullptr;
    if (!d.insn.handler)
      refuse(d, type);
    sourcesAndResult(d, type, 2);
  };
  table["sqrt"] = [](Decoding &d) { rootOrReciprocal<Sqrt>(d, RoundedOperation::Sqrt); };
  table["rcp"] = [](Decoding &d) { rootOrReciprocal<Rcp>(d, RoundedOperation::Rcp); };
  table["rsqrt"] = [](Decoding &d) { approximation<Rsqrt>(d, false, true); };
  table["sin"] = [](Decoding &d) { approximation<Sin>(d, false, false); };
  table["cos"] = [](Decoding &d) { approximation<Cos>(d, false, false); };
  table["lg2"] = [](Decoding &d) { approximation<Lg2>(d, false, false); };
  table["ex2"] = [](Decoding &d) { approximation<Ex2>(d, true, false); };
  table["tanh"] = [](Decoding &d) { approximation<Tanh>(d, true, false); };
}

} // namespace ptxemu

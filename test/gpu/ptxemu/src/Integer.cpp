// SPDX-License-Identifier: Apache-2.0
//
// Integer arithmetic, logic and shifts.

#include "IntegerOperands.h"
#include <limits>

namespace ptxemu {

namespace {

//===--------------------------------------------------------------------===//
// Operations
//===--------------------------------------------------------------------===//

struct Add { template <typename T> static T apply(T a, T b) { return T(U<T>(a) + U<T>(b)); } };
struct Sub { template <typename T> static T apply(T a, T b) { return T(U<T>(a) - U<T>(b)); } };
struct Mul { template <typename T> static T apply(T a, T b) { return T(uint64_t(a) * uint64_t(b)); } };
struct MulHigh { template <typename T> static T apply(T a, T b) { return T((Wider<T>(a) * Wider<T>(b)) >> (8 * sizeof(T))); } };
struct Min { template <typename T> static T apply(T a, T b) { return a < b ? a : b; } };
struct Max { template <typename T> static T apply(T a, T b) { return a > b ? a : b; } };
struct MinRelu { template <typename T> static T apply(T a, T b) { return std::max<T>(std::min(a, b), 0); } };
struct MaxRelu { template <typename T> static T apply(T a, T b) { return std::max<T>(std::max(a, b), 0); } };
// Division by zero gives what GPUs give: all ones, and the dividend as remainder.
struct Div {
  template <typename T> static T apply(T a, T b) {
    if (b == 0)
      return T(~U<T>(0));
    if (std::is_signed_v<T> && b == T(-1))
      return T(0 - U<T>(a));
    return T(a / b);
  }
};
struct Rem {
  template <typename T> static T apply(T a, T b) {
    if (b == 0)
      return a;
    return std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b);
  }
};
struct And { template <typename T> static T apply(T a, T b) { return T(a & b); } };
struct Or { template <typename T> static T apply(T a, T b) { return T(a | b); } };
struct Xor { template <typename T> static T apply(T a, T b) { return T(a ^ b); } };
struct Not { template <typename T> static T apply(T a) { return T(~a); } };
struct Cnot { template <typename T> static T apply(T a) { return T(a == 0); } };
struct Neg { template <typename T> static T apply(T a) { return T(0 - U<T>(a)); } };
struct Abs { template <typename T> static T apply(T a) { return a < 0 ? T(0 - U<T>(a)) : a; } };
struct Shl { template <typename T> static T apply(T a, uint32_t b) { return b >= 8 * sizeof(T) ? T(0) : T(U<T>(a) << b); } };
struct Shr {
  template <typename T> static T apply(T a, uint32_t b) {
    if (b >= 8 * sizeof(T))
      return T(a < 0 ? -1 : 0);
    return T(a >> b);
  }
};
struct Sad { template <typename T> static T apply(T a, T b, T c) { return T(U<T>(c) + (a < b ? U<T>(b) - U<T>(a) : U<T>(a) - U<T>(b))); } };
struct AddSat { static int32_t apply(int32_t a, int32_t b) { return int32_t(std::clamp<int64_t>(int64_t(a) + b, INT32_MIN, INT32_MAX)); } };
struct SubSat { static int32_t apply(int32_t a, int32_t b) { return int32_t(std::clamp<int64_t>(int64_t(a) - b, INT32_MIN, INT32_MAX)); } };
struct MadLow { template <typename T> static T apply(T a, T b, T c) { return T(uint64_t(a) * uint64_t(b) + uint64_t(c)); } };
struct MadHigh { template <typename T> static T apply(T a, T b, T c) { return T(U<T>(MulHigh::apply(a, b)) + U<T>(c)); } };
struct MadHighSat {
  static int32_t apply(int32_t a, int32_t b, int32_t c) {
    return int32_t(std::clamp<int64_t>((int64_t(a) * b >> 32) + c, INT32_MIN, INT32_MAX));
  }
};
struct Mul24 { template <typename T> static T cut(T a) { return std::is_signed_v<T> ? T(int32_t(uint32_t(a) << 8) >> 8) : T(uint32_t(a) & 0xffffff); } };
struct Mul24Low { template <typename T> static T apply(T a, T b) { return T(int64_t(Mul24::cut(a)) * int64_t(Mul24::cut(b))); } };
struct Mul24High { template <typename T> static T apply(T a, T b) { return T(int64_t(Mul24::cut(a)) * int64_t(Mul24::cut(b)) >> 16); } };
struct Mad24Low { template <typename T> static T apply(T a, T b, T c) { return T(Mul24Low::apply(a, b) + U<T>(c)); } };
struct Mad24High { template <typename T> static T apply(T a, T b, T c) { return T(Mul24High::apply(a, b) + U<T>(c)); } };

/// Two 16-bit halves.
template <typename T, typename Op> struct Halves {
  static uint32_t apply(uint32_t a, uint32_t b) {
    uint16_t low = uint16_t(Op::apply(T(a), T(b))), high = uint16_t(Op::apply(T(a >> 16), T(b >> 16)));
    return uint32_t(high) << 16 | low;
  }
};

/// Extended precision. slots[4]: the carry predicate; a: 0 add, 1 subtract, 2 multiply-add (high part if b); c: reads the carry; d: writes it.
template <typename T> Step withCarry(Warp &warp, const Insn &insn, uint32_t mask) {
  const T *a = warp.lanes<T>(insn.slots[1]), *b = warp.lanes<T>(insn.slots[2]);
  const T *third = insn.a == 2 ? warp.lanes<T>(insn.slots[3]) : nullptr;
  uint32_t carryIn = insn.c ? warp.predicate(insn.slots[4]) : 0, carryOut = 0;
  T t[32];
  for (uint32_t l = 0; l < 32; ++l) {
    unsigned __int128 sum;
    uint32_t carry = carryIn >> l & 1;
    if (insn.a == 1) {
      sum = (unsigned __int128)a[l] - b[l] - carry;
    } else if (insn.a == 0) {
      sum = (unsigned __int128)a[l] + b[l] + carry;
    } else {
      using Signed = std::make_signed_t<T>;
      T product = insn.b == 0                 ? T(a[l] * b[l])
                  : isSigned(insn.type) ? T(MulHigh::apply(Signed(a[l]), Signed(b[l])))
                                              : MulHigh::apply(a[l], b[l]);
      sum = (unsigned __int128)product + third[l] + carry;
    }
    t[l] = T(sum);
    carryOut |= uint32_t(sum >> (8 * sizeof(T)) & 1) << l;
  }
  store(warp.lanes<T>(insn.slots[0]), t, mask);
  if (insn.d) {
    uint32_t &flag = warp.predicate(insn.slots[4]);
    flag = (flag & ~mask) | (carryOut & mask);
  }
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Choosing handlers
//===--------------------------------------------------------------------===//

template <typename Op> struct Shift { template <typename T> struct For { static constexpr Handler handler = mixedBinary<T, T, uint32_t, Op>; }; };
template <typename Op> struct Ternary { template <typename T> struct For { static constexpr Handler handler = ternary<T, T, T, T, Op>; }; };

struct MulWideOp { template <typename T> static Wider<T> apply(T a, T b) { return Wider<T>(a) * Wider<T>(b); } };
struct MadWideOp { template <typename T, typename W> static W apply(T a, T b, W c) { return W(std::make_unsigned_t<W>(W(a) * W(b)) + std::make_unsigned_t<W>(c)); } };

Handler mulWide(Type type) {
  switch (type) {
  case Type::U16: return mixedBinary<uint32_t, uint16_t, uint16_t, MulWideOp>;
  case Type::S16: return mixedBinary<int32_t, int16_t, int16_t, MulWideOp>;
  case Type::U32: return mixedBinary<uint64_t, uint32_t, uint32_t, MulWideOp>;
  case Type::S32: return mixedBinary<int64_t, int32_t, int32_t, MulWideOp>;
  default: return nullptr;
  }
}
Handler madWide(Type type) {
  switch (type) {
  case Type::U16: return ternary<uint32_t, uint16_t, uint16_t, uint32_t, MadWideOp>;
  case Type::S16: return ternary<int32_t, int16_t, int16_t, int32_t, MadWideOp>;
  case Type::U32: return ternary<uint64_t, uint32_t, uint32_t, uint64_t, MadWideOp>;
  case Type::S32: return ternary<int64_t, int32_t, int32_t, int64_t, MadWideOp>;
  default: return nullptr;
  }
}
template <typename Op> Handler halves(Type type) {
  return type == Type::U16x2 ? binary<uint32_t, Halves<uint16_t, Op>> : type == Type::S16x2 ? binary<uint32_t, Halves<int16_t, Op>> : nullptr;
}

/// The carry flag of the extended-precision instructions is a predicate of its own.
void carryOperands(Decoding &d, Type type, int operation, bool reads, bool writes) {
  d.insn.type = type;
  d.insn.a = uint8_t(operation);
  d.insn.c = reads;
  d.insn.d = writes;
  plainOperands(d, type, operation == 2 ? 3 : 2);
  d.insn.slots[4] = d.builder.carryFlag();
  if (typeBytes(type) < 4)
    d.fail("the carry forms need 32 or 64 bits");
  d.insn.handler = typeBytes(type) == 8 ? withCarry<uint64_t> : withCarry<uint32_t>;
}

} // namespace

//===--------------------------------------------------------------------===//
// Decoders. Those whose opcode floats share are called by Float.cpp.
//===--------------------------------------------------------------------===//

void decodeIntegerAddSub(Decoding &d, Type type, bool subtract) {
  bool carry = d.take("cc");
  if (carry)
    return carryOperands(d, type, subtract, false, true);
  Handler handler;
  if (d.take("sat")) {
    handler = type == Type::S32 ? (subtract ? binary<int32_t, SubSat> : binary<int32_t, AddSat>) : nullptr;
  } else if (type == Type::U16x2 || type == Type::S16x2) {
    handler = subtract ? halves<Sub>(type) : halves<Add>(type);
  } else {
    handler = subtract ? forInteger<Binary<Sub>::For>(type) : forInteger<Binary<Add>::For>(type);
  }
  require(d, handler, type);
  plainOperands(d, type, 2);
}

void decodeIntegerMinMax(Decoding &d, Type type, bool isMax) {
  bool relu = d.take("relu");
  Handler handler;
  if (type == Type::U16x2 || type == Type::S16x2)
    handler = relu ? (isMax ? halves<MaxRelu>(type) : halves<MinRelu>(type)) : (isMax ? halves<Max>(type) : halves<Min>(type));
  else if (relu)
    handler = type == Type::S32 ? (isMax ? binary<int32_t, MaxRelu> : binary<int32_t, MinRelu>) : nullptr;
  else
    handler = isMax ? forInteger<Binary<Max>::For>(type) : forInteger<Binary<Min>::For>(type);
  require(d, handler, type);
  plainOperands(d, type, 2);
}

void decodeIntegerMul(Decoding &d, Type type) {
  int part = d.takeOneOf({"lo", "hi", "wide"});
  if (part < 0)
    d.fail("expected .lo, .hi or .wide");
  Handler handler = part == 0 ? forInteger<Binary<Mul>::For>(type) : part == 1 ? forInteger<Binary<MulHigh>::For>(type) : mulWide(type);
  require(d, handler, type);
  d.expectOperands(3, 3);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, type);
  Type result = part < 2 ? type : typeBytes(type) == 4 ? Type::B64 : Type::B32;
  d.insn.slots[0] = d.write(0, result);
}

void decodeIntegerMad(Decoding &d, Type type, bool carryIn) {
  int part = d.takeOneOf({"lo", "hi", "wide"});
  if (part < 0)
    d.fail("expected .lo, .hi or .wide");
  bool carryOut = d.take("cc");
  if (carryIn || carryOut) {
    if (part == 2)
      d.fail("the carry forms need .lo or .hi");
    d.insn.b = uint8_t(part);
    return carryOperands(d, type, 2, carryIn, carryOut);
  }
  bool saturate = d.take("sat");
  Handler handler = saturate     ? (part == 1 && type == Type::S32 ? ternary<int32_t, int32_t, int32_t, int32_t, MadHighSat> : nullptr)
                    : part == 0 ? forInteger<Ternary<MadLow>::For>(type)
                    : part == 1 ? forInteger<Ternary<MadHigh>::For>(type)
                                 : madWide(type);
  require(d, handler, type);
  d.expectOperands(4, 4);
  Type result = part < 2 ? type : typeBytes(type) == 4 ? Type::B64 : Type::B32;
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, type);
  d.insn.slots[3] = d.read(3, result);
  d.insn.slots[0] = d.write(0, result);
}

void decodeIntegerDiv(Decoding &d, Type type) {
  require(d, forInteger<Binary<Div>::For>(type), type);
  plainOperands(d, type, 2);
}
void decodeIntegerAbs(Decoding &d, Type type) {
  require(d, forInteger<Unary<Abs>::For>(type), type);
  plainOperands(d, type, 1);
}
void decodeIntegerNeg(Decoding &d, Type type) {
  require(d, forInteger<Unary<Neg>::For>(type), type);
  plainOperands(d, type, 1);
}

/// Predicates take part in and, or, xor, not. a: operation; b, c: negations of the sources.
static Step predicateLogic(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t a = warp.predicate(insn.slots[1]) ^ (insn.b ? ~0u : 0);
  uint32_t b = insn.slots[2] == noSlot ? 0 : warp.predicate(insn.slots[2]) ^ (insn.c ? ~0u : 0);
  uint32_t result = insn.a == 0 ? (a & b) : insn.a == 1 ? (a | b) : insn.a == 2 ? (a ^ b) : insn.a == 3 ? ~a : a;
  uint32_t &d = warp.predicate(insn.slots[0]);
  d = (d & ~mask) | (result & mask);
  return Step::Next;
}

void decodePredicateLogic(Decoding &d, int operation) {
  size_t sources = operation < 3 ? 2 : 1;
  d.expectOperands(sources + 1, sources + 1);
  d.insn.a = uint8_t(operation);
  bool negated = false;
  d.insn.slots[1] = d.readPredicate(d.operand(1), negated);
  d.insn.b = negated;
  if (sources == 2) {
    d.insn.slots[2] = d.readPredicate(d.operand(2), negated);
    d.insn.c = negated;
  }
  d.insn.slots[0] = d.writePredicate(d.operand(0));
  d.insn.handler = predicateLogic;
}

static void decodeLogic(Decoding &d, int operation) {
  Type type = d.takeType();
  if (type == Type::Pred)
    return decodePredicateLogic(d, operation);
  if (!isUntyped(type))
    d.fail("expected an untyped width, found ." + std::string(typeName(type)));
  require(d, operation == 0   ? forInteger<Binary<And>::For>(type)
             : operation == 1 ? forInteger<Binary<Or>::For>(type)
             : operation == 2 ? forInteger<Binary<Xor>::For>(type)
                              : forInteger<Unary<Not>::For>(type),
          type);
  plainOperands(d, type, operation < 3 ? 2 : 1);
}

static void decodeShift(Decoding &d, bool left) {
  Type type = d.takeType();
  require(d, left ? forInteger<Shift<Shl>::For>(type) : forInteger<Shift<Shr>::For>(type), type);
  d.expectOperands(3, 3);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, Type::B32);
  d.insn.slots[0] = d.write(0, type);
}

void addIntegerDecoders(DecoderTable &table) {
  table["rem"] = [](Decoding &d) {
    Type type = d.takeType();
    require(d, forInteger<Binary<Rem>::For>(type), type);
    plainOperands(d, type, 2);
  };
  table["and"] = [](Decoding &d) { decodeLogic(d, 0); };
  table["or"] = [](Decoding &d) { decodeLogic(d, 1); };
  table["xor"] = [](Decoding &d) { decodeLogic(d, 2); };
  table["not"] = [](Decoding &d) { decodeLogic(d, 3); };
  table["cnot"] = [](Decoding &d) {
    Type type = d.takeType();
    require(d, forInteger<Unary<Cnot>::For>(type), type);
    plainOperands(d, type, 1);
  };
  table["shl"] = [](Decoding &d) { decodeShift(d, true); };
  table["shr"] = [](Decoding &d) { decodeShift(d, false); };
  table["sad"] = [](Decoding &d) {
    Type type = d.takeType();
    require(d, forInteger<Ternary<Sad>::For>(type), type);
    plainOperands(d, type, 3);
  };
  table["mul24"] = [](Decoding &d) {
    int high = d.takeOneOf({"lo", "hi"});
    Type type = d.takeType();
    require(d, type == Type::U32   ? (high ? binary<uint32_t, Mul24High> : binary<uint32_t, Mul24Low>)
               : type == Type::S32 ? (high ? binary<int32_t, Mul24High> : binary<int32_t, Mul24Low>)
                                   : nullptr,
            type);
    plainOperands(d, type, 2);
  };
  table["mad24"] = [](Decoding &d) {
    int high = d.takeOneOf({"lo", "hi"});
    Type type = d.takeType();
    using S = int32_t;
    using N = uint32_t;
    require(d, type == Type::U32   ? (high ? ternary<N, N, N, N, Mad24High> : ternary<N, N, N, N, Mad24Low>)
               : type == Type::S32 ? (high ? ternary<S, S, S, S, Mad24High> : ternary<S, S, S, S, Mad24Low>)
                                   : nullptr,
            type);
    plainOperands(d, type, 3);
  };
  table["addc"] = [](Decoding &d) {
    bool out = d.take("cc");
    carryOperands(d, d.takeType(), 0, true, out);
  };
  table["subc"] = [](Decoding &d) {
    bool out = d.take("cc");
    carryOperands(d, d.takeType(), 1, true, out);
  };
  table["madc"] = [](Decoding &d) { decodeIntegerMad(d, d.takeType(), true); };
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// Integer arithmetic, logic, shifts and bit fields.

#include "Decode.h"
#include "Lanes.h"
#include <limits>

namespace ptxemu {

namespace {

template <typename T> using U = std::make_unsigned_t<T>;

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
struct Popc { template <typename T> static uint32_t apply(T a) { return uint32_t(std::popcount(U<T>(a))); } };
struct Clz { template <typename T> static uint32_t apply(T a) { return uint32_t(std::countl_zero(U<T>(a))); } };
struct Bfind {
  template <typename T> static uint32_t apply(T a) {
    U<T> bits = a < 0 ? U<T>(~a) : U<T>(a);
    return bits ? uint32_t(8 * sizeof(T) - 1) - uint32_t(std::countl_zero(bits)) : ~0u;
  }
};
struct BfindShift {
  template <typename T> static uint32_t apply(T a) {
    U<T> bits = a < 0 ? U<T>(~a) : U<T>(a);
    return bits ? uint32_t(std::countl_zero(bits)) : ~0u;
  }
};
struct Brev {
  template <typename T> static T apply(T a) {
    if constexpr (sizeof(T) == 8)
      return T(__builtin_bitreverse64(uint64_t(a)));
    else
      return T(__builtin_bitreverse32(uint32_t(a)));
  }
};
struct Shl { template <typename T> static T apply(T a, uint32_t b) { return b >= 8 * sizeof(T) ? T(0) : T(U<T>(a) << b); } };
struct Shr {
  template <typename T> static T apply(T a, uint32_t b) {
    if (b >= 8 * sizeof(T))
      return T(a < 0 ? -1 : 0);
    return T(a >> b);
  }
};
struct ShfLeftClamp { static uint32_t apply(uint32_t lo, uint32_t hi, uint32_t n) { return uint32_t((uint64_t(hi) << 32 | lo) << std::min(n, 32u) >> 32); } };
struct ShfLeftWrap { static uint32_t apply(uint32_t lo, uint32_t hi, uint32_t n) { return uint32_t((uint64_t(hi) << 32 | lo) << (n & 31) >> 32); } };
struct ShfRightClamp { static uint32_t apply(uint32_t lo, uint32_t hi, uint32_t n) { return uint32_t((uint64_t(hi) << 32 | lo) >> std::min(n, 32u)); } };
struct ShfRightWrap { static uint32_t apply(uint32_t lo, uint32_t hi, uint32_t n) { return uint32_t((uint64_t(hi) << 32 | lo) >> (n & 31)); } };
struct Bfe {
  template <typename T> static T apply(T a, uint32_t position, uint32_t length) {
    constexpr uint32_t bits = 8 * sizeof(T);
    position &= 255;
    length &= 255;
    if (length == 0)
      return 0;
    // Bits past the source's end are copies of the sign, too.
    bool sign = std::is_signed_v<T> && (U<T>(a) >> std::min(position + length - 1, bits - 1) & 1);
    uint32_t valid = position >= bits ? 0 : std::min(length, bits - position);
    U<T> keep = valid >= bits ? U<T>(~U<T>(0)) : U<T>((U<T>(1) << valid) - 1);
    U<T> field = position >= bits ? 0 : U<T>(a) >> position;
    return T((field & keep) | (sign ? U<T>(~keep) : U<T>(0)));
  }
};
template <typename T> Step bitFieldInsert(Warp &warp, const Insn &insn, uint32_t mask) {
  constexpr uint32_t bits = 8 * sizeof(T);
  const T *a = warp.lanes<T>(insn.slots[1]), *b = warp.lanes<T>(insn.slots[2]);
  const uint32_t *c = warp.u32(insn.slots[3]), *d = warp.u32(insn.slots[4]);
  T t[32];
  for (uint32_t l = 0; l < 32; ++l) {
    uint32_t position = c[l] & 255, length = d[l] & 255;
    T ones = length >= bits ? T(~T(0)) : T((T(1) << length) - 1);
    T field = position >= bits ? T(0) : T(ones << position);
    T value = position >= bits ? T(0) : T(a[l] << position);
    t[l] = (b[l] & ~field) | (value & field);
  }
  store(warp.lanes<T>(insn.slots[0]), t, mask);
  return Step::Next;
}
struct Bmsk {
  static uint32_t clamp(uint32_t position, uint32_t length) {
    if (position >= 32)
      return 0;
    uint32_t ones = length >= 32 ? ~0u : (1u << length) - 1;
    return ones << position;
  }
};
struct BmskClamp { static uint32_t apply(uint32_t a, uint32_t b) { return Bmsk::clamp(a, b); } };
struct BmskWrap { static uint32_t apply(uint32_t a, uint32_t b) { return Bmsk::clamp(a & 31, b & 31); } };
template <bool wrap> struct Szext {
  template <typename T> static T apply(T a, uint32_t n) {
    if (wrap)
      n &= 31;
    if (n >= 32)
      return a;
    if (n == 0)
      return 0;
    return std::is_signed_v<T> ? T(int32_t(uint32_t(a) << (32 - n)) >> (32 - n)) : T(uint32_t(a) & ((1u << n) - 1));
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

/// a: signedness of the operands (bit 0: a, bit 1: b); b: 1 for the upper half of dp2a's b.
Step dotProduct4(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapThree<uint32_t, uint32_t, uint32_t, uint32_t>(warp, insn, mask, [&](uint32_t a, uint32_t b, uint32_t c) {
    for (uint32_t i = 0; i < 32; i += 8)
      c += uint32_t((insn.a & 1 ? int32_t(int8_t(a >> i)) : int32_t(uint8_t(a >> i))) *
                    (insn.a & 2 ? int32_t(int8_t(b >> i)) : int32_t(uint8_t(b >> i))));
    return c;
  });
}
Step dotProduct2(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapThree<uint32_t, uint32_t, uint32_t, uint32_t>(warp, insn, mask, [&](uint32_t a, uint32_t b, uint32_t c) {
    for (uint32_t i = 0; i < 2; ++i) {
      uint32_t x = a >> (16 * i), y = b >> (8 * i + 16 * insn.b);
      c += uint32_t((insn.a & 1 ? int32_t(int16_t(x)) : int32_t(uint16_t(x))) * (insn.a & 2 ? int32_t(int8_t(y)) : int32_t(uint8_t(y))));
    }
    return c;
  });
}

/// immediate: the truth table.
Step lop3(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t table = uint32_t(insn.immediate);
  uint32_t sum[8];
  for (uint32_t i = 0; i < 8; ++i)
    sum[i] = table >> i & 1 ? ~0u : 0;
  return mapThree<uint32_t, uint32_t, uint32_t, uint32_t>(warp, insn, mask, [&](uint32_t a, uint32_t b, uint32_t c) {
    return (sum[0] & ~a & ~b & ~c) | (sum[1] & ~a & ~b & c) | (sum[2] & ~a & b & ~c) | (sum[3] & ~a & b & c) | (sum[4] & a & ~b & ~c) |
           (sum[5] & a & ~b & c) | (sum[6] & a & b & ~c) | (sum[7] & a & b & c);
  });
}

/// a: 0 generic, 1 f4e, 2 b4e, 3 rc8, 4 ecl, 5 ecr, 6 rc16.
uint32_t permute(uint32_t a, uint32_t b, uint32_t c, int mode) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t selector = c;
  uint32_t n = c & 3;
  if (mode) {
    static constexpr uint16_t table[6][4] = {{0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123}, {0x0000, 0x1111, 0x2222, 0x3333},
                                             {0x3210, 0x3211, 0x3222, 0x3333}, {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    selector = table[mode - 1][n];
  }
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t choice = selector >> (4 * i) & 15;
    uint32_t byte = uint32_t(bytes >> (8 * (choice & 7))) & 255;
    if (choice & 8)
      byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * i);
  }
  return result;
}
Step prmt(Warp &warp, const Insn &insn, uint32_t mask) {
  int mode = insn.a;
  return mapThree<uint32_t, uint32_t, uint32_t, uint32_t>(warp, insn, mask,
                                                          [=](uint32_t a, uint32_t b, uint32_t c) { return permute(a, b, c, mode); });
}

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

/// fns.b32: position of the nth set bit from a base.
Step findNthSet(Warp &warp, const Insn &insn, uint32_t mask) {
  return mapThree<uint32_t, uint32_t, uint32_t, int32_t>(warp, insn, mask, [](uint32_t bits, uint32_t base, int32_t offset) -> uint32_t {
    if (offset == 0)
      return base < 32 && (bits >> base & 1) ? base : ~0u;
    int step = offset > 0 ? 1 : -1, left = offset > 0 ? offset : -offset;
    for (int64_t p = base; p >= 0 && p < 32; p += step)
      if ((bits >> p & 1) && --left == 0)
        return uint32_t(p);
    return ~0u;
  });
}

//===--------------------------------------------------------------------===//
// Choosing handlers
//===--------------------------------------------------------------------===//

template <typename Op> struct Binary { template <typename T> struct For { static constexpr Handler handler = binary<T, Op>; }; };
template <typename Op> struct Shift { template <typename T> struct For { static constexpr Handler handler = mixedBinary<T, T, uint32_t, Op>; }; };
template <typename Op> struct Unary { template <typename T> struct For { static constexpr Handler handler = unary<T, T, Op>; }; };
template <typename Op> struct Count { template <typename T> struct For { static constexpr Handler handler = unary<uint32_t, T, Op>; }; };
template <typename Op> struct Ternary { template <typename T> struct For { static constexpr Handler handler = ternary<T, T, T, T, Op>; }; };
template <typename T> struct BfeFor { static constexpr Handler handler = ternary<T, T, uint32_t, uint32_t, Bfe>; };

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

void require(Decoding &d, Handler handler, Type type) {
  if (!handler)
    d.fail("type ." + std::string(typeName(type)) + " is not supported");
  d.insn.handler = handler;
}

void plainOperands(Decoding &d, Type type, size_t sources) {
  d.expectOperands(sources + 1, sources + 1);
  for (size_t i = 1; i <= sources; ++i)
    d.insn.slots[i] = d.read(i, type);
  d.insn.slots[0] = d.write(0, type);
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

template <template <typename> typename Make> static void decodeCount(Decoding &d, Type type) {
  require(d, forInteger<Make>(type), type);
  d.expectOperands(2, 2);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[0] = d.write(0, Type::B32);
}

static void decodeShift(Decoding &d, bool left) {
  Type type = d.takeType();
  require(d, left ? forInteger<Shift<Shl>::For>(type) : forInteger<Shift<Shr>::For>(type), type);
  d.expectOperands(3, 3);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, Type::B32);
  d.insn.slots[0] = d.write(0, type);
}

static void decodeShf(Decoding &d) {
  int left = d.takeOneOf({"r", "l"}), wrap = d.takeOneOf({"clamp", "wrap"});
  Type type = d.takeType();
  if (left < 0 || wrap < 0 || type != Type::B32)
    d.fail("expected .l or .r, .clamp or .wrap, and .b32");
  using T = uint32_t;
  d.insn.handler = left ? (wrap ? ternary<T, T, T, T, ShfLeftWrap> : ternary<T, T, T, T, ShfLeftClamp>)
                        : (wrap ? ternary<T, T, T, T, ShfRightWrap> : ternary<T, T, T, T, ShfRightClamp>);
  plainOperands(d, type, 3);
}

static void decodePrmt(Decoding &d) {
  Type type = d.takeType();
  if (type != Type::B32)
    d.fail("expected .b32");
  d.insn.a = uint8_t(d.takeOneOf({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"}) + 1);
  d.insn.handler = prmt;
  plainOperands(d, type, 3);
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
  table["shf"] = decodeShf;
  table["popc"] = [](Decoding &d) { decodeCount<Count<Popc>::For>(d, d.takeType()); };
  table["clz"] = [](Decoding &d) { decodeCount<Count<Clz>::For>(d, d.takeType()); };
  table["bfind"] = [](Decoding &d) {
    bool shift = d.take("shiftamt");
    Type type = d.takeType();
    shift ? decodeCount<Count<BfindShift>::For>(d, type) : decodeCount<Count<Bfind>::For>(d, type);
  };
  table["brev"] = [](Decoding &d) {
    Type type = d.takeType();
    require(d, type == Type::B32 ? unary<uint32_t, uint32_t, Brev> : type == Type::B64 ? unary<uint64_t, uint64_t, Brev> : nullptr, type);
    plainOperands(d, type, 1);
  };
  table["bfe"] = [](Decoding &d) {
    Type type = d.takeType();
    require(d, typeBytes(type) >= 4 ? forInteger<BfeFor>(type) : nullptr, type);
    d.expectOperands(4, 4);
    d.insn.slots[1] = d.read(1, type);
    d.insn.slots[2] = d.read(2, Type::B32);
    d.insn.slots[3] = d.read(3, Type::B32);
    d.insn.slots[0] = d.write(0, type);
  };
  table["bfi"] = [](Decoding &d) {
    Type type = d.takeType();
    require(d, type == Type::B32 ? bitFieldInsert<uint32_t> : type == Type::B64 ? bitFieldInsert<uint64_t> : nullptr, type);
    d.expectOperands(5, 5);
    d.insn.slots[1] = d.read(1, type);
    d.insn.slots[2] = d.read(2, type);
    d.insn.slots[3] = d.read(3, Type::B32);
    d.insn.slots[4] = d.read(4, Type::B32);
    d.insn.slots[0] = d.write(0, type);
  };
  table["bmsk"] = [](Decoding &d) {
    int wrap = d.takeOneOf({"clamp", "wrap"});
    if (wrap < 0)
      d.fail("expected .clamp or .wrap");
    d.insn.handler = wrap ? binary<uint32_t, BmskWrap> : binary<uint32_t, BmskClamp>;
    if (d.takeType() != Type::B32)
      d.fail("expected .b32");
    plainOperands(d, Type::B32, 2);
  };
  table["szext"] = [](Decoding &d) {
    int wrap = d.takeOneOf({"clamp", "wrap"});
    Type type = d.takeType();
    require(d, type == Type::S32   ? (wrap ? mixedBinary<int32_t, int32_t, uint32_t, Szext<true>> : mixedBinary<int32_t, int32_t, uint32_t, Szext<false>>)
               : type == Type::U32 ? (wrap ? mixedBinary<uint32_t, uint32_t, uint32_t, Szext<true>> : mixedBinary<uint32_t, uint32_t, uint32_t, Szext<false>>)
                                   : nullptr,
            type);
    plainOperands(d, type, 2);
  };
  table["prmt"] = decodePrmt;
  table["lop3"] = [](Decoding &d) {
    if (d.takeType() != Type::B32)
      d.fail("expected .b32");
    d.expectOperands(5, 5);
    for (size_t i = 1; i <= 3; ++i)
      d.insn.slots[i] = d.read(i, Type::B32);
    d.insn.slots[0] = d.write(0, Type::B32);
    d.insn.immediate = int64_t(d.immediate(4));
    if (d.insn.immediate > 255 || d.insn.immediate < 0)
      d.fail("the truth table must be 0 to 255");
    d.insn.handler = lop3;
  };
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
  static constexpr auto dotDecoder = [](Decoding &d, bool two) {
    if (two) {
      int high = d.takeOneOf({"lo", "hi"});
      if (high < 0)
        d.fail("expected .lo or .hi");
      d.insn.b = uint8_t(high);
    }
    Type a = d.takeType(), b = d.takeType();
    if ((a != Type::U32 && a != Type::S32) || (b != Type::U32 && b != Type::S32))
      d.fail("expected .u32 or .s32 twice");
    d.insn.a = uint8_t(isSigned(a) | isSigned(b) << 1);
    d.insn.handler = two ? dotProduct2 : dotProduct4;
    plainOperands(d, Type::B32, 3);
  };
  table["dp4a"] = [](Decoding &d) { dotDecoder(d, false); };
  table["dp2a"] = [](Decoding &d) { dotDecoder(d, true); };
  table["addc"] = [](Decoding &d) {
    bool out = d.take("cc");
    carryOperands(d, d.takeType(), 0, true, out);
  };
  table["subc"] = [](Decoding &d) {
    bool out = d.take("cc");
    carryOperands(d, d.takeType(), 1, true, out);
  };
  table["madc"] = [](Decoding &d) { decodeIntegerMad(d, d.takeType(), true); };
  table["fns"] = [](Decoding &d) {
    if (d.takeType() != Type::B32)
      d.fail("expected .b32");
    d.insn.handler = findNthSet;
    plainOperands(d, Type::B32, 3);
  };
}

} // namespace ptxemu

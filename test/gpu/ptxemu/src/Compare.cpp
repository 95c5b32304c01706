// SPDX-License-Identifier: Apache-2.0
//
// setp, set, selp, slct, testp.

#include "Decode.h"
#include "FloatMath.h"
#include "Lanes.h"

namespace ptxemu {

namespace {

struct Eq { template <typename T> static bool apply(T a, T b) { return a == b; } };
struct Ne { template <typename T> static bool apply(T a, T b) { return a < b || a > b; } }; // false for NaN, unlike !=
struct Lt { template <typename T> static bool apply(T a, T b) { return a < b; } };
struct Le { template <typename T> static bool apply(T a, T b) { return a <= b; } };
struct Gt { template <typename T> static bool apply(T a, T b) { return a > b; } };
struct Ge { template <typename T> static bool apply(T a, T b) { return a >= b; } };
template <typename Op> struct OrUnordered { template <typename T> static bool apply(T a, T b) { return a != a || b != b || Op::apply(a, b); } };
struct Num { template <typename T> static bool apply(T a, T b) { return a == a && b == b; } };
struct Nan { template <typename T> static bool apply(T a, T b) { return a != a || b != b; } };

/// How a register becomes what is compared.
template <typename T> struct Plain {
  using Value = T;
  using Slot = SlotOf<T>;
  static T load(Slot slot) { return fromSlot<T>(slot); }
};
struct FlushedFloat {
  using Value = float;
  using Slot = uint32_t;
  static float load(uint32_t slot) { return flushed(std::bit_cast<float>(slot)); }
};
template <typename Format, int shift> struct Half {
  using Value = float;
  using Slot = uint32_t;
  static float load(uint32_t slot) { return Format::load(uint16_t(slot >> shift)); }
};

template <typename Load, typename Op> inline uint32_t compareBits(Warp &warp, const Insn &insn) {
  const auto *a = warp.lanes<typename Load::Slot>(insn.slots[1]);
  const auto *b = warp.lanes<typename Load::Slot>(insn.slots[2]);
  uint32_t bits[32];
  for (uint32_t l = 0; l < 32; ++l)
    bits[l] = Op::apply(Load::load(a[l]), Load::load(b[l])) ? 1u << l : 0;
  uint32_t all = 0;
  for (uint32_t l = 0; l < 32; ++l)
    all |= bits[l];
  return all;
}

/// a: 1 and, 2 or, 3 xor with the predicate slots[3] (negated if b).
uint32_t combined(Warp &warp, const Insn &insn, uint32_t bits) {
  uint32_t other = warp.predicate(insn.slots[3]) ^ (insn.b ? ~0u : 0);
  return insn.a == 1 ? bits & other : insn.a == 2 ? bits | other : bits ^ other;
}
void assign(Warp &warp, int32_t slot, uint32_t bits, uint32_t mask) {
  if (slot == noSlot)
    return;
  uint32_t &p = warp.predicate(slot);
  p = (p & ~mask) | (bits & mask);
}

/// slots[0] gets the comparison, slots[4] its opposite.
template <typename Load, typename Op> Step setPredicate(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t bits = compareBits<Load, Op>(warp, insn);
  if (insn.slots[4] != noSlot)
    assign(warp, insn.slots[4], insn.a ? combined(warp, insn, ~bits) : ~bits, mask);
  assign(warp, insn.slots[0], insn.a ? combined(warp, insn, bits) : bits, mask);
  return Step::Next;
}
/// Packed pairs: slots[0] gets the lower halves' comparison, slots[4] the upper ones'.
template <typename Format, typename Op> Step setPredicatePair(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t low = compareBits<Half<Format, 0>, Op>(warp, insn), high = compareBits<Half<Format, 16>, Op>(warp, insn);
  assign(warp, insn.slots[0], insn.a ? combined(warp, insn, low) : low, mask);
  assign(warp, insn.slots[4], insn.a ? combined(warp, insn, high) : high, mask);
  return Step::Next;
}
/// set: immediate is the value of true.
template <typename Load, typename Op> Step setValue(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t bits = compareBits<Load, Op>(warp, insn);
  if (insn.a)
    bits = combined(warp, insn, bits);
  uint32_t t[32], yes = uint32_t(insn.immediate);
  for (uint32_t l = 0; l < 32; ++l)
    t[l] = bits & (1u << l) ? yes : 0;
  store(warp.u32(insn.slots[0]), t, mask);
  return Step::Next;
}

enum class What : uint8_t { Predicate, Pair, Value };

template <typename Load, typename Op> Handler handlerOf(What what) {
  return what == What::Predicate ? setPredicate<Load, Op> : what == What::Value ? setValue<Load, Op> : nullptr;
}

template <typename Op> Handler byInteger(Type type, What what) {
  switch (type) {
  case Type::U16: case Type::B16: return handlerOf<Plain<uint16_t>, Op>(what);
  case Type::S16: return handlerOf<Plain<int16_t>, Op>(what);
  case Type::U32: case Type::B32: return handlerOf<Plain<uint32_t>, Op>(what);
  case Type::S32: return handlerOf<Plain<int32_t>, Op>(what);
  case Type::U64: case Type::B64: return handlerOf<Plain<uint64_t>, Op>(what);
  case Type::S64: return handlerOf<Plain<int64_t>, Op>(what);
  default: return nullptr;
  }
}

template <typename Op> Handler byFloat(Type type, What what, bool ftz) {
  switch (type) {
  case Type::F32: return ftz ? handlerOf<FlushedFloat, Op>(what) : handlerOf<Plain<float>, Op>(what);
  case Type::F64: return handlerOf<Plain<double>, Op>(what);
  case Type::F16: return handlerOf<Half<Float16Format, 0>, Op>(what);
  case Type::BF16: return handlerOf<Half<Bfloat16Format, 0>, Op>(what);
  case Type::F16x2: return what == What::Pair ? setPredicatePair<Float16Format, Op> : nullptr;
  case Type::BF16x2: return what == What::Pair ? setPredicatePair<Bfloat16Format, Op> : nullptr;
  default: return nullptr;
  }
}

/// The comparison by its index in the list that decodeComparison takes from.
Handler chooseComparison(int comparison, Type type, What what, bool ftz) {
  bool floating = !isInteger(type);
  switch (comparison) {
  case 0: return floating ? byFloat<Eq>(type, what, ftz) : byInteger<Eq>(type, what);
  case 1: return floating ? byFloat<Ne>(type, what, ftz) : byInteger<Ne>(type, what);
  case 2: return floating ? byFloat<Lt>(type, what, ftz) : byInteger<Lt>(type, what);
  case 3: return floating ? byFloat<Le>(type, what, ftz) : byInteger<Le>(type, what);
  case 4: return floating ? byFloat<Gt>(type, what, ftz) : byInteger<Gt>(type, what);
  case 5: return floating ? byFloat<Ge>(type, what, ftz) : byInteger<Ge>(type, what);
  case 6: return byInteger<Lt>(type, what);
  case 7: return byInteger<Le>(type, what);
  case 8: return byInteger<Gt>(type, what);
  case 9: return byInteger<Ge>(type, what);
  case 10: return byFloat<OrUnordered<Eq>>(type, what, ftz);
  case 11: return byFloat<OrUnordered<Ne>>(type, what, ftz);
  case 12: return byFloat<OrUnordered<Lt>>(type, what, ftz);
  case 13: return byFloat<OrUnordered<Le>>(type, what, ftz);
  case 14: return byFloat<OrUnordered<Gt>>(type, what, ftz);
  case 15: return byFloat<OrUnordered<Ge>>(type, what, ftz);
  case 16: return byFloat<Num>(type, what, ftz);
  case 17: return byFloat<Nan>(type, what, ftz);
  default: return nullptr;
  }
}

struct Comparison {
  int operation;
  bool ftz;
};

Comparison takeComparison(Decoding &d) {
  int operation = d.takeOneOf({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"});
  if (operation < 0)
    d.fail("expected a comparison");
  d.insn.a = uint8_t(d.takeOneOf({"and", "or", "xor"}) + 1);
  return {operation, d.take("ftz")};
}

/// Sources a, b and, with .and/.or/.xor, the predicate c.
void takeSources(Decoding &d, Type type) {
  d.expectOperands(d.insn.a ? 4 : 3, d.insn.a ? 4 : 3);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, type);
  if (d.insn.a) {
    bool negated = false;
    d.insn.slots[3] = d.readPredicate(d.operand(3), negated);
    d.insn.b = negated;
  }
}

Type checkedUnsigned(Decoding &d, int operation, Type type) {
  bool unsignedOnly = operation >= 6 && operation <= 9;
  if (unsignedOnly && (isSigned(type) || !isInteger(type)))
    d.fail(".lo, .ls, .hi and .hs need an unsigned type");
  return type;
}

void decodeSetp(Decoding &d) {
  Comparison comparison = takeComparison(d);
  Type type = checkedUnsigned(d, comparison.operation, d.takeType());
  bool pair = type == Type::F16x2 || type == Type::BF16x2;
  d.insn.handler = chooseComparison(comparison.operation, type, pair ? What::Pair : What::Predicate, comparison.ftz);
  if (!d.insn.handler)
    d.fail("this comparison of ." + std::string(typeName(type)) + " is unknown");
  takeSources(d, type);
  const Operand &result = d.operand(0);
  if (result.kind == Operand::Kind::Pair) {
    d.insn.slots[0] = d.writePredicate(result.elements[0]);
    d.insn.slots[4] = d.writePredicate(result.elements[1]);
  } else {
    d.insn.slots[0] = d.writePredicate(result);
  }
}

void decodeSet(Decoding &d) {
  Comparison comparison = takeComparison(d);
  Type to = d.takeType(), type = checkedUnsigned(d, comparison.operation, d.takeType());
  if (to != Type::U32 && to != Type::S32 && to != Type::F32)
    d.fail("result type ." + std::string(typeName(to)) + " is not supported");
  d.insn.immediate = to == Type::F32 ? int64_t(std::bit_cast<uint32_t>(1.0f)) : int64_t(~0u);
  d.insn.handler = chooseComparison(comparison.operation, type, What::Value, comparison.ftz);
  if (!d.insn.handler)
    d.fail("this comparison of ." + std::string(typeName(type)) + " is unknown");
  takeSources(d, type);
  d.insn.slots[0] = d.write(0, to);
}

template <typename S> Step select(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t choice = warp.predicate(insn.slots[3]) ^ (insn.b ? ~0u : 0);
  const S *a = warp.lanes<S>(insn.slots[1]), *b = warp.lanes<S>(insn.slots[2]);
  S t[32];
  for (uint32_t l = 0; l < 32; ++l)
    t[l] = choice & (1u << l) ? a[l] : b[l];
  store(warp.lanes<S>(insn.slots[0]), t, mask);
  return Step::Next;
}

void decodeSelp(Decoding &d) {
  Type type = d.takeType();
  d.expectOperands(4, 4);
  if (type == Type::Pred)
    d.fail("type .pred is not supported");
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, type);
  bool negated = false;
  d.insn.slots[3] = d.readPredicate(d.operand(3), negated);
  d.insn.b = negated;
  d.insn.slots[0] = d.write(0, type);
  d.insn.handler = typeBytes(type) == 8 ? select<uint64_t> : select<uint32_t>;
}

/// a: 1 if the condition is a float.
template <typename S> Step selectBySign(Warp &warp, const Insn &insn, uint32_t mask) {
  const S *a = warp.lanes<S>(insn.slots[1]), *b = warp.lanes<S>(insn.slots[2]);
  const uint32_t *c = warp.u32(insn.slots[3]);
  S t[32];
  for (uint32_t l = 0; l < 32; ++l) {
    bool first = insn.a ? std::bit_cast<float>(c[l]) >= 0 : int32_t(c[l]) >= 0;
    t[l] = first ? a[l] : b[l];
  }
  store(warp.lanes<S>(insn.slots[0]), t, mask);
  return Step::Next;
}

void decodeSlct(Decoding &d) {
  d.take("ftz");
  Type type = d.takeType(), condition = d.takeType();
  if (condition != Type::S32 && condition != Type::F32)
    d.fail("expected .s32 or .f32 as type of the condition");
  d.expectOperands(4, 4);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[2] = d.read(2, type);
  d.insn.slots[3] = d.read(3, condition);
  d.insn.slots[0] = d.write(0, type);
  d.insn.a = condition == Type::F32;
  d.insn.handler = typeBytes(type) == 8 ? selectBySign<uint64_t> : selectBySign<uint32_t>;
}

/// a: the class asked for.
template <typename T> Step testFloat(Warp &warp, const Insn &insn, uint32_t mask) {
  const auto *a = warp.lanes<SlotOf<T>>(insn.slots[1]);
  uint32_t bits = 0;
  for (uint32_t l = 0; l < 32; ++l) {
    T x = std::bit_cast<T>(a[l]);
    bool yes = false;
    switch (insn.a) {
    case 0: yes = std::isfinite(x); break;
    case 1: yes = std::isinf(x); break;
    case 2: yes = !std::isnan(x); break;
    case 3: yes = std::isnan(x); break;
    case 4: yes = std::isnormal(x); break;
    default: yes = std::fpclassify(x) == FP_SUBNORMAL; break;
    }
    bits |= uint32_t(yes) << l;
  }
  assign(warp, insn.slots[0], bits, mask);
  return Step::Next;
}

void decodeTestp(Decoding &d) {
  int operation = d.takeOneOf({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  Type type = d.takeType();
  if (operation < 0 || (type != Type::F32 && type != Type::F64))
    d.fail("expected a class of numbers and .f32 or .f64");
  d.expectOperands(2, 2);
  d.insn.a = uint8_t(operation);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[0] = d.writePredicate(d.operand(0));
  d.insn.handler = type == Type::F32 ? testFloat<float> : testFloat<double>;
}

} // namespace

void addCompareDecoders(DecoderTable &table) {
  table["setp"] = decodeSetp;
  table["set"] = decodeSet;
  table["selp"] = decodeSelp;
  table["slct"] = decodeSlct;
  table["testp"] = decodeTestp;
}

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// cvt: every pair of types. Frequent pairs have vectorised handlers, the rest goes through exact numbers.

#include "Decode.h"
#include "FloatMath.h"
#include "Lanes.h"
#include "SoftRound.h"

namespace ptxemu {

namespace {

//===--------------------------------------------------------------------===//
// The general conversion
//===--------------------------------------------------------------------===//

/// a: rounding to integer (0 none, 1 nearest, 2 zero, 3 down, 4 up); b: Rounding to the float format; c: bits below.
enum Treatment : uint8_t { Ftz = 1, Sat = 2, Satfinite = 4, Relu = 8 };

struct Value {
  bool isFloat, isSigned;
  double number;   ///< Of floats: all but f64 fit exactly, as f64 does.
  uint64_t bits;   ///< Of integers, extended to 64.
};

Value load(uint64_t bits, Type type) {
  switch (type) {
  case Type::F16: return {true, true, float16ToFloat(uint16_t(bits)), 0};
  case Type::BF16: return {true, true, bfloat16ToFloat(uint16_t(bits)), 0};
  case Type::F32: case Type::TF32: return {true, true, std::bit_cast<float>(uint32_t(bits)), 0};
  case Type::F64: return {true, true, std::bit_cast<double>(bits), 0};
  case Type::U8: case Type::B8: return {false, false, 0, uint8_t(bits)};
  case Type::U16: case Type::B16: return {false, false, 0, uint16_t(bits)};
  case Type::U32: case Type::B32: return {false, false, 0, uint32_t(bits)};
  case Type::S8: return {false, true, 0, uint64_t(int64_t(int8_t(bits)))};
  case Type::S16: return {false, true, 0, uint64_t(int64_t(int16_t(bits)))};
  case Type::S32: return {false, true, 0, uint64_t(int64_t(int32_t(bits)))};
  case Type::S64: return {false, true, 0, bits};
  default: return {false, false, 0, bits};
  }
}

double toIntegral(double value, int rounding) {
  switch (rounding) {
  case 1: return std::nearbyint(value);
  case 2: return std::trunc(value);
  case 3: return std::floor(value);
  case 4: return std::ceil(value);
  default: return value;
  }
}

uint64_t floatToInteger(double value, Type type, int rounding) {
  if (value != value)
    return 0;
  value = toIntegral(value, rounding ? rounding : 2);
  int bits = int(8 * typeBytes(type));
  if (isSigned(type)) {
    double limit = std::ldexp(1.0, bits - 1);
    int64_t top = int64_t((uint64_t(1) << (bits - 1)) - 1);
    return uint64_t(value >= limit ? top : value < -limit ? -top - 1 : int64_t(value));
  }
  uint64_t top = bits == 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1;
  return value <= 0 ? 0 : value >= std::ldexp(1.0, bits) ? top : uint64_t(value);
}

uint64_t integerToInteger(const Value &value, Type type, bool saturate) {
  int bits = int(8 * typeBytes(type));
  bool negative = value.isSigned && int64_t(value.bits) < 0;
  if (saturate && isSigned(type)) {
    int64_t top = int64_t((uint64_t(1) << (bits - 1)) - 1);
    if (!negative)
      return std::min(value.bits, uint64_t(top));
    return uint64_t(std::max(int64_t(value.bits), -top - 1));
  }
  if (saturate) {
    uint64_t top = bits == 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1;
    return negative ? 0 : std::min(value.bits, top);
  }
  return load(value.bits, type).bits;
}

uint64_t convert(uint64_t bits, Type to, Type from, int integral, Rounding rounding, uint8_t treatment) {
  Value value = load(bits, from);
  if (value.isFloat && (treatment & Ftz) && from == Type::F32)
    value.number = flushed(float(value.number));
  if (!isFloat(to) && to != Type::TF32 && to != Type::E4M3 && to != Type::E5M2)
    return value.isFloat ? floatToInteger(value.number, to, integral) : integerToInteger(value, to, treatment & Sat);
  ExactNumber exact;
  if (value.isFloat) {
    double number = toIntegral(value.number, integral);
    if (treatment & Sat)
      number = saturated(number);
    if ((treatment & Relu) && number < 0)
      number = 0;
    exact = exactOf(number);
  } else {
    exact = value.isSigned ? exactOf(int64_t(value.bits)) : exactOf(value.bits);
  }
  uint64_t result = roundTo(exact, to, rounding, treatment & Satfinite);
  if ((treatment & Ftz) && to == Type::F32)
    result = std::bit_cast<uint32_t>(flushed(std::bit_cast<float>(uint32_t(result))));
  return result;
}

Step convertGeneral(Warp &warp, const Insn &insn, uint32_t mask) {
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    warp.setValue(insn.slots[0], l, convert(warp.value(insn.slots[1], l), insn.type, insn.type2, insn.a, Rounding(insn.b), insn.c));
  }
  return Step::Next;
}

/// Two values into one register, the first operand into the upper half. type: of a half; type2: of the sources.
Step convertPack(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t shift = 8 * typeBytes(insn.type);
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t high = convert(warp.value(insn.slots[1], l), insn.type, insn.type2, 0, Rounding(insn.b), insn.c);
    uint64_t low = convert(warp.value(insn.slots[2], l), insn.type, insn.type2, 0, Rounding(insn.b), insn.c);
    uint64_t keep = (uint64_t(1) << shift) - 1;
    warp.setValue(insn.slots[0], l, (high & keep) << shift | (low & keep));
  }
  return Step::Next;
}

/// Halves of a pair into halves of a pair: type, type2 are the types of a half.
Step convertHalves(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t to = 8 * typeBytes(insn.type), from = 8 * typeBytes(insn.type2);
  const SmallTables &tables = smallTables();
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    uint64_t source = warp.value(insn.slots[1], l), result = 0;
    for (uint32_t half = 0; half < 2; ++half) {
      uint64_t bits = source >> (half * from) & ((uint64_t(1) << from) - 1);
      Type type = insn.type2;
      if (type == Type::E4M3 || type == Type::E5M2) {
        bits = std::bit_cast<uint32_t>(type == Type::E4M3 ? tables.e4m3[bits] : tables.e5m2[bits]);
        type = Type::F32;
      }
      result |= convert(bits, insn.type, type, 0, Rounding(insn.b), insn.c) << (half * to);
    }
    warp.setValue(insn.slots[0], l, result);
  }
  return Step::Next;
}

/// cvt.pack.sat: type of the parts, their count in a, signedness of the source in type2; slots[3]: what is shifted up, or none.
Step convertPackInteger(Warp &warp, const Insn &insn, uint32_t mask) {
  uint32_t bits = insn.a;
  for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
    uint32_t l = uint32_t(lowestLane(lanes));
    auto part = [&](int32_t slot) {
      int64_t value = int32_t(warp.u32(slot)[l]);
      int64_t top = isSigned(insn.type) ? (int64_t(1) << (bits - 1)) - 1 : (int64_t(1) << bits) - 1;
      int64_t bottom = isSigned(insn.type) ? -top - 1 : 0;
      return uint32_t(std::clamp(value, bottom, top)) & uint32_t((uint64_t(1) << bits) - 1);
    };
    uint32_t result = part(insn.slots[1]) << bits | part(insn.slots[2]);
    if (insn.slots[3] != noSlot)
      result |= warp.u32(insn.slots[3])[l] << (2 * bits);
    warp.u32(insn.slots[0])[l] = result;
  }
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Frequent pairs
//===--------------------------------------------------------------------===//

struct Widen {
  template <typename T> static uint64_t apply(T a) { return uint64_t(int64_t(a)); }
};
struct Truncate { static uint32_t apply(uint64_t a) { return uint32_t(a); } };
struct SignedToFloat { static float apply(int32_t a) { return float(a); } };
struct UnsignedToFloat { static float apply(uint32_t a) { return float(a); } };
struct FloatToSigned {
  static int32_t apply(float a) {
    float kept = a != a ? 0.0f : a >= 2147483648.0f ? 2147483520.0f : a < -2147483648.0f ? -2147483648.0f : a;
    return a >= 2147483648.0f ? INT32_MAX : int32_t(kept);
  }
};
struct HalfToFloat { static float apply(uint16_t a) { return float16ToFloat(a); } };
struct Bfloat16Widen { static float apply(uint16_t a) { return bfloat16ToFloat(a); } };
struct FloatToHalf { static uint16_t apply(float a) { return floatToFloat16(a); } };
struct FloatToBf { static uint16_t apply(float a) { return floatToBfloat16(a); } };
struct FloatToDouble { static double apply(float a) { return double(a); } };
struct DoubleToFloat { static float apply(double a) { return float(a); } };
template <bool relu> struct PackHalf {
  static uint32_t apply(float a, float b) {
    if (relu)
      a = a > 0 || a != a ? a : 0, b = b > 0 || b != b ? b : 0;
    return uint32_t(floatToFloat16(a)) << 16 | floatToFloat16(b);
  }
};
template <bool relu> struct PackBf {
  static uint32_t apply(float a, float b) {
    if (relu)
      a = a > 0 || a != a ? a : 0, b = b > 0 || b != b ? b : 0;
    return uint32_t(floatToBfloat16(a)) << 16 | floatToBfloat16(b);
  }
};

/// A vectorised handler for plain registers, or null.
Handler frequent(Type to, Type from, int integral, Rounding rounding, uint8_t treatment) {
  if (treatment)
    return nullptr;
  bool nearest = rounding == Rounding::Nearest;
  switch (from) {
  case Type::U32: case Type::B32:
    return to == Type::U64 || to == Type::S64 || to == Type::B64 ? unary<uint64_t, uint32_t, Widen>
           : to == Type::F32 && nearest                          ? unary<float, uint32_t, UnsignedToFloat>
                                                                 : nullptr;
  case Type::S32:
    return to == Type::U64 || to == Type::S64 ? unary<uint64_t, int32_t, Widen>
           : to == Type::F32 && nearest       ? unary<float, int32_t, SignedToFloat>
                                              : nullptr;
  case Type::U64: case Type::S64: case Type::B64:
    return to == Type::U32 || to == Type::S32 || to == Type::B32 ? unary<uint32_t, uint64_t, Truncate> : nullptr;
  case Type::F16:
    return to == Type::F32 && !integral ? unary<float, uint16_t, HalfToFloat> : nullptr;
  case Type::BF16:
    return to == Type::F32 && !integral ? unary<float, uint16_t, Bfloat16Widen> : nullptr;
  case Type::F32:
    if (to == Type::S32 && integral == 2)
      return unary<int32_t, float, FloatToSigned>;
    if (integral || !nearest)
      return nullptr;
    return to == Type::F16    ? unary<uint16_t, float, FloatToHalf>
           : to == Type::BF16 ? unary<uint16_t, float, FloatToBf>
           : to == Type::F64  ? unary<double, float, FloatToDouble>
                              : nullptr;
  case Type::F64:
    return to == Type::F32 && !integral && nearest ? unary<float, double, DoubleToFloat> : nullptr;
  default:
    return nullptr;
  }
}

//===--------------------------------------------------------------------===//
// Decoding
//===--------------------------------------------------------------------===//

struct Request {
  int integral = 0;
  Rounding rounding = Rounding::Nearest;
  bool hasRounding = false;
  uint8_t treatment = 0;
};

Request takeRequest(Decoding &d) {
  Request request;
  request.integral = d.takeOneOf({"rni", "rzi", "rmi", "rpi"}) + 1;
  int rounding = d.takeOneOf({"rn", "rz", "rm", "rp", "rna"});
  request.hasRounding = rounding >= 0;
  request.rounding = rounding < 0 ? Rounding::Nearest : Rounding(rounding);
  request.treatment = uint8_t((d.take("ftz") ? Ftz : 0) | (d.take("sat") ? Sat : 0) | (d.take("satfinite") ? Satfinite : 0) |
                              (d.take("relu") ? Relu : 0));
  return request;
}

Type halfOf(Type type) {
  switch (type) {
  case Type::F16x2: return Type::F16;
  case Type::BF16x2: return Type::BF16;
  case Type::E4M3x2: return Type::E4M3;
  case Type::E5M2x2: return Type::E5M2;
  default: return Type::None;
  }
}

void decodePackInteger(Decoding &d) {
  if (!d.take("sat"))
    d.fail("expected .sat");
  static constexpr std::pair<std::string_view, int> parts[] = {{"u16", 16}, {"s16", 16}, {"u8", 8}, {"s8", 8}, {"u4", 4}, {"s4", 4}, {"u2", 2}, {"s2", 2}};
  bool found = false;
  for (auto [name, bits] : parts)
    if (!found && d.take(name)) {
      d.insn.a = uint8_t(bits);
      d.insn.type = name[0] == 's' ? Type::S32 : Type::U32;
      found = true;
    }
  if (!found || !d.take("s32"))
    d.fail("expected the type of the parts and .s32");
  bool third = d.take("b32");
  d.expectOperands(third ? 4 : 3, third ? 4 : 3);
  d.insn.slots[1] = d.read(1, Type::B32);
  d.insn.slots[2] = d.read(2, Type::B32);
  if (third)
    d.insn.slots[3] = d.read(3, Type::B32);
  d.insn.slots[0] = d.write(0, Type::B32);
  d.insn.handler = convertPackInteger;
}

void decodeCvt(Decoding &d) {
  if (d.take("pack"))
    return decodePackInteger(d);
  Request request = takeRequest(d);
  Type to = d.takeType(), from = d.takeType();
  d.insn.a = uint8_t(request.integral);
  d.insn.b = uint8_t(request.rounding);
  d.insn.c = request.treatment;
  Type toHalf = halfOf(to), fromHalf = halfOf(from);
  if (toHalf != Type::None && fromHalf != Type::None) {
    d.expectOperands(2, 2);
    d.insn.type = toHalf;
    d.insn.type2 = fromHalf;
    d.insn.slots[1] = d.readLoose(d.operand(1), from);
    d.insn.slots[0] = d.writeLoose(d.operand(0), to);
    d.insn.handler = convertHalves;
    return;
  }
  if (toHalf != Type::None) {
    d.expectOperands(3, 3);
    if (from != Type::F32)
      d.fail("expected .f32 as source of a pair");
    d.insn.type = toHalf;
    d.insn.type2 = from;
    if (toHalf == Type::E4M3 || toHalf == Type::E5M2)
      d.insn.c |= Satfinite;
    d.insn.slots[1] = d.read(1, from);
    d.insn.slots[2] = d.read(2, from);
    d.insn.slots[0] = d.write(0, to);
    uint8_t other = d.insn.c & uint8_t(~Relu);
    bool relu = d.insn.c & Relu, fast = request.rounding == Rounding::Nearest && !other;
    d.insn.handler = fast && toHalf == Type::F16    ? (relu ? mixedBinary<uint32_t, float, float, PackHalf<true>> : mixedBinary<uint32_t, float, float, PackHalf<false>>)
                     : fast && toHalf == Type::BF16 ? (relu ? mixedBinary<uint32_t, float, float, PackBf<true>> : mixedBinary<uint32_t, float, float, PackBf<false>>)
                                                    : convertPack;
    return;
  }
  if (fromHalf != Type::None || to == Type::Pred || from == Type::Pred || to == Type::E4M3 || to == Type::E5M2)
    d.fail("conversion from ." + std::string(typeName(from)) + " to ." + std::string(typeName(to)) + " is unknown");
  d.expectOperands(2, 2);
  d.insn.type = to;
  d.insn.type2 = from;
  Type toStorage = to == Type::TF32 ? Type::B32 : to;
  bool toInteger = !isFloat(to) && to != Type::TF32;
  if (isFloat(from) && toInteger && !request.integral)
    d.fail("a conversion to an integer needs .rni, .rzi, .rmi or .rpi");
  if (!isFloat(from) && isFloat(to) && !request.hasRounding)
    d.fail("a conversion from an integer needs a rounding");
  d.insn.slots[1] = d.readLoose(d.operand(1), from);
  d.insn.slots[0] = d.writeLoose(d.operand(0), toStorage);
  Handler fast = frequent(to, from, request.integral, request.rounding, request.treatment);
  bool plain = d.insn.slots[0] != noSlot && bool(d.insn.slots[1] & wideSlot) == (typeBytes(from) == 8) &&
               bool(d.insn.slots[0] & wideSlot) == (typeBytes(to) == 8);
  if (fast && plain) {
    d.insn.handler = fast;
    d.insn.slots[0] &= ~3;
    d.insn.slots[1] &= ~3;
  } else {
    d.insn.handler = convertGeneral;
  }
}

} // namespace

void addConvertDecoders(DecoderTable &table) { table["cvt"] = decodeCvt; }

} // namespace ptxemu

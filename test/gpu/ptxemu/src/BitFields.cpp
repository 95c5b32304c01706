// SPDX-License-Identifier: Apache-2.0
//
// Bits and bytes within integers: counts, fields, funnel shifts, permutations, truth tables, dot products of bytes.

#include "IntegerOperands.h"

namespace ptxemu {

namespace {

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

template <typename T> struct BfeFor { static constexpr Handler handler = ternary<T, T, uint32_t, uint32_t, Bfe>; };

template <template <typename> typename Make> void decodeCount(Decoding &d, Type type) {
  require(d, forInteger<Make>(type), type);
  d.expectOperands(2, 2);
  d.insn.slots[1] = d.read(1, type);
  d.insn.slots[0] = d.write(0, Type::B32);
}

void decodeShf(Decoding &d) {
  int left = d.takeOneOf({"r", "l"}), wrap = d.takeOneOf({"clamp", "wrap"});
  Type type = d.takeType();
  if (left < 0 || wrap < 0 || type != Type::B32)
    d.fail("expected .l or .r, .clamp or .wrap, and .b32");
  using T = uint32_t;
  d.insn.handler = left ? (wrap ? ternary<T, T, T, T, ShfLeftWrap> : ternary<T, T, T, T, ShfLeftClamp>)
                        : (wrap ? ternary<T, T, T, T, ShfRightWrap> : ternary<T, T, T, T, ShfRightClamp>);
  plainOperands(d, type, 3);
}

void decodePrmt(Decoding &d) {
  Type type = d.takeType();
  if (type != Type::B32)
    d.fail("expected .b32");
  d.insn.a = uint8_t(d.takeOneOf({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"}) + 1);
  d.insn.handler = prmt;
  plainOperands(d, type, 3);
}

} // namespace

void addBitFieldDecoders(DecoderTable &table) {
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
  table["fns"] = [](Decoding &d) {
    if (d.takeType() != Type::B32)
      d.fail("expected .b32");
    d.insn.handler = findNthSet;
    plainOperands(d, Type::B32, 3);
  };
}

} // namespace ptxemu

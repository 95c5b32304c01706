// SPDX-License-Identifier: Apache-2.0
//
// Every arithmetic instruction against C++ on random and special operands.

#include "Harness.h"
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace ptxemu_test {
namespace {

using Bits = uint64_t;

/// An instruction with `d` as result and `a`, `b`, `c` as sources; letters give the registers: h 16 bits, r 32, d 64, f f32, e f64, p pred.
struct Case {
  std::string text;
  char result;
  std::string sources;
  std::function<Bits(Bits, Bits, Bits)> reference;
  double ulps = 0; ///< Of f32 and f64 results.
};

uint32_t widthOf(char letter) { return letter == 'h' ? 2 : letter == 'd' || letter == 'e' ? 8 : 4; }

std::vector<Bits> operands(char letter, std::mt19937_64 &random, size_t count) {
  static const float floats[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, 2.0f, 3.4e38f, -3.4e38f, 1e-40f, -1e-45f, INFINITY, -INFINITY, NAN, 65504.0f, 1.17549435e-38f, 1.5f};
  static const Bits integers[] = {0, 1, 2, 31, 32, 33, 63, 64, 255, 256, 0x7f, 0x80, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                  0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xaaaaaaaa};
  std::vector<Bits> values;
  for (size_t i = 0; i < count; ++i) {
    Bits bits = random();
    bool special = random() % 3 == 0;
    if (letter == 'f') {
      float x = special ? floats[random() % 16] : std::ldexp(float(int32_t(bits)) / 2147483648.0f, int(random() % 24) - 12);
      bits = std::bit_cast<uint32_t>(x);
    } else if (letter == 'e') {
      double x = special ? double(floats[random() % 16]) : std::ldexp(double(int32_t(bits)), int(random() % 80) - 60);
      bits = std::bit_cast<Bits>(x);
    } else if (letter == 'h') {
      bits = special ? integers[random() % 22] & 0xffff : bits & 0xffff;
    } else {
      bits = special ? integers[random() % 22] : random() % 2 ? bits : bits >> (random() % 64);
    }
    values.push_back(widthOf(letter) == 8 ? bits : bits & ((Bits(1) << (8 * widthOf(letter))) - 1));
  }
  return values;
}

bool isNan(Bits bits, char letter) {
  return letter == 'f' ? std::isnan(std::bit_cast<float>(uint32_t(bits))) : letter == 'e' ? std::isnan(std::bit_cast<double>(bits)) : false;
}

void check(const Case &test) {
  SCOPED_TRACE(test.text);
  constexpr size_t count = 256;
  static const char *loadType[] = {"", "", "b16", "", "b32", "", "", "", "b64"};
  std::string body = "mul.wide.u32 %d30, %tid, 8;\n";
  std::mt19937_64 random(std::hash<std::string>()(test.text));
  std::vector<std::vector<Bits>> inputs;
  for (size_t i = 0; i < 3; ++i) {
    char letter = i < test.sources.size() ? test.sources[i] : 'd';
    inputs.push_back(letter == 'p' ? std::vector<Bits>(count) : operands(letter, random, count));
    if (letter == 'p')
      for (Bits &value : inputs.back())
        value = random() % 2;
    if (i >= test.sources.size())
      continue;
    std::string n = std::to_string(i + 1);
    body += "add.s64 %d31, %a" + n + ", %d30;\n";
    if (letter == 'p')
      body += "ld.global.u32 %r99, [%d31];\nsetp.ne.u32 %p" + n + ", %r99, 0;\n";
    else
      body += std::string("ld.global.") + loadType[widthOf(letter)] + " %" + letter + n + ", [%d31];\n";
  }
  body += test.text + ";\n" + "add.s64 %d31, %a0, %d30;\n";
  if (test.result == 'p')
    body += "selp.u32 %r98, 1, 0, %p0;\nst.global.u32 [%d31], %r98;\n";
  else
    body += std::string("st.global.") + loadType[widthOf(test.result)] + " [%d31], %" + test.result + "0;\n";
  Machine machine(kernel(body, 4));
  uint64_t addresses[4];
  for (int i = 0; i < 3; ++i)
    addresses[i + 1] = machine.upload(inputs[size_t(i)]);
  addresses[0] = machine.upload(std::vector<Bits>(count, 0));
  Result result = machine.run(1, count, addresses[0], addresses[1], addresses[2], addresses[3]);
  ASSERT_TRUE(result.ok()) << result.text();
  std::vector<Bits> got = machine.download<Bits>(addresses[0], count);
  for (size_t i = 0; i < count; ++i) {
    Bits want = test.reference(inputs[0][i], inputs[1][i], inputs[2][i]);
    uint32_t bytes = test.result == 'p' ? 4 : widthOf(test.result);
    if (bytes < 8)
      want &= (Bits(1) << (8 * bytes)) - 1;
    if (got[i] == want || (isNan(got[i], test.result) && isNan(want, test.result)))
      continue;
    double distance = test.result == 'f' ? std::fabs(double(int32_t(got[i])) - double(int32_t(want))) : std::fabs(double(int64_t(got[i] - want)));
    ASSERT_TRUE(test.ulps > 0 && distance <= test.ulps) << std::hex << "operands " << inputs[0][i] << " " << inputs[1][i] << " " << inputs[2][i]
                                                        << ": got " << got[i] << ", expected " << want;
  }
}

float f(Bits bits) { return std::bit_cast<float>(uint32_t(bits)); }
double e(Bits bits) { return std::bit_cast<double>(bits); }
Bits b(float value) { return std::bit_cast<uint32_t>(value); }
Bits b(double value) { return std::bit_cast<Bits>(value); }
float half(Bits bits) { return ptxemu::fromFloat16(uint16_t(bits)); }
float brain(Bits bits) { return ptxemu::fromBfloat16(uint16_t(bits)); }
float ftz(float x) { return std::fabs(x) < 1.17549435e-38f ? std::copysign(0.0f, x) : x; }

template <typename T> T shiftRight(T a, uint32_t n) { return n >= 8 * sizeof(T) ? T(a < 0 ? -1 : 0) : T(a >> n); }

TEST(Arithmetic, IntegersOf32Bits) {
  using U = uint32_t;
  using S = int32_t;
  for (const Case &test : std::vector<Case>{
           {"add.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x + y; }},
           {"sub.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x - y; }},
           {"add.sat.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(std::clamp<int64_t>(int64_t(S(x)) + S(y), INT32_MIN, INT32_MAX)); }},
           {"mul.lo.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x * y; }},
           {"mul.hi.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x * y >> 32; }},
           {"mul.hi.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(int64_t(S(x)) * S(y) >> 32); }},
           {"mul.wide.s32 %d0, %r1, %r2", 'd', "rr", [](Bits x, Bits y, Bits) { return Bits(int64_t(S(x)) * S(y)); }},
           {"mul.wide.u32 %d0, %r1, %r2", 'd', "rr", [](Bits x, Bits y, Bits) { return x * y; }},
           {"mad.lo.s32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return x * y + z; }},
           {"mad.hi.u32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (x * y >> 32) + z; }},
           {"mad.wide.s32 %d0, %r1, %r2, %d3", 'd', "rrd", [](Bits x, Bits y, Bits z) { return Bits(int64_t(S(x)) * S(y)) + z; }},
           {"mad.wide.u32 %d0, %r1, %r2, %d3", 'd', "rrd", [](Bits x, Bits y, Bits z) { return x * y + z; }},
           {"div.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return y ? x / y : ~Bits(0); }},
           {"div.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return S(y) == 0 ? ~Bits(0) : Bits(int64_t(S(x)) / S(y)); }},
           {"rem.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return S(y) == 0 ? x : Bits(int64_t(S(x)) % S(y)); }},
           {"rem.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return y ? x % y : x; }},
           {"min.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(std::min(S(x), S(y))); }},
           {"max.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return std::max(x, y); }},
           {"max.relu.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(std::max({S(x), S(y), 0})); }},
           {"abs.s32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return S(x) < 0 ? 0 - x : x; }},
           {"neg.s32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return 0 - x; }},
           {"and.b32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x & y; }},
           {"or.b32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x | y; }},
           {"xor.b32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x ^ y; }},
           {"not.b32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return ~x; }},
           {"cnot.b32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return Bits(x == 0); }},
           {"shl.b32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return y >= 32 ? 0 : x << y; }},
           {"shr.u32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(shiftRight<U>(U(x), U(y))); }},
           {"shr.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(shiftRight<S>(S(x), U(y))); }},
           {"shf.l.wrap.b32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (y << 32 | x) << (z & 31) >> 32; }},
           {"shf.l.clamp.b32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (y << 32 | x) << std::min<Bits>(z, 32) >> 32; }},
           {"shf.r.wrap.b32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (y << 32 | x) >> (z & 31); }},
           {"shf.r.clamp.b32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (y << 32 | x) >> std::min<Bits>(z, 32); }},
           {"popc.b32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return Bits(std::popcount(U(x))); }},
           {"clz.b32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return Bits(std::countl_zero(U(x))); }},
           {"bfind.u32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return x ? Bits(31 - std::countl_zero(U(x))) : ~Bits(0); }},
           {"bfind.s32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { U y = S(x) < 0 ? ~U(x) : U(x); return y ? Bits(31 - std::countl_zero(y)) : ~Bits(0); }},
           {"brev.b32 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { Bits y = 0; for (int i = 0; i < 32; ++i) y |= (x >> i & 1) << (31 - i); return y; }},
           {"lop3.b32 %r0, %r1, %r2, %r3, 0xCA", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (x & y) | (~x & z); }},
           {"lop3.b32 %r0, %r1, %r2, %r3, 0x96", 'r', "rrr", [](Bits x, Bits y, Bits z) { return x ^ y ^ z; }},
           {"bfe.u32 %r0, %r1, %r2, %r3", 'r', "rrr",
            [](Bits x, Bits y, Bits z) { Bits r = 0; y &= 255; z &= 255; for (Bits i = 0; i < 32; ++i) if (i < z && y + i < 32) r |= (x >> (y + i) & 1) << i; return r; }},
           {"bfe.s32 %r0, %r1, %r2, %r3", 'r', "rrr",
            [](Bits x, Bits y, Bits z) {
              Bits r = 0; y &= 255; z &= 255; Bits sign = z ? x >> std::min<Bits>(y + z - 1, 31) & 1 : 0;
              for (Bits i = 0; i < 32; ++i) r |= (i < z && y + i < 32 ? x >> (y + i) & 1 : sign) << i; return r; }},
           {"bfi.b32 %r0, %r1, %r2, 5, 9", 'r', "rr", [](Bits x, Bits y, Bits) { return (y & ~Bits(0x3fe0)) | (x << 5 & 0x3fe0); }},
           {"bfi.b32 %r0, %r1, %r2, %r3, 40", 'r', "rrr",
            [](Bits x, Bits y, Bits z) { Bits r = y; z &= 255; for (Bits i = 0; i < 40 && z + i < 32; ++i) r = (r & ~(Bits(1) << (z + i))) | (x >> i & 1) << (z + i); return r; }},
           {"prmt.b32 %r0, %r1, %r2, %r3", 'r', "rrr",
            [](Bits x, Bits y, Bits z) {
              Bits all = y << 32 | x, r = 0;
              for (int i = 0; i < 4; ++i) { Bits s = z >> (4 * i) & 15, byte = all >> (8 * (s & 7)) & 255; if (s & 8) byte = byte & 128 ? 255 : 0; r |= byte << (8 * i); }
              return r; }},
           {"prmt.b32.f4e %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (y << 32 | x) >> (8 * (z & 3)); }},
           {"sad.s32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return z + Bits(std::llabs(int64_t(S(x)) - S(y))); }},
           {"bmsk.clamp.b32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return x >= 32 ? 0 : (y >= 32 ? ~Bits(0) : (Bits(1) << y) - 1) << x; }},
           {"szext.wrap.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { y &= 31; return y ? Bits(S(U(x) << (32 - y)) >> (32 - y)) : 0; }},
           {"dp4a.s32.u32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { for (int i = 0; i < 32; i += 8) z += Bits(int64_t(int8_t(x >> i)) * uint8_t(y >> i)); return z; }},
           {"dp2a.hi.u32.s32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { for (int i = 0; i < 2; ++i) z += Bits(int64_t(uint16_t(x >> 16 * i)) * int8_t(y >> (16 + 8 * i))); return z; }},
           {"mul24.lo.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(int64_t(S(x << 8) >> 8) * (S(y << 8) >> 8)); }},
           {"add.u16x2 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return (((x >> 16) + (y >> 16)) & 0xffff) << 16 | ((x + y) & 0xffff); }},
           {"max.s16x2 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(uint16_t(std::max(int16_t(x >> 16), int16_t(y >> 16)))) << 16 | uint16_t(std::max(int16_t(x), int16_t(y))); }},
           {"selp.b32 %r0, %r1, %r2, %p3", 'r', "rrp", [](Bits x, Bits y, Bits z) { return z ? x : y; }},
           {"slct.u32.s32 %r0, %r1, %r2, %r3", 'r', "rrr", [](Bits x, Bits y, Bits z) { return S(z) >= 0 ? x : y; }},
       })
    check(test);
}

TEST(Arithmetic, IntegersOfOtherWidths) {
  using S = int64_t;
  for (const Case &test : std::vector<Case>{
           {"add.s64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return x + y; }},
           {"mul.lo.s64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return x * y; }},
           {"mul.hi.u64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return Bits((unsigned __int128)x * y >> 64); }},
           {"mul.hi.s64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return Bits((__int128)S(x) * S(y) >> 64); }},
           {"mad.lo.u64 %d0, %d1, %d2, %d3", 'd', "ddd", [](Bits x, Bits y, Bits z) { return x * y + z; }},
           {"div.u64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return y ? x / y : ~Bits(0); }},
           {"div.s64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return y == 0 ? ~Bits(0) : y == ~Bits(0) ? 0 - x : Bits(S(x) / S(y)); }},
           {"rem.s64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return y == 0 ? x : y == ~Bits(0) ? 0 : Bits(S(x) % S(y)); }},
           {"min.u64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return std::min(x, y); }},
           {"max.s64 %d0, %d1, %d2", 'd', "dd", [](Bits x, Bits y, Bits) { return Bits(std::max(S(x), S(y))); }},
           {"shr.s64 %d0, %d1, %r2", 'd', "dr", [](Bits x, Bits y, Bits) { return Bits(shiftRight<S>(S(x), uint32_t(y))); }},
           {"shl.b64 %d0, %d1, %r2", 'd', "dr", [](Bits x, Bits y, Bits) { return y >= 64 ? 0 : x << y; }},
           {"popc.b64 %r0, %d1", 'r', "d", [](Bits x, Bits, Bits) { return Bits(std::popcount(x)); }},
           {"clz.b64 %r0, %d1", 'r', "d", [](Bits x, Bits, Bits) { return Bits(std::countl_zero(x)); }},
           {"brev.b64 %d0, %d1", 'd', "d", [](Bits x, Bits, Bits) { Bits y = 0; for (int i = 0; i < 64; ++i) y |= (x >> i & 1) << (63 - i); return y; }},
           {"bfe.u64 %d0, %d1, 7, 20", 'd', "d", [](Bits x, Bits, Bits) { return x >> 7 & 0xfffff; }},
           {"bfe.s64 %d0, %d1, 50, 30", 'd', "d", [](Bits x, Bits, Bits) { return Bits(S(x) >> 50); }},
           {"bfi.b64 %d0, %d1, %d2, 48, 16", 'd', "dd", [](Bits x, Bits y, Bits) { return x << 48 | (y & 0xffffffffffff); }},
           {"selp.b64 %d0, %d1, %d2, %p3", 'd', "ddp", [](Bits x, Bits y, Bits z) { return z ? x : y; }},
           {"add.s16 %h0, %h1, %h2", 'h', "hh", [](Bits x, Bits y, Bits) { return x + y; }},
           {"mul.hi.u16 %h0, %h1, -21845", 'h', "h", [](Bits x, Bits, Bits) { return x * 43691 >> 16; }},
           {"mul.hi.s16 %h0, %h1, %h2", 'h', "hh", [](Bits x, Bits y, Bits) { return Bits(int32_t(int16_t(x)) * int16_t(y) >> 16); }},
           {"mul.wide.s16 %r0, %h1, %h2", 'r', "hh", [](Bits x, Bits y, Bits) { return Bits(int32_t(int16_t(x)) * int16_t(y)); }},
           {"mad.lo.s16 %h0, %h1, %h2, %h3", 'h', "hhh", [](Bits x, Bits y, Bits z) { return x * y + z; }},
           {"div.s16 %h0, %h1, %h2", 'h', "hh", [](Bits x, Bits y, Bits) { return y == 0 ? ~Bits(0) : Bits(int16_t(x) / int16_t(y)); }},
           {"rem.u16 %h0, %h1, %h2", 'h', "hh", [](Bits x, Bits y, Bits) { return y ? x % y : x; }},
           {"shr.s16 %h0, %h1, %r2", 'h', "hr", [](Bits x, Bits y, Bits) { return Bits(shiftRight<int16_t>(int16_t(x), uint32_t(y))); }},
           {"shr.u16 %h0, %h1, 3", 'h', "h", [](Bits x, Bits, Bits) { return x >> 3; }},
           {"max.s16 %h0, %h1, %h2", 'h', "hh", [](Bits x, Bits y, Bits) { return Bits(std::max(int16_t(x), int16_t(y))); }},
           {"not.b16 %h0, %h1", 'h', "h", [](Bits x, Bits, Bits) { return ~x; }},
           {"neg.s16 %h0, %h1", 'h', "h", [](Bits x, Bits, Bits) { return 0 - x; }},
           // Sums of 128 bits by their carries.
           {"add.cc.s64 %d9, %d1, %d2;\naddc.s64 %d0, 0, 0", 'd', "dd", [](Bits x, Bits y, Bits) { return Bits(x + y < x); }},
           {"sub.cc.u32 %r9, %r1, %r2;\nsubc.u32 %r0, 5, 0", 'r', "rr", [](Bits x, Bits y, Bits) { return Bits(5) - (x < y); }},
           {"mad.lo.cc.u32 %r9, %r1, %r2, %r3;\nmadc.hi.u32 %r0, %r1, %r2, 0", 'r', "rrr", [](Bits x, Bits y, Bits z) { return (x * y + z) >> 32; }},
           {"mov.b64 {%r9, %r0}, %d1", 'r', "d", [](Bits x, Bits, Bits) { return x >> 32; }},
           {"mov.b64 %d0, {%r1, %r2}", 'd', "rr", [](Bits x, Bits y, Bits) { return x | y << 32; }},
           {"mov.b32 %r0, {%h1, %h2}", 'r', "hh", [](Bits x, Bits y, Bits) { return x | y << 16; }},
           {"mov.b32 {_, %h0}, %r1", 'h', "r", [](Bits x, Bits, Bits) { return x >> 16; }},
       })
    check(test);
}

TEST(Arithmetic, Floats) {
  for (const Case &test : std::vector<Case>{
           {"add.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(f(x) + f(y)); }},
           {"sub.rn.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(f(x) - f(y)); }},
           {"mul.ftz.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(ftz(ftz(f(x)) * ftz(f(y)))); }},
           {"add.sat.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { float s = f(x) + f(y); return b(s > 0 ? std::min(s, 1.0f) : 0.0f); }},
           {"fma.rn.f32 %f0, %f1, %f2, %f3", 'f', "fff", [](Bits x, Bits y, Bits z) { return b(std::fma(f(x), f(y), f(z))); }},
           {"mad.f32 %f0, %f1, %f2, %f3", 'f', "fff", [](Bits x, Bits y, Bits z) { return b(std::fma(f(x), f(y), f(z))); }},
           {"div.rn.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(f(x) / f(y)); }},
           {"div.full.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(f(x) / f(y)); }, 2},
           {"sqrt.rn.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(std::sqrt(f(x))); }},
           {"rcp.approx.ftz.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(ftz(1.0f / ftz(f(x)))); }, 1},
           {"rsqrt.approx.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(float(1.0 / std::sqrt(double(f(x))))); }, 2},
           {"ex2.approx.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(float(std::exp2(double(f(x))))); }, 2},
           {"ex2.approx.ftz.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(ftz(float(std::exp2(double(ftz(f(x))))))); }, 2},
           {"lg2.approx.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(float(std::log2(double(f(x))))); }, 2},
           {"sin.approx.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(float(std::sin(double(f(x))))); }, 2},
           {"cos.approx.ftz.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(ftz(float(std::cos(double(ftz(f(x))))))); }, 2},
           {"tanh.approx.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(float(std::tanh(double(f(x))))); }, 2},
           {"abs.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return b(std::fabs(f(x))); }},
           {"neg.f32 %f0, %f1", 'f', "f", [](Bits x, Bits, Bits) { return x ^ 0x80000000; }},
           {"copysign.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(std::copysign(f(y), f(x))); }},
           {"min.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return f(x) == 0 && f(y) == 0 ? b(std::signbit(f(x)) ? f(x) : f(y)) : b(std::fmin(f(x), f(y))); }},
           {"max.NaN.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return std::isnan(f(x)) || std::isnan(f(y)) ? 0x7fffffff : f(x) == 0 && f(y) == 0 ? b(std::signbit(f(x)) ? f(y) : f(x)) : b(std::fmax(f(x), f(y))); }},
           {"min.xorsign.abs.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { float m = std::fmin(std::fabs(f(x)), std::fabs(f(y))); return b(std::signbit(f(x)) != std::signbit(f(y)) ? -m : m); }},
           {"add.f64 %e0, %e1, %e2", 'e', "ee", [](Bits x, Bits y, Bits) { return b(e(x) + e(y)); }},
           {"mul.f64 %e0, %e1, %e2", 'e', "ee", [](Bits x, Bits y, Bits) { return b(e(x) * e(y)); }},
           {"fma.rn.f64 %e0, %e1, %e2, %e3", 'e', "eee", [](Bits x, Bits y, Bits z) { return b(std::fma(e(x), e(y), e(z))); }},
           {"div.rn.f64 %e0, %e1, %e2", 'e', "ee", [](Bits x, Bits y, Bits) { return b(e(x) / e(y)); }},
           {"sqrt.rn.f64 %e0, %e1", 'e', "e", [](Bits x, Bits, Bits) { return b(std::sqrt(e(x))); }},
           {"selp.f32 %f0, %f1, %f2, %p3", 'f', "ffp", [](Bits x, Bits y, Bits z) { return z ? x : y; }},
           // Directed roundings are checked by their error against a wider sum.
           {"add.rz.f32 %f0, %f1, %f2", 'f', "ff",
            [](Bits x, Bits y, Bits) { double s = double(f(x)) + double(f(y)); float r = float(s); if (std::isfinite(s) && std::fabs(double(r)) > std::fabs(s)) r = std::nextafter(r, 0.0f); return b(r); }, 1},
           {"mul.rp.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { double s = double(f(x)) * double(f(y)); float r = float(s); if (double(r) < s) r = std::nextafter(r, INFINITY); return b(r); }},
           {"mul.rm.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { double s = double(f(x)) * double(f(y)); float r = float(s); if (double(r) > s) r = std::nextafter(r, -INFINITY); return b(r); }},
       })
    check(test);
}

uint16_t canonical(uint16_t bits, bool isHalf) {
  bool nan = isHalf ? (bits & 0x7fff) > 0x7c00 : (bits & 0x7fff) > 0x7f80;
  return nan ? 0x7fff : bits;
}

TEST(Arithmetic, SmallFloats) {
  auto h = [](double value) { return Bits(canonical(ptxemu::toFloat16(float(value)), true)); };
  auto g = [](float value) { return Bits(canonical(ptxemu::toBfloat16(value), false)); };
  auto pair = [](Bits high, Bits low) { return high << 16 | low; };
  for (const Case &test : std::vector<Case>{
           {"add.f16 %h0, %h1, %h2", 'h', "hh", [=](Bits x, Bits y, Bits) { return h(half(x) + half(y)); }},
           {"mul.bf16 %h0, %h1, %h2", 'h', "hh", [=](Bits x, Bits y, Bits) { return g(brain(x) * brain(y)); }},
           {"fma.rn.bf16x2 %r0, %r1, %r2, %r3", 'r', "rrr",
            [=](Bits x, Bits y, Bits z) {
              auto one = [&](int s) { long double exact = (long double)brain(x >> s & 0xffff) * brain(y >> s & 0xffff) + brain(z >> s & 0xffff);
                // To odd on the way, so that the second rounding is the only one.
                float r = float(exact); if ((long double)r != exact && std::isfinite(r)) { uint32_t u = std::bit_cast<uint32_t>(r); if (!(u & 1)) r = std::bit_cast<float>(std::fabs((long double)r) > std::fabs(exact) ? u - 1 : u + 1); } return g(r); };
              return pair(one(16), one(0)); }},
           {"fma.rn.f16 %h0, %h1, %h2, %h3", 'h', "hhh",
            [=](Bits x, Bits y, Bits z) { long double exact = (long double)half(x) * half(y) + half(z); float r = float(exact); if ((long double)r != exact && std::isfinite(r)) { uint32_t u = std::bit_cast<uint32_t>(r); if (!(u & 1)) r = std::bit_cast<float>(std::fabs((long double)r) > std::fabs(exact) ? u - 1 : u + 1); } return h(r); }},
           {"sub.f16x2 %r0, %r1, %r2", 'r', "rr", [=](Bits x, Bits y, Bits) { return pair(h(half(x >> 16) - half(y >> 16)), h(half(x & 0xffff) - half(y & 0xffff))); }},
           {"neg.bf16x2 %r0, %r1", 'r', "r", [](Bits x, Bits, Bits) { return x ^ 0x80008000; }},
           {"abs.f16 %h0, %h1", 'h', "h", [](Bits x, Bits, Bits) { return x & 0x7fff; }},
           {"tanh.approx.f16 %h0, %h1", 'h', "h", [=](Bits x, Bits, Bits) { return h(std::tanh(half(x))); }},
           {"ex2.approx.ftz.bf16x2 %r0, %r1", 'r', "r", [=](Bits x, Bits, Bits) { return pair(g(std::exp2(brain(x >> 16))), g(std::exp2(brain(x & 0xffff)))); }},
           {"setp.lt.f16 %p0, %h1, %h2", 'p', "hh", [](Bits x, Bits y, Bits) { return Bits(half(x) < half(y)); }},
           {"fma.rn.relu.bf16 %h0, %h1, %h2, %h3", 'h', "hhh", [=](Bits x, Bits y, Bits z) { float r = float((long double)brain(x) * brain(y) + brain(z)); return g(r < 0 ? 0.0f : r == 0 ? 0.0f : r); }},
       }) {
    Case exact = test;
    check(exact);
  }
}

TEST(Arithmetic, Comparisons) {
  std::vector<Case> cases;
  const char *names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  auto compare = [](int op, auto x, auto y) { return op == 0 ? x == y : op == 1 ? x != y : op == 2 ? x < y : op == 3 ? x <= y : op == 4 ? x > y : x >= y; };
  for (int op = 0; op < 6; ++op) {
    std::string n = names[op];
    cases.push_back({"setp." + n + ".s32 %p0, %r1, %r2", 'p', "rr", [=](Bits x, Bits y, Bits) { return Bits(compare(op, int32_t(x), int32_t(y))); }});
    cases.push_back({"setp." + n + ".u32 %p0, %r1, %r2", 'p', "rr", [=](Bits x, Bits y, Bits) { return Bits(compare(op, uint32_t(x), uint32_t(y))); }});
    cases.push_back({"setp." + n + ".s16 %p0, %h1, %h2", 'p', "hh", [=](Bits x, Bits y, Bits) { return Bits(compare(op, int16_t(x), int16_t(y))); }});
    cases.push_back({"setp." + n + ".u64 %p0, %d1, %d2", 'p', "dd", [=](Bits x, Bits y, Bits) { return Bits(compare(op, x, y)); }});
    cases.push_back({"setp." + n + ".f32 %p0, %f1, %f2", 'p', "ff", [=](Bits x, Bits y, Bits) { return Bits(!std::isnan(f(x)) && !std::isnan(f(y)) && compare(op, f(x), f(y))); }});
    cases.push_back({"setp." + n + "u.f32 %p0, %f1, %f2", 'p', "ff", [=](Bits x, Bits y, Bits) { return Bits(std::isnan(f(x)) || std::isnan(f(y)) || compare(op, f(x), f(y))); }});
    cases.push_back({"setp." + n + ".f64 %p0, %e1, %e2", 'p', "ee", [=](Bits x, Bits y, Bits) { return Bits(!std::isnan(e(x)) && !std::isnan(e(y)) && compare(op, e(x), e(y))); }});
  }
  cases.push_back({"setp.num.f32 %p0, %f1, %f2", 'p', "ff", [](Bits x, Bits y, Bits) { return Bits(!std::isnan(f(x)) && !std::isnan(f(y))); }});
  cases.push_back({"setp.nan.f32 %p0, %f1, %f2", 'p', "ff", [](Bits x, Bits y, Bits) { return Bits(std::isnan(f(x)) || std::isnan(f(y))); }});
  cases.push_back({"setp.hi.and.u32 %p0|%p5, %r1, %r2, !%p3", 'p', "rrp", [](Bits x, Bits y, Bits z) { return Bits(x > y && !z); }});
  cases.push_back({"setp.hi.or.u32 %p5|%p0, %r1, %r2, %p3", 'p', "rrp", [](Bits x, Bits y, Bits z) { return Bits(!(x > y) || z); }});
  cases.push_back({"set.lt.u32.s32 %r0, %r1, %r2", 'r', "rr", [](Bits x, Bits y, Bits) { return int32_t(x) < int32_t(y) ? ~Bits(0) : 0; }});
  cases.push_back({"set.gt.f32.f32 %f0, %f1, %f2", 'f', "ff", [](Bits x, Bits y, Bits) { return b(f(x) > f(y) ? 1.0f : 0.0f); }});
  cases.push_back({"testp.subnormal.f32 %p0, %f1", 'p', "f", [](Bits x, Bits, Bits) { return Bits(std::fpclassify(f(x)) == FP_SUBNORMAL); }});
  cases.push_back({"testp.finite.f64 %p0, %e1", 'p', "e", [](Bits x, Bits, Bits) { return Bits(std::isfinite(e(x))); }});
  cases.push_back({"xor.pred %p0, %p1, %p2", 'p', "pp", [](Bits x, Bits y, Bits) { return x ^ y; }});
  cases.push_back({"and.pred %p0, %p1, !%p2", 'p', "pp", [](Bits x, Bits y, Bits) { return x & (y ^ 1); }});
  cases.push_back({"not.pred %p0, %p1", 'p', "p", [](Bits x, Bits, Bits) { return x ^ 1; }});
  for (const Case &test : cases)
    check(test);
}

} // namespace
} // namespace ptxemu_test

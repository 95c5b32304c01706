// SPDX-License-Identifier: Apache-2.0
//
// cvt against a search through all values of the target format (floats) and against wide integers.

#include "Harness.h"
#include <algorithm>
#include <bit>
#include <cmath>

namespace ptxemu_test {
namespace {

/// Runs `text` on 64-bit slots: %d1 to %d0; smaller registers are cut from and widened to them by the text.
std::vector<uint64_t> convertAll(const std::string &text, const std::vector<uint64_t> &inputs) {
  Machine machine(kernel("mul.wide.u32 %d30, %tid, 8;\nadd.s64 %d31, %a1, %d30;\nld.global.u64 %d1, [%d31];\ncvt.u32.u64 %r1, %d1;\nmov.b32 %f1, %r1;\n"
                         "cvt.u16.u64 %h1, %d1;\nmov.b64 %e1, %d1;\nmov.u64 %d0, 0;\n" + text + "\nadd.s64 %d31, %a0, %d30;\nst.global.u64 [%d31], %d0;\n", 2));
  uint64_t in = machine.upload(inputs), out = machine.upload(std::vector<uint64_t>(inputs.size(), 7));
  Result result = machine.run(1, uint32_t(inputs.size()), out, in);
  EXPECT_TRUE(result.ok()) << text << result.text();
  return machine.download<uint64_t>(out, inputs.size());
}

std::vector<float> floatInputs() {
  std::vector<float> values = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, 1.5f, 2.5f, -2.5f, 448.0f, 464.0f, 465.0f, 57344.0f, 61440.0f, 65504.0f, 65519.0f, 65520.0f,
                               1e-8f, -1e-8f, 5.9e-8f, 2.98e-8f, 0.001953125f, 0.0009765625f, 0.00146484375f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN,
                               2147483647.0f, -2147483648.0f, 4294967296.0f, 9.3e18f, -9.3e18f, 1e-40f, 255.5f, 127.5f, -128.5f};
  std::mt19937 random(5);
  while (values.size() < 512)
    values.push_back(std::ldexp(float(int32_t(random())) / 2147483648.0f, int(random() % 50) - 28));
  return values;
}

/// A small format by its decoder.
struct Format {
  const char *name;
  uint32_t codes;
  float (*decode)(uint32_t);
};
const Format formats[] = {{"f16", 65536, [](uint32_t c) { return ptxemu::fromFloat16(uint16_t(c)); }},
                          {"bf16", 65536, [](uint32_t c) { return ptxemu::fromBfloat16(uint16_t(c)); }},
                          {"e4m3", 256, [](uint32_t c) { return ptxemu::fromE4m3(uint8_t(c)); }},
                          {"e5m2", 256, [](uint32_t c) { return ptxemu::fromE5m2(uint8_t(c)); }}};

/// The code that `x` rounds to; `mode`: n nearest even, z, m, p. Overflow by IEEE 754, or to the largest number if `finite`.
uint32_t search(const Format &format, float x, char mode, bool finite) {
  static std::map<std::string, std::pair<std::vector<std::pair<double, uint32_t>>, uint32_t>> known; // finite numbers; infinity
  auto &[finiteCodes, infinity] = known[format.name];
  uint32_t half = format.codes / 2;
  if (finiteCodes.empty())
    for (uint32_t c = 0; c < half; ++c) {
      float v = format.decode(c);
      if (std::isfinite(v))
        finiteCodes.push_back({double(v), c});
      else if (std::isinf(v))
        infinity = c;
    }
  uint32_t sign = std::signbit(x) ? half : 0;
  double magnitude = std::fabs(double(x));
  auto above = std::lower_bound(finiteCodes.begin(), finiteCodes.end(), std::pair(magnitude, 0u));
  double largest = finiteCodes.back().first, step = largest - finiteCodes[finiteCodes.size() - 2].first;
  bool up = mode == 'p' ? !sign : mode == 'm' ? bool(sign) : false;
  if (above == finiteCodes.end()) {
    bool toInfinity = std::isinf(x) || (mode == 'n' ? magnitude >= largest + step / 2 : up);
    return sign | (toInfinity && !finite ? infinity : finiteCodes.back().second);
  }
  if (above->first == magnitude)
    return sign | above->second;
  auto below = above - 1;
  if (mode != 'n')
    return sign | (up ? above->second : below->second);
  double down = magnitude - below->first, rise = above->first - magnitude;
  return sign | (down < rise ? below->second : rise < down ? above->second : below->second % 2 == 0 ? below->second : above->second);
}

bool isNanCode(const Format &format, uint32_t code) { return std::isnan(format.decode(code)); }

TEST(Convert, FloatToSmallFloats) {
  std::vector<float> values = floatInputs();
  std::vector<uint64_t> inputs;
  for (float value : values)
    inputs.push_back(std::bit_cast<uint32_t>(value));
  struct Form {
    int format;
    char mode;
    bool finite;
    std::string text;
  };
  std::vector<Form> forms;
  for (int i = 0; i < 2; ++i) {
    std::string n = formats[i].name;
    for (char mode : {'n', 'z'})
      forms.push_back({i, mode, false, "cvt.r" + std::string(1, mode) + "." + n + ".f32 %h0, %f1;\ncvt.u64.u16 %d0, %h0;"});
    forms.push_back({i, 'n', true, "cvt.rn.satfinite." + n + ".f32 %h0, %f1;\ncvt.u64.u16 %d0, %h0;"});
    forms.push_back({i, 'n', false, "cvt.rn." + n + "x2.f32 %r0, %f1, 0f40000000;\nshr.u32 %r0, %r0, 16;\ncvt.u64.u32 %d0, %r0;"});
  }
  forms.push_back({0, 'm', false, "cvt.rm.f16.f32 %h0, %f1;\ncvt.u64.u16 %d0, %h0;"});
  forms.push_back({0, 'p', false, "cvt.rp.f16.f32 %h0, %f1;\ncvt.u64.u16 %d0, %h0;"});
  for (int i = 2; i < 4; ++i) {
    std::string n = formats[i].name;
    forms.push_back({i, 'n', true, "cvt.rn.satfinite." + n + "x2.f32 %h0, 0f3F800000, %f1;\ncvt.u64.u16 %d0, %h0;\nand.b64 %d0, %d0, 255;"});
    forms.push_back({i, 'n', true, "cvt.rn.satfinite." + n + "x2.f32 %h0, %f1, 0f3F800000;\ncvt.u64.u16 %d0, %h0;\nshr.u64 %d0, %d0, 8;"});
  }
  for (const Form &form : forms) {
    SCOPED_TRACE(form.text);
    std::vector<uint64_t> got = convertAll(form.text, inputs);
    for (size_t i = 0; i < values.size(); ++i) {
      const Format &format = formats[form.format];
      if (std::isnan(values[i])) {
        EXPECT_TRUE(isNanCode(format, uint32_t(got[i])));
        continue;
      }
      ASSERT_EQ(got[i], search(format, values[i], form.mode, form.finite)) << values[i];
    }
  }
}

TEST(Convert, SmallFloatsToFloats) {
  for (int i = 0; i < 2; ++i) {
    std::vector<uint64_t> inputs;
    for (uint64_t code = 0; code < 65536; code += 64)
      inputs.push_back(code + code / 64 % 64);
    std::vector<uint64_t> got = convertAll("cvt.f32." + std::string(formats[i].name) + " %f0, %h1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", inputs);
    for (size_t k = 0; k < inputs.size(); ++k) {
      float want = formats[i].decode(uint32_t(inputs[k])), have = std::bit_cast<float>(uint32_t(got[k]));
      ASSERT_TRUE(want == have || (std::isnan(want) && std::isnan(have))) << inputs[k];
    }
  }
  for (int i = 2; i < 4; ++i) {
    std::vector<uint64_t> inputs;
    for (uint64_t code = 0; code < 256; ++code)
      inputs.push_back(code | (255 - code) << 8);
    std::vector<uint64_t> got = convertAll("cvt.rn.f16x2." + std::string(formats[i].name) + "x2 %r0, %h1;\ncvt.u64.u32 %d0, %r0;", inputs);
    for (size_t k = 0; k < inputs.size(); ++k)
      for (int half = 0; half < 2; ++half) {
        float want = formats[i].decode(uint32_t(inputs[k] >> (8 * half) & 255)), have = ptxemu::fromFloat16(uint16_t(got[k] >> (16 * half)));
        ASSERT_TRUE(want == have || (std::isnan(want) && std::isnan(have))) << inputs[k];
      }
  }
}

int64_t clampTo(double value, double low, double high, int64_t lowest, int64_t highest) {
  return std::isnan(value) ? 0 : value < low ? lowest : value >= high ? highest : int64_t(value);
}

TEST(Convert, FloatsToIntegers) {
  std::vector<float> values = floatInputs();
  std::vector<uint64_t> inputs;
  for (float value : values)
    inputs.push_back(std::bit_cast<uint32_t>(value));
  struct Rounding {
    const char *name;
    double (*apply)(double);
  };
  const Rounding roundings[] = {{"rni", [](double x) { return std::nearbyint(x); }}, {"rzi", [](double x) { return std::trunc(x); }},
                                {"rmi", [](double x) { return std::floor(x); }}, {"rpi", [](double x) { return std::ceil(x); }}};
  for (const Rounding &rounding : roundings) {
    std::string r = rounding.name;
    auto s32 = convertAll("cvt." + r + ".s32.f32 %r0, %f1;\ncvt.s64.s32 %d0, %r0;", inputs);
    auto u32 = convertAll("cvt." + r + ".u32.f32 %r0, %f1;\ncvt.u64.u32 %d0, %r0;", inputs);
    auto s64 = convertAll("cvt." + r + ".s64.f32 %d0, %f1;", inputs);
    auto s8 = convertAll("cvt." + r + ".s8.f32 %h0, %f1;\ncvt.s64.s16 %d0, %h0;", inputs);
    auto u8 = convertAll("cvt." + r + ".u8.f32 %r0, %f1;\ncvt.u64.u32 %d0, %r0;", inputs);
    auto whole = convertAll("cvt." + r + ".f32.f32 %f0, %f1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", inputs);
    for (size_t i = 0; i < values.size(); ++i) {
      double x = rounding.apply(double(values[i]));
      SCOPED_TRACE(r + " " + std::to_string(values[i]));
      ASSERT_EQ(int64_t(s32[i]), clampTo(x, -2147483648.0, 2147483648.0, INT32_MIN, INT32_MAX));
      ASSERT_EQ(int64_t(u32[i]), clampTo(x, 0, 4294967296.0, 0, UINT32_MAX));
      ASSERT_EQ(int64_t(s64[i]), clampTo(x, -9223372036854775808.0, 9223372036854775808.0, INT64_MIN, INT64_MAX));
      ASSERT_EQ(int64_t(s8[i]), clampTo(x, -128, 128, -128, 127));
      ASSERT_EQ(int64_t(u8[i]), clampTo(x, 0, 256, 0, 255));
      float w = std::bit_cast<float>(uint32_t(whole[i]));
      ASSERT_TRUE(w == float(x) || (std::isnan(w) && std::isnan(x)));
    }
  }
}

TEST(Convert, IntegersToFloatsAndIntegers) {
  std::vector<uint64_t> inputs = {0, 1, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffff01, 16777217,
                                  0x7fffffffffffffff, 0x8000000000000000, ~uint64_t(0), 0x8000008000000001};
  std::mt19937_64 random(9);
  while (inputs.size() < 256)
    inputs.push_back(random() >> random() % 64);
  auto expect = [&](const std::string &text, auto reference) {
    SCOPED_TRACE(text);
    auto got = convertAll(text, inputs);
    for (size_t i = 0; i < inputs.size(); ++i)
      ASSERT_EQ(got[i], uint64_t(reference(inputs[i]))) << inputs[i];
  };
  auto bits = [](float x) { return uint64_t(std::bit_cast<uint32_t>(x)); };
  expect("cvt.rn.f32.s32 %f0, %r1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", [&](uint64_t x) { return bits(float(int32_t(x))); });
  expect("cvt.rn.f32.u32 %f0, %r1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", [&](uint64_t x) { return bits(float(uint32_t(x))); });
  expect("cvt.rn.f32.u64 %f0, %d1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", [&](uint64_t x) { return bits(float(x)); });
  expect("cvt.rn.f32.s64 %f0, %d1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", [&](uint64_t x) { return bits(float(int64_t(x))); });
  expect("cvt.rz.f32.u32 %f0, %r1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;",
         [&](uint64_t x) { float r = float(uint32_t(x)); return bits(double(r) > double(uint32_t(x)) ? std::nextafter(r, 0.0f) : r); });
  expect("cvt.rn.f64.s64 %e0, %d1;\nmov.b64 %d0, %e0;", [](uint64_t x) { return std::bit_cast<uint64_t>(double(int64_t(x))); });
  expect("cvt.rn.f16.u16 %h0, %h1;\ncvt.u64.u16 %d0, %h0;", [](uint64_t x) { return ptxemu::toFloat16(float(uint16_t(x))); });
  expect("cvt.s64.s32 %d0, %r1;", [](uint64_t x) { return int64_t(int32_t(x)); });
  expect("cvt.u64.u32 %d0, %r1;", [](uint64_t x) { return uint32_t(x); });
  expect("cvt.s64.s16 %d0, %h1;", [](uint64_t x) { return int64_t(int16_t(x)); });
  expect("cvt.s64.s8 %d0, %d1;", [](uint64_t x) { return int64_t(int8_t(x)); });
  expect("cvt.s16.s8 %h0, %h1;\ncvt.u64.u16 %d0, %h0;", [](uint64_t x) { return uint16_t(int8_t(x)); });
  expect("cvt.u32.u8 %r0, %r1;\ncvt.u64.u32 %d0, %r0;", [](uint64_t x) { return uint8_t(x); });
  expect("cvt.sat.s8.s32 %r0, %r1;\ncvt.s64.s32 %d0, %r0;", [](uint64_t x) { return int64_t(std::clamp<int32_t>(int32_t(x), -128, 127)); });
  expect("cvt.sat.u16.s32 %h0, %r1;\ncvt.u64.u16 %d0, %h0;", [](uint64_t x) { return std::clamp<int32_t>(int32_t(x), 0, 65535); });
  expect("cvt.sat.u32.s64 %r0, %d1;\ncvt.u64.u32 %d0, %r0;", [](uint64_t x) { return std::clamp<int64_t>(int64_t(x), 0, UINT32_MAX); });
  expect("cvt.pack.sat.s16.s32 %r0, %r1, -7;\ncvt.u64.u32 %d0, %r0;",
         [](uint64_t x) { return uint32_t(uint16_t(std::clamp<int32_t>(int32_t(x), -32768, 32767))) << 16 | 0xfff9; });
  expect("cvt.pack.sat.u8.s32.b32 %r0, %r1, 9, 0x0304;\ncvt.u64.u32 %d0, %r0;",
         [](uint64_t x) { return uint32_t(0x0304) << 16 | uint32_t(std::clamp<int32_t>(int32_t(x), 0, 255)) << 8 | 9; });
}

TEST(Convert, DoublesAndTf32) {
  std::vector<uint64_t> inputs;
  std::mt19937_64 random(11);
  for (int i = 0; i < 256; ++i)
    inputs.push_back(std::bit_cast<uint64_t>(std::ldexp(double(int64_t(random())), int(random() % 60) - 100)));
  auto got = convertAll("cvt.rn.f32.f64 %f0, %e1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", inputs);
  auto down = convertAll("cvt.rm.f32.f64 %f0, %e1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", inputs);
  auto integer = convertAll("cvt.rzi.s64.f64 %d0, %e1;", inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    double x = std::bit_cast<double>(inputs[i]);
    ASSERT_EQ(got[i], std::bit_cast<uint32_t>(float(x)));
    float below = float(x);
    if (double(below) > x)
      below = std::nextafter(below, -INFINITY);
    ASSERT_EQ(down[i], std::bit_cast<uint32_t>(below));
    ASSERT_EQ(int64_t(integer[i]), int64_t(x));
  }
  std::vector<float> values = floatInputs();
  std::vector<uint64_t> singles;
  for (float value : values)
    singles.push_back(std::bit_cast<uint32_t>(std::isfinite(value) ? value : 1.0f));
  auto tf32 = convertAll("cvt.rna.tf32.f32 %r0, %f1;\ncvt.u64.u32 %d0, %r0;", singles);
  auto widened = convertAll("cvt.f64.f32 %e0, %f1;\nmov.b64 %d0, %e0;", singles);
  auto saturated = convertAll("cvt.sat.f32.f32 %f0, %f1;\nmov.b32 %r0, %f0;\ncvt.u64.u32 %d0, %r0;", singles);
  for (size_t i = 0; i < singles.size(); ++i) {
    ASSERT_EQ(tf32[i], uint32_t(singles[i] + 0x1000) & 0xffffe000);
    float x = std::bit_cast<float>(uint32_t(singles[i]));
    ASSERT_EQ(widened[i], std::bit_cast<uint64_t>(double(x)));
    ASSERT_EQ(saturated[i], std::bit_cast<uint32_t>(std::clamp(x == 0 ? 0.0f : x, 0.0f, 1.0f)));
  }
}

} // namespace
} // namespace ptxemu_test

// SPDX-License-Identifier: Apache-2.0

#include "runtime/cpu_variant.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace msa::rt {

namespace {

struct Name {
  const char *text;
  size_t length;
  bool is(const char *other) const { return std::strlen(other) == length && std::memcmp(text, other, length) == 0; }
};

#if defined(__x86_64__)

struct Machine {
  uint32_t leaf1c = 0, leaf7b = 0, leaf7c = 0, leaf7d = 0, leaf7s1a = 0, extended1c = 0;
  uint64_t enabledState = 0; // what the operating system saves, XCR0

  Machine() {
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d))
      leaf1c = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
      leaf7b = b;
      leaf7c = c;
      leaf7d = d;
    }
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d))
      leaf7s1a = a;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
      extended1c = c;
    if (leaf1c >> 27 & 1) { // OSXSAVE
      uint32_t low, high;
      asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      enabledState = uint64_t(high) << 32 | low;
    }
  }

  static bool all(uint32_t value, uint32_t bits) { return (value & bits) == bits; }
  bool v2() const {
    // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
    return all(leaf1c, 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23) && all(extended1c, 1u << 0);
  }
  bool v3() const {
    // FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; and the system saves ymm registers
    return v2() && all(leaf1c, 1u << 12 | 1u << 22 | 1u << 28 | 1u << 29) && all(leaf7b, 1u << 3 | 1u << 5 | 1u << 8) &&
           all(extended1c, 1u << 5) && (enabledState & 0x6) == 0x6;
  }
  bool v4() const {
    // AVX-512 F, DQ, CD, BW, VL; and the system saves zmm and mask registers
    return v3() && all(leaf7b, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) && (enabledState & 0xe6) == 0xe6;
  }
};

VariantSupport levelSupport(const Machine &machine, Name name) {
  auto answer = [](bool has) { return has ? VariantSupport::kSupported : VariantSupport::kMissing; };
  if (name.is("x86-64"))
    return VariantSupport::kSupported;
  if (name.is("x86-64-v2"))
    return answer(machine.v2());
  if (name.is("x86-64-v3"))
    return answer(machine.v3());
  if (name.is("x86-64-v4"))
    return answer(machine.v4());
  if (name.is("aarch64"))
    return VariantSupport::kMissing;
  return VariantSupport::kUnknown;
}

VariantSupport featureSupport(const Machine &machine, Name name) {
  auto answer = [](bool has) { return has ? VariantSupport::kSupported : VariantSupport::kMissing; };
  bool wide = machine.v4();
  bool tiles = (machine.enabledState & 0x60000) == 0x60000;
  if (name.is("avx512vnni"))
    return answer(wide && machine.leaf7c >> 11 & 1);
  if (name.is("avx512vbmi"))
    return answer(wide && machine.leaf7c >> 1 & 1);
  if (name.is("avx512bf16"))
    return answer(wide && machine.leaf7s1a >> 5 & 1);
  if (name.is("avx512fp16"))
    return answer(wide && machine.leaf7d >> 23 & 1);
  if (name.is("avxvnni"))
    return answer(machine.v3() && machine.leaf7s1a >> 4 & 1);
  if (name.is("amx-tile"))
    return answer(tiles && machine.leaf7d >> 24 & 1);
  if (name.is("amx-bf16"))
    return answer(tiles && machine.leaf7d >> 22 & 1);
  if (name.is("amx-int8"))
    return answer(tiles && machine.leaf7d >> 25 & 1);
  return VariantSupport::kUnknown;
}

#elif defined(__aarch64__)

struct Machine {
  unsigned long capabilities = getauxval(AT_HWCAP);
};

VariantSupport levelSupport(const Machine &, Name name) {
  if (name.is("aarch64"))
    return VariantSupport::kSupported;
  if (name.is("x86-64") || name.is("x86-64-v2") || name.is("x86-64-v3") || name.is("x86-64-v4"))
    return VariantSupport::kMissing;
  return VariantSupport::kUnknown;
}

VariantSupport featureSupport(const Machine &machine, Name name) {
  auto answer = [&](int bit) {
    return machine.capabilities >> bit & 1 ? VariantSupport::kSupported : VariantSupport::kMissing;
  };
  if (name.is("fp16"))
    return answer(10); // HWCAP_ASIMDHP
  if (name.is("dotprod"))
    return answer(20); // HWCAP_ASIMDDP
  if (name.is("sve"))
    return answer(22); // HWCAP_SVE
  return VariantSupport::kUnknown;
}

#endif

} // namespace

VariantSupport variantSupport(const char *name) {
  Machine machine;
  VariantSupport result = VariantSupport::kSupported;
  bool first = true;
  for (const char *at = name;; first = false) {
    const char *end = std::strchr(at, '+');
    Name part{at, end ? size_t(end - at) : std::strlen(at)};
    VariantSupport support = first ? levelSupport(machine, part) : featureSupport(machine, part);
    if (support == VariantSupport::kUnknown)
      return support;
    if (support == VariantSupport::kMissing)
      result = support;
    if (!end)
      return result;
    at = end + 1;
  }
}

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0
//
// wgmma: operands in every layout of the ISA, all types, and what is reported around it.

#include "Harness.h"
#include <cmath>

namespace ptxemu_test {
namespace {

struct Layout {
  uint32_t swizzle; ///< Bytes; 0 none.
  bool transposed;  ///< M- or N-major.
};

/// Places rows x depth elements as the canonical layouts say, and gives the descriptor without the address. Layouts are in units of 8x8
/// "core matrices" of 16-byte rows (none), or of 8 rows of `swizzle` bytes.
struct Placed {
  std::vector<uint8_t> bytes;
  uint64_t descriptor;
};

Placed place(const std::vector<uint32_t> &elements, uint32_t rows, uint32_t depth, uint32_t size, Layout layout) {
  Placed result;
  result.bytes.assign(32768, 0);
  uint32_t per = 16 / size, leading = 0, stride = 0;
  auto put = [&](uint32_t row, uint32_t k, uint32_t offset) {
    if (layout.swizzle)
      offset ^= (offset / 128 % (layout.swizzle / 16)) * 16;
    std::memcpy(&result.bytes.at(offset), &elements[row * depth + k], size);
  };
  if (!layout.transposed && !layout.swizzle) {
    leading = 128;                          // next 16 bytes of K
    stride = depth / per * 128;             // next 8 rows
    for (uint32_t r = 0; r < rows; ++r)
      for (uint32_t k = 0; k < depth; ++k)
        put(r, k, r / 8 * stride + k / per * leading + r % 8 * 16 + k % per * size);
  } else if (!layout.transposed) {
    stride = 8 * layout.swizzle;            // next 8 rows
    for (uint32_t r = 0; r < rows; ++r)
      for (uint32_t k = 0; k < depth; ++k)
        put(r, k, r / 8 * stride + r % 8 * layout.swizzle + k * size);
  } else if (!layout.swizzle) {
    stride = 128;                           // next 8 of M or N
    leading = rows / 8 * 128;               // next 8 of K
    for (uint32_t r = 0; r < rows; ++r)
      for (uint32_t k = 0; k < depth; ++k)
        put(r, k, r / per * stride + k / 8 * leading + k % 8 * 16 + r % per * size);
  } else {
    uint32_t wide = layout.swizzle / size;  // elements of M or N in a row of the pattern
    stride = 8 * layout.swizzle;            // next 8 of K
    leading = depth / 8 * stride;           // next `wide` of M or N
    for (uint32_t r = 0; r < rows; ++r)
      for (uint32_t k = 0; k < depth; ++k)
        put(r, k, r / wide * leading + k / 8 * stride + k % 8 * layout.swizzle + r % wide * size);
  }
  uint64_t mode = layout.swizzle == 128 ? 1 : layout.swizzle == 64 ? 2 : layout.swizzle == 32 ? 3 : 0;
  result.descriptor = mode << 62 | uint64_t(stride / 16) << 32 | uint64_t(leading / 16) << 16;
  return result;
}

struct Kind {
  const char *types; ///< dtype.atype.btype
  uint32_t depth, size;
  double (*decode)(uint32_t);
};

double brain(uint32_t c) { return double(ptxemu::fromBfloat16(uint16_t(c))); }
double half(uint32_t c) { return double(ptxemu::fromFloat16(uint16_t(c))); }
double e4(uint32_t c) { return double(ptxemu::fromE4m3(uint8_t(c))); }
double e5(uint32_t c) { return double(ptxemu::fromE5m2(uint8_t(c))); }
double s8(uint32_t c) { return double(int8_t(c)); }
double tf(uint32_t c) {
  c &= 0xffffe000;
  float x;
  std::memcpy(&x, &c, 4);
  return double(x);
}
const Kind bf16Kind{"f32.bf16.bf16", 16, 2, brain};

std::string registers(const std::string &prefix, uint32_t count) {
  std::string text = "{";
  for (uint32_t i = 0; i < count; ++i)
    text += (i ? ", " : "") + prefix + std::to_string(i);
  return text + "}";
}

/// One operation, its operands copied to shared memory by ordinary stores. A is at offset 0, B at 32768 of `room`.
std::string program(const Kind &kind, uint32_t n, const std::string &tail, bool fromRegisters, uint32_t accumulators, const std::string &before, uint64_t a, uint64_t b) {
  std::string operand = fromRegisters ? registers("%a_", 4) : "%d10";
  std::string body = R"(.shared .align 1024 .b8 room[65536];
    .reg .b32 %acc<128>; .reg .b32 %a_<4>;
    mov.u32 %r1, room; shl.b32 %r2, %tid, 4; cvt.u64.u32 %d1, %r2; add.s64 %d2, %a1, %d1; add.u32 %r3, %r1, %r2; mov.u32 %r4, 0;
  copy: ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%d2]; st.shared.v4.u32 [%r3], {%r5, %r6, %r7, %r8}; add.s64 %d2, %d2, 2048; add.u32 %r3, %r3, 2048; add.u32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, 32; @%p1 bra copy;
    fence.proxy.async; bar.sync 0;
    cvt.u64.u32 %d3, %r1; and.b64 %d3, %d3, 0x3ffff; shr.u64 %d3, %d3, 4; mov.u64 %d4, )" + std::to_string(a) + "; or.b64 %d10, %d3, %d4; add.s64 %d3, %d3, 2048; mov.u64 %d4, " + std::to_string(b) +
                     "; or.b64 %d11, %d3, %d4;\n";
  for (uint32_t i = 0; i < accumulators; ++i)
    body += "mov.b32 %acc" + std::to_string(i) + ", 0;\n";
  if (fromRegisters)
    for (uint32_t i = 0; i < 4; ++i) {
      // Rows l/4 and 8 below, 4 bytes at l%4, then the next 16 bytes: from a plain copy of A in global memory.
      std::string offset = std::to_string((i & 1) * 8 * kind.depth * kind.size + (i >> 1) * 16);
      body += "and.b32 %r10, %tid, 31; shr.u32 %r11, %r10, 2; shr.u32 %r12, %tid, 5; mad.lo.u32 %r11, %r12, 16, %r11; mul.lo.u32 %r11, %r11, " + std::to_string(kind.depth * kind.size) +
              "; and.b32 %r10, %r10, 3; mad.lo.u32 %r11, %r10, 4, %r11; cvt.u64.u32 %d5, %r11; add.s64 %d5, %a2, %d5; ld.global.u32 %a_" + std::to_string(i) + ", [%d5+" + offset + "];\n";
    }
  body += before + "wgmma.fence.sync.aligned;\nsetp.eq.u32 %p2, %r1, 0;\n";
  std::string shape = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k" + std::to_string(kind.depth) + "." + kind.types + " " + registers("%acc", accumulators) + ", " + operand + ", %d11, ";
  body += shape + "%p2" + tail + ";\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
  // A second one adds to the first.
  body += "setp.ne.u32 %p2, %r1, 0;\nwgmma.fence.sync.aligned;\n" + shape + "%p2" + tail + ";\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
  body += "mul.wide.u32 %d6, %tid, 512; add.s64 %d6, %a0, %d6;\n";
  for (uint32_t i = 0; i < accumulators; ++i)
    body += "st.global.b32 [%d6+" + std::to_string(4 * i) + "], %acc" + std::to_string(i) + ";\n";
  return kernel(body, 3, "", ".reqntid 128");
}

void check(const Kind &kind, uint32_t n, Layout layoutA, Layout layoutB, bool fromRegisters = false, int signA = 1, int signB = 1) {
  SCOPED_TRACE(std::string(kind.types) + " n" + std::to_string(n) + " A " + std::to_string(layoutA.swizzle) + (layoutA.transposed ? "t" : "") + " B " + std::to_string(layoutB.swizzle) +
               (layoutB.transposed ? "t" : "") + (fromRegisters ? " registers" : ""));
  std::mt19937 random(n);
  auto fill = [&](uint32_t rows) {
    std::vector<uint32_t> elements(rows * kind.depth);
    for (uint32_t &x : elements)
      x = kind.size == 4 ? (random() & 0x807fffff) | 0x3f000000 : kind.size == 2 ? (random() & 0x83ff) | (kind.decode == half ? 0x3800u : 0x3f00u) : (random() & 0x83) | 0x30;
    return elements;
  };
  std::vector<uint32_t> a = fill(64), b = fill(n);
  Placed placedA = place(a, 64, kind.depth, kind.size, layoutA), placedB = place(b, n, kind.depth, kind.size, layoutB);
  bool isInteger = std::string(kind.types).starts_with("s32"), isHalf = std::string(kind.types).starts_with("f16");
  std::string tail;
  if (!isInteger)
    tail += ", " + std::to_string(signA) + ", " + std::to_string(signB);
  if (kind.size == 2)
    tail += (fromRegisters ? "" : std::string(", ") + (layoutA.transposed ? "1" : "0")) + ", " + (layoutB.transposed ? "1" : "0");
  uint32_t accumulators = isHalf ? n / 4 : n / 2;
  Machine machine(program(kind, n, tail, fromRegisters, accumulators, "", placedA.descriptor, placedB.descriptor));
  machine.options.strictFence = true;
  std::vector<uint8_t> image = placedA.bytes, plain;
  image.insert(image.end(), placedB.bytes.begin(), placedB.bytes.end());
  for (uint32_t x : a)
    for (uint32_t byte = 0; byte < kind.size; ++byte)
      plain.push_back(uint8_t(x >> (8 * byte)));
  uint64_t in = machine.upload(image), flat = machine.upload(plain), out = machine.upload(std::vector<uint32_t>(128 * 128));
  Result result = machine.run(1, 128, out, in, flat);
  EXPECT_CLEAN(result);
  EXPECT_EQ(result.stats.tensorFlops, 2u * 2 * 64 * n * kind.depth);
  std::vector<uint32_t> got = machine.download<uint32_t>(out, 128 * 128);
  for (uint32_t t = 0; t < 128; ++t)
    for (uint32_t r = 0; r < accumulators; ++r)
      for (uint32_t e = 0; e < (isHalf ? 2u : 1u); ++e) {
        uint32_t w = t / 32, l = t % 32;
        uint32_t row = 16 * w + l / 4 + 8 * (isHalf ? r & 1 : r >> 1 & 1), column = (isHalf ? r >> 1 : r >> 2) * 8 + l % 4 * 2 + (isHalf ? e : r & 1);
        double want = 0, size = 0;
        for (uint32_t k = 0; k < kind.depth; ++k) {
          double term = kind.decode(a[row * kind.depth + k]) * kind.decode(b[column * kind.depth + k]) * signA * signB;
          want += 2 * term;
          size += std::fabs(2 * term);
        }
        uint32_t bits = got[t * 128 + r];
        float single;
        std::memcpy(&single, &bits, 4);
        double have = isInteger ? double(int32_t(bits)) : isHalf ? double(ptxemu::fromFloat16(uint16_t(bits >> (16 * e)))) : double(single);
        ASSERT_NEAR(have, want, size * (isHalf ? 2e-3 : 1e-6)) << "row " << row << " column " << column;
      }
}

TEST(Wgmma, LayoutsOf16BitOperands) {
  for (uint32_t swizzle : {0u, 32u, 64u, 128u})
    for (bool transposed : {false, true}) {
      // One operand at a time in the layout, the other in a plain one.
      check(bf16Kind, 64, {swizzle, transposed}, {0, false});
      check(bf16Kind, 64, {0, false}, {swizzle, transposed});
      check(bf16Kind, 128, {swizzle, transposed}, {swizzle, !transposed});
    }
}

TEST(Wgmma, LayoutsOf8BitOperands) {
  for (uint32_t swizzle : {0u, 32u, 64u, 128u})
    check({"f32.e4m3.e4m3", 32, 1, e4}, 32, {swizzle, false}, {swizzle, false});
}

TEST(Wgmma, TypesAndWidths) {
  Layout plain{128, false};
  for (uint32_t n = 8; n <= 256; n += 8)
    check(bf16Kind, n, plain, plain);
  check({"f32.f16.f16", 16, 2, half}, 96, plain, plain);
  check({"f16.f16.f16", 16, 2, half}, 64, plain, plain);
  check({"f32.e5m2.e5m2", 32, 1, e5}, 64, plain, plain);
  check({"s32.s8.s8", 32, 1, s8}, 64, plain, plain);
  check({"f32.tf32.tf32", 8, 4, tf}, 64, {0, false}, {0, false});
  check({"f32.tf32.tf32", 8, 4, tf}, 16, {32, false}, {32, false});
  check(bf16Kind, 64, plain, plain, true);
  check({"f32.e4m3.e4m3", 32, 1, e4}, 64, plain, plain, true);
  check({"s32.s8.s8", 32, 1, s8}, 64, plain, plain, true);
  check(bf16Kind, 64, plain, plain, false, -1, 1);
  check(bf16Kind, 64, plain, plain, false, -1, -1);
}

TEST(Wgmma, Reports) {
  Placed operand = place(std::vector<uint32_t>(64 * 16, 0x3f80), 64, 16, 2, {128, false});
  std::string good = program(bf16Kind, 64, ", 1, 1, 0, 0", false, 32, "", operand.descriptor, operand.descriptor);
  auto run = [&](const std::string &text, Options options) {
    Machine machine(text);
    machine.options = options;
    uint64_t in = machine.upload(std::vector<uint8_t>(65536, 1)), out = machine.upload(std::vector<uint32_t>(128 * 128));
    return machine.run(1, 128, out, in, in);
  };
  auto cut = [&](const std::string &what, int which) { // removes the n-th of several
    std::string text = good;
    size_t at = text.find(what);
    for (; which > 0; --which)
      at = text.find(what, at + 1);
    EXPECT_NE(at, std::string::npos);
    return text.erase(at, what.size());
  };
  std::string wait = "wgmma.wait_group.sync.aligned 0;\n", fence = "wgmma.fence.sync.aligned;\n", commit = "wgmma.commit_group.sync.aligned;\n";
  for (const Options &options : everySchedule()) {
    EXPECT_CLEAN(run(good, options));
    EXPECT_REPORT(run(cut(wait, 1), options), ReportKind::Wgmma);
    EXPECT_REPORT(run(cut(fence, 0), options), ReportKind::Wgmma);
    EXPECT_REPORT(run(cut(commit, 1), options), ReportKind::Wgmma);
    EXPECT_REPORT(run(cut("fence.proxy.async; ", 0), options), ReportKind::Proxy);
    EXPECT_REPORT(run(cut("fence.proxy.async; bar.sync 0;", 0), options), ReportKind::Race);
    EXPECT_REPORT(run(replaced(good, "mov.u64 %d4, " + std::to_string(operand.descriptor) + "; or.b64 %d11", "mov.u64 %d4, " + std::to_string(operand.descriptor + 0x2000) + "; or.b64 %d11"), options),
                  ReportKind::OutOfBounds);
    // Shared memory is free after the wait alone.
    std::string early = good;
    size_t at = early.rfind(wait);
    early.insert(at, "st.shared.u32 [room], 1;\n");
    EXPECT_REPORT(run(early, options), ReportKind::Race);
    // A register that changes behind the fence: a warning, or an error in strict mode.
    std::string late = good;
    late.insert(late.rfind("wgmma.mma_async"), "mov.b32 %acc3, 0;\n");
    EXPECT_REPORT(run(late, options), ReportKind::Wgmma);
    Options loose = options;
    loose.strictFence = false;
    Result result = run(late, loose);
    EXPECT_TRUE(result.ok()) << result.text();
    EXPECT_EQ(result.warnings.size(), 1u);
  }
  std::string inFlight = good;
  inFlight.erase(inFlight.rfind(wait), wait.size());
  inFlight.erase(inFlight.find("mul.wide.u32 %d6"));
  EXPECT_REPORT(run(inFlight + "ret;\n}\n", Options()), ReportKind::Exit);
}

} // namespace
} // namespace ptxemu_test

// SPDX-License-Identifier: Apache-2.0
//
// Tensor maps and copies, mma.sync, ldmatrix and stmatrix against plain loops.

#include "Harness.h"
#include <cmath>
#include <functional>

namespace ptxemu_test {
namespace {

using ptxemu::TensorMap;
using ptxemu::TensorMapSwizzle;
using ptxemu::TensorMapType;

TensorMap map(uint64_t address, const std::vector<uint64_t> &sizes, const std::vector<uint32_t> &box, uint32_t swizzle = 0, TensorMapType type = TensorMapType::Uint16,
              uint32_t fill = 0) {
  uint32_t bytes = type == TensorMapType::Uint8 ? 1 : type == TensorMapType::Float32 || type == TensorMapType::Uint32 ? 4 : 2;
  std::vector<uint64_t> strides;
  uint64_t stride = (sizes[0] * bytes + 15) / 16 * 16;
  for (size_t d = 1; d < sizes.size(); ++d) {
    strides.push_back(stride);
    stride *= sizes[d];
  }
  uint32_t ones[5] = {1, 1, 1, 1, 1};
  TensorMap made;
  EXPECT_EQ(ptxemu::encodeTensorMap(made, type, uint32_t(sizes.size()), address, sizes.data(), strides.data(), box.data(), ones, 0, TensorMapSwizzle(swizzle), 0, fill), "");
  return made;
}

std::string copyKernel(int rank, const std::string &body, uint32_t bytes, const std::string &map) {
  return ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .align 64 .b8 m[128], .param .u64 out, .param .align 4 .b8 c[20])\n{\n.reg .pred %p<4>; .reg .b32 %r<20>; "
         ".reg .b64 %d<20>;\n.shared .align 1024 .b8 tile[65536];\n.shared .align 8 .b64 full;\nmov.b64 %d1, m; cvta.param.u64 %d1, %d1; ld.param.u64 %d2, [out]; ld.param.u32 %r0, [c]; "
         "ld.param.u32 %r1, [c+4]; ld.param.u32 %r2, [c+8]; ld.param.u32 %r3, [c+12]; ld.param.u32 %r4, [c+16]; mov.u32 %r10, %tid.x; setp.eq.u32 %p1, %r10, 0;\n" +
         body + "\nret;\n}\n";
}

std::string coordinates(int rank) {
  std::string text = "{%r0";
  for (int d = 1; d < rank; ++d)
    text += ", %r" + std::to_string(d);
  return text + "}";
}

struct Coordinates {
  int32_t c[5];
};

TEST(TensorCopy, LoadsOfEveryRankAndSwizzle) {
  std::mt19937 random(1);
  for (int rank = 1; rank <= 5; ++rank)
    for (uint32_t swizzle = 0; swizzle < 4; ++swizzle)
      for (int round = 0; round < 3; ++round) {
        SCOPED_TRACE("rank " + std::to_string(rank) + " swizzle " + std::to_string(swizzle));
        std::vector<uint64_t> sizes = {70, 9, 5, 4, 3};
        sizes.resize(size_t(rank));
        std::vector<uint32_t> box = {swizzle ? 8u << swizzle : 40u, 8, 3, 2, 2};
        box.resize(size_t(rank));
        uint32_t bytes = 2;
        uint64_t elements = 72; // a row is padded to 16 bytes
        for (uint32_t b : box)
          bytes *= b;
        for (int d = 1; d < rank; ++d)
          elements *= sizes[size_t(d)];
        std::vector<uint16_t> data(elements);
        for (uint16_t &x : data)
          x = uint16_t(random());
        std::string n = std::to_string(bytes);
        // The tile is copied out as it lies.
        Machine machine(copyKernel(rank, "@%p1 mbarrier.init.shared.b64 [full], 1; @%p1 fence.mbarrier_init.release.cluster; bar.sync 0; @!%p1 bra wait;\n"
                                         "mbarrier.arrive.expect_tx.shared.b64 _, [full], " + n + ";\ncp.async.bulk.tensor." + std::to_string(rank) +
                                         "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [tile], [%d1, " + coordinates(rank) + "], [full], %d2;\n"
                                         "wait: mbarrier.try_wait.parity.shared.b64 %p2, [full], 0; @!%p2 bra wait;\nmov.u32 %r11, tile; mov.u64 %d3, 0;\n"
                                         "loop: shl.b32 %r12, %r10, 2; setp.ge.u32 %p3, %r12, " + n + "; @%p3 bra end; add.u32 %r13, %r11, %r12; ld.shared.u32 %r14, [%r13]; cvt.u64.u32 %d4, %r12; "
                                         "add.s64 %d4, %d2, %d4; st.global.u32 [%d4], %r14; add.u32 %r10, %r10, 128; bra loop;\nend:",
                                   bytes, ""));
        machine.options.asynchrony = Asynchrony(round);
        uint64_t source = machine.upload(data, "source", ptxemu::Access::Read), out = machine.upload(std::vector<uint8_t>(bytes), "tile");
        Coordinates at;
        for (int d = 0; d < 5; ++d)
          at.c[d] = d < rank ? int32_t(random() % (sizes[size_t(d)] + 6)) - 4 : 0;
        Result result = machine.run(1, 128, map(source, sizes, box, swizzle), out, at);
        EXPECT_CLEAN(result);
        std::vector<uint16_t> got = machine.download<uint16_t>(out, bytes / 2);
        uint64_t inside = 0;
        for (uint32_t i = 0; i < bytes / 2; ++i) {
          uint32_t rest = i;
          bool valid = true;
          uint64_t from = 0, stride = 1;
          for (int d = 0; d < rank; ++d) {
            int64_t x = int64_t(rest % box[size_t(d)]) + at.c[d];
            rest /= box[size_t(d)];
            valid &= x >= 0 && x < int64_t(sizes[size_t(d)]);
            from += uint64_t(x) * stride;
            stride *= d == 0 ? 72 : sizes[size_t(d)];
          }
          // Chunks of 16 bytes trade places by the number of their 128-byte line.
          uint32_t offset = 2 * i;
          if (swizzle)
            offset ^= (offset / 128 % (1u << swizzle)) * 16;
          inside += valid;
          ASSERT_EQ(got[offset / 2], valid ? data[from] : 0) << i;
        }
        EXPECT_EQ(result.stats.bulkLoadBytes, 2 * inside);
        EXPECT_EQ(result.stats.peakBytesInFlight, bytes);
      }
}

TEST(TensorCopy, StoresReductionsAndNanFill) {
  for (bool reduces : {false, true})
    for (uint32_t swizzle : {0u, 3u}) {
      std::string body = "mov.u32 %r11, tile; shl.b32 %r12, %r10, 2; add.u32 %r11, %r11, %r12; cvt.rn.f32.u32 %r13, %r10; st.shared.b32 [%r11], %r13; fence.proxy.async.shared::cta; bar.sync 0; @!%p1 bra end;\n" +
                         std::string(reduces ? "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group" : "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group") +
                         " [%d1, {%r0, %r1}], [tile];\ncp.async.bulk.commit_group; cp.async.bulk.wait_group 0;\nend:";
      Machine machine(replaced(copyKernel(2, body, 0, ""), "cvt.rn.f32.u32 %r13, %r10;", ".reg .f32 %x; cvt.rn.f32.u32 %x, %r10; mov.b32 %r13, %x;"));
      std::vector<float> start(20 * 36, 100.0f);
      uint64_t out = machine.upload(start, "tensor");
      Coordinates at{{8, -2}};
      EXPECT_CLEAN(machine.run(1, 256, map(out, {36, 20}, {32, 8}, swizzle, TensorMapType::Float32), out, at));
      std::vector<float> got = machine.download<float>(out, start.size());
      for (int row = 0; row < 20; ++row)
        for (int column = 0; column < 36; ++column) {
          int y = row + 2, x = column - 8;
          float want = 100.0f;
          if (y < 8 && x >= 0 && x < 32) {
            uint32_t offset = uint32_t(y * 128 + x * 4);
            offset ^= swizzle ? (offset / 128 % 8) * 16 : 0;
            want = float(offset / 4) + (reduces ? 100.0f : 0.0f);
          }
          ASSERT_EQ(got[size_t(row * 36 + column)], want) << row << " " << column;
        }
    }
}

TEST(TensorCopy, MapsAreChecked) {
  TensorMap made;
  uint64_t sizes[5] = {64, 8, 1, 1, 1}, strides[4] = {128, 1024, 1024, 1024};
  uint32_t box[5] = {64, 8, 1, 1, 1}, ones[5] = {1, 1, 1, 1, 1};
  auto encode = [&](TensorMapType type = TensorMapType::Bfloat16, uint32_t rank = 2, uint64_t address = 1 << 20, TensorMapSwizzle swizzle = TensorMapSwizzle::Bytes128, uint32_t fill = 0,
                    uint32_t interleave = 0) { return ptxemu::encodeTensorMap(made, type, rank, address, sizes, strides, box, ones, interleave, swizzle, 0, fill); };
  EXPECT_EQ(encode(), "");
  EXPECT_NE(encode(TensorMapType::Bfloat16, 6), "");
  EXPECT_NE(encode(TensorMapType::Bfloat16, 2, (1 << 20) + 8), "");
  EXPECT_NE(encode(TensorMapType::Float32), ""); // 256 bytes in a swizzle of 128
  EXPECT_NE(encode(TensorMapType::Uint16, 2, 1 << 20, TensorMapSwizzle::None, 1), "");
  EXPECT_NE(encode(TensorMapType::Bfloat16, 2, 1 << 20, TensorMapSwizzle::None, 0, 1), "");
  strides[0] = 130;
  EXPECT_NE(encode(), "");
  strides[0] = 128;
  box[1] = 257;
  EXPECT_NE(encode(), "");
  box[1] = 8;
  box[0] = 4;
  EXPECT_NE(encode(), "");
  // What is no map, or of another rank, is reported.
  std::string body = "@%p1 mbarrier.init.shared.b64 [full], 1; @%p1 fence.mbarrier_init.release.cluster; @%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [tile], [%d1, {%r0, %r1}], [full];";
  Machine machine(copyKernel(2, body, 0, ""));
  uint64_t data = machine.upload(std::vector<uint16_t>(512));
  EXPECT_REPORT(machine.run(1, 32, TensorMap(), data, Coordinates{}), ReportKind::Copy);
  EXPECT_REPORT(machine.run(1, 32, map(data, {64}, {64}), data, Coordinates{}), ReportKind::Copy);
}

TEST(Cluster, MulticastAndRemoteMemory) {
  // CTA 0 sends a tile to both; each signals its own mbarrier; then both read the other's copy.
  std::string text = kernel(R"(
    .shared .align 128 .b8 tile[512];
    .shared .align 8 .b64 full;
    setp.eq.u32 %p1, %tid, 0; mov.u32 %r1, %cluster_ctarank;
    @%p1 mbarrier.init.shared.b64 [full], 1; @%p1 fence.mbarrier_init.release.cluster;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
    @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [full], 512;
    setp.eq.and.u32 %p2, %r1, 0, %p1; mov.u16 %h1, 3;
    @%p2 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [tile], [%a1], 512, [full], %h1;
  wait: mbarrier.try_wait.parity.shared.b64 %p3, [full], 0; @!%p3 bra wait;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
    mov.u32 %r2, tile; xor.b32 %r3, %r1, 1; mapa.shared::cluster.u32 %r4, %r2, %r3; shl.b32 %r5, %tid, 2; add.u32 %r4, %r4, %r5;
    ld.shared::cluster.u32 %r6, [%r4]; getctarank.shared::cluster.u32 %r7, %r4;
    mad.lo.u32 %r8, %cta, 128, %tid; mul.wide.u32 %d1, %r8, 4; add.s64 %d1, %a0, %d1; mad.lo.u32 %r6, %r7, 1000, %r6; st.global.u32 [%d1], %r6;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;)",
                            2, "", ".reqnctapercluster 2, 1, 1");
  for (bool isWrong : {false, true})
    for (const Options &options : everySchedule()) {
      // Without the second barrier nothing orders the read of the other's tile.
      std::string wrong = text;
      size_t at = wrong.find("barrier.cluster", wrong.find("bra wait;"));
      if (isWrong)
        wrong.erase(at, wrong.find("wait.aligned;", at) + 13 - at);
      Machine machine(wrong);
      machine.options = options;
      std::vector<uint32_t> data(128);
      for (uint32_t i = 0; i < 128; ++i)
        data[i] = i * 3;
      uint64_t in = machine.upload(data), out = machine.upload(std::vector<uint32_t>(512));
      Result result = machine.run(4, 128, out, in);
      if (isWrong) {
        EXPECT_REPORT(result, ReportKind::Race);
        continue;
      }
      EXPECT_CLEAN(result);
      EXPECT_EQ(result.stats.bulkLoadBytes, 2u * 512);
      std::vector<uint32_t> got = machine.download<uint32_t>(out, 512);
      for (uint32_t i = 0; i < 512; ++i)
        ASSERT_EQ(got[i], i % 128 * 3 + (i / 128 % 2 ? 0 : 1000));
    }
}

TEST(Cluster, AsynchronousStores) {
  std::string text = kernel(R"(
    .shared .align 16 .b8 slots[256]; .shared .align 8 .b64 full;
    setp.eq.u32 %p1, %tid, 0; mov.u32 %r1, %cluster_ctarank;
    @%p1 mbarrier.init.shared.b64 [full], 1; @%p1 fence.mbarrier_init.release.cluster; @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [full], 128;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
    mov.u32 %r2, slots; mov.u32 %r3, full; xor.b32 %r4, %r1, 1; mapa.shared::cluster.u32 %r2, %r2, %r4; mapa.shared::cluster.u32 %r3, %r3, %r4;
    shl.b32 %r5, %tid, 2; add.u32 %r2, %r2, %r5; mad.lo.u32 %r6, %r1, 100, %tid;
    st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r2], %r6, [%r3];
  wait: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p3, [full], 0; @!%p3 bra wait;
    mov.u32 %r7, slots; add.u32 %r7, %r7, %r5; ld.shared.u32 %r8, [%r7]; mad.lo.u32 %r9, %cta, 32, %tid; mul.wide.u32 %d1, %r9, 4; add.s64 %d1, %a0, %d1; st.global.u32 [%d1], %r8;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;)",
                            1, "", ".reqnctapercluster 2, 1, 1");
  for (const Options &options : everySchedule()) {
    Machine machine(text);
    machine.options = options;
    uint64_t out = machine.upload(std::vector<uint32_t>(64));
    EXPECT_CLEAN(machine.run(2, 32, out));
    std::vector<uint32_t> got = machine.download<uint32_t>(out, 64);
    for (uint32_t i = 0; i < 64; ++i)
      ASSERT_EQ(got[i], i % 32 + (i < 32 ? 100 : 0));
  }
}

TEST(Cluster, CopiesBetweenCtas) {
  // Each CTA sends 256 bytes to the other; then both add what they got to one row of global memory.
  std::string text = kernel(R"(
    .shared .align 128 .b8 mine[256]; .shared .align 128 .b8 theirs[256]; .shared .align 8 .b64 full;
    setp.eq.u32 %p1, %tid, 0; mov.u32 %r1, %cluster_ctarank; xor.b32 %r2, %r1, 1;
    @%p1 mbarrier.init.shared.b64 [full], 1; @%p1 fence.mbarrier_init.release.cluster; @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [full], 256;
    mov.u32 %r3, mine; shl.b32 %r4, %tid, 2; add.u32 %r3, %r3, %r4; mad.lo.u32 %r5, %r1, 1000, %tid; st.shared.u32 [%r3], %r5;
    fence.proxy.async.shared::cta;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
    mov.u32 %r6, theirs; mapa.shared::cluster.u32 %r7, %r6, %r2; mov.u32 %r8, full; mapa.shared::cluster.u32 %r9, %r8, %r2;
    @%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r7], [mine], 256, [%r9];
  wait: mbarrier.try_wait.parity.shared.b64 %p2, [full], 0; @!%p2 bra wait;
    fence.proxy.async.shared::cta;
    @%p1 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%a0], [theirs], 256;
    @%p1 cp.async.bulk.commit_group; @%p1 cp.async.bulk.wait_group 0;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;)",
                            1, "", ".reqnctapercluster 2, 1, 1");
  for (const Options &options : everySchedule()) {
    Machine machine(text);
    machine.options = options;
    uint64_t out = machine.upload(std::vector<uint32_t>(64, 5));
    EXPECT_CLEAN(machine.run(2, 64, out));
    std::vector<uint32_t> got = machine.download<uint32_t>(out, 64);
    for (uint32_t i = 0; i < 64; ++i)
      ASSERT_EQ(got[i], 5 + 1000 + 2 * i);
  }
}

//===--------------------------------------------------------------------===//
// mma.sync, with fragments as the ISA lays them out
//===--------------------------------------------------------------------===//

struct Multiply {
  const char *types;
  uint32_t m, k, bits; ///< Of an element of A and B.
  double (*decode)(uint32_t);
  char accumulator; ///< f float, h half, s int
};

TEST(Multiply, EveryShape) {
  auto half = [](uint32_t c) { return double(ptxemu::fromFloat16(uint16_t(c))); };
  auto brain = [](uint32_t c) { return double(ptxemu::fromBfloat16(uint16_t(c))); };
  auto e4 = [](uint32_t c) { return double(ptxemu::fromE4m3(uint8_t(c))); };
  auto e5 = [](uint32_t c) { return double(ptxemu::fromE5m2(uint8_t(c))); };
  auto tf = [](uint32_t c) { c &= 0xffffe000; float x; std::memcpy(&x, &c, 4); return double(x); };
  auto s8 = [](uint32_t c) { return double(int8_t(c)); };
  const Multiply shapes[] = {{"f32.f16.f16.f32", 16, 16, 16, half, 'f'}, {"f32.bf16.bf16.f32", 16, 16, 16, brain, 'f'}, {"f32.bf16.bf16.f32", 16, 8, 16, brain, 'f'},
                             {"f16.f16.f16.f16", 16, 16, 16, half, 'h'}, {"f32.tf32.tf32.f32", 16, 8, 32, tf, 'f'}, {"f32.tf32.tf32.f32", 16, 4, 32, tf, 'f'},
                             {"f32.e4m3.e4m3.f32", 16, 32, 8, e4, 'f'}, {"f32.e5m2.e5m2.f32", 16, 32, 8, e5, 'f'}, {"s32.s8.s8.s32", 16, 32, 8, s8, 's'},
                             {"s32.s8.s8.s32", 16, 16, 8, s8, 's'}, {"s32.s8.s8.s32", 8, 16, 8, s8, 's'}};
  std::mt19937 random(8);
  for (const Multiply &shape : shapes) {
    SCOPED_TRACE(shape.types);
    uint32_t per = 32 / shape.bits, aCount = shape.m * shape.k / 32 / per, bCount = 8 * shape.k / 32 / per, cCount = shape.m * 8 / 32 / (shape.accumulator == 'h' ? 2 : 1);
    std::vector<uint32_t> a(shape.m * shape.k), b(8 * shape.k);
    for (std::vector<uint32_t> *side : {&a, &b})
      for (uint32_t &x : *side)
        do
          x = shape.bits == 32 ? (uint32_t(random()) & 0xbf000000) | 0x3f000000 | (random() & 0x7fffff) : shape.bits == 16 ? (random() % 2 ? 0x8000u : 0u) | 0x3c00u | (random() & 0x3ff) : random() & 0xff;
        while (!std::isfinite(shape.decode(x)) || std::fabs(shape.decode(x)) > 300);
    std::vector<double> c(shape.m * 8);
    for (double &x : c)
      x = int(random() % 17) - 8;
    auto list = [](char letter, uint32_t first, uint32_t count) {
      std::string text = "{";
      for (uint32_t i = 0; i < count; ++i)
        text += (i ? ", %" : "%") + std::string(1, letter) + std::to_string(first + i);
      return text + "}";
    };
    std::string body = "mul.wide.u32 %d1, %tid, 64; add.s64 %d2, %a1, %d1; add.s64 %d3, %a0, %d1;\n";
    for (uint32_t i = 0; i < aCount + bCount + cCount; ++i)
      body += "ld.global.u32 %r" + std::to_string(10 + i) + ", [%d2+" + std::to_string(4 * i) + "];\n";
    body += "mma.sync.aligned.m" + std::to_string(shape.m) + "n8k" + std::to_string(shape.k) + ".row.col." + shape.types + " " + list('r', 50, cCount) + ", " + list('r', 10, aCount) + ", " +
            list('r', 10 + aCount, bCount) + ", " + list('r', 10 + aCount + bCount, cCount) + ";\n";
    for (uint32_t i = 0; i < cCount; ++i)
      body += "st.global.u32 [%d3+" + std::to_string(4 * i) + "], %r" + std::to_string(50 + i) + ";\n";
    std::vector<uint32_t> registers(32 * 16, 0);
    auto bitsOf = [&](double x) -> uint32_t {
      float single = float(x);
      uint32_t bits;
      std::memcpy(&bits, &single, 4);
      return shape.accumulator == 's' ? uint32_t(int32_t(x)) : bits;
    };
    auto rowOf = [&](uint32_t l, uint32_t r) { return shape.m == 16 ? l / 4 + 8 * (r >> 1) : l / 4; };
    for (uint32_t l = 0; l < 32; ++l) {
      for (uint32_t r = 0; r < aCount; ++r)
        for (uint32_t e = 0; e < per; ++e) {
          uint32_t row = l / 4 + (shape.m == 16 ? 8 * (r & 1) : 0), column = l % 4 * per + e + (shape.m == 16 ? r / 2 : r) * 4 * per;
          registers[l * 16 + r] |= a[row * shape.k + column] << (shape.bits % 32 * e);
        }
      for (uint32_t r = 0; r < bCount; ++r)
        for (uint32_t e = 0; e < per; ++e)
          registers[l * 16 + aCount + r] |= b[l / 4 * shape.k + l % 4 * per + e + r * 4 * per] << (shape.bits % 32 * e);
      for (uint32_t r = 0; r < cCount; ++r)
        if (shape.accumulator == 'h')
          for (uint32_t e = 0; e < 2; ++e)
            registers[l * 16 + aCount + bCount + r] |= uint32_t(ptxemu::toFloat16(float(c[(l / 4 + 8 * r) * 8 + l % 4 * 2 + e]))) << (16 * e);
        else
          registers[l * 16 + aCount + bCount + r] = bitsOf(c[rowOf(l, r) * 8 + l % 4 * 2 + (r & 1)]);
    }
    Machine machine(kernel(body, 2));
    uint64_t in = machine.upload(registers), out = machine.upload(std::vector<uint32_t>(registers.size()));
    Result result = machine.run(1, 32, out, in);
    EXPECT_CLEAN(result);
    EXPECT_EQ(result.stats.tensorFlops, 2u * shape.m * 8 * shape.k);
    std::vector<uint32_t> got = machine.download<uint32_t>(out, registers.size());
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t r = 0; r < cCount; ++r)
        for (uint32_t e = 0; e < (shape.accumulator == 'h' ? 2u : 1u); ++e) {
          uint32_t row = shape.accumulator == 'h' ? l / 4 + 8 * r : rowOf(l, r), column = l % 4 * 2 + (shape.accumulator == 'h' ? e : r & 1);
          double want = c[row * 8 + column], size = std::fabs(want);
          for (uint32_t k = 0; k < shape.k; ++k) {
            double term = shape.decode(a[row * shape.k + k]) * shape.decode(b[column * shape.k + k]);
            want += term;
            size += std::fabs(term);
          }
          float single;
          std::memcpy(&single, &got[l * 16 + r], 4);
          double have = shape.accumulator == 's' ? double(int32_t(got[l * 16 + r])) : shape.accumulator == 'h' ? double(ptxemu::fromFloat16(uint16_t(got[l * 16 + r] >> (16 * e)))) : double(single);
          ASSERT_NEAR(have, want, size * (shape.accumulator == 'h' ? 1e-3 : 1e-6));
        }
  }
}

TEST(Multiply, Doubles) {
  for (uint32_t m : {8u, 16u}) {
    uint32_t k = m == 8 ? 4 : 8, aCount = m * k / 32, bCount = k / 4, cCount = m / 4;
    std::string body = "mul.wide.u32 %d1, %tid, 128; add.s64 %d2, %a1, %d1; add.s64 %d3, %a0, %d1;\n", lists[3];
    for (uint32_t i = 0; i < aCount + bCount + cCount; ++i) {
      body += "ld.global.f64 %e" + std::to_string(i) + ", [%d2+" + std::to_string(8 * i) + "];\n";
      std::string &list = lists[i < aCount ? 0 : i < aCount + bCount ? 1 : 2];
      list += (list.empty() ? "%e" : ", %e") + std::to_string(i);
    }
    body += "mma.sync.aligned.m" + std::to_string(m) + "n8k" + std::to_string(k) + ".row.col.f64.f64.f64.f64 {" + lists[2] + "}, {" + lists[0] + "}, {" + lists[1] + "}, {" + lists[2] + "};\n";
    for (uint32_t i = 0; i < cCount; ++i)
      body += "st.global.f64 [%d3+" + std::to_string(8 * i) + "], %e" + std::to_string(aCount + bCount + i) + ";\n";
    std::mt19937 random(m);
    auto fill = [&](uint32_t n) {
      std::vector<double> values(n);
      for (double &x : values)
        x = double(int(random() % 200)) - 100;
      return values;
    };
    std::vector<double> a = fill(m * k), b = fill(8 * k), c = fill(m * 8), registers(32 * 16);
    for (uint32_t l = 0; l < 32; ++l) {
      for (uint32_t i = 0; i < aCount; ++i)
        registers[l * 16 + i] = a[(l / 4 + (m == 16 ? 8 * (i & 1) : 0)) * k + l % 4 + (m == 16 ? i / 2 : i) * 4];
      for (uint32_t i = 0; i < bCount; ++i)
        registers[l * 16 + aCount + i] = b[l / 4 * k + l % 4 + 4 * i];
      for (uint32_t i = 0; i < cCount; ++i)
        registers[l * 16 + aCount + bCount + i] = c[(l / 4 + 8 * (i / 2)) * 8 + l % 4 * 2 + i % 2];
    }
    Machine machine(kernel(body, 2));
    uint64_t in = machine.upload(registers), out = machine.upload(std::vector<double>(registers.size()));
    EXPECT_CLEAN(machine.run(1, 32, out, in));
    std::vector<double> got = machine.download<double>(out, registers.size());
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t i = 0; i < cCount; ++i) {
        uint32_t row = l / 4 + 8 * (i / 2), column = l % 4 * 2 + i % 2;
        double want = c[row * 8 + column];
        for (uint32_t x = 0; x < k; ++x)
          want += a[row * k + x] * b[column * k + x];
        ASSERT_EQ(got[l * 16 + i], want);
      }
  }
}

TEST(Multiply, MatricesToAndFromSharedMemory) {
  for (bool transposed : {false, true}) {
    std::string trans = transposed ? ".trans" : "";
    Machine machine(kernel(R"(
      .shared .align 16 .b8 tile[1024];
      mov.u32 %r1, tile; shl.b32 %r2, %tid, 4; add.u32 %r3, %r1, %r2;
      mul.wide.u32 %d1, %tid, 16; add.s64 %d2, %a1, %d1; ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%d2];
      st.shared.v4.u32 [%r3], {%r4, %r5, %r6, %r7};
      bar.warp.sync -1;
      ldmatrix.sync.aligned.m8n8.x4)" + trans + R"(.shared.b16 {%r10, %r11, %r12, %r13}, [%r3];
      add.s64 %d3, %a0, %d1; st.global.v4.u32 [%d3], {%r10, %r11, %r12, %r13};
      stmatrix.sync.aligned.m8n8.x4)" + trans + R"(.shared.b16 [%r3+512], {%r10, %r11, %r12, %r13};
      bar.warp.sync -1;
      ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r3+512]; st.global.v4.u32 [%d3+512], {%r4, %r5, %r6, %r7};
      movmatrix.sync.aligned.m8n8.trans.b16 %r20, %r10; mul.wide.u32 %d4, %tid, 4; add.s64 %d4, %a0, %d4; st.global.u32 [%d4+1024], %r20;)",
                           2));
    std::vector<uint16_t> data(256);
    for (uint32_t i = 0; i < 256; ++i)
      data[i] = uint16_t(i);
    uint64_t in = machine.upload(data), out = machine.upload(std::vector<uint16_t>(600));
    Result result = machine.run(1, 32, out, in);
    EXPECT_CLEAN(result);
    std::vector<uint16_t> got = machine.download<uint16_t>(out, 576);
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t matrix = 0; matrix < 4; ++matrix)
        for (uint32_t e = 0; e < 2; ++e) {
          uint32_t row = transposed ? l % 4 * 2 + e : l / 4, column = transposed ? l / 4 : l % 4 * 2 + e;
          ASSERT_EQ(got[l * 8 + matrix * 2 + e], data[matrix * 64 + row * 8 + column]);
        }
    for (uint32_t i = 0; i < 256; ++i)
      ASSERT_EQ(got[256 + i], data[i]);
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t e = 0; e < 2; ++e) {
        uint32_t row = l % 4 * 2 + e, column = l / 4;
        ASSERT_EQ(got[512 + l * 2 + e], data[transposed ? column * 8 + row : row * 8 + column]);
      }
    // st.v4, ldmatrix, stmatrix, ld.v4: four passes of eight lanes each.
    EXPECT_EQ(result.stats.sharedWavefrontsIdeal, 16u);
    EXPECT_EQ(result.stats.sharedWavefronts, 16u);
  }
}

TEST(Multiply, BankConflictsAndSectors) {
  Machine machine(kernel(".shared .align 16 .b8 tile[8192]; mov.u32 %r1, tile; shl.b32 %r2, %tid, 7; add.u32 %r2, %r1, %r2; st.shared.u32 [%r2], 1; mul.wide.u32 %d1, %tid, 64; add.s64 %d1, %a0, %d1; ld.global.u32 %r3, [%d1];"));
  Result result = machine.run(1, 32, machine.upload(std::vector<uint32_t>(1024)));
  EXPECT_CLEAN(result);
  EXPECT_EQ(result.stats.sharedWavefronts, 32u);
  EXPECT_EQ(result.stats.sharedWavefrontsIdeal, 1u);
  EXPECT_EQ(result.stats.globalLoads.sectors, 32u);
  EXPECT_EQ(result.stats.globalLoads.requests, 1u);
  EXPECT_EQ(result.stats.globalLoads.bytes, 128u);
}

} // namespace
} // namespace ptxemu_test

// SPDX-License-Identifier: Apache-2.0
//
// Small kernels of the kinds that matter: a GEMM tile fed by a ring of tensor copies and mbarriers, and one fed by cp.async. Both must be
// right in every schedule, and each fault planted in them must be found.

#include "Harness.h"
#include <cmath>

namespace ptxemu_test {
namespace {

/// D[64][64] = A[64][K] B[64][K]^T in bf16 with two stages of 64 of K: warp 4 is the producer, warps 0 to 3 multiply.
std::string tensorRing() {
  std::string accumulators = "{";
  for (int i = 0; i < 32; ++i)
    accumulators += (i ? ", %acc" : "%acc") + std::to_string(i);
  accumulators += "}";
  std::string multiply;
  for (int k = 0; k < 4; ++k)
    multiply += "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " + accumulators + ", %dA, %dB, %go, 1, 1, 0, 0; add.s64 %dA, %dA, 2; add.s64 %dB, %dB, 2; setp.eq.u32 %go, 0, 0;\n";
  std::string zero, store;
  for (int i = 0; i < 32; ++i) {
    zero += "mov.b32 %acc" + std::to_string(i) + ", 0; ";
    store += "st.global.b32 [%d6+" + std::to_string(i / 4 * 32 + i % 2 * 4 + i / 2 % 2 * 2048) + "], %acc" + std::to_string(i) + ";\n";
  }
  return R"(.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .align 64 .b8 ma[128], .param .align 64 .b8 mb[128], .param .u64 out, .param .u32 steps) .reqntid 160
{
  .reg .pred %p<8>; .reg .pred %go; .reg .b32 %r<40>; .reg .b32 %acc<32>; .reg .b64 %d<20>; .reg .b64 %dA; .reg .b64 %dB;
  .shared .align 1024 .b8 stages[32768];
  .shared .align 8 .b64 full[2];
  .shared .align 8 .b64 empty[2];
  mov.u32 %r1, %tid.x; ld.param.u32 %r2, [steps]; mov.u64 %d1, ma; cvta.param.u64 %d1, %d1; mov.u64 %d2, mb; cvta.param.u64 %d2, %d2;
  setp.eq.u32 %p1, %r1, 0;
  @%p1 mbarrier.init.shared.b64 [full], 1;
  @%p1 mbarrier.init.shared.b64 [full+8], 1;
  @%p1 mbarrier.init.shared.b64 [empty], 4;
  @%p1 mbarrier.init.shared.b64 [empty+8], 4;
  @%p1 fence.mbarrier_init.release.cluster;
  bar.sync 0;
  mov.u32 %r3, 0; mov.u32 %r4, stages; mov.u32 %r5, full; mov.u32 %r6, empty; and.b32 %r7, %r1, 31; setp.eq.u32 %p2, %r7, 0;
  setp.lt.u32 %p3, %r1, 128;
  @%p3 bra consumer;
  @!%p2 bra end;
produce:
  and.b32 %r8, %r3, 1; shr.u32 %r9, %r3, 1; and.b32 %r9, %r9, 1; xor.b32 %r10, %r9, 1; shl.b32 %r11, %r8, 3; add.u32 %r12, %r5, %r11; add.u32 %r13, %r6, %r11; shl.b32 %r14, %r8, 14; add.u32 %r14, %r4, %r14; shl.b32 %r15, %r3, 6;
free: mbarrier.try_wait.parity.shared.b64 %p4, [%r13], %r10; @!%p4 bra free;
  mbarrier.arrive.expect_tx.shared.b64 _, [%r12], 16384;
  cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r14], [%d1, {%r15, 0}], [%r12];
  cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r14+8192], [%d2, {%r15, 0}], [%r12];
  add.u32 %r3, %r3, 1; setp.lt.u32 %p5, %r3, %r2; @%p5 bra produce;
  bra end;
consumer:
  )" + zero + R"(
  setp.eq.u32 %go, 0, 1;
consume:
  and.b32 %r8, %r3, 1; shr.u32 %r9, %r3, 1; and.b32 %r9, %r9, 1; shl.b32 %r11, %r8, 3; add.u32 %r12, %r5, %r11; add.u32 %r13, %r6, %r11; shl.b32 %r14, %r8, 14; add.u32 %r14, %r4, %r14;
filled: mbarrier.try_wait.parity.shared.b64 %p4, [%r12], %r9; @!%p4 bra filled;
  cvt.u64.u32 %dA, %r14; shr.u64 %dA, %dA, 4; or.b64 %dA, %dA, 4611686293305294848; add.s64 %dB, %dA, 512;
  wgmma.fence.sync.aligned;
  )" + multiply + R"(
  wgmma.commit_group.sync.aligned;
  wgmma.wait_group.sync.aligned 0;
  @%p2 mbarrier.arrive.shared.b64 _, [%r13];
  add.u32 %r3, %r3, 1; setp.lt.u32 %p5, %r3, %r2; @%p5 bra consume;
  ld.param.u64 %d5, [out]; shr.u32 %r20, %r1, 5; shr.u32 %r21, %r7, 2; mad.lo.u32 %r21, %r20, 16, %r21; shl.b32 %r21, %r21, 8; and.b32 %r22, %r7, 3; mad.lo.u32 %r21, %r22, 8, %r21; cvt.u64.u32 %d6, %r21; add.s64 %d6, %d5, %d6;
  )" + store + R"(
end: ret;
})";
}

std::vector<float> product(const std::vector<uint16_t> &a, const std::vector<uint16_t> &b, uint32_t m, uint32_t n, uint32_t k) {
  std::vector<float> d(m * n);
  for (uint32_t i = 0; i < m; ++i)
    for (uint32_t j = 0; j < n; ++j) {
      double sum = 0;
      for (uint32_t l = 0; l < k; ++l)
        sum += double(ptxemu::fromBfloat16(a[i * k + l])) * ptxemu::fromBfloat16(b[j * k + l]);
      d[i * n + j] = float(sum);
    }
  return d;
}

std::vector<uint16_t> randomBfloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint16_t> values(count);
  for (uint16_t &x : values)
    x = ptxemu::toBfloat16(float(int32_t(random())) / 2147483648.0f);
  return values;
}

/// Whether a run finds a fault: by a report, or by wrong numbers.
struct Outcome {
  Result result;
  bool right = true;
};

Outcome compare(Machine &machine, Result result, uint64_t out, const std::vector<float> &want) {
  std::vector<float> got = machine.download<float>(out, want.size());
  Outcome outcome{std::move(result), true};
  for (size_t i = 0; i < want.size(); ++i)
    outcome.right &= std::fabs(got[i] - want[i]) <= 1e-4f * (1 + std::fabs(want[i])); // fails for NaN, too
  return outcome;
}

constexpr uint32_t depth = 512; // eight steps: the ring of two wraps four times

Outcome runTensorRing(const std::string &text, const Options &options) {
  Machine machine(text);
  machine.options = options;
  std::vector<uint16_t> a = randomBfloats(64 * depth, 1), b = randomBfloats(64 * depth, 2);
  uint64_t in[2] = {machine.upload(a, "a", ptxemu::Access::Read), machine.upload(b, "b", ptxemu::Access::Read)};
  ptxemu::TensorMap maps[2];
  uint64_t sizes[2] = {depth, 64}, strides[1] = {2 * depth};
  uint32_t box[2] = {64, 64}, ones[2] = {1, 1};
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(ptxemu::encodeTensorMap(maps[i], ptxemu::TensorMapType::Bfloat16, 2, in[i], sizes, strides, box, ones, 0, ptxemu::TensorMapSwizzle::Bytes128, 0, 0), "");
  uint64_t out = machine.memory.allocate(64 * 64 * 4, "out");
  Result result = machine.run(1, 160, maps[0], maps[1], out, depth / 64);
  static const std::vector<float> want = product(a, b, 64, 64, depth);
  return compare(machine, std::move(result), out, want);
}

TEST(Ring, TensorCopiesAndWgmma) {
  for (const Options &options : everySchedule()) {
    Outcome outcome = runTensorRing(tensorRing(), options);
    EXPECT_CLEAN(outcome.result);
    EXPECT_TRUE(outcome.right);
    EXPECT_EQ(outcome.result.stats.tensorFlops, 2u * 64 * 64 * depth);
    EXPECT_EQ(outcome.result.stats.bulkLoadBytes, 2u * 2 * 64 * depth);
    EXPECT_LE(outcome.result.stats.peakBytesInFlight, 32768u);
  }
}

TEST(Ring, FaultsInTensorCopiesAreFound) {
  const std::pair<std::string, std::string> faults[] = {
      {"@%p1 fence.mbarrier_init.release.cluster;", ""},
      {"bar.sync 0;", ""},
      {"free: mbarrier.try_wait.parity.shared.b64 %p4, [%r13], %r10; @!%p4 bra free;", ""},
      {"@!%p4 bra free;", ""},
      {"filled: mbarrier.try_wait.parity.shared.b64 %p4, [%r12], %r9; @!%p4 bra filled;", ""},
      {"@!%p4 bra filled;", ""},
      {"xor.b32 %r10, %r9, 1;", "mov.b32 %r10, %r9;"},
      {"[%r12], %r9;", "[%r12], %r8;"},
      {"@%p2 mbarrier.arrive.shared.b64 _, [%r13];", ""},
      {"@%p2 mbarrier.arrive.shared.b64 _, [%r13];", "@%p1 mbarrier.arrive.shared.b64 _, [%r13], 4;"}, // one lane for all, before the other warps' waits: legal
      {"[empty+8], 4;", "[empty+8], 5;"},
      {"[%r12], 16384;", "[%r12], 8192;"},
      {"[%r12], 16384;", "[%r12], 16400;"},
      {"[%r14+8192], [%d2", "[%r14+4096], [%d2"},
      {"[%r14+8192], [%d2", "[%r14+8192], [%d1"},
      {"{%r15, 0}], [%r12];\n  cp", "{%r15, 1}], [%r12];\n  cp"},
      {"wgmma.wait_group.sync.aligned 0;", "wgmma.wait_group.sync.aligned 1;"},
      {"wgmma.wait_group.sync.aligned 0;", ""},
      {"wgmma.fence.sync.aligned;", ""},
      {"wgmma.commit_group.sync.aligned;", ""},
      {"4611686293305294848", "4611686293305294849"},
      {"4611686293305294848", "4611686155866341376"}, // half the stride
      {"4611686293305294848", "9223372311732682752"}, // another swizzle
      {"add.s64 %dB, %dA, 512;", "add.s64 %dB, %dA, 256;"},
      {"setp.eq.u32 %go, 0, 1;", "setp.eq.u32 %go, 0, 0;"},
      {".align 8 .b64 full[2]", ".align 4 .b8 pad[4]; .shared .align 4 .b8 full[16]"},
  };
  for (const auto &[from, to] : faults) {
    SCOPED_TRACE(from + " -> " + to);
    bool isLegal = to.find("[%r13], 4;") != std::string::npos || to.find("%go, 0, 0") != std::string::npos;
    for (Asynchrony asynchrony : {Asynchrony::Latest, Asynchrony::Random, Asynchrony::Earliest}) {
      Options options;
      options.asynchrony = asynchrony;
      options.strictFence = true;
      Outcome outcome = runTensorRing(replaced(tensorRing(), from, to), options);
      if (isLegal)
        EXPECT_TRUE(outcome.right && outcome.result.ok()) << outcome.result.text();
      else
        EXPECT_FALSE(outcome.right && outcome.result.ok());
    }
  }
}

//===--------------------------------------------------------------------===//
// cp.async and mma.sync
//===--------------------------------------------------------------------===//

/// D[32][16] = A[32][K] B[16][K]^T in bf16 with three stages of 16 of K; two warps, one for each half of the rows.
std::string laneRing() {
  return kernel(R"(
    .shared .align 16 .b8 stages[4608];
    mov.u32 %r1, stages; mov.u32 %r2, 0; mov.u32 %r50, 0;
    mov.b32 %f1, 0; mov.b32 %f2, 0; mov.b32 %f3, 0; mov.b32 %f4, 0; mov.b32 %f5, 0; mov.b32 %f6, 0; mov.b32 %f7, 0; mov.b32 %f8, 0;
    setp.lt.u32 %p1, %tid, 32;
    shr.u32 %r3, %tid, 1; and.b32 %r4, %tid, 1; shl.b32 %r5, %r4, 4; mad.lo.u32 %r6, %r3, 32, %r5;
    mad.lo.u32 %r7, %r3, 512, %r5; cvt.u64.u32 %d1, %r7; add.s64 %d2, %a1, %d1; add.s64 %d3, %a2, %d1;
    shr.u32 %r8, %tid, 5; and.b32 %r9, %tid, 31; and.b32 %r10, %r9, 15; mad.lo.u32 %r10, %r8, 16, %r10; shr.u32 %r11, %r9, 4; shl.b32 %r11, %r11, 4; mad.lo.u32 %r12, %r10, 32, %r11;
    and.b32 %r13, %r9, 7; shr.u32 %r14, %r9, 4; mad.lo.u32 %r13, %r14, 8, %r13; shr.u32 %r15, %r9, 3; and.b32 %r15, %r15, 1; shl.b32 %r15, %r15, 4; mad.lo.u32 %r16, %r13, 32, %r15; add.u32 %r16, %r16, 1024;
  start:
    mad.lo.u32 %r20, %r50, 1536, %r1; add.u32 %r21, %r20, %r6;
    cp.async.cg.shared.global [%r21], [%d2], 16; @%p1 cp.async.cg.shared.global [%r21+1024], [%d3], 16;
    cp.async.commit_group;
    add.s64 %d2, %d2, 32; add.s64 %d3, %d3, 32; add.u32 %r50, %r50, 1; setp.lt.u32 %p2, %r50, 2; @%p2 bra start;
  loop:
    cp.async.wait_group 1;
    bar.sync 0;
    setp.ge.u32 %p3, %r50, 16; @%p3 bra skip;
    rem.u32 %r22, %r50, 3; mad.lo.u32 %r20, %r22, 1536, %r1; add.u32 %r21, %r20, %r6;
    cp.async.cg.shared.global [%r21], [%d2], 16; @%p1 cp.async.cg.shared.global [%r21+1024], [%d3], 16;
  skip: cp.async.commit_group;
    add.s64 %d2, %d2, 32; add.s64 %d3, %d3, 32; add.u32 %r50, %r50, 1;
    rem.u32 %r22, %r2, 3; mad.lo.u32 %r20, %r22, 1536, %r1; add.u32 %r23, %r20, %r12; add.u32 %r24, %r20, %r16;
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r30, %r31, %r32, %r33}, [%r23];
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r34, %r35, %r36, %r37}, [%r24];
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r30, %r31, %r32, %r33}, {%r34, %r35}, {%f1, %f2, %f3, %f4};
    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f5, %f6, %f7, %f8}, {%r30, %r31, %r32, %r33}, {%r36, %r37}, {%f5, %f6, %f7, %f8};
    add.u32 %r2, %r2, 1; setp.lt.u32 %p4, %r2, 16; @%p4 bra loop;
    cp.async.wait_all;
    shr.u32 %r40, %r9, 2; mad.lo.u32 %r40, %r8, 16, %r40; shl.b32 %r40, %r40, 6; and.b32 %r41, %r9, 3; mad.lo.u32 %r40, %r41, 8, %r40; cvt.u64.u32 %d4, %r40; add.s64 %d4, %a0, %d4;
    st.global.v2.f32 [%d4], {%f1, %f2}; st.global.v2.f32 [%d4+512], {%f3, %f4}; st.global.v2.f32 [%d4+32], {%f5, %f6}; st.global.v2.f32 [%d4+544], {%f7, %f8};)",
                3, "", ".reqntid 64", "sm_80");
}

Outcome runLaneRing(const std::string &text, const Options &options) {
  Machine machine(text);
  machine.options = options;
  std::vector<uint16_t> a = randomBfloats(32 * 256, 3), b = randomBfloats(16 * 256, 4);
  uint64_t in = machine.upload(a, "a"), in2 = machine.upload(b, "b"), out = machine.memory.allocate(32 * 16 * 4, "out");
  Result result = machine.run(1, 64, out, in, in2);
  static const std::vector<float> want = product(a, b, 32, 16, 256);
  return compare(machine, std::move(result), out, want);
}

TEST(Ring, LaneCopiesAndMma) {
  for (const Options &options : everySchedule()) {
    Outcome outcome = runLaneRing(laneRing(), options);
    EXPECT_CLEAN(outcome.result);
    EXPECT_TRUE(outcome.right);
    EXPECT_EQ(outcome.result.stats.cpAsyncBytes, 16u * (1024 + 512));
    EXPECT_EQ(outcome.result.stats.mmaInstructions, 2u * 2 * 16);
  }
}

TEST(Ring, FaultsInLaneCopiesAreFound) {
  const std::pair<std::string, std::string> faults[] = {
      {"cp.async.wait_group 1;", ""},
      {"cp.async.wait_group 1;", "cp.async.wait_group 2;"},
      {"bar.sync 0;", ""},
      {"skip: cp.async.commit_group;", "skip:"},
      {"setp.ge.u32 %p3, %r50, 16;", "setp.ge.u32 %p3, %r50, 15;"},
      {"setp.ge.u32 %p3, %r50, 16;", "setp.ge.u32 %p3, %r50, 17;"},
      {"rem.u32 %r22, %r50, 3;", "rem.u32 %r22, %r50, 2;"},
      {"rem.u32 %r22, %r2, 3;", "rem.u32 %r22, %r2, 2;"},
      {"mad.lo.u32 %r6, %r3, 32, %r5;", "mad.lo.u32 %r6, %r3, 32, 0;"},
      {"mad.lo.u32 %r7, %r3, 512, %r5;", "mad.lo.u32 %r7, %r3, 512, 8;"},
  };
  for (const auto &[from, to] : faults) {
    SCOPED_TRACE(from + " -> " + to);
    for (Asynchrony asynchrony : {Asynchrony::Latest, Asynchrony::Random, Asynchrony::Earliest}) {
      Options options;
      options.asynchrony = asynchrony;
      Outcome outcome = runLaneRing(replaced(laneRing(), from, to), options);
      EXPECT_FALSE(outcome.right && outcome.result.ok());
    }
  }
}

} // namespace
} // namespace ptxemu_test

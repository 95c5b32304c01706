// SPDX-License-Identifier: Apache-2.0
//
// State spaces, vectors, calls, branches, atomics, exchanges between lanes.

#include "Harness.h"
#include <numeric>

namespace ptxemu_test {
namespace {

std::vector<uint32_t> count(size_t n) {
  std::vector<uint32_t> values(n);
  std::iota(values.begin(), values.end(), 0u);
  return values;
}

TEST(Memory, LocalMemoryAndParameters) {
  std::string body = R"(
    .local .align 16 .b8 scratch[32];
    .shared .align 16 .b8 buffer[2048];
    mul.wide.u32 %d1, %tid, 16;
    add.s64 %d2, %a1, %d1;
    ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%r1, %r2, %r3, %r4}, [%d2];
    mov.u32 %r10, buffer;
    shl.b32 %r11, %tid, 4;
    add.s32 %r10, %r10, %r11;
    st.shared.v2.b32 [%r10], {%r4, %r3};
    st.shared.v2.b32 [%r10+8], {%r2, %r1};
    bar.sync 0;
    cvt.u64.u32 %d3, %r10;
    cvta.shared.u64 %d3, %d3;
    ld.v4.f32 {%f1, %f2, %f3, %f4}, [%d3];
    mov.u64 %d4, scratch;
    st.local.v2.f32 [%d4+8], {%f1, %f2};
    cvta.local.u64 %d5, %d4;
    st.v2.f32 [%d5], {%f3, %f4};
    ld.local.v4.u32 {%r1, %r2, %r3, %r4}, [scratch];
    ld.const.u32 %r5, [table+4];
    mov.u64 %d6, table;
    cvta.const.u64 %d6, %d6;
    ld.u8 %h1, [%d6+8];
    cvt.u32.u16 %r6, %h1;
    add.s32 %r1, %r1, %r5;
    add.s32 %r1, %r1, %r6;
    add.s64 %d2, %a0, %d1;
    st.global.wt.v4.u32 [%d2], {%r1, %r2, %r3, %r4};
    isspacep.shared %p1, %d3; isspacep.local %p2, %d5; isspacep.global %p3, %d2; isspacep.const %p4, %d6;
    and.pred %p1, %p1, %p2; and.pred %p1, %p1, %p3; and.pred %p1, %p1, %p4;
    @!%p1 trap;)";
  Machine machine(kernel(body, 2, ".const .align 4 .u32 table[3] = {5, 1000, 7};", ".maxntid 128, 1, 1 .minnctapersm 2"));
  std::vector<uint32_t> input = count(4 * 70);
  uint64_t in = machine.upload(input, "in", ptxemu::Access::Read), out = machine.upload(std::vector<uint32_t>(input.size()));
  Result result = machine.run(1, 70, out, in);
  EXPECT_CLEAN(result);
  std::vector<uint32_t> got = machine.download<uint32_t>(out, input.size());
  for (uint32_t t = 0; t < 70; ++t) {
    EXPECT_EQ(got[4 * t], 4 * t + 1 + 1000 + 7);
    EXPECT_EQ(got[4 * t + 1], 4 * t);
    EXPECT_EQ(got[4 * t + 2], 4 * t + 3);
    EXPECT_EQ(got[4 * t + 3], 4 * t + 2);
  }
  EXPECT_EQ(result.stats.globalLoads.requests, 3u + 3u + 3u); // the input, and the table through two spaces
  EXPECT_EQ(machine.module->kernels()[0].localBytes, 32u);
  EXPECT_EQ(machine.module->kernels()[0].maximumThreads.x, 128u);
  EXPECT_EQ(machine.module->kernels()[0].minimumCtasPerSm, 2u);
}

TEST(Memory, StructuresByValue) {
  std::string text = R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .align 8 .b8 s[24], .param .u32 n)
{
  .reg .b32 %r<5>; .reg .b64 %d<5>; .reg .b16 %h<2>;
  ld.param.u64 %d1, [s+8];
  ld.param.v2.u32 {%r1, %r2}, [s+16];
  ld.param.s8 %h1, [s];
  cvt.s32.s16 %r4, %h1;
  mov.b64 %d2, s;
  cvta.param.u64 %d2, %d2;
  ld.u32 %r3, [%d2+20];
  add.s32 %r1, %r1, %r3;
  add.s32 %r1, %r1, %r4;
  ld.param.u32 %r2, [n];
  add.s32 %r1, %r1, %r2;
  st.global.u32 [%d1], %r1;
})";
  Machine machine(text);
  uint64_t out = machine.upload(std::vector<uint32_t>(1));
  struct {
    int8_t first = -3;
    uint64_t pointer;
    uint32_t a = 100, b = 20;
  } argument{.pointer = out};
  EXPECT_EQ(machine.module->kernels()[0].parameters[1].offset, 24u);
  Result result = machine.run(1, 1, argument, uint32_t(7000));
  EXPECT_CLEAN(result);
  EXPECT_EQ(machine.download<uint32_t>(out, 1)[0], 7117u);
}

TEST(Memory, FunctionsAndTables) {
  std::string functions = R"(
.func (.param .b32 result) triple(.param .b32 x) { .reg .b32 %r<3>; ld.param.b32 %r1, [x]; mul.lo.s32 %r2, %r1, 3; st.param.b32 [result], %r2; ret; }
.func (.reg .b32 out) choose(.reg .b32 value, .reg .b32 which)
{
  .reg .pred %p<3>;
  .reg .b32 %r<4>;
  setp.ge.u32 %p1, which, 3;
  @%p1 bra other;
  table: .branchtargets zero, one, two;
  brx.idx which, table;
zero: mov.u32 out, 100; ret;
one: { .param .b32 a; .param .b32 r; st.param.b32 [a], value; call.uni (r), triple, (a); ld.param.b32 out, [r]; } ret;
two: mov.u32 out, value; bra done;
other: neg.s32 out, value;
done: ret;
})";
  Machine machine(kernel(R"(
    and.b32 %r1, %tid, 7;
    setp.eq.u32 %p1, %r1, 7;
    mov.u32 %r2, 12345;
    @!%p1 call (%r2), choose, (%tid, %r1);
    mul.wide.u32 %d1, %tid, 4; add.s64 %d1, %a0, %d1; st.global.u32 [%d1], %r2;)", 1, functions));
  uint64_t out = machine.upload(std::vector<uint32_t>(96));
  EXPECT_CLEAN(machine.run(1, 96, out));
  std::vector<uint32_t> got = machine.download<uint32_t>(out, 96);
  for (uint32_t t = 0; t < 96; ++t)
    EXPECT_EQ(got[t], t % 8 == 0 ? 100 : t % 8 == 1 ? 3 * t : t % 8 == 2 ? t : t % 8 == 7 ? 12345 : 0 - t);
}

TEST(Memory, VariablesWithAddresses) {
  Machine machine(kernel(R"(
    mov.u64 %d1, pointers; ld.global.u64 %d2, [%d1+8]; ld.global.u32 %r1, [%d2];
    ld.global.f32 %f1, [numbers+4]; cvt.rzi.u32.f32 %r2, %f1; add.s32 %r1, %r1, %r2; st.global.u32 [%a0], %r1; st.global.u32 [counter], %r1;)",
                         1, ".global .align 4 .u32 values[4] = {1, 2, 30, 4};\n.global .align 4 .f32 numbers[2] = {0f3F800000, 5.0};\n"
                            ".visible .global .align 4 .u32 counter;\n.global .align 8 .u64 pointers[2] = {values, generic(values)+8};"));
  uint64_t out = machine.upload(std::vector<uint32_t>(1));
  machine.memory.load(*machine.module);
  EXPECT_CLEAN(machine.run(1, 1, out));
  EXPECT_EQ(machine.download<uint32_t>(out, 1)[0], 35u);
  auto counter = machine.memory.variable(*machine.module, "counter");
  ASSERT_TRUE(counter);
  EXPECT_EQ(counter->second, 4u);
  EXPECT_EQ(machine.download<uint32_t>(counter->first, 1)[0], 35u);
  EXPECT_FALSE(machine.memory.variable(*machine.module, "nothing"));
}

TEST(Memory, Atomics) {
  Machine machine(kernel(R"(
    atom.global.add.u32 %r1, [%a0], 1;
    red.global.gpu.relaxed.max.s32 [%a0+4], %tid;
    neg.s32 %r2, %tid;
    red.min.s32 [%a0+8], %r2;
    cvt.rn.f32.u32 %f1, %tid;
    atom.add.f32 %f2, [%a0+12], %f1;
    atom.global.cas.b32 %r3, [%a0+16], 0, 77;
    atom.exch.b64 %d1, [%a0+24], 5;
    red.or.b32 [%a0+32], %tid;
    red.inc.u32 [%a0+36], 9;
    mov.b32 %r4, 0x3C003C00;
    red.global.add.noftz.f16x2 [%a0+40], %r4;
    mov.b16 %h1, 0x3F80;
    red.global.add.noftz.bf16 [%a0+44], %h1;
    atom.shared.add.u32 %r5, [cell], 0;)",
                         1, ".shared .align 4 .b32 cell;"));
  std::vector<uint32_t> cells(16, 0);
  uint64_t out = machine.upload(cells);
  machine.options.races = false; // `cell` is not initialised
  EXPECT_CLEAN(machine.run(2, 64, out));
  std::vector<uint32_t> got = machine.download<uint32_t>(out, 16);
  EXPECT_EQ(got[0], 128u);
  EXPECT_EQ(got[1], 63u);
  EXPECT_EQ(int32_t(got[2]), -63);
  float sum;
  std::memcpy(&sum, &got[3], 4);
  EXPECT_EQ(sum, 2 * 63 * 32.0f);
  EXPECT_EQ(got[4], 77u);
  EXPECT_EQ(got[6], 5u);
  EXPECT_EQ(got[8], 63u);
  EXPECT_EQ(got[9], 128u % 10);
  EXPECT_EQ(got[10], uint32_t(ptxemu::toFloat16(128)) << 16 | ptxemu::toFloat16(128));
  EXPECT_EQ(got[11] & 0xffff, ptxemu::toBfloat16(128));
}

TEST(Lanes, ShufflesVotesAndMatches) {
  Machine machine(kernel(R"(
    add.s32 %r1, %tid, 100;
    shfl.sync.bfly.b32 %r2, %r1, 3, 31, -1;
    shfl.sync.up.b32 %r3|%p1, %r1, 2, 0, -1;
    shfl.sync.down.b32 %r4, %r1, 5, 0x181f, -1;
    shfl.sync.idx.b32 %r5, %r1, 9, 0x1c1f, -1;
    selp.u32 %r6, 1, 0, %p1;
    setp.gt.u32 %p2, %tid, 10;
    vote.sync.ballot.b32 %r7, %p2, -1;
    vote.sync.any.pred %p3, !%p2, -1;
    vote.sync.all.pred %p4, %p2, -1;
    selp.u32 %r8, 1, 0, %p3; selp.u32 %r9, 2, 0, %p4; or.b32 %r8, %r8, %r9;
    and.b32 %r10, %tid, 3;
    match.any.sync.b32 %r11, %r10, -1;
    match.all.sync.b32 %r12|%p5, %r10, -1;
    redux.sync.add.s32 %r13, %tid, -1;
    redux.sync.max.u32 %r14, %tid, -1;
    redux.sync.xor.b32 %r15, %r1, -1;
    elect.sync %r16|%p6, -1;
    elect.sync _|%p8, -1; @!%p8 bra skip; setp.ne.u32 %p8, %tid, 0; @%p8 trap; skip:
    shfl.sync.up.b32 _|%p9, %r1, 2, 0, -1; xor.pred %p9, %p9, %p1; @%p9 trap;
    selp.u32 %r17, 1, 0, %p6;
    setp.lt.u32 %p7, %tid, 12;
    mov.u32 %r18, 0;
    @%p7 activemask.b32 %r18;
    mul.wide.u32 %d1, %tid, 64; add.s64 %d1, %a0, %d1;
    st.global.v4.u32 [%d1], {%r2, %r3, %r4, %r5}; st.global.v4.u32 [%d1+16], {%r6, %r7, %r8, %r11};
    st.global.v4.u32 [%d1+32], {%r12, %r13, %r14, %r15}; st.global.v4.u32 [%d1+48], {%r16, %r17, %r18, %r18};)"));
  uint64_t out = machine.upload(std::vector<uint32_t>(32 * 16));
  EXPECT_CLEAN(machine.run(1, 32, out));
  std::vector<uint32_t> got = machine.download<uint32_t>(out, 32 * 16);
  uint32_t all = 0;
  for (uint32_t l = 0; l < 32; ++l)
    all ^= l + 100;
  for (uint32_t l = 0; l < 32; ++l) {
    const uint32_t *r = &got[16 * l];
    EXPECT_EQ(r[0], (l ^ 3) + 100);
    EXPECT_EQ(r[1], (l < 2 ? l : l - 2) + 100);
    EXPECT_EQ(r[2], (l % 8 + 5 < 8 ? l + 5 : l) + 100);
    EXPECT_EQ(r[3], (l & ~3u) + 1 + 100);
    EXPECT_EQ(r[4], l >= 2);
    EXPECT_EQ(r[5], 0xfffff800u);
    EXPECT_EQ(r[6], 1u);
    EXPECT_EQ(r[7], 0x11111111u << l % 4);
    EXPECT_EQ(r[8], 0u);
    EXPECT_EQ(r[9], 496u);
    EXPECT_EQ(r[10], 31u);
    EXPECT_EQ(r[11], all);
    EXPECT_EQ(r[12], 0u);
    EXPECT_EQ(r[13], l == 0);
    EXPECT_EQ(r[14], l < 12 ? 0xfffu : 0u);
  }
}

TEST(Control, DivergenceAndSpecialRegisters) {
  Machine machine(kernel(R"(
    mov.u32 %r1, 0; mov.u32 %r2, %tid;
loop: setp.eq.u32 %p1, %r2, 0;
    @%p1 bra done;
    and.b32 %r3, %r2, 1;
    setp.ne.u32 %p2, %r3, 0;
    @%p2 bra odd;
    shr.u32 %r2, %r2, 1; bra next;
odd: sub.u32 %r2, %r2, 1;
next: add.u32 %r1, %r1, 1;
    bra.uni loop;
done: mov.u32 %r4, %ntid.x; mad.lo.u32 %r5, %cta, %r4, %tid; mov.u32 %r6, %nctaid.x; mad.lo.u32 %r1, %r6, 1000, %r1;
    mov.u32 %r7, %laneid; mad.lo.u32 %r1, %r7, 100000, %r1; mov.u64 %d3, %clock64; mov.u32 %r9, %lanemask_lt; popc.b32 %r9, %r9; sub.u32 %r9, %r9, %r7; add.u32 %r1, %r1, %r9;
    mul.wide.u32 %d1, %r5, 4; add.s64 %d1, %a0, %d1; st.global.u32 [%d1], %r1;)"));
  uint64_t out = machine.upload(std::vector<uint32_t>(200));
  Result result = machine.run(2, 100, out);
  EXPECT_CLEAN(result);
  std::vector<uint32_t> got = machine.download<uint32_t>(out, 200);
  for (uint32_t i = 0; i < 200; ++i) {
    uint32_t steps = 0;
    for (uint32_t n = i % 100; n; ++steps)
      n = n % 2 ? n - 1 : n / 2;
    EXPECT_EQ(got[i], i % 100 % 32 * 100000 + 2000 + steps);
  }
  EXPECT_EQ(result.stats.ctas, 2u);
  EXPECT_GE(result.stats.byClass.at("st.global"), 8u); // more where lanes have not met again
}

TEST(Control, PrintsAndAssertions) {
  std::string before = ".global .align 1 .b8 text[16] = {37, 100, 32, 37, 46, 50, 102, 10, 0};\n.extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
                       ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 s);\n";
  std::string call = R"(
    .local .align 8 .b8 room[16];
    mov.u64 %d1, room; cvta.local.u64 %d2, %d1; mov.u64 %d3, text;
    st.local.u32 [%d1], 42; mov.f64 %e1, 0d3FF8000000000000; st.local.f64 [%d1+8], %e1;
    { .param .b64 f; .param .b64 a; .param .b32 r; st.param.b64 [f], %d3; st.param.b64 [a], %d2; call.uni (r), vprintf, (f, a); ld.param.b32 %r1, [r]; })";
  Machine machine(kernel(call, 1, before));
  Result result = machine.run(1, 1, uint64_t(0));
  EXPECT_CLEAN(result);
  EXPECT_EQ(result.output, "42 1.50\n");
  std::string fail = "mov.u64 %d3, text; { .param .b64 m; .param .b64 f; .param .b32 l; .param .b64 n; .param .b64 s; st.param.b64 [m], %d3; st.param.b64 [f], %d3; "
                     "st.param.b32 [l], 1; st.param.b64 [n], %d3; st.param.b64 [s], 1; call.uni __assertfail, (m, f, l, n, s); }";
  Machine failing(kernel(fail, 1, before));
  EXPECT_REPORT(failing.run(1, 1, uint64_t(0)), ReportKind::Trap);
}

} // namespace
} // namespace ptxemu_test

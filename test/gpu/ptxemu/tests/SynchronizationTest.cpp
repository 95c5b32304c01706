// SPDX-License-Identifier: Apache-2.0
//
// Threads of different CTAs that work together through global memory: right patterns run and are not reported, wrong ones are.

#include "Harness.h"

namespace ptxemu_test {
namespace {

/// Runs `text` in every schedule and residency; `check` looks at the memory of a clean run.
template <typename Check> void everywhere(const std::string &text, uint32_t grid, uint32_t block, bool isRight, Check check) {
  for (Options options : everySchedule())
    for (uint32_t resident : {1u, 4u}) {
      options.concurrentClusters = resident;
      Machine machine(text);
      machine.options = options;
      uint64_t out = machine.upload(std::vector<uint32_t>(8192, 0), "out");
      Result result = machine.run(grid, block, out);
      if (isRight) {
        EXPECT_CLEAN(result);
        check(machine.download<uint32_t>(out, 8192));
      } else {
        EXPECT_REPORT(result, ReportKind::Race);
      }
    }
}

/// Every CTA writes a row; the last to come adds them up. `fence` and `order` are what makes it right.
std::string lastCta(const std::string &fence, const std::string &order, const std::string &acquire) {
  return kernel(R"(
    .shared .align 4 .b32 ticket;
    mad.lo.u32 %r1, %cta, 64, %tid; mul.wide.u32 %d1, %r1, 4; add.s64 %d1, %a0, %d1;
    add.u32 %r2, %r1, 1; st.global.u32 [%d1+1024], %r2;
    )" + fence + R"(
    bar.sync 0;
    setp.eq.u32 %p1, %tid, 0;
    @%p1 atom.)" + order + R"(.global.add.u32 %r3, [%a0], 1;
    @%p1 st.shared.u32 [ticket], %r3;
    bar.sync 0;
    ld.shared.u32 %r3, [ticket];
    mov.u32 %r4, %nctaid.x; sub.u32 %r4, %r4, 1;
    setp.ne.u32 %p2, %r3, %r4;
    @%p2 bra end;
    )" + acquire + R"(
    mov.u32 %r5, 0; mov.u32 %r6, 0; mul.wide.u32 %d2, %tid, 4; add.s64 %d2, %a0, %d2;
  sum: ld.global.u32 %r7, [%d2+1024]; add.u32 %r5, %r5, %r7; add.s64 %d2, %d2, 256; add.u32 %r6, %r6, 1; setp.le.u32 %p3, %r6, %r4; @%p3 bra sum;
    mul.wide.u32 %d3, %tid, 4; add.s64 %d3, %a0, %d3; st.global.u32 [%d3+512], %r5;
  end:)");
}

void checkSums(const std::vector<uint32_t> &got) {
  for (uint32_t t = 0; t < 64; ++t) {
    uint32_t sum = 0;
    for (uint32_t c = 0; c < 9; ++c)
      sum += c * 64 + t + 1;
    ASSERT_EQ(got[128 + t], sum);
  }
}

TEST(Synchronization, LastCtaCombines) {
  everywhere(lastCta("fence.acq_rel.gpu;", "relaxed.gpu", "fence.acq_rel.gpu;"), 9, 64, true, checkSums);
  everywhere(lastCta("membar.gl;", "relaxed.gpu", "membar.gl;"), 9, 64, true, checkSums);
  // The barrier hands on what the other threads wrote: one release suffices.
  everywhere(lastCta("", "acq_rel.gpu", ""), 9, 64, true, checkSums);
  everywhere(lastCta("", "relaxed.gpu", "fence.acq_rel.gpu;"), 9, 64, false, checkSums);
  everywhere(lastCta("fence.acq_rel.gpu;", "relaxed.gpu", ""), 9, 64, false, checkSums);
  everywhere(lastCta("fence.acq_rel.cta;", "relaxed.gpu", "fence.acq_rel.gpu;"), 9, 64, false, checkSums);
}

TEST(Synchronization, Flags) {
  auto flag = [](const std::string &store, const std::string &load) {
    return kernel("setp.ne.u32 %p1, %cta, 0; @%p1 bra consumer;\nst.global.u32 [%a0+64], 42;\n" + store + "\nbra end;\nconsumer: " + load +
                  " setp.eq.u32 %p2, %r1, 0; @%p2 bra consumer;\nld.global.u32 %r2, [%a0+64]; mul.wide.u32 %d1, %cta, 4; add.s64 %d1, %a0, %d1; st.global.u32 [%d1+128], %r2;\nend:");
  };
  auto check = [](const std::vector<uint32_t> &got) {
    for (uint32_t c = 1; c < 6; ++c)
      ASSERT_EQ(got[32 + c], 42u);
  };
  everywhere(flag("st.release.gpu.global.u32 [%a0], 1;", "ld.acquire.gpu.global.u32 %r1, [%a0];"), 6, 1, true, check);
  everywhere(flag("membar.gl; st.volatile.global.u32 [%a0], 1;", "ld.volatile.global.u32 %r1, [%a0]; fence.acq_rel.gpu;"), 6, 1, true, check);
  everywhere(flag("red.release.gpu.global.add.u32 [%a0], 1;", "ld.acquire.gpu.global.u32 %r1, [%a0];"), 6, 1, true, check);
  everywhere(flag("st.relaxed.gpu.global.u32 [%a0], 1;", "ld.acquire.gpu.global.u32 %r1, [%a0];"), 6, 1, false, check);
  everywhere(flag("st.release.gpu.global.u32 [%a0], 1;", "ld.relaxed.gpu.global.u32 %r1, [%a0];"), 6, 1, false, check);
}

TEST(Synchronization, WorkQueue) {
  std::string text = kernel(R"(
    .shared .align 4 .b32 item;
    setp.eq.u32 %p1, %tid, 0;
  next: @%p1 atom.global.add.u32 %r1, [%a0], 1; @%p1 st.shared.u32 [item], %r1;
    bar.sync 0; ld.shared.u32 %r1, [item]; bar.sync 0;
    setp.ge.u32 %p2, %r1, 40; @%p2 bra end;
    mad.lo.u32 %r2, %r1, 64, %tid; mul.wide.u32 %d1, %r2, 4; add.s64 %d1, %a0, %d1; st.global.u32 [%d1+256], %r2;
    bra next;
  end:)");
  everywhere(text, 5, 64, true, [](const std::vector<uint32_t> &got) {
    for (uint32_t i = 0; i < 40 * 64; ++i)
      ASSERT_EQ(got[64 + i], i);
  });
}

TEST(Synchronization, GridBarrierMakesEverybodyResident) {
  std::string text = kernel(R"(
    mul.wide.u32 %d1, %cta, 4; add.s64 %d1, %a0, %d1; add.u32 %r1, %cta, 5; st.global.u32 [%d1+64], %r1;
    fence.acq_rel.gpu; red.global.gpu.add.u32 [%a0], 1; mov.u32 %r2, %nctaid.x;
  wait: ld.acquire.gpu.global.u32 %r3, [%a0]; setp.lt.u32 %p1, %r3, %r2; @%p1 bra wait;
    xor.b32 %r4, %cta, 7; mul.wide.u32 %d2, %r4, 4; add.s64 %d2, %a0, %d2; ld.global.u32 %r5, [%d2+64]; st.global.u32 [%d1+256], %r5;)");
  everywhere(text, 16, 1, true, [](const std::vector<uint32_t> &got) {
    for (uint32_t c = 0; c < 16; ++c)
      ASSERT_EQ(got[64 + c], (c ^ 7) + 5);
  });
}

TEST(Synchronization, SpinLocksWithinAWarp) {
  // Lanes take turns in a critical section.
  std::string text = kernel(R"(
  again: atom.acquire.gpu.global.cas.b32 %r1, [%a0], 0, 1; setp.ne.u32 %p1, %r1, 0; @%p1 bra again;
    ld.volatile.global.u32 %r2, [%a0+4]; add.u32 %r2, %r2, 1; st.volatile.global.u32 [%a0+4], %r2;
    st.release.gpu.global.u32 [%a0], 0;)");
  everywhere(text, 2, 40, true, [](const std::vector<uint32_t> &got) { ASSERT_EQ(got[1], 80u); });
}

TEST(Synchronization, SharedFlags) {
  auto text = [](const std::string &store, const std::string &load) {
    return kernel(".shared .align 4 .b32 flag; .shared .align 4 .b32 data; setp.eq.u32 %p1, %tid, 0; @%p1 st.shared.u32 [flag], 0; bar.sync 0; setp.ge.u32 %p2, %tid, 32; @%p2 bra consumer;\n"
                  "@%p1 st.shared.u32 [data], 9; @%p1 " + store + " bra end;\nconsumer: " + load + " setp.eq.u32 %p3, %r1, 0; @%p3 bra consumer;\nld.shared.u32 %r2, [data];\n"
                  "mul.wide.u32 %d1, %tid, 4; add.s64 %d1, %a0, %d1; st.global.u32 [%d1], %r2;\nend:");
  };
  everywhere(text("st.release.cta.shared.u32 [flag], 1;", "ld.acquire.cta.shared.u32 %r1, [flag];"), 1, 64, true, [](const std::vector<uint32_t> &got) { ASSERT_EQ(got[40], 9u); });
  everywhere(text("st.relaxed.cta.shared.u32 [flag], 1;", "ld.acquire.cta.shared.u32 %r1, [flag];"), 1, 64, false, [](const std::vector<uint32_t> &) {});
}

TEST(Synchronization, ResultsAreRepeatable) {
  auto once = [](uint64_t seed) {
    Machine machine(kernel("atom.global.add.u32 %r1, [%a0], 1; mul.wide.u32 %d1, %r1, 4; add.s64 %d1, %a0, %d1; mad.lo.u32 %r2, %cta, 1000, %tid; st.global.u32 [%d1+64], %r2;"));
    machine.options.seed = seed;
    uint64_t out = machine.upload(std::vector<uint32_t>(1024, 0));
    EXPECT_CLEAN(machine.run(8, 64, out));
    return machine.download<uint32_t>(out, 1024);
  };
  EXPECT_EQ(once(1), once(1));
  EXPECT_NE(once(1), once(2));
}

} // namespace
} // namespace ptxemu_test

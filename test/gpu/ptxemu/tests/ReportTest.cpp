// SPDX-License-Identifier: Apache-2.0
//
// Every kind of report: a kernel that earns it, and its twin that does not.

#include "Harness.h"

namespace ptxemu_test {
namespace {

/// Runs both; `wrong` must be reported in every schedule, `right` in none.
void expectCaught(ReportKind kind, const std::string &wrong, const std::string &right, uint32_t block = 64, uint32_t grid = 1,
                  const std::string &before = "", int line = 0) {
  for (const Options &options : everySchedule()) {
    for (bool isWrong : {true, false}) {
      Machine machine(kernel(isWrong ? wrong : right, 1, before));
      machine.options = options;
      uint64_t out = machine.upload(std::vector<uint32_t>(4096, 0), "out");
      Result result = machine.run(grid, block, out);
      if (!isWrong) {
        EXPECT_CLEAN(result);
        continue;
      }
      EXPECT_REPORT(result, kind);
      if (!result.errors.empty()) {
        EXPECT_FALSE(result.errors[0].text().empty());
        EXPECT_GT(result.errors[0].line, line);
      }
    }
  }
}

const std::string shared = ".shared .align 16 .b8 room[4096];\n";
const std::string own = "shl.b32 %r1, %tid, 2; mov.u32 %r2, room; add.s32 %r3, %r2, %r1;\n";
const std::string neighbour = "xor.b32 %r4, %tid, 32; shl.b32 %r4, %r4, 2; add.s32 %r5, %r2, %r4;\n";
const std::string lane = "xor.b32 %r4, %tid, 1; shl.b32 %r4, %r4, 2; add.s32 %r5, %r2, %r4;\n";

TEST(Report, OutOfBounds) {
  expectCaught(ReportKind::OutOfBounds, "st.global.u32 [%a0+16384], %tid;", "setp.eq.u32 %p1, %tid, 0; @%p1 st.global.u32 [%a0+16380], %tid;");
  expectCaught(ReportKind::OutOfBounds, shared + "st.shared.u32 [room+4096], 1;", shared + "setp.eq.u32 %p1, %tid, 0; @%p1 st.shared.u32 [room+4092], 1;");
  expectCaught(ReportKind::OutOfBounds, ".local .align 4 .b8 mine[8]; st.local.u32 [mine+8], 1;", ".local .align 4 .b8 mine[8]; st.local.u32 [mine+4], 1;");
  expectCaught(ReportKind::OutOfBounds, "mov.u64 %d1, 0; ld.global.u32 %r1, [%d1];", "ld.global.u32 %r1, [%a0];");
}

TEST(Report, UseAfterFree) {
  Machine machine(kernel("ld.global.u32 %r1, [%a0+4];"));
  uint64_t address = machine.upload(std::vector<uint32_t>(4), "gone");
  EXPECT_CLEAN(machine.run(1, 1, address));
  machine.memory.free(address);
  Result result = machine.run(1, 1, address);
  EXPECT_REPORT(result, ReportKind::UseAfterFree);
  EXPECT_NE(result.text().find("'gone'"), std::string::npos);
  EXPECT_THROW(machine.memory.free(address), ptxemu::Error);
}

TEST(Report, ReadOnly) {
  Machine machine(kernel("st.global.u32 [%a0], %tid;"));
  EXPECT_REPORT(machine.run(1, 1, machine.upload(std::vector<uint32_t>(4), "input", ptxemu::Access::Read)), ReportKind::ReadOnly);
  EXPECT_CLEAN(machine.run(1, 1, machine.upload(std::vector<uint32_t>(4), "output")));
}

TEST(Report, Misaligned) {
  expectCaught(ReportKind::Misaligned, "ld.global.v2.u32 {%r1, %r2}, [%a0+4];", "ld.global.v2.u32 {%r1, %r2}, [%a0+8];");
  expectCaught(ReportKind::Misaligned, shared + "st.shared.u32 [room+2], 1;", shared + "setp.eq.u32 %p1, %tid, 0; @%p1 st.shared.u32 [room+4], 1;");
}

TEST(Report, Uninitialized) {
  expectCaught(ReportKind::Uninitialized, shared + own + "ld.shared.u32 %r6, [%r3];", shared + own + "st.shared.u32 [%r3], 1; ld.shared.u32 %r6, [%r3];");
}

TEST(Report, SharedRaces) {
  expectCaught(ReportKind::Race, shared + own + neighbour + "st.shared.u32 [%r3], %tid; ld.shared.u32 %r6, [%r5];",
               shared + own + neighbour + "st.shared.u32 [%r3], %tid; bar.sync 0; ld.shared.u32 %r6, [%r5];");
  // A write after a read needs a barrier, too.
  expectCaught(ReportKind::Race, shared + own + neighbour + "st.shared.u32 [%r3], %tid; bar.sync 0; ld.shared.u32 %r6, [%r5]; st.shared.u32 [%r3], %r6;",
               shared + own + neighbour + "st.shared.u32 [%r3], %tid; bar.sync 0; ld.shared.u32 %r6, [%r5]; bar.sync 0; st.shared.u32 [%r3], %r6;");
  // Bytes of one word by two warps are no race.
  expectCaught(ReportKind::Race, shared + "shr.u32 %r1, %tid, 6; mov.u32 %r2, room; add.u32 %r2, %r2, %r1; shr.u32 %r3, %tid, 5; st.shared.u8 [%r2], %r3;",
               shared + "shr.u32 %r1, %tid, 5; mov.u32 %r2, room; add.u32 %r2, %r2, %r1; st.shared.u8 [%r2], %r1;");
  // Named barriers for the two halves.
  std::string halves = shared + own + "and.b32 %r7, %tid, 64; setp.ne.u32 %p1, %r7, 0;" + neighbour + "st.shared.u32 [%r3], %tid; shr.u32 %r8, %tid, 6; add.u32 %r8, %r8, 1; ";
  expectCaught(ReportKind::Race, halves + "mov.u32 %r8, %warpid; add.u32 %r8, %r8, 1; bar.sync %r8, 32; ld.shared.u32 %r6, [%r5];",
               halves + "bar.sync %r8, 64; ld.shared.u32 %r6, [%r5];", 128);
}

TEST(Report, IntraWarpRaces) {
  expectCaught(ReportKind::IntraWarpRace, shared + own + lane + "st.shared.u32 [%r3], %tid; ld.shared.u32 %r6, [%r5];",
               shared + own + lane + "st.shared.u32 [%r3], %tid; bar.warp.sync -1; ld.shared.u32 %r6, [%r5];");
  expectCaught(ReportKind::IntraWarpRace, "st.global.u32 [%a0], %tid;", "st.global.u32 [%a0], 5;", 32);
}

TEST(Report, GlobalRaces) {
  // Plain stores of two CTAs to one place; atomics instead.
  expectCaught(ReportKind::Race, "st.global.u32 [%a0], %cta;", "red.global.add.u32 [%a0], %cta;", 1, 2);
  std::string place = "mul.wide.u32 %d1, %cta, 128; add.s64 %d1, %a0, %d1; mul.wide.u32 %d2, %tid, 4; add.s64 %d1, %d1, %d2;";
  std::string other = "xor.b32 %r1, %cta, 1; mul.wide.u32 %d3, %r1, 128; add.s64 %d3, %a0, %d3; add.s64 %d3, %d3, %d2;";
  expectCaught(ReportKind::Race, place + other + "st.global.u32 [%d1], %tid; ld.global.u32 %r2, [%d3];", place + other + "st.global.u32 [%d1], %tid; ld.global.u32 %r2, [%d1];", 32, 2);
}

TEST(Report, Barriers) {
  expectCaught(ReportKind::Barrier, "setp.lt.u32 %p1, %tid, 32; @%p1 bar.sync 1, 64; @!%p1 bar.sync 1, 96;", "bar.sync 1, 64; bar.arrive 2, 64; bar.sync 3, 64;", 64);
  expectCaught(ReportKind::Barrier, "bar.sync 16;", "bar.sync 15;");
  expectCaught(ReportKind::Barrier, "bar.sync 1, 33;", "bar.sync 1, 64;");
}

TEST(Report, Deadlocks) {
  expectCaught(ReportKind::Deadlock, "setp.lt.u32 %p1, %tid, 32; @%p1 bar.sync 1, 64;", "setp.lt.u32 %p1, %tid, 32; @%p1 bar.sync 1, 32;");
  Machine machine(kernel(shared + "setp.eq.u32 %p1, %tid, 0; @%p1 mbarrier.init.shared.b64 [room], 2; bar.sync 0; @%p1 mbarrier.arrive.shared.b64 %d1, [room];\n"
                                  "wait: mbarrier.try_wait.parity.shared.b64 %p2, [room], 0;\n@!%p2 bra wait;"));
  Result result = machine.run(1, 64, uint64_t(0));
  EXPECT_REPORT(result, ReportKind::Deadlock);
  EXPECT_NE(result.text().find("pending 1 of 2"), std::string::npos) << result.text();
  EXPECT_NE(result.text().find("warp 1, 32 of 32 live lanes at line"), std::string::npos) << result.text();
}

TEST(Report, Mbarriers) {
  std::string init = shared + "setp.eq.u32 %p1, %tid, 0; @%p1 mbarrier.init.shared.b64 [room], 64; bar.sync 0;\n";
  std::string wait = "wait: mbarrier.test_wait.parity.shared.b64 %p2, [room], 0;\n@!%p2 bra wait;\n";
  expectCaught(ReportKind::Mbarrier, init + "mbarrier.arrive.shared.b64 %d1, [room+8];", init + "mbarrier.arrive.shared.b64 %d1, [room];" + wait);
  expectCaught(ReportKind::Mbarrier, init + "mbarrier.arrive.shared.b64 _, [room], 3;", init + "mbarrier.arrive.shared.b64 _, [room], 1;" + wait);
  expectCaught(ReportKind::Mbarrier, init + "@%p1 mbarrier.init.shared.b64 [room], 64;", init + "@%p1 mbarrier.inval.shared.b64 [room]; @%p1 mbarrier.init.shared.b64 [room], 64;");
  // A phase orders what came before the arrivals.
  std::string data = shared.substr(0, 0) + ".shared .align 16 .b8 data[4096]; shl.b32 %r1, %tid, 2; mov.u32 %r2, data; add.s32 %r3, %r2, %r1;\n" + neighbour;
  expectCaught(ReportKind::Race, init + data + "mbarrier.arrive.shared.b64 _, [room]; st.shared.u32 [%r3], 1;" + wait + "ld.shared.u32 %r6, [%r5];",
               init + data + "st.shared.u32 [%r3], 1; mbarrier.arrive.shared.b64 _, [room];" + wait + "ld.shared.u32 %r6, [%r5];");
  expectCaught(ReportKind::Race, init + data + "st.shared.u32 [%r3], 1; mbarrier.arrive.shared.b64 _, [room]; ld.shared.u32 %r6, [%r5];",
               init + data + "st.shared.u32 [%r3], 1; mbarrier.arrive.shared.b64 %d1, [room];\nwait: mbarrier.try_wait.shared.b64 %p2, [room], %d1;\n@!%p2 bra wait;\nld.shared.u32 %r6, [%r5];");
}

TEST(Report, TryWaitGivesUp) {
  std::string start = shared + ".shared .align 16 .b8 data[256]; setp.eq.u32 %p1, %tid, 0; @%p1 mbarrier.init.shared.b64 [room], 1; bar.sync 0; setp.lt.u32 %p3, %tid, 32; @!%p3 bra reader;\n"
                               "@%p1 st.shared.u32 [data], 5; @%p1 mbarrier.arrive.shared.b64 _, [room]; bra end;\nreader: mbarrier.try_wait.parity.shared.b64 %p2, [room], 0;\n";
  int caught = 0;
  for (const Options &options : everySchedule())
    for (bool isRight : {false, true}) {
      Machine machine(kernel(start + (isRight ? "@!%p2 bra reader;\n" : "") + "ld.shared.u32 %r1, [data];\nend:"));
      machine.options = options;
      Result result = machine.run(1, 64, uint64_t(0));
      if (isRight)
        EXPECT_CLEAN(result)
      else
        caught += !result.ok();
    }
  // Where the reader comes late, the phase is complete.
  EXPECT_GT(caught, 0);
}

TEST(Report, LaneCopies) {
  std::string start = shared + own + neighbour + "mul.wide.u32 %d1, %tid, 4; add.s64 %d1, %a0, %d1; cp.async.ca.shared.global [%r3], [%d1], 4;\n";
  expectCaught(ReportKind::Race, start + "cp.async.commit_group; cp.async.wait_group 1; bar.sync 0; ld.shared.u32 %r6, [%r5]; cp.async.wait_all;",
               start + "cp.async.commit_group; cp.async.wait_group 0; bar.sync 0; ld.shared.u32 %r6, [%r5];");
  expectCaught(ReportKind::Race, start + "cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r6, [%r5];",
               start + "cp.async.wait_all; bar.sync 0; ld.shared.u32 %r6, [%r5];");
  std::string init = "setp.eq.u32 %p1, %tid, 0; @%p1 mbarrier.init.shared.b64 [done], 64; bar.sync 0;\n";
  std::string wait = "wait: mbarrier.try_wait.parity.shared.b64 %p2, [done], 0;\n@!%p2 bra wait;\n";
  std::string barrier = ".shared .align 8 .b64 done;\n";
  expectCaught(ReportKind::Race, barrier + init + start + "mbarrier.arrive.shared.b64 _, [done];" + wait + "ld.shared.u32 %r6, [%r5]; cp.async.wait_all;",
               barrier + init + start + "cp.async.mbarrier.arrive.noinc.shared.b64 [done];" + wait + "ld.shared.u32 %r6, [%r5];");
  // A source shorter than the copy is filled with zeros.
  Machine machine(kernel(shared + "cp.async.cg.shared.global [room], [%a0], 16, 4; cp.async.wait_all; ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [room]; st.global.v4.u32 [%a0+16], {%r1, %r2, %r3, %r4};"));
  uint64_t out = machine.upload(std::vector<uint32_t>{9, 9, 9, 9, 1, 1, 1, 1});
  EXPECT_CLEAN(machine.run(1, 1, out));
  EXPECT_EQ(machine.download<uint32_t>(out + 16, 4), (std::vector<uint32_t>{9, 0, 0, 0}));
}

TEST(Report, BulkCopies) {
  std::string head = ".shared .align 128 .b8 room[8192];\n.shared .align 8 .b64 full;\nsetp.eq.u32 %p1, %tid, 0;\n";
  std::string init = "@%p1 mbarrier.init.shared.b64 [full], 1;\n", fence = "@%p1 fence.mbarrier_init.release.cluster;\n";
  std::string barrier = "bar.sync 0;\n@!%p1 bra wait;\n", expect = "mbarrier.arrive.expect_tx.shared.b64 _, [full], 1024;\n";
  std::string copy = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [room], [%a0], 1024, [full];\n";
  std::string wait = "wait: mbarrier.try_wait.parity.shared.b64 %p2, [full], 0;\n@!%p2 bra wait;\n";
  std::string use = "shl.b32 %r1, %tid, 2; mov.u32 %r2, room; add.s32 %r3, %r2, %r1; ld.shared.u32 %r4, [%r3];\n";
  std::string good = head + init + fence + barrier + expect + copy + wait + use;
  expectCaught(ReportKind::Proxy, head + init + barrier + expect + copy + wait + use, good);
  expectCaught(ReportKind::Race, replaced(head, "setp", use.substr(0, use.find("ld.")) + "st.shared.u32 [%r3], 0;\nfence.proxy.async;\nsetp") + init + fence + barrier + expect + copy + "wait:\n" + use, good);
  expectCaught(ReportKind::Deadlock, replaced(good, "[full], 1024;\ncp", "[full], 2048;\ncp"), good);
  expectCaught(ReportKind::Misaligned, replaced(good, "[%a0], 1024", "[%a0+8], 1024"), good);
  expectCaught(ReportKind::OutOfBounds, replaced(good, "[%a0], 1024", "[%a0+16384], 1024"), good);
  expectCaught(ReportKind::Mbarrier, replaced(good, "1024, [full]", "1024, [room+2048]"), good);
  // What was stored by ordinary stores needs a fence before the copy reads or overwrites it.
  std::string fill = "shl.b32 %r1, %tid, 2; mov.u32 %r2, room; add.s32 %r3, %r2, %r1; st.shared.u32 [%r3], %tid;\n";
  std::string out = "bar.sync 0;\n@!%p1 bra done;\ncp.async.bulk.global.shared::cta.bulk_group [%a0], [room], 256;\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\ndone:\n";
  expectCaught(ReportKind::Proxy, head + fill + out, head + fill + "fence.proxy.async.shared::cta;\n" + out);
  // Reuse of the source needs the wait for the read.
  std::string reuse = replaced(out, "done:\n", "st.shared.u32 [room], 3;\ndone:\n");
  expectCaught(ReportKind::Race, head + fill + "fence.proxy.async;\n" + replaced(reuse, "cp.async.bulk.wait_group 0;\n", ""),
               head + fill + "fence.proxy.async;\n" + replaced(reuse, "wait_group 0", "wait_group.read 0"));
  expectCaught(ReportKind::Exit, head + init + fence + "bar.sync 0;\n@!%p1 bra done;\n" + expect + copy + "done:\n", good);
}

TEST(Report, Lanes) {
  expectCaught(ReportKind::Lanes, "setp.lt.u32 %p1, %tid, 4; @%p1 shfl.sync.idx.b32 %r1, %tid, 0, 31, 3;", "shfl.sync.idx.b32 %r1, %tid, 0, 31, -1;", 32);
  expectCaught(ReportKind::Lanes, "setp.lt.u32 %p1, %tid, 4; @!%p1 bra end; shfl.sync.idx.b32 %r1, %tid, 9, 31, 15; end:", "setp.lt.u32 %p1, %tid, 4; @!%p1 bra end; shfl.sync.idx.b32 %r1, %tid, 3, 31, 15; end:", 32);
}

TEST(Report, TrapsAndLimits) {
  expectCaught(ReportKind::Trap, "trap;", "setp.gt.u32 %p1, %tid, 1000; @%p1 trap;");
  Machine machine(kernel("again: bra again;"));
  machine.options.instructionLimit = 100000;
  EXPECT_REPORT(machine.run(1, 32, uint64_t(0)), ReportKind::InstructionLimit);
}

TEST(Report, Launches) {
  Machine machine(kernel("", 1, "", ".reqntid 64, 1, 1"));
  EXPECT_CLEAN(machine.run(1, 64, uint64_t(0)));
  EXPECT_REPORT(machine.run(1, 32, uint64_t(0)), ReportKind::Launch);
  machine.launch.dynamicSharedBytes = 232448;
  EXPECT_CLEAN(machine.run(1, 64, uint64_t(0)));
  machine.launch.dynamicSharedBytes = 232449;
  EXPECT_REPORT(machine.run(1, 64, uint64_t(0)), ReportKind::Launch);
  machine.launch.dynamicSharedBytes = 0;
  machine.launch.cluster = {2};
  EXPECT_REPORT(machine.run(3, 64, uint64_t(0)), ReportKind::Launch);
  machine.launch.cluster = {0, 0, 0};
  machine.launch.kernel = "other";
  Result result = ptxemu::launch(*machine.module, machine.memory, machine.launch);
  EXPECT_REPORT(result, ReportKind::Launch);
  Machine ampere(kernel("", 1, "", "", "sm_80"));
  EXPECT_EQ(ampere.module->sharedBytesLimit(), 166912u);
  ampere.launch.dynamicSharedBytes = 166913;
  EXPECT_REPORT(ampere.run(1, 64, uint64_t(0)), ReportKind::Launch);
  EXPECT_THROW(machine.module->find("k")->pack(uint32_t(1)), ptxemu::Error);
  EXPECT_THROW(machine.module->find("k")->pack(), ptxemu::Error);
}

TEST(Report, SaysWhere) {
  Machine machine(kernel("setp.eq.u32 %p1, %tid, 37;\n@%p1 st.global.u32 [%a0+64],   %tid;"));
  uint64_t out = machine.upload(std::vector<uint32_t>(16), "result");
  Result result = machine.run(1, 64, out);
  ASSERT_EQ(result.errors.size(), 1u);
  const ptxemu::Report &report = result.errors[0];
  EXPECT_EQ(report.warp, 1);
  EXPECT_EQ(report.lane, 5);
  EXPECT_EQ(report.source, "@%p1 st.global.u32 [%a0+64], %tid;");
  EXPECT_NE(report.message.find("at byte 64 of 'result', which has 64 bytes"), std::string::npos) << report.message;
}

} // namespace
} // namespace ptxemu_test

// SPDX-License-Identifier: Apache-2.0
//
// Text that is not PTX gives an Error with a line, whatever it is. Other rules of the parser.

#include "Harness.h"

namespace ptxemu_test {
namespace {

std::string errorOf(const std::string &text) {
  try {
    ptxemu::Module::parse(text);
  } catch (const ptxemu::Error &error) {
    return error.what();
  }
  return "";
}

TEST(Hostile, WhatIsUnknownIsNamedWithItsLine) {
  EXPECT_EQ(errorOf(kernel("\nfrobnicate.u32 %r1, %r2;")), "line 20: unknown instruction 'frobnicate.u32'");
  EXPECT_EQ(errorOf(kernel("add.wonky.u32 %r1, %r2, %r3;")), "line 19: 'add': modifier '.wonky' is unknown or not supported here");
  EXPECT_NE(errorOf(kernel("add.u32 %r1, %r2;")).find("line 19: 'add': has 2 operands"), std::string::npos);
  EXPECT_NE(errorOf(kernel("add.u32 %r1, %r2, %d3;")).find("'%d3' is .b64"), std::string::npos);
  EXPECT_NE(errorOf(kernel("add.u32 %r1, %r2, %nothing;")).find("unknown name '%nothing'"), std::string::npos);
  EXPECT_NE(errorOf(kernel("add.u32 %r1, %r2, %r4000;")).find("unknown name '%r4000'"), std::string::npos);
  EXPECT_NE(errorOf(kernel("bra nowhere;")).find("line 19: unknown label 'nowhere'"), std::string::npos);
  EXPECT_NE(errorOf(kernel("mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 {%r1}, {%r1}, {%r1}, {%r1};")).find("'mma'"), std::string::npos);
  EXPECT_NE(errorOf(kernel("wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 {%r1}, %d1, %d1, %p1, 1, 1, 0, 0;")).find("sparse"), std::string::npos);
  EXPECT_NE(errorOf(kernel("call (%r1), missing, (%r2);")).find("function 'missing' is not declared"), std::string::npos);
  EXPECT_NE(errorOf(kernel(".local .b8 mine[4]; ld.shared.u32 %r1, [mine];")).find("state space"), std::string::npos);
  EXPECT_NE(errorOf(kernel("ld.param.u64 %d1, [p0+8];")).find("out of bounds"), std::string::npos);
  EXPECT_NE(errorOf(kernel("ld.global.v4.u64 {%d1, %d2, %d3}, [%a0];")).find("vector of 4"), std::string::npos);
  EXPECT_NE(errorOf(".version 8.0\n.target compute_90\n").find("line 2"), std::string::npos);
  EXPECT_NE(errorOf("").find("expected a .target"), std::string::npos);
  std::string loop = ".func f() { call g; ret; }\n.func g() { call f; ret; }";
  EXPECT_NE(errorOf(kernel("call f;", 1, ".func g();\n" + loop)).find("recursion"), std::string::npos);
}

/// A text that uses much of the grammar.
std::string sample() {
  return kernel(R"(
    .shared .align 16 .b8 room[64];
    .loc 1 2 3
    { .reg .pred P1; WAIT: mbarrier.try_wait.parity.shared.b64 P1, [room], 0, 1000; @P1 bra DONE; bra WAIT; DONE: }
    ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%a0+16];
    fma.rn.f32 %f1, %f2, 0f3F800000, %f3; setp.lt.and.s32 %p1|%p2, %r1, -5, !%p3;
    brx.idx %r1, table;
    table: .branchtargets one, two;
    one: wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %d1, %d2, %p1, 1, 1, 0, 0;
    two: cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [room], [%a0, {%r1, %r2}], [room+32];
    call.uni (%r1), f, (%r2); /* comment */ // another
    )",
                1, ".func (.reg .b32 r) f(.reg .b32 x) { mov.b32 r, x; ret; }\n.global .align 4 .b8 bytes[4] = {1, 2, 0xff, 4};\n.const .u64 q = bytes;", ".maxntid 128");
}

TEST(Hostile, TruncatedTexts) {
  std::string text = sample();
  ASSERT_EQ(errorOf(text), "");
  for (size_t length = 0; length < text.size(); length += 3)
    errorOf(text.substr(0, length)); // must return
}

TEST(Hostile, MutatedTexts) {
  std::string text = sample();
  std::mt19937 random(3);
  static const char *splices[] = {"{", "}", "[", "]", "(", ")", ";", ",", ":", "::", ".", "@", "!", "-", "|", "%", "<", ">", "\"", "/*", "0x", "999999999999999999999",
                                  "0f12", ".reg .b32 %z<4000000000>;", ".shared .b8 big[4294967295];", "%r1", ".b128", "\0", "\xff", "\n", "18446744073709551615", "-9223372036854775808"};
  int refused = 0;
  for (int i = 0; i < 1200; ++i) {
    std::string mutated = text;
    for (int n = 1 + int(random() % 3); n > 0; --n) {
      size_t at = random() % mutated.size();
      switch (random() % 4) {
      case 0: mutated[at] = char(random()); break;
      case 1: mutated.erase(at, 1 + random() % 20); break;
      case 2: mutated.insert(at, splices[random() % std::size(splices)]); break;
      default: mutated.insert(at, mutated.substr(random() % mutated.size(), random() % 60)); break;
      }
      if (mutated.empty())
        mutated = " ";
    }
    refused += !errorOf(mutated).empty();
  }
  EXPECT_GT(refused, 600);
}

TEST(Hostile, RandomBytesAndDeepNesting) {
  std::mt19937 random(4);
  for (int i = 0; i < 200; ++i) {
    std::string bytes(random() % 400, 0);
    for (char &c : bytes)
      c = char(random());
    EXPECT_NE(errorOf(bytes), "");
  }
  EXPECT_NE(errorOf(kernel(std::string(100000, '{'))), "");
  EXPECT_NE(errorOf(kernel("mov.u32 %r1, " + std::string(100000, '{') + ";")), "");
  EXPECT_NE(errorOf(kernel("mov.u32 %r1, " + std::string(100000, '!') + "%r1;")), "");
  EXPECT_NE(errorOf(".version 8.0\n.target sm_90\n.global .u32 x = " + std::string(100000, '{')), "");
  EXPECT_NE(errorOf(std::string(1000000, '(')), "");
  std::string chain = ".version 8.0\n.target sm_90\n.address_size 64\n.func f0() { ret; }\n";
  for (int i = 1; i < 6000; ++i)
    chain += ".func f" + std::to_string(i) + "() { call f" + std::to_string(i - 1) + "; ret; }\n";
  EXPECT_NE(errorOf(chain + ".entry k() { call f5999; ret; }"), "");
}

/// Whatever still parses also runs to an end: no input may crash the machine.
TEST(Hostile, MutatedProgramsRun) {
  std::string text = kernel(R"(
    .shared .align 16 .b8 room[256];
    shl.b32 %r1, %tid, 2; mov.u32 %r2, room; add.u32 %r2, %r2, %r1; st.shared.u32 [%r2], %tid; bar.sync 0; ld.shared.u32 %r3, [%r2];
    setp.lt.u32 %p1, %r3, 20; @%p1 bra low; add.u32 %r3, %r3, 7; low: shfl.sync.bfly.b32 %r4, %r3, 1, 31, -1;
    mul.wide.u32 %d1, %tid, 4; add.s64 %d1, %a0, %d1; atom.global.add.u32 %r5, [%d1], %r4; st.global.v2.u32 [%a0+512], {%r5, 1};)");
  std::mt19937 random(6);
  size_t begin = text.find("shl.b32");
  int ran = 0;
  for (int i = 0; i < 600; ++i) {
    std::string mutated = text;
    size_t at = begin + random() % (text.size() - begin - 3);
    mutated[at] = mutated[at] >= '0' && mutated[at] <= '9' ? char('0' + random() % 10) : "0123456789rdhpa.,;[]{}"[random() % 22];
    std::shared_ptr<const ptxemu::Module> module;
    try {
      module = ptxemu::Module::parse(mutated);
    } catch (const ptxemu::Error &) {
      continue;
    }
    ++ran;
    Memory memory;
    uint64_t out = memory.allocate(1024);
    Launch launch;
    launch.kernel = "k";
    launch.block = {64};
    launch.parameters = module->find("k")->pack(out);
    Options options;
    options.instructionLimit = 20000;
    ptxemu::launch(*module, memory, launch, options);
  }
  EXPECT_GT(ran, 50);
}

} // namespace
} // namespace ptxemu_test

// SPDX-License-Identifier: Apache-2.0
//
// Memory and modules as a stand-in driver uses them; several threads at once.

#include "Harness.h"
#include <thread>

namespace ptxemu_test {
namespace {

TEST(Interface, Allocations) {
  Memory memory;
  uint64_t a = memory.allocate(100, "a"), b = memory.allocate(0, "b");
  EXPECT_EQ(a % 512, 0u);
  EXPECT_NE(a, b);
  EXPECT_EQ(memory.allocatedBytes(), 100u);
  unsigned char byte = 0;
  memory.read(&byte, a + 99, 1);
  EXPECT_EQ(byte, 0xff);
  EXPECT_THROW(memory.read(&byte, a + 100, 1), ptxemu::Error);
  EXPECT_THROW(memory.hostPointer(a + 50, 51), ptxemu::Error);
  EXPECT_THROW(memory.hostPointer(12345, 1), ptxemu::Error);
  memory.fill(a, 3, 100);
  memory.read(&byte, a, 1);
  EXPECT_EQ(byte, 3);
  EXPECT_EQ(memory.find(a + 7)->label, "a");
  EXPECT_FALSE(memory.find(a - 1));
  EXPECT_THROW(memory.free(a + 1), ptxemu::Error);
  memory.free(a);
  EXPECT_FALSE(memory.find(a));
  EXPECT_THROW(memory.free(a), ptxemu::Error);
  EXPECT_THROW(memory.read(&byte, a, 1), ptxemu::Error);
  EXPECT_NE(memory.allocate(100), a);
  EXPECT_THROW(memory.allocate(~uint64_t(0)), ptxemu::Error);
}

TEST(Interface, RegisteredHostMemory) {
  std::vector<uint32_t> host(64, 7);
  Machine machine(kernel("mul.wide.u32 %d1, %tid, 4; add.s64 %d1, %a0, %d1; ld.global.u32 %r1, [%d1]; add.u32 %r1, %r1, %tid; st.global.u32 [%d1], %r1;"));
  uint64_t address = machine.memory.registerHost(host.data(), 256, "host");
  EXPECT_EQ(address, reinterpret_cast<uint64_t>(host.data()));
  EXPECT_THROW(machine.memory.registerHost(host.data() + 1, 8), ptxemu::Error);
  EXPECT_CLEAN(machine.run(1, 64, address));
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(host[i], 7 + i);
  machine.memory.unregisterHost(host.data());
  EXPECT_THROW(machine.memory.unregisterHost(host.data()), ptxemu::Error);
  EXPECT_REPORT(machine.run(1, 64, address), ReportKind::OutOfBounds);
}

TEST(Interface, ModulesOfTwoMemories) {
  auto module = ptxemu::Module::parse(kernel("atom.global.add.u32 %r1, [counter], 1;", 1, ".global .align 4 .u32 counter = 5;"));
  EXPECT_EQ(module->target(), "sm_90a");
  EXPECT_EQ(module->computeCapability(), 90);
  EXPECT_EQ(module->variables().size(), 1u);
  EXPECT_EQ(module->find("nothing"), nullptr);
  Memory first, second;
  for (Memory *memory : {&first, &second}) {
    EXPECT_FALSE(memory->variable(*module, "counter"));
    memory->load(*module);
    memory->load(*module);
  }
  Launch launch;
  launch.kernel = "k";
  launch.block = {3};
  launch.parameters = module->find("k")->pack(uint64_t(0));
  EXPECT_CLEAN(ptxemu::launch(*module, first, launch));
  uint32_t counter = 0;
  first.read(&counter, first.variable(*module, "counter")->first, 4);
  EXPECT_EQ(counter, 8u);
  second.read(&counter, second.variable(*module, "counter")->first, 4);
  EXPECT_EQ(counter, 5u);
  second.unload(*module);
  EXPECT_FALSE(second.variable(*module, "counter"));
}

TEST(Interface, LaunchesFromSeveralThreads) {
  auto module = ptxemu::Module::parse(kernel("mad.lo.u32 %r1, %cta, 64, %tid; mul.wide.u32 %d1, %r1, 4; add.s64 %d1, %a0, %d1; mul.lo.u32 %r2, %r1, %r1; st.global.u32 [%d1], %r2;"));
  Memory memory;
  std::vector<std::thread> threads;
  std::vector<int> good(4, 0);
  for (size_t t = 0; t < good.size(); ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < 5; ++round) {
        uint64_t out = memory.allocate(64 * 64 * 4);
        Launch launch;
        launch.kernel = "k";
        launch.grid = {64};
        launch.block = {64};
        launch.parameters = module->find("k")->pack(out);
        Result result = ptxemu::launch(*module, memory, launch);
        std::vector<uint32_t> got(64 * 64);
        memory.read(got.data(), out, got.size() * 4);
        bool right = result.ok();
        for (uint32_t i = 0; i < got.size(); ++i)
          right &= got[i] == i * i;
        good[t] += right;
        memory.free(out);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int count : good)
    EXPECT_EQ(count, 5);
  EXPECT_EQ(memory.allocatedBytes(), 0u);
}

TEST(Interface, NumberFormats) {
  EXPECT_EQ(ptxemu::toBfloat16(1.0f), 0x3f80);
  EXPECT_EQ(ptxemu::toFloat16(-2.0f), 0xc000);
  EXPECT_EQ(ptxemu::fromE4m3(0x7e), 448.0f);
  EXPECT_EQ(ptxemu::toE4m3(1e9f), 0x7e);
  EXPECT_EQ(ptxemu::fromE5m2(0x7b), 57344.0f);
  for (int code = 0; code < 256; ++code) {
    float four = ptxemu::fromE4m3(uint8_t(code)), five = ptxemu::fromE5m2(uint8_t(code));
    if (four == four)
      EXPECT_EQ(ptxemu::toE4m3(four), code);
    if (five - five == 0)
      EXPECT_EQ(ptxemu::toE5m2(five), code);
  }
}

} // namespace
} // namespace ptxemu_test

// SPDX-License-Identifier: Apache-2.0
//
// What tests ask of the stand-in for libcuda.so.1 (test/gpu/libcuda), which they find by LD_LIBRARY_PATH as the runtime does.

#ifndef MSA_TEST_RUNTIME_STAND_IN_H
#define MSA_TEST_RUNTIME_STAND_IN_H

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <string>

namespace msa::test {

struct StandIn {
  static void *symbol(const char *name) {
    static void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, name) : nullptr;
    if (!found) {
      std::fprintf(stderr, "expected the stand-in for libcuda.so.1 in LD_LIBRARY_PATH, found none with %s\n", name);
      std::abort();
    }
    return found;
  }
  static bool contains(const void *pattern, size_t bytes) {
    return reinterpret_cast<int (*)(const void *, size_t)>(symbol("msaStandinContains"))(pattern, bytes) != 0;
  }
  static uint64_t count(int what) { return reinterpret_cast<uint64_t (*)(int)>(symbol("msaStandinCount"))(what); }
  static uint64_t liveAllocations() { return count(0); }
  static uint64_t allocations() { return count(1); }
  static uint64_t launches() { return count(2); }
  static uint64_t graphLaunches() { return count(3); }
  static uint64_t contexts() { return count(4); }
  static uint64_t livePinned() { return count(5); }
  static void restart() { reinterpret_cast<void (*)()>(symbol("msaStandinRestart"))(); }
};

/// A stand-in that starts anew with some variables of its environment changed, and again with them as they were.
class StandInTest : public ::testing::Test {
protected:
  void SetUp() override { StandIn::restart(); }
  void TearDown() override {
    // Whatever a test did, nothing of it may be left.
    EXPECT_EQ(StandIn::liveAllocations(), 0u);
    EXPECT_EQ(StandIn::livePinned(), 0u);
    EXPECT_EQ(StandIn::contexts(), 0u);
    for (const auto &[name, value] : before)
      value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
    StandIn::restart();
  }
  void set(const std::string &name, const std::string &value) {
    const char *old = getenv(name.c_str());
    before.emplace(name, old ? old : "");
    setenv(name.c_str(), value.c_str(), 1);
    StandIn::restart();
  }

private:
  std::map<std::string, std::string> before;
};

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_STAND_IN_H

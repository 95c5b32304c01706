// SPDX-License-Identifier: Apache-2.0
//
// What the tests share: a kernel around a piece of PTX, buffers, random numbers, looking for reports.

#pragma once

#include "ptxemu/ptxemu.h"
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace ptxemu_test {

using ptxemu::Asynchrony;
using ptxemu::Launch;
using ptxemu::Memory;
using ptxemu::Options;
using ptxemu::ReportKind;
using ptxemu::Result;

/// A module with one kernel `k` whose parameters are `count` 64-bit values p0, p1, ...; they are loaded into %a0, %a1, ... and the thread's
/// index in its CTA is %tid, its CTA's %cta.
inline std::string kernel(const std::string &body, int count = 1, const std::string &before = "", const std::string &directives = "",
                          const std::string &target = "sm_90a") {
  std::string parameters, loads;
  for (int i = 0; i < count; ++i) {
    std::string n = std::to_string(i);
    parameters += std::string(i ? ", " : "") + ".param .u64 p" + n;
    loads += "ld.param.u64 %a" + n + ", [p" + n + "];\n";
  }
  return ".version 8.6\n.target " + target + "\n.address_size 64\n" + before + "\n.visible .entry k(" + parameters + ") " + directives +
         "\n{\n.reg .pred %p<10>;\n.reg .b16 %h<40>;\n.reg .b32 %r<200>;\n.reg .f32 %f<200>;\n.reg .b64 %d<40>;\n.reg .f64 %e<20>;\n"
         ".reg .b64 %a<8>;\n.reg .b32 %tid;\n.reg .b32 %cta;\nmov.u32 %tid, %tid.x;\nmov.u32 %cta, %ctaid.x;\n" +
         loads + body + "\nret;\n}\n";
}

struct Machine {
  Memory memory;
  std::shared_ptr<const ptxemu::Module> module;
  Options options;
  Launch launch;

  explicit Machine(const std::string &text) : module(ptxemu::Module::parse(text)) { launch.kernel = "k"; }

  template <typename T> uint64_t upload(const std::vector<T> &values, const std::string &label = "", ptxemu::Access access = ptxemu::Access::ReadWrite) {
    uint64_t address = memory.allocate(values.size() * sizeof(T), label, access);
    memory.write(address, values.data(), values.size() * sizeof(T));
    return address;
  }
  template <typename T> std::vector<T> download(uint64_t address, size_t count) {
    std::vector<T> values(count);
    memory.read(values.data(), address, count * sizeof(T));
    return values;
  }
  template <typename... Values> Result run(uint32_t grid, uint32_t block, const Values &...values) {
    launch.grid = {grid};
    launch.block = {block};
    launch.parameters = module->find(launch.kernel)->pack(values...);
    return ptxemu::launch(*module, memory, launch, options);
  }
};

inline bool reports(const Result &result, ReportKind kind) {
  for (const ptxemu::Report &report : result.errors)
    if (report.kind == kind)
      return true;
  return false;
}

inline void expectClean(const Result &result) { EXPECT_TRUE(result.ok() && result.warnings.empty()) << result.text(); }
inline void expectReport(const Result &result, ReportKind kind) { EXPECT_TRUE(reports(result, kind)) << "no such report among:\n" << result.text(); }
#define EXPECT_CLEAN(result) { SCOPED_TRACE(""); expectClean(result); }
#define EXPECT_REPORT(result, kind) { SCOPED_TRACE(""); expectReport(result, kind); }

/// `text` with the only occurrence of `from` replaced.
inline std::string replaced(std::string text, const std::string &from, const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "nothing to replace: " << from;
  if (at == std::string::npos)
    return text;
  EXPECT_EQ(text.find(from, at + from.size()), std::string::npos) << "more than one place: " << from;
  return text.replace(at, from.size(), to);
}

inline std::vector<Options> everySchedule() {
  std::vector<Options> all;
  for (Asynchrony asynchrony : {Asynchrony::Latest, Asynchrony::Random, Asynchrony::Earliest})
    for (uint64_t seed : {1, 2, 3}) {
      Options options;
      options.asynchrony = asynchrony;
      options.seed = seed;
      options.strictFence = true;
      all.push_back(options);
    }
  return all;
}

} // namespace ptxemu_test

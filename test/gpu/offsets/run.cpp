// SPDX-License-Identifier: Apache-2.0
//
// gpu-offsets FOLDER [--only TEXT] [--long]
//
// Every template on buffers of more than 2^32 bytes (Far.h), and with --long also attention over as many keys, every one of which is walked.

#include "Far.h"

#include <chrono>
#include <cstdio>
#include <map>

using far::Instance;

int main(int argc, char **argv) {
  std::string folder, only;
  bool walksAll = false;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--only" && i + 1 < argc)
      only = argv[++i];
    else if (word == "--long")
      walksAll = true;
    else
      folder = word;
  }
  if (folder.empty()) {
    std::fprintf(stderr, "usage: gpu-offsets FOLDER [--only TEXT] [--long]\n");
    return 2;
  }
  const std::map<std::string, void (*)(const Instance &)> checks = {
      {"attend", far::checkAttend}, {"compress", far::checkCompress}, {"gather", far::checkGather}, {"gemm", far::checkGemm}, {"route", far::checkRoute}};
  int ran = 0, failures = 0;
  auto check = [&](const Instance &instance, void (*work)(const Instance &)) {
    auto begin = std::chrono::steady_clock::now();
    std::string problem;
    try {
      work(instance);
    } catch (const std::exception &error) {
      problem = error.what();
      ++failures;
    }
    ++ran;
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!problem.empty() || seconds > 1)
      std::printf("%s  %.1f s  %s %s\n", problem.empty() ? "passed" : "FAILED", seconds, instance.name.c_str(), problem.c_str());
  };
  try {
    for (const Instance &instance : far::readInstances(folder)) {
      const auto &p = instance.parameters;
      if (instance.name.find(only) == std::string::npos)
        continue;
      // Of products, those with a plain result: what an epilogue adds to an address is the same in all.
      if (instance.family == "gemm" && (p.at("form") == "skinny" || p.at("epilogue") != "none" || p.at("element") == "f8E4M3FN"))
        continue;
      check(instance, checks.at(instance.family));
      if (walksAll && instance.family == "attend" && p.at("splits") > 1)
        check(instance, far::checkLongSequence);
    }
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::printf("%d checks, %d failures\n", ran, failures);
  return failures || !ran;
}

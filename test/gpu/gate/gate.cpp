// SPDX-License-Identifier: Apache-2.0
//
// gpu-gate check FOLDER... [--seeds N]    runs the descriptor cases and every instance in the folders through the driver, on fresh random inputs,
//                                         with poisoned outputs, and compares with float64
// gpu-gate time FOLDER... [--rounds N]    times instances on the shapes that matter, without comparing
// gpu-gate device                         says what the device is
//
// --smoke: one instance of each template's forms, on small shapes: whether all of this works, where times mean nothing.
//
// Prints one JSON object a line. `check` exits with 1 if anything is wrong. What a device cannot run (wgmma code on another processor than 9.0)
// is said and left out.

#include "DriverDevice.h"
#include "Case.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <set>

using namespace cases;
using Json = nlohmann::json;

namespace {

bool runsOn(const Instance &instance, const Driver &driver) {
  if (instance.sm == 90)
    return driver.major == 9 && driver.minor == 0;
  return driver.major * 10 + driver.minor >= instance.sm;
}

/// One instance on one seed.
Json check(const Driver &driver, const Instance &instance, uint64_t seed) {
  Json line = {{"instance", instance.name}, {"seed", seed}};
  auto begin = std::chrono::steady_clock::now();
  try {
    DriverDevice device(driver, instance.ptx);
    Case subject = makeCase(instance, Size::Small, seed);
    Prepared prepared(device, instance, subject);
    Verdict verdict;
    std::string report = prepared.run(verdict);
    line["ok"] = report.empty() && verdict.ok;
    line["error"] = verdict.error; // of what is allowed
    line["shape"] = subject.shape;
    if (!report.empty() || !verdict.ok)
      line["text"] = report.empty() ? verdict.text : report;
  } catch (const Error &error) {
    line["ok"] = false;
    line["text"] = error.what();
  }
  line["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return line;
}

/// What the command line says.
struct CommandLine {
  std::vector<std::string> folders;
  int count = 0; ///< seeds or rounds
  bool smoke = false;
};

std::vector<Instance> readAll(const Driver &driver, const CommandLine &asked) {
  std::vector<Instance> all;
  std::set<std::string> seen;
  for (const std::string &folder : asked.folders)
    for (Instance &instance : readInstances(folder)) {
      const Json &p = instance.parameters;
      std::string form = instance.family + " " + p.value("form", "") + (p.value("resident", true) ? "" : " streamed") + (p.value("splits", 1) > 1 ? " split" : "");
      if (!asked.smoke || (runsOn(instance, driver) && seen.insert(form).second))
        all.push_back(std::move(instance));
    }
  return all;
}

int checkAll(const Driver &driver, const CommandLine &asked) {
  std::vector<Instance> instances = descriptorInstances();
  for (Instance &instance : readAll(driver, asked))
    instances.push_back(std::move(instance));
  // Fresh inputs on every run; the seed is in the output, so that a failure can be had again.
  uint64_t first = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  bool failed = false;
  for (const Instance &instance : instances) {
    if (!runsOn(instance, driver)) {
      std::cout << Json({{"instance", instance.name}, {"skipped", "needs compute capability " + std::to_string(instance.sm / 10) + "." + std::to_string(instance.sm % 10)}})
                << std::endl;
      continue;
    }
    if (!knows(instance)) {
      std::cout << Json({{"instance", instance.name}, {"ok", false}, {"text", "no case is known for template '" + instance.family + "'"}}) << std::endl;
      failed = true;
      continue;
    }
    for (int i = 0; i < asked.count; ++i) {
      Json line = check(driver, instance, first + static_cast<uint64_t>(i));
      failed |= !line["ok"].get<bool>();
      std::cout << line << std::endl;
    }
  }
  return failed;
}

int timeAll(const Driver &driver, const CommandLine &asked) {
  bool failed = false;
  for (const Instance &instance : readAll(driver, asked)) {
    if (!runsOn(instance, driver) || !knows(instance))
      continue;
    for (const nlohmann::json &shape : timedShapes(instance, asked.smoke)) {
      Json line = {{"instance", instance.name}, {"template", instance.family}, {"parameters", instance.parameters}, {"shape", shape}};
      try {
        DriverDevice device(driver, instance.ptx);
        Case subject = makeTimed(instance, shape);
        Prepared prepared(device, instance, subject);
        prepared.poison();
        line["seconds"] = device.time(prepared.calls(), asked.count);
        line["flops"] = subject.flops;
        line["bytes"] = subject.bytes;
      } catch (const Error &error) {
        line["text"] = error.what();
        failed = true;
      }
      std::cout << line << std::endl;
    }
  }
  return failed;
}

} // namespace

int main(int argc, char **argv) {
  std::string command = argc > 1 ? argv[1] : "";
  CommandLine asked;
  asked.count = command == "time" ? 20 : 3;
  for (int i = 2; i < argc; ++i) {
    std::string word = argv[i];
    if (i + 1 < argc && word == (command == "time" ? "--rounds" : "--seeds"))
      asked.count = std::max(1, std::atoi(argv[++i]));
    else if (word == "--smoke")
      asked.smoke = true;
    else if (word.starts_with("-"))
      command.clear(); // to the usage
    else
      asked.folders.push_back(word);
  }
  try {
    if (command == "device" && asked.folders.empty()) {
      Driver driver;
      std::cout << Json({{"name", driver.name}, {"capability", std::to_string(driver.major) + "." + std::to_string(driver.minor)}, {"multiprocessors", driver.multiprocessors}})
                << std::endl;
      return 0;
    }
    if ((command == "check" || command == "time") && !asked.folders.empty()) {
      Driver driver;
      return command == "check" ? checkAll(driver, asked) : timeAll(driver, asked);
    }
  } catch (const Error &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  std::cerr << "usage: gpu-gate device | check FOLDER... [--seeds N] [--smoke] | time FOLDER... [--rounds N] [--smoke]\n";
  return 2;
}

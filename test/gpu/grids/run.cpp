// SPDX-License-Identifier: Apache-2.0
//
// gpu-grids FOLDER [--only TEXT]
//
// Runs every instance in the folder in the grid that its launches say, in one half and one quarter as large along each axis, and of one CTA or
// cluster. Each time the result must be float64's, and every byte of it that of the first run.

#include "Case.h"

#include <atomic>
#include <cstdio>
#include <thread>

using namespace cases;

namespace {

/// What is wrong with an instance, or "".
std::string check(const Instance &instance) {
  if (!knows(instance))
    return "no case is known for template '" + instance.family + "'";
  Case subject = makeCase(instance, Size::Small, 5);
  auto module = ptxemu::Module::parse(instance.ptx);
  std::vector<std::vector<std::byte>> first;
  for (unsigned divisor : {1u, 2u, 4u, 1u << 30}) {
    ptxemu::Options options;
    options.seed = divisor;
    options.races = divisor == 4; // what a CTA leaves for its next tile shows there
    options.traffic = false;
    EmulatorDevice device(module, options, 8);
    Prepared prepared(device, instance, subject);
    prepared.shrinkGrids(divisor);
    Verdict verdict;
    std::string report = prepared.run(verdict), where = "in a grid " + std::to_string(divisor) + " times smaller: ";
    if (!report.empty() || !verdict.ok)
      return where + (report.empty() ? verdict.text : report);
    std::vector<std::vector<std::byte>> contents = prepared.contents();
    if (divisor == 1)
      first = std::move(contents);
    else if (contents != first)
      return where + "right, but not the bytes of the whole grid";
  }
  return "";
}

int run(const std::string &folder, const std::string &only) {
  std::vector<Instance> instances = readInstances(folder);
  std::erase_if(instances, [&](const Instance &instance) { return instance.name.find(only) == std::string::npos; });
  std::vector<std::string> problems(instances.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i; (i = next++) < instances.size();)
      try {
        problems[i] = check(instances[i]);
      } catch (const std::exception &error) {
        problems[i] = error.what();
      }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back(work);
  for (std::thread &thread : threads)
    thread.join();
  int failures = 0;
  for (size_t i = 0; i < instances.size(); ++i)
    if (!problems[i].empty()) {
      ++failures;
      std::printf("FAILED  %s: %s\n", instances[i].name.c_str(), problems[i].c_str());
    }
  std::printf("%zu instances, %d failures\n", instances.size(), failures);
  return failures || instances.empty();
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string only;
  if (words.size() == 3 && words[1] == "--only")
    only = words[2];
  else if (words.size() != 1) {
    std::fprintf(stderr, "usage: gpu-grids FOLDER [--only TEXT]\n");
    return 2;
  }
  try {
    return run(words[0], only);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// gpu-mutations LIST FOLDER [--only TEXT] [--verbose]
//
// First every instance that the list names runs unedited: it must be right, without a report, in all three modes of asynchrony. Then each
// mutation runs until it is caught: by a report of the emulator, or by numbers that differ from float64's. One that no run catches is a
// failure, and so is one that is caught by nothing that it was expected to be caught by, and one whose edit no longer fits the text.

#include "Case.h"
#include "Mutation.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <thread>

using namespace cases;
using mutations::Mutation;

namespace {

struct Combination {
  uint64_t seed;
  ptxemu::Asynchrony asynchrony;
};
constexpr Combination kCombinations[] = {{1, ptxemu::Asynchrony::Latest}, {2, ptxemu::Asynchrony::Random}, {3, ptxemu::Asynchrony::Earliest}};
/// CTAs along x: few, so that each has several tiles, one after the other.
constexpr unsigned kCtas = 3;

/// What one run showed: the kinds of its reports, and "wrong".
struct Sight {
  std::set<std::string> kinds;
  std::string first;
};

Sight look(const Instance &instance, const Case &subject, std::shared_ptr<const ptxemu::Module> module, const Combination &combination, uint64_t limit) {
  ptxemu::Options options;
  options.seed = combination.seed;
  options.asynchrony = combination.asynchrony;
  options.strictFence = true;
  options.traffic = false;
  options.instructionLimit = limit;
  EmulatorDevice device(std::move(module), options, 2);
  device.setGridLimit(kCtas);
  Prepared prepared(device, instance, subject);
  Verdict verdict;
  Sight sight;
  sight.first = prepared.run(verdict);
  for (const ptxemu::Result &result : device.results())
    for (const ptxemu::Report &report : result.errors)
      sight.kinds.insert(std::string(ptxemu::name(report.kind)));
  if (!sight.first.empty()) {
    sight.first = sight.first.substr(0, sight.first.find('\n'));
    if (sight.kinds.empty()) // the launch did not even begin
      throw Error(sight.first);
  } else if (!verdict.ok) {
    sight.kinds.insert("wrong");
    sight.first = verdict.text;
  }
  return sight;
}

struct Outcome {
  bool good = false;
  std::string text;
};

/// What an instance needs for all of its runs.
struct Subject {
  const Instance *instance = nullptr;
  Case subject;
  uint64_t limit = 0; ///< Warp instructions: ten times what the unedited kernel takes, so that endless loops end soon.
};

Outcome check(const Mutation &mutation, const Subject &subject) {
  Outcome outcome;
  try {
    auto module = ptxemu::Module::parse(mutations::apply(mutation, subject.instance->ptx));
    for (const Combination &combination : kCombinations) {
      Sight sight = look(*subject.instance, subject.subject, module, combination, subject.limit);
      if (sight.kinds.empty())
        continue;
      for (const std::string &kind : sight.kinds)
        outcome.text += (outcome.text.empty() ? "" : ",") + kind;
      outcome.text += ": " + sight.first;
      for (const std::string &kind : mutation.expected)
        outcome.good |= sight.kinds.count(kind) != 0;
      if (!outcome.good)
        outcome.text = "caught, but not as expected: " + outcome.text;
      return outcome;
    }
    outcome.text = "not caught";
  } catch (const std::exception &error) {
    outcome.text = error.what();
  }
  return outcome;
}

std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw Error("cannot read '" + path + "'");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Calls work(0..count-1) on every core.
void forEach(size_t count, const std::function<void(size_t)> &work) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back([&] {
      for (size_t index; (index = next++) < count;)
        work(index);
    });
  for (std::thread &thread : threads)
    thread.join();
}

int run(const std::string &list, const std::string &folder, const std::string &only, bool verbose) {
  std::vector<Instance> instances = readInstances(folder);
  std::vector<Mutation> all = mutations::parse(readFile(list)), chosen;
  std::map<std::string, Subject> subjects;
  for (const Mutation &mutation : all) {
    auto found = std::find_if(instances.begin(), instances.end(), [&](const Instance &i) { return i.name == mutation.instance; });
    if (found == instances.end())
      throw Error("line " + std::to_string(mutation.line) + ": there is no instance '" + mutation.instance + "'");
    if ((mutation.instance + " " + mutation.breaks).find(only) == std::string::npos)
      continue;
    chosen.push_back(mutation);
    subjects[mutation.instance].instance = &*found;
  }
  std::vector<std::pair<const std::string, Subject> *> order;
  for (auto &entry : subjects)
    order.push_back(&entry);

  std::atomic<int> failures = 0;
  std::vector<std::string> complaints(order.size());
  forEach(order.size(), [&](size_t index) {
    Subject &subject = order[index]->second;
    try {
      subject.subject = makeCase(*subject.instance, Size::Small, 7);
      auto module = ptxemu::Module::parse(subject.instance->ptx);
      for (const Combination &combination : kCombinations) {
        Sight sight = look(*subject.instance, subject.subject, module, combination, 2'000'000'000);
        if (!sight.kinds.empty())
          complaints[index] = "unedited: " + sight.first;
      }
      EmulatorDevice device(module, {}, 2);
      device.setGridLimit(kCtas);
      Prepared prepared(device, *subject.instance, subject.subject);
      Verdict verdict;
      prepared.run(verdict);
      for (const ptxemu::Result &result : device.results())
        subject.limit += 10 * result.stats.warpInstructions;
    } catch (const std::exception &error) {
      complaints[index] = error.what();
    }
  });
  for (size_t i = 0; i < order.size(); ++i)
    if (!complaints[i].empty()) {
      std::printf("FAILED  %s: %s\n", order[i]->first.c_str(), complaints[i].c_str());
      ++failures;
    }

  std::vector<Outcome> outcomes(chosen.size());
  forEach(chosen.size(), [&](size_t index) { outcomes[index] = check(chosen[index], subjects[chosen[index].instance]); });
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (!outcomes[i].good)
      ++failures;
    if (!outcomes[i].good || verbose)
      std::printf("%s  %d  %s: %s\n        %s\n", outcomes[i].good ? "caught" : "FAILED", chosen[i].line, chosen[i].instance.c_str(), chosen[i].breaks.c_str(),
                  outcomes[i].text.c_str());
  }
  std::printf("%zu mutations of %zu instances, %d failures\n", chosen.size(), order.size(), failures.load());
  return failures || chosen.empty();
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> files;
  std::string only;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--only" && i + 1 < argc)
      only = argv[++i];
    else if (word == "--verbose")
      verbose = true;
    else
      files.push_back(word);
  }
  if (files.size() != 2) {
    std::fprintf(stderr, "usage: gpu-mutations LIST FOLDER [--only TEXT] [--verbose]\n");
    return 2;
  }
  try {
    return run(files[0], files[1], only, verbose);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

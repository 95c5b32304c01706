// SPDX-License-Identifier: Apache-2.0
//
// gpu-static-counters FOLDER: runs every instance in the folder under the emulator, on whole tiles, and prints as JSON what it counted.
// Counts that depend on the schedule (polls of an mbarrier) are among the lines' counts; report.py leaves them out.

#include "Case.h"

#include <atomic>
#include <cstdio>
#include <iostream>
#include <thread>

using namespace cases;
using Json = nlohmann::json;

static Json traffic(const ptxemu::Traffic &t) { return {{"requests", t.requests}, {"bytes", t.bytes}, {"sectors", t.sectors}}; }

static Json statistics(const ptxemu::Stats &s) {
  return {{"ctas", s.ctas},
          {"warp_instructions", s.warpInstructions},
          {"tensor_flops", s.tensorFlops},
          {"bulk_copies", s.bulkCopies},
          {"bulk_load_bytes", s.bulkLoadBytes},
          {"bulk_store_bytes", s.bulkStoreBytes},
          {"cp_async_bytes", s.cpAsyncBytes},
          {"global_loads", traffic(s.globalLoads)},
          {"global_stores", traffic(s.globalStores)},
          {"global_atomics", traffic(s.globalAtomics)},
          {"shared_wavefronts", s.sharedWavefronts},
          {"shared_wavefronts_ideal", s.sharedWavefrontsIdeal},
          {"peak_bytes_in_flight", s.peakBytesInFlight}};
}

/// One instance's counts. Throws for a wrong result or a report: counts of a faulty run mean nothing.
static Json count(const Instance &instance) {
  ptxemu::Options options; // asynchronous work as late as may be: what is in flight then is what can be
  options.races = false;
  EmulatorDevice device(ptxemu::Module::parse(instance.ptx), options, 2);
  Case subject = makeCase(instance, Size::Counted, 1);
  Prepared prepared(device, instance, subject);
  Verdict verdict;
  std::string report = prepared.run(verdict);
  if (!report.empty() || !verdict.ok)
    throw Error("instance '" + instance.name + "': " + (report.empty() ? verdict.text : report));
  Json launches = Json::array();
  for (size_t i = 0; i < prepared.calls().size(); ++i) {
    const Call &call = prepared.calls()[i];
    const ptxemu::Stats &stats = device.results()[i].stats;
    Json lines = Json::array();
    for (const ptxemu::InstructionCount &line : stats.instructions)
      lines.push_back({line.line, line.warps, line.threads});
    launches.push_back({{"kernel", call.symbol},
                        {"threads", call.block},
                        {"cluster", call.cluster},
                        {"dynamic_shared", call.dynamicShared},
                        {"shape", subject.shape},
                        {"stats", statistics(stats)},
                        {"lines", std::move(lines)}});
  }
  return {{"name", instance.name}, {"template", instance.family}, {"sm", instance.sm}, {"parameters", instance.parameters}, {"ptx", instance.ptx}, {"launches", launches}};
}

int main(int argc, char **argv) {
  if (argc != 2) {
    std::cerr << "usage: gpu-static-counters FOLDER\n";
    return 2;
  }
  try {
    std::vector<Instance> instances = readInstances(argv[1]);
    std::vector<Json> counted(instances.size());
    std::vector<std::string> problems(instances.size());
    std::atomic<size_t> next = 0;
    auto work = [&] {
      for (size_t i; (i = next++) < instances.size();)
        try {
          counted[i] = count(instances[i]);
        } catch (const std::exception &error) {
          problems[i] = instances[i].name + ": " + error.what();
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
      threads.emplace_back(work);
    for (std::thread &thread : threads)
      thread.join();
    bool failed = false;
    for (const std::string &problem : problems)
      if (!problem.empty()) {
        std::cerr << problem << "\n";
        failed = true;
      }
    if (!failed)
      std::cout << Json(counted) << "\n";
    return failed;
  } catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

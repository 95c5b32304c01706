// SPDX-License-Identifier: Apache-2.0

#include "tools/run/command.h"

#include <charconv>
#include <cstdio>

namespace msa::tool {

namespace {

/// "cpu", "cuda", "cuda:N". False for anything else.
bool parseDevice(const std::string &text, msa_device_kind &device, uint32_t &ordinal) {
  ordinal = 0;
  device = text == "cpu" ? MSA_DEVICE_CPU : MSA_DEVICE_CUDA;
  if (text == "cpu" || text == "cuda")
    return true;
  if (text.rfind("cuda:", 0) != 0)
    return false;
  auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), ordinal);
  return error == std::errc() && end == text.data() + text.size();
}

/// What runs is not what was asked for: that belongs on the terminal.
void printWarning(void *, msa_log_level level, const char *message) {
  if (level == MSA_LOG_WARNING)
    std::fprintf(stderr, "msa-run: warning: %s\n", message);
}

} // namespace

void LoadOptions::declare(CLI::App &app) {
  app.add_option("artifact", file, "artifact that msac wrote")->required()->type_name("OUT.msa");
  app.add_option("--threads", threads, "threads that run the model; 0: one for every processor")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  app.add_option("--variant", variant, "run this variant (x86-64-v3, cuda:sm_80, ...) instead of the best that the device has")
      ->type_name("NAME");
  app.add_option("--device", device, "where to run: cpu (default), or cuda[:N], the NVIDIA GPU that the driver counts as N")
      ->type_name("DEVICE")
      ->check([](const std::string &text) {
        msa_device_kind kind;
        uint32_t ordinal;
        return parseDevice(text, kind, ordinal) ? std::string() : "expected cpu, cuda or cuda:N, found '" + text + "'";
      });
  app.add_flag("--allow-cpu", allowCpu, "where the device is missing, or the artifact has no code for it, run on the CPU and say so");
  app.add_flag("--device-synchronous", deviceSynchronous, "wait for the GPU after every command, so that an error names the command");
  app.add_flag("--device-graphs", deviceGraphs, "run entries without data-dependent lengths as CUDA graphs from their third run on");
  app.add_option("--bank-content", bankContent,
                 "where a GPU reads rows of the bank that are not routing keys: device (default), its own memory, or host")
      ->type_name("WHERE")
      ->check(CLI::IsMember({"device", "host"}));
  app.add_flag("--skip-weights-digest", skipWeights, "do not read the weights to verify them before the first use");
}

Status LoadOptions::load(Runtime &runtime, Program &program) const {
  Runtime::Options runtimeOptions;
  runtimeOptions.thread_count = threads;
  runtimeOptions.log = printWarning;
  if (Status status = Runtime::create(runtimeOptions, runtime); !status.ok())
    return status;
  Program::Options options;
  options.variant = variant.empty() ? nullptr : variant.c_str();
  (void)parseDevice(device, options.device, options.device_ordinal); // checked when it was given
  options.allow_cpu = allowCpu;
  options.device_synchronous = deviceSynchronous;
  options.device_graphs = deviceGraphs;
  options.bank_content = bankContent == "host" ? MSA_PLACEMENT_HOST : MSA_PLACEMENT_DEVICE;
  options.verify = skipWeights ? MSA_VERIFY_STRUCTURE : MSA_VERIFY_ALL;
  return Program::load(runtime, file, options, program);
}

std::pair<std::string, std::string> splitPair(const std::string &option, const std::string &text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw CLI::ValidationError(option, "expected NAME=VALUE, found '" + text + "'");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

} // namespace msa::tool

// SPDX-License-Identifier: Apache-2.0

#include "tools/run/command.h"

namespace msa::tool {

void LoadOptions::declare(CLI::App &app) {
  app.add_option("artifact", file, "artifact that msac wrote")->required()->type_name("OUT.msa");
  app.add_option("--threads", threads, "threads that run the model; 0: one for every processor")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  app.add_option("--variant", variant, "run this variant (x86-64-v3, ...) instead of the best that the machine has")
      ->type_name("NAME");
  app.add_flag("--skip-weights-digest", skipWeights, "do not read the weights to verify them before the first use");
}

Status LoadOptions::load(Runtime &runtime, Program &program) const {
  Runtime::Options runtimeOptions;
  runtimeOptions.thread_count = threads;
  if (Status status = Runtime::create(runtimeOptions, runtime); !status.ok())
    return status;
  Program::Options options;
  options.variant = variant.empty() ? nullptr : variant.c_str();
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

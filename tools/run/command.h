// SPDX-License-Identifier: Apache-2.0
//
// What a subcommand of msa-run is: a function that declares its options on |app| and sets |run|, which is called when the user chose
// it. One file per subcommand.
//
// Exit codes: 0; 1 when what was given is at fault (a damaged file, dims that disagree); 2 for wrong usage.

#ifndef MSA_TOOLS_RUN_COMMAND_H
#define MSA_TOOLS_RUN_COMMAND_H

#include "msa/msa.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <utility>

namespace msa::tool {

using Run = std::function<Status()>;

void declareInvoke(CLI::App &app, Run &run);
void declareBench(CLI::App &app, Run &run);
void declareAdd(CLI::App &app, Run &run);
void declareAsk(CLI::App &app, Run &run);
void declareVerify(CLI::App &app, Run &run);

/// Options that every subcommand which loads an artifact has.
struct LoadOptions {
  std::string file;
  uint32_t threads = 0;
  std::string variant;
  bool skipWeights = false;
  std::string device = "cpu", bankContent = "device";
  bool allowCpu = false, deviceSynchronous = false, deviceGraphs = false;

  void declare(CLI::App &app);
  Status load(Runtime &runtime, Program &program) const;
};

/// Splits NAME=VALUE; the usage error of |option| otherwise.
std::pair<std::string, std::string> splitPair(const std::string &option, const std::string &text);

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_COMMAND_H

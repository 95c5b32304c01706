// SPDX-License-Identifier: Apache-2.0
//
// msa-inspect: prints an artifact whole. It verifies the file as the runtime does, but runs nothing and needs no variant that this
// machine has.

#include "tools/inspect/inspect.h"

#include <CLI/CLI.hpp>

#include <cstdio>

int main(int argc, char **argv) {
  CLI::App app("Prints a compiled MSA artifact whole: header, segments, variants, kernels, constants, provenance, and every command of "
               "every entry.\nExit codes: 0; 1: the file is at fault; 2: wrong usage.",
               "msa-inspect");
  app.set_version_flag("--version", std::string("msa-inspect ") + msa_version());
  std::string path;
  bool json = false;
  app.add_option("file", path, "artifact that msac wrote")->required()->type_name("FILE");
  app.add_flag("--json", json, "print one JSON object instead of text");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  msa_runtime_options options;
  msa_runtime_options_initialize(&options);
  options.thread_count = 1;
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  msa::rt::Status status(msa_runtime_create(&options, &runtime));
  if (status.ok())
    status = msa::rt::openForInspection(runtime, path.c_str(), &program);
  int result = 0;
  if (status.ok()) {
    std::string text = json ? msa::tool::inspectAsJson(program) : msa::tool::inspectAsText(program);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      std::perror("msa-inspect: error: cannot write");
      result = 1;
    }
  } else {
    std::fprintf(stderr, "msa-inspect: error: '%s': %s\n", path.c_str(), status.message());
    result = 1;
  }
  msa_program_release(program);
  msa_runtime_release(runtime);
  return result;
}

// SPDX-License-Identifier: Apache-2.0
//
// msa-run: runs compiled artifacts. Each subcommand is in tools/run/.

#include "tools/run/command.h"

#include <cstdio>

int main(int argc, char **argv) {
  CLI::App app("Runs compiled MSA artifacts.\nExit codes: 0; 1: what was given is at fault; 2: wrong usage.", "msa-run");
  app.set_version_flag("--version", std::string("msa-run ") + msa_version());
  app.require_subcommand(1);
  msa::tool::Run run;
  msa::tool::declareInvoke(app, run);
  msa::tool::declareBench(app, run);
  msa::tool::declareAdd(app, run);
  msa::tool::declareAsk(app, run);
  msa::tool::declareVerify(app, run);
  try {
    app.parse(argc, argv);
    msa::Status status = run();
    if (status.ok())
      return 0;
    std::fprintf(stderr, "msa-run: error: %s\n", status.message());
    return 1;
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::bad_alloc &) {
    std::fputs("msa-run: error: out of memory\n", stderr);
    return 1;
  }
}

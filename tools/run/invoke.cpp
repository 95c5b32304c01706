// SPDX-License-Identifier: Apache-2.0
//
// msa-run invoke: one run of one entry, tensors from and to .npy files.

#include "tools/run/command.h"
#include "tools/run/npy.h"
#include "tools/run/progress_bar.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>

namespace msa::tool {

namespace {

struct Options {
  LoadOptions load;
  std::string entry;
  std::vector<std::string> inputs;
  std::string outputDirectory;
  std::string profile;
};

/// A name of the artifact as a file name: it must not leave the directory.
std::string fileName(const std::string &name) {
  std::string result;
  for (char c : name)
    result += isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-' ? c : '_';
  return result[0] == '.' ? "_" + result : result;
}

Status invoke(const Options &options) {
  std::map<std::string, Array> arrays;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string &input : options.inputs)
    pairs.push_back(splitPair("--input", input));

  Runtime runtime;
  Program program;
  Context context;
  Invocation invocation;
  if (Status status = options.load.load(runtime, program); !status.ok())
    return status;
  uint32_t entry = 0;
  if (Status status = program.findEntry(options.entry, entry); !status.ok())
    return status;
  if (Status status = Context::create(program, context); !status.ok())
    return status;
  if (Status status = Invocation::create(context, entry, invocation); !status.ok())
    return status;
  for (const auto &[name, path] : pairs) {
    uint32_t index = 0;
    msa_port port;
    if (Status status = invocation.findInput(name, index); !status.ok())
      return status;
    if (arrays.count(name))
      throw CLI::ValidationError("--input", "'" + name + "' is given twice");
    Array &array = arrays[name];
    if (Status status = readNpy(path, array); !status.ok())
      return status;
    // NumPy has no bf16 and no f8e4m3fn, so their bits often travel as integers.
    bool known = program.input(entry, index, port);
    if (known && ((port.type == MSA_BF16 && array.type == MSA_U16) || (port.type == MSA_F8E4M3FN && array.type == MSA_U8)))
      array.type = port.type;
    if (Status status = invocation.bindInput(index, array.tensor()); !status.ok())
      return Status(status.code(), "'" + path + "': " + status.message());
  }

  Profile profile;
  if (!options.profile.empty())
    if (Status status = Profile::create(runtime, profile); !status.ok())
      return status;
  ProgressBar bar("running '" + options.entry + "'");
  Invocation::Options run;
  run.profile = profile.get();
  run.progress_user = &bar;
  run.progress = [](void *user, uint32_t done, uint32_t total) {
    static_cast<ProgressBar *>(user)->update(done, total);
    return 0;
  };
  if (Status status = invocation.run(run); !status.ok())
    return status;

  std::error_code error;
  std::filesystem::create_directories(options.outputDirectory, error);
  if (error)
    return Status(MSA_IO, "cannot create '" + options.outputDirectory + "': " + error.message());
  std::set<std::string> used;
  for (uint32_t i = 0; i < program.outputCount(entry); ++i) {
    msa_port port;
    msa_tensor tensor;
    program.output(entry, i, port);
    if (Status status = invocation.output(i, tensor); !status.ok())
      return status;
    std::string name = fileName(port.name);
    if (!used.insert(name).second)
      return Status(MSA_INVALID_ARGUMENT, "two outputs would both be written to '" + name + ".npy'");
    if (Status status = writeNpy((std::filesystem::path(options.outputDirectory) / (name + ".npy")).string(), tensor); !status.ok())
      return status;
  }
  return profile ? profile.write(options.profile) : Status();
}

} // namespace

void declareInvoke(CLI::App &app, Run &run) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("invoke", "run one entry once: .npy files in, .npy files out");
  options->load.declare(*command);
  command->add_option("--entry", options->entry, "entry to run")->required()->type_name("E");
  command
      ->add_option("--input", options->inputs,
                   "input NAME from FILE.npy; once for every input. bf16 elements are stored as |V2 or as uint16 bits, f8e4m3fn elements as |V1 or as uint8 bits")
      ->type_name("NAME=FILE.npy")->allow_extra_args(false);
  command
      ->add_option("--output-dir", options->outputDirectory,
                   "writes every output to DIR/NAME.npy; characters other than letters, digits, '.', '_' and '-' become '_'")
      ->required()
      ->type_name("DIR");
  command->add_option("--profile", options->profile, "writes what every command cost as a trace for Perfetto or chrome://tracing")
      ->type_name("FILE");
  command->callback([options, &run] { run = [options] { return invoke(*options); }; });
}

} // namespace msa::tool

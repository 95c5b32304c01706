// SPDX-License-Identifier: Apache-2.0
//
// The compiler's command line: .onnx files, or a model folder, in; one artifact, or one list of everything that stands in the
// way, out. Exit code 0, 1 (the input is at fault) or 2 (usage).

#include "codegen/Compiler.h"
#include "dialect/onnx/Quoted.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <unistd.h>

using namespace mlir;

namespace {

struct Arguments {
  std::vector<std::string> inputs;
  std::string output;
  std::string targets = "x86-64-v4,x86-64-v3";
  std::string emit = "artifact";
  std::string routingKeys = "model";
  std::string tokenizer;
  std::string testVectors;
  std::string dumpDirectory;
  unsigned threads = 0;
  bool cubins = false;
  bool check = false;
  bool json = false;
  bool report = false;
  bool quiet = false;
};

const std::vector<std::pair<std::string, msa::Stage>> kStages = {
    {"onnx", msa::Stage::Onnx}, {"msa", msa::Stage::MSA},      {"linalg", msa::Stage::Linalg},  {"exec", msa::Stage::Exec},
    {"llvm", msa::Stage::LLVM}, {"asm", msa::Stage::Assembly}, {"ptx", msa::Stage::PTX}, {"artifact", msa::Stage::Artifact}};

int usage(const std::string &message) {
  llvm::errs() << "msac: " << message << "\nmsac: see 'msac --help'\n";
  return 2;
}

/// The node or file that a location is about.
std::string describe(Location location) {
  if (auto name = dyn_cast<NameLoc>(location))
    return "node '" + name.getName().str() + "'";
  if (auto file = dyn_cast<FileLineColLoc>(location))
    return file.getFilename().str() + ":" + std::to_string(file.getLine());
  if (auto fused = dyn_cast<FusedLoc>(location))
    for (Location part : fused.getLocations())
      if (std::string text = describe(part); !text.empty())
        return text;
  if (auto call = dyn_cast<CallSiteLoc>(location))
    return describe(call.getCallee());
  return "";
}

struct Message {
  std::string severity, where, text;
};

/// Files of a model folder: every .onnx by name, and what lies beside them.
llvm::Error readFolder(const std::string &folder, msa::CompileOptions &options) {
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(folder, error), end; it != end && !error; it.increment(error))
    if (llvm::sys::path::extension(it->path()) == ".onnx")
      options.inputs.push_back(it->path());
  if (error)
    return llvm::createStringError(error, "cannot list '" + folder + "': " + error.message());
  std::sort(options.inputs.begin(), options.inputs.end());
  if (options.inputs.empty())
    return llvm::createStringError("expected .onnx files in '" + folder + "', but found none");
  for (auto [name, target] : {std::pair("tokenizer.json", &options.tokenizer), std::pair("msa.json", &options.modelConfig)}) {
    llvm::SmallString<256> path(folder);
    llvm::sys::path::append(path, name);
    if (target->empty() && llvm::sys::fs::exists(path))
      *target = path.str().str();
  }
  return llvm::Error::success();
}

} // namespace

int main(int argc, char **argv) {
  Arguments arguments;
  CLI::App app("Compiles ONNX models of memory sparse attention to one artifact.\n\n"
               "  msac model.onnx -o model.msa\n"
               "  msac encode.onnx prefill.onnx decode.onnx -o model.msa\n"
               "  msac FOLDER -o model.msa          every .onnx in it, its tokenizer.json and its msa.json\n",
               "msac");
  app.set_version_flag("--version", "msac " MSA_COMPILER_VERSION);
  app.add_option("inputs", arguments.inputs, "ONNX files, each an entry named after its stem, or one folder")->required();
  app.add_option("-o,--output", arguments.output, "where the result goes ('-': standard output, for text)");
  app.add_option("--target", arguments.targets, "processor levels and GPUs to carry, best first")->capture_default_str();
  app.add_option("--routing-keys", arguments.routingKeys,
                 "how routing keys are kept in memory banks: model (in the type that the model has them in), or e4m3 (one byte an element and a scale a row: "
                 "a quarter of the memory of f32, and of what a GPU reads to route; scores change by a few percent of a key)")
      ->capture_default_str();
  app.add_flag("--cubin", arguments.cubins, "carry what ptxas makes of each GPU's PTX as well, so that the driver need not compile it");
  app.add_option("--emit", arguments.emit, "how far to go: onnx, msa, linalg, exec (IR), llvm, asm (of the first processor), ptx (of the first GPU) or artifact")->capture_default_str();
  app.add_flag("--check", arguments.check, "only say whether everything is supported: every node that is not, with the reason");
  app.add_flag("--json", arguments.json, "print the result of --check as JSON");
  app.add_option("--tokenizer", arguments.tokenizer, "a tokenizer.json to carry");
  app.add_option("--test-vectors", arguments.testVectors,
                 "a folder of ONNX test data (test_data_set_0/input_0.pb ...; with several entries, ENTRY/test_data_set_0/...) to carry: "
                 "'msa-run verify' runs it");
  app.add_option("--dump-ir", arguments.dumpDirectory, "write the IR after every pass that changes it into this folder");
  app.add_flag("--opt-report", arguments.report, "print what passes rewrote and what they had to leave (and why), the kernels that were made, and what is not as fast as it might be");
  app.add_option("-j,--threads", arguments.threads, "threads of the code generator (0: one per core)")->capture_default_str();
  app.add_flag("-q,--quiet", arguments.quiet, "print errors only");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  auto stage = std::find_if(kStages.begin(), kStages.end(), [&](const auto &entry) { return entry.first == arguments.emit; });
  if (stage == kStages.end())
    return usage("expected --emit to be onnx, msa, linalg, exec, llvm, asm, ptx or artifact, but got '" + arguments.emit + "'");
  if (arguments.routingKeys != "model" && arguments.routingKeys != "e4m3")
    return usage("expected --routing-keys to be model or e4m3, but got '" + arguments.routingKeys + "'");
  msa::CompileOptions options;
  options.smallRoutingKeys = arguments.routingKeys == "e4m3";
  options.tokenizer = arguments.tokenizer;
  options.testVectors = arguments.testVectors;
  options.dumpDirectory = arguments.dumpDirectory;
  options.threads = arguments.threads;
  options.cubins = arguments.cubins;
  options.report = arguments.report;
  llvm::SmallVector<llvm::StringRef> names;
  llvm::StringRef(arguments.targets).split(names, ',');
  for (llvm::StringRef name : names) {
    std::optional<msa::Target> target = msa::Target::get(name.trim());
    if (!target) {
      std::string known;
      for (const std::string &candidate : msa::Target::names())
        known += (known.empty() ? "" : ", ") + candidate;
      return usage("expected --target to name variants of " + known + ", but got '" + name.str() + "'");
    }
    if (llvm::any_of(options.targets, [&](const msa::Target &known) { return known.name() == target->name(); }))
      return usage("--target names '" + name.str() + "' twice");
    options.targets.push_back(*target);
  }
  bool needsFile = stage->second == msa::Stage::Artifact && !arguments.check;
  if (needsFile && arguments.output.empty())
    return usage("expected -o FILE: where the artifact goes");
  if (needsFile && arguments.output == "-")
    return usage("an artifact is not text: expected -o FILE");

  if (arguments.inputs.size() == 1 && llvm::sys::fs::is_directory(arguments.inputs[0])) {
    if (llvm::Error error = readFolder(arguments.inputs[0], options)) {
      llvm::errs() << "msac: error: " << llvm::toString(std::move(error)) << "\n";
      return 1;
    }
  } else {
    options.inputs = arguments.inputs;
  }

  DialectRegistry registry;
  msa::Compiler::registerDialects(registry);
  MLIRContext context(registry);
  std::vector<Message> messages;
  bool json = arguments.check && arguments.json;
  context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
    llvm::StringRef severity = diagnostic.getSeverity() == DiagnosticSeverity::Error     ? "error"
                               : diagnostic.getSeverity() == DiagnosticSeverity::Warning ? "warning"
                                                                                         : "note";
    Message message{severity.str(), describe(diagnostic.getLocation()), diagnostic.str()};
    // Names of nodes come from the file: they may hold anything, and none of it may reach a terminal.
    if (!json && (!arguments.quiet || severity == "error")) {
      // A message that begins with the node need not be told where it is.
      bool named = message.where.empty() || llvm::StringRef(message.text).starts_with(message.where);
      llvm::errs() << "msac: " << severity << ": " << (named ? "" : msa::onnx::printable(message.where) + ": ")
                   << msa::onnx::printable(message.text) << "\n";
    }
    messages.push_back(std::move(message));
    return success();
  });

  auto start = std::chrono::steady_clock::now();
  msa::Compiler compiler(context, options);
  LogicalResult result = compiler.runTo(arguments.check ? msa::Stage::Exec : std::min(stage->second, msa::Stage::Exec));
  if (arguments.check) {
    if (succeeded(result))
      result = compiler.checkKernels(); // an operator may have a form but no code, for some types
    if (json) {
      nlohmann::json report = {{"supported", succeeded(result)}, {"messages", nlohmann::json::array()}};
      for (const Message &message : messages)
        report["messages"].push_back({{"severity", message.severity}, {"where", message.where}, {"text", message.text}});
      llvm::outs() << report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    } else if (succeeded(result)) {
      llvm::outs() << "everything is supported\n";
    }
    return succeeded(result) ? 0 : 1;
  }
  if (failed(result)) {
    if (llvm::none_of(messages, [](const Message &message) { return message.severity == "error"; }))
      llvm::errs() << "msac: error: compilation failed without a reason: please report this\n";
    return 1;
  }

  auto report = [&] {
    if (!arguments.report)
      return;
    for (const msa::CompileReport::Rewrite &rewrite : compiler.getReport().rewrites) {
      llvm::outs() << (rewrite.applied ? "applied " : "missed ") << rewrite.pass << ": " << rewrite.text;
      std::string where = rewrite.where.empty() ? "" : "at node '" + msa::onnx::printable(rewrite.where) + "'";
      if (rewrite.count > 1)
        llvm::outs() << " (" << rewrite.count << " times" << (where.empty() ? "" : ", first ") << where << ")";
      else if (!where.empty())
        llvm::outs() << " (" << where << ")";
      llvm::outs() << "\n";
    }
    for (const msa::CompileReport::Kernel &kernel : compiler.getReport().kernels)
      llvm::outs() << "kernel " << kernel.name << " dispatches " << kernel.dispatches << "\n";
    for (const std::string &remark : compiler.getReport().remarks)
      llvm::outs() << "remark " << remark << "\n";
  };

  if (stage->second != msa::Stage::Artifact) {
    std::error_code error;
    llvm::raw_fd_ostream out(arguments.output.empty() ? "-" : arguments.output, error);
    if (error) {
      llvm::errs() << "msac: error: cannot write '" << arguments.output << "': " << error.message() << "\n";
      return 1;
    }
    if (stage->second <= msa::Stage::Exec) {
      OpPrintingFlags flags;
      flags.elideLargeElementsAttrs(64).elideLargeResourceString(64);
      compiler.getModule()->print(out, flags);
      out << "\n";
    } else {
      llvm::Expected<std::string> text = compiler.emitText(stage->second);
      if (!text) {
        llvm::errs() << "msac: error: " << llvm::toString(text.takeError()) << "\n";
        return 1;
      }
      out << *text;
    }
    report();
    return 0;
  }

  if (llvm::Error error = compiler.writeArtifact(arguments.output)) {
    llvm::errs() << "msac: error: " << llvm::toString(std::move(error)) << "\n";
    return 1;
  }
  report();
  if (!arguments.quiet && isatty(2)) {
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    llvm::errs() << "msac: wrote " << arguments.output << " in " << llvm::format("%.1f", seconds) << " s\n";
  }
  return 0;
}

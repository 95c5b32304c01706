// SPDX-License-Identifier: Apache-2.0
//
// Prints the instances of the GPU templates (codegen/gpu/Instances.h).
//
//   gpu-instances --list            names, one a line
//   gpu-instances --ptx NAME        an instance's PTX
//   gpu-instances --launch NAME     how it is launched and on what, as JSON
//   gpu-instances --dump FOLDER     NAME.ptx and NAME.json of each

#include "codegen/gpu/Instances.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace msa::gpu;

static llvm::cl::opt<bool> list("list", llvm::cl::desc("print all names"));
static llvm::cl::opt<std::string> ptxOf("ptx", llvm::cl::desc("print an instance's PTX"), llvm::cl::value_desc("name"));
static llvm::cl::opt<std::string> launchOf("launch", llvm::cl::desc("print how an instance is launched"), llvm::cl::value_desc("name"));
static llvm::cl::opt<std::string> folder("dump", llvm::cl::desc("write every instance's PTX and description"), llvm::cl::value_desc("folder"));
static llvm::cl::opt<std::string> filter("filter", llvm::cl::desc("only instances whose name contains this"), llvm::cl::value_desc("text"));

namespace {
struct Text {
  std::string ptx, description;
};
} // namespace

static llvm::Expected<Text> emit(MLIRContext &context, const Instance &instance) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  llvm::Expected<std::vector<Launch>> launches = instance.emit(*module, instance.family);
  if (!launches)
    return launches.takeError();
  if (failed(verify(*module)))
    return llvm::createStringError(llvm::inconvertibleErrorCode(), "instance '" + instance.name + "' is not valid IR");
  llvm::Expected<std::string> ptx = emitPTX(*module, instance.target);
  if (!ptx)
    return ptx.takeError();
  std::string description;
  llvm::raw_string_ostream(description) << llvm::formatv("{0:2}\n", llvm::json::Value(describe(instance, *launches)));
  return Text{std::move(*ptx), std::move(description)};
}

static int fail(const llvm::Twine &message) {
  llvm::errs() << "gpu-instances: error: " << message << "\n";
  return 1;
}

static int write(StringRef path, StringRef text) {
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (!error)
    stream << text;
  stream.close();
  if (error || stream.has_error()) {
    std::string why = (error ? error : stream.error()).message();
    stream.clear_error();
    return fail("cannot write '" + path + "': " + why);
  }
  return 0;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::cl::ParseCommandLineOptions(argc, argv, "instances of the GPU templates\n");
  DialectRegistry registry;
  registerEmission(registry);
  registry.insert<arith::ArithDialect, LLVM::LLVMDialect, math::MathDialect, NVVM::NVVMDialect, scf::SCFDialect>();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();

  std::vector<Instance> instances = allInstances(context);
  llvm::erase_if(instances, [](const Instance &instance) { return !StringRef(instance.name).contains(filter); });
  if (list)
    for (const Instance &instance : instances)
      llvm::outs() << instance.name << "\n";
  for (auto [name, wantsPTX] : {std::pair(ptxOf.getValue(), true), std::pair(launchOf.getValue(), false)}) {
    if (name.empty())
      continue;
    auto found = llvm::find_if(instances, [&](const Instance &instance) { return instance.name == name; });
    if (found == instances.end())
      return fail("there is no instance '" + name + "': see --list");
    llvm::Expected<Text> text = emit(context, *found);
    if (!text)
      return fail(llvm::toString(text.takeError()));
    llvm::outs() << (wantsPTX ? text->ptx : text->description);
  }
  if (folder.empty())
    return 0;
  if (std::error_code error = llvm::sys::fs::create_directories(folder))
    return fail("cannot make '" + folder + "': " + error.message());
  for (const Instance &instance : instances) {
    llvm::Expected<Text> text = emit(context, instance);
    if (!text)
      return fail(llvm::toString(text.takeError()));
    for (auto [suffix, content] : {std::pair(".ptx", &text->ptx), std::pair(".json", &text->description)}) {
      SmallString<128> path(folder);
      llvm::sys::path::append(path, instance.name + suffix);
      if (int status = write(path, *content))
        return status;
    }
  }
  return 0;
}

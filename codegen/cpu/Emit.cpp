// SPDX-License-Identifier: Apache-2.0
//===- Emit.cpp - LLVM dialect to ELF, in process -------------------------===//
//
// Kernels are dealt to a number of LLVM modules that depends on the kernels alone, so that LLVM can run on several
// threads while the bytes stay the same on every machine. lld links their objects.
//
// LLVM must not invent calls: no library function is declared available, so that a loop that copies stays a loop, and
// the link refuses what is left undefined.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Emit.h"
#include "codegen/cpu/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace mlir;
using namespace msa::cpu;

/// Functions of one LLVM module. Small enough that two cores share a model's kernels evenly, large enough that the
/// fixed cost of a module does not show.
static constexpr size_t functionsPerPart = 24;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const CPUTarget &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
  });
  std::string error;
  llvm::Triple triple(target.triple);
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return makeError("no LLVM target for '" + target.triple + "': " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.MCOptions.AsmVerbose = false;
  return std::unique_ptr<llvm::TargetMachine>(backend->createTargetMachine(
      triple, target.name, target.features, options, llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Default));
}

static llvm::TargetLibraryInfoImpl noLibrary(const llvm::Triple &triple) {
  llvm::TargetLibraryInfoImpl info(triple);
  info.disableAllFunctions();
  return info;
}

static llvm::Expected<std::unique_ptr<llvm::Module>> translate(ModuleOp module, llvm::LLVMContext &context,
                                                               llvm::TargetMachine &machine, const CPUTarget &target) {
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(module, context, "kernels");
  if (!llvmModule)
    return makeError("kernels cannot be translated to LLVM IR for '" + target.name + "'");
  llvmModule->setDataLayout(machine.createDataLayout());
  llvmModule->setTargetTriple(machine.getTargetTriple());
  std::string width = std::to_string(target.lanes * 32);
  for (llvm::Function &function : *llvmModule) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.name);
    if (!target.features.empty())
      function.addFnAttr("target-features", target.features);
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind);
    if (!function.hasLocalLinkage())
      function.setDSOLocal(true);
  }
  return llvmModule;
}

static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.SLPVectorization = false;
  tuning.LoopVectorization = true;
  llvm::PassBuilder builder(&machine, tuning);
  functions.registerPass([&] { return llvm::TargetLibraryAnalysis(noLibrary(machine.getTargetTriple())); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

static llvm::Error generate(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType kind,
                            llvm::SmallVectorImpl<char> &out) {
  llvm::raw_svector_ostream stream(out);
  llvm::legacy::PassManager manager;
  manager.add(new llvm::TargetLibraryInfoWrapperPass(noLibrary(machine.getTargetTriple())));
  if (machine.addPassesToEmitFile(manager, stream, nullptr, kind))
    return makeError("LLVM cannot write this kind of file");
  manager.run(module);
  return llvm::Error::success();
}

/// Deals the functions to parts, a public one together with the internal ones that follow its name.
static SmallVector<OwningOpRef<ModuleOp>> split(ModuleOp module) {
  SmallVector<OwningOpRef<ModuleOp>> parts;
  size_t count = 0;
  for (Operation &op : *module.getBody()) {
    // `k.body` stands directly before `k` and must stay with it.
    auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
    bool startsKernel = function && function.getLinkage() == LLVM::Linkage::Internal;
    if (parts.empty() || (count >= functionsPerPart && startsKernel)) {
      parts.push_back(ModuleOp::create(module.getLoc()));
      count = 0;
    }
    parts.back()->getBody()->push_back(op.clone());
    ++count;
  }
  return parts;
}

static llvm::Error link(ArrayRef<SmallString<0>> objects, const CPUTarget &target, std::vector<char> &out) {
  SmallString<128> folder;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("msa-link", folder))
    return makeError("cannot create a temporary folder: " + error.message());
  llvm::scope_exit cleanup([&] { llvm::sys::fs::remove_directories(folder); });

  std::vector<std::string> files;
  for (auto [index, object] : llvm::enumerate(objects)) {
    SmallString<128> path = folder;
    llvm::sys::path::append(path, std::to_string(index) + ".o");
    std::error_code error;
    llvm::raw_fd_ostream stream(path, error);
    if (!error) {
      stream << object;
      stream.close();
      error = stream.error();
    }
    if (error) {
      stream.clear_error();
      return makeError("cannot write '" + path.str() + "': " + error.message());
    }
    files.push_back(path.str().str());
  }
  SmallString<128> output = folder;
  llvm::sys::path::append(output, "kernels.so");

  std::vector<const char *> arguments{"ld.lld",         "-shared",     "-z",       "defs",           "--build-id=none", "-s",
                                      "--hash-style=gnu", "--threads=1", "-Bsymbolic", "--error-limit=0", "-o",            output.c_str()};
  for (const std::string &file : files)
    arguments.push_back(file.c_str());

  std::string messages;
  {
    // lld keeps its state in globals.
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    llvm::raw_string_ostream stream(messages);
    lld::Result result = lld::lldMain(arguments, llvm::nulls(), stream, {{lld::Gnu, &lld::elf::link}});
    if (result.retCode != 0) {
      llvm::StringSet<> seen;
      std::string names;
      SmallVector<StringRef> lines;
      StringRef(messages).split(lines, '\n');
      for (StringRef line : lines) {
        auto [before, name] = line.split("undefined symbol: ");
        if (!name.empty() && seen.insert(name).second)
          names += (names.empty() ? "'" : ", '") + name.str() + "'";
      }
      if (!names.empty())
        return makeError("kernels for '" + target.name + "' call functions that no kernel may call: " + names);
      return makeError("lld cannot link the kernels for '" + target.name + "': " + StringRef(messages).trim());
    }
  }
  auto buffer = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!buffer)
    return makeError("cannot read '" + output.str() + "': " + buffer.getError().message());
  out.assign((*buffer)->getBufferStart(), (*buffer)->getBufferEnd());
  return llvm::Error::success();
}

void msa::cpu::registerEmission(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

OwningOpRef<ModuleOp> msa::cpu::cloneKernels(ModuleOp module) {
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(module.getLoc());
  for (auto kernel : module.getOps<exec::KernelOp>())
    kernels->getBody()->push_back(kernel->clone());
  return kernels;
}

void msa::cpu::buildLowerKernelsPipeline(OpPassManager &manager, const CPUTarget &target) {
  LowerKernelsToVectorOptions options;
  options.variant = target.name;
  manager.addPass(createLowerKernelsToVector(options));
  manager.addPass(createLowerKernelsToLLVM());
}

llvm::Expected<std::vector<char>> msa::cpu::emitSharedObject(ModuleOp module, const CPUTarget &target, const EmitOptions &options) {
  for (Operation &op : *module.getBody())
    if (!isa<LLVM::LLVMDialect>(op.getDialect()))
      return makeError("expected a module in the LLVM dialect, but found '" + op.getName().getStringRef() +
                       "': run lower-kernels-to-llvm first");
  SmallVector<OwningOpRef<ModuleOp>> parts = split(module);
  SmallVector<SmallString<0>> objects(parts.size());
  std::mutex mutex;
  llvm::Error failure = llvm::Error::success();
  {
    llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.threads));
    for (size_t i = 0; i < parts.size(); ++i)
      pool.async([&, i] {
        auto run = [&]() -> llvm::Error {
          llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(target);
          if (!machine)
            return machine.takeError();
          llvm::LLVMContext context;
          llvm::Expected<std::unique_ptr<llvm::Module>> llvmModule = translate(*parts[i], context, **machine, target);
          if (!llvmModule)
            return llvmModule.takeError();
          optimise(**llvmModule, **machine);
          return generate(**llvmModule, **machine, llvm::CodeGenFileType::ObjectFile, objects[i]);
        };
        if (llvm::Error error = run()) {
          std::lock_guard<std::mutex> lock(mutex);
          failure = llvm::joinErrors(std::move(failure), std::move(error));
        }
      });
    pool.wait();
  }
  if (failure)
    return failure;
  std::vector<char> bytes;
  if (llvm::Error error = link(objects, target, bytes))
    return error;
  return bytes;
}

llvm::Expected<std::string> msa::cpu::emitText(ModuleOp module, const CPUTarget &target, TextKind kind) {
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  llvm::Expected<std::unique_ptr<llvm::Module>> llvmModule = translate(module, context, **machine, target);
  if (!llvmModule)
    return llvmModule.takeError();
  optimise(**llvmModule, **machine);
  SmallString<0> text;
  if (kind == TextKind::LLVM) {
    llvm::raw_svector_ostream stream(text);
    (*llvmModule)->print(stream, nullptr);
  } else if (llvm::Error error = generate(**llvmModule, **machine, llvm::CodeGenFileType::AssemblyFile, text)) {
    return error;
  }
  return text.str().str();
}

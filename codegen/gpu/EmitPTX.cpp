// SPDX-License-Identifier: Apache-2.0
//===- EmitPTX.cpp - LLVM and NVVM dialect to PTX, in process -------------===//
//
// No library of device functions is linked: a kernel that still calls one is an error here, not in the driver.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/EmitPTX.h"
#include "codegen/cpu/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace mlir;
using namespace msa::gpu;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const GPUTarget &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  std::string error;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return makeError("no LLVM target for '" + target.name() + "': " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  // The oldest PTX that has what the kernels use: older drivers read it.
  const char *features = target.sm >= 90 ? "+ptx80" : "+ptx74";
  return std::unique_ptr<llvm::TargetMachine>(backend->createTargetMachine(
      triple, target.chip(), features, options, std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

static llvm::TargetLibraryInfoImpl noLibrary(const llvm::Triple &triple) {
  llvm::TargetLibraryInfoImpl info(triple);
  info.disableAllFunctions();
  return info;
}

static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  // Loops of templates are written the way they shall run.
  tuning.LoopUnrolling = false;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  functions.registerPass([&] { return llvm::TargetLibraryAnalysis(noLibrary(machine.getTargetTriple())); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

/// Names of functions that `module` calls and nobody defines.
static std::string undefinedFunctions(const llvm::Module &module) {
  std::string names;
  for (const llvm::Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic() && !function.use_empty())
      names += (names.empty() ? "'" : ", '") + function.getName().str() + "'";
  return names;
}

void msa::gpu::registerEmission(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

LogicalResult msa::gpu::lowerToNVVM(ModuleOp module) {
  PassManager manager(module.getContext(), ModuleOp::getOperationName());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(cpu::createExpandMath()); // the same arithmetic as on the CPU, and the same results
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createConvertNVVMToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  return manager.run(module);
}

llvm::Expected<std::string> msa::gpu::emitPTX(ModuleOp module, const GPUTarget &target) {
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(target);
  if (!machine)
    return machine.takeError();
  OwningOpRef<ModuleOp> lowered = module.clone();
  if (failed(lowerToNVVM(*lowered)))
    return makeError("kernels for '" + target.name() + "' cannot be lowered to the LLVM dialect");
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(*lowered, context, "kernels");
  if (!llvmModule)
    return makeError("kernels for '" + target.name() + "' cannot be translated to LLVM IR");
  llvmModule->setDataLayout((*machine)->createDataLayout());
  llvmModule->setTargetTriple((*machine)->getTargetTriple());
  for (llvm::Function &function : *llvmModule) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.chip());
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  optimise(*llvmModule, **machine);
  if (std::string names = undefinedFunctions(*llvmModule); !names.empty())
    return makeError("kernels for '" + target.name() + "' call functions that no kernel may call: " + names);

  SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager manager;
  manager.add(new llvm::TargetLibraryInfoWrapperPass(noLibrary((*machine)->getTargetTriple())));
  if ((*machine)->addPassesToEmitFile(manager, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return makeError("LLVM cannot write PTX");
  manager.run(*llvmModule);
  return text.str().str();
}

std::optional<std::string> msa::gpu::findPtxas() {
  if (std::optional<std::string> path = llvm::sys::Process::GetEnv("MSA_PTXAS"))
    return path->empty() ? std::nullopt : path;
  if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName("ptxas"))
    return *path;
  for (std::string root : {llvm::sys::Process::GetEnv("CUDA_HOME").value_or(""), std::string("/usr/local/cuda")}) {
    SmallString<128> path(root);
    llvm::sys::path::append(path, "bin", "ptxas");
    if (!root.empty() && llvm::sys::fs::can_execute(path))
      return path.str().str();
  }
  return std::nullopt;
}

static std::string readAll(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

llvm::Expected<Assembly> msa::gpu::assemble(StringRef ptx, const GPUTarget &target, StringRef ptxas) {
  SmallString<128> folder;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("msa-ptxas", folder))
    return makeError("cannot create a temporary folder: " + error.message());
  llvm::scope_exit cleanup([&] { llvm::sys::fs::remove_directories(folder); });
  auto pathOf = [&](StringRef name) {
    SmallString<128> path = folder;
    llvm::sys::path::append(path, name);
    return path.str().str();
  };
  std::string input = pathOf("kernels.ptx"), output = pathOf("kernels.cubin"), messages = pathOf("messages");
  std::error_code error;
  llvm::raw_fd_ostream stream(input, error);
  if (!error) {
    stream << ptx;
    stream.close();
    error = stream.error();
  }
  if (error) {
    stream.clear_error();
    return makeError("cannot write '" + input + "': " + error.message());
  }
  std::string architecture = "-arch=" + target.chip();
  SmallVector<StringRef> arguments = {ptxas, architecture, "-v", input, "-o", output};
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(messages), StringRef(messages)};
  std::string why;
  int status = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, /*SecondsToWait=*/600, /*MemoryLimit=*/0, &why);
  Assembly assembly;
  assembly.log = readAll(messages);
  if (status != 0)
    return makeError("'" + ptxas + "' refuses the kernels for '" + target.name() + "': " + why + assembly.log);
  std::string cubin = readAll(output);
  assembly.cubin.assign(cubin.begin(), cubin.end());
  return assembly;
}

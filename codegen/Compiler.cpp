// SPDX-License-Identifier: Apache-2.0

#include "codegen/Compiler.h"
#include "codegen/artifact/TestVectors.h"
#include "codegen/artifact/Writer.h"
#include "codegen/cpu/Emit.h"
#include "codegen/cpu/Passes.h"
#include "codegen/gpu/Passes.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"
#include "dialect/onnx/Import.h"
#include "dialect/onnx/OnnxDialect.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace msa;

void Compiler::registerDialects(DialectRegistry &registry) {
  registry.insert<MSADialect, exec::ExecDialect, kernel::KernelDialect, onnx::OnnxDialect, func::FuncDialect, linalg::LinalgDialect,
                  tensor::TensorDialect, arith::ArithDialect, math::MathDialect, cf::ControlFlowDialect, memref::MemRefDialect,
                  scf::SCFDialect, vector::VectorDialect, LLVM::LLVMDialect>();
  cpu::registerEmission(registry);
  gpu::registerEmission(registry);
}

namespace {

/// Counts the remarks of passes into a report.
class RewriteCounter : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit RewriteCounter(std::vector<CompileReport::Rewrite> &rewrites) : rewrites(rewrites) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string text;
    for (const remark::detail::Remark::Arg &argument : remark.getArgs())
      text += argument.val;
    bool applied = remark.getRemarkType() == llvm::remarks::Type::Passed;
    auto known = llvm::find_if(rewrites, [&](const CompileReport::Rewrite &rewrite) {
      return rewrite.applied == applied && rewrite.pass == remark.getCategoryName() && rewrite.text == text;
    });
    if (known != rewrites.end())
      ++known->count;
    else
      rewrites.push_back({applied, remark.getCategoryName().str(), std::move(text), nodeName(remark.getLocation()), 1});
  }

private:
  static std::string nodeName(Location location) {
    if (auto name = dyn_cast<NameLoc>(location))
      return name.getName().str();
    if (auto fused = dyn_cast<FusedLoc>(location))
      for (Location part : fused.getLocations())
        if (std::string name = nodeName(part); !name.empty())
          return name;
    return "";
  }

  std::vector<CompileReport::Rewrite> &rewrites;
};

} // namespace

LogicalResult Compiler::runTo(Stage stage) {
  if (options.report &&
      failed(remark::enableOptimizationRemarks(context, std::make_unique<RewriteCounter>(report.rewrites),
                                               std::make_unique<remark::RemarkEmittingPolicyAll>(),
                                               remark::RemarkCategories{{}, /*passed=*/".*", /*missed=*/".*", {}, {}})))
    return failure();
  module = onnx::importOnnxFiles(context, options.inputs);
  if (!module)
    return failure();
  if (stage == Stage::Onnx)
    return success();
  PassManager manager(&context);
  if (!options.dumpDirectory.empty()) {
    context.disableMultithreading();
    OpPrintingFlags flags;
    flags.elideLargeElementsAttrs(64).elideLargeResourceString(64);
    manager.enableIRPrintingToFileTree([](Pass *, Operation *) { return false; }, [](Pass *, Operation *) { return true; },
                                       /*printModuleScope=*/true, /*printAfterOnlyOnChange=*/true, /*printAfterOnlyOnFailure=*/false,
                                       options.dumpDirectory, flags);
  }
  buildConvertPipeline(manager);
  if (options.smallRoutingKeys)
    manager.addPass(createMSAQuantizeRoutingKeys());
  if (stage >= Stage::Linalg)
    buildFusePipeline(manager);
  if (stage >= Stage::Exec)
    buildOutlinePipeline(manager);
  // What is not as fast as it might be is said in remarks.
  ScopedDiagnosticHandler remarks(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Remark)
      return failure();
    report.remarks.push_back(diagnostic.str());
    return success();
  });
  if (failed(manager.run(*module)))
    return failure();
  llvm::StringMap<unsigned> dispatches;
  module->walk([&](exec::DispatchOp op) { ++dispatches[op.getKernel()]; });
  for (auto kernelOp : module->getOps<exec::KernelOp>())
    report.kernels.push_back({kernelOp.getSymName().str(), dispatches.lookup(kernelOp.getSymName())});
  return success();
}

FailureOr<OwningOpRef<ModuleOp>> Compiler::lowerKernels(const Target &target) {
  OwningOpRef<ModuleOp> kernels = cpu::cloneKernels(*module);
  PassManager manager(&context);
  if (const gpu::GPUTarget *gpuTarget = target.getGPU())
    gpu::buildLowerKernelsPipeline(manager, *gpuTarget);
  else
    cpu::buildLowerKernelsPipeline(manager, *target.getCPU());
  ScopedDiagnosticHandler remarks(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Remark) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error && target.getGPU())
        diagnostic << " (target " << target.name() << ")";
      return failure(); // to the next handler
    }
    report.remarks.push_back(target.name() + ": " + diagnostic.str());
    return success();
  });
  if (failed(manager.run(*kernels)))
    return failure();
  return kernels;
}

LogicalResult Compiler::checkKernels() {
  // Each target's errors, each once: the CPU's levels have the same.
  bool supported = true, cpuFailed = false;
  for (const Target &target : options.targets) {
    if (cpuFailed && target.getCPU())
      continue;
    if (succeeded(lowerKernels(target)))
      continue;
    supported = false;
    cpuFailed |= target.getCPU() != nullptr;
  }
  return success(supported);
}

static llvm::Error notLowered(const Target &target) { return llvm::createStringError("kernels could not be lowered for " + target.name()); }

llvm::Expected<std::string> Compiler::emitText(Stage stage) {
  bool wantsGPU = stage == Stage::PTX;
  auto target = llvm::find_if(options.targets, [&](const Target &candidate) { return wantsGPU == (candidate.getGPU() != nullptr); });
  if (target == options.targets.end())
    return llvm::createStringError(wantsGPU ? "there is no GPU among the targets: expected --target=cuda:sm_90 or the like"
                                            : "there is no processor among the targets: expected --emit=ptx for a GPU");
  FailureOr<OwningOpRef<ModuleOp>> kernels = lowerKernels(*target);
  if (failed(kernels))
    return notLowered(*target);
  if (wantsGPU)
    return gpu::emitPTX(**kernels, *target->getGPU());
  return cpu::emitText(**kernels, *target->getCPU(), stage == Stage::LLVM ? cpu::TextKind::LLVM : cpu::TextKind::Assembly);
}

llvm::Expected<ArtifactVariant> Compiler::makeVariant(const Target &target) {
  FailureOr<OwningOpRef<ModuleOp>> kernels = lowerKernels(target);
  if (failed(kernels))
    return notLowered(target);
  ArtifactVariant variant;
  variant.name = target.name();
  if (const cpu::CPUTarget *processor = target.getCPU()) {
    cpu::EmitOptions emitOptions;
    emitOptions.threads = options.threads;
    llvm::Expected<std::vector<char>> object = cpu::emitSharedObject(**kernels, *processor, emitOptions);
    if (!object)
      return object.takeError();
    variant.sharedObject = std::move(*object);
    return variant;
  }
  GPUCode &code = variant.gpu.emplace();
  FailureOr<std::vector<gpu::LaunchTable>> tables = gpu::collectLaunchTables(**kernels);
  if (failed(tables))
    return notLowered(target);
  code.tables = std::move(*tables);
  llvm::Expected<std::string> ptx = gpu::emitPTX(**kernels, *target.getGPU());
  if (!ptx)
    return ptx.takeError();
  code.ptx = std::move(*ptx);
  if (!options.cubins)
    return variant;
  std::optional<std::string> ptxas = gpu::findPtxas();
  if (!ptxas)
    return llvm::createStringError("cubins need ptxas, which is neither on PATH nor in CUDA_HOME: set MSA_PTXAS, or do without them");
  llvm::Expected<gpu::Assembly> assembly = gpu::assemble(code.ptx, *target.getGPU(), *ptxas);
  if (!assembly)
    return assembly.takeError();
  code.cubins.push_back({static_cast<uint32_t>(target.getGPU()->sm), std::move(assembly->cubin)});
  return variant;
}

static llvm::Expected<std::string> readFile(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createStringError(buffer.getError(), "cannot read '" + path + "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

llvm::Error Compiler::writeArtifact(StringRef path) {
  ArtifactContents contents;
  for (auto [source, target] : {std::pair(&options.tokenizer, &contents.tokenizer), std::pair(&options.modelConfig, &contents.modelConfig)}) {
    if (source->empty())
      continue;
    llvm::Expected<std::string> bytes = readFile(*source);
    if (!bytes)
      return bytes.takeError();
    *target = std::move(*bytes);
  }
  if (!options.testVectors.empty()) {
    FailureOr<std::string> vectors = packTestVectors(*module, options.testVectors);
    if (failed(vectors))
      return llvm::createStringError("the test data in '" + options.testVectors + "' cannot be carried");
    contents.testVectors = std::move(*vectors);
  }
  contents.provenance.emplace_back("compiler", "msac " MSA_COMPILER_VERSION);
  std::string targets;
  // A program that only moves bytes has no kernel, and runs anywhere.
  ArrayRef<Target> variants = options.targets;
  if (report.kernels.empty())
    variants = {};
  for (const Target &target : variants) {
    llvm::Expected<ArtifactVariant> variant = makeVariant(target);
    if (!variant)
      return variant.takeError();
    contents.variants.push_back(std::move(*variant));
    targets += (targets.empty() ? "" : ",") + target.name();
  }
  contents.provenance.emplace_back("targets", targets);
  for (const std::string &input : options.inputs) {
    llvm::Expected<std::string> bytes = readFile(input);
    if (!bytes)
      return bytes.takeError();
    auto digest = llvm::SHA256::hash(llvm::arrayRefFromStringRef(*bytes));
    contents.provenance.emplace_back("source " + llvm::sys::path::filename(input).str(), "sha256 " + llvm::toHex(digest, /*LowerCase=*/true));
  }
  return msa::writeArtifact(*module, contents, path);
}

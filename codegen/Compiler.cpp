// SPDX-License-Identifier: Apache-2.0

#include "codegen/Compiler.h"
#include "codegen/artifact/TestVectors.h"
#include "codegen/artifact/Writer.h"
#include "codegen/cpu/Emit.h"
#include "codegen/cpu/Passes.h"
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

FailureOr<OwningOpRef<ModuleOp>> Compiler::lowerKernels(const cpu::CPUTarget &target) {
  OwningOpRef<ModuleOp> kernels = cpu::cloneKernels(*module);
  PassManager manager(&context);
  cpu::buildLowerKernelsPipeline(manager, target);
  ScopedDiagnosticHandler remarks(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Remark)
      return failure();
    report.remarks.push_back(target.name + ": " + diagnostic.str());
    return success();
  });
  if (failed(manager.run(*kernels)))
    return failure();
  return kernels;
}

LogicalResult Compiler::checkKernels() {
  for (const cpu::CPUTarget &target : options.targets)
    if (failed(lowerKernels(target)))
      return failure();
  return success();
}

llvm::Expected<std::string> Compiler::emitText(Stage stage) {
  FailureOr<OwningOpRef<ModuleOp>> kernels = lowerKernels(options.targets.front());
  if (failed(kernels))
    return llvm::createStringError("kernels could not be lowered for " + options.targets.front().name);
  return cpu::emitText(**kernels, options.targets.front(), stage == Stage::LLVM ? cpu::TextKind::LLVM : cpu::TextKind::Assembly);
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
  ArrayRef<cpu::CPUTarget> variants = options.targets;
  if (report.kernels.empty())
    variants = {};
  for (const cpu::CPUTarget &target : variants) {
    FailureOr<OwningOpRef<ModuleOp>> kernels = lowerKernels(target);
    if (failed(kernels))
      return llvm::createStringError("kernels could not be lowered for " + target.name);
    cpu::EmitOptions emitOptions;
    emitOptions.threads = options.threads;
    llvm::Expected<std::vector<char>> object = cpu::emitSharedObject(**kernels, target, emitOptions);
    if (!object)
      return object.takeError();
    contents.variants.push_back({target.name, std::move(*object)});
    targets += (targets.empty() ? "" : ",") + target.name;
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

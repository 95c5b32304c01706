// SPDX-License-Identifier: Apache-2.0
//
// Compiles the exec.kernels of an MLIR file for one processor variant, for tests: no entries, no artifact.
// test/codegen/kernels.py loads what it writes.

#include "codegen/cpu/Emit.h"
#include "codegen/cpu/Passes.h"
#include "codegen/gpu/Launch.h"
#include "codegen/gpu/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Support/Timing.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
namespace cl = llvm::cl;

static cl::opt<std::string> input(cl::Positional, cl::desc("FILE.mlir"), cl::init("-"));
static cl::opt<std::string> output("o", cl::desc("where to write"), cl::value_desc("file"), cl::init("-"));
static cl::opt<std::string> variant("variant", cl::desc("processor variant"), cl::init("x86-64-v3"));
static cl::opt<std::string> emit("emit", cl::desc("mlir, llvm, asm, so or, for a GPU, ptx or tables (JSON)"), cl::init("so"));
static cl::opt<bool> templates("templates", cl::desc("let kernels for GPUs be instances of templates"), cl::init(true));
static cl::opt<unsigned> jobs("jobs", cl::desc("threads for LLVM, 0 for one per core"), cl::init(0));

static llvm::json::Value toJSON(const msa::gpu::Term &term) {
  return llvm::json::Object{{"factor", term.factor}, {"scalars", llvm::json::Array(term.scalars)}, {"divisor", term.divisor}, {"multiplier", term.multiplier}};
}

static llvm::json::Value toJSON(const msa::gpu::Launch &launch) {
  llvm::json::Array grid;
  for (const msa::gpu::Term &term : launch.grid)
    grid.push_back(toJSON(term));
  return llvm::json::Object{{"symbol", launch.symbol},
                            {"grid", std::move(grid)},
                            {"block", launch.block},
                            {"dynamic_shared", launch.dynamicShared},
                            {"workspace", launch.workspace ? toJSON(*launch.workspace) : llvm::json::Value(nullptr)}};
}

/// By kernel: its buffers' kinds and its cases.
static llvm::json::Value toJSON(ModuleOp module, ArrayRef<msa::gpu::LaunchTable> tables) {
  llvm::json::Object kernels;
  for (const msa::gpu::LaunchTable &table : tables) {
    llvm::json::Array cases;
    for (const msa::gpu::LaunchCase &launchCase : table.cases) {
      llvm::json::Array launches;
      for (const msa::gpu::Launch &launch : launchCase.launches)
        launches.push_back(toJSON(launch));
      cases.push_back(llvm::json::Object{{"scalar", launchCase.scalar ? llvm::json::Value(*launchCase.scalar) : llvm::json::Value(nullptr)},
                                         {"below", launchCase.below},
                                         {"launches", std::move(launches)}});
    }
    auto kernel = cast<msa::exec::KernelOp>(module.lookupSymbol(table.kernel));
    kernels[table.kernel] = llvm::json::Object{{"parameters", llvm::json::Array(kernel.getParameters())}, {"cases", std::move(cases)}};
  }
  return kernels;
}

static LogicalResult run() {
  DialectRegistry registry;
  registry.insert<msa::exec::ExecDialect, msa::kernel::KernelDialect, affine::AffineDialect, arith::ArithDialect,
                  cf::ControlFlowDialect, func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect,
                  memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
  msa::cpu::registerEmission(registry);
  msa::gpu::registerEmission(registry);
  MLIRContext context(registry);
  DefaultTimingManager timing;
  applyDefaultTimingManagerCLOptions(timing);
  TimingScope scope = timing.getRootScope();
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(input, &context);
  std::optional<msa::cpu::CPUTarget> target = msa::cpu::CPUTarget::get(variant);
  std::optional<msa::gpu::GPUTarget> gpuTarget = msa::gpu::getGPUTarget(variant);
  if (!module || (!target && !gpuTarget)) {
    if (module)
      llvm::errs() << "kernel-runner: unknown variant '" << variant << "'\n";
    return failure();
  }
  OwningOpRef<ModuleOp> kernels = msa::cpu::cloneKernels(*module);
  PassManager manager(&context);
  manager.enableTiming(scope);
  if (failed(applyPassManagerCLOptions(manager)))
    return failure();
  if (gpuTarget)
    msa::gpu::buildLowerKernelsPipeline(manager, *gpuTarget, templates);
  else
    msa::cpu::buildLowerKernelsPipeline(manager, *target);
  if (failed(manager.run(*kernels)))
    return failure();

  std::string error;
  std::unique_ptr<llvm::ToolOutputFile> file = openOutputFile(output, &error);
  if (!file) {
    llvm::errs() << "kernel-runner: " << error << "\n";
    return failure();
  }
  TimingScope emission = scope.nest("emit");
  auto report = [&](llvm::Error failed) {
    llvm::errs() << "kernel-runner: " << llvm::toString(std::move(failed)) << "\n";
    return failure();
  };
  if (emit == "mlir") {
    kernels->print(file->os());
  } else if (gpuTarget && emit == "ptx") {
    llvm::Expected<std::string> text = msa::gpu::emitPTX(*kernels, *gpuTarget);
    if (!text)
      return report(text.takeError());
    file->os() << *text;
  } else if (gpuTarget && emit == "tables") {
    FailureOr<std::vector<msa::gpu::LaunchTable>> tables = msa::gpu::collectLaunchTables(*kernels);
    if (failed(tables))
      return failure();
    file->os() << toJSON(*module, *tables) << "\n";
  } else if (target && (emit == "llvm" || emit == "asm")) {
    llvm::Expected<std::string> text =
        msa::cpu::emitText(*kernels, *target, emit == "llvm" ? msa::cpu::TextKind::LLVM : msa::cpu::TextKind::Assembly);
    if (!text)
      return report(text.takeError());
    file->os() << *text;
  } else if (target && emit == "so") {
    llvm::Expected<std::vector<char>> bytes = msa::cpu::emitSharedObject(*kernels, *target, {jobs});
    if (!bytes)
      return report(bytes.takeError());
    file->os().write(bytes->data(), bytes->size());
  } else {
    llvm::errs() << "kernel-runner: cannot emit '" << emit << "'\n";
    return failure();
  }
  file->keep();
  return success();
}

int main(int argc, char **argv) {
  registerPassManagerCLOptions();
  registerDefaultTimingManagerCLOptions();
  cl::ParseCommandLineOptions(argc, argv, "compiles kernels for tests\n");
  return failed(run());
}

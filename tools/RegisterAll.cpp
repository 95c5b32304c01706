// SPDX-License-Identifier: Apache-2.0

#include "tools/RegisterAll.h"
#include "codegen/cpu/Passes.h"
#include "codegen/gpu/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"

void msa::registerAllDialects(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<MSADialect, exec::ExecDialect, kernel::KernelDialect, onnx::OnnxDialect>();
}

void msa::registerAllPasses() {
  mlir::registerAllPasses();
  registerMSAPasses();
  registerPipelines();
  cpu::registerMSACPUPasses();
  gpu::registerMSAGPUPasses();
}

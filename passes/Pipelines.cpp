// SPDX-License-Identifier: Apache-2.0
//===- Pipelines.cpp - which passes run, in which order -------------------===//

#include "passes/Pipelines.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"

using namespace mlir;

void msa::buildConvertPipeline(OpPassManager &manager) {
  manager.addPass(createOnnxInlineFunctions());
  // Takes the nodes of ai.msa as well, by the tables of convert-onnx-to-msa: one pass over all entries reports all that is not supported.
  manager.addPass(createConvertOnnxToLinalg());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void msa::buildFusePipeline(OpPassManager &manager) {
  manager.addPass(createMSARecognizeAttention());
  manager.addPass(createMSAFuseRoute());
  manager.addPass(createMSAFuseRead());
  manager.addPass(createMSANormalizeQuery());
  manager.addPass(createMSAFoldHeads());
  manager.addPass(createMSAFoldQueryTokens());
  manager.addPass(createMSADecomposeCompress());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createMSAPoolBeforeProjection());
  manager.addPass(createCSEPass());
  manager.addPass(createMSAPackWeights());
  manager.addPass(createMSAFuseElementwise());
  manager.addPass(createMSAFuseEpilogues());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void msa::buildOutlinePipeline(OpPassManager &manager) {
  manager.addPass(createConvertMSAToExec());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void msa::registerPipelines() {
  PassPipelineRegistration<>("msa-convert", "Level 0 to 1: onnx becomes msa and linalg", buildConvertPipeline);
  PassPipelineRegistration<>("msa-fuse", "Level 1 to 2: recognise, rewrite exactly, pack, fuse", buildFusePipeline);
  PassPipelineRegistration<>("msa-outline", "Level 2 to 3: commands and kernels", buildOutlinePipeline);
}

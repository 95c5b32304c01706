// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_PASSES_PIPELINES_H
#define MSA_PASSES_PIPELINES_H

#include "mlir/Pass/PassManager.h"

namespace msa {

/// Level 0 to level 1: `onnx` becomes `msa` and `linalg` on tensors.
void buildConvertPipeline(mlir::OpPassManager &manager);

/// Level 1 to level 2: recognition, exact rewrites, packing, fusion.
void buildFusePipeline(mlir::OpPassManager &manager);

/// Level 2 to level 3: commands and kernels.
void buildOutlinePipeline(mlir::OpPassManager &manager);

/// The pipelines by name for msa-opt: --msa-convert, --msa-fuse, --msa-outline.
void registerPipelines();

} // namespace msa

#endif // MSA_PASSES_PIPELINES_H

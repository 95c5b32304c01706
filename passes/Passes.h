// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_PASSES_PASSES_H
#define MSA_PASSES_PASSES_H

#include "dialect/MSAOps.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"
#include "dialect/onnx/OnnxDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace msa {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace msa

#endif // MSA_PASSES_PASSES_H

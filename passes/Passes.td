// SPDX-License-Identifier: Apache-2.0
//
// Every pass from level 0 to level 3 (docs/architecture.md), in pipeline order. The flag, the def, the file and the lit test
// share one name: `convert-msa-to-exec`, `ConvertMSAToExec`, passes/ConvertMSAToExec.cpp, test/passes/convert-msa-to-exec.mlir.

#ifndef MSA_PASSES_TD
#define MSA_PASSES_TD

include "mlir/Pass/PassBase.td"

def OnnxInlineFunctions : Pass<"onnx-inline-functions", "::mlir::ModuleOp"> {
  let summary = "expand calls of model-local functions";
  let description = [{
    Replaces every node that calls a function of the file by the function's body, except operators of `ai.msa` that the
    conversion takes whole, and erases the functions that are then not called.
  }];
}

def ConvertOnnxToMSA : Pass<"convert-onnx-to-msa", "::mlir::ModuleOp"> {
  let summary = "convert the graphs that use a memory to level 1";
  let description = [{
    Converts every graph with a node of domain `ai.msa` as a whole: those nodes become `msa` ops, the others what
    `convert-onnx-to-linalg` makes of them. Reports every node that it does not support, then fails.
  }];
  let dependentDialects = ["::msa::MSADialect", "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
      "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def ConvertOnnxToLinalg : Pass<"convert-onnx-to-linalg", "::mlir::ModuleOp"> {
  let summary = "convert ONNX graphs to level 1";
  let description = [{
    Infers types and shapes, turns shape arithmetic into index arithmetic and operators into linalg, tensor and msa ops.
    Reports every node that it does not support, then fails.
  }];
  let dependentDialects = ["::msa::MSADialect", "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
      "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def MSAQuantizeRoutingKeys : Pass<"msa-quantize-routing-keys", "::mlir::ModuleOp"> {
  let summary = "make routing keys of f8E4M3FN with a scale a row";
  let description = [{
    Inputs that only routes read become f8E4M3FN with an input of scales beside
    them (`mem_rk.2` and `mem_rk_scale.2`); results of these names, of any entry,
    go through `msa.quantize`. An error where a model's keys cannot be told apart
    from what attention reads. Run by `msac --routing-keys=e4m3`, before fusion.
  }];
  let dependentDialects = ["::msa::MSADialect"];
}

def MSARecognizeAttention : Pass<"msa-recognize-attention"> {
  let summary = "make one op of attention that is spelt out";
  let description = [{
    Products, scale, mask and softmax become `msa.attention` on token-major
    operands, with grouped heads not repeated.
  }];
  let dependentDialects = ["::msa::MSADialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def MSANormalizeQuery : Pass<"msa-normalize-query"> {
  let summary = "turn a route's normalize into tensor algebra";
  let description = [{
    Divides the query of `msa.route` and `msa.score` by its norms in `linalg`, so
    that kernels never normalise and a mean over heads or tokens can be folded.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect"];
}

def MSAFoldHeads : Pass<"msa-fold-heads"> {
  let summary = "fold the mean over heads into the query";
  let description = [{
    A mean over heads is linear: the products of all heads with a key become one
    inner product of the folded query with the key row. Exact up to rounding.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def MSAFoldQueryTokens : Pass<"msa-fold-query-tokens"> {
  let summary = "fold the mean over query tokens into the query";
  let description = [{
    A mean over tokens is linear too: with one head (after `msa-fold-heads`) all
    tokens become one query vector. Exact up to rounding.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def MSAFuseRoute : Pass<"msa-fuse-route"> {
  let summary = "make one route of scores and their top-k";
  let description = [{
    `msa.topk` of the scores of `msa.score` becomes `msa.route`: the scores of all
    chunks are never stored.
  }];
}

def MSAFuseRead : Pass<"msa-fuse-read"> {
  let summary = "make one read of gathered rows and attention";
  let description = [{
    Causal `msa.attention` over `[prefix ; gathered rows ; local]` becomes
    `msa.read`: rows go from the bank to their place in the context at once.
  }];
}

def MSADecomposeCompress : Pass<"msa-decompose-compress"> {
  let summary = "split compress into index and pool";
  let description = [{
    `msa.compress` becomes `msa.chunk_index` and `msa.pool`; CSE then shares the
    index between everything that is pooled over the same chunks.
  }];
}

def MSAPoolBeforeProjection : Pass<"msa-pool-before-projection"> {
  let summary = "pool tokens before they are projected";
  let description = [{
    A mean over tokens commutes with a projection: routing keys are projected
    once a chunk instead of once a token. Exact up to rounding.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect"];
}

def MSAPackWeights : Pass<"msa-pack-weights"> {
  let summary = "pack constant matrices into panels of 16 columns";
  let description = [{
    `linalg.matmul` with a constant right-hand side becomes `msa.matmul` on panels
    that kernels read as contiguous vectors.
  }];
  let dependentDialects = ["::msa::MSADialect"];
}

def MSAFuseElementwise : Pass<"msa-fuse-elementwise"> {
  let summary = "make one op of a chain of elementwise ops";
  let description = [{
    Fuses `linalg.generic`s that run over the same space in the same order, and
    moves splat constants into their bodies. Broadcasts stay apart: what is one
    value per row is computed once per row.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def MSAFuseEpilogues : Pass<"msa-fuse-epilogues"> {
  let summary = "move elementwise consumers into the product before them";
  let description = [{
    A bias, an activation, a gate or a residual after an `msa.matmul` moves into
    its epilogue, and costs no pass over memory of its own.
  }];
}

def ConvertMSAToExec : Pass<"convert-msa-to-exec", "::mlir::ModuleOp"> {
  let summary = "turn entries on tensors into commands and kernels";
  let description = [{
    Replaces every public `func.func` by an `exec.entry` and outlines its
    computations into `exec.kernel`s (docs/architecture.md, level 3).
  }];
  let dependentDialects = ["::msa::exec::ExecDialect", "::msa::kernel::KernelDialect", "::mlir::arith::ArithDialect",
      "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect", "::mlir::LLVM::LLVMDialect"];
}

#endif // MSA_PASSES_TD

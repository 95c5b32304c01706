// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_DIALECT_TD
#define MSA_DIALECT_TD

include "mlir/IR/OpBase.td"

def MSA_Dialect : Dialect {
  let name = "msa";
  let cppNamespace = "::msa";
  let summary = "memory sparse attention on tensors and memory banks";
  let description = [{
    What a model with a memory says, in value semantics: compress documents into
    rows of a bank, route a question to documents, read them by attention.
    Whole operations (`route`, `read`, `compress`, `attention`) are ops because
    they are the unit of fusion; their parts (`score`, `topk`, `gather`,
    `chunk_index`, `pool`) are ops because fusion is then a rewrite.

    Activations are token-major: `[tokens, heads, head dim]`, one conversation
    per call. An absent memory, prefix or past is a tensor of length 0.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
  let extraClassDeclaration = "void registerTypes();";
}

#endif // MSA_DIALECT_TD

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_TYPES_TD
#define MSA_TYPES_TD

include "dialect/MSADialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"

class MSA_Type<string name, string typeMnemonic> : TypeDef<MSA_Dialect, name> { let mnemonic = typeMnemonic; }

def MSA_BankType : MSA_Type<"Bank", "bank"> {
  let summary = "a handle to the memory bank of one layer";
  let description = [{
    Named fields, each a dynamic number of rows of `heads x dim` elements; row
    `c` of every field belongs to chunk `c`. Chunks are grouped in documents,
    which ascend. Where the rows lie (one buffer, or spans of several) is the
    runtime's business.

    The fields of a model's banks are `rk` (routing keys), `k` and `v`.

    A field `NAME` of f8E4M3FN, which only routes read, holds elements in units
    of its row's scale: `NAME_scale`, `1x1xf32`, not negative, must be a field
    beside it (`msa.quantize` makes both).

    Example: `!msa.bank<rk: 4x32xf32, k: 4x32xbf16, v: 4x32xbf16>`
  }];
  let parameters = (ins ArrayRefOfSelfAllocationParameter<"::msa::BankField", "fields in declaration order">:$fields);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The field called `name`, or null.
    const ::msa::BankField *getField(::llvm::StringRef name) const;
    /// What the field of the scales of `field`, one of f8E4M3FN, is called.
    static std::string getScaleName(::llvm::StringRef field);
  }];
}

#endif // MSA_TYPES_TD

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_ATTRS_TD
#define MSA_ATTRS_TD

include "dialect/MSADialect.td"
include "mlir/IR/EnumAttr.td"

// How scores, or tokens, of one axis become one value.
def MSA_Reduce : I32EnumAttr<"Reduce", "reduction of one axis", [
    I32EnumAttrCase<"mean", 0>, I32EnumAttrCase<"max", 1>, I32EnumAttrCase<"last", 2>]> {
  let cppNamespace = "::msa";
  let genSpecializedAttr = 0;
}
def MSA_ReduceAttr : EnumAttr<MSA_Dialect, MSA_Reduce, "reduce"> {
  let assemblyFormat = "$value";
}

#endif // MSA_ATTRS_TD

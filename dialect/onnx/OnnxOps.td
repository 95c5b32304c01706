// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_ONNX_OPS_TD
#define MSA_ONNX_OPS_TD

include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Onnx_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::msa::onnx";
  let summary = "an ONNX file as IR, one to one";
  let description = [{
    One op for every node of a file, whatever its operator: `onnx.node` carries operator, domain, overload and attributes as the file
    gives them, and the node's name is its location. So the import loses nothing and rejects nothing; what an operator
    means is decided by the conversions, which know a table of (domain, operator).

    A graph is a `func.func` with `onnx.input_names`/`onnx.output_names`, and dim names (`onnx.dims`: an array of strings per argument/result) as argument and
    result attributes; opset imports are the module attribute `onnx.opsets` (a dictionary domain -> version, "" for the default domain).
  }];
  let useDefaultTypePrinterParser = 1;
}

class Onnx_Op<string mnemonic, list<Trait> traits = []> : Op<Onnx_Dialect, mnemonic, traits>;

def Onnx_ValueType : TypeDef<Onnx_Dialect, "Value"> {
  let mnemonic = "value";
  let summary = "a value whose type the file does not give";
}
def Onnx_NoneType : TypeDef<Onnx_Dialect, "None"> {
  let mnemonic = "none";
  let summary = "an optional input or output that is left out";
}

def Onnx_NodeOp : Onnx_Op<"node", [RecursiveMemoryEffects]> {
  let summary = "a node of the graph";
  let description = [{
    `op_type`, `domain` ("" = ai.onnx) and `overload` as in the file. `node_attributes` keeps ONNX's names: INT -> i64, FLOAT -> f32, STRING -> string,
    TENSOR -> elements, INTS/FLOATS -> dense arrays of i64/f32, STRINGS -> array of strings; a graph attribute is a region, its name in `region_names`.
    A left-out operand is an `onnx.none`.

    ```mlir
    %y = onnx.node "Gemm"(%x, %w) {transB = 1 : i64} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    ```
  }];
  let arguments = (ins StrAttr:$op_type, DefaultValuedStrAttr<StrAttr, "">:$domain, DefaultValuedStrAttr<StrAttr, "">:$overload,
      DictionaryAttr:$node_attributes, OptionalAttr<StrArrayAttr>:$region_names, Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region VariadicRegion<AnyRegion>:$graphs);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Onnx_NoneOp : Onnx_Op<"none", [Pure]> {
  let summary = "nothing: an optional input left out";
  let results = (outs Onnx_NoneType:$result);
  let assemblyFormat = "attr-dict";
}

def Onnx_InitializerOp : Onnx_Op<"initializer", [Pure]> {
  let summary = "an initializer of the graph";
  let description = [{
    Small tensors are dense elements; others are resources (`dense_resource`) that view the file's bytes, never copied.
    `name` is the initializer's name in the file.
  }];
  let arguments = (ins ElementsAttr:$value, StrAttr:$name);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$name $value attr-dict `:` type($result)";
}

def Onnx_YieldOp : Onnx_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "the outputs of a nested graph";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

#endif // MSA_ONNX_OPS_TD

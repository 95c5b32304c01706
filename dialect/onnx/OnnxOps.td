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
    gives them, and the node's name is its location. So the import loses nothing and rejects nothing that is well formed; what an
    operator means is decided by the conversions, which know a table of (domain, operator).

    A graph is a public `func.func` named after the file. Attributes on a func:

    | attribute | on | holds |
    |---|---|---|
    | `onnx.opsets` | every func | dictionary domain -> i64 version; the default domain is "ai.onnx" here (a dictionary has no empty key) |
    | `onnx.ir_version` | public funcs | i64 |
    | `onnx.producer` | public funcs | "name version", absent when the file has none |
    | `onnx.metadata` | public funcs | dictionary of the model's metadata_props, absent when empty |
    | `onnx.name`, `onnx.dims` | arguments, results of public funcs | value name; array of dim names, "" = unnamed; `onnx.dims` is absent without a ranked tensor type |
    | `onnx.function` | model-local functions (private) | array [domain, name, overload] |
    | `onnx.attributes` | model-local functions | dictionary of declared attributes: name -> default, `unit` = has to be given |

    A node that calls a model-local function names it as its callee; its results are the function's first results.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
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

def Onnx_StringType : TypeDef<Onnx_Dialect, "String"> {
  let mnemonic = "string";
  let summary = "the element type of a tensor of strings";
}
def Onnx_SequenceType : TypeDef<Onnx_Dialect, "Sequence"> {
  let mnemonic = "sequence";
  let summary = "a sequence of values";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}
def Onnx_OptionalType : TypeDef<Onnx_Dialect, "Optional"> {
  let mnemonic = "optional";
  let summary = "a value or nothing";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}
def Onnx_MapType : TypeDef<Onnx_Dialect, "Map"> {
  let mnemonic = "map";
  let summary = "a map from integers or strings to values";
  let parameters = (ins "::mlir::Type":$key, "::mlir::Type":$element);
  let assemblyFormat = "`<` $key `,` $element `>`";
}
def Onnx_SparseType : TypeDef<Onnx_Dialect, "Sparse"> {
  let mnemonic = "sparse";
  let summary = "a sparse tensor";
  let parameters = (ins "::mlir::TensorType":$dense);
  let assemblyFormat = "`<` $dense `>`";
}

def Onnx_RefAttr : AttrDef<Onnx_Dialect, "Ref"> {
  let mnemonic = "ref";
  let summary = "the value of an attribute of the enclosing model-local function";
  let description = [{
    ONNX's `ref_attr_name`, with the attribute type that the file declares ("FLOAT", "INTS", ...).
    `onnx-inline-functions` replaces it by the value on the calling node, or the default in `onnx.attributes`.
  }];
  let parameters = (ins "::mlir::StringAttr":$name, "::mlir::StringAttr":$kind);
  let assemblyFormat = "`<` $name `,` $kind `>`";
}

def Onnx_NodeOp : Onnx_Op<"node", [RecursiveMemoryEffects, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a node of the graph";
  let description = [{
    `op_type`, `domain` ("" = ai.onnx) and `overload` as in the file. `callee` is set where the operator is a model-local function.
    `node_attributes` keeps ONNX's names and kinds:

    | kind | attribute |
    |---|---|
    | INT, FLOAT, STRING | `i64`, `f32`, string |
    | INTS, FLOATS, STRINGS | `array<i64: ...>`, `array<f32: ...>`, array of strings |
    | TENSOR, SPARSE_TENSOR | elements (dense, dense_resource, sparse); plural: array of them |
    | TYPE_PROTO | type; plural: array of types |
    | GRAPH | a region, its attribute's name in `region_names`; plural: regions named `name[0]`, `name[1]`, ... |
    | any, as ref_attr_name | `#onnx.ref<"name", "FLOAT">`, only inside a model-local function |

    A left-out operand is an `onnx.none`; a left-out output has type `!onnx.none`. A nested graph may use values of the graphs around it.

    1. `op_type` is not empty.
    2. `region_names` holds one unique name for every graph.
    3. A graph is one block that ends in `onnx.yield`.
    4. `callee` is a `func.func` with `onnx.function`, with at least as many arguments and results as the node has operands and results.

    ```mlir
    %y = onnx.node "Gemm"(%x, %w) {transB = 1 : i64} : (tensor<?x64xf32>, tensor<128x64xf32>) -> tensor<?x128xf32>
    ```
  }];
  let arguments = (ins StrAttr:$op_type, DefaultValuedStrAttr<StrAttr, "">:$domain, DefaultValuedStrAttr<StrAttr, "">:$overload,
      OptionalAttr<FlatSymbolRefAttr>:$callee, DictionaryAttr:$node_attributes, OptionalAttr<StrArrayAttr>:$region_names,
      Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$graphs);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Onnx_NoneOp : Onnx_Op<"none", [Pure]> {
  let summary = "nothing: an optional input left out";
  let results = (outs Onnx_NoneType:$result);
  let assemblyFormat = "attr-dict";
}

def Onnx_InitializerOp : Onnx_Op<"initializer", [Pure]> {
  let summary = "an initializer of the graph";
  let description = [{
    Small tensors are dense elements; others are resources (`dense_resource`) that view the file's bytes where those are aligned.
    Equal bytes of one external file are one resource, whichever entry they are read from. `name` is the initializer's name in the file.

    1. `value` has the result's type.
  }];
  let arguments = (ins ElementsAttr:$value, StrAttr:$name);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$name $value attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Onnx_YieldOp : Onnx_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"::msa::onnx::NodeOp">]> {
  let summary = "the outputs of a nested graph";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

#endif // MSA_ONNX_OPS_TD

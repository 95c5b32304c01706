// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_EXEC_OPS_TD
#define MSA_EXEC_OPS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Exec_Dialect : Dialect {
  let name = "exec";
  let cppNamespace = "::msa::exec";
  let summary = "the artifact's commands, one op each";
  let description = [{
    The last level above kernels, and a mirror of runtime/schema/msa_artifact.fbs:
    an entry is a straight line of commands over registers and buffer slots.

    Registers are SSA values of type `index`, computed by `arith` ops
    (`constant`, `addi`, `subi`, `muli`, `floordivsi`, `ceildivsi`, `remsi`,
    `minsi`, `maxsi`, `cmpi`, `andi`, `ori`, `select`, on `index` and `i1`):
    each is one command. Slots are SSA values of type `!exec.buffer`.
  }];
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::LLVM::LLVMDialect"];
}

class Exec_Op<string mnemonic, list<Trait> traits = []> : Op<Exec_Dialect, mnemonic, traits>;

def Exec_BufferType : TypeDef<Exec_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "a buffer slot";
}

def Exec_EntryOp : Exec_Op<"entry", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "a callable entry of the artifact";
  let description = [{
    The block has one `!exec.buffer` argument per input. `input_types` and
    `output_types` are ranked tensor types; dynamic dims of inputs are read by
    `exec.dim`. `input_dims`/`output_dims`: per input/output an array of strings, the
    name of each dim in the ONNX file, "" where it has none; equal names of inputs are equal
    dims, which the loader's binding checks. `spans[i]`: input i may be bound as a list of spans.
    `aliases[o]`: the input that output o may share memory with, or -1.

    Constraints:
    - C1: as many names, types, dims, spans and block arguments as inputs; all arguments are `!exec.buffer`.
    - C2: as many names, types, dims and aliases as outputs; an alias is an input or -1.
    - C3: types are ranked tensors, with one dim name for each dim.
    - C4: `exec.return` ends the block, with one register for each dynamic dim of the outputs.
    - C5: every output is given memory by one `exec.alloc` exactly.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$input_names, TypeArrayAttr:$input_types, ArrayAttr:$input_dims,
      DenseBoolArrayAttr:$spans, StrArrayAttr:$output_names, TypeArrayAttr:$output_types, ArrayAttr:$output_dims, DenseI64ArrayAttr:$aliases);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Exec_ReturnOp : Exec_Op<"return", [Terminator, HasParent<"EntryOp">]> {
  let summary = "end an entry";
  let description = "`dims`: the registers of every dynamic dim of the outputs, in output order.";
  let arguments = (ins Variadic<Index>:$dims);
  let assemblyFormat = "($dims^)? attr-dict";
}

def Exec_DimOp : Exec_Op<"dim", [Pure]> {
  let summary = "a dynamic dim of an entry's input";
  let description = [{
    Constraints:
    - C1: `input` is an argument of the entry, and `axis` an axis of it.
  }];
  let arguments = (ins Exec_BufferType:$input, I64Attr:$axis);
  let results = (outs Index:$result);
  let assemblyFormat = "$input `[` $axis `]` attr-dict";
  let hasVerifier = 1;
}

def Exec_ConstantOp : Exec_Op<"constant", [Symbol]> {
  let summary = "bytes of the artifact: a weight";
  let arguments = (ins SymbolNameAttr:$sym_name, ElementsAttr:$value);
  let assemblyFormat = "$sym_name $value attr-dict";
}

def Exec_GetConstantOp : Exec_Op<"get_constant", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the slot of a constant";
  let description = [{
    Constraints:
    - C1: `constant` names an `exec.constant`.
  }];
  let arguments = (ins FlatSymbolRefAttr:$constant);
  let results = (outs Exec_BufferType:$result);
  let assemblyFormat = "$constant attr-dict";
}

def Exec_AllocOp : Exec_Op<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "give a slot memory";
  let description = "Arena memory of `size` bytes, or, with `output`, the memory of that output.";
  let arguments = (ins Index:$size, OptionalAttr<I64Attr>:$output);
  let results = (outs Exec_BufferType:$buffer);
  let assemblyFormat = "$size (`output` $output^)? attr-dict";
}

def Exec_FreeOp : Exec_Op<"free", [MemoryEffects<[MemFree]>]> {
  let summary = "end the life of an arena slot";
  let arguments = (ins Exec_BufferType:$buffer);
  let assemblyFormat = "$buffer attr-dict";
}

def Exec_CopyOp : Exec_Op<"copy", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "copy bytes between slots";
  let description = [{
    Nothing happens where source and target are the same memory: a cache grows in place. A copy of no bytes folds away.
  }];
  let hasCanonicalizeMethod = 1;
  let arguments = (ins Exec_BufferType:$source, Index:$source_offset, Exec_BufferType:$target, Index:$target_offset, Index:$size);
  let assemblyFormat = "$source `[` $source_offset `]` `to` $target `[` $target_offset `]` `size` $size attr-dict";
}

def Exec_LoadOp : Exec_Op<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "a register from an i64 in a slot";
  let description = [{
    Constraints:
    - C1: `offset` is a multiple of 8, not negative.
  }];
  let hasVerifier = 1;
  let arguments = (ins Exec_BufferType:$buffer, I64Attr:$offset);
  let results = (outs Index:$result);
  let assemblyFormat = "$buffer `[` $offset `]` attr-dict";
}

def Exec_StoreOp : Exec_Op<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "a register to an i64 in a slot";
  let description = [{
    Constraints:
    - C1: `offset` is a multiple of 8, not negative.
  }];
  let hasVerifier = 1;
  let arguments = (ins Index:$value, Exec_BufferType:$buffer, I64Attr:$offset);
  let assemblyFormat = "$value `to` $buffer `[` $offset `]` attr-dict";
}

def Exec_AssertOp : Exec_Op<"assert", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "end the call with a message unless a condition holds";
  let description = "One whose condition is known to hold folds away.";
  let hasCanonicalizeMethod = 1;
  let arguments = (ins I1:$condition, StrAttr:$message, Variadic<Index>:$values);
  let assemblyFormat = "$condition `,` $message (`values` $values^)? attr-dict";
}

def Exec_DispatchOp : Exec_Op<"dispatch", [AttrSizedOperandSegments, MemoryEffects<[MemRead, MemWrite]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a kernel over its tiles";
  let description = [{
    `buffers` and `scalars` are the kernel's parameters in order.

    Constraints:
    - C1: `kernel` names an `exec.kernel`.
    - C2: as many buffers and scalars as it has parameters.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Index:$tiles, Variadic<Exec_BufferType>:$buffers, Variadic<Index>:$scalars);
  let assemblyFormat = [{
    $kernel `tiles` $tiles `buffers` `(` $buffers `)` `scalars` `(` $scalars `)` attr-dict
  }];
}

// The ABI of runtime/kernel_abi.h before it is lowered.
def Exec_KernelOp : Exec_Op<"kernel", [IsolatedFromAbove, AutomaticAllocationScope, FunctionOpInterface]> {
  let summary = "a function that dispatches run";
  let description = [{
    Block arguments, in order: one per buffer parameter (`memref<?xi8>`; for a
    bank field `!llvm.ptr`, a `msa_span_list *`), one `index` per scalar, `memref<?xi8>` scratch,
    `index` lo, `index` hi. `parameters`: per buffer, the schema's ParameterKind
    (0 read, 1 write, 2 update, 3 spans). `scratch_bytes`: what a worker needs.

    Buffers become shaped by `memref.view %buffer[%offset][sizes]`; the body
    holds `kernel` ops and runs tiles [lo, hi).

    Constraints:
    - C1: the block arguments are as stated, and there are no results.
    - C2: `scratch_bytes` is not negative.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type, DenseI32ArrayAttr:$parameters,
      I64Attr:$scratch_bytes, OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region AnyRegion:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// Buffer parameters, then scalars, then scratch, lo, hi.
    unsigned getBufferCount() { return getParameters().size(); }
    unsigned getScalarCount() { return getArgumentTypes().size() - getBufferCount() - 3; }
    ::mlir::Value getScratch() { return getBody().front().getArgument(getArgumentTypes().size() - 3); }
    ::mlir::Value getLo() { return getBody().front().getArgument(getArgumentTypes().size() - 2); }
    ::mlir::Value getHi() { return getBody().front().getArgument(getArgumentTypes().size() - 1); }
  }];
}

def Exec_EndOp : Exec_Op<"end", [Terminator, HasParent<"KernelOp">]> {
  let summary = "end a kernel";
  let assemblyFormat = "attr-dict";
}

#endif // MSA_EXEC_OPS_TD

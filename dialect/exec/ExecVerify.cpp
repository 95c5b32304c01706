// SPDX-License-Identifier: Apache-2.0
//
// `// entry_c1` is constraint C1 in the description of exec.entry; test/dialect/exec/invalid.mlir names its cases the same.

#include "dialect/exec/ExecDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace msa::exec;

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static LogicalResult verifyCount(EntryOp entry, StringRef what, size_t found, StringRef of, size_t expected) {
  if (found == expected)
    return success();
  return entry.emitOpError("expected ") << expected << ' ' << what << ", one for each " << of << ", but got " << found;
}

/// Ranked tensor types, each with a name for every dim. Adds to `dynamic` the number of dynamic dims.
static LogicalResult verifyDims(EntryOp entry, StringRef what, ArrayAttr types, ArrayAttr dims, size_t &dynamic) {
  for (auto [i, pair] : llvm::enumerate(llvm::zip(types, dims))) {
    Attribute typeAttr = std::get<0>(pair);
    auto type = dyn_cast<RankedTensorType>(cast<TypeAttr>(typeAttr).getValue());
    if (!type)
      return entry.emitOpError("expected ") << what << ' ' << i << " to be a ranked tensor, but got " << typeAttr;
    auto names = dyn_cast<ArrayAttr>(std::get<1>(pair));
    if (!names || !llvm::all_of(names, llvm::IsaPred<StringAttr>) || static_cast<int64_t>(names.size()) != type.getRank())
      return entry.emitOpError("expected a name or \"\" for each dim of ") << what << ' ' << i << ", " << type << ", but got " << std::get<1>(pair);
    dynamic += type.getNumDynamicDims();
  }
  return success();
}

LogicalResult EntryOp::verify() {
  // entry_c1
  size_t inputs = getInputNames().size(), outputs = getOutputNames().size();
  Block &body = getBody().front();
  if (failed(verifyCount(*this, "input types", getInputTypes().size(), "input", inputs)) ||
      failed(verifyCount(*this, "arrays of input dims", getInputDims().size(), "input", inputs)) ||
      failed(verifyCount(*this, "spans", getSpans().size(), "input", inputs)) ||
      failed(verifyCount(*this, "block arguments", body.getNumArguments(), "input", inputs)))
    return failure();
  if (!llvm::all_of(body.getArgumentTypes(), llvm::IsaPred<BufferType>))
    return emitOpError("expected all block arguments to be '!exec.buffer', but got ") << body.getArgumentTypes();
  // entry_c2
  if (failed(verifyCount(*this, "output types", getOutputTypes().size(), "output", outputs)) ||
      failed(verifyCount(*this, "arrays of output dims", getOutputDims().size(), "output", outputs)) ||
      failed(verifyCount(*this, "aliases", getAliases().size(), "output", outputs)))
    return failure();
  for (int64_t alias : getAliases())
    if (alias < -1 || alias >= static_cast<int64_t>(inputs))
      return emitOpError("expected an alias to be -1 or one of ") << inputs << " inputs, but got " << alias;
  // entry_c3
  size_t dynamicInputs = 0, dynamicOutputs = 0;
  if (failed(verifyDims(*this, "input", getInputTypes(), getInputDims(), dynamicInputs)) ||
      failed(verifyDims(*this, "output", getOutputTypes(), getOutputDims(), dynamicOutputs)))
    return failure();
  // entry_c4
  auto end = body.empty() ? ReturnOp() : dyn_cast<ReturnOp>(body.back());
  if (!end)
    return emitOpError("expected 'exec.return' at its end");
  if (end.getDims().size() != dynamicOutputs)
    return end.emitOpError("expected ") << dynamicOutputs << " registers, one for each dynamic dim of the outputs, but got " << end.getDims().size();
  // entry_c5
  SmallVector<bool> given(outputs, false);
  for (AllocOp alloc : body.getOps<AllocOp>()) {
    if (!alloc.getOutput())
      continue;
    uint64_t output = *alloc.getOutput();
    if (output >= outputs)
      return alloc.emitOpError("expected an output below ") << outputs << ", but got " << static_cast<int64_t>(output);
    if (given[output])
      return alloc.emitOpError("gives output ") << output << " memory a second time";
    given[output] = true;
  }
  for (auto [i, done] : llvm::enumerate(given))
    if (!done)
      return emitOpError("expected an 'exec.alloc' with 'output ") << i << "', but there is none";
  return success();
}

LogicalResult DimOp::verify() {
  // dim_c1
  auto argument = dyn_cast<BlockArgument>(getInput());
  auto entry = argument ? dyn_cast<EntryOp>(argument.getOwner()->getParentOp()) : EntryOp();
  if (!entry)
    return emitOpError("expected 'input' to be an argument of an 'exec.entry'");
  // The entry's own counts are verified after its body.
  if (argument.getArgNumber() >= entry.getInputTypes().size())
    return success();
  auto type = dyn_cast<RankedTensorType>(cast<TypeAttr>(entry.getInputTypes()[argument.getArgNumber()]).getValue());
  if (type && static_cast<int64_t>(getAxis()) >= 0 && static_cast<int64_t>(getAxis()) < type.getRank())
    return success();
  return emitOpError("expected 'axis' to be one of ") << entry.getInputTypes()[argument.getArgNumber()] << ", but got "
                                                      << static_cast<int64_t>(getAxis());
}

LogicalResult GetConstantOp::verifySymbolUses(SymbolTableCollection &tables) {
  // get_constant_c1
  if (tables.lookupNearestSymbolFrom<ConstantOp>(*this, getConstantAttr()))
    return success();
  return emitOpError("expected ") << getConstantAttr() << " to be an 'exec.constant'";
}

static LogicalResult verifyOffset(Operation *op, int64_t offset) {
  if (offset >= 0 && offset % 8 == 0)
    return success();
  return op->emitOpError("expected 'offset' to be a multiple of 8, not negative, but got ") << offset;
}

// load_c1
LogicalResult LoadOp::verify() { return verifyOffset(*this, getOffset()); }

// store_c1
LogicalResult StoreOp::verify() { return verifyOffset(*this, getOffset()); }

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &tables) {
  // dispatch_c1
  auto kernel = tables.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError("expected ") << getKernelAttr() << " to be an 'exec.kernel'";
  // dispatch_c2
  if (getBuffers().size() != kernel.getBufferCount() || getScalars().size() != kernel.getScalarCount())
    return emitOpError("expected ") << kernel.getBufferCount() << " buffers and " << kernel.getScalarCount() << " scalars for " << getKernelAttr()
                                    << ", but got " << getBuffers().size() << " and " << getScalars().size();
  return success();
}

LogicalResult KernelOp::verify() {
  // kernel_c1
  constexpr int32_t spans = 3;
  ArrayRef<Type> types = getArgumentTypes();
  size_t buffers = getBufferCount();
  if (types.size() < buffers + 3)
    return emitOpError("expected ") << buffers << " buffers, scalars, then scratch, lo and hi, but got " << types.size() << " arguments";
  auto isBytes = [](Type type) {
    auto memref = dyn_cast<MemRefType>(type);
    return memref && memref.getRank() == 1 && memref.isDynamicDim(0) && memref.getElementType().isInteger(8);
  };
  for (auto [i, kind] : llvm::enumerate(getParameters())) {
    if (kind < 0 || kind > spans)
      return emitOpError("expected a parameter kind from 0 to 3, but got ") << kind;
    if (kind == spans ? !isa<LLVM::LLVMPointerType>(types[i]) : !isBytes(types[i]))
      return emitOpError("expected buffer ") << i << " to be " << (kind == spans ? "'!llvm.ptr'" : "'memref<?xi8>'") << ", but got " << types[i];
  }
  for (size_t i = buffers; i < types.size(); ++i)
    if (i == types.size() - 3 ? !isBytes(types[i]) : !isa<IndexType>(types[i]))
      return emitOpError("expected argument ") << i << " to be " << (i == types.size() - 3 ? "'memref<?xi8>', the scratch" : "'index'") << ", but got "
                                               << types[i];
  if (!getResultTypes().empty())
    return emitOpError("expected no results, but got ") << getResultTypes().size();
  // kernel_c2
  if (static_cast<int64_t>(getScratchBytes()) < 0)
    return emitOpError("expected 'scratch_bytes' not to be negative, but got ") << static_cast<int64_t>(getScratchBytes());
  return success();
}

//===----------------------------------------------------------------------===//
// Folds
//===----------------------------------------------------------------------===//

LogicalResult CopyOp::canonicalize(CopyOp op, PatternRewriter &rewriter) {
  if (!matchPattern(op.getSize(), m_Zero()))
    return rewriter.notifyMatchFailure(op, "may copy something");
  rewriter.eraseOp(op);
  return success();
}

LogicalResult AssertOp::canonicalize(AssertOp op, PatternRewriter &rewriter) {
  if (!matchPattern(op.getCondition(), m_One()))
    return rewriter.notifyMatchFailure(op, "may not hold");
  rewriter.eraseOp(op);
  return success();
}

// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/simt/SimtFunction.h"
#include "dialect/kernel/KernelDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;

namespace {
/// The schema's ParameterKind, as exec.kernel's `parameters` holds it.
enum ParameterKind { Read = 0, Write = 1, Update = 2, Spans = 3 };
} // namespace

/// What LLVM may assume of a buffer, as on the CPU: one that is only read is not written by others unless the kernel updates one.
static DictionaryAttr bufferAttributes(Builder &b, int32_t kind, bool updates) {
  SmallVector<NamedAttribute> attributes{b.getNamedAttr("llvm.noundef", b.getUnitAttr()), b.getNamedAttr("llvm.align", b.getI64IntegerAttr(16))};
  if (kind == Write || (kind == Read && !updates))
    attributes.push_back(b.getNamedAttr("llvm.noalias", b.getUnitAttr()));
  if (kind == Read || kind == Spans)
    attributes.push_back(b.getNamedAttr("llvm.readonly", b.getUnitAttr()));
  return b.getDictionaryAttr(attributes);
}

SimtFunction::SimtFunction(exec::KernelOp kernel, StringRef symbol, int64_t block) : kernel(kernel) {
  auto module = kernel->getParentOfType<ModuleOp>();
  OpBuilder b(module.getBody(), module.getBody()->end());
  Location loc = kernel.getLoc();
  unsigned buffers = kernel.getBufferCount(), scalars = kernel.getScalarCount();
  Type global = LLVM::LLVMPointerType::get(b.getContext(), 1), i64 = b.getI64Type();
  SmallVector<Type> types(buffers, global);
  types.append(scalars, i64);
  types.append({i64, global});
  function = func::FuncOp::create(b, loc, symbol, b.getFunctionType(types, {}));
  ArrayRef<int32_t> kinds = kernel.getParameters();
  bool updates = llvm::is_contained(kinds, static_cast<int32_t>(Update));
  for (unsigned i = 0; i < buffers; ++i)
    function.setArgAttrs(i, bufferAttributes(b, kinds[i], updates));
  function.setArgAttr(buffers + scalars + 1, "llvm.align", b.getI64IntegerAttr(16));
  launch.symbol = symbol.str();
  setBlock(block);

  b.setInsertionPointToStart(function.addEntryBlock());
  SimtBuilder k(b, loc);
  IRMapping mapping;
  Block &body = kernel.getBody().front();
  for (unsigned i = 0; i < buffers; ++i) {
    Value pointer = k.generic(function.getArgument(i)), buffer = pointer;
    if (auto type = dyn_cast<MemRefType>(body.getArgument(i).getType()))
      buffer = k.asMemRef(pointer, type, {k.index(std::numeric_limits<int64_t>::max())});
    bufferOf[buffer] = i;
    mapping.map(body.getArgument(i), buffer);
  }
  for (unsigned i = 0; i < scalars; ++i) {
    Value scalar = k.fromI64(function.getArgument(buffers + i));
    scalarOf[scalar] = i;
    mapping.map(body.getArgument(buffers + i), scalar);
  }
  tiles = k.fromI64(function.getArgument(buffers + scalars));
  workspace = k.generic(function.getArgument(buffers + scalars + 1));
  // Scratch is the CPU's; what stands for it has no element, and no lowering reads it.
  Value none = k.asMemRef(workspace, cast<MemRefType>(kernel.getScratch().getType()), {k.index(0)});
  mapping.map(kernel.getScratch(), none);
  mapping.map(kernel.getLo(), k.index(0));
  mapping.map(kernel.getHi(), tiles);
  for (Operation &old : body.without_terminator()) {
    Operation *copy = b.clone(old, mapping);
    if (isa_and_present<kernel::KernelDialect>(copy->getDialect()))
      op = copy;
  }
  func::ReturnOp::create(b, loc);
  b.setInsertionPoint(op);
}

void SimtFunction::setBlock(int64_t threads) {
  function->setAttr(kBlockName, Builder(function.getContext()).getI64IntegerAttr(threads));
  launch.block = threads;
}

std::optional<Term> SimtFunction::termOf(Value value) {
  IntegerAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return Term::constant(constant.getInt());
  if (auto it = scalarOf.find(value); it != scalarOf.end())
    return Term::scalar(it->second);
  if (auto product = value.getDefiningOp<arith::MulIOp>())
    return termOf(ValueRange(product.getOperands()));
  if (auto dim = value.getDefiningOp<memref::DimOp>())
    if (auto view = dim.getSource().getDefiningOp<memref::ViewOp>())
      if (std::optional<int64_t> axis = dim.getConstantIndex())
        if (auto type = view.getType(); type.isDynamicDim(*axis))
          return termOf(view.getSizes()[type.getDynamicDimIndex(*axis)]);
  return std::nullopt;
}

std::optional<Term> SimtFunction::termOf(ValueRange values, int64_t divisor) {
  Term product = Term::constant(1);
  for (Value value : values) {
    std::optional<Term> term = termOf(value);
    if (!term || term->factor < 0 || llvm::MulOverflow(product.factor, term->factor, product.factor))
      return std::nullopt;
    product.scalars.insert(product.scalars.end(), term->scalars.begin(), term->scalars.end());
  }
  if (product.scalars.empty())
    return Term::constant(llvm::divideCeil(product.factor, divisor));
  product.divisor = divisor;
  return product;
}

std::optional<uint32_t> SimtFunction::scalarNumber(Value value) {
  std::optional<Term> term = termOf(value);
  if (term && *term == Term::scalar(term->scalars.empty() ? 0 : term->scalars.front()))
    return term->scalars.front();
  return std::nullopt;
}

Term SimtFunction::gridOf(ValueRange values, int64_t divisor, int64_t otherwise) {
  return termOf(values, divisor).value_or(Term::constant(otherwise));
}

int64_t msa::gpu::simt::bytesOf(MemRefType type) {
  int64_t bits = type.getElementType().isIndex() ? 64 : std::max<int64_t>(type.getElementTypeBitWidth(), 8);
  return type.getNumElements() * bits / 8;
}

Value SimtFunction::sharedPointer(SimtBuilder &k, int64_t bytes) {
  OpBuilder &b = k.getBuilder();
  int64_t at = llvm::alignTo(sharedSize, 16);
  sharedSize = at + bytes;
  Type whole = LLVM::LLVMArrayType::get(b.getI8Type(), sharedSize);
  if (!sharedGlobal) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(function);
    sharedGlobal = LLVM::GlobalOp::create(b, k.getLoc(), whole, /*isConstant=*/false, LLVM::Linkage::Internal,
                                          (function.getSymName() + "$shared").str(), Attribute(), /*alignment=*/16, /*addrSpace=*/3);
  }
  sharedGlobal.setGlobalType(whole);
  Value start = LLVM::AddressOfOp::create(b, k.getLoc(), LLVM::LLVMPointerType::get(b.getContext(), 3), sharedGlobal.getSymName());
  return k.generic(k.offset(start, k.index(at)));
}

Value msa::gpu::simt::baseOf(Value memref) {
  while (Operation *from = memref.getDefiningOp()) {
    if (auto transposed = dyn_cast<memref::TransposeOp>(from))
      memref = transposed.getIn();
    else if (auto view = dyn_cast<ViewLikeOpInterface>(from))
      memref = view.getViewSource();
    else
      break;
  }
  return memref;
}

std::optional<int32_t> SimtFunction::parameterKind(Value memref) {
  auto it = bufferOf.find(baseOf(memref));
  if (it == bufferOf.end())
    return std::nullopt;
  return kernel.getParameters()[it->second];
}

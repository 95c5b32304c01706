// SPDX-License-Identifier: Apache-2.0
//===- LowerKernelsToLLVM.cpp - kernels become functions of the ABI -------===//
//
//   exec.kernel @k(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
//
// becomes the function of runtime/kernel_abi.h, which unpacks its arguments and calls an internal one:
//
//   llvm.func @k(%buffers: !llvm.ptr, %scalars: !llvm.ptr, %scratch: !llvm.ptr, %lo: i64, %hi: i64)
//   llvm.func internal @k.body(%in: !llvm.ptr {noalias, readonly}, %out: !llvm.ptr {noalias}, %n: i64, ...)
//
// The second function exists for its arguments: what LLVM may assume of aliasing is said there once, instead of by
// metadata on every access. A buffer that is only written aliases nothing. One that is only read is `noalias` unless
// the kernel updates another in place, for the two may then be the same memory.
//
// No fast-math flag is set anywhere: a fused multiply-add is `math.fma` in the IR or it is not fused. Otherwise LLVM
// could contract one copy of a loop body (a peeled or unrolled one) and not another, and a result would depend on how
// tiles were split.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace msa::cpu {
#define GEN_PASS_DEF_LOWERKERNELSTOLLVM
#include "codegen/cpu/Passes.h.inc"
} // namespace msa::cpu

void msa::cpu::addConversionToLLVM(OpPassManager &lower) {
  OpPassManager &function = lower.nest<func::FuncOp>();
  function.addPass(createConvertVectorToSCFPass());
  function.addPass(memref::createExpandStridedMetadataPass());
  function.addPass(createLowerAffinePass());
  function.addPass(createSCFToControlFlowPass());
  lower.addPass(createConvertVectorToLLVMPass());
  lower.nest<func::FuncOp>().addPass(createConvertMathToLLVMPass());
  lower.addPass(createUBToLLVMConversionPass());
  lower.addPass(createFinalizeMemRefToLLVMConversionPass());
  lower.addPass(createArithToLLVMConversionPass());
  lower.addPass(createConvertIndexToLLVMPass());
  lower.addPass(createConvertFuncToLLVMPass());
  lower.addPass(createConvertControlFlowToLLVMPass());
  lower.addPass(createReconcileUnrealizedCastsPass());
}

namespace {

/// The schema's ParameterKind, as exec.kernel's `parameters` holds it.
enum class ParameterKind { Read = 0, Write = 1, Update = 2, Spans = 3 };

/// Moves every alloca to the entry block: one inside a loop would grow the stack with each iteration.
LogicalResult hoistAllocas(msa::exec::KernelOp kernel) {
  Block &entry = kernel.getBody().front();
  Operation *first = nullptr;
  WalkResult result = kernel.walk([&](Operation *op) {
    if (isa<memref::AllocOp>(op)) {
      op->emitOpError("allocates memory in kernel '") << kernel.getSymName() << "', which a kernel never does";
      return WalkResult::interrupt();
    }
    auto alloca = dyn_cast<memref::AllocaOp>(op);
    if (!alloca)
      return WalkResult::advance();
    if (!alloca.getType().hasStaticShape() || !alloca.getSymbolOperands().empty()) {
      alloca.emitOpError("expected a static size in kernel '") << kernel.getSymName() << "', but got " << alloca.getType();
      return WalkResult::interrupt();
    }
    if (first)
      alloca->moveAfter(first);
    else
      alloca->moveBefore(&entry, entry.begin());
    first = alloca;
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// A descriptor for a buffer whose size the kernel does not know: bounds are the commands' business.
Value describeBuffer(ImplicitLocOpBuilder &b, Value pointer, MemRefType type) {
  Type pointerType = pointer.getType(), i64 = b.getI64Type();
  Type array = LLVM::LLVMArrayType::get(i64, 1);
  auto structType = LLVM::LLVMStructType::getLiteral(b.getContext(), {pointerType, pointerType, i64, array, array});
  Value zero = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(0));
  Value one = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(1));
  Value size = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(std::numeric_limits<int64_t>::max()));
  Value descriptor = LLVM::PoisonOp::create(b, structType);
  descriptor = LLVM::InsertValueOp::create(b, descriptor, pointer, ArrayRef<int64_t>{0});
  descriptor = LLVM::InsertValueOp::create(b, descriptor, pointer, ArrayRef<int64_t>{1});
  descriptor = LLVM::InsertValueOp::create(b, descriptor, zero, ArrayRef<int64_t>{2});
  descriptor = LLVM::InsertValueOp::create(b, descriptor, size, ArrayRef<int64_t>{3, 0});
  descriptor = LLVM::InsertValueOp::create(b, descriptor, one, ArrayRef<int64_t>{4, 0});
  return UnrealizedConversionCastOp::create(b, TypeRange{type}, ValueRange{descriptor}).getResult(0);
}

/// What LLVM may assume of each buffer pointer.
DictionaryAttr bufferAttributes(Builder &b, ParameterKind kind, bool updates) {
  SmallVector<NamedAttribute> attributes{b.getNamedAttr("llvm.noundef", b.getUnitAttr())};
  if (kind == ParameterKind::Write || (kind == ParameterKind::Read && !updates))
    attributes.push_back(b.getNamedAttr("llvm.noalias", b.getUnitAttr()));
  if (kind == ParameterKind::Read || kind == ParameterKind::Spans)
    attributes.push_back(b.getNamedAttr("llvm.readonly", b.getUnitAttr()));
  return b.getDictionaryAttr(attributes);
}

void convertKernel(msa::exec::KernelOp kernel) {
  ImplicitLocOpBuilder b(kernel.getLoc(), kernel);
  Type pointer = LLVM::LLVMPointerType::get(b.getContext()), i64 = b.getI64Type();
  unsigned buffers = kernel.getBufferCount(), scalars = kernel.getScalarCount();
  ArrayRef<int32_t> kinds = kernel.getParameters();
  bool updates = llvm::is_contained(kinds, static_cast<int32_t>(ParameterKind::Update));
  std::string name = kernel.getSymName().str();

  SmallVector<Type> types(buffers, pointer);
  types.append(scalars, i64);
  types.append({pointer, i64, i64});
  auto body = func::FuncOp::create(b, name + ".body", b.getFunctionType(types, {}));
  body->setAttr("llvm.linkage", LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  body->setAttr("passthrough", b.getArrayAttr({b.getStringAttr("noinline"), b.getStringAttr("nounwind")}));
  for (unsigned i = 0; i < buffers; ++i)
    body.setArgAttrs(i, bufferAttributes(b, static_cast<ParameterKind>(kinds[i]), updates));
  body.setArgAttrs(buffers + scalars, b.getDictionaryAttr({b.getNamedAttr("llvm.align", b.getI64IntegerAttr(64)),
                                                           b.getNamedAttr("llvm.noalias", b.getUnitAttr()),
                                                           b.getNamedAttr("llvm.noundef", b.getUnitAttr())}));

  auto entry = func::FuncOp::create(b, name, b.getFunctionType({pointer, pointer, pointer, i64, i64}, {}));
  entry->setAttr("passthrough", b.getArrayAttr({b.getStringAttr("nounwind")}));

  body.getBody().takeBody(kernel.getBody());
  Block &block = body.getBody().front();
  b.setInsertionPointToStart(&block);
  for (BlockArgument argument : block.getArguments()) {
    Type type = argument.getType();
    if (isa<LLVM::LLVMPointerType>(type))
      continue;
    argument.setType(types[argument.getArgNumber()]);
    Value value;
    if (auto memref = dyn_cast<MemRefType>(type))
      value = describeBuffer(b, argument, memref);
    else
      value = arith::IndexCastOp::create(b, type, argument);
    argument.replaceUsesWithIf(value, [&](OpOperand &use) {
      Operation *owner = use.getOwner();
      return !isa<LLVM::InsertValueOp>(owner) && owner != value.getDefiningOp();
    });
  }
  body.walk([](msa::exec::EndOp end) {
    OpBuilder builder(end);
    func::ReturnOp::create(builder, end.getLoc());
    end.erase();
  });

  b.setInsertionPointToStart(entry.addEntryBlock());
  auto loadAt = [&](Value base, Type type, int32_t index) -> Value {
    Value address = LLVM::GEPOp::create(b, pointer, type, base, ArrayRef<LLVM::GEPArg>{index});
    return LLVM::LoadOp::create(b, type, address, /*alignment=*/8);
  };
  SmallVector<Value> arguments;
  for (unsigned i = 0; i < buffers; ++i)
    arguments.push_back(loadAt(entry.getArgument(0), pointer, i));
  for (unsigned i = 0; i < scalars; ++i)
    arguments.push_back(loadAt(entry.getArgument(1), i64, i));
  llvm::append_range(arguments, entry.getArguments().drop_front(2));
  func::CallOp::create(b, body, arguments);
  func::ReturnOp::create(b);
  kernel.erase();
}

struct LowerKernelsToLLVM : msa::cpu::impl::LowerKernelsToLLVMBase<LowerKernelsToLLVM> {
  using LowerKernelsToLLVMBase::LowerKernelsToLLVMBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (Operation &op : *module.getBody())
      if (!isa<msa::exec::KernelOp>(op)) {
        op.emitOpError("expected nothing but 'exec.kernel' in a module of kernels");
        return signalPassFailure();
      }

    OpPassManager before(ModuleOp::getOperationName());
    before.addPass(msa::cpu::createStoreAsIntegers());
    before.addPass(msa::cpu::createExpandMath());
    if (failed(runPipeline(before, module)))
      return signalPassFailure();

    for (msa::exec::KernelOp kernel : llvm::make_early_inc_range(module.getOps<msa::exec::KernelOp>())) {
      if (failed(hoistAllocas(kernel)))
        return signalPassFailure();
      convertKernel(kernel);
    }

    OpPassManager lower(ModuleOp::getOperationName());
    msa::cpu::addConversionToLLVM(lower);
    if (failed(runPipeline(lower, module)))
      return signalPassFailure();
  }
};
} // namespace

// SPDX-License-Identifier: Apache-2.0
//===- StoreAsIntegers.cpp - bools, bf16 and f8 in memory are integers ----===//
//
//   %v = vector.load %mask[%i] : memref<?xi1>, vector<16xi1>
//   %w = vector.load %x[%i] : memref<?xbf16>, vector<16xbf16>
//
// becomes
//
//   %b = vector.load %mask[%i] : memref<?xi8>, vector<16xi8>
//   %v = arith.cmpi ne, %b, 0
//   %c = vector.load %x[%i] : memref<?xi16>, vector<16xi16>
//   %w = arith.bitcast %c : vector<16xi16> to vector<16xbf16>
//
// LLVM's `load <16 x i1>` reads 16 bits, while tensors of bools hold a byte for each: any byte but 0 reads as true, 1
// is written. And on processors without bf16 instructions LLVM calls functions for whatever it does to a bf16 value; as
// bits until they are converted (ExpandMath.cpp), it does nothing to them. It has no f8E4M3FN at all.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace msa::cpu {
#define GEN_PASS_DEF_STOREASINTEGERS
#include "codegen/cpu/Passes.h.inc"
} // namespace msa::cpu

namespace {

/// The type that elements of type `element` have in memory, or null where that is `element` itself.
Type storedElement(Type element) {
  if (element.isInteger(1) || isa<Float8E4M3FNType>(element))
    return IntegerType::get(element.getContext(), 8);
  if (element.isBF16())
    return IntegerType::get(element.getContext(), 16);
  return {};
}

bool isAffected(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  return memref && storedElement(memref.getElementType());
}

/// The stored type of a scalar or vector.
Type stored(Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(storedElement(vector.getElementType()));
  return storedElement(type);
}

Value toStored(OpBuilder &b, Location loc, Value value) {
  Type type = stored(value.getType());
  if (isa<FloatType>(getElementTypeOrSelf(value.getType())))
    return arith::BitcastOp::create(b, loc, type, value);
  return arith::ExtUIOp::create(b, loc, type, value);
}

/// Gives the loaded `value` its stored type and hands its users what it was.
void convertLoaded(Value value) {
  OpBuilder b(value.getContext());
  b.setInsertionPointAfterValue(value);
  Type type = value.getType();
  Location loc = value.getLoc();
  value.setType(stored(type));
  if (isa<FloatType>(getElementTypeOrSelf(type))) {
    auto bits = arith::BitcastOp::create(b, loc, type, value);
    value.replaceAllUsesExcept(bits, bits);
    return;
  }
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(value.getType()));
  auto truth = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value, zero);
  value.replaceAllUsesExcept(truth, truth);
}

/// Converts the values that an access takes and gives. False where the op has no rule.
bool convertAccess(Operation *op) {
  OpBuilder b(op);
  auto convertOperand = [&](OpOperand &operand) { operand.set(toStored(b, op->getLoc(), operand.get())); };
  if (isa<memref::LoadOp, vector::LoadOp>(op)) {
    convertLoaded(op->getResult(0));
  } else if (isa<memref::StoreOp, vector::StoreOp>(op)) {
    convertOperand(op->getOpOperand(0));
  } else if (auto load = dyn_cast<vector::MaskedLoadOp>(op)) {
    convertOperand(load.getPassThruMutable());
    convertLoaded(load.getResult());
  } else if (auto gather = dyn_cast<vector::GatherOp>(op)) {
    convertOperand(gather.getPassThruMutable());
    convertLoaded(gather.getResult());
  } else if (auto store = dyn_cast<vector::MaskedStoreOp>(op)) {
    convertOperand(store.getValueToStoreMutable());
  } else if (auto scatter = dyn_cast<vector::ScatterOp>(op)) {
    convertOperand(scatter.getValueToStoreMutable());
  } else {
    // Views and control flow pass a memref on; nothing else may touch one.
    return llvm::none_of(op->getOperandTypes(), isAffected) || isa<ViewLikeOpInterface>(op) ||
           isa<memref::CopyOp, memref::DimOp, memref::PrefetchOp, memref::ExtractStridedMetadataOp, memref::TransposeOp>(op) ||
           isa<BranchOpInterface, RegionBranchOpInterface, RegionBranchTerminatorOpInterface>(op);
  }
  return true;
}

struct StoreAsIntegers : msa::cpu::impl::StoreAsIntegersBase<StoreAsIntegers> {
  void runOnOperation() override {
    SmallVector<Operation *> accesses;
    SmallVector<Value> values;
    getOperation().walk([&](Operation *op) {
      if (llvm::any_of(op->getOperandTypes(), isAffected))
        accesses.push_back(op);
      for (Value result : op->getResults())
        if (isAffected(result.getType()))
          values.push_back(result);
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (BlockArgument argument : block.getArguments())
            if (isAffected(argument.getType()))
              values.push_back(argument);
    });
    for (Operation *op : accesses)
      if (!convertAccess(op)) {
        op->emitOpError("expected a load, a store or a view of a memref of i1, bf16 or f8E4M3FN");
        return signalPassFailure();
      }
    for (Value value : values) {
      auto type = cast<MemRefType>(value.getType());
      value.setType(MemRefType::get(type.getShape(), storedElement(type.getElementType()), type.getLayout(),
                                    type.getMemorySpace()));
    }
  }
};
} // namespace

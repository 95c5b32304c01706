// SPDX-License-Identifier: Apache-2.0
//===- WidenBools.cpp - a bool in memory is a byte ------------------------===//
//
//   %v = vector.load %mask[%i] : memref<?xi1>, vector<16xi1>
//
// becomes
//
//   %b = vector.load %mask[%i] : memref<?xi8>, vector<16xi8>
//   %v = arith.cmpi ne, %b, 0
//
// LLVM's `load <16 x i1>` reads 16 bits, while tensors of bools hold a byte for each. Any byte but 0 reads as true;
// 1 is written.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace msa::cpu {
#define GEN_PASS_DEF_WIDENBOOLS
#include "codegen/cpu/Passes.h.inc"
} // namespace msa::cpu

namespace {

bool isBoolMemRef(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  return memref && memref.getElementType().isInteger(1);
}

/// i1 or a vector of it with bytes for elements.
Type widened(Type type) {
  Type byte = IntegerType::get(type.getContext(), 8);
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(byte);
  return byte;
}

Value widen(OpBuilder &b, Location loc, Value value) {
  return arith::ExtUIOp::create(b, loc, widened(value.getType()), value);
}

/// Gives the loaded `value` its wide type and hands its users what it was.
void narrowUses(Value value) {
  OpBuilder b(value.getContext());
  b.setInsertionPointAfterValue(value);
  value.setType(widened(value.getType()));
  Value zero = arith::ConstantOp::create(b, value.getLoc(), b.getZeroAttr(value.getType()));
  auto narrow = arith::CmpIOp::create(b, value.getLoc(), arith::CmpIPredicate::ne, value, zero);
  value.replaceAllUsesExcept(narrow, narrow);
}

/// Widens the value operands of an access. False where the op has no rule.
bool convertAccess(Operation *op) {
  OpBuilder b(op);
  auto widenOperand = [&](OpOperand &operand) { operand.set(widen(b, op->getLoc(), operand.get())); };
  if (isa<memref::LoadOp, vector::LoadOp>(op)) {
    narrowUses(op->getResult(0));
  } else if (isa<memref::StoreOp, vector::StoreOp>(op)) {
    widenOperand(op->getOpOperand(0));
  } else if (auto load = dyn_cast<vector::MaskedLoadOp>(op)) {
    widenOperand(load.getPassThruMutable());
    narrowUses(load.getResult());
  } else if (auto gather = dyn_cast<vector::GatherOp>(op)) {
    widenOperand(gather.getPassThruMutable());
    narrowUses(gather.getResult());
  } else if (auto store = dyn_cast<vector::MaskedStoreOp>(op)) {
    widenOperand(store.getValueToStoreMutable());
  } else if (auto scatter = dyn_cast<vector::ScatterOp>(op)) {
    widenOperand(scatter.getValueToStoreMutable());
  } else {
    // Views and control flow pass a memref on; nothing else may touch one.
    return llvm::none_of(op->getOperandTypes(), isBoolMemRef) || isa<ViewLikeOpInterface>(op) ||
           isa<memref::CopyOp, memref::DimOp, memref::ExtractStridedMetadataOp>(op) ||
           isa<BranchOpInterface, RegionBranchOpInterface, RegionBranchTerminatorOpInterface>(op);
  }
  return true;
}

struct WidenBools : msa::cpu::impl::WidenBoolsBase<WidenBools> {
  void runOnOperation() override {
    SmallVector<Operation *> accesses;
    SmallVector<Value> values;
    getOperation().walk([&](Operation *op) {
      if (llvm::any_of(op->getOperandTypes(), isBoolMemRef))
        accesses.push_back(op);
      for (Value result : op->getResults())
        if (isBoolMemRef(result.getType()))
          values.push_back(result);
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (BlockArgument argument : block.getArguments())
            if (isBoolMemRef(argument.getType()))
              values.push_back(argument);
    });
    for (Operation *op : accesses)
      if (!convertAccess(op)) {
        op->emitOpError("expected a load, a store or a view of a memref of i1");
        return signalPassFailure();
      }
    for (Value value : values) {
      auto type = cast<MemRefType>(value.getType());
      value.setType(MemRefType::get(type.getShape(), IntegerType::get(&getContext(), 8), type.getLayout(), type.getMemorySpace()));
    }
  }
};
} // namespace

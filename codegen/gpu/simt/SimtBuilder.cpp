// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/simt/SimtBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace msa::gpu::simt;
using Values = msa::cpu::KernelBuilder::Values;

/// One lane: what the builder of the CPU then makes is scalar code.
static const msa::cpu::CPUTarget &oneLane() {
  static const msa::cpu::CPUTarget target{"", "", "", /*lanes=*/1, /*registers=*/255};
  return target;
}

SimtBuilder::SimtBuilder(OpBuilder &builder, Location loc) : KernelBuilder(builder, loc, oneLane()) {}

// -- Who a thread is -----------------------------------------------------------------------------------------------------------

template <typename Op> static Value readRegister(SimtBuilder &k) {
  OpBuilder &b = k.getBuilder();
  // Registers hold unsigned numbers below 2^31.
  Value number = Op::create(b, k.getLoc(), b.getI32Type());
  return arith::IndexCastUIOp::create(b, k.getLoc(), b.getIndexType(), number);
}

Value SimtBuilder::thread() { return readRegister<NVVM::ThreadIdXOp>(*this); }

Value SimtBuilder::block(int axis) {
  return axis == 0   ? readRegister<NVVM::BlockIdXOp>(*this)
         : axis == 1 ? readRegister<NVVM::BlockIdYOp>(*this)
                     : readRegister<NVVM::BlockIdZOp>(*this);
}

Value SimtBuilder::blocks(int axis) {
  return axis == 0   ? readRegister<NVVM::GridDimXOp>(*this)
         : axis == 1 ? readRegister<NVVM::GridDimYOp>(*this)
                     : readRegister<NVVM::GridDimZOp>(*this);
}

// -- Loops ---------------------------------------------------------------------------------------------------------------------

void SimtBuilder::forStride(Value lo, Value hi, Value step, function_ref<void(Value)> body) {
  forStride(lo, hi, step, {}, [&](Value iv, ValueRange) -> Values {
    body(iv);
    return {};
  });
}

Values SimtBuilder::forStride(Value lo, Value hi, Value step, ValueRange init, function_ref<Values(Value, ValueRange)> body) {
  OpBuilder &b = getBuilder();
  auto loop = scf::ForOp::create(b, getLoc(), lo, hi, step, init);
  {
    OpBuilder::InsertionGuard guard(b);
    if (init.empty())
      b.setInsertionPoint(loop.getBody()->getTerminator());
    else
      b.setInsertionPointToEnd(loop.getBody());
    Values results = body(loop.getInductionVar(), loop.getRegionIterArgs());
    if (!init.empty())
      scf::YieldOp::create(b, getLoc(), results);
  }
  return Values(loop.getResults());
}

// -- Waiting and exchange --------------------------------------------------------------------------------------------------------

Value SimtBuilder::i32(int32_t value) { return arith::ConstantIntOp::create(getBuilder(), getLoc(), value, 32); }
Value SimtBuilder::i64(int64_t value) { return arith::ConstantIntOp::create(getBuilder(), getLoc(), value, 64); }
Value SimtBuilder::trueValue() { return arith::ConstantIntOp::create(getBuilder(), getLoc(), 1, 1); }

void SimtBuilder::syncWarp() { NVVM::SyncWarpOp::create(getBuilder(), getLoc(), i32(-1)); }
void SimtBuilder::syncBlock() { NVVM::Barrier0Op::create(getBuilder(), getLoc()); }

/// A shuffle moves 32 bits: smaller types are widened, larger ones moved in two halves.
Value SimtBuilder::shuffleBits(Value value, function_ref<Value(Value)> shuffle32) {
  OpBuilder &b = getBuilder();
  Location loc = getLoc();
  Type type = value.getType();
  if (type.isInteger(32) || type.isF32())
    return shuffle32(value);
  if (type.isIndex()) {
    Value integer = shuffleBits(arith::IndexCastOp::create(b, loc, b.getI64Type(), value), shuffle32);
    return arith::IndexCastOp::create(b, loc, type, integer);
  }
  unsigned width = type.getIntOrFloatBitWidth();
  Type integer = b.getIntegerType(width);
  if (!type.isInteger())
    return arith::BitcastOp::create(b, loc, type, shuffleBits(arith::BitcastOp::create(b, loc, integer, value), shuffle32));
  if (width < 32)
    return arith::TruncIOp::create(b, loc, type, shuffle32(arith::ExtUIOp::create(b, loc, b.getI32Type(), value)));
  assert(width == 64 && "no such scalar");
  Value shift = i64(32);
  Value low = shuffle32(arith::TruncIOp::create(b, loc, b.getI32Type(), value));
  Value high = shuffle32(arith::TruncIOp::create(b, loc, b.getI32Type(), arith::ShRUIOp::create(b, loc, value, shift)));
  Value wide = arith::ShLIOp::create(b, loc, arith::ExtUIOp::create(b, loc, type, high), shift);
  return arith::OrIOp::create(b, loc, wide, arith::ExtUIOp::create(b, loc, type, low));
}

Value SimtBuilder::shuffleXor(Value value, int32_t mask) {
  return shuffleBits(value, [&](Value bits) -> Value {
    return NVVM::ShflOp::create(getBuilder(), getLoc(), bits.getType(), i32(-1), bits, i32(mask), i32(31), NVVM::ShflKind::bfly, UnitAttr());
  });
}

Value SimtBuilder::shuffle(Value value, Value source) {
  return shuffleBits(value, [&](Value bits) -> Value {
    return NVVM::ShflOp::create(getBuilder(), getLoc(), bits.getType(), i32(-1), bits, source, i32(31), NVVM::ShflKind::idx, UnitAttr());
  });
}

Value SimtBuilder::ballot(Value predicate) {
  return NVVM::VoteSyncOp::create(getBuilder(), getLoc(), getBuilder().getI32Type(), i32(-1), predicate, NVVM::VoteSyncKind::ballot);
}

Value SimtBuilder::reduceWarp(cpu::Combiner kind, Value value) {
  // Both partners of an exchange combine the same two values, and every operation here commutes: all lanes end with equal bits.
  for (int32_t mask = kWarp / 2; mask > 0; mask /= 2)
    value = cpu::combine(getBuilder(), getLoc(), kind, value, shuffleXor(value, mask));
  return value;
}

// -- Numbers -------------------------------------------------------------------------------------------------------------------

Value SimtBuilder::exp2Approximate(Value x) {
  return LLVM::CallIntrinsicOp::create(getBuilder(), getLoc(), getBuilder().getF32Type(),
                                       getBuilder().getStringAttr("llvm.nvvm.ex2.approx.ftz.f"), ValueRange{x})
      .getResult(0);
}

Value SimtBuilder::maximum(Value a, Value b) { return arith::MaximumFOp::create(getBuilder(), getLoc(), a, b); }
Value SimtBuilder::toI32(Value index) { return arith::IndexCastOp::create(getBuilder(), getLoc(), getBuilder().getI32Type(), index); }
Value SimtBuilder::toI64(Value index) { return arith::IndexCastOp::create(getBuilder(), getLoc(), getBuilder().getI64Type(), index); }
Value SimtBuilder::fromI64(Value integer) {
  return arith::IndexCastOp::create(getBuilder(), getLoc(), getBuilder().getIndexType(), integer);
}

// -- Memory --------------------------------------------------------------------------------------------------------------------

Values SimtBuilder::loadFour(Value memref, ValueRange indices, bool aligned) {
  OpBuilder &b = getBuilder();
  auto type = cast<MemRefType>(memref.getType());
  Values values, at(indices);
  Value last = at.back();
  // bf16 is read as what it is in memory only by scalar code (StoreAsIntegers), which is fast enough.
  aligned &= type.getElementType().isF32() || type.getElementType().isF16();
  if (aligned) {
    uint64_t bytes = 4 * type.getElementTypeBitWidth() / 8;
    Value vector = vector::LoadOp::create(b, getLoc(), VectorType::get(4, type.getElementType()), memref, at, /*nontemporal=*/false, llvm::MaybeAlign(bytes));
    for (int64_t i = 0; i < 4; ++i)
      values.push_back(toF32(vector::ExtractOp::create(b, getLoc(), vector, i)));
    return values;
  }
  for (int64_t i = 0; i < 4; ++i) {
    at.back() = add(last, i);
    values.push_back(load(memref, at));
  }
  return values;
}

void SimtBuilder::storeFour(ValueRange values, Value memref, ValueRange indices, bool aligned) {
  OpBuilder &b = getBuilder();
  auto type = cast<MemRefType>(memref.getType());
  Values at(indices);
  Value last = at.back();
  if (aligned && type.getElementType().isF32()) {
    Value vector = vector::FromElementsOp::create(b, getLoc(), VectorType::get(4, type.getElementType()), values);
    vector::StoreOp::create(b, getLoc(), vector, memref, at, /*nontemporal=*/false, llvm::MaybeAlign(16));
    return;
  }
  for (auto [i, value] : llvm::enumerate(values)) {
    at.back() = add(last, static_cast<int64_t>(i));
    store(value, memref, at);
  }
}

Value SimtBuilder::generic(Value pointer) {
  auto type = LLVM::LLVMPointerType::get(getBuilder().getContext());
  if (pointer.getType() == type)
    return pointer;
  return LLVM::AddrSpaceCastOp::create(getBuilder(), getLoc(), type, pointer);
}

Value SimtBuilder::offset(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(getBuilder(), getLoc(), pointer.getType(), getBuilder().getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{toI64(bytes)});
}

Value SimtBuilder::asMemRef(Value pointer, MemRefType type, ValueRange dims) {
  OpBuilder &b = getBuilder();
  Location loc = getLoc();
  int64_t rank = type.getRank();
  Type i64Type = b.getI64Type();
  SmallVector<Type> fields{pointer.getType(), pointer.getType(), i64Type};
  if (rank)
    fields.append(2, LLVM::LLVMArrayType::get(i64Type, rank));
  auto structType = LLVM::LLVMStructType::getLiteral(b.getContext(), fields);
  Value descriptor = LLVM::PoisonOp::create(b, loc, structType);
  auto insert = [&](Value value, ArrayRef<int64_t> at) { descriptor = LLVM::InsertValueOp::create(b, loc, descriptor, value, at); };
  insert(pointer, {0});
  insert(pointer, {1});
  insert(i64(0), {2});
  SmallVector<Value> sizes;
  for (int64_t size : type.getShape()) {
    if (!ShapedType::isDynamic(size)) {
      sizes.push_back(i64(size));
      continue;
    }
    sizes.push_back(toI64(dims.front()));
    dims = dims.drop_front();
  }
  Value stride = i64(1);
  for (int64_t axis = rank - 1; axis >= 0; --axis) {
    insert(sizes[axis], {3, axis});
    insert(stride, {4, axis});
    stride = b.createOrFold<arith::MulIOp>(loc, stride, sizes[axis]);
  }
  return UnrealizedConversionCastOp::create(b, loc, TypeRange{type}, ValueRange{descriptor}).getResult(0);
}

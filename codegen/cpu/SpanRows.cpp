// SPDX-License-Identifier: Apache-2.0

#include "codegen/cpu/SpanRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "runtime/kernel_abi.h"
#include <cstddef>

using namespace mlir;
using namespace msa::cpu;

static Type pointerType(KernelBuilder &k) { return LLVM::LLVMPointerType::get(k.getBuilder().getContext()); }

static Value toI64(KernelBuilder &k, Value index) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getI64Type(), index);
}

static Value toIndex(KernelBuilder &k, Value integer) {
  return arith::IndexCastOp::create(k.getBuilder(), k.getLoc(), k.getBuilder().getIndexType(), integer);
}

Value msa::cpu::offsetPointer(KernelBuilder &k, Value pointer, Value bytes, int64_t constant) {
  OpBuilder &b = k.getBuilder();
  if (bytes)
    pointer = LLVM::GEPOp::create(b, k.getLoc(), pointerType(k), b.getI8Type(), pointer,
                                  ArrayRef<LLVM::GEPArg>{toI64(k, bytes)});
  if (constant)
    pointer = LLVM::GEPOp::create(b, k.getLoc(), pointerType(k), b.getI8Type(), pointer,
                                  ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(constant)});
  return pointer;
}

Value msa::cpu::loadElements(KernelBuilder &k, Value pointer, Type element, int64_t lanes, int64_t active) {
  OpBuilder &b = k.getBuilder();
  if (isa<Float8E4M3FNType>(element)) // which LLVM does not know
    return arith::BitcastOp::create(b, k.getLoc(), VectorType::get(lanes, element), loadElements(k, pointer, b.getI8Type(), lanes, active));
  auto type = VectorType::get(lanes, element);
  unsigned alignment = element.getIntOrFloatBitWidth() / 8;
  if (active >= lanes)
    return LLVM::LoadOp::create(b, k.getLoc(), type, pointer, alignment);
  SmallVector<bool> bits(lanes, false);
  std::fill_n(bits.begin(), active, true);
  Value mask = arith::ConstantOp::create(b, k.getLoc(), DenseElementsAttr::get(VectorType::get(lanes, b.getI1Type()), bits));
  Value zero = arith::ConstantOp::create(b, k.getLoc(), b.getZeroAttr(type));
  return LLVM::MaskedLoadOp::create(b, k.getLoc(), type, pointer, mask, zero, alignment);
}

SpanRows::SpanRows(KernelBuilder &k, Value list, int64_t row, Type element)
    : k(k), bytes(row * element.getIntOrFloatBitWidth() / 8) {
  OpBuilder &b = k.getBuilder();
  spans = LLVM::LoadOp::create(b, k.getLoc(), pointerType(k), offsetPointer(k, list, {}, offsetof(msa_span_list, spans)), 8);
  count = toIndex(k, LLVM::LoadOp::create(b, k.getLoc(), b.getI64Type(),
                                          offsetPointer(k, list, {}, offsetof(msa_span_list, count)), 8));
}

Value SpanRows::loadField(Value cursor, int64_t offset, Type type) {
  Value field = offsetPointer(k, spans, k.mul(cursor, sizeof(msa_span)), offset);
  return LLVM::LoadOp::create(k.getBuilder(), k.getLoc(), type, field, 8);
}

Value SpanRows::firstRow(Value cursor) {
  return toIndex(k, loadField(cursor, offsetof(msa_span, first), k.getBuilder().getI64Type()));
}

Value SpanRows::find(Value row) {
  // Invariant: the span is one of [low, low + length).
  KernelBuilder::Values found = k.whileLoop(
      {k.index(0), count}, [&](ValueRange carried) { return k.less(k.index(1), carried[1]); },
      [&](ValueRange carried) -> KernelBuilder::Values {
        Value half = k.div(carried[1], 2);
        Value middle = k.add(carried[0], half);
        Value above = k.lessEqual(firstRow(middle), row);
        return {k.select(above, middle, carried[0]), k.select(above, k.sub(carried[1], half), half)};
      });
  return found[0];
}

Value SpanRows::holds(Value cursor, Value row) {
  Value first = firstRow(cursor);
  Value rows = toIndex(k, loadField(cursor, offsetof(msa_span, rows), k.getBuilder().getI64Type()));
  return k.andI(k.lessEqual(first, row), k.less(row, k.add(first, rows)));
}

Value SpanRows::advance(Value cursor, Value row) {
  auto beyond = [&](ValueRange carried) {
    Value rows = toIndex(k, loadField(carried[0], offsetof(msa_span, rows), k.getBuilder().getI64Type()));
    return k.lessEqual(k.add(firstRow(carried[0]), rows), row);
  };
  return k.whileLoop({cursor}, beyond,
                     [&](ValueRange carried) -> KernelBuilder::Values { return {k.add(carried[0], 1)}; })[0];
}

Value SpanRows::address(Value cursor, Value row) {
  Value data = loadField(cursor, offsetof(msa_span, data), pointerType(k));
  return offsetPointer(k, data, k.mul(k.sub(row, firstRow(cursor)), bytes));
}

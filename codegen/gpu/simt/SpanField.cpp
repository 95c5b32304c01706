// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/simt/SpanField.h"
#include "runtime/kernel_abi.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include <cstddef>

using namespace mlir;
using namespace msa::gpu::simt;

SpanField::SpanField(SimtBuilder &k, Value list, int64_t row, Type element) : k(k), length(row), element(element) {
  OpBuilder &b = k.getBuilder();
  Type pointer = LLVM::LLVMPointerType::get(b.getContext()), global = LLVM::LLVMPointerType::get(b.getContext(), 1), i64 = b.getI64Type();
  auto load = [&](Value from, int64_t offset, Type type) -> Value { return LLVM::LoadOp::create(b, k.getLoc(), type, k.offset(from, k.index(offset)), 8); };
  Value count = k.fromI64(load(list, offsetof(msa_span_list, rows), i64));
  // An address in global memory, which LLVM cannot know of a pointer that was read.
  Value data = k.ifThenElse(
      k.less(k.index(0), count),
      [&]() -> SimtBuilder::Values {
        Value spans = LLVM::AddrSpaceCastOp::create(b, k.getLoc(), global, load(list, offsetof(msa_span_list, spans), pointer));
        Value first = LLVM::LoadOp::create(b, k.getLoc(), i64, k.offset(spans, k.index(offsetof(msa_span, data))), 8);
        return {first};
      },
      [&]() -> SimtBuilder::Values { return {k.i64(0)}; })[0];
  start = k.generic(LLVM::IntToPtrOp::create(b, k.getLoc(), global, data));
  rows = k.asMemRef(start, MemRefType::get({ShapedType::kDynamic, row}, element), {count});
}

Value SpanField::row(Value number) {
  int64_t bytes = length * element.getIntOrFloatBitWidth() / 8;
  return k.asMemRef(k.offset(start, k.mul(number, bytes)), MemRefType::get({length}, element));
}

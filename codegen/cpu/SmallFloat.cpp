// SPDX-License-Identifier: Apache-2.0
//===- SmallFloat.cpp - f8E4M3FN to f32 and back --------------------------===//
//
// Said in integers, which every processor has; no conversion of LLVM's is used. Seven bits of a f8E4M3FN are an exponent of four bits
// (bias 7) and three of mantissa, all of them ones is NaN, and there are no infinities.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace msa::cpu;

/// The type of `value` (a scalar or a vector) with another element type.
static Type withElement(Value value, Type element) {
  auto vector = dyn_cast<VectorType>(value.getType());
  return vector ? Type(vector.clone(element)) : element;
}

Value KernelBuilder::toScaledF32(Value value) {
  // Moved to the upper end of a f16, the same bits are a number of the same mantissa with another bias: 2^-8 of it, subnormal ones too.
  // A number is extended by its sign, so that bit 14 is a copy of the sign; what belongs there is 1 for a NaN, which adding one to the
  // lowest bit of the mantissa carries there, and 0 for all others.
  Type i16 = withElement(value, builder.getI16Type());
  auto constant = [&](int32_t number) { return arith::ConstantOp::create(builder, loc, splatInteger(i16, number)); };
  Value bits = arith::BitcastOp::create(builder, loc, withElement(value, builder.getI8Type()), value);
  bits = arith::ShLIOp::create(builder, loc, arith::ExtSIOp::create(builder, loc, i16, bits), constant(7));
  Value carried = arith::XOrIOp::create(builder, loc, arith::AddIOp::create(builder, loc, bits, constant(0x80)), bits);
  Value others = arith::AndIOp::create(builder, loc, bits, constant(int16_t(0xbfff)));
  bits = arith::OrIOp::create(builder, loc, others, arith::AndIOp::create(builder, loc, carried, constant(0x4000)));
  Value half = arith::BitcastOp::create(builder, loc, withElement(value, builder.getF16Type()), bits);
  return arith::ExtFOp::create(builder, loc, withElement(value, builder.getF32Type()), half);
}

Value KernelBuilder::smallFromF32(Value value) {
  Type i32 = withElement(value, builder.getI32Type()), i8 = withElement(value, builder.getI8Type());
  auto constant = [&](int32_t number) { return arith::ConstantOp::create(builder, loc, splatInteger(i32, number)); };
  Value bits = arith::BitcastOp::create(builder, loc, i32, value);
  Value sign = arith::AndIOp::create(builder, loc, arith::ShRUIOp::create(builder, loc, bits, constant(24)), constant(0x80));
  Value magnitude = arith::AndIOp::create(builder, loc, bits, constant(0x7fffffff));
  Value nan = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sgt, magnitude, constant(0x7f800000));
  magnitude = arith::MinSIOp::create(builder, loc, magnitude, constant(0x43e00000)); // 448
  // To nearest even: add just under one half, and the bit that decides a tie. Then the other bias.
  Value odd = arith::AndIOp::create(builder, loc, arith::ShRUIOp::create(builder, loc, magnitude, constant(20)), constant(1));
  Value rounded = arith::AddIOp::create(builder, loc, magnitude, arith::AddIOp::create(builder, loc, odd, constant(0x7ffff)));
  Value normal = arith::SubIOp::create(builder, loc, arith::ShRUIOp::create(builder, loc, rounded, constant(20)), constant((127 - 7) << 3));
  // Below 2^-6 numbers are multiples of 2^-9, as are those of f32 from 2^14 on: an addition there rounds.
  Value magic = arith::BitcastOp::create(builder, loc, value.getType(), constant((127 + 14) << 23));
  Value shifted = addF(arith::BitcastOp::create(builder, loc, value.getType(), magnitude), magic);
  Value subnormal = arith::SubIOp::create(builder, loc, arith::BitcastOp::create(builder, loc, i32, shifted), constant((127 + 14) << 23));
  Value tiny = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, magnitude, constant((127 - 6) << 23));
  Value result = arith::SelectOp::create(builder, loc, tiny, subnormal, normal);
  result = arith::SelectOp::create(builder, loc, nan, constant(0x7f), result);
  Value narrow = arith::TruncIOp::create(builder, loc, i8, arith::OrIOp::create(builder, loc, result, sign));
  return arith::BitcastOp::create(builder, loc, withElement(value, Float8E4M3FNType::get(builder.getContext())), narrow);
}

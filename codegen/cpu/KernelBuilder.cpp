// SPDX-License-Identifier: Apache-2.0

#include "codegen/cpu/KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <numeric>

using namespace mlir;
using msa::cpu::KernelBuilder;
using Values = KernelBuilder::Values;

//===----------------------------------------------------------------------===//
// Index arithmetic
//===----------------------------------------------------------------------===//

namespace {
std::optional<int64_t> constantOf(Value value) {
  IntegerAttr attribute;
  if (matchPattern(value, m_Constant(&attribute)))
    return attribute.getInt();
  return std::nullopt;
}
} // namespace

Value KernelBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }
Value KernelBuilder::add(Value a, Value b) { return builder.createOrFold<arith::AddIOp>(loc, a, b); }
Value KernelBuilder::sub(Value a, Value b) { return builder.createOrFold<arith::SubIOp>(loc, a, b); }
Value KernelBuilder::mul(Value a, Value b) { return builder.createOrFold<arith::MulIOp>(loc, a, b); }
Value KernelBuilder::div(Value a, Value b) { return builder.createOrFold<arith::DivUIOp>(loc, a, b); }
Value KernelBuilder::rem(Value a, Value b) { return builder.createOrFold<arith::RemUIOp>(loc, a, b); }
Value KernelBuilder::min(Value a, Value b) { return builder.createOrFold<arith::MinSIOp>(loc, a, b); }
Value KernelBuilder::max(Value a, Value b) { return builder.createOrFold<arith::MaxSIOp>(loc, a, b); }

Value KernelBuilder::dim(Value memref, int64_t axis) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(axis))
    return index(type.getDimSize(axis));
  return memref::DimOp::create(builder, loc, memref, axis);
}

Value KernelBuilder::less(Value a, Value b) {
  return builder.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, a, b);
}
Value KernelBuilder::lessEqual(Value a, Value b) {
  return builder.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::sle, a, b);
}
Value KernelBuilder::equal(Value a, Value b) {
  return builder.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, a, b);
}
Value KernelBuilder::notEqual(Value a, Value b) {
  return builder.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::ne, a, b);
}
Value KernelBuilder::select(Value condition, Value a, Value b) {
  return builder.createOrFold<arith::SelectOp>(loc, condition, a, b);
}
Value KernelBuilder::andI(Value a, Value b) { return builder.createOrFold<arith::AndIOp>(loc, a, b); }
Value KernelBuilder::orI(Value a, Value b) { return builder.createOrFold<arith::OrIOp>(loc, a, b); }

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

void KernelBuilder::forLoop(Value lo, Value hi, int64_t step, function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(builder, loc, lo, hi, index(step));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(loop.getBody()->getTerminator());
  body(loop.getInductionVar());
}

Values KernelBuilder::forLoop(Value lo, Value hi, int64_t step, ValueRange init,
                              function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder, loc, lo, hi, index(step), init);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(loop.getBody());
    if (init.empty()) // the terminator is there already
      builder.setInsertionPoint(loop.getBody()->getTerminator());
    Values results = body(loop.getInductionVar(), loop.getRegionIterArgs());
    if (!init.empty())
      scf::YieldOp::create(builder, loc, results);
  }
  return Values(loop.getResults());
}

void KernelBuilder::ifThen(Value condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op.thenBlock()->getTerminator());
  then();
}

void KernelBuilder::ifThenElse(Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
  auto op = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op.thenBlock()->getTerminator());
  then();
  builder.setInsertionPoint(op.elseBlock()->getTerminator());
  otherwise();
}

Values KernelBuilder::ifThenElse(Value condition, function_ref<Values()> then, function_ref<Values()> otherwise) {
  auto build = [](function_ref<Values()> body) {
    return [body](OpBuilder &nested, Location loc) { scf::YieldOp::create(nested, loc, body()); };
  };
  // The bodies insert through `builder`, so it has to follow the regions that scf creates with a builder of its own.
  auto follow = [&](auto inner) {
    return [this, inner](OpBuilder &nested, Location loc) {
      OpBuilder::InsertionGuard guard(builder);
      builder.restoreInsertionPoint(nested.saveInsertionPoint());
      inner(builder, loc);
    };
  };
  auto op = scf::IfOp::create(builder, loc, condition, follow(build(then)), follow(build(otherwise)));
  return Values(op.getResults());
}

Values KernelBuilder::whileLoop(ValueRange init, function_ref<Value(ValueRange)> condition,
                                function_ref<Values(ValueRange)> body) {
  SmallVector<Type> types(init.getTypes());
  SmallVector<Location> locs(types.size(), loc);
  auto loop = scf::WhileOp::create(builder, loc, types, init);
  OpBuilder::InsertionGuard guard(builder);
  Block *before = builder.createBlock(&loop.getBefore(), {}, types, locs);
  Value holds = condition(before->getArguments());
  scf::ConditionOp::create(builder, loc, holds, before->getArguments());
  Block *after = builder.createBlock(&loop.getAfter(), {}, types, locs);
  Values results = body(after->getArguments());
  scf::YieldOp::create(builder, loc, results);
  return Values(loop.getResults());
}

void KernelBuilder::forVectors(Value count, function_ref<void(Value, Value)> body) {
  Value whole = sub(count, rem(count, vectorLanes));
  std::optional<int64_t> constant = constantOf(count);
  if (!constant || *constant >= vectorLanes)
    forLoop(index(0), whole, vectorLanes, [&](Value offset) { body(offset, {}); });
  if (constant && *constant % vectorLanes == 0)
    return;
  auto rest = [&] { body(whole, mask(sub(count, whole))); };
  if (constant)
    rest();
  else
    ifThen(less(whole, count), rest);
}

//===----------------------------------------------------------------------===//
// Vectors and scalars
//===----------------------------------------------------------------------===//

VectorType KernelBuilder::vectorType(int64_t lanes) { return VectorType::get({lanes}, builder.getF32Type()); }
VectorType KernelBuilder::maskType() { return VectorType::get({vectorLanes}, builder.getI1Type()); }

Value KernelBuilder::scalar(double value) {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(static_cast<float>(value)));
}
Value KernelBuilder::splat(double value) {
  return arith::ConstantOp::create(builder, loc,
                                   DenseElementsAttr::get(vectorType(), llvm::APFloat(static_cast<float>(value))));
}
Value KernelBuilder::constantLike(Value like, double value) {
  auto type = dyn_cast<VectorType>(like.getType());
  if (!type)
    return scalar(value);
  return arith::ConstantOp::create(builder, loc,
                                   DenseElementsAttr::get(type, llvm::APFloat(static_cast<float>(value))));
}
Value KernelBuilder::broadcast(Value scalar) {
  return vector::BroadcastOp::create(builder, loc, VectorType::get({vectorLanes}, scalar.getType()), scalar);
}
Value KernelBuilder::mask(Value count) {
  if (std::optional<int64_t> constant = constantOf(count))
    return vector::ConstantMaskOp::create(builder, loc, maskType(),
                                          ArrayRef<int64_t>{std::clamp<int64_t>(*constant, 0, vectorLanes)});
  return vector::CreateMaskOp::create(builder, loc, maskType(), count);
}

// Not vector.fma: that is LLVM's fmuladd, which need not be fused.
Value KernelBuilder::fma(Value a, Value b, Value c) { return math::FmaOp::create(builder, loc, a, b, c); }
Value KernelBuilder::addF(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
Value KernelBuilder::subF(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
Value KernelBuilder::mulF(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
Value KernelBuilder::divF(Value a, Value b) { return arith::DivFOp::create(builder, loc, a, b); }
Value KernelBuilder::sqrt(Value a) { return math::SqrtOp::create(builder, loc, a); }
// Without nnan and nsz LLVM emits compares around every maximum; neither flag can change what a number compares to.
static constexpr arith::FastMathFlags maximumFlags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
Value KernelBuilder::maxF(Value a, Value b) { return arith::MaxNumFOp::create(builder, loc, a, b, maximumFlags); }
Value KernelBuilder::lessF(Value a, Value b) {
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, a, b);
}
Value KernelBuilder::equalF(Value a, Value b) {
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, a, b);
}

Value KernelBuilder::reduce(Value vector, function_ref<Value(Value, Value)> combine) {
  int64_t lanes = cast<VectorType>(vector.getType()).getDimSize(0);
  for (int64_t half = lanes / 2; half > 0; half /= 2) {
    auto part = [&](int64_t offset) {
      return vector::ExtractStridedSliceOp::create(builder, loc, vector, ArrayRef<int64_t>{offset},
                                                   ArrayRef<int64_t>{half}, ArrayRef<int64_t>{1});
    };
    Value low = part(0), high = part(half);
    vector = combine(low, high);
  }
  return vector::ExtractOp::create(builder, loc, vector, ArrayRef<int64_t>{0});
}
Value KernelBuilder::reduceAdd(Value vector) {
  return reduce(vector, [&](Value a, Value b) { return addF(a, b); });
}
Value KernelBuilder::reduceMax(Value vector) {
  return reduce(vector, [&](Value a, Value b) { return maxF(a, b); });
}

Value KernelBuilder::reduceAddEach(ValueRange vectors) {
  assert(static_cast<int64_t>(vectors.size()) == vectorLanes && "one vector for each lane");
  Values level(vectors);
  // A vector holds groups of `group` partial sums, one group for each vector that went into it. Two vectors become one
  // with twice as many groups of half the size.
  for (int64_t group = vectorLanes; group > 1; group /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t start = 0; start < 2 * vectorLanes; start += group)
      for (int64_t i = 0; i < group / 2; ++i) {
        low.push_back(start + i);
        high.push_back(start + group / 2 + i);
      }
    Values next;
    for (size_t i = 0; i + 1 < level.size(); i += 2) {
      Value a = vector::ShuffleOp::create(builder, loc, level[i], level[i + 1], low);
      Value b = vector::ShuffleOp::create(builder, loc, level[i], level[i + 1], high);
      next.push_back(addF(a, b));
    }
    level = next;
  }
  return level.front();
}

Values KernelBuilder::transpose(ValueRange rows) {
  assert(static_cast<int64_t>(rows.size()) == vectorLanes && "a square block");
  Values block(rows);
  for (int64_t size = vectorLanes / 2; size > 0; size /= 2) {
    // Swaps the off-diagonal quarters of every block of 2 * size.
    SmallVector<int64_t> upper, lower;
    for (int64_t lane = 0; lane < vectorLanes; ++lane) {
      bool right = lane & size;
      upper.push_back(right ? vectorLanes + lane - size : lane);
      lower.push_back(right ? vectorLanes + lane : lane + size);
    }
    for (int64_t i = 0; i < vectorLanes; ++i) {
      if (i & size)
        continue;
      Value a = block[i], c = block[i + size];
      block[i] = vector::ShuffleOp::create(builder, loc, a, c, upper);
      block[i + size] = vector::ShuffleOp::create(builder, loc, a, c, lower);
    }
  }
  return block;
}

Value KernelBuilder::laneNumbers() {
  SmallVector<int32_t> numbers(vectorLanes);
  std::iota(numbers.begin(), numbers.end(), 0);
  auto type = VectorType::get({vectorLanes}, builder.getI32Type());
  return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
}

//===----------------------------------------------------------------------===//
// Exponential
//===----------------------------------------------------------------------===//

namespace {
// Adding 1.5 * 2^23 rounds a float of small magnitude to an integer, which then stands in the low mantissa bits.
constexpr double roundingMagic = 12582912.0;
// 2^f = 1 + f c[0] + f^2 c[1] + .. on [-1/2, 1/2], minimax for the relative error: 2e-9 before rounding, 0.95 ulp after
// it.
constexpr double exp2Coefficients[] = {0.6931471824645996,   0.24022647738456726,   0.055503323674201965,
                                       0.009618437848985195, 0.0013398887822404504, 0.00015353351773228496};
} // namespace

Value KernelBuilder::polynomial(Value f, ArrayRef<double> coefficients) {
  Value p = constantLike(f, coefficients.back());
  for (double coefficient : llvm::reverse(coefficients.drop_back()))
    p = fma(p, f, constantLike(f, coefficient));
  return fma(p, f, constantLike(f, 1.0));
}

Value KernelBuilder::intConstantLike(Value like, int32_t value) {
  auto type = cast<VectorType>(like.getType()).clone(builder.getI32Type());
  return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, builder.getI32IntegerAttr(value)));
}

Value KernelBuilder::bitCast(Value vector, Type element) {
  return vector::BitCastOp::create(builder, loc, cast<VectorType>(vector.getType()).clone(element), vector);
}

Value KernelBuilder::exp2NonPositive(Value x) {
  Value low = lessF(x, constantLike(x, -126.0));
  x = select(low, constantLike(x, -126.0), x);
  Value shifted = addF(x, constantLike(x, roundingMagic));
  Value f = subF(x, subF(shifted, constantLike(x, roundingMagic)));
  // The integer's low byte moves up to the exponent; what was above it falls off.
  Value n = arith::ShLIOp::create(builder, loc, bitCast(shifted, builder.getI32Type()), intConstantLike(x, 23));
  Value bits = arith::AddIOp::create(builder, loc, bitCast(polynomial(f, exp2Coefficients), builder.getI32Type()), n);
  return select(low, constantLike(x, 0.0), bitCast(bits, builder.getF32Type()));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static Type elementOf(Value memref) { return cast<MemRefType>(memref.getType()).getElementType(); }

/// The type of `value` (a scalar or a vector) with another element type.
static Type withElement(Value value, Type element) {
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    return vector.clone(element);
  return element;
}

Value KernelBuilder::toF32(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element.isF32())
    return value;
  if (isa<Float8E4M3FNType>(element)) {
    Value scaled = toScaledF32(value);
    return mulF(scaled, constantLike(scaled, 256.0));
  }
  if (!element.isBF16())
    return arith::ExtFOp::create(builder, loc, withElement(value, builder.getF32Type()), value);
  // bf16 is the upper half of f32. Said in integers, since LLVM may call a function for the conversion.
  Type i32 = withElement(value, builder.getI32Type());
  Value bits = arith::BitcastOp::create(builder, loc, withElement(value, builder.getI16Type()), value);
  bits = arith::ExtUIOp::create(builder, loc, i32, bits);
  Value sixteen = arith::ConstantOp::create(builder, loc, splatInteger(i32, 16));
  bits = arith::ShLIOp::create(builder, loc, bits, sixteen);
  return arith::BitcastOp::create(builder, loc, withElement(value, builder.getF32Type()), bits);
}

TypedAttr KernelBuilder::splatInteger(Type type, int32_t value) {
  auto element = cast<IntegerType>(getElementTypeOrSelf(type));
  auto attribute = builder.getIntegerAttr(element, value);
  if (auto vector = dyn_cast<VectorType>(type))
    return DenseElementsAttr::get(vector, attribute);
  return attribute;
}

Value KernelBuilder::fromF32(Value value, Type element) {
  if (element.isF32())
    return value;
  if (isa<Float8E4M3FNType>(element))
    return smallFromF32(value);
  if (!element.isBF16())
    return arith::TruncFOp::create(builder, loc, withElement(value, element), value);
  Type i32 = withElement(value, builder.getI32Type()), i16 = withElement(value, builder.getI16Type());
  auto constant = [&](int32_t number) { return arith::ConstantOp::create(builder, loc, splatInteger(i32, number)); };
  Value bits = arith::BitcastOp::create(builder, loc, i32, value);
  Value upper = arith::ShRUIOp::create(builder, loc, bits, constant(16));
  // To nearest even: add just under one half, and the bit that decides a tie.
  Value odd = arith::AndIOp::create(builder, loc, upper, constant(1));
  Value rounded = arith::AddIOp::create(builder, loc, bits, arith::AddIOp::create(builder, loc, odd, constant(0x7fff)));
  rounded = arith::ShRUIOp::create(builder, loc, rounded, constant(16));
  // A NaN stays one: rounding could carry it to infinity, cutting it to zero mantissa bits.
  Value quiet = arith::OrIOp::create(builder, loc, upper, constant(0x40));
  Value nan = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNO, value, value);
  Value narrow = arith::TruncIOp::create(builder, loc, i16, arith::SelectOp::create(builder, loc, nan, quiet, rounded));
  return arith::BitcastOp::create(builder, loc, withElement(value, element), narrow);
}

Value KernelBuilder::loadRaw(Value memref, ValueRange indices) {
  return memref::LoadOp::create(builder, loc, memref, indices);
}
void KernelBuilder::storeRaw(Value value, Value memref, ValueRange indices) {
  memref::StoreOp::create(builder, loc, value, memref, indices);
}
Value KernelBuilder::loadRawVector(Value memref, ValueRange indices, Value mask) {
  auto type = VectorType::get({vectorLanes}, elementOf(memref));
  if (!mask)
    return vector::LoadOp::create(builder, loc, type, memref, indices);
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  return vector::MaskedLoadOp::create(builder, loc, type, memref, indices, mask, zero);
}

void KernelBuilder::storeRawVector(Value vector, Value memref, ValueRange indices, Value mask) {
  if (mask)
    vector::MaskedStoreOp::create(builder, loc, memref, indices, mask, vector);
  else
    vector::StoreOp::create(builder, loc, vector, memref, indices);
}

Value KernelBuilder::load(Value memref, ValueRange indices) { return toF32(loadRaw(memref, indices)); }
void KernelBuilder::store(Value scalar, Value memref, ValueRange indices) {
  storeRaw(fromF32(scalar, elementOf(memref)), memref, indices);
}
Value KernelBuilder::loadVector(Value memref, ValueRange indices, Value mask) {
  return toF32(loadRawVector(memref, indices, mask));
}
void KernelBuilder::storeVector(Value vector, Value memref, ValueRange indices, Value mask) {
  storeRawVector(fromF32(vector, elementOf(memref)), memref, indices, mask);
}

Value KernelBuilder::carve(Value scratch, int64_t byteOffset, ArrayRef<int64_t> shape, Type element) {
  return memref::ViewOp::create(builder, loc, MemRefType::get(shape, element), scratch, index(byteOffset),
                                ValueRange{});
}

//===----------------------------------------------------------------------===//
// The micro-kernel
//===----------------------------------------------------------------------===//

Values KernelBuilder::multiply(int64_t rows, int64_t columns, Value begin, Value end, ValueRange accumulators,
                               function_ref<Value(int64_t, Value)> a, function_ref<Value(Value, int64_t)> b) {
  constexpr int64_t unroll = 4;
  auto step = [&](Value k, Values &sums) {
    Values right;
    for (int64_t j = 0; j < columns; ++j)
      right.push_back(b(k, j));
    for (int64_t i = 0; i < rows; ++i) {
      Value left = broadcast(a(i, k));
      for (int64_t j = 0; j < columns; ++j)
        sums[i * columns + j] = fma(left, right[j], sums[i * columns + j]);
    }
  };
  // The part that four divides, then what is left: the same chain, whatever the trip count.
  Value whole = sub(end, rem(sub(end, begin), unroll));
  std::optional<int64_t> constantBegin = constantOf(begin), constantEnd = constantOf(end),
                         constantWhole = constantOf(whole);
  Values sums(accumulators);
  if (!constantBegin || constantWhole != constantBegin)
    sums = forLoop(begin, whole, unroll, sums, [&](Value k, ValueRange carried) {
      Values inner(carried);
      for (int64_t u = 0; u < unroll; ++u)
        step(add(k, u), inner);
      return inner;
    });
  if (constantWhole && constantEnd) {
    for (int64_t k = *constantWhole; k < *constantEnd; ++k)
      step(index(k), sums);
    return sums;
  }
  return forLoop(whole, end, 1, sums, [&](Value k, ValueRange carried) {
    Values inner(carried);
    step(k, inner);
    return inner;
  });
}

// SPDX-License-Identifier: Apache-2.0
//===- KernelBuilder.h - the micro-kernel builder -------------------------===//
//
// What the lowerings of kernel ops write loops with: index arithmetic that folds, loops that take lambdas, and vectors
// of f32 as wide as the processor's registers. Memory may hold f32, f16, bf16 or f8E4M3FN; the conversion is part of the access,
// and everything between a load and a store is f32.
//
// Three rules keep results independent of how work is cut:
//   - a product is accumulated by `multiply`, one chain of fused multiply-adds for each element, in ascending k;
//   - horizontal sums halve the vector, always in the same order;
//   - no fast-math flag is set, other than on maxima, where it cannot change a value.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_CPU_KERNELBUILDER_H
#define MSA_CODEGEN_CPU_KERNELBUILDER_H

#include "codegen/cpu/CPUTarget.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <type_traits>

namespace msa::cpu {

class KernelBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Values = llvm::SmallVector<mlir::Value>;

  /// Inserts where `builder` stands. Vectors have `target.lanes` elements unless stated.
  KernelBuilder(mlir::OpBuilder &builder, mlir::Location loc, const CPUTarget &target)
      : builder(builder), loc(loc), vectorLanes(target.lanes) {}

  mlir::OpBuilder &getBuilder() { return builder; }
  mlir::Location getLoc() const { return loc; }
  int64_t lanes() const { return vectorLanes; }

  //===--- Index arithmetic. Operands are nonnegative, divisors positive; constants fold. ---===//
  Value index(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return add(a, index(b)); }
  Value sub(Value a, Value b);
  Value sub(Value a, int64_t b) { return sub(a, index(b)); }
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b) { return mul(a, index(b)); }
  Value div(Value a, Value b); ///< rounds down
  Value div(Value a, int64_t b) { return div(a, index(b)); }
  Value rem(Value a, Value b);
  Value rem(Value a, int64_t b) { return rem(a, index(b)); }
  Value ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), b); }
  Value roundUp(Value a, int64_t b) { return mul(ceilDiv(a, b), b); }
  Value min(Value a, Value b); ///< signed, as is `max`: also for differences that may be negative
  Value min(Value a, int64_t b) { return min(a, index(b)); }
  Value max(Value a, Value b);
  Value max(Value a, int64_t b) { return max(a, index(b)); }
  Value dim(Value memref, int64_t axis);

  /// i1 of a signed comparison of two indices (or integers of one type).
  Value less(Value a, Value b);
  Value lessEqual(Value a, Value b);
  Value equal(Value a, Value b);
  Value notEqual(Value a, Value b);
  Value select(Value condition, Value a, Value b);
  Value andI(Value a, Value b);
  Value orI(Value a, Value b);

  //===--- Control flow. `step` is positive. ---===//
  void forLoop(Value lo, Value hi, int64_t step, llvm::function_ref<void(Value iv)> body);
  Values forLoop(Value lo, Value hi, int64_t step, ValueRange init,
                 llvm::function_ref<Values(Value iv, ValueRange carried)> body);
  void ifThen(Value condition, llvm::function_ref<void()> then);
  void ifThenElse(Value condition, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise);
  Values ifThenElse(Value condition, llvm::function_ref<Values()> then, llvm::function_ref<Values()> otherwise);
  /// For lambdas that give values, which would fit both of the above.
  template <typename Then, typename Otherwise>
    requires std::is_same_v<std::invoke_result_t<Then &>, Values>
  Values ifThenElse(Value condition, Then &&then, Otherwise &&otherwise) {
    return ifThenElse(condition, llvm::function_ref<Values()>(then), llvm::function_ref<Values()>(otherwise));
  }
  /// Runs `body` while `condition` of the carried values holds; gives the last carried values.
  Values whileLoop(ValueRange init, llvm::function_ref<Value(ValueRange carried)> condition,
                   llvm::function_ref<Values(ValueRange carried)> body);
  /// Covers [0, count) with vectors: `body(offset, mask)`, mask null for whole vectors, then one masked vector for the
  /// rest if there is one. A constant count leaves no branch.
  void forVectors(Value count, llvm::function_ref<void(Value offset, Value mask)> body);

  //===--- Vectors and scalars of f32. ---===//
  mlir::VectorType vectorType() { return vectorType(vectorLanes); }
  mlir::VectorType vectorType(int64_t lanes);
  mlir::VectorType maskType();
  Value scalar(double value); ///< f32 constant
  Value splat(double value);  ///< vector constant
  Value zero() { return splat(0.0); }
  Value broadcast(Value scalar);
  /// i1 vector: the first `count` lanes. Any count, also negative or above the number of lanes.
  Value mask(Value count);
  Value fma(Value a, Value b, Value c); ///< a * b + c, rounded once; vectors
  Value addF(Value a, Value b);
  Value subF(Value a, Value b);
  Value mulF(Value a, Value b);
  Value divF(Value a, Value b);
  Value sqrt(Value a);
  Value maxF(Value a, Value b);  ///< a NaN is ignored or kept, whichever is faster
  Value lessF(Value a, Value b); ///< i1, ordered
  Value equalF(Value a, Value b);

  /// One element, a function of nothing but the lanes' values: halves the vector until one lane is left.
  Value reduceAdd(Value vector);
  Value reduceMax(Value vector);
  /// `vectors` (one for each lane) to one vector whose lane i is the sum of vector i, in the order of `reduceAdd`.
  Value reduceAddEach(ValueRange vectors);

  /// 2^x within 1 ulp, for x <= 0 or NaN: 1 at 0, 0 below -126. What softmax needs, in few steps; `math.exp` and the
  /// like are for the expand-math pass.
  Value exp2NonPositive(Value x);

  /// `lanes` vectors as the rows of a square to its columns.
  Values transpose(ValueRange rows);
  /// 0, 1, 2, .. as i32.
  Value laneNumbers();

  //===--- Memory. Elements are f32, f16, bf16 or f8E4M3FN, values f32. ---===//
  Value load(Value memref, ValueRange indices);
  void store(Value scalar, Value memref, ValueRange indices);
  /// `lanes` consecutive elements of the last dimension, whose stride is 1. Lanes outside `mask` read as 0 and their
  /// memory is not touched.
  Value loadVector(Value memref, ValueRange indices, Value mask = {});
  void storeVector(Value vector, Value memref, ValueRange indices, Value mask = {});
  /// The conversions of the accesses: a float scalar or vector to f32, and f32 to the scalar type `element`, rounded to
  /// nearest even.
  Value toF32(Value value);
  Value fromF32(Value value, mlir::Type element);
  /// f32: 2^-8 of a f8E4M3FN, which is one step less than the number itself.
  Value toScaledF32(Value value);
  /// Loads and stores without conversion (any element type).
  Value loadRaw(Value memref, ValueRange indices);
  void storeRaw(Value value, Value memref, ValueRange indices);
  Value loadRawVector(Value memref, ValueRange indices, Value mask = {});
  void storeRawVector(Value vector, Value memref, ValueRange indices, Value mask = {});

  /// A typed view of `shape` at a byte offset of the i8 scratch memref. Keep offsets multiples of 64.
  Value carve(Value scratch, int64_t byteOffset, llvm::ArrayRef<int64_t> shape, mlir::Type element);
  Value carve(Value scratch, int64_t byteOffset, llvm::ArrayRef<int64_t> shape) {
    return carve(scratch, byteOffset, shape, builder.getF32Type());
  }

  //===--- The micro-kernel. ---===//
  /// For k in [begin, end) ascending: accumulator[i * columns + j] += a(i, k) * b(k, j), i < rows, j < columns, where
  /// `a` gives a scalar f32 and `b` a vector. Everything stays in registers if rows * columns + columns + 1 fit.
  /// The loop is unrolled four times.
  Values multiply(int64_t rows, int64_t columns, Value begin, Value end, ValueRange accumulators,
                  llvm::function_ref<Value(int64_t i, Value k)> a, llvm::function_ref<Value(Value k, int64_t j)> b);

private:
  Value smallFromF32(Value value); ///< to f8E4M3FN; too large values become the largest number
  Value constantLike(Value like, double value);
  Value intConstantLike(Value like, int32_t value);
  mlir::TypedAttr splatInteger(mlir::Type type, int32_t value);
  Value bitCast(Value vector, mlir::Type element);
  Value polynomial(Value f, llvm::ArrayRef<double> coefficients);
  Value reduce(Value vector, llvm::function_ref<Value(Value, Value)> combine);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  int64_t vectorLanes;
};

} // namespace msa::cpu

#endif // MSA_CODEGEN_CPU_KERNELBUILDER_H

// SPDX-License-Identifier: Apache-2.0
//===- SimtBuilder.h - scalar code for every thread of a grid -------------===//
//
// The micro-kernel builder of the CPU with one lane, and what a GPU adds to it: who a thread is, how threads wait for each other, and how
// they exchange values. Memory may hold f32, f16 or bf16; everything between a load and a store is f32.
//
// Pointers are generic here; LLVM's inference of address spaces makes accesses to global and shared memory of them.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_SIMT_SIMTBUILDER_H
#define MSA_CODEGEN_GPU_SIMT_SIMTBUILDER_H

#include "codegen/cpu/KernelBuilder.h"
#include "codegen/cpu/LinalgBodies.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace msa::gpu::simt {

inline constexpr int64_t kWarp = 32;

class SimtBuilder : public cpu::KernelBuilder {
public:
  SimtBuilder(mlir::OpBuilder &builder, mlir::Location loc);

  //===--- Who a thread is: indices. ---===//
  Value thread(); ///< in its block
  Value block(int axis = 0);
  Value blocks(int axis = 0); ///< of the grid
  Value lane() { return rem(thread(), kWarp); }
  Value warp() { return div(thread(), kWarp); }

  //===--- Loops whose step is a value. ---===//
  void forStride(Value lo, Value hi, Value step, llvm::function_ref<void(Value iv)> body);
  Values forStride(Value lo, Value hi, Value step, ValueRange init, llvm::function_ref<Values(Value iv, ValueRange carried)> body);

  //===--- Waiting. Every thread of the warp or block comes here. ---===//
  void syncWarp();
  void syncBlock();

  //===--- Exchange in a warp; all 32 lanes come here. ---===//
  /// The value of lane `lane ^ mask`, of any scalar type.
  Value shuffleXor(Value value, int32_t mask);
  /// The value of lane `source` (i32), of any scalar type.
  Value shuffle(Value value, Value source);
  /// i32: bit i is lane i's `predicate`.
  Value ballot(Value predicate);
  /// The values of all lanes combined, in one order, the same in every lane.
  Value reduceWarp(cpu::Combiner kind, Value value);

  //===--- Numbers. ---===//
  /// 2^x by the processor's approximation, which is within 2 units in the last place; 0 where the result would be subnormal.
  Value exp2Approximate(Value x);
  /// IEEE maximum: NaN wins.
  Value maximum(Value a, Value b);
  Value ceilDivide(Value a, Value b) { return div(sub(add(a, b), 1), b); }
  Value toI32(Value index);
  Value toI64(Value index);
  Value fromI64(Value integer); ///< to index
  Value i32(int32_t value);
  Value i64(int64_t value);
  Value trueValue();

  //===--- Memory. ---===//
  /// Four neighbouring elements of the last dim as f32 values, and the other way; `aligned`: by one access of 16 (8 for 16-bit types) bytes.
  Values loadFour(Value memref, ValueRange indices, bool aligned);
  void storeFour(ValueRange values, Value memref, ValueRange indices, bool aligned);
  /// `pointer` (generic) as a memref of `type`, row-major. Dynamic dims in order.
  Value asMemRef(Value pointer, mlir::MemRefType type, ValueRange dims = {});
  /// A generic pointer for one of global memory or shared memory.
  Value generic(Value pointer);
  Value offset(Value pointer, Value bytes);

private:
  Value shuffleBits(Value value, llvm::function_ref<Value(Value)> shuffle32);
};

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_SIMTBUILDER_H

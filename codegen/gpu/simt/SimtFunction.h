// SPDX-License-Identifier: Apache-2.0
//===- SimtFunction.h - a kernel's function in the making -----------------===//
//
//   exec.kernel @k(%in: memref<?xi8>, %out: memref<?xi8>, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index) { body }
//
// becomes, with the parameters of docs/design/0002-gpu-variant.md,
//
//   func.func @k(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>, %n: i64, %tiles: i64, %workspace: !llvm.ptr<1>) { body }
//
// where a lowering then replaces the kernel op of the copied body by code for every thread. A kernel of several launches is copied
// as often.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_SIMT_SIMTFUNCTION_H
#define MSA_CODEGEN_GPU_SIMT_SIMTFUNCTION_H

#include "codegen/gpu/Launch.h"
#include "codegen/gpu/simt/SimtBuilder.h"
#include "dialect/exec/ExecDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace msa::gpu::simt {

/// What `func.func`s hold until they become `llvm.func`s: threads of a block.
inline constexpr llvm::StringLiteral kBlockName = "msa.block";

/// Shared memory that a block has on every GPU without asking for more.
inline constexpr int64_t kSharedBytes = 48 * 1024;

/// Bytes of a memref of static shape; a boolean takes one.
int64_t bytesOf(mlir::MemRefType type);

class SimtFunction {
public:
  /// Makes the function at the end of the kernel's module.
  SimtFunction(exec::KernelOp kernel, llvm::StringRef symbol, int64_t block);

  mlir::func::FuncOp getFunction() { return function; }
  /// The copy of the kernel's only op of the kernel dialect.
  mlir::Operation *getOp() { return op; }
  template <typename Op> Op getOp() { return mlir::cast<Op>(op); }
  /// What is said of it in the launch table; grid and workspace are the lowering's to set.
  Launch &getLaunch() { return launch; }
  void setBlock(int64_t threads);

  /// The kernel's tiles as the dispatch names them: an index.
  mlir::Value getTiles() { return tiles; }
  /// Generic pointer.
  mlir::Value getWorkspace() { return workspace; }

  /// `value` (an index of the body before the kernel op) as a product of scalars and constants; nothing if it is something else.
  std::optional<Term> termOf(mlir::Value value);
  /// The product of several, divided by `divisor`, rounded up.
  std::optional<Term> termOf(mlir::ValueRange values, int64_t divisor = 1);
  /// The number of the scalar that `value` is, if it is one.
  std::optional<uint32_t> scalarNumber(mlir::Value value);
  /// For a grid: that term, or else `otherwise` blocks, since a kernel does all of its work whatever the grid.
  Term gridOf(mlir::ValueRange values, int64_t divisor = 1, int64_t otherwise = 264);

  /// A generic pointer to static shared memory of so many bytes, 16-byte aligned.
  mlir::Value sharedPointer(SimtBuilder &k, int64_t bytes);
  /// The same as a memref of static shape.
  mlir::Value shared(SimtBuilder &k, mlir::MemRefType type) { return k.asMemRef(sharedPointer(k, bytesOf(type)), type); }
  int64_t sharedBytes() const { return sharedSize; }

  /// The parameter kind (schema) of the buffer that `memref` is a view of; nothing for shared memory and the like.
  std::optional<int32_t> parameterKind(mlir::Value memref);

private:
  exec::KernelOp kernel;
  mlir::func::FuncOp function;
  mlir::Operation *op = nullptr;
  mlir::LLVM::GlobalOp sharedGlobal;
  int64_t sharedSize = 0;
  mlir::Value tiles, workspace;
  llvm::DenseMap<mlir::Value, unsigned> scalarOf; ///< index values of the copy -> number of the scalar
  llvm::DenseMap<mlir::Value, unsigned> bufferOf; ///< buffers of the copy -> number of the buffer
  Launch launch;
};

/// The memref, pointer or allocation that views of it lead back to.
mlir::Value baseOf(mlir::Value memref);

} // namespace msa::gpu::simt

#endif // MSA_CODEGEN_GPU_SIMT_SIMTFUNCTION_H

// SPDX-License-Identifier: Apache-2.0
//===- EntryLowering.h - one entry on its way to commands -----------------===//
//
// State and helpers of `convert-msa-to-exec` for one entry: which slot holds which tensor value, which register holds which
// scalar, and how a kernel is outlined and dispatched. The lowerings of ops are in the other files of this folder, by theme.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_PASSES_EXEC_ENTRYLOWERING_H
#define MSA_PASSES_EXEC_ENTRYLOWERING_H

#include "dialect/MSAOps.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include <optional>

namespace msa::exec {

/// A dim, offset or size: a constant or a register (an `index` value of the entry).
using Extent = mlir::OpFoldResult;

/// The part of a larger row-major buffer that a strided tensor value is.
struct StridedView {
  llvm::SmallVector<Extent> parentDims;
  llvm::SmallVector<Extent> offsets;
  llvm::SmallVector<int64_t> strides;
  llvm::SmallVector<bool> dropped; ///< parent dims that the value does not have (their size is 1)
  llvm::SmallVector<unsigned> order; ///< dim i of the value is the order[i]-th kept parent dim; empty: as they come
};

/// Where a tensor value lies: contiguous and row-major at `offset` bytes of `slot`, unless `view` says otherwise.
struct Binding {
  mlir::Value slot;
  Extent offset; ///< bytes
  llvm::SmallVector<Extent> dims;
  mlir::Type element;
  std::optional<StridedView> view;

  bool isContiguous() const { return !view; }
};

/// Makes the integer divisions of a kernel's scalar code safe for every divisor: a quotient by zero is 0.
void guardDivisions(mlir::Region &region);

/// Kernels of a module, the same code only once.
class KernelTable {
public:
  explicit KernelTable(mlir::ModuleOp module) : module(module), builder(module.getBodyRegion()) {}

  mlir::ModuleOp getModule() const { return module; }
  /// Takes `kernel`, which has no parent; gives the kernel of the module that does the same, which may be another.
  KernelOp intern(KernelOp kernel, llvm::StringRef hint);
  /// The constant op that holds `value`.
  ConstantOp intern(mlir::ElementsAttr value, mlir::Location loc);

private:
  mlir::StringAttr uniqueName(llvm::StringRef hint);

  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  llvm::StringMap<KernelOp> kernels;                  // printed form without the name -> op
  llvm::DenseMap<mlir::Attribute, ConstantOp> constants;
  llvm::StringMap<unsigned> names;
};

class Dispatch;

class EntryLowering {
public:
  EntryLowering(mlir::func::FuncOp function, KernelTable &kernels);

  /// Builds the `exec.entry`; reports what cannot be lowered.
  mlir::LogicalResult run();

  // -- registers ----------------------------------------------------------
  Extent constant(int64_t value) { return builder.getIndexAttr(value); }
  mlir::Value materialize(mlir::Location loc, Extent extent);
  Extent add(mlir::Location loc, Extent lhs, Extent rhs);
  Extent sub(mlir::Location loc, Extent lhs, Extent rhs);
  Extent mul(mlir::Location loc, Extent lhs, Extent rhs);
  Extent ceilDiv(mlir::Location loc, Extent lhs, Extent rhs);
  Extent min(mlir::Location loc, Extent lhs, Extent rhs);
  Extent product(mlir::Location loc, llvm::ArrayRef<Extent> extents);
  /// The register (or constant) of an `index`, integer or i1 scalar of the function.
  mlir::FailureOr<Extent> scalar(mlir::Value value);
  void setScalar(mlir::Value value, Extent extent) { scalars[value] = extent; }

  // -- slots --------------------------------------------------------------
  /// Bytes of a contiguous tensor.
  Extent bytes(mlir::Location loc, llvm::ArrayRef<Extent> dims, mlir::Type element);
  static int64_t elementBytes(mlir::Type element);
  mlir::FailureOr<Binding> get(mlir::Value tensor);
  /// As `get`, but never strided: copies if it must.
  mlir::FailureOr<Binding> getContiguous(mlir::Value tensor);
  void bind(mlir::Value tensor, Binding binding) { bindings[tensor] = std::move(binding); }
  /// Fresh memory for `tensor`, or for `size` bytes where its shape is only known later: the memory of the entry's output
  /// where the value (or a view of it) is what the entry returns.
  Binding allocate(mlir::Value tensor, llvm::ArrayRef<Extent> dims, std::optional<Extent> size = std::nullopt);
  /// Arena memory that belongs to no tensor value.
  Binding allocateTemporary(mlir::Location loc, llvm::ArrayRef<Extent> dims, mlir::Type element);
  /// Copies a whole contiguous `source` to the `offset`-th byte of `target`'s slot.
  void copy(mlir::Location loc, const Binding &source, mlir::Value targetSlot, Extent targetOffset);
  /// The part of contiguous `whole` whose dim `axis` is [offset, offset + size).
  Binding slice(mlir::Location loc, const Binding &whole, int64_t axis, Extent offset, Extent size);
  Binding reshape(const Binding &binding, llvm::ArrayRef<Extent> dims);
  /// Copies `source` into `target`, either of which may be strided, by a kernel.
  void copyByKernel(mlir::Location loc, const Binding &source, const Binding &target);

  mlir::OpBuilder &getBuilder() { return builder; }
  KernelTable &getKernels() { return kernels; }
  mlir::MLIRContext *getContext() { return builder.getContext(); }

private:
  friend class Dispatch;

  mlir::LogicalResult lower(mlir::Operation *op);
  // By theme; each returns std::nullopt for an op that is not its business.
  std::optional<mlir::LogicalResult> lowerScalarOp(mlir::Operation *op);
  std::optional<mlir::LogicalResult> lowerLayoutOp(mlir::Operation *op);
  std::optional<mlir::LogicalResult> lowerLinalgOp(mlir::Operation *op);
  std::optional<mlir::LogicalResult> lowerMemoryOp(mlir::Operation *op);
  std::optional<mlir::LogicalResult> lowerDenseOp(mlir::Operation *op);

  mlir::LogicalResult lowerReturn(mlir::func::ReturnOp op);
  void insertFrees();

  // MemoryOps.cpp
  mlir::LogicalResult lowerRoute(RouteOp op);
  mlir::LogicalResult lowerRead(ReadOp op);
  mlir::LogicalResult lowerGather(GatherOp op);
  mlir::LogicalResult lowerChunkIndex(ChunkIndexOp op);
  mlir::LogicalResult lowerPool(PoolOp op);
  mlir::LogicalResult lowerQuantize(QuantizeOp op);
  mlir::LogicalResult lowerAppend(AppendOp op);
  mlir::FailureOr<Binding> bankField(mlir::Value bank, llvm::StringRef field, mlir::Operation *user);
  void gatherRows(mlir::Location loc, const Binding &field, const Binding &chunks, const Binding &target);
  // DenseOps.cpp
  mlir::LogicalResult lowerMatmul(MatmulOp op);
  mlir::LogicalResult lowerAttention(AttentionOp op);
  mlir::LogicalResult lowerTake(TakeOp op);
  mlir::LogicalResult lowerRope(RopeOp op);
  void attend(mlir::Location loc, Binding query, Binding key, Binding value, std::optional<Binding> documents,
              std::optional<Binding> mask, Binding result, bool causal, mlir::FloatAttr scale);
  // LinalgOps.cpp
  struct RowGroup {
    llvm::SmallVector<mlir::linalg::GenericOp> members; ///< in program order
    unsigned outer = 0;                                 ///< leading loops that all members share
    bool flat = false;                                  ///< one elementwise member without broadcasts: any loop order will do
  };
  void formGroups();
  mlir::LogicalResult lowerGroup(RowGroup &group);
  /// Replaces the function's values that `region`, in the kernel, captures by constants and scalars of the kernel, put before `before`.
  mlir::LogicalResult bringInside(Dispatch &dispatch, mlir::Region &region, mlir::Operation *before);

  mlir::func::FuncOp function;
  KernelTable &kernels;
  mlir::OpBuilder builder;
  EntryOp entry;
  llvm::DenseMap<mlir::Value, Binding> bindings;
  llvm::DenseMap<mlir::Value, Extent> scalars;
  llvm::DenseMap<mlir::Value, mlir::Value> fills;      ///< tensor.empty/linalg.fill results -> the filling scalar, or null
  llvm::DenseMap<mlir::Value, int64_t> outputOf;       ///< values whose memory is that of an output
  llvm::DenseMap<mlir::Operation *, RowGroup *> groupOf;
  std::vector<std::unique_ptr<RowGroup>> groups;
  llvm::SmallVector<bool> outputDone;
  llvm::SmallVector<int64_t> aliases;
  llvm::SmallVector<bool> spans;
};

/// One kernel and its dispatch, under construction: parameters are added as the body asks for them.
class Dispatch {
public:
  /// Where `loc` is the place in the model, `hint` the start of the kernel's name.
  Dispatch(EntryLowering &entry, mlir::Location loc, llvm::StringRef hint);
  ~Dispatch();

  /// The builder of the kernel's body.
  mlir::OpBuilder &body() { return bodyBuilder; }
  /// The tensor as a memref of the kernel.
  mlir::Value read(const Binding &binding) { return view(binding, /*READ=*/0); }
  mlir::Value write(const Binding &binding) { return view(binding, /*WRITE=*/1); }
  mlir::Value update(const Binding &binding) { return view(binding, /*UPDATE=*/2); }
  /// A bank field as a `msa_span_list *`.
  mlir::Value spanList(const Binding &binding);
  /// A register or constant as an index of the kernel.
  mlir::Value index(Extent extent);
  mlir::Value scratch(int64_t bytes);
  mlir::Value lo() { return block->getArgument(block->getNumArguments() - 2); }
  mlir::Value hi() { return block->getArgument(block->getNumArguments() - 1); }

  /// Ends the kernel and dispatches it over `tiles` tiles.
  void finish(Extent tiles);

private:
  mlir::Value view(const Binding &binding, int32_t kind);
  mlir::Value buffer(mlir::Value slot, int32_t kind, mlir::Type type);

  EntryLowering &entry;
  mlir::Location loc;
  std::string hint;
  KernelOp kernel;
  mlir::Block *block;
  mlir::OpBuilder bodyBuilder;
  llvm::SmallVector<mlir::Value> buffers;  ///< slots, in parameter order
  llvm::SmallVector<int32_t> kinds;
  llvm::SmallVector<mlir::Value> scalars;  ///< registers, in parameter order
  llvm::DenseMap<mlir::Value, mlir::Value> indices;
  int64_t scratchBytes = 0;
};

} // namespace msa::exec

#endif // MSA_PASSES_EXEC_ENTRYLOWERING_H

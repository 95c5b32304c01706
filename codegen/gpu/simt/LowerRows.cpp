// SPDX-License-Identifier: Apache-2.0
//===- LowerRows.cpp - kernel.rows for groups of threads ------------------===//
//
//   kernel.rows sizes(%n, %m) { ^bb0(%i, %j): body }
//
// becomes a loop over points by groups of threads: a thread each where a point is a few elements, a block where it is thousands, a
// warp otherwise, and the whole grid where there is one point and one loop. The group shares each linalg op of the body (DistributeLinalg.cpp) and waits where one op reads what another thread
// wrote. Intermediates of one element are computed by every thread alike and stay in registers; others are in shared memory.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/simt/DistributeLinalg.h"
#include "codegen/gpu/simt/Lowerings.h"
#include "codegen/gpu/simt/SimtFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace msa::gpu;
using namespace msa::gpu::simt;

namespace {

/// A static bound of an index, or nothing.
std::optional<int64_t> boundOf(OpFoldResult extent) {
  if (std::optional<int64_t> constant = getConstantIntValue(extent))
    return constant;
  auto value = dyn_cast<Value>(extent);
  if (auto min = value ? value.getDefiningOp<arith::MinSIOp>() : nullptr)
    for (Value side : min->getOperands())
      if (std::optional<int64_t> bound = boundOf(side))
        return bound;
  return std::nullopt;
}

/// How many elements `memref` has at most, or nothing.
std::optional<int64_t> elementBound(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (type.hasStaticShape())
    return type.getNumElements();
  int64_t count = 1;
  if (auto view = memref.getDefiningOp<memref::SubViewOp>()) {
    for (OpFoldResult size : view.getMixedSizes()) {
      std::optional<int64_t> bound = boundOf(size);
      if (!bound)
        return std::nullopt;
      count *= *bound;
    }
    return count;
  }
  return std::nullopt;
}

class RowsLowering {
public:
  explicit RowsLowering(msa::exec::KernelOp kernel)
      : function(kernel, kernel.getSymName(), kWarp), rows(function.getOp<msa::kernel::RowsOp>()), rewriter(rows), k(rewriter, rows.getLoc()) {}

  Cases run();

private:
  LogicalResult generalize();
  bool isOneLoop();
  Term gridOfElements();
  void chooseGroup();
  void findPrivate();
  bool isPrivate(Value memref) { return group.kind == ThreadGroup::Thread ? isa_and_present<memref::AllocaOp>(baseOf(memref).getDefiningOp()) : privates.contains(baseOf(memref)); }
  LogicalResult placeMemory();
  Term gridOfPoints();
  LogicalResult lowerPoints();
  LogicalResult lowerBody(Block *block, Operation *end);

  struct Access {
    Value base;
    bool write;
  };
  SmallVector<Access> accessesOf(Operation *op);
  bool conflict(ArrayRef<Access> before, ArrayRef<Access> after, bool sharedOnly);

  SimtFunction function;
  msa::kernel::RowsOp rows;
  IRRewriter rewriter;
  SimtBuilder k;
  ThreadGroup group;
  llvm::DenseSet<Value> privates, sharedMemory;
  int64_t groups = 1; ///< of a block
};

/// Named ops become linalg.generic, so that there is one form to lower.
LogicalResult RowsLowering::generalize() {
  SmallVector<linalg::LinalgOp> ops;
  rows.walk([&](linalg::LinalgOp op) { ops.push_back(op); });
  for (linalg::LinalgOp op : ops) {
    if (isa<linalg::GenericOp>(op))
      continue;
    rewriter.setInsertionPoint(op);
    if (failed(linalg::generalizeNamedOp(rewriter, op)))
      return op->emitOpError("has no SIMT lowering for the GPU");
  }
  SmallVector<memref::CopyOp> copies;
  rows.walk([&](memref::CopyOp op) { copies.push_back(op); });
  for (memref::CopyOp op : copies) {
    rewriter.setInsertionPoint(op);
    linalg::makeMemRefCopyOp(rewriter, op.getLoc(), op.getSource(), op.getTarget());
    rewriter.eraseOp(op);
  }
  return success();
}

/// Whether the body is one op whose points do not depend on each other.
bool RowsLowering::isOneLoop() {
  int64_t loops = 0;
  bool others = false;
  for (Operation &inner : rows.getBody().front()) {
    if (auto generic = dyn_cast<linalg::GenericOp>(inner))
      loops += generic.getNumReductionLoops() == 0 ? 1 : 2;
    else
      others |= isa<memref::LoadOp, memref::StoreOp>(inner);
  }
  bool hasMemory = function.getFunction().walk([](memref::AllocaOp) { return WalkResult::interrupt(); }).wasInterrupted();
  return loops == 1 && !others && !hasMemory;
}

/// A grid for the elements of the only op.
Term RowsLowering::gridOfElements() {
  constexpr int64_t perBlock = 1024, otherwise = 264;
  Term grid = Term::constant(otherwise);
  rows.walk([&](linalg::GenericOp op) {
    Value output = op.getDpsInits().front();
    SmallVector<Value> sizes;
    rewriter.setInsertionPoint(rows);
    if (auto view = output.getDefiningOp<memref::SubViewOp>()) {
      for (OpFoldResult size : view.getMixedSizes())
        sizes.push_back(getValueOrCreateConstantIndexOp(rewriter, op.getLoc(), size));
    } else {
      for (int64_t axis = 0; axis < cast<MemRefType>(output.getType()).getRank(); ++axis)
        sizes.push_back(k.dim(output, axis));
    }
    grid = function.gridOf(sizes, perBlock, otherwise);
  });
  return grid;
}

void RowsLowering::chooseGroup() {
  // The most work that one op does at a point.
  std::optional<int64_t> most = 1;
  rows.walk([&](linalg::GenericOp op) {
    int64_t work = 1;
    for (Value operand : op->getOperands()) {
      if (!isa<MemRefType>(operand.getType()))
        continue;
      std::optional<int64_t> bound = elementBound(operand);
      if (!bound) {
        most.reset();
        return;
      }
      work = std::max(work, *bound);
    }
    if (most)
      most = std::max(*most, work);
  });
  bool onePoint = llvm::all_of(rows.getSizes(), [](Value size) { return getConstantIntValue(size) == 1; });
  constexpr int64_t few = 4, many = 1024;
  if (most && *most <= few && !onePoint)
    group = {ThreadGroup::Thread, 1};
  else if (onePoint && isOneLoop())
    group = {ThreadGroup::Grid, 256};
  else if (onePoint || (most && *most >= many))
    group = {ThreadGroup::Block, 256};
  else
    group = {ThreadGroup::Warp, kWarp};
}

/// Memory of one element that is only written by ops which every thread can compute alike.
void RowsLowering::findPrivate() {
  function.getFunction().walk([&](memref::AllocaOp alloca) {
    if (alloca.getType().hasStaticShape() && alloca.getType().getNumElements() == 1)
      privates.insert(alloca);
  });
  for (bool changed = true; changed;) {
    changed = false;
    rows.walk([&](linalg::GenericOp op) {
      bool all = llvm::all_of(op.getDpsInits(), [&](Value output) { return privates.contains(baseOf(output)); });
      if (all)
        return;
      for (Value output : op.getDpsInits())
        changed |= privates.erase(baseOf(output));
    });
  }
}

/// Gives every alloca its place.
LogicalResult RowsLowering::placeMemory() {
  SmallVector<memref::AllocaOp> allocas, placed;
  function.getFunction().walk([&](memref::AllocaOp alloca) { allocas.push_back(alloca); });
  Block &entry = function.getFunction().getBody().front();
  int64_t bytes = 0;
  for (memref::AllocaOp alloca : allocas) {
    if (!alloca.getType().hasStaticShape())
      return alloca.emitOpError("expected a static size in a kernel, but got ") << alloca.getType();
    if (isPrivate(alloca)) {
      alloca->moveBefore(&entry, entry.begin()); // registers, in the end
      continue;
    }
    placed.push_back(alloca);
    bytes += llvm::alignTo(bytesOf(alloca.getType()), 16);
  }
  int64_t threads = group.kind == ThreadGroup::Block || group.kind == ThreadGroup::Grid ? group.size : 128;
  if (group.kind == ThreadGroup::Warp)
    while (threads > kWarp && bytes * (threads / kWarp) > kSharedBytes)
      threads /= 2;
  groups = threads / group.size;
  function.setBlock(threads);

  rewriter.setInsertionPoint(rows);
  group.lane = group.kind == ThreadGroup::Thread ? k.index(0) : group.kind == ThreadGroup::Warp ? k.lane() : k.thread();
  group.stride = k.index(group.size);
  if (group.kind == ThreadGroup::Grid) {
    group.lane = k.add(k.mul(k.block(), threads), group.lane);
    group.stride = k.mul(k.blocks(), threads);
    function.getLaunch().grid[0] = gridOfElements();
    return success();
  }
  if (group.kind == ThreadGroup::Block)
    group.exchange = function.shared(k, MemRefType::get({8 * group.size / kWarp}, rewriter.getI8Type()));

  // The row of bytes of a group: in shared memory where that is large enough, else in the workspace of a fixed grid.
  Value number = group.kind == ThreadGroup::Warp ? k.warp() : k.index(0), start;
  if (function.sharedBytes() + bytes * groups <= kSharedBytes) {
    if (!placed.empty())
      start = function.sharedPointer(k, bytes * groups);
    function.getLaunch().grid[0] = gridOfPoints();
  } else {
    constexpr int64_t fixedGrid = 128;
    function.getLaunch().grid[0] = Term::constant(fixedGrid);
    function.getLaunch().workspace = Term::constant(fixedGrid * groups * bytes);
    number = k.add(k.mul(k.block(), k.index(groups)), number);
    start = function.getWorkspace();
  }
  int64_t at = 0;
  for (memref::AllocaOp alloca : placed) {
    rewriter.setInsertionPoint(rows);
    Value pointer = k.offset(start, k.add(k.mul(number, bytes), at));
    Value memory = k.asMemRef(pointer, alloca.getType());
    sharedMemory.insert(memory);
    rewriter.replaceOp(alloca, memory);
    at += llvm::alignTo(bytesOf(cast<MemRefType>(memory.getType())), 16);
  }
  return success();
}

Term RowsLowering::gridOfPoints() {
  return function.gridOf(rows.getSizes(), group.kind == ThreadGroup::Block ? 1 : groups);
}

/// What an op of the body reads and writes of memory that several threads of a group see.
SmallVector<RowsLowering::Access> RowsLowering::accessesOf(Operation *op) {
  SmallVector<Access> accesses;
  auto add = [&](Value memref, bool write) {
    if (isa<MemRefType>(memref.getType()) && !isPrivate(memref))
      accesses.push_back({baseOf(memref), write});
  };
  op->walk([&](Operation *inner) {
    if (auto load = dyn_cast<memref::LoadOp>(inner))
      add(load.getMemRef(), false);
    else if (auto store = dyn_cast<memref::StoreOp>(inner))
      add(store.getMemRef(), true);
    auto generic = dyn_cast<linalg::GenericOp>(inner);
    if (!generic)
      return;
    for (OpOperand &operand : generic->getOpOperands()) {
      bool output = generic.isDpsInit(&operand);
      if (!output || !generic.getMatchingBlockArgument(&operand).use_empty())
        add(operand.get(), false);
      if (output)
        add(operand.get(), true);
    }
  });
  return accesses;
}

/// Whether something in `after` must not be done before all threads have done what is in `before`.
bool RowsLowering::conflict(ArrayRef<Access> before, ArrayRef<Access> after, bool sharedOnly) {
  constexpr int32_t update = 2;
  for (const Access &first : before)
    for (const Access &second : after) {
      if (!first.write && !second.write)
        continue;
      if (sharedOnly && (!sharedMemory.contains(first.base) || !sharedMemory.contains(second.base)))
        continue;
      // A buffer that is updated may be one that is read, too.
      auto updated = [&](Value base) { return function.parameterKind(base) == update; };
      bool bothBuffers = function.parameterKind(first.base) && function.parameterKind(second.base);
      if (first.base == second.base || (bothBuffers && (updated(first.base) || updated(second.base))))
        return true;
    }
  return false;
}

/// Distributes the ops of a point's body, which `end` ends, and makes the group wait where it must.
LogicalResult RowsLowering::lowerBody(Block *block, Operation *end) {
  SmallVector<Operation *> ops;
  for (Operation &op : *block)
    if (&op != end)
      ops.push_back(&op);
  SmallVector<Access> first, pending;
  bool synced = false;
  auto sync = [&] {
    group.sync(k);
    pending.clear();
    synced = true;
  };
  for (Operation *op : ops) {
    SmallVector<Access> accesses = accessesOf(op);
    rewriter.setInsertionPoint(op);
    if (group.size > 1 && conflict(pending, accesses, false))
      sync();
    pending.append(accesses);
    if (!synced)
      first.append(accesses);
    if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      if (failed(distribute(rewriter, generic, group, [&](Value memref) { return isPrivate(memref); })))
        return failure();
    } else if (auto store = dyn_cast<memref::StoreOp>(op)) {
      if (group.size > 1 && !isPrivate(store.getMemRef())) {
        auto alone = scf::IfOp::create(rewriter, op->getLoc(), k.equal(group.lane, k.index(0)), /*withElseRegion=*/false);
        rewriter.moveOpBefore(store, alone.thenBlock()->getTerminator());
      }
    } else if (op->getNumRegions() != 0 && !isMemoryEffectFree(op)) {
      return op->emitOpError("has no SIMT lowering for the GPU inside of a kernel.rows");
    }
  }
  // The next point finds the group's memory as this one leaves it.
  rewriter.setInsertionPoint(end);
  if (group.size > 1 && conflict(pending, first, /*sharedOnly=*/true))
    group.sync(k);
  return success();
}

LogicalResult RowsLowering::lowerPoints() {
  rewriter.setInsertionPoint(rows);
  Location loc = rows.getLoc();
  Value total = k.index(1);
  for (Value size : rows.getSizes())
    total = k.mul(total, size);
  Value first, stride;
  if (group.kind == ThreadGroup::Grid) { // everyone is at the only point
    first = k.index(0);
    stride = k.index(1);
  } else if (group.kind == ThreadGroup::Block) {
    first = k.block();
    stride = k.blocks();
  } else {
    Value own = group.kind == ThreadGroup::Warp ? k.warp() : k.thread();
    first = k.add(k.mul(k.block(), groups), own);
    stride = k.mul(k.blocks(), groups);
  }
  auto loop = scf::ForOp::create(rewriter, loc, first, total, stride);
  rewriter.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> indices(rows.getSizes().size());
  Value rest = loop.getInductionVar();
  for (size_t d = indices.size(); d-- > 0;) {
    if (d == 0) {
      indices[d] = rest;
      break;
    }
    indices[d] = k.rem(rest, rows.getSizes()[d]);
    rest = k.div(rest, rows.getSizes()[d]);
  }
  Block *body = &rows.getBody().front();
  Operation *end = loop.getBody()->getTerminator();
  rewriter.eraseOp(body->getTerminator());
  rewriter.inlineBlockBefore(body, end, indices);
  rewriter.eraseOp(rows);
  return lowerBody(loop.getBody(), end);
}

Cases RowsLowering::run() {
  if (failed(generalize()))
    return failure();
  chooseGroup();
  findPrivate();
  if (failed(placeMemory()) || failed(lowerPoints()))
    return failure();
  return always(function.getLaunch());
}

} // namespace

Cases msa::gpu::simt::lowerRows(msa::exec::KernelOp kernel) { return RowsLowering(kernel).run(); }

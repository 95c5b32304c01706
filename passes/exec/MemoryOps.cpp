// SPDX-License-Identifier: Apache-2.0
//===- MemoryOps.cpp - banks: route, read, gather, compress ---------------===//
//
// A route is three kernels: every tile keeps its best documents, one merges them, one lists them once their number is known. A
// read gathers the chosen rows straight into the context that it returns and attends over that.
//
//===----------------------------------------------------------------------===//

#include "passes/exec/EntryLowering.h"
#include "dialect/kernel/TileSizes.h"

using namespace mlir;
using namespace msa;
using namespace msa::exec;

std::optional<LogicalResult> EntryLowering::lowerMemoryOp(Operation *op) {
  if (isa<BindOp>(op))
    return success(); // Users look through it.
  if (auto route = dyn_cast<RouteOp>(op))
    return lowerRoute(route);
  if (auto read = dyn_cast<ReadOp>(op))
    return lowerRead(read);
  if (auto gather = dyn_cast<GatherOp>(op))
    return lowerGather(gather);
  if (auto index = dyn_cast<ChunkIndexOp>(op))
    return lowerChunkIndex(index);
  if (auto pool = dyn_cast<PoolOp>(op))
    return lowerPool(pool);
  if (auto quantize = dyn_cast<QuantizeOp>(op))
    return lowerQuantize(quantize);
  if (auto append = dyn_cast<AppendOp>(op))
    return lowerAppend(append);
  return std::nullopt;
}

/// Binding of the rows of `field`, flattened to [C, heads * dim].
FailureOr<Binding> EntryLowering::bankField(Value bank, StringRef field, Operation *user) {
  auto bindOp = bank.getDefiningOp<BindOp>();
  if (!bindOp)
    return user->emitError("expected its bank to come from 'msa.bind'");
  auto type = cast<BankType>(bank.getType());
  for (auto [i, candidate] : llvm::enumerate(type.getFields())) {
    if (candidate.name != field)
      continue;
    Value rows = bindOp.getRows()[i];
    auto argument = dyn_cast<BlockArgument>(rows);
    if (!argument)
      return user->emitError("reads bank field '") << field << "', which is computed in this entry: expected an entry input";
    FailureOr<Binding> binding = get(rows);
    if (failed(binding))
      return failure();
    return reshape(*binding, {binding->dims[0], constant(candidate.heads * candidate.dim)});
  }
  return user->emitError("expected the bank to have a field '") << field << "', but it is " << type;
}

LogicalResult EntryLowering::lowerRoute(RouteOp op) {
  Location loc = op.getLoc();
  if (op.getNormalize())
    return op.emitError("still normalises its query: run msa-normalize-query first");
  FailureOr<Binding> query = getContiguous(op.getQuery());
  FailureOr<Binding> mask = getContiguous(op.getMask());
  FailureOr<Binding> keys = bankField(op.getBank(), op.getField(), op);
  if (failed(query) || failed(mask) || failed(keys))
    return failure();
  std::optional<Binding> keyScales;
  if (isa<Float8E4M3FNType>(keys->element)) {
    FailureOr<Binding> scales = bankField(op.getBank(), BankType::getScaleName(op.getField()), op);
    if (failed(scales))
      return failure();
    keyScales = reshape(*scales, {keys->dims[0]});
  }
  auto bindOp = op.getBank().getDefiningOp<BindOp>();
  if (!bindOp.getDocuments())
    return op.emitError("expected its bank to be bound with documents");
  FailureOr<Binding> documents = getContiguous(bindOp.getDocuments());
  if (failed(documents))
    return failure();

  int64_t row = *getConstantIntValue(keys->dims[1]);
  int64_t heads = op.getQuery().getType().getDimSize(1), dim = op.getQuery().getType().getDimSize(2);
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(dim))
    return op.emitError("expected static heads and head dim of the query, but got ") << op.getQuery().getType();

  int64_t rows = kernel::routeScanRows(row);
  int64_t keep = std::min<int64_t>(op.getK(), rows);
  Extent chunks = keys->dims[0];
  Extent tiles = ceilDiv(loc, chunks, constant(rows));
  Type f32 = builder.getF32Type(), i64 = builder.getI64Type();
  Binding scores = allocateTemporary(loc, {tiles, constant(keep)}, f32);
  Binding entries = allocateTemporary(loc, {tiles, constant(keep), constant(3)}, i64);
  Binding counts = allocateTemporary(loc, {tiles}, i64);
  {
    Dispatch dispatch(*this, loc, "route_scan_" + std::to_string(heads) + "x" + std::to_string(dim));
    Value q = dispatch.read(*query), m = dispatch.read(*mask), k = dispatch.spanList(*keys);
    // Not as spans: a few bytes a row, which the runtime makes contiguous where they are not.
    Value l = keyScales ? dispatch.read(*keyScales) : Value();
    Value d = dispatch.read(*documents);
    Value s = dispatch.write(scores), e = dispatch.write(entries), c = dispatch.write(counts);
    Value scratch = dispatch.scratch(kernel::RouteScanScratch(row, keyScales.has_value()).bytes);
    kernel::RouteScanOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), q, m, k, l, d, s, e, c, scratch, keys->element, row,
                                rows, op.getHeadReduce(), op.getQueryReduce(), op.getChunkReduce(), op.getScale());
    dispatch.finish(tiles);
  }
  // The best of all tiles.
  Extent kept = min(loc, constant(op.getK()), mul(loc, tiles, constant(keep)));
  Binding best = allocate(op.getScores(), {kept});
  Binding chosen = allocateTemporary(loc, {kept, constant(3)}, i64);
  Binding totals = allocateTemporary(loc, {constant(2)}, i64);
  {
    Dispatch dispatch(*this, loc, "route_merge");
    Value s = dispatch.read(scores), e = dispatch.read(entries), c = dispatch.read(counts);
    Value b = dispatch.write(best), h = dispatch.write(chosen), t = dispatch.write(totals);
    Value scratch = dispatch.scratch(0);
    kernel::RouteMergeOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), s, e, c, b, h, t, scratch);
    dispatch.finish(constant(1));
  }
  Extent selected = LoadOp::create(builder, loc, builder.getIndexType(), totals.slot, builder.getI64IntegerAttr(0)).getResult();
  Extent selectedRows = LoadOp::create(builder, loc, builder.getIndexType(), totals.slot, builder.getI64IntegerAttr(8)).getResult();
  best.dims = {selected};
  bind(op.getScores(), best);
  Binding outDocuments = allocate(op.getDocuments(), {selected});
  Binding outChunks = allocate(op.getChunks(), {selectedRows});
  {
    Dispatch dispatch(*this, loc, "route_rows");
    Binding part = reshape(chosen, {selected, constant(3)});
    Value c = dispatch.read(part), d = dispatch.write(outDocuments), r = dispatch.write(outChunks);
    kernel::RouteRowsOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), c, d, r);
    dispatch.finish(constant(1));
  }
  bind(op.getDocuments(), outDocuments);
  bind(op.getChunks(), outChunks);
  return success();
}

void EntryLowering::gatherRows(Location loc, const Binding &field, const Binding &chunks, const Binding &target) {
  constexpr int64_t block = 8;
  Dispatch dispatch(*this, loc, "gather");
  Value f = dispatch.spanList(field), r = dispatch.read(chunks), t = dispatch.write(target);
  kernel::GatherOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), f, r, t, field.element, block);
  dispatch.finish(ceilDiv(loc, chunks.dims[0], constant(block)));
}

LogicalResult EntryLowering::lowerGather(GatherOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> field = bankField(op.getBank(), op.getField(), op);
  FailureOr<Binding> chunks = getContiguous(op.getChunks());
  if (failed(field) || failed(chunks))
    return failure();
  auto type = cast<RankedTensorType>(op.getType());
  Binding result = allocate(op.getRows(), {chunks->dims[0], constant(type.getDimSize(1)), constant(type.getDimSize(2))});
  gatherRows(loc, *field, *chunks, reshape(result, {chunks->dims[0], field->dims[1]}));
  bind(op.getRows(), result);
  return success();
}

LogicalResult EntryLowering::lowerRead(ReadOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> query = getContiguous(op.getQuery()), chunks = getContiguous(op.getChunks());
  if (failed(query) || failed(chunks))
    return failure();
  Extent selected = chunks->dims[0];
  // [prefix ; chosen rows ; local], assembled where the entry returns it.
  auto assemble = [&](StringRef name, Value prefixValue, Value localValue, Value contextValue) -> FailureOr<Binding> {
    FailureOr<Binding> field = bankField(op.getBank(), name, op);
    FailureOr<Binding> prefix = getContiguous(prefixValue), local = getContiguous(localValue);
    if (failed(field) || failed(prefix) || failed(local))
      return failure();
    auto type = cast<RankedTensorType>(contextValue.getType());
    Extent heads = constant(type.getDimSize(1)), dim = constant(type.getDimSize(2));
    Extent rowBytes = bytes(loc, {heads, dim}, type.getElementType());
    Extent chunkStart = prefix->dims[0], localStart = add(loc, chunkStart, selected);
    Binding context = allocate(contextValue, {add(loc, localStart, local->dims[0]), heads, dim});
    copy(loc, *prefix, context.slot, constant(0));
    Binding middle = context;
    middle.dims = {selected, mul(loc, heads, dim)};
    middle.offset = mul(loc, chunkStart, rowBytes);
    gatherRows(loc, *field, *chunks, middle);
    copy(loc, *local, context.slot, mul(loc, localStart, rowBytes));
    bind(contextValue, context);
    return context;
  };
  FailureOr<Binding> key = assemble("k", op.getPrefixKey(), op.getKey(), op.getContextKey());
  FailureOr<Binding> value = assemble("v", op.getPrefixValue(), op.getValue(), op.getContextValue());
  if (failed(key) || failed(value))
    return failure();
  Binding result = allocate(op.getOutput(), {query->dims[0], query->dims[1], value->dims[2]});
  attend(loc, *query, *key, *value, std::nullopt, std::nullopt, result, /*causal=*/true, op.getScaleAttr());
  bind(op.getOutput(), result);
  return success();
}

LogicalResult EntryLowering::lowerChunkIndex(ChunkIndexOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> documents = getContiguous(op.getDocuments()), positions = getContiguous(op.getPositions());
  if (failed(documents) || failed(positions))
    return failure();
  Extent tokens = documents->dims[0];
  Binding starts = allocate(op.getStarts(), {add(loc, tokens, constant(1))});
  Binding chunkDocuments = allocate(op.getChunkDocuments(), {tokens});
  Binding total = allocateTemporary(loc, {constant(1)}, builder.getI64Type());
  Dispatch dispatch(*this, loc, "chunk_index");
  Value d = dispatch.read(*documents), p = dispatch.read(*positions);
  Value s = dispatch.write(starts), c = dispatch.write(chunkDocuments), t = dispatch.write(total);
  kernel::ChunkIndexOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), d, p, s, c, t, op.getChunk());
  dispatch.finish(constant(1));
  Extent chunks = LoadOp::create(builder, loc, builder.getIndexType(), total.slot, builder.getI64IntegerAttr(0)).getResult();
  starts.dims = {add(loc, chunks, constant(1))};
  chunkDocuments.dims = {chunks};
  bind(op.getStarts(), starts);
  bind(op.getChunkDocuments(), chunkDocuments);
  return success();
}

LogicalResult EntryLowering::lowerPool(PoolOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> x = getContiguous(op.getX()), starts = getContiguous(op.getStarts());
  if (failed(x) || failed(starts))
    return failure();
  Extent chunks = sub(loc, starts->dims[0], constant(1));
  Binding result = allocate(op.getRows(), {chunks, x->dims[1], x->dims[2]});
  Dispatch dispatch(*this, loc, "pool");
  Value v = dispatch.read(*x), s = dispatch.read(*starts), r = dispatch.write(result);
  kernel::PoolOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), v, s, r, op.getReduceAttr(), op.getNormalizeAttr(), op.getEpsilonAttr());
  dispatch.finish(chunks);
  bind(op.getRows(), result);
  return success();
}

LogicalResult EntryLowering::lowerQuantize(QuantizeOp op) {
  constexpr int64_t block = 8;
  Location loc = op.getLoc();
  FailureOr<Binding> x = getContiguous(op.getX());
  if (failed(x))
    return failure();
  Extent count = x->dims[0], row = mul(loc, x->dims[1], x->dims[2]);
  if (!getConstantIntValue(row))
    return op.emitError("expected static heads and dim of its rows, but got ") << op.getX().getType();
  Binding rows = allocate(op.getRows(), x->dims), scales = allocate(op.getScales(), {count, constant(1), constant(1)});
  Dispatch dispatch(*this, loc, "quantize");
  Value v = dispatch.read(reshape(*x, {count, row})), r = dispatch.write(reshape(rows, {count, row}));
  Value s = dispatch.write(reshape(scales, {count}));
  kernel::QuantizeOp::create(dispatch.body(), loc, dispatch.lo(), dispatch.hi(), v, r, s, block);
  dispatch.finish(ceilDiv(loc, count, constant(block)));
  bind(op.getRows(), rows);
  bind(op.getScales(), scales);
  return success();
}

LogicalResult EntryLowering::lowerAppend(AppendOp op) {
  Location loc = op.getLoc();
  FailureOr<Binding> past = getContiguous(op.getPast()), rows = get(op.getRows());
  if (failed(past) || failed(rows))
    return failure();
  int64_t axis = op.getAxis();
  SmallVector<Extent> dims = past->dims;
  dims[axis] = add(loc, past->dims[axis], rows->dims[axis]);
  Binding result = allocate(op.getResult(), dims);
  for (auto [part, at] : {std::pair(*past, constant(0)), std::pair(*rows, past->dims[axis])}) {
    Binding target = slice(loc, result, axis, at, part.dims[axis]);
    if (part.isContiguous() && target.isContiguous())
      copy(loc, part, target.slot, target.offset);
    else
      copyByKernel(loc, part, target);
  }
  bind(op.getResult(), result);
  return success();
}

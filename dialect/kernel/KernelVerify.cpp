// SPDX-License-Identifier: Apache-2.0
//
// `// matmul_c1` is constraint C1 in the description of kernel.matmul; test/dialect/kernel/invalid.mlir names its cases the
// same. A dynamic dim agrees with any.

#include "dialect/kernel/KernelDialect.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace msa::kernel;

static constexpr int64_t anyDim = ShapedType::kDynamic;

static bool agree(int64_t a, int64_t b) { return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b); }

static bool agree(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           return agree(std::get<0>(pair), std::get<1>(pair));
         });
}

static std::string show(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(shape)) {
    text += i ? ", " : "";
    text += ShapedType::isDynamic(dim) ? "?" : std::to_string(dim);
  }
  return text + "]";
}

static ArrayRef<int64_t> shapeOf(Value memref) { return cast<MemRefType>(memref.getType()).getShape(); }

static LogicalResult verifyShape(Operation *op, StringRef name, Value memref, ArrayRef<int64_t> expected, StringRef meaning) {
  if (agree(shapeOf(memref), expected))
    return success();
  return op->emitOpError("expected '") << name << "' to be " << meaning << ", here " << show(expected) << ", but got " << show(shapeOf(memref));
}

static LogicalResult verifyPositive(Operation *op, StringRef name, int64_t value) {
  if (value > 0)
    return success();
  return op->emitOpError("expected '") << name << "' to be positive, but got " << value;
}

/// The dims of `memref` from `from` on are static.
static LogicalResult verifyStatic(Operation *op, StringRef name, Value memref, int64_t from) {
  if (!ShapedType::isDynamicShape(shapeOf(memref).drop_front(from)))
    return success();
  return op->emitOpError("expected the dims of '") << name << "' from " << from << " on to be static, but got " << memref.getType();
}

static LogicalResult verifyKeyElement(Operation *op, Type element) {
  if (element.isF16() || element.isBF16() || element.isF32())
    return success();
  return op->emitOpError("expected 'element' to be f16, bf16 or f32, but got ") << element;
}

static LogicalResult verifyMeanOrMax(Operation *op, StringRef name, msa::Reduce reduce) {
  if (reduce != msa::Reduce::last)
    return success();
  return op->emitOpError("expected '") << name << "' to be mean or max, but got " << msa::stringifyReduce(reduce);
}

LogicalResult RowsOp::verify() {
  // rows_c1
  if (failed(verifyPositive(*this, "block", getBlock())))
    return failure();
  // rows_c2
  Block &body = getBody().front();
  if (body.getNumArguments() != getSizes().size() || !llvm::all_of(body.getArgumentTypes(), llvm::IsaPred<IndexType>))
    return emitOpError("expected the body to take one index for each of ") << getSizes().size() << " sizes, but it takes "
                                                                          << body.getNumArguments() << " arguments";
  // rows_c3
  auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
  if (!yield || yield.getNumOperands())
    return emitOpError("expected the body to end with 'kernel.yield' of nothing");
  return success();
}

LogicalResult MatmulOp::verify() {
  // matmul_c1
  ArrayRef<int64_t> lhs = shapeOf(getLhs()), result = shapeOf(getResult());
  int64_t k = lhs[1], n = result[1];
  if (failed(verifyStatic(*this, "lhs", getLhs(), 1)) || failed(verifyStatic(*this, "result", getResult(), 1)) ||
      failed(verifyShape(*this, "rhs", getRhs(), {(n + 15) / 16, k, 16}, "[ceil(N / 16), K, 16]")) ||
      failed(verifyShape(*this, "result", getResult(), {lhs[0], n}, "[M, N]")))
    return failure();
  // matmul_c2
  if (failed(verifyPositive(*this, "rows", getRows())))
    return failure();
  if (static_cast<int64_t>(getColumns()) <= 0 || getColumns() % 16)
    return emitOpError("expected 'columns' to be a positive multiple of 16, but got ") << getColumns();
  // matmul_c3
  for (auto [i, extra] : llvm::enumerate(getExtras()))
    if (!agree(shapeOf(extra), result) && !agree(shapeOf(extra), {n}))
      return emitOpError("expected extra ") << i << " to be [M, N] or [N], here " << show(result) << " or [" << n << "], but got "
                                            << show(shapeOf(extra));
  // matmul_c4
  Block &body = getEpilogue().front();
  if (body.getNumArguments() != getExtras().size() + 1 || !body.getArgument(0).getType().isF32())
    return emitOpError("expected the epilogue to take the f32 product and an element of each of ")
           << getExtras().size() << " extras, but it takes " << body.getArgumentTypes();
  for (auto [i, extra] : llvm::enumerate(getExtras()))
    if (body.getArgument(i + 1).getType() != getElementTypeOrSelf(extra.getType()))
      return emitOpError("expected argument ") << i + 1 << " of the epilogue to be an element of " << extra.getType() << ", but it is "
                                               << body.getArgument(i + 1).getType();
  Type element = getElementTypeOrSelf(getResult().getType());
  auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
  if (!yield || yield.getNumOperands() != 1 || yield.getOperand(0).getType() != element)
    return emitOpError("expected the epilogue to yield one ") << element;
  return success();
}

LogicalResult AttentionOp::verify() {
  // attention_c1
  for (auto [name, value] : {std::pair<StringRef, Value>{"query", getQuery()}, {"key", getKey()}, {"value", getValue()}})
    if (failed(verifyStatic(*this, name, value, 2)))
      return failure();
  ArrayRef<int64_t> query = shapeOf(getQuery()), key = shapeOf(getKey()), value = shapeOf(getValue());
  if (key[2] == 0 || query[2] % key[2])
    return emitOpError("expected the query's ") << query[2] << " heads to be a multiple of the key's " << key[2];
  // attention_c2
  if (failed(verifyShape(*this, "key", getKey(), {query[0], key[1], key[2], query[3]}, "[B, N, G, D]")) ||
      failed(verifyShape(*this, "value", getValue(), {query[0], key[1], key[2], value[3]}, "[B, N, G, E]")) ||
      failed(verifyShape(*this, "result", getResult(), {query[0], query[1], query[2], value[3]}, "[B, M, H, E]")))
    return failure();
  if (getDocuments() && failed(verifyShape(*this, "documents", getDocuments(), {query[1]}, "[M]")))
    return failure();
  // attention_c3
  if (getDocuments() && getMask())
    return emitOpError("expected no 'mask' beside 'documents'");
  // attention_c4
  if (getMask())
    for (auto [dim, whole] : llvm::zip(shapeOf(getMask()), std::array<int64_t, 4>{query[0], query[2], query[1], key[1]}))
      if (dim != 1 && !agree(dim, whole))
        return emitOpError("expected each dim of 'mask' to be 1 or that of [B, H, M, N], but got ") << show(shapeOf(getMask()));
  // attention_c5
  return verifyPositive(*this, "rows", getRows());
}

LogicalResult RouteScanOp::verify() {
  // route_scan_c1
  if (failed(verifyStatic(*this, "query", getQuery(), 1)) || failed(verifyPositive(*this, "row", getRow())))
    return failure();
  int64_t heads = shapeOf(getQuery())[1], dim = shapeOf(getQuery())[2], row = getRow();
  if (dim == 0 || row % dim || heads % (row / dim))
    return emitOpError("expected rows of ") << row << " elements to be a whole number of head dims " << dim << ", and the " << heads
                                            << " heads a multiple of it";
  // route_scan_c2
  bool small = isa<Float8E4M3FNType>(getElement());
  if (small != static_cast<bool>(getKeyScales()))
    return emitOpError("expected 'key_scales' with keys of f8E4M3FN and with no others, but the keys are of ") << getElement();
  if (!small && failed(verifyKeyElement(*this, getElement())))
    return failure();
  // route_scan_c3
  if (failed(verifyPositive(*this, "rows", getRows())))
    return failure();
  // route_scan_c4
  if (failed(verifyMeanOrMax(*this, "head_reduce", getHeadReduce())) || failed(verifyMeanOrMax(*this, "chunk_reduce", getChunkReduce())))
    return failure();
  // route_scan_c5
  ArrayRef<int64_t> scores = shapeOf(getScores());
  if (getKeyScales() && failed(verifyShape(*this, "key_scales", getKeyScales(), shapeOf(getDocuments()), "[C]")))
    return failure();
  if (failed(verifyShape(*this, "mask", getMask(), {shapeOf(getQuery())[0]}, "[M]")) ||
      failed(verifyShape(*this, "entries", getEntries(), {scores[0], scores[1], 3}, "[tiles, keep, 3]")))
    return failure();
  return verifyShape(*this, "counts", getCounts(), {scores[0]}, "[tiles]");
}

LogicalResult RouteMergeOp::verify() {
  // route_merge_c1
  ArrayRef<int64_t> scores = shapeOf(getScores());
  if (failed(verifyShape(*this, "entries", getEntries(), {scores[0], scores[1], 3}, "[tiles, keep, 3]")) ||
      failed(verifyShape(*this, "counts", getCounts(), {scores[0]}, "[tiles]")) ||
      failed(verifyShape(*this, "chosen", getChosen(), {shapeOf(getBest())[0], 3}, "[documents, 3]")))
    return failure();
  return verifyShape(*this, "totals", getTotals(), {2}, "[2]");
}

LogicalResult RouteRowsOp::verify() {
  // route_rows_c1
  return verifyShape(*this, "chosen", getChosen(), {anyDim, 3}, "[documents, 3]");
}

LogicalResult GatherOp::verify() {
  // gather_c1
  if (failed(verifyStatic(*this, "result", getResult(), 1)) ||
      failed(verifyShape(*this, "result", getResult(), {shapeOf(getRows())[0], anyDim}, "[Z, row]")))
    return failure();
  // gather_c2
  if (failed(verifyKeyElement(*this, getElement())))
    return failure();
  // gather_c3
  return verifyPositive(*this, "block", getBlock());
}

LogicalResult QuantizeOp::verify() {
  // quantize_c1
  if (failed(verifyShape(*this, "result", getResult(), shapeOf(getX()), "[C, row]")) ||
      failed(verifyShape(*this, "scales", getScales(), {shapeOf(getX())[0]}, "[C]")))
    return failure();
  // quantize_c2
  if (failed(verifyStatic(*this, "x", getX(), 1)) || failed(verifyStatic(*this, "result", getResult(), 1)))
    return failure();
  // quantize_c3
  return verifyPositive(*this, "block", getBlock());
}

LogicalResult TakeOp::verify() {
  // take_c1
  if (failed(verifyShape(*this, "result", getResult(), {shapeOf(getIndices())[0], shapeOf(getTable())[1]}, "[N, row]")))
    return failure();
  Type from = getElementTypeOrSelf(getTable().getType()), to = getElementTypeOrSelf(getResult().getType());
  if (from != to)
    return emitOpError("expected 'result' to have the table's element type ") << from << ", but got " << to;
  // take_c2
  return verifyPositive(*this, "block", getBlock());
}

LogicalResult ChunkIndexOp::verify() {
  // chunk_index_c1
  if (failed(verifyPositive(*this, "chunk", getChunk())))
    return failure();
  // chunk_index_c2
  int64_t tokens = shapeOf(getPositions())[0];
  if (failed(verifyShape(*this, "documents", getDocuments(), {tokens}, "[T]")) ||
      failed(verifyShape(*this, "starts", getStarts(), {ShapedType::isDynamic(tokens) ? anyDim : tokens + 1}, "[T + 1]")) ||
      failed(verifyShape(*this, "chunk_documents", getChunkDocuments(), {tokens}, "[T]")))
    return failure();
  return verifyShape(*this, "total", getTotal(), {1}, "[1]");
}

LogicalResult PoolOp::verify() {
  // pool_c1
  if (failed(verifyStatic(*this, "x", getX(), 1)) ||
      failed(verifyShape(*this, "result", getResult(), {anyDim, shapeOf(getX())[1], shapeOf(getX())[2]}, "[C, H, D]")))
    return failure();
  // pool_c2
  return verifyMeanOrMax(*this, "reduce", getReduce());
}

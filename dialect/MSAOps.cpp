// SPDX-License-Identifier: Apache-2.0
//
// The verifiers. `// route_c2` is constraint C2 in the description of msa.route; test/dialect/msa/invalid.mlir names its cases
// the same. A dynamic dim agrees with any.

#include "dialect/MSAOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace msa;

#define GET_OP_CLASSES
#include "dialect/MSAOps.cpp.inc"

static bool agree(int64_t a, int64_t b) { return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b); }

static bool agree(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           return agree(std::get<0>(pair), std::get<1>(pair));
         });
}

/// The static one of two dims that agree, if there is one.
static int64_t known(int64_t a, int64_t b) { return ShapedType::isDynamic(a) ? b : a; }

static std::string show(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(shape)) {
    text += i ? ", " : "";
    text += ShapedType::isDynamic(dim) ? "?" : std::to_string(dim);
  }
  return text + "]";
}

/// `value` has a shape that agrees with `expected`, which `meaning` spells out.
static LogicalResult verifyShape(Operation *op, StringRef name, Value value, ArrayRef<int64_t> expected, StringRef meaning) {
  ArrayRef<int64_t> shape = cast<ShapedType>(value.getType()).getShape();
  if (agree(shape, expected))
    return success();
  return op->emitOpError("expected '") << name << "' to be " << meaning << ", here " << show(expected) << ", but got " << show(shape);
}

static LogicalResult verifyRank(Operation *op, StringRef name, Value value, int64_t rank, StringRef meaning) {
  int64_t found = cast<ShapedType>(value.getType()).getRank();
  if (found == rank)
    return success();
  return op->emitOpError("expected '") << name << "' to be " << meaning << ", but got rank " << found;
}

static LogicalResult verifyElement(Operation *op, StringRef name, Value value, Type expected) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element == expected)
    return success();
  return op->emitOpError("expected '") << name << "' to have element type " << expected << ", but got " << element;
}

static LogicalResult verifyPositive(Operation *op, StringRef name, int64_t value) {
  if (value > 0)
    return success();
  return op->emitOpError("expected '") << name << "' to be positive, but got " << value;
}

static LogicalResult verifyMeanOrMax(Operation *op, StringRef name, Reduce reduce) {
  if (reduce != Reduce::last)
    return success();
  return op->emitOpError("expected '") << name << "' to be mean or max, but got " << stringifyReduce(reduce);
}

static const int64_t anyDim = ShapedType::kDynamic;

//===----------------------------------------------------------------------===//
// Banks
//===----------------------------------------------------------------------===//

static LogicalResult verifyBankRows(Operation *op, BankType bank, ValueRange rows, Value documents) {
  // bind_c1, write_c1
  ArrayRef<BankField> fields = bank.getFields();
  if (rows.size() != fields.size())
    return op->emitOpError("expected one tensor of rows for each of the ") << fields.size() << " fields of " << bank << ", but got "
                                                                          << rows.size();
  int64_t count = anyDim;
  for (auto [field, tensor] : llvm::zip(fields, rows)) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!agree(type.getShape(), {anyDim, field.heads, field.dim}) || type.getElementType() != field.element)
      return op->emitOpError("expected the rows of field '")
             << field.name << "' to be " << RankedTensorType::get({anyDim, field.heads, field.dim}, field.element) << ", but got " << type;
    // bind_c2, write_c2
    if (!agree(count, type.getDimSize(0)))
      return op->emitOpError("expected all fields to have the same number of rows, but got ") << count << " and " << type.getDimSize(0);
    count = known(count, type.getDimSize(0));
  }
  if (documents)
    return verifyShape(op, "documents", documents, {count}, "one number for each row");
  return success();
}

LogicalResult BindOp::verify() { return verifyBankRows(*this, getBank().getType(), getRows(), getDocuments()); }

LogicalResult WriteOp::verify() { return verifyBankRows(*this, getBank().getType(), getRows(), getDocuments()); }

//===----------------------------------------------------------------------===//
// Encode
//===----------------------------------------------------------------------===//

LogicalResult CompressOp::verify() {
  if (failed(verifyRank(*this, "x", getX(), 3, "[T, H, D]")))
    return failure();
  ArrayRef<int64_t> x = getX().getType().getShape();
  // compress_c1
  if (failed(verifyPositive(*this, "chunk", getChunk())))
    return failure();
  // compress_c2
  if (failed(verifyMeanOrMax(*this, "reduce", getReduce())))
    return failure();
  // compress_c3
  int64_t chunks = getChunkDocuments().getType().getDimSize(0);
  if (failed(verifyShape(*this, "rows", getRows(), {chunks, x[1], x[2]}, "[C, H, D]")) ||
      failed(verifyElement(*this, "rows", getRows(), getX().getType().getElementType())))
    return failure();
  // compress_c4
  if (failed(verifyShape(*this, "documents", getDocuments(), {x[0]}, "[T]")))
    return failure();
  return verifyShape(*this, "positions", getPositions(), {x[0]}, "[T]");
}

LogicalResult ChunkIndexOp::verify() {
  // chunk_index_c1
  if (failed(verifyPositive(*this, "chunk", getChunk())))
    return failure();
  // chunk_index_c2
  if (failed(verifyShape(*this, "positions", getPositions(), getDocuments().getType().getShape(), "as long as 'documents'")))
    return failure();
  int64_t chunks = getChunkDocuments().getType().getDimSize(0);
  return verifyShape(*this, "starts", getStarts(), {ShapedType::isDynamic(chunks) ? anyDim : chunks + 1}, "[C + 1]");
}

LogicalResult PoolOp::verify() {
  if (failed(verifyRank(*this, "x", getX(), 3, "[T, H, D]")))
    return failure();
  // pool_c1
  if (failed(verifyMeanOrMax(*this, "reduce", getReduce())))
    return failure();
  // pool_c2
  ArrayRef<int64_t> x = getX().getType().getShape();
  int64_t starts = getStarts().getType().getDimSize(0);
  if (failed(verifyShape(*this, "rows", getRows(), {ShapedType::isDynamic(starts) ? anyDim : starts - 1, x[1], x[2]}, "[C, H, D]")))
    return failure();
  return verifyElement(*this, "rows", getRows(), getX().getType().getElementType());
}

LogicalResult QuantizeOp::verify() {
  if (failed(verifyRank(*this, "x", getX(), 3, "[C, H, D]")))
    return failure();
  // quantize_c1
  ArrayRef<int64_t> x = getX().getType().getShape();
  if (failed(verifyShape(*this, "rows", getRows(), x, "[C, H, D]")))
    return failure();
  // quantize_c2
  return verifyShape(*this, "scales", getScales(), {x[0], 1, 1}, "[C, 1, 1]");
}

//===----------------------------------------------------------------------===//
// Route
//===----------------------------------------------------------------------===//

/// The field, or null after an error.
static const BankField *findField(Operation *op, BankType bank, StringRef name) {
  const BankField *field = bank.getField(name);
  if (!field)
    op->emitOpError("expected ") << bank << " to have a field '" << name << "'";
  return field;
}

/// route_c1, route_c2 and the mask's length.
static LogicalResult verifyQuery(Operation *op, TypedValue<RankedTensorType> query, Value mask, BankType bank, StringRef fieldName) {
  if (failed(verifyRank(op, "query", query, 3, "[M, H, D]")) ||
      failed(verifyShape(op, "mask", mask, {query.getType().getDimSize(0)}, "[M]")))
    return failure();
  // route_c1, score_c1
  const BankField *field = findField(op, bank, fieldName);
  if (!field)
    return failure();
  int64_t heads = query.getType().getDimSize(1), dim = query.getType().getDimSize(2), row = field->heads * field->dim;
  if (ShapedType::isDynamic(dim))
    return success();
  if (dim == 0 || row % dim)
    return op->emitOpError("expected a row of field '") << fieldName << "', " << row << " elements, to be a whole number of the query's head dim "
                                                        << dim;
  // route_c2, score_c2
  if (!ShapedType::isDynamic(heads) && heads % (row / dim))
    return op->emitOpError("expected the query's ") << heads << " heads to be a multiple of the " << row / dim << " of field '" << fieldName << "'";
  return success();
}

LogicalResult RouteOp::verify() {
  // route_c1, route_c2
  if (failed(verifyQuery(*this, getQuery(), getMask(), getBank().getType(), getField())))
    return failure();
  // route_c3
  if (failed(verifyPositive(*this, "k", getK())))
    return failure();
  // route_c4
  if (failed(verifyMeanOrMax(*this, "head_reduce", getHeadReduce())) || failed(verifyMeanOrMax(*this, "chunk_reduce", getChunkReduce())))
    return failure();
  return verifyShape(*this, "scores", getScores(), getDocuments().getType().getShape(), "as long as 'documents'");
}

LogicalResult ScoreOp::verify() {
  // score_c1, score_c2
  if (failed(verifyQuery(*this, getQuery(), getMask(), getBank().getType(), getField())))
    return failure();
  // score_c4
  return verifyMeanOrMax(*this, "head_reduce", getHeadReduce());
}

LogicalResult TopkOp::verify() {
  // topk_c1
  if (failed(verifyPositive(*this, "k", getK())))
    return failure();
  // topk_c2
  if (failed(verifyMeanOrMax(*this, "chunk_reduce", getChunkReduce())))
    return failure();
  return verifyShape(*this, "best", getBest(), getDocuments().getType().getShape(), "as long as 'documents'");
}

//===----------------------------------------------------------------------===//
// Read and attend
//===----------------------------------------------------------------------===//

/// gather_c3, read_c3
static LogicalResult verifyReadable(Operation *op, const BankField *field) {
  if (!isa<Float8E4M3FNType>(field->element))
    return success();
  return op->emitOpError("expected field '") << field->name << "' not to be of f8E4M3FN, which only routes read";
}

LogicalResult GatherOp::verify() {
  // gather_c1
  const BankField *field = findField(*this, getBank().getType(), getField());
  if (!field || failed(verifyReadable(*this, field)))
    return failure();
  // gather_c2
  return verifyShape(*this, "rows", getRows(), {getChunks().getType().getDimSize(0), field->heads, field->dim}, "[Z, heads, dim]");
}

/// `heads` query heads share `groups` key heads evenly.
static LogicalResult verifyGroups(Operation *op, int64_t heads, int64_t groups) {
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) || (groups > 0 && heads % groups == 0))
    return success();
  return op->emitOpError("expected the query's ") << heads << " heads to be a multiple of the key's " << groups;
}

LogicalResult ReadOp::verify() {
  for (auto [name, value] : {std::pair<StringRef, Value>{"query", getQuery()}, {"key", getKey()}, {"value", getValue()}})
    if (failed(verifyRank(*this, name, value, 3, "[tokens, heads, dim]")))
      return failure();
  // read_c1
  const BankField *k = findField(*this, getBank().getType(), "k"), *v = k ? findField(*this, getBank().getType(), "v") : nullptr;
  if (!v || failed(verifyReadable(*this, k)) || failed(verifyReadable(*this, v)))
    return failure();
  if (k->heads != v->heads)
    return emitOpError("expected fields 'k' and 'v' to have the same heads, but got ") << k->heads << " and " << v->heads;
  int64_t tokens = known(getQuery().getType().getDimSize(0), getKey().getType().getDimSize(0)), heads = getQuery().getType().getDimSize(1);
  if (failed(verifyShape(*this, "query", getQuery(), {tokens, anyDim, k->dim}, "[M, H, D]")) ||
      failed(verifyShape(*this, "key", getKey(), {tokens, k->heads, k->dim}, "[M, G, D]")) ||
      failed(verifyShape(*this, "value", getValue(), {tokens, v->heads, v->dim}, "[M, G, E]")))
    return failure();
  int64_t prefix = getPrefixKey().getType().getRank() ? getPrefixKey().getType().getDimSize(0) : anyDim;
  if (failed(verifyShape(*this, "prefix_key", getPrefixKey(), {prefix, k->heads, k->dim}, "[P, G, D]")) ||
      failed(verifyShape(*this, "prefix_value", getPrefixValue(), {prefix, v->heads, v->dim}, "[P, G, E]")) ||
      failed(verifyShape(*this, "output", getOutput(), {tokens, heads, v->dim}, "[M, H, E]")) ||
      failed(verifyShape(*this, "context_key", getContextKey(), {anyDim, k->heads, k->dim}, "[P + Z + M, G, D]")) ||
      failed(verifyShape(*this, "context_value", getContextValue(), {anyDim, v->heads, v->dim}, "[P + Z + M, G, E]")))
    return failure();
  // read_c2
  return verifyGroups(*this, heads, k->heads);
}

LogicalResult AttentionOp::verify() {
  ArrayRef<int64_t> query = getQuery().getType().getShape(), key = getKey().getType().getShape();
  int64_t rank = query.size();
  if (rank != 3 && rank != 4)
    return emitOpError("expected 'query' to be [M, H, D] or [B, M, H, D], but got rank ") << rank;
  if (failed(verifyRank(*this, "key", getKey(), rank, "of the query's rank")) ||
      failed(verifyRank(*this, "value", getValue(), rank, "of the query's rank")))
    return failure();
  bool batched = rank == 4;
  // attention_c1
  if (failed(verifyGroups(*this, query[rank - 2], key[rank - 2])))
    return failure();
  SmallVector<int64_t> keyShape(key), valueShape(key), resultShape(query);
  keyShape.back() = query.back();
  valueShape.back() = anyDim;
  resultShape.back() = getValue().getType().getShape().back();
  if (batched)
    keyShape[0] = valueShape[0] = query[0];
  if (failed(verifyShape(*this, "key", getKey(), keyShape, "of the query's head dim (and batch)")) ||
      failed(verifyShape(*this, "value", getValue(), valueShape, "of the key's tokens and heads")) ||
      failed(verifyShape(*this, "output", getOutput(), resultShape, "as the query, with the value's head dim")))
    return failure();
  // attention_c2
  int64_t tokens = query[rank - 3], keys = key[rank - 3];
  if (getDocuments()) {
    if (getMask() || batched)
      return emitOpError("expected no ") << (batched ? "batch dim" : "'mask'") << " beside 'documents'";
    if (!agree(tokens, keys))
      return emitOpError("expected as many keys as queries with 'documents', but got ") << keys << " and " << tokens;
    if (failed(verifyShape(*this, "documents", getDocuments(), {tokens}, "[M]")))
      return failure();
  }
  // attention_c3
  if (getMask()) {
    ArrayRef<int64_t> mask = getMask().getType().getShape();
    std::array<int64_t, 4> whole{batched ? query[0] : 1, query[rank - 2], tokens, keys};
    bool fits = mask.size() == whole.size() &&
                llvm::all_of(llvm::zip(mask, whole), [](auto pair) { return std::get<0>(pair) == 1 || agree(std::get<0>(pair), std::get<1>(pair)); });
    if (!fits)
      return emitOpError("expected 'mask' to have rank 4, each of its dims 1 or that of [B, H, M, N], here ") << show(whole) << ", but got "
                                                                                                             << show(mask);
  }
  return success();
}

LogicalResult AppendOp::verify() {
  auto past = getPast().getType(), rows = getRows().getType();
  // append_c1
  int64_t axis = getAxis();
  if (axis < 0 || axis >= past.getRank())
    return emitOpError("expected 'axis' to be one of the ") << past.getRank() << " of 'past', but got " << axis;
  // append_c2
  SmallVector<int64_t> rowsShape(past.getShape()), resultShape(past.getShape());
  rowsShape[axis] = anyDim;
  if (failed(verifyShape(*this, "rows", getRows(), rowsShape, "as 'past' but for the axis")))
    return failure();
  int64_t before = past.getDimSize(axis), more = rows.getDimSize(axis);
  resultShape[axis] = ShapedType::isDynamic(before) || ShapedType::isDynamic(more) ? anyDim : before + more;
  if (failed(verifyShape(*this, "result", getResult(), resultShape, "'past' and 'rows' together")))
    return failure();
  // append_c3
  if (failed(verifyElement(*this, "rows", getRows(), past.getElementType())))
    return failure();
  return verifyElement(*this, "result", getResult(), past.getElementType());
}

LogicalResult RopeOp::verify() {
  ArrayRef<int64_t> x = getX().getType().getShape();
  // rope_c1
  if (x.size() != 3 && x.size() != 4)
    return emitOpError("expected 'x' to be [T, H, D] or [B, T, H, D], but got rank ") << x.size();
  // rope_c2
  SmallVector<int64_t> angles(x.drop_back(2));
  angles.push_back(anyDim);
  if (failed(verifyShape(*this, "cos", getCos(), angles, "[.., T, R/2]")))
    return failure();
  angles.back() = getCos().getType().getShape().back();
  if (failed(verifyShape(*this, "sin", getSin(), angles, "as 'cos'")))
    return failure();
  // rope_c3
  if (!ShapedType::isDynamic(angles.back()) && !ShapedType::isDynamic(x.back()) && 2 * angles.back() > x.back())
    return emitOpError("expected at most ") << x.back() / 2 << " angles for head dim " << x.back() << ", but got " << angles.back();
  return success();
}

//===----------------------------------------------------------------------===//
// Dense algebra
//===----------------------------------------------------------------------===//

LogicalResult MatmulOp::verify() {
  ArrayRef<int64_t> lhs = getLhs().getType().getShape(), result = getResult().getType().getShape();
  // matmul_c1
  if (lhs.empty() || result.empty())
    return emitOpError("expected 'lhs' to be [.., K] and 'result' [.., N], but got a scalar");
  int64_t n = result.back();
  if (failed(verifyShape(*this, "rhs", getRhs(), {ShapedType::isDynamic(n) ? anyDim : (n + 15) / 16, lhs.back(), 16}, "[ceil(N / 16), K, 16]")))
    return failure();
  SmallVector<int64_t> expected(lhs);
  expected.back() = n;
  if (failed(verifyShape(*this, "result", getResult(), expected, "[.., N] with the leading dims of 'lhs'")))
    return failure();
  // matmul_c2
  for (auto [i, extra] : llvm::enumerate(getExtras())) {
    ArrayRef<int64_t> shape = cast<RankedTensorType>(extra.getType()).getShape();
    if (!agree(shape, result) && !agree(shape, ArrayRef<int64_t>{n}))
      return emitOpError("expected extra ") << i << " to have the result's shape " << show(result) << " or [N], but got " << show(shape);
  }
  // matmul_c3
  Block &body = getEpilogue().front();
  if (body.getNumArguments() != getExtras().size() + 1 || !body.getArgument(0).getType().isF32())
    return emitOpError("expected the epilogue to take the f32 product and an element of each of ")
           << getExtras().size() << " extras, but it takes " << body.getArgumentTypes();
  for (auto [i, extra] : llvm::enumerate(getExtras()))
    if (body.getArgument(i + 1).getType() != getElementTypeOrSelf(extra.getType()))
      return emitOpError("expected argument ") << i + 1 << " of the epilogue to be an element of " << extra.getType() << ", but it is "
                                               << body.getArgument(i + 1).getType();
  auto yield = dyn_cast<YieldOp>(body.back());
  if (!yield || yield.getNumOperands() != 1 || yield.getOperand(0).getType() != getResult().getType().getElementType())
    return emitOpError("expected the epilogue to yield one ") << getResult().getType().getElementType();
  return success();
}

LogicalResult TakeOp::verify() {
  auto table = getTable().getType();
  // take_c1
  if (table.getRank() == 0)
    return emitOpError("expected 'table' to have rows, but got a scalar");
  // take_c2
  SmallVector<int64_t> expected(getIndices().getType().getShape());
  llvm::append_range(expected, table.getShape().drop_front());
  if (failed(verifyShape(*this, "result", getResult(), expected, "the indices' shape, then a row's")))
    return failure();
  return verifyElement(*this, "result", getResult(), table.getElementType());
}

LogicalResult UpdateOp::verify() {
  // update_c1
  if (failed(verifyRank(*this, "memory", getMemory(), 2, "[S, E]")) || failed(verifyRank(*this, "x", getX(), 2, "[N, E]")))
    return failure();
  ArrayRef<int64_t> memory = getMemory().getType().getShape(), x = getX().getType().getShape();
  if (failed(verifyShape(*this, "x", getX(), {x[0], memory[1]}, "[N, E]")) ||
      failed(verifyShape(*this, "scores", getScores(), {memory[0], x[0]}, "[S, N]")))
    return failure();
  return verifyShape(*this, "gate", getGate(), {memory[0]}, "[S]");
}

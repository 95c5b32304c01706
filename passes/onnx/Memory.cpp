// SPDX-License-Identifier: Apache-2.0
//
// Domain ai.msa, version 1. The operators are taken whole: the function bodies that files carry for other runtimes are
// not read.

#include "dialect/MSAOps.h"
#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

/// Input i is a float tensor of rank 3: rows of heads of static size.
static LogicalResult requireHeads(NodeContext &node, size_t i, StringRef name) {
  Converted &x = node.in(i);
  if (failed(node.requireFloat(i)))
    return failure();
  if (x.getRank() != 3)
    return node.fail("expected '" + name + "' (input " + Twine(i) + ") to be [rows, heads, dim], but got rank " +
                     Twine(x.getRank()));
  for (int64_t axis : {1, 2}) {
    std::optional<int64_t> size = node.emit.dims.normalize(x.shape[axis]).getConstant();
    if (!size || *size < 1)
      return node.fail("expected the " + Twine(axis == 1 ? "heads" : "head dim") + " of '" + name + "' (input " +
                       Twine(i) + ") to be known at compile time and positive");
  }
  return success();
}

static LogicalResult requireVector(NodeContext &node, size_t i, StringRef name, bool isBool, const Dim &length) {
  Converted &x = node.in(i);
  Type element = IntegerType::get(node.op.getContext(), isBool ? 1 : 64);
  if (x.getRank() != 1 || x.element != element)
    return node.fail("expected '" + name + "' (input " + Twine(i) + ") to be a vector of " +
                     (isBool ? "bool" : "int64") + ", but got " + getTypeName(x.element) + " of rank " +
                     Twine(x.getRank()));
  if (!node.emit.assertEqual(x.shape[0], length, "expected '" + name + "' to have one entry for each row"))
    return node.fail("expected '" + name + "' (input " + Twine(i) + ") to have one entry for each row");
  return success();
}

static LogicalResult requireEqual(NodeContext &node, size_t i, StringRef name, int64_t axis, const Dim &wanted,
                                  StringRef what) {
  if (node.emit.assertEqual(node.in(i).shape[axis], wanted, "expected '" + name + "' to have " + what))
    return success();
  return node.fail("expected dim " + Twine(axis) + " of '" + name + "' (input " + Twine(i) + ") to be " + what);
}

static LogicalResult requireElement(NodeContext &node, size_t i, StringRef name, Type element) {
  if (node.in(i).element == element)
    return success();
  return node.fail("expected '" + name + "' (input " + Twine(i) + ") to be " + getTypeName(element) + ", but got " +
                   getTypeName(node.in(i).element));
}

static FailureOr<ReduceAttr> getReduce(NodeContext &node, StringRef name, StringRef otherwise,
                                       ArrayRef<Reduce> allowed) {
  StringRef text = node.getString(name, otherwise);
  std::optional<Reduce> reduce = symbolizeReduce(text);
  if (reduce && llvm::is_contained(allowed, *reduce))
    return ReduceAttr::get(node.op.getContext(), *reduce);
  std::string names;
  for (Reduce each : allowed)
    names += (names.empty() ? "\"" : ", \"") + stringifyReduce(each).str() + "\"";
  return node.fail("expected attribute '" + name + "' to be one of " + names + ", but got \"" + text + "\"");
}

static FailureOr<double> getEpsilon(NodeContext &node) {
  double epsilon = node.getFloat("epsilon", 1e-12);
  // The file holds a float: 1e-12 arrives as 9.99999996e-13.
  if (static_cast<float>(epsilon) == 1e-12f)
    epsilon = 1e-12;
  if (!(epsilon >= 0))
    return node.fail("expected attribute 'epsilon' not to be negative");
  return epsilon;
}

static UnitAttr getFlag(NodeContext &node, StringRef name, int64_t otherwise) {
  return node.getInt(name, otherwise) != 0 ? UnitAttr::get(node.op.getContext()) : UnitAttr();
}

static Dim getDim(NodeContext &node, size_t i, int64_t axis) {
  return node.emit.dims.normalize(node.in(i).shape[axis]);
}

/// A bank of tensors `[C, heads, dim]`.
static Value bind(NodeContext &node, ArrayRef<std::pair<StringRef, size_t>> fields, std::optional<size_t> documents) {
  SmallVector<BankField> bankFields;
  SmallVector<Value> rows;
  for (auto [name, input] : fields) {
    Converted &x = node.in(input);
    bankFields.push_back(
        {name, *getDim(node, input, 1).getConstant(), *getDim(node, input, 2).getConstant(), x.element});
    rows.push_back(node.emit.getTensor(x));
  }
  Value numbers = documents ? node.emit.getTensor(node.in(*documents)) : Value();
  auto type = BankType::get(node.op.getContext(), bankFields);
  return BindOp::create(node.emit.builder, node.op.getLoc(), type, rows, numbers);
}

/// The query's heads are a multiple of the key's, and their dims agree.
static LogicalResult requireGroups(NodeContext &node, size_t query, size_t key, StringRef keyName) {
  int64_t heads = *getDim(node, query, 1).getConstant(), groups = *getDim(node, key, 1).getConstant();
  if (heads % groups != 0)
    return node.fail("expected the query's " + Twine(heads) + " heads to be a multiple of the " + Twine(groups) +
                     " heads of '" + keyName + "'");
  if (getDim(node, query, 2) != getDim(node, key, 2))
    return node.fail("expected '" + keyName + "' to have the query's head dim " +
                     Twine(*getDim(node, query, 2).getConstant()) + ", but got " +
                     Twine(*getDim(node, key, 2).getConstant()));
  return success();
}

static LogicalResult convertCompress(NodeContext &node) {
  if (failed(requireHeads(node, 0, "x")) || failed(requireVector(node, 1, "doc", false, node.in(0).shape[0])) ||
      failed(requireVector(node, 2, "pos", false, node.in(0).shape[0])))
    return failure();
  int64_t chunk = node.getInt("chunk_length", 64);
  if (chunk < 1)
    return node.fail("expected attribute 'chunk_length' to be positive, but got " + Twine(chunk));
  FailureOr<ReduceAttr> reduce = getReduce(node, "reduce", "mean", {Reduce::mean, Reduce::max});
  FailureOr<double> epsilon = getEpsilon(node);
  if (failed(reduce) || failed(epsilon))
    return failure();
  UnitAttr normalize = getFlag(node, "normalize", 0);
  OpBuilder &builder = node.emit.builder;
  Value x = node.emit.getTensor(node.in(0)), documents = node.emit.getTensor(node.in(1)),
        positions = node.emit.getTensor(node.in(2));
  auto xType = cast<RankedTensorType>(x.getType());
  auto rowsType =
      RankedTensorType::get({ShapedType::kDynamic, xType.getDimSize(1), xType.getDimSize(2)}, xType.getElementType());
  auto numbersType = RankedTensorType::get({ShapedType::kDynamic}, builder.getI64Type());
  auto op = CompressOp::create(builder, node.op.getLoc(), rowsType, numbersType, x, documents, positions,
                               builder.getI64IntegerAttr(chunk), *reduce, normalize, builder.getF64FloatAttr(*epsilon));
  // The same documents, positions and chunk length make the same chunks, whatever is pooled.
  auto [count, isNew] = node.emit.chunkCounts.try_emplace(
      {documents.getAsOpaquePointer(), positions.getAsOpaquePointer(), chunk}, Dim(0));
  if (isNew)
    count->second = node.emit.wrap(op.getRows()).shape[0];
  (void)node.result(0, node.emit.wrap(op.getRows(), Shape{count->second, node.in(0).shape[1], node.in(0).shape[2]}));
  return node.result(1, node.emit.wrap(op.getChunkDocuments(), Shape{count->second}));
}

static LogicalResult convertRoute(NodeContext &node) {
  if (failed(requireHeads(node, 0, "q")) || failed(requireHeads(node, 1, "keys")) ||
      failed(requireVector(node, 2, "chunk_doc", false, node.in(1).shape[0])) ||
      failed(requireVector(node, 3, "query_mask", true, node.in(0).shape[0])))
    return failure();
  // Heads of the query may have been folded: a key row is then read as heads of the query's dim.
  int64_t dim = *getDim(node, 0, 2).getConstant(), heads = *getDim(node, 0, 1).getConstant();
  int64_t row = *getDim(node, 1, 1).getConstant() * *getDim(node, 1, 2).getConstant();
  if (row % dim != 0 || heads % (row / dim) != 0)
    return node.fail("expected a key row of " + Twine(row) + " numbers to hold the query's " + Twine(heads) +
                     " heads of " + Twine(dim) + " or a divisor of that number of heads");
  int64_t k = node.getInt("k", 16);
  if (k < 1)
    return node.fail("expected attribute 'k' to be positive, but got " + Twine(k));
  FailureOr<ReduceAttr> head = getReduce(node, "head_reduce", "mean", {Reduce::mean, Reduce::max});
  FailureOr<ReduceAttr> query = getReduce(node, "query_reduce", "max", {Reduce::max, Reduce::mean, Reduce::last});
  FailureOr<ReduceAttr> chunk = getReduce(node, "chunk_reduce", "max", {Reduce::max, Reduce::mean});
  FailureOr<double> epsilon = getEpsilon(node);
  if (failed(head) || failed(query) || failed(chunk) || failed(epsilon))
    return failure();
  UnitAttr normalize = getFlag(node, "normalize", 1);
  double scale = node.getFloat("scale", 1.0);
  OpBuilder &builder = node.emit.builder;
  Value bank = bind(node, {{"rk", 1}}, 2);
  Value q = node.emit.getTensor(node.in(0)), mask = node.emit.getTensor(node.in(3));
  auto numbers = RankedTensorType::get({ShapedType::kDynamic}, builder.getI64Type());
  auto scores = RankedTensorType::get({ShapedType::kDynamic}, builder.getF32Type());
  auto op = RouteOp::create(builder, node.op.getLoc(), numbers, scores, numbers, q, mask, bank,
                            builder.getStringAttr("rk"), builder.getI64IntegerAttr(k), *head, *query, *chunk, normalize,
                            builder.getF64FloatAttr(scale), builder.getF64FloatAttr(*epsilon));
  Converted documents = node.emit.wrap(op.getDocuments());
  Shape chosen = documents.shape;
  (void)node.result(0, documents);
  (void)node.result(1, node.emit.wrap(op.getScores(), chosen));
  return node.result(2, node.emit.wrap(op.getChunks()));
}

static LogicalResult convertRead(NodeContext &node) {
  static constexpr StringRef names[] = {"q", "k", "v", "mem_k", "mem_v", "chunks", "prefix_k", "prefix_v"};
  for (size_t i : {0, 1, 2, 3, 4, 6, 7})
    if (failed(requireHeads(node, i, names[i])) ||
        failed(requireElement(node, i, names[i], i < 3 ? node.in(0).element : node.in(i).element)))
      return failure();
  Dim queries = getDim(node, 0, 0), groups = getDim(node, 1, 1), keyDim = getDim(node, 1, 2),
      valueDim = getDim(node, 2, 2);
  if (failed(requireGroups(node, 0, 1, "k")) || failed(requireEqual(node, 1, "k", 0, queries, "as many rows as 'q'")) ||
      failed(requireEqual(node, 2, "v", 0, queries, "as many rows as 'q'")))
    return failure();
  for (size_t i : {2, 3, 4, 6, 7})
    if (failed(requireEqual(node, i, names[i], 1, groups, "the heads of 'k'")))
      return failure();
  for (auto [i, dim] : {std::pair<size_t, Dim>{3, keyDim}, {4, valueDim}, {6, keyDim}, {7, valueDim}})
    if (failed(requireEqual(node, i, names[i], 2, dim, "the head dim of the local rows")))
      return failure();
  if (failed(requireEqual(node, 4, "mem_v", 0, getDim(node, 3, 0), "as many rows as 'mem_k'")) ||
      failed(requireEqual(node, 7, "prefix_v", 0, getDim(node, 6, 0), "as many rows as 'prefix_k'")) ||
      failed(requireVector(node, 5, "chunks", false, node.in(5).shape.empty() ? Dim(0) : node.in(5).shape[0])))
    return failure();
  double scale = node.getFloat("scale", 1.0);
  OpBuilder &builder = node.emit.builder;
  Value bank = bind(node, {{"k", 3}, {"v", 4}}, std::nullopt);
  Dim length = node.emit.dims.normalize(getDim(node, 6, 0) + getDim(node, 5, 0) + queries);
  Type element = node.in(0).element;
  Shape output{queries, getDim(node, 0, 1), valueDim}, contextKey{length, groups, keyDim},
      contextValue{length, groups, valueDim};
  auto tensor = [&](size_t i) { return node.emit.getTensor(node.in(i)); };
  Value q = tensor(0), k = tensor(1), v = tensor(2), chunks = tensor(5), prefixKey = tensor(6), prefixValue = tensor(7);
  auto op = ReadOp::create(builder, node.op.getLoc(), node.emit.getType(output, element),
                           node.emit.getType(contextKey, element), node.emit.getType(contextValue, element), q, k, v,
                           prefixKey, prefixValue, bank, chunks, builder.getF64FloatAttr(scale));
  (void)node.result(0, node.emit.wrap(op.getOutput(), output));
  (void)node.result(1, node.emit.wrap(op.getContextKey(), contextKey));
  return node.result(2, node.emit.wrap(op.getContextValue(), contextValue));
}

/// [past ; rows], or `rows` where the past is known to be empty.
static Converted append(NodeContext &node, size_t past, size_t rows) {
  Dim before = getDim(node, past, 0);
  if (before.isConstant(0))
    return node.in(rows);
  Shape shape = node.in(rows).shape;
  shape[0] = node.emit.dims.normalize(before + shape[0]);
  Value pastTensor = node.emit.getTensor(node.in(past)), rowsTensor = node.emit.getTensor(node.in(rows));
  Value result = AppendOp::create(node.emit.builder, node.op.getLoc(), node.emit.getType(shape, node.in(rows).element),
                                  pastTensor, rowsTensor, node.emit.builder.getI64IntegerAttr(0));
  return node.emit.wrap(result, shape);
}

static LogicalResult attend(NodeContext &node, Converted key, Converted value, Value documents) {
  OpBuilder &builder = node.emit.builder;
  Shape shape{node.in(0).shape[0], node.in(0).shape[1], value.shape[2]};
  UnitAttr causal = getFlag(node, "causal", 1);
  double scale = node.getFloat("scale", 1.0);
  Value q = node.emit.getTensor(node.in(0)), k = node.emit.getTensor(key), v = node.emit.getTensor(value);
  Value output =
      AttentionOp::create(builder, node.op.getLoc(), node.emit.getType(shape, node.in(0).element), q, k, v, documents,
                          /*mask=*/Value(), causal, builder.getF64FloatAttr(scale));
  return node.result(0, node.emit.wrap(output, shape));
}

static LogicalResult convertAttention(NodeContext &node) {
  static constexpr StringRef names[] = {"q", "k", "v", "past_k", "past_v"};
  for (size_t i = 0; i < 5; ++i)
    if (failed(requireHeads(node, i, names[i])) || failed(requireElement(node, i, names[i], node.in(0).element)))
      return failure();
  if (failed(requireGroups(node, 0, 1, "k")) ||
      failed(requireEqual(node, 2, "v", 0, getDim(node, 1, 0), "as many rows as 'k'")) ||
      failed(requireEqual(node, 4, "past_v", 0, getDim(node, 3, 0), "as many rows as 'past_k'")) ||
      failed(requireEqual(node, 3, "past_k", 2, getDim(node, 1, 2), "the head dim of 'k'")) ||
      failed(requireEqual(node, 4, "past_v", 2, getDim(node, 2, 2), "the head dim of 'v'")))
    return failure();
  for (size_t i : {2, 3, 4})
    if (failed(requireEqual(node, i, names[i], 1, getDim(node, 1, 1), "the heads of 'k'")))
      return failure();
  Converted key = append(node, 3, 1), value = append(node, 4, 2);
  (void)node.result(1, key);
  (void)node.result(2, value);
  return attend(node, key, value, {});
}

static LogicalResult convertDocumentAttention(NodeContext &node) {
  static constexpr StringRef names[] = {"q", "k", "v"};
  for (size_t i = 0; i < 3; ++i)
    if (failed(requireHeads(node, i, names[i])) || failed(requireElement(node, i, names[i], node.in(0).element)) ||
        failed(requireEqual(node, i, names[i], 0, getDim(node, 0, 0), "as many rows as 'q'")))
      return failure();
  if (failed(requireGroups(node, 0, 1, "k")) ||
      failed(requireEqual(node, 2, "v", 1, getDim(node, 1, 1), "the heads of 'k'")) ||
      failed(requireVector(node, 3, "doc", false, node.in(0).shape[0])))
    return failure();
  return attend(node, node.in(1), node.in(2), node.emit.getTensor(node.in(3)));
}

static LogicalResult convertWrite(NodeContext &node) {
  for (auto [bank, rows, output] : {std::tuple<size_t, size_t, size_t>{0, 2, 0}, {1, 3, 1}}) {
    Converted &old = node.in(bank), &added = node.in(rows);
    if (old.getRank() < 1 || old.getRank() != added.getRank() || old.element != added.element)
      return node.fail("expected inputs " + Twine(bank) + " and " + Twine(rows) + " to have one element type and rank");
    for (int64_t axis = 1; axis < old.getRank(); ++axis)
      if (!node.emit.assertEqual(old.shape[axis], added.shape[axis], "expected the rows to be of the bank's size"))
        return node.fail("expected the rows (input " + Twine(rows) + ") to be of the size of the bank's (input " +
                         Twine(bank) + ")");
    SmallVector<Converted, 2> parts{old, added};
    (void)node.result(output, node.emit.concat(parts, 0));
  }
  return success();
}

static LogicalResult convertUpdate(NodeContext &node) {
  for (size_t i = 0; i < 4; ++i)
    if (failed(node.requireFloat(i)) || failed(node.requireRank(i, i == 3 ? 1 : 2, i == 3 ? 1 : 2)))
      return failure();
  if (failed(requireEqual(node, 1, "x", 1, getDim(node, 0, 1), "the width of 'memory'")) ||
      failed(requireEqual(node, 2, "scores", 0, getDim(node, 0, 0), "a row for each slot of 'memory'")) ||
      failed(requireEqual(node, 2, "scores", 1, getDim(node, 1, 0), "a column for each row of 'x'")) ||
      failed(requireEqual(node, 3, "gate", 0, getDim(node, 0, 0), "an entry for each slot of 'memory'")))
    return failure();
  auto tensor = [&](size_t i) { return node.emit.getTensor(node.in(i)); };
  Value memory = tensor(0), x = tensor(1), scores = tensor(2), gate = tensor(3);
  Value result = UpdateOp::create(node.emit.builder, node.op.getLoc(), memory.getType(), memory, x, scores, gate);
  return node.result(node.emit.wrap(result, node.in(0).shape));
}

void registerMemory(HandlerTable &table) {
  table.add("ai.msa", "Compress", 3, 3, convertCompress);
  table.add("ai.msa", "Route", 4, 4, convertRoute);
  table.add("ai.msa", "Read", 8, 8, convertRead);
  table.add("ai.msa", "Attention", 5, 5, convertAttention);
  table.add("ai.msa", "DocumentAttention", 4, 4, convertDocumentAttention);
  table.add("ai.msa", "Write", 4, 4, convertWrite);
  table.add("ai.msa", "Update", 4, 4, convertUpdate);
}

} // namespace msa::onnx

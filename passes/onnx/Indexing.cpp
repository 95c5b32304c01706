// SPDX-License-Identifier: Apache-2.0
//
// Operators that read or choose elements by index.

#include "dialect/MSAOps.h"
#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

/// Index `i` of an axis of length `length`, counted from the end where negative, kept inside so that no bad index reads
/// memory that is not there.
static Value wrapIndex(ScalarBuilder &b, Value index, Value length) {
  Type type = b.builder.getIndexType();
  Value i = index.getType().isIndex() ? index : b.create<arith::IndexCastOp>(type, index);
  Value zero = b.create<arith::ConstantIndexOp>(0), one = b.create<arith::ConstantIndexOp>(1);
  Value fromEnd = b.create<arith::AddIOp>(i, length);
  i = b.create<arith::SelectOp>(b.compareInt(arith::CmpIPredicate::slt, i, zero), fromEnd, i);
  Value last = b.create<arith::SubIOp>(length, one);
  return b.create<arith::MaxSIOp>(b.create<arith::MinSIOp>(i, last), zero);
}

static LogicalResult requireIndices(NodeContext &node, size_t i) {
  Type element = node.in(i).element;
  if (element.isSignlessInteger(64) || element.isSignlessInteger(32))
    return success();
  return node.fail("expected indices (input " + Twine(i) + ") to be int32 or int64, but got " + getTypeName(element));
}

/// The shape of a result element's place: [data up to axis ; indices ; data behind axis].
static Shape getGatherShape(ArrayRef<Dim> data, ArrayRef<Dim> indices, int64_t axis) {
  Shape shape(data.begin(), data.begin() + axis);
  shape.append(indices.begin(), indices.end());
  shape.append(data.begin() + axis + 1, data.end());
  return shape;
}

static LogicalResult convertGather(NodeContext &node) {
  Emitter &emit = node.emit;
  DimSpace &dims = emit.dims;
  Converted &data = node.in(0), &indices = node.in(1);
  if (failed(requireIndices(node, 1)))
    return failure();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), data.getRank());
  if (failed(axis))
    return failure();
  Dim length = dims.normalize(data.shape[*axis]);
  std::optional<Shape> chosen = emit.getKnownList(indices);
  std::optional<Shape> list = data.element.isInteger() ? emit.getKnownList(data) : std::nullopt;
  Shape shape = getGatherShape(data.shape, indices.shape, *axis);

  // Shape arithmetic: elements of a list at known places.
  if (list && chosen && llvm::all_of(*chosen, [](const Dim &i) { return i.isConstant(); })) {
    Shape elements;
    for (const Dim &index : *chosen) {
      int64_t at = *index.getConstant(), size = list->size();
      if (at < -size || at >= size)
        return node.fail("index " + Twine(at) + " is outside an axis of length " + Twine(size));
      elements.push_back((*list)[at < 0 ? at + size : at]);
    }
    return node.result(Converted::list(elements, indices.getRank() == 0, data.element, node.op.getLoc()));
  }
  // One known place: a slice.
  if (chosen && chosen->size() == 1 && chosen->front().isConstant()) {
    int64_t at = *chosen->front().getConstant();
    if (std::optional<int64_t> size = length.getConstant(); size && (at < -*size || at >= *size))
      return node.fail("index " + Twine(at) + " is outside an axis of length " + Twine(*size));
    emit.assertLessOrEqual(at < 0 ? -at : at + 1, length, "expected an axis long enough for index " + Twine(at));
    Shape offsets(data.getRank(), Dim(0)), sizes = data.shape, steps(data.getRank(), Dim(1));
    offsets[*axis] = at < 0 ? length + at : Dim(at);
    sizes[*axis] = 1;
    Converted part = emit.slice(data, offsets, sizes, steps);
    return node.result(emit.reshape(part, shape));
  }
  // Rows of a table: what is in front of the axis has one element.
  if (dims.normalize(getNumElements(ArrayRef<Dim>(data.shape).take_front(*axis))).isConstant(1)) {
    Shape tableShape(data.shape.begin() + *axis, data.shape.end());
    Converted table = emit.reshape(data, tableShape), flat = emit.reshape(indices, getNumElements(indices.shape));
    Shape taken{flat.shape[0]};
    taken.append(tableShape.begin() + 1, tableShape.end());
    Value from = emit.getTensor(table), at = emit.getTensor(flat);
    Value rows = TakeOp::create(emit.builder, emit.getLoc(), emit.getType(taken, data.element), from, at);
    Converted result = emit.wrap(rows, taken, data.element);
    return node.result(emit.reshape(result, shape));
  }
  Value source = emit.getTensor(data), size = dims.getValue(length, emit.getLoc());
  GenericOperand index{&indices, {}};
  for (int64_t i = 0; i < indices.getRank(); ++i)
    index.loops.push_back(*axis + i);
  int64_t rank = data.getRank(), shift = indices.getRank() - 1;
  Converted result = emit.indexed(
      index, shape, {}, getSignless(data.element), {}, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        SmallVector<Value> at;
        for (int64_t i = 0; i < rank; ++i)
          at.push_back(i == *axis ? wrapIndex(b, args[0], size)
                                  : linalg::IndexOp::create(b.builder, b.loc, i < *axis ? i : i + shift).getResult());
        return tensor::ExtractOp::create(b.builder, b.loc, source, at);
      });
  result.element = data.element;
  return node.result(result);
}

static LogicalResult convertGatherElements(NodeContext &node) {
  Emitter &emit = node.emit;
  Converted &data = node.in(0), &indices = node.in(1);
  if (failed(requireIndices(node, 1)) || failed(node.requireRank(1, data.getRank(), data.getRank())))
    return failure();
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", 0), data.getRank());
  if (failed(axis))
    return failure();
  for (int64_t i = 0; i < data.getRank(); ++i)
    if (i != *axis && !emit.dims.isEqual(indices.shape[i], data.shape[i]))
      emit.assertLessOrEqual(indices.shape[i], data.shape[i],
                             "expected indices to have at most the data's length on axis " + Twine(i));
  Value source = emit.getTensor(data), size = emit.dims.getValue(data.shape[*axis], emit.getLoc());
  Converted result =
      emit.indexed(emit.alignRight(indices, indices.shape), indices.shape, {}, getSignless(data.element), {},
                   [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
                     SmallVector<Value> at;
                     for (int64_t i = 0; i < data.getRank(); ++i)
                       at.push_back(i == *axis ? wrapIndex(b, args[0], size)
                                               : linalg::IndexOp::create(b.builder, b.loc, i).getResult());
                     return tensor::ExtractOp::create(b.builder, b.loc, source, at);
                   });
  result.element = data.element;
  return node.result(result);
}

static LogicalResult convertGatherND(NodeContext &node) {
  Emitter &emit = node.emit;
  DimSpace &dims = emit.dims;
  Converted &data = node.in(0), &indices = node.in(1);
  int64_t batch = node.getInt("batch_dims", 0), dataRank = data.getRank(), indexRank = indices.getRank();
  if (failed(requireIndices(node, 1)))
    return failure();
  if (indexRank < 1 || batch < 0 || batch >= std::min(dataRank, indexRank))
    return node.fail("expected 'batch_dims' below the ranks of both inputs, but got " + Twine(batch));
  std::optional<int64_t> depth = dims.normalize(indices.shape.back()).getConstant();
  if (!depth || *depth < 1 || *depth > dataRank - batch)
    return node.fail("expected the last axis of the indices to be known at compile time and from 1 to " +
                     Twine(dataRank - batch));
  for (int64_t i = 0; i < batch; ++i)
    if (!emit.assertEqual(data.shape[i], indices.shape[i], "expected equal batch dims"))
      return node.fail("expected equal batch dims, but axis " + Twine(i) + " differs");
  Shape shape(indices.shape.begin(), indices.shape.end() - 1);
  shape.append(data.shape.begin() + batch + *depth, data.shape.end());

  Value source = emit.getTensor(data);
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < *depth; ++i)
    sizes.push_back(dims.getValue(data.shape[batch + i], emit.getLoc()));
  // One operand for each column of the indices.
  SmallVector<Converted> columns;
  for (int64_t i = 0; i < *depth; ++i) {
    Shape offsets(indexRank, Dim(0)), lengths = indices.shape, steps(indexRank, Dim(1));
    offsets.back() = i;
    lengths.back() = 1;
    Converted column = emit.slice(indices, offsets, lengths, steps);
    columns.push_back(emit.reshape(column, ArrayRef<Dim>(indices.shape).drop_back()));
  }
  SmallVector<GenericOperand> operands;
  for (Converted &column : columns) {
    GenericOperand operand{&column, {}};
    for (int64_t i = 0; i < indexRank - 1; ++i)
      operand.loops.push_back(i);
    operands.push_back(operand);
  }
  Converted result = emit.indexed(
      operands, shape, {}, getSignless(data.element), {}, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        SmallVector<Value> at;
        auto loop = [&](int64_t i) { return linalg::IndexOp::create(b.builder, b.loc, i).getResult(); };
        for (int64_t i = 0; i < batch; ++i)
          at.push_back(loop(i));
        for (int64_t i = 0; i < *depth; ++i)
          at.push_back(wrapIndex(b, args[i], sizes[i]));
        for (int64_t i = batch + *depth; i < dataRank; ++i)
          at.push_back(loop(indexRank - 1 + i - batch - *depth));
        return tensor::ExtractOp::create(b.builder, b.loc, source, at);
      });
  result.element = data.element;
  return node.result(result);
}

static LogicalResult convertOneHot(NodeContext &node) {
  Emitter &emit = node.emit;
  Converted indices = node.in(0);
  if (!indices.element.isInteger() || indices.element.isInteger(1))
    return node.fail("expected integer indices, but got " + getTypeName(indices.element));
  std::optional<Shape> depth = emit.getList(node.in(1));
  if (!depth || depth->size() != 1)
    return node.fail("expected 'depth' (input 1) to be one integer");
  if (node.in(2).getRank() != 1 || !emit.dims.normalize(node.in(2).shape[0]).isConstant(2))
    return node.fail("expected 'values' (input 2) to be [off, on]");
  FailureOr<int64_t> axis = node.getAxis(node.getInt("axis", -1), indices.getRank() + 1);
  if (failed(axis))
    return failure();
  Type i64 = IntegerType::get(node.op.getContext(), 64);
  indices = emit.cast(indices, i64);
  SmallVector<Converted, 2> values;
  for (int64_t i : {0, 1}) {
    Converted part = emit.slice(node.in(2), Dim(i), Dim(1), Dim(1));
    values.push_back(emit.reshape(part, {}));
  }
  Converted count = Converted::list(*depth, true, i64, emit.getLoc());
  Shape shape = indices.shape;
  shape.insert(shape.begin() + *axis, depth->front());
  GenericOperand index{&indices, {}};
  for (int64_t i = 0; i < indices.getRank(); ++i)
    index.loops.push_back(i < *axis ? i : i + 1);
  Type element = node.in(2).element;
  Converted result = emit.indexed(
      {index, {&count, {}}, {&values[0], {}}, {&values[1], {}}}, shape, {}, getSignless(element), {},
      [&](ScalarBuilder &b, ArrayRef<Value> args) {
        Value at = b.create<arith::IndexCastOp>(i64, linalg::IndexOp::create(b.builder, b.loc, *axis).getResult());
        Value isNegative = b.compareInt(arith::CmpIPredicate::slt, args[0], b.constantInt(i64, 0));
        Value wanted = b.create<arith::SelectOp>(isNegative, b.create<arith::AddIOp>(args[0], args[1]), args[0]);
        return b.create<arith::SelectOp>(b.compareInt(arith::CmpIPredicate::eq, at, wanted), args[3], args[2]);
      });
  result.element = element;
  return node.result(result);
}

static LogicalResult convertTrilu(NodeContext &node) {
  Emitter &emit = node.emit;
  Converted &x = node.in(0);
  if (failed(node.requireRank(0, 2, 16)))
    return failure();
  if (!x.element.isIntOrFloat())
    return node.fail("expected a tensor of numbers, but got " + getTypeName(x.element));
  bool isUpper = node.getInt("upper", 1) != 0;
  Shape diagonal{0};
  if (node.has(1)) {
    std::optional<Shape> given = emit.getList(node.in(1));
    if (!given || given->size() != 1)
      return node.fail("expected 'k' (input 1) to be one integer");
    diagonal = *given;
  }
  Type i64 = IntegerType::get(node.op.getContext(), 64), element = getSignless(x.element);
  Converted k = Converted::list(diagonal, true, i64, emit.getLoc());
  int64_t rank = x.getRank();
  Converted result = emit.indexed(
      {emit.alignRight(x, x.shape), {&k, {}}}, x.shape, {}, element, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) {
        auto index = [&](int64_t loop) {
          return b.create<arith::IndexCastOp>(i64, linalg::IndexOp::create(b.builder, b.loc, loop).getResult());
        };
        // Element (row, column) lies on diagonal column - row.
        Value on = b.create<arith::SubIOp>(index(rank - 1), index(rank - 2));
        Value isKept = b.compareInt(isUpper ? arith::CmpIPredicate::sge : arith::CmpIPredicate::sle, on, args[1]);
        return b.create<arith::SelectOp>(isKept, args[0], b.constant(element, 0));
      });
  result.element = x.element;
  return node.result(result);
}

void registerIndexing(HandlerTable &table) {
  table.add("", "Gather", 2, 2, convertGather);
  table.add("", "GatherElements", 2, 2, convertGatherElements);
  table.add("", "GatherND", 2, 2, convertGatherND);
  table.add("", "OneHot", 3, 3, convertOneHot);
  table.add("", "Trilu", 1, 2, convertTrilu);
}

} // namespace msa::onnx

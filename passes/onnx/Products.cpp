// SPDX-License-Identifier: Apache-2.0
//
// Matrix products. Every product becomes linalg.matmul on two axes or linalg.batch_matmul on three, in f32 for short
// floats.

#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

static TypedAttr getZero(Type type) {
  return isa<FloatType>(type) ? cast<TypedAttr>(FloatAttr::get(type, 0.0)) : cast<TypedAttr>(IntegerAttr::get(type, 0));
}

/// A transposition of the last two axes that made `operand`, undone: then the product can read the source as it lies.
static bool undoTranspose(Emitter &emit, Converted &operand) {
  auto source = emit.getTransposed(operand);
  if (!source)
    return false;
  SmallVector<int64_t> &perm = source->second;
  int64_t rank = perm.size();
  for (int64_t i = 0; i < rank - 2; ++i)
    if (perm[i] != i)
      return false;
  if (rank < 2 || perm[rank - 1] != rank - 2)
    return false;
  operand = source->first;
  return true;
}

/// [.., M, K] x [.., K, N] by ONNX's MatMul rules, accumulated in `accumulator`.
static FailureOr<Converted> emitMatmul(NodeContext &node, Converted lhs, Converted rhs, Type accumulator) {
  Emitter &emit = node.emit;
  DimSpace &dims = emit.dims;
  bool isRow = lhs.getRank() == 1, isColumn = rhs.getRank() == 1;
  if (isRow)
    lhs = emit.reshape(lhs, Shape{1, lhs.shape[0]});
  if (isColumn)
    rhs = emit.reshape(rhs, Shape{rhs.shape[0], 1});
  int64_t lhsRank = lhs.getRank(), rhsRank = rhs.getRank();
  Dim k = lhs.shape[lhsRank - 1];
  if (!emit.assertEqual(k, rhs.shape[rhsRank - 2],
                        "expected the last axis of the first factor to be as long as the last but one of the second"))
    return node.fail("expected the last axis of input 0 to be as long as the last but one of input 1");
  k = dims.normalize(k);
  Dim m = dims.normalize(lhs.shape[lhsRank - 2]), n = dims.normalize(rhs.shape[rhsRank - 1]);
  ArrayRef<Dim> lhsBatch = ArrayRef<Dim>(lhs.shape).drop_back(2), rhsBatch = ArrayRef<Dim>(rhs.shape).drop_back(2);
  Dim rhsCount = dims.normalize(getNumElements(rhsBatch)), lhsCount = dims.normalize(getNumElements(lhsBatch));
  auto finish = [&](Converted product, Shape shape) {
    if (isColumn)
      shape.pop_back();
    if (isRow)
      shape.erase(shape.end() - (isColumn ? 1 : 2));
    return emit.reshape(product, shape);
  };

  std::string why;
  if (rhsCount.isConstant(1)) {
    // One matrix for all: rows of any batch are rows.
    Shape shape(lhsBatch.begin(), lhsBatch.end());
    while (shape.size() < rhsBatch.size())
      shape.insert(shape.begin(), Dim(1));
    shape.append({m, n});
    bool transposed = undoTranspose(emit, rhs);
    Converted right = emit.reshape(rhs, transposed ? Shape{n, k} : Shape{k, n});
    Converted left = emit.reshape(lhs, Shape{getNumElements(lhsBatch) * m, k});
    return finish(emit.matmul(left, false, right, transposed, accumulator), shape);
  }
  std::optional<Shape> batch = emit.broadcast({lhsBatch, rhsBatch}, why);
  if (!batch)
    return node.fail(why);
  Dim count = dims.normalize(getNumElements(*batch));
  Shape shape = *batch;
  shape.append({m, n});
  bool transposed = undoTranspose(emit, rhs);
  auto spread = [&](Converted &factor, const Dim &rows, const Dim &columns) {
    Shape wide = *batch;
    wide.append({rows, columns});
    Converted whole = emit.broadcastTo(factor, wide);
    return emit.reshape(whole, Shape{count, rows, columns});
  };
  Converted left = spread(lhs, m, k), right = transposed ? spread(rhs, n, k) : spread(rhs, k, n);
  return finish(emit.batchMatmul(left, right, transposed, accumulator), shape);
}

static LogicalResult convertMatMul(NodeContext &node) {
  Type element = node.in(0).element;
  if (element != node.in(1).element)
    return node.fail("expected factors of one element type, but got " + getTypeName(element) + " and " +
                     getTypeName(node.in(1).element));
  if (!element.isIntOrFloat() || element.isInteger(1))
    return node.fail("expected factors of numbers, but got " + getTypeName(element));
  if (node.in(0).getRank() == 0 || node.in(1).getRank() == 0)
    return node.fail("expected factors of rank 1 or more");
  FailureOr<Converted> product = emitMatmul(node, node.in(0), node.in(1), getComputeType(getSignless(element)));
  if (failed(product))
    return failure();
  if (isa<FloatType>(element))
    return node.result(node.emit.cast(*product, element));
  product->element = element;
  return node.result(*product);
}

static LogicalResult convertGemm(NodeContext &node) {
  if (failed(node.requireFloat(0)) || failed(node.requireRank(0, 2, 2)) || failed(node.requireRank(1, 2, 2)))
    return failure();
  Emitter &emit = node.emit;
  Type element = node.in(0).element;
  if (element != node.in(1).element)
    return node.fail("expected factors of one element type, but got " + getTypeName(element) + " and " +
                     getTypeName(node.in(1).element));
  double alpha = node.getFloat("alpha", 1.0), beta = node.getFloat("beta", 1.0);
  bool transposeLhs = node.getInt("transA", 0) != 0, transposeRhs = node.getInt("transB", 0) != 0;
  Converted lhs = node.in(0), rhs = node.in(1);
  if (undoTranspose(emit, rhs))
    transposeRhs = !transposeRhs;
  if (transposeLhs && undoTranspose(emit, lhs))
    transposeLhs = false;
  if (!emit.assertEqual(lhs.shape[transposeLhs ? 0 : 1], rhs.shape[transposeRhs ? 1 : 0],
                        "expected both factors to have the same inner length"))
    return node.fail("expected both factors to have the same inner length");
  Type compute = getComputeType(element);
  Converted product = emit.matmul(lhs, transposeLhs, rhs, transposeRhs, compute);
  if (alpha == 1.0 && (!node.has(2) || beta == 0.0))
    return node.result(emit.cast(product, element));
  SmallVector<Converted, 2> inputs{product};
  if (node.has(2) && beta != 0.0) {
    std::string why;
    std::optional<Shape> shape = emit.broadcast({ArrayRef<Dim>(product.shape), ArrayRef<Dim>(node.in(2).shape)}, why);
    if (!shape)
      return node.fail(why);
    inputs[0].shape = *shape;
    inputs.push_back(node.in(2));
  }
  return node.result(emit.floatElementwise(inputs, product.shape, element, [&](ScalarBuilder &b, ArrayRef<Value> args) {
    Value result = alpha == 1.0 ? args[0] : b.create<arith::MulFOp>(args[0], b.constant(compute, alpha));
    if (args.size() == 2)
      result = b.create<arith::AddFOp>(
          result, beta == 1.0 ? args[1] : b.create<arith::MulFOp>(args[1], b.constant(compute, beta)));
    return result;
  }));
}

/// Integers of 8 bits, each with its zero point taken off first.
static LogicalResult convertMatMulInteger(NodeContext &node) {
  Type i32 = IntegerType::get(node.op.getContext(), 32);
  SmallVector<Converted, 2> factors;
  for (size_t i : {0, 1}) {
    Converted &x = node.in(i);
    if (!x.element.isInteger(8) || x.getRank() == 0)
      return node.fail("expected input " + Twine(i) + " to be an int8 or uint8 tensor, but got " +
                       getTypeName(x.element));
    Converted wide = node.emit.cast(x, i32);
    if (node.has(i + 2)) {
      Converted zero = node.emit.cast(node.in(i + 2), i32);
      // One zero point for all, for each row of the first, for each column of the second.
      if (zero.getRank() == 1 && !node.emit.dims.normalize(zero.shape[0]).isConstant(1) && i == 0)
        zero = node.emit.reshape(zero, Shape{zero.shape[0], 1});
      std::string why;
      std::optional<Shape> shape = node.emit.broadcast({ArrayRef<Dim>(wide.shape), ArrayRef<Dim>(zero.shape)}, why);
      if (!shape || shape->size() != x.shape.size())
        return node.fail("expected the zero point (input " + Twine(i + 2) + ") to fit the factor");
      SmallVector<Converted, 2> pair{wide, zero};
      wide = node.emit.elementwise(pair, *shape, i32, [](ScalarBuilder &b, ArrayRef<Value> args) {
        return b.create<arith::SubIOp>(args[0], args[1]);
      });
    }
    factors.push_back(wide);
  }
  FailureOr<Converted> product = emitMatmul(node, factors[0], factors[1], i32);
  if (failed(product))
    return failure();
  return node.result(*product);
}

/// Any Einsum of one or two operands without repeated letters in one term: transposed to [batch, rows, inner] products.
static LogicalResult convertEinsum(NodeContext &node) {
  if (failed(node.requireFloat(0)))
    return failure();
  std::string equation;
  for (char c : node.getString("equation", ""))
    if (c != ' ')
      equation += c;
  if (equation.find("...") != std::string::npos)
    return node.fail("an ellipsis in 'equation' is not supported: \"" + equation + "\"");
  auto [left, right] = StringRef(equation).split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != node.getNumInputs() || terms.size() > 2)
    return node.fail("expected 'equation' to have one or two terms, one for each input, but got \"" + equation + "\"");
  std::string out = right.str();
  if (!StringRef(equation).contains("->")) {
    // Implicit: letters that appear once, in order.
    for (char c = 'A'; c <= 'z'; ++c)
      if (llvm::isAlpha(c) && left.count(c) == 1)
        out += c;
  }
  llvm::DenseMap<char, Dim> lengths;
  for (auto [i, term] : llvm::enumerate(terms)) {
    if (static_cast<int64_t>(term.size()) != node.in(i).getRank())
      return node.fail("expected term \"" + term + "\" of 'equation' to have a letter for each axis of input " +
                       Twine(i));
    for (auto [axis, letter] : llvm::enumerate(term)) {
      if (!llvm::isAlpha(letter) || term.count(letter) != 1)
        return node.fail("expected different letters in term \"" + term + "\" of 'equation'");
      auto [it, inserted] = lengths.try_emplace(letter, node.in(i).shape[axis]);
      if (!inserted && !node.emit.assertEqual(it->second, node.in(i).shape[axis],
                                              "expected equal lengths for letter '" + Twine(letter) + "'"))
        return node.fail("expected equal lengths for letter '" + Twine(letter) + "' of 'equation'");
    }
  }
  for (char letter : out)
    if (!lengths.contains(letter) || StringRef(out).count(letter) != 1)
      return node.fail(
          "expected the letters of the result in 'equation' to be different and among the terms', but got \"" +
          equation + "\"");

  Type element = node.in(0).element, compute = getComputeType(element);
  Emitter &emit = node.emit;
  // Letters of one term alone that the result lacks are summed first.
  SmallVector<Converted> factors;
  SmallVector<std::string> letters;
  for (auto [i, term] : llvm::enumerate(terms)) {
    SmallVector<int64_t> summed;
    std::string kept;
    for (auto [axis, letter] : llvm::enumerate(term)) {
      bool isElsewhere = StringRef(out).contains(letter) || (terms.size() == 2 && terms[1 - i].contains(letter));
      if (isElsewhere)
        kept += letter;
      else
        summed.push_back(axis);
    }
    Converted factor = node.in(i);
    if (!summed.empty()) {
      factor = emit.reduce(factor, summed, compute, getZero(compute), [](ScalarBuilder &b, ArrayRef<Value> args) {
        return b.create<arith::AddFOp>(args[0], args[1]);
      });
      factor = emit.cast(factor, element);
    }
    factors.push_back(factor);
    letters.push_back(kept);
  }
  auto arrange = [&](Converted &factor, StringRef from, StringRef to) {
    SmallVector<int64_t> perm;
    for (char letter : to)
      perm.push_back(from.find(letter));
    return emit.transpose(factor, perm);
  };
  if (terms.size() == 1)
    return node.result(arrange(factors[0], letters[0], out));

  std::string batch, rows, columns, inner;
  for (char letter : letters[0])
    (StringRef(letters[1]).contains(letter) ? (StringRef(out).contains(letter) ? batch : inner) : rows) += letter;
  for (char letter : letters[1])
    if (!StringRef(letters[0]).contains(letter))
      columns += letter;
  auto product = [&](StringRef group) {
    Dim result(1);
    for (char letter : group)
      result = result * emit.dims.normalize(lengths.lookup(letter));
    return result;
  };
  Converted lhs = arrange(factors[0], letters[0], batch + rows + inner),
            rhs = arrange(factors[1], letters[1], batch + columns + inner);
  lhs = emit.reshape(lhs, Shape{product(batch), product(rows), product(inner)});
  rhs = emit.reshape(rhs, Shape{product(batch), product(columns), product(inner)});
  Converted result = lhs;
  if (batch.empty()) {
    lhs = emit.reshape(lhs, Shape{product(rows), product(inner)});
    rhs = emit.reshape(rhs, Shape{product(columns), product(inner)});
    result = emit.matmul(lhs, false, rhs, true, compute);
  } else {
    result = emit.batchMatmul(lhs, rhs, true, compute);
  }
  std::string order = batch + rows + columns;
  Shape apart;
  for (char letter : order)
    apart.push_back(lengths.lookup(letter));
  result = emit.reshape(result, apart);
  result = emit.cast(result, element);
  return node.result(arrange(result, order, out));
}

void registerProducts(HandlerTable &table) {
  table.add("", "MatMul", 2, 2, convertMatMul);
  table.add("", "Gemm", 2, 3, convertGemm);
  table.add("", "MatMulInteger", 2, 4, convertMatMulInteger);
  table.add("", "Einsum", 1, 2, convertEinsum);
}

} // namespace msa::onnx

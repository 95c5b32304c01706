// SPDX-License-Identifier: Apache-2.0
//
// Attention and RotaryEmbedding of opset 23. Heads move behind tokens, the layout of msa.attention and msa.rope:
// exporters put a transposition around both, which is then gone.

#include "dialect/MSAOps.h"
#include "passes/onnx/Node.h"
#include <cmath>

using namespace mlir;

namespace msa::onnx {

/// Input i as [B, tokens, heads, dim], from [B, heads, tokens, dim] or [B, tokens, heads * dim].
static FailureOr<Converted> getTokenMajor(NodeContext &node, size_t i, int64_t heads, StringRef headsName) {
  Converted &x = node.in(i);
  if (failed(node.requireFloat(i)) || failed(node.requireRank(i, 3, 4)))
    return failure();
  if (x.getRank() == 4)
    return node.emit.transpose(x, {0, 2, 1, 3});
  if (heads < 1)
    return node.fail("expected attribute '" + headsName + "' to be positive, since input " + Twine(i) + " has rank 3");
  std::optional<Dim> dim = node.emit.dims.normalize(x.shape[2]).divideExactly(heads);
  if (!dim)
    return node.fail("expected the last axis of input " + Twine(i) + " to be a multiple of " + headsName + " = " +
                     Twine(heads));
  return node.emit.reshape(x, Shape{x.shape[0], x.shape[1], heads, *dim});
}

/// Back from token-major to the layout of the input.
static Converted restoreLayout(Emitter &emit, Converted &result, int64_t rank) {
  if (rank == 4)
    return emit.transpose(result, {0, 2, 1, 3});
  return emit.reshape(result, Shape{result.shape[0], result.shape[1], result.shape[2] * result.shape[3]});
}

static LogicalResult requireStaticHeads(NodeContext &node, Converted &tokenMajor, StringRef name) {
  for (int64_t axis : {2, 3}) {
    std::optional<int64_t> size = node.emit.dims.normalize(tokenMajor.shape[axis]).getConstant();
    if (!size || *size < 1)
      return node.fail("expected the " + Twine(axis == 2 ? "heads" : "head dim") + " of '" + name +
                       "' to be known at compile time and positive");
  }
  return success();
}

/// Rotates `x` [B, T, H, D] by `cos` and `sin` [B or 1, T, R / 2].
static FailureOr<Converted> rotate(NodeContext &node, Converted x, Converted cos, Converted sin, int64_t rotated,
                                   bool interleaved) {
  Emitter &emit = node.emit;
  DimSpace &dims = emit.dims;
  if (failed(requireStaticHeads(node, x, "X")))
    return failure();
  int64_t dim = *dims.normalize(x.shape[3]).getConstant();
  int64_t half = (rotated == 0 ? dim : rotated) / 2;
  if (rotated < 0 || rotated > dim || (rotated == 0 ? dim : rotated) % 2 != 0)
    return node.fail("expected an even number of rotated dims of at most " + Twine(dim) + ", but got " +
                     Twine(rotated == 0 ? dim : rotated));
  for (Converted *table : {&cos, &sin}) {
    if (table->getRank() != 3 || !isa<FloatType>(table->element))
      return node.fail(
          "expected the cos and sin caches to be [batch, tokens, dim / 2], or [positions, dim / 2] with position_ids");
    if (!emit.assertEqual(table->shape[1], x.shape[1], "expected a row of the cos and sin caches for each token"))
      return node.fail("expected a row of the cos and sin caches for each token");
    if (!emit.assertEqual(table->shape[2], half, "expected rows of " + Twine(half) + " in the cos and sin caches"))
      return node.fail("expected rows of " + Twine(half) + " in the cos and sin caches");
    // Exporters leave out the batch where all rows of it have the same positions.
    if (dims.normalize(table->shape[0]).isConstant(1) && !dims.normalize(x.shape[0]).isConstant(1))
      *table = emit.broadcastTo(*table, Shape{x.shape[0], x.shape[1], half});
    else if (!emit.assertEqual(table->shape[0], x.shape[0],
                               "expected the batch of the cos and sin caches to be the input's"))
      return node.fail("expected the batch of the cos and sin caches to be the input's");
  }
  Shape shape = dims.normalize(x.shape);
  bool isSingle = shape[0].isConstant(1);
  if (isSingle) {
    x = emit.reshape(x, ArrayRef<Dim>(shape).drop_front());
    cos = emit.reshape(cos, Shape{shape[1], half});
    sin = emit.reshape(sin, Shape{shape[1], half});
  }
  Value xTensor = emit.getTensor(x), cosTensor = emit.getTensor(cos), sinTensor = emit.getTensor(sin);
  UnitAttr pairs = interleaved ? UnitAttr::get(node.op.getContext()) : UnitAttr();
  Value result = RopeOp::create(emit.builder, emit.getLoc(), xTensor.getType(), xTensor, cosTensor, sinTensor, pairs);
  Converted rotatedX = emit.wrap(result, x.shape, x.element);
  return emit.reshape(rotatedX, shape);
}

/// Rows of a [positions, dim / 2] cache at position_ids [B, T].
static FailureOr<Converted> takeRows(NodeContext &node, Converted &cache, Converted &positions) {
  if (cache.getRank() != 2 || positions.getRank() != 2 || !positions.element.isInteger(64))
    return node.fail("expected caches [positions, dim / 2] and int64 position_ids [batch, tokens]");
  Emitter &emit = node.emit;
  Converted flat = emit.reshape(positions, getNumElements(positions.shape));
  Value table = emit.getTensor(cache), indices = emit.getTensor(flat);
  Shape shape{flat.shape[0], cache.shape[1]};
  Value rows = TakeOp::create(emit.builder, emit.getLoc(), emit.getType(shape, cache.element), table, indices);
  Converted taken = emit.wrap(rows, shape, cache.element);
  return emit.reshape(taken, Shape{positions.shape[0], positions.shape[1], cache.shape[1]});
}

static LogicalResult convertRotaryEmbedding(NodeContext &node) {
  int64_t heads = node.getInt("num_heads", 0), rotated = node.getInt("rotary_embedding_dim", 0);
  bool interleaved = node.getInt("interleaved", 0) != 0;
  int64_t rank = node.in(0).getRank();
  FailureOr<Converted> x = getTokenMajor(node, 0, heads, "num_heads");
  if (failed(x))
    return failure();
  Converted cos = node.in(1), sin = node.in(2);
  if (node.has(3)) {
    FailureOr<Converted> cosRows = takeRows(node, cos, node.in(3)), sinRows = takeRows(node, sin, node.in(3));
    if (failed(cosRows) || failed(sinRows))
      return failure();
    cos = *cosRows;
    sin = *sinRows;
  }
  FailureOr<Converted> result = rotate(node, *x, cos, sin, rotated, interleaved);
  if (failed(result))
    return failure();
  return node.result(restoreLayout(node.emit, *result, rank));
}

/// 1 where key j is at most `past` behind query i, as [1, 1, M, N].
static Converted emitCausalMask(Emitter &emit, const Dim &queries, const Dim &keys, const Dim &past) {
  Type i1 = emit.builder.getI1Type();
  Converted offset = Converted::list(past, true, emit.builder.getI64Type(), emit.getLoc());
  Shape shape{1, 1, queries, keys};
  return emit.indexed(
      GenericOperand{&offset, {}}, shape, {}, i1, {}, [&](ScalarBuilder &b, ArrayRef<Value> args) -> Value {
        Type i64 = b.builder.getI64Type();
        auto index = [&](int64_t loop) {
          return b.create<arith::IndexCastOp>(i64, linalg::IndexOp::create(b.builder, b.loc, loop).getResult());
        };
        Value last = b.create<arith::AddIOp>(index(2), args[0]);
        return b.compareInt(arith::CmpIPredicate::sle, index(3), last);
      });
}

static LogicalResult convertAttention(NodeContext &node) {
  Emitter &emit = node.emit;
  DimSpace &dims = emit.dims;
  node.ignore({"softmax_precision", "qk_matmul_output_mode"}); // always f32; the output is not supported
  if (node.getFloat("softcap", 0) != 0)
    return node.fail("attribute 'softcap' is not supported");
  if (node.has(6))
    return node.fail("'nonpad_kv_seqlen' (input 6) is not supported");
  if (node.wants(3) && !node.op.getResult(3).use_empty())
    return node.fail("'qk_matmul_output' (output 3) is not supported: attention keeps no scores");
  if (node.has(4) != node.has(5))
    return node.fail("expected 'past_key' and 'past_value' (inputs 4 and 5) together");
  int64_t rank = node.in(0).getRank();
  int64_t heads = node.getInt("q_num_heads", 0), groups = node.getInt("kv_num_heads", 0);
  for (size_t i : {1, 2})
    if (node.in(i).getRank() != rank || node.in(i).element != node.in(0).element)
      return node.fail("expected Q, K and V of one rank and element type");
  FailureOr<Converted> query = getTokenMajor(node, 0, heads, "q_num_heads"),
                       key = getTokenMajor(node, 1, groups, "kv_num_heads"),
                       value = getTokenMajor(node, 2, groups, "kv_num_heads");
  if (failed(query) || failed(key) || failed(value) || failed(requireStaticHeads(node, *query, "Q")) ||
      failed(requireStaticHeads(node, *key, "K")) || failed(requireStaticHeads(node, *value, "V")))
    return failure();
  int64_t h = *dims.normalize(query->shape[2]).getConstant(), g = *dims.normalize(key->shape[2]).getConstant();
  int64_t d = *dims.normalize(query->shape[3]).getConstant();
  if (h % g != 0 || !emit.assertEqual(key->shape[2], value->shape[2], "") ||
      !emit.assertEqual(query->shape[3], key->shape[3], ""))
    return node.fail("expected the heads of Q to be a multiple of those of K and V, and Q and K to have one head dim");
  for (Converted *other : {&*key, &*value})
    if (!emit.assertEqual(query->shape[0], other->shape[0], "expected Q, K and V to have the same batch"))
      return node.fail("expected Q, K and V to have the same batch");
  if (!emit.assertEqual(key->shape[1], value->shape[1], "expected as many values as keys"))
    return node.fail("expected as many values as keys");
  double scale = node.hasAttr("scale") ? node.getFloat("scale", 0) : 1.0 / std::sqrt(static_cast<double>(d));

  Dim past(0);
  if (node.has(4)) {
    for (auto [i, now] : {std::pair<size_t, Converted *>{4, &*key}, {5, &*value}}) {
      if (failed(node.requireRank(i, 4, 4)) || failed(node.requireFloat(i)))
        return failure();
      Converted before = emit.transpose(node.in(i), {0, 2, 1, 3});
      for (int64_t axis : {0, 2, 3})
        if (!emit.assertEqual(before.shape[axis], now->shape[axis], "expected the past to fit K and V"))
          return node.fail("expected the past (input " + Twine(i) +
                           ") to have the batch, heads and head dim of K and V");
      past = dims.normalize(before.shape[1]);
      SmallVector<Converted, 2> parts{before, *now};
      *now = emit.concat(parts, 1);
      (void)node.result(i - 3, emit.transpose(*now, {0, 2, 1, 3}));
    }
  } else {
    for (auto [i, now] : {std::pair<size_t, Converted *>{1, &*key}, {2, &*value}})
      if (node.wants(i))
        (void)node.result(i, emit.transpose(*now, {0, 2, 1, 3}));
  }

  Shape scores{dims.normalize(query->shape[0]), h, dims.normalize(query->shape[1]), dims.normalize(key->shape[1])};
  std::optional<Converted> mask;
  if (node.has(3)) {
    Converted &given = node.in(3);
    if (failed(node.requireRank(3, 1, 4)))
      return failure();
    if (!given.element.isInteger(1) && !isa<FloatType>(given.element))
      return node.fail("expected 'attn_mask' (input 3) to be bool or float, but got " + getTypeName(given.element));
    mask = given.element.isInteger(1) ? given : emit.cast(given, emit.builder.getF32Type());
    Shape wide = dims.normalize(mask->shape);
    while (wide.size() < 4)
      wide.insert(wide.begin(), Dim(1));
    mask = emit.reshape(*mask, wide);
    for (int64_t axis = 0; axis < 4; ++axis)
      if (!dims.normalize(wide[axis]).isConstant(1) &&
          !emit.assertEqual(wide[axis], scores[axis],
                            "expected axis " + Twine(axis - 4) + " of the mask to fit the scores"))
        return node.fail("expected 'attn_mask' (input 3) to broadcast to [batch, heads, queries, keys]");
  }
  UnitAttr causal;
  if (node.getInt("is_causal", 0) != 0) {
    // msa.attention aligns the last query with the last key, ONNX the first query with the first key behind the past.
    if (dims.isEqual(scores[2] + past, scores[3])) {
      causal = emit.builder.getUnitAttr();
    } else {
      Converted lower = emitCausalMask(emit, scores[2], scores[3], past);
      if (!mask) {
        mask = lower;
      } else {
        std::string why;
        std::optional<Shape> shape = emit.broadcast({ArrayRef<Dim>(mask->shape), ArrayRef<Dim>(lower.shape)}, why);
        SmallVector<Converted, 2> pair{*mask, lower};
        mask = emit.elementwise(pair, *shape, mask->element, [](ScalarBuilder &b, ArrayRef<Value> args) {
          Type type = args[0].getType();
          Value hidden = isa<FloatType>(type) ? b.constant(type, -std::numeric_limits<double>::infinity())
                                              : b.constantInt(type, 0);
          return b.create<arith::SelectOp>(args[1], args[0], hidden);
        });
      }
    }
  }
  Shape shape{query->shape[0], query->shape[1], h, value->shape[3]};
  Value q = emit.getTensor(*query), k = emit.getTensor(*key), v = emit.getTensor(*value),
        m = mask ? emit.getTensor(*mask) : Value();
  Value output = AttentionOp::create(emit.builder, emit.getLoc(), emit.getType(shape, query->element), q, k, v,
                                     /*documents=*/Value(), m, causal, emit.builder.getF64FloatAttr(scale));
  Converted result = emit.wrap(output, shape, query->element);
  return node.result(restoreLayout(emit, result, rank));
}

void registerAttention(HandlerTable &table) {
  table.add("", "Attention", 3, 7, convertAttention);
  table.add("", "RotaryEmbedding", 3, 4, convertRotaryEmbedding);
}

} // namespace msa::onnx

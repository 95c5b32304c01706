// SPDX-License-Identifier: Apache-2.0
//===- MSARecognizeAttention.cpp - attention spelt out becomes one op -----===//
//
// What an exporter writes for scaled dot-product attention,
//
//   %s = batch_matmul(%q, transpose(%k))          heads first, scales on %q, %k or %s, grouped heads repeated
//   %p = softmax(%s + %mask)                      max, exp, sum, divide; perhaps NaN rows set to 0
//   %y = batch_matmul(%p, %v)
//
// becomes
//
//   %y = msa.attention %q, %k, %v mask %mask scale ...    token-major, no repeated heads, no score is ever stored
//
// The operands are traced back through scales by a constant, permutations, splits of the batch dim and the repetition of grouped
// heads to what they are permutations of; that permutation is made explicit, and costs nothing where a kernel can read through it.
// A row that sees no key gives 0, where a softmax without the NaN guard gives NaN.
//
// Not done when the scores have another user, a mask is not broadcast by leading or inner dims, or the scale is not a constant.
// test/passes/msa-recognize-attention.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSARECOGNIZEATTENTION
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

/// What a dim of a traced operand is: batch, key head, query head of a key head, token, element.
enum class Axis { Batch, Head, Repeat, Token, Element };

/// The one op of a body that has just one, besides constants and the yield.
Operation *onlyOp(linalg::GenericOp generic) {
  Operation *found = nullptr;
  for (Operation &op : generic.getBlock()->without_terminator()) {
    if (op.hasTrait<OpTrait::ConstantLike>())
      continue;
    if (found)
      return nullptr;
    found = &op;
  }
  if (!found || found->getNumResults() != 1 || generic.getBlock()->getTerminator()->getOperand(0) != found->getResult(0))
    return nullptr;
  return found;
}

bool allParallel(linalg::GenericOp generic) { return generic.getNumParallelLoops() == generic.getNumLoops(); }

/// The input of `generic` that `value`, an argument of its body, stands for.
OpOperand *inputOf(linalg::GenericOp generic, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != generic.getBlock() || argument.getArgNumber() >= generic.getNumDpsInputs())
    return nullptr;
  return generic.getDpsInputOperand(argument.getArgNumber());
}

/// `x * constant`, element by element: gives x and multiplies `scale`.
Value peelScale(Value value, double &scale) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || !allParallel(generic) || generic.getNumDpsInputs() != 1)
    return {};
  auto product = dyn_cast_or_null<arith::MulFOp>(onlyOp(generic));
  OpOperand *input = generic.getDpsInputOperand(0);
  if (!product || generic.getMatchingIndexingMap(input) != generic.getMatchingIndexingMap(generic.getDpsInitOperand(0)))
    return {};
  for (auto [x, c] : {std::pair(product.getLhs(), product.getRhs()), std::pair(product.getRhs(), product.getLhs())}) {
    FloatAttr number;
    if (inputOf(generic, x) == input && matchPattern(c, m_Constant(&number))) {
      scale *= number.getValueAsDouble();
      return input->get();
    }
  }
  return {};
}

/// A generic that only moves its input.
bool isMove(linalg::GenericOp generic) {
  return allParallel(generic) && generic.getNumDpsInputs() == 1 && generic.getNumResults() == 1 &&
         inputOf(generic, generic.getBlock()->getTerminator()->getOperand(0)) == generic.getDpsInputOperand(0) &&
         generic.getMatchingIndexingMap(generic.getDpsInitOperand(0)).isIdentity();
}

/// An operand traced to its source: the axes of its dims.
struct Traced {
  Value value;
  SmallVector<SmallVector<Axis, 3>> dims;
};

/// Goes from a 3-D operand of a batched product back to the 4-D tensor that it is a view, a permutation or a repetition of.
FailureOr<Traced> trace(Value value, SmallVector<SmallVector<Axis, 3>> dims, double &scale) {
  Traced traced{value, std::move(dims)};
  auto isFinal = [&] {
    return traced.dims.size() == 4 && llvm::all_of(traced.dims, [](const auto &axes) { return axes.size() == 1; });
  };
  std::optional<Traced> last; // the latest form that will do
  while (true) {
    if (isFinal() && traced.dims[3][0] == Axis::Element)
      last = traced;
    if (Value source = peelScale(traced.value, scale)) {
      traced.value = source;
      continue;
    }
    if (auto collapse = traced.value.getDefiningOp<tensor::CollapseShapeOp>()) {
      SmallVector<SmallVector<Axis, 3>> up;
      bool known = true;
      for (auto [group, axes] : llvm::zip(collapse.getReassociationIndices(), traced.dims)) {
        if (group.size() == 1)
          up.push_back(axes);
        else if (group.size() == axes.size())
          for (Axis axis : axes)
            up.push_back({axis});
        else if (axes.size() == 2 && axes[0] == Axis::Batch && axes[1] == Axis::Head && group.size() == 3)
          up.append({{Axis::Batch}, {Axis::Head}, {Axis::Repeat}});
        else
          known = false;
      }
      if (!known)
        break;
      traced = {collapse.getSrc(), up};
      continue;
    }
    if (auto expand = traced.value.getDefiningOp<tensor::ExpandShapeOp>()) {
      if (isFinal() && traced.dims[3][0] == Axis::Element && expand.getSrcType().getRank() < 3)
        break; // a split of the model's own: this is the operand
      SmallVector<SmallVector<Axis, 3>> up;
      for (const ReassociationIndices &group : expand.getReassociationIndices()) {
        SmallVector<Axis, 3> merged;
        for (int64_t dim : group)
          merged.append(traced.dims[dim]);
        up.push_back(merged);
      }
      // Merging heads and elements leaves the attention: the operand is what was split.
      if (llvm::any_of(up, [](const auto &axes) { return llvm::is_contained(axes, Axis::Element) && axes.size() > 1; }))
        break;
      traced = {expand.getSrc(), up};
      continue;
    }
    auto move = traced.value.getDefiningOp<linalg::GenericOp>();
    if (!move || !isMove(move))
      break;
    AffineMap map = move.getMatchingIndexingMap(move.getDpsInputOperand(0));
    SmallVector<SmallVector<Axis, 3>> up;
    llvm::SmallBitVector used(map.getNumDims());
    bool plain = true;
    for (AffineExpr expr : map.getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      plain &= static_cast<bool>(dim);
      if (!dim)
        break;
      used.set(dim.getPosition());
      up.push_back(traced.dims[dim.getPosition()]);
    }
    // What the input does not have is repeated: only heads of a group may be.
    for (unsigned d = 0; plain && d < map.getNumDims(); ++d)
      if (!used[d] && traced.dims[d] != SmallVector<Axis, 3>{Axis::Repeat})
        plain = false;
    if (!plain)
      break;
    traced = {move.getDpsInputOperand(0)->get(), up};
  }
  if (!last)
    return failure();
  return *last;
}

/// `source` with its dims in the order [batch, token, head, element].
Value tokenMajor(OpBuilder &builder, Location loc, const Traced &traced) {
  SmallVector<int64_t> order; // of the source, for each dim of the result
  for (Axis axis : {Axis::Batch, Axis::Token, Axis::Head, Axis::Element})
    for (auto [i, axes] : llvm::enumerate(traced.dims))
      if (axes[0] == axis)
        order.push_back(i);
  if (order.size() != 4)
    return {};
  if (llvm::equal(order, llvm::seq<int64_t>(0, 4)))
    return traced.value;
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, traced.value), permuted;
  SmallVector<AffineExpr> exprs(4);
  for (auto [i, from] : llvm::enumerate(order)) {
    permuted.push_back(sizes[from]);
    exprs[from] = builder.getAffineDimExpr(i);
  }
  Type element = cast<RankedTensorType>(traced.value.getType()).getElementType();
  Value empty = tensor::EmptyOp::create(builder, loc, permuted, element);
  return linalg::GenericOp::create(builder, loc, empty.getType(), ValueRange{traced.value}, ValueRange{empty},
                                   ArrayRef{AffineMap::get(4, 0, exprs, builder.getContext()), builder.getMultiDimIdentityMap(4)},
                                   SmallVector<utils::IteratorType>(4, utils::IteratorType::parallel),
                                   [](OpBuilder &b, Location loc, ValueRange args) { linalg::YieldOp::create(b, loc, args[0]); })
      .getResult(0);
}

/// A reduction of `of` over the last dim by one op of type OpTy.
template <typename OpTy>
bool isRowReduction(Value value, Value of) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  return generic && generic.getNumReductionLoops() == 1 && generic.getNumDpsInputs() == 1 && generic.getDpsInputOperand(0)->get() == of &&
         isa_and_nonnull<OpTy>(onlyOp(generic)) && generic.getIteratorTypesArray().back() == utils::IteratorType::reduction;
}

/// From the probabilities back to the scores: softmax over the last dim, and the guard against rows of NaN.
Value peelSoftmax(Value value) {
  auto guard = value.getDefiningOp<linalg::GenericOp>();
  if (guard && allParallel(guard) && isa_and_nonnull<arith::SelectOp>(onlyOp(guard)) && guard.getNumDpsInputs() == 2) {
    auto select = cast<arith::SelectOp>(onlyOp(guard));
    OpOperand *flag = inputOf(guard, select.getCondition()), *kept = inputOf(guard, select.getFalseValue());
    auto test = flag ? flag->get().getDefiningOp<linalg::GenericOp>() : linalg::GenericOp();
    auto compare = test ? dyn_cast_or_null<arith::CmpFOp>(onlyOp(test)) : arith::CmpFOp();
    if (kept && compare && compare.getPredicate() == arith::CmpFPredicate::UNO && test.getDpsInputOperand(0)->get() == kept->get() &&
        matchPattern(select.getTrueValue(), m_AnyZeroFloat()))
      value = kept->get();
  }
  auto divide = value.getDefiningOp<linalg::GenericOp>();
  auto quotient = divide && allParallel(divide) ? dyn_cast_or_null<arith::DivFOp>(onlyOp(divide)) : arith::DivFOp();
  OpOperand *weights = quotient ? inputOf(divide, quotient.getLhs()) : nullptr;
  OpOperand *sum = quotient ? inputOf(divide, quotient.getRhs()) : nullptr;
  if (!weights || !sum || !isRowReduction<arith::AddFOp>(sum->get(), weights->get()))
    return {};
  auto exponential = weights->get().getDefiningOp<linalg::GenericOp>();
  if (!exponential || !allParallel(exponential) || exponential.getNumDpsInputs() != 2)
    return {};
  auto exp = exponential.getBlock()->getTerminator()->getOperand(0).getDefiningOp<math::ExpOp>();
  auto difference = exp ? exp.getOperand().getDefiningOp<arith::SubFOp>() : arith::SubFOp();
  OpOperand *scores = difference ? inputOf(exponential, difference.getLhs()) : nullptr;
  OpOperand *maximum = difference ? inputOf(exponential, difference.getRhs()) : nullptr;
  if (!scores || !maximum || !isRowReduction<arith::MaximumFOp>(maximum->get(), scores->get()))
    return {};
  return scores->get();
}

/// Whether `map` over [B, H, M, N] leaves out some dims and keeps the order of the others.
bool isBroadcast(AffineMap map) {
  int64_t previous = -1;
  for (AffineExpr expr : map.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || static_cast<int64_t>(dim.getPosition()) <= previous)
      return false;
    previous = dim.getPosition();
  }
  return map.getNumResults() > 0;
}

/// `mask`, read through `map` over [B, H, M, N], as a tensor of rank 4 with dims of 1 where it is broadcast.
Value expandMask(OpBuilder &builder, Location loc, Value mask, AffineMap map) {
  auto type = cast<RankedTensorType>(mask.getType());
  SmallVector<int64_t> shape(4, 1);
  SmallVector<OpFoldResult> sizes(4, builder.getIndexAttr(1));
  SmallVector<ReassociationIndices> groups;
  int64_t previous = -1;
  for (auto [i, expr] : llvm::enumerate(map.getResults())) {
    auto dim = cast<AffineDimExpr>(expr);
    ReassociationIndices group;
    for (int64_t d = previous + 1; d <= static_cast<int64_t>(dim.getPosition()); ++d)
      group.push_back(d);
    groups.push_back(group);
    previous = dim.getPosition();
    shape[previous] = type.getDimSize(i);
    sizes[previous] = tensor::getMixedSize(builder, loc, mask, i);
  }
  for (int64_t d = previous + 1; d < 4; ++d)
    groups.back().push_back(d);
  if (type.getRank() == 4)
    return mask;
  return tensor::ExpandShapeOp::create(builder, loc, RankedTensorType::get(shape, type.getElementType()), mask, groups, sizes);
}

struct FromProducts : OpRewritePattern<linalg::BatchMatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::BatchMatmulOp second, PatternRewriter &rewriter) const override {
    if (!second.hasPureTensorSemantics() || second.hasUserDefinedMaps())
      return failure();
    Location loc = second.getLoc();
    // Probabilities: [B * H, M, N], split to [B, H, M, N] where the softmax is.
    Value probabilities = second.getInputs()[0];
    if (auto collapse = probabilities.getDefiningOp<tensor::CollapseShapeOp>())
      probabilities = collapse.getSrc();
    Value scores = peelSoftmax(probabilities);
    if (!scores || cast<RankedTensorType>(scores.getType()).getRank() != 4)
      return rewriter.notifyMatchFailure(second, "its left-hand side is no softmax over [batch, heads, tokens, tokens]");

    // Scores: scale and mask in any order, down to the first product.
    double scale = 1;
    Value mask;
    AffineMap maskMap;
    linalg::BatchMatmulOp first;
    while (!first) {
      if (Value source = peelScale(scores, scale)) {
        if (mask)
          return rewriter.notifyMatchFailure(second, "scales after it masks");
        scores = source;
        continue;
      }
      if (auto expand = scores.getDefiningOp<tensor::ExpandShapeOp>()) {
        first = expand.getSrc().getDefiningOp<linalg::BatchMatmulOp>();
        if (!first)
          return rewriter.notifyMatchFailure(second, "its scores are not a product");
        break;
      }
      auto add = scores.getDefiningOp<linalg::GenericOp>();
      auto sum = add && allParallel(add) && add.getNumDpsInputs() == 2 ? dyn_cast_or_null<arith::AddFOp>(onlyOp(add)) : arith::AddFOp();
      if (!sum || mask)
        return rewriter.notifyMatchFailure(second, "its scores are neither scaled, masked nor a product");
      for (int64_t i : {0, 1}) {
        OpOperand *candidate = add.getDpsInputOperand(i), *other = add.getDpsInputOperand(1 - i);
        Operation *producer = candidate->get().getDefiningOp();
        if (!add.getMatchingIndexingMap(candidate).isIdentity() || !producer || !isa<tensor::ExpandShapeOp, linalg::GenericOp>(producer) || mask)
          continue;
        double ignored = 1;
        Value below = candidate->get();
        while (Value source = peelScale(below, ignored))
          below = source;
        auto expand = below.getDefiningOp<tensor::ExpandShapeOp>();
        if (!expand || !expand.getSrc().getDefiningOp<linalg::BatchMatmulOp>())
          continue;
        mask = other->get();
        maskMap = add.getMatchingIndexingMap(other);
        scores = candidate->get();
      }
      if (!mask)
        return rewriter.notifyMatchFailure(second, "adds something to what is no product");
      if (!cast<RankedTensorType>(mask.getType()).getElementType().isF32())
        return rewriter.notifyMatchFailure(second, "adds a mask that is not f32");
    }
    if (first.hasUserDefinedMaps())
      return failure();

    // Query [B * H, M, D], key [B * H, D, N], value [B * H, N, E].
    using Axes = SmallVector<SmallVector<Axis, 3>>;
    double keyScale = 1;
    FailureOr<Traced> query = trace(first.getInputs()[0], Axes{{Axis::Batch, Axis::Head}, {Axis::Token}, {Axis::Element}}, scale);
    FailureOr<Traced> key = trace(first.getInputs()[1], Axes{{Axis::Batch, Axis::Head}, {Axis::Element}, {Axis::Token}}, keyScale);
    double valueScale = 1;
    FailureOr<Traced> value = trace(second.getInputs()[1], Axes{{Axis::Batch, Axis::Head}, {Axis::Token}, {Axis::Element}}, valueScale);
    if (failed(query) || failed(key) || failed(value) || valueScale != 1)
      return rewriter.notifyMatchFailure(second, "its operands are no permutations of [batch, tokens, heads, dim]");
    scale *= keyScale;
    if (!second->hasOneUse())
      return rewriter.notifyMatchFailure(second, "its result is used in more than one form");
    auto expand = dyn_cast<tensor::ExpandShapeOp>(*second->user_begin());
    if (!expand || cast<RankedTensorType>(expand.getType()).getRank() != 4)
      return rewriter.notifyMatchFailure(second, "its result is not split into heads");

    // Everything that can be in the way, before anything is made.
    auto sizeOf = [](const Traced &traced, Axis axis) {
      for (auto [i, axes] : llvm::enumerate(traced.dims))
        if (axes[0] == axis)
          return cast<RankedTensorType>(traced.value.getType()).getDimSize(i);
      return ShapedType::kDynamic;
    };
    for (const Traced *operand : {&*query, &*key, &*value})
      if (ShapedType::isDynamic(sizeOf(*operand, Axis::Head)) || ShapedType::isDynamic(sizeOf(*operand, Axis::Element)))
        return rewriter.notifyMatchFailure(second, "its heads or head dims are unknown");
    int64_t keyHeads = sizeOf(*key, Axis::Head);
    if (sizeOf(*query, Axis::Head) % keyHeads || keyHeads != sizeOf(*value, Axis::Head))
      return rewriter.notifyMatchFailure(second, "its heads do not fit");
    if (mask && !isBroadcast(maskMap))
      return rewriter.notifyMatchFailure(second, "its mask is broadcast in an unknown way");

    rewriter.setInsertionPoint(second);
    Value q = tokenMajor(rewriter, loc, *query), k = tokenMajor(rewriter, loc, *key), v = tokenMajor(rewriter, loc, *value);
    auto queryType = cast<RankedTensorType>(q.getType()), valueType = cast<RankedTensorType>(v.getType());
    if (mask)
      mask = expandMask(rewriter, loc, mask, maskMap);

    auto resultType = RankedTensorType::get({queryType.getDimSize(0), queryType.getDimSize(1), queryType.getDimSize(2), valueType.getDimSize(3)},
                                            rewriter.getF32Type());
    Value y = msa::AttentionOp::create(rewriter, loc, resultType, q, k, v, /*documents=*/Value(), mask, /*causal=*/UnitAttr(),
                                       rewriter.getF64FloatAttr(scale));
    // Back to heads first, which its users mostly undo.
    Traced heads{y, Axes{{Axis::Batch}, {Axis::Head}, {Axis::Token}, {Axis::Element}}};
    Value back = tokenMajor(rewriter, loc, heads);
    if (back.getType() != expand.getType())
      back = tensor::CastOp::create(rewriter, loc, expand.getType(), back);
    rewriter.replaceOp(expand, back);
    rewriter.eraseOp(second);
    return success();
  }
};

/// A permutation of a permutation is one, or none.
struct JoinMoves : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics() || !isMove(op) || !op.getMatchingIndexingMap(op.getDpsInputOperand(0)).isPermutation())
      return failure();
    auto inner = op.getDpsInputOperand(0)->get().getDefiningOp<linalg::GenericOp>();
    if (!inner || !isMove(inner) || !inner.getMatchingIndexingMap(inner.getDpsInputOperand(0)).isPermutation())
      return failure();
    Value source = inner.getDpsInputOperand(0)->get();
    AffineMap map = inner.getMatchingIndexingMap(inner.getDpsInputOperand(0)).compose(op.getMatchingIndexingMap(op.getDpsInputOperand(0)));
    if (map.isIdentity() && source.getType() == op.getResult(0).getType()) {
      rewriter.replaceOp(op, source);
      return success();
    }
    rewriter.modifyOpInPlace(op, [&] {
      op.getInputsMutable().assign(source);
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr({map, op.getIndexingMapsArray()[1]}));
    });
    return success();
  }
};

struct MSARecognizeAttention : msa::impl::MSARecognizeAttentionBase<MSARecognizeAttention> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FromProducts, JoinMoves>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

// SPDX-License-Identifier: Apache-2.0
//===- MSAPackWeights.cpp - constant matrices become panels ---------------===//
//
//   %y = linalg.matmul ins(%x, %w : tensor<?xKxf32>, tensor<KxNxf32>) outs(%zero)
//
// with a constant %w becomes
//
//   %y = msa.matmul %x, %panels : tensor<?xKxf32>, tensor<ceil(N/16) x K x 16 x f32> -> tensor<?xNxf32>
//
// and so does a product whose right-hand side is read transposed, `[N, K]`. The panels are made once, here: every kernel reads
// 16 columns as one contiguous vector, rows of a panel follow each other. The columns past N are zero. A matrix that several
// entries share (the same bytes of the same file) is packed once.
//
// Not done when the right-hand side is computed, or the accumulator is not zero.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include <map>

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAPACKWEIGHTS
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

constexpr int64_t kPanel = 16;

/// The bytes of a constant, row-major; splats are expanded into `storage`.
FailureOr<ArrayRef<char>> bytesOf(ElementsAttr value, std::vector<char> &storage) {
  int64_t width = value.getElementType().getIntOrFloatBitWidth() / 8;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || static_cast<int64_t>(blob->getData().size()) < value.getNumElements() * width)
      return failure();
    return blob->getData();
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense)
    return failure();
  if (!dense.isSplat())
    return dense.getRawData();
  storage.resize(value.getNumElements() * width);
  for (int64_t i = 0; i < value.getNumElements(); ++i)
    std::copy_n(dense.getRawData().data(), width, storage.data() + i * width);
  return ArrayRef<char>(storage);
}

struct PackRightHandSide : OpRewritePattern<linalg::MatmulOp> {
  using Cache = std::map<std::tuple<const char *, int64_t, int64_t, bool>, ElementsAttr>;
  PackRightHandSide(MLIRContext *context, Cache &cache) : OpRewritePattern(context), cache(cache) {}

  LogicalResult matchAndRewrite(linalg::MatmulOp op, PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    auto resultType = cast<RankedTensorType>(op.getResult(0).getType());
    ElementsAttr weight;
    if (!matchPattern(op.getInputs()[1], m_Constant(&weight)))
      return rewriter.notifyMatchFailure(op, "the right-hand side is not a constant");
    if (!isa<FloatType>(weight.getElementType()) || weight.getElementType().getIntOrFloatBitWidth() > 32)
      return rewriter.notifyMatchFailure(op, "the right-hand side is not f32, f16 or bf16");
    auto fill = op.getOutputs()[0].getDefiningOp<linalg::FillOp>();
    if (!fill || !matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
      return rewriter.notifyMatchFailure(op, "the accumulator is not zero");

    AffineExpr m, n, k;
    bindDims(op.getContext(), m, n, k);
    auto maps = op.getIndexingMapsArray();
    auto is = [&](AffineMap map, AffineExpr a, AffineExpr b) { return map == AffineMap::get(3, 0, {a, b}, op.getContext()); };
    if (!is(maps[0], m, k) || !is(maps[2], m, n))
      return rewriter.notifyMatchFailure(op, "the left-hand side or the result is transposed");
    bool transposed = is(maps[1], n, k);
    if (!transposed && !is(maps[1], k, n))
      return rewriter.notifyMatchFailure(op, "the right-hand side is broadcast");
    ArrayRef<int64_t> shape = weight.getShapedType().getShape();
    int64_t depth = shape[transposed ? 1 : 0], columns = shape[transposed ? 0 : 1];

    ElementsAttr packed = pack(weight, depth, columns, transposed);
    if (!packed)
      return rewriter.notifyMatchFailure(op, "the constant has no bytes");
    Location loc = op.getLoc();
    Value panels = arith::ConstantOp::create(rewriter, op.getInputs()[1].getLoc(), cast<TypedAttr>(packed));
    auto product = msa::MatmulOp::create(rewriter, loc, resultType, op.getInputs()[0], panels, ValueRange{});
    Block *epilogue = rewriter.createBlock(&product.getEpilogue(), {}, {rewriter.getF32Type()}, {loc});
    Value sum = epilogue->getArgument(0);
    if (resultType.getElementType() != sum.getType())
      sum = arith::TruncFOp::create(rewriter, loc, resultType.getElementType(), sum);
    msa::YieldOp::create(rewriter, loc, sum);
    rewriter.replaceOp(op, product.getResult());
    return success();
  }

private:
  ElementsAttr pack(ElementsAttr weight, int64_t depth, int64_t columns, bool transposed) const {
    std::vector<char> storage;
    FailureOr<ArrayRef<char>> source = bytesOf(weight, storage);
    if (failed(source))
      return {};
    bool cachable = storage.empty();
    ElementsAttr none;
    ElementsAttr &known = cachable ? cache[{source->data(), depth, columns, transposed}] : none;
    if (known)
      return known;
    int64_t width = weight.getElementType().getIntOrFloatBitWidth() / 8;
    int64_t panels = llvm::divideCeil(columns, kPanel);
    AsmResourceBlob blob = HeapAsmResourceBlob::allocate(panels * depth * kPanel * width, 64);
    MutableArrayRef<char> target = blob.getMutableData();
    std::fill(target.begin(), target.end(), 0);
    auto move = [&](auto element) {
      using T = decltype(element);
      const T *from = reinterpret_cast<const T *>(source->data());
      T *to = reinterpret_cast<T *>(target.data());
      for (int64_t panel = 0; panel < panels; ++panel) {
        int64_t first = panel * kPanel, count = std::min(kPanel, columns - first);
        for (int64_t k = 0; k < depth; ++k)
          for (int64_t j = 0; j < count; ++j)
            to[(panel * depth + k) * kPanel + j] = transposed ? from[(first + j) * depth + k] : from[k * columns + first + j];
      }
    };
    if (width == 4)
      move(uint32_t());
    else
      move(uint16_t());
    auto type = RankedTensorType::get({panels, depth, kPanel}, weight.getElementType());
    ElementsAttr packed = DenseResourceElementsAttr::get(type, "packed", std::move(blob));
    if (cachable)
      known = packed;
    return packed;
  }

  Cache &cache;
};

struct MSAPackWeights : msa::impl::MSAPackWeightsBase<MSAPackWeights> {
  void runOnOperation() override {
    PackRightHandSide::Cache cache;
    RewritePatternSet patterns(&getContext());
    patterns.add<PackRightHandSide>(&getContext(), cache);
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

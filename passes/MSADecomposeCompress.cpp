// SPDX-License-Identifier: Apache-2.0
//===- MSADecomposeCompress.cpp - split compress into index and pool ------===//
//
//   %rows, %documents = msa.compress %x documents %doc positions %pos chunk 64 mean : ...
//
// becomes
//
//   %starts, %documents = msa.chunk_index %doc positions %pos chunk 64 : ...
//   %rows = msa.pool %x starts %starts mean : ...
//
// so that CSE leaves one chunk_index for the keys, values and routing keys of all layers.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSADECOMPOSECOMPRESS
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

struct SplitCompress : OpRewritePattern<msa::CompressOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(msa::CompressOp op, PatternRewriter &rewriter) const override {
    auto starts = RankedTensorType::get({ShapedType::kDynamic}, rewriter.getI64Type());
    auto index = msa::ChunkIndexOp::create(rewriter, op.getLoc(), TypeRange{starts, op.getChunkDocuments().getType()},
                                           op.getDocuments(), op.getPositions(), op.getChunk());
    auto pool = msa::PoolOp::create(rewriter, op.getLoc(), op.getRows().getType(), op.getX(), index.getStarts(), op.getReduceAttr(),
                                    op.getNormalizeAttr(), op.getEpsilonAttr());
    rewriter.replaceOp(op, {pool.getRows(), index.getChunkDocuments()});
    return success();
  }
};

struct MSADecomposeCompress : msa::impl::MSADecomposeCompressBase<MSADecomposeCompress> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitCompress>(&getContext());
    if (failed(msa::applyPatternsAndRemark(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};

} // namespace

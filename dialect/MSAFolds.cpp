// SPDX-License-Identifier: Apache-2.0
//
// Folds and canonical forms. test/dialect/msa/canonicalize.mlir has a case for each, and for where it does not apply.

#include "dialect/MSAOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace msa;

/// Nothing appended, or appended to nothing. Only where the types are equal: a static dim is not given up.
OpFoldResult AppendOp::fold(FoldAdaptor) {
  if (getRows().getType().getDimSize(getAxis()) == 0 && getPast().getType() == getType())
    return getPast();
  if (getPast().getType().getDimSize(getAxis()) == 0 && getRows().getType() == getType())
    return getRows();
  return {};
}

/// One token, the last, sees every key: `causal` says nothing.
LogicalResult AttentionOp::canonicalize(AttentionOp op, PatternRewriter &rewriter) {
  auto query = op.getQuery().getType();
  if (!op.getCausal() || query.getDimSize(query.getRank() - 3) != 1)
    return rewriter.notifyMatchFailure(op, "is not causal, or has more than one token");
  rewriter.modifyOpInPlace(op, [&] { op.setCausal(false); });
  return success();
}

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_PASSES_REMARKS_H
#define MSA_PASSES_REMARKS_H

#include "mlir/IR/PatternMatch.h"

namespace msa {

/// Applies `patterns` below `root` until none applies, and tells MLIR's remark engine, where the context has one, what came of it:
/// *passed* for every op that was rewritten, *missed* for every op that is still there at the end and whose pattern gave its
/// reason (`notifyMatchFailure`), unless the same place was rewritten before. The category is the name of the pass, the location that of the op. Which remarks anybody
/// sees is chosen outside: `msac --opt-report`, `msa-opt --remark-format=emitRemark --remarks-filter=msa-fuse-route`.
/// `missed` false leaves missed ones out: of passes that borrow patterns whose reasons mean nothing to a reader.
mlir::LogicalResult applyPatternsAndRemark(mlir::Operation *root, mlir::RewritePatternSet &&patterns, llvm::StringRef pass,
                                           bool missed = true);

} // namespace msa

#endif // MSA_PASSES_REMARKS_H

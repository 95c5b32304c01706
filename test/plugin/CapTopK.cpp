// SPDX-License-Identifier: Apache-2.0
//===- CapTopK.cpp - the pass of docs/write-a-pass.md, as a plugin --------===//
//
//   msa.route ... top 16 ...
//
// becomes, with --example-cap-top-k=limit=4,
//
//   msa.route ... top 4 ...
//
// so that a question reads fewer documents than the model was trained for. Not done where k is within the limit already.
//
//===----------------------------------------------------------------------===//

#include "dialect/MSAOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace {

struct Cap : OpRewritePattern<msa::RouteOp> {
  Cap(MLIRContext *context, int64_t limit) : OpRewritePattern(context), limit(limit) {}

  LogicalResult matchAndRewrite(msa::RouteOp op, PatternRewriter &rewriter) const override {
    if (static_cast<int64_t>(op.getK()) <= limit)
      return rewriter.notifyMatchFailure(op, "selects no more documents than the limit");
    rewriter.modifyOpInPlace(op, [&] { op.setK(limit); });
    return success();
  }

  int64_t limit;
};

struct CapTopK : PassWrapper<CapTopK, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CapTopK)

  CapTopK() = default;
  CapTopK(const CapTopK &other) : PassWrapper(other) {} // options are copied by the pass manager

  StringRef getArgument() const final { return "example-cap-top-k"; }
  StringRef getDescription() const final { return "limit the documents that a route selects"; }

  Option<int64_t> limit{*this, "limit", llvm::cl::desc("documents that a route selects at most"), llvm::cl::init(16)};

  void runOnOperation() override {
    if (limit < 1) {
      getOperation().emitError("expected 'limit' to be positive, but got ") << limit.getValue();
      return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    patterns.add<Cap>(&getContext(), limit);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "CapTopK", LLVM_VERSION_STRING, [] { PassRegistration<CapTopK>(); }};
}

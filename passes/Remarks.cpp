// SPDX-License-Identifier: Apache-2.0

#include "passes/Remarks.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace {

class RemarkListener : public RewriterBase::Listener {
public:
  explicit RemarkListener(StringRef pass) : pass(pass) {}

  void notifyPatternBegin(const Pattern &pattern, Operation *op) override {
    current = op;
    location = op->getLoc();
    name = op->getName();
    reason.clear();
  }

  void notifyMatchFailure(Location, function_ref<void(Diagnostic &)> describe) override {
    Diagnostic diagnostic(*location, DiagnosticSeverity::Remark);
    describe(diagnostic);
    reason = diagnostic.str();
  }

  void notifyPatternEnd(const Pattern &pattern, LogicalResult status) override {
    if (succeeded(status)) {
      missed.erase({current, &pattern});
      rewritten.insert(*location);
      remark::passed(*location, options()) << ("rewrote '" + name->getStringRef() + "'").str();
    } else if (!reason.empty()) {
      missed.insert_or_assign({current, &pattern}, Missed{*location, *name, reason});
    } else {
      missed.erase({current, &pattern});
    }
  }

  void notifyOperationErased(Operation *op) override {
    missed.remove_if([&](const auto &entry) { return entry.first.first == op; });
  }

  void finish() {
    for (const auto &entry : missed)
      if (!rewritten.contains(entry.second.location))
        remark::missed(entry.second.location, options()) << ("left '" + entry.second.name.getStringRef() + "': " + entry.second.reason).str();
  }

private:
  remark::RemarkOpts options() const { return remark::RemarkOpts::name("rewrite").category(pass); }

  struct Missed {
    Location location;
    OperationName name;
    std::string reason;
  };

  StringRef pass;
  Operation *current = nullptr; // may be gone when its pattern ends
  std::optional<Location> location;
  std::optional<OperationName> name;
  std::string reason;
  llvm::DenseSet<Location> rewritten;
  llvm::MapVector<std::pair<Operation *, const Pattern *>, Missed> missed;
};

} // namespace

LogicalResult msa::applyPatternsAndRemark(Operation *root, RewritePatternSet &&patterns, StringRef pass, bool missed) {
  // Reasons cost time to write down: only where somebody listens.
  if (!root->getContext()->getRemarkEngine())
    return applyPatternsGreedily(root, std::move(patterns));
  RemarkListener listener(pass);
  GreedyRewriteConfig config;
  config.setListener(&listener);
  LogicalResult result = applyPatternsGreedily(root, std::move(patterns), config);
  if (missed)
    listener.finish();
  return result;
}

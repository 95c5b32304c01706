// SPDX-License-Identifier: Apache-2.0
//
// How an operator is converted: a handler per (domain, operator), registered by the file of its theme, which reads the
// node through a NodeContext and gives it its results.

#ifndef MSA_PASSES_ONNX_NODE_H
#define MSA_PASSES_ONNX_NODE_H

#include "dialect/onnx/OnnxDialect.h"
#include "passes/onnx/Emitter.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace msa::onnx {

class NodeContext {
public:
  NodeContext(Emitter &emit, NodeOp op, int64_t opset, llvm::ArrayRef<Converted *> inputs)
      : emit(emit), op(op), opset(opset), inputs(inputs.begin(), inputs.end()), results(op.getNumResults()) {}

  Emitter &emit;
  NodeOp op;
  /// The version of the node's domain.
  int64_t opset;

  //===--------------------------------------------------------------------===//
  // Inputs and outputs
  //===--------------------------------------------------------------------===//

  size_t getNumInputs() const { return inputs.size(); }
  size_t getNumOutputs() const { return results.size(); }
  bool has(size_t i) const { return i < inputs.size() && inputs[i]->isPresent(); }
  Converted &in(size_t i) { return *inputs[i]; }
  /// Somebody may read output i.
  bool wants(size_t i) { return i < results.size() && !llvm::isa<NoneType>(op.getResult(i).getType()); }
  /// Gives output i; always succeeds, so that a handler can end in it.
  llvm::LogicalResult result(size_t i, Converted value) {
    if (i < results.size())
      results[i] = std::move(value);
    return mlir::success();
  }
  llvm::LogicalResult result(Converted value) { return result(0, std::move(value)); }
  std::optional<Converted> &getResult(size_t i) { return results[i]; }

  //===--------------------------------------------------------------------===//
  // Attributes; one of the wrong kind is reported after the handler
  //===--------------------------------------------------------------------===//

  bool hasAttr(llvm::StringRef name) { return static_cast<bool>(getAttr(name)); }
  int64_t getInt(llvm::StringRef name, int64_t otherwise);
  double getFloat(llvm::StringRef name, double otherwise);
  llvm::StringRef getString(llvm::StringRef name, llvm::StringRef otherwise);
  std::optional<llvm::SmallVector<int64_t>> getInts(llvm::StringRef name);
  std::optional<llvm::SmallVector<double>> getFloats(llvm::StringRef name);
  mlir::ElementsAttr getElements(llvm::StringRef name);
  /// The attributes change nothing here.
  void ignore(std::initializer_list<llvm::StringRef> names);

  /// `axis` within [-rank, rank) made non-negative, or a failure.
  mlir::FailureOr<int64_t> getAxis(int64_t axis, int64_t rank);
  /// An attribute, or from some opset on an input, that lists integers known at compile time.
  mlir::FailureOr<std::optional<llvm::SmallVector<int64_t>>> getIntsOf(llvm::StringRef attribute, size_t input);

  //===--------------------------------------------------------------------===//
  // Failure
  //===--------------------------------------------------------------------===//

  llvm::LogicalResult fail(const llvm::Twine &reason);
  /// Fails unless input i has a float (or f32/f64, integer, ...) element type.
  llvm::LogicalResult requireFloat(size_t i);
  llvm::LogicalResult requireRank(size_t i, int64_t atLeast, int64_t atMost);
  /// Why the node cannot be converted; empty if it can.
  std::string getReason();

private:
  mlir::Attribute getAttr(llvm::StringRef name);
  void reportKind(llvm::StringRef name, llvm::StringRef kind);

  llvm::SmallVector<Converted *> inputs;
  llvm::SmallVector<std::optional<Converted>> results;
  llvm::StringSet<> read;
  std::string reason;
};

/// ONNX's spelling of an element type, for messages.
std::string getTypeName(mlir::Type type);

using Handler = llvm::LogicalResult (*)(NodeContext &node);

/// What is known of (domain, operator).
class HandlerTable {
public:
  struct Entry {
    Handler handler;
    size_t minInputs, maxInputs;
  };
  static constexpr size_t anyNumber = ~size_t(0);

  void add(llvm::StringRef domain, llvm::StringRef op, size_t minInputs, size_t maxInputs, Handler handler) {
    entries[(domain + "::" + op).str()] = {handler, minInputs, maxInputs};
  }
  const Entry *find(llvm::StringRef domain, llvm::StringRef op) const {
    auto it = entries.find((domain + "::" + op).str());
    return it == entries.end() ? nullptr : &it->second;
  }
  bool knowsDomain(llvm::StringRef domain) const {
    return llvm::any_of(entries, [&](const auto &entry) { return entry.getKey().starts_with((domain + "::").str()); });
  }

  /// Every operator of every theme.
  static const HandlerTable &get();

private:
  llvm::StringMap<Entry> entries;
};

void registerArithmetic(HandlerTable &table);
void registerAttention(HandlerTable &table);
void registerElementwise(HandlerTable &table);
void registerIndexing(HandlerTable &table);
void registerLayout(HandlerTable &table);
void registerMemory(HandlerTable &table);
void registerNormalization(HandlerTable &table);
void registerProducts(HandlerTable &table);
void registerReductions(HandlerTable &table);
void registerScans(HandlerTable &table);
void registerShape(HandlerTable &table);

} // namespace msa::onnx

#endif // MSA_PASSES_ONNX_NODE_H

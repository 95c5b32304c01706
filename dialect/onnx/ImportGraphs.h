// SPDX-License-Identifier: Apache-2.0
//
// Graphs and model-local functions of an ONNX file as funcs.

#ifndef MSA_DIALECT_ONNX_IMPORTGRAPHS_H
#define MSA_DIALECT_ONNX_IMPORTGRAPHS_H

#include "dialect/onnx/ImportTensors.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"
#include <map>

namespace msa::onnx {

/// The operator sets a model or function imports: domain -> version.
using Opsets = std::map<std::string, int64_t>;

/// Domain ("" for ai.onnx), operator, overload.
struct OperatorId {
  std::string domain, name, overload;
  auto operator<=>(const OperatorId &) const = default;

  static OperatorId of(const ::onnx::NodeProto &node);
  static OperatorId of(const ::onnx::FunctionProto &function);
  /// "ai.msa::Route", "Gemm", "ai.msa::Route::mean".
  std::string str() const;
};

/// The model-local functions that a file's nodes may call.
using FunctionTable = std::map<OperatorId, mlir::func::FuncOp>;

/// "node 'x' (op 'Gemm')"; nodes without a name are numbered from 0.
std::string describe(const ::onnx::NodeProto &node, int index);

/// Fills one func from a graph or a function. Thread-compatible.
class GraphImporter {
public:
  /// `place` is what nodes are in: the entry's or function's name, for locations.
  GraphImporter(const FileErrors &errors, TensorImporter &tensors, const FunctionTable &functions, Opsets opsets,
                llvm::StringRef place)
      : errors(errors), tensors(tensors), functions(functions), opsets(std::move(opsets)), place(place.str()),
        builder(errors.context) {}

  /// A public func for `graph`, appended to `module`; `initializerBytes` as in ModelFile.
  mlir::FailureOr<mlir::func::FuncOp> importEntry(const ::onnx::GraphProto &graph, mlir::ModuleOp module,
                                                  llvm::ArrayRef<std::optional<llvm::ArrayRef<char>>> initializerBytes);

  /// Fills `func`, which has the function's signature, no body yet.
  mlir::LogicalResult importFunction(const ::onnx::FunctionProto &function, mlir::func::FuncOp func);

  mlir::DictionaryAttr opsetsAttr();

private:
  struct Definition;
  struct Scope;
  using Nodes = google::protobuf::RepeatedPtrField<::onnx::NodeProto>;

  mlir::LogicalResult importHints(const ::onnx::GraphProto &graph, Scope &scope);
  mlir::LogicalResult importInitializers(const ::onnx::GraphProto &graph, Scope &scope,
                                         llvm::ArrayRef<std::optional<llvm::ArrayRef<char>>> bytes);
  mlir::LogicalResult importNodes(const Nodes &nodes, Scope &scope);
  mlir::LogicalResult importNode(const ::onnx::NodeProto &node, int index, Scope &scope);
  mlir::LogicalResult importNested(const ::onnx::GraphProto &graph, Scope &outer, mlir::Region &region,
                                   const std::string &where);
  mlir::LogicalResult importAttributes(const ::onnx::NodeProto &node, Scope &scope, const std::string &where,
                                       mlir::OperationState &state);
  mlir::FailureOr<mlir::Attribute> importAttribute(const ::onnx::AttributeProto &attribute, llvm::StringRef name,
                                                   const std::string &where);

  mlir::LogicalResult define(Scope &scope, const std::string &name, Definition definition, const std::string &where);
  mlir::FailureOr<mlir::Value> lookup(Scope &scope, const std::string &name, int user, const std::string &where);
  mlir::FailureOr<llvm::SmallVector<mlir::Value>>
  lookupOutputs(llvm::ArrayRef<std::string> names, Scope &scope, const std::string &where);
  mlir::Value none(Scope &scope);

  std::string inPlace(const llvm::Twine &where) const;
  mlir::Location located(llvm::StringRef name, llvm::StringRef scope = {});

  const FileErrors &errors;
  TensorImporter &tensors;
  const FunctionTable &functions;
  Opsets opsets;
  std::string place;
  bool inFunction = false;
  mlir::OpBuilder builder;
};

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_IMPORTGRAPHS_H

// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/Import.h"
#include "dialect/onnx/ImportGraphs.h"
#include "dialect/onnx/ModelFile.h"
#include "dialect/onnx/OnnxDialect.h"
#include "dialect/onnx/Quoted.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include <set>

using namespace mlir;
using namespace msa::onnx;
using llvm::Twine;

/// The IR versions of ONNX that this importer knows. Before 3 a file did not say which operators it uses.
static constexpr int64_t minIRVersion = 3, maxIRVersion = 14;

std::string msa::onnx::entryName(StringRef path) {
  std::string name = llvm::sys::path::stem(path).str();
  for (char &c : name)
    if (!llvm::isAlnum(c) && c != '_' && c != '.' && c != '-')
      c = '_';
  return name.empty() ? "_" : name;
}

namespace {
/// What the files of one import share.
struct SharedState {
  MLIRContext &context;
  const ImportOptions &options;
  ModuleOp module;
  MappedResources resources;
  std::map<std::string, ExternalFiles> folders;
  std::set<std::string> symbols; ///< of funcs
  /// A function as bytes with the symbols of what it calls -> the func made of it.
  std::map<std::string, func::FuncOp> functionsByContent;
};
} // namespace

namespace msa::onnx {
class FileImporter {
public:
  FileImporter(SharedState &shared, StringRef path) : shared(shared), errors{&shared.context, path.str()} {}
  LogicalResult import();

private:
  LogicalResult checkModel();
  FailureOr<Opsets> importOpsets(const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto> &imports,
                                 const Twine &where);
  FailureOr<std::vector<const ::onnx::FunctionProto *>> functionsInOrder();
  LogicalResult importFunction(const ::onnx::FunctionProto &function);

  SharedState &shared;
  FileErrors errors;
  std::unique_ptr<ModelFile> file;
  std::optional<TensorImporter> tensors;
  FunctionTable functions;
  /// Which of the file's functions a function calls, in order of their first call.
  std::map<OperatorId, std::vector<OperatorId>> calls;
};
} // namespace msa::onnx

FailureOr<Opsets> FileImporter::importOpsets(
    const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto> &imports, const Twine &whereTwine) {
  std::string where = whereTwine.str();
  Opsets opsets;
  for (const ::onnx::OperatorSetIdProto &import : imports) {
    std::string domain = import.domain() == "ai.onnx" ? "" : import.domain();
    StringRef spelling = domain.empty() ? "ai.onnx" : StringRef(domain);
    auto [known, inserted] = opsets.try_emplace(domain, import.version());
    if (!inserted && known->second != import.version())
      return errors.error(where) << "expected one opset of domain " << quoted(spelling) << ", but imports " << known->second
                                 << " and " << import.version();
    if (import.version() < 1)
      return errors.error(where) << "expected the opset of domain " << quoted(spelling) << " to be at least 1, but got "
                                 << import.version();
  }
  return opsets;
}

LogicalResult FileImporter::checkModel() {
  const ::onnx::ModelProto &model = file->model;
  if (!model.has_ir_version() || !model.has_graph())
    return errors.error("") << "expected an ONNX model, but the file has no "
                            << (model.has_ir_version() ? "graph" : "'ir_version'");
  if (model.ir_version() < minIRVersion || model.ir_version() > maxIRVersion)
    return errors.error("") << "expected an IR version from " << minIRVersion << " to " << maxIRVersion << ", but got "
                            << model.ir_version()
                            << (model.ir_version() > maxIRVersion ? ": export for an older version of ONNX"
                                                                  : ": convert the file with a newer ONNX");
  if (model.opset_import().empty())
    return errors.error("") << "expected the model to import opsets, but it has no 'opset_import'";
  if (!model.training_info().empty())
    errors.warn("the model's training information is left out: it is compiled for inference");
  return success();
}

static void collectCalls(const google::protobuf::RepeatedPtrField<::onnx::NodeProto> &nodes,
                         std::vector<OperatorId> &out, std::set<OperatorId> &seen) {
  for (const ::onnx::NodeProto &node : nodes) {
    OperatorId id = OperatorId::of(node);
    if (seen.insert(id).second)
      out.push_back(std::move(id));
    for (const ::onnx::AttributeProto &attribute : node.attribute()) {
      collectCalls(attribute.g().node(), out, seen);
      for (const ::onnx::GraphProto &graph : attribute.graphs())
        collectCalls(graph.node(), out, seen);
    }
  }
}

/// The file's functions, callees before callers.
FailureOr<std::vector<const ::onnx::FunctionProto *>> FileImporter::functionsInOrder() {
  std::map<OperatorId, const ::onnx::FunctionProto *> byId;
  for (const ::onnx::FunctionProto &function : file->model.functions()) {
    OperatorId id = OperatorId::of(function);
    if (id.name.empty())
      return errors.error("function of domain " + quoted(id.domain)) << "expected a name";
    if (!byId.try_emplace(id, &function).second)
      return errors.error("function " + quoted(id.str())) << "expected one definition, but there are several";
  }
  std::map<OperatorId, std::vector<OperatorId>> callers;
  std::map<OperatorId, size_t> open; // callees not yet in `order`
  std::vector<OperatorId> ready;
  for (const ::onnx::FunctionProto &function : file->model.functions()) {
    OperatorId id = OperatorId::of(function);
    std::vector<OperatorId> used;
    std::set<OperatorId> seen;
    collectCalls(function.node(), used, seen);
    llvm::erase_if(used, [&](const OperatorId &callee) { return !byId.count(callee); });
    for (const OperatorId &callee : used)
      callers[callee].push_back(id);
    open[id] = used.size();
    if (used.empty())
      ready.push_back(id);
    calls[id] = std::move(used);
  }
  std::vector<const ::onnx::FunctionProto *> order;
  for (size_t i = 0; i < ready.size(); ++i) {
    order.push_back(byId[ready[i]]);
    open.erase(ready[i]);
    for (const OperatorId &caller : callers[ready[i]])
      if (--open[caller] == 0)
        ready.push_back(caller);
  }
  if (!open.empty())
    return errors.error("function " + quoted(open.begin()->first.str()))
           << "expected functions that do not call themselves, but this one does, or calls one that does";
  return order;
}

LogicalResult FileImporter::importFunction(const ::onnx::FunctionProto &function) {
  OperatorId id = OperatorId::of(function);
  FailureOr<Opsets> opsets = importOpsets(function.opset_import(), "function " + quoted(id.str()));
  if (failed(opsets))
    return failure();

  // Entries of one model repeat the bodies of their operators: equal ones are one func.
  std::string content = function.SerializeAsString();
  for (const OperatorId &callee : calls[id])
    content += '\0' + functions.at(callee).getSymName().str();
  auto [known, inserted] = shared.functionsByContent.try_emplace(content);
  if (!inserted) {
    functions[id] = known->second;
    return success();
  }

  OpBuilder builder = OpBuilder::atBlockEnd(shared.module.getBody());
  std::string stem = id.domain.empty() ? "ai.onnx::" + id.str() : id.str(), symbol = stem;
  for (int i = 2; !shared.symbols.insert(symbol).second; ++i)
    symbol = stem + "#" + std::to_string(i);
  SmallVector<Type> inputs(function.input_size(), ValueType::get(&shared.context));
  SmallVector<Type> outputs(function.output_size(), ValueType::get(&shared.context));
  auto func = func::FuncOp::create(builder, NameLoc::get(builder.getStringAttr(id.str())), symbol,
                                   builder.getFunctionType(inputs, outputs));
  func.setPrivate();
  func->setAttr("onnx.function", builder.getStrArrayAttr({id.domain, id.name, id.overload}));
  GraphImporter importer(errors, *tensors, functions, std::move(*opsets), id.str());
  if (failed(importer.importFunction(function, func)))
    return failure();
  functions[id] = known->second = func;
  return success();
}

LogicalResult FileImporter::import() {
  std::string reason;
  file = ModelFile::parse(errors.path, reason);
  if (!file)
    return errors.error("") << reason;
  if (failed(checkModel()))
    return failure();
  const ::onnx::ModelProto &model = file->model;
  FailureOr<Opsets> opsets = importOpsets(model.opset_import(), "");
  if (failed(opsets))
    return failure();

  std::string folder = llvm::sys::path::parent_path(errors.path).str();
  ExternalFiles &external = shared.folders.try_emplace(folder, folder).first->second;
  tensors.emplace(errors, shared.options, file->file, external, shared.resources);

  std::string entry = entryName(errors.path);
  if (!shared.symbols.insert(entry).second)
    return errors.error("") << "expected every file to have a name of its own, but another one is also called "
                            << quoted(entry) << ": entries are named after their files";
  FailureOr<std::vector<const ::onnx::FunctionProto *>> order = functionsInOrder();
  if (failed(order))
    return failure();
  for (const ::onnx::FunctionProto *function : *order)
    if (failed(importFunction(*function)))
      return failure();

  GraphImporter importer(errors, *tensors, functions, std::move(*opsets), entry);
  FailureOr<func::FuncOp> func = importer.importEntry(model.graph(), shared.module, file->initializerBytes);
  if (failed(func))
    return failure();
  Builder builder(&shared.context);
  (*func)->setAttr("onnx.ir_version", builder.getI64IntegerAttr(model.ir_version()));
  std::string producer = StringRef(model.producer_name() + " " + model.producer_version()).trim().str();
  if (!producer.empty())
    (*func)->setAttr("onnx.producer", builder.getStringAttr(producer));
  NamedAttrList metadata;
  for (const ::onnx::StringStringEntryProto &entry : model.metadata_props())
    if (!entry.key().empty())
      metadata.set(entry.key(), builder.getStringAttr(entry.value()));
  if (!metadata.empty())
    (*func)->setAttr("onnx.metadata", metadata.getDictionary(&shared.context));
  return success();
}

OwningOpRef<ModuleOp> msa::onnx::importOnnxFiles(MLIRContext &context, ArrayRef<std::string> paths,
                                                 const ImportOptions &options) {
  context.loadDialect<OnnxDialect, func::FuncDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  SharedState shared{context, options, *module, MappedResources(), {}, {}, {}};
  bool ok = true;
  for (const std::string &path : paths) // every file's first error, not just the first file's
    ok &= succeeded(FileImporter(shared, path).import());
  if (!ok || failed(verify(*module)))
    return nullptr;
  return module;
}

OwningOpRef<ModuleOp> msa::onnx::importOnnx(MLIRContext &context, StringRef path, const ImportOptions &options) {
  return importOnnxFiles(context, {path.str()}, options);
}

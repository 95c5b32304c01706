// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/ImportGraphs.h"
#include "dialect/onnx/ModelFile.h"
#include "dialect/onnx/OnnxDialect.h"
#include "dialect/onnx/Quoted.h"
#include "llvm/ADT/StringSet.h"
#include <deque>

using namespace mlir;
using namespace msa::onnx;
using llvm::Twine;

/// What a name stands for, and where that was said: the index of an input, initializer or node.
struct GraphImporter::Definition {
  enum Kind { Input, Initializer, Node } kind;
  int index;
  Value value;
};

/// A graph under construction. A nested graph sees the names of the graphs around it and may hide them.
struct GraphImporter::Scope {
  Scope(Scope *parent, Block *block) : parent(parent), block(block) {}

  Scope *parent;
  Block *block;
  llvm::StringMap<Definition> definitions;
  llvm::StringMap<DeclaredType> hints;
  const Nodes *nodes = nullptr;
  llvm::StringMap<int> makers; ///< value -> the node that makes it, also if that comes later
  Value none;
};

static std::string normalDomain(const std::string &domain) { return domain == "ai.onnx" ? "" : domain; }

OperatorId OperatorId::of(const ::onnx::NodeProto &node) {
  return {normalDomain(node.domain()), node.op_type(), overloadOf(node)};
}
OperatorId OperatorId::of(const ::onnx::FunctionProto &function) {
  return {normalDomain(function.domain()), function.name(), overloadOf(function)};
}
std::string OperatorId::str() const {
  return (domain.empty() ? "" : domain + "::") + name + (overload.empty() ? "" : "::" + overload);
}

std::string msa::onnx::describe(const ::onnx::NodeProto &node, int index) {
  std::string op = " (op " + quoted(OperatorId::of(node).str()) + ")";
  return node.name().empty() ? "node " + std::to_string(index) + op : "node " + quoted(node.name()) + op;
}

std::string GraphImporter::inPlace(const Twine &where) const {
  return inFunction ? ("function " + quoted(place) + ": " + where).str() : where.str();
}

Location GraphImporter::located(StringRef name, StringRef scope) {
  Location location = NameLoc::get(builder.getStringAttr(place));
  if (!scope.empty() && !name.starts_with(scope))
    location = NameLoc::get(builder.getStringAttr(scope), location);
  return NameLoc::get(builder.getStringAttr(name), location);
}

/// The module path that torch notes on a node: the last but one of "['', 'model.layers.0', 'linear_3']".
static std::string moduleScope(const ::onnx::NodeProto &node) {
  for (const auto &[key, value] : metadataOf(node)) {
    if (key != "pkg.torch.onnx.name_scopes")
      continue;
    SmallVector<StringRef> parts;
    StringRef(value).split(parts, ',');
    if (parts.size() >= 2)
      return parts[parts.size() - 2].trim(" []'\"").str();
  }
  return "";
}

DictionaryAttr GraphImporter::opsetsAttr() {
  NamedAttrList attributes; // which have no empty names
  for (const auto &[domain, version] : opsets)
    attributes.set(domain.empty() ? "ai.onnx" : domain, builder.getI64IntegerAttr(version));
  return attributes.getDictionary(builder.getContext());
}

LogicalResult GraphImporter::define(Scope &scope, const std::string &name, Definition definition,
                                    const std::string &where) {
  auto [known, inserted] = scope.definitions.try_emplace(name, definition);
  if (inserted)
    return success();
  const Definition &first = known->second;
  auto diagnostic = errors.error(inPlace(where)) << "expected every name to be defined once, but " << quoted(name)
                                                 << " is already ";
  switch (first.kind) {
  case Definition::Input:
    return diagnostic << "input " << first.index << " of the graph";
  case Definition::Initializer:
    return diagnostic << "initializer " << first.index << " of the graph";
  case Definition::Node:
    return diagnostic << "made by " << describe(scope.nodes->Get(first.index), first.index);
  }
  llvm_unreachable("covered switch");
}

/// How `user` depends on itself by way of `maker`, as "'a' -> 'b' -> 'a'" (each uses what the next makes); empty if it does
/// not.
template <typename Nodes>
static std::string findCycle(const Nodes &nodes, const llvm::StringMap<int> &makers, int user, int maker) {
  std::map<int, int> reachedFrom{{maker, user}};
  std::deque<int> queue{maker};
  auto name = [&](int node) {
    return nodes.Get(node).name().empty() ? std::to_string(node) : quoted(nodes.Get(node).name());
  };
  while (!queue.empty()) {
    int node = queue.front();
    queue.pop_front();
    if (node == user) {
      SmallVector<int> path{user};
      for (int at = reachedFrom[user]; at != user; at = reachedFrom[at])
        path.push_back(at);
      std::string text = name(user);
      size_t shown = 0;
      for (int at : llvm::reverse(ArrayRef(path).drop_front())) {
        text += " -> " + name(at);
        if (++shown == 8) {
          text += " -> ...";
          break;
        }
      }
      return text + " -> " + name(user);
    }
    for (const std::string &input : nodes.Get(node).input())
      if (auto found = makers.find(input); found != makers.end() && reachedFrom.try_emplace(found->second, node).second)
        queue.push_back(found->second);
  }
  return "";
}

FailureOr<Value> GraphImporter::lookup(Scope &scope, const std::string &name, int user, const std::string &where) {
  for (Scope *at = &scope; at; at = at->parent) {
    if (auto found = at->definitions.find(name); found != at->definitions.end())
      return found->second.value;
    auto maker = at->makers.find(name);
    if (maker == at->makers.end())
      continue;
    auto diagnostic = errors.error(inPlace(where))
                      << "uses " << quoted(name) << ", which " << describe(at->nodes->Get(maker->second), maker->second)
                      << " makes later";
    std::string cycle = at == &scope && user >= 0 ? findCycle(*at->nodes, at->makers, user, maker->second) : "";
    if (!cycle.empty())
      return diagnostic << ": the nodes form a cycle, " << cycle;
    return diagnostic << ": nodes have to be in topological order";
  }
  return errors.error(inPlace(where)) << "uses " << quoted(name)
                                      << ", which no input, initializer or node of the graph defines";
}

Value GraphImporter::none(Scope &scope) {
  if (!scope.none) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(scope.block);
    scope.none = NoneOp::create(builder, NameLoc::get(builder.getStringAttr(place)),
                                msa::onnx::NoneType::get(builder.getContext()));
  }
  return scope.none;
}

LogicalResult GraphImporter::importHints(const ::onnx::GraphProto &graph, Scope &scope) {
  for (const auto *infos : {&graph.value_info(), &graph.output()})
    for (const ::onnx::ValueInfoProto &info : *infos) {
      FailureOr<DeclaredType> type = importType(info.type(), errors, inPlace("value " + quoted(info.name())));
      if (failed(type))
        return failure();
      scope.hints[info.name()] = *type;
    }
  return success();
}

LogicalResult GraphImporter::importInitializers(const ::onnx::GraphProto &graph, Scope &scope,
                                                ArrayRef<std::optional<ArrayRef<char>>> bytes) {
  auto add = [&](int index, const std::string &name, FailureOr<ElementsAttr> value, const std::string &where) {
    if (failed(value))
      return failure();
    if (name.empty())
      return LogicalResult(errors.error(inPlace(where)) << "expected a name");
    auto op =
        InitializerOp::create(builder, located(name), value->getShapedType(), *value, builder.getStringAttr(name));
    return define(scope, name, {Definition::Initializer, index, op}, where);
  };
  for (auto [i, tensor] : llvm::enumerate(graph.initializer())) {
    std::string where = "initializer " + (tensor.name().empty() ? std::to_string(i) : quoted(tensor.name()));
    auto raw = i < bytes.size() ? bytes[i] : std::nullopt;
    if (failed(add(i, tensor.name(), tensors.import(tensor, tensor.name(), inPlace(where), raw), where)))
      return failure();
  }
  for (auto [i, tensor] : llvm::enumerate(graph.sparse_initializer())) {
    const std::string &name = tensor.values().name();
    std::string where = "sparse initializer " + (name.empty() ? std::to_string(i) : quoted(name));
    if (failed(add(i, name, tensors.import(tensor, name, inPlace(where)), where)))
      return failure();
  }
  return success();
}

static StringRef kindName(::onnx::AttributeProto::AttributeType type) {
  static constexpr StringRef names[] = {
      "UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS",
      "TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"};
  return static_cast<size_t>(type) < std::size(names) ? names[type] : "UNDEFINED";
}

FailureOr<Attribute> GraphImporter::importAttribute(const ::onnx::AttributeProto &attribute, StringRef name,
                                                    const std::string &where) {
  using Proto = ::onnx::AttributeProto;
  std::string at = where + ": attribute " + quoted(attribute.name());
  auto array = [&](const auto &values, auto toAttribute) -> FailureOr<Attribute> {
    SmallVector<Attribute> attributes;
    for (const auto &value : values) {
      FailureOr<Attribute> element = toAttribute(value);
      if (failed(element))
        return failure();
      attributes.push_back(*element);
    }
    return Attribute(builder.getArrayAttr(attributes));
  };
  auto tensor = [&](const auto &value) -> FailureOr<Attribute> {
    FailureOr<ElementsAttr> elements = tensors.import(value, name, inPlace(at));
    if (failed(elements))
      return failure();
    return Attribute(*elements);
  };
  auto string = [&](const std::string &value) -> FailureOr<Attribute> {
    return Attribute(builder.getStringAttr(value));
  };
  auto type = [&](const ::onnx::TypeProto &value) -> FailureOr<Attribute> {
    FailureOr<DeclaredType> result = importType(value, errors, inPlace(at));
    if (failed(result))
      return failure();
    return Attribute(TypeAttr::get(result->type));
  };

  if (!attribute.ref_attr_name().empty()) {
    if (!inFunction)
      return errors.error(inPlace(at)) << "refers to attribute " << quoted(attribute.ref_attr_name())
                                       << " of a function, but the node is not in a function";
    return Attribute(RefAttr::get(builder.getContext(), builder.getStringAttr(attribute.ref_attr_name()),
                                  builder.getStringAttr(kindName(attribute.type()))));
  }
  switch (attribute.type()) {
  case Proto::FLOAT:
    return Attribute(builder.getF32FloatAttr(attribute.f()));
  case Proto::INT:
    return Attribute(builder.getI64IntegerAttr(attribute.i()));
  case Proto::STRING:
    return string(attribute.s());
  case Proto::TENSOR:
    return tensor(attribute.t());
  case Proto::SPARSE_TENSOR:
    return tensor(attribute.sparse_tensor());
  case Proto::TYPE_PROTO:
    return type(attribute.tp());
  case Proto::FLOATS:
    return Attribute(builder.getDenseF32ArrayAttr(SmallVector<float>(attribute.floats().begin(), attribute.floats().end())));
  case Proto::INTS:
    return Attribute(builder.getDenseI64ArrayAttr(SmallVector<int64_t>(attribute.ints().begin(), attribute.ints().end())));
  case Proto::STRINGS:
    return array(attribute.strings(), string);
  case Proto::TENSORS:
    return array(attribute.tensors(), tensor);
  case Proto::SPARSE_TENSORS:
    return array(attribute.sparse_tensors(), tensor);
  case Proto::TYPE_PROTOS:
    return array(attribute.type_protos(), type);
  case Proto::GRAPHS: // only an empty one comes here
    return Attribute(builder.getArrayAttr({}));
  default:
    return errors.error(inPlace(at)) << "expected an attribute with a type and a value, but its type is "
                                     << kindName(attribute.type());
  }
}

LogicalResult GraphImporter::importAttributes(const ::onnx::NodeProto &node, Scope &scope, const std::string &where,
                                              OperationState &state) {
  NamedAttrList attributes;
  SmallVector<Attribute> regionNames;
  llvm::StringSet<> seen;
  StringRef resourceName = node.name().empty() && node.output_size() ? node.output(0) : node.name();
  auto addGraph = [&](const ::onnx::GraphProto &graph, const std::string &name) {
    regionNames.push_back(builder.getStringAttr(name));
    return importNested(graph, scope, *state.addRegion(), where + ": graph " + quoted(name));
  };
  for (const ::onnx::AttributeProto &attribute : node.attribute()) {
    const std::string &name = attribute.name();
    if (name.empty() || !seen.insert(name).second)
      return errors.error(inPlace(where)) << "expected every attribute to have a name of its own, but got "
                                          << quoted(name) << (name.empty() ? "" : " twice");
    bool isReference = !attribute.ref_attr_name().empty();
    if (!isReference && attribute.type() == ::onnx::AttributeProto::GRAPH) {
      if (failed(addGraph(attribute.g(), name)))
        return failure();
    } else if (!isReference && attribute.type() == ::onnx::AttributeProto::GRAPHS && attribute.graphs_size()) {
      for (auto [i, graph] : llvm::enumerate(attribute.graphs()))
        if (failed(addGraph(graph, name + "[" + std::to_string(i) + "]")))
          return failure();
    } else {
      FailureOr<Attribute> value = importAttribute(attribute, resourceName, where);
      if (failed(value))
        return failure();
      attributes.set(name, *value);
    }
  }
  state.addAttribute("node_attributes", attributes.getDictionary(builder.getContext()));
  if (!regionNames.empty())
    state.addAttribute("region_names", builder.getArrayAttr(regionNames));
  return success();
}

LogicalResult GraphImporter::importNode(const ::onnx::NodeProto &node, int index, Scope &scope) {
  std::string where = describe(node, index);
  OperatorId id = OperatorId::of(node);
  if (id.name.empty())
    return errors.error(inPlace(where)) << "expected an operator's name in 'op_type', but it is empty";
  if (!opsets.count(id.domain))
    return errors.error(inPlace(where)) << "expected an opset import for domain "
                                        << quoted(id.domain.empty() ? "ai.onnx" : id.domain) << ", but the "
                                        << (inFunction ? "function" : "model") << " has none";

  const std::string &name = node.name().empty() && node.output_size() ? node.output(0) : node.name();
  OperationState state(located(name, moduleScope(node)), NodeOp::getOperationName());
  for (const std::string &input : node.input()) {
    FailureOr<Value> value = input.empty() ? none(scope) : lookup(scope, input, index, where);
    if (failed(value))
      return failure();
    state.operands.push_back(*value);
  }
  for (const std::string &output : node.output()) {
    auto hint = scope.hints.find(output);
    state.types.push_back(output.empty()               ? Type(msa::onnx::NoneType::get(builder.getContext()))
                          : hint == scope.hints.end() ? Type(ValueType::get(builder.getContext()))
                                                       : hint->second.type);
  }
  state.addAttribute("op_type", builder.getStringAttr(id.name));
  if (!id.domain.empty())
    state.addAttribute("domain", builder.getStringAttr(id.domain));
  if (!id.overload.empty())
    state.addAttribute("overload", builder.getStringAttr(id.overload));
  if (auto function = functions.find(id); function != functions.end()) {
    func::FuncOp callee = function->second;
    if (state.operands.size() > callee.getNumArguments() || state.types.size() > callee.getNumResults())
      return errors.error(inPlace(where)) << "expected at most " << callee.getNumArguments() << " inputs and "
                                          << callee.getNumResults() << " outputs, which its function has, but got "
                                          << state.operands.size() << " and " << state.types.size();
    state.addAttribute("callee", FlatSymbolRefAttr::get(callee));
  }
  if (failed(importAttributes(node, scope, where, state)))
    return failure();

  Operation *op = builder.create(state);
  for (auto [output, value] : llvm::zip_equal(node.output(), op->getResults()))
    if (!output.empty() && failed(define(scope, output, {Definition::Node, index, value}, where)))
      return failure();
  return success();
}

LogicalResult GraphImporter::importNodes(const Nodes &nodes, Scope &scope) {
  scope.nodes = &nodes;
  for (auto [i, node] : llvm::enumerate(nodes))
    for (const std::string &output : node.output())
      if (!output.empty())
        scope.makers.try_emplace(output, i);
  for (auto [i, node] : llvm::enumerate(nodes))
    if (failed(importNode(node, i, scope)))
      return failure();
  return success();
}

FailureOr<SmallVector<Value>> GraphImporter::lookupOutputs(ArrayRef<std::string> names, Scope &scope,
                                                           const std::string &where) {
  SmallVector<Value> values;
  for (auto [i, name] : llvm::enumerate(names)) {
    std::string at = where + "output " + std::to_string(i);
    if (name.empty())
      return errors.error(inPlace(at)) << "expected a name";
    FailureOr<Value> value = lookup(scope, name, /*user=*/-1, at);
    if (failed(value))
      return failure();
    values.push_back(*value);
  }
  return values;
}

LogicalResult GraphImporter::importNested(const ::onnx::GraphProto &graph, Scope &outer, Region &region,
                                          const std::string &where) {
  OpBuilder::InsertionGuard guard(builder);
  region.push_back(new Block());
  Scope scope(&outer, &region.front());
  builder.setInsertionPointToStart(scope.block);
  if (failed(importHints(graph, scope)))
    return failure();
  for (auto [i, input] : llvm::enumerate(graph.input())) {
    std::string at = where + ": input " + std::to_string(i);
    FailureOr<DeclaredType> type = importType(input.type(), errors, inPlace(at));
    if (failed(type))
      return failure();
    Value argument = scope.block->addArgument(type->type, located(input.name()));
    if (input.name().empty())
      return errors.error(inPlace(at)) << "expected a name";
    if (failed(define(scope, input.name(), {Definition::Input, static_cast<int>(i), argument}, at)))
      return failure();
  }
  if (failed(importInitializers(graph, scope, {})) || failed(importNodes(graph.node(), scope)))
    return failure();
  SmallVector<std::string> names;
  for (const ::onnx::ValueInfoProto &output : graph.output())
    names.push_back(output.name());
  FailureOr<SmallVector<Value>> values = lookupOutputs(names, scope, where + ": ");
  if (failed(values))
    return failure();
  YieldOp::create(builder, NameLoc::get(builder.getStringAttr(place)), *values);
  return success();
}

/// `onnx.name` and `onnx.dims` of an argument or result.
static DictionaryAttr valueAttributes(Builder &builder, StringRef name, const DeclaredType &type) {
  NamedAttrList attributes;
  attributes.set("onnx.name", builder.getStringAttr(name));
  if (type.dims) {
    SmallVector<StringRef> dims(type.dims->begin(), type.dims->end());
    attributes.set("onnx.dims", builder.getStrArrayAttr(dims));
  }
  return attributes.getDictionary(builder.getContext());
}

FailureOr<func::FuncOp>
GraphImporter::importEntry(const ::onnx::GraphProto &graph, ModuleOp module,
                           ArrayRef<std::optional<ArrayRef<char>>> initializerBytes) {
  builder.setInsertionPointToEnd(module.getBody());
  auto func = func::FuncOp::create(builder, NameLoc::get(builder.getStringAttr(place)), place,
                                   builder.getFunctionType({}, {}));
  Scope scope(nullptr, func.addEntryBlock());
  builder.setInsertionPointToStart(scope.block);
  if (failed(importHints(graph, scope)))
    return failure();

  // Files before IR version 4 list initializers among the inputs; later ones mean a default by it. Both are constants.
  llvm::StringSet<> initialized;
  for (const ::onnx::TensorProto &tensor : graph.initializer())
    initialized.insert(tensor.name());
  for (const ::onnx::SparseTensorProto &tensor : graph.sparse_initializer())
    initialized.insert(tensor.values().name());
  SmallVector<DictionaryAttr> argumentAttributes, resultAttributes;
  for (auto [i, input] : llvm::enumerate(graph.input())) {
    if (initialized.contains(input.name()))
      continue;
    std::string where = "input " + (input.name().empty() ? std::to_string(i) : quoted(input.name()));
    if (input.name().empty() || !isText(input.name()))
      return errors.error(where) << "expected a name in UTF-8 text";
    FailureOr<DeclaredType> type = importType(input.type(), errors, where);
    if (failed(type))
      return failure();
    Value argument = scope.block->addArgument(type->type, located(input.name()));
    if (failed(define(scope, input.name(), {Definition::Input, static_cast<int>(i), argument}, where)))
      return failure();
    argumentAttributes.push_back(valueAttributes(builder, input.name(), *type));
  }
  if (failed(importInitializers(graph, scope, initializerBytes)) || failed(importNodes(graph.node(), scope)))
    return failure();

  if (graph.output().empty())
    return errors.error("") << "expected a graph with at least one output, but it has none";
  SmallVector<std::string> names;
  llvm::StringSet<> seen;
  for (const ::onnx::ValueInfoProto &output : graph.output()) {
    names.push_back(output.name());
    if (!isText(output.name()))
      return errors.error("output " + quoted(output.name())) << "expected a name in UTF-8 text";
    if (!seen.insert(output.name()).second)
      return errors.error("output " + quoted(output.name()))
             << "expected every output to have a name of its own, but two have this one";
  }
  FailureOr<SmallVector<Value>> values = lookupOutputs(names, scope, "");
  if (failed(values))
    return failure();
  for (auto [name, value] : llvm::zip_equal(names, *values)) {
    DeclaredType declared = scope.hints[name];
    auto ranked = dyn_cast<RankedTensorType>(value.getType());
    auto declaredRanked = dyn_cast<RankedTensorType>(declared.type);
    if (ranked && declaredRanked &&
        (ranked.getRank() != declaredRanked.getRank() || ranked.getElementType() != declaredRanked.getElementType()))
      return errors.error("output " + quoted(name)) << "is declared as " << declaredRanked << ", but is " << ranked;
    if (!ranked)
      declared.dims.reset();
    else if (!declared.dims)
      declared.dims.emplace(ranked.getRank());
    resultAttributes.push_back(valueAttributes(builder, name, declared));
  }
  func::ReturnOp::create(builder, NameLoc::get(builder.getStringAttr(place)), *values);
  func.setFunctionType(builder.getFunctionType(scope.block->getArgumentTypes(), ValueRange(*values).getTypes()));
  func.setAllArgAttrs(argumentAttributes);
  func.setAllResultAttrs(resultAttributes);
  func->setAttr("onnx.opsets", opsetsAttr());
  return func;
}

LogicalResult GraphImporter::importFunction(const ::onnx::FunctionProto &function, func::FuncOp func) {
  inFunction = true;
  Scope scope(nullptr, func.addEntryBlock());
  builder.setInsertionPointToStart(scope.block);
  for (auto [i, input] : llvm::enumerate(function.input())) {
    Value argument = func.getArgument(i);
    argument.setLoc(located(input));
    std::string where = "input " + std::to_string(i);
    if (input.empty())
      return errors.error(inPlace(where)) << "expected a name";
    if (failed(define(scope, input, {Definition::Input, static_cast<int>(i), argument}, where)))
      return failure();
  }
  if (failed(importNodes(function.node(), scope)))
    return failure();
  SmallVector<std::string> names(function.output().begin(), function.output().end());
  FailureOr<SmallVector<Value>> values = lookupOutputs(names, scope, "");
  if (failed(values))
    return failure();
  func::ReturnOp::create(builder, NameLoc::get(builder.getStringAttr(place)), *values);

  // Declared attributes: `unit` where a call has to give the value.
  NamedAttrList declared;
  for (const std::string &name : function.attribute())
    if (name.empty())
      return errors.error("function " + quoted(place)) << "expected every attribute to have a name";
    else
      declared.set(name, builder.getUnitAttr());
  inFunction = false; // a default cannot refer to the attribute of a function
  for (const ::onnx::AttributeProto &attribute : defaultsOf(function)) {
    if (attribute.name().empty())
      return errors.error("function " + quoted(place)) << "expected every attribute to have a name";
    FailureOr<Attribute> value = importAttribute(attribute, attribute.name(), "function " + quoted(place));
    if (failed(value))
      return failure();
    declared.set(attribute.name(), *value);
  }
  func->setAttr("onnx.attributes", declared.getDictionary(builder.getContext()));
  func->setAttr("onnx.opsets", opsetsAttr());
  return success();
}

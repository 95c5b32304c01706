// SPDX-License-Identifier: Apache-2.0

#include "passes/onnx/Walk.h"
#include "passes/onnx/Node.h"

using namespace mlir;

namespace msa::onnx {

// No machine holds a tensor of so many elements: a dim that says so is a mistake or an attack.
static constexpr int64_t maxElements = int64_t(1) << 47;

std::string UnsupportedNode::describe() const {
  if (op.empty())
    return (Twine("graph '") + entry + "': " + reason).str();
  return (Twine("'") + op + "' of " + (domain.empty() ? "ai.onnx" : domain) + " " + Twine(opset) + ": " + reason).str();
}

std::string UnsupportedNode::str() const {
  return op.empty() ? describe() : "node '" + node + "': " + describe();
}

bool isGraph(func::FuncOp function) { return !function->hasAttr("onnx.function") && !function.isExternal(); }

namespace {

/// The sums and products that exporters write into dim names: `past + seq`, `2*(seq - 1)`. Nothing for anything else.
class DimNameParser {
public:
  DimNameParser(StringRef text, const llvm::StringMap<Dim> &names) : rest(text.trim()), names(names) {}

  std::optional<Dim> parse() {
    std::optional<Dim> sum = parseSum();
    return rest.empty() ? sum : std::nullopt;
  }

private:
  bool take(char c) {
    rest = rest.ltrim();
    return rest.consume_front(StringRef(&c, 1));
  }
  std::optional<Dim> parseSum() {
    std::optional<Dim> sum = parseProduct();
    while (sum) {
      bool isPlus = take('+');
      if (!isPlus && !take('-'))
        break;
      std::optional<Dim> next = parseProduct();
      if (!next)
        return std::nullopt;
      sum = isPlus ? *sum + *next : *sum - *next;
    }
    return sum;
  }
  std::optional<Dim> parseProduct() {
    std::optional<Dim> product = parseFactor();
    while (product && take('*')) {
      std::optional<Dim> next = parseFactor();
      if (!next)
        return std::nullopt;
      product = *product * *next;
    }
    return product;
  }
  std::optional<Dim> parseFactor() {
    if (++depth > 64)
      return std::nullopt;
    if (take('(')) {
      std::optional<Dim> inner = parseSum();
      return inner && take(')') ? inner : std::nullopt;
    }
    rest = rest.ltrim();
    StringRef word = rest.take_while([](char c) { return llvm::isAlnum(c) || c == '_' || c == '.'; });
    rest = rest.drop_front(word.size());
    int64_t number;
    if (!word.getAsInteger(10, number))
      return Dim(number);
    auto it = names.find(word);
    return it == names.end() ? std::nullopt : std::optional<Dim>(it->second);
  }

  StringRef rest;
  const llvm::StringMap<Dim> &names;
  unsigned depth = 0;
};

class Walk {
public:
  Walk(func::FuncOp function, std::vector<UnsupportedNode> &unsupported)
      : function(function), unsupported(unsupported), builder(function.getContext()), emit(builder) {}

  void run();

private:
  void reportGraph(const Twine &reason) {
    unsupported.push_back({function.getName().str(), "", "", "", 0, reason.str(), function.getLoc()});
  }
  bool readOpsets();
  void convertArguments();
  void convertNode(NodeOp node);
  void convertReturn(func::ReturnOp op);
  void keep(Operation &op);
  Converted &get(Value value) { return *values.find(value)->second; }
  void set(Value value, Converted converted) { values[value] = std::make_unique<Converted>(std::move(converted)); }

  func::FuncOp function;
  std::vector<UnsupportedNode> &unsupported;
  OpBuilder builder;
  Emitter emit;
  llvm::StringMap<int64_t> opsets;
  DenseMap<Value, std::unique_ptr<Converted>> values;
};

std::string getNodeName(Operation *op) {
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    return name.getName().str();
  return {};
}

bool Walk::readOpsets() {
  auto versions = function->getAttrOfType<DictionaryAttr>("onnx.opsets");
  if (!versions)
    versions = function->getParentOfType<ModuleOp>()->getAttrOfType<DictionaryAttr>("onnx.opsets");
  if (versions)
    for (NamedAttribute version : versions)
      if (auto number = dyn_cast<IntegerAttr>(version.getValue())) {
        StringRef domain = version.getName().getValue();
        opsets[domain == "ai.onnx" ? "" : domain] = number.getInt();
      }
  auto standard = opsets.find("");
  if (standard == opsets.end() || standard->second >= 13)
    return true;
  reportGraph("expected opset 13 or later, but the file is of opset " + Twine(standard->second) +
              ": export it again with a newer opset");
  return false;
}

void Walk::convertArguments() {
  Block &entry = function.getBody().front();
  builder.setInsertionPointToStart(&entry);
  llvm::StringMap<Dim> names;
  SmallVector<std::tuple<Dim, std::string, unsigned, unsigned>> expressions;
  for (BlockArgument argument : entry.getArguments()) {
    unsigned number = argument.getArgNumber();
    auto nameAttr = function.getArgAttrOfType<StringAttr>(number, "onnx.name");
    std::string name = nameAttr ? nameAttr.str() : std::to_string(number);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || isa<StringType>(type.getElementType()) || !type.getElementType().isIntOrFloat()) {
      std::string text;
      llvm::raw_string_ostream(text) << argument.getType();
      reportGraph("expected input '" + name + "' to be a tensor of numbers whose rank the file tells, but got " + text);
      set(argument, Converted(function.getLoc()));
      continue;
    }
    Type element = type.getElementType();
    argument.setType(RankedTensorType::get(type.getShape(), getSignless(element)));
    Location loc = NameLoc::get(builder.getStringAttr(name));
    emit.setLocation(loc);
    auto dimNames = function.getArgAttrOfType<ArrayAttr>(number, "onnx.dims");
    Shape shape;
    for (auto [axis, size] : llvm::enumerate(type.getShape())) {
      if (ShapedType::isStatic(size)) {
        shape.push_back(size);
        continue;
      }
      StringRef dimName;
      if (dimNames && axis < dimNames.size())
        if (auto text = dyn_cast<StringAttr>(dimNames[axis]))
          dimName = text.getValue();
      auto known = names.find(dimName);
      if (!dimName.empty() && known != names.end()) {
        shape.push_back(known->second);
        continue;
      }
      Value length = tensor::DimOp::create(builder, loc, argument, static_cast<int64_t>(axis));
      Dim dim = emit.dims.getAtom(length, /*nonNegative=*/true);
      shape.push_back(dim);
      if (!dimName.empty())
        names[dimName] = dim;
      if (dimName.find_first_of("+-*") != StringRef::npos)
        expressions.push_back({dim, dimName.str(), number, static_cast<unsigned>(axis)});
    }
    set(argument, Converted::tensor(argument, shape, element));
  }
  for (auto &[dim, text, number, axis] : expressions) {
    std::optional<Dim> meaning = DimNameParser(text, names).parse();
    if (!meaning || *meaning == dim)
      continue;
    auto nameAttr = function.getArgAttrOfType<StringAttr>(number, "onnx.name");
    std::string name = nameAttr ? nameAttr.str() : std::to_string(number);
    emit.setNodeName(name);
    emit.assertEqual(dim, *meaning, "expected dim " + Twine(axis) + " of this input to be " + text);
  }
}

void Walk::convertNode(NodeOp node) {
  auto poison = [&] {
    for (Value result : node.getResults())
      set(result, Converted(node.getLoc()));
  };
  StringRef domain = node.getDomain() == "ai.onnx" ? "" : node.getDomain();
  auto version = opsets.find(domain);
  int64_t opset = version == opsets.end() ? 0 : version->second;
  // A node from the body of a function may be of another version than the graph.
  if (auto own = node->getAttrOfType<IntegerAttr>("onnx.opset"))
    opset = own.getInt();
  auto report = [&](const Twine &reason) {
    unsupported.push_back({function.getName().str(), getNodeName(node), node.getOpType().str(), domain.str(), opset,
                           reason.str(), node.getLoc()});
    poison();
  };

  SmallVector<Converted *> inputs;
  bool isPoisoned = false;
  for (Value input : node.getInputs()) {
    inputs.push_back(&get(input));
    isPoisoned |= inputs.back()->kind == Converted::Kind::Poison;
  }
  const HandlerTable &table = HandlerTable::get();
  const HandlerTable::Entry *entry = table.find(domain, node.getOpType());
  if (!entry) {
    if (node.getCallee())
      return report("a call of a model-local function: run onnx-inline-functions first");
    if (!node.getGraphs().empty())
      return report("operators with graphs of their own (control flow) are not supported");
    if (!table.knowsDomain(domain))
      return report("domain '" + domain + "' is not known, and the file has no function body for the operator");
    return report("the operator is not supported");
  }
  if (domain == "ai.msa" && opset != 1 && opset != 0)
    return report("expected version 1 of domain 'ai.msa', but the file imports version " + Twine(opset));
  if (isPoisoned)
    return poison();
  if (inputs.size() > entry->maxInputs)
    return report("expected at most " + Twine(entry->maxInputs) + " inputs, but got " + Twine(inputs.size()));
  for (size_t i = 0; i < entry->minInputs; ++i)
    if (i >= inputs.size() || !inputs[i]->isPresent())
      return report("input " + Twine(i) + " is missing: the operator has " + Twine(entry->minInputs) +
                    " required inputs");

  emit.setLocation(node.getLoc());
  std::string name = getNodeName(node);
  emit.setNodeName(name.empty() ? node.getOpType() : StringRef(name));
  NodeContext context(emit, node, opset, inputs);
  LogicalResult outcome = entry->handler(context);
  std::string reason = context.getReason();
  if (failed(outcome) || !reason.empty())
    return report(reason.empty() ? "the operator is not supported in this form" : reason);

  for (auto [i, result] : llvm::enumerate(node.getResults())) {
    std::optional<Converted> &converted = context.getResult(i);
    if (!converted) {
      if (!isa<NoneType>(result.getType()) && !result.use_empty())
        return report("output " + Twine(i) + " is not supported");
      set(result, Converted::none(node.getLoc()));
      continue;
    }
    int64_t elements = 1;
    for (const Dim &dim : converted->shape) {
      std::optional<int64_t> size = emit.dims.normalize(dim).getConstant();
      if (size &&
          (*size < 0 || llvm::MulOverflow(elements, std::max<int64_t>(*size, 1), elements) || elements > maxElements))
        return report("output " + Twine(i) + " would have a dim of " + Twine(*size) + " or too many elements");
    }
    set(result, std::move(*converted));
  }
}

void Walk::convertReturn(func::ReturnOp op) {
  emit.setLocation(op.getLoc());
  SmallVector<Value> operands;
  for (Value operand : op.getOperands()) {
    Converted &value = get(operand);
    if (value.kind == Converted::Kind::Poison || value.kind == Converted::Kind::None)
      return;
    operands.push_back(emit.getTensor(value));
  }
  op->setOperands(operands);
  function.setFunctionType(
      builder.getFunctionType(function.getBody().front().getArgumentTypes(), ValueRange(operands).getTypes()));
}

void Walk::keep(Operation &op) {
  for (OpOperand &operand : op.getOpOperands()) {
    auto it = values.find(operand.get());
    if (it == values.end())
      continue;
    if (it->second->kind == Converted::Kind::Poison) {
      for (Value result : op.getResults())
        set(result, Converted(op.getLoc()));
      return;
    }
    if (it->second->kind == Converted::Kind::None)
      continue;
    Value tensor = emit.getTensor(*it->second);
    if (tensor.getType() != operand.get().getType() && isa<RankedTensorType>(operand.get().getType()))
      tensor = tensor::CastOp::create(builder, op.getLoc(), operand.get().getType(), tensor);
    operand.set(tensor);
  }
  builder.setInsertionPointAfter(&op);
  for (Value result : op.getResults())
    if (isa<RankedTensorType>(result.getType()))
      set(result, emit.wrap(result));
}

void Walk::run() {
  if (!readOpsets())
    return;
  if (!function.getBody().hasOneBlock())
    return reportGraph("expected a graph of one block");
  convertArguments();
  // Where the walk makes ops: always before the op that it looks at, so that all it has made dominates what follows.
  SmallVector<Operation *> done;
  Block &entry = function.getBody().front();
  SmallVector<Operation *> ops;
  for (Operation &op : llvm::make_range(builder.getInsertionPoint(), entry.end()))
    ops.push_back(&op);
  for (Operation *op : ops) {
    builder.setInsertionPoint(op);
    if (auto initializer = dyn_cast<InitializerOp>(op)) {
      set(initializer.getResult(),
          Converted::fromConstant(initializer.getValue(), NameLoc::get(initializer.getNameAttr())));
      done.push_back(op);
    } else if (isa<NoneOp>(op)) {
      set(op->getResult(0), Converted::none(op->getLoc()));
      done.push_back(op);
    } else if (auto node = dyn_cast<NodeOp>(op)) {
      convertNode(node);
      done.push_back(op);
    } else if (auto returnOp = dyn_cast<func::ReturnOp>(op)) {
      convertReturn(returnOp);
    } else {
      emit.setLocation(op->getLoc());
      keep(*op);
    }
  }
  if (!unsupported.empty())
    return;
  for (Operation *op : llvm::reverse(done))
    op->erase();
  // Reshapes that a later one started over from, facts that nobody asked for.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(entry)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

} // namespace

void convertGraph(func::FuncOp function, std::vector<UnsupportedNode> &unsupported) {
  std::vector<UnsupportedNode> found;
  Walk(function, found).run();
  unsupported.insert(unsupported.end(), found.begin(), found.end());
}

LogicalResult reportUnsupported(ArrayRef<UnsupportedNode> unsupported) {
  for (const UnsupportedNode &node : unsupported)
    emitError(node.loc) << node.describe(); // the location has the node's name
  return success(unsupported.empty());
}

void eraseUncalledFunctions(ModuleOp module) {
  // A function may be called by another one that goes first.
  for (bool changed = true; changed;) {
    changed = false;
    for (func::FuncOp function : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (function->hasAttr("onnx.function") && SymbolTable::symbolKnownUseEmpty(function, module)) {
        function.erase();
        changed = true;
      }
  }
}

std::vector<UnsupportedNode> collectUnsupportedNodes(ModuleOp module) {
  // On a copy: constants are shared, so it costs nodes only.
  OwningOpRef<ModuleOp> copy(cast<ModuleOp>(module->clone()));
  std::vector<UnsupportedNode> unsupported;
  for (func::FuncOp function : copy->getOps<func::FuncOp>())
    if (isGraph(function))
      convertGraph(function, unsupported);
  return unsupported;
}

} // namespace msa::onnx

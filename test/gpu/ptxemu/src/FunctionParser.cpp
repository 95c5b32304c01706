// SPDX-License-Identifier: Apache-2.0
//
// Bodies of functions: scopes, labels, operands, calls; then the linking of a kernel with its functions.

#include "FunctionParser.h"
#include "Handlers.h"
#include <algorithm>

namespace ptxemu {

namespace {

struct Scope {
  std::map<std::string_view, Symbol> symbols;
  struct Range {
    Type type;
    uint64_t count;
  };
  std::map<std::string_view, Range> ranges; ///< `%r<10>` by prefix; registers come to be when they are named.
  std::map<std::string_view, uint32_t> labels;
  std::map<std::string_view, std::vector<std::string_view>> tables; ///< .branchtargets
  int parent = -1;
};

/// A function within one kernel.
struct Instance {
  int function = 0;
  std::vector<Symbol> returns, parameters;
  int32_t returnSlot = noSlot; ///< Where its callers leave the pc to return to.
  Body body;
  std::vector<int> callees;
  uint32_t base = 0;
};

class KernelBuilder {
public:
  KernelBuilder(const ModuleParser &module) : module(module) {}
  int instantiate(int function);
  void link(Code &into);

  const ModuleParser &module;
  CodeBuilder builder;
  std::map<std::string_view, Symbol> sharedPlaces;
  std::deque<Instance> instances;
  std::map<int, int> instanceOf;

private:
  void checkRecursion(int instance, std::vector<int> &state) const;
  void markWgmmaRegisters();
};

class BodyParser {
public:
  BodyParser(KernelBuilder &kernel, int instance)
      : kernel(kernel), instance(kernel.instances[size_t(instance)]), declaration(kernel.module.function(this->instance.function)),
        in(kernel.module.tokenList(), declaration.bodyBegin, declaration.bodyEnd) {}
  void parse();

private:
  KernelBuilder &kernel;
  Instance &instance;
  const FunctionDeclaration &declaration;
  TokenStream in;
  std::vector<Scope> scopes;
  int current = 0;
  struct Fixup {
    size_t insn;
    int scope;
    std::vector<std::string> names;
    std::string table;
    int line;
  };
  std::vector<Fixup> fixups;

  void declareFormals();
  void directive();
  void declareRegisters();
  void declareStorage(bool isShared, bool isParameter);
  bool lookUp(std::string_view name, Operand &operand);
  Operand operand(int depth);
  Operand address(int depth);
  std::vector<Operand> operandList(char close, int depth);
  void instruction();
  void call(Decoding &decoding);
  void emit(Insn insn, InsnInfo info);
  uint32_t findLabel(int scope, std::string_view name, int line) const;
  void resolve();
};

} // namespace

//===--------------------------------------------------------------------===//
// Declarations
//===--------------------------------------------------------------------===//

void BodyParser::declareFormals() {
  Scope outer;
  auto declare = [&](const std::vector<Declaration> &formals, const std::vector<Symbol> &symbols) {
    for (size_t i = 0; i < formals.size(); ++i)
      outer.symbols[formals[i].name] = symbols[i];
  };
  declare(declaration.returns, instance.returns);
  declare(declaration.parameters, instance.parameters);
  scopes.push_back(std::move(outer));
}

void BodyParser::declareRegisters() {
  const Token &word = in.next();
  if (word.kind == Token::Kind::Word && (word.text == ".v2" || word.text == ".v4"))
    throw Error("vector registers are not supported", word.line);
  Type type = word.kind == Token::Kind::Word && word.text.front() == '.' ? typeNamed(word.text.substr(1)) : Type::None;
  if (type == Type::None)
    throw Error("expected the type of registers", word.line);
  if (type == Type::B128)
    throw Error("registers of type .b128 are not supported", word.line);
  do {
    std::string_view name = in.expectName("a register");
    if (in.takeMark('<')) {
      uint64_t count = in.expectInteger("a number of registers", 1u << 24);
      in.expectMark('>');
      scopes[size_t(current)].ranges[name] = {type, count};
    } else {
      Symbol symbol;
      symbol.type = type;
      symbol.slot = kernel.builder.allocateRegister(type);
      scopes[size_t(current)].symbols[name] = symbol;
    }
  } while (in.takeMark(','));
  in.expectMark(';');
}

void BodyParser::declareStorage(bool isShared, bool isParameter) {
  do {
    Declaration made = parseDeclaration(in);
    Symbol symbol;
    symbol.type = made.type;
    symbol.bytes = made.bytes();
    if (made.unsizedArray && !isShared)
      throw Error("array '" + std::string(made.name) + "' needs a size", made.line);
    if (made.unsizedArray) {
      symbol.kind = Symbol::Kind::DynamicShared;
      kernel.builder.code.dynamicAlignment = std::max({kernel.builder.code.dynamicAlignment, made.natural(), 1u});
    } else if (isShared) {
      symbol.kind = Symbol::Kind::Shared;
      symbol.address = kernel.builder.allocateShared(made.bytes(), made.natural(), made.line);
    } else {
      symbol.kind = Symbol::Kind::LocalStorage;
      symbol.callParameter = isParameter;
      symbol.address = kernel.builder.allocateLocal(made.bytes(), std::max(made.natural(), 8u), made.line);
    }
    scopes[size_t(current)].symbols[made.name] = symbol;
  } while (in.takeMark(','));
  in.expectMark(';');
}

void BodyParser::directive() {
  const Token &word = in.next();
  if (word.is(".reg"))
    declareRegisters();
  else if (word.is(".local") || word.is(".param"))
    declareStorage(false, word.is(".param"));
  else if (word.is(".shared"))
    declareStorage(true, false);
  else if (word.is(".loc") || word.is(".file"))
    in.skipLine(word);
  else if (word.is(".pragma")) {
    while (!in.takeMark(';'))
      if (in.atEnd() || in.next().kind == Token::Kind::End)
        throw Error("pragma is not closed", word.line);
  } else
    throw Error("directive '" + std::string(word.text.substr(0, 40)) + "' is unknown or not supported in a function", word.line);
}

//===--------------------------------------------------------------------===//
// Operands
//===--------------------------------------------------------------------===//

static const std::map<std::string_view, SpecialRegister> &specialRegisters() {
  using S = SpecialRegister;
  static const std::map<std::string_view, S> table = {
      {"%tid.x", S::TidX}, {"%tid.y", S::TidY}, {"%tid.z", S::TidZ}, {"%ntid.x", S::NtidX}, {"%ntid.y", S::NtidY}, {"%ntid.z", S::NtidZ},
      {"%ctaid.x", S::CtaidX}, {"%ctaid.y", S::CtaidY}, {"%ctaid.z", S::CtaidZ}, {"%nctaid.x", S::NctaidX}, {"%nctaid.y", S::NctaidY},
      {"%nctaid.z", S::NctaidZ}, {"%laneid", S::LaneId}, {"%warpid", S::WarpId}, {"%nwarpid", S::NwarpId}, {"%smid", S::SmId},
      {"%nsmid", S::NsmId}, {"%gridid", S::GridId}, {"%lanemask_eq", S::LanemaskEq}, {"%lanemask_le", S::LanemaskLe},
      {"%lanemask_lt", S::LanemaskLt}, {"%lanemask_ge", S::LanemaskGe}, {"%lanemask_gt", S::LanemaskGt},
      {"%clusterid.x", S::ClusterIdX}, {"%clusterid.y", S::ClusterIdY}, {"%clusterid.z", S::ClusterIdZ},
      {"%nclusterid.x", S::NclusterIdX}, {"%nclusterid.y", S::NclusterIdY}, {"%nclusterid.z", S::NclusterIdZ},
      {"%cluster_ctaid.x", S::ClusterCtaidX}, {"%cluster_ctaid.y", S::ClusterCtaidY}, {"%cluster_ctaid.z", S::ClusterCtaidZ},
      {"%cluster_nctaid.x", S::ClusterNctaidX}, {"%cluster_nctaid.y", S::ClusterNctaidY}, {"%cluster_nctaid.z", S::ClusterNctaidZ},
      {"%cluster_ctarank", S::ClusterCtarank}, {"%cluster_nctarank", S::ClusterNctarank}, {"%is_explicit_cluster", S::IsExplicitCluster},
      {"%dynamic_smem_size", S::DynamicSmemSize}, {"%total_smem_size", S::TotalSmemSize}, {"%aggr_smem_size", S::AggrSmemSize},
      {"%clock", S::Clock}, {"%clock_hi", S::ClockHi}, {"%clock64", S::Clock64}, {"%globaltimer", S::GlobalTimer},
      {"%globaltimer_lo", S::GlobalTimerLo}, {"%globaltimer_hi", S::GlobalTimerHi}};
  return table;
}

static void bind(Operand &operand, const Symbol &symbol) {
  if (symbol.kind == Symbol::Kind::Register) {
    operand.kind = Operand::Kind::Register;
    operand.type = symbol.type;
    operand.slot = symbol.slot;
  } else {
    operand.kind = Operand::Kind::Name;
    operand.symbol = symbol;
    operand.hasSymbol = true;
  }
}

bool BodyParser::lookUp(std::string_view name, Operand &operand) {
  for (int scope = current; scope >= 0; scope = scopes[size_t(scope)].parent) {
    Scope &here = scopes[size_t(scope)];
    if (auto found = here.symbols.find(name); found != here.symbols.end()) {
      bind(operand, found->second);
      return true;
    }
    size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
      --digits;
    if (digits == name.size() || name.size() - digits > 8)
      continue;
    auto range = here.ranges.find(name.substr(0, digits));
    if (range == here.ranges.end() || uint64_t(std::stoul(std::string(name.substr(digits)))) >= range->second.count)
      continue;
    Symbol symbol;
    symbol.type = range->second.type;
    symbol.slot = kernel.builder.allocateRegister(symbol.type);
    here.symbols[name] = symbol;
    bind(operand, symbol);
    return true;
  }
  Symbol symbol;
  if (kernel.module.findVariable(name, kernel.builder, kernel.sharedPlaces, symbol)) {
    bind(operand, symbol);
    return true;
  }
  if (name == "WARP_SZ") {
    operand.kind = Operand::Kind::Integer;
    operand.bits = 32;
    return true;
  }
  if (auto special = specialRegisters().find(name); special != specialRegisters().end()) {
    bool wide = special->second == SpecialRegister::Clock64 || special->second == SpecialRegister::GlobalTimer ||
                special->second == SpecialRegister::GridId;
    operand.kind = Operand::Kind::Register;
    operand.type = wide ? Type::B64 : Type::B32;
    operand.slot = kernel.builder.special(special->second, wide);
    // Registers that change are marked, so that mov reads them anew.
    operand.bits = special->second >= SpecialRegister::Clock ? uint64_t(special->second) : 0;
    return true;
  }
  return false;
}

Operand BodyParser::address(int depth) {
  Operand result;
  result.kind = Operand::Kind::Address;
  const Token &first = in.peek();
  if (first.kind == Token::Kind::Integer) {
    result.bits = in.next().bits;
  } else {
    std::string_view name = in.expectName("a register or variable");
    Operand base;
    if (!lookUp(name, base))
      throw Error("unknown name '" + std::string(name) + "' in an address", first.line);
    result.name = name;
    if (base.kind == Operand::Kind::Integer) {
      result.bits = base.bits;
    } else if (base.hasSymbol) {
      result.symbol = base.symbol;
      result.hasSymbol = true;
    } else {
      result.type = base.type;
      result.slot = base.slot;
    }
  }
  while (in.peek().is('+') || in.peek().is('-')) {
    bool minus = in.next().is('-');
    if (in.takeMark('-'))
      minus = !minus;
    uint64_t offset = in.expectInteger("an offset", uint64_t(1) << 63);
    result.bits += minus ? 0 - offset : offset;
  }
  if (in.takeMark(',')) {
    result.elements = operandList(']', depth + 1);
    return result;
  }
  in.expectMark(']');
  return result;
}

std::vector<Operand> BodyParser::operandList(char close, int depth) {
  std::vector<Operand> list;
  if (in.takeMark(close))
    return list;
  do {
    list.push_back(operand(depth));
    if (list.size() > 1024)
      in.fail("too many operands");
  } while (in.takeMark(','));
  in.expectMark(close);
  return list;
}

Operand BodyParser::operand(int depth) {
  if (depth > 6)
    in.fail("operands are nested too deeply");
  Operand result;
  const Token &first = in.peek();
  if (in.takeMark('{') || in.takeMark('(')) {
    result.kind = Operand::Kind::Vector;
    result.parenthesized = first.is('(');
    result.elements = operandList(result.parenthesized ? ')' : '}', depth + 1);
    return result;
  }
  if (in.takeMark('['))
    return address(depth);
  if (in.takeMark('!')) {
    result = operand(depth + 1);
    result.negated = !result.negated;
    return result;
  }
  bool minus = in.takeMark('-');
  const Token &token = in.next();
  result.name = token.text;
  switch (token.kind) {
  case Token::Kind::Integer:
    result.kind = Operand::Kind::Integer;
    result.bits = minus ? 0 - token.bits : token.bits;
    return result;
  case Token::Kind::Single:
    result.kind = Operand::Kind::Single;
    result.bits = token.bits ^ (minus ? 0x80000000u : 0);
    return result;
  case Token::Kind::Double:
    result.kind = Operand::Kind::Double;
    result.bits = token.bits ^ (minus ? uint64_t(1) << 63 : 0);
    return result;
  case Token::Kind::Word:
    break;
  default:
    throw Error("expected an operand, found '" + std::string(token.text.substr(0, 40)) + "'", token.line);
  }
  if (minus)
    throw Error("'-' must stand before a number", token.line);
  if (token.text == "_")
    return result;
  if (!lookUp(token.text, result))
    result.kind = Operand::Kind::Name; // a label or a function: the instruction knows
  if (in.peek().is('+') && result.kind == Operand::Kind::Name) {
    in.next();
    result.bits = in.expectInteger("an offset", uint64_t(1) << 32);
  }
  if (in.takeMark('|')) {
    Operand pair;
    pair.kind = Operand::Kind::Pair;
    pair.elements.push_back(std::move(result));
    pair.elements.push_back(operand(depth + 1));
    return pair;
  }
  return result;
}

//===--------------------------------------------------------------------===//
// Instructions
//===--------------------------------------------------------------------===//

static std::vector<std::string_view> splitParts(std::string_view opcode) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t dot = opcode.find('.');
    parts.push_back(opcode.substr(0, dot));
    if (dot == std::string_view::npos)
      return parts;
    opcode.remove_prefix(dot + 1);
  }
}

void BodyParser::emit(Insn insn, InsnInfo info) {
  if (instance.body.insns.size() >= 4'000'000)
    throw Error("function is too long", info.line);
  instance.body.insns.push_back(insn);
  instance.body.infos.push_back(std::move(info));
}

void BodyParser::instruction() {
  const Token &first = in.peek();
  int32_t guard = noSlot;
  bool negated = false;
  if (in.takeMark('@')) {
    negated = in.takeMark('!');
    std::string_view name = in.expectName("a predicate");
    Operand predicate;
    if (!lookUp(name, predicate) || predicate.kind != Operand::Kind::Register || predicate.type != Type::Pred)
      throw Error("'" + std::string(name) + "' is not a predicate", first.line);
    guard = predicate.slot;
  }
  std::string_view opcode = in.expectName("an instruction");
  std::vector<std::string_view> parts = splitParts(opcode);
  auto decoder = decoderTable().find(parts[0]);
  if (decoder == decoderTable().end())
    throw Error("unknown instruction '" + std::string(opcode) + "'", first.line);
  std::vector<Operand> operands;
  while (!in.peek().is(';')) {
    if (in.atEnd())
      throw Error("instruction has no ';'", first.line);
    if (!operands.empty())
      in.expectMark(',');
    operands.push_back(operand(0));
  }
  const Token &last = in.next();
  Decoding decoding(kernel.builder, std::move(parts), std::move(operands), first.line, !declaration.isKernel);
  decoding.insn.guard = guard;
  decoding.insn.guardNegated = negated;
  decoding.info.source = sourceLine(first, last);
  if (guard != noSlot)
    decoding.info.reads.push_back(guard);
  if (decoding.parts[0] == "call") {
    call(decoding);
    return;
  }
  decoder->second(decoding);
  decoding.finish();
  if (!decoding.insn.handler)
    decoding.fail("has no handler");
  if (decoding.insn.handler == exitThreads && decoding.parts[0] == "ret" && !declaration.isKernel) {
    decoding.insn.handler = returnFromFunction;
    decoding.insn.slots[1] = instance.returnSlot;
  }
  if (!decoding.label.empty() || !decoding.labels.empty() || !decoding.tableName.empty()) {
    Fixup fixup{instance.body.insns.size(), current, decoding.labels, decoding.tableName, decoding.line};
    if (!decoding.label.empty())
      fixup.names = {decoding.label};
    decoding.info.hasTarget = true;
    decoding.info.targetList = decoding.label.empty();
    fixups.push_back(std::move(fixup));
  }
  emit(decoding.insn, std::move(decoding.info));
}

void BodyParser::call(Decoding &decoding) {
  decoding.take("uni");
  decoding.finish();
  size_t at = 0;
  std::vector<Operand> &operands = decoding.operands;
  std::vector<Operand> returns, arguments;
  if (at < operands.size() && operands[at].parenthesized)
    returns = operands[at++].elements;
  if (at >= operands.size() || operands[at].kind != Operand::Kind::Name || operands[at].hasSymbol)
    decoding.fail("only direct calls are supported");
  std::string name = operands[at++].name;
  if (at < operands.size() && operands[at].parenthesized)
    arguments = operands[at++].elements;
  if (at < operands.size())
    decoding.fail("only direct calls are supported");
  int function = kernel.module.findFunction(name);
  if (function < 0)
    decoding.fail("function '" + name + "' is not declared");
  const FunctionDeclaration &callee = kernel.module.function(function);
  if (callee.isKernel)
    decoding.fail("kernels cannot be called");
  if (callee.returns.size() != returns.size() || callee.parameters.size() != arguments.size())
    decoding.fail("'" + name + "' has " + std::to_string(callee.parameters.size()) + " parameters and " +
                  std::to_string(callee.returns.size()) + " results");

  int target = kernel.instantiate(function);
  const Instance &made = kernel.instances[size_t(target)];
  // Actual and formal parameters have places of their own: copy in, jump, copy out.
  auto transfer = [&](const Operand &actual, const Symbol &formal, bool isResult) {
    Insn insn = decoding.insn;
    InsnInfo info = decoding.info;
    Operand place;
    bind(place, formal);
    Decoding step(kernel.builder, {"call"}, {}, decoding.line, false);
    bool actualIsMemory = actual.kind == Operand::Kind::Name && actual.hasSymbol && actual.symbol.kind == Symbol::Kind::LocalStorage;
    bool formalIsMemory = formal.kind == Symbol::Kind::LocalStorage;
    if (actualIsMemory && formalIsMemory) {
      if (actual.symbol.bytes != formal.bytes)
        decoding.fail("'" + actual.name + "' differs in size from the parameter of '" + name + "'");
      insn.handler = copyLocal;
      insn.immediate = int64_t(isResult ? actual.symbol.address : formal.address);
      insn.target = uint32_t(isResult ? formal.address : actual.symbol.address);
      insn.slots[0] = int32_t(formal.bytes);
    } else if (!actualIsMemory && !formalIsMemory) {
      bool wide = typeBytes(formal.type) == 8;
      insn.handler = wide ? moveRegister64 : moveRegister32;
      insn.slots[0] = isResult ? step.write(actual, formal.type) : step.write(place, formal.type);
      insn.slots[1] = isResult ? step.read(place, formal.type) : step.read(actual, formal.type);
    } else {
      decoding.fail("'" + actual.name + "' and the parameter of '" + name + "' must both be .param or both be registers");
    }
    info.reads.insert(info.reads.end(), step.info.reads.begin(), step.info.reads.end());
    info.writes = step.info.writes;
    emit(insn, std::move(info));
  };
  for (size_t i = 0; i < arguments.size(); ++i)
    transfer(arguments[i], made.parameters[i], false);
  Insn insn = decoding.insn;
  InsnInfo info = decoding.info;
  if (callee.hasBody) {
    insn.handler = callFunction;
    insn.slots[0] = made.returnSlot;
    info.callee = target;
    instance.callees.push_back(target);
  } else if (name == "__assertfail") {
    insn.handler = assertionFailed;
    insn.immediate = int64_t(made.parameters.empty() ? 0 : made.parameters[0].address);
  } else if (name == "vprintf" && made.parameters.size() == 2 && made.returns.size() == 1) {
    insn.handler = printFormatted;
    insn.immediate = int64_t(made.parameters[0].address);
    insn.target = uint32_t(made.parameters[1].address);
    insn.slots[0] = int32_t(made.returns[0].address);
  } else {
    decoding.fail("function '" + name + "' has no body in this module");
  }
  emit(insn, info);
  for (size_t i = 0; i < returns.size(); ++i)
    transfer(returns[i], made.returns[i], true);
}

//===--------------------------------------------------------------------===//
// Bodies
//===--------------------------------------------------------------------===//

void BodyParser::parse() {
  declareFormals();
  Scope top;
  top.parent = 0;
  scopes.push_back(std::move(top));
  current = 1;
  int depth = 0;
  while (!in.atEnd()) {
    const Token &token = in.peek();
    if (in.takeMark('{')) {
      if (++depth > 64)
        throw Error("scopes are nested too deeply", token.line);
      Scope inner;
      inner.parent = current;
      current = int(scopes.size());
      scopes.push_back(std::move(inner));
    } else if (in.takeMark('}')) {
      --depth;
      current = scopes[size_t(current)].parent;
    } else if (in.takeMark(';')) {
    } else if (token.kind == Token::Kind::Word && in.peek(1).is(':')) {
      in.next();
      in.next();
      if (in.takeWord(".branchtargets")) {
        auto &table = scopes[size_t(current)].tables[token.text];
        do
          table.push_back(in.expectName("a label"));
        while (in.takeMark(','));
        in.expectMark(';');
      } else if (!scopes[size_t(current)].labels.emplace(token.text, uint32_t(instance.body.insns.size())).second) {
        throw Error("label '" + std::string(token.text) + "' is defined twice", token.line);
      }
    } else if (token.kind == Token::Kind::Word && token.text.front() == '.') {
      directive();
    } else {
      instruction();
    }
  }
  // Falling off the end of a body is returning.
  Insn insn;
  InsnInfo info;
  insn.handler = declaration.isKernel ? exitThreads : returnFromFunction;
  insn.slots[1] = instance.returnSlot;
  info.line = kernel.module.tokenList()[declaration.bodyEnd].line;
  info.source = "}";
  info.kind = "ret";
  emit(insn, std::move(info));
  resolve();
}

uint32_t BodyParser::findLabel(int scope, std::string_view name, int line) const {
  for (; scope >= 0; scope = scopes[size_t(scope)].parent)
    if (auto found = scopes[size_t(scope)].labels.find(name); found != scopes[size_t(scope)].labels.end())
      return found->second;
  throw Error("unknown label '" + std::string(name) + "'", line);
}

void BodyParser::resolve() {
  for (Fixup &fixup : fixups) {
    Insn &insn = instance.body.insns[fixup.insn];
    if (!fixup.table.empty()) {
      const std::vector<std::string_view> *table = nullptr;
      for (int scope = fixup.scope; scope >= 0 && !table; scope = scopes[size_t(scope)].parent)
        if (auto found = scopes[size_t(scope)].tables.find(fixup.table); found != scopes[size_t(scope)].tables.end())
          table = &found->second;
      if (!table)
        throw Error("unknown branch table '" + fixup.table + "'", fixup.line);
      fixup.names.assign(table->begin(), table->end());
    }
    if (!instance.body.infos[fixup.insn].targetList) {
      insn.target = findLabel(fixup.scope, fixup.names[0], fixup.line);
      continue;
    }
    std::vector<int32_t> targets;
    for (const std::string &name : fixup.names)
      targets.push_back(int32_t(findLabel(fixup.scope, name, fixup.line)));
    insn.lists[0] = kernel.builder.addList(targets);
  }
}

//===--------------------------------------------------------------------===//
// Kernels
//===--------------------------------------------------------------------===//

int KernelBuilder::instantiate(int function) {
  auto [place, isNew] = instanceOf.try_emplace(function, int(instances.size()));
  if (!isNew)
    return place->second;
  int index = place->second;
  const FunctionDeclaration &declaration = module.function(function);
  Instance &made = instances.emplace_back();
  made.function = function;
  if (declaration.isKernel) {
    for (const Parameter &parameter : declaration.kernel.parameters) {
      Symbol symbol;
      symbol.kind = Symbol::Kind::KernelParameter;
      symbol.address = parameter.offset;
      symbol.bytes = parameter.size;
      made.parameters.push_back(symbol);
    }
    return index;
  }
  made.returnSlot = builder.allocateRegister(Type::B32);
  auto places = [&](const std::vector<Declaration> &formals) {
    std::vector<Symbol> symbols;
    for (const Declaration &formal : formals) {
      Symbol symbol;
      symbol.type = formal.type;
      symbol.bytes = formal.bytes();
      if (formal.isRegister) {
        symbol.slot = builder.allocateRegister(formal.type);
      } else {
        symbol.kind = Symbol::Kind::LocalStorage;
        symbol.callParameter = true;
        symbol.address = builder.allocateLocal(formal.bytes(), std::max(formal.natural(), 8u), formal.line);
      }
      symbols.push_back(symbol);
    }
    return symbols;
  };
  made.returns = places(declaration.returns);
  made.parameters = places(declaration.parameters);
  return index;
}

void KernelBuilder::checkRecursion(int instance, std::vector<int> &state) const {
  const Instance &here = instances[size_t(instance)];
  if (state[size_t(instance)] == 1)
    throw Error("function '" + std::string(module.function(here.function).name) + "' calls itself: recursion is not supported",
                module.function(here.function).line);
  if (state[size_t(instance)] == 2)
    return;
  state[size_t(instance)] = 1;
  for (int callee : here.callees)
    checkRecursion(callee, state);
  state[size_t(instance)] = 2;
}

void KernelBuilder::markWgmmaRegisters() {
  Code &code = builder.code;
  std::vector<bool> used(code.registerBytes / 128 + 2, false);
  for (const Insn &insn : code.insns)
    if (insn.handler == wgmmaIssue) {
      code.usesWgmma = true;
      for (int which : {0, 1})
        for (uint32_t i = 0; i < insn.lists[size_t(which)].count; ++i)
          used[size_t(code.list(insn, which)[i]) / 128] = true;
    }
  for (size_t i = 0; i < used.size(); ++i)
    if (used[i])
      code.wgmmaSlots.push_back(int32_t(i));
  for (size_t pc = 0; pc < code.insns.size(); ++pc) {
    auto touches = [&](const std::vector<int32_t> &slots) {
      return std::any_of(slots.begin(), slots.end(), [&](int32_t slot) { return slot >= 0 && used[size_t(slot) / 128]; });
    };
    code.insns[pc].touchesWgmma =
        code.insns[pc].handler != wgmmaIssue && (touches(code.infos[pc].reads) || touches(code.infos[pc].writes));
  }
}

void KernelBuilder::link(Code &into) {
  std::vector<int> state(instances.size(), 0);
  checkRecursion(0, state);
  // In the order of the text, the kernel last.
  std::vector<int> order;
  for (size_t i = 1; i < instances.size(); ++i)
    order.push_back(int(i));
  std::sort(order.begin(), order.end(), [&](int a, int b) { return instances[size_t(a)].function < instances[size_t(b)].function; });
  order.push_back(0);
  Code &code = builder.code;
  uint32_t base = 0;
  for (int index : order) {
    instances[size_t(index)].base = base;
    base += uint32_t(instances[size_t(index)].body.insns.size());
  }
  for (int index : order) {
    Instance &instance = instances[size_t(index)];
    for (size_t pc = 0; pc < instance.body.insns.size(); ++pc) {
      Insn insn = instance.body.insns[pc];
      const InsnInfo &info = instance.body.infos[pc];
      if (info.callee >= 0)
        insn.target = instances[size_t(info.callee)].base;
      else if (info.targetList)
        for (uint32_t i = 0; i < insn.lists[0].count; ++i)
          code.lists[insn.lists[0].begin + i] += int32_t(instance.base);
      else if (info.hasTarget)
        insn.target += instance.base;
      code.insns.push_back(insn);
      code.infos.push_back(std::move(instance.body.infos[pc]));
    }
  }
  code.entry = instances[0].base;
  markWgmmaRegisters();
  into = std::move(code);
}

Kernel buildKernel(const ModuleParser &module, int function, Code &code) {
  const FunctionDeclaration &declaration = module.function(function);
  try {
    KernelBuilder builder(module);
    builder.instantiate(function);
    for (size_t i = 0; i < builder.instances.size(); ++i)
      if (module.function(builder.instances[i].function).hasBody)
        BodyParser(builder, int(i)).parse();
    builder.link(code);
  } catch (const Error &error) {
    if (error.line() > 0)
      throw;
    throw Error(error.what(), declaration.line);
  }
  Kernel kernel = declaration.kernel;
  kernel.staticSharedBytes = code.staticShared;
  kernel.localBytes = code.localBytes;
  kernel.usesDynamicShared = code.dynamicAlignment > 0;
  return kernel;
}

} // namespace ptxemu

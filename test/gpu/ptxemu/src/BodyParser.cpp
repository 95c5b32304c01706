// SPDX-License-Identifier: Apache-2.0
//
// Bodies of functions: scopes, labels, instructions, calls.

#include "BodyParser.h"
#include "Handlers.h"
#include <algorithm>

namespace ptxemu {

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

} // namespace ptxemu

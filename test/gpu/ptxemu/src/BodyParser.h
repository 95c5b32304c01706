// SPDX-License-Identifier: Apache-2.0
//
// A kernel under construction, and the reader of one function's body.

#pragma once

#include "Parser.h"

namespace ptxemu {

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


/// Makes an operand of what its name stands for.
void bind(Operand &operand, const Symbol &symbol);

} // namespace ptxemu

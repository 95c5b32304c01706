// SPDX-License-Identifier: Apache-2.0
//
// Kernels are put together from the functions that they call.

#include "FunctionParser.h"
#include "BodyParser.h"
#include "Handlers.h"
#include <algorithm>

namespace ptxemu {

int KernelBuilder::instantiate(int function) {
  auto [place, isNew] = instanceOf.try_emplace(function, int(instances.size()));
  if (!isNew)
    return place->second;
  int index = place->second;
  if (index > 1000)
    throw Error("a kernel calls more than 1000 functions", module.function(function).line);
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

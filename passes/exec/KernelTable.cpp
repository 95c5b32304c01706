// SPDX-License-Identifier: Apache-2.0

#include "passes/exec/EntryLowering.h"

using namespace mlir;
using namespace msa::exec;

StringAttr KernelTable::uniqueName(StringRef hint) {
  std::string name = hint.str();
  if (unsigned &count = names[hint]; count++)
    name += "_" + std::to_string(count);
  else if (module.lookupSymbol(name))
    return uniqueName(hint);
  return builder.getStringAttr(name);
}

KernelOp KernelTable::intern(KernelOp kernel, StringRef hint) {
  // Two kernels are the same when they print the same: operand numbering makes the form canonical, and locations are not printed.
  std::string text;
  llvm::raw_string_ostream stream(text);
  kernel.setSymName("");
  kernel->print(stream, OpPrintingFlags().useLocalScope());
  auto [it, inserted] = kernels.try_emplace(text, kernel);
  if (!inserted) {
    kernel->destroy();
    return it->second;
  }
  kernel.setSymNameAttr(uniqueName(hint));
  module.push_back(kernel);
  return kernel;
}

ConstantOp KernelTable::intern(ElementsAttr value, Location loc) {
  ConstantOp &op = constants[value];
  if (!op) {
    builder.setInsertionPointToStart(module.getBody());
    op = ConstantOp::create(builder, loc, uniqueName("constant"), value);
  }
  return op;
}

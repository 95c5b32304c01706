// SPDX-License-Identifier: Apache-2.0

#include "Instances.h"

#include "codegen/gpu/Instances.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace instances {

/// What the compiler's own table has of gather and compress (codegen/gpu/Instances.h).
void addMoves(std::vector<Entry> &entries) {
  // An instance's types live in the context that it was made in, so each is made in that of its module.
  auto all = [](MLIRContext &context) {
    std::vector<msa::gpu::Instance> instances;
    msa::gpu::addMoveInstances(context, instances);
    return instances;
  };
  MLIRContext context(MLIRContext::Threading::DISABLED);
  for (auto [i, instance] : llvm::enumerate(all(context))) {
    Entry entry;
    // "gather_bf16_..." becomes "gather.bf16_...": the template stands before the first dot.
    entry.name = instance.family + "." + instance.name.substr(instance.family.size() + 1);
    entry.family = instance.family;
    entry.sm = instance.target.sm;
    std::string parameters;
    llvm::raw_string_ostream(parameters) << llvm::json::Value(llvm::json::Object(instance.parameters));
    entry.parameters = nlohmann::json::parse(parameters);
    entry.emit = [all, i = i, family = instance.family](ModuleOp module) { return all(*module.getContext()).at(i).emit(module, family); };
    entries.push_back(std::move(entry));
  }
}

} // namespace instances

// SPDX-License-Identifier: Apache-2.0

#include "Instances.h"

#include "codegen/gpu/templates/Attend.h"
#include "mlir/IR/BuiltinTypes.h"

#include <cmath>

using namespace mlir;
using namespace msa::gpu;

namespace instances {

namespace {

/// The kernel's buffers and scalars, in order.
enum Buffers { Query, Key, Value, Output, Documents };
enum Scalars { Batches, Queries, Keys, ScalarCount };

struct Attention {
  int sm;
  const char *element, *result;
  int64_t heads, kvHeads, dim, valueDim;
  bool causal, documents;

  double scale() const { return 1 / std::sqrt(static_cast<double>(dim)); }
};

AttendProblem problemOf(const Attention &attention, MLIRContext *context) {
  auto type = [&](llvm::StringRef name) { return name == "bf16" ? Type(BFloat16Type::get(context)) : name == "f16" ? Type(Float16Type::get(context)) : Type(Float32Type::get(context)); };
  AttendProblem problem;
  problem.element = type(attention.element);
  problem.result = type(attention.result);
  problem.heads = attention.heads;
  problem.kvHeads = attention.kvHeads;
  problem.headDim = attention.dim;
  problem.valueDim = attention.valueDim;
  problem.scale = attention.scale();
  problem.causal = attention.causal;
  problem.batches = Term::scalar(Batches);
  problem.queries = Term::scalar(Queries);
  problem.keys = Term::scalar(Keys);
  problem.buffers = 4 + attention.documents;
  problem.scalars = ScalarCount;
  problem.query = AttendTensor::contiguous(Query, problem.queries, attention.heads, attention.dim);
  problem.key = AttendTensor::contiguous(Key, problem.keys, attention.kvHeads, attention.dim);
  problem.value = AttendTensor::contiguous(Value, problem.keys, attention.kvHeads, attention.valueDim);
  problem.output = AttendTensor::contiguous(Output, problem.queries, attention.heads, attention.valueDim);
  if (attention.documents)
    problem.documents = Documents;
  return problem;
}

void add(std::vector<Entry> &entries, const Attention &attention, const AttendInstance &instance) {
  static constexpr const char *forms[] = {"hopper", "ampere", "decode"};
  Entry entry;
  entry.name = std::string("attend.") + attention.element + "." + instance.name() + ".h" + std::to_string(attention.heads) + "_" + std::to_string(attention.kvHeads) + "_d" +
               std::to_string(attention.dim);
  if (attention.valueDim != attention.dim)
    entry.name += "_" + std::to_string(attention.valueDim);
  if (llvm::StringRef(attention.result) != attention.element)
    entry.name += std::string("_") + attention.result;
  entry.name += attention.documents ? "_documents" : attention.causal ? "_causal" : "";
  if (instance.form != AttendInstance::Form::Hopper)
    entry.name += ".sm" + std::to_string(attention.sm);
  entry.family = "attend";
  entry.sm = attention.sm;
  entry.parameters = {{"element", attention.element},
                      {"result", attention.result},
                      {"heads", attention.heads},
                      {"kv_heads", attention.kvHeads},
                      {"head_dim", attention.dim},
                      {"value_dim", attention.valueDim},
                      {"scale", attention.scale()},
                      {"causal", attention.causal},
                      {"form", forms[static_cast<int>(instance.form)]},
                      {"pack", instance.pack},
                      {"rows", instance.rows},
                      {"block", instance.keys},
                      {"stages", instance.stages},
                      {"splits", instance.splits},
                      {"pipelined", instance.form == AttendInstance::Form::Hopper},
                      {"buffers", 4 + attention.documents},
                      {"scalars", static_cast<int>(ScalarCount)},
                      {"query", static_cast<int>(Query)},
                      {"key", static_cast<int>(Key)},
                      {"value", static_cast<int>(Value)},
                      {"output", static_cast<int>(Output)},
                      {"batches_scalar", static_cast<int>(Batches)},
                      {"queries_scalar", static_cast<int>(Queries)},
                      {"keys_scalar", static_cast<int>(Keys)}};
  if (attention.documents)
    entry.parameters["documents"] = static_cast<int>(Documents);
  entry.emit = [=](ModuleOp module) { return emitAttend(module, "attend", problemOf(attention, module.getContext()), instance, GPUTarget{attention.sm}); };
  entries.push_back(std::move(entry));
}

/// Every instance that the table has for an attention.
void addChoices(std::vector<Entry> &entries, const Attention &attention) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  llvm::Expected<std::vector<AttendChoice>> choices = pickAttend(problemOf(attention, &context), GPUTarget{attention.sm});
  if (!choices)
    llvm::report_fatal_error(choices.takeError());
  for (const AttendChoice &choice : *choices)
    add(entries, attention, choice.instance);
}

} // namespace

void addAttend(std::vector<Entry> &entries) {
  addChoices(entries, {90, "bf16", "bf16", 8, 2, 128, 128, true, false});
  addChoices(entries, {90, "bf16", "bf16", 4, 2, 128, 128, true, true});
  addChoices(entries, {90, "f16", "f32", 4, 4, 64, 96, false, false});
  addChoices(entries, {90, "bf16", "bf16", 4, 1, 96, 32, true, false});
  addChoices(entries, {80, "bf16", "bf16", 8, 2, 128, 128, true, false});
  addChoices(entries, {80, "bf16", "bf16", 4, 2, 128, 128, true, true});
  addChoices(entries, {80, "f16", "f32", 4, 4, 64, 96, false, false});
}

void addTimedAttend(std::vector<Entry> &entries) {
  for (int sm : {90, 80}) {
    addChoices(entries, {sm, "bf16", "bf16", 32, 8, 128, 128, true, false});
    addChoices(entries, {sm, "bf16", "bf16", 32, 8, 128, 128, true, true});
  }
}

} // namespace instances

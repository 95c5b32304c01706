// SPDX-License-Identifier: Apache-2.0

#include "Instances.h"

#include "codegen/gpu/templates/Route.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace msa::gpu;

namespace instances {

namespace {

/// The kernel's buffers, in order.
enum Buffers { Keys, Queries, Mask, Documents, Scores, Entries, Counts, KeyScales, BufferCount };

struct Scan {
  int sm;
  const char *element;
  bool shortQuery; ///< the query is stored as keys are
  int64_t row, rows, keep;
  msa::Reduce tokenReduce = msa::Reduce::max, chunkReduce = msa::Reduce::max;
};

RouteProblem problemOf(const Scan &scan, MLIRContext *context) {
  RouteProblem problem;
  llvm::StringRef element = scan.element;
  problem.element = element == "bf16" ? Type(BFloat16Type::get(context)) : element == "f16" ? Type(Float16Type::get(context)) : Type(Float8E4M3FNType::get(context));
  problem.query = scan.shortQuery ? problem.element : Type(Float32Type::get(context));
  problem.row = scan.row;
  problem.rows = scan.rows;
  problem.keep = scan.keep;
  problem.tokenReduce = scan.tokenReduce;
  problem.chunkReduce = scan.chunkReduce;
  problem.scale = 0.5;
  problem.buffers = BufferCount;
  problem.scalars = 2;
  problem.keys = Keys;
  problem.queries.buffer = Queries;
  problem.mask.buffer = Mask;
  problem.documents.buffer = Documents;
  problem.scores.buffer = Scores;
  problem.entries.buffer = Entries;
  problem.counts.buffer = Counts;
  if (element == "f8E4M3FN")
    problem.keyScales = BufferView{KeyScales, Term::constant(0)};
  problem.tokens = Term::scalar(0);
  problem.tokensScalar = 0;
  problem.chunks = Term::scalar(1);
  return problem;
}

void add(std::vector<Entry> &entries, const Scan &scan, const RouteInstance &instance) {
  Entry entry;
  bool scaled = llvm::StringRef(scan.element) == "f8E4M3FN";
  auto reduce = [](msa::Reduce kind) { return msa::stringifyReduce(kind).str(); };
  entry.name = "route." + llvm::StringRef(scan.element).lower() + "." + instance.name() + ".d" + std::to_string(scan.row);
  if (scan.shortQuery)
    entry.name += "_same";
  if (scan.tokenReduce != msa::Reduce::max || scan.chunkReduce != msa::Reduce::max)
    entry.name += "_" + reduce(scan.tokenReduce) + "_" + reduce(scan.chunkReduce);
  if (instance.form == RouteInstance::Form::Direct)
    entry.name += ".sm" + std::to_string(scan.sm);
  entry.family = "route";
  entry.sm = scan.sm;
  entry.parameters = {{"element", scan.element},
                      {"query_element", scan.shortQuery ? scan.element : "f32"},
                      {"row", scan.row},
                      {"rows", scan.rows},
                      {"keep", scan.keep},
                      {"token_reduce", reduce(scan.tokenReduce)},
                      {"chunk_reduce", reduce(scan.chunkReduce)},
                      {"scale", 0.5},
                      {"form", instance.form == RouteInstance::Form::Direct ? "direct" : "hopper"},
                      {"tokens", instance.tokens},
                      {"resident", instance.resident},
                      {"stages", instance.stages},
                      {"block", instance.form == RouteInstance::Form::Direct ? 128 : instance.chunks},
                      {"buffers", static_cast<int>(BufferCount)},
                      {"scalars", 2},
                      {"tokens_scalar", 0},
                      {"chunks_scalar", 1},
                      {"keys", static_cast<int>(Keys)},
                      {"queries", static_cast<int>(Queries)},
                      {"mask", static_cast<int>(Mask)},
                      {"documents", static_cast<int>(Documents)},
                      {"scores", static_cast<int>(Scores)},
                      {"entries", static_cast<int>(Entries)},
                      {"counts", static_cast<int>(Counts)}};
  if (scaled)
    entry.parameters["key_scales"] = static_cast<int>(KeyScales);
  entry.emit = [=](ModuleOp module) { return emitRoute(module, "route", problemOf(scan, module.getContext()), instance, GPUTarget{scan.sm}); };
  entries.push_back(std::move(entry));
}

/// Every instance that the table has for a scan.
void addChoices(std::vector<Entry> &entries, const Scan &scan) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  llvm::Expected<std::vector<RouteChoice>> choices = pickRoute(problemOf(scan, &context), GPUTarget{scan.sm});
  if (!choices)
    llvm::report_fatal_error(choices.takeError());
  for (const RouteChoice &choice : *choices)
    add(entries, scan, choice.instance);
}

} // namespace

void addRoute(std::vector<Entry> &entries) {
  addChoices(entries, {90, "bf16", false, 1024, 128, 16});
  addChoices(entries, {90, "f8E4M3FN", false, 1024, 128, 16});
  addChoices(entries, {90, "f16", true, 384, 128, 16, msa::Reduce::mean, msa::Reduce::mean});
  addChoices(entries, {80, "bf16", false, 1024, 128, 16});
  addChoices(entries, {80, "f16", true, 160, 128, 16, msa::Reduce::last, msa::Reduce::max});
}

} // namespace instances

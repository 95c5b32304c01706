// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/Attend.h"

using namespace mlir;
using namespace msa::gpu;

//===--- Terms. ---===//

Term msa::gpu::product(const Term &a, const Term &b) {
  assert(a.divisor == 1 && b.divisor == 1 && "a product of rounded terms is no term");
  Term all{a.factor * a.multiplier * b.factor * b.multiplier, a.scalars, 1, 1};
  all.scalars.insert(all.scalars.end(), b.scalars.begin(), b.scalars.end());
  return all;
}

AttendTensor AttendTensor::contiguous(unsigned buffer, const Term &tokens, int64_t heads, int64_t dim) {
  return {buffer, 0, product(tokens, heads * dim), Term::constant(heads * dim), Term::constant(dim)};
}

Term msa::gpu::attendTiles(const AttendProblem &problem, const AttendInstance &instance) {
  int64_t each = problem.heads / instance.pack * instance.splits;
  if (!problem.batches.scalars.empty())
    return product(product(problem.batches, problem.queries), each);
  Term tiles = problem.queries;
  tiles.divisor = instance.rows / instance.pack;
  tiles.multiplier = product(problem.batches, each).factor;
  return tiles;
}

std::optional<Term> msa::gpu::attendWorkspace(const AttendProblem &problem, unsigned splits) {
  if (problem.documents)
    return product(problem.queries, 2 * sizeof(int32_t));
  if (splits == 1)
    return std::nullopt;
  int64_t row = (problem.valueDim + 2) * sizeof(float);
  return product(product(problem.batches, problem.queries), problem.heads * splits * row);
}

//===--- Instances. ---===//

std::string AttendInstance::name() const {
  auto number = [](unsigned value) { return std::to_string(value); };
  std::string text = form == Form::Hopper ? "hopper_" : form == Form::Ampere ? "ampere_" : "decode_";
  text += number(rows) + "x" + number(keys) + "_p" + number(pack);
  if (form == Form::Hopper)
    text += "_s" + number(stages);
  if (splits > 1)
    text += "_split" + number(splits);
  return text;
}

llvm::Expected<std::vector<Launch>> msa::gpu::emitAttend(ModuleOp module, StringRef symbol,
                                                         const AttendProblem &problem, const AttendInstance &instance,
                                                         const GPUTarget &target) {
  std::vector<Launch> launches;
  auto take = [&](llvm::Expected<Launch> launch) -> llvm::Error {
    if (!launch)
      return launch.takeError();
    launches.push_back(std::move(*launch));
    return llvm::Error::success();
  };
  if (problem.documents)
    if (llvm::Error error = take(emitAttendRuns(module, (symbol + "_runs").str(), problem, target)))
      return std::move(error);
  auto emit = instance.form == AttendInstance::Form::Hopper   ? emitAttendHopper
              : instance.form == AttendInstance::Form::Ampere ? emitAttendAmpere
                                                              : emitDecode;
  if (llvm::Error error = take(emit(module, symbol, problem, instance, target)))
    return std::move(error);
  if (instance.splits > 1)
    if (llvm::Error error = take(emitAttendCombine(module, (symbol + "_combine").str(), problem, instance.splits, target)))
      return std::move(error);
  return launches;
}

/// The most heads of a group that a tile of so many rows can have: rows are whole queries.
static unsigned packOf(const AttendProblem &problem, unsigned rows) {
  unsigned pack = problem.group();
  return rows % pack == 0 ? pack : 1;
}

llvm::Expected<std::vector<AttendChoice>> msa::gpu::pickAttend(const AttendProblem &problem, const GPUTarget &target) {
  auto no = [](const llvm::Twine &why) { return llvm::createStringError(llvm::inconvertibleErrorCode(), why); };
  auto dim = [](int64_t value) { return value == 32 || value == 64 || value == 96 || value == 128; };
  if (!problem.element.isBF16() && !problem.element.isF16())
    return no("expected query, key and value to be bf16 or f16");
  if (!dim(problem.headDim) || !dim(problem.valueDim))
    return no("expected dims of 32, 64, 96 or 128, but got " + llvm::Twine(problem.headDim) + " and " +
              llvm::Twine(problem.valueDim));
  if (!(problem.scale > 0))
    return no("expected a positive scale");
  if (problem.queries.scalars.size() > 1 || problem.queries.factor != 1)
    return no("expected the number of queries to be a constant or a scalar");

  std::vector<AttendChoice> choices;
  int64_t group = problem.group();
  using Form = AttendInstance::Form;
  if (!problem.documents && group <= 16) {
    // Up to 16 rows of a kv head, one tile.
    choices.push_back({16 / group + 1, {Form::Decode, unsigned(group), 16, 128, 1, 64}});
    // Few tiles: more of them by cutting keys.
    AttendInstance split{Form::Hopper, packOf(problem, 128), 128, 128, 2, 16};
    if (target.sm < 90)
      split = {Form::Ampere, packOf(problem, 64), 64, 64, 2, 16};
    choices.push_back({2 * split.rows / split.pack + 1, split});
  }
  if (target.sm >= 90)
    choices.push_back({0, {Form::Hopper, packOf(problem, 128), 128, 128, 2, 1}});
  else // Wide rows leave registers for fewer scores.
    choices.push_back({0, {Form::Ampere, packOf(problem, 128), 128, std::max(problem.headDim, problem.valueDim) > 64 ? 32u : 64u, 2, 1}});
  return choices;
}

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
    if (llvm::Error error =
            take(emitAttendCombine(module, (symbol + "_combine").str(), problem, instance.splits, target)))
      return std::move(error);
  return launches;
}

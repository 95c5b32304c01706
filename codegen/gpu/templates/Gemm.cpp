// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/Gemm.h"

using namespace mlir;
using namespace msa::gpu;

TensorElement msa::gpu::tensorElement(Type element) {
  if (element.isF32())
    return TensorElement::F32;
  if (element.isF16())
    return TensorElement::F16;
  return element.isBF16() ? TensorElement::BF16 : TensorElement::U8;
}

Term msa::gpu::gemmTiles(const GemmProblem &problem, const GemmInstance &instance) {
  // rows * r / d blocks of `rows` each; a term rounds up once, so the divisor grows.
  Term tiles = problem.rows;
  tiles.divisor *= instance.rows * instance.cluster;
  tiles.multiplier = (problem.n + instance.columns - 1) / instance.columns * instance.cluster;
  return tiles;
}

void msa::gpu::forGemmTiles(KernelBuilder &k, Expr rows, const GemmProblem &problem, const GemmInstance &instance, State state,
                            function_ref<void(Expr, Expr)> body) {
  // Blocks of a cluster's rows.
  unsigned cluster = instance.cluster, blockRows = instance.rows * cluster;
  int64_t groupHeight = 16 / cluster, columnBlocks = (problem.n + instance.columns - 1) / instance.columns;
  Expr rowBlocks = k.ceilDiv(rows, blockRows), number = k.block(), count = k.grid();
  if (cluster > 1) {
    number = number / cluster;
    count = count / cluster;
  }
  k.forLoop(number, rowBlocks * columnBlocks, count, state, [&](Expr tile) {
    Expr group = tile / (groupHeight * columnBlocks), rest = tile % (groupHeight * columnBlocks);
    Expr height = k.min(rowBlocks - group * groupHeight, k.constant(groupHeight));
    Expr row = (group * groupHeight + rest % height) * blockRows;
    if (cluster > 1)
      row = row + k.clusterRank() * instance.rows;
    body(row, rest / height * instance.columns);
  });
}

std::string GemmInstance::name() const {
  auto number = [](unsigned value) { return std::to_string(value); };
  switch (form) {
  case Form::Hopper:
    return "hopper_" + number(rows) + "x" + number(columns) + "x" + number(depth) + "_s" + number(stages) +
           (cluster > 1 ? "_c" + number(cluster) : "");
  case Form::Ampere:
    return "ampere_" + number(rows) + "x" + number(columns) + "x" + number(depth) + "_s" + number(stages);
  case Form::Skinny:
    return "skinny_" + number(rows) + "x" + number(columns) + "_k" + number(split) + "_s" + number(stages);
  }
  llvm_unreachable("unknown form");
}

llvm::Expected<std::vector<Launch>> msa::gpu::emitGemm(ModuleOp module, StringRef symbol, const GemmProblem &problem,
                                                       const GemmInstance &instance, const GPUTarget &target) {
  auto one = [](llvm::Expected<Launch> launch) -> llvm::Expected<std::vector<Launch>> {
    if (!launch)
      return launch.takeError();
    return std::vector<Launch>{std::move(*launch)};
  };
  switch (instance.form) {
  case GemmInstance::Form::Hopper:
    return one(emitGemmHopper(module, symbol, problem, instance, target));
  case GemmInstance::Form::Ampere:
    return one(emitGemmAmpere(module, symbol, problem, instance, target));
  case GemmInstance::Form::Skinny:
    return one(emitGemmSkinny(module, symbol, problem, instance, target));
  }
  llvm_unreachable("unknown form");
}

// SPDX-License-Identifier: Apache-2.0
//===- LowerGemm.cpp - which instance multiplies what ---------------------===//
//
// Few rows are bound by reading weights, many by tensor cores; between them, tiles shrink until there is one for every multiprocessor.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Instances.h"
#include "codegen/gpu/KernelParameters.h"
#include "codegen/gpu/templates/Gemm.h"

using namespace mlir;
using namespace msa::gpu;
using Form = GemmInstance::Form;

static llvm::Error notServed(const llvm::Twine &reason) { return llvm::createStringError(llvm::inconvertibleErrorCode(), reason); }

/// Of an H100; others have about as many or fewer.
static constexpr int64_t multiprocessors = 132;
/// Fewer rows than these are not many tiles below each other.
static constexpr int64_t fewRows = 1024;

static bool isE4M3(Type type) { return isa<Float8E4M3FNType>(type); }

/// CTAs of a cluster that share K: enough for every multiprocessor to have one, as long as each has a round of work.
static unsigned chooseSplit(const GemmProblem &problem, unsigned stages, const GPUTarget &target) {
  if (target.sm < 90)
    return 1;
  int64_t tiles = (problem.n + 63) / 64, rounds = problem.k / 16 / (8 * stages);
  unsigned split = 1;
  while (split < 8 && tiles * split < multiprocessors && split * 2 <= rounds)
    split *= 2;
  return split;
}

llvm::Expected<std::vector<GemmChoice>> msa::gpu::pickGemm(const GemmProblem &problem, const GPUTarget &target) {
  bool small = isE4M3(problem.element);
  if (!problem.element.isBF16() && !problem.element.isF16() && !small)
    return notServed("tensor cores multiply f16, bf16 and f8E4M3FN, but its operands are of another type");
  if (small && target.sm < 90)
    return notServed("operands of f8E4M3FN need sm_90");
  if (int64_t bytes = problem.k * (small ? 1 : 2); bytes % 16 != 0)
    return notServed("rows of " + llvm::Twine(problem.k) + " elements are not a multiple of 16 bytes long");

  std::vector<GemmChoice> choices;
  if (!small && problem.k % 16 == 0)
    for (auto [rows, stages] : {std::pair(8u, 3u), {16u, 2u}, {32u, 2u}})
      choices.push_back({rows + 1, {Form::Skinny, rows, 64, 16, stages, chooseSplit(problem, stages, target)}});
  // The most rows for which tiles of 128 rows and `columns` columns are fewer than `count`.
  auto rowsFor = [&](int64_t count, int64_t columns) {
    int64_t across = (problem.n + columns - 1) / columns;
    return (count + across - 1) / across * 128;
  };
  if (target.sm >= 90 && small) {
    choices.push_back({65, {Form::Hopper, 64, 128, 128, 8}});
    choices.push_back({0, {Form::Hopper, 128, 128, 128, 6}});
  } else if (target.sm >= 90) {
    choices.push_back({65, {Form::Hopper, 64, 128, 64, 8}});
    choices.push_back({rowsFor(2 * multiprocessors, 256), {Form::Hopper, 128, 128, 64, 6}});
    // Pairs of tiles below each other waste one where the last has no partner: little of many.
    if (choices.back().below < fewRows)
      choices.push_back({fewRows, {Form::Hopper, 128, 256, 64, 4}});
    choices.push_back({0, {Form::Hopper, 128, 256, 64, 4, 1, 2}});
  } else {
    choices.push_back({rowsFor(multiprocessors, 128), {Form::Ampere, 64, 64, 64, 4}});
    choices.push_back({0, {Form::Ampere, 128, 128, 32, 4}});
  }
  return choices;
}

//===--- From the op. ---===//

static llvm::Expected<GemmProblem> problemOf(msa::exec::KernelOp kernel, msa::kernel::MatmulOp op) {
  GemmProblem problem;
  auto lhs = cast<MemRefType>(op.getLhs().getType()), rhs = cast<MemRefType>(op.getRhs().getType()), result = cast<MemRefType>(op.getResult().getType());
  if (lhs.getElementType() != rhs.getElementType())
    return notServed("its operands differ in type, and neither is rounded to the other's");
  problem.element = lhs.getElementType();
  problem.result = result.getElementType();
  problem.n = result.getDimSize(1);
  problem.k = lhs.getDimSize(1);
  problem.buffers = kernel.getBufferCount();
  problem.scalars = kernel.getScalarCount();

  KernelParameters parameters(kernel);
  std::optional<Term> rows = parameters.rowsOf(op.getLhs());
  if (!rows)
    return notServed("the number of its rows is not a product of the kernel's scalars");
  problem.rows = *rows;
  auto buffer = [&](Value memref, unsigned &number) {
    std::optional<unsigned> found = parameters.wholeBufferOf(memref);
    number = found.value_or(0);
    return found.has_value();
  };
  bool whole = buffer(op.getLhs(), problem.lhs) && buffer(op.getRhs(), problem.rhs) && buffer(op.getResult(), problem.output);
  for (Value extra : op.getExtras()) {
    auto type = cast<MemRefType>(extra.getType());
    if (type.getElementType().isInteger(1))
      return notServed("an extra is of i1");
    problem.extras.push_back({0, type.getElementType(), type.getRank() == 1});
    whole &= buffer(extra, problem.extras.back().buffer);
  }
  if (!whole)
    return notServed("an operand is not a whole buffer of the kernel");
  problem.epilogue = regionEpilogue(op.getEpilogue());
  return problem;
}

/// Leaves the one choice for a number of rows that no launch case can ask for: a known one, or a product.
static void keepOne(std::vector<GemmChoice> &choices, const Term &rows) {
  bool known = rows.scalars.empty();
  while (choices.size() > 1 && (!known || choices.front().below <= rows.factor))
    choices.erase(choices.begin());
  choices.resize(1);
  choices.front().below = 0;
}

llvm::Expected<std::vector<LaunchCase>> msa::gpu::lowerGemm(exec::KernelOp kernel, kernel::MatmulOp op, const GPUTarget &target) {
  llvm::Expected<GemmProblem> problem = problemOf(kernel, op);
  if (!problem)
    return problem.takeError();
  llvm::Expected<std::vector<GemmChoice>> choices = pickGemm(*problem, target);
  if (!choices)
    return choices.takeError();
  std::optional<uint32_t> scalar = scalarOf(problem->rows);
  if (!scalar)
    keepOne(*choices, problem->rows);
  auto module = kernel->getParentOfType<ModuleOp>();
  Operation *last = &module.getBody()->back();
  std::vector<LaunchCase> cases;
  for (const GemmChoice &choice : *choices) {
    std::string symbol = (kernel.getSymName() + "_" + choice.instance.name()).str();
    llvm::Expected<std::vector<Launch>> launches = emitGemm(module, symbol, *problem, choice.instance, target);
    if (!launches) {
      while (last != &module.getBody()->back())
        module.getBody()->back().erase();
      return launches.takeError();
    }
    LaunchCase one;
    if (choice.below) {
      one.scalar = scalar;
      one.below = choice.below;
    }
    one.launches = std::move(*launches);
    cases.push_back(std::move(one));
  }
  return cases;
}

//===--- The table. ---===//

namespace {

enum class EpilogueKind { None, Bias, Residual, BiasResidual, Silu, SwiGLU };

Expr silu(KernelBuilder &k, Expr x) {
  constexpr double log2e = 1.4426950408889634;
  return x * k.rcpApprox(k.exp2Approx(x * -log2e) + 1.0);
}

const char *nameOf(EpilogueKind kind) {
  static constexpr const char *names[] = {"none", "bias", "residual", "bias_residual", "silu", "swiglu"};
  return names[static_cast<int>(kind)];
}

std::string show(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// An epilogue for the table: extras stand in the buffers behind lhs, rhs and output; [M, N] ones have the operands' type.
void setEpilogue(GemmProblem &problem, EpilogueKind kind) {
  auto add = [&](Type type, bool perColumn) { problem.extras.push_back({problem.buffers++, type, perColumn}); };
  Type f32 = Float32Type::get(problem.element.getContext());
  Type wide = isE4M3(problem.element) ? Type(BFloat16Type::get(problem.element.getContext())) : problem.element;
  switch (kind) {
  case EpilogueKind::None:
    return;
  case EpilogueKind::Bias:
    add(f32, true);
    problem.epilogue = [](KernelBuilder &, Expr sum, ArrayRef<Expr> extras) { return sum + extras[0]; };
    return;
  case EpilogueKind::Residual:
    add(wide, false);
    problem.epilogue = [](KernelBuilder &, Expr sum, ArrayRef<Expr> extras) { return sum + extras[0]; };
    return;
  case EpilogueKind::BiasResidual:
    add(f32, true);
    add(wide, false);
    problem.epilogue = [](KernelBuilder &, Expr sum, ArrayRef<Expr> extras) { return sum + extras[0] + extras[1]; };
    return;
  case EpilogueKind::Silu:
    problem.epilogue = [](KernelBuilder &k, Expr sum, ArrayRef<Expr>) { return silu(k, sum); };
    return;
  case EpilogueKind::SwiGLU:
    add(wide, false);
    problem.epilogue = [](KernelBuilder &k, Expr sum, ArrayRef<Expr> extras) { return silu(k, sum) * extras[0]; };
    return;
  }
}

Instance makeInstance(GPUTarget target, Type element, Type result, const GemmInstance &instance, int64_t n, int64_t k, EpilogueKind kind) {
  GemmProblem problem;
  problem.element = element;
  problem.result = result;
  problem.n = n;
  problem.k = k;
  problem.rows = Term::scalar(0);
  problem.buffers = 3;
  problem.scalars = 1;
  setEpilogue(problem, kind);

  llvm::json::Array extras;
  for (const EpilogueExtra &extra : problem.extras)
    extras.push_back(llvm::json::Object{{"buffer", extra.buffer}, {"element", show(extra.element)}, {"per_column", extra.perColumn}});
  static constexpr const char *forms[] = {"hopper", "ampere", "skinny"};
  llvm::json::Object parameters{{"form", forms[static_cast<int>(instance.form)]},
                                {"rows", instance.rows},
                                {"columns", instance.columns},
                                {"depth", instance.depth},
                                {"stages", instance.stages},
                                {"split", instance.split},
                                {"cluster", instance.cluster},
                                {"element", show(element)},
                                {"result", show(result)},
                                {"n", n},
                                {"k", k},
                                {"buffers", problem.buffers},
                                {"scalars", problem.scalars},
                                {"rows_scalar", 0},
                                {"lhs", problem.lhs},
                                {"rhs", problem.rhs},
                                {"output", problem.output},
                                {"extras", std::move(extras)},
                                {"epilogue", nameOf(kind)}};
  std::string name = "gemm." + StringRef(show(element)).lower() + "." + instance.name() + ".n" + std::to_string(n) + "_k" + std::to_string(k);
  if (result != element)
    name += "_" + show(result);
  if (kind != EpilogueKind::None)
    name += std::string("_") + nameOf(kind);
  if (instance.form != Form::Hopper) // others are made for several processors
    name += ".sm" + std::to_string(target.sm);
  return {std::move(name), "gemm", target, std::move(parameters), [=](ModuleOp module, StringRef symbol) {
            return emitGemm(module, symbol, problem, instance, target);
          }};
}

} // namespace

void msa::gpu::addGemmInstances(MLIRContext &context, std::vector<Instance> &instances) {
  Type f32 = Float32Type::get(&context), bf16 = BFloat16Type::get(&context), f16 = Float16Type::get(&context), e4m3 = Float8E4M3FNType::get(&context);
  GPUTarget hopper{90}, ampere{80};
  using enum EpilogueKind;
  // Shapes wrap every ring more than twice in a tile and end ragged in K or N somewhere.
  auto add = [&](GPUTarget target, Type element, Type result, GemmInstance instance, int64_t n, int64_t k, EpilogueKind kind) {
    instances.push_back(makeInstance(target, element, result, instance, n, k, kind));
  };
  for (Type type : {bf16, f16}) {
    add(hopper, type, f32, {Form::Hopper, 128, 256, 64, 4, 1, 2}, 512, 640, None);
    add(hopper, type, type, {Form::Hopper, 128, 256, 64, 4, 1, 2}, 328, 352, SwiGLU);
    add(hopper, type, f32, {Form::Hopper, 128, 256, 64, 4}, 304, 352, Bias);
    add(hopper, type, type, {Form::Hopper, 128, 256, 64, 4}, 328, 600, SwiGLU);
    add(hopper, type, f32, {Form::Hopper, 128, 128, 64, 6}, 256, 832, Residual);
    add(hopper, type, type, {Form::Hopper, 128, 128, 64, 6}, 193, 840, BiasResidual);
    add(hopper, type, f32, {Form::Hopper, 64, 128, 64, 8}, 256, 1088, Bias);
    add(hopper, type, type, {Form::Hopper, 64, 128, 64, 8}, 146, 1096, Silu);
    for (GPUTarget target : {hopper, ampere}) {
      add(target, type, f32, {Form::Skinny, 8, 64, 16, 3, 1}, 128, 1536, None);
      add(target, type, type, {Form::Skinny, 16, 64, 16, 2, 1}, 150, 800, BiasResidual);
      add(target, type, f32, {Form::Skinny, 32, 64, 16, 2, 1}, 128, 1280, SwiGLU);
    }
    add(hopper, type, f32, {Form::Skinny, 8, 64, 16, 3, 2}, 200, 2560, Silu);
    add(hopper, type, type, {Form::Skinny, 8, 64, 16, 3, 4}, 256, 2048, Residual);
    add(hopper, type, f32, {Form::Skinny, 8, 64, 16, 3, 8}, 64, 9216, None);
    add(hopper, type, f32, {Form::Skinny, 16, 64, 16, 2, 2}, 128, 1536, Bias);
    add(hopper, type, f32, {Form::Skinny, 16, 64, 16, 2, 4}, 128, 3072, Residual);
    add(hopper, type, type, {Form::Skinny, 16, 64, 16, 2, 8}, 72, 4608, Silu);
    add(hopper, type, f32, {Form::Skinny, 32, 64, 16, 2, 2}, 128, 1568, Bias);
    add(hopper, type, f32, {Form::Skinny, 32, 64, 16, 2, 4}, 100, 2560, None);
    add(hopper, type, f32, {Form::Skinny, 32, 64, 16, 2, 8}, 64, 4096, SwiGLU);
    add(ampere, type, f32, {Form::Ampere, 128, 128, 32, 4}, 256, 320, None);
    add(ampere, type, type, {Form::Ampere, 128, 128, 32, 4}, 200, 296, SwiGLU);
    add(ampere, type, f32, {Form::Ampere, 64, 64, 64, 4}, 112, 480, None);
    add(ampere, type, type, {Form::Ampere, 64, 64, 64, 4}, 75, 584, BiasResidual);
  }
  add(hopper, e4m3, f32, {Form::Hopper, 128, 128, 128, 6}, 176, 672, Bias);
  add(hopper, e4m3, bf16, {Form::Hopper, 128, 128, 128, 6}, 256, 1664, None);
  add(hopper, e4m3, f32, {Form::Hopper, 64, 128, 128, 8}, 256, 2176, None);
  add(hopper, e4m3, bf16, {Form::Hopper, 64, 128, 128, 8}, 136, 2192, Residual);
}

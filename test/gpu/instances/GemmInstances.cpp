// SPDX-License-Identifier: Apache-2.0

#include "Instances.h"

#include "codegen/gpu/templates/Gemm.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace msa::gpu;

namespace instances {

namespace {

enum class Tail { None, Bias, Residual, Silu, Swiglu };

Type type(MLIRContext *context, llvm::StringRef name) {
  if (name == "bf16")
    return BFloat16Type::get(context);
  if (name == "f16")
    return Float16Type::get(context);
  if (name == "f8E4M3FN")
    return Float8E4M3FNType::get(context);
  return Float32Type::get(context);
}

const char *nameOf(Tail tail) {
  switch (tail) {
  case Tail::None: return "none";
  case Tail::Bias: return "bias";
  case Tail::Residual: return "residual";
  case Tail::Silu: return "silu";
  case Tail::Swiglu: return "swiglu";
  }
  llvm_unreachable("unknown epilogue");
}

Expr silu(KernelBuilder &k, Expr x) { return x * k.rcpApprox(k.constantF(1.0) + k.exp2Approx(x * -1.4426950408889634)); }

Epilogue epilogueOf(Tail tail) {
  switch (tail) {
  case Tail::None: return nullptr;
  case Tail::Bias:
  case Tail::Residual: return [](KernelBuilder &, Expr sum, llvm::ArrayRef<Expr> extras) { return sum + extras[0]; };
  case Tail::Silu: return [](KernelBuilder &k, Expr sum, llvm::ArrayRef<Expr>) { return silu(k, sum); };
  case Tail::Swiglu: return [](KernelBuilder &k, Expr sum, llvm::ArrayRef<Expr> extras) { return silu(k, sum) * extras[0]; };
  }
  llvm_unreachable("unknown epilogue");
}

void add(std::vector<Entry> &entries, int sm, llvm::StringRef element, llvm::StringRef result, GemmInstance instance, int64_t n, int64_t depth, Tail tail = Tail::None) {
  static constexpr const char *forms[] = {"hopper", "ampere", "skinny"};
  bool perColumn = tail == Tail::Bias, extra = tail != Tail::None && tail != Tail::Silu;
  std::string extraType = tail == Tail::Bias ? "f32" : result.str();
  Entry entry;
  entry.name = ("gemm." + element.lower() + "." + llvm::Twine(instance.name()) + ".n" + llvm::Twine(n) + "_k" + llvm::Twine(depth)).str();
  if (result != element)
    entry.name += "_" + result.str();
  if (tail != Tail::None)
    entry.name += std::string("_") + nameOf(tail);
  if (instance.form != GemmInstance::Form::Hopper)
    entry.name += ".sm" + std::to_string(sm);
  entry.family = "gemm";
  entry.sm = sm;
  entry.parameters = {{"element", element.str()},
                      {"result", result.str()},
                      {"n", n},
                      {"k", depth},
                      {"form", forms[static_cast<int>(instance.form)]},
                      {"rows", instance.rows},
                      {"columns", instance.columns},
                      {"depth", instance.depth},
                      {"stages", instance.stages},
                      {"split", instance.split},
                      {"cluster", instance.cluster},
                      {"buffers", 3 + extra},
                      {"scalars", 1},
                      {"rows_scalar", 0},
                      {"lhs", 0},
                      {"rhs", 1},
                      {"output", 2},
                      {"epilogue", nameOf(tail)}};
  if (extra)
    entry.parameters["extras"] = {{{"buffer", 3}, {"element", extraType}, {"per_column", perColumn}}};
  entry.emit = [=, element = element.str(), result = result.str()](ModuleOp module) {
    MLIRContext *context = module.getContext();
    GemmProblem problem;
    problem.element = type(context, element);
    problem.result = type(context, result);
    problem.n = n;
    problem.k = depth;
    problem.rows = Term::scalar(0);
    problem.buffers = 3 + extra;
    problem.scalars = 1;
    if (extra)
      problem.extras.push_back({3, type(context, extraType), perColumn});
    problem.epilogue = epilogueOf(tail);
    return emitGemm(module, "gemm", problem, instance, GPUTarget{sm});
  };
  entries.push_back(std::move(entry));
}

} // namespace

void addGemm(std::vector<Entry> &entries) {
  using Form = GemmInstance::Form;
  GemmInstance large{Form::Hopper, 128, 256, 64, 4, 1, 2}, alone{Form::Hopper, 128, 256, 64, 4, 1}, square{Form::Hopper, 128, 128, 64, 4, 1}, low{Form::Hopper, 64, 128, 64, 4, 1};
  add(entries, 90, "bf16", "bf16", large, 512, 640);
  add(entries, 90, "bf16", "bf16", large, 400, 352, Tail::Swiglu);
  add(entries, 90, "bf16", "f32", alone, 304, 352, Tail::Bias);
  add(entries, 90, "f16", "f16", alone, 256, 640, Tail::Residual);
  add(entries, 90, "bf16", "bf16", square, 256, 640, Tail::Silu);
  add(entries, 90, "f16", "f32", square, 176, 224);
  add(entries, 90, "bf16", "bf16", low, 256, 640, Tail::Residual);
  add(entries, 90, "bf16", "f32", low, 80, 352, Tail::Bias);
  GemmInstance bytes{Form::Hopper, 128, 128, 128, 4, 1};
  add(entries, 90, "f8E4M3FN", "bf16", bytes, 256, 1280);
  add(entries, 90, "f8E4M3FN", "f32", bytes, 176, 672, Tail::Bias);
  GemmInstance ampere{Form::Ampere, 128, 128, 32, 4, 1}, small{Form::Ampere, 64, 64, 64, 3, 1};
  for (int sm : {80, 90}) {
    add(entries, sm, "bf16", "bf16", ampere, 256, 320, Tail::Swiglu);
    add(entries, sm, "f16", "f32", ampere, 176, 224, Tail::Bias);
    add(entries, sm, "bf16", "f32", small, 112, 480);
  }
  for (int sm : {80, 90})
    for (unsigned rows : {8u, 16u, 32u}) {
      GemmInstance skinny{Form::Skinny, rows, 64, 16, rows == 32 ? 2u : 4u, sm == 90 && rows == 8 ? 4u : 1u};
      add(entries, sm, "bf16", "bf16", skinny, 256, 2048, rows == 8 ? Tail::Residual : Tail::None);
      if (rows == 16)
        add(entries, sm, "f16", "f32", skinny, 208, 1072, Tail::Bias);
    }
}

/// What the compiler takes for 4,096 rows and for few.
void addTimedGemm(std::vector<Entry> &entries) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  auto choices = [&](int sm, const char *element) {
    GemmProblem problem;
    problem.element = type(&context, element);
    problem.result = BFloat16Type::get(&context);
    problem.n = problem.k = 4096;
    problem.rows = Term::scalar(0);
    problem.buffers = 3;
    problem.scalars = 1;
    llvm::Expected<std::vector<GemmChoice>> all = pickGemm(problem, GPUTarget{sm});
    if (!all)
      llvm::report_fatal_error(all.takeError());
    for (const GemmChoice &choice : *all)
      if (!choice.below || choice.instance.form == GemmInstance::Form::Skinny)
        add(entries, sm, element, "bf16", choice.instance, problem.n, problem.k);
  };
  choices(90, "bf16");
  choices(90, "f8E4M3FN");
  choices(80, "bf16");
}

} // namespace instances

// SPDX-License-Identifier: Apache-2.0
//
// The gemm template: every instance of the table against float64, under the emulator in each of its modes; which instance is picked; and the way from a
// kernel.matmul.

#include "Emulated.h"
#include "codegen/gpu/Passes.h"
#include "codegen/gpu/templates/Gemm.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace msa::gpu;
using Form = GemmInstance::Form;

namespace {

mlir::MLIRContext &context() {
  static mlir::MLIRContext *all = [] {
    mlir::DialectRegistry registry;
    registerEmission(registry);
    registry.insert<mlir::arith::ArithDialect, mlir::LLVM::LLVMDialect, mlir::math::MathDialect, mlir::memref::MemRefDialect, mlir::NVVM::NVVMDialect,
                    mlir::scf::SCFDialect, mlir::vector::VectorDialect, msa::exec::ExecDialect, msa::kernel::KernelDialect>();
    auto *made = new mlir::MLIRContext(registry, mlir::MLIRContext::Threading::DISABLED);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *all;
}

const std::vector<Instance> &table() {
  static std::vector<Instance> instances = [] {
    std::vector<Instance> all;
    addGemmInstances(context(), all);
    return all;
  }();
  return instances;
}

std::vector<ptxemu::Options> everyMode() {
  std::vector<ptxemu::Options> modes;
  for (auto asynchrony : {ptxemu::Asynchrony::Latest, ptxemu::Asynchrony::Random, ptxemu::Asynchrony::Earliest})
    modes.push_back({.seed = modes.size() + 1, .asynchrony = asynchrony, .strictFence = true, .traffic = false});
  return modes;
}

/// Runs a product of so many rows. \returns the result's bytes.
std::vector<std::byte> runRight(const cases::Instance &instance, int64_t rows, unsigned processors, const ptxemu::Options &options) {
  cases::Case subject = cases::makeGemm(instance, {{{"m", rows}}, 7, true});
  cases::EmulatorDevice device(ptxemu::Module::parse(instance.ptx), options, processors);
  cases::Prepared prepared(device, instance, subject);
  cases::Verdict verdict;
  EXPECT_EQ(prepared.run(verdict), "") << rows << " rows";
  EXPECT_EQ(verdict.text, "") << rows << " rows";
  for (const ptxemu::Result &result : device.results())
    EXPECT_TRUE(result.warnings.empty()) << result.text();
  return prepared.contents().at(instance.parameters.at("output").get<size_t>());
}

void expectRight(const cases::Instance &instance, int64_t rows, unsigned processors, llvm::ArrayRef<ptxemu::Options> modes) {
  for (const ptxemu::Options &options : modes)
    runRight(instance, rows, processors, options);
}

class EveryInstance : public testing::TestWithParam<size_t> {};
std::string nameOf(const testing::TestParamInfo<size_t> &info) {
  std::string name = table()[info.param].name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// Rows: two and a half tiles and three more, so that the persistent CTAs wrap their rings over tiles and the last tile is ragged; all rows but one of a skinny
// instance, and one row.
TEST_P(EveryInstance, AgreesWithFloat64InEveryMode) {
  const Instance &instance = table()[GetParam()];
  cases::Instance program = emulated::compile(context(), instance);
  int64_t rows = *instance.parameters.getInteger("rows");
  if (*instance.parameters.getString("form") == "skinny") {
    expectRight(program, rows - 1, 2, everyMode());
    expectRight(program, 1, 2, everyMode()[0]);
  } else {
    expectRight(program, 2 * rows + rows / 2 + 3, 2, everyMode());
    expectRight(program, 1, 2, everyMode()[0]);
  }
}

INSTANTIATE_TEST_SUITE_P(Gemm, EveryInstance, testing::Range(size_t(0), table().size()), nameOf);

/// The first whose name begins so.
const Instance &find(llvm::StringRef name) {
  for (const Instance &instance : table())
    if (llvm::StringRef(instance.name).starts_with(name))
      return instance;
  throw std::runtime_error("no instance '" + name.str() + "'");
}

TEST(Gemm, SkinnyTakesAnyNumberOfRows) {
  const Instance &instance = find("gemm.bf16.skinny_8x64_k2_s3");
  expectRight(emulated::compile(context(), instance), 19, 2, everyMode());
}

TEST(Gemm, NoRowsRunNothing) {
  for (const char *name : {"gemm.bf16.skinny_8x64_k2_s3", "gemm.bf16.hopper_128x128x64_s6", "gemm.bf16.ampere_64x64x64_s4"}) {
    bool nothing = false;
    cases::Instance program = emulated::compile(context(), find(name));
    for (const cases::Term &term : program.launches[0].grid)
      nothing |= llvm::is_contained(term.scalars, 0u);
    EXPECT_TRUE(nothing) << name;
  }
}

TEST(Gemm, ResultsDoNotDependOnTheGrid) {
  cases::Instance program = emulated::compile(context(), find("gemm.bf16.hopper_128x128x64_s6"));
  EXPECT_EQ(runRight(program, 300, 1, everyMode()[0]), runRight(program, 300, 5, everyMode()[1]));
}

TEST(Gemm, CompilesToTheSameText) {
  const Instance &instance = find("gemm.bf16.skinny_8x64_k2_s3");
  EXPECT_EQ(emulated::compile(context(), instance).ptx, emulated::compile(context(), instance).ptx);
}

// -- Which instance ------------------------------------------------------------------------------------------------------------------

GemmProblem problem(mlir::Type element, int64_t n, int64_t k) {
  GemmProblem made;
  made.element = element;
  made.result = element;
  made.n = n, made.k = k;
  made.rows = Term::scalar(0);
  made.buffers = 3, made.scalars = 1;
  return made;
}

std::string picked(const GemmProblem &problem, int sm) {
  llvm::Expected<std::vector<GemmChoice>> choices = pickGemm(problem, GPUTarget{sm});
  if (!choices)
    return llvm::toString(choices.takeError());
  std::string text;
  for (const GemmChoice &choice : *choices)
    text += (choice.below ? "<" + std::to_string(choice.below) + " " : "") + choice.instance.name() + "\n";
  return text;
}

TEST(PickGemm, FewRowsStreamAndManyFillTensorCores) {
  mlir::Builder b(&context());
  EXPECT_EQ(picked(problem(b.getBF16Type(), 2560, 2560), 90), "<9 skinny_8x64_k4_s3\n<17 skinny_16x64_k4_s2\n<33 skinny_32x64_k4_s2\n<65 hopper_64x128x64_s8\n"
                                                              "<3456 hopper_128x128x64_s6\nhopper_128x256x64_s4_c2\n");
  EXPECT_EQ(picked(problem(b.getF16Type(), 2560, 2560), 80), "<9 skinny_8x64_k1_s3\n<17 skinny_16x64_k1_s2\n<33 skinny_32x64_k1_s2\n"
                                                             "<896 ampere_64x64x64_s4\nampere_128x128x32_s4\n");
  EXPECT_EQ(picked(problem(mlir::Float8E4M3FNType::get(&context()), 512, 512), 90), "<65 hopper_64x128x128_s8\nhopper_128x128x128_s6\n");
}

TEST(PickGemm, WhatIsNotServedIsNamed) {
  mlir::Builder b(&context());
  EXPECT_EQ(picked(problem(b.getF32Type(), 64, 64), 90), "tensor cores multiply f16, bf16 and f8E4M3FN, but its operands are of another type");
  EXPECT_EQ(picked(problem(b.getBF16Type(), 64, 60), 90), "rows of 60 elements are not a multiple of 16 bytes long");
  EXPECT_EQ(picked(problem(mlir::Float8E4M3FNType::get(&context()), 64, 64), 80), "operands of f8E4M3FN need sm_90");
}

// -- From a kernel.matmul --------------------------------------------------------------------------------------------------------------

constexpr const char *swiglu = R"mlir(
exec.kernel @k(%lhs: memref<?xi8>, %rhs: memref<?xi8>, %out: memref<?xi8>, %gate: memref<?xi8>, %m: index, %scratch: memref<?xi8>,
    %lo: index, %hi: index) attributes {parameters = array<i32: 0, 0, 1, 0>, scratch_bytes = 156672 : i64} {
  %0 = arith.constant 0 : index
  %a = memref.view %lhs[%0][%m] : memref<?xi8> to memref<?x768xbf16>
  %w = memref.view %rhs[%0][] : memref<?xi8> to memref<5x768x16xbf16>
  %g = memref.view %gate[%0][%m] : memref<?xi8> to memref<?x72xbf16>
  %c = memref.view %out[%0][%m] : memref<?xi8> to memref<?x72xbf16>
  kernel.matmul tiles(%lo to %hi) %a, %w extras(%g : memref<?x72xbf16>) into %c scratch %scratch rows 96 columns 64
      : memref<?x768xbf16>, memref<5x768x16xbf16>, memref<?x72xbf16>, memref<?xi8> {
    ^bb0(%acc: f32, %extra: bf16):
      %one = arith.constant 1.0 : f32
      %wide = arith.extf %extra : bf16 to f32
      %negative = arith.negf %acc : f32
      %e = math.exp %negative : f32
      %d = arith.addf %e, %one : f32
      %s = arith.divf %acc, %d : f32
      %p = arith.mulf %s, %wide : f32
      %r = arith.truncf %p : f32 to bf16
      kernel.yield %r : bf16
  }
  exec.end
}
)mlir";

TEST(LowerGemm, AKernelBecomesOneCaseForEachChoice) {
  for (int sm : {80, 90}) {
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(swiglu, &context());
    ASSERT_TRUE(module);
    mlir::PassManager manager(&context());
    buildLowerKernelsPipeline(manager, GPUTarget{sm});
    ASSERT_TRUE(mlir::succeeded(manager.run(*module)));
    mlir::FailureOr<std::vector<LaunchTable>> tables = collectLaunchTables(*module);
    ASSERT_TRUE(mlir::succeeded(tables));
    ASSERT_EQ(tables->size(), 1u);
    const std::vector<LaunchCase> &cases = tables->front().cases;
    EXPECT_GE(cases.size(), 4u);
    llvm::Expected<std::string> ptx = emitPTX(*module, GPUTarget{sm});
    ASSERT_TRUE(static_cast<bool>(ptx)) << llvm::toString(ptx.takeError());
    EXPECT_FALSE(cases.back().scalar);

    // The same problem as the table writes it: a SwiGLU, its gate in buffer 3.
    Instance like = find("gemm.bf16.hopper_128x256x64_s4.n328_k600_swiglu");
    like.parameters["n"] = 72;
    like.parameters["k"] = 768;
    for (int64_t rows : {1, 12, 30, 40, 150}) {
      SCOPED_TRACE(std::to_string(rows) + " rows on sm_" + std::to_string(sm));
      auto taken = llvm::find_if(cases, [&](const LaunchCase &one) { return !one.scalar || rows < one.below; });
      expectRight(emulated::instanceOf(like, taken->launches, *ptx), rows, 2, everyMode()[0]);
    }
  }
}

TEST(LowerGemm, OperandsOfTwoTypesAreLeftToOthers) {
  std::string text = swiglu;
  for (size_t at; (at = text.find("768xbf16>\n")) != std::string::npos;)
    text.replace(at, 9, "768xf32>");
  for (size_t at; (at = text.find("memref<?x768xbf16>")) != std::string::npos;)
    text.replace(at, 18, "memref<?x768xf32>");
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  ASSERT_TRUE(module);
  EXPECT_FALSE(lowerWithTemplate(*module->getOps<msa::exec::KernelOp>().begin(), GPUTarget{90}));
  EXPECT_EQ(std::distance(module->getBody()->begin(), module->getBody()->end()), 1);
}

} // namespace

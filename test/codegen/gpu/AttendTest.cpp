// SPDX-License-Identifier: Apache-2.0
//
// The attend and decode templates: what their instances compute, under the emulator in each of its modes, and what ptxas makes of
// them.

#include "AttendCase.h"
#include "codegen/gpu/EmitPTX.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using attend::Case;
using attend::Program;
using attend::shaped;
using attend::Type;
using msa::gpu::AttendInstance;
using Form = AttendInstance::Form;

namespace {

std::vector<ptxemu::Options> everyMode(uint64_t seed = 1) {
  std::vector<ptxemu::Options> modes;
  for (auto asynchrony : {ptxemu::Asynchrony::Latest, ptxemu::Asynchrony::Random, ptxemu::Asynchrony::Earliest}) {
    ptxemu::Options options;
    options.seed = seed++;
    options.asynchrony = asynchrony;
    options.strictFence = true;
    options.traffic = false;
    modes.push_back(options);
  }
  return modes;
}

void expectRight(const Case &subject, const AttendInstance &instance, int sm, unsigned processors = 2) {
  SCOPED_TRACE(instance.name() + " on sm_" + std::to_string(sm) + ", " + std::to_string(subject.heads) + "/" +
               std::to_string(subject.kvHeads) + " heads of " + std::to_string(subject.dim) + ", " +
               std::to_string(subject.queries) + " queries, " + std::to_string(subject.keys) + " keys");
  Program program(subject, instance, sm);
  for (const ptxemu::Options &options : everyMode()) {
    std::vector<float> results;
    ASSERT_NO_THROW(results = program.run(subject, options, processors));
    EXPECT_EQ(judge(subject, results).wrong, "");
  }
}

AttendInstance hopper(unsigned pack, unsigned splits = 1) { return {Form::Hopper, pack, 128, 128, 2, splits}; }
AttendInstance ampere(unsigned pack, unsigned rows = 128, unsigned splits = 1, unsigned keys = 64) {
  return {Form::Ampere, pack, rows, keys, 2, splits};
}
AttendInstance decode(unsigned pack, unsigned splits = 8) { return {Form::Decode, pack, 16, 128, 1, splits}; }

//===--- Prefill. ---===//

TEST(Attend, HopperIsTheOracles) {
  expectRight(shaped(4, 1, 128, 70, 700, true, 1), hopper(4), 90);
  expectRight(shaped(2, 2, 128, 300, 650, true, 2), hopper(1), 90, 3);
  expectRight(shaped(8, 2, 128, 65, 640, false, 3), hopper(4), 90, 1);
  expectRight(shaped(4, 2, 64, 129, 700, true, 4), hopper(2), 90);
  expectRight(shaped(2, 1, 96, 100, 515, true, 5), hopper(2), 90);
  expectRight(shaped(8, 1, 32, 50, 900, false, 6), hopper(8), 90);
}

TEST(Attend, AmpereIsTheOracles) {
  for (int sm : {80, 90})
    expectRight(shaped(4, 1, 128, 70, 400, true, 7), ampere(4, 128, 1, 32), sm);
  expectRight(shaped(2, 2, 128, 100, 330, true, 8), ampere(1, 64), 80);
  expectRight(shaped(6, 2, 64, 65, 320, false, 9), ampere(1), 80);
  expectRight(shaped(4, 2, 96, 70, 300, true, 10), ampere(2), 80);
  expectRight(shaped(8, 1, 32, 50, 390, true, 11), ampere(8, 64), 80);
}

TEST(Attend, TypesOfOperandsAndResults) {
  for (Type element : {Type::BF16, Type::F16})
    for (Type result : {Type::BF16, Type::F16, Type::F32}) {
      Case subject;
      subject.element = element;
      subject.result = result;
      subject.dim = subject.valueDim = 64;
      subject.queries = 40;
      subject.keys = 290;
      subject.fill(12);
      expectRight(subject, hopper(4), 90);
      expectRight(subject, ampere(4, 64), 80);
      subject.queries = 3;
      expectRight(subject, decode(4), 80);
    }
}

TEST(Attend, ValuesOfAnotherDim) {
  for (auto [dim, valueDim] : {std::pair(64, 128), {128, 32}, {96, 64}, {32, 96}}) {
    Case subject;
    subject.dim = dim;
    subject.valueDim = valueDim;
    subject.queries = 33;
    subject.keys = 300;
    subject.fill(13);
    expectRight(subject, hopper(4), 90);
    expectRight(subject, ampere(4), 80);
    subject.queries = 2;
    expectRight(subject, decode(4), 90);
  }
}

TEST(Attend, BatchesAndHeadsThatComeFirst) {
  for (bool headsFirst : {false, true}) {
    Case subject;
    subject.heads = 4;
    subject.kvHeads = 2;
    subject.dim = subject.valueDim = 64;
    subject.batches = 3;
    subject.queries = 37;
    subject.keys = 150;
    subject.headsFirst = headsFirst;
    subject.fill(14);
    expectRight(subject, hopper(2), 90);
    expectRight(subject, ampere(2), 80);
    expectRight(subject, hopper(2, 3), 90);
    subject.queries = 5;
    subject.query.resize(subject.batches * subject.queries * subject.heads * subject.dim);
    expectRight(subject, decode(2, 2), 80);
  }
}

//===--- Who sees what. ---===//

TEST(Attend, RowsThatSeeNoKeyAreZero) {
  for (auto [queries, keys] : {std::pair(200, 40), {130, 1}, {64, 63}}) {
    Case subject = shaped(2, 1, 64, queries, keys, true, 15);
    expectRight(subject, hopper(2), 90);
    expectRight(subject, hopper(2, 4), 90);
    expectRight(subject, ampere(2), 80);
    expectRight(subject, ampere(2, 64, 3), 80);
    expectRight(subject, decode(2), 80);
  }
}

TEST(Attend, ScoresFarApart) {
  for (float factor : {16.0f, 0.0f}) {
    Case subject = shaped(4, 1, 64, 60, 700, true, 29);
    for (float &x : subject.query)
      x *= factor;
    // Every key is larger than the one before, by steps that a running maximum has to follow.
    if (factor > 0)
      for (int64_t j = 0; j < subject.keys; ++j)
        subject.key[j * subject.dim] = float(j / 4) / 16;
    expectRight(subject, hopper(4), 90);
    expectRight(subject, ampere(4), 80);
    expectRight(subject, hopper(4, 5), 90);
    subject.queries = 3;
    expectRight(subject, decode(4, 5), 80);
  }
}

TEST(Attend, DocumentsAreApart) {
  for (bool causal : {true, false})
    for (int64_t length : {5, 60, 400}) {
      Case subject;
      subject.heads = 2;
      subject.dim = subject.valueDim = 64;
      subject.queries = subject.keys = 777;
      subject.causal = causal;
      subject.documents = attend::documentsOf(777, length);
      subject.fill(16);
      expectRight(subject, hopper(2), 90);
      expectRight(subject, ampere(2), 80);
      expectRight(subject, ampere(1, 64), 80);
    }
}

TEST(Attend, DocumentsOfManyTokens) {
  Case subject;
  subject.heads = subject.kvHeads = 1;
  subject.dim = subject.valueDim = 32;
  subject.queries = subject.keys = 1500;
  subject.documents = std::vector<int64_t>(1500, 7);
  std::fill(subject.documents.begin() + 1100, subject.documents.end(), 8);
  subject.fill(17);
  expectRight(subject, hopper(1), 90);
}

//===--- Few queries. ---===//

TEST(Attend, DecodeIsTheOracles) {
  for (int sm : {80, 90}) {
    expectRight(shaped(8, 2, 128, 1, 1500, true, 18), decode(4), sm);
    expectRight(shaped(4, 4, 64, 7, 700, true, 19), decode(1, 3), sm);
    expectRight(shaped(6, 2, 96, 5, 333, false, 20), decode(3, 2), sm);
    expectRight(shaped(16, 1, 32, 1, 5000, true, 21), decode(16, 64), sm);
  }
}

TEST(Attend, DecodeOfAnyNumberOfKeys) {
  for (int64_t keys : {1, 2, 15, 16, 17, 127, 128, 129, 1000, 1025})
    expectRight(shaped(4, 1, 64, 1, keys, true, 22 + keys), decode(4, 4), 80);
  // More queries than a tile has.
  expectRight(shaped(4, 1, 64, 30, 200, true, 23), decode(4, 2), 80);
  expectRight(shaped(3, 1, 64, 11, 200, true, 24), decode(3, 1), 80);
}

TEST(Attend, SplitKeysAddUp) {
  expectRight(shaped(4, 1, 128, 40, 1700, true, 25), hopper(4, 4), 90, 3);
  expectRight(shaped(2, 1, 64, 20, 300, false, 26), hopper(2, 16), 90, 5);
  expectRight(shaped(4, 1, 128, 20, 900, true, 27), ampere(4, 64, 5), 80);
}

// Every instance in smaller grids: test/gpu/grids.
TEST(Attend, ResultsAreTheSameWhateverTheGrid) {
  Case subject = shaped(4, 1, 64, 150, 500, true, 28);
  for (const AttendInstance &instance : {hopper(4), hopper(4, 4)}) {
    Program program(subject, instance, 90);
    std::vector<float> once = program.run(subject, everyMode()[0], 1);
    for (unsigned processors : {2, 3, 100})
      EXPECT_EQ(once, program.run(subject, everyMode()[1], processors)) << instance.name() << " on " << processors;
  }
}

//===--- From a kernel. ---===//

/// The cases of a kernel of four views, or why there are none.
std::string casesOf(const std::string &views, const std::string &op, int sm = 90) {
  mlir::DialectRegistry registry;
  msa::gpu::registerEmission(registry);
  registry.insert<mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::scf::SCFDialect, mlir::LLVM::LLVMDialect,
                  mlir::NVVM::NVVMDialect, mlir::memref::MemRefDialect, msa::exec::ExecDialect, msa::kernel::KernelDialect>();
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::string text = R"(exec.kernel @k(%query: memref<?xi8>, %key: memref<?xi8>, %value: memref<?xi8>, %out: memref<?xi8>, %b: index,
    %m: index, %n: index, %scratch: memref<?xi8>, %lo: index, %hi: index)
    attributes {parameters = array<i32: 0, 0, 0, 1>, scratch_bytes = 0 : i64} {
  %0 = arith.constant 0 : index
  %16 = arith.constant 16 : index
)" + views + op + "\n  exec.end\n}\n";
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return "not parsed";
  auto kernel = *module->getOps<msa::exec::KernelOp>().begin();
  std::string result;
  kernel.walk([&](msa::kernel::AttentionOp attention) {
    auto cases = msa::gpu::lowerAttention(kernel, attention, {sm});
    if (!cases) {
      result = llvm::toString(cases.takeError());
      return;
    }
    for (const msa::gpu::LaunchCase &one : *cases) {
      result += one.scalar ? "s" + std::to_string(*one.scalar) + "<" + std::to_string(one.below) + ":" : "else:";
      for (const msa::gpu::Launch &launch : one.launches)
        result += " " + launch.symbol;
      result += "; ";
    }
    EXPECT_TRUE(mlir::succeeded(mlir::verify(*module)));
  });
  return result;
}

const char *plainViews = R"(
  %q = memref.view %query[%0][%b, %m] : memref<?xi8> to memref<?x?x8x64xbf16>
  %k = memref.view %key[%0][%b, %n] : memref<?xi8> to memref<?x?x2x64xbf16>
  %v = memref.view %value[%0][%b, %n] : memref<?xi8> to memref<?x?x2x64xbf16>
  %o = memref.view %out[%0][%b, %m] : memref<?xi8> to memref<?x?x8x64xbf16>
)";
const char *plainTypes =
    " : memref<?x?x8x64xbf16>, memref<?x?x2x64xbf16>, memref<?x?x2x64xbf16>, memref<?x?x8x64xbf16>, memref<?xi8>";
const char *plainOp =
    "  kernel.attention tiles(%lo to %hi) %q, %k, %v into %o scratch %scratch causal scale 1.250000e-01 rows 8";

TEST(Attend, KernelsBecomeCases) {
  EXPECT_EQ(casesOf(plainViews, std::string(plainOp) + plainTypes),
            "s2<1: k_ampere_64x32_p1; s1<5: k_decode_16x128_p4_split64 k_decode_16x128_p4_split64_combine; "
            "s1<65: k_hopper_128x128_p4_s2_split16 k_hopper_128x128_p4_s2_split16_combine; else: k_hopper_128x128_p4_s2; ");
  EXPECT_EQ(casesOf(plainViews, std::string(plainOp) + plainTypes, 80),
            "s1<5: k_decode_16x128_p4_split64 k_decode_16x128_p4_split64_combine; "
            "s1<33: k_ampere_64x64_p4_split16 k_ampere_64x64_p4_split16_combine; else: k_ampere_128x64_p4; ");
}

TEST(Attend, KernelsOfPermutedViewsBecomeCases) {
  const char *views = R"(
  %q0 = memref.view %query[%0][%b, %m] : memref<?xi8> to memref<?x8x?x64xbf16>
  %q = memref.transpose %q0 (a, h, t, d) -> (a, t, h, d) : memref<?x8x?x64xbf16> to memref<?x?x8x64xbf16, strided<[?, 64, ?, 1]>>
  %k0 = memref.view %key[%16][%b, %n] : memref<?xi8> to memref<?x2x?x64xbf16>
  %k = memref.transpose %k0 (a, h, t, d) -> (a, t, h, d) : memref<?x2x?x64xbf16> to memref<?x?x2x64xbf16, strided<[?, 64, ?, 1]>>
  %v = memref.view %value[%0][%b, %n] : memref<?xi8> to memref<?x?x2x64xbf16>
  %o = memref.view %out[%0][%b, %m] : memref<?xi8> to memref<?x?x8x64xbf16>
)";
  std::string types = " : memref<?x?x8x64xbf16, strided<[?, 64, ?, 1]>>, memref<?x?x2x64xbf16, strided<[?, 64, ?, 1]>>, "
                      "memref<?x?x2x64xbf16>, memref<?x?x8x64xbf16>, memref<?xi8>";
  // Keys that do not begin with their buffer have no tensor map.
  EXPECT_EQ(casesOf(views, plainOp + types),
            "s1<5: k_decode_16x128_p4_split64 k_decode_16x128_p4_split64_combine; "
            "s1<33: k_ampere_64x64_p4_split16 k_ampere_64x64_p4_split16_combine; else: k_ampere_128x64_p4; ");
}

TEST(Attend, KernelsThatAreNotServedSayWhy) {
  std::string views = plainViews, types = plainTypes, op = plainOp;
  auto replaced = [](std::string text, const std::string &from, const std::string &to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    return text;
  };
  EXPECT_EQ(casesOf(replaced(views, "bf16", "f32"), op + replaced(types, "bf16", "f32")),
            "tensor cores multiply f16 and bf16, but its operands are of another type");
  EXPECT_EQ(casesOf(replaced(views, "x64x", "x80x"), op + replaced(types, "x64x", "x80x")),
            "heads of 80 and 80 elements are not of 32, 64, 96 or 128");
  EXPECT_EQ(casesOf(views, replaced(op, "1.250000e-01", "-1.250000e-01") + types), "its scale is not positive");
  EXPECT_EQ(casesOf(replaced(views, "%key[%0]", "%key[%n]"), op + types), "its key is no view at a known place of a buffer");
}

//===--- What ptxas says. ---===//

TEST(Attend, EveryInstanceAssemblesWithoutSpills) {
  std::optional<std::string> ptxas = msa::gpu::findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas on PATH, in MSA_PTXAS, in CUDA_HOME or in /usr/local/cuda";
  auto check = [&](const Case &subject, int sm) {
    mlir::MLIRContext context;
    auto choices = pickAttend(problemOf(subject, context), {sm});
    ASSERT_TRUE(bool(choices)) << llvm::toString(choices.takeError());
    for (const msa::gpu::AttendChoice &choice : *choices) {
      SCOPED_TRACE(choice.instance.name() + " on sm_" + std::to_string(sm) + ", " + std::to_string(subject.heads) + "/" +
                   std::to_string(subject.kvHeads) + " heads of " + std::to_string(subject.dim));
      auto assembly = msa::gpu::assemble(Program(subject, choice.instance, sm).ptx(), {sm}, *ptxas);
      ASSERT_TRUE(bool(assembly)) << llvm::toString(assembly.takeError());
      for (const char *bad : {"C7508", "C7510", "C7513", "C7514", "C7520"})
        EXPECT_EQ(assembly->log.find(bad), std::string::npos) << assembly->log;
      for (size_t at = 0; (at = assembly->log.find("bytes spill", at)) != std::string::npos; ++at)
        EXPECT_EQ(assembly->log.substr(at - 3, 2), " 0") << assembly->log;
    }
  };
  for (int sm : {80, 90})
    for (auto [heads, kvHeads] : {std::pair(32, 8), {16, 16}, {6, 2}})
      for (int64_t dim : {32, 64, 96, 128})
        for (bool documents : {false, true}) {
          if (heads != 32 && dim != 128)
            continue;
          Case subject;
          subject.heads = heads;
          subject.kvHeads = kvHeads;
          subject.dim = subject.valueDim = dim;
          if (documents)
            subject.documents = {1};
          check(subject, sm);
        }
}

} // namespace

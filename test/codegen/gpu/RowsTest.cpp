// SPDX-License-Identifier: Apache-2.0
//
// The gather and compress templates against plain loops, under the emulator.

#include "codegen/gpu/EmitPTX.h"
#include "codegen/gpu/templates/Rows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "ptxemu/ptxemu.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace msa::gpu;
using msa::Reduce;

namespace {

enum class Element { F32, BF16, F16 };
constexpr Element everyElement[] = {Element::F32, Element::BF16, Element::F16};

size_t bytesOf(Element element) { return element == Element::F32 ? 4 : 2; }
double rounding(Element element) { return element == Element::F32 ? 0x1p-24 : element == Element::F16 ? 0x1p-11 : 0x1p-8; }

mlir::Type typeOf(Element element, mlir::MLIRContext &context) {
  if (element == Element::F32)
    return mlir::Float32Type::get(&context);
  return element == Element::BF16 ? mlir::Type(mlir::BFloat16Type::get(&context)) : mlir::Type(mlir::Float16Type::get(&context));
}

std::vector<uint8_t> stored(Element element, const std::vector<float> &values) {
  std::vector<uint8_t> bytes(values.size() * bytesOf(element));
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half = element == Element::BF16 ? ptxemu::toBfloat16(values[i]) : ptxemu::toFloat16(values[i]);
    std::memcpy(&bytes[i * bytesOf(element)], element == Element::F32 ? static_cast<const void *>(&values[i]) : &half, bytesOf(element));
  }
  return bytes;
}

float loaded(Element element, const uint8_t *bytes) {
  uint16_t half;
  float value;
  std::memcpy(element == Element::F32 ? static_cast<void *>(&value) : &half, bytes, bytesOf(element));
  return element == Element::F32 ? value : element == Element::BF16 ? ptxemu::fromBfloat16(half) : ptxemu::fromFloat16(half);
}

std::vector<float> normal(size_t count, Element element, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    float value = distribution(engine);
    values.push_back(element == Element::F32 ? value : loaded(element, stored(element, {value}).data()));
  }
  return values;
}

/// One kernel, compiled and run on memory of its own.
class Runner {
public:
  Runner() {
    mlir::DialectRegistry registry;
    registerEmission(registry);
    registry.insert<mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::scf::SCFDialect, mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect>();
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  }

  template <typename T> uint64_t input(const std::vector<T> &values, const char *label) {
    uint64_t address = memory.allocate(std::max<size_t>(values.size() * sizeof(T), 1), label, ptxemu::Access::Read);
    memory.write(address, values.data(), values.size() * sizeof(T));
    return address;
  }

  /// Runs `launch` on those buffers and one scalar. \returns what the emulator reports.
  std::string run(llvm::Expected<Launch> launch, int sm, std::vector<uint64_t> buffers, int64_t scalar) {
    if (!launch)
      return llvm::toString(launch.takeError());
    llvm::Expected<std::string> ptx = emitPTX(*module, GPUTarget{sm});
    if (!ptx)
      return llvm::toString(ptx.takeError());
    auto parsed = ptxemu::Module::parse(*ptx);
    const Term &grid = launch->grid[0];
    int64_t blocks = (grid.factor * (grid.scalars.empty() ? 1 : scalar) + grid.divisor - 1) / grid.divisor * grid.multiplier;
    if (blocks == 0)
      return "";
    uint64_t zero = 0;
    std::vector<const void *> pointers;
    for (uint64_t &buffer : buffers)
      pointers.push_back(&buffer);
    for (const void *pointer : {static_cast<const void *>(&scalar), static_cast<const void *>(&zero), static_cast<const void *>(&zero)})
      pointers.push_back(pointer);
    ptxemu::Launch call;
    call.kernel = launch->symbol;
    call.grid = {static_cast<uint32_t>(blocks)};
    call.block = {launch->block};
    call.parameters = parsed->find(launch->symbol)->packPointers(pointers);
    ptxemu::Result result = ptxemu::launch(*parsed, memory, call);
    return result.errors.empty() && result.warnings.empty() ? "" : result.text();
  }

  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  ptxemu::Memory memory;
};

TEST(Rows, GatherCopiesAndConverts) {
  for (Element from : everyElement)
    for (Element to : everyElement)
      for (int64_t shift : {0, 1}) { // elements that the result begins behind
        Runner runner;
        constexpr int64_t row = 72, fieldRows = 50, count = 233;
        std::vector<float> field = normal(fieldRows * row, from, 1);
        std::vector<int64_t> rows;
        for (int64_t i = 0; i < count; ++i)
          rows.push_back(i * 17 % fieldRows);
        GatherProblem problem;
        problem.element = typeOf(from, runner.context);
        problem.result = typeOf(to, runner.context);
        problem.row = row;
        problem.buffers = 3;
        problem.scalars = 1;
        problem.rows.buffer = 1;
        problem.output = {2, Term::constant(shift * static_cast<int64_t>(bytesOf(to)))};
        problem.count = Term::scalar(0);
        uint64_t data = runner.input(stored(from, field), "field");
        uint64_t span = runner.input(std::vector<int64_t>{static_cast<int64_t>(data), 0, fieldRows}, "span");
        uint64_t list = runner.input(std::vector<int64_t>{static_cast<int64_t>(span), 1, fieldRows}, "list");
        size_t bytes = (count * row + shift) * bytesOf(to);
        uint64_t output = runner.memory.allocate(bytes, "output");
        ASSERT_EQ(runner.run(emitGather(*runner.module, "gather", problem, GPUTarget{80}), 80, {list, runner.input(rows, "rows"), output}, count), "");
        std::vector<uint8_t> got(bytes);
        runner.memory.read(got.data(), output, bytes);
        for (int64_t i = 0; i < count; ++i) {
          std::vector<uint8_t> want = stored(to, {field.begin() + rows[i] * row, field.begin() + (rows[i] + 1) * row});
          ASSERT_EQ(std::memcmp(&got[(i * row + shift) * bytesOf(to)], want.data(), want.size()), 0) << "row " << i;
        }
      }
}

TEST(Rows, GatherOfNothingRunsNothing) {
  Runner runner;
  GatherProblem problem;
  problem.element = problem.result = typeOf(Element::F32, runner.context);
  problem.row = 8;
  problem.buffers = 3;
  problem.scalars = 1;
  problem.rows.buffer = 1;
  problem.output.buffer = 2;
  problem.count = Term::scalar(0);
  EXPECT_EQ(runner.run(emitGather(*runner.module, "gather", problem, GPUTarget{90}), 90, {0, 0, 0}, 0), "");
}

TEST(Rows, CompressPoolsEachChunk) {
  for (Element from : everyElement)
    for (Reduce reduce : {Reduce::mean, Reduce::max})
      for (bool normalize : {false, true})
        for (int64_t dim : {8, 64, 256}) {
          Element to = from == Element::F32 ? Element::BF16 : Element::F32;
          SCOPED_TRACE("dim " + std::to_string(dim));
          Runner runner;
          constexpr int64_t heads = 3;
          std::vector<int64_t> starts = {0, 1, 65, 129, 130, 133, 197};
          int64_t chunks = static_cast<int64_t>(starts.size()) - 1, tokens = starts.back();
          std::vector<float> x = normal(tokens * heads * dim, from, 2);
          CompressProblem problem;
          problem.element = typeOf(from, runner.context);
          problem.result = typeOf(to, runner.context);
          problem.heads = heads;
          problem.dim = dim;
          problem.reduce = reduce;
          problem.normalize = normalize;
          problem.buffers = 3;
          problem.scalars = 1;
          problem.starts.buffer = 1;
          problem.output.buffer = 2;
          problem.chunks = Term::scalar(0);
          uint64_t output = runner.memory.allocate(chunks * heads * dim * bytesOf(to), "output");
          ASSERT_EQ(runner.run(emitCompress(*runner.module, "compress", problem, GPUTarget{80}), 80,
                               {runner.input(stored(from, x), "x"), runner.input(starts, "starts"), output}, chunks),
                    "");
          std::vector<uint8_t> got(chunks * heads * dim * bytesOf(to));
          runner.memory.read(got.data(), output, got.size());
          for (int64_t c = 0; c < chunks; ++c)
            for (int64_t h = 0; h < heads; ++h) {
              std::vector<double> want(dim, reduce == Reduce::mean ? 0.0 : -INFINITY);
              double squares = 0;
              for (int64_t d = 0; d < dim; ++d) {
                for (int64_t t = starts[c]; t < starts[c + 1]; ++t) {
                  double value = x[(t * heads + h) * dim + d];
                  want[d] = reduce == Reduce::mean ? want[d] + value : std::max(want[d], value);
                }
                if (reduce == Reduce::mean)
                  want[d] /= static_cast<double>(starts[c + 1] - starts[c]);
                squares += want[d] * want[d];
              }
              for (int64_t d = 0; d < dim; ++d) {
                double value = normalize ? want[d] / std::max(std::sqrt(squares), 1e-12) : want[d];
                double found = loaded(to, &got[((c * heads + h) * dim + d) * bytesOf(to)]);
                // A sum of 64 in f32, a norm of 256 squares, one rounding to the result.
                ASSERT_NEAR(found, value, 2e-6 * std::max(1.0, std::abs(value)) + rounding(to) * std::abs(value)) << "chunk " << c << " head " << h;
              }
            }
        }
}

TEST(Rows, WhatDoesNotComeInEightsIsRefusedByName) {
  Runner runner;
  GatherProblem gather;
  gather.row = 12;
  EXPECT_EQ(llvm::toString(emitGather(*runner.module, "gather", gather, GPUTarget{80}).takeError()), "a row of 12 elements is not a multiple of 8");
  CompressProblem compress;
  compress.dim = 96;
  EXPECT_EQ(llvm::toString(emitCompress(*runner.module, "compress", compress, GPUTarget{80}).takeError()), "a head of 96 elements is not 8, 16, ... 256");
}

} // namespace

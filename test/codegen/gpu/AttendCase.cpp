// SPDX-License-Identifier: Apache-2.0

#include "AttendCase.h"
#include "codegen/gpu/EmitPTX.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>
#include <random>
#include <stdexcept>

using namespace mlir;
using namespace msa::gpu;

namespace attend {

/// The kernel's buffers, in order.
enum BufferNumber { Queries, Keys, Values, Output, Documents, BufferCount };

static uint16_t toHalf(Type type, float value) {
  return type == Type::BF16 ? ptxemu::toBfloat16(value) : ptxemu::toFloat16(value);
}
static float fromHalf(Type type, uint16_t bits) {
  return type == Type::BF16 ? ptxemu::fromBfloat16(bits) : ptxemu::fromFloat16(bits);
}

//===--- Inputs. ---===//

std::pair<int64_t, int64_t> Case::visible(int64_t token) const {
  int64_t begin = 0, end = keys;
  if (!documents.empty()) {
    for (begin = token; begin > 0 && documents[begin - 1] == documents[token];)
      --begin;
    for (end = token + 1; end < keys && documents[end] == documents[token];)
      ++end;
  }
  if (causal)
    end = std::min(end, token + 1 + keys - queries);
  return {begin, std::max(begin, end)};
}

int64_t Case::at(int64_t batch, int64_t token, int64_t head, int64_t tokens, int64_t allHeads, int64_t width) const {
  return headsFirst ? ((batch * allHeads + head) * tokens + token) * width
                    : ((batch * tokens + token) * allHeads + head) * width;
}

void Case::fill(uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  auto random = [&](std::vector<float> &values, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      values.push_back(normal(engine));
  };
  random(query, batches * queries * heads * dim);
  random(key, batches * keys * kvHeads * dim);
  random(value, batches * keys * kvHeads * valueDim);
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t q = 0; q < queries; ++q)
      for (int64_t h = 0; h < heads; ++h) {
        auto [begin, end] = visible(q);
        const int64_t asked[] = {end - 1, end, begin, begin - 1, -1};
        int64_t wanted = asked[(q + h) % 5];
        if (wanted < 0 || wanted >= keys)
          continue;
        const float *towards = &key[at(b, wanted, h / group(), keys, kvHeads, dim)];
        float *own = &query[at(b, q, h, queries, heads, dim)];
        for (int64_t d = 0; d < dim; ++d)
          own[d] += towards[d] * 6 / std::sqrt(float(dim));
      }
  for (std::vector<float> *values : {&query, &key, &value})
    for (float &x : *values)
      x = fromHalf(element, toHalf(element, x));
}

Case shaped(int64_t heads, int64_t kvHeads, int64_t dim, int64_t queries, int64_t keys, bool causal, uint64_t seed) {
  Case subject;
  subject.heads = heads;
  subject.kvHeads = kvHeads;
  subject.dim = subject.valueDim = dim;
  subject.queries = queries;
  subject.keys = keys;
  subject.causal = causal;
  subject.fill(seed);
  return subject;
}

std::vector<int64_t> documentsOf(int64_t tokens, int64_t length) {
  std::vector<int64_t> documents;
  for (int64_t i = 0; int64_t(documents.size()) < tokens; ++i)
    for (int64_t left = 1 + i * i * 37 % (2 * length); left > 0 && int64_t(documents.size()) < tokens; --left)
      documents.push_back((i * 7 + 3) % 11 - 5);
  return documents;
}

//===--- The oracle. ---===//

Verdict judge(const Case &subject, const std::vector<float> &results) {
  Verdict verdict;
  int64_t rows = subject.batches * subject.queries * subject.heads, step = std::max<int64_t>(rows / 500, 1);
  double scale = 1 / std::sqrt(double(subject.dim));
  for (int64_t row = 0; row < rows; row += step) {
    int64_t h = row % subject.heads, q = row / subject.heads % subject.queries, b = row / subject.heads / subject.queries;
    auto [begin, end] = subject.visible(q);
    const float *query = &subject.query[subject.at(b, q, h, subject.queries, subject.heads, subject.dim)];
    std::vector<double> scores, want(subject.valueDim);
    double largest = -INFINITY, sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      const float *key = &subject.key[subject.at(b, j, h / subject.group(), subject.keys, subject.kvHeads, subject.dim)];
      double score = 0;
      for (int64_t d = 0; d < subject.dim; ++d)
        score += double(query[d]) * key[d];
      scores.push_back(score * scale);
      largest = std::max(largest, score * scale);
    }
    for (int64_t j = begin; j < end; ++j) {
      double weight = std::exp(scores[j - begin] - largest);
      sum += weight;
      int64_t at = subject.at(b, j, h / subject.group(), subject.keys, subject.kvHeads, subject.valueDim);
      for (int64_t e = 0; e < subject.valueDim; ++e)
        want[e] += weight * subject.value[at + e];
    }
    double difference = 0, length = 0;
    const float *got = &results[subject.at(b, q, h, subject.queries, subject.heads, subject.valueDim)];
    for (int64_t e = 0; e < subject.valueDim; ++e) {
      double expected = sum > 0 ? want[e] / sum : 0, gap = got[e] - expected;
      difference += gap * gap;
      length += expected * expected;
    }
    double error = length > 0 ? std::sqrt(difference / length) : difference > 0 ? INFINITY : difference;
    if (!(error <= verdict.error))
      verdict.error = error;
    if (!(error <= 1e-2) && verdict.wrong.empty())
      verdict.wrong = "batch " + std::to_string(b) + ", query " + std::to_string(q) + ", head " + std::to_string(h) +
                      ": differs by " + std::to_string(error);
  }
  return verdict;
}

//===--- The way there. ---===//

AttendProblem problemOf(const Case &subject, MLIRContext &context) {
  auto type = [&](Type type) {
    return type == Type::BF16 ? mlir::Type(BFloat16Type::get(&context))
           : type == Type::F16 ? mlir::Type(Float16Type::get(&context))
                               : mlir::Type(Float32Type::get(&context));
  };
  AttendProblem problem;
  problem.element = type(subject.element);
  problem.result = type(subject.result);
  problem.heads = subject.heads;
  problem.kvHeads = subject.kvHeads;
  problem.headDim = subject.dim;
  problem.valueDim = subject.valueDim;
  problem.scale = 1 / std::sqrt(double(subject.dim));
  problem.causal = subject.causal;
  problem.batches = Term::scalar(0);
  problem.queries = Term::scalar(1);
  problem.keys = Term::scalar(2);
  problem.buffers = BufferCount;
  problem.scalars = 3;
  auto tensor = [&](unsigned buffer, const Term &tokens, int64_t heads, int64_t dim) {
    if (!subject.headsFirst)
      return AttendTensor::contiguous(buffer, tokens, heads, dim);
    return AttendTensor{buffer, 0, product(tokens, heads * dim), Term::constant(dim), product(tokens, dim)};
  };
  problem.query = tensor(Queries, problem.queries, subject.heads, subject.dim);
  problem.key = tensor(Keys, problem.keys, subject.kvHeads, subject.dim);
  problem.value = tensor(Values, problem.keys, subject.kvHeads, subject.valueDim);
  problem.output = tensor(Output, problem.queries, subject.heads, subject.valueDim);
  if (!subject.documents.empty())
    problem.documents = Documents;
  return problem;
}

Program::Program(const Case &subject, const AttendInstance &form, int sm) {
  DialectRegistry registry;
  registerEmission(registry);
  registry.insert<arith::ArithDialect, math::MathDialect, scf::SCFDialect, LLVM::LLVMDialect, NVVM::NVVMDialect>();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  GPUTarget target{sm};
  auto check = [](auto expected) {
    if (!expected)
      throw std::runtime_error(llvm::toString(expected.takeError()));
    return std::move(*expected);
  };
  std::vector<Launch> launches = check(emitAttend(*module, "attend", problemOf(subject, context), form, target));
  instance = emulated::instanceOf(launches, check(emitPTX(*module, target)), target);
}

std::vector<float> Program::run(const Case &subject, const ptxemu::Options &options, unsigned processors) const {
  cases::EmulatorDevice device(ptxemu::Module::parse(instance.ptx), options, processors);
  cases::Arguments arguments;
  arguments.scalars = {subject.batches, subject.queries, subject.keys};
  std::vector<uint64_t> &buffers = arguments.data;
  buffers.resize(BufferCount);
  auto halves = [&](const std::vector<float> &values, const char *label) {
    std::vector<uint16_t> bits;
    for (float value : values)
      bits.push_back(toHalf(subject.element, value));
    return emulated::input(device, bits.data(), bits.size() * 2, label);
  };
  buffers[Queries] = halves(subject.query, "query");
  buffers[Keys] = halves(subject.key, "key");
  buffers[Values] = halves(subject.value, "value");
  buffers[Documents] = emulated::input(device, subject.documents.data(), subject.documents.size() * 8, "documents");
  int64_t elements = subject.batches * subject.queries * subject.heads * subject.valueDim;
  int64_t width = subject.result == Type::F32 ? 4 : 2;
  buffers[Output] = emulated::output(device, elements * width, "output");
  arguments.passed = buffers;
  emulated::run(device, instance, arguments);

  std::vector<uint8_t> bytes(elements * width);
  device.read(bytes.data(), buffers[Output], bytes.size());
  std::vector<float> results(elements);
  for (int64_t i = 0; i < elements; ++i) {
    uint16_t half;
    std::memcpy(width == 4 ? static_cast<void *>(&results[i]) : &half, &bytes[i * width], width);
    if (width == 2)
      results[i] = fromHalf(subject.result, half);
  }
  return results;
}

} // namespace attend

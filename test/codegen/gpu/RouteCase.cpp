// SPDX-License-Identifier: Apache-2.0

#include "RouteCase.h"
#include "codegen/gpu/EmitPTX.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

using namespace mlir;
using namespace msa::gpu;

namespace route {

/// The kernel's buffers, in order.
enum BufferNumber { Keys, Queries, Mask, Documents, Scores, Entries, Counts, KeyScales, BufferCount };

float rounded(Key key, float value) {
  switch (key) {
  case Key::BF16:
    return ptxemu::fromBfloat16(ptxemu::toBfloat16(value));
  case Key::F16:
    return ptxemu::fromFloat16(ptxemu::toFloat16(value));
  case Key::E4M3:
    return ptxemu::fromE4m3(ptxemu::toE4m3(value));
  }
  std::abort();
}

//===--- Inputs. ---===//

int64_t Case::chunks() const {
  int64_t sum = 0;
  for (int64_t length : lengths)
    sum += length;
  return sum;
}

std::vector<int64_t> Case::documents() const {
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < lengths.size(); ++i)
    numbers.insert(numbers.end(), lengths[i], 3 + 2 * int64_t(i));
  return numbers;
}

void Case::fillNormal(uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < chunks() * row; ++i)
    keys.push_back(rounded(key, normal(engine)));
  for (int64_t i = 0; i < tokens * row; ++i)
    query.push_back(shortQuery ? rounded(key, normal(engine)) : normal(engine));
  if (key == Key::E4M3)
    for (int64_t i = 0; i < chunks(); ++i)
      keyScales.push_back(0.5f + float(engine() % 1000) / 500);
}

void Case::fillWhole(uint64_t seed) {
  std::mt19937_64 engine(seed);
  for (int64_t i = 0; i < chunks() * row; ++i)
    keys.push_back(float(int(engine() % 3) - 1));
  for (int64_t i = 0; i < tokens * row; ++i)
    query.push_back(float(int(engine() % 5) - 2));
  if (key == Key::E4M3)
    for (int64_t i = 0; i < chunks(); ++i)
      keyScales.push_back(engine() % 2 ? 1.0f : 0.5f);
}

//===--- The oracle. ---===//

static double larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }

std::vector<Score> scoreChunks(const Case &subject) {
  // What is lost of a query element, and of a sum in f32 of so many terms. What parts of 8 bits lose, 2^-9 of each element this way or that, makes
  // more than six times as much of a sum (Hoeffding) once in 30 million.
  double split = subject.shortQuery ? 0 : subject.key == Key::BF16 ? 0x1p-16 : 0x1p-22;
  double lost = split + std::sqrt(double(subject.row)) * 0x1p-22;
  std::vector<Score> scores;
  for (int64_t c = 0; c < subject.chunks(); ++c) {
    double best = -INFINITY, sum = 0, last = NAN, slack = 0;
    int64_t count = 0;
    for (int64_t t = 0; t < subject.tokens; ++t) {
      if (!subject.takesPart(t))
        continue;
      double product = 0, magnitude = 0, squares = 0;
      for (int64_t i = 0; i < subject.row; ++i) {
        double term = double(subject.query[t * subject.row + i]) * subject.keys[c * subject.row + i];
        product += term;
        magnitude += std::abs(term);
        squares += term * term;
      }
      double factor = subject.scale * (subject.keyScales.empty() ? 1.0 : subject.keyScales[c]);
      last = product * factor;
      best = larger(best, last);
      sum += last;
      slack = std::max(slack, (magnitude * lost + (subject.coarseQuery ? 6 * 0x1p-9 * std::sqrt(squares) : 0)) * std::abs(factor));
      ++count;
    }
    double value = subject.tokenReduce == msa::Reduce::max ? best : subject.tokenReduce == msa::Reduce::mean ? sum / double(count) : last;
    scores.push_back({value, slack + 1e-30});
  }
  return scores;
}

std::vector<Score> scoreDocuments(const Case &subject, const std::vector<Score> &chunks) {
  std::vector<Score> scores;
  int64_t at = 0;
  for (int64_t length : subject.lengths) {
    double best = -INFINITY, sum = 0, slack = 0;
    for (int64_t c = at; c < at + length; ++c) {
      best = larger(best, chunks[c].value);
      sum += chunks[c].value;
      slack = std::max(slack, chunks[c].slack);
    }
    scores.push_back({subject.chunkReduce == msa::Reduce::max ? best : sum / double(length), slack * 1.01 + std::abs(best) * 1e-6});
    at += length;
  }
  return scores;
}

static bool ranksBefore(double a, double b) { return a > b || (!std::isnan(a) && std::isnan(b)); }

/// Documents of each tile, by their numbers in `lengths`, and their first chunks.
static std::vector<std::vector<size_t>> byTile(const Case &subject, std::vector<int64_t> &firsts) {
  std::vector<std::vector<size_t>> tiles(subject.tiles());
  int64_t at = 0;
  for (size_t i = 0; i < subject.lengths.size(); ++i) {
    firsts.push_back(at);
    tiles[at / subject.rows].push_back(i);
    at += subject.lengths[i];
  }
  return tiles;
}

Lists exactLists(const Case &subject) {
  std::vector<int64_t> firsts;
  std::vector<Score> scores = scoreDocuments(subject, scoreChunks(subject));
  Lists lists;
  for (std::vector<size_t> &documents : byTile(subject, firsts)) {
    std::sort(documents.begin(), documents.end(), [&](size_t a, size_t b) {
      bool before = ranksBefore(scores[a].value, scores[b].value), after = ranksBefore(scores[b].value, scores[a].value);
      return before || (!after && a < b);
    });
    documents.resize(std::min<size_t>(documents.size(), subject.keep));
    lists.emplace_back();
    for (size_t i : documents)
      lists.back().push_back({float(scores[i].value), 3 + 2 * int64_t(i), firsts[i], firsts[i] + subject.lengths[i]});
  }
  return lists;
}

std::string judge(const Case &subject, const Lists &lists) {
  std::vector<int64_t> firsts;
  std::vector<std::vector<size_t>> tiles = byTile(subject, firsts);
  std::vector<Score> scores = scoreDocuments(subject, scoreChunks(subject));
  if (lists.size() != tiles.size())
    return "expected " + std::to_string(tiles.size()) + " lists, found " + std::to_string(lists.size());
  for (size_t t = 0; t < tiles.size(); ++t) {
    std::string where = "tile " + std::to_string(t) + ": ";
    if (lists[t].size() != std::min<size_t>(tiles[t].size(), subject.keep))
      return where + "expected " + std::to_string(std::min<size_t>(tiles[t].size(), subject.keep)) + " documents, found " + std::to_string(lists[t].size());
    std::vector<size_t> listed;
    for (size_t i = 0; i < lists[t].size(); ++i) {
      const Entry &entry = lists[t][i];
      size_t document = size_t(entry.number - 3) / 2;
      std::string which = where + "document " + std::to_string(entry.number) + ": ";
      if (entry.number % 2 == 0 || std::find(tiles[t].begin(), tiles[t].end(), document) == tiles[t].end() ||
          std::find(listed.begin(), listed.end(), document) != listed.end())
        return which + "not in this tile, or listed twice";
      listed.push_back(document);
      if (entry.first != firsts[document] || entry.end != firsts[document] + subject.lengths[document])
        return which + "rows " + std::to_string(entry.first) + " to " + std::to_string(entry.end);
      const Score &want = scores[document];
      bool right = std::isfinite(want.value) ? std::abs(entry.score - want.value) <= want.slack
                                             : std::isnan(want.value) ? std::isnan(entry.score) : double(entry.score) == want.value;
      if (!right)
        return which + "expected score " + std::to_string(want.value) + " +- " + std::to_string(want.slack) + ", found " + std::to_string(entry.score);
      if (i > 0 && (ranksBefore(entry.score, lists[t][i - 1].score) ||
                    (!ranksBefore(lists[t][i - 1].score, entry.score) && entry.number < lists[t][i - 1].number)))
        return which + "ranks before the one above it";
    }
    for (size_t document : tiles[t])
      if (std::find(listed.begin(), listed.end(), document) == listed.end())
        if (ranksBefore(scores[document].value - 2 * scores[document].slack, lists[t].back().score))
          return where + "document " + std::to_string(3 + 2 * document) + " of score " + std::to_string(scores[document].value) + " is left out";
  }
  return "";
}

//===--- The way there. ---===//

RouteProblem problemOf(const Case &subject, MLIRContext &context) {
  RouteProblem problem;
  problem.element = subject.key == Key::BF16  ? Type(BFloat16Type::get(&context))
                    : subject.key == Key::F16 ? Type(Float16Type::get(&context))
                                              : Type(Float8E4M3FNType::get(&context));
  problem.query = subject.shortQuery ? problem.element : Type(Float32Type::get(&context));
  problem.row = subject.row;
  problem.rows = subject.rows;
  problem.keep = subject.keep;
  problem.tokenReduce = subject.tokenReduce;
  problem.chunkReduce = subject.chunkReduce;
  problem.scale = subject.scale;
  problem.buffers = BufferCount;
  problem.scalars = 2;
  problem.keys = Keys;
  problem.queries.buffer = Queries;
  problem.mask.buffer = Mask;
  problem.documents.buffer = Documents;
  problem.scores.buffer = Scores;
  problem.entries.buffer = Entries;
  problem.counts.buffer = Counts;
  if (subject.key == Key::E4M3)
    problem.keyScales = BufferView{KeyScales, Term::constant(0)};
  problem.tokens = Term::scalar(0);
  problem.tokensScalar = 0;
  problem.chunks = Term::scalar(1);
  return problem;
}

Program::Program(const Case &subject, const RouteInstance &form, int sm) {
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
  std::vector<Launch> launches = check(emitRoute(*module, "route", problemOf(subject, context), form, target));
  instance = emulated::instanceOf(launches, check(emitPTX(*module, target)), target);
}

template <typename T> static std::vector<uint8_t> asBytes(const std::vector<T> &values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty())
    std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

static std::vector<uint8_t> stored(Key key, const std::vector<float> &values) {
  if (key == Key::E4M3) {
    std::vector<uint8_t> bytes;
    for (float value : values)
      bytes.push_back(ptxemu::toE4m3(value));
    return bytes;
  }
  std::vector<uint16_t> halves;
  for (float value : values)
    halves.push_back(key == Key::BF16 ? ptxemu::toBfloat16(value) : ptxemu::toFloat16(value));
  return asBytes(halves);
}

Lists Program::run(const Case &subject, const ptxemu::Options &options, unsigned processors, ptxemu::Stats *stats) const {
  cases::EmulatorDevice device(ptxemu::Module::parse(instance.ptx), options, processors);
  int64_t tiles = subject.tiles(), chunks = subject.chunks();
  auto input = [&](const std::vector<uint8_t> &bytes, const char *label) { return emulated::input(device, bytes.data(), bytes.size(), label); };
  cases::Arguments arguments;
  arguments.scalars = {subject.tokens, chunks};
  arguments.tiles = tiles;
  std::vector<uint64_t> &buffers = arguments.data;
  buffers.resize(BufferCount);
  buffers[Keys] = input(stored(subject.key, subject.keys), "keys");
  buffers[Queries] = input(subject.shortQuery ? stored(subject.key, subject.query) : asBytes(subject.query), "query");
  std::vector<uint8_t> mask;
  for (int64_t t = 0; t < subject.tokens; ++t)
    mask.push_back(subject.takesPart(t));
  buffers[Mask] = input(mask, "mask");
  buffers[Documents] = input(asBytes(subject.documents()), "documents");
  buffers[KeyScales] = input(asBytes(subject.keyScales), "key scales");
  buffers[Scores] = emulated::output(device, tiles * subject.keep * 4, "scores");
  buffers[Entries] = emulated::output(device, tiles * subject.keep * 24, "entries");
  buffers[Counts] = emulated::output(device, tiles * 8, "counts");
  arguments.passed = buffers;
  // Without rows there is no span.
  arguments.passed[Keys] = chunks ? cases::makeSpanList(device, buffers[Keys], chunks) : input(asBytes(std::vector<int64_t>{0, 0, 0}), "span list");
  emulated::run(device, instance, arguments);
  if (stats)
    *stats = device.results().back().stats;

  Lists lists;
  for (int64_t t = 0; t < tiles; ++t) {
    int64_t count;
    device.read(&count, buffers[Counts] + t * 8, 8);
    if (count < 0 || count > subject.keep)
      throw std::runtime_error("tile " + std::to_string(t) + " counts " + std::to_string(count) + " documents");
    lists.emplace_back(count);
    for (int64_t i = 0; i < count; ++i) {
      Entry &entry = lists.back()[i];
      device.read(&entry.score, buffers[Scores] + (t * subject.keep + i) * 4, 4);
      device.read(&entry.number, buffers[Entries] + (t * subject.keep + i) * 24, 24);
    }
  }
  return lists;
}

} // namespace route

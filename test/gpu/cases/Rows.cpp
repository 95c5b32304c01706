// SPDX-License-Identifier: Apache-2.0
//
// kernel.gather: rows of a bank field by number. kernel.pool: the tokens of each chunk to one row, divided by its norm if asked for.
// codegen/gpu/templates/Rows.h says what is computed.

#include "Case.h"

#include <algorithm>
#include <cmath>

namespace cases {

//===--- Gather. ---===//

/// Pieces of eight elements that a CTA copies.
static constexpr int64_t gatheredPieces = 1024;

nlohmann::json gatherShape(const Instance &instance, Size size) {
  int64_t pieces = instance.parameters.at("row").get<int64_t>() / 8;
  // Small: five CTAs and some, the last of them ragged.
  return {{"rows", size == Size::Small ? 5 * gatheredPieces / pieces + 3 : 8 * gatheredPieces / pieces}, {"field", size == Size::Small ? 37 : 4096}};
}

/// A query's chunks of 16 documents of 4,096 tokens, and what keeps memory busy.
std::vector<nlohmann::json> timedGather(const Instance &) { return {{{"rows", 1024}, {"field", 15625}}, {{"rows", 65536}, {"field", 156250}}}; }

Case makeGather(const Instance &instance, const Request &request) {
  const nlohmann::json &p = instance.parameters;
  std::mt19937_64 engine(request.seed);
  Element type = element(p.at("element").get<std::string>()), resultType = element(p.at("result").get<std::string>());
  int64_t row = p.at("row").get<int64_t>(), count = request.shape.at("rows").get<int64_t>(), fieldRows = request.shape.at("field").get<int64_t>();
  Tensor field = numbers(type, static_cast<size_t>(fieldRows * row), engine, request);
  std::vector<double> rows;
  for (int64_t i = 0; i < count; ++i)
    rows.push_back(static_cast<double>(engine() % static_cast<uint64_t>(fieldRows)));
  // The ends of the field are asked for.
  rows.front() = static_cast<double>(fieldRows - 1);
  rows.back() = 0;

  Case made;
  made.buffers.resize(p.at("buffers").get<size_t>());
  made.scalars.assign(p.at("scalars").get<size_t>(), 0);
  made.scalars.at(p.at("count_scalar").get<size_t>()) = count;
  size_t fieldAt = p.at("field").get<size_t>(), output = p.at("output").get<size_t>();
  made.buffers.at(fieldAt) = {"field", field.bytes(), false, static_cast<uint64_t>(fieldRows * row) * elementBytes(type)};
  made.buffers.at(p.at("rows").get<size_t>()) = {"rows", Tensor{Element::I64, rows}.bytes(), false};
  made.buffers.at(output) = {"result", {}, true, static_cast<uint64_t>(count * row) * elementBytes(resultType)};
  made.spans = {{fieldAt, fieldRows}};
  made.tiles = 1;
  made.shape = request.shape;
  made.bytes = static_cast<double>(count * row) * (elementBytes(type) + elementBytes(resultType)) + 8.0 * static_cast<double>(count);
  if (!request.judged)
    return made;

  std::vector<double> want;
  for (double number : rows) {
    auto begin = field.values.begin() + static_cast<long>(number) * row;
    want.insert(want.end(), begin, begin + row);
  }
  want = Tensor::of(resultType, std::move(want)).values;
  std::vector<double> slack(want.size(), 0.0); // a copy, or one rounding to nearest
  made.judge = [=](const std::vector<std::vector<std::byte>> &contents) { return compare(Tensor::from(resultType, contents.at(output)), want, slack); };
  return made;
}

//===--- Compress. ---===//

nlohmann::json compressShape(const Instance &instance, Size size) {
  const nlohmann::json &p = instance.parameters;
  int64_t heads = 128 / (p.at("dim").get<int64_t>() / 8); // of a CTA
  int64_t chunks = std::max<int64_t>(heads / p.at("heads").get<int64_t>(), 1);
  // Small: some CTAs, the last one ragged, and chunks of 1 to 65 tokens.
  return {{"chunks", size == Size::Small ? 5 * chunks + 2 : 8 * chunks}, {"tokens", size == Size::Small ? -1 : 64}};
}

std::vector<nlohmann::json> timedCompress(const Instance &) { return {{{"chunks", 4096}, {"tokens", 64}}}; }

/// `tokens` of the shape: of every chunk, or -1 for uneven lengths.
Case makeCompress(const Instance &instance, const Request &request) {
  const nlohmann::json &p = instance.parameters;
  std::mt19937_64 engine(request.seed);
  Element type = element(p.at("element").get<std::string>());
  int64_t heads = p.at("heads").get<int64_t>(), dim = p.at("dim").get<int64_t>();
  int64_t chunks = request.shape.at("chunks").get<int64_t>(), each = request.shape.at("tokens").get<int64_t>();
  bool mean = p.at("reduce") == "mean", normalize = p.at("normalize").get<bool>();
  std::vector<double> starts = {0};
  const int64_t lengths[] = {1, 64, 3, 4, 65, 5, 7, 8, 33, 2};
  for (int64_t c = 0; c < chunks; ++c)
    starts.push_back(starts.back() + static_cast<double>(each < 0 ? lengths[c % 10] : each));
  auto tokens = static_cast<int64_t>(starts.back());
  Tensor x = numbers(type, static_cast<size_t>(tokens * heads * dim), engine, request);

  Case made;
  made.buffers.resize(p.at("buffers").get<size_t>());
  made.scalars.assign(p.at("scalars").get<size_t>(), 0);
  made.scalars.at(p.at("chunks_scalar").get<size_t>()) = chunks;
  size_t output = p.at("output").get<size_t>();
  made.buffers.at(p.at("x").get<size_t>()) = {"x", x.bytes(), false, static_cast<uint64_t>(tokens * heads * dim) * elementBytes(type)};
  made.buffers.at(p.at("starts").get<size_t>()) = {"starts", Tensor{Element::I64, starts}.bytes(), false};
  made.buffers.at(output) = {"result", {}, true, static_cast<uint64_t>(chunks * heads * dim) * elementBytes(type)};
  made.tiles = 1;
  made.shape = request.shape;
  for (const Buffer &buffer : made.buffers)
    made.bytes += static_cast<double>(buffer.size());
  if (!request.judged)
    return made;

  std::vector<double> want, slack;
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t h = 0; h < heads; ++h) {
      std::vector<double> values(static_cast<size_t>(dim), mean ? 0.0 : -INFINITY), absolute(values.size());
      auto begin = static_cast<int64_t>(starts[static_cast<size_t>(c)]), end = static_cast<int64_t>(starts[static_cast<size_t>(c) + 1]);
      double squares = 0, length = static_cast<double>(end - begin);
      for (size_t d = 0; d < values.size(); ++d) {
        for (int64_t t = begin; t < end; ++t) {
          double value = x.values[static_cast<size_t>((t * heads + h) * dim) + d];
          values[d] = mean ? values[d] + value : std::max(values[d], value);
          absolute[d] += std::abs(value);
        }
        values[d] /= mean ? length : 1;
        absolute[d] /= mean ? length : INFINITY; // a maximum is exact
        squares += values[d] * values[d];
      }
      double norm = normalize ? std::max(std::sqrt(squares), 1e-12) : 1;
      for (size_t d = 0; d < values.size(); ++d) {
        want.push_back(values[d] / norm);
        // Sums of up to 65 and the norm's are of f32; the result is rounded once.
        slack.push_back((rounding(type) + (normalize ? 0x1p-19 : 0)) * std::abs(want.back()) + 0x1p-20 * absolute[d] / norm);
      }
    }
  made.judge = [=](const std::vector<std::vector<std::byte>> &contents) { return compare(Tensor::from(type, contents.at(output)), want, slack); };
  return made;
}

} // namespace cases

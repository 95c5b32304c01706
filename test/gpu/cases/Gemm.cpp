// SPDX-License-Identifier: Apache-2.0
//
// result[M, N] = epilogue(lhs[M, K] x rhs + extras); codegen/gpu/templates/Gemm.h says how operands lie in memory.

#include "Case.h"

#include <algorithm>
#include <cmath>

namespace cases {

namespace {

struct Extra {
  unsigned buffer;
  Element type;
  bool perColumn;
};

/// rhs[K, N] as it is stored: panels of 16 columns for 16-bit types, rows of K for 8-bit ones; columns past N are 0.
std::vector<double> stored(const std::vector<double> &rhs, int64_t n, int64_t k, bool panels) {
  int64_t columns = (n + 15) / 16 * 16;
  std::vector<double> out(static_cast<size_t>(columns * k));
  for (int64_t row = 0; row < k; ++row)
    for (int64_t column = 0; column < n; ++column)
      out[static_cast<size_t>(panels ? (column / 16 * k + row) * 16 + column % 16 : column * k + row)] = rhs[static_cast<size_t>(row * n + column)];
  return out;
}

double applyEpilogue(const std::string &name, double sum, const std::vector<double> &extras) {
  auto expect = [&](size_t count) {
    if (extras.size() != count)
      throw Error("epilogue '" + name + "' takes " + std::to_string(count) + " extras, found " + std::to_string(extras.size()));
  };
  if (name == "none") {
    expect(0);
    return sum;
  }
  if (name == "bias" || name == "residual") {
    expect(1);
    return sum + extras[0];
  }
  if (name == "bias_residual") {
    expect(2);
    return sum + extras[0] + extras[1];
  }
  if (name == "silu") {
    expect(0);
    return sum / (1 + std::exp(-sum));
  }
  if (name == "swiglu") { // the other half of a SwiGLU is an extra
    expect(1);
    return sum / (1 + std::exp(-sum)) * extras[0];
  }
  throw Error("no epilogue is called '" + name + "'");
}

} // namespace

// Small: more than two tiles down, the last one ragged. A skinny product has as many rows as it may, or one less.
nlohmann::json gemmShape(const Instance &instance, Size size) {
  const nlohmann::json &p = instance.parameters;
  int64_t rows = p.at("rows").get<int64_t>();
  bool skinny = p.at("form") == "skinny";
  if (size == Size::Small) {
    // Of a large product a few rows: float64 is slow.
    int64_t most = std::max<int64_t>((int64_t(1) << 28) / (p.at("n").get<int64_t>() * p.at("k").get<int64_t>()), 3);
    return {{"m", std::min(most, skinny ? std::max<int64_t>(rows - 1, 1) : 2 * rows + rows / 2 + 3)}};
  }
  return {{"m", skinny ? rows : 2 * rows}};
}

std::vector<nlohmann::json> timedGemm(const Instance &instance) {
  bool skinny = instance.parameters.at("form") == "skinny";
  return {{{"m", skinny ? instance.parameters.at("rows").get<int64_t>() : 4096}}};
}

Case makeGemm(const Instance &instance, const Request &request) {
  const nlohmann::json &p = instance.parameters;
  std::mt19937_64 engine(request.seed);
  Element type = element(p.at("element").get<std::string>()), resultType = element(p.at("result").get<std::string>());
  int64_t n = p.at("n").get<int64_t>(), k = p.at("k").get<int64_t>(), m = request.shape.at("m").get<int64_t>();
  std::string epilogue = p.value("epilogue", std::string("none"));

  Tensor lhs = numbers(type, static_cast<size_t>(m * k), engine, request), rhs = numbers(type, static_cast<size_t>(k * n), engine, request);
  Case made;
  made.buffers.resize(p.at("buffers").get<size_t>());
  made.scalars.assign(p.at("scalars").get<size_t>(), 0);
  for (size_t scalar : {p.value("rows_scalar", size_t(0))})
    made.scalars.at(scalar) = m;
  made.tiles = 1;
  auto put = [&](const char *key, const char *label, std::vector<std::byte> bytes, int64_t elements, Element of, bool output = false) {
    made.buffers.at(p.at(key).get<size_t>()) = {label, std::move(bytes), output, static_cast<uint64_t>(elements) * elementBytes(of)};
  };
  put("lhs", "lhs", lhs.bytes(), m * k, type);
  put("rhs", "rhs", request.judged ? Tensor{type, stored(rhs.values, n, k, elementBytes(type) == 2)}.bytes() : rhs.bytes(), (n + 15) / 16 * 16 * k, type);
  put("output", "result", {}, m * n, resultType, true);
  std::vector<Tensor> extras;
  std::vector<bool> perColumn;
  for (const nlohmann::json &extra : p.value("extras", nlohmann::json::array())) {
    perColumn.push_back(extra.at("per_column").get<bool>());
    auto count = static_cast<size_t>(perColumn.back() ? n : m * n);
    extras.push_back(numbers(element(extra.at("element").get<std::string>()), count, engine, request));
    made.buffers.at(extra.at("buffer").get<size_t>()) = {"extra", extras.back().bytes(), false, count * elementBytes(extras.back().type)};
  }

  made.shape = {{"m", m}, {"n", n}, {"k", k}};
  made.flops = 2.0 * static_cast<double>(m * n * k);
  for (const Buffer &buffer : made.buffers)
    made.bytes += static_cast<double>(buffer.size());
  if (!request.judged)
    return made;

  // What f32 sums may lose: half an ulp of the running sum for each product, and a random walk of them.
  double accumulation = 4 * std::sqrt(static_cast<double>(k)) * 0x1p-24;
  std::vector<double> want, slack;
  std::vector<double> sums(static_cast<size_t>(n)), sizes(static_cast<size_t>(n));
  for (int64_t i = 0; i < m; ++i) {
    std::fill(sums.begin(), sums.end(), 0.0);
    std::fill(sizes.begin(), sizes.end(), 0.0);
    for (int64_t d = 0; d < k; ++d) {
      double a = lhs.values[static_cast<size_t>(i * k + d)];
      const double *b = &rhs.values[static_cast<size_t>(d * n)];
      for (int64_t j = 0; j < n; ++j) {
        sums[static_cast<size_t>(j)] += a * b[j];
        sizes[static_cast<size_t>(j)] += std::abs(a * b[j]);
      }
    }
    for (int64_t j = 0; j < n; ++j) {
      std::vector<double> values;
      double scale = sizes[static_cast<size_t>(j)];
      for (size_t e = 0; e < extras.size(); ++e) {
        values.push_back(extras[e].values[static_cast<size_t>(perColumn[e] ? j : i * n + j)]);
        scale += std::abs(values.back());
      }
      want.push_back(applyEpilogue(epilogue, sums[static_cast<size_t>(j)], values));
      // exp2 and the reciprocal of SiLU are right to 2 ulp each.
      double approximate = epilogue == "silu" || epilogue == "swiglu" ? 0x1p-20 : 0;
      slack.push_back((rounding(resultType) + approximate) * std::abs(want.back()) + accumulation * scale + 1e-30);
    }
  }
  size_t output = p.at("output").get<size_t>();
  made.judge = [=](const std::vector<std::vector<std::byte>> &contents) { return compare(Tensor::from(resultType, contents.at(output)), want, slack); };
  return made;
}

} // namespace cases

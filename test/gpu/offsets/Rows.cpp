// SPDX-License-Identifier: Apache-2.0

#include "Far.h"

#include <cmath>

namespace far {

void checkGather(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  Element type = element(p.at("element").get<std::string>()), resultType = element(p.at("result").get<std::string>());
  int64_t row = p.at("row").get<int64_t>(), rowBytes = row * elementBytes(type), resultBytes = row * elementBytes(resultType);
  int64_t fieldRows = farBytes / rowBytes, count = farBytes / resultBytes, pieces = row / 8, each = 1024 / pieces + 2;
  Launcher launcher(instance);
  launcher.reserve("field", fieldRows * rowBytes);
  launcher.reserve("rows", count * 8);
  launcher.reserve("output", count * resultBytes, true);
  launcher.takeAsSpans("field", fieldRows);
  launcher.setScalar("count_scalar", count);
  std::mt19937_64 engine(1);
  Tensor far = Tensor::random(type, static_cast<size_t>(each * row), engine);
  launcher.put("field", (fieldRows - each) * rowBytes, far);
  int64_t items = (count * pieces + 1023) / 1024;
  // The CTAs whose result lies round 2^31 and 2^32 bytes, and the last one.
  for (int64_t item : {(int64_t(1) << 31) / resultBytes * pieces / 1024, (int64_t(1) << 32) / resultBytes * pieces / 1024, items - 1}) {
    int64_t first = item * 1024 / pieces, end = std::min(first + each - 1, count);
    std::vector<double> numbers, want;
    for (int64_t i = first; i < end; ++i) {
      numbers.push_back(static_cast<double>(fieldRows - 1 - (i - first)));
      auto from = far.values.begin() + (each - 1 - (i - first)) * row;
      want.insert(want.end(), from, from + row);
    }
    launcher.put("rows", first * 8, Tensor{Element::I64, numbers});
    launcher.run(0, item, items);
    // Of the first and last row the CTA may have a part alone.
    int64_t begin = item * 1024 * 8 - first * row, whole = std::min((item + 1) * 1024 * 8, count * row) - first * row;
    want = Tensor::of(resultType, {want.begin() + begin, want.begin() + whole}).values;
    Tensor got = launcher.get("output", resultType, first * resultBytes + begin * elementBytes(resultType), whole - begin);
    expectEqual(got, want, std::vector<double>(want.size(), 0.0), "rows from " + std::to_string(first) + " on");
  }
  expectUntouched(launcher.get("output", resultType, 0, row), "the first row of the result");
}

void checkCompress(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  Element type = element(p.at("element").get<std::string>());
  int64_t heads = p.at("heads").get<int64_t>(), dim = p.at("dim").get<int64_t>(), row = heads * dim, rowBytes = row * elementBytes(type);
  int64_t tokens = farBytes / rowBytes, chunks = tokens;
  bool mean = p.at("reduce") == "mean", normalize = p.at("normalize").get<bool>();
  Launcher launcher(instance);
  launcher.reserve("x", tokens * rowBytes);
  launcher.reserve("starts", (chunks + 1) * 8);
  launcher.reserve("output", chunks * rowBytes, true);
  launcher.setScalar("chunks_scalar", chunks);
  std::mt19937_64 engine(2);
  constexpr int64_t length = 9, last = 2; // tokens of the last chunks
  Tensor x = Tensor::random(type, static_cast<size_t>(length * last * row), engine);
  launcher.put("x", (tokens - length * last) * rowBytes, x);
  // The CTAs of the last two chunks' heads have some of chunks before them as well: those are empty.
  std::vector<double> starts(20, static_cast<double>(tokens - length * last));
  starts.insert(starts.end(), {static_cast<double>(tokens - length), static_cast<double>(tokens)});
  launcher.put("starts", (chunks + 1 - static_cast<int64_t>(starts.size())) * 8, Tensor{Element::I64, starts});
  int64_t each = 128 / (dim / 8), items = (chunks * heads + each - 1) / each;
  for (int64_t item = (chunks - last) * heads / each; item < items; ++item)
    launcher.run(0, item, items);
  std::vector<double> want, slack;
  for (int64_t c = 0; c < last; ++c)
    for (int64_t h = 0; h < heads; ++h) {
      std::vector<double> values(static_cast<size_t>(dim), mean ? 0.0 : -INFINITY);
      double squares = 0;
      for (int64_t d = 0; d < dim; ++d) {
        double &value = values[static_cast<size_t>(d)];
        for (int64_t t = 0; t < length; ++t) {
          double next = x.values[static_cast<size_t>(((c * length + t) * heads + h) * dim + d)];
          value = mean ? value + next / length : std::max(value, next);
        }
        squares += value * value;
      }
      for (double value : values) {
        want.push_back(normalize ? value / std::sqrt(squares) : value);
        slack.push_back((rounding(type) + 0x1p-19) * std::abs(want.back()) + 0x1p-18);
      }
    }
  expectEqual(launcher.get("output", type, (chunks - last) * rowBytes, last * row), want, slack, "the last chunks");
}

} // namespace far

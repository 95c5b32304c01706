// SPDX-License-Identifier: Apache-2.0

#include "Far.h"

#include <cmath>

namespace far {

/// The last tile of a product whose left side and result have more than 2^32 bytes. Only for products of 16-bit types without extras.
void checkGemm(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  Element type = element(p.at("element").get<std::string>()), resultType = element(p.at("result").get<std::string>());
  int64_t n = p.at("n").get<int64_t>(), k = p.at("k").get<int64_t>(), rows = p.at("rows").get<int64_t>(), columns = p.at("columns").get<int64_t>();
  int64_t cluster = instance.launches.at(0).cluster, high = rows * cluster; // the CTAs of a cluster have rows below each other
  int64_t m = farBytes / (std::min(k * elementBytes(type), n * elementBytes(resultType))) / high * high;
  Launcher launcher(instance);
  launcher.reserve("lhs", m * k * elementBytes(type));
  launcher.reserve("rhs", (n + 15) / 16 * 16 * k * elementBytes(type));
  launcher.reserve("output", m * n * elementBytes(resultType), true);
  launcher.setScalar("rows_scalar", m);
  launcher.setTiles(1);
  std::mt19937_64 engine(3);
  Tensor lhs = Tensor::random(type, static_cast<size_t>(rows * k), engine), rhs = Tensor::random(type, static_cast<size_t>((n + 15) / 16 * 16 * k), engine);
  launcher.put("lhs", (m - rows) * k * elementBytes(type), lhs);
  launcher.put("rhs", 0, rhs);
  int64_t tiles = m / rows * ((n + columns - 1) / columns), first = (n - 1) / columns * columns;
  launcher.run(0, tiles - cluster, tiles);
  for (int64_t i = 0; i < rows; i += rows - 1) {
    std::vector<double> want, slack;
    for (int64_t j = first; j < n; ++j) {
      double sum = 0, size = 0;
      for (int64_t d = 0; d < k; ++d) {
        double product = lhs.values[static_cast<size_t>(i * k + d)] * rhs.values[static_cast<size_t>((j / 16 * k + d) * 16 + j % 16)];
        sum += product;
        size += std::abs(product);
      }
      want.push_back(sum);
      slack.push_back(rounding(resultType) * std::abs(sum) + size * 0x1p-18);
    }
    Tensor got = launcher.get("output", resultType, ((m - rows + i) * n + first) * elementBytes(resultType), n - first);
    expectEqual(got, want, slack, "row " + std::to_string(m - rows + i));
  }
}

} // namespace far

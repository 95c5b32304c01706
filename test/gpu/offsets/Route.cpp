// SPDX-License-Identifier: Apache-2.0

#include "Far.h"

#include <cmath>

namespace far {

/// What a query's launch writes of its last group: the same whether the workspace before it has no byte or more than 2^32.
static void checkQuery(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  Element queryType = element(p.at("query_element").get<std::string>());
  int64_t row = p.at("row").get<int64_t>(), tokens = p.at("tokens").get<int64_t>();
  std::mt19937_64 engine(5);
  Tensor query = Tensor::random(queryType, static_cast<size_t>(tokens * row), engine);
  auto lastGroup = [&](int64_t groups, uint64_t groupBytes) {
    Launcher launcher(instance);
    launcher.reserve("queries", groups * tokens * row * elementBytes(queryType));
    launcher.reserve("mask", groups * tokens);
    launcher.reserve("keys", row * 4); // for its tensor map
    launcher.setScalar("tokens_scalar", groups * tokens);
    launcher.setScalar("chunks_scalar", 1);
    launcher.put("queries", (groups - 1) * tokens * row * elementBytes(queryType), query);
    launcher.put("mask", (groups - 1) * tokens, Tensor{Element::E4M3, std::vector<double>(static_cast<size_t>(tokens), 0x1p-9)});
    launcher.run(0, groups - 1, groups);
    groupBytes = groupBytes ? groupBytes : launcher.workspaceBytes();
    return launcher.workspace(static_cast<uint64_t>(groups - 1) * groupBytes, groupBytes);
  };
  std::vector<std::byte> first = lastGroup(1, 0);
  if (lastGroup(farBytes / static_cast<int64_t>(first.size()), first.size()) != first)
    throw Error("the last of many groups of a query is not what it is alone");
}

/// The last tile of a bank whose keys have more than 2^32 bytes. All chunks before it are one document; in it each chunk is one, of a score of its own.
void checkRoute(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  Element type = element(p.at("element").get<std::string>()), queryType = element(p.at("query_element").get<std::string>());
  int64_t row = p.at("row").get<int64_t>(), rows = p.at("rows").get<int64_t>(), keep = p.at("keep").get<int64_t>(), rowBytes = row * elementBytes(type);
  int64_t last = std::min<int64_t>(rows, 200), tiles = farBytes / (rows * rowBytes) + 1, begin = (tiles - 1) * rows, chunks = begin + last;
  int64_t tokens = p.at("tokens").get<int64_t>() * (p.value("resident", true) ? 1 : 2);
  bool scaled = p.contains("key_scales");
  Launcher launcher(instance);
  launcher.reserve("keys", chunks * rowBytes);
  launcher.reserve("queries", tokens * row * elementBytes(queryType));
  launcher.reserve("mask", tokens);
  launcher.reserve("documents", chunks * 8);
  launcher.reserve("scores", tiles * keep * 4, true);
  launcher.reserve("entries", tiles * keep * 24, true);
  launcher.reserve("counts", tiles * 8, true);
  if (scaled)
    launcher.reserve("key_scales", chunks * 4);
  launcher.takeAsSpans("keys", chunks);
  launcher.setScalar("tokens_scalar", tokens);
  launcher.setScalar("chunks_scalar", chunks);
  launcher.setTiles(tiles);
  launcher.put("queries", 0, Tensor{queryType, std::vector<double>(static_cast<size_t>(tokens * row), 1.0)});
  launcher.put("mask", 0, Tensor{Element::E4M3, std::vector<double>(static_cast<size_t>(tokens), 0x1p-9)}); // bytes of 1
  std::vector<double> numbers, values, scales;
  for (int64_t i = 0; i < last; ++i) {
    auto value = static_cast<double>(1 + i * 77 % last); // each once, where 77 and the number have no divisor in common
    numbers.push_back(static_cast<double>(i + 1));
    values.push_back(value);
    // One element of a key is not 0; where that stands differs.
    launcher.put("keys", (begin + i) * rowBytes + i * 37 % row * elementBytes(type), Tensor{type, {scaled ? 1.0 : value}});
  }
  launcher.put("documents", begin * 8, Tensor{Element::I64, numbers});
  if (scaled)
    launcher.put("key_scales", begin * 4, Tensor{Element::F32, values});
  for (size_t i = 0; i + 1 < launcher.launches(); ++i)
    launcher.runAll(i);
  if (launcher.launches() > 1)
    checkQuery(instance);
  launcher.run(launcher.launches() - 1, tiles - 1, tiles);

  std::vector<double> scores, slack, entries;
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  for (size_t place = 0; place < static_cast<size_t>(keep); ++place) {
    auto i = static_cast<double>(order.at(place));
    scores.push_back(values[order[place]] * p.at("scale").get<double>());
    slack.push_back(1e-4 * scores.back());
    for (double field : {i + 1, static_cast<double>(begin) + i, static_cast<double>(begin) + i + 1})
      entries.push_back(field);
  }
  if (Tensor count = launcher.get("counts", Element::I64, (tiles - 1) * 8, 1); count.values[0] != static_cast<double>(keep))
    throw Error("expected " + std::to_string(keep) + " documents, found " + std::to_string(count.values[0]));
  expectEqual(launcher.get("scores", Element::F32, (tiles - 1) * keep * 4, keep), scores, slack, "scores");
  expectEqual(launcher.get("entries", Element::I64, (tiles - 1) * keep * 24, keep * 3), entries, std::vector<double>(entries.size(), 0.0), "entries");
}

} // namespace far

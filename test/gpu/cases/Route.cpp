// SPDX-License-Identifier: Apache-2.0
//
// kernel.route_scan: each tile's best documents. codegen/gpu/templates/Route.h and the op's description say what is computed.

#include "Case.h"

#include <algorithm>
#include <cmath>

namespace cases {

namespace {

double reduced(const std::string &kind, const std::vector<double> &values) {
  if (kind == "max")
    return *std::max_element(values.begin(), values.end());
  if (kind == "last")
    return values.back();
  if (kind != "mean")
    throw Error("no reduction is called '" + kind + "'");
  double sum = 0;
  for (double value : values)
    sum += value;
  return sum / static_cast<double>(values.size());
}

struct Document {
  int64_t number, first, end;
  double score = 0, slack = 0;
};

/// Where a buffer's parts are, in bytes.
struct View {
  size_t buffer;
  int64_t offset;
};

View view(const nlohmann::json &p, const char *name) {
  const nlohmann::json &v = p.at(name);
  return v.is_object() ? View{v.at("buffer").get<size_t>(), v.value("offset", int64_t(0))} : View{v.get<size_t>(), 0};
}

/// A part of a buffer as a tensor of `count` elements.
Tensor part(const std::vector<std::vector<std::byte>> &contents, View from, Element type, int64_t count) {
  const std::vector<std::byte> &bytes = contents.at(from.buffer);
  auto begin = bytes.begin() + from.offset;
  return Tensor::from(type, {begin, begin + count * elementBytes(type)});
}

} // namespace

nlohmann::json routeShape(const Instance &instance, Size size) {
  const nlohmann::json &p = instance.parameters;
  int64_t rows = p.at("rows").get<int64_t>(), tokens = p.at("tokens").get<int64_t>();
  bool resident = p.value("resident", true);
  if (size == Size::Small)
    return {{"tokens", resident ? std::max<int64_t>(tokens - 1, 1) : 2 * tokens + 3}, {"chunks", 5 * rows + rows / 3 + 1}};
  // As many chunks for each of two CTAs as 10 million tokens are for each of 132.
  return {{"tokens", resident || tokens <= 64 ? tokens : 2 * tokens}, {"chunks", 18 * rows}};
}

/// Banks of 10 and 100 million tokens in chunks of 64.
std::vector<nlohmann::json> timedRoute(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  int64_t tokens = p.at("tokens").get<int64_t>();
  bool resident = p.value("resident", true);
  std::vector<nlohmann::json> shapes;
  for (int64_t chunks : {156250, 1562500})
    for (int64_t m : {int64_t(1), int64_t(64)})
      if (resident ? m <= tokens && (m > 1 || tokens <= 16) : m >= tokens)
        shapes.push_back({{"tokens", m}, {"chunks", chunks}});
  // A question of 1,024 tokens to a million tokens.
  if (!resident && tokens >= 256)
    shapes.push_back({{"tokens", 1024}, {"chunks", 15625}});
  return shapes;
}

Case makeRoute(const Instance &instance, const Request &request) {
  const nlohmann::json &p = instance.parameters;
  std::mt19937_64 engine(request.seed);
  auto integer = [&](const char *key) { return p.at(key).get<int64_t>(); };
  Element type = element(p.at("element").get<std::string>()), queryType = element(p.value("query_element", std::string("f32")));
  std::string tokenReduce = p.at("token_reduce").get<std::string>(), chunkReduce = p.at("chunk_reduce").get<std::string>();
  int64_t row = integer("row"), rows = integer("rows"), keep = integer("keep");
  double scale = p.at("scale").get<double>();
  int64_t m = request.shape.at("tokens").get<int64_t>(), chunks = request.shape.at("chunks").get<int64_t>();
  int64_t tiles = (chunks + rows - 1) / rows;

  Tensor keys = numbers(type, static_cast<size_t>(chunks * row), engine, request), query = numbers(queryType, static_cast<size_t>(m * row), engine, request);
  std::vector<double> mask(static_cast<size_t>(m), 1);
  if (request.judged && m > 2)
    for (int64_t t : {m / 2, m - 1})
      mask[static_cast<size_t>(t)] = 0;
  bool scaled = p.contains("key_scales");
  Tensor rowScales{Element::F32, std::vector<double>(static_cast<size_t>(chunks), 1.0)};
  if (scaled)
    for (double &s : rowScales.values)
      s = static_cast<float>(0.5 + static_cast<double>(engine() % 1000) / 1000);

  // Documents of one chunk up to most of a tile; some begin in one tile and end in another.
  std::vector<double> ids;
  std::vector<Document> documents;
  for (int64_t number = 5; static_cast<int64_t>(ids.size()) < chunks; number += 1 + static_cast<int64_t>(engine() % 3)) {
    int64_t first = static_cast<int64_t>(ids.size());
    // Every other tile has more documents than it may keep.
    int64_t longest = std::max<int64_t>(rows / (engine() % 8 == 0 ? 1 : first / rows % 2 ? 8 : 20), 1);
    int64_t length = std::min(1 + static_cast<int64_t>(engine() % static_cast<uint64_t>(longest)), chunks - first);
    ids.insert(ids.end(), static_cast<size_t>(length), static_cast<double>(number));
    documents.push_back({number, first, first + length});
  }
  Case made;
  made.buffers.resize(p.at("buffers").get<size_t>());
  made.scalars.assign(p.at("scalars").get<size_t>(), 0);
  auto put = [&](const char *name, const std::vector<std::byte> &bytes, bool output) {
    View at = view(p, name);
    Buffer &buffer = made.buffers.at(at.buffer);
    buffer.label += (buffer.label.empty() ? "" : "+") + std::string(name);
    buffer.output |= output;
    if (buffer.bytes)
      throw Error("a buffer that is only partly made has '" + std::string(name) + "' in it as well");
    if (buffer.content.size() < static_cast<size_t>(at.offset) + bytes.size())
      buffer.content.resize(static_cast<size_t>(at.offset) + bytes.size());
    std::copy(bytes.begin(), bytes.end(), buffer.content.begin() + at.offset);
  };
  put("keys", keys.bytes(), false);
  put("queries", query.bytes(), false);
  if (!request.judged) {
    made.buffers.at(view(p, "keys").buffer).bytes = static_cast<uint64_t>(chunks * row) * elementBytes(type);
    made.buffers.at(view(p, "queries").buffer).bytes = static_cast<uint64_t>(m * row) * elementBytes(queryType);
  }
  std::vector<std::byte> maskBytes;
  for (double let : mask)
    maskBytes.push_back(let != 0 ? std::byte{1} : std::byte{0});
  put("mask", maskBytes, false);
  put("documents", Tensor{Element::I64, ids}.bytes(), false);
  if (scaled)
    put("key_scales", rowScales.bytes(), false);
  put("scores", std::vector<std::byte>(static_cast<size_t>(tiles * keep * 4)), true);
  put("entries", std::vector<std::byte>(static_cast<size_t>(tiles * keep * 24)), true);
  put("counts", std::vector<std::byte>(static_cast<size_t>(tiles * 8)), true);
  for (auto [name, extent] : {std::pair("tokens_scalar", m), {"chunks_scalar", chunks}})
    if (p.contains(name))
      made.scalars.at(p.at(name).get<size_t>()) = extent;
  made.spans = {{view(p, "keys").buffer, chunks}};
  made.tiles = tiles;
  made.shape = {{"tokens", m}, {"chunks", chunks}, {"row", row}};
  made.flops = 2.0 * static_cast<double>(m * chunks * row);
  made.bytes = static_cast<double>(chunks * row) * elementBytes(type);

  if (!request.judged)
    return made;

  // What is lost of a query that is split into two parts, and of sums in f32. Parts of 8 bits lose up to 2^-9 of each element, this way or that: more
  // than six times what that makes of such a sum (Hoeffding) comes by chance once in 30 million.
  bool coarse = type == Element::E4M3 && p.value("form", std::string()) == "hopper";
  double split = queryType == type ? 0 : elementBytes(type) == 2 && type == Element::BF16 ? 0x1p-16 : 0x1p-22;
  double lost = split + 4 * std::sqrt(static_cast<double>(row)) * 0x1p-24;
  std::vector<double> best(static_cast<size_t>(chunks)), slack(static_cast<size_t>(chunks));
  for (int64_t c = 0; c < chunks; ++c) {
    std::vector<double> scores;
    for (int64_t t = 0; t < m; ++t) {
      if (!mask[static_cast<size_t>(t)])
        continue;
      double sum = 0, absolute = 0, squares = 0;
      for (int64_t d = 0; d < row; ++d) {
        double product = query.values[static_cast<size_t>(t * row + d)] * keys.values[static_cast<size_t>(c * row + d)];
        sum += product;
        absolute += std::abs(product);
        squares += product * product;
      }
      double factor = scale * rowScales.values[static_cast<size_t>(c)];
      scores.push_back(sum * factor);
      slack[static_cast<size_t>(c)] = std::max(slack[static_cast<size_t>(c)], (absolute * lost + (coarse ? 6 * 0x1p-9 * std::sqrt(squares) : 0)) * std::abs(factor));
    }
    best[static_cast<size_t>(c)] = reduced(tokenReduce, scores);
  }
  for (Document &document : documents) {
    document.score = reduced(chunkReduce, {best.begin() + document.first, best.begin() + document.end});
    document.slack = *std::max_element(slack.begin() + document.first, slack.begin() + document.end) + 1e-30;
  }

  View scoresAt = view(p, "scores"), entriesAt = view(p, "entries"), countsAt = view(p, "counts");
  made.judge = [=](const std::vector<std::vector<std::byte>> &contents) {
    Verdict verdict;
    Tensor scores = part(contents, scoresAt, Element::F32, tiles * keep), entries = part(contents, entriesAt, Element::I64, tiles * keep * 3),
           counts = part(contents, countsAt, Element::I64, tiles);
    auto complain = [&](int64_t tile, const std::string &text) {
      if (verdict.text.empty())
        verdict.text = "tile " + std::to_string(tile) + ": " + text;
    };
    for (int64_t t = 0; t < tiles; ++t) {
      std::vector<const Document *> here;
      for (const Document &document : documents)
        if (document.first / rows == t)
          here.push_back(&document);
      int64_t expected = std::min<int64_t>(keep, static_cast<int64_t>(here.size()));
      if (counts.values[static_cast<size_t>(t)] != static_cast<double>(expected)) {
        complain(t, "expected " + std::to_string(expected) + " documents, found " + std::to_string(counts.values[static_cast<size_t>(t)]));
        continue;
      }
      double worst = INFINITY;
      std::vector<const Document *> chosen;
      for (int64_t i = 0; i < expected; ++i) {
        const double *entry = &entries.values[static_cast<size_t>((t * keep + i) * 3)];
        double score = scores.values[static_cast<size_t>(t * keep + i)];
        auto found = std::find_if(here.begin(), here.end(), [&](const Document *d) { return static_cast<double>(d->number) == entry[0]; });
        if (found == here.end() || std::count(chosen.begin(), chosen.end(), *found)) {
          complain(t, "entry " + std::to_string(i) + ": no such document, or twice: " + std::to_string(entry[0]));
          break;
        }
        const Document &document = **found;
        chosen.push_back(*found);
        if (entry[1] != static_cast<double>(document.first) || entry[2] != static_cast<double>(document.end))
          complain(t, "document " + std::to_string(document.number) + ": expected rows [" + std::to_string(document.first) + ", " + std::to_string(document.end) +
                          "), found [" + std::to_string(entry[1]) + ", " + std::to_string(entry[2]) + ")");
        double share = std::abs(score - document.score) / document.slack;
        verdict.error = std::isnan(share) ? INFINITY : std::max(verdict.error, share);
        if (!(share <= 1))
          complain(t, "document " + std::to_string(document.number) + ": expected score " + std::to_string(document.score) + " +- " + std::to_string(document.slack) +
                          ", found " + std::to_string(score));
        if (score > worst)
          complain(t, "entry " + std::to_string(i) + " is better than the one before");
        worst = std::min(worst, score);
      }
      for (const Document *document : here)
        if (!std::count(chosen.begin(), chosen.end(), document) && document->score > worst + 2 * document->slack)
          complain(t, "document " + std::to_string(document->number) + " of score " + std::to_string(document->score) + " is left out");
    }
    verdict.ok = verdict.text.empty();
    return verdict;
  };
  return made;
}

} // namespace cases

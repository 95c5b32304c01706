// SPDX-License-Identifier: Apache-2.0
//
// kernel.attention: query [B, M, H, D], key [B, N, G, D], value [B, N, G, E], result [B, M, H, E]. Row-major arrays.

#include "Case.h"

#include <algorithm>
#include <cmath>

namespace cases {

namespace {

struct Shape {
  int64_t batches, queries, keys, heads, kvHeads, dim, valueDim;
};

struct Range {
  int64_t begin, end;
};

/// The keys that a query sees. Causal queries are the last of the keys; with documents, a query sees its own alone.
Range visible(const Shape &shape, bool causal, const std::vector<double> &documents, int64_t query) {
  Range range{0, causal ? query + shape.keys - shape.queries + 1 : shape.keys};
  if (!documents.empty()) {
    double own = documents[static_cast<size_t>(query)];
    range.begin = std::find(documents.begin(), documents.end(), own) - documents.begin();
    int64_t end = std::find_if(documents.begin() + range.begin, documents.end(), [&](double d) { return d != own; }) - documents.begin();
    range.end = std::min(range.end, end);
  }
  return range;
}

/// Documents of uneven lengths: ids of tokens.
std::vector<double> documentsOf(int64_t tokens, std::mt19937_64 &engine) {
  std::vector<double> ids;
  for (double id = 3; static_cast<int64_t>(ids.size()) < tokens; id += 2) {
    int64_t length = 1 + static_cast<int64_t>(engine() % static_cast<uint64_t>(std::max<int64_t>(tokens * 2 / 3, 1)));
    ids.insert(ids.end(), static_cast<size_t>(std::min(length, tokens - static_cast<int64_t>(ids.size()))), id);
  }
  return ids;
}

} // namespace

nlohmann::json attendShape(const Instance &instance, Size size) {
  const nlohmann::json &p = instance.parameters;
  auto integer = [&](const char *key, int64_t otherwise) { return p.value(key, otherwise); };
  int64_t tile = p.at("rows").get<int64_t>() / integer("pack", 1), block = p.at("block").get<int64_t>(), stages = integer("stages", 2), splits = integer("splits", 1);
  bool decodes = p.at("form") == "decode", documents = p.contains("documents"), small = size == Size::Small;
  int64_t batches = small && decodes ? 2 : 1, queries, keys;
  if (small) {
    // Each ring is gone round twice; a last tile and a last block that are not whole. Where keys are split, some parts have nothing to do.
    queries = decodes || splits > 1 ? std::max<int64_t>(tile - 1, 1) : 2 * tile + tile / 2 + 1;
    keys = std::max((splits > 1 ? std::max<int64_t>(splits / 4, 2) : 2 * stages) * block + block / 2 + 5, queries);
  } else {
    queries = decodes || splits > 1 ? tile : 4 * tile;
    // As many blocks a tile, of which the last is partly hidden, as causal documents of 4,096 tokens have on average.
    keys = std::max((decodes ? splits : splits > 1 ? 3 * splits : 8 * stages) * block, queries);
  }
  if (documents)
    queries = keys = small ? std::min(keys, 4 * tile + 5) : 32 * block;
  return {{"batches", batches}, {"queries", queries}, {"keys", keys}, {"documents", documents ? small ? -1 : 1 : 0}};
}

std::vector<nlohmann::json> timedAttend(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  if (p.at("form") == "decode")
    return {{{"batches", 1}, {"queries", 1}, {"keys", 1024}, {"documents", 0}}, {{"batches", 1}, {"queries", 1}, {"keys", 16384}, {"documents", 0}}};
  if (p.contains("documents"))
    return {{{"batches", 1}, {"queries", 32768}, {"keys", 32768}, {"documents", 8}}};
  if (p.at("splits") > 1)
    return {{{"batches", 1}, {"queries", 64}, {"keys", 16384}, {"documents", 0}}};
  // Documents and questions; a question to what a million tokens come to (16 documents of 4,096 tokens in chunks of 64, and itself), and to all of them.
  return {{{"batches", 1}, {"queries", 4096}, {"keys", 4096}, {"documents", 0}},
          {{"batches", 1}, {"queries", 1024}, {"keys", 2048}, {"documents", 0}},
          {{"batches", 1}, {"queries", 1024}, {"keys", 1 << 20}, {"documents", 0}}};
}

/// `documents` of the shape: 0 none, -1 of uneven lengths, else that many of one length.
Case makeAttend(const Instance &instance, const Request &request) {
  const nlohmann::json &p = instance.parameters;
  std::mt19937_64 engine(request.seed);
  auto integer = [&](const char *key) { return p.at(key).get<int64_t>(); };
  Element type = element(p.at("element").get<std::string>()), resultType = element(p.at("result").get<std::string>());
  bool causal = p.at("causal").get<bool>();
  double scale = p.at("scale").get<double>();
  int64_t documentCount = request.shape.at("documents").get<int64_t>();
  Shape shape{request.shape.at("batches").get<int64_t>(), request.shape.at("queries").get<int64_t>(), request.shape.at("keys").get<int64_t>(),
              integer("heads"), integer("kv_heads"), integer("head_dim"), integer("value_dim")};

  Tensor key = numbers(type, static_cast<size_t>(shape.batches * shape.keys * shape.kvHeads * shape.dim), engine, request),
         value = numbers(type, static_cast<size_t>(shape.batches * shape.keys * shape.kvHeads * shape.valueDim), engine, request),
         query = numbers(type, static_cast<size_t>(shape.batches * shape.queries * shape.heads * shape.dim), engine, request);
  std::vector<double> documents;
  if (documentCount < 0)
    documents = documentsOf(shape.queries, engine);
  for (int64_t i = 0; documentCount > 0 && i < shape.queries; ++i)
    documents.push_back(static_cast<double>(i * documentCount / shape.queries));

  Case made;
  made.buffers.resize(p.at("buffers").get<size_t>());
  made.scalars.assign(p.at("scalars").get<size_t>(), 0);
  auto put = [&](const char *name, std::vector<std::byte> bytes, int64_t elements, Element of, bool output = false) {
    made.buffers.at(p.at(name).get<size_t>()) = {name, std::move(bytes), output, static_cast<uint64_t>(elements) * elementBytes(of)};
  };
  put("key", key.bytes(), shape.batches * shape.keys * shape.kvHeads * shape.dim, type);
  put("value", value.bytes(), shape.batches * shape.keys * shape.kvHeads * shape.valueDim, type);
  put("output", {}, shape.batches * shape.queries * shape.heads * shape.valueDim, resultType, true);
  put("query", query.bytes(), shape.batches * shape.queries * shape.heads * shape.dim, type);
  if (documentCount)
    put("documents", Tensor{Element::I64, documents}.bytes(), shape.queries, Element::I64);
  for (auto [name, extent] : {std::pair("batches_scalar", shape.batches), {"queries_scalar", shape.queries}, {"keys_scalar", shape.keys}})
    if (p.contains(name))
      made.scalars.at(p.at(name).get<size_t>()) = extent;
  made.tiles = 1;
  made.shape = request.shape;
  made.shape["heads"] = shape.heads;
  double pairs = 0;
  int64_t each = documentCount > 0 ? shape.queries / documentCount : 0; // of one length
  for (int64_t i = 0; i < shape.queries; ++i) {
    Range range = each ? Range{0, causal ? i % each + 1 : each} : visible(shape, causal, documents, i);
    pairs += static_cast<double>(std::max<int64_t>(range.end - range.begin, 0));
  }
  made.flops = 2.0 * pairs * static_cast<double>(shape.batches * shape.heads * (shape.dim + shape.valueDim));
  for (const Buffer &buffer : made.buffers)
    made.bytes += static_cast<double>(buffer.size());
  if (!request.judged)
    return made;

  auto queryRow = [&](int64_t b, int64_t i, int64_t h) { return &query.values[static_cast<size_t>(((b * shape.queries + i) * shape.heads + h) * shape.dim)]; };
  auto keyRow = [&](int64_t b, int64_t j, int64_t g) { return &key.values[static_cast<size_t>(((b * shape.keys + j) * shape.kvHeads + g) * shape.dim)]; };
  int64_t group = shape.heads / shape.kvHeads;
  // Where what a row sees begins and ends must matter: most rows ask for a key at the edge, inside of it or outside.
  for (int64_t b = 0; b < shape.batches; ++b)
    for (int64_t i = 0; i < shape.queries; ++i)
      for (int64_t h = 0; h < shape.heads; ++h) {
        Range range = visible(shape, causal, documents, i);
        const int64_t asked[] = {range.end - 1, range.begin, range.end, range.begin - 1, -1};
        int64_t wanted = asked[(i + h) % 5];
        if (wanted < 0 || wanted >= shape.keys)
          continue;
        const double *towards = keyRow(b, wanted, h / group);
        double length = 0;
        for (int64_t d = 0; d < shape.dim; ++d)
          length += towards[d] * towards[d];
        for (int64_t d = 0; d < shape.dim; ++d)
          queryRow(b, i, h)[d] += towards[d] * 4 / (scale * length);
      }
  query = Tensor::of(type, query.values);
  put("query", query.bytes(), shape.batches * shape.queries * shape.heads * shape.dim, type);

  std::vector<double> want, slack, weights(static_cast<size_t>(shape.keys));
  for (int64_t b = 0; b < shape.batches; ++b)
    for (int64_t i = 0; i < shape.queries; ++i)
      for (int64_t h = 0; h < shape.heads; ++h) {
        Range range = visible(shape, causal, documents, i);
        double most = -INFINITY, sum = 0;
        const double *q = queryRow(b, i, h);
        for (int64_t j = range.begin; j < range.end; ++j) {
          const double *k = keyRow(b, j, h / group);
          double score = 0;
          for (int64_t d = 0; d < shape.dim; ++d)
            score += q[d] * k[d];
          weights[static_cast<size_t>(j)] = score * scale;
          most = std::max(most, score * scale);
        }
        for (int64_t j = range.begin; j < range.end; ++j)
          sum += weights[static_cast<size_t>(j)] = std::exp(weights[static_cast<size_t>(j)] - most);
        std::vector<double> out(static_cast<size_t>(shape.valueDim)), absolute(out), squares(out);
        for (int64_t j = range.begin; j < range.end; ++j)
          for (int64_t e = 0; e < shape.valueDim; ++e) {
            double part = weights[static_cast<size_t>(j)] / sum * value.values[static_cast<size_t>(((b * shape.keys + j) * shape.kvHeads + h / group) * shape.valueDim + e)];
            out[static_cast<size_t>(e)] += part;
            absolute[static_cast<size_t>(e)] += std::abs(part);
            squares[static_cast<size_t>(e)] += part * part;
          }
        for (size_t e = 0; e < out.size(); ++e) {
          want.push_back(out[e]);
          // Weights are rounded to the operands' type, independently of each other; scores and exponentials are of f32.
          slack.push_back(rounding(resultType) * std::abs(out[e]) + 2 * rounding(type) * std::sqrt(squares[e]) + 0x1p-12 * absolute[e] + 1e-7);
        }
      }

  size_t output = p.at("output").get<size_t>();
  made.judge = [=](const std::vector<std::vector<std::byte>> &contents) { return compare(Tensor::from(resultType, contents.at(output)), want, slack); };
  return made;
}

} // namespace cases

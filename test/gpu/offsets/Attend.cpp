// SPDX-License-Identifier: Apache-2.0
//
// Attention whose arrays have more than 2^32 bytes: by many batches, by many queries, by documents far down a sequence, by many keys.

#include "Far.h"

#include <cmath>

namespace far {

namespace {

/// The rows that are looked at: queries [query, queries) of the last batch, which see keys [key, keys).
struct Sizes {
  int64_t batches = 1, queries = 1, keys = 1, query = 0, key = 0;
  bool lastPart = false; ///< Of split keys the last part alone is walked; parts that are zeros add nothing to its sum.
};

class Attention {
public:
  Attention(const Instance &instance, const Sizes &sizes) : launcher(instance), sizes(sizes), documented(instance.parameters.contains("documents")) {
    const nlohmann::json &p = instance.parameters;
    type = element(p.at("element").get<std::string>());
    resultType = element(p.at("result").get<std::string>());
    auto integer = [&](const char *key) { return p.at(key).get<int64_t>(); };
    heads = integer("heads"), kvHeads = integer("kv_heads"), dim = integer("head_dim"), valueDim = integer("value_dim");
    pack = integer("pack"), tile = integer("rows") / pack, splits = integer("splits");
    decodes = p.at("form") == "decode", causal = p.at("causal").get<bool>(), scale = p.at("scale").get<double>();
    launcher.reserve("query", sizes.batches * sizes.queries * heads * dim * 2);
    launcher.reserve("key", sizes.batches * sizes.keys * kvHeads * dim * 2);
    launcher.reserve("value", sizes.batches * sizes.keys * kvHeads * valueDim * 2);
    launcher.reserve("output", sizes.batches * sizes.queries * heads * valueDim * elementBytes(resultType), true);
    launcher.setScalar("batches_scalar", sizes.batches);
    launcher.setScalar("queries_scalar", sizes.queries);
    launcher.setScalar("keys_scalar", sizes.keys);
    launcher.setTiles(1);
    std::mt19937_64 engine(4);
    int64_t rowCount = sizes.queries - sizes.query, keyCount = sizes.keys - sizes.key;
    query = Tensor::random(type, static_cast<size_t>(rowCount * heads * dim), engine, sizes.lastPart ? 200.0 : 3.0);
    key = Tensor::random(type, static_cast<size_t>(keyCount * kvHeads * dim), engine);
    value = Tensor::random(type, static_cast<size_t>(keyCount * kvHeads * valueDim), engine);
    int64_t before = (sizes.batches - 1) * sizes.queries + sizes.query, keysBefore = (sizes.batches - 1) * sizes.keys + sizes.key;
    launcher.put("query", before * heads * dim * 2, query);
    launcher.put("key", keysBefore * kvHeads * dim * 2, key);
    launcher.put("value", keysBefore * kvHeads * valueDim * 2, value);
  }

  /// Documents of the tokens from `sizes.key` on; those before are of another.
  void putDocuments(const std::vector<double> &numbers) {
    documents = numbers;
    launcher.reserve("documents", sizes.keys * 8);
    launcher.put("documents", sizes.key * 8, Tensor{Element::I64, numbers});
  }

  void run() {
    size_t launch = 0;
    if (documented) { // a CTA finds the documents of 256 tokens
      int64_t items = (sizes.queries + 255) / 256;
      for (int64_t item = sizes.query / 256; item < items; ++item)
        launcher.run(launch, item, items);
      ++launch;
    }
    int64_t rowBlocks = (sizes.queries + tile - 1) / tile, headBlocks = heads / pack, items = rowBlocks * splits * headBlocks * sizes.batches;
    for (int64_t rowBlock = sizes.query / tile; rowBlock < rowBlocks; ++rowBlock)
      for (int64_t headBlock = 0; headBlock < headBlocks; ++headBlock)
        for (int64_t split = sizes.lastPart ? splits - 1 : 0; split < splits; ++split) {
          // How forms number their work: the same as long as all of a batch's is asked for, else Decode has row blocks apart and others heads.
          int64_t block = causal && !decodes ? rowBlocks - 1 - rowBlock : rowBlock;
          int64_t inBatch = decodes ? (rowBlock * headBlocks + headBlock) * splits + split : (headBlock * rowBlocks + block) * splits + split;
          launcher.run(launch, (sizes.batches - 1) * rowBlocks * splits * headBlocks + inBatch, items);
        }
    ++launch;
    if (splits > 1) {
      int64_t rows = sizes.batches * sizes.queries * heads, first = (sizes.batches - 1) * sizes.queries * heads + sizes.query * heads;
      for (int64_t item = first / 4; item < (rows + 3) / 4; ++item)
        launcher.run(launch, item, (rows + 3) / 4);
    }
  }

  void judge() {
    std::vector<double> want, slack;
    for (int64_t i = sizes.query; i < sizes.queries; ++i)
      for (int64_t h = 0; h < heads; ++h)
        judgeRow(i, h, want, slack);
    int64_t before = ((sizes.batches - 1) * sizes.queries + sizes.query) * heads * valueDim;
    expectEqual(launcher.get("output", resultType, before * elementBytes(resultType), static_cast<int64_t>(want.size())), want, slack,
                "queries from " + std::to_string(sizes.query) + " on of batch " + std::to_string(sizes.batches - 1));
  }

private:
  void judgeRow(int64_t i, int64_t h, std::vector<double> &want, std::vector<double> &slack) {
    int64_t begin = sizes.key, end = causal ? i + 1 + sizes.keys - sizes.queries : sizes.keys;
    if (documented) {
      auto number = [&](int64_t token) { return documents[static_cast<size_t>(token - sizes.key)]; };
      for (begin = i; begin > sizes.key && number(begin - 1) == number(i);)
        --begin;
      int64_t own = i + 1;
      for (; own < sizes.keys && number(own) == number(i);)
        ++own;
      end = std::min(end, own);
    }
    int64_t group = h / (heads / kvHeads);
    const double *q = &query.values[static_cast<size_t>(((i - sizes.query) * heads + h) * dim)];
    std::vector<double> weights;
    double most = -INFINITY, sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      const double *k = &key.values[static_cast<size_t>(((j - sizes.key) * kvHeads + group) * dim)];
      double score = 0;
      for (int64_t d = 0; d < dim; ++d)
        score += q[d] * k[d];
      weights.push_back(score * scale);
      most = std::max(most, weights.back());
    }
    for (double &weight : weights)
      sum += weight = std::exp(weight - most);
    for (int64_t e = 0; e < valueDim; ++e) {
      double out = 0, squares = 0, absolute = 0;
      for (int64_t j = begin; j < end; ++j) {
        double part = weights[static_cast<size_t>(j - begin)] / sum * value.values[static_cast<size_t>(((j - sizes.key) * kvHeads + group) * valueDim + e)];
        out += part;
        squares += part * part;
        absolute += std::abs(part);
      }
      want.push_back(out);
      slack.push_back(rounding(resultType) * std::abs(out) + 2 * rounding(type) * std::sqrt(squares) + 0x1p-12 * absolute + 1e-7);
    }
  }

  Launcher launcher;
  Sizes sizes;
  bool documented, decodes = false, causal = false;
  Element type = Element::BF16, resultType = Element::BF16;
  int64_t heads = 0, kvHeads = 0, dim = 0, valueDim = 0, pack = 1, tile = 1, splits = 1;
  double scale = 1;
  Tensor query, key, value;
  std::vector<double> documents;
};

} // namespace

void checkAttend(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  int64_t heads = p.at("heads").get<int64_t>(), kvHeads = p.at("kv_heads").get<int64_t>(), splits = p.at("splits").get<int64_t>();
  int64_t narrow = std::min(p.at("head_dim").get<int64_t>(), p.at("value_dim").get<int64_t>());
  if (p.contains("documents")) {
    // The last three documents of a long sequence, the first of which no one asks for.
    int64_t tokens = farBytes / (kvHeads * narrow * 2) / 256 * 256;
    Attention attention(instance, {1, tokens, tokens, tokens - 32, tokens - 300});
    std::vector<double> documents(300, 7);
    std::fill(documents.begin() + 230, documents.begin() + 285, 8);
    std::fill(documents.begin() + 285, documents.end(), 9);
    attention.putDocuments(documents);
    attention.run();
    attention.judge();
    return;
  }
  constexpr int64_t keys = 40;
  {
    Attention attention(instance, {farBytes / (keys * kvHeads * narrow * 2) + 1, 3, keys, 0, 0});
    attention.run();
    attention.judge();
  }
  // Of split keys it is the workspace that is large.
  int64_t row = splits > 1 ? heads * splits * (p.at("value_dim").get<int64_t>() + 2) * 4 : heads * narrow * 2;
  int64_t tile = p.at("rows").get<int64_t>() / p.at("pack").get<int64_t>(), queries = (farBytes / row / tile + 1) * tile;
  Attention attention(instance, {1, queries, keys, queries - std::min<int64_t>(tile, 8), 0});
  attention.run();
  attention.judge();
}

void checkLongSequence(const Instance &instance) {
  const nlohmann::json &p = instance.parameters;
  int64_t narrow = std::min(p.at("head_dim").get<int64_t>(), p.at("value_dim").get<int64_t>());
  int64_t keys = farBytes / (p.at("kv_heads").get<int64_t>() * narrow * 2);
  // All keys but the last ones are zeros, and of no weight beside what so steep a query asks for.
  Attention attention(instance, {1, 1, keys, 0, keys - 50, true});
  attention.run();
  attention.judge();
}

} // namespace far

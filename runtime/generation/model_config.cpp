// SPDX-License-Identifier: Apache-2.0

#include "runtime/generation/model_config.h"

#include <nlohmann/json.hpp>

#include <set>

namespace msa::gen {

using nlohmann::json;

namespace {

/// One object of the file. The first error is kept, and later reads do nothing; finish() finds keys that nobody read.
class ObjectReader {
public:
  ObjectReader(const json &value, std::string path) : value(value), path(std::move(path)) {
    if (!value.is_object())
      fail("expected an object, found " + shown(value));
  }

  bool has(const char *key) {
    seen.insert(key);
    return value.is_object() && value.contains(key);
  }
  const json *find(const char *key) {
    if (!error.empty())
      return nullptr;
    if (!has(key)) {
      error = "msa.json: " + place(key) + " is missing";
      return nullptr;
    }
    return &value[key];
  }
  void integer(const char *key, int64_t low, int64_t high, int64_t &out) {
    if (const json *found = find(key))
      out = integerOf(*found, place(key), low, high);
  }
  void integers(const char *key, int64_t low, int64_t high, std::vector<int64_t> &out) {
    const json *found = find(key);
    if (!found)
      return;
    if (!found->is_array())
      return fail(place(key) + ": expected a list of whole numbers, found " + shown(*found));
    for (size_t i = 0; i < found->size() && error.empty(); ++i)
      out.push_back(integerOf((*found)[i], place(key) + "[" + std::to_string(i) + "]", low, high));
  }
  void boolean(const char *key, bool &out) {
    const json *found = find(key);
    if (found && !found->is_boolean())
      return fail(place(key) + ": expected true or false, found " + shown(*found));
    if (found)
      out = found->get<bool>();
  }
  void number(const char *key, double &out) {
    const json *found = find(key);
    if (found && !found->is_number())
      return fail(place(key) + ": expected a number, found " + shown(*found));
    if (found)
      out = found->get<double>();
  }
  void string(const char *key, std::string &out) {
    const json *found = find(key);
    if (found && !found->is_string())
      return fail(place(key) + ": expected a string, found " + shown(*found));
    if (found)
      out = found->get<std::string>();
  }
  void choice(const char *key, std::initializer_list<const char *> choices, std::string &out) {
    string(key, out);
    std::string list;
    for (const char *choice : choices) {
      if (out == choice)
        return;
      list += (list.empty() ? "" : ", ") + std::string(choice);
    }
    fail(place(key) + ": expected one of " + list + ", found '" + out + "'");
  }
  std::string place(const char *key) const { return path.empty() ? key : path + "." + key; }
  void fail(const std::string &message) {
    if (error.empty())
      error = "msa.json: " + message;
  }
  Status finish() {
    for (auto item = value.begin(); error.empty() && value.is_object() && item != value.end(); ++item)
      if (!seen.count(item.key()))
        fail("the key '" + (path.empty() ? item.key() : path + "." + item.key()) +
             "' is unknown; this runtime may be older than the artifact's compiler");
    return error.empty() ? Status() : failure(MSA_INVALID_ARTIFACT, "%s", error.c_str());
  }

private:
  static std::string shown(const json &value) {
    std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
  }
  int64_t integerOf(const json &found, const std::string &where, int64_t low, int64_t high) {
    if (!found.is_number_integer() || (found.is_number_unsigned() && found.get<uint64_t>() > uint64_t(INT64_MAX)) ||
        found.get<int64_t>() < low || found.get<int64_t>() > high) {
      fail(where + ": expected a whole number from " + std::to_string(low) + " to " + std::to_string(high) + ", found " +
           shown(found));
      return low;
    }
    return found.get<int64_t>();
  }

  const json &value;
  std::string path, error;
  std::set<std::string> seen;
};

#define READ_PART(key, function, ...)                                                                                            \
  if (const json *part = top.find(key))                                                                                          \
  MSA_TRY(function(*part, __VA_ARGS__))

Status readRouting(const json &value, ModelConfig::Routing &out) {
  ObjectReader in(value, "routing");
  in.integer("top_k", 1, int64_t(1) << 40, out.topK);
  in.choice("head_reduce", {"mean", "max"}, out.headReduce);
  in.choice("query_reduce", {"max", "mean", "last"}, out.queryReduce);
  in.choice("chunk_reduce", {"max", "mean"}, out.chunkReduce);
  in.boolean("normalize", out.normalize);
  in.number("scale", out.scale);
  return in.finish();
}

Status readTemplate(const json &value, ModelConfig::Template &out) {
  ObjectReader in(value, "template");
  in.string("prefix", out.prefix);
  in.string("document", out.document);
  in.string("query_before", out.queryBefore);
  in.string("query_after", out.queryAfter);
  in.string("tail", out.tail);
  in.integers("tail_doc", -2, 0, out.tailDoc);
  if (out.document.find("{text}") == std::string::npos)
    in.fail("template.document: expected it to hold {text}, found '" + out.document + "'");
  return in.finish();
}

Status readInterleave(const json &value, ModelConfig::Interleave &out) {
  ObjectReader in(value, "interleave");
  in.string("delimiter", out.delimiter);
  in.string("end", out.end);
  in.string("question_mark", out.questionMark);
  in.string("document", out.document);
  in.string("append", out.append);
  if (out.delimiter.empty() || out.end.empty() || out.questionMark.empty())
    in.fail("interleave: delimiter, end and question_mark cannot be empty");
  return in.finish();
}

Status readWindow(const json &value, ModelConfig::Window &out) {
  ObjectReader in(value, "window");
  in.integer("content_tokens", 1, 1 << 20, out.contentTokens);
  in.string("before", out.before);
  in.string("after", out.after);
  return in.finish();
}

} // namespace

Status ModelConfig::read(std::string_view text, ModelConfig &out) {
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded())
    return failure(MSA_INVALID_ARTIFACT, "msa.json is not valid JSON");
  ObjectReader top(value, "");
  int64_t format = 0;
  std::string kind;
  top.integer("format", 1, 1, format);
  top.choice("kind", {"decoder", "retriever"}, kind);
  out.kind = kind == "retriever" ? Kind::kRetriever : Kind::kDecoder;
  top.integer("layers", 1, 4096, out.layers);
  top.integers("router_layers", 0, 4095, out.routerLayers);
  top.integer("heads", 1, 1 << 20, out.heads);
  top.integer("kv_heads", 1, 1 << 20, out.kvHeads);
  top.integer("head_dim", 1, 1 << 20, out.headDim);
  top.integer("hidden", 1, 1 << 24, out.hidden);
  top.integer("vocab_size", 1, int64_t(1) << 31, out.vocabSize);
  top.integer("chunk_length", 1, 1 << 20, out.chunkLength);
  top.boolean("separate_router", out.separateRouter);
  READ_PART("routing", readRouting, out.routing);
  if (out.kind == Kind::kDecoder) {
    top.integer("first_position", 0, int64_t(1) << 40, out.firstPosition);
    READ_PART("template", readTemplate, out.prompt);
    top.integers("stop_tokens", 0, out.vocabSize - 1, out.stopTokens);
    if (const json *part = top.find("interleave"); part && !part->is_null())
      MSA_TRY(readInterleave(*part, out.interleave.emplace()));
  } else {
    READ_PART("window", readWindow, out.window);
  }
  MSA_TRY(top.finish());
  for (size_t i = 0; i < out.routerLayers.size(); ++i)
    if ((i && out.routerLayers[i] <= out.routerLayers[i - 1]) || (out.kind == Kind::kDecoder && out.routerLayers[i] >= out.layers))
      return failure(MSA_INVALID_ARTIFACT, "msa.json: router_layers: expected ascending numbers below layers = %lld",
                     static_cast<long long>(out.layers));
  if (out.routerLayers.empty())
    return failure(MSA_INVALID_ARTIFACT, "msa.json: router_layers is empty: nothing would read the memory");
  return {};
}

} // namespace msa::gen

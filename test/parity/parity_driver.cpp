// SPDX-License-Identifier: Apache-2.0
//
// Runs what a fixture asks on a compiled artifact, through the C interface alone, and writes what came out: actual.json and
// actual.safetensors, tensors named as in the fixture's expected.safetensors. parity.py compares.
//
//   parity-driver ARTIFACT FIXTURE_DIR OUT_DIR VARIANT|best|cuda THREADS

#include "msa/generation.h"
#include "msa/msa.hpp"
#include "msa/tokenizer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>

using Json = nlohmann::ordered_json;

namespace {

void check(msa_status *status) {
  msa::Status owned(status);
  if (!owned.ok())
    throw std::runtime_error(owned.message());
}
void check(msa::Status status) { check(status.release()); }

Json readJson(const std::string &path) {
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error("cannot open '" + path + "'");
  return Json::parse(file);
}

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;

  void append(const float *from, size_t count) { values.insert(values.end(), from, from + count); }
};

class Tensors {
public:
  Tensor &operator[](const std::string &name) { return tensors[name]; }
  void write(const std::string &path) const {
    Json header = Json::object();
    size_t at = 0;
    for (const auto &[name, tensor] : tensors) {
      size_t end = at + tensor.values.size() * sizeof(float);
      header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
      at = end;
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    uint64_t size = text.size();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char *>(&size), sizeof size);
    file << text;
    for (const auto &[name, tensor] : tensors)
      file.write(reinterpret_cast<const char *>(tensor.values.data()), std::streamsize(tensor.values.size() * sizeof(float)));
    if (!file.flush())
      throw std::runtime_error("cannot write '" + path + "'");
  }

private:
  std::map<std::string, Tensor> tensors;
};

Json tokensOf(msa_prompt *prompt, bool numbers) {
  size_t count = msa_prompt_count(prompt);
  Json out;
  out["ids"] = std::vector<int32_t>(msa_prompt_ids(prompt), msa_prompt_ids(prompt) + count);
  if (numbers)
    out["numbers"] = std::vector<int64_t>(msa_prompt_numbers(prompt), msa_prompt_numbers(prompt) + count);
  msa_prompt_release(prompt);
  return out;
}

class Driver {
public:
  Driver(const std::string &artifact, const std::string &fixture, const std::string &variant, uint32_t threads)
      : inputs(readJson(fixture + "/inputs.json")), expected(readJson(fixture + "/expected.json")) {
    msa::Runtime::Options runtimeOptions;
    runtimeOptions.thread_count = threads;
    check(msa::Runtime::create(runtimeOptions, runtime));
    msa::Program::Options options;
    if (variant.rfind("cuda", 0) == 0) {
      options.device = MSA_DEVICE_CUDA;
      options.device_ordinal = 0;
    }
    if (variant != "best" && variant != "cuda")
      options.variant = variant.c_str();
    check(msa::Program::load(runtime, artifact, options, program));
    check(msa_generator_create(program.get(), &generator));
    check(msa_bank_create(program.get(), nullptr, &bank));
  }
  ~Driver() {
    msa_session_release(session);
    msa_bank_release(bank);
    msa_generator_release(generator);
  }

  void run(const std::string &out) {
    result["variant"] = program.variant();
    tokenize();
    encode();
    for (const Json &query : expected["queries"])
      runCalls(query);
    interleave();
    tensors.write(out + "/actual.safetensors");
    std::ofstream file(out + "/actual.json");
    file << result.dump(1) << "\n";
    if (!file.flush())
      throw std::runtime_error("cannot write '" + out + "/actual.json'");
  }

private:
  /// Texts to tokens, as a user's would be.
  void tokenize() {
    msa_segment segment;
    msa_tokenizer *tokenizer = nullptr;
    if (!program.findSegment(MSA_SEGMENT_TOKENIZER, segment))
      throw std::runtime_error("the artifact has no tokenizer");
    check(msa_tokenizer_create(segment.data, segment.size, &tokenizer));
    auto plain = [&](const std::string &text, msa_tokenizer_trust trust) {
      msa_token_list *list = nullptr;
      check(msa_tokenizer_encode(tokenizer, text.data(), text.size(), trust, &list));
      Json ids = std::vector<int32_t>(msa_token_list_ids(list), msa_token_list_ids(list) + msa_token_list_count(list));
      msa_token_list_release(list);
      return ids;
    };
    result["prefix_ids"] = plain(inputs["template_prefix"]["text"], MSA_TOKENIZER_TRUSTED);
    result["document_ids"] = Json::array();
    for (const Json &document : inputs["documents"]) {
      std::string text = document["text"];
      if (inputs["document_wrapper"].is_null()) {
        result["document_ids"].push_back(plain(text, MSA_TOKENIZER_ORDINARY));
        continue;
      }
      msa_prompt *made = nullptr;
      check(msa_generator_document_tokens(generator, document["number"], text.data(), text.size(), &made));
      result["document_ids"].push_back(tokensOf(made, false)["ids"]);
    }
    msa_tokenizer_release(tokenizer);
    result["prompts"] = Json::object();
    for (const Json &query : inputs["queries"]) {
      std::string prompt = query["prompt"];
      if (prompt.rfind("<regenerate>", 0) == 0)
        continue; // made from the round before it: see interleave()
      msa_prompt *made = nullptr;
      check(msa_generator_question_tokens(generator, prompt.data(), prompt.size(), &made));
      result["prompts"][query["name"].get<std::string>()] = tokensOf(made, true);
    }
  }

  void encode() {
    std::vector<std::vector<int32_t>> ids;
    std::vector<std::string> texts;
    std::vector<msa_bank_document> documents;
    for (const Json &document : inputs["documents"]) {
      ids.push_back(document["input_ids"]);
      texts.push_back(document["text"]);
    }
    for (size_t i = 0; i < ids.size(); ++i)
      documents.push_back({inputs["documents"][i]["number"], 0, nullptr, 0, texts[i].data(), texts[i].size(), ids[i].data(), ids[i].size()});
    check(msa_generator_add(generator, bank, documents.data(), documents.size(), nullptr, nullptr));
    result["chunks_per_document"] = Json::array();
    msa_bank_document document;
    for (int64_t i = 0; msa_bank_get_document(bank, i, &document); ++i)
      result["chunks_per_document"].push_back(document.chunks);

    std::string layer = std::to_string(expected["bank"]["layer"].get<int64_t>());
    std::vector<int64_t> rows = expected["bank"]["rows"];
    bank_rows("bank.k", "mem_k." + layer, rows);
    bank_rows("bank.v", "mem_v." + layer, rows);
    if (!bank_rows("bank.router_k", "mem_rk." + layer, rows))
      bank_rows("bank.router_k", "mem_k." + layer, rows);

    check(msa_session_create(generator, bank, &session));
    for (bool values : {false, true}) {
      Tensor &prefix = tensors[values ? "prefix.v" : "prefix.k"];
      uint32_t layers = 0;
      msa_tensor tensor;
      for (;; ++layers) {
        msa::Status status(msa_session_prefix(session, layers, values, &tensor));
        if (!status.ok() && layers)
          break;
        check(std::move(status));
        prefix.append(static_cast<const float *>(tensor.data), size_t(tensor.shape[0] * tensor.shape[1] * tensor.shape[2]));
        prefix.shape = {int64_t(layers) + 1, tensor.shape[0], tensor.shape[1], tensor.shape[2]};
      }
    }
  }

  bool bank_rows(const std::string &name, const std::string &fieldName, const std::vector<int64_t> &rows) {
    for (uint32_t f = 0; f < msa_bank_field_count(bank); ++f) {
      msa_bank_field field;
      msa_bank_get_field(bank, f, &field);
      if (field.name != fieldName)
        continue;
      std::vector<msa_row_span> spans(msa_bank_spans(bank, f, nullptr, 0));
      msa_bank_spans(bank, f, spans.data(), spans.size());
      size_t elements = size_t(field.row_shape[0] * field.row_shape[1]);
      Tensor &tensor = tensors[name];
      tensor.shape = {int64_t(rows.size()), field.row_shape[0], field.row_shape[1]};
      for (int64_t row : rows)
        for (const msa_row_span &span : spans) {
          if (row < span.rows) {
            tensor.append(static_cast<const float *>(span.data) + size_t(row) * elements, elements);
            break;
          }
          row -= span.rows;
        }
      return true;
    }
    return false;
  }

  std::vector<float> output(const std::string &name, std::vector<int64_t> &shape) {
    msa_tensor tensor;
    check(msa_session_output(session, name.c_str(), &tensor));
    shape.assign(tensor.shape, tensor.shape + tensor.rank);
    size_t count = std::accumulate(shape.begin(), shape.end(), size_t(1), [](size_t a, int64_t b) { return a * size_t(b); });
    auto *values = static_cast<const float *>(tensor.data);
    return std::vector<float>(values, values + count);
  }

  /// The calls of the file, with the ids of the file.
  void runCalls(const Json &query) {
    std::string name = query["name"];
    Json out = {{"name", name}, {"selected", Json::object()}, {"greedy", Json::array()}};
    Tensor logits;
    for (const Json &call : query["calls"]) {
      std::string stageName = call["stage"];
      msa_stage stage = stageName == "prefill" ? MSA_STAGE_PREFILL : stageName == "decode" ? MSA_STAGE_DECODE : MSA_STAGE_APPEND;
      std::vector<int32_t> ids = call["input_ids"];
      std::vector<int64_t> positions = call["position_ids"], numbers = call["doc_ids"], shape;
      check(msa_session_call(session, stage, ids.data(), positions.data(), numbers.data(), ids.size()));
      std::vector<float> last = output("logits", shape);
      out["greedy"].push_back(std::max_element(last.begin(), last.end()) - last.begin());
      logits.append(last.data(), last.size());
      logits.shape = {int64_t(out["greedy"].size()), int64_t(last.size())};
      if (stage != MSA_STAGE_PREFILL)
        continue;
      Tensor &tail = tensors[name + ".prefill_tail_logits"], &hidden = tensors[name + ".prefill_hidden"];
      tail.values = output("tail_logits", tail.shape);
      hidden.values = output("hidden", hidden.shape);
      Tensor &scores = tensors[name + ".doc_scores"];
      for (int64_t layer : expected["router_layers"]) {
        std::string number = std::to_string(layer);
        std::vector<float> all = output("all_scores." + number, shape), best = output("scores." + number, shape);
        scores.append(all.data(), all.size());
        scores.shape = {int64_t(scores.values.size() / std::max<size_t>(all.size(), 1)), int64_t(all.size())};
        msa_tensor docs;
        check(msa_session_output(session, ("docs." + number).c_str(), &docs));
        std::vector<size_t> order(best.size());
        std::iota(order.begin(), order.end(), size_t(0));
        std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return best[a] != best[b] ? best[a] > best[b] : a < b; });
        Json selected = Json::array();
        for (size_t i : order)
          selected.push_back(static_cast<const int64_t *>(docs.data)[i]);
        out["selected"][number] = selected;
      }
    }
    tensors[name + ".logits"] = logits;
    result["queries"].push_back(out);
  }

  /// A conversation of several rounds, by the generation loop from its first question alone. Only the model's own choices are
  /// replaced where the fixture replaced them.
  void interleave() {
    std::vector<int32_t> forced;
    std::string question;
    for (const Json &query : inputs["queries"]) {
      std::string prompt = query["prompt"];
      if (prompt.rfind("<regenerate>", 0) != 0 && !forced.empty())
        return; // a second question: not one conversation
      if (prompt.rfind("<regenerate>", 0) != 0)
        question = prompt;
      std::vector<int32_t> part = query["forced"];
      forced.insert(forced.end(), part.begin(), part.end());
    }
    if (forced.empty())
      return;
    size_t free = expected["queries"].back()["greedy"].size();
    msa_ask_options options;
    msa_ask_options_initialize(&options);
    options.forced = forced.data();
    options.forced_count = forced.size();
    options.max_new_tokens = uint32_t(forced.size() + free);
    Json calls = Json::array();
    options.user = &calls;
    options.on_call = [](void *user, const msa_call *call) {
      const char *stages[] = {"prefill", "decode", "append"};
      static_cast<Json *>(user)->push_back({{"stage", stages[call->stage]},
                                            {"input_ids", std::vector<int32_t>(call->ids, call->ids + call->count)},
                                            {"position_ids", std::vector<int64_t>(call->positions, call->positions + call->count)},
                                            {"doc_ids", std::vector<int64_t>(call->numbers, call->numbers + call->count)}});
      return 0;
    };
    msa_answer *answer = nullptr;
    check(msa_session_ask(session, question.data(), question.size(), &options, &answer));
    msa_answer_release(answer);
    result["interleave_calls"] = calls;
  }

  Json inputs, expected, result;
  msa::Runtime runtime;
  msa::Program program;
  msa_generator *generator = nullptr;
  msa_bank *bank = nullptr;
  msa_session *session = nullptr;
  Tensors tensors;
};

} // namespace

int main(int argc, char **argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: parity-driver ARTIFACT FIXTURE_DIR OUT_DIR VARIANT|best THREADS\n");
    return 2;
  }
  try {
    Driver(argv[1], argv[2], argv[4], uint32_t(std::stoul(argv[5]))).run(argv[3]);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "parity-driver: error: %s\n", error.what());
    return 1;
  }
}

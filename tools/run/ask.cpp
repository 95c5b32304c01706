// SPDX-License-Identifier: Apache-2.0
//
// msa-run ask: questions to a bank on disk.

#include "tools/run/bank_handles.h"
#include "tools/run/command.h"
#include "tools/run/npy.h"
#include "tools/run/progress_bar.h"
#include "tools/run/text_input.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <memory>

namespace msa::tool {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  LoadOptions load;
  std::string bank, text, ids, questions, logits;
  uint32_t maxNewTokens = 256, maxRounds = 8, topK = 0;
  float temperature = 0, topP = 1;
  uint64_t seed = 0;
  bool json = false;
};

/// What the callbacks of one question see.
struct Listener {
  bool print = false;
  bool keepLogits = false;
  std::vector<float> logits;
  int64_t calls = 0, width = 0;
  bool printed = false;

  static int onText(void *user, uint32_t, bool, const char *text, size_t length) {
    auto *self = static_cast<Listener *>(user);
    // An answer's first token often carries a space.
    while (!self->printed && length && (*text == ' ' || *text == '\n'))
      ++text, --length;
    self->printed |= length > 0;
    if (std::fwrite(text, 1, length, stdout) != length)
      return 1;
    std::fflush(stdout);
    return 0;
  }
  static int onCall(void *user, const msa_call *call) {
    auto *self = static_cast<Listener *>(user);
    self->logits.insert(self->logits.end(), call->logits, call->logits + call->logit_count);
    self->width = int64_t(call->logit_count);
    ++self->calls;
    return 0;
  }
};

std::string stripped(const char *text, size_t length) {
  std::string_view view(text, length);
  size_t begin = view.find_first_not_of(" \t\r\n"), end = view.find_last_not_of(" \t\r\n");
  return begin == std::string_view::npos ? "" : std::string(view.substr(begin, end - begin + 1));
}

const char *finishName(msa_finish finish) {
  switch (finish) {
  case MSA_FINISH_STOP:
    return "stop";
  case MSA_FINISH_TOKENS:
    return "max_new_tokens";
  case MSA_FINISH_ROUNDS:
    return "max_rounds";
  case MSA_FINISH_NO_DOCUMENT:
    return "no_document";
  case MSA_FINISH_ROUTED:
    return "routed";
  case MSA_FINISH_NO_TEXT:
    return "no_text";
  }
  return "unknown";
}

std::string documentName(const msa_bank *bank, int64_t number) {
  msa_bank_document document;
  return msa_bank_find(bank, number, &document) ? std::string(document.name, document.name_length) : std::string();
}

Json layersOf(const msa_answer *answer, uint32_t round, const msa_bank *bank) {
  Json layers = Json::array();
  msa_routed routed;
  for (uint32_t i = 0; msa_answer_routed(answer, round, i, &routed); ++i) {
    Json names = Json::array();
    for (size_t d = 0; d < routed.count; ++d)
      names.push_back(documentName(bank, routed.documents[d]));
    layers.push_back({{"layer", routed.layer},
                      {"documents", std::vector<int64_t>(routed.documents, routed.documents + routed.count)},
                      {"names", names},
                      {"scores", std::vector<float>(routed.scores, routed.scores + routed.count)}});
  }
  return layers;
}

Json toJson(const msa_answer *answer, const msa_bank *bank, double seconds) {
  uint32_t rounds = msa_answer_round_count(answer);
  size_t count = 0, length = 0;
  const int32_t *tokens = msa_answer_tokens(answer, &count);
  const char *text = msa_answer_text(answer, &length);
  Json out;
  out["layers"] = layersOf(answer, rounds - 1, bank);
  out["tokens"] = std::vector<int32_t>(tokens, tokens + count);
  out["text"] = stripped(text, length);
  out["finish"] = finishName(msa_answer_finish(answer));
  out["seconds"] = seconds;
  if (size_t left = msa_answer_left_out(answer))
    out["left_out_tokens"] = left;
  if (rounds > 1) {
    for (uint32_t r = 0; r < rounds; ++r) {
      size_t named = 0;
      const int32_t *roundTokens = msa_answer_round_tokens(answer, r, &count);
      const int64_t *numbers = msa_answer_round_named(answer, r, &named);
      out["rounds"].push_back({{"layers", layersOf(answer, r, bank)},
                               {"tokens", std::vector<int32_t>(roundTokens, roundTokens + count)},
                               {"named", std::vector<int64_t>(numbers, numbers + named)}});
    }
  }
  return out;
}

/// For people: the answer, then where it comes from.
void printForPeople(const msa_answer *answer, const msa_bank *bank, bool streamed) {
  size_t length = 0;
  const char *text = msa_answer_text(answer, &length);
  if (!streamed && length)
    std::printf("%s", stripped(text, length).c_str());
  if (length)
    std::printf("\n");
  msa_routed routed;
  uint32_t last = msa_answer_round_count(answer) - 1;
  for (uint32_t i = 0; msa_answer_routed(answer, last, i, &routed); ++i) {
    std::printf("layer %lld:", static_cast<long long>(routed.layer));
    for (size_t d = 0; d < routed.count; ++d) {
      std::string name = documentName(bank, routed.documents[d]);
      for (char &c : name) // names come from outside and must not move the cursor
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          c = '?';
      std::printf(" %lld%s%s%s %.4f%s", static_cast<long long>(routed.documents[d]), name.empty() ? "" : " (", name.c_str(), name.empty() ? "" : ")",
                  double(routed.scores[d]), d + 1 < routed.count ? "," : "");
    }
    std::printf("\n");
  }
}

Status ask(const Options &options) {
  // The options say how many sources there are; an empty text is a text, so CLI11 counts it.
  std::vector<std::string> questions;
  InputTokens tokens;
  bool byIds = !options.ids.empty(), many = !options.questions.empty();
  if (many) {
    if (Status status = readQuestionLines(options.questions, questions); !status.ok())
      return status;
  } else if (byIds) {
    if (Status status = readPromptIds(options.ids, tokens); !status.ok())
      return status;
    questions.emplace_back();
  } else {
    questions.push_back(options.text);
  }
  Runtime runtime;
  Program program;
  if (Status status = options.load.load(runtime, program); !status.ok())
    return status;
  msa_generator *generatorMade = nullptr;
  if (Status status(msa_generator_create(program.get(), &generatorMade)); !status.ok())
    return status;
  GeneratorOwner generator(generatorMade);
  msa_model_info info;
  msa_generator_info(generator.get(), &info);
  if (!options.logits.empty() && !info.generates)
    throw CLI::ValidationError("--logits", "the artifact is a retriever, which has no logits");
  msa_bank *bankMade = nullptr;
  if (Status status(msa_bank_load(program.get(), options.bank.c_str(), &bankMade)); !status.ok())
    return status;
  BankOwner bank(bankMade);
  msa_session *sessionMade = nullptr;
  if (Status status(msa_session_create(generator.get(), bank.get(), &sessionMade)); !status.ok())
    return status;
  SessionOwner session(sessionMade);

  ProgressBar bar("asking");
  for (size_t i = 0; i < questions.size(); ++i) {
    Listener listener;
    msa_ask_options askOptions;
    msa_ask_options_initialize(&askOptions);
    askOptions.max_new_tokens = options.maxNewTokens;
    askOptions.max_rounds = options.maxRounds;
    askOptions.temperature = options.temperature;
    askOptions.top_k = options.topK;
    askOptions.top_p = options.topP;
    askOptions.seed = options.seed;
    askOptions.user = &listener;
    if (!options.json)
      askOptions.on_text = Listener::onText;
    if (!options.logits.empty())
      askOptions.on_call = Listener::onCall;
    auto start = std::chrono::steady_clock::now();
    msa_answer *made = nullptr;
    Status status(byIds ? msa_session_ask_ids(session.get(), tokens.ids.data(), tokens.numbers.empty() ? nullptr : tokens.numbers.data(),
                                              tokens.ids.size(), &askOptions, &made)
                        : msa_session_ask(session.get(), questions[i].data(), questions[i].size(), &askOptions, &made));
    if (!status.ok())
      return many ? Status(status.code(), "question " + std::to_string(i) + ": " + status.message()) : std::move(status);
    AnswerOwner answer(made);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.json)
      std::printf("%s\n", toJson(answer.get(), bank.get(), seconds).dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    else
      printForPeople(answer.get(), bank.get(), listener.printed);
    if (size_t left = msa_answer_left_out(answer.get()))
      std::fprintf(stderr, "msa-run: warning: the last %zu tokens of question %zu do not fit into the model's window and were left out\n", left, i);
    if (!options.logits.empty())
      if (Status written = writeNpy(options.logits, tensor(listener.logits.data(), MSA_F32, {listener.calls, listener.width})); !written.ok())
        return written;
    if (many)
      bar.update(i + 1, questions.size());
  }
  return std::fflush(stdout) == 0 ? Status() : Status(MSA_IO, "cannot write to standard output");
}

} // namespace

void declareAsk(CLI::App &app, Run &run) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("ask", "ask questions of a memory bank");
  options->load.declare(*command);
  CLI::Option *text = command->add_option("text", options->text, "question")->type_name("TEXT");
  command->add_option("--bank", options->bank, "directory of the bank")->required()->type_name("DIR");
  CLI::Option *ids = command
                         ->add_option("--ids", options->ids,
                                      "whole prompt as tokens: [ids...] or {\"input_ids\": [...], \"doc_ids\": [...]}; no template is put "
                                      "around them")
                         ->type_name("FILE.json");
  CLI::Option *questions =
      command->add_option("--questions", options->questions, "many questions, one a line: {\"prompt\": ...}; a JSON line answers each")
          ->type_name("FILE.jsonl");
  command->add_option("--max-new-tokens", options->maxNewTokens, "tokens to generate at most, in all rounds together (default 256)")
      ->type_name("N");
  command->add_option("--max-rounds", options->maxRounds, "rounds of Memory Interleave at most (default 8)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  command->add_option("--temperature", options->temperature, "draw tokens at this temperature; 0 (default): always the likeliest")
      ->type_name("T")
      ->check(CLI::Range(0.0f, 1000.0f));
  command->add_option("--top-k", options->topK, "draw from the K likeliest tokens; 0 (default): from all")->type_name("K");
  command->add_option("--top-p", options->topP, "draw from the likeliest tokens that reach this probability together (default 1)")
      ->type_name("P")
      ->check([](const std::string &value) {
        float number = 0;
        return CLI::detail::lexical_cast(value, number) && number > 0 && number <= 1
                   ? std::string()
                   : "expected a number above 0 and at most 1, found '" + value + "'";
      });
  command->add_option("--seed", options->seed, "seed of drawing (default 0)")->type_name("N");
  CLI::Option *logits = command
                            ->add_option("--logits", options->logits,
                                         "writes the logits of the last token of every call of the model: f32 [calls, vocabulary]")
                            ->type_name("FILE.npy");
  command->add_flag("--json", options->json, "print one JSON object: layers (documents best first), tokens, text");
  text->excludes(ids)->excludes(questions);
  ids->excludes(questions);
  logits->excludes(questions);
  command->callback([options, text, ids, questions, &run] {
    if (!text->count() && !ids->count() && !questions->count())
      throw CLI::RequiredError("TEXT, --ids or --questions");
    if (questions->count())
      options->json = true;
    run = [options] { return ask(*options); };
  });
}

} // namespace msa::tool

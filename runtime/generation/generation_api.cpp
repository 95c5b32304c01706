// SPDX-License-Identifier: Apache-2.0
//
// The C interface over generator, session and answer. Checks arguments and keeps exceptions in.

#include "runtime/generation/answer.h"

#include <new>

using msa::gen::failure;
using msa::gen::Prompt;
using msa::gen::Status;

struct msa_prompt {
  Prompt prompt;
};

namespace {

template <typename Function> msa_status *guarded(Function function) {
  try {
    return function().release();
  } catch (const std::exception &) { // bad_alloc, or length_error from a count that no memory could hold
    return msa_status_create(MSA_OUT_OF_MEMORY, "out of memory in generation");
  }
}

Status null(const char *function) { return failure(MSA_INVALID_ARGUMENT, "%s: an argument that may not be null is", function); }

template <typename Options> Status checkSize(const char *function, const Options *options) {
  if (options && options->struct_size < sizeof *options)
    return failure(MSA_INVALID_ARGUMENT, "%s: struct_size is %zu; call the options' initialize function first", function,
                   options->struct_size);
  return {};
}

} // namespace

//===----------------------------------------------------------------------===//
// Generator
//===----------------------------------------------------------------------===//

msa_status *msa_generator_create(msa_program *program, msa_generator **out_generator) {
  return guarded([&]() -> Status {
    if (out_generator)
      *out_generator = nullptr;
    if (!program || !out_generator)
      return null("msa_generator_create");
    auto made = std::make_unique<msa_generator>(program);
    MSA_TRY(made->initialize());
    *out_generator = made.release();
    return {};
  });
}

msa_generator *msa_generator_retain(msa_generator *generator) {
  if (generator)
    generator->owners.fetch_add(1, std::memory_order_relaxed);
  return generator;
}

void msa_generator_release(msa_generator *generator) {
  if (generator && generator->owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
    delete generator;
}

msa_program *msa_generator_program(const msa_generator *generator) { return generator->program.get(); }

void msa_generator_info(const msa_generator *generator, msa_model_info *out_info) {
  const msa::gen::ModelConfig &config = generator->config;
  *out_info = {};
  out_info->generates = generator->decoder();
  out_info->interleaves = config.interleave.has_value();
  out_info->vocab_size = config.vocabSize;
  out_info->chunk_length = config.chunkLength;
  out_info->top_k = config.routing.topK;
  out_info->router_layer_count = uint32_t(config.routerLayers.size());
  out_info->router_layers = config.routerLayers.data();
}

msa_status *msa_generator_document_tokens(const msa_generator *generator, int64_t number, const char *text, size_t length,
                                          msa_prompt **out_tokens) {
  return guarded([&]() -> Status {
    if (out_tokens)
      *out_tokens = nullptr;
    if (!generator || !out_tokens || (!text && length))
      return null("msa_generator_document_tokens");
    auto made = std::make_unique<msa_prompt>();
    MSA_TRY(generator->prompts->document(number, {text, length}, made->prompt.ids));
    made->prompt.numbers.assign(made->prompt.ids.size(), 0);
    *out_tokens = made.release();
    return {};
  });
}

msa_status *msa_generator_question_tokens(const msa_generator *generator, const char *text, size_t length, msa_prompt **out_tokens) {
  return guarded([&]() -> Status {
    if (out_tokens)
      *out_tokens = nullptr;
    if (!generator || !out_tokens || (!text && length))
      return null("msa_generator_question_tokens");
    auto made = std::make_unique<msa_prompt>();
    size_t leftOut = 0;
    MSA_TRY(generator->prompts->question({text, length}, made->prompt, leftOut));
    *out_tokens = made.release();
    return {};
  });
}

void msa_prompt_release(msa_prompt *prompt) { delete prompt; }
size_t msa_prompt_count(const msa_prompt *prompt) { return prompt->prompt.ids.size(); }
const int32_t *msa_prompt_ids(const msa_prompt *prompt) { return prompt->prompt.ids.data(); }
const int64_t *msa_prompt_numbers(const msa_prompt *prompt) { return prompt->prompt.numbers.data(); }

void msa_add_options_initialize(msa_add_options *options) {
  *options = {};
  options->struct_size = sizeof *options;
}

msa_status *msa_generator_add(msa_generator *generator, msa_bank *bank, const msa_bank_document *documents, size_t count,
                              const msa_add_options *options, msa_add_result *out_result) {
  msa_add_result result = {};
  msa_status *status = guarded([&]() -> Status {
    if (!generator || !bank || (!documents && count))
      return null("msa_generator_add");
    MSA_TRY(checkSize("msa_generator_add", options));
    if (!msa_bank_fits(bank, generator->program.get()))
      return failure(MSA_INVALID_ARGUMENT, "the bank was made by another model than this artifact's; use the artifact that it was made "
                                           "with, or make a new bank");
    for (size_t i = 0; i < count; ++i)
      if ((!documents[i].text && documents[i].text_length) || (!documents[i].ids && documents[i].id_count) ||
          (!documents[i].name && documents[i].name_length))
        return failure(MSA_INVALID_ARGUMENT, "document %zu: its name, text or ids are null but not empty", i);
    msa_add_options defaults;
    msa_add_options_initialize(&defaults);
    return msa::gen::addDocuments(*generator, bank, {documents, count}, options ? *options : defaults, result);
  });
  if (out_result)
    *out_result = result;
  return status;
}

//===----------------------------------------------------------------------===//
// Session
//===----------------------------------------------------------------------===//

msa_status *msa_session_create(msa_generator *generator, msa_bank *bank, msa_session **out_session) {
  return guarded([&]() -> Status {
    if (out_session)
      *out_session = nullptr;
    if (!generator || !bank || !out_session)
      return null("msa_session_create");
    auto made = std::make_unique<msa_session>(generator, bank);
    MSA_TRY(made->initialize());
    *out_session = made.release();
    return {};
  });
}

msa_session *msa_session_retain(msa_session *session) {
  if (session)
    session->owners.fetch_add(1, std::memory_order_relaxed);
  return session;
}

void msa_session_release(msa_session *session) {
  if (session && session->owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
    delete session;
}

void msa_ask_options_initialize(msa_ask_options *options) {
  *options = {};
  options->struct_size = sizeof *options;
  options->max_new_tokens = 256;
  options->max_rounds = 8;
  options->top_p = 1;
}

static Status ask(msa_session *session, const Prompt &prompt, const std::string *question, const msa_ask_options *options,
                  std::unique_ptr<msa_answer> made, msa_answer **out) {
  msa_ask_options defaults;
  msa_ask_options_initialize(&defaults);
  const msa_ask_options &used = options ? *options : defaults;
  if (!(used.temperature >= 0) || !(used.top_p > 0 && used.top_p <= 1) || used.max_rounds == 0)
    return failure(MSA_INVALID_ARGUMENT, "expected a temperature of 0 or more, top_p above 0 and at most 1, and at least one round; found "
                                         "%g, %g and %u",
                   double(used.temperature), double(used.top_p), used.max_rounds);
  if (!used.forced && used.forced_count)
    return null("msa_session_ask");
  MSA_TRY(session->generator.get()->checkIds({used.forced, used.forced_count}));
  MSA_TRY(msa::gen::answer(*session, prompt, question, used, *made));
  *out = made.release();
  return {};
}

msa_status *msa_session_ask(msa_session *session, const char *text, size_t length, const msa_ask_options *options,
                            msa_answer **out_answer) {
  return guarded([&]() -> Status {
    if (out_answer)
      *out_answer = nullptr;
    if (!session || !out_answer || (!text && length))
      return null("msa_session_ask");
    MSA_TRY(checkSize("msa_session_ask", options));
    auto made = std::make_unique<msa_answer>();
    Prompt prompt;
    std::string question(text ? text : "", length);
    MSA_TRY(session->generator.get()->prompts->question(question, prompt, made->leftOut));
    return ask(session, prompt, &question, options, std::move(made), out_answer);
  });
}

msa_status *msa_session_ask_ids(msa_session *session, const int32_t *ids, const int64_t *numbers, size_t count,
                                const msa_ask_options *options, msa_answer **out_answer) {
  return guarded([&]() -> Status {
    if (out_answer)
      *out_answer = nullptr;
    if (!session || !out_answer || (!ids && count))
      return null("msa_session_ask_ids");
    MSA_TRY(checkSize("msa_session_ask_ids", options));
    Prompt prompt;
    MSA_TRY(session->generator.get()->prompts->questionFromIds({ids, count}, prompt));
    if (numbers)
      prompt.numbers.assign(numbers, numbers + count);
    return ask(session, prompt, nullptr, options, std::make_unique<msa_answer>(), out_answer);
  });
}

msa_status *msa_session_call(msa_session *session, msa_stage stage, const int32_t *ids, const int64_t *positions,
                             const int64_t *numbers, size_t count) {
  return guarded([&]() -> Status {
    if (!session || (count && (!ids || !positions || !numbers)))
      return null("msa_session_call");
    return session->call(stage, {ids, count}, {positions, count}, {numbers, count}, nullptr);
  });
}

msa_status *msa_session_output(const msa_session *session, const char *name, msa_tensor *out_tensor) {
  return guarded([&]() -> Status {
    if (!session || !name || !out_tensor)
      return null("msa_session_output");
    return session->output(name, *out_tensor);
  });
}

msa_status *msa_session_prefix(msa_session *session, uint32_t layer, bool values, msa_tensor *out_tensor) {
  return guarded([&]() -> Status {
    if (!session || !out_tensor)
      return null("msa_session_prefix");
    if (2 * size_t(layer) >= session->prefix.size())
      return failure(MSA_INVALID_ARGUMENT, "there is no layer %u with a prefix; the model has %zu", layer, session->prefix.size() / 2);
    MSA_TRY(session->ensurePrefix(nullptr));
    *out_tensor = session->prefix[2 * layer + values].tensor();
    return {};
  });
}

//===----------------------------------------------------------------------===//
// Answer
//===----------------------------------------------------------------------===//

void msa_answer_release(msa_answer *answer) { delete answer; }
msa_finish msa_answer_finish(const msa_answer *answer) { return answer->finish; }

const int32_t *msa_answer_tokens(const msa_answer *answer, size_t *out_count) {
  *out_count = answer->tokens.size();
  return answer->tokens.data();
}

const char *msa_answer_text(const msa_answer *answer, size_t *out_length) {
  if (out_length)
    *out_length = answer->text.size();
  return answer->text.c_str();
}

size_t msa_answer_left_out(const msa_answer *answer) { return answer->leftOut; }
uint32_t msa_answer_round_count(const msa_answer *answer) { return uint32_t(answer->rounds.size()); }

const int32_t *msa_answer_round_tokens(const msa_answer *answer, uint32_t round, size_t *out_count) {
  *out_count = round < answer->rounds.size() ? answer->rounds[round].tokens.size() : 0;
  return round < answer->rounds.size() ? answer->rounds[round].tokens.data() : nullptr;
}

const int64_t *msa_answer_round_named(const msa_answer *answer, uint32_t round, size_t *out_count) {
  *out_count = round < answer->rounds.size() ? answer->rounds[round].named.size() : 0;
  return round < answer->rounds.size() ? answer->rounds[round].named.data() : nullptr;
}

bool msa_answer_routed(const msa_answer *answer, uint32_t round, uint32_t index, msa_routed *out_routed) {
  if (round >= answer->rounds.size() || index >= answer->rounds[round].layers.size())
    return false;
  const msa_answer::Layer &layer = answer->rounds[round].layers[index];
  *out_routed = {layer.layer, layer.documents.data(), layer.scores.data(), layer.documents.size()};
  return true;
}

// SPDX-License-Identifier: Apache-2.0

#include "runtime/generation/answer.h"

#include "runtime/generation/sampler.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace msa::gen {

namespace {

/// The state of one answer while it is made.
class Answering {
public:
  Answering(msa_session &session, const std::string *question, const msa_ask_options &options, msa_answer &out)
      : session(session), generator(*session.generator.get()), config(generator.config), question(question), options(options), out(out),
        sampler(options.temperature, options.top_k, options.top_p, options.seed) {
    if (question && config.interleave)
      conversation.emplace(*generator.prompts, *question);
  }

  Status run(const Prompt &first) {
    Prompt prompt = first;
    // With nothing to interleave there is one round, and it is the answer.
    answering = !config.interleave;
    for (uint32_t round = 0;; ++round) {
      MSA_TRY(startRound(prompt));
      if (!generator.decoder()) {
        out.finish = MSA_FINISH_ROUTED;
        return {};
      }
      bool delimited = false;
      MSA_TRY(generateRound(round, delimited));
      if (!delimited)
        break;
      bool more = false;
      MSA_TRY(nextRound(round, more));
      if (!more)
        break;
      MSA_TRY(conversation->prompt(prompt));
    }
    return generator.tokenizer->decode(out.tokens, true, out.text);
  }

private:
  Status startRound(const Prompt &prompt) {
    position = generator.decoder() ? config.firstPosition : 0;
    MSA_TRY(call(MSA_STAGE_PREFILL, prompt.ids, prompt.numbers));
    msa_answer::Round &round = out.rounds.emplace_back();
    for (int64_t layer : config.routerLayers) {
      std::string number = std::to_string(layer);
      msa_tensor docs, scores;
      MSA_TRY(session.output(("docs." + number).c_str(), docs));
      MSA_TRY(session.output(("scores." + number).c_str(), scores));
      if (docs.type != MSA_I64 || scores.type != MSA_F32 || docs.rank != 1 || scores.rank != 1 || docs.shape[0] != scores.shape[0])
        return failure(MSA_INVALID_ARTIFACT, "outputs 'docs.%s' and 'scores.%s': expected i64 and f32 of one length", number.c_str(),
                       number.c_str());
      auto *numbers = static_cast<const int64_t *>(docs.data);
      auto *values = static_cast<const float *>(scores.data);
      // Documents come ascending, so of equal scores the lower number comes first.
      std::vector<size_t> order(size_t(docs.shape[0]));
      std::iota(order.begin(), order.end(), size_t(0));
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
      msa_answer::Layer &routed = round.layers.emplace_back();
      routed.layer = layer;
      for (size_t i : order) {
        routed.documents.push_back(numbers[i]);
        routed.scores.push_back(values[i]);
      }
    }
    return {};
  }

  Status generateRound(uint32_t number, bool &delimited) {
    msa_answer::Round &round = out.rounds.back();
    out.tokens.clear();
    std::string text; // with control tokens, of this round
    StreamText visible(*this, number);
    rt::StreamDecoder whole(*generator.tokenizer, false);
    while (true) {
      if (generated == options.max_new_tokens) {
        out.finish = MSA_FINISH_TOKENS;
        break;
      }
      int32_t token;
      MSA_TRY(choose(token));
      ++generated;
      out.tokens.push_back(token);
      round.tokens.push_back(token);
      if (std::find(config.stopTokens.begin(), config.stopTokens.end(), int64_t(token)) != config.stopTokens.end()) {
        out.finish = MSA_FINISH_STOP;
        break;
      }
      if (!answering && token == generator.prompts->delimiter()) {
        delimited = true;
        break;
      }
      MSA_TRY(visible.stream.append(token, visible.pending));
      MSA_TRY(visible.emit());
      if (!answering) {
        // Where the end of retrieval could begin: this token may complete it, and hold what is behind it too.
        size_t before = text.size(), reach = config.interleave->end.size() - 1;
        MSA_TRY(whole.append(token, text));
        if (text.find(config.interleave->end, before < reach ? 0 : before - reach) != std::string::npos) {
          if (!question) {
            out.finish = MSA_FINISH_NO_TEXT;
            break;
          }
          // The last token is fed and its successor dropped; then the question stands again.
          MSA_TRY(step(token));
          std::vector<int32_t> block;
          MSA_TRY(generator.prompts->append(*question, block));
          MSA_TRY(call(MSA_STAGE_APPEND, block, std::vector<int64_t>(block.size(), kQuery)));
          out.tokens.clear();
          answering = true;
          MSA_TRY(visible.finish());
          continue;
        }
      }
      if (generated < options.max_new_tokens)
        MSA_TRY(step(token));
    }
    return visible.finish();
  }

  /// Quotes what the last round named. |more| is whether there is another round.
  Status nextRound(uint32_t number, bool &more) {
    msa_answer::Round &round = out.rounds.back();
    std::string text;
    MSA_TRY(generator.tokenizer->decode(round.tokens, false, text));
    BankView view(session.bank.get()); // keeps the quoted texts where they are
    std::vector<msa_bank_document> documents;
    for (int64_t named : namedDocuments(text)) {
      msa_bank_document document;
      if (!msa_bank_find(session.bank.get(), named, &document))
        continue;
      round.named.push_back(named);
      documents.push_back(document);
    }
    bool known = question != nullptr;
    for (const msa_bank_document &document : documents)
      known = known && document.text_length > 0;
    if (documents.empty())
      out.finish = MSA_FINISH_NO_DOCUMENT;
    else if (!known)
      out.finish = MSA_FINISH_NO_TEXT;
    else if (number + 1 >= options.max_rounds)
      out.finish = MSA_FINISH_ROUNDS;
    else if (generated >= options.max_new_tokens)
      out.finish = MSA_FINISH_TOKENS;
    else
      more = true;
    if (!more)
      return {};
    std::vector<Conversation::Quote> quotes;
    for (const msa_bank_document &document : documents)
      quotes.push_back({document.number, {document.text, document.text_length}});
    return conversation->addRound(round.tokens, quotes);
  }

  Status choose(int32_t &token) {
    std::span<const float> logits;
    MSA_TRY(session.logits(logits));
    MSA_TRY(sampler.next(logits, token));
    if (forced < options.forced_count)
      token = options.forced[forced++];
    return {};
  }

  Status step(int32_t token) {
    int64_t number = kGenerated;
    return call(MSA_STAGE_DECODE, {&token, 1}, {&number, 1});
  }

  Status call(msa_stage stage, std::span<const int32_t> ids, std::span<const int64_t> numbers) {
    positions.resize(ids.size());
    std::iota(positions.begin(), positions.end(), position);
    MSA_TRY(session.call(stage, ids, positions, numbers, options.cancel));
    position += int64_t(ids.size());
    if (!options.on_call)
      return {};
    std::span<const float> logits;
    MSA_TRY(session.logits(logits));
    msa_call made = {stage, ids.data(), positions.data(), numbers.data(), ids.size(), logits.data(), logits.size()};
    return options.on_call(options.user, &made) ? failure(MSA_CANCELLED, "the answer was stopped by its callback") : Status();
  }

  /// Text as it becomes complete.
  struct StreamText {
    StreamText(Answering &owner, uint32_t round) : owner(owner), round(round), stream(*owner.generator.tokenizer, true) {}

    Status emit() {
      bool stop = !pending.empty() && owner.options.on_text &&
                  owner.options.on_text(owner.options.user, round, owner.answering, pending.data(), pending.size()) != 0;
      pending.clear();
      return stop ? failure(MSA_CANCELLED, "the answer was stopped by its callback") : Status();
    }
    Status finish() {
      MSA_TRY(stream.finish(pending));
      return emit();
    }

    Answering &owner;
    uint32_t round;
    std::string pending;
    rt::StreamDecoder stream;
  };

  msa_session &session;
  const msa_generator &generator;
  const ModelConfig &config;
  const std::string *question;
  const msa_ask_options &options;
  msa_answer &out;
  Sampler sampler;
  std::optional<Conversation> conversation;
  std::vector<int64_t> positions;
  int64_t position = 0;
  uint32_t generated = 0;
  size_t forced = 0;
  bool answering = false;
};

} // namespace

Status answer(msa_session &session, const Prompt &prompt, const std::string *question, const msa_ask_options &options,
              msa_answer &out) {
  return Answering(session, question, options, out).run(prompt);
}

} // namespace msa::gen

// SPDX-License-Identifier: Apache-2.0

#include "runtime/generation/prompts.h"

#include <algorithm>
#include <charconv>

namespace msa::gen {

void fillPattern(std::string_view pattern, std::span<const PatternValue> values, std::vector<Piece> &out) {
  std::string literal;
  auto flush = [&] {
    if (!literal.empty())
      out.push_back({std::move(literal), true});
    literal.clear();
  };
  for (size_t at = 0; at < pattern.size();) {
    const PatternValue *match = nullptr;
    for (const PatternValue &value : values)
      if (pattern[at] == '{' && pattern.substr(at + 1, value.key.size()) == value.key &&
          pattern.substr(at + 1 + value.key.size(), 1) == "}")
        match = &value;
    if (!match) {
      literal += pattern[at++];
      continue;
    }
    at += match->key.size() + 2;
    if (match->trusted) {
      literal += match->text;
    } else {
      flush();
      out.push_back({std::string(match->text), false});
    }
  }
  flush();
}

std::vector<int64_t> namedDocuments(std::string_view text) {
  std::vector<int64_t> numbers;
  for (size_t at = text.find('['); at != std::string_view::npos; at = text.find('[', at + 1)) {
    int64_t number = 0;
    const char *begin = text.data() + at + 1, *end = text.data() + text.size();
    if (begin == end || *begin < '0' || *begin > '9')
      continue;
    auto [last, error] = std::from_chars(begin, end, number);
    if (error == std::errc() && last != end && *last == ']')
      numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

Status Prompts::encode(std::span<const Piece> pieces, std::vector<int32_t> &out) const {
  std::vector<rt::Tokenizer::Segment> segments;
  segments.reserve(pieces.size());
  for (const Piece &piece : pieces)
    segments.push_back({piece.text, piece.trusted});
  return tokenizer.encodeSegments(segments, out);
}

Status Prompts::initialize() {
  auto control = [&](const std::string &token, const char *key, int32_t &out) -> Status {
    auto id = tokenizer.tokenToId(token);
    if (!id)
      return failure(MSA_INVALID_ARTIFACT, "msa.json: %s: the tokenizer has no token '%s'", key, token.c_str());
    out = *id;
    return {};
  };
  if (tokenizer.vocabSize() > config.vocabSize)
    return failure(MSA_INVALID_ARTIFACT, "the tokenizer has ids up to %d, the model has %lld rows for them", tokenizer.vocabSize() - 1,
                   static_cast<long long>(config.vocabSize));
  if (config.kind == ModelConfig::Kind::kRetriever) {
    MSA_TRY(control(config.window.before, "window.before", beforeId));
    return control(config.window.after, "window.after", afterId);
  }
  MSA_TRY(tokenizer.encode(config.prompt.tail, tail));
  if (tail.size() != config.prompt.tailDoc.size())
    return failure(MSA_INVALID_ARTIFACT, "msa.json: template.tail is %zu tokens, template.tail_doc has %zu numbers", tail.size(),
                   config.prompt.tailDoc.size());
  return config.interleave ? control(config.interleave->delimiter, "interleave.delimiter", delimiterId) : Status();
}

Status Prompts::document(int64_t number, std::string_view text, std::vector<int32_t> &out) const {
  if (config.kind == ModelConfig::Kind::kRetriever)
    return tokenizer.encodeOrdinary(text, out);
  std::string digits = std::to_string(number);
  PatternValue values[] = {{"number", digits, true}, {"text", text, false}};
  std::vector<Piece> pieces;
  fillPattern(config.prompt.document, values, pieces);
  return encode(pieces, out);
}

Status Prompts::prefix(std::vector<int32_t> &out) const { return tokenizer.encode(config.prompt.prefix, out); }

Status Prompts::question(std::string_view text, Prompt &out, size_t &leftOut) const {
  leftOut = 0;
  out = {};
  if (config.kind == ModelConfig::Kind::kRetriever) {
    std::vector<int32_t> content;
    MSA_TRY(tokenizer.encodeOrdinary(text, content));
    size_t window = size_t(config.window.contentTokens);
    leftOut = content.size() > window ? content.size() - window : 0;
    content.resize(content.size() - leftOut);
    out.ids.push_back(beforeId);
    out.ids.insert(out.ids.end(), content.begin(), content.end());
    out.ids.push_back(afterId);
    out.numbers.assign(out.ids.size(), kQuery);
    return {};
  }
  Piece pieces[] = {{config.prompt.queryBefore, true}, {std::string(text), false}, {config.prompt.queryAfter, true}};
  MSA_TRY(encode(pieces, out.ids));
  out.numbers.assign(out.ids.size(), kQuery);
  out.ids.insert(out.ids.end(), tail.begin(), tail.end());
  out.numbers.insert(out.numbers.end(), config.prompt.tailDoc.begin(), config.prompt.tailDoc.end());
  return {};
}

Status Prompts::questionFromIds(std::span<const int32_t> ids, Prompt &out) const {
  out.ids.assign(ids.begin(), ids.end());
  out.numbers.assign(ids.size(), kQuery);
  if (config.kind == ModelConfig::Kind::kDecoder && ids.size() > tail.size() &&
      std::equal(tail.begin(), tail.end(), ids.end() - ptrdiff_t(tail.size())))
    std::copy(config.prompt.tailDoc.begin(), config.prompt.tailDoc.end(), out.numbers.end() - ptrdiff_t(tail.size()));
  return {};
}

Status Prompts::append(std::string_view question, std::vector<int32_t> &out) const {
  PatternValue values[] = {{"prompt", question, false}};
  std::vector<Piece> pieces;
  fillPattern(config.interleave->append, values, pieces);
  return encode(pieces, out);
}

bool Prompts::isControl(int32_t id) const {
  std::string text;
  std::vector<int32_t> trusted, ordinary;
  return tokenizer.decode({&id, 1}, false, text).ok() && tokenizer.encode(text, trusted).ok() &&
         tokenizer.encodeOrdinary(text, ordinary).ok() && trusted.size() == 1 && trusted[0] == id && ordinary != trusted;
}

Status Prompts::generatedPieces(std::span<const int32_t> ids, std::vector<Piece> &out) const {
  for (size_t at = 0; at < ids.size();) {
    size_t end = at;
    while (end < ids.size() && !isControl(ids[end]))
      ++end;
    bool control = end == at;
    end += control;
    std::string text;
    MSA_TRY(tokenizer.decode(ids.subspan(at, end - at), false, text));
    if (!text.empty())
      out.push_back({std::move(text), control});
    at = end;
  }
  return {};
}

Conversation::Conversation(const Prompts &prompts, std::string_view question) : prompts(prompts) {
  const ModelConfig::Template &t = prompts.config.prompt;
  pieces = {{t.queryBefore, true}, {std::string(question), false}, {t.queryAfter, true}, {t.tail, true}};
}

Status Conversation::addRound(std::span<const int32_t> generated, std::span<const Quote> quotes) {
  const ModelConfig::Interleave &rule = *prompts.config.interleave;
  size_t before = pieces.size();
  MSA_TRY(prompts.generatedPieces(generated, pieces));
  bool bracket = pieces.size() >= before + 2 && !pieces[pieces.size() - 2].text.empty() && pieces[pieces.size() - 2].text.back() == ']';
  size_t begin = pieces.size();
  for (const Quote &quote : quotes) {
    std::string digits = std::to_string(quote.number);
    PatternValue values[] = {{"number", digits, true}, {"text", quote.text, false}};
    fillPattern(rule.document, values, pieces);
  }
  if (bracket) {
    quoteBegin = begin;
    quoteEnd = pieces.size();
  }
  pieces.push_back({rule.delimiter, true});
  return {};
}

Status Conversation::prompt(Prompt &out) const {
  const std::string &mark = prompts.config.interleave->questionMark;
  MSA_TRY(prompts.encode(pieces, out.ids));
  out.numbers.assign(out.ids.size(), kGenerated);

  // Up to and with the mark: as many tokens as that beginning has when it is tokenised alone.
  std::string whole;
  for (const Piece &piece : pieces)
    whole += piece.text;
  std::vector<int32_t> part;
  if (size_t found = whole.find(mark); found != std::string::npos) {
    size_t left = found + mark.size();
    std::vector<Piece> beginning;
    for (const Piece &piece : pieces) {
      size_t take = std::min(left, piece.text.size());
      beginning.push_back({piece.text.substr(0, take), piece.trusted});
      left -= take;
      if (!left)
        break;
    }
    MSA_TRY(prompts.encode(beginning, part));
    std::fill_n(out.numbers.begin(), std::min(part.size(), out.numbers.size()), kQuery);
  }

  // The quoted documents lie between two control tokens, so what is before them has the same tokens alone.
  if (quoteBegin != quoteEnd) {
    MSA_TRY(prompts.encode(std::span(pieces).first(quoteBegin), part));
    size_t begin = part.size();
    MSA_TRY(prompts.encode(std::span(pieces).first(quoteEnd), part));
    size_t end = std::min(part.size(), out.numbers.size());
    for (size_t i = begin; i < end; ++i)
      out.numbers[i] = kQuery;
  }
  return {};
}

} // namespace msa::gen

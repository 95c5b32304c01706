// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/Tokenizer.h"

#include "runtime/tokenizer/AddedTokens.h"
#include "runtime/tokenizer/BytePairModel.h"
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/PostProcessor.h"
#include "runtime/tokenizer/PreTokenizer.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"
#include "runtime/tokenizer/VocabTable.h"
#include "runtime/tokenizer/WordPieceModel.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <new>

namespace msa::rt {

using namespace tok;
using nlohmann::json;

// Working memory is a few dozen bytes for every byte of text; documents of this size are encoded in parts by their
// owner.
static constexpr size_t kMaxTextBytes = size_t(128) << 20;

/// Runs |body|, turning what the standard library throws into a status: nothing is thrown across the interface.
template <typename Body> static Status guarded(Body &&body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return Status(msa_status_create(MSA_OUT_OF_MEMORY, "out of memory in the tokenizer"));
  } catch (const std::exception &error) {
    return Status(msa_status_create(MSA_PROGRAM_FAILED, error.what()));
  }
}

struct Tokenizer::Implementation {
  VocabTable vocab;
  Normalizer normalizer;
  PreTokenizer preTokenizer;
  AddedTokens addedTokens;
  Decoder decoder;
  PostProcessor postProcessor;
  bool isWordPiece = false;
  BytePairModel bytePair;
  WordPieceModel wordPiece;
  std::vector<std::string_view> tokenOfId; // empty: none
  std::vector<bool> special;

  Status load(std::string_view bytes);
  Status loadVocab(TokenizerFile &file);
  Status loadModel(const TokenizerFile &file, const json &section);
  Status indexIds();
  void forbidAddedTokens();

  Status encode(std::span<const Segment> segments, std::vector<int32_t> &out) const;
  void encodePieces(std::span<const std::string_view> pieces, bool restricted, BytePairModel::Scratch &scratch,
                    std::vector<int32_t> &out) const;
};

Status Tokenizer::Implementation::load(std::string_view bytes) {
  TokenizerFile file;
  MSA_TRY(readTokenizerFile(bytes, file));
  Status status;
  ObjectReader reader(file.tree, "", status);
  std::string version = reader.string("version", "1.0");
  if (status.ok() && version != "1.0")
    return unsupported("version: expected '1.0', found " + inQuotes(version));
  reader.ignore("truncation");
  reader.ignore("padding");
  const json *model = reader.optional("model");
  const json *normalizerSection = reader.optional("normalizer");
  const json *preTokenizerSection = reader.optional("pre_tokenizer");
  const json *postProcessorSection = reader.optional("post_processor");
  const json *decoderSection = reader.optional("decoder");
  const json *addedSection = reader.optional("added_tokens");
  reader.finish();
  MSA_TRY(std::move(status));
  if (!model)
    return fileError("model: expected an object, found nothing");

  MSA_TRY(normalizer.load(normalizerSection, "normalizer"));
  MSA_TRY(preTokenizer.load(preTokenizerSection, "pre_tokenizer"));
  MSA_TRY(decoder.load(decoderSection));
  MSA_TRY(loadVocab(file));
  MSA_TRY(loadModel(file, *model));
  MSA_TRY(addedTokens.load(addedSection, vocab, normalizer));
  MSA_TRY(indexIds());
  MSA_TRY(postProcessor.load(postProcessorSection, "post_processor", static_cast<uint32_t>(tokenOfId.size())));
  forbidAddedTokens();
  return {};
}

Status Tokenizer::Implementation::loadVocab(TokenizerFile &file) {
  if (!file.hasVocab)
    return fileError("model.vocab: expected an object from token to number");
  size_t culprit = 0;
  switch (vocab.build(std::move(file.vocabText), std::move(file.vocab), culprit)) {
  case VocabTable::Problem::None:
    return {};
  case VocabTable::Problem::DuplicateText:
    return fileError("model.vocab: token " + inQuotes(vocab.token(vocab.entry(culprit))) + " appears twice");
  case VocabTable::Problem::TooManyCollisions:
    return fileError("model.vocab: too many tokens with the same hash");
  }
  return {};
}

Status Tokenizer::Implementation::loadModel(const TokenizerFile &file, const json &section) {
  Status status;
  ObjectReader reader(section, "model", status);
  // Old files do not say which model it is; only BPE has merges.
  std::string type = reader.string("type", file.hasMerges ? "BPE" : "WordPiece");
  MSA_TRY(std::move(status));
  reader.ignore("vocab");
  if (type == "BPE") {
    reader.ignore("merges");
    if (!file.hasMerges)
      return fileError("model.merges: expected an array of merges");
    MSA_TRY(bytePair.load(file, reader, vocab, preTokenizer.isByteLevel()));
  } else if (type == "WordPiece") {
    isWordPiece = true;
    if (preTokenizer.isByteLevel())
      return unsupported("pre_tokenizer: ByteLevel is not supported with WordPiece");
    MSA_TRY(wordPiece.load(reader, vocab));
  } else {
    return unsupported("model.type: " + inQuotes(type) + " is not supported, only 'BPE' and 'WordPiece' are");
  }
  reader.finish();
  return status;
}

Status Tokenizer::Implementation::indexIds() {
  // A table by id needs ids that are not scattered over the numbers.
  size_t limit = 65536 + 8 * (vocab.size() + addedTokens.all().size());
  size_t count = 0;
  for (size_t i = 0; i < vocab.size(); ++i) {
    const VocabTable::Entry &entry = vocab.entry(i);
    if (entry.id >= limit)
      return fileError("model.vocab[" + inQuotes(vocab.token(entry)) + "]: expected a number below " +
                       std::to_string(limit) + " in a vocabulary of this size, found " + std::to_string(entry.id));
    count = std::max<size_t>(count, size_t(entry.id) + 1);
  }
  for (size_t i = 0; i < addedTokens.all().size(); ++i) {
    uint32_t id = addedTokens.all()[i].id;
    if (id >= limit)
      return fileError("added_tokens[" + std::to_string(i) + "].id: expected a number below " + std::to_string(limit) +
                       " in a vocabulary of this size, found " + std::to_string(id));
    count = std::max<size_t>(count, size_t(id) + 1);
  }

  tokenOfId.assign(count, {});
  special.assign(count, false);
  std::vector<bool> taken(count);
  for (size_t i = 0; i < vocab.size(); ++i) {
    const VocabTable::Entry &entry = vocab.entry(i);
    if (taken[entry.id])
      return fileError("model.vocab[" + inQuotes(vocab.token(entry)) + "]: number " + std::to_string(entry.id) +
                       " already belongs to " + inQuotes(tokenOfId[entry.id]));
    taken[entry.id] = true;
    tokenOfId[entry.id] = vocab.token(entry);
  }
  for (size_t i = 0; i < addedTokens.all().size(); ++i) {
    const AddedToken &token = addedTokens.all()[i];
    if (taken[token.id] && tokenOfId[token.id] != token.content)
      return fileError("added_tokens[" + std::to_string(i) + "].id: number " + std::to_string(token.id) +
                       " already belongs to " + inQuotes(tokenOfId[token.id]));
    taken[token.id] = true;
    tokenOfId[token.id] = token.content;
    special[token.id] = token.special;
  }
  return {};
}

void Tokenizer::Implementation::forbidAddedTokens() {
  std::vector<bool> forbidden(tokenOfId.size());
  for (const AddedToken &token : addedTokens.all()) {
    size_t position = 0;
    nextCharacter(token.content, position);
    if (token.special || position < token.content.size())
      forbidden[token.id] = true;
  }
  if (isWordPiece)
    wordPiece.forbid(std::move(forbidden));
  else
    bytePair.forbid(std::move(forbidden));
}

void Tokenizer::Implementation::encodePieces(std::span<const std::string_view> pieces, bool restricted,
                                             BytePairModel::Scratch &scratch, std::vector<int32_t> &out) const {
  for (std::string_view piece : pieces) {
    if (isWordPiece)
      wordPiece.encode(piece, restricted, out);
    else
      bytePair.encode(piece, restricted, scratch, out);
  }
}

Status Tokenizer::Implementation::encode(std::span<const Segment> segments, std::vector<int32_t> &out) const {
  out.clear();
  std::string text;
  AddedTokens::Ranges trusted, untrusted;
  for (const Segment &segment : segments) {
    if (segment.text.size() > kMaxTextBytes - std::min(kMaxTextBytes, text.size()))
      return Status(msa_status_create(
          MSA_INVALID_ARGUMENT,
          ("tokenizer: expected text of at most " + std::to_string(kMaxTextBytes) + " bytes").c_str()));
    // Repaired one by one, so that a text cannot change how the next one reads.
    size_t start = text.size();
    appendRepaired(segment.text, text);
    if (text.size() == start)
      continue;
    auto &ranges = segment.trusted ? trusted : untrusted;
    if (!ranges.empty() && ranges.back().second == start)
      ranges.back().second = text.size();
    else
      ranges.emplace_back(start, text.size());
  }

  BytePairModel::Scratch scratch;
  std::vector<std::string_view> pieces;
  size_t nextUntrusted = 0;
  for (const AddedTokens::Part &part : addedTokens.find(text, trusted, /*normalized=*/false)) {
    if (part.token) {
      out.push_back(static_cast<int32_t>(part.token->id));
      continue;
    }
    while (nextUntrusted < untrusted.size() && untrusted[nextUntrusted].second <= part.start)
      ++nextUntrusted;
    bool restricted = nextUntrusted < untrusted.size() && untrusted[nextUntrusted].first < part.end;
    std::string normalized = text.substr(part.start, part.end - part.start);
    normalizer.apply(normalized);
    AddedTokens::Ranges all;
    if (!restricted)
      all.emplace_back(0, normalized.size());
    for (const AddedTokens::Part &inner : addedTokens.find(normalized, all, /*normalized=*/true)) {
      if (inner.token) {
        out.push_back(static_cast<int32_t>(inner.token->id));
        continue;
      }
      std::deque<std::string> storage;
      std::string_view ordinary = std::string_view(normalized).substr(inner.start, inner.end - inner.start);
      if (Status status = preTokenizer.split(ordinary, pieces, storage); !status.ok()) {
        out.clear();
        return status;
      }
      encodePieces(pieces, restricted, scratch, out);
    }
  }
  return {};
}

Tokenizer::Tokenizer(std::unique_ptr<Implementation> loaded) : implementation(std::move(loaded)) {}
Tokenizer::~Tokenizer() = default;

Status Tokenizer::load(std::string_view json, std::unique_ptr<const Tokenizer> &out) {
  out.reset();
  return guarded([&]() -> Status {
    auto implementation = std::make_unique<Implementation>();
    MSA_TRY(implementation->load(json));
    out.reset(new Tokenizer(std::move(implementation)));
    return {};
  });
}

Status Tokenizer::encode(std::string_view text, std::vector<int32_t> &out) const {
  Segment segment = {text, true};
  return encodeSegments({&segment, 1}, out);
}

Status Tokenizer::encodeOrdinary(std::string_view text, std::vector<int32_t> &out) const {
  Segment segment = {text, false};
  return encodeSegments({&segment, 1}, out);
}

Status Tokenizer::encodeSegments(std::span<const Segment> segments, std::vector<int32_t> &out) const {
  Status status = guarded([&] { return implementation->encode(segments, out); });
  if (!status.ok())
    out.clear();
  return status;
}

Status Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecial, std::string &out) const {
  out.clear();
  Status status = guarded([&]() -> Status {
    StreamDecoder decoder(*this, skipSpecial);
    for (int32_t id : ids)
      MSA_TRY(decoder.append(id, out));
    return decoder.finish(out);
  });
  if (!status.ok())
    out.clear();
  return status;
}

std::optional<int32_t> Tokenizer::tokenToId(std::string_view token) const {
  for (const AddedToken &added : implementation->addedTokens.all())
    if (added.content == token)
      return static_cast<int32_t>(added.id);
  if (auto id = implementation->vocab.find(token))
    return static_cast<int32_t>(*id);
  return std::nullopt;
}

std::string_view Tokenizer::idToToken(int32_t id) const {
  const auto &tokens = implementation->tokenOfId;
  return id >= 0 && size_t(id) < tokens.size() ? tokens[size_t(id)] : std::string_view();
}

bool Tokenizer::isSpecial(int32_t id) const {
  const auto &special = implementation->special;
  return id >= 0 && size_t(id) < special.size() && special[size_t(id)];
}

int32_t Tokenizer::vocabSize() const { return static_cast<int32_t>(implementation->tokenOfId.size()); }

std::span<const int32_t> Tokenizer::templatePrefix() const { return implementation->postProcessor.prefix; }
std::span<const int32_t> Tokenizer::templateSuffix() const { return implementation->postProcessor.suffix; }

Status StreamDecoder::append(int32_t id, std::string &out) {
  return guarded([&]() -> Status {
    if (id < 0)
      return Status(msa_status_create(
          MSA_INVALID_ARGUMENT, ("tokenizer: expected an id of at least 0, found " + std::to_string(id)).c_str()));
    std::string_view token = tokenizer.idToToken(id);
    if (!token.empty() && !(skipSpecial && tokenizer.isSpecial(id)))
      tokenizer.implementation->decoder.append(token, state, out);
    return {};
  });
}

Status StreamDecoder::finish(std::string &out) {
  return guarded([&]() -> Status {
    tokenizer.implementation->decoder.finish(state, out);
    return {};
  });
}

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0
//
// The C interface over Tokenizer. Checks arguments and keeps exceptions in.

#include "msa/tokenizer.h"

#include "runtime/tokenizer/Tokenizer.h"

#include <atomic>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

using msa::rt::Status;
using msa::rt::StreamDecoder;
using msa::rt::Tokenizer;

struct msa_tokenizer {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::atomic<uint32_t> owners{1};
};

struct msa_token_list {
  std::vector<int32_t> ids;
};

struct msa_text_decoder {
  msa_tokenizer *tokenizer; // retained
  StreamDecoder decoder;
  std::string text; // of the last call
};

static msa_status *invalid(const char *message) { return msa_status_create(MSA_INVALID_ARGUMENT, message); }
static msa_status *outOfMemory() { return msa_status_create(MSA_OUT_OF_MEMORY, "out of memory in the tokenizer"); }

msa_status *msa_tokenizer_create(const void *json, size_t size, msa_tokenizer **out_tokenizer) {
  if (!out_tokenizer)
    return invalid("msa_tokenizer_create: out_tokenizer is null");
  *out_tokenizer = nullptr;
  if (!json && size != 0)
    return invalid("msa_tokenizer_create: json is null");
  auto *handle = new (std::nothrow) msa_tokenizer;
  if (!handle)
    return outOfMemory();
  Status status = Tokenizer::load(std::string_view(static_cast<const char *>(json), size), handle->tokenizer);
  if (!status.ok()) {
    delete handle;
    return status.release();
  }
  *out_tokenizer = handle;
  return nullptr;
}

msa_tokenizer *msa_tokenizer_retain(msa_tokenizer *tokenizer) {
  if (tokenizer)
    tokenizer->owners.fetch_add(1, std::memory_order_relaxed);
  return tokenizer;
}

void msa_tokenizer_release(msa_tokenizer *tokenizer) {
  if (tokenizer && tokenizer->owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
    delete tokenizer;
}

int32_t msa_tokenizer_vocab_size(const msa_tokenizer *tokenizer) { return tokenizer->tokenizer->vocabSize(); }

bool msa_tokenizer_find(const msa_tokenizer *tokenizer, const char *token, size_t length, int32_t *out_id) {
  auto id = tokenizer->tokenizer->tokenToId(std::string_view(token, length));
  if (id && out_id)
    *out_id = *id;
  return id.has_value();
}

const char *msa_tokenizer_token(const msa_tokenizer *tokenizer, int32_t id, size_t *out_length) {
  std::string_view token = tokenizer->tokenizer->idToToken(id);
  if (out_length)
    *out_length = token.size();
  return token.empty() ? nullptr : token.data();
}

bool msa_tokenizer_is_special(const msa_tokenizer *tokenizer, int32_t id) {
  return tokenizer->tokenizer->isSpecial(id);
}

const int32_t *msa_tokenizer_template_prefix(const msa_tokenizer *tokenizer, size_t *out_count) {
  std::span<const int32_t> ids = tokenizer->tokenizer->templatePrefix();
  *out_count = ids.size();
  return ids.data();
}

const int32_t *msa_tokenizer_template_suffix(const msa_tokenizer *tokenizer, size_t *out_count) {
  std::span<const int32_t> ids = tokenizer->tokenizer->templateSuffix();
  *out_count = ids.size();
  return ids.data();
}

msa_status *msa_tokenizer_encode(const msa_tokenizer *tokenizer, const char *text, size_t length,
                                 msa_tokenizer_trust trust, msa_token_list **out_tokens) {
  msa_tokenizer_segment segment = {text, length, trust};
  return msa_tokenizer_encode_segments(tokenizer, &segment, 1, out_tokens);
}

static msa_status *encodeSegments(const msa_tokenizer *tokenizer, const msa_tokenizer_segment *segments, size_t count,
                                  std::vector<int32_t> &out) {
  try {
    std::vector<Tokenizer::Segment> texts;
    texts.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const msa_tokenizer_segment &segment = segments[i];
      if (!segment.text && segment.length != 0)
        return invalid(("segment " + std::to_string(i) + ": text is null").c_str());
      // From C any number may stand there, and reading it as the enumeration would be undefined.
      std::underlying_type_t<msa_tokenizer_trust> trust;
      std::memcpy(&trust, &segment.trust, sizeof trust);
      if (trust != MSA_TOKENIZER_ORDINARY && trust != MSA_TOKENIZER_TRUSTED)
        return invalid(("segment " + std::to_string(i) + ": expected trust 0 or 1").c_str());
      texts.push_back({std::string_view(segment.text, segment.length), trust == MSA_TOKENIZER_TRUSTED});
    }
    return tokenizer->tokenizer->encodeSegments(texts, out).release();
  } catch (const std::exception &) { // bad_alloc, or length_error from a count that no memory could hold
    return outOfMemory();
  }
}

msa_status *msa_tokenizer_encode_segments(const msa_tokenizer *tokenizer, const msa_tokenizer_segment *segments,
                                          size_t segment_count, msa_token_list **out_tokens) {
  if (!out_tokens)
    return invalid("msa_tokenizer_encode: out_tokens is null");
  *out_tokens = nullptr;
  if (!tokenizer || (!segments && segment_count != 0))
    return invalid("msa_tokenizer_encode: tokenizer or segments is null");
  auto *list = new (std::nothrow) msa_token_list;
  if (!list)
    return outOfMemory();
  if (msa_status *status = encodeSegments(tokenizer, segments, segment_count, list->ids)) {
    delete list;
    return status;
  }
  *out_tokens = list;
  return nullptr;
}

void msa_token_list_release(msa_token_list *tokens) { delete tokens; }
size_t msa_token_list_count(const msa_token_list *tokens) { return tokens->ids.size(); }
const int32_t *msa_token_list_ids(const msa_token_list *tokens) {
  return tokens->ids.empty() ? nullptr : tokens->ids.data();
}

msa_status *msa_text_decoder_create(msa_tokenizer *tokenizer, bool skip_special, msa_text_decoder **out_decoder) {
  if (!out_decoder)
    return invalid("msa_text_decoder_create: out_decoder is null");
  *out_decoder = nullptr;
  if (!tokenizer)
    return invalid("msa_text_decoder_create: tokenizer is null");
  auto *decoder =
      new (std::nothrow) msa_text_decoder{tokenizer, StreamDecoder(*tokenizer->tokenizer, skip_special), std::string()};
  if (!decoder)
    return outOfMemory();
  msa_tokenizer_retain(tokenizer);
  *out_decoder = decoder;
  return nullptr;
}

void msa_text_decoder_release(msa_text_decoder *decoder) {
  if (!decoder)
    return;
  msa_tokenizer *tokenizer = decoder->tokenizer;
  delete decoder;
  msa_tokenizer_release(tokenizer);
}

msa_status *msa_text_decoder_append(msa_text_decoder *decoder, const int32_t *ids, size_t count, const char **out_text,
                                    size_t *out_length) {
  if (!decoder || !out_text || !out_length || (!ids && count != 0))
    return invalid("msa_text_decoder_append: an argument is null");
  decoder->text.clear();
  Status status;
  for (size_t i = 0; i < count && status.ok(); ++i)
    status = decoder->decoder.append(ids[i], decoder->text);
  *out_text = decoder->text.c_str();
  *out_length = decoder->text.size();
  return status.release();
}

msa_status *msa_text_decoder_finish(msa_text_decoder *decoder, const char **out_text, size_t *out_length) {
  if (!decoder || !out_text || !out_length)
    return invalid("msa_text_decoder_finish: an argument is null");
  decoder->text.clear();
  Status status = decoder->decoder.finish(decoder->text);
  *out_text = decoder->text.c_str();
  *out_length = decoder->text.size();
  return status.release();
}

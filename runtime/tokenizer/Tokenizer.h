// SPDX-License-Identifier: Apache-2.0
//
// Text to token ids and back, as a Hugging Face tokenizer.json describes it.

#ifndef MSA_RUNTIME_TOKENIZER_TOKENIZER_H
#define MSA_RUNTIME_TOKENIZER_TOKENIZER_H

#include "runtime/status.h"
#include "runtime/tokenizer/Decoder.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace msa::rt {

/// Immutable once loaded; any number of threads may use one tokenizer at once.
///
/// Text may be any bytes: each maximal part that is not UTF-8 counts as U+FFFD. No function throws; on failure |out| is
/// left empty. Running out of memory is a failure too.
class Tokenizer {
public:
  /// A part of a text. In a part that is not trusted, what is written like an added token is just text.
  struct Segment {
    std::string_view text;
    bool trusted;
  };

  /// Reads the bytes of a tokenizer.json, which are not needed afterwards. What the file asks for and this library
  /// cannot do is an error that names the place in the file. "truncation" and "padding" are not applied.
  static Status load(std::string_view json, std::unique_ptr<const Tokenizer> &out);
  ~Tokenizer();

  /// Ids of |text|. Added tokens written in it are recognised; none are put around it.
  Status encode(std::string_view text, std::vector<int32_t> &out) const;

  /// Ids of text whose origin is not trusted: neither recognising nor merging leads to an added token, so text that
  /// spells a control token never becomes one. (The unknown token stands for what the vocabulary lacks, as ever. An
  /// added token of one character that is not special stays an ordinary letter.)
  Status encodeOrdinary(std::string_view text, std::vector<int32_t> &out) const;

  /// Ids of the concatenated |segments|, merged across their seams as one text, with added tokens recognised where they
  /// lie wholly in neighbouring trusted ones. A piece of text that touches an untrusted segment is encoded as by
  /// encodeOrdinary.
  Status encodeSegments(std::span<const Segment> segments, std::vector<int32_t> &out) const;

  /// Text of |ids|, always valid UTF-8: incomplete characters become U+FFFD. Ids that have no token (a model may have
  /// more rows than its tokenizer tokens) add nothing; negative ids are an error.
  Status decode(std::span<const int32_t> ids, bool skipSpecial, std::string &out) const;

  std::optional<int32_t> tokenToId(std::string_view token) const;
  /// As it stands in the file, bytes spelled out; empty when |id| has no token. Lives as long as the tokenizer.
  std::string_view idToToken(int32_t id) const;
  /// Whether decode leaves |id| out when asked to skip special tokens.
  bool isSpecial(int32_t id) const;
  /// The highest id plus one.
  int32_t vocabSize() const;

  /// What the file's post-processor puts before and behind a single text, as [CLS] and [SEP]; the encode functions do
  /// not.
  std::span<const int32_t> templatePrefix() const;
  std::span<const int32_t> templateSuffix() const;

private:
  friend class StreamDecoder;
  struct Implementation;
  explicit Tokenizer(std::unique_ptr<Implementation> implementation);

  std::unique_ptr<Implementation> implementation;
};

/// Decodes ids as they are generated. One thread at a time. All that append and finish gave, together, is what
/// Tokenizer::decode gives for all ids.
class StreamDecoder {
public:
  /// |tokenizer| must outlive the decoder.
  StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial) : tokenizer(tokenizer), skipSpecial(skipSpecial) {}

  /// Appends to |out| the text that |id| completes; bytes of a character that is not complete are held back.
  Status append(int32_t id, std::string &out);
  /// Appends what is held back, as U+FFFD where it is incomplete, and starts anew.
  Status finish(std::string &out);

private:
  const Tokenizer &tokenizer;
  bool skipSpecial;
  tok::Decoder::State state;
};

} // namespace msa::rt

#endif // MSA_RUNTIME_TOKENIZER_TOKENIZER_H

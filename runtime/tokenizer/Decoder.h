// SPDX-License-Identifier: Apache-2.0
//
// The "decoder" section of a tokenizer.json: how tokens become text again, one token at a time.

#ifndef MSA_RUNTIME_TOKENIZER_DECODER_H
#define MSA_RUNTIME_TOKENIZER_DECODER_H

#include "runtime/status.h"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace msa::rt::tok {

/// Immutable once loaded, thread-safe.
class Decoder {
public:
  /// What has to be remembered between tokens.
  struct State {
    bool first = true;
    std::string held; // bytes that are not text yet
  };

  /// |section|: null (tokens are joined by spaces), or the object. Supported: ByteLevel, WordPiece, ByteFallback, Fuse
  /// and a Sequence of the last two.
  Status load(const nlohmann::json *section);

  /// Appends what |token| adds to the text. Bytes that may be the beginning of a character are held back.
  void append(std::string_view token, State &state, std::string &out) const;
  /// Appends what is held back; incomplete characters become U+FFFD.
  void finish(State &state, std::string &out) const;

private:
  enum class Kind { JoinBySpace, Join, ByteLevel, WordPiece, ByteFallback };

  Status loadPart(const nlohmann::json &section, const std::string &path, bool inSequence);

  Kind kind = Kind::JoinBySpace;
  std::string prefix; // WordPiece
  bool cleanUp = false;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_DECODER_H

// SPDX-License-Identifier: Apache-2.0
//
// The "pre_tokenizer" section of a tokenizer.json: how text is split before the model sees it.

#ifndef MSA_RUNTIME_TOKENIZER_PRETOKENIZER_H
#define MSA_RUNTIME_TOKENIZER_PRETOKENIZER_H

#include "runtime/status.h"
#include "runtime/tokenizer/Regex.h"

#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace msa::rt::tok {

/// Immutable once loaded, thread-safe.
class PreTokenizer {
public:
  /// |section|: null, or the object at |path|. Supported: Sequence, Split, ByteLevel (last in a sequence),
  /// BertPreTokenizer, WhitespaceSplit, Punctuation, Digits.
  Status load(const nlohmann::json *section, const std::string &path);

  /// The model sees bytes instead of characters (ByteLevel).
  bool isByteLevel() const { return byteLevel; }

  /// Splits |text| (valid UTF-8) into the non-empty |pieces|, which are parts of |text| or of |storage|.
  Status split(std::string_view text, std::vector<std::string_view> &pieces, std::deque<std::string> &storage) const;

private:
  enum class Kind { Expression, Literal, Bert, WhitespaceSplit, Punctuation, Digits, PrefixSpace };
  enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };
  struct Stage {
    Kind kind;
    Behavior behavior = Behavior::Isolated;
    bool invert = false;
    std::string literal;
    Regex regex;
  };
  struct Part {
    size_t start, end;
    bool matches;
  };

  Status loadBehavior(std::string_view name, const std::string &path, Behavior &out);
  Status splitPiece(const Stage &stage, std::string_view piece, std::vector<Part> &parts,
                    std::vector<std::string_view> &out) const;

  std::vector<Stage> stages;
  bool byteLevel = false;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_PRETOKENIZER_H

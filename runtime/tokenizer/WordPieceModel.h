// SPDX-License-Identifier: Apache-2.0
//
// WordPiece: a word is cut into the longest tokens of the vocabulary from left to right; all but the first carry a
// prefix.

#ifndef MSA_RUNTIME_TOKENIZER_WORDPIECEMODEL_H
#define MSA_RUNTIME_TOKENIZER_WORDPIECEMODEL_H

#include "runtime/status.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/VocabTable.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace msa::rt::tok {

/// Immutable once loaded, thread-safe.
class WordPieceModel {
public:
  /// |vocab| must outlive the model.
  Status load(ObjectReader &section, const VocabTable &vocab);

  void forbid(std::vector<bool> ids) { forbidden = std::move(ids); }
  /// The token of a word that the vocabulary cannot spell.
  uint32_t unknownId() const { return unknown; }

  /// Appends the tokens of |word|. |restricted|: never a forbidden one but the unknown token.
  void encode(std::string_view word, bool restricted, std::vector<int32_t> &out) const;

private:
  const VocabTable *vocab = nullptr;
  std::string prefix;
  uint64_t prefixHash = 0;
  uint32_t maxCharacters = 100; // a longer word is unknown
  uint32_t unknown = 0;
  size_t longestToken = 0; // bytes
  std::vector<bool> forbidden;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_WORDPIECEMODEL_H

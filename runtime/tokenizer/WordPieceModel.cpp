// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/WordPieceModel.h"

#include "runtime/tokenizer/Utf8.h"

#include <algorithm>

namespace msa::rt::tok {

// Longer tokens would make the search for the longest one slow; published ones stay below 100 bytes.
constexpr size_t kLongestSearched = 256;

Status WordPieceModel::load(ObjectReader &section, const VocabTable &table) {
  vocab = &table;
  prefix = section.string("continuing_subword_prefix", "##");
  const uint32_t usual = 100;
  maxCharacters = section.number("max_input_chars_per_word", UINT32_MAX - 1, &usual);
  std::string text = section.string("unk_token", "[UNK]");
  auto id = table.find(text);
  if (!id)
    return fileError(section.pathOf("unk_token") + ": " + inQuotes(text) + " is not in the vocabulary");
  unknown = *id;
  prefixHash = table.startHash();
  for (char byte : prefix)
    prefixHash = VocabTable::extendHash(prefixHash, byte);
  for (size_t i = 0; i < table.size(); ++i)
    longestToken = std::max<size_t>(longestToken, table.entry(i).length);
  if (longestToken > kLongestSearched)
    return unsupported(section.pathOf("vocab") + ": expected tokens of at most " + std::to_string(kLongestSearched) +
                       " bytes with WordPiece, found one of " + std::to_string(longestToken));
  return {};
}

void WordPieceModel::encode(std::string_view word, bool restricted, std::vector<int32_t> &out) const {
  size_t before = out.size();
  auto giveUp = [&] {
    out.resize(before);
    out.push_back(static_cast<int32_t>(unknown));
  };
  auto isContinuation = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; };
  size_t characters = word.size() - static_cast<size_t>(std::count_if(word.begin(), word.end(), isContinuation));
  if (characters > maxCharacters)
    return giveUp();

  for (size_t start = 0; start < word.size();) {
    std::string_view head = start == 0 ? std::string_view() : std::string_view(prefix);
    uint64_t hash = start == 0 ? vocab->startHash() : prefixHash;
    size_t limit = std::min(word.size(), start + longestToken);
    size_t bestEnd = 0;
    uint32_t best = 0;
    for (size_t end = start; end < limit;) {
      do
        hash = VocabTable::extendHash(hash, word[end++]);
      while (end < word.size() && isContinuation(word[end]));
      auto id = vocab->find(hash, head, word.substr(start, end - start));
      if (id && !(restricted && *id < forbidden.size() && forbidden[*id])) {
        bestEnd = end;
        best = *id;
      }
    }
    if (bestEnd == 0)
      return giveUp();
    out.push_back(static_cast<int32_t>(best));
    start = bestEnd;
  }
}

} // namespace msa::rt::tok

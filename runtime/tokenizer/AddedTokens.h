// SPDX-License-Identifier: Apache-2.0
//
// The "added_tokens" section of a tokenizer.json: texts that stand for one token wherever they occur, control tokens
// among them.

#ifndef MSA_RUNTIME_TOKENIZER_ADDEDTOKENS_H
#define MSA_RUNTIME_TOKENIZER_ADDEDTOKENS_H

#include "runtime/status.h"

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace msa::rt::tok {

class Normalizer;
class VocabTable;

struct AddedToken {
  std::string content;
  uint32_t id;
  bool singleWord; // only where no word character stands next to it
  bool lstrip;     // takes the whitespace before it along
  bool rstrip;     // takes the whitespace behind it along
  bool normalized; // is looked for in normalized text, normalized itself
  bool special;    // left out when decoding asks for that
};

/// Immutable once loaded, thread-safe.
class AddedTokens {
public:
  /// A part of a text: an added token, or (token null) what lies between.
  struct Part {
    size_t start, end;
    const AddedToken *token;
  };
  using Ranges = std::vector<std::pair<size_t, size_t>>;

  /// |section|: null, or the array.
  Status load(const nlohmann::json *section, const VocabTable &vocab, const Normalizer &normalizer);

  const std::vector<AddedToken> &all() const { return tokens; }
  bool hasNormalized() const { return !normalizedNodes.empty(); }

  /// Cuts |text| at the longest tokens, from left to right, that lie wholly within one of |ranges| (ordered, disjoint).
  /// |normalized|: looks for the tokens of that kind, else for the others.
  std::vector<Part> find(std::string_view text, const Ranges &ranges, bool normalized) const;

private:
  /// A trie. Children of a node are a linked list; the root's are a table.
  struct Node {
    uint32_t firstChild = 0, nextSibling = 0; // 0: none
    int32_t token = -1;                       // that ends here
    unsigned char byte = 0;
  };
  using Nodes = std::vector<Node>;

  static void insert(Nodes &nodes, std::string_view text, int32_t token);
  static uint32_t child(const Nodes &nodes, uint32_t node, char byte);

  std::vector<AddedToken> tokens;
  Nodes plainNodes, normalizedNodes;
  std::array<bool, 256> plainStarts = {}, normalizedStarts = {}; // first bytes
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_ADDEDTOKENS_H

// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/AddedTokens.h"

#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <map>

namespace msa::rt::tok {

using nlohmann::json;

// Bounds the time of a search: every byte of a text may start a walk of this length.
constexpr size_t kMaxAddedTokenBytes = 256;

Status AddedTokens::load(const json *section, const VocabTable &vocab, const Normalizer &normalizer) {
  if (!section)
    return {};
  if (!section->is_array())
    return fileError("added_tokens: expected an array");
  std::map<std::string, uint32_t, std::less<>> idOf;
  std::map<uint32_t, size_t> indexOf;
  tokens.reserve(section->size());
  for (size_t i = 0; i < section->size(); ++i) {
    std::string path = "added_tokens[" + std::to_string(i) + "]";
    Status status;
    ObjectReader reader((*section)[i], path, status);
    AddedToken token;
    token.id = reader.number("id", UINT32_MAX - 1);
    token.content = reader.string("content");
    token.singleWord = reader.boolean("single_word");
    token.lstrip = reader.boolean("lstrip");
    token.rstrip = reader.boolean("rstrip");
    token.normalized = reader.boolean("normalized");
    token.special = reader.boolean("special");
    reader.finish();
    if (!status.ok())
      return status;
    if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes)
      return fileError(path + ".content: expected 1 to " + std::to_string(kMaxAddedTokenBytes) + " bytes, found " +
                       std::to_string(token.content.size()));
    if (auto known = vocab.find(token.content); known && *known != token.id)
      return fileError(path + ".id: " + inQuotes(token.content) + " has number " + std::to_string(*known) +
                       " in the vocabulary, found " + std::to_string(token.id));
    if (!idOf.emplace(token.content, token.id).second)
      return fileError(path + ".content: " + inQuotes(token.content) + " appears twice");
    if (auto [other, isNew] = indexOf.emplace(token.id, i); !isNew)
      return fileError(path + ".id: number " + std::to_string(token.id) + " already belongs to " +
                       inQuotes(tokens[other->second].content));
    tokens.push_back(std::move(token));
  }

  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string text = tokens[i].content;
    if (tokens[i].normalized)
      normalizer.apply(text);
    // A token that normalizes to nothing would be found between any two characters.
    if (text.empty())
      return unsupported("added_tokens[" + std::to_string(i) + "].normalized: " + inQuotes(tokens[i].content) +
                         " is empty once normalized");
    insert(tokens[i].normalized ? normalizedNodes : plainNodes, text, static_cast<int32_t>(i));
    (tokens[i].normalized ? normalizedStarts : plainStarts)[static_cast<unsigned char>(text[0])] = true;
  }
  return {};
}

void AddedTokens::insert(Nodes &nodes, std::string_view text, int32_t token) {
  if (nodes.empty())
    nodes.emplace_back();
  uint32_t node = 0;
  for (char byte : text) {
    uint32_t next = child(nodes, node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes.size());
      Node added;
      added.byte = static_cast<unsigned char>(byte);
      added.nextSibling = nodes[node].firstChild;
      nodes[node].firstChild = next;
      nodes.push_back(added);
    }
    node = next;
  }
  if (nodes[node].token < 0) // of tokens that normalize to the same text the first one counts
    nodes[node].token = token;
}

uint32_t AddedTokens::child(const Nodes &nodes, uint32_t node, char byte) {
  uint32_t next = nodes[node].firstChild;
  while (next != 0 && nodes[next].byte != static_cast<unsigned char>(byte))
    next = nodes[next].nextSibling;
  return next;
}

std::vector<AddedTokens::Part> AddedTokens::find(std::string_view text, const Ranges &ranges, bool normalized) const {
  std::vector<Part> parts;
  const Nodes &nodes = normalized ? normalizedNodes : plainNodes;
  const auto &starts = normalized ? normalizedStarts : plainStarts;
  size_t covered = 0; // everything before belongs to a part
  for (auto [rangeStart, rangeEnd] : ranges) {
    for (size_t at = rangeStart; at < rangeEnd && !nodes.empty();) {
      if (!starts[static_cast<unsigned char>(text[at])]) {
        ++at;
        continue;
      }
      int32_t found = -1;
      size_t foundEnd = at;
      uint32_t node = 0;
      for (size_t i = at; i < rangeEnd; ++i) {
        node = child(nodes, node, text[i]);
        if (node == 0)
          break;
        if (nodes[node].token >= 0) {
          found = nodes[node].token;
          foundEnd = i + 1;
        }
      }
      if (found < 0) {
        ++at;
        continue;
      }
      const AddedToken &token = tokens[static_cast<size_t>(found)];
      size_t start = at, end = foundEnd;
      at = foundEnd;
      if (token.singleWord) {
        size_t next = end;
        if ((start > 0 && isWordCharacter(lastCharacter(text.substr(0, start)))) ||
            (end < text.size() && isWordCharacter(nextCharacter(text, next))))
          continue;
      }
      if (token.lstrip)
        while (start > covered && isWhiteSpace(lastCharacter(text.substr(0, start)))) {
          do
            --start;
          while ((static_cast<unsigned char>(text[start]) & 0xC0) == 0x80);
        }
      if (token.rstrip)
        for (size_t next = end; next < text.size() && isWhiteSpace(nextCharacter(text, next));)
          end = next;
      if (covered < start)
        parts.push_back({covered, start, nullptr});
      parts.push_back({start, end, &token});
      covered = end;
    }
  }
  if (covered < text.size())
    parts.push_back({covered, text.size(), nullptr});
  return parts;
}

} // namespace msa::rt::tok

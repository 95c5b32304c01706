// SPDX-License-Identifier: Apache-2.0
//
// The table from token text to token number. Files are not trusted: a vocabulary made of strings that collide must not
// turn lookups into scans, so a lookup never probes more than kMaxProbes slots and a table that cannot be built so is
// refused.

#ifndef MSA_RUNTIME_TOKENIZER_VOCABTABLE_H
#define MSA_RUNTIME_TOKENIZER_VOCABTABLE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace msa::rt::tok {

/// Immutable once built; then any number of threads may look things up.
class VocabTable {
public:
  struct Entry {
    size_t offset; // in the text that all tokens share
    uint32_t length;
    uint32_t id;
  };
  enum class Problem { None, DuplicateText, TooManyCollisions };

  /// Tokens are the parts of |text| that |entries| name. On DuplicateText, |culprit| is the second entry of two.
  Problem build(std::string text, std::vector<Entry> entries, size_t &culprit);

  std::optional<uint32_t> find(std::string_view token) const;
  size_t size() const { return entries.size(); }
  const Entry &entry(size_t index) const { return entries[index]; }
  std::string_view token(const Entry &entry) const { return std::string_view(text).substr(entry.offset, entry.length); }

  /// A hash that can be taken byte by byte, so that all prefixes of a word cost one pass.
  uint64_t startHash() const { return seed; }
  static uint64_t extendHash(uint64_t hash, char byte) {
    return (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  }
  /// As find, with the hash of |head| + |tail| already taken.
  std::optional<uint32_t> find(uint64_t hash, std::string_view head, std::string_view tail) const;

private:
  static constexpr unsigned kMaxProbes = 128;

  size_t slotOf(uint64_t hash) const {
    hash = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(hash >> shift);
  }

  std::string text;
  std::vector<Entry> entries;
  std::vector<uint32_t> slots; // index of an entry + 1; 0 is free
  uint64_t seed = 0;
  unsigned shift = 63;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_VOCABTABLE_H

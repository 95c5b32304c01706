// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/VocabTable.h"

namespace msa::rt::tok {

VocabTable::Problem VocabTable::build(std::string sharedText, std::vector<Entry> tokens, size_t &culprit) {
  text = std::move(sharedText);
  entries = std::move(tokens);
  unsigned bits = 1;
  while ((size_t(1) << bits) < 3 * entries.size())
    ++bits;
  shift = 64 - bits;
  size_t mask = (size_t(1) << bits) - 1;

  for (uint64_t attempt = 0; attempt < 8; ++attempt) {
    seed = 0xCBF29CE484222325u + attempt * 0x9E3779B97F4A7C15u;
    slots.assign(mask + 1, 0);
    bool crowded = false;
    for (size_t index = 0; index < entries.size() && !crowded; ++index) {
      std::string_view token = this->token(entries[index]);
      uint64_t hash = seed;
      for (char byte : token)
        hash = extendHash(hash, byte);
      size_t slot = slotOf(hash);
      unsigned probes = 0;
      while (slots[slot] != 0) {
        if (this->token(entries[slots[slot] - 1]) == token) {
          culprit = index;
          return Problem::DuplicateText;
        }
        slot = (slot + 1) & mask;
        if (++probes == kMaxProbes) {
          crowded = true;
          break;
        }
      }
      if (!crowded)
        slots[slot] = static_cast<uint32_t>(index + 1);
    }
    if (!crowded)
      return Problem::None;
  }
  return Problem::TooManyCollisions;
}

std::optional<uint32_t> VocabTable::find(std::string_view token) const {
  uint64_t hash = seed;
  for (char byte : token)
    hash = extendHash(hash, byte);
  return find(hash, {}, token);
}

std::optional<uint32_t> VocabTable::find(uint64_t hash, std::string_view head, std::string_view tail) const {
  if (entries.empty())
    return std::nullopt;
  size_t slot = slotOf(hash);
  for (unsigned probes = 0; probes < kMaxProbes && slots[slot] != 0; ++probes) {
    const Entry &candidate = entries[slots[slot] - 1];
    std::string_view token = this->token(candidate);
    if (token.size() == head.size() + tail.size() && token.substr(0, head.size()) == head &&
        token.substr(head.size()) == tail)
      return candidate.id;
    slot = (slot + 1) & (slots.size() - 1);
  }
  return std::nullopt;
}

} // namespace msa::rt::tok

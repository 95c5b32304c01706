// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/BytePairModel.h"

#include "runtime/tokenizer/ByteAlphabet.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <cstdio>
#include <limits>

namespace msa::rt::tok {

namespace {

constexpr uint64_t kFreeKey = std::numeric_limits<uint64_t>::max(); // ids stay below 2^32 - 1
constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();
constexpr unsigned kMaxProbes = 128;
// Up to here a scan for the best pair is faster than a queue.
constexpr size_t kShortPiece = 48;

} // namespace

Status BytePairModel::load(const TokenizerFile &file, ObjectReader &section, const VocabTable &table,
                           bool isByteLevel) {
  vocab = &table;
  byteLevel = isByteLevel;
  if (const auto *dropout = section.optional("dropout"); dropout && *dropout != 0.0 && *dropout != 0)
    return unsupported(section.pathOf("dropout") + ": only null is supported, merging must not be random");
  for (const char *affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!section.string(affix, "").empty())
      return unsupported(section.pathOf(affix) + ": only null is supported with BPE");
  fuseUnknown = section.boolean("fuse_unk", false);
  byteFallback = section.boolean("byte_fallback", false);
  ignoreMerges = section.boolean("ignore_merges", false);
  if (const auto *token = section.optional("unk_token")) {
    std::string text = section.string("unk_token");
    if (token->is_string()) {
      unknown = table.find(text);
      if (!unknown)
        return fileError(section.pathOf("unk_token") + ": " + inQuotes(text) + " is not in the vocabulary");
    }
  }

  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string spelled;
    appendCharacter(characterOfByte(static_cast<unsigned char>(byte)), spelled);
    auto id = table.find(spelled);
    byteIds[byte] = id ? static_cast<int64_t>(*id) : -1;
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    id = byteFallback ? table.find(name) : std::nullopt;
    fallbackIds[byte] = id ? static_cast<int64_t>(*id) : -1;
  }
  if (byteLevel && ignoreMerges) {
    std::string text;
    std::vector<VocabTable::Entry> entries;
    for (size_t i = 0; i < table.size(); ++i) {
      size_t offset = text.size();
      if (appendSpelledBytes(table.token(table.entry(i)), text))
        entries.push_back({offset, static_cast<uint32_t>(text.size() - offset), table.entry(i).id});
    }
    size_t culprit = 0;
    if (bytesVocab.build(std::move(text), std::move(entries), culprit) != VocabTable::Problem::None)
      return fileError("model.vocab: too many tokens with the same hash");
  }
  return loadMerges(file, table);
}

Status BytePairModel::loadMerges(const TokenizerFile &file, const VocabTable &table) {
  struct Found {
    uint64_t key;
    Merge merge;
  };
  std::vector<Found> found;
  found.reserve(file.merges.size());
  std::string whole;
  for (size_t i = 0; i < file.merges.size(); ++i) {
    std::string_view left = file.side(file.merges[i].left), right = file.side(file.merges[i].right);
    whole.assign(left).append(right);
    auto leftId = table.find(left), rightId = table.find(right), wholeId = table.find(whole);
    if (!leftId || !rightId || !wholeId)
      return fileError("model.merges[" + std::to_string(i) + "]: " +
                       inQuotes(!leftId    ? left
                                : !rightId ? right
                                           : whole) +
                       " is not in the vocabulary");
    found.push_back({uint64_t(*leftId) << 32 | *rightId, {static_cast<uint32_t>(i), *wholeId}});
  }

  unsigned bits = 1;
  while ((size_t(1) << bits) < 3 * found.size())
    ++bits;
  shift = 64 - bits;
  for (uint64_t attempt = 0; attempt < 8; ++attempt) {
    seed = attempt * 0xD1B54A32D192ED03u;
    keys.assign(size_t(1) << bits, kFreeKey);
    merges.assign(size_t(1) << bits, Merge{});
    bool crowded = false;
    for (const Found &entry : found) {
      size_t slot = slotOf(entry.key);
      unsigned probes = 0;
      while (keys[slot] != kFreeKey && keys[slot] != entry.key && probes < kMaxProbes) {
        slot = (slot + 1) & (keys.size() - 1);
        ++probes;
      }
      crowded |= probes == kMaxProbes;
      if (crowded)
        break;
      keys[slot] = entry.key;
      merges[slot] = entry.merge; // of a pair that stands twice, the later rank counts
    }
    if (!crowded)
      return {};
  }
  return fileError("model.merges: too many pairs with the same hash");
}

void BytePairModel::forbid(std::vector<bool> ids) {
  auto isListed = [&](int64_t id) { return id >= 0 && size_t(id) < ids.size() && ids[size_t(id)]; };
  // Single characters and whole pieces are looked up when they are met, so there anything may come up.
  bool reached = ignoreMerges || !byteLevel;
  for (size_t byte = 0; byte < 256; ++byte)
    reached |= isListed(byteIds[byte]) || isListed(fallbackIds[byte]);

  std::optional<uint32_t> empty = vocab->find("");
  std::map<uint32_t, uint32_t> rankOf;
  for (size_t slot = 0; slot < keys.size(); ++slot) {
    if (keys[slot] == kFreeKey || !isListed(merges[slot].id))
      continue;
    reached = true;
    uint32_t left = static_cast<uint32_t>(keys[slot] >> 32), right = static_cast<uint32_t>(keys[slot]);
    if (left == empty || right == empty)
      continue;
    auto [rank, isNew] = rankOf.emplace(merges[slot].id, merges[slot].rank);
    if (!isNew && rank->second < merges[slot].rank)
      continue;
    rank->second = merges[slot].rank;
    partsOfForbidden[merges[slot].id] = {left, right};
  }
  forbidden = reached ? std::move(ids) : std::vector<bool>();
}

const BytePairModel::Merge *BytePairModel::findMerge(uint32_t left, uint32_t right) const {
  uint64_t key = uint64_t(left) << 32 | right;
  size_t slot = slotOf(key);
  for (unsigned probes = 0; probes <= kMaxProbes; ++probes) {
    if (keys[slot] == key)
      return &merges[slot];
    if (keys[slot] == kFreeKey)
      return nullptr;
    slot = (slot + 1) & (keys.size() - 1);
  }
  return nullptr;
}

std::optional<uint32_t> BytePairModel::findWhole(std::string_view piece) const {
  return byteLevel ? bytesVocab.find(piece) : vocab->find(piece);
}

void BytePairModel::firstSymbols(std::string_view piece, bool restricted, std::vector<uint32_t> &out) const {
  bool pending = false; // an unknown character that the next one may join
  auto allowed = [&](uint32_t id) { return !restricted || !isForbidden(id); };
  auto isUnknown = [&] {
    // Without an unknown token, what the vocabulary lacks is left out.
    if (!unknown)
      return;
    if (pending && !fuseUnknown)
      out.push_back(*unknown);
    pending = true;
  };
  auto add = [&](uint32_t id) {
    if (pending)
      out.push_back(*unknown);
    pending = false;
    out.push_back(id);
  };
  for (size_t position = 0; position < piece.size();) {
    size_t start = position;
    std::optional<uint32_t> id;
    if (byteLevel) {
      int64_t found = byteIds[static_cast<unsigned char>(piece[position++])];
      if (found >= 0)
        id = static_cast<uint32_t>(found);
    } else {
      nextCharacter(piece, position);
      id = vocab->find(piece.substr(start, position - start));
    }
    if (id && allowed(*id)) {
      add(*id);
      continue;
    }
    // Byte fallback works on the spelling, all bytes of it or none.
    std::string spelled;
    if (byteLevel)
      appendCharacter(characterOfByte(static_cast<unsigned char>(piece[start])), spelled);
    else
      spelled = piece.substr(start, position - start);
    bool hasAll = byteFallback && std::all_of(spelled.begin(), spelled.end(), [&](char byte) {
                    int64_t fallback = fallbackIds[static_cast<unsigned char>(byte)];
                    return fallback >= 0 && allowed(static_cast<uint32_t>(fallback));
                  });
    if (!hasAll) {
      isUnknown();
      continue;
    }
    for (char byte : spelled) // in front of a pending unknown, as in the reference
      out.push_back(static_cast<uint32_t>(fallbackIds[static_cast<unsigned char>(byte)]));
  }
  if (pending)
    out.push_back(*unknown);
}

void BytePairModel::encode(std::string_view piece, bool restricted, Scratch &scratch, std::vector<int32_t> &out) const {
  restricted &= !forbidden.empty();
  if (ignoreMerges)
    if (auto id = findWhole(piece); id && !(restricted && isForbidden(*id))) {
      out.push_back(static_cast<int32_t>(*id));
      return;
    }
  scratch.ids.clear();
  firstSymbols(piece, restricted, scratch.ids);
  size_t before = out.size();
  if (scratch.ids.size() <= kShortPiece)
    mergeShort(scratch, out);
  else
    mergeLong(scratch, out);
  auto isForbiddenId = [&](int32_t id) { return isForbidden(static_cast<uint32_t>(id)); };
  if (!restricted || std::none_of(out.begin() + static_cast<ptrdiff_t>(before), out.end(), isForbiddenId))
    return;
  std::vector<int32_t> merged(out.begin() + static_cast<ptrdiff_t>(before), out.end());
  out.resize(before);
  for (int32_t id : merged)
    takeApart(static_cast<uint32_t>(id), out);
}

/// Merging is not kept from passing through a forbidden token, which would change how other words come out; only what
/// is left of them at the end is taken apart again.
void BytePairModel::takeApart(uint32_t id, std::vector<int32_t> &out) const {
  std::vector<uint32_t> pending = {id};
  while (!pending.empty()) {
    uint32_t next = pending.back();
    pending.pop_back();
    if (!isForbidden(next)) {
      out.push_back(static_cast<int32_t>(next));
      continue;
    }
    if (auto parts = partsOfForbidden.find(next); parts != partsOfForbidden.end()) {
      pending.push_back(parts->second.second);
      pending.push_back(parts->second.first);
    } else if (unknown) {
      out.push_back(static_cast<int32_t>(*unknown));
    }
  }
}

void BytePairModel::mergeShort(Scratch &scratch, std::vector<int32_t> &out) const {
  std::vector<uint32_t> &ids = scratch.ids;
  uint32_t ranks[kShortPiece], merged[kShortPiece]; // of the pair that starts at a symbol
  size_t count = ids.size();
  auto look = [&](size_t i) {
    const Merge *merge = i + 1 < count ? findMerge(ids[i], ids[i + 1]) : nullptr;
    ranks[i] = merge ? merge->rank : kNoRank;
    merged[i] = merge ? merge->id : 0;
  };
  for (size_t i = 0; i < count; ++i)
    look(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i)
      if (ranks[i] < ranks[best])
        best = i;
    if (ranks[best] == kNoRank)
      break;
    ids[best] = merged[best];
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
      merged[i] = merged[i + 1];
    }
    --count;
    look(best);
    if (best > 0)
      look(best - 1);
  }
  for (size_t i = 0; i < count; ++i)
    out.push_back(static_cast<int32_t>(ids[i]));
}

void BytePairModel::mergeLong(Scratch &scratch, std::vector<int32_t> &out) const {
  using Candidate = Scratch::Candidate;
  auto &symbols = scratch.symbols;
  auto &queue = scratch.queue;
  symbols.clear();
  queue.clear();
  size_t count = scratch.ids.size();
  symbols.reserve(count);
  for (size_t i = 0; i < count; ++i)
    symbols.push_back({scratch.ids[i], static_cast<int32_t>(i) - 1, i + 1 < count ? static_cast<int32_t>(i) + 1 : -1});
  auto later = [](const Candidate &a, const Candidate &b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  auto consider = [&](int32_t left) {
    const Merge *merge = findMerge(symbols[size_t(left)].id, symbols[size_t(symbols[size_t(left)].next)].id);
    if (!merge)
      return false;
    queue.push_back({merge->rank, static_cast<uint32_t>(left), merge->id});
    return true;
  };
  for (size_t i = 0; i + 1 < count; ++i)
    consider(static_cast<int32_t>(i));
  std::make_heap(queue.begin(), queue.end(), later);

  // A symbol that was merged into its left neighbour is marked by pointing to itself.
  while (!queue.empty()) {
    Candidate best = queue.front();
    std::pop_heap(queue.begin(), queue.end(), later);
    queue.pop_back();
    Scratch::Symbol &left = symbols[best.position];
    int32_t position = static_cast<int32_t>(best.position);
    if (left.next == position || left.next < 0)
      continue;
    int32_t rightPosition = left.next;
    Scratch::Symbol &right = symbols[size_t(rightPosition)];
    // The pair may have changed since it was queued.
    const Merge *merge = findMerge(left.id, right.id);
    if (!merge || merge->id != best.id)
      continue;
    left.id = best.id;
    left.next = right.next;
    if (right.next >= 0)
      symbols[size_t(right.next)].previous = position;
    right.next = rightPosition;
    if (left.previous >= 0 && consider(left.previous))
      std::push_heap(queue.begin(), queue.end(), later);
    if (left.next >= 0 && consider(position))
      std::push_heap(queue.begin(), queue.end(), later);
  }
  for (int32_t i = count ? 0 : -1; i >= 0; i = symbols[size_t(i)].next)
    out.push_back(static_cast<int32_t>(symbols[size_t(i)].id));
}

} // namespace msa::rt::tok

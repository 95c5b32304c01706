// SPDX-License-Identifier: Apache-2.0
//
// Byte-pair encoding: a piece of text starts as single characters (or bytes), and the adjacent pair that the file ranks
// first is merged, the leftmost of equals, until no pair is left that the file merges.

#ifndef MSA_RUNTIME_TOKENIZER_BYTEPAIRMODEL_H
#define MSA_RUNTIME_TOKENIZER_BYTEPAIRMODEL_H

#include "runtime/status.h"
#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/VocabTable.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace msa::rt::tok {

/// Immutable once loaded, thread-safe.
class BytePairModel {
public:
  /// Working memory of one thread, reused from piece to piece.
  struct Scratch {
    struct Symbol {
      uint32_t id;
      int32_t previous, next; // -1: none
    };
    struct Candidate {
      uint32_t rank;
      uint32_t position; // of the left symbol
      uint32_t id;       // that the merge makes
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> queue;
    std::vector<uint32_t> ids;
  };

  /// |vocab| holds the tokens as they stand in the file and must outlive the model; |byteLevel|: they spell bytes.
  Status load(const TokenizerFile &file, ObjectReader &section, const VocabTable &vocab, bool byteLevel);

  /// Ids that text of untrusted origin must not become although the model can spell them: set once, before the first
  /// encode.
  void forbid(std::vector<bool> ids);

  /// Appends the tokens of |piece|. |restricted|: in place of a forbidden one, the two that it was merged from.
  void encode(std::string_view piece, bool restricted, Scratch &scratch, std::vector<int32_t> &out) const;

private:
  struct Merge {
    uint32_t rank;
    uint32_t id;
  };

  Status loadMerges(const TokenizerFile &file, const VocabTable &vocab);
  const Merge *findMerge(uint32_t left, uint32_t right) const;
  size_t slotOf(uint64_t key) const { return static_cast<size_t>((key ^ seed) * 0x9E3779B97F4A7C15u >> shift); }
  bool isForbidden(uint32_t id) const { return id < forbidden.size() && forbidden[id]; }
  std::optional<uint32_t> findWhole(std::string_view piece) const;
  void firstSymbols(std::string_view piece, bool restricted, std::vector<uint32_t> &out) const;
  void mergeShort(Scratch &scratch, std::vector<int32_t> &out) const;
  void mergeLong(Scratch &scratch, std::vector<int32_t> &out) const;
  void takeApart(uint32_t id, std::vector<int32_t> &out) const;

  const VocabTable *vocab = nullptr;
  VocabTable bytesVocab;                     // byte level with ignore_merges: the same tokens, as bytes
  std::array<int64_t, 256> byteIds = {};     // byte level: the token of a byte; -1: none
  std::array<int64_t, 256> fallbackIds = {}; // byte_fallback: the token <0xHH>; -1: none
  bool byteLevel = false;
  bool byteFallback = false;
  bool fuseUnknown = false;
  bool ignoreMerges = false;
  std::optional<uint32_t> unknown;
  std::vector<bool> forbidden;                                        // empty: the model cannot make such a token
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> partsOfForbidden; // both shorter than the token

  // Open addressing; the key is left << 32 | right.
  std::vector<uint64_t> keys;
  std::vector<Merge> merges;
  uint64_t seed = 0;
  unsigned shift = 63;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_BYTEPAIRMODEL_H

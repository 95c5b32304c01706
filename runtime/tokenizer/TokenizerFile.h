// SPDX-License-Identifier: Apache-2.0
//
// Reads the bytes of a tokenizer.json without trusting them. The two large parts, model.vocab and model.merges, go
// straight into flat arrays; the rest becomes a small JSON tree.

#ifndef MSA_RUNTIME_TOKENIZER_TOKENIZERFILE_H
#define MSA_RUNTIME_TOKENIZER_TOKENIZERFILE_H

#include "runtime/status.h"
#include "runtime/tokenizer/VocabTable.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace msa::rt::tok {

// Far above every published tokenizer, low enough that a hostile file cannot take the machine with it.
inline constexpr size_t kMaxFileBytes = size_t(256) << 20;
inline constexpr size_t kMaxTokenBytes = 64 << 10;
inline constexpr size_t kMaxTokens = size_t(4) << 20;
inline constexpr size_t kMaxMerges = size_t(8) << 20;
inline constexpr size_t kMaxDepth = 32;
inline constexpr size_t kMaxValues = size_t(4) << 20; // of the tree

Status fileError(std::string message);
Status unsupported(std::string message);

struct TokenizerFile {
  /// A token of model.vocab or a side of a merge: a part of |text|.
  struct Slice {
    size_t offset;
    uint32_t length;
  };
  struct Merge {
    Slice left, right;
  };

  nlohmann::json tree; // without model.vocab and model.merges
  std::string vocabText;
  std::vector<VocabTable::Entry> vocab;
  std::string mergeText;
  std::vector<Merge> merges;
  bool hasVocab = false;
  bool hasMerges = false;

  std::string_view side(const Slice &slice) const {
    return std::string_view(mergeText).substr(slice.offset, slice.length);
  }
};

Status readTokenizerFile(std::string_view bytes, TokenizerFile &out);

/// Checked access to one object of the tree. The first problem stays in |status|, later calls then do nothing but
/// return their default; finish() complains about members that nobody asked for, because what a file asks for must not
/// be ignored.
class ObjectReader {
public:
  ObjectReader(const nlohmann::json &value, std::string path, Status &status);

  const std::string &path() const { return objectPath; }
  std::string pathOf(const char *name) const { return objectPath.empty() ? name : objectPath + "." + name; }

  /// Null when the member is missing or JSON null.
  const nlohmann::json *optional(const char *name);
  bool boolean(const char *name, bool missing);
  /// For members that must be there.
  bool boolean(const char *name);
  std::string string(const char *name, const char *missing = nullptr);
  uint32_t number(const char *name, uint32_t limit, const uint32_t *missing = nullptr);
  void ignore(const char *name) { known.insert(name); }
  void finish();

private:
  const nlohmann::json *find(const char *name);
  void expected(const char *name, const char *what, const nlohmann::json *found);

  const nlohmann::json *object = nullptr;
  std::string objectPath;
  Status &status;
  std::set<std::string, std::less<>> known;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_TOKENIZERFILE_H

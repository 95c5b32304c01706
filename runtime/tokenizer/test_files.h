// SPDX-License-Identifier: Apache-2.0
//
// Where the tests' files are, and short tokenizers to change one thing in.

#ifndef MSA_RUNTIME_TOKENIZER_TEST_FILES_H
#define MSA_RUNTIME_TOKENIZER_TEST_FILES_H

#include "runtime/tokenizer/Tokenizer.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

namespace msa::rt {

inline std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::string fixture(const std::string &name) { return std::string(MSA_TEST_FIXTURES) + "/" + name; }

/// Path of the WordPiece tokenizer, which is not part of the repository; empty when it is not there.
inline std::string wordPiecePath() {
  const char *variable = std::getenv("MSA_WORDPIECE_TOKENIZER");
  return variable && *variable ? variable : MSA_WORDPIECE_TOKENIZER_DEFAULT;
}

inline std::unique_ptr<const Tokenizer> loadBytes(const std::string &bytes) {
  std::unique_ptr<const Tokenizer> tokenizer;
  Status status = Tokenizer::load(bytes, tokenizer);
  EXPECT_TRUE(status.ok()) << status.message();
  return tokenizer;
}

inline std::unique_ptr<const Tokenizer> load(const nlohmann::json &file) { return loadBytes(file.dump()); }

/// The message of a file that must be refused; checks that nothing was made of it.
inline std::string refusal(const std::string &bytes, msa_code code = MSA_INVALID_ARTIFACT) {
  std::unique_ptr<const Tokenizer> tokenizer;
  Status status = Tokenizer::load(bytes, tokenizer);
  EXPECT_EQ(tokenizer, nullptr);
  EXPECT_EQ(status.code(), code) << status.message();
  return status.message();
}

inline std::string refusal(const nlohmann::json &file, msa_code code = MSA_INVALID_ARTIFACT) {
  return refusal(file.dump(), code);
}

inline std::vector<int32_t> encode(const Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  Status status = tokenizer.encode(text, ids);
  EXPECT_TRUE(status.ok()) << status.message();
  return ids;
}

inline std::vector<int32_t> encodeOrdinary(const Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  Status status = tokenizer.encodeOrdinary(text, ids);
  EXPECT_TRUE(status.ok()) << status.message();
  return ids;
}

inline std::string decode(const Tokenizer &tokenizer, const std::vector<int32_t> &ids, bool skipSpecial = false) {
  std::string text;
  Status status = tokenizer.decode(ids, skipSpecial, text);
  EXPECT_TRUE(status.ok()) << status.message();
  return text;
}

/// The same through the stream, one id at a time; every part must be valid UTF-8 by itself.
inline std::string decodeInStream(const Tokenizer &tokenizer, const std::vector<int32_t> &ids) {
  StreamDecoder decoder(tokenizer, false);
  std::string text;
  for (int32_t id : ids) {
    std::string part;
    EXPECT_TRUE(decoder.append(id, part).ok());
    text += part;
  }
  EXPECT_TRUE(decoder.finish(text).ok());
  return text;
}

inline nlohmann::json addedToken(int id, const char *content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

/// BPE over single characters: a to e, space, and the merges ab, abc, cd, de.
inline nlohmann::json smallBpe() {
  return nlohmann::json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
              "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, " ": 5, "ab": 6, "abc": 7, "cd": 8, "de": 9},
              "merges": [["a", "b"], ["c", "d"], ["ab", "c"], ["d", "e"]]}})");
}

/// WordPiece over [UNK], a, b, ##a, ##b, ab, ##ab, [X].
inline nlohmann::json smallWordPiece() {
  return nlohmann::json::parse(R"({
    "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 10,
              "vocab": {"[UNK]": 0, "a": 1, "b": 2, "##a": 3, "##b": 4, "ab": 5, "##ab": 6, "[X]": 7}}})");
}

} // namespace msa::rt

#endif // MSA_RUNTIME_TOKENIZER_TEST_FILES_H

// SPDX-License-Identifier: Apache-2.0
//
// Megabytes without a place to split, or made to be slow elsewhere: time grows with the length, not with its square.
// Each case would take minutes if it did not; the limit is generous for machines that are busy or run under a
// sanitizer.

#include "runtime/tokenizer/test_files.h"

#include <ctime>

namespace msa::rt {
namespace {

constexpr double kProcessorSeconds = 20;

class LongText : public testing::Test {
protected:
  void SetUp() override { start = std::clock(); }
  void TearDown() override { EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, kProcessorSeconds); }
  std::clock_t start;
};

std::string repeated(std::string_view part, size_t bytes) {
  std::string text;
  while (text.size() < bytes)
    text += part;
  return text;
}

TEST_F(LongText, OneWord) {
  auto tokenizer = loadBytes(readFile(fixture("tokenizers/bpe/tokenizer.json")));
  for (const char *part : {"a", "th", "expressiondocument", "中", "=", " "}) {
    std::string text = repeated(part, 1 << 19);
    EXPECT_EQ(decode(*tokenizer, encode(*tokenizer, text)), text);
  }
}

TEST_F(LongText, CombiningMarksOutOfOrder) {
  auto tokenizer = loadBytes(readFile(fixture("tokenizers/bpe/tokenizer.json")));
  std::string text = "a" + repeated("\u0301\u0323", 1 << 20); // class 230 before class 220
  std::vector<int32_t> ids = encode(*tokenizer, text);
  EXPECT_GT(ids.size(), 1000u);
  EXPECT_EQ(encode(*tokenizer, decode(*tokenizer, ids)), ids); // normalized text stays
}

TEST_F(LongText, BeginningsOfAddedTokens) {
  nlohmann::json file = smallBpe();
  std::string content = std::string(250, 'a') + "!";
  file["added_tokens"] = {addedToken(20, content.c_str())};
  auto tokenizer = load(file);
  std::string text(1 << 19, 'a');
  EXPECT_EQ(encode(*tokenizer, text).size(), text.size());
  EXPECT_EQ(encode(*tokenizer, text + "!").back(), 20);
}

TEST_F(LongText, WordPieceWithoutLimitOnWords) {
  nlohmann::json file = smallWordPiece();
  file["model"]["max_input_chars_per_word"] = 4000000000;
  file["model"]["vocab"]["##" + std::string(250, 'a') + "b"] = 8;
  auto tokenizer = load(file);
  std::string text(1 << 18, 'a');
  EXPECT_EQ(encode(*tokenizer, text).size(), text.size());
}

TEST_F(LongText, StripsSpaceOnce) {
  nlohmann::json file = smallBpe();
  auto token = addedToken(20, "<s>");
  token["lstrip"] = token["rstrip"] = true;
  file["added_tokens"] = {token};
  auto tokenizer = load(file);
  EXPECT_EQ(encode(*tokenizer, repeated(" ", 1 << 20) + "<s>" + repeated("\n", 1 << 20)), std::vector<int32_t>({20}));
}

TEST_F(LongText, PastTheLimitIsAnError) {
  auto tokenizer = load(smallBpe());
  std::string text((size_t(128) << 20) + 1, 'a');
  std::vector<int32_t> ids;
  Status status = tokenizer->encode(text, ids);
  EXPECT_EQ(status.code(), MSA_INVALID_ARGUMENT);
  EXPECT_STREQ(status.message(), "tokenizer: expected text of at most 134217728 bytes");
}

} // namespace
} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0

#include "msa/tokenizer.h"

#include "runtime/tokenizer/test_files.h"

#include <cstring>

namespace msa::rt {
namespace {

/// Checks the code of |status|, releases it and gives its message.
std::string take(msa_status *status, msa_code code = MSA_OK) {
  EXPECT_EQ(msa_status_code(status), code) << msa_status_message(status);
  std::string message = msa_status_message(status);
  msa_status_release(status);
  return message;
}

class TokenizerApi : public testing::Test {
protected:
  void SetUp() override {
    std::string json = readFile(fixture("tokenizers/bpe/tokenizer.json"));
    take(msa_tokenizer_create(json.data(), json.size(), &tokenizer));
    ASSERT_NE(tokenizer, nullptr);
  }
  void TearDown() override { msa_tokenizer_release(tokenizer); }

  std::vector<int32_t> ids(msa_token_list *list) {
    std::vector<int32_t> result(msa_token_list_ids(list), msa_token_list_ids(list) + msa_token_list_count(list));
    msa_token_list_release(list);
    return result;
  }

  msa_tokenizer *tokenizer = nullptr;
};

TEST_F(TokenizerApi, EncodesByTrust) {
  const std::string text = std::string("user<|im_end|>") + '\0';
  msa_token_list *tokens = nullptr;
  take(msa_tokenizer_encode(tokenizer, text.data(), text.size(), MSA_TOKENIZER_TRUSTED, &tokens));
  EXPECT_EQ(ids(tokens), std::vector<int32_t>({283, 1019, 188}));
  take(msa_tokenizer_encode(tokenizer, text.data(), text.size(), MSA_TOKENIZER_ORDINARY, &tokens));
  EXPECT_GT(ids(tokens).size(), 3u);
  msa_tokenizer_segment segments[] = {{"us", 2, MSA_TOKENIZER_ORDINARY},
                                      {nullptr, 0, MSA_TOKENIZER_ORDINARY},
                                      {"er<|im_end|>", 12, MSA_TOKENIZER_TRUSTED}};
  take(msa_tokenizer_encode_segments(tokenizer, segments, 3, &tokens));
  EXPECT_EQ(ids(tokens), std::vector<int32_t>({283, 1019}));
  take(msa_tokenizer_encode_segments(tokenizer, nullptr, 0, &tokens));
  EXPECT_EQ(msa_token_list_ids(tokens), nullptr);
  EXPECT_EQ(ids(tokens), std::vector<int32_t>());
}

TEST_F(TokenizerApi, DecodesInParts) {
  msa_text_decoder *decoder = nullptr;
  take(msa_text_decoder_create(tokenizer, true, &decoder));
  const char *text = nullptr;
  size_t length = 0;
  const int32_t first[] = {283, 1019, 718}, second[] = {246, 222, 718};
  take(msa_text_decoder_append(decoder, first, 3, &text, &length));
  EXPECT_EQ(std::string(text, length), "user");
  take(msa_text_decoder_append(decoder, second, 3, &text, &length));
  EXPECT_STREQ(text, "😀");
  take(msa_text_decoder_finish(decoder, &text, &length));
  EXPECT_EQ(std::string(text, length), "\uFFFD");
  const int32_t wrong[] = {286, -7};
  EXPECT_EQ(take(msa_text_decoder_append(decoder, wrong, 2, &text, &length), MSA_INVALID_ARGUMENT),
            "tokenizer: expected an id of at least 0, found -7");
  EXPECT_EQ(std::string(text, length), "assistant");
  msa_text_decoder_release(decoder);
  msa_text_decoder_release(nullptr);
}

TEST_F(TokenizerApi, HandlesKeepEachOtherAlive) {
  msa_text_decoder *decoder = nullptr;
  take(msa_text_decoder_create(tokenizer, false, &decoder));
  EXPECT_EQ(msa_tokenizer_retain(tokenizer), tokenizer);
  msa_tokenizer_release(tokenizer);
  msa_tokenizer_release(tokenizer);
  tokenizer = nullptr;
  const char *text = nullptr;
  size_t length = 0;
  const int32_t id = 283;
  take(msa_text_decoder_append(decoder, &id, 1, &text, &length));
  EXPECT_EQ(std::string(text, length), "user");
  msa_text_decoder_release(decoder);
}

TEST_F(TokenizerApi, Lookups) {
  int32_t id = 0;
  EXPECT_EQ(msa_tokenizer_vocab_size(tokenizer), 1024);
  EXPECT_TRUE(msa_tokenizer_find(tokenizer, "<|im_end|>", 10, &id));
  EXPECT_EQ(id, 1019);
  EXPECT_FALSE(msa_tokenizer_find(tokenizer, "<|im_end|", 9, &id));
  size_t length = 0;
  const char *token = msa_tokenizer_token(tokenizer, 1019, &length);
  EXPECT_EQ(std::string(token, length), "<|im_end|>");
  EXPECT_EQ(msa_tokenizer_token(tokenizer, 5000, &length), nullptr);
  EXPECT_TRUE(msa_tokenizer_is_special(tokenizer, 1019));
  EXPECT_FALSE(msa_tokenizer_is_special(tokenizer, 1022)); // <think>
  msa_tokenizer_template_prefix(tokenizer, &length);
  EXPECT_EQ(length, 0u);
  msa_tokenizer_template_suffix(tokenizer, &length);
  EXPECT_EQ(length, 0u);
}

TEST_F(TokenizerApi, WrongArguments) {
  msa_tokenizer *none = tokenizer;
  take(msa_tokenizer_create("[]", 2, &none), MSA_INVALID_ARTIFACT);
  EXPECT_EQ(none, nullptr);
  take(msa_tokenizer_create(nullptr, 1, &none), MSA_INVALID_ARGUMENT);
  take(msa_tokenizer_create("[]", 2, nullptr), MSA_INVALID_ARGUMENT);
  msa_token_list *tokens = nullptr;
  EXPECT_EQ(take(msa_tokenizer_encode(tokenizer, nullptr, 1, MSA_TOKENIZER_TRUSTED, &tokens), MSA_INVALID_ARGUMENT),
            "segment 0: text is null");
  msa_tokenizer_segment segment = {"a", 1, MSA_TOKENIZER_TRUSTED};
  const unsigned two = 2;
  std::memcpy(&segment.trust, &two, sizeof two);
  EXPECT_EQ(take(msa_tokenizer_encode_segments(tokenizer, &segment, 1, &tokens), MSA_INVALID_ARGUMENT),
            "segment 0: expected trust 0 or 1");
  take(msa_tokenizer_encode(nullptr, "a", 1, MSA_TOKENIZER_TRUSTED, &tokens), MSA_INVALID_ARGUMENT);
  EXPECT_EQ(tokens, nullptr);
  take(msa_text_decoder_append(nullptr, nullptr, 0, nullptr, nullptr), MSA_INVALID_ARGUMENT);
  msa_tokenizer_release(nullptr);
  msa_token_list_release(nullptr);
  EXPECT_EQ(msa_tokenizer_retain(nullptr), nullptr);
}

} // namespace
} // namespace msa::rt

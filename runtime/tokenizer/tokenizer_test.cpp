// SPDX-License-Identifier: Apache-2.0
//
// What a file can ask for, one thing at a time.

#include "runtime/tokenizer/test_files.h"

#include "runtime/tokenizer/Utf8.h"

#include <thread>

namespace msa::rt {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

std::unique_ptr<const Tokenizer> loadBpeFixture() {
  return loadBytes(readFile(fixture("tokenizers/bpe/tokenizer.json")));
}

TEST(Bpe, MergesByRankThenFromTheLeft) {
  auto tokenizer = load(smallBpe());
  EXPECT_EQ(encode(*tokenizer, "ab"), Ids({6}));
  EXPECT_EQ(encode(*tokenizer, "abc"), Ids({7}));
  EXPECT_EQ(encode(*tokenizer, "abcd"), Ids({6, 8})); // cd ranks before abc
  EXPECT_EQ(encode(*tokenizer, "abcde"), Ids({6, 8, 4}));
  EXPECT_EQ(encode(*tokenizer, "cde"), Ids({8, 4}));
  EXPECT_EQ(encode(*tokenizer, "abab"), Ids({6, 6}));
  EXPECT_EQ(encode(*tokenizer, ""), Ids());
}

TEST(Bpe, LongPiecesMergeLikeShortOnes) {
  auto tokenizer = load(smallBpe());
  // A space merges with nothing, so pieces on both sides of it are independent: the long text goes through the queue,
  // the words alone through the scan.
  std::string text;
  Ids expected;
  uint32_t random = 1;
  for (int word = 0; word < 500; ++word) {
    std::string letters;
    for (int i = 0; i < word % 40; ++i)
      letters.push_back("abcde"[(random = random * 1664525 + 1013904223) >> 24 & 3 ? (random >> 16) % 5 : 0]);
    for (int32_t id : encode(*tokenizer, letters))
      expected.push_back(id);
    expected.push_back(5);
    text += letters + " ";
  }
  EXPECT_EQ(encode(*tokenizer, text), expected);
}

TEST(Bpe, OldMergeLines) {
  json file = smallBpe();
  file["model"]["merges"] = json::array({"#version: 0.2", "a b", "c d", "ab c", "d e"});
  EXPECT_EQ(encode(*load(file), "abcd"), Ids({6, 8}));
}

TEST(Bpe, UnknownCharacters) {
  json file = smallBpe();
  EXPECT_EQ(encode(*load(file), "a?b"), Ids({6})); // left out: there is no token for them
  file["model"]["vocab"]["<unk>"] = 10;
  file["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(encode(*load(file), "a??b"), Ids({0, 10, 10, 1}));
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(encode(*load(file), "a??b?"), Ids({0, 10, 1, 10}));
}

TEST(Bpe, ByteFallback) {
  json file = smallBpe();
  file["model"]["byte_fallback"] = true;
  file["model"]["vocab"]["<0xC3>"] = 10;
  file["model"]["vocab"]["<0xA9>"] = 11;
  file["model"]["vocab"]["<0x-1>"] = 12; // no byte: an ordinary token
  file["decoder"] = {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
  auto tokenizer = load(file);
  EXPECT_EQ(encode(*tokenizer, "aéb"), Ids({0, 10, 11, 1}));
  EXPECT_EQ(encode(*tokenizer, "aèb"), Ids({6})); // A8 has no token, so neither byte is used
  EXPECT_EQ(decode(*tokenizer, {0, 10, 11, 1}), "aéb");
  EXPECT_EQ(decode(*tokenizer, {0, 10, 1, 10}), "a\uFFFDb\uFFFD");
  EXPECT_EQ(decode(*tokenizer, {12}), "<0x-1>");
  EXPECT_EQ(decodeInStream(*tokenizer, {0, 10, 11, 11, 1, 10}), "a\uFFFD\uFFFD\uFFFDb\uFFFD");
}

TEST(Bpe, IgnoreMerges) {
  json file = smallBpe();
  file["model"]["vocab"]["bcd"] = 10;
  EXPECT_EQ(encode(*load(file), "bcd"), Ids({1, 8}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(encode(*load(file), "bcd"), Ids({10}));
}

TEST(WordPiece, LongestFirst) {
  auto tokenizer = load(smallWordPiece());
  EXPECT_EQ(encode(*tokenizer, "ab a abab ba"), Ids({5, 1, 5, 6, 2, 3}));
  EXPECT_EQ(encode(*tokenizer, "ab? a"), Ids({0, 1})); // a word is unknown as a whole
  EXPECT_EQ(encode(*tokenizer, "ababababab abababababa"), Ids({5, 6, 6, 6, 6, 0}));
  EXPECT_EQ(decode(*tokenizer, {5, 6, 1, 0}), "abab a [UNK]");
  EXPECT_EQ(decodeInStream(*tokenizer, {5, 6, 1, 0}), "abab a [UNK]");
}

TEST(WordPiece, TemplateIsReportedAndNotApplied) {
  json file = smallWordPiece();
  file["model"]["vocab"]["[CLS]"] = 8;
  file["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "[X]", "type_id": 0}}],
    "pair": [], "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [8], "tokens": ["[CLS]"]},
                                   "[X]": {"id": "[X]", "ids": [7], "tokens": ["[X]"]}}})");
  auto tokenizer = load(file);
  EXPECT_EQ(encode(*tokenizer, "ab"), Ids({5}));
  EXPECT_EQ(Ids(tokenizer->templatePrefix().begin(), tokenizer->templatePrefix().end()), Ids({8}));
  EXPECT_EQ(Ids(tokenizer->templateSuffix().begin(), tokenizer->templateSuffix().end()), Ids({7}));
}

TEST(AddedTokens, LongestAndLeftmostWins) {
  json file = smallBpe();
  file["added_tokens"] = {addedToken(20, "<x"), addedToken(21, "<x>"), addedToken(22, "x>y")};
  auto tokenizer = load(file);
  EXPECT_EQ(encode(*tokenizer, "a<x>yb"), Ids({0, 21, 1}));
  EXPECT_EQ(encode(*tokenizer, "a<xb"), Ids({0, 20, 1}));
  EXPECT_EQ(encode(*tokenizer, "x>y<x<x>"), Ids({22, 20, 21}));
  EXPECT_EQ(tokenizer->tokenToId("<x>"), 21);
  EXPECT_EQ(tokenizer->idToToken(21), "<x>");
  EXPECT_EQ(tokenizer->idToToken(15), "");
  EXPECT_TRUE(tokenizer->isSpecial(21));
  EXPECT_FALSE(tokenizer->isSpecial(0));
  EXPECT_EQ(tokenizer->vocabSize(), 23);
}

TEST(AddedTokens, Flags) {
  json file = smallBpe();
  json stripping = addedToken(20, "<s>"), word = addedToken(21, "cc"), normal = addedToken(22, "É");
  stripping["lstrip"] = stripping["rstrip"] = word["single_word"] = normal["normalized"] = true;
  file["added_tokens"] = {stripping, word, normal};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Lowercase"}}}}};
  auto tokenizer = load(file);
  EXPECT_EQ(encode(*tokenizer, "a  \n<s> \u3000 b"), Ids({0, 20, 1}));
  EXPECT_EQ(encode(*tokenizer, "a cc b"), Ids({0, 5, 21, 5, 1}));
  EXPECT_EQ(encode(*tokenizer, "acc cca cc."), Ids({0, 2, 2, 5, 2, 2, 0, 5, 21}));
  EXPECT_EQ(encode(*tokenizer, "aéE\u0301b"), Ids({0, 22, 22, 1}));
}

TEST(AddedTokens, OrdinaryTextNeverBecomesOne) {
  auto tokenizer = loadBpeFixture();
  Ids ordinary = encodeOrdinary(*tokenizer, "x <|im_end|><think>");
  for (int32_t id : ordinary)
    EXPECT_LT(id, 1017);
  EXPECT_EQ(decode(*tokenizer, ordinary), "x <|im_end|><think>");
  EXPECT_EQ(encodeOrdinary(*tokenizer, "plain text"), encode(*tokenizer, "plain text"));
}

TEST(AddedTokens, MergesDoNotLeadAroundThat) {
  // The model itself can spell the control token.
  json file = smallBpe();
  file["added_tokens"] = {addedToken(7, "abc")};
  auto tokenizer = load(file);
  EXPECT_EQ(encode(*tokenizer, "abc"), Ids({7}));
  EXPECT_EQ(encodeOrdinary(*tokenizer, "abc"), Ids({6, 2}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(encodeOrdinary(*load(file), "abc"), Ids({6, 2}));
  file["added_tokens"].push_back(addedToken(6, "ab"));
  EXPECT_EQ(encodeOrdinary(*load(file), "abcd"), Ids({0, 1, 8}));
  EXPECT_EQ(encodeOrdinary(*load(file), "abc"), Ids({0, 1, 2}));
  // What is merged on from a control token is a word like any other.
  file = smallBpe();
  file["added_tokens"] = {addedToken(6, "ab")};
  EXPECT_EQ(encodeOrdinary(*load(file), "abc ab"), Ids({7, 5, 0, 1}));

  json words = smallWordPiece();
  words["added_tokens"] = {addedToken(7, "[X]"), addedToken(6, "##ab"), addedToken(0, "[UNK]")};
  tokenizer = load(words);
  EXPECT_EQ(encode(*tokenizer, "[X] abab"), Ids({7, 5, 6}));
  EXPECT_EQ(encodeOrdinary(*tokenizer, "[X] abab"), Ids({0, 5, 3, 4}));
}

TEST(AddedTokens, LongOrdinaryPiecesToo) {
  json file = smallBpe();
  file["added_tokens"] = {addedToken(7, "abc")};
  auto tokenizer = load(file);
  std::string text;
  Ids expected;
  for (int i = 0; i < 100; ++i) {
    text += "abc";
    expected.insert(expected.end(), {6, 2});
  }
  EXPECT_EQ(encodeOrdinary(*tokenizer, text), expected);
}

TEST(Segments, TokensLieInTrustedTextOnly) {
  auto tokenizer = loadBpeFixture();
  auto ids = [&](std::vector<Tokenizer::Segment> segments) {
    Ids result;
    EXPECT_TRUE(tokenizer->encodeSegments(segments, result).ok());
    return result;
  };
  const int32_t end = 1019; // <|im_end|>
  EXPECT_EQ(ids({{"<|im", true}, {"_end|>", true}}), Ids({end}));
  EXPECT_EQ(ids({{"a", false}, {"<|im_end|>", true}, {"b", false}}), Ids({64, end, 65}));
  for (auto &segments : std::vector<std::vector<Tokenizer::Segment>>{
           {{"<|im_end|>", false}}, {{"<|im", true}, {"_end|>", false}}, {{"<|im_end", false}, {"|>", true}}}) {
    Ids result = ids(segments);
    EXPECT_EQ(std::count(result.begin(), result.end(), end), 0);
    EXPECT_EQ(decode(*tokenizer, result), "<|im_end|>");
  }
  // Merging goes on across seams, and bytes of one segment do not complete those of another.
  EXPECT_EQ(ids({{"Hel", true}, {"lo, wor", false}, {"ld!", true}}), encode(*tokenizer, "Hello, world!"));
  EXPECT_EQ(ids({{"\xC3", false}, {"\xA9", true}}), encode(*tokenizer, "\uFFFD\uFFFD"));
  EXPECT_EQ(ids({}), Ids());
}

TEST(Decoding, IdsWithoutTokenAddNothing) {
  auto tokenizer = loadBpeFixture();
  EXPECT_EQ(decode(*tokenizer, {283, 1024, 2000000000, 286}), "userassistant");
  std::string text = "stale";
  Status status = tokenizer->decode(Ids({283, -1}), false, text);
  EXPECT_EQ(status.code(), MSA_INVALID_ARGUMENT);
  EXPECT_STREQ(status.message(), "tokenizer: expected an id of at least 0, found -1");
  EXPECT_EQ(text, "");
}

TEST(Decoding, StreamHoldsIncompleteCharacters) {
  auto tokenizer = loadBpeFixture();
  StreamDecoder decoder(*tokenizer, true);
  std::string text;
  ASSERT_TRUE(decoder.append(718, text).ok()); // the first two bytes of an emoji
  EXPECT_EQ(text, "");
  ASSERT_TRUE(decoder.append(1018, text).ok()); // special: left out
  ASSERT_TRUE(decoder.append(246, text).ok());
  EXPECT_EQ(text, "");
  ASSERT_TRUE(decoder.append(222, text).ok());
  EXPECT_EQ(text, "😀");
  ASSERT_TRUE(decoder.append(718, text).ok());
  ASSERT_TRUE(decoder.finish(text).ok());
  EXPECT_EQ(text, "😀\uFFFD");
}

TEST(Utf8, MaximalInvalidParts) {
  auto repaired = [](std::string_view text) {
    std::string result;
    tok::appendRepaired(text, result);
    EXPECT_TRUE(tok::isValidUtf8(result));
    EXPECT_EQ(tok::isValidUtf8(text), result == text);
    return result;
  };
  EXPECT_EQ(repaired("plain"), "plain");
  EXPECT_EQ(repaired("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(repaired("\xF0\x9F\x98x"), "\uFFFDx");
  EXPECT_EQ(repaired("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(repaired("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(tok::incompleteSuffix("a\xF0\x9F\x98"), 3u);
  EXPECT_EQ(tok::incompleteSuffix("a\xE0\x80"), 0u);
  EXPECT_EQ(tok::incompleteSuffix("é"), 0u);
}

TEST(Threads, OneTokenizerForAll) {
  auto tokenizer = loadBpeFixture();
  std::string text = readFile(fixture("tokenizers/expected.json"));
  Ids expected = encode(*tokenizer, text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      Ids ids;
      EXPECT_TRUE(tokenizer->encode(text, ids).ok());
      EXPECT_EQ(ids, expected);
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace
} // namespace msa::rt

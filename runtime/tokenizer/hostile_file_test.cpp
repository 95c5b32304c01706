// SPDX-License-Identifier: Apache-2.0
//
// Files that are damaged, or made to harm: one clear error each.

#include "runtime/tokenizer/test_files.h"

#include "runtime/tokenizer/TokenizerFile.h"

namespace msa::rt {
namespace {

using nlohmann::json;

void expectMessage(const std::string &message, const std::string &part) {
  EXPECT_NE(message.find(part), std::string::npos) << "message: " << message << "\nexpected: " << part;
}

json changed(json file, const char *pointer, json value) {
  file[json::json_pointer(pointer)] = std::move(value);
  return file;
}

TEST(HostileFile, NotJson) {
  expectMessage(refusal(std::string()), "not JSON at byte 1");
  expectMessage(refusal(std::string("{\"model\": ")), "not JSON at byte");
  expectMessage(refusal(std::string("\x00\xFF", 2)), "not JSON");
  expectMessage(refusal(std::string("{\"a\": \"\xFF\"}")), "ill-formed UTF-8 byte");
  expectMessage(refusal(std::string("[]")), "expected an object, found an array");
  expectMessage(refusal(std::string("{} trailing")), "not JSON");
  expectMessage(refusal(std::string("{\"version\": \"1.0\", \"version\": \"1.0\"}")), "version: appears twice");
}

TEST(HostileFile, EveryTruncationIsRefused) {
  std::string bytes = readFile(fixture("tokenizers/bpe/tokenizer.json"));
  while (!bytes.empty() && bytes.back() != '}')
    bytes.pop_back();
  for (size_t length = 0; length < bytes.size(); length += length < 600 || length > bytes.size() - 600 ? 1 : 97)
    refusal(bytes.substr(0, length));
}

TEST(HostileFile, FlippedBitsNeverCrash) {
  const std::string bytes = readFile(fixture("tokenizers/bpe/tokenizer.json"));
  uint32_t random = 12345;
  size_t loaded = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = bytes;
    for (int flips = 0; flips < 1 + i % 4; ++flips) {
      random = random * 1664525 + 1013904223;
      damaged[(random >> 8) % (i % 2 ? damaged.size() : 2400)] ^= static_cast<char>(1 << (random >> 5 & 7));
    }
    std::unique_ptr<const Tokenizer> tokenizer;
    Status status = Tokenizer::load(damaged, tokenizer);
    EXPECT_EQ(status.ok(), tokenizer != nullptr);
    if (!tokenizer)
      continue;
    ++loaded;
    std::vector<int32_t> ids;
    std::string text;
    if (tokenizer->encode("Hello, <|im_end|> wörld 123\n\n", ids).ok()) {
      EXPECT_TRUE(tokenizer->decode(ids, false, text).ok());
    }
  }
  EXPECT_GT(loaded, 10u);
}

TEST(HostileFile, Sizes) {
  std::string deep = "{\"normalizer\": ";
  for (int i = 0; i < 1000000; ++i)
    deep += "[";
  expectMessage(refusal(deep), "expected at most 32 levels of nesting");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/0", std::string(1 << 20, 'x') + " y")),
                "model.merges[0]: expected tokens of at most 65536 bytes");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/1", {std::string(1 << 20, 'x'), "y"})),
                "model.merges[1]: expected tokens of at most 65536 bytes");
  json file = smallBpe();
  file["model"]["vocab"][std::string(70000, 'x')] = 77;
  expectMessage(refusal(file), "model.vocab: expected tokens of at most 65536 bytes");
  expectMessage(refusal(std::string(tok::kMaxFileBytes + 1, ' ')), "expected at most 268435456 bytes, found 268435457");
}

TEST(HostileFile, Ids) {
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", -1)),
                "model.vocab['a']: expected a number from 0 to 4294967294, found -1");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", 1.5)), "model.vocab['a']: expected a number");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", "0")), "found '0'");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", json::array())), "found an array");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", json::object())), "found an object");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", 4294967295)), "found 4294967295");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", 4294967294)), "expected a number below 65616");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab/a", 3)), "number 3 already belongs to 'a'");
  std::string twice = smallBpe().dump();
  twice.replace(twice.find("\"a\":0"), 5, "\"a\":0,\"a\":12");
  expectMessage(refusal(twice), "model.vocab: token 'a' appears twice");
}

TEST(HostileFile, Merges) {
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", {"ab", "z"})),
                "model.merges[2]: 'z' is not in the vocabulary");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", {"e", "e"})),
                "model.merges[2]: 'ee' is not in the vocabulary");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", {"a"})),
                "model.merges[2]: expected two tokens, found 1");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", {"a", "b", "c"})), "expected two tokens, found more");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", {"a", 1})), "expected a token, found 1");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", 7)), "model.merges[2]: expected two tokens, found 7");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", "ab")), "a space between them, found 'ab'");
  expectMessage(refusal(changed(smallBpe(), "/model/merges/2", "a b c")), "a space between them");
  expectMessage(refusal(changed(smallBpe(), "/model/merges", nullptr)), "model.merges: expected an array");
  // A merge with nothing leads to its own other side, in a circle; no symbol is ever empty, so it never applies.
  json file = smallBpe();
  file["model"]["vocab"][""] = 11;
  file["model"]["merges"].push_back({"", "a"});
  file["model"]["merges"].push_back({"a", ""});
  file["model"]["merges"].push_back({"a", "b"});
  EXPECT_EQ(encode(*load(file), "aab"), std::vector<int32_t>({0, 6}));
}

TEST(HostileFile, AddedTokens) {
  auto with = [](const char *member, json value) {
    json file = smallBpe();
    file["added_tokens"] = {addedToken(20, "<x>"), addedToken(21, "<y>")};
    file["added_tokens"][1][member] = std::move(value);
    return file;
  };
  expectMessage(refusal(with("id", -5)), "added_tokens[1].id: expected a number from 0 to 4294967294, found -5");
  expectMessage(refusal(with("id", 20)), "added_tokens[1].id: number 20 already belongs to '<x>'");
  expectMessage(refusal(with("id", 3)), "added_tokens[1].id: number 3 already belongs to 'd'");
  expectMessage(refusal(with("id", 4000000000)), "added_tokens[1].id: expected a number below");
  expectMessage(refusal(with("content", "<x>")), "added_tokens[1].content: '<x>' appears twice");
  expectMessage(refusal(with("content", "a")), "added_tokens[1].id: 'a' has number 0 in the vocabulary, found 21");
  expectMessage(refusal(with("content", "")), "added_tokens[1].content: expected 1 to 256 bytes, found 0");
  expectMessage(refusal(with("content", std::string(2000, '<'))), "found 2000");
  expectMessage(refusal(with("special", nullptr)), "added_tokens[1].special: expected true or false, found null");
  expectMessage(refusal(with("shape", "round"), MSA_UNSUPPORTED), "added_tokens[1]: member 'shape' is not supported");
  json file = with("normalized", true);
  file["added_tokens"][1]["content"] = "\u0301";
  file["normalizer"] = {{"type", "StripAccents"}};
  expectMessage(refusal(file, MSA_UNSUPPORTED), "is empty once normalized");
}

TEST(HostileFile, TooManyHashCollisionsNeverHang) {
  // 200,000 tokens that share long beginnings and ends.
  json file = smallBpe();
  for (int i = 0; i < 200000; ++i)
    file["model"]["vocab"][std::string(40, 'q') + std::to_string(i) + std::string(40, 'q')] = 10 + i;
  EXPECT_EQ(encode(*load(file), "ab"), std::vector<int32_t>({6}));
}

TEST(UnsupportedFile, IsRefusedByName) {
  auto message = [](const char *pointer, json value) {
    return refusal(changed(smallBpe(), pointer, std::move(value)), MSA_UNSUPPORTED);
  };
  expectMessage(message("/version", "2.0"), "version: expected '1.0', found '2.0'");
  expectMessage(message("/extra", 1), "member 'extra' is not supported");
  expectMessage(message("/model/type", "WordLevel"), "model.type: 'WordLevel' is not supported");
  expectMessage(message("/model/dropout", 0.1), "model.dropout: only null is supported");
  expectMessage(message("/model/end_of_word_suffix", "</w>"), "model.end_of_word_suffix: only null is supported");
  expectMessage(message("/model/surprise", true), "model: member 'surprise' is not supported");
  expectMessage(message("/normalizer", {{"type", "Precompiled"}}), "normalizer.type: normalizer 'Precompiled'");
  expectMessage(message("/normalizer", {{"type", "NFC"}, {"twice", true}}), "normalizer: member 'twice'");
  expectMessage(
      message("/normalizer", json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]})")),
      "normalizer.normalizers[1].type: normalizer 'Nmt' is not supported");
  expectMessage(message("/pre_tokenizer", {{"type", "Metaspace"}}), "pre_tokenizer.type: pre-tokenizer 'Metaspace'");
  expectMessage(message("/pre_tokenizer", json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
      {"type": "BertPreTokenizer"}]})")),
                "pre_tokenizer.pretokenizers[1]: nothing may follow ByteLevel");
  expectMessage(
      message(
          "/pre_tokenizer",
          json::parse(R"({"type": "Split", "pattern": {"Regex": "a\\b"}, "behavior": "Isolated", "invert": false})")),
      "pre_tokenizer.pattern.Regex: '\\b' at byte 1");
  expectMessage(
      message("/pre_tokenizer",
              json::parse(R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Doubled", "invert": false})")),
      "pre_tokenizer.behavior: behavior 'Doubled'");
  expectMessage(message("/post_processor", {{"type", "Magic"}}), "post_processor.type: post-processor 'Magic'");
  expectMessage(message("/decoder", {{"type", "CTC"}}), "decoder.type: decoder 'CTC'");
  expectMessage(message("/decoder", json::parse(R"({"type": "Sequence", "decoders": [{"type": "Strip"}]})")),
                "decoder.decoders[0].type: decoder 'Strip' is not supported in a sequence");
  json unigram = json::parse(R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}})");
  expectMessage(refusal(unigram, MSA_UNSUPPORTED), "model.type: 'Unigram' is not supported");
}

TEST(IncompleteFile, SaysWhatIsMissing) {
  json file = smallBpe();
  file.erase("model");
  expectMessage(refusal(file), "model: expected an object, found nothing");
  expectMessage(refusal(changed(smallBpe(), "/model/vocab", nullptr)), "model.vocab: expected an object");
  expectMessage(refusal(changed(smallBpe(), "/model/unk_token", "zz")),
                "model.unk_token: 'zz' is not in the vocabulary");
  expectMessage(refusal(changed(smallWordPiece(), "/model/unk_token", "zz")),
                "model.unk_token: 'zz' is not in the vocabulary");
  expectMessage(refusal(changed(smallBpe(), "/model/fuse_unk", "yes")),
                "model.fuse_unk: expected true or false, found 'yes'");
  expectMessage(refusal(changed(smallBpe(), "/normalizer", "NFC")), "normalizer: expected an object, found 'NFC'");
  expectMessage(refusal(changed(smallBpe(), "/added_tokens", 1)), "added_tokens: expected an array");
  expectMessage(refusal(changed(smallWordPiece(), "/post_processor", json::parse(R"({"type": "BertProcessing",
                                "sep": ["[X]", 7], "cls": ["[CLS]", 99]})"))),
                "post_processor.cls[1]: expected a token number below 8");
}

TEST(Ignored, TruncationAndPadding) {
  json file = smallBpe();
  file["truncation"] = {{"max_length", 1}};
  file["padding"] = {{"strategy", {{"Fixed", 9}}}};
  EXPECT_EQ(encode(*load(file), "abcabc"), std::vector<int32_t>({7, 7}));
}

} // namespace
} // namespace msa::rt

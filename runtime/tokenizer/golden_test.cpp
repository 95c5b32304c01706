// SPDX-License-Identifier: Apache-2.0
//
// Goldens by the tokenizers library: ids must be identical.

#include "runtime/tokenizer/test_files.h"

namespace msa::rt {
namespace {

using nlohmann::json;

const json &goldens() {
  static const json parsed = json::parse(readFile(fixture("tokenizers/expected.json")));
  return parsed;
}

std::unique_ptr<const Tokenizer> loadGoldenTokenizer(const std::string &name) {
  return loadBytes(readFile(name == "bpe" ? fixture("tokenizers/bpe/tokenizer.json") : wordPiecePath()));
}

std::string fromHexadecimal(const std::string &digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  return bytes;
}

class Golden : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (GetParam() == std::string("wordpiece") && wordPiecePath().empty())
      GTEST_SKIP() << "MSA_WORDPIECE_TOKENIZER does not say where tokenizer.json of all-MiniLM-L6-v2 is";
    tokenizer = loadGoldenTokenizer(GetParam());
    ASSERT_NE(tokenizer, nullptr);
  }
  std::unique_ptr<const Tokenizer> tokenizer;
};
INSTANTIATE_TEST_SUITE_P(Tokenizers, Golden, testing::Values("bpe", "wordpiece"),
                         [](const auto &info) { return std::string(info.param); });

TEST_P(Golden, Strings) {
  size_t count = 0;
  for (const json &entry : goldens()["strings"]) {
    auto text = entry["text"].get<std::string>();
    EXPECT_EQ(encode(*tokenizer, text), entry[GetParam()].get<std::vector<int32_t>>()) << entry.dump();
    ++count;
  }
  EXPECT_EQ(count, 245u);
}

TEST_P(Golden, InvalidUtf8) {
  size_t count = 0;
  for (const json &entry : goldens()["invalid_utf8"]) {
    std::string bytes = fromHexadecimal(entry["bytes"]);
    auto expected = entry[GetParam()].get<std::vector<int32_t>>();
    EXPECT_EQ(encode(*tokenizer, bytes), expected) << entry.dump();
    EXPECT_EQ(encode(*tokenizer, entry["text"].get<std::string>()), expected) << entry.dump();
    ++count;
  }
  EXPECT_EQ(count, 20u);
}

TEST(GoldenDecode, Bpe) {
  auto tokenizer = loadGoldenTokenizer("bpe");
  size_t count = 0;
  for (const json &entry : goldens()["bpe_decode"]) {
    auto ids = entry["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(decode(*tokenizer, ids), entry["text"].get<std::string>()) << entry.dump();
    EXPECT_EQ(decode(*tokenizer, ids, true), entry["text_without_special"].get<std::string>()) << entry.dump();
    EXPECT_EQ(decodeInStream(*tokenizer, ids), entry["text"].get<std::string>()) << entry.dump();
    ++count;
  }
  EXPECT_EQ(count, 33u);
}

/// The checkpoints: texts and prompts are tokenised as the reference did.
class Checkpoint : public testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, Checkpoint,
                         testing::Values("coupled-p16", "decoupled-infonce-p64", "decoupled-p4-headmax-last-chunkmean",
                                         "few-documents-batch3", "interleave-p16"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(Checkpoint, DocumentsAndPrompts) {
  auto tokenizer = loadBytes(readFile(fixture(GetParam()) + "/tokenizer.json"));
  ASSERT_NE(tokenizer, nullptr);
  json inputs = json::parse(readFile(fixture(GetParam()) + "/inputs.json"));
  json expected = json::parse(readFile(fixture(GetParam()) + "/expected.json"));
  EXPECT_EQ(encode(*tokenizer, inputs["template_prefix"]["text"].get<std::string>()),
            inputs["template_prefix"]["input_ids"].get<std::vector<int32_t>>());

  for (const json &document : inputs["documents"]) {
    auto text = document["text"].get<std::string>();
    // Only the wrapper may hold control tokens: a document is whatever somebody wrote.
    std::string head, tail;
    if (!inputs["document_wrapper"].is_null()) {
      std::string number = "[" + std::to_string(document["number"].get<int>()) + "]";
      head = "<|im_start|>" + number + ". ";
      tail = number + "<|im_end|>";
    }
    Tokenizer::Segment segments[] = {{head, true}, {text, false}, {tail, true}};
    std::vector<int32_t> ids;
    ASSERT_TRUE(tokenizer->encodeSegments(segments, ids).ok());
    EXPECT_EQ(ids, document["input_ids"].get<std::vector<int32_t>>()) << text;
  }

  const json &wrapper = inputs["query_template"];
  for (size_t i = 0; i < inputs["queries"].size(); ++i) {
    auto prompt = inputs["queries"][i]["prompt"].get<std::string>();
    constexpr std::string_view kContinued = "<regenerate>"; // a later round: the whole text so far
    std::string text = prompt.starts_with(kContinued)
                           ? prompt.substr(kContinued.size())
                           : wrapper["before"].get<std::string>() + prompt + wrapper["after"].get<std::string>();
    std::vector<int32_t> ids = encode(*tokenizer, text);
    if (!prompt.starts_with(kContinued))
      for (int32_t id : wrapper["tail_input_ids"])
        ids.push_back(id);
    auto fed = expected["queries"][i]["calls"][0]["input_ids"].get<std::vector<int32_t>>();
    if (prompt.starts_with(kContinued) && ids.size() < fed.size()) // the tail follows here too
      for (int32_t id : wrapper["tail_input_ids"])
        ids.push_back(id);
    EXPECT_EQ(ids, fed) << prompt;
  }
}

TEST(GoldenNeedle, RoundTrip) {
  auto tokenizer = loadBytes(readFile(std::string(MSA_NEEDLE_MODEL) + "/tokenizer.json"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->vocabSize(), 1348);
  std::ifstream documents(std::string(MSA_NEEDLE_MODEL) + "/documents.jsonl");
  std::string line;
  size_t count = 0;
  while (std::getline(documents, line)) {
    std::string text = json::parse(line)["text"];
    EXPECT_EQ(decode(*tokenizer, encode(*tokenizer, text)), text);
    ++count;
  }
  EXPECT_GT(count, 100u);
}

} // namespace
} // namespace msa::rt

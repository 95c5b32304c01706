// SPDX-License-Identifier: Apache-2.0
//
// Expressions mean in PCRE2 what they mean in Ruby's syntax, or are refused.

#include "runtime/tokenizer/Regex.h"

#include <gtest/gtest.h>

namespace msa::rt::tok {
namespace {

/// The parts of |text| that match, joined by bars.
std::string found(std::string_view expression, std::string_view text) {
  Regex regex;
  Status status = regex.compile(expression, "here");
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<std::pair<size_t, size_t>> matches;
  status = regex.matches(text, matches);
  EXPECT_TRUE(status.ok()) << status.message();
  std::string result;
  for (auto [start, end] : matches)
    result.append(text.substr(start, end - start)).append("|");
  return result;
}

Status refused(std::string_view expression) {
  Regex regex;
  return regex.compile(expression, "here");
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(found("\\s", "a\u180Eb\u3000c\x0B"), "\u3000|\x0B|");
  EXPECT_EQ(found("[^\\s]+", "a\u180Eb\u3000c"), "a\u180Eb|c|");
  EXPECT_EQ(found("\\S+", "a\u180Eb\u0085c"), "a\u180Eb|c|");
}

TEST(Regex, WordsDigitsAndProperties) {
  EXPECT_EQ(found("\\w+", "é_1 ²½ ٣-⁴"), "é_1|²½|٣|");
  EXPECT_EQ(found("\\W", "é⁴"), "⁴|");
  EXPECT_EQ(found("[\\w-]+", "a-b c½"), "a-b|c|");
  EXPECT_EQ(found("\\h+", "xFFg "), "FF|");
  EXPECT_EQ(found("\\p{Han}+", "中、文"), "中|文|"); // the comma is used with Han script but is not of it
  EXPECT_EQ(found("\\p{^L}+", "a12b"), "12|");
  EXPECT_EQ(found("\\P{Letter}+", "a12b"), "12|");
  EXPECT_EQ(found("\\u00e9|\\x41|\\x{1F600}", "éA😀"), "é|A|😀|");
}

TEST(Regex, RepeatsAndOptions) {
  EXPECT_EQ(found("a{,2}b", "aaab"), "aab|");
  EXPECT_EQ(found("\\p{N}{1,3}", "12345"), "123|45|");
  EXPECT_EQ(found("a{x}", "a{x}"), "a{x}|");
  EXPECT_EQ(found("a.b", "a\nb axb"), "axb|");
  EXPECT_EQ(found("(?m:a.b)", "a\nb"), "a\nb|");
  EXPECT_EQ(found("(?i:'s)|x", "'ſ'S X"), "'ſ|'S|");
  EXPECT_EQ(found("^a$", "a\na"), "a|a|");
  EXPECT_EQ(found("\\s+(?!\\S)|\\s+", "a   b"), "  | |");
}

TEST(Regex, EmptyMatches) { EXPECT_EQ(found("x*", "axé"), "|x||"); }

TEST(Regex, LongRunsThatBacktrack) {
  std::string spaces(1 << 20, ' ');
  EXPECT_EQ(found("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", spaces).size(), spaces.size() + 1);
  // A group that repeats needs a stack in compiled code: the interpreter takes over.
  EXPECT_EQ(found("(?:ab|c)+", std::string(1 << 16, 'c')).size(), (1u << 16) + 1);
}

TEST(Regex, GivesUpInsteadOfHanging) {
  Regex regex;
  ASSERT_TRUE(regex.compile("(?:a+)+$", "here").ok());
  std::vector<std::pair<size_t, size_t>> matches;
  Status status = regex.matches(std::string(64, 'a') + "b", matches);
  EXPECT_EQ(status.code(), MSA_PROGRAM_FAILED);
  EXPECT_NE(std::string(status.message()).find("gave up at byte 0"), std::string::npos) << status.message();
}

TEST(Regex, RefusesWhatMeansSomethingElse) {
  for (const char *expression :
       {"a\\b",          "\\Ba",  "(a)\\1", "\\k<x>", "(?<x>a)", "[a[bc]]", "[a&&b]", "[[:alpha:]]", "x{1,2}+",
        "x{2}?",         "\\K",   "\\G",    "\\R",    "\\X",     "(*UTF)",  "(?R)",   "(?1)",        "(?x)a",
        "\\p{Nonsense}", "\\xE9", "[\\W]",  "\\pL",   "a\\",     "[]a]",    "(?~a)"}) {
    Status status = refused(expression);
    EXPECT_EQ(status.code(), MSA_UNSUPPORTED) << expression << ": " << status.message();
  }
  EXPECT_STREQ(refused("a\\b").message(),
               "tokenizer.json: here: '\\b' at byte 1 of the regular expression is not supported");
}

TEST(Regex, RefusesWhatIsBroken) {
  EXPECT_EQ(refused("(a").code(), MSA_INVALID_ARTIFACT);
  EXPECT_EQ(refused("[a").code(), MSA_INVALID_ARTIFACT);
  EXPECT_EQ(refused("a**(").code(), MSA_INVALID_ARTIFACT);
  EXPECT_EQ(refused(std::string(40000, 'a')).code(), MSA_INVALID_ARTIFACT);
  EXPECT_EQ(refused(std::string(5000, '(') + std::string(5000, ')')).code(), MSA_INVALID_ARTIFACT);
  EXPECT_EQ(refused("((a{1,9999}){1,9999}){1,9999}").code(), MSA_INVALID_ARTIFACT);
}

} // namespace
} // namespace msa::rt::tok

// SPDX-License-Identifier: Apache-2.0

#include "Mutation.h"

#include <gtest/gtest.h>

using namespace mutations;

static const char *const kText = "one;\nbar.sync 0;\ntwo 16;\nbar.sync 1;\nthree;";

static std::string edit(const std::string &line) { return apply(parse("k | " + line + " | words | race").at(0), kText); }

TEST(Mutation, EditsTheMatchThatIsNamed) {
  EXPECT_EQ(edit("bar.sync | 1 | -"), "one;\n\ntwo 16;\nbar.sync 1;\nthree;");
  EXPECT_EQ(edit("bar.sync | -1 | -"), "one;\nbar.sync 0;\ntwo 16;\n\nthree;");
  EXPECT_EQ(edit("bar.sync | all | -"), "one;\n\ntwo 16;\n\nthree;");
  EXPECT_EQ(edit("(two) \\d+ | 1 | $1 8"), "one;\nbar.sync 0;\ntwo 8;\nbar.sync 1;\nthree;");
  EXPECT_EQ(edit("one; | 1 | $&\\n$&"), "one;\none;\nbar.sync 0;\ntwo 16;\nbar.sync 1;\nthree;");
}

static std::string problem(const std::string &line) {
  try {
    edit(line);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Mutation, RefusesWhatDoesNotFit) {
  EXPECT_NE(problem("bar.sync | 3 | -").find("matches 2 lines, expected match 3"), std::string::npos);
  EXPECT_NE(problem("four | all | -").find("matches 0 lines"), std::string::npos);
  EXPECT_NE(problem("two | 1 | two").find("changes nothing"), std::string::npos);
  EXPECT_NE(problem("two | 0 | -").find("number of a match"), std::string::npos);
  EXPECT_NE(problem("two( | 1 | -").find("no regular expression"), std::string::npos);
  EXPECT_THROW(parse("k | a | 1 | -"), Error);
  EXPECT_TRUE(parse("# a comment\n\n").empty());
}

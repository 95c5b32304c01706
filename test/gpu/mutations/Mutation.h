// SPDX-License-Identifier: Apache-2.0
//
// Deliberate faults: edits of a kernel's PTX text that must not go unnoticed. mutations.txt holds them, one a line.

#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mutations {

/// What is wrong with the list, or with an edit that does not fit its text.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// One line of the list: `instance | pattern | which | replacement | what it breaks | expected kinds`.
struct Mutation {
  std::string instance;
  std::string pattern;     ///< A regular expression (ECMAScript), searched in each line of the text.
  int which = 0;           ///< The match to edit, counted from 1; from the end if negative; 0: all of them.
  bool deletes = false;    ///< Replacement "-": the line goes.
  std::string replacement; ///< For the match; $1, $& as in ECMAScript, \n for a new line.
  std::string breaks;      ///< In words.
  std::vector<std::string> expected; ///< Kinds of reports, or "wrong": a result that differs. Any of them will do.
  int line = 0;            ///< Of the list.
};

/// Reads a list. Empty lines and lines that begin with '#' say nothing. Throws Error with the line's number.
std::vector<Mutation> parse(std::string_view list);

/// The edited text; other lines stay where they are. Throws Error if there is no such match or the edit changes nothing.
std::string apply(const Mutation &mutation, std::string_view text);

} // namespace mutations

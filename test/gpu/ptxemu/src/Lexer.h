// SPDX-License-Identifier: Apache-2.0
//
// PTX text to tokens.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptxemu {

struct Token {
  enum class Kind : uint8_t {
    Word,     ///< Names, opcodes with their modifiers, directives: letters, digits, `_ $ % .` and `::`.
    Integer,  ///< `bits` holds it.
    Single,   ///< 0f...: `bits` holds the float's bits.
    Double,   ///< 0d... or a decimal fraction: `bits` holds the double's bits.
    String,   ///< `text` without the quotes.
    Mark,     ///< One punctuation character.
    End
  };
  Kind kind = Kind::End;
  std::string_view text;
  uint64_t bits = 0;
  int line = 0;
  bool is(char mark) const { return kind == Kind::Mark && text[0] == mark; }
  bool is(std::string_view word) const { return kind == Kind::Word && text == word; }
};

/// Tokens of `text`, which must outlive them; the last is End. Throws Error.
std::vector<Token> tokenize(std::string_view text);

/// `text` from the first to the last token in one line, shortened to what a report can hold.
std::string sourceLine(const Token &first, const Token &last);

} // namespace ptxemu

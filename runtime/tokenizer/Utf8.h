// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 and the few questions about characters that more than one part of the tokenizer asks.

#ifndef MSA_RUNTIME_TOKENIZER_UTF8_H
#define MSA_RUNTIME_TOKENIZER_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace msa::rt::tok {

/// What the bytes at the start of a non-empty text are.
struct Utf8Step {
  uint8_t length; // of the character, or of the maximal invalid part: 1 to 4 bytes
  bool valid;
  bool truncated; // invalid only because the text ends: more bytes could make it a character
};
Utf8Step readUtf8(std::string_view text);

bool isValidUtf8(std::string_view text);

/// Appends |text| with every maximal invalid part replaced by U+FFFD.
void appendRepaired(std::string_view text, std::string &out);

/// Bytes at the end of |text| that begin a character which more bytes could complete: 0 to 3.
size_t incompleteSuffix(std::string_view text);

/// The character at |position| of valid UTF-8; |position| moves behind it.
char32_t nextCharacter(std::string_view text, size_t &position);
/// The last character of the non-empty valid |text|.
char32_t lastCharacter(std::string_view text);
void appendCharacter(char32_t character, std::string &out);

/// Property White_Space of Unicode.
bool isWhiteSpace(char32_t character);
/// General category P*.
bool isPunctuation(char32_t character);
/// General category N*.
bool isNumeric(char32_t character);
/// A character of a word: letters, marks, decimal digits, connectors and joiners (UTS 18, annex C).
bool isWordCharacter(char32_t character);

/// |text| between single quotes, cut to a length that suits a message.
std::string inQuotes(std::string_view text);

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_UTF8_H

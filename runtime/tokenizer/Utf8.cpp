// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/Utf8.h"

#include <cstring>
#include <utf8proc.h>

namespace msa::rt::tok {

Utf8Step readUtf8(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  if (lead < 0x80)
    return {1, true, false};
  // How many bytes follow, and which values the first of them may have: the others are always 80 to BF.
  unsigned following, low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    following = 1;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    following = 2;
    if (lead == 0xE0)
      low = 0xA0; // shorter form exists
    if (lead == 0xED)
      high = 0x9F; // surrogates
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    following = 3;
    if (lead == 0xF0)
      low = 0x90; // shorter form exists
    if (lead == 0xF4)
      high = 0x8F; // past U+10FFFF
  } else {
    return {1, false, false};
  }
  for (unsigned i = 1; i <= following; ++i) {
    if (i >= text.size())
      return {static_cast<uint8_t>(i), false, true};
    if (byte(i) < low || byte(i) > high)
      return {static_cast<uint8_t>(i), false, false};
    low = 0x80;
    high = 0xBF;
  }
  return {static_cast<uint8_t>(following + 1), true, false};
}

static size_t asciiPrefix(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080u)
      break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80)
    ++i;
  return i;
}

bool isValidUtf8(std::string_view text) {
  while (!text.empty()) {
    size_t length = asciiPrefix(text);
    if (length == 0) {
      Utf8Step step = readUtf8(text);
      if (!step.valid)
        return false;
      length = step.length;
    }
    text.remove_prefix(length);
  }
  return true;
}

void appendRepaired(std::string_view text, std::string &out) {
  while (!text.empty()) {
    size_t length = asciiPrefix(text);
    bool valid = true;
    if (length == 0) {
      Utf8Step step = readUtf8(text);
      valid = step.valid;
      length = step.length;
    }
    if (valid)
      out.append(text.substr(0, length));
    else
      out.append("\xEF\xBF\xBD");
    text.remove_prefix(length);
  }
}

size_t incompleteSuffix(std::string_view text) {
  for (size_t length = 1; length <= 3 && length <= text.size(); ++length) {
    std::string_view suffix = text.substr(text.size() - length);
    if ((static_cast<unsigned char>(suffix[0]) & 0xC0) == 0x80)
      continue;
    Utf8Step step = readUtf8(suffix);
    return step.truncated && step.length == length ? length : 0;
  }
  return 0;
}

char32_t nextCharacter(std::string_view text, size_t &position) {
  auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[position + i])); };
  char32_t lead = byte(0);
  char32_t character;
  if (lead < 0x80) {
    character = lead;
    position += 1;
  } else if (lead < 0xE0) {
    character = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    position += 2;
  } else if (lead < 0xF0) {
    character = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    position += 3;
  } else {
    character = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    position += 4;
  }
  return character;
}

char32_t lastCharacter(std::string_view text) {
  size_t position = text.size() - 1;
  while ((static_cast<unsigned char>(text[position]) & 0xC0) == 0x80)
    --position;
  return nextCharacter(text, position);
}

void appendCharacter(char32_t character, std::string &out) {
  if (character < 0x80) {
    out.push_back(static_cast<char>(character));
    return;
  }
  utf8proc_uint8_t bytes[4];
  utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes);
  out.append(reinterpret_cast<const char *>(bytes), static_cast<size_t>(length));
}

bool isWhiteSpace(char32_t character) {
  if (character < 0x80)
    return character == ' ' || (character >= '\t' && character <= '\r');
  return character == 0x85 || character == 0xA0 || character == 0x1680 ||
         (character >= 0x2000 && character <= 0x200A) || character == 0x2028 || character == 0x2029 ||
         character == 0x202F || character == 0x205F || character == 0x3000;
}

static utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

bool isPunctuation(char32_t character) {
  utf8proc_category_t found = category(character);
  return found >= UTF8PROC_CATEGORY_PC && found <= UTF8PROC_CATEGORY_PO;
}

bool isNumeric(char32_t character) {
  utf8proc_category_t found = category(character);
  return found >= UTF8PROC_CATEGORY_ND && found <= UTF8PROC_CATEGORY_NO;
}

bool isWordCharacter(char32_t character) {
  switch (category(character)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  case UTF8PROC_CATEGORY_SO: // circled and squared letters are alphabetic
    return (character >= 0x24B6 && character <= 0x24E9) || (character >= 0x1F130 && character <= 0x1F149) ||
           (character >= 0x1F150 && character <= 0x1F169) || (character >= 0x1F170 && character <= 0x1F189);
  default:
    return character == 0x200C || character == 0x200D;
  }
}

std::string inQuotes(std::string_view text) {
  constexpr size_t kLimit = 80;
  std::string result = "'";
  if (text.size() <= kLimit) {
    appendRepaired(text, result);
    return result + "'";
  }
  size_t length = kLimit - incompleteSuffix(text.substr(0, kLimit));
  appendRepaired(text.substr(0, length), result);
  return result + "...' (" + std::to_string(text.size()) + " bytes)";
}

} // namespace msa::rt::tok

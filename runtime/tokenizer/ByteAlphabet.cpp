// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/ByteAlphabet.h"

#include "runtime/tokenizer/Utf8.h"

#include <array>

namespace msa::rt::tok {

static constexpr bool standsForItself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

static constexpr auto kCharacters = [] {
  std::array<char32_t, 256> table = {};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte)
    table[byte] = standsForItself(byte) ? byte : next++;
  return table;
}();

static constexpr auto kBytes = [] {
  std::array<int, 0x144> table = {};
  for (int &entry : table)
    entry = -1;
  for (unsigned byte = 0; byte < 256; ++byte)
    table[kCharacters[byte]] = static_cast<int>(byte);
  return table;
}();

char32_t characterOfByte(unsigned char byte) { return kCharacters[byte]; }

bool appendSpelledBytes(std::string_view token, std::string &out) {
  size_t before = out.size();
  for (size_t position = 0; position < token.size();) {
    char32_t character = nextCharacter(token, position);
    int byte = character < kBytes.size() ? kBytes[character] : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(byte));
  }
  return true;
}

} // namespace msa::rt::tok

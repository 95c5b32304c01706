// SPDX-License-Identifier: Apache-2.0
//
// The alphabet in which byte-level vocabularies spell bytes: printable Latin-1 characters stand for themselves, the
// other bytes are U+0100, U+0101... in order.

#ifndef MSA_RUNTIME_TOKENIZER_BYTEALPHABET_H
#define MSA_RUNTIME_TOKENIZER_BYTEALPHABET_H

#include <string>
#include <string_view>

namespace msa::rt::tok {

char32_t characterOfByte(unsigned char byte);

/// Appends the bytes that |token| spells; false, and nothing appended, when a character of it spells none.
bool appendSpelledBytes(std::string_view token, std::string &out);

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_BYTEALPHABET_H

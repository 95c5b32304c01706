// SPDX-License-Identifier: Apache-2.0
//
// The character classes of BERT tokenizers, as the tokenizers library has them: by an older edition of Unicode than the
// one of utf8proc. A character that Unicode has since made a mark or punctuation still is none there, and since words
// with it become the unknown token the difference shows.

#ifndef MSA_RUNTIME_TOKENIZER_BERTCHARACTERS_H
#define MSA_RUNTIME_TOKENIZER_BERTCHARACTERS_H

namespace msa::rt::tok {

/// Stands alone: ASCII symbols and general category P*.
bool isBertPunctuation(char32_t character);
/// Is dropped when text is cleaned: NUL, U+FFFD, and general categories Cc (but tab and line ends), Cf, Co.
bool isBertControl(char32_t character);
/// Is dropped when accents are stripped: general category Mn.
bool isBertAccent(char32_t character);
/// Gets spaces around it.
bool isBertIdeograph(char32_t character);

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_BERTCHARACTERS_H

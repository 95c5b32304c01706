// SPDX-License-Identifier: Apache-2.0
//
// C API of the tokenizers: text to token ids and back, as a Hugging Face tokenizer.json describes it. An optional component:
// the library `msa_tokenizer` beside the runtime, whose ownership law and statuses (msa/msa.h, msa/status.h) hold here too.
//
//   msa_segment segment;                                      // the artifact's tokenizer, or the bytes of any tokenizer.json
//   msa_program_find_segment(program, MSA_SEGMENT_TOKENIZER, &segment);
//   msa_tokenizer_create(segment.data, segment.size, &tokenizer);
//   msa_tokenizer_encode(tokenizer, text, length, MSA_TOKENIZER_ORDINARY, &ids);
//
// Text is |length| bytes, any bytes: each maximal part that is not UTF-8 counts as U+FFFD. Nothing here ends a text with NUL
// or stops at one. A text may have 128 MiB; a longer one is refused with MSA_INVALID_ARGUMENT.

#ifndef MSA_TOKENIZER_H
#define MSA_TOKENIZER_H

#include "msa/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

//===----------------------------------------------------------------------===//
// Tokenizer. Immutable, thread-safe.
//===----------------------------------------------------------------------===//

typedef struct msa_tokenizer msa_tokenizer;

/// Reads the |size| bytes of a tokenizer.json at |json|, which are not needed afterwards. WordPiece and BPE, with what goes
/// with them in BERT's and Qwen's files; "truncation" and "padding" are not applied.
/// Codes: MSA_INVALID_ARTIFACT (the message names the place in the file), MSA_UNSUPPORTED (and what is not), MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_tokenizer_create(const void *json, size_t size, msa_tokenizer **out_tokenizer);
MSA_API msa_tokenizer *msa_tokenizer_retain(msa_tokenizer *tokenizer);
MSA_API void msa_tokenizer_release(msa_tokenizer *tokenizer);

/// The highest id plus one. A model may have more rows than that.
MSA_API int32_t msa_tokenizer_vocab_size(const msa_tokenizer *tokenizer);
/// False when no token is written |token|.
MSA_API bool msa_tokenizer_find(const msa_tokenizer *tokenizer, const char *token, size_t length, int32_t *out_id);
/// Token |id| as it stands in the file, not ended by NUL; NULL and 0 when |id| has none. Lives as long as |tokenizer|.
MSA_API const char *msa_tokenizer_token(const msa_tokenizer *tokenizer, int32_t id, size_t *out_length);
/// Whether decoding leaves |id| out when asked to skip special tokens.
MSA_API bool msa_tokenizer_is_special(const msa_tokenizer *tokenizer, int32_t id);

/// What the file wants before and behind a single text ([CLS] and [SEP] of BERT); encoding adds neither. Live as long as
/// |tokenizer|.
MSA_API const int32_t *msa_tokenizer_template_prefix(const msa_tokenizer *tokenizer, size_t *out_count);
MSA_API const int32_t *msa_tokenizer_template_suffix(const msa_tokenizer *tokenizer, size_t *out_count);

//===----------------------------------------------------------------------===//
// Encoding
//===----------------------------------------------------------------------===//

/// What becomes of added tokens (control tokens among them) that are written in a text.
typedef enum msa_tokenizer_trust {
  /// They are just text, and merging never leads to one either. For documents, and whatever else comes from outside.
  MSA_TOKENIZER_ORDINARY = 0,
  /// They are recognised. For templates and text that the program itself wrote.
  MSA_TOKENIZER_TRUSTED = 1,
} msa_tokenizer_trust;

/// A part of a text. |text| may be NULL when |length| is 0.
typedef struct msa_tokenizer_segment {
  const char *text;
  size_t length;
  msa_tokenizer_trust trust;
} msa_tokenizer_segment;

/// A list of ids that the tokenizer made. Thread-compatible.
typedef struct msa_token_list msa_token_list;

/// Ids of |text|. Codes: MSA_INVALID_ARGUMENT, MSA_OUT_OF_MEMORY, MSA_PROGRAM_FAILED (the file's splitting expression gave up).
MSA_NODISCARD MSA_API msa_status *msa_tokenizer_encode(const msa_tokenizer *tokenizer, const char *text, size_t length,
                                                       msa_tokenizer_trust trust, msa_token_list **out_tokens);
/// Ids of the |segment_count| texts as one text, merged across their seams: a trusted template around an ordinary document.
/// Added tokens are recognised where they lie wholly in neighbouring trusted segments.
MSA_NODISCARD MSA_API msa_status *msa_tokenizer_encode_segments(const msa_tokenizer *tokenizer,
                                                                const msa_tokenizer_segment *segments,
                                                                size_t segment_count, msa_token_list **out_tokens);
MSA_API void msa_token_list_release(msa_token_list *tokens);
MSA_API size_t msa_token_list_count(const msa_token_list *tokens);
/// Valid until |tokens| is released; NULL when it is empty.
MSA_API const int32_t *msa_token_list_ids(const msa_token_list *tokens);

//===----------------------------------------------------------------------===//
// Decoding. A decoder is thread-compatible; several may share a tokenizer.
//===----------------------------------------------------------------------===//

/// Turns ids into text as they come.
typedef struct msa_text_decoder msa_text_decoder;

MSA_NODISCARD MSA_API msa_status *msa_text_decoder_create(msa_tokenizer *tokenizer, bool skip_special,
                                                          msa_text_decoder **out_decoder);
MSA_API void msa_text_decoder_release(msa_text_decoder *decoder);
/// Decodes |count| ids at |ids|. |out_text| and |out_length| get the text that they complete, valid UTF-8 that lives until
/// the decoder's next call, followed by a NUL that is not counted; bytes that may still become a character are held back. Ids
/// without a token add nothing. Codes: MSA_INVALID_ARGUMENT (a negative id; ids before it are decoded), MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_text_decoder_append(msa_text_decoder *decoder, const int32_t *ids, size_t count,
                                                          const char **out_text, size_t *out_length);
/// Gives what is held back, U+FFFD in place of incomplete characters, and starts anew. What all calls gave, one after the
/// other, is the text of all ids.
MSA_NODISCARD MSA_API msa_status *msa_text_decoder_finish(msa_text_decoder *decoder, const char **out_text,
                                                          size_t *out_length);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // MSA_TOKENIZER_H

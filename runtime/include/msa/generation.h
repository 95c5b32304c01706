// SPDX-License-Identifier: Apache-2.0
//
// From texts to answers: encodes documents into a memory bank, routes questions to them, and generates, with Memory Interleave
// where a model does it. An optional component, the library `msa_generation` on top of the runtime and the tokenizers. What it needs
// to know of a model (prompt template, stop tokens, windows) is in the artifact.
//
//   msa_generator_create(program, &generator);                       // once per artifact
//   msa_generator_add(generator, bank, documents, n, NULL, NULL);    // texts -> rows of the bank
//   msa_session_create(generator, bank, &session);                   // one per conversation or thread
//   msa_session_ask(session, text, length, NULL, &answer);
//
// Texts are UTF-8 by length; parts that are not UTF-8 count as U+FFFD. Control tokens that are spelt out in documents and questions
// are encoded as ordinary characters. Ownership law and statuses are those of msa/msa.h.

#ifndef MSA_GENERATION_H
#define MSA_GENERATION_H

#include "msa/bank.h"
#include "msa/msa.h"

#ifdef __cplusplus
extern "C" {
#endif

//===----------------------------------------------------------------------===//
// Generator: an artifact with its tokenizer and configuration. Immutable, thread-safe.
//===----------------------------------------------------------------------===//

typedef struct msa_generator msa_generator;

/// Codes: MSA_INVALID_ARTIFACT (what the artifact says about its model is missing, wrong or contradicts its entries),
/// MSA_UNSUPPORTED, MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_generator_create(msa_program *program, msa_generator **out_generator);
MSA_API msa_generator *msa_generator_retain(msa_generator *generator);
MSA_API void msa_generator_release(msa_generator *generator);
MSA_API msa_program *msa_generator_program(const msa_generator *generator);

typedef struct msa_model_info {
  bool generates; // false: a retriever, which routes and nothing else
  bool interleaves;
  int64_t vocab_size;
  int64_t chunk_length;
  int64_t top_k;
  uint32_t router_layer_count;
  const int64_t *router_layers; // valid as long as the generator
} msa_model_info;

MSA_API void msa_generator_info(const msa_generator *generator, msa_model_info *out_info);

/// Tokens and, for each, what it belongs to: 0 the question, -1 generated, -2 the template. Immutable, thread-safe.
typedef struct msa_prompt msa_prompt;

/// The tokens that document |number| with |text| is encoded from (numbers all 0).
MSA_NODISCARD MSA_API msa_status *msa_generator_document_tokens(const msa_generator *generator, int64_t number, const char *text,
                                                                size_t length, msa_prompt **out_tokens);
/// The tokens of a question with its template.
MSA_NODISCARD MSA_API msa_status *msa_generator_question_tokens(const msa_generator *generator, const char *text, size_t length,
                                                                msa_prompt **out_tokens);
MSA_API void msa_prompt_release(msa_prompt *prompt);
MSA_API size_t msa_prompt_count(const msa_prompt *prompt);
MSA_API const int32_t *msa_prompt_ids(const msa_prompt *prompt);
MSA_API const int64_t *msa_prompt_numbers(const msa_prompt *prompt);

//===----------------------------------------------------------------------===//
// Adding documents
//===----------------------------------------------------------------------===//

typedef struct msa_add_options {
  size_t struct_size; // set by msa_add_options_initialize
  /// Tokens that one call of the model encodes at most, a longer document alone. 0: a default. Changes speed and working memory, not
  /// results.
  int64_t tokens_per_call;
  msa_cancel_token *cancel; // may be NULL
  /// Called after every call of the model. A result other than 0 stops with MSA_CANCELLED. May be NULL.
  int (*progress)(void *user, int64_t tokens_done, int64_t tokens_total);
  void *user;
} msa_add_options;

MSA_API void msa_add_options_initialize(msa_add_options *options);

typedef struct msa_add_result {
  int64_t documents; // that are in the bank now; complete ones, from the first
  int64_t chunks;
  int64_t tokens;
} msa_add_result;

/// Encodes |count| documents and appends them to |bank|. Of a msa_bank_document, number (-1: the next), name, text, and, in place of
/// what the tokenizer would make of the text, ids are read. When it fails or is cancelled, the documents that |out_result| (may be
/// NULL) counts have been added. Codes: as msa_bank_add and msa_invocation_run.
MSA_NODISCARD MSA_API msa_status *msa_generator_add(msa_generator *generator, msa_bank *bank, const msa_bank_document *documents,
                                                    size_t count, const msa_add_options *options, msa_add_result *out_result);

//===----------------------------------------------------------------------===//
// Session: the state of one conversation. Thread-compatible; sessions may share a bank.
//===----------------------------------------------------------------------===//

typedef struct msa_session msa_session;

/// |bank| must fit the generator's program (msa_bank_fits). A prompt reads the bank as it is when it runs; adding and removing wait.
MSA_NODISCARD MSA_API msa_status *msa_session_create(msa_generator *generator, msa_bank *bank, msa_session **out_session);
MSA_API msa_session *msa_session_retain(msa_session *session);
MSA_API void msa_session_release(msa_session *session);

typedef enum msa_stage MSA_ENUM_BASE {
  MSA_STAGE_PREFILL = 0, // a whole prompt: routes, reads memory, causal
  MSA_STAGE_DECODE = 1,  // one token behind a running sequence
  MSA_STAGE_APPEND = 2,  // a block behind a running sequence; its tokens see the whole block; does not route
} msa_stage;

/// One call of the model. Pointers live during the callback.
typedef struct msa_call {
  msa_stage stage;
  const int32_t *ids;
  const int64_t *positions;
  const int64_t *numbers;
  size_t count;
  const float *logits; // of the last token; NULL for a retriever
  size_t logit_count;
} msa_call;

typedef struct msa_ask_options {
  size_t struct_size; // set by msa_ask_options_initialize
  uint32_t max_new_tokens; // in all rounds together; default 256
  uint32_t max_rounds;     // of Memory Interleave; default 8
  /// 0 (default): always the likeliest token, of equal ones the lowest id. Else tokens are drawn.
  float temperature;
  uint32_t top_k; // draw from the k likeliest; 0: all
  float top_p;    // draw from the likeliest that reach this probability together; 1: all
  uint64_t seed;  // equal seeds draw equally
  /// Tokens that replace the model's own choice, in order: for tests.
  const int32_t *forced;
  size_t forced_count;
  msa_cancel_token *cancel; // may be NULL
  /// Text as it is generated, without control tokens; an incomplete character waits. |answering| is false while a round may still
  /// turn out to name documents. A result other than 0 stops with MSA_CANCELLED. May be NULL.
  int (*on_text)(void *user, uint32_t round, bool answering, const char *text, size_t length);
  /// Called after every call of the model. May be NULL.
  int (*on_call)(void *user, const msa_call *call);
  void *user;
} msa_ask_options;

MSA_API void msa_ask_options_initialize(msa_ask_options *options);

/// Why an answer ended.
typedef enum msa_finish MSA_ENUM_BASE {
  MSA_FINISH_STOP = 0,      // a stop token
  MSA_FINISH_TOKENS = 1,    // max_new_tokens
  MSA_FINISH_ROUNDS = 2,    // max_rounds
  MSA_FINISH_NO_DOCUMENT = 3, // a round named no document that exists
  MSA_FINISH_ROUTED = 4,    // a retriever: there is nothing to generate
  MSA_FINISH_NO_TEXT = 5,   // a round named documents, but the question or one of them is known by its ids only
} msa_finish;

/// What a question led to. Immutable, thread-safe.
typedef struct msa_answer msa_answer;

/// Answers |text|. Codes: MSA_INVALID_ARGUMENT, MSA_CANCELLED, MSA_OUT_OF_MEMORY, and those of msa_invocation_run.
MSA_NODISCARD MSA_API msa_status *msa_session_ask(msa_session *session, const char *text, size_t length,
                                                  const msa_ask_options *options, msa_answer **out_answer);
/// The same from tokens of a whole prompt. |numbers| says what each belongs to; NULL: the tail of the template where the prompt ends
/// with it, and the question.
MSA_NODISCARD MSA_API msa_status *msa_session_ask_ids(msa_session *session, const int32_t *ids, const int64_t *numbers, size_t count,
                                                      const msa_ask_options *options, msa_answer **out_answer);

MSA_API void msa_answer_release(msa_answer *answer);
MSA_API msa_finish msa_answer_finish(const msa_answer *answer);
/// Tokens of the answer, the stop token included; of the last round alone, and behind what ends retrieval.
MSA_API const int32_t *msa_answer_tokens(const msa_answer *answer, size_t *out_count);
/// Their text without control tokens. Followed by a NUL that is not counted.
MSA_API const char *msa_answer_text(const msa_answer *answer, size_t *out_length);
/// Tokens of the question that did not fit into a retriever's window.
MSA_API size_t msa_answer_left_out(const msa_answer *answer);

MSA_API uint32_t msa_answer_round_count(const msa_answer *answer);
/// All tokens that round |round| generated; NULL past the end.
MSA_API const int32_t *msa_answer_round_tokens(const msa_answer *answer, uint32_t round, size_t *out_count);
/// Documents that it named and that the next round quoted, ascending.
MSA_API const int64_t *msa_answer_round_named(const msa_answer *answer, uint32_t round, size_t *out_count);

/// Documents that a router layer chose, best first.
typedef struct msa_routed {
  int64_t layer;
  const int64_t *documents;
  const float *scores;
  size_t count;
} msa_routed;

/// |index| counts router layers. False past the end.
MSA_API bool msa_answer_routed(const msa_answer *answer, uint32_t round, uint32_t index, msa_routed *out_routed);

//===----------------------------------------------------------------------===//
// Single calls: for tests and for loops of one's own
//===----------------------------------------------------------------------===//

/// Runs one call: a prefill starts a new sequence; decode and append go on with it. |positions| and |numbers| have |count| elements.
MSA_NODISCARD MSA_API msa_status *msa_session_call(msa_session *session, msa_stage stage, const int32_t *ids,
                                                   const int64_t *positions, const int64_t *numbers, size_t count);
/// Output |name| of the last call's entry ("logits", "docs.2", "ctx_k.0", ...); valid until the next call.
MSA_NODISCARD MSA_API msa_status *msa_session_output(const msa_session *session, const char *name, msa_tensor *out_tensor);
/// Keys (|values| false) or values of the template's prefix in layer |layer|: f32 [tokens, heads, size].
MSA_NODISCARD MSA_API msa_status *msa_session_prefix(msa_session *session, uint32_t layer, bool values, msa_tensor *out_tensor);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // MSA_GENERATION_H

// SPDX-License-Identifier: Apache-2.0
//
// Text to the tokens that a model is called with: documents, prompts and rounds of Memory Interleave, as msa.json's templates say.
//
// Trust. Templates and what the program itself writes may hold control tokens; a document's text, the user's question and what the
// model spelt out letter by letter may not: "<|im_end|>" written in a document is encoded as the characters that it is, so no
// document can end its wrapper, name other documents or close a round. Only a control token that the model generated as a token
// stays one. For texts without such spellings the ids are those of the whole text tokenised at once.

#ifndef MSA_RUNTIME_GENERATION_PROMPTS_H
#define MSA_RUNTIME_GENERATION_PROMPTS_H

#include "runtime/generation/model_config.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <span>

namespace msa::gen {

/// What a token belongs to: above 0 a document, or one of these.
inline constexpr int64_t kQuery = 0, kGenerated = -1, kTemplate = -2;

struct Piece {
  std::string text;
  bool trusted;
};

/// Tokens and what each belongs to; as long as each other.
struct Prompt {
  std::vector<int32_t> ids;
  std::vector<int64_t> numbers;
};

/// Immutable, thread-safe. |config| and |tokenizer| outlive it.
class Prompts {
public:
  Prompts(const ModelConfig &config, const rt::Tokenizer &tokenizer) : config(config), tokenizer(tokenizer) {}

  /// Finds the control tokens that the configuration names, and checks that they are there.
  Status initialize();

  /// Ids of document |number| as it is encoded: wrapped by the template (decoder) or bare (retriever).
  Status document(int64_t number, std::string_view text, std::vector<int32_t> &out) const;
  Status prefix(std::vector<int32_t> &out) const;
  /// A prompt and its tail. Retriever: one window, which |leftOut| tokens of the text did not fit into.
  Status question(std::string_view text, Prompt &out, size_t &leftOut) const;
  /// Ids given by the user, numbered: those of the tail, where they end with it, as the tail's, all others as the question.
  Status questionFromIds(std::span<const int32_t> ids, Prompt &out) const;
  /// What follows the text that ends retrieval.
  Status append(std::string_view question, std::vector<int32_t> &out) const;

  int32_t delimiter() const { return delimiterId; } // -1 without Memory Interleave
  int32_t windowBefore() const { return beforeId; }
  int32_t windowAfter() const { return afterId; }

private:
  friend class Conversation;
  Status encode(std::span<const Piece> pieces, std::vector<int32_t> &out) const;
  /// Pieces of generated tokens: runs of ordinary text, and control tokens.
  Status generatedPieces(std::span<const int32_t> ids, std::vector<Piece> &out) const;
  bool isControl(int32_t id) const;

  const ModelConfig &config;
  const rt::Tokenizer &tokenizer;
  std::vector<int32_t> tail;
  int32_t delimiterId = -1, beforeId = -1, afterId = -1;
};

/// The whole text of a question with Memory Interleave, which each round tokenises anew.
class Conversation {
public:
  Conversation(const Prompts &prompts, std::string_view question);

  struct Quote {
    int64_t number;
    std::string_view text;
  };
  /// Adds what a round generated (its delimiter included) and the documents that it named.
  Status addRound(std::span<const int32_t> generated, std::span<const Quote> quotes);
  /// Tokens of the next round's prompt.
  Status prompt(Prompt &out) const;

private:
  const Prompts &prompts;
  std::vector<Piece> pieces;
  size_t quoteBegin = 0, quoteEnd = 0; // pieces of the quoted documents of the last round that ended with "]"
};

/// Numbers in brackets that |text| names, ascending, once each. Those beyond int64 are left out.
std::vector<int64_t> namedDocuments(std::string_view text);

/// |pattern| with {key} replaced by the pieces that |values| gives for it, in one pass; other braces stay.
struct PatternValue {
  std::string_view key, text;
  bool trusted;
};
void fillPattern(std::string_view pattern, std::span<const PatternValue> values, std::vector<Piece> &out);

} // namespace msa::gen

#endif // MSA_RUNTIME_GENERATION_PROMPTS_H

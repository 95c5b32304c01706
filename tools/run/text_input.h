// SPDX-License-Identifier: Apache-2.0
//
// Documents, questions and token ids as users bring them: text files, JSON lines, JSON.

#ifndef MSA_TOOLS_RUN_TEXT_INPUT_H
#define MSA_TOOLS_RUN_TEXT_INPUT_H

#include "msa/msa.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace msa::tool {

struct InputDocument {
  int64_t number = -1; // -1: the next
  std::string name, text;
  std::vector<int32_t> ids; // empty: from the text
};

/// Tokens of a prompt; |numbers| is empty where the file does not say what each belongs to.
struct InputTokens {
  std::vector<int32_t> ids;
  std::vector<int64_t> numbers;
};

/// The whole of |path|; "-" is standard input.
Status readText(const std::string &path, std::string &out);

/// One object a line: "text", and where there are "name" and "number". Other keys are ignored.
Status readDocumentLines(const std::string &path, std::vector<InputDocument> &out);

/// A list of lists of token ids, a list of objects, or an object whose "documents" is such a list. An object has "input_ids" (or
/// "ids") and where there are "name", "text" and "number".
Status readDocumentIds(const std::string &path, std::vector<InputDocument> &out);

/// One object a line: "prompt".
Status readQuestionLines(const std::string &path, std::vector<std::string> &out);

/// A list of token ids, or an object with "input_ids" (or "ids") and where it is there "doc_ids".
Status readPromptIds(const std::string &path, InputTokens &out);

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_TEXT_INPUT_H

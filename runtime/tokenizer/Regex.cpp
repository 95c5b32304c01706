// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/Regex.h"

#include "runtime/tokenizer/TokenizerFile.h"
#include "runtime/tokenizer/Utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace msa::rt::tok {

namespace {

constexpr size_t kMaxExpressionBytes = 32 << 10;
// PCRE2 counts backtracking points with the first two and kibibytes with the third.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kDepthLimit = 1'000'000;
constexpr uint32_t kHeapLimit = 256 << 10;

template <typename T, void (*Function)(T *)> struct Freeing {
  void operator()(T *object) const { Function(object); }
};
using MatchData = std::unique_ptr<pcre2_match_data, Freeing<pcre2_match_data, pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freeing<pcre2_match_context, pcre2_match_context_free>>;
using CompileContext =
    std::unique_ptr<pcre2_compile_context, Freeing<pcre2_compile_context, pcre2_compile_context_free>>;

std::string errorText(int error) {
  PCRE2_UCHAR buffer[160];
  if (pcre2_get_error_message(error, buffer, sizeof buffer) < 0)
    return "error " + std::to_string(error);
  return reinterpret_cast<const char *>(buffer);
}

Status outOfMemory() { return Status(msa_status_create(MSA_OUT_OF_MEMORY, "out of memory in a regular expression")); }

} // namespace

void Regex::Free::operator()(pcre2_real_code_8 *compiled) const { pcre2_code_free(compiled); }

Status Regex::compile(std::string_view expression, const std::string &where) {
  if (expression.size() > kMaxExpressionBytes)
    return fileError(where + ": expected at most " + std::to_string(kMaxExpressionBytes) + " bytes, found " +
                     std::to_string(expression.size()));
  std::string translated;
  MSA_TRY(translateExpression(expression, where, translated));

  CompileContext context(pcre2_compile_context_create(nullptr));
  if (!context)
    return outOfMemory();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  // Ruby's ^ and $ match at every line.
  code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                           PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                           context.get()));
  if (!code)
    return fileError(where + ": " + inQuotes(expression) +
                     " is not a regular expression that PCRE2 takes: " + errorText(error));
  // Where the system forbids executable memory the interpreter gives the same answers, slower.
  hasJit = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  return {};
}

Status Regex::matches(std::string_view text, std::vector<std::pair<size_t, size_t>> &out) const {
  MatchData data(pcre2_match_data_create(1, nullptr));
  MatchContext context(pcre2_match_context_create(nullptr));
  if (!data || !context)
    return outOfMemory();
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_depth_limit(context.get(), kDepthLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  auto *subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE *range = pcre2_get_ovector_pointer(data.get());

  size_t start = 0;
  size_t lastEnd = std::string_view::npos; // of the last match
  while (start <= text.size()) {
    // The text is known to be valid, so PCRE2 need not check it from the start again and again.
    int result =
        hasJit ? pcre2_jit_match(code.get(), subject, text.size(), start, PCRE2_NO_UTF_CHECK, data.get(), context.get())
               : PCRE2_ERROR_JIT_STACKLIMIT;
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) // compiled code has a small fixed stack, the interpreter uses the heap
      result = pcre2_match(code.get(), subject, text.size(), start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(),
                           context.get());
    if (result == PCRE2_ERROR_NOMATCH)
      break;
    if (result < 0)
      return Status(msa_status_create(MSA_PROGRAM_FAILED, ("tokenizer: the splitting expression gave up at byte " +
                                                           std::to_string(start) + ": " + errorText(result))
                                                              .c_str()));
    size_t matchStart = range[0], matchEnd = range[1];
    if (matchEnd < matchStart || matchEnd < start) // \K in a lookaround
      return Status(msa_status_create(MSA_PROGRAM_FAILED, "tokenizer: the splitting expression matched backwards"));
    if (matchStart == matchEnd && matchEnd == lastEnd) {
      // An empty match right behind a match is no match: try again one character further.
      if (matchEnd >= text.size())
        break;
      start = matchEnd;
      nextCharacter(text, start);
      continue;
    }
    out.emplace_back(matchStart, matchEnd);
    start = lastEnd = matchEnd;
  }
  return {};
}

} // namespace msa::rt::tok

// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions of tokenizer files. Files are written for Oniguruma (Ruby syntax); PCRE2 runs them.
// translateExpression carries over what the two read differently and refuses, by name, what it does not know to mean
// the same.

#ifndef MSA_RUNTIME_TOKENIZER_REGEX_H
#define MSA_RUNTIME_TOKENIZER_REGEX_H

#include "runtime/status.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pcre2_real_code_8;

namespace msa::rt::tok {

/// |where| names the expression in messages.
Status translateExpression(std::string_view expression, const std::string &where, std::string &out);

/// A compiled expression. Immutable, thread-safe. Each match is bounded by PCRE2's match, depth and heap limits.
class Regex {
public:
  Status compile(std::string_view expression, const std::string &where);

  /// Appends the start and end of all matches in |text| (valid UTF-8), in order and not overlapping.
  Status matches(std::string_view text, std::vector<std::pair<size_t, size_t>> &out) const;

private:
  struct Free {
    void operator()(pcre2_real_code_8 *code) const;
  };
  std::unique_ptr<pcre2_real_code_8, Free> code;
  bool hasJit = false;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_REGEX_H

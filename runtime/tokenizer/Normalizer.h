// SPDX-License-Identifier: Apache-2.0
//
// The "normalizer" section of a tokenizer.json: what is done to text before it is split.

#ifndef MSA_RUNTIME_TOKENIZER_NORMALIZER_H
#define MSA_RUNTIME_TOKENIZER_NORMALIZER_H

#include "runtime/status.h"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace msa::rt::tok {

/// A chain of steps. All take time linear in the text but for runs of combining marks, which are sorted.
class Normalizer {
public:
  /// |section|: null, or the object at |path|. Supported: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents,
  /// BertNormalizer.
  Status load(const nlohmann::json *section, const std::string &path);

  bool empty() const { return steps.empty(); }
  /// |text| is valid UTF-8 and stays so.
  void apply(std::string &text) const;

private:
  enum class Step {
    NFC,
    NFD,
    NFKC,
    NFKD,
    Lowercase,
    StripMarks,
    CleanText,
    SpaceIdeographs,
    StripNonspacingMarks,
  };

  std::vector<Step> steps;
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_NORMALIZER_H

// SPDX-License-Identifier: Apache-2.0
//
// The "post_processor" section of a tokenizer.json: what goes before and behind a single text.

#ifndef MSA_RUNTIME_TOKENIZER_POSTPROCESSOR_H
#define MSA_RUNTIME_TOKENIZER_POSTPROCESSOR_H

#include "runtime/status.h"

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace msa::rt::tok {

struct PostProcessor {
  std::vector<int32_t> prefix, suffix;

  /// |section|: null, or the object at |path|. Supported: TemplateProcessing (its "single" part), BertProcessing,
  /// RobertaProcessing, ByteLevel (changes offsets only), Sequence. Ids must be below |vocabSize|.
  Status load(const nlohmann::json *section, const std::string &path, uint32_t vocabSize);

private:
  Status loadTemplate(class ObjectReader &reader, uint32_t vocabSize);
  Status loadEnds(class ObjectReader &reader, uint32_t vocabSize);
};

} // namespace msa::rt::tok

#endif // MSA_RUNTIME_TOKENIZER_POSTPROCESSOR_H

// SPDX-License-Identifier: Apache-2.0

#include "runtime/generation/generator.h"

#include <cinttypes>

using namespace msa::gen;

Status msa_generator::initialize() {
  msa_segment segment;
  if (!program.findSegment(MSA_SEGMENT_MODEL_CONFIG, segment))
    return failure(MSA_INVALID_ARTIFACT, "the artifact carries no msa.json, so its prompts are unknown; compile a model folder, or run "
                                         "single entries");
  MSA_TRY(ModelConfig::read({static_cast<const char *>(segment.data), segment.size}, config));
  if (!program.findSegment(MSA_SEGMENT_TOKENIZER, segment))
    return failure(MSA_INVALID_ARTIFACT, "the artifact carries no tokenizer; compile a model folder, or give msac --tokenizer");
  MSA_TRY(msa::rt::Tokenizer::load({static_cast<const char *>(segment.data), segment.size}, tokenizer));
  auto made = std::make_unique<Prompts>(config, *tokenizer);
  MSA_TRY(made->initialize());
  prompts = std::move(made);
  const char *decoderEntries[] = {"encode", "prefill", "decode"}, *retrieverEntries[] = {"encode", "route"};
  for (const char *name : decoder() ? std::span<const char *>(decoderEntries) : std::span<const char *>(retrieverEntries)) {
    uint32_t entry;
    MSA_TRY(pass(program.findEntry(name, entry)));
  }
  return {};
}

Status msa_generator::checkIds(std::span<const int32_t> ids) const {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= config.vocabSize)
      return failure(MSA_INVALID_ARGUMENT, "token %zu is %d, expected 0 to %" PRId64 ": the model has no such row", i, ids[i],
                     config.vocabSize - 1);
  return {};
}

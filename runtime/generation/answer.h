// SPDX-License-Identifier: Apache-2.0
//
// A question to an answer: prompt, rounds of Memory Interleave, generation.

#ifndef MSA_RUNTIME_GENERATION_ANSWER_H
#define MSA_RUNTIME_GENERATION_ANSWER_H

#include "runtime/generation/session.h"

struct msa_answer {
  struct Layer {
    int64_t layer;
    std::vector<int64_t> documents; // best first
    std::vector<float> scores;
  };
  struct Round {
    std::vector<Layer> layers;
    std::vector<int32_t> tokens;
    std::vector<int64_t> named;
  };
  std::vector<Round> rounds;
  std::vector<int32_t> tokens;
  std::string text;
  msa_finish finish = MSA_FINISH_ROUTED;
  size_t leftOut = 0;
};

namespace msa::gen {

/// Answers |prompt|. |question| is its text, which Memory Interleave quotes; null when it is not known.
Status answer(msa_session &session, const Prompt &prompt, const std::string *question, const msa_ask_options &options,
              msa_answer &out);

} // namespace msa::gen

#endif // MSA_RUNTIME_GENERATION_ANSWER_H

// SPDX-License-Identifier: Apache-2.0
//
// The next token from logits.

#ifndef MSA_RUNTIME_GENERATION_SAMPLER_H
#define MSA_RUNTIME_GENERATION_SAMPLER_H

#include "runtime/status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace msa::gen {

class Sampler {
public:
  /// |temperature| 0: always the likeliest. |topK| 0 and |topP| 1 leave nothing out. Equal seeds draw equally.
  Sampler(float temperature, uint32_t topK, float topP, uint64_t seed)
      : temperature(temperature), topK(topK), topP(topP), state(seed) {}

  /// Of equal logits the lowest id comes first. A NaN is an error: the model's output is broken.
  rt::Status next(std::span<const float> logits, int32_t &token);

private:
  double uniform(); // in [0, 1)

  float temperature;
  uint32_t topK;
  float topP;
  uint64_t state;
  std::vector<int32_t> order;
  std::vector<double> weights;
};

} // namespace msa::gen

#endif // MSA_RUNTIME_GENERATION_SAMPLER_H

// SPDX-License-Identifier: Apache-2.0

#include "runtime/generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace msa::gen {

/// SplitMix64: small, and the same everywhere.
double Sampler::uniform() {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return double((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

rt::Status Sampler::next(std::span<const float> logits, int32_t &token) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      return rt::failure(MSA_PROGRAM_FAILED, "logit %zu is not a number", i);
    if (logits[i] > logits[best])
      best = i;
  }
  token = int32_t(best);
  if (!(temperature > 0) || std::isinf(logits[best]))
    return {};

  order.resize(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto before = [&](int32_t a, int32_t b) { return logits[size_t(a)] != logits[size_t(b)] ? logits[size_t(a)] > logits[size_t(b)] : a < b; };
  size_t count = topK && topK < order.size() ? topK : order.size();
  std::partial_sort(order.begin(), order.begin() + ptrdiff_t(count), order.end(), before);
  weights.resize(count);
  double total = 0;
  for (size_t i = 0; i < count; ++i)
    total += weights[i] = std::exp((double(logits[size_t(order[i])]) - double(logits[best])) / double(temperature));
  if (topP < 1) {
    double kept = 0;
    size_t i = 0;
    while (i < count && (i == 0 || kept < double(topP) * total))
      kept += weights[i++];
    count = i;
    total = kept;
  }
  double drawn = uniform() * total;
  for (size_t i = 0; i < count; ++i) {
    token = order[i];
    drawn -= weights[i];
    if (drawn < 0)
      break;
  }
  return {};
}

} // namespace msa::gen

// SPDX-License-Identifier: Apache-2.0

#include "runtime/gpu_variant.h"

#include <cstring>

namespace msa::rt {

bool isGpuVariant(const char *name) { return std::strncmp(name, "cuda:", 5) == 0; }

VariantSupport gpuVariantSupport(const char *name, int major, int minor) {
  auto answer = [](bool has) { return has ? VariantSupport::kSupported : VariantSupport::kMissing; };
  if (std::strcmp(name, "cuda:sm_90") == 0)
    return answer(major == 9 && minor == 0);
  if (std::strcmp(name, "cuda:sm_80") == 0)
    return answer(major >= 8);
  return VariantSupport::kUnknown;
}

const char *gpuVariantNeeds(const char *name) {
  if (std::strcmp(name, "cuda:sm_90") == 0)
    return "compute capability 9.0";
  if (std::strcmp(name, "cuda:sm_80") == 0)
    return "compute capability 8.0 or newer";
  return nullptr;
}

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0
//
// Names of GPU variants, and which devices can run them.

#ifndef MSA_RUNTIME_GPU_VARIANT_H
#define MSA_RUNTIME_GPU_VARIANT_H

#include "runtime/cpu_variant.h"

namespace msa::rt {

/// Whether |name| starts with "cuda:".
bool isGpuVariant(const char *name);

/// Whether a device of compute capability |major|.|minor| runs variant |name|: "cuda:sm_90" is for 9.0 and nothing else (its PTX is
/// sm_90a), "cuda:sm_80" for 8.0 and everything newer.
VariantSupport gpuVariantSupport(const char *name, int major, int minor);

/// "compute capability 9.0", "compute capability 8.0 or newer", for messages; null for names that this runtime does not know.
const char *gpuVariantNeeds(const char *name);

} // namespace msa::rt

#endif // MSA_RUNTIME_GPU_VARIANT_H

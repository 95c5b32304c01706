// SPDX-License-Identifier: Apache-2.0
//
// Which processor levels this machine satisfies.

#ifndef MSA_RUNTIME_CPU_VARIANT_H
#define MSA_RUNTIME_CPU_VARIANT_H

namespace msa::rt {

enum class VariantSupport { kSupported, kMissing, kUnknown };

/// |name| is a level ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"), optionally followed by "+feature" for extensions
/// beyond it: "x86-64-v4+avx512bf16+avx512vnni". Unknown: this runtime does not know the level or a feature, and cannot say.
VariantSupport variantSupport(const char *name);

} // namespace msa::rt

#endif // MSA_RUNTIME_CPU_VARIANT_H

// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_RUNTIME_GPU_DECODER_H
#define MSA_RUNTIME_GPU_DECODER_H

#include "runtime/program.h"

namespace msa::schema {
struct Variant;
} // namespace msa::schema

namespace msa::rt {

/// Verifies the tables of GPU variant |index|, |table|, and appends them to |program|->gpu. Kernels must have been decoded.
Status decodeGpuVariant(msa_program *program, uint32_t index, const schema::Variant *table);

} // namespace msa::rt

#endif // MSA_RUNTIME_GPU_DECODER_H

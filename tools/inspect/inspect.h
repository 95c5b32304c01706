// SPDX-License-Identifier: Apache-2.0
//
// Printing of a verified artifact, whole: for people and for scripts.

#ifndef MSA_TOOLS_INSPECT_INSPECT_H
#define MSA_TOOLS_INSPECT_INSPECT_H

#include "runtime/program.h"

#include <string>

namespace msa::tool {

/// Readable text, several lines.
std::string inspectAsText(const msa_program *program);
/// One JSON object with the same contents.
std::string inspectAsJson(const msa_program *program);

/// "read", "write", "update", "spans".
const char *parameterKindName(rt::ParameterKind kind);
/// "add" ... "or", as in schema::BinaryKind.
std::string binaryKindName(uint8_t kind);
/// "8 * ceil(4 * s0 * s1 / 128)", with sN for scalar N of the kernel; factors of 1 are left out.
std::string termText(const rt::GpuTables &gpu, const rt::GpuTerm &term);
/// What this machine makes of a variant: "runs here", "for a device of compute capability 9.0"...
std::string variantText(const char *name);
/// Lower-case hexadecimal.
std::string hexText(const uint8_t *bytes, size_t size);

} // namespace msa::tool

#endif // MSA_TOOLS_INSPECT_INSPECT_H

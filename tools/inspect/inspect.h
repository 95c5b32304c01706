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
/// Lower-case hexadecimal.
std::string hexText(const uint8_t *bytes, size_t size);

} // namespace msa::tool

#endif // MSA_TOOLS_INSPECT_INSPECT_H

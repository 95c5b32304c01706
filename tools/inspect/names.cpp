// SPDX-License-Identifier: Apache-2.0

#include "tools/inspect/inspect.h"

#include "runtime/schema/msa_artifact_generated.h"

namespace msa::tool {

const char *parameterKindName(rt::ParameterKind kind) {
  switch (kind) {
  case rt::ParameterKind::kRead:
    return "read";
  case rt::ParameterKind::kWrite:
    return "write";
  case rt::ParameterKind::kUpdate:
    return "update";
  case rt::ParameterKind::kSpans:
    return "spans";
  }
  return "unknown";
}

std::string binaryKindName(uint8_t kind) {
  std::string name = schema::EnumNameBinaryKind(schema::BinaryKind(kind));
  for (char &c : name)
    c = char(tolower(c));
  return name;
}

std::string hexText(const uint8_t *bytes, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

} // namespace msa::tool

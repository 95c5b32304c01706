// SPDX-License-Identifier: Apache-2.0

#include "tools/inspect/inspect.h"

#include "runtime/gpu_variant.h"
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

std::string termText(const rt::GpuTables &gpu, const rt::GpuTerm &term) {
  std::string product;
  if (term.factor != 1 || term.scalarCount == 0)
    product = std::to_string(term.factor);
  for (uint32_t i = 0; i < term.scalarCount; ++i)
    product += (product.empty() ? "s" : " * s") + std::to_string(gpu.scalars[term.firstScalar + i]);
  if (term.divisor != 1)
    product = "ceil(" + product + " / " + std::to_string(term.divisor) + ")";
  return term.multiplier == 1 ? product : std::to_string(term.multiplier) + " * " + product;
}

std::string variantText(const char *name) {
  if (rt::isGpuVariant(name)) {
    const char *needs = rt::gpuVariantNeeds(name);
    return needs ? std::string("for a device of ") + needs : "unknown to this runtime";
  }
  switch (rt::variantSupport(name)) {
  case rt::VariantSupport::kSupported:
    return "runs here";
  case rt::VariantSupport::kMissing:
    return "this processor lacks it";
  case rt::VariantSupport::kUnknown:
    break;
  }
  return "unknown to this runtime";
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

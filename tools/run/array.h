// SPDX-License-Identifier: Apache-2.0
//
// A tensor that owns its bytes: what .npy files are read into.

#ifndef MSA_TOOLS_RUN_ARRAY_H
#define MSA_TOOLS_RUN_ARRAY_H

#include "msa/msa.h"

#include <cstdint>
#include <string>
#include <vector>

namespace msa::tool {

struct Array {
  msa_element_type type = MSA_F32;
  std::vector<int64_t> shape; // at most MSA_MAX_RANK dims
  std::vector<uint8_t> bytes; // row-major

  /// A view; valid while this lives and is not changed.
  msa_tensor tensor() {
    msa_tensor result = {};
    result.data = bytes.data();
    result.type = type;
    result.rank = uint32_t(shape.size());
    for (size_t i = 0; i < shape.size(); ++i)
      result.shape[i] = shape[i];
    return result;
  }
};

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_ARRAY_H

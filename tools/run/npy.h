// SPDX-License-Identifier: Apache-2.0
//
// NumPy's .npy files (format versions 1 to 3): every element type of the runtime, little-endian, C order. NumPy has neither bf16
// nor f8e4m3fn; those elements are stored as `|V2` and `|V1`, opaque bytes, which is also what ml_dtypes writes.

#ifndef MSA_TOOLS_RUN_NPY_H
#define MSA_TOOLS_RUN_NPY_H

#include "tools/run/array.h"

#include "msa/msa.hpp"

namespace msa::tool {

/// Reads |path| whole. The file is not trusted: header, dims and size must agree to the byte.
Status readNpy(const std::string &path, Array &array);

/// The same from |size| bytes; |what| names them in messages.
Status parseNpy(const uint8_t *bytes, size_t size, const std::string &what, Array &array);

/// Writes |tensor| to |path|, replacing what is there.
Status writeNpy(const std::string &path, const msa_tensor &tensor);

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_NPY_H

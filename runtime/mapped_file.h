// SPDX-License-Identifier: Apache-2.0
//
// Maps a file for reading.

#ifndef MSA_RUNTIME_MAPPED_FILE_H
#define MSA_RUNTIME_MAPPED_FILE_H

#include "runtime/status.h"

#include <cstdint>

namespace msa::rt {

/// Maps the regular file at |path| read-only. Codes: MSA_NOT_FOUND, MSA_IO, MSA_INVALID_ARTIFACT (empty).
Status mapFile(const char *path, const uint8_t **data, uint64_t *size);
void unmapFile(const uint8_t *data, uint64_t size);

} // namespace msa::rt

#endif // MSA_RUNTIME_MAPPED_FILE_H

// SPDX-License-Identifier: Apache-2.0
//
// The outside of an artifact: the 64-byte header, where the program table lies, and how the segments must fill the rest of the
// file. docs/artifact-format.md draws it. Nothing in here trusts a length before it has been compared with the file.

#ifndef MSA_RUNTIME_ARTIFACT_FILE_H
#define MSA_RUNTIME_ARTIFACT_FILE_H

#include "runtime/status.h"

#include <cstddef>
#include <cstdint>

namespace msa::schema {
struct Program;
struct Segment;
} // namespace msa::schema

namespace msa::rt {

// Offsets into the header. The layout is a contract: test/runtime/artifact_file_test.cpp holds golden bytes.
inline constexpr uint64_t kHeaderSize = 64;
inline constexpr uint64_t kHeaderMagicOffset = 0;
inline constexpr uint64_t kHeaderSizeOffset = 8;
inline constexpr uint64_t kHeaderReservedOffset = 12;
inline constexpr uint64_t kHeaderProgramOffsetOffset = 16;
inline constexpr uint64_t kHeaderProgramSizeOffset = 24;
inline constexpr uint64_t kHeaderFileSizeOffset = 32;
inline constexpr uint64_t kHeaderProgramDigestOffset = 40;
inline constexpr uint64_t kHeaderChecksumOffset = 56;
inline constexpr char kHeaderMagic[9] = "MSAMODEL";

inline constexpr uint64_t kMaxProgramSize = uint64_t(1) << 30;
inline constexpr uint32_t kMaxTableDepth = 32;
inline constexpr uint32_t kMaxTables = 1000000;
inline constexpr uint64_t kSegmentAlignment = 64;
inline constexpr uint64_t kWeightsAlignment = 4096;
inline constexpr size_t kDigestSize = 16;

struct ArtifactHeader {
  uint64_t programOffset;
  uint64_t programSize;
  uint64_t fileSize;
  uint8_t programDigest[kDigestSize];
};

/// Checks the first |available| bytes of a file of |fileSize| bytes as a header.
Status readArtifactHeader(const uint8_t *bytes, uint64_t available, uint64_t fileSize, ArtifactHeader *header);

/// Checks that |program| (a private copy, 8-byte aligned) has the digest of |header|, is a sound FlatBuffer, and is of a version that
/// this runtime reads. Only then is |root| set.
Status readArtifactProgram(const ArtifactHeader &header, const uint8_t *program, const schema::Program **root);

/// Checks that the segments of |root| follow the program without overlap, with zero padding, to the very end of |file|.
Status checkSegmentLayout(const ArtifactHeader &header, const uint8_t *file, const schema::Program *root);

/// Compares |bytes| with the digest of segment |index|.
Status checkSegmentDigest(const schema::Program *root, uint32_t index, const uint8_t *bytes);

/// XXH3-128 of |size| bytes in canonical form.
void artifactDigest(const void *bytes, size_t size, uint8_t digest[kDigestSize]);
/// XXH3-64 of |size| bytes.
uint64_t artifactChecksum(const void *bytes, size_t size);

/// "weights segment 3", for messages.
const char *segmentKindName(uint32_t kind);

} // namespace msa::rt

#endif // MSA_RUNTIME_ARTIFACT_FILE_H

// SPDX-License-Identifier: Apache-2.0

#include "runtime/artifact_file.h"

#include "msa/msa.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <cinttypes>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "artifacts are little-endian and used in place");

namespace msa::rt {

namespace {

template <typename T> T readAt(const uint8_t *bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof(T));
  return value;
}

void hex(const uint8_t *bytes, char text[2 * kDigestSize + 1]) {
  for (size_t i = 0; i < kDigestSize; ++i) {
    text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
  text[2 * kDigestSize] = 0;
}

} // namespace

void artifactDigest(const void *bytes, size_t size, uint8_t digest[kDigestSize]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
  std::memcpy(digest, canonical.digest, kDigestSize);
}

uint64_t artifactChecksum(const void *bytes, size_t size) { return XXH3_64bits(bytes, size); }

const char *segmentKindName(uint32_t kind) {
  switch (kind) {
  case MSA_SEGMENT_KERNELS:
    return "kernels";
  case MSA_SEGMENT_WEIGHTS:
    return "weights";
  case MSA_SEGMENT_TOKENIZER:
    return "tokenizer";
  case MSA_SEGMENT_MODEL_CONFIG:
    return "model config";
  case MSA_SEGMENT_TEST_VECTORS:
    return "test vectors";
  case MSA_SEGMENT_PTX:
    return "ptx";
  case MSA_SEGMENT_CUBIN:
    return "cubin";
  }
  return "unknown";
}

Status readArtifactHeader(const uint8_t *bytes, uint64_t available, uint64_t fileSize, ArtifactHeader *header) {
  if (available < kHeaderSize)
    return failure(MSA_INVALID_ARTIFACT,
                   "the file has %" PRIu64 " bytes, an artifact has at least %" PRIu64 "; is this the right file?", fileSize,
                   kHeaderSize);
  if (std::memcmp(bytes, kHeaderMagic, 8) != 0)
    return failure(MSA_INVALID_ARTIFACT, "expected 'MSAMODEL' at offset 0, found other bytes: this is not an MSA artifact");
  uint64_t expected = artifactChecksum(bytes, kHeaderChecksumOffset);
  uint64_t found = readAt<uint64_t>(bytes, kHeaderChecksumOffset);
  if (expected != found)
    return failure(MSA_INVALID_ARTIFACT,
                   "header checksum at offset %" PRIu64 ": expected %016" PRIx64 " from bytes 0 to 55, found %016" PRIx64
                   "; the header is damaged, copy or compile the file again",
                   kHeaderChecksumOffset, expected, found);
  uint32_t headerSize = readAt<uint32_t>(bytes, kHeaderSizeOffset);
  if (headerSize != kHeaderSize)
    return failure(MSA_UNSUPPORTED, "header size at offset 8: expected 64, found %u; this file needs a newer runtime",
                   headerSize);
  uint32_t reserved = readAt<uint32_t>(bytes, kHeaderReservedOffset);
  if (reserved != 0)
    return failure(MSA_UNSUPPORTED, "reserved field at offset 12: expected 0, found %u; this file needs a newer runtime",
                   reserved);
  header->programOffset = readAt<uint64_t>(bytes, kHeaderProgramOffsetOffset);
  header->programSize = readAt<uint64_t>(bytes, kHeaderProgramSizeOffset);
  header->fileSize = readAt<uint64_t>(bytes, kHeaderFileSizeOffset);
  std::memcpy(header->programDigest, bytes + kHeaderProgramDigestOffset, kDigestSize);
  if (header->fileSize != fileSize)
    return failure(MSA_INVALID_ARTIFACT,
                   "file size at offset 32: the header says %" PRIu64 " bytes, the file has %" PRIu64 "; it is %s", header->fileSize,
                   fileSize, fileSize < header->fileSize ? "truncated, copy it again" : "followed by foreign bytes");
  if (header->programOffset != kHeaderSize)
    return failure(MSA_INVALID_ARTIFACT, "program offset at offset 16: expected %" PRIu64 ", found %" PRIu64, kHeaderSize,
                   header->programOffset);
  if (header->programSize < 8 || header->programSize > kMaxProgramSize ||
      header->programSize > fileSize - header->programOffset)
    return failure(MSA_INVALID_ARTIFACT,
                   "program size at offset 24: found %" PRIu64 ", expected 8 to %" PRIu64 " and no more than the %" PRIu64
                   " bytes after the header",
                   header->programSize, kMaxProgramSize, fileSize - header->programOffset);
  return {};
}

Status readArtifactProgram(const ArtifactHeader &header, const uint8_t *program, const schema::Program **root) {
  uint8_t digest[kDigestSize];
  artifactDigest(program, header.programSize, digest);
  if (std::memcmp(digest, header.programDigest, kDigestSize) != 0) {
    char expected[2 * kDigestSize + 1], found[2 * kDigestSize + 1];
    hex(header.programDigest, expected);
    hex(digest, found);
    return failure(MSA_INVALID_ARTIFACT,
                   "program digest at offset 40: expected %s, the %" PRIu64 " program bytes have %s; the file is damaged, copy or "
                   "compile it again",
                   expected, header.programSize, found);
  }
  if (!flatbuffers::BufferHasIdentifier(program, "MSA1"))
    return failure(MSA_UNSUPPORTED,
                   "program identifier at offset %" PRIu64 ": expected 'MSA1', found '%c%c%c%c'; this file needs another runtime",
                   header.programOffset + 4, program[4], program[5], program[6], program[7]);
  flatbuffers::Verifier verifier(program, header.programSize, kMaxTableDepth, kMaxTables);
  if (!verifier.VerifyBuffer<schema::Program>("MSA1"))
    return failure(MSA_INVALID_ARTIFACT,
                   "the program table at offset %" PRIu64 " is not a sound FlatBuffer (an offset outside the table, more than %u "
                   "levels or more than %u tables, or a required field is absent)",
                   header.programOffset, kMaxTableDepth, kMaxTables);
  const schema::Program *table = schema::GetProgram(program);
  uint32_t major = table->version_major(), minor = table->version_minor();
  if (major != MSA_FORMAT_MAJOR || minor > MSA_FORMAT_MINOR)
    return failure(MSA_UNSUPPORTED,
                   "the artifact has format version %u.%u, this runtime reads %u.0 to %u.%u; use a matching runtime or compile the "
                   "model again",
                   major, minor, unsigned(MSA_FORMAT_MAJOR), unsigned(MSA_FORMAT_MAJOR), unsigned(MSA_FORMAT_MINOR));
  *root = table;
  return {};
}

Status checkSegmentLayout(const ArtifactHeader &header, const uint8_t *file, const schema::Program *root) {
  uint64_t end = header.programOffset + header.programSize;
  const auto *segments = root->segments();
  uint32_t count = segments ? segments->size() : 0;
  for (uint32_t i = 0; i < count; ++i) {
    const schema::Segment *segment = segments->Get(i);
    uint32_t kind = uint32_t(segment->kind());
    uint32_t lastKind = root->version_minor() >= 1 ? MSA_SEGMENT_CUBIN : MSA_SEGMENT_TEST_VECTORS;
    if (kind > lastKind)
      return failure(MSA_INVALID_ARTIFACT, "segment %u: kind %u is not one of 0 to %u, which format version %u.%u has", i, kind,
                     lastKind, root->version_major(), root->version_minor());
    if (segment->digest()->size() != kDigestSize)
      return failure(MSA_INVALID_ARTIFACT, "segment %u (%s): its digest has %u bytes, expected %zu", i, segmentKindName(kind),
                     segment->digest()->size(), kDigestSize);
    uint64_t alignment = kind == MSA_SEGMENT_WEIGHTS ? kWeightsAlignment : kSegmentAlignment;
    // `end` is at most the size of the file, so this cannot wrap.
    uint64_t expected = (end + alignment - 1) / alignment * alignment;
    uint64_t offset = segment->offset(), size = segment->size();
    if (offset != expected)
      return failure(MSA_INVALID_ARTIFACT,
                     "segment %u (%s): expected to start at offset %" PRIu64 " (where what precedes it ends, rounded up to %" PRIu64
                     "), found %" PRIu64 "; segments may neither overlap nor leave gaps",
                     i, segmentKindName(kind), expected, alignment, offset);
    if (offset > header.fileSize || size > header.fileSize - offset)
      return failure(MSA_INVALID_ARTIFACT,
                     "segment %u (%s): %" PRIu64 " bytes at offset %" PRIu64 " do not fit into the file of %" PRIu64 " bytes", i,
                     segmentKindName(kind), size, offset, header.fileSize);
    for (uint64_t at = end; at < offset; ++at)
      if (file[at] != 0)
        return failure(MSA_INVALID_ARTIFACT,
                       "padding before segment %u (%s): expected zero bytes from offset %" PRIu64 " to %" PRIu64
                       ", found %02x at %" PRIu64,
                       i, segmentKindName(kind), end, offset, file[at], at);
    end = offset + size;
  }
  if (end != header.fileSize)
    return failure(MSA_INVALID_ARTIFACT,
                   "%" PRIu64 " bytes after offset %" PRIu64 " belong to no segment; expected the file to end there",
                   header.fileSize - end, end);
  return {};
}

Status checkSegmentDigest(const schema::Program *root, uint32_t index, const uint8_t *bytes) {
  const schema::Segment *segment = root->segments()->Get(index);
  uint8_t digest[kDigestSize];
  artifactDigest(bytes, segment->size(), digest);
  if (std::memcmp(digest, segment->digest()->data(), kDigestSize) == 0)
    return {};
  char expected[2 * kDigestSize + 1], found[2 * kDigestSize + 1];
  hex(segment->digest()->data(), expected);
  hex(digest, found);
  return failure(MSA_INVALID_ARTIFACT,
                 "segment %u (%s): expected digest %s, its %" PRIu64 " bytes at offset %" PRIu64
                 " have %s; the file is damaged, copy or compile it again",
                 index, segmentKindName(uint32_t(segment->kind())), expected, segment->size(), segment->offset(), found);
}

} // namespace msa::rt

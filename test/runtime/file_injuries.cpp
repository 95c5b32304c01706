// SPDX-License-Identifier: Apache-2.0

#include "injuries.h"

#include "runtime/artifact_file.h"

#include <cstring>

namespace msa::test {

using namespace rt;

namespace {

template <typename T> std::vector<uint8_t> withField(uint64_t offset, T value, bool reseal = true) {
  std::vector<uint8_t> file = testArtifact().write();
  std::memcpy(file.data() + offset, &value, sizeof(value));
  if (reseal) {
    uint64_t checksum = artifactChecksum(file.data(), kHeaderChecksumOffset);
    std::memcpy(file.data() + kHeaderChecksumOffset, &checksum, sizeof(checksum));
  }
  return file;
}

uint64_t programEnd(const std::vector<uint8_t> &file) {
  uint64_t size;
  std::memcpy(&size, file.data() + kHeaderProgramSizeOffset, 8);
  return kHeaderSize + size;
}

/// Changes bytes of the program table and makes the digests fit again.
std::vector<uint8_t> withProgramBytes(const std::function<void(uint8_t *program, uint64_t size)> &change) {
  std::vector<uint8_t> file = testArtifact().write();
  change(file.data() + kHeaderSize, programEnd(file) - kHeaderSize);
  sealHeader(file);
  return file;
}

std::vector<uint8_t> withFlip(std::function<uint64_t(const std::vector<uint8_t> &)> where) {
  std::vector<uint8_t> file = testArtifact().write();
  file[where(file)] ^= 0x10;
  return file;
}

uint64_t segmentOffset(const std::vector<uint8_t> &file, unsigned index) {
  return schema::GetProgram(file.data() + kHeaderSize)->segments()->Get(index)->offset();
}

void setU32(uint8_t *at, uint32_t value) { std::memcpy(at, &value, 4); }

} // namespace

std::vector<Injury> fileInjuries() {
  std::vector<Injury> list;
  auto add = [&](std::string name, std::function<std::vector<uint8_t>()> make, msa_code code, std::string message) {
    list.push_back({std::move(name), std::move(make), code, std::move(message)});
  };

  // Truncations: at every boundary, one before and one after.
  std::vector<uint8_t> whole = testArtifact().write();
  std::vector<uint64_t> cuts = {1, 7, 8, 9, 40, 63};
  for (uint64_t cut : cuts)
    add("truncated_to_" + std::to_string(cut), [cut] {
      std::vector<uint8_t> file = testArtifact().write();
      file.resize(cut);
      return file;
    }, MSA_INVALID_ARTIFACT, "the file has " + std::to_string(cut) + " bytes, an artifact has at least 64");
  cuts = {64, 65, 72, programEnd(whole) - 1, programEnd(whole), programEnd(whole) + 1};
  for (unsigned i = 0; i < 3; ++i)
    for (int around : {-1, 0, 1})
      cuts.push_back(segmentOffset(whole, i) + uint64_t(around));
  cuts.push_back(whole.size() - 1);
  for (uint64_t cut : cuts)
    add("truncated_to_" + std::to_string(cut), [cut] {
      std::vector<uint8_t> file = testArtifact().write();
      file.resize(cut);
      return file;
    }, MSA_INVALID_ARTIFACT, "it is truncated");
  add("truncated_and_resealed", [] {
    std::vector<uint8_t> file = testArtifact().write();
    file.resize(file.size() - 1);
    sealHeader(file);
    return file;
  }, MSA_INVALID_ARTIFACT, "segment 2 (model config): 3 bytes at offset");
  add("followed_by_a_byte", [] {
    std::vector<uint8_t> file = testArtifact().write();
    file.push_back(0);
    return file;
  }, MSA_INVALID_ARTIFACT, "followed by foreign bytes");
  add("followed_by_a_byte_and_resealed", [] {
    std::vector<uint8_t> file = testArtifact().write();
    file.push_back(0);
    sealHeader(file);
    return file;
  }, MSA_INVALID_ARTIFACT, "1 bytes after offset");
  add("another_file", [] { return std::vector<uint8_t>(4096, 'x'); }, MSA_INVALID_ARTIFACT, "this is not an MSA artifact");

  // Header fields, with a checksum that fits.
  add("header_size", [] { return withField(kHeaderSizeOffset, uint32_t(128)); }, MSA_UNSUPPORTED,
      "header size at offset 8: expected 64, found 128");
  add("header_reserved", [] { return withField(kHeaderReservedOffset, uint32_t(1)); }, MSA_UNSUPPORTED,
      "reserved field at offset 12: expected 0, found 1");
  add("program_offset", [] { return withField(kHeaderProgramOffsetOffset, uint64_t(128)); }, MSA_INVALID_ARTIFACT,
      "program offset at offset 16: expected 64, found 128");
  for (uint64_t size : {uint64_t(0), uint64_t(7), uint64_t(1) << 20, uint64_t(1) << 63, UINT64_MAX, UINT64_MAX - 63})
    add("program_size_" + std::to_string(size), [size] { return withField(kHeaderProgramSizeOffset, size); }, MSA_INVALID_ARTIFACT,
        "program size at offset 24: found " + std::to_string(size));
  for (uint64_t size : {uint64_t(0), uint64_t(64), UINT64_MAX})
    add("file_size_" + std::to_string(size), [size] { return withField(kHeaderFileSizeOffset, size); }, MSA_INVALID_ARTIFACT,
        "file size at offset 32");
  add("program_digest", [] { return withField(kHeaderProgramDigestOffset, uint64_t(0)); }, MSA_INVALID_ARTIFACT,
      "program digest at offset 40");
  add("header_checksum", [] { return withField(kHeaderChecksumOffset, uint64_t(0), false); }, MSA_INVALID_ARTIFACT,
      "header checksum at offset 56");

  // Bit flips in what digests cover.
  add("flip_in_program", [] { return withFlip([](auto &) { return uint64_t(200); }); }, MSA_INVALID_ARTIFACT, "program digest");
  add("flip_in_kernels", [] { return withFlip([](auto &file) { return segmentOffset(file, 0) + 5000; }); }, MSA_INVALID_ARTIFACT,
      "segment 0 (kernels): expected digest");
  add("flip_in_weights", [] { return withFlip([](auto &file) { return segmentOffset(file, 1) + 99; }); }, MSA_INVALID_ARTIFACT,
      "segment 1 (weights): expected digest");
  add("flip_in_config", [] { return withFlip([](auto &file) { return segmentOffset(file, 2); }); }, MSA_INVALID_ARTIFACT,
      "segment 2 (model config): expected digest");
  add("flip_in_padding", [] { return withFlip([](auto &file) { return segmentOffset(file, 1) - 1; }); }, MSA_INVALID_ARTIFACT,
      "padding before segment 1 (weights)");

  // The FlatBuffer as such, with digests that fit.
  add("identifier", [] { return withProgramBytes([](uint8_t *program, uint64_t) { program[7] = '2'; }); }, MSA_UNSUPPORTED,
      "expected 'MSA1', found 'MSA2'");
  add("root_outside", [] { return withProgramBytes([](uint8_t *program, uint64_t) { setU32(program, 0x7ffffff0); }); },
      MSA_INVALID_ARTIFACT, "not a sound FlatBuffer");
  add("root_at_itself", [] { return withProgramBytes([](uint8_t *program, uint64_t) { setU32(program, 0); }); },
      MSA_INVALID_ARTIFACT, "not a sound FlatBuffer");
  add("root_past_end", [] { return withProgramBytes([](uint8_t *program, uint64_t size) { setU32(program, uint32_t(size)); }); },
      MSA_INVALID_ARTIFACT, "not a sound FlatBuffer");
  add("program_of_zeros", [] {
    return withProgramBytes([](uint8_t *program, uint64_t size) { std::memset(program + 8, 0, size - 8); });
  }, MSA_UNSUPPORTED, "format version 0.0");
  add("vector_length", [] {
    return withProgramBytes([](uint8_t *program, uint64_t) {
      auto *entries = reinterpret_cast<const uint8_t *>(schema::GetProgram(program)->entries());
      setU32(const_cast<uint8_t *>(entries), UINT32_MAX);
    });
  }, MSA_INVALID_ARTIFACT, "not a sound FlatBuffer");
  add("vtable_outside", [] {
    return withProgramBytes([](uint8_t *program, uint64_t) {
      auto *root = reinterpret_cast<const uint8_t *>(schema::GetProgram(program));
      setU32(const_cast<uint8_t *>(root), 0x40000000);
    });
  }, MSA_INVALID_ARTIFACT, "not a sound FlatBuffer");
  add("string_length", [] {
    return withProgramBytes([](uint8_t *program, uint64_t) {
      auto *name = reinterpret_cast<const uint8_t *>(schema::GetProgram(program)->entries()->Get(0)->name());
      setU32(const_cast<uint8_t *>(name), 0x7fffffff);
    });
  }, MSA_INVALID_ARTIFACT, "not a sound FlatBuffer");
  return list;
}

std::vector<Injury> allInjuries() {
  std::vector<Injury> all;
  for (auto list : {fileInjuries(), tableInjuries(), commandInjuries(), kernelInjuries(), gpuInjuries()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

} // namespace msa::test

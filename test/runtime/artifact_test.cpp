// SPDX-License-Identifier: Apache-2.0
//
// Loading: golden bytes of the layout, what is refused and how it is said, and what a loaded program tells about itself.

#include "gpu_artifact.h"
#include "injuries.h"
#include "test_program.h"

#include "runtime/artifact_file.h"

#include <cstdlib>
#include <random>
#include <sys/wait.h>

using namespace msa::test;
using namespace msa::rt;

namespace {

msa_status *tryLoad(const std::vector<uint8_t> &bytes, msa_verify verify = MSA_VERIFY_ALL) {
  static msa_runtime *runtime = [] {
    msa_runtime_options options;
    msa_runtime_options_initialize(&options);
    options.thread_count = 1;
    msa_runtime *made = nullptr;
    expectOk(msa_runtime_create(&options, &made));
    return made;
  }();
  FileBytes file(bytes);
  msa_program_options options;
  msa_program_options_initialize(&options);
  options.verify = verify;
  msa_program *program = nullptr;
  msa_status *status = msa_program_load_memory(runtime, file.data(), file.size(), &options, &program);
  EXPECT_EQ(program == nullptr, status != nullptr);
  msa_program_release(program);
  return status;
}

// The layout is a contract. This test is fragile on purpose: a change here is a change of the format.
TEST(ArtifactLayout, HasTheseBytes) {
  Artifact artifact;
  artifact.program.version_major = 1;
  artifact.blobs.push_back({msa::schema::SegmentKind::MODEL_CONFIG, {'h', 'i'}, ""});
  std::vector<uint8_t> file = artifact.write();
  EXPECT_EQ(std::string(file.begin(), file.begin() + 8), "MSAMODEL");
  const uint8_t fixed[] = {64, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(std::memcmp(file.data() + 8, fixed, sizeof(fixed)), 0);
  uint64_t programSize, fileSize, checksum;
  std::memcpy(&programSize, file.data() + 24, 8);
  std::memcpy(&fileSize, file.data() + 32, 8);
  std::memcpy(&checksum, file.data() + 56, 8);
  EXPECT_EQ(fileSize, file.size());
  EXPECT_EQ(std::string(file.begin() + 68, file.begin() + 72), "MSA1");
  // "hi" at the first multiple of 64 after the program, and nothing behind it.
  EXPECT_EQ(file.size(), (64 + programSize + 63) / 64 * 64 + 2);
  EXPECT_EQ(std::string(file.end() - 2, file.end()), "hi");
  // XXH3-64 and XXH3-128 of "hi" with seed 0, so that the hash itself is pinned down.
  uint8_t digest[kDigestSize];
  artifactDigest("hi", 2, digest);
  const auto *segment = msa::schema::GetProgram(file.data() + 64)->segments()->Get(0);
  EXPECT_EQ(std::memcmp(segment->digest()->data(), digest, 16), 0);
  EXPECT_EQ(checksum, artifactChecksum(file.data(), 56));
  EXPECT_EQ(artifactChecksum("", 0), 0x2d06800538d394c2u);
  const uint8_t emptyDigest[] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8, 0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
  artifactDigest("", 0, digest);
  EXPECT_EQ(std::memcmp(digest, emptyDigest, 16), 0);
  expectOk(tryLoad(file));
}

TEST(ArtifactLoad, AcceptsBothKindsOfSymbolHashTable) {
  Artifact artifact = testArtifact();
  artifact.blobs[0].bytes = readFile(MSA_TEST_DIR "/kernels_sysv.so");
  expectOk(tryLoad(artifact.write()));
}

TEST(ArtifactLoad, LeavesWeightsAloneWhenAskedTo) {
  std::vector<uint8_t> file = testArtifact().write();
  uint64_t weights = msa::schema::GetProgram(file.data() + 64)->segments()->Get(1)->offset();
  file[weights + 5] ^= 1;
  expectOk(tryLoad(file, MSA_VERIFY_STRUCTURE));
  EXPECT_MESSAGE(tryLoad(file, MSA_VERIFY_ALL), MSA_INVALID_ARTIFACT, "segment 1 (weights): expected digest");
}

TEST(ArtifactLoad, RefusesEveryFlippedBitOfTheHeader) {
  std::vector<uint8_t> file = testArtifact().write();
  for (unsigned byte = 0; byte < 64; ++byte)
    for (unsigned bit = 0; bit < 8; ++bit) {
      file[byte] ^= uint8_t(1u << bit);
      msa_status *status = tryLoad(file);
      ASSERT_NE(status, nullptr) << "byte " << byte << " bit " << bit;
      EXPECT_EQ(msa_status_code(status), MSA_INVALID_ARTIFACT);
      msa_status_release(status);
      file[byte] ^= uint8_t(1u << bit);
    }
  expectOk(tryLoad(file));
}

TEST(ArtifactLoad, RefusesEveryTruncation) {
  std::vector<uint8_t> whole = testArtifact().write();
  for (size_t size = 0; size < whole.size(); size += size < 256 ? 1 : 61) {
    msa_status *status = tryLoad({whole.begin(), whole.begin() + long(size)});
    ASSERT_EQ(msa_status_code(status), MSA_INVALID_ARTIFACT) << size;
    msa_status_release(status);
  }
}

// With digests that fit, any byte of the program may be anything: refused or accepted, but never worse.
TEST(ArtifactLoad, SurvivesAnyByteOfTheProgram) {
  std::vector<uint8_t> whole = testArtifact().write();
  uint64_t size;
  std::memcpy(&size, whole.data() + 24, 8);
  std::mt19937 random(1);
  for (uint64_t at = 64; at < 64 + size; ++at) {
    std::vector<uint8_t> file = whole;
    file[at] = uint8_t(random());
    if (at % 3 == 0)
      file[64 + random() % size] = uint8_t(random());
    sealHeader(file);
    msa_status_release(tryLoad(file));
  }
}

// The same for the tables of a GPU variant.
TEST(ArtifactLoad, SurvivesAnyByteOfAGpuProgram) {
  std::vector<uint8_t> whole = gpuTestArtifact().write();
  uint64_t size;
  std::memcpy(&size, whole.data() + 24, 8);
  std::mt19937 random(3);
  for (uint64_t at = 64; at < 64 + size; ++at) {
    std::vector<uint8_t> file = whole;
    file[at] = uint8_t(random());
    if (at % 3 == 0)
      file[64 + random() % size] = uint8_t(random());
    sealHeader(file);
    msa_status_release(tryLoad(file));
  }
}

// An artifact for both loads as before where nobody asks for a device.
TEST(ArtifactLoad, TakesTheCpuOfAnArtifactForBoth) {
  TestProgram program(1, gpuTestArtifact());
  EXPECT_STREQ(msa_program_variant_name(program.program, 0), "cuda:sm_80");
  EXPECT_STREQ(msa_program_variant(program.program), msa_program_variant_name(program.program, 1));
  Invocation add(program, "add");
  std::vector<float> a(100, 1), b(100, 2);
  bind(add, 0, a, {100});
  bind(add, 1, b, {100});
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(output<float>(add, 0), std::vector<float>(100, 3));
}

// The same for the kernel object.
TEST(ArtifactLoad, SurvivesAnyByteOfTheKernels) {
  std::vector<uint8_t> object = readFile(testKernelsPath());
  std::mt19937 random(2);
  for (size_t at = 0; at < object.size(); ++at) {
    if (at > 3000 && at % 7)
      continue;
    Artifact artifact = testArtifact();
    artifact.blobs[0].bytes[at] = uint8_t(random());
    msa_status_release(tryLoad(artifact.write()));
  }
}

class InjuryTest : public ::testing::TestWithParam<Injury> {};

TEST_P(InjuryTest, IsRefusedByName) {
  const Injury &injury = GetParam();
  std::string message = messageOf(tryLoad(injury.make()), injury.code);
  EXPECT_NE(message.find(injury.message), std::string::npos) << message;
  EXPECT_EQ(message.find_first_of("\n\033"), std::string::npos) << message;
  EXPECT_FALSE(message.empty() || isupper(message[0]) || message.back() == '.') << message;
}

struct Outcome {
  int exitCode;
  std::string text;
};

Outcome runTool(const std::string &command) {
  FILE *pipe = popen((command + " 2>&1 >/dev/null").c_str(), "r");
  std::string text;
  char chunk[4096];
  while (size_t count = fread(chunk, 1, sizeof(chunk), pipe))
    text.append(chunk, count);
  int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

// Through the tool: exit code 1 and one line, whatever is wrong.
TEST_P(InjuryTest, EndsMsaRunWithOneError) {
  std::string path = std::string(MSA_TEST_DIR) + "/injury-" + GetParam().name + ".msa";
  writeFile(path, GetParam().make());
  Outcome outcome = runTool(std::string(MSA_RUN) + " invoke " + path + " --entry add --output-dir " MSA_TEST_DIR "/injury-out");
  EXPECT_EQ(outcome.exitCode, 1) << outcome.text;
  EXPECT_EQ(outcome.text.rfind("msa-run: error: cannot load '", 0), 0u) << outcome.text;
  EXPECT_EQ(std::count(outcome.text.begin(), outcome.text.end(), '\n'), 1) << outcome.text;
  std::remove(path.c_str());
}

INSTANTIATE_TEST_SUITE_P(All, InjuryTest, ::testing::ValuesIn(allInjuries()),
                         [](const ::testing::TestParamInfo<Injury> &info) { return info.param.name; });

TEST(Injuries, AreManyAndDistinct) {
  std::set<std::string> names;
  for (const Injury &injury : allInjuries())
    EXPECT_TRUE(names.insert(injury.name).second) << injury.name;
  EXPECT_GE(names.size(), 100u);
}

TEST(ArtifactLoad, RefusesFilesThatAreNone) {
  msa_runtime *runtime = nullptr;
  msa_program *program = nullptr;
  expectOk(msa_runtime_create(nullptr, &runtime));
  EXPECT_MESSAGE(msa_program_load_file(runtime, "/nonexistent.msa", nullptr, &program), MSA_NOT_FOUND, "No such file");
  EXPECT_MESSAGE(msa_program_load_file(runtime, MSA_TEST_DIR, nullptr, &program), MSA_IO, "not a regular file");
  EXPECT_MESSAGE(msa_program_load_file(runtime, "/dev/zero", nullptr, &program), MSA_IO, "not a regular file");
  writeFile(MSA_TEST_DIR "/empty.msa", {});
  EXPECT_MESSAGE(msa_program_load_file(runtime, MSA_TEST_DIR "/empty.msa", nullptr, &program), MSA_INVALID_ARTIFACT, "is empty");
  EXPECT_MESSAGE(msa_program_load_file(nullptr, "x", nullptr, &program), MSA_INVALID_ARGUMENT, "null");
  FileBytes file(testArtifact().write());
  EXPECT_MESSAGE(msa_program_load_memory(runtime, file.data() + 1, file.size() - 1, nullptr, &program), MSA_INVALID_ARGUMENT,
                 "not aligned to 64 bytes");
  msa_runtime_release(runtime);
}

TEST(ArtifactLoad, HonoursItsOptions) {
  TestProgram program;
  msa_program_options options;
  msa_program *loaded = nullptr;
  auto load = [&] { return msa_program_load_memory(program.runtime, program.file.data(), program.file.size(), &options, &loaded); };
  msa_program_options_initialize(&options);
  options.variant = "x86-64-v3";
  EXPECT_MESSAGE(load(), MSA_NOT_FOUND, "variant 'x86-64-v3' was asked for, the artifact has 'x86-64'");
  msa_program_options_initialize(&options);
  options.expected_major = 1;
  options.expected_minor = 1;
  EXPECT_MESSAGE(load(), MSA_UNSUPPORTED, "has format version 1.0, the caller expects 1.1");
  msa_program_options_initialize(&options);
  uint8_t fingerprint[32];
  std::memset(fingerprint, 0x5a, 32);
  options.expected_fingerprint = fingerprint;
  expectOk(load());
  msa_program_release(loaded);
  fingerprint[31] ^= 1;
  EXPECT_MESSAGE(load(), MSA_UNSUPPORTED, "it belongs to another model");
}

TEST(ArtifactLoad, TakesTheFirstVariantThatTheMachineHas) {
  Artifact artifact = testArtifact();
  auto unknown = std::make_unique<msa::schema::VariantT>();
  unknown->name = "x86-64-v9";
  artifact.program.variants.insert(artifact.program.variants.begin(), std::move(unknown));
  TestProgram program(1, std::move(artifact));
  EXPECT_STREQ(msa_program_variant(program.program), msa_program_variant_name(program.program, 1));
  EXPECT_FALSE(msa_program_variant_supported(program.program, 0));
  EXPECT_TRUE(msa_program_variant_supported(program.program, 1));
  EXPECT_EQ(msa_program_variant_count(program.program), 2u);
}

TEST(ArtifactLoad, TellsWhatIsInside) {
  TestProgram program;
  uint32_t major = 9, minor = 9;
  msa_program_version(program.program, &major, &minor);
  EXPECT_EQ(major, 1u);
  EXPECT_EQ(minor, 0u);
  EXPECT_EQ(msa_program_fingerprint(program.program)[0], 0x5a);
  const char *key = nullptr, *value = nullptr;
  ASSERT_TRUE(msa_program_provenance(program.program, 0, &key, &value));
  EXPECT_STREQ(key, "compiler");
  EXPECT_FALSE(msa_program_provenance(program.program, 1, &key, &value));
  msa_segment segment;
  ASSERT_TRUE(msa_program_find_segment(program.program, MSA_SEGMENT_MODEL_CONFIG, &segment));
  EXPECT_EQ(std::string(static_cast<const char *>(segment.data), segment.size), "{}\n");
  EXPECT_FALSE(msa_program_find_segment(program.program, MSA_SEGMENT_TOKENIZER, &segment));

  uint32_t entry = program.entry("append"), output = 0;
  EXPECT_EQ(msa_program_input_count(program.program, entry), 2u);
  EXPECT_EQ(msa_program_input_count(program.program, 1000), 0u);
  ASSERT_TRUE(msa_program_find_output(program.program, entry, "next", &output));
  msa_port port;
  ASSERT_TRUE(msa_program_output(program.program, entry, output, &port));
  EXPECT_STREQ(port.name, "next");
  EXPECT_EQ(port.type, MSA_F32);
  EXPECT_EQ(port.rank, 2u);
  EXPECT_EQ(port.dims[0].size, -1);
  EXPECT_STREQ(port.dims[0].name, "N+M");
  EXPECT_EQ(port.dims[1].size, 4);
  EXPECT_EQ(port.alias_input, 0u);
  ASSERT_TRUE(msa_program_input(program.program, program.entry("sum_rows"), 0, &port));
  EXPECT_TRUE(port.spans);
  EXPECT_FALSE(msa_program_input(program.program, entry, 2, &port));
  EXPECT_FALSE(msa_program_find_entry(program.program, "nothing", &entry));
}

} // namespace

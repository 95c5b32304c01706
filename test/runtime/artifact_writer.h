// SPDX-License-Identifier: Apache-2.0
//
// Writes artifacts for tests, well-formed or not: a program in the object form of the schema, which a test may change at will, plus
// the bytes of its segments.

#ifndef MSA_TEST_RUNTIME_ARTIFACT_WRITER_H
#define MSA_TEST_RUNTIME_ARTIFACT_WRITER_H

#include "runtime/schema/msa_artifact_generated.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace msa::test {

/// Bytes at a page boundary, as a mapped file has them.
class FileBytes {
public:
  FileBytes() = default;
  explicit FileBytes(const std::vector<uint8_t> &bytes);
  FileBytes(FileBytes &&other) noexcept { *this = std::move(other); }
  FileBytes &operator=(FileBytes &&other) noexcept;
  ~FileBytes();
  uint8_t *data() { return bytes; }
  const uint8_t *data() const { return bytes; }
  size_t size() const { return count; }

private:
  uint8_t *bytes = nullptr;
  size_t count = 0;
};

struct Blob {
  schema::SegmentKind kind;
  std::vector<uint8_t> bytes;
  std::string name;
};

struct Artifact {
  schema::ProgramT program; // segments are filled in by write()
  std::vector<Blob> blobs;

  /// Lets a test change the segment table, which write() has filled in, before the program is serialised.
  std::function<void(schema::ProgramT &)> beforeSerialising;

  std::vector<uint8_t> write() const;
};

/// Sets the program digest, file size and header checksum of |file| to what its bytes say.
void sealHeader(std::vector<uint8_t> &file);

std::vector<uint8_t> readFile(const std::string &path);
void writeFile(const std::string &path, const std::vector<uint8_t> &bytes);

/// Builds one entry.
class EntryBuilder {
public:
  explicit EntryBuilder(std::string name) { entry.name = std::move(name); }

  struct D {
    int64_t value = 0;
    std::optional<uint32_t> reg;
    std::string name;
  };
  static D fixed(int64_t value) { return {value, std::nullopt, ""}; }
  static D dynamic(uint32_t reg, std::string name) { return {0, reg, std::move(name)}; }

  uint32_t reg() { return entry.register_count++; }
  /// Returns the slot.
  uint32_t input(std::string name, schema::ElementType type, const std::vector<D> &dims, bool spans = false);
  uint32_t output(std::string name, schema::ElementType type, const std::vector<D> &dims,
                  std::optional<uint32_t> aliasInput = std::nullopt);
  uint32_t arena() { return slot(schema::SlotKind::ARENA, 0); }
  uint32_t constant(uint32_t index) { return slot(schema::SlotKind::CONSTANT, index); }

  uint32_t constantValue(int64_t value);
  uint32_t binary(schema::BinaryKind kind, uint32_t lhs, uint32_t rhs);
  uint32_t select(uint32_t condition, uint32_t ifTrue, uint32_t ifFalse);
  void check(uint32_t condition, std::string message, std::vector<uint32_t> values = {});
  void alloc(uint32_t slot, uint32_t size);
  void free(uint32_t slot);
  void copy(uint32_t target, uint32_t targetOffset, uint32_t source, uint32_t sourceOffset, uint32_t size);
  uint32_t load(uint32_t slot, uint64_t offset);
  void store(uint32_t slot, uint64_t offset, uint32_t reg);
  void dispatch(uint32_t kernel, uint32_t tiles, std::vector<uint32_t> buffers, std::vector<uint32_t> scalars,
                std::string location = "");

  std::unique_ptr<schema::EntryT> take() { return std::make_unique<schema::EntryT>(std::move(entry)); }

private:
  uint32_t slot(schema::SlotKind kind, uint32_t index);
  template <typename T> void command(T value);
  schema::EntryT entry;
};

/// Kernels of test_kernels.c, by their index in testArtifact().program.kernels.
enum TestKernel : uint32_t { kAdd, kSumRows, kAppend, kKeepPositive, kScratch, kSpin, kRelocated };

/// The artifact that most tests start from: every kernel of test_kernels.c, one constant, and the entries
///   add            c[n] = a[n] + b[n]
///   add_constant   y[16] = x[16] + constant 0 (0, 1, ... 15)
///   sum_rows       sums[c] of spans bank[c, 8]
///   append         next[n+m, 4] = cache[n, 4] followed by rows[m, 4]; next aliases cache
///   keep_positive  kept[k] of values[n], k depends on the values
///   chain          y[n] = 8 x[n] by three additions through arena slots
///   scratch        results[n] = 0, 1, 2, ...
///   spin           tiles, rounds: burns time
///   relocated      y[i] = 2 x[i] for even i, 3 x[i] for odd
Artifact testArtifact();

/// The shared object of test_kernels.c.
const char *testKernelsPath();

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_ARTIFACT_WRITER_H

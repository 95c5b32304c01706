// SPDX-License-Identifier: Apache-2.0
//
// Buffers and memory banks that live on a CUDA device and on the host.

#include "cuda_program.h"

#include "msa/bank.h"

#include <numeric>

using namespace msa::test;
using msa::schema::BinaryKind;
using msa::schema::ElementType;

namespace {

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

/// Entry `append` with one buffer bound to input and output, and the rows that it must hold.
struct CudaBuffer : StandInTest {
  void SetUp() override {
    StandInTest::SetUp();
    program = std::make_unique<CudaProgram>();
    make(program->runtime);
    append = std::make_unique<Invocation>(*program, "append");
    expectOk(msa_invocation_bind_input_buffer(*append, 0, buffer));
    expectOk(msa_invocation_bind_output_buffer(*append, 0, buffer));
  }
  void TearDown() override {
    msa_buffer_release(buffer);
    append.reset();
    program.reset();
    StandInTest::TearDown();
  }
  void make(msa_runtime *runtime) {
    int64_t rowShape[] = {4};
    expectOk(msa_buffer_create(runtime, MSA_F32, 1, rowShape, &buffer));
  }
  std::vector<float> fresh(int64_t rows) {
    std::vector<float> made(rows * 4);
    for (float &value : made)
      value = next++;
    expected.insert(expected.end(), made.begin(), made.end());
    return made;
  }
  void step(int64_t rows) { step(*append, rows); }
  void step(msa_invocation *invocation, int64_t rows) {
    std::vector<float> made = fresh(rows);
    bind(invocation, 1, made, {rows, 4});
    expectOk(msa_invocation_run(invocation, nullptr));
  }
  void truncate(int64_t rows) {
    expectOk(msa_buffer_truncate(buffer, rows));
    expected.resize(size_t(rows) * 4);
  }
  void appendOnHost(int64_t rows) {
    std::vector<float> made = fresh(rows);
    expectOk(msa_buffer_append(buffer, made.data(), rows));
  }
  std::vector<float> rowsNow() {
    msa_tensor tensor;
    msa_buffer_tensor(buffer, &tensor);
    auto *data = static_cast<const float *>(tensor.data);
    return {data, data + tensor.shape[0] * 4};
  }

  std::unique_ptr<CudaProgram> program;
  std::unique_ptr<Invocation> append;
  msa_buffer *buffer = nullptr;
  std::vector<float> expected;
  float next = 1;
};

TEST_F(CudaBuffer, GrowsInPlaceAndIsFetchedWhenAsked) {
  for (int i = 0; i < 50; ++i)
    step(1 + i % 3);
  EXPECT_EQ(msa_buffer_rows(buffer), int64_t(expected.size() / 4));
  EXPECT_EQ(rowsNow(), expected);
  EXPECT_EQ(output<float>(*append, 0), expected);
}

TEST_F(CudaBuffer, AllocatesGeometrically) {
  for (int i = 0; i < 10; ++i)
    step(10);
  uint64_t before = StandIn::allocations();
  for (int i = 0; i < 1000; ++i)
    step(1);
  EXPECT_LE(StandIn::allocations() - before, 8u) << "a thousand steps grow eleven times at most";
  expectOk(msa_buffer_reserve(buffer, 5000));
  before = StandIn::allocations();
  for (int i = 0; i < 20; ++i)
    step(50);
  EXPECT_EQ(StandIn::allocations(), before) << "room was reserved";
  EXPECT_GE(msa_buffer_capacity_rows(buffer), 5000);
  EXPECT_EQ(rowsNow(), expected);
}

TEST_F(CudaBuffer, MayBeChangedOnEitherSide) {
  appendOnHost(3);
  step(2);
  appendOnHost(1);
  step(1);
  truncate(4);
  step(3);
  truncate(2);
  appendOnHost(5);
  EXPECT_EQ(rowsNow(), expected);
  step(1);
  truncate(0);
  step(2);
  EXPECT_EQ(rowsNow(), expected);
}

TEST_F(CudaBuffer, GoesFromDeviceToCpuAndBack) {
  TestProgram cpu(1, gpuTestArtifact());
  Invocation onCpu(cpu, "append");
  expectOk(msa_invocation_bind_input_buffer(onCpu, 0, buffer));
  expectOk(msa_invocation_bind_output_buffer(onCpu, 0, buffer));
  for (int i = 0; i < 4; ++i) {
    step(3);
    step(onCpu, 2);
  }
  EXPECT_EQ(rowsNow(), expected);
  step(1);
  EXPECT_EQ(rowsNow(), expected);
}

TEST_F(CudaBuffer, GoesFromOneDeviceToAnother) {
  append.reset();
  msa_buffer_release(buffer);
  program.reset();
  set("MSA_PTXEMU_DEVICES", "2"); // starts anew, so everything is made again
  program = std::make_unique<CudaProgram>();
  make(program->runtime);
  append = std::make_unique<Invocation>(*program, "append");
  expectOk(msa_invocation_bind_input_buffer(*append, 0, buffer));
  expectOk(msa_invocation_bind_output_buffer(*append, 0, buffer));
  msa_program_options options = onCuda();
  options.device_ordinal = 1;
  CudaProgram second(gpuTestArtifact(), options);
  Invocation there(second, "append");
  expectOk(msa_invocation_bind_input_buffer(there, 0, buffer));
  expectOk(msa_invocation_bind_output_buffer(there, 0, buffer));
  step(3);
  step(there, 2);
  step(1);
  EXPECT_EQ(rowsNow(), expected);
}

TEST_F(CudaBuffer, KeepsItsRowsWhenARunFails) {
  step(5);
  std::vector<float> wrong(8);
  bind(*append, 1, wrong, {2, 4});
  msa_run_options options;
  msa_run_options_initialize(&options);
  options.progress = [](void *, uint32_t, uint32_t) { return 1; };
  EXPECT_MESSAGE(msa_invocation_run(*append, &options), MSA_CANCELLED, "cancelled");
  EXPECT_EQ(rowsNow(), expected);
  step(2);
  EXPECT_EQ(rowsNow(), expected);
}

// An output that does not alias: its rows are replaced, and never uploaded.
TEST_F(CudaBuffer, ReplacesTheRowsOfAnOutput) {
  Invocation fill(*program, "append");
  std::vector<float> cache = {1, 2, 3, 4}, rows = {5, 6, 7, 8};
  bind(fill, 0, cache, {1, 4});
  bind(fill, 1, rows, {1, 4});
  appendOnHost(7);
  expectOk(msa_invocation_bind_output_buffer(fill, 0, buffer));
  expectOk(msa_invocation_run(fill, nullptr));
  expected = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(rowsNow(), expected);
  step(1);
  EXPECT_EQ(rowsNow(), expected);
}

//===----------------------------------------------------------------------===//
// Banks
//===----------------------------------------------------------------------===//

/// gpuTestArtifact() with an entry `encode`, so that a bank can be made for it, and entries that read its fields:
///   sum_keys, sum_values   sums[c] of mem_rk.0[c, 8], mem_v.0[c, 8]; and the documents of the rows
Artifact bankArtifact() {
  Artifact artifact = gpuTestArtifact();
  dropCpuVariants(artifact);
  EntryBuilder encode("encode");
  uint32_t rows = encode.reg();
  encode.input("like", ElementType::I64, {encode.dynamic(rows, "C")});
  uint32_t bytes = encode.binary(BinaryKind::MUL, rows, encode.constantValue(32));
  for (const char *name : {"mem_rk.0", "mem_v.0"})
    encode.alloc(encode.output(name, ElementType::F32, {encode.dynamic(rows, "C"), encode.fixed(8)}), bytes);
  artifact.program.entries.push_back(encode.take());
  for (const char *field : {"mem_rk.0", "mem_v.0"}) {
    EntryBuilder e(field == std::string("mem_v.0") ? "sum_values" : "sum_keys");
    uint32_t c = e.reg();
    uint32_t bank = e.input(field, ElementType::F32, {e.dynamic(c, "C"), e.fixed(8)}, true);
    uint32_t documents = e.input("chunk_doc", ElementType::I64, {e.dynamic(c, "C")});
    uint32_t sums = e.output("sums", ElementType::F32, {e.dynamic(c, "C")});
    uint32_t numbers = e.output("numbers", ElementType::I64, {e.dynamic(c, "C")});
    uint32_t zero = e.constantValue(0), eight = e.binary(BinaryKind::MUL, c, e.constantValue(8));
    e.alloc(sums, e.binary(BinaryKind::MUL, c, e.constantValue(4)));
    e.alloc(numbers, eight);
    e.dispatch(kSumRows, c, {bank, sums}, {});
    e.copy(numbers, zero, documents, zero, eight);
    artifact.program.entries.push_back(e.take());
  }
  return artifact;
}

/// A bank whose document n has rows with a value of its own everywhere, and what sums of its rows must be.
struct CudaBank : StandInTest {
  void SetUp() override {
    StandInTest::SetUp();
    set("MSA_PTXEMU_KEEP_FREED", "1");
    open(MSA_PLACEMENT_DEVICE);
  }
  void TearDown() override {
    close();
    StandInTest::TearDown();
  }
  void open(msa_placement content) {
    msa_program_options options = onCuda();
    options.bank_content = content;
    program = std::make_unique<CudaProgram>(bankArtifact(), options);
    keys = std::make_unique<Invocation>(*program, "sum_keys");
    values = std::make_unique<Invocation>(*program, "sum_values");
    expectOk(msa_bank_create(program->program, nullptr, &bank));
  }
  void close() {
    msa_bank_release(bank);
    keys.reset();
    values.reset();
    program.reset();
    documents.clear();
  }

  static float keyOf(int64_t number) { return 1.25f + float(number); }
  static float valueOf(int64_t number) { return -1000.5f - float(number); }
  void add(int64_t chunks) {
    auto number = int64_t(nextNumber++);
    std::vector<float> rk(chunks * 8, keyOf(number)), v(chunks * 8, valueOf(number));
    msa_tensor fields[] = {tensorOf(rk, {chunks, 8}), tensorOf(v, {chunks, 8})};
    msa_bank_document document = {};
    document.number = -1;
    document.chunks = chunks;
    expectOk(msa_bank_add(bank, &document, 1, fields, 2));
    documents.emplace_back(number, chunks);
  }
  void remove(int64_t number) {
    expectOk(msa_bank_remove(bank, number));
    std::erase_if(documents, [&](const auto &document) { return document.first == number; });
  }
  void check() {
    std::vector<float> keySums, valueSums;
    std::vector<int64_t> numbers;
    for (auto [number, chunks] : documents)
      for (int64_t i = 0; i < chunks; ++i) {
        keySums.push_back(8 * keyOf(number));
        valueSums.push_back(8 * valueOf(number));
        numbers.push_back(number);
      }
    expectOk(msa_bank_bind(bank, *keys));
    expectOk(msa_invocation_run(*keys, nullptr));
    EXPECT_EQ(output<float>(*keys, 0), keySums);
    EXPECT_EQ(output<int64_t>(*keys, 1), numbers);
    expectOk(msa_bank_bind(bank, *values));
    expectOk(msa_invocation_run(*values, nullptr));
    EXPECT_EQ(output<float>(*values, 0), valueSums);
  }
  /// Whether four equal values of a document lie anywhere in memory of the device or in pinned memory.
  static bool onDevice(float value) {
    float pattern[4] = {value, value, value, value};
    return StandIn::contains(pattern, sizeof(pattern));
  }

  std::unique_ptr<CudaProgram> program;
  std::unique_ptr<Invocation> keys, values;
  msa_bank *bank = nullptr;
  std::vector<std::pair<int64_t, int64_t>> documents;
  int nextNumber = 0;
};

TEST_F(CudaBank, IsReadThroughACopyThatGrows) {
  check();
  for (int64_t chunks : {3, 1, 0, 40, 7, 300}) {
    add(chunks);
    check();
  }
  uint64_t before = StandIn::allocations();
  check();
  check();
  EXPECT_EQ(StandIn::allocations(), before) << "nothing was added";
  add(2);
  check();
  EXPECT_LE(StandIn::allocations(), before + 3) << "the arena at most";
}

TEST_F(CudaBank, SpansSlabs) {
  add(16000);
  check();
  add(1000);
  check();
  remove(0);
  check();
}

TEST_F(CudaBank, ForgetsWhatIsErased) {
  for (int64_t chunks : {5, 4, 3, 2})
    add(chunks);
  check();
  ASSERT_TRUE(onDevice(keyOf(2)) && onDevice(valueOf(2)));
  remove(2);
  // At once, before anything runs: in live memory, in freed memory, in pinned memory.
  EXPECT_FALSE(onDevice(keyOf(2)));
  EXPECT_FALSE(onDevice(valueOf(2)));
  EXPECT_TRUE(onDevice(keyOf(1))) << "what stands before it need not be uploaded again";
  check();
  remove(0);
  EXPECT_FALSE(onDevice(keyOf(0)));
  check();
  add(6);
  check();
  remove(1);
  remove(3);
  remove(4);
  for (int64_t number = 0; number < 5; ++number) {
    EXPECT_FALSE(onDevice(keyOf(number))) << number;
    EXPECT_FALSE(onDevice(valueOf(number))) << number;
  }
  check();
}

// Old copies are given back with nothing in them.
TEST_F(CudaBank, LeavesNothingBehindWhenItsCopyGrows) {
  add(5);
  check();
  for (int i = 0; i < 6; ++i) {
    add(100 << i);
    check();
  }
  remove(0);
  EXPECT_FALSE(onDevice(keyOf(0)));
  EXPECT_FALSE(onDevice(valueOf(0)));
  check();
}

TEST_F(CudaBank, LeavesNothingBehindWhenItEnds) {
  add(5);
  check();
  msa_bank_release(bank);
  bank = nullptr;
  keys.reset(); // bindings do not outlive it
  values.reset();
  EXPECT_FALSE(onDevice(keyOf(0)));
  EXPECT_FALSE(onDevice(valueOf(0)));
}

TEST_F(CudaBank, KeepsContentOnTheHostWhereThatIsAsked) {
  close();
  StandIn::restart();
  open(MSA_PLACEMENT_HOST);
  add(5);
  uint64_t pinned = StandIn::livePinned(), allocations = StandIn::liveAllocations();
  expectOk(msa_bank_bind(bank, *values));
  expectOk(msa_invocation_run(*values, nullptr));
  EXPECT_GT(StandIn::livePinned(), pinned);
  EXPECT_EQ(output<float>(*values, 0)[4], 8 * valueOf(nextNumber - 1));
  check();
  EXPECT_GT(StandIn::liveAllocations(), allocations) << "routing keys are on the device";
  for (int i = 0; i < 4; ++i) {
    add(100 << i);
    check();
  }
  int64_t first = documents[0].first;
  EXPECT_TRUE(onDevice(valueOf(first)));
  remove(first);
  EXPECT_FALSE(onDevice(valueOf(first)));
  EXPECT_FALSE(onDevice(keyOf(first)));
  check();
}

TEST_F(CudaBank, RefusesABindingFromBeforeAnErase) {
  add(5);
  add(5);
  expectOk(msa_bank_bind(bank, *keys));
  expectOk(msa_invocation_run(*keys, nullptr));
  remove(0);
  EXPECT_MESSAGE(msa_invocation_run(*keys, nullptr), MSA_FAILED_PRECONDITION, "the memory bank has changed since it was bound");
  check();
}

TEST_F(CudaBank, SaysWhenTheDeviceCannotForget) {
  add(5);
  check();
  // A program beside it breaks the device.
  CudaProgram features(gpuFeaturesArtifact());
  Invocation stray(features, "stray");
  std::vector<int64_t> offset = {1 << 30};
  bind(stray, 0, offset, {1});
  msa_status_release(msa_invocation_run(stray, nullptr));
  EXPECT_MESSAGE(msa_bank_remove(bank, 0), MSA_DEVICE_FAILED,
                 "document 0 is removed, but the copies of its rows on a device could not be cleared: the driver's memsetD8Async failed");
  EXPECT_FALSE(msa_bank_find(bank, 0, nullptr));
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
//
// The memory bank against a plain model of it: what is added, removed, saved and loaded comes out as it went in, and no file makes
// loading crash.

#include "test_program.h"

#include "msa/bank.h"
#include "runtime/bank/row_type.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace msa::test;
using msa::schema::BinaryKind;
using msa::schema::ElementType;

namespace {

/// The test artifact with the entries that a bank looks at: `encode`, whose outputs give the fields (keys of 8 numbers, values of
/// 2 x 3), and `read`, which copies a bank's rows and numbers out.
/// With `smallKeys` it gives and reads routing keys of f8e4m3fn as well (8 numbers a row) and their scales; where that is not the type
/// in which `read` has them, it is an artifact that nobody compiles.
Artifact bankArtifact(uint8_t fingerprint = 0x5a, int64_t keySize = 8, ElementType readType = ElementType::F32, bool smallKeys = false,
                      ElementType smallReadType = ElementType::F8E4M3FN) {
  Artifact artifact = testArtifact();
  if (smallKeys)
    artifact.program.version_minor = 2;
  artifact.program.fingerprint.assign(32, fingerprint);
  int64_t elementBytes = readType == ElementType::F32 ? 4 : 2;
  auto copied = [](EntryBuilder &e, uint32_t n, const char *in, const char *out, ElementType type, int64_t bytes,
                   std::vector<EntryBuilder::D> row, bool spans) {
    row.insert(row.begin(), e.dynamic(n, "C"));
    uint32_t from = e.input(in, type, row, spans), to = e.output(out, type, row);
    uint32_t size = e.binary(BinaryKind::MUL, n, e.constantValue(bytes)), zero = e.constantValue(0);
    e.alloc(to, size);
    e.copy(to, zero, from, zero, size);
  };
  using E = EntryBuilder;
  E encode("encode");
  uint32_t n = encode.reg();
  copied(encode, n, "keys", "mem_k.0", ElementType::F32, keySize * 4, {E::fixed(keySize)}, false);
  copied(encode, n, "values", "mem_v.0", ElementType::F32, 24, {E::fixed(2), E::fixed(3)}, false);
  if (smallKeys) {
    copied(encode, n, "small", "mem_rk.0", ElementType::F8E4M3FN, 8, {E::fixed(2), E::fixed(4)}, false);
    copied(encode, n, "scales", "mem_rk_scale.0", ElementType::F32, 4, {E::fixed(1), E::fixed(1)}, false);
  }
  copied(encode, n, "doc", "chunk_doc", ElementType::I64, 8, {}, false);
  artifact.program.entries.push_back(encode.take());
  E read("read");
  n = read.reg();
  copied(read, n, "mem_k.0", "keys", readType, keySize * elementBytes, {E::fixed(keySize)}, true);
  copied(read, n, "mem_v.0", "values", readType, 6 * elementBytes, {E::fixed(2), E::fixed(3)}, true);
  if (smallKeys) {
    copied(read, n, "mem_rk.0", "small", smallReadType, smallReadType == ElementType::F32 ? 32 : 8, {E::fixed(2), E::fixed(4)}, true);
    copied(read, n, "mem_rk_scale.0", "scales", ElementType::F32, 4, {E::fixed(1), E::fixed(1)}, true);
  }
  copied(read, n, "chunk_doc", "numbers", ElementType::I64, 8, {}, false);
  artifact.program.entries.push_back(read.take());
  return artifact;
}

struct Bank {
  Bank() = default;
  explicit Bank(msa_bank *bank) : bank(bank) {}
  Bank(Bank &&other) noexcept : bank(std::exchange(other.bank, nullptr)) {}
  Bank &operator=(Bank &&other) noexcept {
    std::swap(bank, other.bank);
    return *this;
  }
  ~Bank() { msa_bank_release(bank); }
  operator msa_bank *() const { return bank; }
  msa_bank *bank = nullptr;
};

Bank makeBank(const TestProgram &program, msa_element_type storage = MSA_F32) {
  msa_bank_options options;
  msa_bank_options_initialize(&options);
  options.storage = storage;
  msa_bank *bank = nullptr;
  expectOk(msa_bank_create(program.program, &options, &bank));
  return Bank(bank);
}

struct Model {
  struct Document {
    int64_t number;
    std::string name, text;
    std::vector<int32_t> ids;
    std::vector<float> keys, values; // 8 and 6 for every chunk
  };
  std::vector<Document> documents;
  int64_t next = 0;
};

float rounded(float value, msa_element_type type) {
  if (type == MSA_F16)
    return msa::rt::floatFromF16(msa::rt::f16FromFloat(value));
  return type == MSA_BF16 ? msa::rt::floatFromBF16(msa::rt::bf16FromFloat(value)) : value;
}

/// Adds documents with the given chunk counts to both.
void addRandom(msa_bank *bank, Model &model, const std::vector<int64_t> &chunks, std::mt19937 &random, int64_t gap = 0) {
  std::vector<msa_bank_document> documents;
  std::vector<float> keys, values;
  std::uniform_real_distribution<float> real(-2, 2);
  size_t first = model.documents.size();
  for (int64_t count : chunks) {
    Model::Document d;
    d.number = model.next + gap;
    model.next = d.number + 1;
    d.name = "name \x01 " + std::to_string(random());
    d.text = std::string(random() % 50, 't') + std::string("\0\xff", 2);
    for (size_t i = 0; i < random() % 20; ++i)
      d.ids.push_back(int32_t(random() % 1000));
    for (int64_t i = 0; i < count * 8; ++i)
      d.keys.push_back(real(random));
    for (int64_t i = 0; i < count * 6; ++i)
      d.values.push_back(real(random));
    keys.insert(keys.end(), d.keys.begin(), d.keys.end());
    values.insert(values.end(), d.values.begin(), d.values.end());
    model.documents.push_back(std::move(d));
  }
  int64_t rows = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const Model::Document &d = model.documents[first + i];
    documents.push_back({gap ? d.number : -1, chunks[i], d.name.data(), d.name.size(), d.text.data(), d.text.size(), d.ids.data(), d.ids.size()});
    rows += chunks[i];
  }
  msa_tensor fields[2] = {};
  fields[0] = {keys.data(), MSA_F32, 2, {rows, 8}};
  fields[1] = {values.data(), MSA_F32, 3, {rows, 2, 3}};
  expectOk(msa_bank_add(bank, documents.data(), documents.size(), fields, 2));
}

std::vector<float> rowsOf(const msa_bank *bank, uint32_t field, size_t elements) {
  std::vector<msa_row_span> spans(msa_bank_spans(bank, field, nullptr, 0));
  msa_bank_spans(bank, field, spans.data(), spans.size());
  std::vector<float> out;
  for (const msa_row_span &span : spans) {
    auto *data = static_cast<const float *>(span.data);
    out.insert(out.end(), data, data + size_t(span.rows) * elements);
  }
  return out;
}

void expectEqual(const msa_bank *bank, const Model &model, msa_element_type storage = MSA_F32) {
  msa_bank_size size;
  msa_bank_get_size(bank, &size);
  ASSERT_EQ(size.documents, int64_t(model.documents.size()));
  EXPECT_EQ(size.next_number, model.next);
  std::vector<float> keys, values;
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < model.documents.size(); ++i) {
    const Model::Document &d = model.documents[i];
    msa_bank_document found, same;
    ASSERT_TRUE(msa_bank_get_document(bank, int64_t(i), &found));
    ASSERT_TRUE(msa_bank_find(bank, d.number, &same));
    EXPECT_EQ(found.text, same.text);
    EXPECT_EQ(found.number, d.number);
    EXPECT_EQ(found.chunks, int64_t(d.keys.size() / 8));
    EXPECT_EQ(std::string(found.name, found.name_length), d.name);
    EXPECT_EQ(std::string(found.text, found.text_length), d.text);
    EXPECT_EQ(std::vector<int32_t>(found.ids, found.ids + found.id_count), d.ids);
    for (float key : d.keys)
      keys.push_back(rounded(key, storage));
    for (float value : d.values)
      values.push_back(rounded(value, storage));
    numbers.insert(numbers.end(), d.keys.size() / 8, d.number);
  }
  ASSERT_EQ(size.rows, int64_t(numbers.size()));
  EXPECT_EQ(rowsOf(bank, 0, 8), keys);
  EXPECT_EQ(rowsOf(bank, 1, 6), values);
  const int64_t *found = msa_bank_chunk_documents(bank);
  EXPECT_EQ(std::vector<int64_t>(found, found + size.rows), numbers);
}

/// A directory that goes with the test.
struct Directory {
  explicit Directory(const char *name) : path(std::string(MSA_TEST_DIR) + "/bank-" + name) {
    std::filesystem::remove_all(path);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/BANK"; }
  std::string path;
};

Bank loadBank(const TestProgram &program, const Directory &directory) {
  msa_bank *bank = nullptr;
  expectOk(msa_bank_load(program.program, directory.path.c_str(), &bank));
  return Bank(bank);
}

TEST(RowType, RoundsToNearestEven) {
  using namespace msa::rt;
  // Every f16 and bf16 comes back; the middle between two neighbours goes to the even one, and what is beside it to the nearer.
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    float value = floatFromF16(uint16_t(bits)), next = floatFromF16(uint16_t(bits + 1));
    ASSERT_EQ(f16FromFloat(value), bits);
    ASSERT_EQ(f16FromFloat(-value), bits | 0x8000);
    if (bits + 1 == 0x7c00)
      next = 65536;
    float middle = value + (next - value) / 2;
    ASSERT_EQ(f16FromFloat(middle), bits % 2 ? bits + 1 : bits);
    ASSERT_EQ(f16FromFloat(std::nextafterf(middle, 0)), bits);
    ASSERT_EQ(f16FromFloat(std::nextafterf(middle, 1e9f)), bits + 1);
  }
  for (uint32_t bits = 0; bits < 0x7f7f; ++bits) {
    float value = floatFromBF16(uint16_t(bits)), next = floatFromBF16(uint16_t(bits + 1));
    ASSERT_EQ(bf16FromFloat(value), bits);
    float middle = float(double(value) + (double(next) - double(value)) / 2);
    if (bits >= 0x80) // below, the middle itself is not an f32
      ASSERT_EQ(bf16FromFloat(middle), bits % 2 ? bits + 1 : bits);
  }
  EXPECT_TRUE(std::isnan(floatFromF16(f16FromFloat(NAN))));
  EXPECT_TRUE(std::isnan(floatFromBF16(bf16FromFloat(NAN))));
  EXPECT_TRUE(std::isinf(floatFromF16(f16FromFloat(1e6f))));
}

TEST(RowType, SmallNumbersAreThoseOfTheirDefinition) {
  for (uint32_t bits = 0; bits < 0x80; ++bits) {
    int exponent = int(bits >> 3), mantissa = int(bits & 7);
    float expected = exponent ? std::ldexp(float(8 + mantissa), exponent - 10) : std::ldexp(float(mantissa), -9);
    uint8_t positive = uint8_t(bits), negative = uint8_t(bits | 0x80);
    if (bits == 0x7f) {
      EXPECT_TRUE(std::isnan(msa::rt::floatFromF8E4M3FN(positive)) && std::isnan(msa::rt::floatFromF8E4M3FN(negative)));
      continue;
    }
    EXPECT_EQ(msa::rt::floatFromF8E4M3FN(positive), expected);
    EXPECT_EQ(msa::rt::floatFromF8E4M3FN(negative), -expected);
  }
  EXPECT_EQ(msa::rt::floatFromF8E4M3FN(0x7e), 448);
}

TEST(Bank, EqualsItsModelThroughAddRemoveSaveLoad) {
  TestProgram program(1, bankArtifact());
  for (msa_element_type storage : {MSA_F32, MSA_F16, MSA_BF16}) {
    std::mt19937 random(7 + storage);
    Directory directory("model");
    Bank bank = makeBank(program, storage);
    Model model;
    for (int step = 0; step < 40; ++step) {
      switch (random() % 4) {
      case 0:
      case 1:
        addRandom(bank, model, {int64_t(random() % 5), int64_t(random() % 9000), 0, 1}, random, random() % 3);
        break;
      case 2:
        if (!model.documents.empty()) {
          size_t victim = random() % model.documents.size();
          expectOk(msa_bank_remove(bank, model.documents[victim].number));
          model.documents.erase(model.documents.begin() + ptrdiff_t(victim));
        }
        break;
      case 3:
        expectOk(msa_bank_save(bank, directory.path.c_str()));
        bank = loadBank(program, directory);
      }
      if (step % 5 == 4)
        expectEqual(bank, model, storage);
    }
    expectEqual(bank, model, storage);
    EXPECT_EQ(msa_bank_storage(bank), storage);
  }
}

TEST(Bank, RowsStayWhereTheyAre) {
  TestProgram program(1, bankArtifact());
  Bank bank = makeBank(program);
  Model model;
  std::mt19937 random(1);
  addRandom(bank, model, {3, 5}, random);
  msa_row_span before, after[8];
  ASSERT_EQ(msa_bank_spans(bank, 0, &before, 1), 1u);
  std::vector<float> copy(static_cast<const float *>(before.data), static_cast<const float *>(before.data) + before.rows * 8);
  addRandom(bank, model, {40000}, random);
  ASSERT_EQ(msa_bank_spans(bank, 0, after, 8), 3u);
  EXPECT_EQ(after[0].data, before.data);
  EXPECT_EQ(std::vector<float>(static_cast<const float *>(before.data), static_cast<const float *>(before.data) + before.rows * 8), copy);
}

TEST(Bank, IsReadByARun) {
  TestProgram program(2, bankArtifact());
  Bank bank = makeBank(program);
  Model model;
  std::mt19937 random(2);
  addRandom(bank, model, {3, 20000, 5, 7}, random);
  expectOk(msa_bank_remove(bank, 2));
  msa_invocation *invocation = nullptr;
  expectOk(msa_invocation_create(program.context, program.entry("read"), &invocation));
  expectOk(msa_bank_bind(bank, invocation));
  expectOk(msa_invocation_run(invocation, nullptr));
  msa_tensor keys, numbers;
  expectOk(msa_invocation_output(invocation, 0, &keys));
  expectOk(msa_invocation_output(invocation, 2, &numbers));
  ASSERT_EQ(keys.shape[0], 20010);
  auto *data = static_cast<const float *>(keys.data);
  EXPECT_EQ(std::vector<float>(data, data + 20010 * 8), rowsOf(bank, 0, 8));
  EXPECT_EQ(static_cast<const int64_t *>(numbers.data)[20003], 3);
  msa_invocation_release(invocation);
}

TEST(Bank, KeepsNarrowRowsWhereTheArtifactReadsThem) {
  TestProgram program(1, bankArtifact(0x5a, 8, ElementType::BF16));
  msa_bank *made = nullptr;
  msa_bank_options options;
  msa_bank_options_initialize(&options);
  options.storage = MSA_F16;
  EXPECT_MESSAGE(msa_bank_create(program.program, &options, &made), MSA_UNSUPPORTED, "reads 'mem_k.0' as bf16");
  expectOk(msa_bank_create(program.program, nullptr, &made));
  EXPECT_EQ(msa_bank_storage(made), MSA_BF16) << "without a wish it is stored as it is read";
  msa_bank_release(made);
  Bank bank = makeBank(program, MSA_BF16);
  Model model;
  std::mt19937 random(3);
  addRandom(bank, model, {4}, random);
  msa_bank_field field;
  ASSERT_TRUE(msa_bank_get_field(bank, 0, &field));
  EXPECT_EQ(field.type, MSA_BF16);
  msa_row_span span;
  ASSERT_EQ(msa_bank_spans(bank, 0, &span, 1), 1u);
  for (size_t i = 0; i < 32; ++i)
    EXPECT_EQ(static_cast<const uint16_t *>(span.data)[i], msa::rt::bf16FromFloat(model.documents[0].keys[i]));
  Directory directory("narrow");
  expectOk(msa_bank_save(bank, directory.path.c_str()));
  Bank loaded = loadBank(program, directory);
  ASSERT_EQ(msa_bank_spans(loaded, 0, &span, 1), 1u);
  EXPECT_EQ(static_cast<const uint16_t *>(span.data)[31], msa::rt::bf16FromFloat(model.documents[0].keys[31]));
}

/// Rows of all four fields, |rows| of them.
struct SmallRows {
  SmallRows(int64_t rows, std::mt19937 &random) : keys(size_t(rows) * 8), values(size_t(rows) * 6), small(size_t(rows) * 8), scales(size_t(rows)) {
    std::uniform_real_distribution<float> real(-2, 2);
    for (float &x : keys)
      x = real(random);
    for (float &x : values)
      x = real(random);
    for (float &x : scales)
      x = 1e-5f * (3 + real(random)); // not a number of any 16-bit type
    for (uint8_t &bits : small)
      do
        bits = uint8_t(random());
      while ((bits & 0x7f) == 0x7f);
    tensors[0] = {keys.data(), MSA_F32, 2, {rows, 8}};
    tensors[1] = {values.data(), MSA_F32, 3, {rows, 2, 3}};
    tensors[2] = {small.data(), MSA_F8E4M3FN, 3, {rows, 2, 4}};
    tensors[3] = {scales.data(), MSA_F32, 3, {rows, 1, 1}};
  }
  std::vector<float> keys, values;
  std::vector<uint8_t> small;
  std::vector<float> scales;
  msa_tensor tensors[4] = {};
};

template <typename T> std::vector<T> bytesOf(const msa_bank *bank, uint32_t field, size_t elements) {
  std::vector<msa_row_span> spans(msa_bank_spans(bank, field, nullptr, 0));
  msa_bank_spans(bank, field, spans.data(), spans.size());
  std::vector<T> out;
  for (const msa_row_span &span : spans)
    out.insert(out.end(), static_cast<const T *>(span.data), static_cast<const T *>(span.data) + size_t(span.rows) * elements);
  return out;
}

TEST(Bank, KeepsSmallRoutingKeysAndTheirScalesAsTheyAreGiven) {
  TestProgram program(1, bankArtifact(0x5a, 8, ElementType::F32, true));
  for (msa_element_type storage : {MSA_F32, MSA_F16, MSA_BF16}) {
    Bank bank = makeBank(program, storage);
    msa_bank_field field;
    ASSERT_EQ(msa_bank_field_count(bank), 4u);
    ASSERT_TRUE(msa_bank_get_field(bank, 2, &field));
    EXPECT_EQ(field.type, MSA_F8E4M3FN);
    std::mt19937 random(3);
    SmallRows rows(20000, random); // more than a slab's
    msa_bank_document documents[2] = {{-1, 19000, nullptr, 0, nullptr, 0, nullptr, 0}, {-1, 1000, nullptr, 0, nullptr, 0, nullptr, 0}};
    expectOk(msa_bank_add(bank, documents, 2, rows.tensors, 4));
    EXPECT_EQ(bytesOf<uint8_t>(bank, 2, 8), rows.small);
    EXPECT_EQ(bytesOf<float>(bank, 3, 1), rows.scales) << "no storage type rounds a scale";
    msa_bank_size size;
    msa_bank_get_size(bank, &size);
    EXPECT_EQ(size.stored_bytes, 20000u * (14 * msa_element_size(storage) + 8 + 4));

    Directory directory("small_keys");
    expectOk(msa_bank_save(bank, directory.path.c_str()));
    Bank loaded = loadBank(program, directory);
    EXPECT_EQ(bytesOf<uint8_t>(loaded, 2, 8), rows.small);
    EXPECT_EQ(bytesOf<float>(loaded, 3, 1), rows.scales);
    EXPECT_EQ(bytesOf<float>(loaded, 0, 8), bytesOf<float>(bank, 0, 8));

    // A run reads them, made contiguous.
    msa_invocation *invocation = nullptr;
    expectOk(msa_invocation_create(program.context, program.entry("read"), &invocation));
    expectOk(msa_bank_bind(loaded, invocation));
    expectOk(msa_invocation_run(invocation, nullptr));
    msa_tensor small, scales;
    expectOk(msa_invocation_output(invocation, 2, &small));
    expectOk(msa_invocation_output(invocation, 3, &scales));
    EXPECT_EQ(small.type, MSA_F8E4M3FN);
    EXPECT_EQ(std::memcmp(small.data, rows.small.data(), rows.small.size()), 0);
    EXPECT_EQ(std::memcmp(scales.data, rows.scales.data(), rows.scales.size() * 4), 0);
    msa_invocation_release(invocation);
  }
}

TEST(Bank, RefusesSmallRoutingKeysThatItCannotKeep) {
  TestProgram program(1, bankArtifact(0x5a, 8, ElementType::F32, true)), plain(1, bankArtifact());
  TestProgram mixed(1, bankArtifact(0x5a, 8, ElementType::F32, true, ElementType::F32));
  Bank bank = makeBank(program);
  std::mt19937 random(5);
  SmallRows rows(3, random);
  msa_bank_document document = {-1, 3, nullptr, 0, nullptr, 0, nullptr, 0};
  rows.small[17] = 0xff; // NaN
  EXPECT_MESSAGE(msa_bank_add(bank, &document, 1, rows.tensors, 4), MSA_INVALID_ARGUMENT, "row 2 of 'mem_rk.0' holds a value that is not finite as f8e4m3fn");
  rows.small[17] = 0x7e;
  rows.scales[1] = INFINITY;
  EXPECT_MESSAGE(msa_bank_add(bank, &document, 1, rows.tensors, 4), MSA_INVALID_ARGUMENT, "row 1 of 'mem_rk_scale.0' holds a value that is not finite as f32");
  rows.scales[1] = 1;
  rows.tensors[2].type = MSA_F32;
  EXPECT_MESSAGE(msa_bank_add(bank, &document, 1, rows.tensors, 4), MSA_INVALID_ARGUMENT, "rows of 'mem_rk.0': expected f8e4m3fn of rank 3");
  rows.tensors[2].type = MSA_F8E4M3FN;
  expectOk(msa_bank_add(bank, &document, 1, rows.tensors, 4));

  msa_bank *made = nullptr;
  EXPECT_MESSAGE(msa_bank_create(mixed.program, nullptr, &made), MSA_UNSUPPORTED, "gives 'mem_rk.0' as f8e4m3fn, but the artifact reads it as f32");
  msa_bank_options options;
  msa_bank_options_initialize(&options);
  options.storage = MSA_F8E4M3FN;
  EXPECT_MESSAGE(msa_bank_create(program.program, &options, &made), MSA_INVALID_ARGUMENT, "cannot be stored as f8e4m3fn");
  // A bank of another kind of keys is another layout.
  Directory directory("small_or_not");
  expectOk(msa_bank_save(bank, directory.path.c_str()));
  EXPECT_MESSAGE(msa_bank_load(plain.program, directory.path.c_str(), &made), MSA_INVALID_ARGUMENT, "has 4 fields, the artifact has 2");
  EXPECT_FALSE(msa_bank_fits(bank, plain.program));
}

TEST(Bank, RefusesWhatItCannotKeepAndStaysAsItWas) {
  TestProgram program(1, bankArtifact());
  Bank bank = makeBank(program, MSA_F16);
  Model model;
  std::mt19937 random(4);
  addRandom(bank, model, {2, 2}, random);
  float keys[8] = {}, values[6] = {};
  msa_tensor fields[2] = {{keys, MSA_F32, 2, {1, 8}}, {values, MSA_F32, 3, {1, 2, 3}}};
  msa_bank_document document = {-1, 1, nullptr, 0, nullptr, 0, nullptr, 0};
  auto add = [&] { return msa_bank_add(bank, &document, 1, fields, 2); };
  values[5] = NAN;
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "row 0 of 'mem_v.0' holds a value that is not finite as f16");
  values[5] = 70000; // finite, but not as f16
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "not finite as f16");
  values[5] = 0;
  document.number = 1;
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "has the number 1, expected 2 or more");
  document.number = -1;
  document.chunks = 2;
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "with 2 rows");
  document.chunks = -1;
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "-1 chunks");
  document.chunks = 1;
  fields[0].shape[1] = 7;
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "dim 1 is 7, expected 8");
  fields[0].shape[1] = 8;
  EXPECT_MESSAGE(msa_bank_add(bank, &document, 1, fields, 1), MSA_INVALID_ARGUMENT, "2 fields, 1 tensors");
  document.text_length = 1;
  EXPECT_MESSAGE(add(), MSA_INVALID_ARGUMENT, "null but not empty");
  EXPECT_MESSAGE(msa_bank_remove(bank, 9), MSA_NOT_FOUND, "no document 9");
  expectEqual(bank, model, MSA_F16);
}

TEST(Bank, ReadersSeeOneStateWhileDocumentsAreAdded) {
  TestProgram program(1, bankArtifact());
  Bank bank = makeBank(program);
  std::thread writer([&] {
    Model model;
    std::mt19937 random(5);
    for (int i = 0; i < 200; ++i) {
      addRandom(bank, model, {50}, random);
      if (i % 3 == 2)
        expectOk(msa_bank_remove(bank, i - 1));
    }
  });
  for (int i = 0; i < 200; ++i) {
    msa_bank_lock_shared(bank);
    msa_bank_size size;
    msa_bank_get_size(bank, &size);
    std::vector<msa_row_span> spans(msa_bank_spans(bank, 1, nullptr, 0));
    msa_bank_spans(bank, 1, spans.data(), spans.size());
    int64_t rows = 0;
    for (const msa_row_span &span : spans)
      rows += span.rows;
    EXPECT_EQ(rows, size.rows);
    EXPECT_EQ(rows, size.documents * 50);
    const int64_t *numbers = msa_bank_chunk_documents(bank);
    for (int64_t r = 1; r < rows; ++r)
      ASSERT_GE(numbers[r], numbers[r - 1]);
    msa_bank_unlock_shared(bank);
  }
  writer.join();
}

TEST(BankFile, OfAnotherModelIsRefused) {
  TestProgram program(1, bankArtifact()), other(1, bankArtifact(0x11)), wider(1, bankArtifact(0x5a, 16));
  Directory directory("other");
  Bank bank = makeBank(program);
  expectOk(msa_bank_save(bank, directory.path.c_str()));
  msa_bank *loaded = nullptr;
  EXPECT_MESSAGE(msa_bank_load(other.program, directory.path.c_str(), &loaded), MSA_INVALID_ARGUMENT, "made by another model");
  EXPECT_MESSAGE(msa_bank_load(wider.program, directory.path.c_str(), &loaded), MSA_INVALID_ARGUMENT, "another layout");
  EXPECT_TRUE(msa_bank_fits(bank, program.program));
  EXPECT_FALSE(msa_bank_fits(bank, other.program));
  EXPECT_FALSE(msa_bank_fits(bank, wider.program));
}

TEST(BankFile, EveryTruncationAndEveryFlippedByteIsFound) {
  TestProgram program(1, bankArtifact());
  Directory directory("damaged");
  for (msa_element_type storage : {MSA_F32, MSA_BF16}) {
    Bank bank = makeBank(program, storage);
    Model model;
    std::mt19937 random(6);
    addRandom(bank, model, {2, 0, 3}, random);
    expectOk(msa_bank_save(bank, directory.path.c_str()));
    const std::vector<uint8_t> good = readFile(directory.file());
    size_t failures = 0, cases = 0;
    auto expectFailure = [&](const std::vector<uint8_t> &bytes) {
      writeFile(directory.file(), bytes);
      msa_bank *loaded = nullptr;
      msa_status *status = msa_bank_load(program.program, directory.path.c_str(), &loaded);
      ++cases;
      failures += status != nullptr && loaded == nullptr;
      msa_status_release(status);
      msa_bank_release(loaded);
    };
    for (size_t size = 0; size < good.size(); ++size)
      expectFailure({good.begin(), good.begin() + ptrdiff_t(size)});
    for (size_t i = 0; i < good.size(); ++i) {
      std::vector<uint8_t> bytes = good;
      bytes[i] ^= uint8_t(1u << (i % 8));
      expectFailure(bytes);
    }
    std::vector<uint8_t> longer = good;
    longer.push_back(0);
    expectFailure(longer);
    EXPECT_EQ(failures, cases);
    EXPECT_GT(cases, 1000u);
    writeFile(directory.file(), good);
    expectEqual(loadBank(program, directory), model, storage);
  }
}

TEST(BankFile, StrangePlacesAreErrors) {
  TestProgram program(1, bankArtifact());
  Bank bank = makeBank(program);
  msa_bank *loaded = nullptr;
  Directory directory("strange");
  auto load = [&] { return msa_bank_load(program.program, directory.path.c_str(), &loaded); };
  EXPECT_MESSAGE(load(), MSA_NOT_FOUND, "cannot open the bank directory");
  std::filesystem::create_directories(directory.path);
  EXPECT_MESSAGE(load(), MSA_NOT_FOUND, "there is no bank in");
  std::filesystem::create_directories(directory.file());
  EXPECT_MESSAGE(load(), MSA_INVALID_ARTIFACT, "not a regular file");
  std::filesystem::remove(directory.file());
  std::filesystem::create_symlink("/dev/zero", directory.file());
  EXPECT_MESSAGE(load(), MSA_IO, "cannot open");
  std::filesystem::remove(directory.file());
  ASSERT_EQ(mkfifo(directory.file().c_str(), 0600), 0);
  EXPECT_MESSAGE(load(), MSA_INVALID_ARTIFACT, "not a regular file"); // and does not wait for a writer
  std::filesystem::remove(directory.file());
  writeFile(directory.file(), std::vector<uint8_t>(4096, 'x'));
  EXPECT_MESSAGE(load(), MSA_INVALID_ARTIFACT, "is not a memory bank");
  EXPECT_MESSAGE(msa_bank_save(bank, "/proc/nowhere/at/all"), MSA_IO, "cannot create the directory");
  // A save that fails leaves the bank that is there.
  expectOk(msa_bank_save(bank, directory.path.c_str()));
  std::filesystem::create_directories(directory.path + "/BANK.partial");
  EXPECT_MESSAGE(msa_bank_save(bank, directory.path.c_str()), MSA_IO, "BANK.partial");
  loadBank(program, directory);
}

} // namespace

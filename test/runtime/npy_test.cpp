// SPDX-License-Identifier: Apache-2.0

#include "tools/run/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace msa;
using namespace msa::tool;

namespace {

std::vector<uint8_t> npy(const std::string &header, size_t dataBytes, int version = 1) {
  std::string text("\x93NUMPY", 6);
  text += char(version);
  text += '\0';
  text += char(header.size() & 0xff);
  text += char(header.size() >> 8);
  if (version > 1)
    text += std::string(2, '\0');
  text += header;
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.resize(bytes.size() + dataBytes);
  return bytes;
}

TEST(Npy, ComesBackAsItWentForEveryType) {
  std::string path = std::string(MSA_TEST_DIR) + "/round-trip.npy";
  for (uint32_t type = MSA_F32; type <= MSA_F8E4M3FN; ++type)
    for (std::vector<int64_t> shape : std::vector<std::vector<int64_t>>{{}, {0}, {7}, {3, 0, 2}, {2, 3}, {1, 1, 1, 1, 1, 1, 1, 2}}) {
      Array array;
      array.type = msa_element_type(type);
      array.shape = shape;
      size_t bytes = msa_element_size(array.type);
      for (int64_t dim : shape)
        bytes *= size_t(dim);
      for (size_t i = 0; i < bytes; ++i)
        array.bytes.push_back(type == MSA_BOOL ? i % 2 : uint8_t(i * 37));
      Status written = writeNpy(path, array.tensor());
      ASSERT_TRUE(written.ok()) << written.message();
      Array read;
      Status status = readNpy(path, read);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(read.type, array.type);
      EXPECT_EQ(read.shape, array.shape);
      EXPECT_EQ(read.bytes, array.bytes);
    }
}

TEST(Npy, ReadsWhatNumPyWrites) {
  Array array;
  auto read = [&](const std::vector<uint8_t> &bytes) {
    Status status = parseNpy(bytes.data(), bytes.size(), "test", array);
    EXPECT_TRUE(status.ok()) << status.message();
  };
  read(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", 24));
  EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 3}));
  read(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }\n", 20, 2));
  EXPECT_EQ(array.shape, (std::vector<int64_t>{5}));
  read(npy("{'shape': (), 'fortran_order': False, 'descr': '<i8'}\n", 8, 3));
  EXPECT_TRUE(array.shape.empty());
  read(npy("{'descr': '|b1', 'fortran_order': True, 'shape': (4L,), }\n", 4));
  EXPECT_EQ(array.type, MSA_BOOL);
  read(npy("{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }\n", 2));
  EXPECT_EQ(array.type, MSA_BF16);
}

TEST(Npy, RefusesWhatItCannotUse) {
  struct {
    std::vector<uint8_t> bytes;
    const char *message;
  } cases[] = {
      {{}, "expected an .npy file"},
      {std::vector<uint8_t>(100, 'x'), "expected an .npy file"},
      {npy("{}", 0, 9), "format version 1, 2 or 3, found 9"},
      {npy("{}\n", 0), "its header is not the dictionary"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 23), "its shape needs 24 bytes of data, the file has 23"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 25), "the file has 25"},
      {npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }\n", 4), "its elements are '>f4'"},
      {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }\n", 8), "its elements are '<c8'"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", 8), "its elements are '|O'"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", 8), "not the dictionary"},
      {npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", 24), "Fortran order"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", 4), "not the dictionary"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }\n", 4), "not the dictionary"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }\n", 0), "multiply to more than 2^64"},
      {npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,), }\n", 0), "the file has 0"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }\n", 4), "it has 9 dims, expected at most 8"},
      {npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", 4), "not the dictionary"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}\n", 4), "not the dictionary"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} junk\n", 4), "not the dictionary"},
      {npy("{'descr': '<f4", 0), "not the dictionary"},
  };
  for (const auto &each : cases) {
    Array array;
    Status status = parseNpy(each.bytes.data(), each.bytes.size(), "test", array);
    ASSERT_FALSE(status.ok()) << each.message;
    EXPECT_NE(std::string(status.message()).find(each.message), std::string::npos) << status.message();
  }
  std::vector<uint8_t> notBoolean = npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }\n", 2);
  notBoolean.back() = 2;
  Array array;
  EXPECT_FALSE(parseNpy(notBoolean.data(), notBoolean.size(), "test", array).ok());
  EXPECT_EQ(readNpy("/nonexistent.npy", array).code(), MSA_NOT_FOUND);
  EXPECT_EQ(readNpy(MSA_TEST_DIR, array).code(), MSA_IO);
  float value = 1;
  EXPECT_EQ(writeNpy("/nonexistent/x.npy", msa::tensor(&value, MSA_F32, {1})).code(), MSA_IO);
}

TEST(Npy, SurvivesAnyBytes) {
  std::vector<uint8_t> good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
  std::mt19937 random(3);
  Array array;
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> bytes = good;
    for (unsigned flips = 1 + random() % 3; flips; --flips)
      bytes[random() % (bytes.size() - 24)] = uint8_t(random());
    bytes.resize(random() % 4 ? bytes.size() : random() % bytes.size());
    Status status = parseNpy(bytes.data(), bytes.size(), "test", array);
    if (status.ok()) {
      EXPECT_EQ(array.bytes.size() % msa_element_size(array.type), 0u);
    }
  }
}

} // namespace

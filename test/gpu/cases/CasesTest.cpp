// SPDX-License-Identifier: Apache-2.0

#include "Case.h"

#include <gtest/gtest.h>

using namespace cases;

// -- The 20 layouts of wgmma operands, in every mode of asynchrony ---------------------------------------------------------------

class Descriptors : public testing::TestWithParam<ptxemu::Asynchrony> {};

TEST_P(Descriptors, AgreeWithFloat64) {
  std::vector<Instance> instances = descriptorInstances();
  ASSERT_EQ(instances.size(), 20u);
  for (const Instance &instance : instances) {
    ptxemu::Options options;
    options.asynchrony = GetParam();
    options.strictFence = true;
    EmulatorDevice device(ptxemu::Module::parse(instance.ptx), options, 2);
    Case subject = makeCase(instance, Size::Small, 11);
    Prepared prepared(device, instance, subject);
    Verdict verdict;
    EXPECT_EQ(prepared.run(verdict), "") << instance.name;
    EXPECT_TRUE(verdict.ok) << instance.name << ": " << verdict.text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Descriptors, testing::Values(ptxemu::Asynchrony::Latest, ptxemu::Asynchrony::Random, ptxemu::Asynchrony::Earliest));

TEST(Descriptors, AWrongSwizzleShows) {
  std::vector<Instance> instances = descriptorInstances();
  Instance instance = instances.at(12); // bf16, both along K, 128 bytes
  ASSERT_EQ(instance.name, "descriptor.bf16.k_k_swizzle128");
  Case subject = makeCase(instance, Size::Small, 11);
  instance.ptx = instances.at(8).ptx; // reads it as if swizzled by 64
  EmulatorDevice device(ptxemu::Module::parse(instance.ptx), {}, 2);
  Prepared prepared(device, instance, subject);
  Verdict verdict;
  EXPECT_EQ(prepared.run(verdict), "");
  EXPECT_FALSE(verdict.ok);
}

// -- Cases know what is wrong ------------------------------------------------------------------------------------------------------

/// A case's reference, computed by the test itself in f32 and handed to the judge, with one element off.
TEST(Compare, OneElementThatIsOffIsFound) {
  Tensor got = Tensor::of(Element::BF16, {1.0, 2.0, 3.0});
  std::vector<double> want = {1.0, 2.0, 3.0}, slack = {0.01, 0.01, 0.01};
  EXPECT_TRUE(compare(got, want, slack).ok);
  got.values[1] = 2.02;
  Verdict verdict = compare(got, want, slack);
  EXPECT_FALSE(verdict.ok);
  EXPECT_NE(verdict.text.find("element 1"), std::string::npos);
  got.values[1] = NAN;
  EXPECT_FALSE(compare(got, want, slack).ok);
  EXPECT_FALSE(compare(got, {1.0}, slack).ok);
}

TEST(Tensor, RoundsToItsType) {
  EXPECT_EQ(Tensor::of(Element::BF16, {1.0 + 0x1p-9}).values[0], 1.0);
  EXPECT_EQ(Tensor::of(Element::F16, {1.0 + 0x1p-10}).values[0], 1.0 + 0x1p-10);
  EXPECT_EQ(Tensor::of(Element::E4M3, {0.3}).values[0], 0.3125);
  EXPECT_EQ(Tensor::of(Element::I64, {7}).bytes().size(), 8u);
}

TEST(Term, IsMultiplierTimesCeiling) {
  Term term;
  term.factor = 3;
  term.divisor = 4;
  term.multiplier = 5;
  term.scalars = {1};
  std::vector<int64_t> scalars = {9, 7};
  EXPECT_EQ(term.evaluate(scalars), 5 * 6); // 21 / 4, up
  term.scalars = {2};
  EXPECT_THROW(term.evaluate(scalars), Error);
}

TEST(Instance, WhatIsMissingIsNamed) {
  try {
    readInstance({{"name", "x"}, {"template", "gemm"}}, "");
    FAIL();
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("sm"), std::string::npos) << error.what();
  }
  Instance unknown;
  unknown.family = "sort";
  EXPECT_FALSE(knows(unknown));
  EXPECT_THROW(makeCase(unknown, Size::Small, 1), Error);
}

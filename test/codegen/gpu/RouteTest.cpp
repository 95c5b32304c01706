// SPDX-License-Identifier: Apache-2.0
//
// The route template: what its instances compute, under the emulator in each of its modes. AssemblyTest.cpp says what ptxas makes of them.

#include "RouteCase.h"
#include <cmath>
#include <gtest/gtest.h>
#include <memory>

using msa::Reduce;
using msa::gpu::RouteInstance;
using Form = RouteInstance::Form;
using route::Case;
using route::Key;
using route::Lists;
using route::Program;

namespace {

std::vector<ptxemu::Options> everyMode(uint64_t seed = 1) {
  std::vector<ptxemu::Options> modes;
  for (auto asynchrony : {ptxemu::Asynchrony::Latest, ptxemu::Asynchrony::Random, ptxemu::Asynchrony::Earliest}) {
    ptxemu::Options options;
    options.seed = seed++;
    options.asynchrony = asynchrony;
    options.strictFence = true;
    options.traffic = false;
    modes.push_back(options);
  }
  return modes;
}

bool same(const Lists &a, const Lists &b) {
  if (a.size() != b.size())
    return false;
  for (size_t t = 0; t < a.size(); ++t) {
    if (a[t].size() != b[t].size())
      return false;
    for (size_t i = 0; i < a[t].size(); ++i) {
      const route::Entry &x = a[t][i], &y = b[t][i];
      bool score = x.score == y.score || (std::isnan(x.score) && std::isnan(y.score));
      if (!score || x.number != y.number || x.first != y.first || x.end != y.end)
        return false;
    }
  }
  return true;
}

/// Documents of every sort: of one chunk, in the middle of a block and over its end, over the end of a tile, over a whole tile and more.
std::vector<int64_t> mixedLengths(int64_t rows) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 40; ++i)
    lengths.push_back(1 + i * 7 % 23);
  for (int64_t length : {int64_t(1), rows + 17, int64_t(1), int64_t(1), 2 * rows + 40, int64_t(31), int64_t(33), int64_t(64)})
    lengths.push_back(length);
  for (int64_t i = 0; i < 70; ++i)
    lengths.push_back(1 + i % 2);
  lengths.push_back(77);
  return lengths;
}

void expectRight(Case subject, const RouteInstance &instance, int sm, unsigned processors = 2) {
  subject.coarseQuery = subject.key == Key::E4M3 && instance.form == Form::Hopper;
  SCOPED_TRACE(instance.name() + " on sm_" + std::to_string(sm) + ", row " + std::to_string(subject.row));
  Program program(subject, instance, sm);
  for (const ptxemu::Options &options : everyMode()) {
    Lists lists;
    ASSERT_NO_THROW(lists = program.run(subject, options, processors));
    EXPECT_EQ(judge(subject, lists), "");
  }
}

void expectExact(const Case &subject, const RouteInstance &instance, int sm, unsigned processors = 2) {
  SCOPED_TRACE(instance.name() + " on sm_" + std::to_string(sm));
  Lists lists = Program(subject, instance, sm).run(subject, everyMode()[0], processors), want = exactLists(subject);
  EXPECT_EQ(judge(subject, lists), "");
  EXPECT_TRUE(same(lists, want)) << "not the same documents in the same order";
}

RouteInstance direct(unsigned tokens, unsigned stages = 2, bool resident = true) { return {Form::Direct, tokens, resident, stages}; }
RouteInstance hopper(unsigned tokens, unsigned stages, bool resident, unsigned chunks = 128) {
  return {Form::Hopper, tokens, resident, stages, chunks};
}

Case normalCase(Key key, int64_t row, int64_t tokens, uint64_t seed) {
  Case subject;
  subject.key = key;
  subject.row = row;
  subject.rows = 128;
  subject.keep = 5;
  subject.tokens = tokens;
  subject.scale = 0.125;
  subject.lengths = mixedLengths(subject.rows);
  for (int64_t t = 0; t < tokens; ++t)
    subject.mask.push_back(t % 5 != 3);
  subject.fillNormal(seed);
  return subject;
}

//===--- Numbers. ---===//

TEST(Route, DirectScoresWhatTheOracleDoes) {
  for (int sm : {80, 90})
    for (Key key : {Key::BF16, Key::F16}) {
      expectRight(normalCase(key, 128, 1, 1), direct(8, 4), sm);
      expectRight(normalCase(key, 192, 8, 2), direct(8, 6), sm);
      expectRight(normalCase(key, 96, 13, 3), direct(16, 3), sm);
      expectRight(normalCase(key, 64, 29, 4), direct(32, 2), sm);
    }
}

TEST(Route, DirectTakesAnyNumberOfTokensInGroups) {
  for (int sm : {80, 90}) {
    expectRight(normalCase(Key::BF16, 64, 75, 5), direct(32, 2, false), sm);
    expectRight(normalCase(Key::F16, 64, 64, 6), direct(32, 1, false), sm);
  }
}

TEST(Route, DirectReadsQueriesThatAreStoredAsKeysAre) {
  Case subject = normalCase(Key::BF16, 128, 9, 7);
  subject.shortQuery = true;
  subject.query.clear();
  subject.keys.clear();
  subject.fillNormal(8);
  expectRight(subject, direct(16, 4), 80);
  expectRight(subject, hopper(32, 3, true), 90);
}

TEST(Route, DirectScoresKeysOfEightBits) {
  expectRight(normalCase(Key::E4M3, 128, 7, 9), direct(8, 2), 90);
  expectRight(normalCase(Key::E4M3, 192, 16, 10), direct(16, 3), 90);
  expectRight(normalCase(Key::E4M3, 64, 40, 11), direct(32, 1, false), 90);
}

TEST(Route, HopperScoresKeysOfEightBits) {
  expectRight(normalCase(Key::E4M3, 256, 32, 30), hopper(32, 3, true), 90);
  expectRight(normalCase(Key::E4M3, 192, 21, 31), hopper(32, 2, true), 90); // half a slab at the end
  expectRight(normalCase(Key::E4M3, 64, 64, 32), hopper(64, 4, true), 90);
  expectRight(normalCase(Key::E4M3, 128, 75, 33), hopper(64, 2, false, 256), 90);
  expectRight(normalCase(Key::E4M3, 256, 130, 34), hopper(128, 2, false), 90);
}

/// Scores of all documents against the float64 definition: the error's rms as a share of the scores'.
double relativeError(Case subject, const RouteInstance &instance) {
  subject.keep = subject.rows;
  Lists lists = Program(subject, instance, 90).run(subject, everyMode()[0], 2);
  std::vector<route::Score> want = scoreDocuments(subject, scoreChunks(subject));
  double error = 0, size = 0;
  size_t count = 0;
  for (const auto &list : lists)
    for (const route::Entry &entry : list) {
      double exact = want[size_t(entry.number - 3) / 2].value;
      error += (entry.score - exact) * (entry.score - exact);
      size += exact * exact;
      ++count;
    }
  EXPECT_EQ(count, subject.lengths.size());
  return std::sqrt(error / size);
}

TEST(Route, PartsOfEightBitsLoseNextToNothing) {
  Case subject = normalCase(Key::E4M3, 1024, 1, 35);
  EXPECT_LE(relativeError(subject, hopper(32, 3, true)), 1e-3);
  for (float &value : subject.query)
    value = route::rounded(Key::BF16, value);
  EXPECT_LE(relativeError(subject, hopper(32, 3, true)), 1e-5); // eight bits are two times four
}

TEST(Route, HopperScoresWhatTheOracleDoes) {
  for (Key key : {Key::BF16, Key::F16}) {
    expectRight(normalCase(key, 128, 32, 12), hopper(32, 3, true), 90);
    expectRight(normalCase(key, 64, 11, 13), hopper(16, 2, true), 90);
    expectRight(normalCase(key, 192, 5, 14), hopper(8, 4, true), 90);
    expectRight(normalCase(key, 128, 64, 15), hopper(64, 3, false, 384), 90);
    expectRight(normalCase(key, 64, 140, 16), hopper(64, 4, false), 90);
  }
  expectRight(normalCase(Key::BF16, 96, 120, 17), hopper(128, 3, false, 256), 90);
  expectRight(normalCase(Key::BF16, 64, 300, 18), hopper(256, 2, false), 90);
}

TEST(Route, EveryReductionIsTheOracles) {
  for (Reduce tokens : {Reduce::max, Reduce::mean, Reduce::last})
    for (Reduce chunks : {Reduce::max, Reduce::mean}) {
      Case subject = normalCase(Key::BF16, 64, 14, 19);
      subject.tokenReduce = tokens;
      subject.chunkReduce = chunks;
      subject.mask.back() = false;
      expectRight(subject, direct(tokens == Reduce::last ? 8 : 16, 2), 80);
      if (tokens != Reduce::last) {
        expectRight(subject, hopper(32, 2, true), 90);
        expectRight(subject, hopper(64, 2, false), 90);
      }
    }
}

//===--- What must be exact. ---===//

TEST(Route, TiesGoToTheLowerDocumentAndListsAreExact) {
  for (int64_t keep : {1, 3, 33, 128}) {
    Case subject;
    subject.keep = keep;
    subject.tokens = 6;
    subject.lengths = mixedLengths(subject.rows);
    for (int i = 0; i < 300; ++i)
      subject.lengths.push_back(1);
    subject.fillWhole(20 + keep);
    expectExact(subject, direct(8), 80);
    expectExact(subject, hopper(8, 2, true), 90);
  }
}

TEST(Route, ListsAreTheSameWhateverTheGrid) {
  Case subject = normalCase(Key::BF16, 64, 6, 21);
  subject.chunkReduce = Reduce::mean;
  for (const RouteInstance &instance : {direct(8), hopper(8, 2, true)}) {
    Program program(subject, instance, 90);
    Lists once = program.run(subject, everyMode()[0], 1);
    for (unsigned processors : {2, 3, 100})
      EXPECT_TRUE(same(once, program.run(subject, everyMode()[1], processors))) << instance.name() << " on " << processors;
  }
}

TEST(Route, ShapesAtTheirEdges) {
  std::vector<std::vector<int64_t>> banks = {{}, {1}, {1000}, {127, 1, 1}, {128, 128}, std::vector<int64_t>(257, 1), {1, 700}, {129, 383, 2}};
  for (const std::vector<int64_t> &lengths : banks) {
    Case subject;
    subject.tokens = 2;
    subject.lengths = lengths;
    subject.fillWhole(22);
    SCOPED_TRACE("bank of " + std::to_string(subject.chunks()));
    expectExact(subject, direct(8), 80, 3);
    expectExact(subject, hopper(8, 3, true), 90, 3);
  }
}

TEST(Route, NoTokenTakesPart) {
  for (Reduce tokens : {Reduce::max, Reduce::mean, Reduce::last}) {
    Case subject;
    subject.tokens = 4;
    subject.tokenReduce = tokens;
    subject.mask.assign(4, false);
    subject.lengths = {3, 100, 40, 1, 1};
    subject.fillWhole(23);
    expectExact(subject, direct(8), 80);
    if (tokens != Reduce::last)
      expectExact(subject, hopper(8, 2, true), 90);
  }
}

TEST(Route, InfinitiesAndNaNsComeOutAsInPlainArithmetic) {
  for (Key key : {Key::BF16, Key::F16}) {
    Case subject;
    subject.key = key;
    subject.tokens = 3;
    subject.keep = 40;
    subject.lengths = mixedLengths(subject.rows);
    subject.fillWhole(24);
    subject.scale = 0.5;
    for (float &value : subject.query)
      value += 0.0625f; // no zeros, whose product with an infinity would be NaN
    int64_t row = subject.row;
    subject.keys[3 * row + 5] = INFINITY;
    subject.keys[40 * row + 1] = -INFINITY;
    subject.keys[77 * row] = NAN;
    subject.keys[130 * row + 63] = INFINITY;
    subject.keys[130 * row + 62] = -INFINITY;
    for (int64_t c = 400; c < 420; ++c)
      subject.keys[c * row + c % 64] = NAN;
    expectExact(subject, direct(8), 80);
    expectExact(subject, hopper(8, 2, true), 90);
    subject.query[1 * row + 7] = INFINITY;
    expectExact(subject, direct(8), 80);
    subject.query[2 * row + 9] = NAN;
    expectExact(subject, hopper(8, 2, true), 90);
  }
}

TEST(Route, KeysOfEightBitsMeetInfinitiesAndNaNs) {
  Case subject;
  subject.key = Key::E4M3;
  subject.tokens = 3;
  subject.keep = 40;
  subject.lengths = mixedLengths(subject.rows);
  subject.fillWhole(36);
  for (float &value : subject.keys)
    value += value == 0 ? 0.5f : 0; // no zeros
  subject.keys[77 * subject.row] = NAN;
  for (float strange : {INFINITY, -INFINITY, float(NAN)}) {
    expectExact(subject, direct(8, 1), 90);
    expectExact(subject, hopper(8, 2, true), 90);
    subject.query[1 * subject.row + 7] = strange;
  }
}

TEST(Route, QueriesOfAnySizeKeepTheirBits) {
  for (Key key : {Key::F16, Key::E4M3})
    for (float size : {1e-30f, 1e-6f, 1e6f, 1e30f}) {
      Case subject = normalCase(key, 64, 4, 25);
      for (float &value : subject.query)
        value *= size;
      expectRight(subject, direct(8, 1), key == Key::F16 ? 80 : 90);
      expectRight(subject, hopper(8, 2, true), 90);
    }
}

//===--- What it costs: counted, so that a reader need not believe it. ---===//

Case wideCase(int64_t tokens) {
  Case subject;
  subject.row = 1024;
  subject.rows = 512;
  subject.tokens = tokens;
  subject.lengths = {100, 300, 7, 250, 111, 200};
  subject.fillWhole(26);
  return subject;
}

RouteInstance pick(const Case &subject) {
  mlir::MLIRContext context;
  auto choices = pickRoute(problemOf(subject, context), msa::gpu::GPUTarget{90});
  for (const msa::gpu::RouteChoice &choice : *choices)
    if (choice.below == 0 || subject.tokens < choice.below)
      return choice.instance;
  return {};
}

TEST(Route, ReadsEachKeyOnceAndWithoutBankConflicts) {
  for (int64_t tokens : {1, 16}) {
    Case subject = wideCase(tokens);
    ptxemu::Options options = everyMode()[0];
    options.traffic = true;
    ptxemu::Stats stats;
    Lists lists = Program(subject, pick(subject), 90).run(subject, options, 1, &stats);
    EXPECT_TRUE(same(lists, exactLists(subject)));
    // Keys, then 32 bytes a chunk for document numbers, and the query twice (to scale it, to split it).
    double keys = double(subject.keys.size()) * 2, rest = double(subject.chunks()) * 32 + double(subject.query.size()) * 8;
    EXPECT_LE(stats.globalLoads.sectors * 32.0, 1.02 * keys + 2 * rest);
    EXPECT_LE(double(stats.sharedWavefronts), 1.02 * double(stats.sharedWavefrontsIdeal));
  }
}

TEST(Route, CopiesEachKeyOnceWithMuchInFlight) {
  for (int64_t tokens : {32, 64}) {
    Case subject = wideCase(tokens);
    RouteInstance instance = pick(subject);
    ASSERT_EQ(instance.form, Form::Hopper);
    ptxemu::Stats stats;
    Lists lists = Program(subject, instance, 90).run(subject, everyMode()[0], 1, &stats);
    EXPECT_TRUE(same(lists, exactLists(subject)));
    double keys = double(subject.keys.size()) * 2, blocks = std::ceil(double(subject.chunks()) / instance.chunks);
    double query = instance.resident ? 0 : blocks * double(instance.tokens) * double(subject.row) * 4;
    EXPECT_EQ(double(stats.bulkLoadBytes), keys + query);
    // One microsecond of 4.3 TB/s, shared by 132 multiprocessors.
    double keysShare = instance.resident ? 1.0 : double(instance.chunks) * 2 / (double(instance.chunks) * 2 + instance.tokens * 4.0);
    EXPECT_GE(double(stats.peakBytesInFlight) * keysShare, 33000);
  }
}

//===--- Which instances. ---===//

TEST(Route, PicksAnInstanceForEveryNumberOfTokens) {
  mlir::MLIRContext context;
  for (int sm : {80, 90})
    for (Key key : {Key::BF16, Key::F16, Key::E4M3})
      for (int64_t row : {64, 384, 1024, 4096}) {
        Case subject;
        subject.key = key;
        subject.row = row;
        auto choices = pickRoute(problemOf(subject, context), msa::gpu::GPUTarget{sm});
        if (key == Key::E4M3 && sm == 80) {
          EXPECT_NE(llvm::toString(choices.takeError()).find("sm_90"), std::string::npos);
          continue;
        }
        ASSERT_TRUE(bool(choices)) << llvm::toString(choices.takeError());
        int64_t before = 0;
        for (const msa::gpu::RouteChoice &choice : *choices) {
          EXPECT_TRUE(choice.below > before || choice.below == 0);
          if (choice.instance.resident)
            EXPECT_LE(choice.below - 1, choice.instance.tokens);
          before = choice.below;
        }
        EXPECT_EQ(choices->back().below, 0);
        EXPECT_FALSE(choices->back().instance.resident);
      }
}

TEST(Route, RefusesWhatItCannotServeByName) {
  mlir::MLIRContext context;
  auto refusal = [&](const Case &subject) {
    auto choices = pickRoute(problemOf(subject, context), msa::gpu::GPUTarget{90});
    return choices ? std::string() : llvm::toString(choices.takeError());
  };
  Case subject;
  EXPECT_EQ(refusal(subject), "");
  subject.row = 40;
  EXPECT_EQ(refusal(subject), "a key of 40 elements is not a multiple of 32");
  subject.row = 64;
  subject.rows = 4096;
  subject.keep = 1000;
  EXPECT_EQ(refusal(subject), "a list of 1000 documents is longer than 512");
}

} // namespace

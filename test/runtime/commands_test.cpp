// SPDX-License-Identifier: Apache-2.0
//
// What commands do, and what ends a call: arithmetic at its limits, byte ranges, assertions, sizes, copies, gathered spans.

#include "test_program.h"

#include <numeric>

using namespace msa::test;
using msa::schema::BinaryKind;
using msa::schema::ElementType;

namespace {

/// An artifact with one entry more, called "test".
Artifact withEntry(EntryBuilder &entry) {
  Artifact artifact = testArtifact();
  artifact.program.entries.push_back(entry.take());
  return artifact;
}

/// Two i64 inputs "x" and "y" of one element, whose values are in registers; output "z" likewise.
struct ScalarEntry {
  EntryBuilder e{"test"};
  uint32_t xSlot, ySlot, zSlot, x, y;
  ScalarEntry() {
    xSlot = e.input("x", ElementType::I64, {e.fixed(1)});
    ySlot = e.input("y", ElementType::I64, {e.fixed(1)});
    zSlot = e.output("z", ElementType::I64, {e.fixed(1)});
    x = e.load(xSlot, 0);
    y = e.load(ySlot, 0);
    e.alloc(zSlot, e.constantValue(8));
  }
};

class Scalars {
public:
  explicit Scalars(ScalarEntry &entry) : program(1, withEntry(entry.e)), invocation(program, "test") {}
  msa_status *run(int64_t x, int64_t y) {
    xs[0] = x, ys[0] = y;
    bind(invocation, 0, xs, {1});
    bind(invocation, 1, ys, {1});
    return msa_invocation_run(invocation, nullptr);
  }
  int64_t value(int64_t x, int64_t y) {
    expectOk(run(x, y));
    return output<int64_t>(invocation, 0)[0];
  }
  TestProgram program;
  Invocation invocation;
  std::vector<int64_t> xs{0}, ys{0};
};

struct BinaryCase {
  BinaryKind kind;
  int64_t x, y;
  std::optional<int64_t> expected; // nothing: ends the call
  const char *message = "overflows 64 bits";
};

TEST(Commands, Arithmetic) {
  constexpr int64_t kMin = INT64_MIN, kMax = INT64_MAX;
  const BinaryCase cases[] = {
      {BinaryKind::ADD, 2, 3, 5},
      {BinaryKind::ADD, kMax, 1, {}},
      {BinaryKind::ADD, kMin, -1, {}},
      {BinaryKind::SUB, 2, 3, -1},
      {BinaryKind::SUB, kMin, 1, {}},
      {BinaryKind::MUL, -4, 5, -20},
      {BinaryKind::MUL, int64_t(1) << 32, int64_t(1) << 31, {}},
      {BinaryKind::MUL, kMin, -1, {}},
      {BinaryKind::FLOOR_DIV, 7, 2, 3},
      {BinaryKind::FLOOR_DIV, -7, 2, -4},
      {BinaryKind::FLOOR_DIV, 7, -2, -4},
      {BinaryKind::FLOOR_DIV, -7, -2, 3},
      {BinaryKind::FLOOR_DIV, -8, 2, -4},
      {BinaryKind::FLOOR_DIV, 7, -1, -7},
      {BinaryKind::FLOOR_DIV, kMin, -1, {}},
      {BinaryKind::FLOOR_DIV, 1, 0, {}, "divides by zero"},
      {BinaryKind::CEIL_DIV, 7, 2, 4},
      {BinaryKind::CEIL_DIV, -7, 2, -3},
      {BinaryKind::CEIL_DIV, 7, -2, -3},
      {BinaryKind::CEIL_DIV, -7, -2, 4},
      {BinaryKind::CEIL_DIV, 8, 2, 4},
      {BinaryKind::CEIL_DIV, 0, 5, 0},
      {BinaryKind::CEIL_DIV, kMin, -1, {}},
      {BinaryKind::CEIL_DIV, 1, 0, {}, "divides by zero"},
      {BinaryKind::MOD, 7, 3, 1},
      {BinaryKind::MOD, -7, 3, 2},
      {BinaryKind::MOD, 7, -3, -2},
      {BinaryKind::MOD, -7, -3, -1},
      {BinaryKind::MOD, kMin, -1, 0},
      {BinaryKind::MOD, 7, 0, {}, "divides by zero"},
      {BinaryKind::MINIMUM, -1, 3, -1},
      {BinaryKind::MAXIMUM, -1, 3, 3},
      {BinaryKind::EQ, 3, 3, 1},
      {BinaryKind::NE, 3, 3, 0},
      {BinaryKind::LT, -1, 0, 1},
      {BinaryKind::LE, 1, 0, 0},
      {BinaryKind::AND, 2, 0, 0},
      {BinaryKind::AND, 2, 1, 1},
      {BinaryKind::OR, 0, 0, 0},
      {BinaryKind::OR, 0, 5, 1},
  };
  for (const BinaryCase &each : cases) {
    ScalarEntry entry;
    entry.e.store(entry.zSlot, 0, entry.e.binary(each.kind, entry.x, entry.y));
    Scalars scalars(entry);
    SCOPED_TRACE(std::string(msa::schema::EnumNameBinaryKind(each.kind)) + " of " + std::to_string(each.x) + " and " +
                 std::to_string(each.y));
    if (each.expected) {
      EXPECT_EQ(scalars.value(each.x, each.y), *each.expected);
    } else {
      EXPECT_MESSAGE(scalars.run(each.x, each.y), MSA_PROGRAM_FAILED, each.message);
    }
  }
}

TEST(Commands, SelectAndAssert) {
  ScalarEntry entry;
  uint32_t same = entry.e.binary(BinaryKind::EQ, entry.x, entry.y);
  entry.e.check(entry.e.binary(BinaryKind::NE, entry.x, entry.e.constantValue(13)), "x must not be 13", {entry.x, entry.y});
  entry.e.store(entry.zSlot, 0, entry.e.select(same, entry.x, entry.e.constantValue(-5)));
  Scalars scalars(entry);
  EXPECT_EQ(scalars.value(4, 4), 4);
  EXPECT_EQ(scalars.value(4, 5), -5);
  EXPECT_MESSAGE(scalars.run(13, -7), MSA_PROGRAM_FAILED, "entry 'test': x must not be 13 (13, -7)");
  EXPECT_EQ(scalars.value(5, 5), 5) << "after a failure";
}

// z[0, 8) = 16 bytes of an arena slot copied about: x, y are offset and size.
struct CopyEntry : ScalarEntry {
  CopyEntry() {
    uint32_t arena = e.arena(), zero = e.constantValue(0), sixteen = e.constantValue(16);
    e.alloc(arena, sixteen);
    e.store(arena, 0, e.constantValue(111));
    e.store(arena, 8, e.constantValue(222));
    e.store(zSlot, 0, e.constantValue(333));
    e.copy(zSlot, zero, arena, x, y);
    e.free(arena);
  }
};

TEST(Commands, CopiesStayInsideTheirSlots) {
  CopyEntry entry;
  Scalars scalars(entry);
  EXPECT_EQ(scalars.value(0, 8), 111);
  EXPECT_EQ(scalars.value(8, 8), 222);
  EXPECT_EQ(scalars.value(16, 0), 333);
  EXPECT_MESSAGE(scalars.run(9, 8), MSA_PROGRAM_FAILED, "8 bytes at offset 9 lie outside slot 3 of 16 bytes");
  EXPECT_MESSAGE(scalars.run(0, 9), MSA_PROGRAM_FAILED, "9 bytes at offset 0 lie outside slot 2 of 8 bytes");
  EXPECT_MESSAGE(scalars.run(-1, 1), MSA_PROGRAM_FAILED, "lie outside slot 3");
  EXPECT_MESSAGE(scalars.run(0, -1), MSA_PROGRAM_FAILED, "lie outside slot 2");
  EXPECT_MESSAGE(scalars.run(INT64_MAX, INT64_MAX), MSA_PROGRAM_FAILED, "lie outside slot 2");
  EXPECT_MESSAGE(scalars.run(17, 0), MSA_PROGRAM_FAILED, "lie outside slot 3");
}

TEST(Commands, CopiesWithinASlotMayOverlap) {
  EntryBuilder e("test");
  uint32_t n = e.reg();
  uint32_t x = e.input("x", ElementType::I64, {e.dynamic(n, "N")});
  uint32_t y = e.output("y", ElementType::I64, {e.dynamic(n, "N")});
  uint32_t zero = e.constantValue(0), eight = e.constantValue(8);
  uint32_t bytes = e.binary(BinaryKind::MUL, n, eight);
  e.alloc(y, bytes);
  e.copy(y, zero, x, zero, bytes);
  e.copy(y, eight, y, zero, e.binary(BinaryKind::SUB, bytes, eight));
  TestProgram program(2, withEntry(e));
  Invocation invocation(program, "test");
  for (size_t count : {size_t(5), size_t(3) << 20}) {
    std::vector<int64_t> values(count);
    std::iota(values.begin(), values.end(), 0);
    bind(invocation, 0, values, {int64_t(count)});
    expectOk(msa_invocation_run(invocation, nullptr));
    std::vector<int64_t> result = output<int64_t>(invocation, 0);
    ASSERT_EQ(result[0], 0);
    for (size_t i = 1; i < count; ++i)
      ASSERT_EQ(result[i], int64_t(i) - 1);
  }
}

TEST(Commands, LoadsAndStoresStayInsideTheirSlots) {
  for (bool store : {false, true}) {
    EntryBuilder e("test");
    uint32_t n = e.reg();
    uint32_t x = e.input("x", ElementType::I64, {e.dynamic(n, "N")});
    uint32_t y = e.output("y", ElementType::I64, {e.dynamic(n, "N")});
    e.alloc(y, e.binary(BinaryKind::MUL, n, e.constantValue(8)));
    if (store)
      e.store(y, 16, n);
    else
      e.load(x, 16);
    TestProgram program(1, withEntry(e));
    Invocation invocation(program, "test");
    std::vector<int64_t> values(3);
    bind(invocation, 0, values, {3});
    expectOk(msa_invocation_run(invocation, nullptr));
    for (int64_t count : {2, 0}) {
      bind(invocation, 0, values, {count});
      EXPECT_MESSAGE(msa_invocation_run(invocation, nullptr), MSA_PROGRAM_FAILED, "8 bytes at offset 16 lie outside slot");
    }
  }
}

TEST(Commands, SizesAreChecked) {
  ScalarEntry entry;
  uint32_t arena = entry.e.arena();
  entry.e.alloc(arena, entry.x);
  entry.e.dispatch(kSpin, entry.y, {entry.zSlot}, {entry.e.constantValue(0)});
  Scalars scalars(entry);
  expectOk(scalars.run(0, 0));
  expectOk(scalars.run(1, 1));
  EXPECT_MESSAGE(scalars.run(-1, 0), MSA_PROGRAM_FAILED, "slot 3 is given -1 bytes");
  EXPECT_MESSAGE(scalars.run(INT64_MAX, 0), MSA_OUT_OF_MEMORY, "the allocator refused 9223372036854775807 bytes");
  EXPECT_MESSAGE(scalars.run(int64_t(1) << 50, 0), MSA_OUT_OF_MEMORY, "the allocator refused");
  EXPECT_MESSAGE(scalars.run(0, -1), MSA_PROGRAM_FAILED, "-1 tiles for kernel 'test_spin'");
  EXPECT_MESSAGE(scalars.run(0, INT64_MAX), MSA_PROGRAM_FAILED, "tiles for kernel 'test_spin', expected 0 to");
  expectOk(scalars.run(5, 5));
}

TEST(Commands, OutputsHoldTheirShape) {
  // The shape of the output is x, what is allocated is y bytes.
  EntryBuilder e("test");
  uint32_t shape = e.reg();
  uint32_t xSlot = e.input("x", ElementType::I64, {e.fixed(1)});
  uint32_t ySlot = e.input("y", ElementType::I64, {e.fixed(1)});
  uint32_t z = e.output("z", ElementType::I64, {e.dynamic(shape, "Z"), e.fixed(2)});
  e.alloc(z, e.load(ySlot, 0));
  uint32_t x = e.load(xSlot, 0);
  auto entry = e.take();
  msa::schema::BinaryT move;
  move.register_ = shape;
  move.kind = BinaryKind::MAXIMUM;
  move.lhs = move.rhs = x;
  auto holder = std::make_unique<msa::schema::CommandHolderT>();
  holder->command.Set(std::move(move));
  entry->commands.push_back(std::move(holder));
  Artifact artifact = testArtifact();
  artifact.program.entries.push_back(std::move(entry));
  TestProgram program(1, std::move(artifact));
  Invocation invocation(program, "test");
  std::vector<int64_t> xs{0}, ys{0};
  auto run = [&](int64_t x, int64_t y) {
    xs[0] = x, ys[0] = y;
    bind(invocation, 0, xs, {1});
    bind(invocation, 1, ys, {1});
    return msa_invocation_run(invocation, nullptr);
  };
  expectOk(run(2, 32));
  expectOk(run(1, 32));
  expectOk(run(0, 0));
  EXPECT_MESSAGE(run(3, 32), MSA_PROGRAM_FAILED, "the shape of output 'z' has 48 bytes, its commands allocated 32");
  EXPECT_MESSAGE(run(-1, 32), MSA_PROGRAM_FAILED, "dim 0 of output 'z' came out as -1");
  EXPECT_MESSAGE(run(INT64_MAX, 32), MSA_PROGRAM_FAILED, "dim 0 of output 'z' came out as 9223372036854775807");
}

TEST(Commands, SpansAreGatheredWhereACommandNeedsThemTogether) {
  // y = x + x, where x may be bound as spans but the kernel reads it whole; z copies it; w is its first eight bytes.
  EntryBuilder e("test");
  uint32_t c = e.reg(), n = e.reg();
  uint32_t x = e.input("x", ElementType::F32, {e.dynamic(c, "C"), e.fixed(2)}, true);
  e.input("like", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t y = e.output("y", ElementType::F32, {e.dynamic(c, "C"), e.fixed(2)});
  uint32_t z = e.output("z", ElementType::F32, {e.dynamic(c, "C"), e.fixed(2)});
  uint32_t w = e.output("w", ElementType::I64, {e.fixed(1)});
  uint32_t zero = e.constantValue(0), eight = e.constantValue(8);
  uint32_t bytes = e.binary(BinaryKind::MUL, c, eight);
  e.alloc(w, eight);
  e.store(w, 0, e.load(x, 0));
  e.alloc(y, bytes);
  e.dispatch(kAdd, e.binary(BinaryKind::CEIL_DIV, n, e.constantValue(16)), {x, x, y}, {n});
  e.alloc(z, bytes);
  e.copy(z, zero, x, zero, bytes);
  TestProgram program(1, withEntry(e));
  Invocation invocation(program, "test");
  std::vector<float> first{1, 2, 3, 4}, second{5, 6}, like(6);
  msa_tensor shape = tensorOf(first, {0, 2});
  msa_row_span spans[] = {{first.data(), 2}, {second.data(), 1}};
  expectOk(msa_invocation_bind_input_spans(invocation, 0, &shape, spans, 2));
  bind(invocation, 1, like, {6});
  for (int run = 0; run < 3; ++run) {
    expectOk(msa_invocation_run(invocation, nullptr));
    EXPECT_EQ(output<float>(invocation, 0), (std::vector<float>{2, 4, 6, 8, 10, 12}));
    EXPECT_EQ(output<float>(invocation, 1), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(std::memcmp(output<int64_t>(invocation, 2).data(), first.data(), 8), 0);
  }
}

} // namespace

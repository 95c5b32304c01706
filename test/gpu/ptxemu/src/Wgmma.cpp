// SPDX-License-Identifier: Apache-2.0
//
// wgmma: four warps multiply a tile together, asynchronously. Operations are queued when the warps issue them and executed at the wait
// that needs them (or earlier, as Options::asynchrony says), reading their operands then. Operands are checked for order when the last
// of the four warps has issued.

#include "Wgmma.h"
#include "Decode.h"
#include "Handlers.h"
#include "TileElements.h"
#include "TileMultiply.h"
#include <charconv>

namespace ptxemu {

/// States of a register: Warp::flags.
enum RegisterFlag : uint8_t { Written = 1, AccumulatorInFlight = 2, OperandInFlight = 4 };

namespace {

//===--------------------------------------------------------------------===//
// Operands. Insn: a: N / 8; b: K; type, type2: of A and B; c: 0 f16, 1 f32, 2 s32 accumulators; d: the bits below; lists: D, A;
// slots[1], slots[2]: descriptors; slots[3]: predicate of scale-d (negated if immediate is 1).
//===--------------------------------------------------------------------===//

enum OperandBits : uint8_t { TransposeA = 1, TransposeB = 2, NegateA = 4, NegateB = 8, RegistersA = 16, Saturate = 32 };

uint32_t columnsOf(const Insn &insn) { return insn.a * 8u; }

/// Where an operand lies in shared memory; offsets in bytes, `swizzle` is the width in bytes or 0.
struct Descriptor {
  uint32_t base, leading, stride, swizzle, mode;
  explicit Descriptor(uint64_t bits) {
    base = uint32_t(bits & 0x3fff) << 4;
    leading = uint32_t(bits >> 16 & 0x3fff) << 4;
    stride = uint32_t(bits >> 32 & 0x3fff) << 4;
    static constexpr uint32_t modes[] = {0, 3, 2, 1};
    mode = modes[bits >> 62];
    swizzle = mode ? 16u << mode : 0;
  }
  /// Address of the 16 bytes that hold elements from (outer, inner): outer counts single rows of M or N (chunks of them when the operand
  /// is M- or N-major), inner chunks of K (single steps of K then).
  uint32_t chunk(uint32_t outer, uint32_t inner, bool transposed) const {
    uint32_t address;
    if (!transposed)
      address = base + outer / 8 * stride + (swizzle ? outer % 8 * swizzle + 16 * inner : outer % 8 * 16 + inner * leading);
    else if (swizzle)
      address = base + outer % (swizzle / 16) * 16 + outer / (swizzle / 16) * leading + inner % 8 * swizzle + inner / 8 * stride;
    else
      address = base + outer * stride + inner % 8 * 16 + inner / 8 * leading;
    return address ^ ((address >> 7 & ((1u << mode) - 1)) << 4);
  }
};

/// Calls visit(outer, inner, offset in the CTA's shared memory) for every 16 bytes of an operand of `count` rows or columns.
template <typename Visit> void forEachChunk(const Descriptor &d, uint32_t count, uint32_t depth, uint32_t size, bool transposed, Visit visit) {
  uint32_t per = 16 / size, outer = transposed ? count / per : count, inner = transposed ? depth : depth / per;
  for (uint32_t o = 0; o < outer; ++o)
    for (uint32_t i = 0; i < inner; ++i)
      visit(o, i, d.chunk(o, i, transposed) - sharedBase);
}

/// Reads an operand into out[outer * outerStep + k * depthStep]. What lies outside of shared memory has been reported and reads as NaN.
template <typename T>
void fetch(const Cta &cta, uint64_t bits, uint32_t count, uint32_t depth, Type type, bool transposed, T *out, uint32_t outerStep, uint32_t depthStep) {
  Descriptor descriptor(bits);
  uint32_t size = tileElementBytes(type), per = 16 / size;
  const uint8_t *memory = cta.memory.data();
  uint32_t limit = cta.cluster->grid->sharedBytes;
  static constexpr uint8_t nonsense[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  withElements(type, [&](auto load) {
    forEachChunk(descriptor, count, depth, size, transposed, [&](uint32_t o, uint32_t i, uint32_t offset) {
      const uint8_t *from = offset < limit && limit - offset >= 16 ? memory + offset : nonsense;
      T *to = transposed ? out + o * per * outerStep + i * depthStep : out + o * outerStep + i * per * depthStep;
      uint32_t step = transposed ? outerStep : depthStep;
      for (uint32_t e = 0; e < per; ++e)
        to[e * step] = T(load(from + e * size));
    });
  });
}

//===--------------------------------------------------------------------===//
// Order of operands in shared memory
//===--------------------------------------------------------------------===//

void touch(WarpgroupChecks &checks, Warp &warp, uint64_t bits, uint32_t count, uint32_t depth, Type type, bool transposed, uint32_t pc) {
  Grid &grid = *warp.grid;
  if (bits >> 49 & 7)
    grid.report(ReportKind::Wgmma, Grid::placeOf(warp), "descriptors with a base offset are not supported");
  Descriptor descriptor(bits);
  uint32_t size = tileElementBytes(type);
  forEachChunk(descriptor, count, depth, size, transposed, [&](uint32_t, uint32_t, uint32_t offset) {
    grid.result.stats.wgmmaSharedBytes += 16;
    if (offset >= grid.sharedBytes || grid.sharedBytes - offset < 16) {
      grid.report(ReportKind::OutOfBounds, Grid::placeOf(warp),
                  "wgmma operand at shared offset " + std::to_string(int32_t(offset)) + " of " + std::to_string(grid.sharedBytes));
      return;
    }
    uint32_t line = offset / lineBytes;
    if (checks.masks.size() <= line)
      checks.masks.resize(line + 1, 0);
    if (!checks.masks[line])
      checks.lines.push_back(line);
    checks.masks[line] |= 0xfu << (offset % lineBytes / 4);
  });
  checks.pc = pc;
}

/// What all four warps know.
Knowledge commonKnowledge(Warp &warp) {
  Warp *group = &warp.cluster->warps[warp.index - warp.indexInCta % 4];
  Knowledge common = group[0].wgmma.seenAtIssue;
  uint32_t warps = std::min(4u, warp.grid->warpsPerCta - warp.indexInCta / 4 * 4);
  for (uint32_t w = 1; w < warps; ++w) {
    const Knowledge &other = warp.cluster->warps[group[0].index + w].wgmma.seenAtIssue;
    for (size_t i = 0; i < common.own.size(); ++i)
      common.own[i] = std::min(common.own[i], other.at(uint32_t(i)));
  }
  return common;
}

} // namespace

void flushChecks(Warp &warp) {
  WarpgroupChecks &checks = warp.cluster->wgmmaChecks[warp.grid->wgmmaAgent(warp.index)];
  if (checks.lines.empty())
    return;
  Grid &grid = *warp.grid;
  Accessor who;
  who.seen = &checks.seen;
  who.cluster = warp.cluster->index;
  who.agent = grid.wgmmaAgent(warp.index);
  who.clock = uint32_t(warp.wgmma.groupEnds.size()) + 1;
  who.pc = checks.pc;
  who.warps = grid.warpsPerCluster;
  who.asynchronous = true;
  Grid::Place where{warp.cta, int(warp.indexInCta), -1, int64_t(checks.pc), -1};
  for (uint32_t line : checks.lines) {
    uint32_t mask = checks.masks[line];
    checks.masks[line] = 0;
    if (uint32_t missing = mask & ~warp.cta->initialized[line])
      grid.report(ReportKind::Uninitialized, where,
                  "wgmma operand at shared offset " + std::to_string(line * lineBytes + 4 * uint32_t(std::countr_zero(missing))) + " that nobody wrote");
    ByteMask bytes = 0;
    for (uint32_t word = 0; word < 32; ++word)
      if (mask >> word & 1)
        bytes |= ByteMask(15) << (4 * word);
    Conflict conflict = recordRead(warp.cta->shadow[line], bytes, who, nullptr, ~size_t(0));
    if (conflict.kind != Conflict::Kind::None)
      grid.reportConflict(conflict, where, "shared", line * lineBytes + conflict.word * 4, who);
  }
  checks.lines.clear();
}

/// The operands of an operation that all four warps have issued.
static void checkOperands(Warp &warp, const WgmmaOperation &operation) {
  Grid &grid = *warp.grid;
  const Insn &insn = *operation.insn;
  ++grid.result.stats.wgmmaInstructions;
  grid.result.stats.tensorFlops += 2ull * 64 * columnsOf(insn) * insn.b;
  if (!grid.options.races) {
    grid.result.stats.wgmmaSharedBytes += (insn.d & RegistersA ? 0 : 64u * insn.b * tileElementBytes(insn.type)) +
                                          columnsOf(insn) * insn.b * tileElementBytes(insn.type2);
    return;
  }
  WarpgroupChecks &checks = warp.cluster->wgmmaChecks[grid.wgmmaAgent(warp.index)];
  Knowledge common = commonKnowledge(warp);
  if (!checks.lines.empty() && common.own != checks.seen.own)
    flushChecks(warp);
  checks.seen = std::move(common);
  uint32_t pc = uint32_t(&insn - grid.code.insns.data());
  if (!(insn.d & RegistersA))
    touch(checks, warp, operation.descriptorA, 64, insn.b, insn.type, insn.d & TransposeA, pc);
  touch(checks, warp, operation.descriptorB, columnsOf(insn), insn.b, insn.type2, insn.d & TransposeB, pc);
}

//===--------------------------------------------------------------------===//
// Registers
//===--------------------------------------------------------------------===//

void checkWgmmaRegisters(Warp &warp, const InsnInfo &info) {
  for (int32_t slot : info.reads)
    if (warp.flags[size_t(slot) / 128] & AccumulatorInFlight)
      warp.grid->report(ReportKind::Wgmma, Grid::placeOf(warp), "an accumulator of a wgmma in flight is read before wgmma.wait_group");
  for (int32_t slot : info.writes)
    if (warp.flags[size_t(slot) / 128] & (AccumulatorInFlight | OperandInFlight))
      warp.grid->report(ReportKind::Wgmma, Grid::placeOf(warp), "a register of a wgmma in flight is overwritten before wgmma.wait_group");
}

void markWgmmaWrites(Warp &warp, const InsnInfo &info) {
  for (int32_t slot : info.writes)
    warp.flags[size_t(slot) / 128] |= Written;
}

static void markInFlight(Warp &warp, const Insn &insn) {
  for (int which : {0, 1})
    for (uint32_t i = 0; i < insn.lists[size_t(which)].count; ++i)
      warp.flags[size_t(warp.code->list(insn, which)[i]) / 128] |= which == 0 ? AccumulatorInFlight : OperandInFlight;
}

//===--------------------------------------------------------------------===//
// Handlers
//===--------------------------------------------------------------------===//

static Warp *firstOfGroup(Warp &warp) { return &warp.cluster->warps[warp.index - warp.indexInCta % 4]; }

static Step fence(Warp &warp, const Insn &, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  for (int32_t slot : warp.code->wgmmaSlots)
    warp.flags[size_t(slot)] &= uint8_t(~Written);
  warp.wgmma.fenced = true;
  return Step::Next;
}

Step wgmmaIssue(Warp &warp, const Insn &insn, uint32_t mask) {
  if (!warp.converged(~0u))
    return Step::Block;
  Grid &grid = *warp.grid;
  if (warp.live != ~0u || warp.indexInCta / 4 * 4 + 4 > grid.warpsPerCta)
    grid.stop(ReportKind::Wgmma, Grid::placeOf(warp), "wgmma needs four full warps");
  if (!warp.wgmma.fenced)
    grid.report(ReportKind::Wgmma, Grid::placeOf(warp), "there is no wgmma.fence before the first wgmma");
  WgmmaOperation operation;
  operation.insn = &insn;
  operation.descriptorA = insn.d & RegistersA ? 0 : warp.u64(insn.slots[1])[0];
  operation.descriptorB = warp.u64(insn.slots[2])[0];
  uint32_t scale = warp.predicate(insn.slots[3]) ^ (insn.immediate ? ~0u : 0);
  operation.scaleD = scale & mask & 1;
  bool uniform = (scale & mask) == 0 || (scale & mask) == mask;
  for (uint32_t l = 1; l < 32; ++l)
    uniform &= warp.u64(insn.slots[2])[l] == operation.descriptorB && (insn.d & RegistersA || warp.u64(insn.slots[1])[l] == operation.descriptorA);
  if (!uniform)
    grid.report(ReportKind::Wgmma, Grid::placeOf(warp), "the lanes of a warp have different descriptors or scale-d");
  // Registers that were written after the last fence may be read before the write.
  for (int which : {0, 1}) {
    if (which == 0 && !operation.scaleD)
      continue;
    for (uint32_t i = 0; i < insn.lists[size_t(which)].count; ++i)
      if (warp.flags[size_t(warp.code->list(insn, which)[i]) / 128] & Written)
        grid.report(ReportKind::Wgmma, Grid::placeOf(warp),
                    which == 0 ? "an accumulator was written after the last wgmma.fence" : "a register of A was written after the last wgmma.fence",
                    !grid.options.strictFence);
  }
  markInFlight(warp, insn);
  for (uint32_t i = 0; i < insn.lists[0].count; ++i)
    warp.flags[size_t(warp.code->list(insn, 0)[i]) / 128] &= uint8_t(~Written);
  ++warp.wgmmaInFlight;
  warp.wgmma.operations.push_back(operation);
  ++warp.wgmma.issued;
  if (grid.options.races)
    warp.wgmma.seenAtIssue.own = warp.clock.seen.own;
  Warp *group = firstOfGroup(warp);
  bool isLast = true;
  for (uint32_t w = 0; w < 4; ++w)
    isLast &= warp.cluster->warps[group->index + w].wgmma.issued >= warp.wgmma.issued;
  if (isLast)
    checkOperands(warp, operation);
  return Step::Next;
}

static Step commit(Warp &warp, const Insn &, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  Grid &grid = *warp.grid;
  Warp *group = firstOfGroup(warp);
  uint32_t made = uint32_t(warp.wgmma.groupEnds.size());
  // The first warp to commit a group ends what it may read; the checks belong to the group.
  bool isLast = warp.indexInCta / 4 * 4 + 4 <= grid.warpsPerCta;
  for (uint32_t w = 0; w < 4 && isLast; ++w) {
    Warp &other = warp.cluster->warps[group->index + w];
    isLast &= &other == &warp || other.wgmma.groupEnds.size() > made;
  }
  if (isLast && grid.options.races)
    flushChecks(warp);
  warp.wgmma.groupEnds.push_back(uint32_t(warp.wgmma.operations.size()));
  ++grid.progress;
  if (isLast && (grid.options.asynchrony == Asynchrony::Earliest || (grid.options.asynchrony == Asynchrony::Random && grid.random() % 2)))
    executeWgmma(*group, warp.wgmma.groupEnds.back());
  return Step::Next;
}

/// immediate: groups that may stay in flight.
static Step wait(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  Grid &grid = *warp.grid;
  uint64_t made = warp.wgmma.groupEnds.size(), groups = made > uint64_t(insn.immediate) ? made - uint64_t(insn.immediate) : 0;
  if (groups == 0)
    return Step::Next;
  Warp *group = firstOfGroup(warp);
  uint32_t warps = std::min(4u, grid.warpsPerCta - warp.indexInCta / 4 * 4);
  for (uint32_t w = 0; w < warps; ++w)
    if (warp.cluster->warps[group->index + w].wgmma.groupEnds.size() < groups)
      return Step::Block;
  uint32_t upTo = warp.wgmma.groupEnds[groups - 1];
  executeWgmma(*group, upTo);
  warp.clock.seen.raise(grid.wgmmaAgent(warp.index), uint32_t(groups));
  for (int32_t slot : warp.code->wgmmaSlots)
    warp.flags[size_t(slot)] &= uint8_t(~(AccumulatorInFlight | OperandInFlight));
  warp.wgmmaInFlight = 0;
  for (size_t i = upTo; i < warp.wgmma.operations.size(); ++i) {
    markInFlight(warp, *warp.wgmma.operations[i].insn);
    ++warp.wgmmaInFlight;
  }
  return Step::Next;
}

//===--------------------------------------------------------------------===//
// Execution
//===--------------------------------------------------------------------===//

namespace {

/// The accumulators of four warps as a row-major tile. Lane l of warp w holds rows 16 w + l/4 and 8 further down.
template <typename T> class Accumulators {
public:
  Accumulators(Warp *group, const Insn &insn) : insn(insn), columns(columnsOf(insn)), tile(64 * columns) {
    for (uint32_t w = 0; w < 4; ++w)
      warps[w] = &group->cluster->warps[group->index + w];
  }
  const Insn &insn;
  uint32_t columns;
  std::vector<T> tile;

  void clear() { std::fill(tile.begin(), tile.end(), T(0)); }
  void load() { transfer(false); }
  void store() { transfer(true); }

private:
  Warp *warps[4];
  void transfer(bool isStore) {
    for (uint32_t w = 0; w < 4; ++w) {
      const int32_t *registers = warps[w]->code->list(insn, 0);
      for (uint32_t r = 0; r < insn.lists[0].count; ++r) {
        uint32_t *lanes = warps[w]->u32(registers[r]);
        if (insn.c == 0) { // two halves: neighbours in a row
          T *base = tile.data() + (16 * w + 8 * (r & 1)) * columns + (r >> 1) * 8;
          for (uint32_t l = 0; l < 32; ++l) {
            T *at = base + l / 4 * columns + l % 4 * 2;
            if (isStore)
              lanes[l] = floatToFloat16(float(at[0])) | uint32_t(floatToFloat16(float(at[1]))) << 16;
            else
              at[0] = T(float16ToFloat(uint16_t(lanes[l]))), at[1] = T(float16ToFloat(uint16_t(lanes[l] >> 16)));
          }
          continue;
        }
        T *base = tile.data() + (16 * w + 8 * (r >> 1 & 1)) * columns + (r >> 2) * 8 + (r & 1);
        for (uint32_t l = 0; l < 32; ++l) {
          T *at = base + l / 4 * columns + l % 4 * 2;
          if (isStore)
            lanes[l] = std::bit_cast<uint32_t>(*at);
          else
            *at = std::bit_cast<T>(lanes[l]);
        }
      }
    }
  }
};

template <typename T> void executeRun(Warp *group, uint32_t begin, uint32_t end) {
  const Insn &first = *group->wgmma.operations[begin].insn;
  const Cta &cta = *group->cta;
  Accumulators<T> sum(group, first);
  uint32_t columns = sum.columns;
  std::vector<T> a(64 * 32), b(32 * size_t(columns));
  for (uint32_t n = begin; n < end; ++n) {
    const WgmmaOperation &operation = group->wgmma.operations[n];
    const Insn &insn = *operation.insn;
    uint32_t depth = insn.b;
    if (insn.d & RegistersA) {
      uint32_t size = tileElementBytes(insn.type), per = 4 / size;
      withElements(insn.type, [&](auto load) {
        for (uint32_t w = 0; w < 4; ++w) {
          Warp &warp = group->cluster->warps[group->index + w];
          const int32_t *registers = warp.code->list(insn, 1);
          for (uint32_t r = 0; r < 4; ++r) {
            const uint8_t *from = reinterpret_cast<const uint8_t *>(warp.u32(registers[r]));
            for (uint32_t l = 0; l < 32; ++l)
              for (uint32_t e = 0; e < per; ++e)
                a[(16 * w + l / 4 + 8 * (r & 1)) * depth + l % 4 * per + e + (r >> 1) * 4 * per] = T(load(from + 4 * l + e * size));
          }
        }
      });
    } else {
      fetch(cta, operation.descriptorA, 64, depth, insn.type, insn.d & TransposeA, a.data(), depth, 1);
    }
    fetch(cta, operation.descriptorB, columns, depth, insn.type2, insn.d & TransposeB, b.data(), 1, columns);
    if (bool(insn.d & NegateA) != bool(insn.d & NegateB))
      for (uint32_t i = 0; i < 64 * depth; ++i)
        a[i] = -a[i];
    if (!operation.scaleD)
      sum.clear();
    else if (n == begin)
      sum.load();
    multiplyTile(sum.tile.data(), a.data(), b.data(), 64, columns, depth);
  }
  sum.store();
}

} // namespace

void executeWgmma(Warp &first, uint32_t upTo) {
  Warp *group = &first;
  WarpgroupState &state = first.wgmma;
  for (uint32_t n = state.done; n < upTo; ++n)
    for (uint32_t w = 1; w < 4; ++w) {
      const WgmmaOperation &mine = state.operations[n], &other = first.cluster->warps[first.index + w].wgmma.operations[n];
      if (other.insn != mine.insn || other.descriptorA != mine.descriptorA || other.descriptorB != mine.descriptorB || other.scaleD != mine.scaleD)
        first.grid->report(ReportKind::Wgmma, {first.cta, int(first.indexInCta), -1, int64_t(mine.insn - first.grid->code.insns.data()), -1},
                           "the four warps of a warpgroup issued different operations");
    }
  while (state.done < upTo) {
    // Neighbours with the same accumulators keep them in place.
    const Insn &insn = *state.operations[state.done].insn;
    uint32_t end = state.done + 1;
    auto sameAccumulators = [&](const Insn &other) {
      return other.a == insn.a && other.c == insn.c && other.lists[0].count == insn.lists[0].count &&
             std::equal(first.code->list(insn, 0), first.code->list(insn, 0) + insn.lists[0].count, first.code->list(other, 0));
    };
    while (end < upTo && sameAccumulators(*state.operations[end].insn))
      ++end;
    if (insn.c == 2)
      executeRun<int32_t>(group, state.done, end);
    else
      executeRun<float>(group, state.done, end);
    state.done = end;
  }
  for (uint32_t w = 1; w < 4; ++w) {
    WarpgroupState &other = first.cluster->warps[first.index + w].wgmma;
    other.done = std::max(other.done, upTo);
  }
}

//===--------------------------------------------------------------------===//
// Decoding
//===--------------------------------------------------------------------===//

static uint32_t extent(std::string_view shape, char letter) {
  size_t at = shape.find(letter);
  uint32_t value = 0;
  if (at != std::string_view::npos)
    std::from_chars(shape.data() + at + 1, shape.data() + shape.size(), value);
  return value;
}

static void decodeIssue(Decoding &d) {
  std::string_view shape;
  for (size_t i = 1; i < d.parts.size(); ++i)
    if (d.parts[i].starts_with("m64n"))
      shape = d.parts[i];
  d.take(shape);
  if (d.take("sp"))
    d.fail("sparse operands are not supported");
  uint32_t n = extent(shape, 'n'), k = extent(shape, 'k');
  bool saturate = d.take("satfinite");
  Type result = d.takeType(), a = d.takeType(), b = d.takeType();
  bool integer = isTileInteger(a) && isTileInteger(b), eight = a == Type::E4M3 || a == Type::E5M2;
  bool sixteen = a == b && (a == Type::F16 || a == Type::BF16), tf32 = a == Type::TF32 && b == Type::TF32;
  if (eight && b != Type::E4M3 && b != Type::E5M2)
    eight = false;
  uint32_t depth = sixteen ? 16 : tf32 ? 8 : eight || integer ? 32 : 0;
  bool columnsFit = n >= 8 && n <= 256 && n % 8 == 0 && (!integer || n <= 24 || n % 16 == 0);
  int kind = result == Type::F16 && (a == Type::F16 || eight) ? 0 : result == Type::F32 && !integer ? 1 : result == Type::S32 && integer ? 2 : -1;
  if (depth == 0 || k != depth || !columnsFit || kind < 0)
    d.fail("shape and types are unknown or not supported");
  if (saturate)
    d.fail("'.satfinite' is not supported");
  bool registers = d.operands.size() > 1 && d.operand(1).kind == Operand::Kind::Vector;
  size_t scales = integer ? 0 : 2, transposes = sixteen ? (registers ? 1 : 2) : 0;
  d.expectOperands(4 + scales + transposes, 4 + scales + transposes);
  auto vector = [&](size_t index, size_t count, bool isWrite) {
    const Operand &operand = d.operand(index);
    if (operand.kind != Operand::Kind::Vector || operand.elements.size() != count)
      d.fail("operand " + std::to_string(index + 1) + " must be a vector of " + std::to_string(count) + " registers");
    std::vector<int32_t> slots;
    for (const Operand &element : operand.elements) {
      if (element.kind != Operand::Kind::Register)
        d.fail("operand " + std::to_string(index + 1) + " must be a vector of registers");
      slots.push_back(isWrite ? d.write(element, Type::B32) : d.read(element, Type::B32));
    }
    return d.builder.addList(slots);
  };
  d.insn.lists[0] = vector(0, kind == 0 ? n / 4 : n / 2, true);
  if (registers)
    d.insn.lists[1] = vector(1, 4, false);
  else
    d.insn.slots[1] = d.read(1, Type::B64);
  d.insn.slots[2] = d.read(2, Type::B64);
  bool negated = false;
  d.insn.slots[3] = d.readPredicate(d.operand(3), negated);
  d.insn.immediate = negated;
  uint8_t bits = registers ? RegistersA : 0;
  for (size_t i = 0; i < scales; ++i) {
    int64_t scale = int64_t(d.immediate(4 + i));
    if (scale != 1 && scale != -1)
      d.fail("scales must be 1 or -1");
    if (scale == -1)
      bits |= i == 0 ? NegateA : NegateB;
  }
  for (size_t i = 0; i < transposes; ++i) {
    uint64_t transpose = d.immediate(4 + scales + i);
    if (transpose > 1)
      d.fail("transpositions must be 0 or 1");
    if (transpose)
      bits |= registers || i == 1 ? TransposeB : TransposeA;
  }
  d.insn.a = uint8_t(n / 8);
  d.insn.b = uint8_t(k);
  d.insn.c = uint8_t(kind);
  d.insn.d = bits;
  d.insn.type = a;
  d.insn.type2 = b;
  d.insn.handler = wgmmaIssue;
}

void addWgmmaDecoders(DecoderTable &table) {
  table["wgmma"] = [](Decoding &d) {
    int operation = d.takeOneOf({"mma_async", "fence", "commit_group", "wait_group"});
    if (operation < 0 || !d.take("sync") || !d.take("aligned"))
      d.fail("expected .mma_async, .fence, .commit_group or .wait_group, and .sync.aligned");
    static constexpr const char *names[] = {"wgmma.mma_async", "wgmma.fence", "wgmma.commit_group", "wgmma.wait_group"};
    d.info.kind = names[operation];
    if (operation == 0)
      return decodeIssue(d);
    d.expectOperands(operation == 3, operation == 3);
    if (operation == 3) {
      d.insn.immediate = int64_t(d.immediate(0));
      if (d.insn.immediate < 0 || d.insn.immediate > (1 << 20))
        d.fail("number of groups is out of range");
    }
    d.insn.handler = operation == 1 ? fence : operation == 2 ? commit : wait;
  };
}

} // namespace ptxemu

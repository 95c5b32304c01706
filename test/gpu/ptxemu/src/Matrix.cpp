// SPDX-License-Identifier: Apache-2.0
//
// mma.sync, ldmatrix, stmatrix, movmatrix.

#include "Decode.h"
#include "MemoryAccess.h"
#include "TileElements.h"
#include "TileMultiply.h"
#include <charconv>

namespace ptxemu {

namespace {

//===--------------------------------------------------------------------===//
// mma.sync. Lists: D, A, B, C; a: M; b: K; type, type2: of A and B; c: 0 f16, 1 f32, 2 s32, 3 f64 accumulators of D; d: the same of C.
//===--------------------------------------------------------------------===//

/// A fragment into rows of numbers. Lane l holds row l/4 (and l/4 + 8 in every other register), and `per` neighbours of K.
template <typename T, typename Load> void gatherA(Warp &warp, const Insn &insn, T *out, Load load) {
  const int32_t *registers = warp.code->list(insn, 1);
  uint32_t size = tileElementBytes(insn.type), per = 4 / size, tall = insn.a == 16;
  for (uint32_t r = 0; r < insn.lists[1].count; ++r) {
    const uint8_t *from = reinterpret_cast<const uint8_t *>(warp.u32(registers[r]));
    uint32_t rowOffset = tall ? 8 * (r & 1) : 0, kOffset = (tall ? r >> 1 : r) * 4 * per;
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t e = 0; e < per; ++e)
        out[(l / 4 + rowOffset) * insn.b + kOffset + l % 4 * per + e] = load(from + 4 * l + e * size);
  }
}
template <typename T, typename Load> void gatherB(Warp &warp, const Insn &insn, T *out, Load load) {
  const int32_t *registers = warp.code->list(insn, 2);
  uint32_t size = tileElementBytes(insn.type2), per = 4 / size;
  for (uint32_t r = 0; r < insn.lists[2].count; ++r) {
    const uint8_t *from = reinterpret_cast<const uint8_t *>(warp.u32(registers[r]));
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t e = 0; e < per; ++e)
        out[(r * 4 * per + l % 4 * per + e) * 8 + l / 4] = load(from + 4 * l + e * size);
  }
}

/// Index in the 8-column tile of register r of lane l of an accumulator with one element a register.
uint32_t accumulatorIndex(uint32_t l, uint32_t r) { return (l / 4 + 8 * (r >> 1)) * 8 + l % 4 * 2 + (r & 1); }

Step multiplyFloat(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  alignas(64) float a[16 * 32], b[32 * 8], d[16 * 8];
  withElements(insn.type, [&](auto load) {
    gatherA(warp, insn, a, [&](const uint8_t *p) { return float(load(p)); });
  });
  withElements(insn.type2, [&](auto load) {
    gatherB(warp, insn, b, [&](const uint8_t *p) { return float(load(p)); });
  });
  const int32_t *from = warp.code->list(insn, 3), *to = warp.code->list(insn, 0);
  for (uint32_t r = 0; r < insn.lists[3].count; ++r) {
    const uint32_t *c = warp.u32(from[r]);
    for (uint32_t l = 0; l < 32; ++l)
      if (insn.d == 1)
        d[accumulatorIndex(l, r)] = std::bit_cast<float>(c[l]);
      else
        for (uint32_t half = 0; half < 2; ++half)
          d[(l / 4 + 8 * r) * 8 + l % 4 * 2 + half] = float16ToFloat(uint16_t(c[l] >> (16 * half)));
  }
  multiplyTile(d, a, b, insn.a, 8, insn.b);
  for (uint32_t r = 0; r < insn.lists[0].count; ++r) {
    uint32_t *out = warp.u32(to[r]);
    for (uint32_t l = 0; l < 32; ++l)
      if (insn.c == 1) {
        out[l] = std::bit_cast<uint32_t>(d[accumulatorIndex(l, r)]);
      } else {
        uint32_t at = (l / 4 + 8 * r) * 8 + l % 4 * 2;
        out[l] = floatToFloat16(d[at]) | uint32_t(floatToFloat16(d[at + 1])) << 16;
      }
  }
  ++warp.grid->result.stats.mmaInstructions;
  warp.grid->result.stats.tensorFlops += 2ull * insn.a * 8 * insn.b;
  return Step::Next;
}

Step multiplyInteger(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  int32_t a[16 * 32], b[32 * 8], d[16 * 8];
  withElements(insn.type, [&](auto load) { gatherA(warp, insn, a, [&](const uint8_t *p) { return int32_t(load(p)); }); });
  withElements(insn.type2, [&](auto load) { gatherB(warp, insn, b, [&](const uint8_t *p) { return int32_t(load(p)); }); });
  const int32_t *from = warp.code->list(insn, 3), *to = warp.code->list(insn, 0);
  for (uint32_t r = 0; r < insn.lists[3].count; ++r)
    for (uint32_t l = 0; l < 32; ++l)
      d[accumulatorIndex(l, r)] = int32_t(warp.u32(from[r])[l]);
  if (!insn.immediate) {
    multiplyTile(d, a, b, insn.a, 8, insn.b);
  } else { // .satfinite
    for (uint32_t row = 0; row < insn.a; ++row)
      for (uint32_t column = 0; column < 8; ++column) {
        int64_t sum = d[row * 8 + column];
        for (uint32_t k = 0; k < insn.b; ++k)
          sum += int64_t(a[row * insn.b + k]) * b[k * 8 + column];
        d[row * 8 + column] = int32_t(std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX));
      }
  }
  for (uint32_t r = 0; r < insn.lists[0].count; ++r)
    for (uint32_t l = 0; l < 32; ++l)
      warp.u32(to[r])[l] = uint32_t(d[accumulatorIndex(l, r)]);
  ++warp.grid->result.stats.mmaInstructions;
  warp.grid->result.stats.tensorFlops += 2ull * insn.a * 8 * insn.b;
  return Step::Next;
}

Step multiplyDouble(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  double a[16 * 16], b[16 * 8], d[16 * 8];
  uint32_t tall = insn.a == 16;
  for (uint32_t r = 0; r < insn.lists[1].count; ++r)
    for (uint32_t l = 0; l < 32; ++l)
      a[(l / 4 + (tall ? 8 * (r & 1) : 0)) * insn.b + (tall ? r >> 1 : r) * 4 + l % 4] = warp.lanes<double>(warp.code->list(insn, 1)[r])[l];
  for (uint32_t r = 0; r < insn.lists[2].count; ++r)
    for (uint32_t l = 0; l < 32; ++l)
      b[(r * 4 + l % 4) * 8 + l / 4] = warp.lanes<double>(warp.code->list(insn, 2)[r])[l];
  for (uint32_t r = 0; r < insn.lists[3].count; ++r)
    for (uint32_t l = 0; l < 32; ++l)
      d[accumulatorIndex(l, r)] = warp.lanes<double>(warp.code->list(insn, 3)[r])[l];
  multiplyTile(d, a, b, insn.a, 8, insn.b);
  for (uint32_t r = 0; r < insn.lists[0].count; ++r)
    for (uint32_t l = 0; l < 32; ++l)
      warp.lanes<double>(warp.code->list(insn, 0)[r])[l] = d[accumulatorIndex(l, r)];
  ++warp.grid->result.stats.mmaInstructions;
  warp.grid->result.stats.tensorFlops += 2ull * insn.a * 8 * insn.b;
  return Step::Next;
}

/// Number after the letter in a shape such as m16n8k32; 0 if there is none.
uint32_t extent(std::string_view shape, char letter) {
  size_t at = shape.find(letter);
  uint32_t value = 0;
  if (at != std::string_view::npos)
    std::from_chars(shape.data() + at + 1, shape.data() + shape.size(), value);
  return value;
}

List registerList(Decoding &d, size_t index, Type type, uint32_t count, bool isWrite) {
  const Operand &operand = d.operand(index);
  std::vector<int32_t> slots;
  auto one = [&](const Operand &o) { slots.push_back(isWrite ? d.write(o, type) : d.read(o, type)); };
  if (operand.kind == Operand::Kind::Vector)
    for (const Operand &element : operand.elements)
      one(element);
  else
    one(operand);
  if (slots.size() != count)
    d.fail("operand " + std::to_string(index + 1) + " has " + std::to_string(slots.size()) + " registers: expected " + std::to_string(count));
  for (int32_t slot : slots)
    if (slot == noSlot)
      d.fail("'_' is not supported here");
  return d.builder.addList(slots);
}

void decodeMma(Decoding &d) {
  if (!d.take("sync") || !d.take("aligned"))
    d.fail("expected .sync.aligned");
  std::string_view shape;
  for (size_t i = 1; i < d.parts.size(); ++i)
    if (d.parts[i].starts_with("m") && d.parts[i].find('k') != std::string_view::npos)
      shape = d.parts[i];
  uint32_t m = extent(shape, 'm'), n = extent(shape, 'n'), k = extent(shape, 'k');
  d.take(shape);
  if (!d.take("row") || !d.take("col"))
    d.fail("expected .row.col");
  d.insn.immediate = d.take("satfinite");
  Type result = d.takeType(), a = d.takeType(), b = d.takeType(), c = d.takeType();
  d.info.kind = "mma." + std::string(typeName(a));
  bool integer = isTileInteger(a) && isTileInteger(b), eight = a == Type::E4M3 || a == Type::E5M2, eightB = b == Type::E4M3 || b == Type::E5M2;
  bool known = false;
  if (n == 8 && integer)
    known = (m == 16 && (k == 16 || k == 32)) || (m == 8 && k == 16);
  else if (n == 8 && eight && eightB)
    known = m == 16 && (k == 16 || k == 32);
  else if (n == 8 && a == b && (a == Type::F16 || a == Type::BF16))
    known = m == 16 && (k == 8 || k == 16);
  else if (n == 8 && a == b && a == Type::TF32)
    known = m == 16 && (k == 4 || k == 8);
  else if (n == 8 && a == b && a == Type::F64)
    known = (m == 8 && k == 4) || (m == 16 && (k == 4 || k == 8 || k == 16));
  auto accumulator = [&](Type type) {
    return type == Type::F16 && (a == Type::F16 || eight) ? 0 : type == Type::F32 && !integer && a != Type::F64 ? 1 : type == Type::S32 && integer ? 2
           : type == Type::F64 && a == Type::F64 ? 3 : -1;
  };
  int dKind = accumulator(result), cKind = accumulator(c);
  if (!known || dKind < 0 || cKind < 0)
    d.fail("shape and types are unknown or not supported");
  d.insn.a = uint8_t(m);
  d.insn.b = uint8_t(k);
  d.insn.c = uint8_t(dKind);
  d.insn.d = uint8_t(cKind);
  d.insn.type = a;
  d.insn.type2 = b;
  d.expectOperands(4, 4);
  bool wide = a == Type::F64;
  Type part = wide ? Type::B64 : Type::B32;
  uint32_t perRegister = wide ? 1 : 4 / tileElementBytes(a), perB = wide ? 1 : 4 / tileElementBytes(b);
  uint32_t accumulators = m * n / 32;
  d.insn.lists[1] = registerList(d, 1, part, m * k / 32 / perRegister, false);
  d.insn.lists[2] = registerList(d, 2, part, n * k / 32 / perB, false);
  d.insn.lists[3] = registerList(d, 3, part, cKind == 0 ? accumulators / 2 : accumulators, false);
  d.insn.lists[0] = registerList(d, 0, part, dKind == 0 ? accumulators / 2 : accumulators, true);
  d.insn.handler = wide ? multiplyDouble : integer ? multiplyInteger : multiplyFloat;
}

//===--------------------------------------------------------------------===//
// ldmatrix, stmatrix. a: matrices; b: transposed; slots[1], immediate: address; list 0: registers.
//===--------------------------------------------------------------------===//

uint32_t resolveRows(Warp &warp, const Insn &insn, WarpAccess &access, AccessKind kind) {
  access.bytes = 16;
  access.space = Space::Shared;
  access.mask = insn.a == 4 ? ~0u : (1u << (8 * insn.a)) - 1;
  access.kind = kind;
  access.what = kind == AccessKind::Load ? "ldmatrix" : "stmatrix";
  computeAddresses(warp, insn.slots[1], insn.immediate, access.address);
  return resolve(warp, access);
}

Step loadMatrix(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  WarpAccess access;
  uint32_t valid = resolveRows(warp, insn, access, AccessKind::Load);
  for (uint32_t matrix = 0; matrix < insn.a; ++matrix) {
    uint16_t elements[8][8];
    for (uint32_t row = 0; row < 8; ++row)
      if (valid >> (8 * matrix + row) & 1)
        std::memcpy(elements[row], access.host[8 * matrix + row], 16);
      else
        std::memset(elements[row], 0xff, 16);
    int32_t slot = warp.code->list(insn, 0)[matrix];
    if (slot == noSlot)
      continue;
    uint32_t *to = warp.u32(slot);
    for (uint32_t l = 0; l < 32; ++l) {
      uint32_t outer = l / 4, inner = l % 4 * 2;
      to[l] = insn.b ? elements[inner][outer] | uint32_t(elements[inner + 1][outer]) << 16
                     : elements[outer][inner] | uint32_t(elements[outer][inner + 1]) << 16;
    }
  }
  return Step::Next;
}

Step storeMatrix(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  WarpAccess access;
  uint32_t valid = resolveRows(warp, insn, access, AccessKind::Store);
  for (uint32_t matrix = 0; matrix < insn.a; ++matrix) {
    uint16_t elements[8][8];
    const uint32_t *from = warp.u32(warp.code->list(insn, 0)[matrix]);
    for (uint32_t l = 0; l < 32; ++l)
      for (uint32_t half = 0; half < 2; ++half) {
        uint32_t outer = l / 4, inner = l % 4 * 2 + half;
        elements[insn.b ? inner : outer][insn.b ? outer : inner] = uint16_t(from[l] >> (16 * half));
      }
    for (uint32_t row = 0; row < 8; ++row)
      if (valid >> (8 * matrix + row) & 1)
        std::memcpy(access.host[8 * matrix + row], elements[row], 16);
  }
  ++warp.grid->progress;
  return Step::Next;
}

void decodeMatrixAccess(Decoding &d, bool isStore) {
  if (!d.take("sync") || !d.take("aligned") || !d.take("m8n8"))
    d.fail("expected .sync.aligned.m8n8");
  int count = d.takeOneOf({"x1", "x2", "x4"});
  if (count < 0)
    d.fail("expected .x1, .x2 or .x4");
  d.insn.a = uint8_t(1 << count);
  d.insn.b = d.take("trans");
  d.takeOneOf({"shared", "shared::cta"});
  if (!d.take("b16"))
    d.fail("expected .b16");
  d.expectOperands(2, 2);
  d.insn.slots[1] = d.address(d.operand(isStore ? 0 : 1), d.insn.immediate);
  const Operand &data = d.operand(isStore ? 1 : 0);
  std::vector<int32_t> slots;
  auto one = [&](const Operand &o) { slots.push_back(isStore ? d.read(o, Type::B32) : d.write(o, Type::B32)); };
  if (data.kind == Operand::Kind::Vector)
    for (const Operand &element : data.elements)
      one(element);
  else
    one(data);
  if (slots.size() != d.insn.a)
    d.fail("expected " + std::to_string(d.insn.a) + " registers");
  d.insn.lists[0] = d.builder.addList(slots);
  d.insn.handler = isStore ? storeMatrix : loadMatrix;
}

/// movmatrix: the transpose of an 8x8 matrix of 16-bit elements in registers.
Step transposeMatrix(Warp &warp, const Insn &insn, uint32_t) {
  if (!warp.converged(~0u))
    return Step::Block;
  uint16_t elements[8][8];
  const uint32_t *from = warp.u32(insn.slots[1]);
  for (uint32_t l = 0; l < 32; ++l)
    for (uint32_t half = 0; half < 2; ++half)
      elements[l % 4 * 2 + half][l / 4] = uint16_t(from[l] >> (16 * half));
  uint32_t *to = warp.u32(insn.slots[0]);
  for (uint32_t l = 0; l < 32; ++l)
    to[l] = elements[l / 4][l % 4 * 2] | uint32_t(elements[l / 4][l % 4 * 2 + 1]) << 16;
  return Step::Next;
}

} // namespace

void addMatrixDecoders(DecoderTable &table) {
  table["mma"] = decodeMma;
  table["ldmatrix"] = [](Decoding &d) { decodeMatrixAccess(d, false); };
  table["stmatrix"] = [](Decoding &d) { decodeMatrixAccess(d, true); };
  table["movmatrix"] = [](Decoding &d) {
    if (!d.take("sync") || !d.take("aligned") || !d.take("m8n8") || !d.take("trans") || !d.take("b16"))
      d.fail("expected .sync.aligned.m8n8.trans.b16");
    d.expectOperands(2, 2);
    d.insn.slots[1] = d.read(1, Type::B32);
    d.insn.slots[0] = d.write(0, Type::B32);
    if (d.insn.slots[0] == noSlot)
      d.fail("expected a register");
    d.insn.handler = transposeMatrix;
  };
}

} // namespace ptxemu

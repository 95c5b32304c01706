// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/Fragments.h"

using namespace mlir;
using namespace msa::gpu;
using Effect = KernelBuilder::Effect;

//===--- Fragment. ---===//

Fragment::Fragment(KernelBuilder &k, unsigned columns, double value) : registers(columns / 2, k.constantF(value)) {
  assert(columns % 8 == 0);
}

Expr Fragment::row(KernelBuilder &k, unsigned half) { return (k.lane() >> 2) + half * 8; }
Expr Fragment::firstColumn(KernelBuilder &k) { return (k.lane() & 3) * 2; }

std::array<Expr, 2> Fragment::reduceRows(KernelBuilder &k, KernelBuilder::Combine combine) const {
  std::array<Expr, 2> rows;
  for (unsigned h = 0; h < 2; ++h) {
    SmallVector<Expr> values;
    for (unsigned i = 0; i < size(); ++i)
      if (half(i) == h)
        values.push_back(registers[i]);
    // A tree: short chains, and one fixed order.
    while (values.size() > 1) {
      SmallVector<Expr> next;
      for (unsigned i = 0; i + 1 < values.size(); i += 2)
        next.push_back(combine(values[i], values[i + 1]));
      if (values.size() % 2)
        next.push_back(values.back());
      values = next;
    }
    rows[h] = k.quadReduce(values[0], combine);
  }
  return rows;
}

std::array<Expr, 4> Fragment::operandA(KernelBuilder &k, unsigned step, Type element) const {
  std::array<Expr, 4> words;
  for (unsigned j = 0; j < 4; ++j)
    words[j] = k.pack(registers[8 * step + 2 * j], registers[8 * step + 2 * j + 1], element);
  return words;
}

//===--- Operands in shared memory. ---===//

int64_t SharedMatrix::offset(unsigned mn, unsigned step) const {
  int64_t k = int64_t(step) * stepDepth();
  if (major == Major::K)
    return k / slabWidth() * slabBytes() + int64_t(mn) * swizzle + k % slabWidth() * elementBytes;
  assert(mn % slabWidth() == 0 && "rows inside a swizzled slab have no address of their own");
  return int64_t(mn) / slabWidth() * slabBytes() + k * swizzle;
}

Operand::Operand(KernelBuilder &k, const SharedMatrix &shape, Expr sharedAddress) : shape(shape) {
  assert((shape.major == Major::K || shape.elementBytes == 2) && "only 16-bit operands may be MN-major");
  // Eight rows of a slab lie `stride` bytes after each other; slabs along MN lie `leading` bytes after each other (no meaning for
  // Major::K with a swizzle, where 1 is customary).
  uint64_t stride = 8 * shape.swizzle, leading = shape.major == Major::MN ? shape.slabBytes() : 16;
  uint64_t mode = shape.swizzle == 128 ? 1 : shape.swizzle == 64 ? 2 : 3;
  assert((shape.swizzle == 128 || shape.swizzle == 64 || shape.swizzle == 32) && leading < (1 << 18));
  uint64_t fields = mode << 62 | (stride >> 4) << 32 | (leading >> 4) << 16;
  Expr address = k.wrap(k.getBuilder().createOrFold<arith::ExtUIOp>(k.getLoc(), k.i64(), ((sharedAddress >> 4) & 0x3FFF).value()));
  base = address | k.constant64(static_cast<int64_t>(fields));
}

Expr Operand::descriptor(unsigned step) const { return base + (shape.offset(0, step) >> 4); }

//===--- wgmma. ---===//

void msa::gpu::wgmmaFence(KernelBuilder &k) { k.ptx("wgmma.fence.sync.aligned;", {}, {}, Effect::Memory); }
void msa::gpu::wgmmaCommit(KernelBuilder &k) { k.ptx("wgmma.commit_group.sync.aligned;", {}, {}, Effect::Memory); }
void msa::gpu::wgmmaWait(KernelBuilder &k, unsigned pending) {
  k.ptx(("wgmma.wait_group.sync.aligned " + llvm::Twine(pending) + ";").str(), {}, {}, Effect::Memory);
}

Multiplicand msa::gpu::multiplicand(Type element) {
  if (element.isF16())
    return Multiplicand::F16;
  return element.isBF16() ? Multiplicand::BF16 : Multiplicand::E4M3;
}

static StringRef nameOf(Multiplicand type) {
  return type == Multiplicand::F16 ? "f16" : type == Multiplicand::BF16 ? "bf16" : "e4m3";
}

static std::string operandList(unsigned first, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i)
    text += (i ? ", $" : "$") + std::to_string(first + i);
  return text + "}";
}

/// Emits one instruction that updates `accumulators` in place. Its text gets the accumulators as $0..., `operands` after them.
static void update(KernelBuilder &k, MutableArrayRef<Expr *> accumulators, StringRef text, ArrayRef<Value> operands, bool add) {
  auto letter = [](Type type) { return type.isF32() ? 'f' : type.isInteger(64) ? 'l' : 'r'; };
  std::string constraints;
  SmallVector<Type> types;
  for (Expr *value : accumulators) {
    constraints += (constraints.empty() ? "=" : ",=") + std::string(1, letter(value->type()));
    types.push_back(value->type());
  }
  SmallVector<Value> all(operands);
  for (Value operand : operands)
    constraints += "," + std::string(1, letter(operand.getType()));
  if (add)
    for (auto [i, value] : llvm::enumerate(accumulators)) {
      constraints += "," + std::to_string(i);
      all.push_back(*value);
    }
  OpBuilder &b = k.getBuilder();
  auto op = LLVM::InlineAsmOp::create(b, k.getLoc(), LLVM::LLVMStructType::getLiteral(b.getContext(), types), all, text, constraints,
                                      /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
  for (auto [i, value] : llvm::enumerate(accumulators))
    *value = k.wrap(LLVM::ExtractValueOp::create(b, k.getLoc(), op.getRes(), i));
}

static SmallVector<Expr *> allOf(Fragment &fragment) {
  SmallVector<Expr *> registers;
  for (unsigned i = 0; i < fragment.size(); ++i)
    registers.push_back(&fragment[i]);
  return registers;
}

static std::string wgmmaName(const Fragment &accumulators, Multiplicand type) {
  assert(accumulators.columns() % 8 == 0 && accumulators.columns() <= 256);
  return ("wgmma.mma_async.sync.aligned.m64n" + llvm::Twine(accumulators.columns()) + "k" + (type == Multiplicand::E4M3 ? "32" : "16") + ".f32." +
          nameOf(type) + "." + nameOf(type) + " ")
      .str();
}

void msa::gpu::wgmma(KernelBuilder &k, Fragment &accumulators, Multiplicand type, const Operand &a, const Operand &b, unsigned step, bool add) {
  unsigned n = accumulators.size();
  auto transposed = [](const Operand &operand) { return operand.getShape().major == Major::MN ? "1" : "0"; };
  std::string text = wgmmaName(accumulators, type) + operandList(0, n) + ", $" + std::to_string(n) + ", $" + std::to_string(n + 1) +
                     (add ? ", 1, 1, 1" : ", 0, 1, 1");
  if (type != Multiplicand::E4M3)
    text += std::string(", ") + transposed(a) + ", " + transposed(b);
  SmallVector<Expr *> registers = allOf(accumulators);
  update(k, registers, text + ";", {a.descriptor(step), b.descriptor(step)}, add);
}

void msa::gpu::wgmma(KernelBuilder &k, Fragment &accumulators, Multiplicand type, ArrayRef<Expr> a, const Operand &b, unsigned step, bool add) {
  assert(a.size() == 4);
  unsigned n = accumulators.size();
  std::string text = wgmmaName(accumulators, type) + operandList(0, n) + ", " + operandList(n, 4) + ", $" + std::to_string(n + 4) +
                     (add ? ", 1, 1, 1" : ", 0, 1, 1");
  if (type != Multiplicand::E4M3)
    text += b.getShape().major == Major::MN ? ", 1" : ", 0";
  SmallVector<Expr *> registers = allOf(accumulators);
  update(k, registers, text + ";", {a[0], a[1], a[2], a[3], b.descriptor(step)}, add);
}

//===--- mma.sync. ---===//

void msa::gpu::mma(KernelBuilder &k, Fragment &accumulators, unsigned tile, Multiplicand type, ArrayRef<Expr> a, ArrayRef<Expr> b) {
  assert(a.size() == 4 && b.size() == 2);
  std::string text = ("mma.sync.aligned.m16n8k" + llvm::Twine(type == Multiplicand::E4M3 ? "32" : "16") + ".row.col.f32." + nameOf(type) + "." +
                      nameOf(type) + ".f32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$0, $1, $2, $3};")
                         .str();
  SmallVector<Expr *> registers;
  for (unsigned i = 0; i < 4; ++i)
    registers.push_back(&accumulators[4 * tile + i]);
  SmallVector<Value> operands(a);
  operands.append(b.begin(), b.end());
  update(k, registers, text, operands, true);
}

SmallVector<Expr> msa::gpu::loadMatrices(KernelBuilder &k, Expr shared, unsigned count, bool transpose) {
  SmallVector<Type> types(count, k.i32());
  std::string text = "ldmatrix.sync.aligned.m8n8.x" + std::to_string(count) + (transpose ? ".trans" : "") + ".shared.b16 " + operandList(0, count) +
                     ", [$" + std::to_string(count) + "];";
  return k.ptx(text, types, shared.value(), Effect::Memory);
}

void msa::gpu::storeMatrices(KernelBuilder &k, ArrayRef<Expr> values, Expr shared, bool transpose) {
  SmallVector<Value> operands = {shared.value()};
  operands.append(values.begin(), values.end());
  std::string text = "stmatrix.sync.aligned.m8n8.x" + std::to_string(values.size()) + (transpose ? ".trans" : "") + ".shared.b16 [$0], " +
                     operandList(1, values.size()) + ";";
  k.ptx(text, {}, operands, Effect::Memory);
}

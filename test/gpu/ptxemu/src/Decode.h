// SPDX-License-Identifier: Apache-2.0
//
// From a parsed statement to an Insn. The families of instructions each have a Decode*.cpp that fills a table; whatever modifier or
// operand a decoder does not take is an error.

#pragma once

#include "Program.h"
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ptxemu {

/// What a name stands for.
struct Symbol {
  enum class Kind : uint8_t { Register, KernelParameter, LocalStorage, Shared, DynamicShared, Variable, Function };
  Kind kind = Kind::Register;
  Type type = Type::None;
  int32_t slot = noSlot;  ///< Register.
  uint64_t address = 0;   ///< Offset in its space; index of variables and functions.
  uint64_t bytes = 0;
  bool callParameter = false; ///< LocalStorage that was declared as .param.
};

struct Operand {
  enum class Kind : uint8_t { Register, Integer, Single, Double, Address, Vector, Name, Discard, Pair };
  Kind kind = Kind::Discard;
  Type type = Type::None; ///< Of a register.
  int32_t slot = noSlot;
  uint64_t bits = 0;      ///< Of an immediate; offset of an address or name.
  bool negated = false;   ///< `!p`
  std::string name;
  Symbol symbol;          ///< Of a Name that is a variable, and of an Address whose base is one.
  bool hasSymbol = false;
  bool parenthesized = false;
  std::vector<Operand> elements; ///< Of a Vector `{a, b}`, a Pair `d|p`; of an Address what follows the base: `[base, {c0, c1}]`.
};

/// The code of one function while it is decoded.
struct Body {
  std::vector<Insn> insns;
  std::vector<InsnInfo> infos;
};

/// State shared by the functions of one kernel.
class CodeBuilder {
public:
  Code code;
  int32_t allocateRegister(Type type);
  /// A register that holds the constant.
  int32_t constant(uint64_t value, bool wide);
  int32_t symbolAddress(const Symbol &symbol, uint64_t addend, bool wide);
  int32_t special(SpecialRegister which, bool wide);
  /// The predicate that the carry forms of integer instructions share.
  int32_t carryFlag();
  uint32_t allocateLocal(uint64_t bytes, uint32_t alignment, int line);
  uint32_t allocateShared(uint64_t bytes, uint32_t alignment, int line);
  List addList(const std::vector<int32_t> &slots);

private:
  struct Key {
    uint64_t value;
    uint32_t kind;
    uint32_t variable;
    bool operator==(const Key &) const = default;
  };
  struct Hash {
    size_t operator()(const Key &key) const { return size_t(key.value * 0x9e3779b97f4a7c15u + key.kind * 31u + key.variable * 7919u); }
  };
  int32_t constant(Constant::Kind kind, uint64_t value, uint32_t variable, bool wide);
  std::unordered_map<Key, int32_t, Hash> constants;
  std::map<SpecialRegister, int32_t> specials;
  int32_t carrySlot = noSlot;
};

/// One instruction under decoding.
class Decoding {
public:
  Decoding(CodeBuilder &builder, std::vector<std::string_view> parts, std::vector<Operand> operands, int line, bool inFunction);

  CodeBuilder &builder;
  std::vector<std::string_view> parts; ///< "add", "rn", "f32"
  std::vector<Operand> operands;
  Insn insn;
  InsnInfo info;
  int line;
  bool inFunction; ///< Inside of a .func: register-based .param addresses are local.
  std::string label; ///< Branch target, to be resolved.
  std::vector<std::string> labels; ///< Of brx.idx.
  std::string tableName;
  std::string calleeName;

  [[noreturn]] void fail(const std::string &what) const;

  // Modifiers. Each may be taken once, in any order; finish() refuses what is left.
  bool take(std::string_view modifier);
  /// Index of the one of `choices` that is present, else -1.
  int takeOneOf(std::initializer_list<std::string_view> choices);
  /// The next type, from the left; fails if there is none.
  Type takeType();
  Type takeTypeIfAny();
  /// The next modifier not taken; empty if none.
  std::string_view peekModifier() const;
  std::string_view takeAny(const char *what);
  bool has(std::string_view modifier) const;
  void finish();

  // Operands.
  void expectOperands(size_t least, size_t most);
  const Operand &operand(size_t index) const { return operands[index]; }
  /// Slot of a source of the type's width.
  int32_t read(size_t index, Type type) { return read(operands[index], type); }
  int32_t read(const Operand &operand, Type type);
  /// Slot of a destination; noSlot for `_`.
  int32_t write(size_t index, Type type) { return write(operands[index], type); }
  int32_t write(const Operand &operand, Type type);
  /// Slot with its width bits: a register at least as wide as the type.
  int32_t readLoose(const Operand &operand, Type type);
  int32_t writeLoose(const Operand &operand, Type type);
  /// Predicates: the slot; `negated` tells whether `!` stood before it.
  int32_t readPredicate(const Operand &operand, bool &negated);
  int32_t writePredicate(const Operand &operand);
  /// Base register and offset of an address: slots[at] and insn.immediate. The slot has its width bit.
  int32_t address(const Operand &operand, int64_t &offset);
  /// The value of an immediate operand; fails for anything else.
  uint64_t immediate(size_t index);
  bool isImmediate(size_t index) const;

private:
  std::vector<bool> taken;
  uint64_t immediateBits(const Operand &operand, Type type) const;
};

using Decoder = void (*)(Decoding &);
using DecoderTable = std::unordered_map<std::string_view, Decoder>;

void addIntegerDecoders(DecoderTable &);
void addBitFieldDecoders(DecoderTable &);
void addFloatDecoders(DecoderTable &);
void addConvertDecoders(DecoderTable &);
void addCompareDecoders(DecoderTable &);
void addMoveDecoders(DecoderTable &);
void addMemoryDecoders(DecoderTable &);
void addAtomicDecoders(DecoderTable &);
void addControlDecoders(DecoderTable &);
void addExchangeDecoders(DecoderTable &);
void addBarrierDecoders(DecoderTable &);
void addMbarrierDecoders(DecoderTable &);
void addCopyDecoders(DecoderTable &);
void addMatrixDecoders(DecoderTable &);
void addWgmmaDecoders(DecoderTable &);

/// Every instruction the emulator knows.
const DecoderTable &decoderTable();

/// True for the modifiers that only advise caches: .L1::evict_last, .L2::128B, .ca, .nc, ...
bool isCacheHint(std::string_view modifier);

} // namespace ptxemu

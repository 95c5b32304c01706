// SPDX-License-Identifier: Apache-2.0
//
// Decoded programs: what the parser makes and the machine runs.

#pragma once

#include "Types.h"
#include "ptxemu/ptxemu.h"
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace ptxemu {

struct Warp;
struct Insn;

/// What became of an instruction: go on to the next, the handler has set the pc, or nothing happened because it must wait.
enum class Step : uint8_t { Next, Jump, Block };

/// Executes an instruction for the lanes of `mask` (never empty).
using Handler = Step (*)(Warp &warp, const Insn &insn, uint32_t mask);

/// A run of Code::lists.
struct List {
  uint32_t begin = 0, count = 0;
};

/// Slots are byte offsets into a warp's registers, multiples of 128. In lists and where an instruction allows several widths, these bits
/// say what the register is.
inline constexpr int32_t wideSlot = 1, narrowSlot = 2, noSlot = -1; ///< 64 bits, 16 bits.

/// A decoded instruction. `slots` are destination first; immediates are registers that hold constants. What `a`..`d`, `immediate` and the
/// lists mean is the handler's affair and documented there.
struct Insn {
  Handler handler = nullptr;
  int32_t guard = noSlot; ///< Predicate that switches lanes on.
  bool guardNegated = false;
  bool touchesWgmma = false; ///< Reads or writes a register that some wgmma of the kernel uses.
  Type type = Type::None, type2 = Type::None;
  uint8_t a = 0, b = 0, c = 0, d = 0;
  uint32_t target = 0;
  std::array<int32_t, 5> slots{noSlot, noSlot, noSlot, noSlot, noSlot};
  int64_t immediate = 0;
  std::array<List, 4> lists;
};

/// The cold half of an instruction.
struct InsnInfo {
  int line = 0;
  std::string source, kind;         ///< `kind` is the class for Stats::byClass.
  std::vector<int32_t> reads, writes; ///< Slots.
  int callee = -1;                  ///< Function called, until linking.
  bool hasTarget = false;           ///< `target` and the entries of lists[0] of a brx are pcs of this body.
  bool targetList = false;
  std::vector<std::pair<uint32_t, uint32_t>> moves;
};

/// A register that is filled before the kernel starts: with a value, the address of a variable or the start of dynamic shared memory.
struct Constant {
  enum class Kind : uint8_t { Value, Variable, DynamicShared };
  int32_t slot = 0;
  bool wide = false;
  Kind kind = Kind::Value;
  uint64_t value = 0;    ///< Value, or addend.
  uint32_t variable = 0; ///< Index into ModuleImpl::variables.
};

enum class SpecialRegister : uint8_t {
  TidX, TidY, TidZ, NtidX, NtidY, NtidZ, CtaidX, CtaidY, CtaidZ, NctaidX, NctaidY, NctaidZ, LaneId, WarpId, NwarpId, SmId, NsmId, GridId,
  LanemaskEq, LanemaskLe, LanemaskLt, LanemaskGe, LanemaskGt, ClusterIdX, ClusterIdY, ClusterIdZ, NclusterIdX, NclusterIdY, NclusterIdZ,
  ClusterCtaidX, ClusterCtaidY, ClusterCtaidZ, ClusterNctaidX, ClusterNctaidY, ClusterNctaidZ, ClusterCtarank, ClusterNctarank,
  IsExplicitCluster, DynamicSmemSize, TotalSmemSize, AggrSmemSize,
  Clock, ClockHi, Clock64, GlobalTimer, GlobalTimerLo, GlobalTimerHi ///< The last ones are read when the instruction runs.
};

/// A kernel with the functions it calls: functions first, so that lanes inside a call run before those that wait behind it.
struct Code {
  std::vector<Insn> insns;
  std::vector<InsnInfo> infos;
  std::vector<int32_t> lists;
  std::vector<Constant> constants;
  std::vector<std::pair<int32_t, SpecialRegister>> specials;
  uint32_t entry = 0;         ///< pc of the kernel's first instruction.
  uint32_t registerBytes = 0; ///< Of a warp.
  uint32_t localBytes = 0;    ///< Of a lane: .local and call parameters.
  uint32_t staticShared = 0;  ///< Bytes, before alignment for the dynamic part.
  uint32_t dynamicAlignment = 0; ///< Of the .extern .shared array; 0 if there is none.
  bool usesWgmma = false;
  std::vector<int32_t> wgmmaSlots; ///< Slot / 128 of every register that a wgmma reads or writes.

  const int32_t *list(const Insn &insn, int which) const { return lists.data() + insn.lists[which].begin; }
};

/// A variable with its initial bytes and the places in it that hold addresses of other variables.
struct VariableImage {
  Variable info;
  std::vector<uint8_t> bytes; ///< May be shorter than the variable: the rest is zero.
  struct Relocation {
    uint64_t offset;
    uint32_t variable;
    uint64_t addend;
  };
  std::vector<Relocation> relocations;
  int line = 0;
};

struct ModuleImpl {
  std::string target;
  int computeCapability = 0;
  std::vector<Kernel> kernels;
  std::vector<std::unique_ptr<Code>> codes; ///< Of the kernels.
  std::vector<Variable> variables;
  std::vector<VariableImage> images; ///< Of the variables.
  std::shared_ptr<const int> identity = std::make_shared<int>(0);
};

/// Shared memory begins here in a CTA's window: below lies what the system keeps for itself.
inline constexpr uint32_t sharedBase = 1024;

/// Generic addresses of the other spaces; each window is 2^32 bytes.
inline constexpr uint64_t sharedWindow = uint64_t(1) << 60, localWindow = uint64_t(2) << 60, parameterWindow = uint64_t(3) << 60;
inline constexpr bool inWindow(uint64_t address, uint64_t window) { return address - window < uint64_t(1) << 32; }

} // namespace ptxemu

// SPDX-License-Identifier: Apache-2.0
//
// A loaded program: what the tables of an artifact say, decoded into arrays that the executor walks. Decoding is verification:
// program_decoder.cpp refuses whatever the comments of runtime/schema/msa_artifact.fbs do not allow, so that the executor only
// checks what depends on run-time values.

#ifndef MSA_RUNTIME_PROGRAM_H
#define MSA_RUNTIME_PROGRAM_H

#include "runtime/allocator.h"
#include "runtime/elf_image.h"
#include "runtime/gpu_table.h"
#include "runtime/kernel_abi.h"
#include "runtime/runtime.h"
#include "runtime/status.h"

namespace msa::rt::cuda {
class LoadedProgram;
} // namespace msa::rt::cuda

namespace msa::schema {
struct Program;
} // namespace msa::schema

namespace msa::rt {

inline constexpr uint32_t kNone = UINT32_MAX;

enum class Op : uint8_t { kConst, kBinary, kSelect, kAssert, kAlloc, kFree, kCopy, kLoad, kStore, kDispatch };
/// "const", "dispatch"...
const char *opName(Op op);

/// A decoded command. Which fields mean what:
///   const     a: register, value                       binary    a: register, kind, b: lhs, c: rhs
///   select    a: register, b: condition, c, d           assert    a: condition, text: message, operands b..b+c: values
///   alloc     a: slot, b: size                          free      a: slot
///   copy      a: target, b: target offset, c: source, d: source offset, e: size
///   load      a: register, b: slot, value: offset       store     a: slot, value: offset, b: register
///   dispatch  a: kernel, b: tiles, operands c..: buffers, then scalars; text: location
struct Command {
  Op op;
  uint8_t kind;
  uint32_t a, b, c, d, e;
  int64_t value;
  const char *text;
};

struct Dim {
  int64_t value;
  uint32_t reg; // kNone: the dim is `value`
  const char *name;
};

struct Port {
  const char *name;
  msa_element_type type;
  uint32_t rank;
  uint32_t firstDim; // in Program::dims
  bool spans;
  uint32_t aliasInput; // outputs; kNone for none
  uint32_t slot;       // that names this port; kNone for none
};

enum class SlotKind : uint8_t { kArena, kInput, kOutput, kConstant };

struct Slot {
  SlotKind kind;
  uint32_t index;
};

enum class ParameterKind : uint8_t { kRead, kWrite, kUpdate, kSpans };

struct Kernel {
  const char *symbol;
  msa_kernel_fn function;
  uint64_t scratchBytes;
  uint32_t firstParameter; // in Program::parameters
  uint32_t parameterCount;
  uint32_t scalarCount;
};

struct Constant {
  const uint8_t *data;
  uint64_t size;
};

struct Entry {
  const char *name;
  uint32_t firstInput, inputCount; // in Program::ports
  uint32_t firstOutput, outputCount;
  uint32_t firstSlot, slotCount;
  uint32_t firstCommand, commandCount;
  uint32_t registerCount;
  uint32_t maxBuffers, maxScalars; // of one dispatch
};

} // namespace msa::rt

struct msa_program {
  explicit msa_program(msa_runtime *runtime);
  ~msa_program();

  msa::rt::OwnerCount owners;
  msa_runtime *runtime;
  const msa::rt::Allocator &allocator;

  // The file, and the private copy of its program table that all strings below point into.
  const uint8_t *file = nullptr;
  uint64_t fileSize = 0;
  bool mapped = false;
  uint8_t *table = nullptr;
  uint64_t tableSize = 0;
  const msa::schema::Program *root = nullptr;

  msa::rt::Vector<msa::rt::Entry> entries;
  msa::rt::Vector<msa::rt::Port> ports;
  msa::rt::Vector<msa::rt::Dim> dims;
  msa::rt::Vector<msa::rt::Slot> slots;
  msa::rt::Vector<msa::rt::Command> commands;
  msa::rt::Vector<uint32_t> operands;
  msa::rt::Vector<msa::rt::Kernel> kernels;
  msa::rt::Vector<msa::rt::ParameterKind> parameters;
  msa::rt::Vector<msa::rt::Constant> constants;
  msa::rt::GpuTables gpu;
  const char *variant = "";
  uint64_t maxScratchBytes = 0;
  msa::rt::ElfImage image;
  msa::rt::cuda::LoadedProgram *cuda = nullptr; // null: it runs on the CPU
};

namespace msa::rt {

/// Fills the arrays of |program| from its verified root table. Kernel functions are left null.
Status decodeProgram(msa_program *program);

/// Maps and verifies the artifact at |path| like msa_program_load_file, but does not load its kernels, so that it also works for
/// variants of other machines. The program can be looked at and released, not run.
Status openForInspection(msa_runtime *runtime, const char *path, msa_program **out_program);

} // namespace msa::rt

#endif // MSA_RUNTIME_PROGRAM_H

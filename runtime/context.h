// SPDX-License-Identifier: Apache-2.0
//
// The msa_context handle: everything that a run writes to besides its outputs. Sized once for the largest entry of the program.

#ifndef MSA_RUNTIME_CONTEXT_H
#define MSA_RUNTIME_CONTEXT_H

#include "runtime/arena.h"
#include "runtime/program.h"

namespace msa::rt::cuda {
class ContextState;
} // namespace msa::rt::cuda

namespace msa::rt {

/// Memory of a slot during a run: of the host, or a device address. |data| is never null once the slot is live.
struct SlotMemory {
  uint8_t *data;
  uint64_t size;
  Arena::Allocation allocation; // size 0: not in the arena
};

} // namespace msa::rt

struct msa_context {
  explicit msa_context(msa_program *program)
      : program(msa_program_retain(program)), allocator(program->allocator), arena(allocator), registers(allocator),
        registerInputs(allocator), slots(allocator), buffers(allocator), scalars(allocator) {}
  ~msa_context();

  msa::rt::OwnerCount owners;
  msa_program *program;
  const msa::rt::Allocator &allocator;

  msa::rt::Arena arena;
  msa::rt::Vector<int64_t> registers;
  msa::rt::Vector<uint32_t> registerInputs; // the input whose shape defined a register, kNone before
  msa::rt::Vector<msa::rt::SlotMemory> slots;
  msa::rt::Vector<void *> buffers;
  msa::rt::Vector<int64_t> scalars;
  void *scratch = nullptr; // of the calling thread
  uint64_t scratchBytes = 0;
  msa::rt::cuda::ContextState *cuda = nullptr; // null: the program runs on the CPU

  uint64_t runCount = 0;             // tells whether outputs in the arena are still those of a given run
  std::atomic<bool> running{false};  // catches a second run from another thread or from a callback
};

#endif // MSA_RUNTIME_CONTEXT_H

// SPDX-License-Identifier: Apache-2.0

#include "runtime/context.h"

#include "runtime/cuda/context_state.h"

#include <algorithm>

using namespace msa::rt;

msa_context::~msa_context() {
  allocator.destroy(cuda);
  allocator.release(scratch, scratchBytes, kBufferAlignment);
}

msa_status *msa_context_create(msa_program *program, msa_context **out_context) {
  if (out_context)
    *out_context = nullptr;
  if (!program || !out_context)
    return failure(MSA_INVALID_ARGUMENT, "msa_context_create: program or out_context is null").release();
  auto *context = program->allocator.create<msa_context>(program);
  if (!context)
    return outOfMemory().release();
  uint32_t registers = 0, slots = 0, buffers = 0, scalars = 0;
  for (const Entry &entry : program->entries) {
    registers = std::max(registers, entry.registerCount);
    slots = std::max(slots, entry.slotCount);
    buffers = std::max(buffers, entry.maxBuffers);
    scalars = std::max(scalars, entry.maxScalars);
  }
  bool enough = context->registers.resize(registers) && context->registerInputs.resize(registers) &&
                context->slots.resize(slots) && context->buffers.resize(buffers) && context->scalars.resize(scalars);
  if (enough && program->maxScratchBytes && !program->cuda) {
    context->scratch = program->allocator.allocate(program->maxScratchBytes, kBufferAlignment);
    context->scratchBytes = context->scratch ? program->maxScratchBytes : 0;
    enough = context->scratch != nullptr;
  }
  if (!enough) {
    msa_context_release(context);
    return outOfMemory().release();
  }
  if (program->cuda) {
    context->cuda = program->allocator.create<cuda::ContextState>(*program->cuda);
    Status status = context->cuda ? context->cuda->initialize() : outOfMemory();
    if (!status.ok()) {
      msa_context_release(context);
      return status.release();
    }
  }
  *out_context = context;
  return nullptr;
}

msa_context *msa_context_retain(msa_context *context) {
  if (context)
    context->owners.add();
  return context;
}

void msa_context_release(msa_context *context) {
  if (!context || !context->owners.drop())
    return;
  msa_program *program = context->program;
  program->allocator.destroy(context);
  msa_program_release(program);
}

msa_program *msa_context_program(const msa_context *context) { return context ? context->program : nullptr; }

void msa_context_trim(msa_context *context) {
  if (context->running.load(std::memory_order_acquire))
    return;
  ++context->runCount; // outputs in the arena are gone
  context->arena.trim();
  if (context->cuda)
    context->cuda->trim();
}

void msa_context_memory(const msa_context *context, uint64_t *out_held, uint64_t *out_peak) {
  *out_held = context->arena.heldBytes() + (context->cuda ? context->cuda->heldBytes() : 0);
  *out_peak = context->cuda ? context->cuda->arena.peakBytes() : context->arena.peakBytes();
}

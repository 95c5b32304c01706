// SPDX-License-Identifier: Apache-2.0
//
// Commands that touch memory, on the CPU: kernels run on the pool, copies are copies.

#include "runtime/executor.h"

#include <algorithm>
#include <cinttypes>

namespace msa::rt {

namespace {

// Worth waking workers for: below, one thread copies faster than another wakes.
constexpr uint64_t kParallelCopyBytes = uint64_t(4) << 20;
constexpr uint64_t kCopyTileBytes = uint64_t(1) << 20;

struct DispatchArguments {
  msa_kernel_fn function;
  void *const *buffers;
  const int64_t *scalars;
};

void runKernel(void *argument, void *scratch, int64_t lo, int64_t hi) {
  auto *call = static_cast<DispatchArguments *>(argument);
  call->function(call->buffers, call->scalars, scratch, lo, hi);
}

struct CopyArguments {
  uint8_t *target;
  const uint8_t *source;
  uint64_t size;
};

void runCopy(void *argument, void *, int64_t lo, int64_t hi) {
  auto *copy = static_cast<CopyArguments *>(argument);
  uint64_t begin = uint64_t(lo) * kCopyTileBytes, end = std::min(uint64_t(hi) * kCopyTileBytes, copy->size);
  std::memcpy(copy->target + begin, copy->source + begin, end - begin);
}

class CpuExecutor final : public Executor {
public:
  using Executor::Executor;

private:
  Status begin() override {
    if (!context->arena.reset())
      return outOfMemory();
    // Rows that a GPU wrote are fetched before a kernel of the CPU reads them.
    for (uint32_t i = 0; i < entry.inputCount; ++i)
      if (invocation->inputs[i].kind == InputBinding::Kind::kBuffer)
        MSA_TRY(invocation->inputs[i].buffer->fetch());
    for (uint32_t i = 0; i < entry.slotCount; ++i) {
      const Slot &slot = slotAt(i);
      slots[i] = {kEmptyMemory, 0, {}};
      if (slot.kind == SlotKind::kInput) {
        slots[i].size = inputBytes(slot.index);
        if (uint8_t *data = memoryOf(invocation->inputs[slot.index]))
          slots[i].data = data;
      } else if (slot.kind == SlotKind::kConstant) {
        const Constant &constant = program->constants[slot.index];
        slots[i].size = constant.size;
        if (constant.size)
          slots[i].data = const_cast<uint8_t *>(constant.data); // the decoder refuses commands that write it
      }
    }
    return {};
  }

  /// Contiguous memory of an input, null when it is empty or lies in several places. The decoder refuses commands that write it.
  static uint8_t *memoryOf(const InputBinding &input) {
    return input.kind == InputBinding::Kind::kBuffer ? input.buffer->data : const_cast<uint8_t *>(inputData(input));
  }

  Status perform(const Command &command) override {
    switch (command.op) {
    case Op::kAlloc:
      return alloc(command);
    case Op::kFree: {
      SlotMemory &slot = slots[command.a];
      if (slot.allocation.size && !context->arena.free(slot.allocation))
        return outOfMemory();
      slot = {kEmptyMemory, 0, {}};
      return {};
    }
    case Op::kCopy:
      return copy(command);
    case Op::kLoad: {
      MSA_TRY(gather(command.b));
      const SlotMemory &slot = slots[command.b];
      MSA_TRY(checkWord(command.b, slot, command.value));
      std::memcpy(&registers[command.a], slot.data + command.value, 8);
      return {};
    }
    case Op::kStore: {
      const SlotMemory &slot = slots[command.a];
      MSA_TRY(checkWord(command.a, slot, command.value));
      std::memcpy(slot.data + command.value, &registers[command.b], 8);
      return {};
    }
    case Op::kDispatch:
      return dispatch(command);
    default:
      return {}; // registers are not ours
    }
  }

  Status alloc(const Command &command) {
    uint64_t size = 0;
    MSA_TRY(allocSize(command, &size));
    const Slot &slot = slotAt(command.a);
    SlotMemory &memory = slots[command.a];
    memory = {kEmptyMemory, size, {}};
    if (slot.kind == SlotKind::kOutput) {
      OutputBinding &output = invocation->outputs[slot.index];
      if (output.kind == OutputBinding::Kind::kMemory) {
        if (size)
          memory.data = output.data;
        return {};
      }
      if (output.kind == OutputBinding::Kind::kBuffer)
        return allocBuffer(command.a, slot.index, size);
    }
    if (size == 0)
      return {};
    if (!context->arena.allocate(size, &memory.allocation))
      return failure(MSA_OUT_OF_MEMORY, "entry '%s', command %u (alloc): the allocator refused %" PRIu64 " bytes", entry.name, index,
                     size);
    memory.data = memory.allocation.data;
    return {};
  }

  /// Grows a buffer, and if it is also the input that the output aliases, moves that with it.
  Status allocBuffer(uint32_t slotNumber, uint32_t outputNumber, uint64_t size) {
    msa_buffer &buffer = *invocation->outputs[outputNumber].buffer;
    bool alias = growsInPlace(outputNumber) != nullptr;
    uint64_t keep = alias ? uint64_t(buffer.rows) * buffer.rowBytes : 0;
    MSA_TRY(buffer.reserveBytes(size, keep));
    buffer.forgetCopy();
    slots[slotNumber].data = size ? buffer.data : kEmptyMemory;
    if (alias && keep)
      if (uint32_t inputSlot = invocation->inputPort(invocation->outputPort(outputNumber).aliasInput).slot; inputSlot != kNone)
        slots[inputSlot].data = buffer.data;
    return {};
  }

  Status copy(const Command &command) {
    MSA_TRY(gather(command.c));
    const SlotMemory &target = slots[command.a], &source = slots[command.c];
    int64_t targetOffset = registers[command.b], sourceOffset = registers[command.d], size = registers[command.e];
    MSA_TRY(checkRange(command.a, target, targetOffset, size));
    MSA_TRY(checkRange(command.c, source, sourceOffset, size));
    uint8_t *to = target.data + targetOffset;
    const uint8_t *from = source.data + sourceOffset;
    if (size == 0 || to == from)
      return {};
    if (uint64_t(size) < kParallelCopyBytes || overlap(to, uint64_t(size), from, uint64_t(size))) {
      std::memmove(to, from, uint64_t(size));
      return {};
    }
    CopyArguments arguments = {to, from, uint64_t(size)};
    program->runtime->pool.run(runCopy, &arguments, int64_t((uint64_t(size) + kCopyTileBytes - 1) / kCopyTileBytes), nullptr,
                               cancel);
    return cancelled() ? stopped() : Status();
  }

  Status dispatch(const Command &command) {
    const Kernel &kernel = program->kernels[command.a];
    int64_t tiles = 0;
    MSA_TRY(tilesOf(command, &tiles));
    if (tiles == 0)
      return progress();
    const uint32_t *operands = program->operands.data() + command.c;
    void **buffers = context->buffers.data();
    for (uint32_t i = 0; i < kernel.parameterCount; ++i) {
      uint32_t number = operands[i];
      if (program->parameters[kernel.firstParameter + i] == ParameterKind::kSpans) {
        buffers[i] = spanList(slotAt(number).index);
      } else {
        MSA_TRY(gather(number));
        buffers[i] = slots[number].data;
      }
    }
    int64_t *scalars = context->scalars.data();
    for (uint32_t i = 0; i < kernel.scalarCount; ++i)
      scalars[i] = registers[operands[kernel.parameterCount + i]];
    DispatchArguments arguments = {kernel.function, buffers, scalars};
    program->runtime->pool.run(runKernel, &arguments, tiles, context->scratch ? context->scratch : kEmptyMemory, cancel);
    if (cancelled())
      return stopped();
    return progress();
  }

  /// The list that a kernel gets for an input that it takes as spans.
  msa_span_list *spanList(uint32_t number) {
    InputBinding &input = invocation->inputs[number];
    if (input.kind == InputBinding::Kind::kSpans) {
      input.list = {input.spans, int64_t(input.spanCount), input.shape[0]};
    } else {
      int64_t rows = dimOf(input, 0);
      input.whole = {memoryOf(input), 0, rows};
      input.list = {&input.whole, rows ? 1 : 0, rows};
    }
    return &input.list;
  }

  /// Makes the rows of an input that was bound as several spans contiguous, once a run, for a command that needs them so.
  Status gather(uint32_t number) {
    const Slot &slot = slotAt(number);
    if (slot.kind != SlotKind::kInput)
      return {};
    const InputBinding &input = invocation->inputs[slot.index];
    SlotMemory &memory = slots[number];
    if (input.kind != InputBinding::Kind::kSpans || input.spanCount < 2 || memory.allocation.size || memory.size == 0)
      return {};
    if (!context->arena.allocate(memory.size, &memory.allocation))
      return failure(MSA_OUT_OF_MEMORY,
                     "entry '%s', command %u: the allocator refused %" PRIu64 " bytes to make input '%s' contiguous", entry.name,
                     index, memory.size, invocation->inputPort(slot.index).name);
    memory.data = memory.allocation.data;
    uint64_t rowBytes = memory.size / uint64_t(input.shape[0]);
    for (size_t i = 0; i < input.spanCount; ++i)
      std::memcpy(memory.data + uint64_t(input.spans[i].first) * rowBytes, input.spans[i].data,
                  uint64_t(input.spans[i].rows) * rowBytes);
    program->runtime->logf(MSA_LOG_DEBUG, "entry '%s': made the %zu spans of input '%s' contiguous, %" PRIu64 " bytes", entry.name,
                           input.spanCount, invocation->inputPort(slot.index).name, memory.size);
    return {};
  }

  Status deliver() override {
    for (uint32_t i = 0; i < entry.outputCount; ++i)
      invocation->outputs[i].result = slots[invocation->outputPort(i).slot].data;
    return {};
  }

  void commit(OutputBinding &output) override { output.buffer->hostRows = output.shape[0]; }
};

} // namespace

Status executeOnCpu(msa_invocation *invocation, const msa_run_options &options) { return CpuExecutor(invocation, options).run(); }

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0
//
// Walks the commands of an entry. The decoder has proved everything that does not depend on values (which registers are defined,
// which slots are live, what fits which kernel); what does is checked here: dims that must agree, integer overflow, byte ranges,
// sizes of outputs, memory that overlaps.

#include "runtime/invocation.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "runtime/cancel_token.h"
#include "runtime/profile.h"

namespace msa::rt {

namespace {

// Where empty slots and empty inputs point: kernels may form addresses from it but read and write nothing.
alignas(kBufferAlignment) uint8_t kEmpty[kBufferAlignment];

// Worth waking workers for: below, one thread copies faster than another wakes.
constexpr uint64_t kParallelCopyBytes = uint64_t(4) << 20;
constexpr uint64_t kCopyTileBytes = uint64_t(1) << 20;
// Ranges are claimed by adding to a signed counter, which must not wrap.
constexpr int64_t kMaxTiles = int64_t(1) << 56;

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

bool overlap(const uint8_t *a, uint64_t aSize, const uint8_t *b, uint64_t bSize) {
  return aSize && bSize && a < b + bSize && b < a + aSize;
}

/// False on overflow or a zero divisor; |problem| says which.
bool binary(uint8_t kind, int64_t lhs, int64_t rhs, int64_t *result, const char **problem) {
  *problem = "overflows 64 bits";
  switch (kind) {
  case 0:
    return !__builtin_add_overflow(lhs, rhs, result);
  case 1:
    return !__builtin_sub_overflow(lhs, rhs, result);
  case 2:
    return !__builtin_mul_overflow(lhs, rhs, result);
  case 3:
  case 4:
  case 5: {
    if (rhs == 0) {
      *problem = "divides by zero";
      return false;
    }
    if (rhs == -1) {
      if (kind == 5) {
        *result = 0;
        return true;
      }
      return !__builtin_sub_overflow(int64_t(0), lhs, result);
    }
    int64_t quotient = lhs / rhs, remainder = lhs % rhs;
    if (kind == 5)
      *result = remainder != 0 && (remainder < 0) != (rhs < 0) ? remainder + rhs : remainder;
    else if (kind == 3)
      *result = remainder != 0 && (remainder < 0) != (rhs < 0) ? quotient - 1 : quotient;
    else
      *result = remainder != 0 && (remainder < 0) == (rhs < 0) ? quotient + 1 : quotient;
    return true;
  }
  case 6:
    *result = std::min(lhs, rhs);
    return true;
  case 7:
    *result = std::max(lhs, rhs);
    return true;
  case 8:
    *result = lhs == rhs;
    return true;
  case 9:
    *result = lhs != rhs;
    return true;
  case 10:
    *result = lhs < rhs;
    return true;
  case 11:
    *result = lhs <= rhs;
    return true;
  case 12:
    *result = lhs != 0 && rhs != 0;
    return true;
  case 13:
    *result = lhs != 0 || rhs != 0;
    return true;
  }
  *problem = "is unknown"; // refused by the decoder
  return false;
}

class Executor {
public:
  Executor(msa_invocation *invocation, const msa_run_options &options)
      : invocation(invocation), options(options), context(invocation->context), program(context->program),
        entry(*invocation->entry), registers(context->registers.data()), slots(context->slots.data()),
        cancel(options.cancel ? &options.cancel->cancelled : nullptr) {}

  Status run() {
    int64_t start = options.profile ? msa_profile::now() : 0;
    Status status = prepare();
    bool begun = status.ok();
    for (index = 0; status.ok() && index < entry.commandCount; ++index)
      status = step(program->commands[entry.firstCommand + index]);
    if (status.ok())
      status = finish();
    if (begun && !status.ok())
      dropFailedBuffers();
    if (options.profile)
      options.profile->record({entry.name, "run", "", "", 0, 0, start - options.profile->start, msa_profile::now() - start});
    return status;
  }

private:
  //===--- Before the first command ---------------------------------------===//

  Status prepare() {
    if (cancelled())
      return stopped();
    MSA_TRY(bindDims());
    MSA_TRY(checkOverlaps());
    if (!context->arena.reset())
      return outOfMemory();
    for (uint32_t i = 0; i < entry.slotCount; ++i) {
      const Slot &slot = program->slots[entry.firstSlot + i];
      slots[i] = {kEmpty, 0, {}};
      if (slot.kind == SlotKind::kInput) {
        InputBinding &input = invocation->inputs[slot.index];
        slots[i].size = inputBytes(slot.index);
        if (uint8_t *data = inputData(input))
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

  static int64_t dimOf(const InputBinding &input, uint32_t axis) {
    if (input.kind != InputBinding::Kind::kBuffer)
      return input.shape[axis];
    return axis ? input.buffer->rowShape[axis - 1] : input.buffer->rows;
  }

  uint64_t inputBytes(uint32_t number) const {
    const InputBinding &input = invocation->inputs[number];
    const Port &port = invocation->inputPort(number);
    uint64_t bytes = msa_element_size(port.type);
    for (uint32_t i = 0; i < port.rank; ++i)
      bytes *= uint64_t(dimOf(input, i)); // checked for overflow when it was bound
    return bytes;
  }

  /// Contiguous memory of an input, null when it is empty or lies in several places.
  static uint8_t *inputData(const InputBinding &input) {
    switch (input.kind) {
    case InputBinding::Kind::kTensor:
      return const_cast<uint8_t *>(input.data);
    case InputBinding::Kind::kBuffer:
      return input.buffer->data;
    case InputBinding::Kind::kSpans:
      return input.spanCount == 1 ? static_cast<uint8_t *>(const_cast<void *>(input.spans[0].data)) : nullptr;
    case InputBinding::Kind::kNone:
      break;
    }
    return nullptr;
  }

  Status bindDims() {
    std::fill_n(context->registerInputs.data(), entry.registerCount, kNone);
    for (uint32_t i = 0; i < entry.inputCount; ++i) {
      const InputBinding &input = invocation->inputs[i];
      const Port &port = invocation->inputPort(i);
      if (input.kind == InputBinding::Kind::kNone)
        return failure(MSA_FAILED_PRECONDITION, "entry '%s': input '%s' is not bound", entry.name, port.name);
      for (uint32_t axis = 0; axis < port.rank; ++axis) {
        const Dim &dim = program->dims[port.firstDim + axis];
        int64_t found = dimOf(input, axis);
        if (dim.reg == kNone) {
          if (found != dim.value)
            return failure(MSA_INVALID_ARGUMENT, "entry '%s': input '%s': dim %u: expected %" PRId64 ", found %" PRId64, entry.name,
                           port.name, axis, dim.value, found);
          continue;
        }
        uint32_t owner = context->registerInputs[dim.reg];
        if (owner == kNone) {
          context->registerInputs[dim.reg] = i;
          registers[dim.reg] = found;
        } else if (registers[dim.reg] != found) {
          return failure(MSA_INVALID_ARGUMENT,
                         "entry '%s': input '%s': dim %u (%s): expected %" PRId64 " as in input '%s', found %" PRId64, entry.name,
                         port.name, axis, dim.name, registers[dim.reg], invocation->inputPort(owner).name, found);
        }
      }
    }
    return {};
  }

  struct Memory {
    const uint8_t *data;
    uint64_t size;
  };

  static Memory outputMemory(const OutputBinding &output) {
    if (output.kind == OutputBinding::Kind::kMemory)
      return {output.data, output.capacity};
    if (output.kind == OutputBinding::Kind::kBuffer)
      return {output.buffer->data, output.buffer->capacity};
    return {nullptr, 0};
  }

  /// Memory that a caller bound to an output may be that of the input which the output aliases, and of nothing else.
  Status checkOverlaps() {
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      const OutputBinding &output = invocation->outputs[i];
      if (output.kind == OutputBinding::Kind::kContext)
        continue;
      const Port &port = invocation->outputPort(i);
      Memory memory = outputMemory(output);
      for (uint32_t j = 0; j < i; ++j) {
        const OutputBinding &other = invocation->outputs[j];
        Memory otherMemory = outputMemory(other);
        if ((output.buffer && output.buffer == other.buffer) ||
            overlap(memory.data, memory.size, otherMemory.data, otherMemory.size))
          return failure(MSA_INVALID_ARGUMENT, "entry '%s': outputs '%s' and '%s' are bound to the same memory", entry.name,
                         invocation->outputPort(j).name, port.name);
      }
      for (uint32_t j = 0; j < entry.inputCount; ++j) {
        const InputBinding &input = invocation->inputs[j];
        bool clash = false;
        if (input.kind == InputBinding::Kind::kBuffer) {
          clash = output.buffer ? output.buffer == input.buffer
                                : overlap(memory.data, memory.size, input.buffer->data, input.buffer->capacity);
          if (port.aliasInput == j && (output.buffer || output.data == input.buffer->data))
            clash = false;
        } else if (input.kind == InputBinding::Kind::kTensor) {
          clash = overlap(memory.data, memory.size, input.data, inputBytes(j));
          // A buffer may move when it grows, so only the caller's own memory can be shared by address.
          if (port.aliasInput == j && !output.buffer && output.data == input.data)
            clash = false;
        } else {
          uint64_t rowBytes = input.shape[0] ? inputBytes(j) / uint64_t(input.shape[0]) : 0;
          for (size_t k = 0; k < input.spanCount && !clash; ++k)
            clash = overlap(memory.data, memory.size, static_cast<const uint8_t *>(input.spans[k].data),
                            uint64_t(input.spans[k].rows) * rowBytes);
        }
        if (clash)
          return failure(MSA_INVALID_ARGUMENT, "entry '%s': output '%s' is bound to memory of input '%s', which it %s", entry.name,
                         port.name, invocation->inputPort(j).name,
                         port.aliasInput == j ? "may share only as a whole: bind both to one msa_buffer or to one address"
                                              : "does not alias");
      }
    }
    return {};
  }

  //===--- Commands --------------------------------------------------------===//

  Status step(const Command &command) {
    if (cancelled())
      return stopped();
    if (!options.profile)
      return perform(command);
    int64_t start = msa_profile::now();
    Status status = perform(command);
    int64_t end = msa_profile::now();
    bool dispatch = command.op == Op::kDispatch;
    options.profile->record({entry.name, opName(command.op), dispatch ? program->kernels[command.a].symbol : "",
                             dispatch ? command.text : "", index,
                             dispatch                     ? registers[command.b]
                             : command.op == Op::kCopy    ? registers[command.e]
                                                          : 0,
                             start - options.profile->start, end - start});
    return status;
  }

  Status perform(const Command &command) {
    switch (command.op) {
    case Op::kConst:
      registers[command.a] = command.value;
      return {};
    case Op::kBinary: {
      const char *problem;
      int64_t lhs = registers[command.b], rhs = registers[command.c];
      if (!binary(command.kind, lhs, rhs, &registers[command.a], &problem))
        return failed("operation %u of %" PRId64 " and %" PRId64 " %s", command.kind, lhs, rhs, problem);
      return {};
    }
    case Op::kSelect:
      registers[command.a] = registers[command.b] ? registers[command.c] : registers[command.d];
      return {};
    case Op::kAssert:
      return registers[command.a] ? Status() : assertionFailed(command);
    case Op::kAlloc:
      return alloc(command);
    case Op::kFree: {
      SlotMemory &slot = slots[command.a];
      if (slot.allocation.size && !context->arena.free(slot.allocation))
        return outOfMemory();
      slot = {kEmpty, 0, {}};
      return {};
    }
    case Op::kCopy:
      return copy(command);
    case Op::kLoad: {
      MSA_TRY(gather(command.b));
      const SlotMemory &slot = slots[command.b];
      if (slot.size < 8 || uint64_t(command.value) > slot.size - 8)
        return failed("8 bytes at offset %" PRId64 " lie outside slot %u of %" PRIu64 " bytes", command.value, command.b, slot.size);
      std::memcpy(&registers[command.a], slot.data + command.value, 8);
      return {};
    }
    case Op::kStore: {
      const SlotMemory &slot = slots[command.a];
      if (slot.size < 8 || uint64_t(command.value) > slot.size - 8)
        return failed("8 bytes at offset %" PRId64 " lie outside slot %u of %" PRIu64 " bytes", command.value, command.a, slot.size);
      std::memcpy(slot.data + command.value, &registers[command.b], 8);
      return {};
    }
    case Op::kDispatch:
      return dispatch(command);
    }
    return {};
  }

  Status alloc(const Command &command) {
    int64_t size = registers[command.b];
    if (size < 0)
      return failed("slot %u is given %" PRId64 " bytes", command.a, size);
    const Slot &slot = program->slots[entry.firstSlot + command.a];
    if (slot.kind == SlotKind::kOutput) {
      OutputBinding &output = invocation->outputs[slot.index];
      if (output.kind == OutputBinding::Kind::kMemory) {
        if (uint64_t(size) > output.capacity)
          return failure(MSA_TOO_SMALL, "entry '%s': output '%s' needs %" PRId64 " bytes, the memory bound to it has %" PRIu64,
                         entry.name, invocation->outputPort(slot.index).name, size, output.capacity);
        slots[command.a] = {size ? output.data : kEmpty, uint64_t(size), {}};
        return {};
      }
      if (output.kind == OutputBinding::Kind::kBuffer)
        return allocBuffer(command.a, slot.index, uint64_t(size));
    }
    SlotMemory &memory = slots[command.a];
    memory = {kEmpty, uint64_t(size), {}};
    if (size == 0)
      return {};
    if (!context->arena.allocate(uint64_t(size), &memory.allocation))
      return failure(MSA_OUT_OF_MEMORY, "entry '%s', command %u (alloc): the allocator refused %" PRId64 " bytes", entry.name, index,
                     size);
    memory.data = memory.allocation.data;
    return {};
  }

  /// Grows a buffer, and if it is also the input that the output aliases, moves that with it.
  Status allocBuffer(uint32_t slotNumber, uint32_t outputNumber, uint64_t size) {
    OutputBinding &output = invocation->outputs[outputNumber];
    const Port &port = invocation->outputPort(outputNumber);
    InputBinding *alias = nullptr;
    if (port.aliasInput != kNone) {
      InputBinding &input = invocation->inputs[port.aliasInput];
      if (input.kind == InputBinding::Kind::kBuffer && input.buffer == output.buffer)
        alias = &input;
    }
    uint64_t keep = alias ? uint64_t(output.buffer->rows) * output.buffer->rowBytes : 0;
    MSA_TRY(output.buffer->reserveBytes(size, keep));
    slots[slotNumber] = {size ? output.buffer->data : kEmpty, size, {}};
    if (alias && keep)
      if (uint32_t inputSlot = invocation->inputPort(port.aliasInput).slot; inputSlot != kNone)
        slots[inputSlot].data = output.buffer->data;
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

  Status checkRange(uint32_t number, const SlotMemory &slot, int64_t offset, int64_t size) {
    if (offset < 0 || size < 0 || uint64_t(offset) > slot.size || uint64_t(size) > slot.size - uint64_t(offset))
      return failed("%" PRId64 " bytes at offset %" PRId64 " lie outside slot %u of %" PRIu64 " bytes", size, offset, number,
                    slot.size);
    return {};
  }

  Status dispatch(const Command &command) {
    const Kernel &kernel = program->kernels[command.a];
    int64_t tiles = registers[command.b];
    if (tiles < 0 || tiles > kMaxTiles)
      return failed("%" PRId64 " tiles for kernel '%s', expected 0 to %" PRId64, tiles, kernel.symbol, kMaxTiles);
    if (tiles == 0)
      return progress();
    const uint32_t *operands = program->operands.data() + command.c;
    void **buffers = context->buffers.data();
    for (uint32_t i = 0; i < kernel.parameterCount; ++i) {
      uint32_t number = operands[i];
      if (program->parameters[kernel.firstParameter + i] == ParameterKind::kSpans) {
        buffers[i] = spanList(program->slots[entry.firstSlot + number].index);
      } else {
        MSA_TRY(gather(number));
        buffers[i] = slots[number].data;
      }
    }
    int64_t *scalars = context->scalars.data();
    for (uint32_t i = 0; i < kernel.scalarCount; ++i)
      scalars[i] = registers[operands[kernel.parameterCount + i]];
    DispatchArguments arguments = {kernel.function, buffers, scalars};
    program->runtime->pool.run(runKernel, &arguments, tiles, context->scratch ? context->scratch : kEmpty, cancel);
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
      input.whole = {inputData(input), 0, rows};
      input.list = {&input.whole, rows ? 1 : 0, rows};
    }
    return &input.list;
  }

  /// Makes the rows of an input that was bound as several spans contiguous, once a run, for a command that needs them so.
  Status gather(uint32_t number) {
    const Slot &slot = program->slots[entry.firstSlot + number];
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

  //===--- After the last command ------------------------------------------===//

  Status finish() {
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      OutputBinding &output = invocation->outputs[i];
      const Port &port = invocation->outputPort(i);
      const SlotMemory &slot = slots[port.slot];
      uint64_t bytes = msa_element_size(port.type);
      for (uint32_t axis = 0; axis < port.rank; ++axis) {
        const Dim &dim = program->dims[port.firstDim + axis];
        int64_t value = dim.reg == kNone ? dim.value : registers[dim.reg];
        if (value < 0 || __builtin_mul_overflow(bytes, uint64_t(value), &bytes))
          return failure(MSA_PROGRAM_FAILED, "entry '%s': dim %u of output '%s' came out as %" PRId64, entry.name, axis, port.name,
                         value);
        output.shape[axis] = value;
      }
      if (bytes > slot.size)
        return failure(MSA_PROGRAM_FAILED,
                       "entry '%s': the shape of output '%s' has %" PRIu64 " bytes, its commands allocated %" PRIu64, entry.name,
                       port.name, bytes, slot.size);
      output.result = slot.data;
      if (output.kind != OutputBinding::Kind::kBuffer)
        continue;
      for (uint32_t axis = 1; axis < port.rank; ++axis)
        if (output.shape[axis] != output.buffer->rowShape[axis - 1])
          return failure(MSA_INVALID_ARGUMENT,
                         "entry '%s': output '%s': dim %u came out as %" PRId64 ", the buffer bound to it has %" PRId64, entry.name,
                         port.name, axis, output.shape[axis], output.buffer->rowShape[axis - 1]);
    }
    // Only now: until here a failure leaves the caches of the caller as they were.
    for (uint32_t i = 0; i < entry.outputCount; ++i)
      if (invocation->outputs[i].kind == OutputBinding::Kind::kBuffer)
        invocation->outputs[i].buffer->rows = invocation->outputs[i].shape[0];
    return {};
  }

  void dropFailedBuffers() {
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      OutputBinding &output = invocation->outputs[i];
      if (output.kind != OutputBinding::Kind::kBuffer)
        continue;
      uint32_t aliasInput = invocation->outputPort(i).aliasInput;
      bool aliases = aliasInput != kNone && invocation->inputs[aliasInput].buffer == output.buffer;
      if (!aliases)
        output.buffer->rows = 0;
    }
  }

  //===--- Ends ------------------------------------------------------------===//

  bool cancelled() const { return cancel && cancel->load(std::memory_order_relaxed); }

  Status stopped() { return failure(MSA_CANCELLED, "entry '%s' was cancelled at command %u of %u", entry.name, index, entry.commandCount); }

  Status progress() {
    if (options.progress && options.progress(options.progress_user, index + 1, entry.commandCount) != 0)
      return stopped();
    return {};
  }

  Status failed(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    return failure(MSA_PROGRAM_FAILED, "entry '%s', command %u (%s): %s", entry.name, index,
                   opName(program->commands[entry.firstCommand + index].op), detail);
  }

  Status assertionFailed(const Command &command) {
    char values[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < command.c && used < sizeof(values) - 1; ++i) {
      int written = std::snprintf(values + used, sizeof(values) - used, "%s%" PRId64, i ? ", " : "",
                                  registers[program->operands[command.b + i]]);
      used += written < 0 ? 0 : size_t(written);
    }
    return failure(MSA_PROGRAM_FAILED, "entry '%s': %s%s%s%s", entry.name, command.text, command.c ? " (" : "", values,
                   command.c ? ")" : "");
  }

  msa_invocation *invocation;
  const msa_run_options &options;
  msa_context *context;
  msa_program *program;
  const Entry &entry;
  int64_t *registers;
  SlotMemory *slots;
  const std::atomic<bool> *cancel;
  uint32_t index = 0;
};

} // namespace

Status execute(msa_invocation *invocation, const msa_run_options &options) { return Executor(invocation, options).run(); }

} // namespace msa::rt

// SPDX-License-Identifier: Apache-2.0

#include "runtime/executor.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "runtime/cancel_token.h"
#include "runtime/cuda/executor.h"
#include "runtime/profile.h"

namespace msa::rt {

alignas(kBufferAlignment) uint8_t kEmptyMemory[kBufferAlignment];

namespace {

// Ranges are claimed by adding to a signed counter, which must not wrap.
constexpr int64_t kMaxTiles = int64_t(1) << 56;

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

} // namespace

bool overlap(const uint8_t *a, uint64_t aSize, const uint8_t *b, uint64_t bSize) {
  return aSize && bSize && a < b + bSize && b < a + aSize;
}

Executor::Executor(msa_invocation *invocation, const msa_run_options &options)
    : invocation(invocation), options(options), context(invocation->context), program(context->program), entry(*invocation->entry),
      registers(context->registers.data()), slots(context->slots.data()),
      cancel(options.cancel ? &options.cancel->cancelled : nullptr) {}

Status Executor::run() {
  int64_t start = options.profile ? msa_profile::now() : 0;
  Status status;
  bool begun;
  do {
    again = false;
    index = 0;
    status = prepare();
    begun = status.ok();
    if (begun)
      status = begin();
    for (; status.ok() && index < entry.commandCount && !again; ++index) {
      const Command &command = program->commands[entry.firstCommand + index];
      status = cancelled() ? stopped() : options.profile ? performMeasured(command) : execute(command);
    }
    if (status.ok() && !again)
      status = shapeOutputs();
    if (status.ok() && !again)
      status = deliver();
    if (begun)
      status = end(static_cast<Status &&>(status));
  } while (status.ok() && again);
  // Only now: until here a failure leaves the caches of the caller as they were.
  if (status.ok())
    commitBuffers();
  if (begun && !status.ok())
    dropFailedBuffers();
  if (options.profile)
    options.profile->record({entry.name, "run", "", "", 0, 0, start - options.profile->start, msa_profile::now() - start});
  return status;
}

//===----------------------------------------------------------------------===//
// Before the first command
//===----------------------------------------------------------------------===//

Status Executor::prepare() {
  if (cancelled())
    return stopped();
  MSA_TRY(bindDims());
  return checkOverlaps();
}

int64_t Executor::dimOf(const InputBinding &input, uint32_t axis) {
  if (input.kind != InputBinding::Kind::kBuffer)
    return input.shape[axis];
  return axis ? input.buffer->rowShape[axis - 1] : input.buffer->rows;
}

uint64_t Executor::inputBytes(uint32_t number) const {
  const InputBinding &input = invocation->inputs[number];
  const Port &port = invocation->inputPort(number);
  uint64_t bytes = msa_element_size(port.type);
  for (uint32_t i = 0; i < port.rank; ++i)
    bytes *= uint64_t(dimOf(input, i)); // checked for overflow when it was bound
  return bytes;
}

const uint8_t *Executor::inputData(const InputBinding &input) {
  switch (input.kind) {
  case InputBinding::Kind::kTensor:
    return input.data;
  case InputBinding::Kind::kSpans:
    return input.spanCount == 1 ? static_cast<const uint8_t *>(input.spans[0].data) : nullptr;
  case InputBinding::Kind::kBuffer:
  case InputBinding::Kind::kNone:
    break;
  }
  return nullptr;
}

Status Executor::bindDims() {
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

namespace {

struct Memory {
  const uint8_t *data;
  uint64_t size;
};

Memory outputMemory(const OutputBinding &output) {
  if (output.kind == OutputBinding::Kind::kMemory)
    return {output.data, output.capacity};
  if (output.kind == OutputBinding::Kind::kBuffer)
    return {output.buffer->data, output.buffer->capacity};
  return {nullptr, 0};
}

} // namespace

/// Memory that a caller bound to an output may be that of the input which the output aliases, and of nothing else.
Status Executor::checkOverlaps() {
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

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

Status Executor::execute(const Command &command) {
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
  case Op::kFree:
  case Op::kCopy:
  case Op::kLoad:
  case Op::kStore:
  case Op::kDispatch:
    break;
  }
  return perform(command);
}

Status Executor::performMeasured(const Command &command) {
  int64_t start = msa_profile::now();
  Status status = execute(command);
  record(index, start, msa_profile::now());
  return status;
}

void Executor::record(uint32_t commandIndex, int64_t startNs, int64_t endNs) {
  const Command &command = program->commands[entry.firstCommand + commandIndex];
  bool dispatch = command.op == Op::kDispatch;
  options.profile->record({entry.name, opName(command.op), dispatch ? program->kernels[command.a].symbol : "",
                           dispatch ? command.text : "", commandIndex,
                           dispatch                     ? registers[command.b]
                           : command.op == Op::kCopy    ? registers[command.e]
                                                        : 0,
                           startNs - options.profile->start, endNs - startNs});
}

Status Executor::allocSize(const Command &command, uint64_t *bytes) {
  int64_t size = registers[command.b];
  if (size < 0)
    return failed("slot %u is given %" PRId64 " bytes", command.a, size);
  *bytes = uint64_t(size);
  const Slot &slot = slotAt(command.a);
  if (slot.kind != SlotKind::kOutput)
    return {};
  OutputBinding &output = invocation->outputs[slot.index];
  if (output.kind == OutputBinding::Kind::kMemory && uint64_t(size) > output.capacity)
    return failure(MSA_TOO_SMALL, "entry '%s': output '%s' needs %" PRId64 " bytes, the memory bound to it has %" PRIu64, entry.name,
                   invocation->outputPort(slot.index).name, size, output.capacity);
  return {};
}

InputBinding *Executor::growsInPlace(uint32_t number) {
  const Port &port = invocation->outputPort(number);
  if (port.aliasInput == kNone)
    return nullptr;
  InputBinding &input = invocation->inputs[port.aliasInput];
  bool same = input.kind == InputBinding::Kind::kBuffer && input.buffer == invocation->outputs[number].buffer;
  return same ? &input : nullptr;
}

Status Executor::tilesOf(const Command &command, int64_t *tiles) {
  *tiles = registers[command.b];
  if (*tiles < 0 || *tiles > kMaxTiles)
    return failed("%" PRId64 " tiles for kernel '%s', expected 0 to %" PRId64, *tiles, program->kernels[command.a].symbol, kMaxTiles);
  return {};
}

Status Executor::checkRange(uint32_t number, const SlotMemory &slot, int64_t offset, int64_t size) {
  if (offset < 0 || size < 0 || uint64_t(offset) > slot.size || uint64_t(size) > slot.size - uint64_t(offset))
    return failed("%" PRId64 " bytes at offset %" PRId64 " lie outside slot %u of %" PRIu64 " bytes", size, offset, number,
                  slot.size);
  return {};
}

Status Executor::checkWord(uint32_t number, const SlotMemory &slot, int64_t offset) {
  if (slot.size < 8 || uint64_t(offset) > slot.size - 8)
    return failed("8 bytes at offset %" PRId64 " lie outside slot %u of %" PRIu64 " bytes", offset, number, slot.size);
  return {};
}

//===----------------------------------------------------------------------===//
// After the last command
//===----------------------------------------------------------------------===//

Status Executor::shapeOutputs() {
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
    if (output.kind != OutputBinding::Kind::kBuffer)
      continue;
    for (uint32_t axis = 1; axis < port.rank; ++axis)
      if (output.shape[axis] != output.buffer->rowShape[axis - 1])
        return failure(MSA_INVALID_ARGUMENT,
                       "entry '%s': output '%s': dim %u came out as %" PRId64 ", the buffer bound to it has %" PRId64, entry.name,
                       port.name, axis, output.shape[axis], output.buffer->rowShape[axis - 1]);
  }
  return {};
}

uint64_t Executor::outputBytes(uint32_t number) const {
  const OutputBinding &output = invocation->outputs[number];
  const Port &port = invocation->outputPort(number);
  uint64_t bytes = msa_element_size(port.type);
  for (uint32_t axis = 0; axis < port.rank; ++axis)
    bytes *= uint64_t(output.shape[axis]); // checked for overflow by shapeOutputs
  return bytes;
}

void Executor::commitBuffers() {
  for (uint32_t i = 0; i < entry.outputCount; ++i) {
    OutputBinding &output = invocation->outputs[i];
    if (output.kind != OutputBinding::Kind::kBuffer)
      continue;
    commit(output);
    output.buffer->rows = output.shape[0];
  }
}

void Executor::dropFailedBuffers() {
  for (uint32_t i = 0; i < entry.outputCount; ++i) {
    OutputBinding &output = invocation->outputs[i];
    if (output.kind == OutputBinding::Kind::kBuffer && !growsInPlace(i))
      output.buffer->dropRows();
  }
}

//===----------------------------------------------------------------------===//
// Ends
//===----------------------------------------------------------------------===//

Status Executor::stopped() {
  return failure(MSA_CANCELLED, "entry '%s' was cancelled at command %u of %u", entry.name, index, entry.commandCount);
}

Status Executor::progress() {
  if (options.progress && options.progress(options.progress_user, index + 1, entry.commandCount) != 0)
    return stopped();
  return {};
}

Status Executor::failed(const char *format, ...) {
  char detail[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(detail, sizeof(detail), format, arguments);
  va_end(arguments);
  return failure(MSA_PROGRAM_FAILED, "entry '%s', command %u (%s): %s", entry.name, index,
                 opName(program->commands[entry.firstCommand + index].op), detail);
}

Status Executor::assertionFailed(const Command &command) {
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

Status execute(msa_invocation *invocation, const msa_run_options &options) {
  return invocation->context->program->cuda ? cuda::executeOnDevice(invocation, options) : executeOnCpu(invocation, options);
}

} // namespace msa::rt

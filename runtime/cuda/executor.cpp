// SPDX-License-Identifier: Apache-2.0
//
// Commands that touch memory, on a CUDA device. Everything is enqueued on the context's one stream, whose order is the order of the
// commands, so ranges of the arena may be given away while kernels that use them have yet to run. The host waits where it needs a
// value (load) and at the end.

#include "runtime/cuda/executor.h"

#include "runtime/cuda/buffer_copy.h"
#include "runtime/cuda/context_state.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/row_copy.h"
#include "runtime/executor.h"
#include "runtime/profile.h"

#include <algorithm>
#include <cinttypes>

namespace msa::rt::cuda {

namespace {

// From this size on, what a staging copy costs is more than what the driver's own staging does.
constexpr uint64_t kStagedBytes = uint64_t(4) << 20;
// Runs after which working memory has come to its size.
constexpr uint32_t kPlainRuns = 2;

/// What a kernel gets for an input that it takes as spans: the list and its one span, side by side.
struct DeviceSpanList {
  uint64_t spans;
  int64_t count;
  int64_t rows;
  uint64_t data;
  int64_t first;
  int64_t spanRows;
};
static_assert(sizeof(DeviceSpanList) == sizeof(msa_span_list) + sizeof(msa_span));

uint8_t *asPointer(CUdeviceptr address) { return reinterpret_cast<uint8_t *>(address); }
CUdeviceptr asAddress(const uint8_t *pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

class DeviceExecutor final : public Executor {
public:
  DeviceExecutor(msa_invocation *invocation, const msa_run_options &options)
      : Executor(invocation, options), state(*context->cuda), device(state.device), driver(device.driver), current(device) {}

private:
  //===--- Before the first command ---------------------------------------===//

  Status begin() override {
    if (!state.arena.reset())
      return outOfMemory();
    state.timed.clear();
    unwaited = 0;
    for (uint32_t i = 0; i < entry.slotCount; ++i) {
      const Slot &slot = slotAt(i);
      slots[i] = {asPointer(device.zeros), 0, {}};
      if (slot.kind == SlotKind::kConstant) {
        slots[i].size = program->constants[slot.index].size;
        slots[i].data = asPointer(state.program.constants[slot.index]);
      }
    }
    MSA_TRY(placeInputs());
    graph = &state.graphs[uint32_t(&entry - program->entries.data())];
    // Only now: the uploads so far come from memory of the caller, which is no part of a graph.
    recording = !plain && mayRecord();
    if (recording)
      MSA_TRY(beginRecording(device, state.stream));
    if (stagedBytes)
      MSA_CUDA_TRY(driver, memcpyHtoDAsync, block, state.staging.data(), stagedBytes, state.stream);
    if (options.profile)
      MSA_TRY(recordEvent(0));
    return {};
  }

  bool mayRecord() const {
    if (!state.program.graphs || state.program.synchronous || options.profile || !driver.graphExecUpdate ||
        !driver.graphInstantiateWithFlags || graph->plainRuns < kPlainRuns)
      return false;
    for (uint32_t i = 0; i < entry.commandCount; ++i) {
      const Command &command = program->commands[entry.firstCommand + i];
      if (command.op == Op::kLoad && !hostWord(command.b))
        return false;
    }
    return true;
  }

  /// Puts every input on the device: buffers and rows that are there keep their place; the rest goes to one block of the arena, small
  /// inputs and span lists by way of the staging memory.
  Status placeInputs() {
    uint64_t staged = 0, straight = 0;
    for (uint32_t i = 0; i < entry.inputCount; ++i) {
      const InputBinding &input = invocation->inputs[i];
      if (invocation->inputPort(i).spans)
        staged += roundUp(sizeof(DeviceSpanList), kDeviceAlignment);
      if (input.kind == InputBinding::Kind::kBuffer || input.rows)
        continue;
      uint64_t bytes = inputBytes(i);
      (bytes < kStagedBytes ? staged : straight) += roundUp(bytes, kDeviceAlignment);
    }
    stagedBytes = staged;
    block = 0;
    if (staged + straight) {
      Arena::Allocation made;
      if (!state.arena.allocate(staged + straight, &made))
        return failure(MSA_OUT_OF_MEMORY, "entry '%s': CUDA device %u has no %" PRIu64 " bytes for the inputs", entry.name, device.ordinal,
                       staged + straight);
      block = asAddress(made.data);
      MSA_TRY(state.staging.reserve(staged));
    }
    uint64_t stagedAt = 0, straightAt = staged;
    for (uint32_t i = 0; i < entry.inputCount; ++i)
      MSA_TRY(placeInput(i, &stagedAt, &straightAt));
    return {};
  }

  Status placeInput(uint32_t number, uint64_t *stagedAt, uint64_t *straightAt) {
    InputBinding &input = invocation->inputs[number];
    const Port &port = invocation->inputPort(number);
    uint64_t bytes = inputBytes(number);
    CUdeviceptr address = device.zeros;
    if (input.kind == InputBinding::Kind::kBuffer) {
      MSA_TRY(uploadRows(*input.buffer, device, state.stream));
      if (bytes)
        address = input.buffer->copy->data;
    } else if (input.rows) {
      MSA_TRY(placeRows(number, bytes, &address));
    } else if (bytes) {
      bool staged = bytes < kStagedBytes;
      uint64_t *at = staged ? stagedAt : straightAt;
      address = block + *at;
      MSA_TRY(upload(input, bytes, staged ? state.staging.data() + *at : nullptr, address));
      *at += roundUp(bytes, kDeviceAlignment);
    }
    if (port.slot != kNone) {
      slots[port.slot].data = asPointer(address);
      slots[port.slot].size = bytes;
    }
    if (port.spans) {
      int64_t rows = dimOf(input, 0);
      state.spanLists[number] = block + *stagedAt;
      DeviceSpanList list = {state.spanLists[number] + sizeof(msa_span_list), rows ? 1 : 0, rows, address, 0, rows};
      std::memcpy(state.staging.data() + *stagedAt, &list, sizeof(list));
      *stagedAt += roundUp(sizeof(list), kDeviceAlignment);
    }
    return {};
  }

  /// Bytes of an input that the caller holds: to |staging|, or, where that is null, straight to |address|.
  Status upload(const InputBinding &input, uint64_t bytes, uint8_t *staging, CUdeviceptr address) {
    msa_span whole = {input.data, 0, 1};
    const msa_span *spans = &whole;
    size_t count = 1;
    uint64_t rowBytes = bytes;
    if (input.kind == InputBinding::Kind::kSpans) {
      spans = input.spans;
      count = input.spanCount;
      rowBytes = bytes / uint64_t(input.shape[0]);
    }
    for (size_t i = 0; i < count; ++i) {
      uint64_t at = uint64_t(spans[i].first) * rowBytes, size = uint64_t(spans[i].rows) * rowBytes;
      if (staging)
        std::memcpy(staging + at, spans[i].data, size);
      else
        MSA_CUDA_TRY(driver, memcpyHtoDAsync, address + at, spans[i].data, size, state.stream);
    }
    return {};
  }

  Status placeRows(uint32_t number, uint64_t bytes, CUdeviceptr *address) {
    InputBinding &input = invocation->inputs[number];
    if (input.rows->epoch() != input.epoch)
      return failure(MSA_FAILED_PRECONDITION, "entry '%s': the memory bank has changed since it was bound to input '%s'; bind it again",
                     entry.name, invocation->inputPort(number).name);
    int64_t rows = dimOf(input, 0);
    msa_span whole = {input.data, 0, rows};
    bool spans = input.kind == InputBinding::Kind::kSpans;
    msa_placement placement = input.rows->content ? state.program.content : MSA_PLACEMENT_DEVICE;
    return mirrorRows(*input.rows, device, placement, state.stream, spans ? input.spans : &whole, spans ? input.spanCount : rows > 0,
                      rows, rows ? bytes / uint64_t(rows) : 0, address);
  }

  //===--- Commands --------------------------------------------------------===//

  Status perform(const Command &command) override {
    Status status = enqueue(command);
    if (status.ok() && state.program.synchronous && !again)
      status = synchronize();
    return status;
  }

  Status performMeasured(const Command &command) override {
    bool onDevice = command.op == Op::kCopy || command.op == Op::kStore || command.op == Op::kDispatch;
    if (!onDevice)
      return Executor::performMeasured(command);
    uint32_t first = 1 + 2 * uint32_t(state.timed.size());
    MSA_TRY(recordEvent(first));
    MSA_TRY(perform(command));
    MSA_TRY(recordEvent(first + 1));
    return state.timed.push({index, first}) ? Status() : outOfMemory();
  }

  Status recordEvent(uint32_t number) {
    CUevent event = nullptr;
    MSA_TRY(state.event(number, &event));
    if (number == 0) {
      // Times on the device count from here.
      MSA_CUDA_TRY(driver, streamSynchronize, state.stream);
      profileStart = msa_profile::now();
    }
    MSA_CUDA_TRY(driver, eventRecord, event, state.stream);
    return {};
  }

  Status enqueue(const Command &command) {
    switch (command.op) {
    case Op::kAlloc:
      return alloc(command);
    case Op::kFree: {
      SlotMemory &slot = slots[command.a];
      if (slot.allocation.size && !state.arena.free(slot.allocation))
        return outOfMemory();
      slot = {asPointer(device.zeros), 0, {}};
      return {};
    }
    case Op::kCopy:
      return copy(command);
    case Op::kLoad:
      return load(command);
    case Op::kStore:
      return store(command);
    case Op::kDispatch:
      return dispatch(command);
    default:
      return {}; // registers are not ours
    }
  }

  /// What was recorded so far is of no use: memory must be made that a graph cannot make. The run starts over without a graph.
  Status startOver() {
    again = plain = true;
    return {};
  }

  Status allocate(uint64_t size, Arena::Allocation *allocation) {
    if (recording && state.arena.wouldGrow(size))
      return startOver();
    if (!state.arena.allocate(size, allocation))
      return failure(MSA_OUT_OF_MEMORY, "entry '%s', command %u (%s): CUDA device %u has no %" PRIu64 " bytes of memory left", entry.name,
                     index, opName(program->commands[entry.firstCommand + index].op), device.ordinal, size);
    return {};
  }

  Status alloc(const Command &command) {
    uint64_t size = 0;
    MSA_TRY(allocSize(command, &size));
    const Slot &slot = slotAt(command.a);
    SlotMemory &memory = slots[command.a];
    memory = {asPointer(device.zeros), size, {}};
    if (slot.kind == SlotKind::kOutput && invocation->outputs[slot.index].kind == OutputBinding::Kind::kBuffer)
      return allocBuffer(command.a, slot.index, size);
    if (size == 0)
      return {};
    Arena::Allocation made = {};
    MSA_TRY(allocate(size, &made));
    if (again)
      return {};
    memory.allocation = made;
    memory.data = made.data;
    return {};
  }

  /// Grows the copy of a buffer, and if it is also the input that the output aliases, moves that with it.
  Status allocBuffer(uint32_t slotNumber, uint32_t outputNumber, uint64_t size) {
    msa_buffer &buffer = *invocation->outputs[outputNumber].buffer;
    bool alias = growsInPlace(outputNumber) != nullptr;
    if (!alias) {
      buffer.dropRows(); // they are about to be replaced, and need not be uploaded
      MSA_TRY(uploadRows(buffer, device, state.stream));
    }
    if (recording && size > buffer.copy->capacity)
      return startOver();
    uint64_t keep = uint64_t(buffer.rows) * buffer.rowBytes;
    MSA_TRY(growCopy(buffer, size, keep, state.stream));
    if (size)
      slots[slotNumber].data = asPointer(buffer.copy->data);
    if (alias && keep)
      if (uint32_t inputSlot = invocation->inputPort(invocation->outputPort(outputNumber).aliasInput).slot; inputSlot != kNone)
        slots[inputSlot].data = asPointer(buffer.copy->data);
    buffer.hostRows = 0; // kernels may write any row
    return {};
  }

  Status copy(const Command &command) {
    const SlotMemory &target = slots[command.a], &source = slots[command.c];
    int64_t targetOffset = registers[command.b], sourceOffset = registers[command.d], size = registers[command.e];
    MSA_TRY(checkRange(command.a, target, targetOffset, size));
    MSA_TRY(checkRange(command.c, source, sourceOffset, size));
    CUdeviceptr to = asAddress(target.data) + uint64_t(targetOffset), from = asAddress(source.data) + uint64_t(sourceOffset);
    if (size == 0 || to == from)
      return {};
    if (!overlap(asPointer(to), uint64_t(size), asPointer(from), uint64_t(size)))
      return located(driver.memcpyDtoDAsync(to, from, uint64_t(size), state.stream), "memcpyDtoDAsync");
    // The driver says nothing about ranges that overlap.
    Arena::Allocation between = {};
    MSA_TRY(allocate(uint64_t(size), &between));
    if (again)
      return {};
    MSA_TRY(located(driver.memcpyDtoDAsync(asAddress(between.data), from, uint64_t(size), state.stream), "memcpyDtoDAsync"));
    MSA_TRY(located(driver.memcpyDtoDAsync(to, asAddress(between.data), uint64_t(size), state.stream), "memcpyDtoDAsync"));
    return state.arena.free(between) ? Status() : outOfMemory();
  }

  /// The bytes of slot |number| where the host has them anyway: an input that the caller holds.
  const uint8_t *hostWord(uint32_t number) const {
    const Slot &slot = slotAt(number);
    if (slot.kind == SlotKind::kConstant)
      return program->constants[slot.index].data;
    return slot.kind == SlotKind::kInput ? inputData(invocation->inputs[slot.index]) : nullptr;
  }

  Status load(const Command &command) {
    const SlotMemory &slot = slots[command.b];
    MSA_TRY(checkWord(command.b, slot, command.value));
    if (const uint8_t *bytes = hostWord(command.b)) {
      std::memcpy(&registers[command.a], bytes + command.value, 8);
      return {};
    }
    MSA_TRY(located(driver.memcpyDtoHAsync(state.word.data(), asAddress(slot.data) + uint64_t(command.value), 8, state.stream),
                    "memcpyDtoHAsync"));
    MSA_TRY(synchronize());
    std::memcpy(&registers[command.a], state.word.data(), 8);
    return {};
  }

  /// The value travels in the command itself, so no memory of the host must outlive it.
  Status store(const Command &command) {
    const SlotMemory &slot = slots[command.a];
    MSA_TRY(checkWord(command.a, slot, command.value));
    CUdeviceptr at = asAddress(slot.data) + uint64_t(command.value);
    auto value = uint64_t(registers[command.b]);
    auto low = uint32_t(value), high = uint32_t(value >> 32);
    MSA_TRY(located(driver.memsetD32Async(at, low, low == high ? 2 : 1, state.stream), "memsetD32Async"));
    return low == high ? Status() : located(driver.memsetD32Async(at + 4, high, 1, state.stream), "memsetD32Async");
  }

  Status dispatch(const Command &command) {
    const Kernel &kernel = program->kernels[command.a];
    int64_t tiles = 0;
    MSA_TRY(tilesOf(command, &tiles));
    if (tiles == 0)
      return progress();
    const uint32_t *operands = program->operands.data() + command.c;
    LaunchArguments arguments = {};
    arguments.words = state.words.data();
    arguments.pointers = state.parameters.data();
    arguments.maps = state.maps.data() + state.firstMap[&command - program->commands.data()];
    arguments.scalars = context->scalars.data();
    arguments.dataAddresses = context->buffers.data();
    uint32_t word = 0;
    for (uint32_t i = 0; i < kernel.parameterCount; ++i) {
      bool spans = program->parameters[kernel.firstParameter + i] == ParameterKind::kSpans;
      context->buffers[i] = slots[operands[i]].data;
      arguments.words[word++] = spans ? state.spanLists[slotAt(operands[i]).index] : asAddress(slots[operands[i]].data);
    }
    for (uint32_t i = 0; i < kernel.scalarCount; ++i) {
      int64_t scalar = registers[operands[kernel.parameterCount + i]];
      context->scalars[i] = scalar;
      arguments.words[word++] = uint64_t(scalar);
    }
    arguments.words[word++] = uint64_t(tiles);
    arguments.wordCount = word + 1; // and the workspace
    KernelLaunch launch(state, program->gpu, state.program.kernel(command.a), arguments);
    Arena::Allocation workspace = {};
    if (const char *problem = launch.choose())
      return launchFailed(command, problem);
    if (launch.workspaceBytes && !launch.zeroedBytes) {
      MSA_TRY(allocate(launch.workspaceBytes, &workspace));
      arguments.words[word] = asAddress(workspace.data);
    } else if (launch.workspaceBytes) {
      bool grows = false;
      CUdeviceptr address = 0;
      MSA_TRY(state.zeroedWorkspace(launch.caseIndex, launch.workspaceBytes, launch.zeroedBytes, !recording, &grows, &address));
      if (grows && recording)
        return startOver();
      arguments.words[word] = address;
    } else {
      arguments.words[word] = 0;
    }
    if (again)
      return {};
    for (uint32_t i = 0; i < launch.count(); ++i) {
      const char *problem = nullptr, *call = nullptr;
      CUresult result = launch.run(i, &problem, &call);
      if (problem)
        return launchFailed(command, problem);
      if (result != CUDA_SUCCESS)
        return located(result, call);
    }
    // Later commands of the stream may have the memory.
    if (workspace.size && !state.arena.free(workspace))
      return outOfMemory();
    return progress();
  }

  Status launchFailed(const Command &command, const char *problem) {
    return failed("kernel '%s'%s%s: %s", program->kernels[command.a].symbol, *command.text ? " at " : "", command.text, problem);
  }

  /// An error of a kernel comes back from whatever call is next.
  Status located(CUresult result, const char *call) {
    return result >= CUDA_ERROR_ILLEGAL_ADDRESS && result <= CUDA_ERROR_LAUNCH_FAILED ? lateFailure(result, call, unwaited)
                                                                                       : located(result, call, index);
  }

  /// A failure of the driver, with the command that met it.
  Status located(CUresult result, const char *call, uint32_t where) {
    if (result == CUDA_SUCCESS)
      return {};
    Status status = driver.check(result, call);
    if (where >= entry.commandCount)
      return failure(status.code(), "entry '%s', after its last command: %s", entry.name, status.message());
    const Command &command = program->commands[entry.firstCommand + where];
    bool dispatch = command.op == Op::kDispatch;
    return failure(status.code(), "entry '%s', command %u (%s%s%s)%s%s: %s", entry.name, where, opName(command.op), dispatch ? " of " : "",
                   dispatch ? program->kernels[command.a].symbol : "", dispatch && *command.text ? " at " : "",
                   dispatch ? command.text : "", status.message());
  }

  /// Waits for the stream. An error there belongs to any command since it was last waited for.
  Status synchronize() {
    CUresult result = driver.streamSynchronize(state.stream);
    uint32_t first = unwaited;
    unwaited = index + 1;
    return result == CUDA_SUCCESS ? Status() : lateFailure(result, "streamSynchronize", first);
  }

  Status lateFailure(CUresult result, const char *call, uint32_t first) {
    const char *lastKernel = "";
    uint32_t kernels = 0, suspects = 0, last = index;
    for (uint32_t i = first; i <= index && i < entry.commandCount; ++i) {
      const Command &command = program->commands[entry.firstCommand + i];
      if (command.op != Op::kDispatch && command.op != Op::kCopy && command.op != Op::kStore)
        continue;
      if (suspects++ == 0)
        first = i;
      last = i;
      if (command.op != Op::kDispatch)
        continue;
      lastKernel = program->kernels[command.a].symbol;
      ++kernels;
    }
    if (suspects <= 1)
      return located(result, call, last);
    Status status = driver.check(result, call);
    return failure(status.code(),
                   "entry '%s', one of commands %u to %u, which run %u kernels, '%s' last: %s; load the program with device_synchronous "
                   "(msa-run --device-synchronous) to see which",
                   entry.name, first, last, kernels, lastKernel, status.message());
  }

  //===--- After the last command ------------------------------------------===//

  /// Outputs of the context come to rest in pinned memory, as do small ones on their way to the caller's.
  Status deliver() override {
    uint64_t total = 0;
    for (uint32_t i = 0; i < entry.outputCount; ++i)
      if (throughResults(i))
        total += roundUp(outputBytes(i), kDeviceAlignment);
    if (recording && total > state.results.capacity())
      return startOver();
    MSA_TRY(state.results.reserve(total));
    uint64_t at = 0;
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      OutputBinding &output = invocation->outputs[i];
      uint64_t bytes = outputBytes(i);
      output.result = output.kind == OutputBinding::Kind::kMemory && bytes ? output.data : kEmptyMemory;
      if (bytes == 0 || output.kind == OutputBinding::Kind::kBuffer)
        continue;
      uint8_t *to = output.data;
      if (throughResults(i)) {
        to = state.results.data() + at;
        at += roundUp(bytes, kDeviceAlignment);
        if (output.kind == OutputBinding::Kind::kContext)
          output.result = to;
      } else if (recording) {
        return startOver(); // memory of the caller is no part of a graph
      }
      MSA_TRY(located(driver.memcpyDtoHAsync(to, asAddress(slots[invocation->outputPort(i).slot].data), bytes, state.stream),
                      "memcpyDtoHAsync"));
    }
    return {};
  }

  bool throughResults(uint32_t number) const {
    const OutputBinding &output = invocation->outputs[number];
    uint64_t bytes = outputBytes(number);
    return bytes && (output.kind == OutputBinding::Kind::kContext ||
                     (output.kind == OutputBinding::Kind::kMemory && bytes < kStagedBytes));
  }

  Status end(Status status) override {
    if (recording && (again || !status.ok())) {
      dropRecording(device, state.stream);
      state.forgetWorkspaces(); // they were to be zeroed by what will not run
    } else if (recording) {
      status = launchRecording(device, state.stream, *graph);
    }
    recording = false;
    // The caller's memory is free again only once nothing reads or writes it, however the run went.
    Status waited = synchronize();
    if (status.ok())
      status = static_cast<Status &&>(waited);
    if (!status.ok() || again)
      return status;
    ++graph->plainRuns;
    uint64_t at = 0;
    for (uint32_t i = 0; i < entry.outputCount; ++i) {
      if (!throughResults(i))
        continue;
      uint64_t bytes = outputBytes(i);
      if (invocation->outputs[i].kind == OutputBinding::Kind::kMemory)
        std::memcpy(invocation->outputs[i].data, state.results.data() + at, bytes);
      at += roundUp(bytes, kDeviceAlignment);
    }
    return options.profile ? resolveTimes() : Status();
  }

  Status resolveTimes() {
    CUevent start = nullptr, first = nullptr, last = nullptr;
    MSA_TRY(state.event(0, &start));
    for (const TimedCommand &timed : state.timed) {
      float before = 0, lasted = 0; // milliseconds
      MSA_TRY(state.event(timed.firstEvent, &first));
      MSA_TRY(state.event(timed.firstEvent + 1, &last));
      MSA_CUDA_TRY(driver, eventElapsedTime, &before, start, first);
      MSA_CUDA_TRY(driver, eventElapsedTime, &lasted, first, last);
      int64_t from = profileStart + int64_t(double(before) * 1e6);
      record(timed.command, from, from + int64_t(double(lasted) * 1e6));
    }
    return {};
  }

  void commit(OutputBinding &output) override {
    output.buffer->copy->rows = output.shape[0];
    output.buffer->hostRows = 0;
  }

  ContextState &state;
  Device &device;
  const Driver &driver;
  Current current;
  EntryGraph *graph = nullptr;
  bool plain = false;     // no graph in this run
  bool recording = false; // commands are recorded, not enqueued
  uint64_t stagedBytes = 0;
  CUdeviceptr block = 0;
  int64_t profileStart = 0;
  uint32_t unwaited = 0; // the command since which the stream has not been waited for
};

} // namespace

Status executeOnDevice(msa_invocation *invocation, const msa_run_options &options) { return DeviceExecutor(invocation, options).run(); }

} // namespace msa::rt::cuda

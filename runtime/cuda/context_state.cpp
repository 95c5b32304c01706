// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/context_state.h"

#include <algorithm>

namespace msa::rt::cuda {

ContextState::ContextState(LoadedProgram &program)
    : program(program), device(program.device), deviceAllocator(device.allocator()),
      arena(program.program->allocator, deviceAllocator, kDeviceAlignment), staging(device), results(device), word(device),
      words(program.program->allocator), parameters(program.program->allocator), spanLists(program.program->allocator),
      firstMap(program.program->allocator), maps(program.program->allocator), workspaces(program.program->allocator),
      events(program.program->allocator), timed(program.program->allocator), graphs(program.program->allocator) {}

ContextState::~ContextState() {
  Current current(device);
  if (stream)
    (void)device.driver.streamSynchronize(stream);
  for (EntryGraph &graph : graphs)
    releaseGraph(device, graph);
  trim();
  for (CUevent event : events)
    (void)device.driver.eventDestroy(event);
  if (stream)
    (void)device.driver.streamDestroy(stream);
}

Status ContextState::initialize() {
  const msa_program &loaded = *program.program;
  uint32_t words = 0, maps = 0, inputs = 0;
  uint32_t maxMaps = 0;
  if (!firstMap.resize(loaded.commands.size()))
    return outOfMemory();
  for (const Entry &entry : loaded.entries) {
    inputs = std::max(inputs, entry.inputCount);
    words = std::max(words, entry.maxBuffers + entry.maxScalars + 2);
  }
  for (uint32_t i = 0; i < loaded.commands.size(); ++i) {
    firstMap[i] = maps;
    if (loaded.commands[i].op != Op::kDispatch)
      continue;
    uint32_t count = program.kernel(loaded.commands[i].a).maxMaps;
    maxMaps = std::max(maxMaps, count);
    maps += count;
  }
  if (!this->words.resize(words) || !parameters.resize(words + maxMaps) || !spanLists.resize(inputs) || !this->maps.resize(maps) ||
      !workspaces.resize(loaded.gpu.cases.size()) || !graphs.resize(loaded.entries.size()))
    return outOfMemory();
  Current current(device);
  MSA_TRY(word.reserve(sizeof(uint64_t)));
  CUstream made = nullptr;
  MSA_CUDA_TRY(device.driver, streamCreate, &made, CU_STREAM_NON_BLOCKING);
  stream = made;
  return {};
}

void ContextState::trim() {
  arena.trim();
  staging.clear();
  results.clear();
  for (Workspace &workspace : workspaces) {
    device.free(workspace.data);
    workspace = {};
  }
}

uint64_t ContextState::heldBytes() const {
  uint64_t held = arena.heldBytes() + staging.capacity() + results.capacity() + word.capacity();
  for (const Workspace &workspace : workspaces)
    held += workspace.capacity;
  return held;
}

Status ContextState::zeroedWorkspace(uint32_t caseIndex, uint64_t size, uint64_t zeroed, bool mayGrow, bool *grows, CUdeviceptr *address) {
  Workspace &workspace = workspaces[caseIndex];
  if (size > workspace.capacity) {
    *grows = true;
    if (!mayGrow)
      return {};
    uint64_t grown = roundUp(std::max(size, workspace.capacity + workspace.capacity / 2), kDeviceAlignment);
    CUdeviceptr made = 0;
    MSA_TRY(device.allocate(grown, &made));
    // The launches before may still use it.
    Status status = device.driver.check(device.driver.streamSynchronize(stream), "streamSynchronize");
    if (!status.ok()) {
      device.free(made);
      return status;
    }
    device.free(workspace.data);
    workspace = {made, grown, 0};
  }
  if (zeroed > workspace.zeroed)
    MSA_CUDA_TRY(device.driver, memsetD8Async, workspace.data + workspace.zeroed, 0, zeroed - workspace.zeroed, stream);
  // What lies behind the zeroed part is the launch's to write.
  workspace.zeroed = size > zeroed ? zeroed : std::max(workspace.zeroed, zeroed);
  *address = workspace.data;
  return {};
}

void ContextState::forgetWorkspaces() {
  for (Workspace &workspace : workspaces)
    workspace.zeroed = 0;
}

Status ContextState::event(uint32_t index, CUevent *event) {
  while (events.size() <= index) {
    CUevent made = nullptr;
    if (!events.reserve(events.size() + 1))
      return outOfMemory();
    MSA_CUDA_TRY(device.driver, eventCreate, &made, CU_EVENT_DEFAULT);
    (void)events.push(made); // reserved above
  }
  *event = events[index];
  return {};
}

} // namespace msa::rt::cuda

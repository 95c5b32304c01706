// SPDX-License-Identifier: Apache-2.0
//
// What a msa_context holds on a CUDA device: a stream, working memory, staging memory, and what launches reuse from run to run.

#ifndef MSA_RUNTIME_CUDA_CONTEXT_STATE_H
#define MSA_RUNTIME_CUDA_CONTEXT_STATE_H

#include "runtime/arena.h"
#include "runtime/cuda/graph.h"
#include "runtime/cuda/loaded_program.h"

namespace msa::rt::cuda {

/// A tensor map of a dispatch, and what it was made from.
struct CachedMap {
  CUtensorMap map;
  uint64_t address; // 0: not made yet
  uint64_t dims[kMaxTensorMapRank];
  uint64_t strides[kMaxTensorMapRank - 1];
};

/// Workspace of a kernel whose start must be zero. Kernels leave it so; it belongs to one case of one kernel and is zeroed once.
struct Workspace {
  CUdeviceptr data;
  uint64_t capacity;
  uint64_t zeroed; // bytes at the start that are 0 between launches
};

/// A command that was recorded between two events of the profile.
struct TimedCommand {
  uint32_t command;
  uint32_t firstEvent; // and the one after it
};

class ContextState {
public:
  explicit ContextState(LoadedProgram &program);
  ~ContextState();
  ContextState(const ContextState &) = delete;

  Status initialize();
  /// Gives working memory back.
  void trim();
  uint64_t heldBytes() const;

  /// |size| bytes of workspace, of which the first |zeroed| are 0, for launches of case |caseIndex|. |mayGrow| false: sets |grows|
  /// where the memory would have to be made first.
  Status zeroedWorkspace(uint32_t caseIndex, uint64_t size, uint64_t zeroed, bool mayGrow, bool *grows, CUdeviceptr *address);
  /// After commands that were enqueued but will not run: nothing is known of workspaces.
  void forgetWorkspaces();
  /// Event |index| of the profile, made when it is first asked for.
  Status event(uint32_t index, CUevent *event);

  LoadedProgram &program;
  Device &device;
  Allocator deviceAllocator;
  CUstream stream = nullptr;
  Arena arena;
  Pinned staging;  // inputs on their way to the device
  Pinned results;  // outputs that were left to the context, or are small
  Pinned word;     // what a load brings back
  Vector<uint64_t> words;     // buffers, scalars, tiles and workspace of a launch
  Vector<void *> parameters;  // pointers to them and to tensor maps
  Vector<CUdeviceptr> spanLists; // of the run's inputs; 0 for those that no kernel takes as spans
  Vector<uint32_t> firstMap;  // of a command, in maps
  Vector<CachedMap> maps;
  Vector<Workspace> workspaces; // by case
  Vector<CUevent> events;
  Vector<TimedCommand> timed;
  Vector<EntryGraph> graphs; // by entry
};

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_CONTEXT_STATE_H
